//! The fold of an item's events: what no sequence of events can do, and what each of them does to the status.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;

use super::*;
use crate::domain::event::{Finding, ItemEvent};

fn oid(text: &str) -> Oid {
    Oid::new(text)
}

fn attempt(number: u8) -> AttemptId {
    AttemptId::new(format!("attempt-{number}"))
}

fn landing(head: &str, tree: &str) -> Landing {
    Landing {
        target: BranchRef::new("refs/heads/main"),
        base: oid("base"),
        head: oid(head),
        merge_tree: oid(tree),
        merge: oid("merge"),
        tip: oid("tip"),
    }
}

fn started(number: u8, continues: Option<u8>) -> ItemEvent {
    ItemEvent::AttemptStarted {
        attempt: attempt(number),
        continues: continues.map(attempt),
        run: RunId::new("run"),
        title: "Do it".to_owned(),
        path: "docs/stories/1.1.md".to_owned(),
        agent: "fake".to_owned(),
        role: "general-developer".to_owned(),
        branch: BranchRef::new("refs/heads/story/1.1-do-it"),
        worktree: ".worktrees/1.1-do-it".to_owned(),
        target: BranchRef::new("refs/heads/main"),
        base: oid("base"),
        policy: PolicyVersion::new("p1"),
        story: oid("story"),
    }
}

fn review(verdict: ReviewVerdict, head: &str, tree: &str) -> Review {
    Review {
        reviewer: Principal::Person("ada@example.org".to_owned()),
        verdict,
        base: oid("base"),
        head: oid(head),
        merge_tree: oid(tree),
        policy: PolicyVersion::new("p1"),
        story: oid("story"),
        findings: vec![Finding { path: String::new(), line: 0, text: "hm".to_owned() }],
        message: String::new(),
        at: Timestamp(0),
        signature: None,
    }
}

fn performed() -> PhaseOutcome {
    PhaseOutcome::Done { by: Principal::Tool, summary: "done".to_owned(), head: None, checks: Vec::new() }
}

fn failure() -> Failure {
    Failure::new(crate::domain::event::FailureClass::Agent, Phase::Research, "no")
}

/// Events of which a fair part applies: few attempts, heads and trees, and many ways to land.
fn any_event() -> impl Strategy<Value = ItemEvent> {
    let number = || 1..3_u8;
    let phase = || select(Phase::ALL.to_vec());
    let head = || select(vec!["h1", "h2"]);
    let tree = || select(vec!["t1", "t2"]);
    let verdict = select(vec![ReviewVerdict::Approve, ReviewVerdict::Approve, ReviewVerdict::RequestChanges]);
    let reason = || "why".to_owned();
    prop_oneof![
        4 => (number(), proptest::option::of(number())).prop_map(|(new, last)| started(new, last)),
        1 => (number(), phase()).prop_map(|(number, phase)| ItemEvent::SessionStarted {
            attempt: attempt(number),
            phase,
            principal: Principal::Agent { adapter: "fake".to_owned(), session: "s".to_owned() },
        }),
        4 => (number(), phase()).prop_map(|(number, phase)| ItemEvent::PhaseRecorded {
            attempt: attempt(number),
            phase,
            outcome: performed(),
        }),
        4 => (proptest::option::of(number()), verdict, head(), tree()).prop_map(|(number, verdict, head, tree)| {
            ItemEvent::Reviewed { attempt: number.map(attempt), review: review(verdict, head, tree), more: false }
        }),
        1 => (number(), tree(), tree()).prop_map(|(number, from, to)| ItemEvent::ReviewCarried {
            attempt: attempt(number),
            from_tree: oid(from),
            base: oid("base"),
            merge_tree: oid(to),
        }),
        2 => (number(), phase()).prop_map(move |(number, phase)| ItemEvent::ReturnedTo {
            attempt: attempt(number),
            phase,
            reason: reason(),
        }),
        1 => number().prop_map(move |number| ItemEvent::LandingWaits { attempt: attempt(number), reason: reason() }),
        4 => (number(), head(), tree()).prop_map(|(number, head, tree)| ItemEvent::LandingIntended {
            attempt: attempt(number),
            landing: landing(head, tree),
        }),
        4 => (head(), tree()).prop_map(|(head, tree)| ItemEvent::Landed { landing: landing(head, tree) }),
        1 => number().prop_map(move |number| ItemEvent::NoChange { attempt: attempt(number), reason: reason() }),
        1 => number().prop_map(move |number| ItemEvent::Interrupted { attempt: attempt(number), reason: reason() }),
        1 => number().prop_map(|number| ItemEvent::Failed { attempt: attempt(number), failure: failure() }),
        1 => Just(ItemEvent::Blocked { run: RunId::new("run"), by: vec![ItemKey::new("1.0")] }),
        1 => number().prop_map(move |number| ItemEvent::Stopped { attempt: attempt(number), reason: reason() }),
        1 => any::<bool>().prop_map(|reopen| ItemEvent::RetryRequested { by: Principal::Tool, reopen }),
    ]
}

