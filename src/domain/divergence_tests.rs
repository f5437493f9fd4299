//! The rule for what two machines recorded apart.

use super::*;
use crate::domain::branch::Breach;
use crate::domain::names::{AttemptId, BranchRef, Oid, PolicyVersion, Principal, RunId, Timestamp};

fn started(attempt: &str) -> ItemEvent {
    ItemEvent::AttemptStarted {
        attempt: AttemptId::new(attempt),
        continues: None,
        run: RunId::new(format!("run of {attempt}")),
        title: "Title".into(),
        path: "docs/stories/1.1.md".into(),
        agent: "claude".into(),
        role: "general-developer".into(),
        branch: BranchRef::new("refs/heads/story/1.1"),
        worktree: ".worktrees/1.1".into(),
        target: BranchRef::new("refs/heads/main"),
        base: Oid::new("b"),
        policy: PolicyVersion::new("p"),
        story: Oid::new("s"),
    }
}

fn interrupted(attempt: &str) -> ItemEvent {
    ItemEvent::Interrupted { attempt: AttemptId::new(attempt), reason: String::new() }
}

fn state(events: &[ItemEvent]) -> ItemState {
    ItemState::fold(events.iter().map(|event| (event, Timestamp(1)))).unwrap()
}

fn landed(merge: &str) -> ItemEvent {
    ItemEvent::Landed {
        landing: Landing {
            target: BranchRef::new("refs/heads/main"),
            base: Oid::new("b"),
            head: Oid::new("h"),
            merge_tree: Oid::new("t"),
            merge: Oid::new(merge),
            tip: Oid::new(merge),
        },
    }
}

#[test]
fn two_open_attempts_contradict_and_one_that_ended_does_not() {
    let (ours, theirs) = (state(&[started("a-1")]), state(&[started("a-2")]));
    let why = contradiction((&[], &ours), (&[], &theirs)).unwrap();
    assert!(why.contains("a-1") && why.contains("a-2"), "{why}");
    assert_eq!(contradiction((&[], &ours), (&[], &ours)), None, "the same attempt went on on both sides");
    let ended = state(&[started("a-2"), interrupted("a-2")]);
    assert_eq!(contradiction((&[], &ours), (&[], &ended)), None);
}

#[test]
fn two_landings_contradict_and_one_known_to_both_does_not() {
    let done = ItemState::default();
    let (one, two) = ([landed("m1")], [landed("m2")]);
    assert!(contradiction((&one, &done), (&two, &done)).is_some());
    assert_eq!(contradiction((&one, &done), (&one, &done)), None);
    assert_eq!(contradiction((&one, &done), (&[], &done)), None);
}

#[test]
fn the_end_of_an_attempt_that_ended_adds_nothing() {
    let open = state(&[started("a-1")]);
    assert!(!is_moot(&interrupted("a-1"), &open));
    assert!(is_moot(&interrupted("a-1"), &state(&[started("a-1"), interrupted("a-1")])));
    assert!(is_moot(&interrupted("a-0"), &open));
}

#[test]
fn a_branch_is_adopted_once_and_never_certified_over_a_breach() {
    let adopted = BranchEvent::Adopted { tip: Oid::new("a"), by: Principal::Tool };
    let certified = BranchEvent::Certified { tip: Oid::new("b") };
    let breach = Breach { commit: Oid::new("x"), reason: String::new(), route: String::new() };
    let fresh = BranchState::default();
    assert!(!is_moot_for_branch(&adopted, &fresh) && !is_moot_for_branch(&certified, &fresh));
    let watched = fresh.apply(&adopted, Timestamp(1)).unwrap();
    assert!(is_moot_for_branch(&adopted, &watched));
    let breached = watched.apply(&BranchEvent::Breached { breach }, Timestamp(2)).unwrap();
    assert!(is_moot_for_branch(&certified, &breached));
}
