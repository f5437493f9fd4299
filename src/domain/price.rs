//! What tokens cost: a table of models with a date, and the arithmetic. Must not guess: a model without an entry, or a price
//! that its tokens need and that is not there, makes the cost unknown.

use std::collections::BTreeMap;

use serde::Serialize;

use super::usage::Usage;

/// Prices of one model in millionths of a US dollar per million tokens; what is absent is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rates {
    /// Tokens read, without those from a cache.
    pub input: Option<u64>,
    /// Tokens written.
    pub output: Option<u64>,
    /// Tokens read from a cache.
    pub cache_read: Option<u64>,
    /// Tokens written into a cache.
    pub cache_write: Option<u64>,
}

impl Rates {
    /// What a usage costs in millionths of a US dollar; `None` when a number or a price that it takes is not known.
    pub fn cost(&self, usage: &Usage) -> Option<u64> {
        let part = |tokens: u64, rate: Option<u64>| match (tokens, rate) {
            (0, _) => Some(0),
            (tokens, Some(rate)) => Some(u128::from(tokens) * u128::from(rate)),
            (_, None) => None,
        };
        let known = [
            part(usage.input?, self.input)?,
            part(usage.output?, self.output)?,
            part(usage.cache_read.unwrap_or(0), self.cache_read)?,
            part(usage.cache_write.unwrap_or(0), self.cache_write)?,
        ];
        let sum: u128 = known.into_iter().sum();
        u64::try_from((sum + 500_000) / 1_000_000).ok()
    }
}

/// Prices of one model and the date they are of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Price {
    /// The prices.
    pub rates: Rates,
    /// Their date, as it was written down.
    pub date: String,
}

/// Prices by the name of the model.
///
/// A name stands for itself and for itself with a date behind it (`gpt-5` for `gpt-5-2025-08-07`); one that ends with `*` for
/// everything that begins like it. The longest name that fits counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PriceTable(BTreeMap<String, Price>);

impl PriceTable {
    /// Lays prices of a model over what is there, key by key. The date is that of the newest layer.
    pub fn lay(&mut self, model: &str, rates: Rates, date: &str) {
        let price = self.0.entry(model.to_owned()).or_default();
        price.rates = Rates {
            input: rates.input.or(price.rates.input),
            output: rates.output.or(price.rates.output),
            cache_read: rates.cache_read.or(price.rates.cache_read),
            cache_write: rates.cache_write.or(price.rates.cache_write),
        };
        date.clone_into(&mut price.date);
    }

    /// Lays another table over this one.
    pub fn lay_all(&mut self, other: &Self) {
        other.0.iter().for_each(|(model, price)| self.lay(model, price.rates, &price.date));
    }

    /// The prices of a model.
    pub fn of(&self, model: &str) -> Option<&Price> {
        let fits = self.0.iter().filter(|(name, _)| fits(name, model));
        fits.max_by_key(|(name, _)| name.trim_end_matches('*').len()).map(|(_, price)| price)
    }

    /// What a usage of a model costs in millionths of a US dollar, and the date of the price.
    pub fn cost(&self, model: &str, usage: &Usage) -> Option<(u64, &str)> {
        let price = self.of(model)?;
        Some((price.rates.cost(usage)?, price.date.as_str()))
    }
}

fn fits(name: &str, model: &str) -> bool {
    if let Some(beginning) = name.strip_suffix('*') {
        return model.starts_with(beginning);
    }
    model.strip_prefix(name).is_some_and(|rest| rest.is_empty() || is_date(rest))
}

/// Whether a text is `-2025-08-07`, `-20250807` or `@20250807`.
fn is_date(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(['-', '@']) else { return false };
    let digits = rest.bytes().filter(u8::is_ascii_digit).count();
    digits == 8 && (rest.len() == 8 || rest.len() == 10 && rest.split('-').map(str::len).eq([4, 2, 2]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input: u64, output: u64, cache_read: u64) -> Usage {
        let (input, output, cache_read) = (Some(input), Some(output), Some(cache_read));
        Usage { input, output, cache_read, ..Usage::default() }
    }

    fn table() -> PriceTable {
        let mut table = PriceTable::default();
        let rates =
            Rates { input: Some(1_250_000), output: Some(10_000_000), cache_read: Some(125_000), cache_write: None };
        table.lay("gpt-5", rates, "2026-11-01");
        table.lay("local-*", Rates { input: Some(0), output: Some(0), ..Rates::default() }, "mine");
        table
    }

    #[test]
    fn tokens_cost_what_the_table_says_to_the_millionth() {
        let cost = |usage: &Usage| table().cost("gpt-5", usage).map(|(cost, date)| (cost, date.to_owned()));
        // 1 000 × 1.25 + 200 × 10 + 4 000 × 0.125 dollars per million.
        assert_eq!(cost(&usage(1000, 200, 4000)), Some((3750, "2026-11-01".to_owned())));
        assert_eq!(
            cost(&usage(0, 0, 4)),
            Some((1, "2026-11-01".to_owned())),
            "half a millionth and more counts as one"
        );
        assert_eq!(cost(&usage(u64::MAX, 0, 0)), None, "more money than there is");
        assert_eq!(table().cost("local-x", &usage(5, 5, 0)).map(|(cost, _)| cost), Some(0), "free is known");
    }

    #[test]
    fn what_is_not_known_is_never_nothing() {
        assert_eq!(table().cost("gpt-5.5", &usage(1, 1, 0)), None, "another model");
        assert_eq!(table().cost("", &usage(1, 1, 0)), None);
        assert_eq!(table().cost("gpt-5", &Usage { output: None, ..usage(1, 1, 0) }), None);
        assert_eq!(table().cost("gpt-5", &Usage { cache_write: Some(9), ..usage(1, 1, 0) }), None, "no price for it");
        assert_eq!(table().cost("local-x", &usage(1, 1, 1)), None);
    }

    #[test]
    fn a_name_stands_for_its_dated_snapshots_and_no_other_model() {
        for (model, known) in [
            ("gpt-5-2025-08-07", true),
            ("gpt-5@20250807", true),
            ("gpt-5-codex", false),
            ("gpt-5-1234567", false),
            ("gpt-5-1-2-345678", false),
            ("openai/gpt-5", false),
        ] {
            assert_eq!(table().of(model).is_some(), known, "{model}");
        }
    }

    #[test]
    fn the_longest_name_counts_and_one_table_is_laid_over_another_key_by_key() {
        let mut own = PriceTable::default();
        own.lay("gpt-5", Rates { output: Some(1), ..Rates::default() }, "2027-01-01");
        own.lay("gpt-*", Rates { input: Some(7), output: Some(7), ..Rates::default() }, "2027-01-01");
        let mut all = table();
        all.lay_all(&own);
        let price = all.of("gpt-5").unwrap();
        assert_eq!(
            (price.rates.input, price.rates.output, price.date.as_str()),
            (Some(1_250_000), Some(1), "2027-01-01")
        );
        assert_eq!(all.of("gpt-9").unwrap().rates.input, Some(7));
    }
}
