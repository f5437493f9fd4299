//! The fold of a protected branch's events.

use super::*;

fn oid(letter: &str) -> Oid {
    Oid::new(letter)
}

fn person() -> Principal {
    Principal::Person("ann@example.org".to_owned())
}

fn fold(events: &[BranchEvent]) -> Result<BranchState, Rejected> {
    BranchState::fold(events.iter().map(|event| (event, Timestamp(7))))
}

fn breached(commit: &str) -> BranchEvent {
    BranchEvent::Breached { breach: Breach { commit: oid(commit), reason: "why".to_owned(), route: String::new() } }
}

fn acknowledged(tip: &str) -> BranchEvent {
    BranchEvent::Acknowledged { tip: oid(tip), by: person(), message: "seen".to_owned() }
}

#[test]
fn adoption_certifies_its_own_tip_and_happens_once() {
    let adopted = BranchEvent::Adopted { tip: oid("a"), by: person() };
    let state = fold(std::slice::from_ref(&adopted)).unwrap();
    assert_eq!((state.adopted, state.certified), (Some(oid("a")), Some(oid("a"))));
    fold(&[adopted.clone(), adopted]).unwrap_err();
}

#[test]
fn nothing_is_certified_while_a_breach_is_open() {
    let certified = BranchEvent::Certified { tip: oid("c") };
    fold(&[breached("b"), certified.clone()]).unwrap_err();
    let state = fold(&[breached("b"), acknowledged("t"), certified]).unwrap();
    assert_eq!(state.certified, Some(oid("c")));
    assert_eq!(state.acknowledged.get(&oid("b")).map(String::as_str), Some("seen"));
}

#[test]
fn a_breach_is_told_once_and_never_again_after_it_was_acknowledged() {
    assert_eq!(fold(&[breached("b"), breached("b")]).unwrap().breaches.len(), 1);
    assert!(fold(&[breached("b"), acknowledged("t"), breached("b")]).unwrap().breaches.is_empty());
}

#[test]
fn a_hotfix_is_open_until_it_is_resolved_and_only_once() {
    let hotfix = Hotfix {
        id: "h1".to_owned(),
        base: oid("a"),
        head: oid("b"),
        merge_tree: oid("t"),
        tip: oid("c"),
        lines: 3,
        emergency: "down".to_owned(),
        reason: "now".to_owned(),
        follow_up: "#7".to_owned(),
        by: person(),
        labels: Vec::new(),
        checks: Vec::new(),
        skipped: Vec::new(),
    };
    let landed = BranchEvent::HotfixLanded { hotfix };
    let resolved = BranchEvent::HotfixResolved { id: "h1".to_owned(), by: person(), message: "done".to_owned() };
    assert_eq!(fold(std::slice::from_ref(&landed)).unwrap().open_hotfixes().count(), 1);
    assert_eq!(fold(&[landed.clone(), resolved.clone()]).unwrap().open_hotfixes().count(), 0);
    fold(&[landed.clone(), landed.clone()]).unwrap_err();
    fold(&[landed, resolved.clone(), resolved.clone()]).unwrap_err();
    fold(&[resolved]).unwrap_err();
}
