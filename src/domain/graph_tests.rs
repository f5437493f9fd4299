//! Tests of `graph`: rules by example, and properties over random graphs.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::domain::diagnostic::Severity;
use crate::domain::item::{Dependency, FileStatus, ItemKind, StatedStatus};
use crate::domain::settings::{Missing, Undeclared};

fn id(text: &str) -> ItemId {
    ItemId::parse(text).unwrap()
}

fn place(path: &str, line: u32) -> Place {
    Place { path: path.to_owned(), line, column: 3, text: String::new(), width: 3 }
}

/// A story of epic = first part, hard dependencies on line 4.
fn story(name: &str, declared: Declared, needs: &[&str]) -> WorkItem {
    let path = format!("{name}.a.md");
    let dependency = |needed: &&str| Dependency { id: id(needed), strength: Strength::Hard, place: place(&path, 4) };
    WorkItem {
        id: id(name),
        display_id: name.to_owned(),
        kind: ItemKind::Story,
        title: format!("Story {name}"),
        place: place(&path, 1),
        epic: name.rsplit_once('.').map(|(epic, _)| epic.to_owned()),
        epic_title: None,
        status: StatedStatus { value: FileStatus::Ready, raw: "Ready".to_owned(), place: None },
        criteria: Vec::new(),
        declared,
        dependencies: needs.iter().map(dependency).collect(),
        reverse: Vec::new(),
        references: Vec::new(),
        files: Vec::new(),
        technology: None,
        agent: None,
        path,
    }
}

fn list(name: &str, needs: &[&str]) -> WorkItem {
    story(name, Declared::List, needs)
}

fn silent(name: &str) -> WorkItem {
    story(name, Declared::Undeclared, &[])
}

/// A request under construction.
struct Ask {
    items: Vec<WorkItem>,
    selected: Vec<ItemId>,
    selectors: Vec<String>,
    done: BTreeMap<ItemId, String>,
    assume_done: Vec<ItemId>,
    undeclared: Undeclared,
    missing: Missing,
}

fn ask(items: Vec<WorkItem>) -> Ask {
    Ask {
        items,
        selected: Vec::new(),
        selectors: Vec::new(),
        done: BTreeMap::new(),
        assume_done: Vec::new(),
        undeclared: Undeclared::EpicOrder,
        missing: Missing::Fail,
    }
}

impl Ask {
    fn scope(mut self, ids: &[&str]) -> Self {
        self.selected = ids.iter().map(|text| id(text)).collect();
        self.selectors = ids.iter().map(|text| (*text).to_owned()).collect();
        self
    }

    fn missing(mut self, missing: Missing) -> Self {
        self.missing = missing;
        self
    }

    fn done(mut self, name: &str) -> Self {
        self.done.insert(id(name), "landed".to_owned());
        self
    }

    fn plan(&self) -> Plan {
        let assign = |_: &WorkItem| {
            Ok(Assignment {
                role: "general-developer".into(),
                adapter: "demo".into(),
                fallbacks: Vec::new(),
                why: String::new(),
            })
        };
        build(&PlanRequest {
            items: &self.items,
            selected: &self.selected,
            everything: self.selected.is_empty(),
            selectors: &self.selectors,
            done: &self.done,
            assume_done: &self.assume_done,
            unread: &[],
            undeclared: self.undeclared,
            missing: self.missing,
            assign: &assign,
        })
    }
}

/// `wave id < prerequisites` per item, done ones in parentheses.
fn shape(plan: &Plan) -> Vec<String> {
    let line = |planned: &PlannedItem| {
        let needs = planned.prerequisites.iter();
        let needs: Vec<String> =
            needs.map(|p| if p.planned { p.id.to_string() } else { format!("({})", p.id) }).collect();
        format!("{} {} < {}", planned.wave, planned.item.id, needs.join(" "))
    };
    plan.items.iter().map(line).collect()
}

fn left(plan: &Plan) -> Vec<String> {
    plan.left_out.iter().map(|left| format!("{}: {}", left.id, left.why)).collect()
}

fn said(plan: &Plan, severity: Severity) -> Vec<String> {
    let shown = |finding: &Diagnostic| match &finding.place {
        Some(place) => format!("{}:{}: {}", place.path, place.line, finding.message),
        None => finding.message.clone(),
    };
    plan.diagnostics.iter().filter(|finding| finding.severity == severity).map(shown).collect()
}

