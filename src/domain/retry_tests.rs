//! Retries: the number of tries is bounded whatever fails, and delays stay between their bounds.

use proptest::prelude::*;

use super::*;

const CLASSES: [FailureClass; 16] = [
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
];

#[test]
fn the_third_failure_of_three_is_the_last_and_a_refused_login_the_first() {
    let policy = RetryPolicy::default();
    let after = |class, counted| judge(&policy, class, Tries { counted, lacks: 0 }, 0);
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
    let after = |counted, lacks| judge(&policy, FailureClass::Resources, Tries { counted, lacks }, 0);
    assert!(matches!(after(2, 0), Verdict::Again { number: 2, .. }));
    assert!(matches!(after(0, MOST_LACKS), Verdict::Again { number: 1, .. }));
    assert_eq!(after(2, MOST_LACKS), Verdict::Final);
    let once = RetryPolicy { attempts: 1, ..policy };
    assert_eq!(judge(&once, FailureClass::Resources, Tries::default(), 0), Verdict::Final);
}

proptest! {
    #[test]
    fn an_item_ends_after_a_bounded_number_of_failures(
        attempts in 1_u32..=20,
        classes in proptest::collection::vec(0_usize..CLASSES.len(), 64),
        dice in any::<u32>(),
    ) {
        let policy = RetryPolicy { attempts, ..RetryPolicy::default() };
        let mut tries = Tries::default();
        let mut ended = false;
        for (at, class) in classes.iter().enumerate() {
            match judge(&policy, CLASSES[*class], tries, dice) {
                Verdict::Final => {
                    ended = true;
                    break;
                }
                Verdict::Again { number, of, .. } => {
                    prop_assert!(number < of && of <= attempts);
                    if number == tries.counted { tries.lacks += 1 } else { tries.counted = number }
                }
            }
            prop_assert!(at < (attempts + MOST_LACKS) as usize);
        }
        prop_assert!(ended);
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
