//! Tests of `report::plan`.

use serde_json::{Value, json};

use super::*;
use crate::domain::item::{Declared, FileStatus, StatedStatus, WorkItem};
use crate::domain::names::ItemKey;
use crate::domain::plan::Assignment;

fn id(text: &str) -> ItemId {
    ItemId::parse(text).unwrap()
}

fn place(path: &str) -> Place {
    Place { path: path.to_owned(), line: 4, column: 2, text: "**Dependencies**: 1.1".into(), width: 3 }
}

fn planned(name: &str, title: &str, wave: u32, needs: &[(&str, bool)]) -> PlannedItem {
    let needed = |(name, planned): &(&str, bool)| Prerequisite {
        id: id(name),
        kind: EdgeKind::Declared,
        planned: *planned,
        lacking: false,
    };
    let path = format!("docs/stories/{name}.md");
    let item = WorkItem {
        id: id(name),
        display_id: name.to_owned(),
        kind: ItemKind::Story,
        title: title.to_owned(),
        place: place(&path),
        epic: None,
        epic_title: None,
        status: StatedStatus { value: FileStatus::Ready, raw: String::new(), place: None },
        criteria: Vec::new(),
        declared: Declared::List,
        dependencies: Vec::new(),
        reverse: Vec::new(),
        references: Vec::new(),
        files: Vec::new(),
        technology: None,
        agent: None,
        path,
    };
    PlannedItem {
        key: ItemKey::from(&item.id),
        item,
        wave,
        prerequisites: needs.iter().map(needed).collect(),
        chain: 1,
        assignment: Assignment {
            role: "python-developer".into(),
            adapter: "claude".into(),
            fallbacks: Vec::new(),
            why: "3 of 4 named files are Python; claude is the first installed agent".into(),
        },
    }
}

fn plan() -> Plan {
    Plan {
        items: vec![
            planned("1.2", "Profile", 0, &[("1.1", false)]),
            planned("1.10", "\u{1b}]0;evil\u{7} \"q\" <b>", 1, &[("1.2", true)]),
        ],
        left_out: vec![LeftOut { id: id("1.1"), why: "landed".into() }],
        waves: 2,
        critical_path: vec![id("1.2"), id("1.10")],
        outside: Vec::new(),
        diagnostics: vec![
            Diagnostic::warning("later-dependency", "1.2 depends on 1.3").at(place("docs/stories/1.2.md")),
            Diagnostic::info("x", "nothing").at(place("docs/stories/1.10.md")),
        ],
    }
}

fn shown(plan: &Plan, width: Option<usize>) -> String {
    let head = head_line("main", "1a2b3c4", "built-in policy");
    let command = Some("git orchestrate stories 1.1-1.10");
    table(plan, &Frame { head: &head, command, width, color: Color::Off })
}

#[test]
fn the_table_says_everything_a_person_decides_by() {
    insta::assert_snapshot!(shown(&plan(), None), @r#"
    target main at 1a2b3c4 · built-in policy
    2 stories, 1 edge, 2 waves, at most 1 at the same time

    wave  id    title                    agent                      after  warnings  why
    0     1.2   Profile                  python-developer (claude)  (1.1)  1         3 of 4 named files are Python; claude is the first installed agent
    1     1.10  \x1b]0;evil\x07 "q" <b>  python-developer (claude)  1.2              3 of 4 named files are Python; claude is the first installed agent

    left out (1):
      1.1  landed

    critical path (2): 1.2 → 1.10

    next: git orchestrate stories 1.1-1.10
    "#);
}

#[test]
fn a_narrow_table_wraps_titles_and_gives_the_reasons_below() {
    let mut plan = plan();
    plan.items[0].item.title = "Connect the payment provider and keep the receipts of every customer".to_owned();
    let text = shown(&plan, Some(80));
    assert!(text.lines().all(|row| super::super::text::columns(row) <= 80), "{text}");
    insta::assert_snapshot!(text, @r#"
    target main at 1a2b3c4 · built-in policy
    2 stories, 1 edge, 2 waves, at most 1 at the same time

    wave  id    title                     agent                      after  warnings
    0     1.2   Connect the payment       python-developer (claude)  (1.1)  1
                provider and keep the
                receipts of every
                customer
    1     1.10  \x1b]0;evil\x07 "q" <b>   python-developer (claude)  1.2

    agents:
      python-developer (claude): 3 of 4 named files are Python; claude is the first
      installed agent
        1.2 1.10

    left out (1):
      1.1  landed

    critical path (2): 1.2 → 1.10

    next: git orchestrate stories 1.1-1.10
    "#);
}

#[test]
fn errors_take_the_place_of_the_next_command() {
    let mut plan = plan();
    plan.diagnostics.push(Diagnostic::error("cycle", "cycle: 1.1 → 1.2 → 1.1"));
    let text = shown(&plan, None);
    assert!(text.ends_with("\n1 error to mend before anything can start\n"), "{text}");
    assert!(!text.contains("next:"));
}

#[test]
fn an_empty_plan_says_that_there_is_nothing_to_do() {
    let text = shown(&Plan { items: Vec::new(), critical_path: Vec::new(), ..plan() }, None);
    assert!(text.contains("\nnothing to do\n") && text.contains("1.1  landed") && !text.contains("next:"), "{text}");
}

#[test]
fn json_has_the_contract_fields() {
    let text = super::json(&plan());
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["version"], 1);
    let second = &value["items"][1];
    assert_eq!(
        (&second["id"], &second["wave"], &second["agent"]),
        (&json!("1.10"), &json!(1), &json!("python-developer"))
    );
    assert_eq!(second["dependencies"], json!(["1.2"]));
    assert_eq!(value["items"][0]["dependencies"], json!([]));
    assert_eq!(value["items"][0]["satisfied"], json!(["1.1"]));
    assert_eq!(second["title"], "\u{1b}]0;evil\u{7} \"q\" <b>");
    let finding = &value["diagnostics"][0];
    assert_eq!((&finding["severity"], &finding["line"]), (&json!("warning"), &json!(4)));
    assert_eq!(value["leftOut"][0]["why"], "landed");
}

#[test]
fn pictures_quote_what_their_language_would_read() {
    insta::assert_snapshot!(dot(&plan()), @r#"
    digraph plan {
      rankdir=LR;
      node [shape=box];
      { rank=same; "1.2"; }
      { rank=same; "1.10"; }
      "1.2" [label="1.2 Profile"];
      "1.10" [label="1.10 \\x1b]0;evil\\x07 \"q\" <b>"];
      "1.2" -> "1.10";
    }
    "#);
    insta::assert_snapshot!(mermaid(&plan()), @r#"
    flowchart LR
      n1_2["1.2 Profile"]
      n1_10["1.10 #92;x1b#93;0#59;evil#92;x07 #34;q#34; #60;b#62;"]
      n1_2 --> n1_10
    "#);
}
