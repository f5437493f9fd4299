//! Reactions: every class, with a client that can go on with a session and with one that cannot, and each at most once.

use super::*;

fn reactions(class: FailureClass, resumes: bool) -> Vec<Reaction> {
    let mut tally = Tally::default();
    (0..3).map(|_| react(class, resumes, &mut tally)).collect()
}

#[test]
fn what_a_session_can_still_do_is_asked_of_it_once() {
    use Reaction::{Anew, GoOn, Judge, Nudge};
    for class in [FailureClass::NoCommit, FailureClass::Dirty] {
        assert_eq!(reactions(class, true), [Nudge, Judge, Judge], "{class:?}");
        assert_eq!(reactions(class, false), [Judge; 3], "{class:?}: a new session would begin from nothing");
    }
    assert_eq!(reactions(FailureClass::MaxTurns, true), [GoOn, Judge, Judge]);
    assert_eq!(reactions(FailureClass::MaxTurns, false), [Anew, Judge, Judge]);
    for resumes in [true, false] {
        assert_eq!(reactions(FailureClass::ContextFull, resumes), [Anew, Judge, Judge]);
    }
}

#[test]
fn what_only_time_or_a_person_mends_is_left_to_the_next_attempt() {
    for class in [
        FailureClass::RateLimited,
        FailureClass::Overloaded,
        FailureClass::Agent,
        FailureClass::IdleTimeout,
        FailureClass::WallTimeout,
        FailureClass::Auth,
        FailureClass::Billing,
        FailureClass::Denied,
        FailureClass::ClientBudget,
        FailureClass::Tampering,
        FailureClass::Resources,
    ] {
        assert_eq!(reactions(class, true), [Reaction::Judge; 3], "{class:?}");
    }
}

#[test]
fn one_does_not_use_up_another() {
    let mut tally = Tally::default();
    assert_eq!(react(FailureClass::MaxTurns, true, &mut tally), Reaction::GoOn);
    assert_eq!(react(FailureClass::Dirty, true, &mut tally), Reaction::Nudge);
    assert_eq!(react(FailureClass::ContextFull, true, &mut tally), Reaction::Anew);
}