fn errors(plan: &Plan) -> Vec<String> {
    said(plan, Severity::Error)
}

#[test]
fn waves_follow_declared_edges_and_natural_order() {
    let plan =
        ask(vec![list("1.10", &["1.9"]), story("1.9", Declared::None, &[]), list("2.1", &["1.10", "1.9"])]).plan();
    assert_eq!(shape(&plan), ["0 1.9 < ", "1 1.10 < 1.9", "2 2.1 < 1.10 1.9"]);
    assert_eq!(plan.waves, 3);
    assert_eq!(plan.critical_path, [id("1.9"), id("1.10"), id("2.1")]);
    assert_eq!(plan.items.iter().map(|planned| planned.chain).collect::<Vec<_>>(), [3, 2, 1]);
    assert!(plan.diagnostics.is_empty(), "{:?}", plan.diagnostics);
}

#[test]
fn only_stories_that_declare_nothing_get_assumed_edges() {
    let items = || {
        vec![
            silent("0.0"),
            silent("0.1"),
            silent("1.1"),
            silent("1.2"),
            story("1.3", Declared::None, &[]),
            silent("1.10"),
        ]
    };
    let plan = ask(items()).plan();
    let expected =
        ["0 0.0 < ", "0 1.3 < ", "1 0.1 < 0.0", "2 1.1 < 0.0 0.1", "2 1.10 < 0.0 0.1 1.3", "3 1.2 < 0.0 0.1 1.1"];
    assert_eq!(shape(&plan), expected);
    assert!(
        said(&plan, Severity::Info)
            .contains(&"1.2.a.md:1: 1.2 declares no dependencies; order assumed: after 0.0, 0.1, 1.1".to_owned())
    );

    let mut foundation = ask(items());
    foundation.undeclared = Undeclared::Foundation;
    assert_eq!(shape(&foundation.plan())[4], "1 1.2 < 0.0 0.1");
    let mut independent = ask(items());
    independent.undeclared = Undeclared::Independent;
    assert_eq!(independent.plan().waves, 1);
}

#[test]
fn skipped_foundation_and_epics_below_one_are_told_apart() {
    let mut skipped = silent("0.0");
    skipped.status = StatedStatus { value: FileStatus::Skipped, raw: "Skipped".to_owned(), place: None };
    let plan = ask(vec![skipped, silent("0.1"), silent("0.5.1"), silent("0.2"), list("1.1", &["0.2"])]).plan();
    assert_eq!(shape(&plan), ["0 0.1 < ", "1 0.2 < 0.1", "1 0.5.1 < 0.1", "2 1.1 < 0.2"]);
    assert!(said(&plan, Severity::Warning).is_empty());
}

#[test]
fn a_missing_prerequisite_is_an_error_with_near_ids_and_the_way_around() {
    let mut asked = ask(vec![list("3.1", &["9.9"]), story("9.8", Declared::None, &[])]);
    let plan = asked.plan();
    assert_eq!(errors(&plan), ["3.1.a.md:4: depends on 9.9, which does not exist"]);
    let hint = plan.diagnostics[0].hint.as_deref().unwrap();
    assert_eq!(hint, "nearest: 9.8; if it is done elsewhere, repeat with --assume-done 9.9");

    asked.assume_done.push(id("9.9"));
    let plan = asked.plan();
    assert!(!plan.has_errors());
    assert_eq!(said(&plan, Severity::Warning), ["3.1.a.md:4: 9.9 has no story; it is assumed to be done"]);
    assert_eq!(shape(&plan), ["0 3.1 < (9.9)", "0 9.8 < "]);
}

#[test]
fn a_story_that_landed_and_lost_its_file_is_not_missing() {
    let plan = ask(vec![list("3.1", &["2.2"])]).done("2.2").plan();
    assert!(plan.diagnostics.is_empty(), "{:?}", plan.diagnostics);
}

#[test]
fn a_self_dependency_is_an_error_but_no_cycle() {
    assert_eq!(errors(&ask(vec![list("3.1", &["3.1"])]).plan()), ["3.1.a.md:4: 3.1 depends on itself"]);
}

