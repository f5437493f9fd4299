//! Retries: the number of tries is bounded whatever fails, and delays stay between their bounds.

use proptest::prelude::*;

use super::*;

const CLASSES: [FailureClass; 23] = [
    FailureClass::NoCommit,
    FailureClass::Check,
    FailureClass::Review,
    FailureClass::NoReview,
    FailureClass::Conflict,
    FailureClass::Setup,
    FailureClass::Command,
    FailureClass::Agent,
    FailureClass::WallTimeout,
    FailureClass::IdleTimeout,
    FailureClass::Auth,
    FailureClass::RateLimited,
    FailureClass::Gate,
    FailureClass::Tampering,
    FailureClass::Internal,
    FailureClass::Resources,
    FailureClass::Overloaded,
    FailureClass::Billing,
    FailureClass::Dirty,
    FailureClass::Denied,
    FailureClass::ContextFull,
    FailureClass::MaxTurns,
    FailureClass::ClientBudget,
];

#[test]
fn the_third_failure_of_three_is_the_last_and_a_refused_login_the_first() {
    let policy = RetryPolicy::default();
    let after = |class, counted| judge(&policy, class, Tries { counted, ..Tries::default() }, 0);
    assert_eq!(after(FailureClass::Agent, 0), Verdict::Again { number: 1, of: 3, millis: 2_500 });
    assert_eq!(after(FailureClass::Agent, 1), Verdict::Again { number: 2, of: 3, millis: 5_000 });
    assert_eq!(after(FailureClass::Agent, 2), Verdict::Final);
    assert_eq!(after(FailureClass::NoCommit, 1), Verdict::Final);
    for class in [FailureClass::Auth, FailureClass::Tampering, FailureClass::Gate, FailureClass::Check] {
        assert_eq!(after(class, 0), Verdict::Final);
    }
}

#[test]
fn a_lack_of_resources_does_not_count_up_to_its_cap() {
    let policy = RetryPolicy::default();
    let after = |counted, lacks| judge(&policy, FailureClass::Resources, Tries { counted, lacks, pauses: 0 }, 0);
    assert!(matches!(after(2, 0), Verdict::Again { number: 2, .. }));
    assert!(matches!(after(0, MOST_LACKS), Verdict::Again { number: 1, .. }));
    assert_eq!(after(2, MOST_LACKS), Verdict::Final);
    let once = RetryPolicy { attempts: 1, ..policy };
    assert_eq!(judge(&once, FailureClass::Resources, Tries::default(), 0), Verdict::Final);
}

#[test]
fn a_rate_limit_costs_no_try_twenty_times_in_a_row_even_where_nothing_is_repeated() {
    let once = RetryPolicy { attempts: 1, ..RetryPolicy::default() };
    let after = |class, pauses| judge(&once, class, Tries { pauses, ..Tries::default() }, 0);
    assert!(matches!(after(FailureClass::RateLimited, 0), Verdict::Again { number: 0, of: 1, .. }));
    assert!(matches!(after(FailureClass::RateLimited, MOST_LIMITS - 1), Verdict::Again { number: 0, .. }));
    assert_eq!(after(FailureClass::RateLimited, MOST_LIMITS), Verdict::Final);
    assert_eq!(
        after(FailureClass::Overloaded, 0),
        Verdict::Final,
        "what comes and goes is repeated only where asked for"
    );
    let policy = RetryPolicy::default();
    let after = |pauses| judge(&policy, FailureClass::Overloaded, Tries { pauses, ..Tries::default() }, 0);
    assert!(matches!(
        (after(0), after(4)),
        (Verdict::Again { number: 0, millis: 2_500, .. }, Verdict::Again { number: 0, millis: 40_000, .. })
    ));
    assert!(matches!(after(MOST_OVERLOADS), Verdict::Again { number: 1, .. }));
}

#[test]
fn another_agent_takes_over_only_where_a_person_would_have_to_help() {
    for class in CLASSES {
        let over = hand_over(class, Tries { counted: 1, ..Tries::default() }, 3);
        let helpless = matches!(class, FailureClass::Auth | FailureClass::Billing);
        assert_eq!(over, helpless.then_some(Verdict::Again { number: 1, of: 3, millis: 0 }), "{class:?}");
    }
}

proptest! {
    #[test]
    fn an_item_ends_after_a_bounded_number_of_failures(
        attempts in 1_u32..=20,
        classes in proptest::collection::vec(0_usize..CLASSES.len(), 256),
        dice in any::<u32>(),
    ) {
        let policy = RetryPolicy { attempts, ..RetryPolicy::default() };
        let mut tries = Tries::default();
        let mut ended = false;
        for (at, class) in classes.iter().enumerate() {
            let class = CLASSES[*class];
            if !class.is_pause() {
                tries.pauses = 0;
            }
            match judge(&policy, class, tries, dice) {
                Verdict::Final => {
                    ended = true;
                    break;
                }
                Verdict::Again { number, of, .. } => {
                    prop_assert!(number < of && of <= attempts);
                    match (number == tries.counted, class.is_pause()) {
                        (true, true) => tries.pauses += 1,
                        (true, false) => tries.lacks += 1,
                        (false, _) => tries.counted = number,
                    }
                }
            }
            // Between two failures that count there are at most so many that do not, or lacks, of which there are few.
            prop_assert!(at < ((attempts + MOST_LACKS) * (MOST_LIMITS + 1)) as usize);
        }
        prop_assert!(ended || attempts > 5);
    }

    #[test]
    fn a_delay_lies_in_the_upper_half_of_its_step_and_under_the_cap(
        first in 0_u64..100_000,
        max in 0_u64..100_000,
        nth in 0_u32..200,
        dice in any::<u32>(),
    ) {
        let policy = RetryPolicy { attempts: 3, first_delay_secs: first, max_delay_secs: max };
        let millis = delay(&policy, nth, dice);
        prop_assert!(millis <= max * 1000);
        prop_assert!(millis >= first.min(max) * 500);
        prop_assert!(delay(&policy, nth + 1, u32::MAX) >= delay(&policy, nth, u32::MAX) / 2);
    }
}
