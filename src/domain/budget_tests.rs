//! Budgets: what is used and held never exceeds a cap by more than sessions come to beyond their reservation.

use proptest::prelude::*;

use super::*;

fn money(cap: u64) -> Caps {
    Caps { micro_usd: Some(cap), ..Caps::default() }
}

fn cost(micro_usd: u64) -> Usage {
    Usage { micro_usd: Some(micro_usd), ..Usage::default() }
}

#[test]
fn a_wave_holds_its_cost_before_it_starts() {
    let mut budget = Budget::new(money(10 * MICROS), Amount { micro_usd: 4 * MICROS, ..GUESS }, &Spent::default());
    let first = budget.reserve("claude", Kind::Work).unwrap();
    let _second = budget.reserve("claude", Kind::Work).unwrap();
    assert!(matches!(budget.reserve("claude", Kind::Work), Err(Short::Money { used: 0, held: 8_000_000, .. })));
    budget.settle(&first, "claude", &cost(MICROS), 5);
    assert!(budget.reserve("claude", Kind::Work).is_ok(), "1 used, 4 held, and a session came to 1");
}

#[test]
fn the_dearest_session_of_an_adapter_is_what_the_next_one_holds() {
    let mut budget = Budget::new(money(10 * MICROS), Amount { micro_usd: MICROS, ..GUESS }, &Spent::default());
    let ticket = budget.reserve("claude", Kind::Work).unwrap();
    budget.settle(&ticket, "claude", &cost(6 * MICROS), 5);
    assert!(matches!(budget.room("claude", Kind::Work), Err(Short::Money { next: 6_000_000, .. })));
    assert!(budget.room("codex", Kind::Work).is_ok(), "of another adapter nothing is known");
}

#[test]
fn a_review_holds_what_reviews_come_to() {
    let mut budget = Budget::new(money(10 * MICROS), GUESS, &Spent::default());
    for (kind, came_to) in [(Kind::Work, 4 * MICROS), (Kind::Review, MICROS)] {
        let ticket = budget.reserve("claude", kind).unwrap();
        budget.settle(&ticket, "claude", &cost(came_to), 5);
    }
    assert_eq!(budget.price("claude", Kind::Review).micro_usd, MICROS);
    assert_eq!(budget.price("claude", Kind::Work).micro_usd, 4 * MICROS);
}

#[test]
fn an_unknown_cost_counts_as_reserved_and_stays_unknown() {
    let mut budget = Budget::new(money(2 * MICROS), GUESS, &Spent::default());
    let ticket = budget.reserve("mine", Kind::Work).unwrap();
    budget.settle(&ticket, "mine", &Usage::default(), 5);
    assert!(budget.room("mine", Kind::Work).is_ok());
    let mut spent = Spent::default();
    spent.start();
    spent.end(&Usage::default(), 5);
    spent.start();
    assert_eq!((spent.cost(), spent.unpriced(), spent.millis), (None, 2, 5));
    // After a restart the same sessions count the same, the one that was cut off included.
    assert!(Budget::new(money(2 * MICROS), GUESS, &spent).room("mine", Kind::Work).is_err());
    assert!(Budget::new(money(3 * MICROS), GUESS, &spent).room("mine", Kind::Work).is_ok());
}

#[test]
fn a_cap_below_the_estimate_still_lets_one_story_begin() {
    let caps = Caps { micro_usd: Some(100_000), tokens: Some(10), millis: Some(1_000) };
    let mut budget = Budget::new(caps, GUESS, &Spent::default());
    assert!(budget.reserve("claude", Kind::Work).is_ok() && budget.reserve("claude", Kind::Review).is_ok());
    assert!(budget.reserve("claude", Kind::Work).is_err());
}

#[test]
fn tokens_and_time_are_limited_alike() {
    let tokens = Caps { tokens: Some(GUESS.tokens * 2), ..Caps::default() };
    let time = Caps { millis: Some(GUESS.millis * 2), ..Caps::default() };
    for caps in [tokens, time] {
        let mut budget = Budget::new(caps, GUESS, &Spent::default());
        let held = [budget.reserve("claude", Kind::Work), budget.reserve("claude", Kind::Review)];
        assert!(held.iter().all(Result::is_ok));
        let short = budget.reserve("claude", Kind::Work).unwrap_err();
        assert_eq!(matches!(short, Short::Tokens { .. }), caps == tokens);
        assert_eq!(matches!(short, Short::Time { .. }), caps == time);
    }
}

#[test]
fn amounts_are_read_and_shown() {
    for (text, micros) in [("20", 20 * MICROS), ("20.5", 20_500_000), ("$0.25", 250_000), (".000001", 1)] {
        assert_eq!(parse_dollars(text), Some(micros), "{text}");
    }
    for text in ["", ".", "0", "-1", "1e3", "1.0000001", "1234567", "1,5", "NaN", "٣"] {
        assert_eq!(parse_dollars(text), None, "{text}");
    }
    assert_eq!([12_404_999, 12_405_000, 0, 500, 999_999].map(dollars), ["12.40", "12.41", "0.00", "0.0005", "1.00"]);
}

proptest! {
    #[test]
    fn no_order_of_starts_and_ends_overshoots_by_more_than_the_excess_of_sessions(
        cap in 1_u64..50, guess in 1_u64..10,
        steps in proptest::collection::vec((any::<bool>(), 0_u64..15, any::<bool>()), 1..120),
    ) {
        let estimate = Amount { micro_usd: guess.min(cap / 2), ..GUESS };
        let mut budget = Budget::new(money(cap), estimate, &Spent::default());
        let mut live: Vec<(Ticket, u64)> = Vec::new();
        let (mut used, mut excess) = (0, 0);
        for (start, real, known) in steps {
            if start {
                let price = budget.price("a", Kind::Work).micro_usd;
                let held: u64 = live.iter().map(|(_, held)| held).sum();
                match budget.reserve("a", Kind::Work) {
                    Ok(ticket) => {
                        prop_assert!(used + held + price <= cap);
                        live.push((ticket, price));
                    }
                    Err(_) => prop_assert!(used + held + price > cap),
                }
            } else if let Some((ticket, held)) = live.pop() {
                let usage = if known { cost(real) } else { Usage::default() };
                budget.settle(&ticket, "a", &usage, 1);
                let came_to = if known { real } else { held };
                used += came_to;
                excess += came_to.saturating_sub(held);
            }
            let held: u64 = live.iter().map(|(_, held)| held).sum();
            prop_assert!(used + held <= cap + excess);
        }
    }
}