#[test]
fn the_shortest_cycle_is_shown_with_the_place_of_each_edge() {
    let items = vec![list("3.1", &["3.2", "3.3"]), list("3.2", &["3.1"]), list("3.3", &["3.4"]), list("3.4", &["3.1"])];
    let plan = ask(items).plan();
    assert_eq!(errors(&plan), ["3.1.a.md:4: cycle: 3.1 → 3.2 → 3.1"]);
    let related: Vec<String> = plan.diagnostics[0]
        .related
        .iter()
        .map(|(place, label)| format!("{}:{} {label}", place.path, place.line))
        .collect();
    assert_eq!(related, ["3.1.a.md:4 3.1 depends on 3.2", "3.2.a.md:4 3.2 depends on 3.1"]);
}

#[test]
fn a_shorter_cycle_is_found_after_a_longer_one() {
    // Every cycle through the lowest story has three members; 3.4 and 3.5 make one of two.
    let items = vec![
        list("3.1", &["3.2", "3.4"]),
        list("3.2", &["3.3"]),
        list("3.3", &["3.1"]),
        list("3.4", &["3.5"]),
        list("3.5", &["3.1", "3.4"]),
    ];
    assert_eq!(errors(&ask(items).plan()), ["3.4.a.md:4: cycle: 3.4 → 3.5 → 3.4"]);
}

#[test]
fn an_assumed_edge_gives_way_to_a_declared_one() {
    let plan = ask(vec![list("1.1", &["1.2"]), silent("1.2"), silent("1.3")]).plan();
    assert!(!plan.has_errors(), "{:?}", errors(&plan));
    assert_eq!(shape(&plan), ["0 1.2 < ", "1 1.1 < 1.2", "1 1.3 < 1.2"]);
    assert_eq!(said(&plan, Severity::Warning), ["1.1.a.md:4: 1.1 depends on 1.2, a later story of the same epic"]);
}

#[test]
fn a_later_story_that_is_done_is_not_worth_a_warning() {
    let plan = ask(vec![list("1.1", &["1.2"]), silent("1.2")]).done("1.2").plan();
    assert!(plan.diagnostics.is_empty(), "{:?}", plan.diagnostics);
}

#[test]
fn done_and_skipped_items_are_left_out_with_the_reason() {
    let mut skipped = story("1.2", Declared::None, &[]);
    skipped.status = StatedStatus { value: FileStatus::Skipped, raw: "Deferred".to_owned(), place: None };
    let plan = ask(vec![silent("1.1"), skipped, list("2.1", &["1.1", "1.2"]), silent("1.3")]).done("1.1").plan();
    assert_eq!(left(&plan), ["1.1: landed", "1.2: skipped by its status \"Deferred\""]);
    assert_eq!(shape(&plan), ["0 1.3 < (1.1)", "0 2.1 < (1.1) (1.2)"]);
    let warning = "2.1.a.md:4: 2.1 depends on 1.2, which is skipped by its status \"Deferred\"; nothing is waited for";
    assert_eq!(said(&plan, Severity::Warning), [warning]);
}

#[test]
fn a_soft_dependency_is_never_an_edge_and_warned_about_without_a_story() {
    let mut item = story("2.1", Declared::List, &["1.1", "8.8"]);
    item.dependencies.iter_mut().for_each(|needed| needed.strength = Strength::Soft);
    let plan = ask(vec![item, story("1.1", Declared::None, &[])]).plan();
    assert_eq!(shape(&plan), ["0 1.1 < ", "0 2.1 < "]);
    assert_eq!(said(&plan, Severity::Warning), ["2.1.a.md:4: no story 8.8 for this soft dependency"]);
}

