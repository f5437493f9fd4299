//! Costs of what clients counted, also over the invocations of one session.

use super::*;

fn counted(tokens: u64, counting: Counting, model: &str) -> Transcript {
    let usage = Usage { tokens: Some(tokens), input: Some(tokens), output: Some(0), ..Usage::default() };
    Transcript { usage, counting, model: model.to_owned(), ..Transcript::default() }
}

const THREAD: Counting = Counting { cost: false, tokens: true };

#[test]
fn the_embedded_table_is_read_and_dated() {
    let table = table(&PriceTable::default());
    let price = table.of("gpt-5-codex").unwrap();
    assert_eq!(
        price.rates,
        Rates { input: Some(1_250_000), output: Some(10_000_000), cache_read: Some(125_000), cache_write: None }
    );
    assert_eq!(price.date.len(), "2026-11-21".len());
    assert!(table.of("claude-haiku-4-5-20251001").is_some(), "a dated snapshot");
    assert_eq!(table.of("gpt-99"), None);
}

#[test]
fn only_what_the_client_did_not_price_is_priced() {
    let table = table(&PriceTable::default());
    let mut own = counted(1_000_000, THREAD, "gpt-5-codex");
    own.usage.micro_usd = Some(7);
    let reckoned = reckon(&own, None, &table);
    assert_eq!((reckoned.usage.micro_usd, reckoned.priced.as_str()), (Some(7), ""));
    let reckoned = reckon(&counted(1_000_000, THREAD, ""), Some("gpt-5-codex"), &table);
    assert_eq!(
        (reckoned.usage.micro_usd, reckoned.counting.cost),
        (Some(1_250_000), true),
        "the model it was told to use"
    );
    assert!(!reckoned.priced.is_empty());
    for unknown in [counted(1, THREAD, "odd-1"), counted(1, THREAD, ""), Transcript::default()] {
        let reckoned = reckon(&unknown, None, &table);
        assert_eq!((reckoned.usage.micro_usd, reckoned.priced.as_str()), (None, ""));
    }
}

#[test]
fn several_models_are_priced_each_by_its_own_or_not_at_all() {
    let table = table(&PriceTable::default());
    let part = Usage { input: Some(1_000_000), output: Some(0), ..Usage::default() };
    let by_model = |names: [&str; 2]| Transcript {
        usage: Usage { tokens: Some(2_000_000), ..Usage::default() },
        by_model: names.map(|name| (name.to_owned(), part)).into(),
        ..Transcript::default()
    };
    let known = reckon(&by_model(["gemini-3-flash-preview", "gemini-3.5-flash"]), None, &table);
    assert_eq!(known.usage.micro_usd, Some(2_000_000));
    assert_eq!(
        reckon(&by_model(["gemini-3-flash-preview", "new"]), None, &table).usage.micro_usd,
        None,
        "half a cost is none"
    );
}

/// The counters as they were measured, and what each invocation came to.
#[test]
fn counters_of_a_session_become_what_each_invocation_came_to() {
    let table = table(&PriceTable::default());
    let mut used = Usage::default();
    let mut each = Vec::new();
    for total in [56_576, 130_871, 209_284] {
        let reckoned = reckon(&counted(total, THREAD, "gpt-5-codex"), None, &table);
        let new = reckoned.usage.beyond(&used, reckoned.counting);
        used.add(&new);
        each.push((new.tokens.unwrap(), new.micro_usd.unwrap()));
    }
    assert_eq!(each, [(56_576, 70_720), (74_295, 92_869), (78_413, 98_016)]);
    assert_eq!(used.micro_usd, Some(261_605), "the whole thread by its last counter");
    let mut used = Usage::default();
    let mut each = Vec::new();
    for total in [210_000, 470_000, 750_000, 1_040_000] {
        let now = Usage { micro_usd: Some(total), ..Usage::default() };
        let new = now.beyond(&used, Counting { cost: true, tokens: true });
        used.add(&new);
        each.push(new.micro_usd.unwrap());
    }
    assert_eq!((each, used.micro_usd), (vec![210_000, 260_000, 280_000, 290_000], Some(1_040_000)));
}
