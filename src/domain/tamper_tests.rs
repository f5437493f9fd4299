//! Tests of `tamper`.

use super::*;

fn oid(name: &str) -> Oid {
    Oid::new(name.repeat(40))
}

fn keys(names: &[&str]) -> BTreeSet<ItemKey> {
    names.iter().map(|name| ItemKey::new(*name)).collect()
}

/// A commit named by a letter, with its parents.
fn commit(name: &str, parents: &[&str]) -> Gained {
    Gained {
        oid: oid(name),
        tree: oid("f"),
        parents: parents.iter().map(|parent| oid(parent)).collect(),
        by_agent: false,
        names_story: false,
        published: false,
    }
}

fn agent(name: &str, parents: &[&str]) -> Gained {
    Gained { by_agent: true, ..commit(name, parents) }
}

fn landing(merge: &str, head: &str, tip: &str) -> Landing {
    let (target, base, merge_tree) = (BranchRef::new("refs/heads/main"), oid("0"), oid("f"));
    Landing { target, base, head: oid(head), merge_tree, merge: oid(merge), tip: oid(tip) }
}

fn deleted() -> Finding {
    let name = "refs/orchestrate/items/1.1".to_owned();
    Finding::Ledger(Restored { name, how: Forged::Deleted, kept: None })
}

#[test]
fn nobody_is_blamed_unless_nobody_else_was_at_work() {
    let one = vec![Measure::Quarantine(ItemKey::new("1.1"))];
    assert_eq!(measures(&deleted(), &keys(&["1.1"])), one);
    assert_eq!(measures(&deleted(), &keys(&["1.1", "1.2"])), [Measure::StopLandings]);
    assert_eq!(measures(&deleted(), &keys(&[])), [Measure::StopLandings]);
    let programs = Finding::Programs(Vec::new());
    assert_eq!(measures(&programs, &keys(&["1.1"])), [Measure::StopLandings], "it may have been the user");
}

#[test]
fn a_breach_stops_landings_whoever_it_was() {
    let breach = Finding::Breach { branch: BranchRef::new("refs/heads/main"), commits: vec![oid("a")] };
    assert_eq!(measures(&breach, &keys(&[])), [Measure::StopLandings]);
    let blamed = [Measure::StopLandings, Measure::Quarantine(ItemKey::new("1.1"))];
    assert_eq!(measures(&breach, &keys(&["1.1"])), blamed);
}

#[test]
fn a_moved_branch_pauses_its_attempt_and_the_only_other_one() {
    let (victim, branch) = (ItemKey::new("1.1"), BranchRef::new("refs/heads/story/1.1-a"));
    let moved = Finding::Sibling { victim: victim.clone(), branch, expected: oid("a"), found: None };
    let both = [Measure::Pause(victim.clone()), Measure::Pause(ItemKey::new("1.2"))];
    assert_eq!(measures(&moved, &keys(&["1.1", "1.2"])), both);
    assert_eq!(measures(&moved, &keys(&["1.2"])), both);
    assert_eq!(measures(&moved, &keys(&["1.2", "1.3"])), [Measure::Pause(victim)]);
}

#[test]
fn an_agents_commit_on_the_target_is_covered_only_by_its_landing() {
    let gained = [agent("d", &["c"]), commit("c", &["0", "b"]), agent("b", &["a"]), agent("a", &["0"])];
    let state = |landings: Vec<Landing>| ItemState { landings, ..ItemState::default() };
    assert_eq!(uncovered(&gained, [&state(Vec::new())], &BTreeSet::new()), [oid("d"), oid("b"), oid("a")]);
    let landed = state(vec![landing("c", "b", "d")]);
    assert_eq!(uncovered(&gained, [&landed], &BTreeSet::new()), Vec::<Oid>::new());
    let half = state(vec![landing("c", "a", "d")]);
    assert_eq!(uncovered(&gained, [&half], &BTreeSet::new()), [oid("b")], "the landing was of less");
    let elsewhere = state(vec![landing("e", "b", "e")]);
    assert_eq!(uncovered(&gained, [&elsewhere], &BTreeSet::new()).len(), 3, "that landing did not come");
}

#[test]
fn a_persons_merge_of_a_story_is_told_from_any_other() {
    let gained = [commit("c", &["0", "b"]), commit("b", &["0"])];
    assert_eq!(uncovered(&gained, [], &BTreeSet::new()), Vec::<Oid>::new());
    assert_eq!(uncovered(&gained, [], &BTreeSet::from([oid("b")])), [oid("c")]);
    let fetched = Gained { published: true, ..agent("b", &["0"]) };
    assert_eq!(uncovered(&[fetched], [], &BTreeSet::new()), Vec::<Oid>::new());
}

#[test]
fn what_a_story_merged_in_is_not_its_own() {
    let commits = [commit("d", &["c"]), commit("c", &["b", "9"]), commit("b", &["0"]), commit("9", &["0"])];
    assert_eq!(line(&commits, &oid("d"), &oid("0")), BTreeSet::from([oid("d"), oid("c"), oid("b")]));
    assert_eq!(line(&commits, &oid("d"), &oid("b")), BTreeSet::from([oid("d"), oid("c")]));
}

#[test]
fn a_difference_is_shown_in_one_safe_line() {
    let words =
        |value: &str| Words::from([("alias.x".to_owned(), value.to_owned()), ("same".to_owned(), "1".to_owned())]);
    let found = changes(&words("a"), &words("!sh\n\u{1b}[2J"));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].to_string(), "alias.x: `a` -> `!sh\\n\\u{1b}[2J`");
    assert!(!found[0].would_run());
    let gone = changes(&Words::from([("filter.a.clean".to_owned(), "x".to_owned())]), &Words::new());
    assert_eq!(gone[0].to_string(), "filter.a.clean: `x` -> absent");
    assert!(gone[0].would_run());
}