/// The state after those events that applied, and these events.
fn play(events: &[ItemEvent]) -> (ItemState, Vec<ItemEvent>) {
    let mut state = ItemState::default();
    let mut applied = Vec::new();
    for (at, event) in (0..).zip(events) {
        if let Ok(next) = state.apply(event, Timestamp(at)) {
            state = next;
            applied.push(event.clone());
        }
    }
    (state, applied)
}

/// Whether an approval of exactly this landing stands before `until` and is the newest review of its attempts.
fn approved_before(events: &[ItemEvent], landing: &Landing) -> bool {
    let mut approved = None;
    let mut carried = None;
    for event in events {
        match event {
            ItemEvent::Reviewed { review, .. } => {
                approved = (review.verdict == ReviewVerdict::Approve).then_some(review);
                carried = None;
            }
            ItemEvent::ReviewCarried { from_tree, merge_tree, .. } => carried = Some((from_tree, merge_tree)),
            ItemEvent::AttemptStarted { continues: None, .. } | ItemEvent::RetryRequested { .. } => {
                (approved, carried) = (None, None);
            }
            _ => {}
        }
    }
    approved.is_some_and(|review| {
        review.head == landing.head
            && (review.merge_tree == landing.merge_tree || carried == Some((&review.merge_tree, &landing.merge_tree)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replay_gives_the_same_state_also_from_a_snapshot(events in vec(any_event(), 0..40), cut in 0..40_usize) {
        let mut state = ItemState::default();
        let mut applied = Vec::new();
        for (number, event) in events.iter().enumerate() {
            let at = Timestamp(i64::try_from(number).unwrap());
            if number == cut {
                state = serde_json::from_slice(&serde_json::to_vec(&state).unwrap()).unwrap();
            }
            let before = state.clone();
            if let Ok(next) = state.apply(event, at) {
                state = next;
                applied.push((event, at));
            } else {
                prop_assert_eq!(&before, &state);
            }
            // Status is total, and an item never goes without a way on.
            let _ = (state.status().word(), state.next_phase(), state.is_done());
        }
        prop_assert_eq!(ItemState::fold(applied).unwrap(), state);
    }

    #[test]
    fn nothing_lands_that_was_not_approved_and_intended_before(events in vec(any_event(), 0..60)) {
        let (_, applied) = play(&events);
        for (number, event) in applied.iter().enumerate() {
            let ItemEvent::Landed { landing } = event else { continue };
            let intended = applied[..number].iter().rposition(
                |event| matches!(event, ItemEvent::LandingIntended { landing: intended, .. } if intended == landing)
            );
            prop_assert!(intended.is_some(), "{applied:#?}");
            prop_assert!(approved_before(&applied[..intended.unwrap()], landing), "{applied:#?}");
        }
    }

    #[test]
    fn one_intent_lands_at_most_once(events in vec(any_event(), 0..60)) {
        let (state, applied) = play(&events);
        let count = |wanted: fn(&ItemEvent) -> bool| applied.iter().filter(|event| wanted(event)).count();
        let landed = count(|event| matches!(event, ItemEvent::Landed { .. }));
        let intended = count(|event| matches!(event, ItemEvent::LandingIntended { .. }));
        prop_assert!(landed <= intended);
        prop_assert_eq!(state.landings.len(), landed, "a landing is never forgotten");
    }

    #[test]
    fn a_fenced_attempt_can_never_write(events in vec(any_event(), 0..40), late in any_event()) {
        let (state, _) = play(&events);
        let Some(author) = late.attempt() else { return Ok(()) };
        let current = state.attempt.as_ref().is_some_and(|open| open.id == *author);
        let reflection = state.is_done() && matches!(late, ItemEvent::PhaseRecorded { phase: Phase::Reflection, .. });
        if !current || (state.outcome.is_some() && !reflection) {
            let fenced = Rejected::Fenced { attempt: author.clone() };
            prop_assert_eq!(state.apply(&late, Timestamp(99)), Err(fenced));
        }
    }

    #[test]
    fn a_done_item_stays_done_until_it_is_reopened(events in vec(any_event(), 0..60), later in vec(any_event(), 0..20)) {
        let (mut state, _) = play(&events);
        for event in later {
            let was_done = state.is_done();
            if let Ok(next) = state.apply(&event, Timestamp(99)) {
                let reopened = matches!(event, ItemEvent::RetryRequested { reopen: true, .. });
                prop_assert!(!was_done || next.is_done() || reopened);
                state = next;
            }
        }
    }
}

/// The generator must reach what the properties speak of.
#[test]
fn the_generator_reaches_landings() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = vec(any_event(), 60);
    let landed = (0..500).filter(|_| {
        let events = strategy.new_tree(&mut runner).unwrap().current();
        play(&events).1.iter().any(|event| matches!(event, ItemEvent::Landed { .. }))
    });
    assert!(landed.count() > 20);
}

fn after(events: &[ItemEvent]) -> ItemState {
    ItemState::fold(events.iter().map(|event| (event, Timestamp(0)))).unwrap()
}

fn recorded(phase: Phase) -> ItemEvent {
    ItemEvent::PhaseRecorded { attempt: attempt(1), phase, outcome: performed() }
}

#[test]
fn a_recorded_review_phase_is_no_approval() {
    let state = after(&[started(1, None), recorded(Phase::Review)]);
    let intent = ItemEvent::LandingIntended { attempt: attempt(1), landing: landing("h1", "t1") };
    assert!(matches!(state.apply(&intent, Timestamp(0)), Err(Rejected::Illegal { .. })));
}

#[test]
fn an_approval_of_another_head_or_tree_is_no_approval_of_this_landing() {
    let approval =
        ItemEvent::Reviewed { attempt: None, review: review(ReviewVerdict::Approve, "h1", "t1"), more: false };
    let state = after(&[started(1, None), approval]);
    let intent = |head, tree| ItemEvent::LandingIntended { attempt: attempt(1), landing: landing(head, tree) };
    assert!(state.apply(&intent("h1", "t1"), Timestamp(0)).is_ok());
    assert!(state.apply(&intent("h2", "t1"), Timestamp(0)).is_err());
    assert!(state.apply(&intent("h1", "t2"), Timestamp(0)).is_err());
    let carried = ItemEvent::ReviewCarried {
        attempt: attempt(1),
        from_tree: oid("t1"),
        base: oid("base"),
        merge_tree: oid("t2"),
    };
    let state = state.apply(&carried, Timestamp(0)).unwrap();
    assert!(state.apply(&intent("h1", "t2"), Timestamp(0)).is_ok());
}

#[test]
fn the_status_follows_the_events() {
    let mut events = vec![started(1, None)];
    assert_eq!(ItemState::default().status(), Status::NotStarted);
    assert_eq!(after(&events).status(), Status::InProgress);
    events.extend(Phase::ALL.into_iter().take(8).map(recorded));
    assert_eq!(after(&events).status(), Status::ReadyForReview);
    events.push(ItemEvent::Reviewed {
        attempt: None,
        review: review(ReviewVerdict::RequestChanges, "h1", "t1"),
        more: false,
    });
    assert_eq!(after(&events).status(), Status::ReadyForReview);
    events.push(ItemEvent::Reviewed { attempt: None, review: review(ReviewVerdict::Approve, "h1", "t1"), more: false });
    assert_eq!(after(&events).status(), Status::Approved);
    events.push(ItemEvent::LandingIntended { attempt: attempt(1), landing: landing("h1", "t1") });
    events.push(ItemEvent::Landed { landing: landing("h1", "t1") });
    assert_eq!(after(&events).status(), Status::Landed);
    events.push(ItemEvent::RetryRequested { by: Principal::Tool, reopen: true });
    let reopened = after(&events);
    assert_eq!((reopened.status(), reopened.round, reopened.landings.len()), (Status::NotStarted, 2, 1));
}

#[test]
fn an_attempt_that_waits_is_parked_until_it_goes_on_or_is_reviewed() {
    let waits = ItemEvent::LandingWaits { attempt: attempt(1), reason: "a person".to_owned() };
    let mut state = after(&[started(1, None), waits]);
    assert!(state.parked && state.waits.is_some());
    let approval =
        ItemEvent::Reviewed { attempt: None, review: review(ReviewVerdict::Approve, "h1", "t1"), more: false };
    state = state.apply(&approval, Timestamp(0)).unwrap();
    assert!(state.parked && state.waits.is_none(), "reviewed, and still nobody works on it");
    state = state.apply(&started(2, Some(1)), Timestamp(0)).unwrap();
    assert!(!state.parked);
}