#[test]
fn a_prerequisite_out_of_scope_fails_expands_or_skips() {
    let items = || {
        let none = |name| story(name, Declared::None, &[]);
        vec![none("1.4"), list("1.5", &["1.4"]), list("2.3", &["1.5"]), list("2.4", &["2.3"]), none("2.5")]
    };
    let scope = ["2.3", "2.4", "2.5"];
    let plan = ask(items()).scope(&scope).plan();
    assert_eq!(errors(&plan), ["2.3.a.md:4: 2.3 depends on 1.5, which is not done and not in the scope"]);
    assert_eq!(
        plan.diagnostics[0].hint.as_deref().unwrap(),
        "`git orchestrate stories 2.3 2.4 2.5 --missing expand` takes 1.5 in, \
         `git orchestrate stories 2.3 2.4 2.5 --missing skip` leaves 2.3 out"
    );
    assert_eq!(plan.outside.len(), 1);
    assert_eq!((plan.outside[0].story.as_str(), plan.outside[0].prerequisite.as_str()), ("2.3", "1.5"));

    let plan = ask(items()).scope(&scope).missing(Missing::Expand).plan();
    assert_eq!(shape(&plan), ["0 1.4 < ", "0 2.5 < ", "1 1.5 < 1.4", "2 2.3 < 1.5", "3 2.4 < 2.3"]);
    assert!(plan.outside.is_empty() && !plan.has_errors());

    let plan = ask(items()).scope(&scope).missing(Missing::Skip).plan();
    assert_eq!(shape(&plan), ["0 2.5 < "]);
    assert_eq!(left(&plan), ["2.3: prerequisite 1.5 is out of scope", "2.4: prerequisite 2.3 is left out"]);
    assert!(plan.outside.is_empty() && !plan.has_errors());
}

#[test]
fn the_command_to_repeat_is_quoted_for_a_shell() {
    let plan = ask(vec![list("1.1", &["2.1"]), story("2.1", Declared::None, &[])]).scope(&["1.1"]);
    let plan = Ask { selectors: vec!["1.*".into(), "it's".into()], ..plan }.plan();
    assert!(plan.diagnostics[0].hint.as_deref().unwrap().contains("stories '1.*' 'it'\\''s' --missing expand"));
}

#[test]
fn one_missing_agent_is_said_once() {
    let items = [silent("1.1"), silent("1.2")];
    let asked = ask(Vec::new());
    let plan = build(&PlanRequest {
        items: &items,
        selected: &[],
        everything: true,
        selectors: &[],
        done: &asked.done,
        assume_done: &[],
        unread: &[],
        undeclared: Undeclared::Independent,
        missing: Missing::Fail,
        assign: &|_| Err(Box::new(Diagnostic::error("no-agent", "no agent is installed"))),
    });
    assert_eq!(errors(&plan), ["no agent is installed"]);
    assert_eq!(plan.items.len(), 2);
}

#[test]
fn a_deep_chain_with_a_missing_end_is_one_error() {
    let names: Vec<String> = (1..=5001).map(|n| format!("5.{n}")).collect();
    let items = names.windows(2).map(|pair| list(&pair[0], &[pair[1].as_str()])).collect();
    let plan = ask(items).plan();
    assert_eq!(errors(&plan), ["5.5000.a.md:4: depends on 5.5001, which does not exist"]);
    assert_eq!(plan.waves, 5000);
}

#[test]
fn a_long_cycle_is_cut_at_ten() {
    for length in [1000, 5000] {
        let name = |n: usize| format!("7.{}", n % length + 1);
        let items = (0..length).map(|n| list(&name(n), &[name(n + 1).as_str()])).collect();
        let plan = ask(items).plan();
        let shown: Vec<String> = (0..10).map(name).collect();
        let expected = format!("7.1.a.md:4: cycle: {} → … ({} more) → 7.1", shown.join(" → "), length - 10);
        assert_eq!(errors(&plan), [expected]);
        assert_eq!(plan.diagnostics[0].related.len(), 10);
    }
}

#[test]
fn ten_thousand_items_with_three_edges_each_are_planned() {
    let name = |n: usize| format!("{}.{}", n / 100 + 1, n % 100 + 1);
    let items = (0..10_000).map(|n| {
        let needs: Vec<String> = (1..=3).filter(|back| n >= back * 37).map(|back| name(n - back * 37)).collect();
        list(&name(n), &needs.iter().map(String::as_str).collect::<Vec<_>>())
    });
    let plan = ask(items.collect()).plan();
    assert_eq!((plan.items.len(), plan.waves), (10_000, 271));
    assert_eq!(plan.critical_path.len(), 271);
    assert!(!plan.has_errors());
}

