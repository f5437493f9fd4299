//! Breakers: they open after enough failures in a row, let one through, and close on its success.

use proptest::prelude::*;

use super::*;

fn key(name: &str) -> ItemKey {
    ItemKey::new(name)
}

fn opened(rule: Rule) -> Breaker {
    let mut breaker = Breaker::new(rule);
    for at in 0..rule.failures {
        assert_eq!(breaker.stand(Timestamp(i64::from(at))), Stand::Closed);
        breaker.failed_at(Timestamp(i64::from(at)), "it keeps failing", false);
    }
    breaker
}

#[test]
fn agents_open_after_five_for_ten_minutes_and_forges_after_three_for_five() {
    assert_eq!(opened(AGENTS).stand(Timestamp(5)), Stand::Open(Timestamp(600_004)));
    assert_eq!(opened(FORGE).stand(Timestamp(5)), Stand::Open(Timestamp(300_002)));
}

#[test]
fn half_open_lets_one_through_whose_success_closes() {
    let mut breaker = opened(FORGE);
    let later = Timestamp(300_002);
    assert!(!breaker.admit(&key("1.1"), Timestamp(300_001)));
    assert!(breaker.admit(&key("1.1"), later) && !breaker.admit(&key("1.2"), later));
    assert!(breaker.admit(&key("1.1"), later), "the one that tries may go on");
    breaker.release(&key("1.1"));
    assert!(breaker.would_admit(&key("1.2"), later) && breaker.admit(&key("1.2"), later));
    breaker.succeeded(later);
    assert_eq!((breaker.stand(later), breaker.failed()), (Stand::Closed, 0));
}

#[test]
fn half_open_closes_again_at_the_first_failure() {
    let mut breaker = opened(FORGE);
    assert!(breaker.admit(&key("1.1"), Timestamp(400_000)));
    breaker.failed_at(Timestamp(400_000), "again", false);
    assert_eq!(breaker.stand(Timestamp(400_001)), Stand::Open(Timestamp(700_000)));
    assert!(!breaker.admit(&key("1.1"), Timestamp(400_001)));
}

#[test]
fn a_rate_limit_opens_at_once_and_late_ends_change_nothing() {
    let mut breakers = Breakers::new(AGENTS);
    breakers.note("claude", Err(FailureClass::RateLimited), Timestamp(1_000));
    breakers.note("claude", Ok(()), Timestamp(2_000));
    breakers.note("claude", Err(FailureClass::Agent), Timestamp(3_000));
    assert_eq!(breakers.of("claude").stand(Timestamp(3_000)), Stand::Open(Timestamp(601_000)));
    assert_eq!(breakers.of("codex").stand(Timestamp(3_000)), Stand::Closed);
    assert_eq!(breakers.tripped(Timestamp(3_000)).count(), 1);
}

#[test]
fn what_a_story_did_wrong_is_not_held_against_its_client() {
    let mut breakers = Breakers::new(AGENTS);
    for at in 0..20 {
        breakers.note("claude", Err(FailureClass::NoCommit), Timestamp(at));
        breakers.note("claude", Err(FailureClass::Resources), Timestamp(at));
    }
    assert_eq!(breakers.tripped(Timestamp(30)).count(), 0);
}

proptest! {
    #[test]
    fn it_is_open_only_after_failures_and_never_longer_than_its_time(
        steps in proptest::collection::vec((0_i64..200_000, 0_u8..4), 0..80),
    ) {
        let mut breaker = Breaker::new(AGENTS);
        let (mut now, mut row, mut limited) = (0, 0_u32, false);
        for (passed, step) in steps {
            now += passed;
            let open = matches!(breaker.stand(Timestamp(now)), Stand::Open(_));
            match step {
                0 => {
                    breaker.succeeded(Timestamp(now));
                    if !open { (row, limited) = (0, false) }
                }
                1 | 2 => { breaker.failed_at(Timestamp(now), "x", false); row += 1 }
                _ => { breaker.failed_at(Timestamp(now), "x", true); row += 1; limited = true }
            }
            prop_assert_eq!(breaker.failed(), row);
            match breaker.stand(Timestamp(now)) {
                Stand::Closed => prop_assert!(row < AGENTS.failures && !limited),
                Stand::Open(until) => {
                    prop_assert!(row >= AGENTS.failures || limited);
                    prop_assert!(until.0 > now && until.0 <= now + AGENTS.open_millis);
                    prop_assert!(!breaker.would_admit(&key("1.1"), Timestamp(now)));
                    prop_assert!(breaker.would_admit(&key("1.1"), until));
                }
                Stand::HalfOpen => prop_assert!(row >= AGENTS.failures || limited),
            }
        }
    }
}
