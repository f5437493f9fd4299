//! Breakers: they open after enough failures in a row, let one through, and close on its success.

use proptest::prelude::*;

use super::*;
use crate::domain::session::{SessionEnd, SessionRecord};
use crate::domain::usage::Usage;
use crate::domain::workflow::Phase;

fn key(name: &str) -> ItemKey {
    ItemKey::new(name)
}

fn opened(rule: Rule) -> Breaker {
    let mut breaker = Breaker::new(rule);
    for at in 0..rule.failures {
        assert_eq!(breaker.stand(Timestamp(i64::from(at))), Stand::Closed);
        breaker.failed_at(Timestamp(i64::from(at)), "it keeps failing");
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
    breaker.failed_at(Timestamp(400_000), "again");
    assert_eq!(breaker.stand(Timestamp(400_001)), Stand::Open(Timestamp(700_000)));
    assert!(!breaker.admit(&key("1.1"), Timestamp(400_001)));
}

#[test]
fn a_rate_limit_opens_at_once_and_late_ends_change_nothing() {
    let mut breakers = Breakers::new(AGENTS);
    breakers.note("claude", Err(FailureClass::RateLimited), None, Timestamp(1_000));
    breakers.note("claude", Ok(()), None, Timestamp(2_000));
    breakers.note("claude", Err(FailureClass::Agent), None, Timestamp(3_000));
    breakers.note("claude", Err(FailureClass::RateLimited), None, Timestamp(3_000));
    assert_eq!(breakers.of("claude").stand(Timestamp(3_000)), Stand::Open(Timestamp(61_000)));
    assert_eq!(breakers.of("codex").stand(Timestamp(3_000)), Stand::Closed);
    assert_eq!(breakers.tripped(Timestamp(3_000)).count(), 1);
}

#[test]
fn what_a_story_did_wrong_is_not_held_against_its_client() {
    let mut breakers = Breakers::new(AGENTS);
    for at in 0..20 {
        breakers.note("claude", Err(FailureClass::NoCommit), None, Timestamp(at));
        breakers.note("claude", Err(FailureClass::Resources), None, Timestamp(at));
    }
    assert_eq!(breakers.tripped(Timestamp(30)).count(), 0);
}

#[test]
fn a_limit_that_says_when_it_ends_pauses_until_then_and_lets_everybody_through_afterwards() {
    let mut breaker = Breaker::new(AGENTS);
    let at = Timestamp;
    breaker.limited(at(0), None, "guessed");
    breaker.limited(at(1_000), Some(at(5_000_000)), "told");
    assert_eq!(breaker.stand(at(1_000)), Stand::Open(at(5_000_000)), "what is known goes before a guess");
    breaker.limited(at(2_000), Some(at(4_000_000)), "told earlier");
    breaker.limited(at(2_000), None, "guessed");
    assert_eq!(breaker.stand(at(2_000)), Stand::Open(at(5_000_000)), "the latest of what was told");
    assert_eq!(breaker.stand(at(5_000_000)), Stand::Closed);
    assert!(breaker.admit(&key("1.1"), at(5_000_000)) && breaker.admit(&key("1.2"), at(5_000_000)));
    breaker.limited(at(6_000_000), Some(at(5_999_999)), "told too late");
    assert_eq!(breaker.stand(at(6_000_000)), Stand::Open(at(6_120_000)), "the second guess in a row");
    breaker.limited(at(9_000_000), Some(at(i64::MAX)), "for ever");
    assert_eq!(breaker.stand(at(9_000_000)), Stand::Open(at(9_000_000 + LONGEST_PAUSE)));
}

#[test]
fn pauses_without_a_known_end_double_up_to_the_rules() {
    let mut breaker = Breaker::new(AGENTS);
    let mut now = 0;
    for pause in [60_000, 120_000, 240_000, 480_000, 600_000, 600_000] {
        breaker.limited(Timestamp(now), None, "limit");
        assert_eq!(breaker.stand(Timestamp(now)), Stand::Open(Timestamp(now + pause)));
        now += pause;
        assert_eq!(breaker.stand(Timestamp(now)), Stand::HalfOpen);
    }
    breaker.succeeded(Timestamp(now));
    breaker.limited(Timestamp(now), None, "limit");
    assert_eq!(breaker.stand(Timestamp(now)), Stand::Open(Timestamp(now + 60_000)));
}

#[test]
fn a_refused_login_stops_the_client_and_late_ends_change_nothing() {
    let mut breakers = Breakers::new(AGENTS);
    for (class, name) in [(FailureClass::Auth, "claude"), (FailureClass::Billing, "codex")] {
        breakers.note(name, Err(class), None, Timestamp(1));
        breakers.note(name, Ok(()), None, Timestamp(2));
        breakers.note(name, Err(FailureClass::RateLimited), Some(Timestamp(3)), Timestamp(2));
        let breaker = breakers.of(name);
        assert_eq!(breaker.stand(Timestamp(i64::MAX)), Stand::Shut, "{class:?}");
        assert!(!breaker.would_admit(&key("1.1"), Timestamp(9)) && !breaker.admit(&key("1.1"), Timestamp(9)));
    }
    assert_eq!(breakers.of("codex").why(), "its account has no credit");
}

#[test]
fn a_new_run_knows_limits_and_gives_one_try_to_a_client_whose_login_was_refused() {
    let session = |adapter: &str, at: i64, class, until: Option<i64>| SessionRecord {
        phase: Phase::Implementation,
        principal: Principal::Agent { adapter: adapter.to_owned(), session: at.to_string() },
        end: Some(SessionEnd {
            at: Timestamp(at),
            millis: 1,
            usage: Usage::default(),
            model: String::new(),
            priced: String::new(),
            until: until.map(Timestamp),
            class,
            cancelled: false,
        }),
    };
    let sessions = vec![
        session("claude", 10, Some(FailureClass::RateLimited), Some(7_000_000)),
        session("codex", 20, Some(FailureClass::Auth), None),
        session("gemini", 30, Some(FailureClass::Auth), None),
        session("gemini", 40, None, None),
    ];
    let state = ItemState { sessions, ..ItemState::default() };
    let mut breakers = Breakers::fold([&state], AGENTS, Timestamp(1_000));
    assert_eq!(breakers.of("claude").stand(Timestamp(1_000)), Stand::Open(Timestamp(7_000_000)));
    let codex = breakers.of("codex");
    assert_eq!(codex.stand(Timestamp(1_000)), Stand::HalfOpen);
    assert!(codex.admit(&key("1.1"), Timestamp(1_000)) && !codex.admit(&key("1.2"), Timestamp(1_000)));
    assert_eq!(breakers.of("gemini").stand(Timestamp(1_000)), Stand::Closed, "somebody logged in meanwhile");
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
                1 | 2 => { breaker.failed_at(Timestamp(now), "x"); row += 1 }
                _ => { breaker.limited(Timestamp(now), None, "x"); row += 1; limited = true }
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
                Stand::Shut => prop_assert!(false, "nothing here needs a person"),
            }
        }
    }
}