/// A graph of up to 24 stories in three epics; edges may point anywhere, declarations are of all kinds.
fn graphs() -> impl Strategy<Value = Vec<WorkItem>> {
    (1usize..24).prop_flat_map(|count| {
        let node = (0..3u8, proptest::collection::vec(0..count, 0..3));
        proptest::collection::vec(node, count).prop_map(|nodes| {
            let name = |n: usize| format!("{}.{}", n % 3, n / 3);
            let item = |(n, (kind, needs)): (usize, (u8, Vec<usize>))| {
                let needs: BTreeSet<String> = needs.into_iter().filter(|other| *other != n).map(name).collect();
                let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
                match kind {
                    0 => silent(&name(n)),
                    1 => story(&name(n), Declared::None, &[]),
                    _ => list(&name(n), &needs),
                }
            };
            nodes.into_iter().enumerate().map(item).collect()
        })
    })
}

fn waves(plan: &Plan) -> BTreeMap<ItemId, u32> {
    plan.items.iter().map(|planned| (planned.item.id.clone(), planned.wave)).collect()
}

proptest! {
    #[test]
    fn waves_respect_every_edge_and_are_minimal(items in graphs()) {
        let plan = ask(items).plan();
        prop_assume!(!plan.has_errors());
        let wave = waves(&plan);
        for planned in &plan.items {
            let least = planned.planned_prerequisites().map(|needed| wave[needed] + 1).max().unwrap_or(0);
            prop_assert_eq!(planned.wave, least);
        }
        prop_assert_eq!(plan.critical_path.len(), plan.waves as usize);
    }

    #[test]
    fn a_reported_cycle_is_a_shortest_one_and_real(items in graphs()) {
        let plan = ask(items.clone()).plan();
        let declared = |from: &str| -> Vec<String> {
            let item = items.iter().find(|item| item.id == id(from)).unwrap();
            item.dependencies.iter().map(|needed| needed.id.to_string()).collect()
        };
        let girth = items.iter().filter_map(|item| shortest_walk_back(item.id.as_str(), &declared)).min();
        let shown: Vec<Vec<String>> = errors(&plan)
            .iter()
            .filter_map(|message| message.split_once("cycle: "))
            .map(|(_, cycle)| cycle.split(" → ").map(str::to_owned).collect())
            .collect();
        prop_assert_eq!(shown.is_empty(), girth.is_none());
        for cycle in shown.iter().filter(|cycle| !cycle.contains(&"…".to_owned()) && cycle.len() <= SHOWN) {
            for pair in cycle.windows(2) {
                prop_assert!(declared(&pair[0]).contains(&pair[1]), "{} does not need {}", pair[0], pair[1]);
            }
            prop_assert_eq!(cycle.first(), cycle.last());
        }
        if let Some(girth) = girth {
            prop_assert_eq!(shown.iter().map(|cycle| cycle.len() - 1).min().unwrap().min(SHOWN), girth.min(SHOWN));
        }
    }

    #[test]
    fn skip_leaves_nothing_dangling_and_expand_is_closed(items in graphs(), scope in proptest::collection::vec(0usize..24, 1..6)) {
        let chosen: Vec<String> =
            scope.iter().map(|n| items[n % items.len()].id.to_string()).collect::<BTreeSet<_>>().into_iter().collect();
        let chosen: Vec<&str> = chosen.iter().map(String::as_str).collect();
        for missing in [Missing::Skip, Missing::Expand] {
            let plan = ask(items.clone()).scope(&chosen).missing(missing).plan();
            for planned in &plan.items {
                prop_assert!(planned.prerequisites.iter().all(|needed| needed.planned));
            }
            prop_assert!(plan.outside.is_empty());
            let known: BTreeSet<&str> = plan.items.iter().map(|planned| planned.item.id.as_str())
                .chain(plan.left_out.iter().map(|left| left.id.as_str())).collect();
            prop_assert!(chosen.iter().all(|id| known.contains(id)));
            if missing == Missing::Expand {
                prop_assert!(plan.left_out.is_empty());
            }
        }
    }
}

/// Length of the shortest cycle through a story by declared edges.
fn shortest_walk_back(start: &str, needs: &dyn Fn(&str) -> Vec<String>) -> Option<usize> {
    let mut reached: BTreeSet<String> = needs(start).into_iter().collect();
    for length in 1..=24 {
        if reached.contains(start) {
            return Some(length);
        }
        reached = reached.iter().flat_map(|node| needs(node)).collect();
    }
    None
}
