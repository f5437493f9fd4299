//! The embedded price table, and the cost of what a client counted but did not price. Must not price what a client priced.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::parse::Transcript;
use super::parse::micros;
use crate::domain::price::{PriceTable, Rates};
use crate::domain::usage::{Counting, Usage};

/// The table as it comes with the program.
const EMBEDDED: &str = include_str!("prices.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    date: String,
    models: BTreeMap<String, Model>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    input: f64,
    output: f64,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
}

/// The embedded table with the configuration's laid over it.
pub fn table(own: &PriceTable) -> PriceTable {
    let file: File = toml::from_str(EMBEDDED).expect("the embedded table is one that the tests read");
    let mut table = PriceTable::default();
    for (name, model) in &file.models {
        let rates = Rates {
            input: micros(model.input),
            output: micros(model.output),
            cache_read: model.cache_read.and_then(micros),
            cache_write: model.cache_write.and_then(micros),
        };
        table.lay(name, rates, &file.date);
    }
    table.lay_all(own);
    table
}

/// What an invocation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reckoned {
    /// What was consumed, with its cost where it is known.
    pub usage: Usage,
    /// Which of these numbers count on.
    pub counting: Counting,
    /// Date of the prices; empty when the client said the cost, or it is unknown.
    pub priced: String,
}

/// Adds the cost by the table to what a client counted; `model` is the one it was told to use, for a client that names none.
pub fn reckon(transcript: &Transcript, model: Option<&str>, table: &PriceTable) -> Reckoned {
    let Transcript { usage, counting, .. } = *transcript;
    let unpriced = Reckoned { usage, counting, priced: String::new() };
    if usage.micro_usd.is_some() {
        return unpriced;
    }
    let named = if transcript.model.is_empty() { model.unwrap_or_default() } else { &transcript.model };
    let alone = [(named.to_owned(), usage)];
    let parts = if transcript.by_model.is_empty() { &alone[..] } else { &transcript.by_model };
    let costs: Option<Vec<(u64, &str)>> = parts.iter().map(|(model, usage)| table.cost(model, usage)).collect();
    let Some(costs) = costs.filter(|costs| !costs.is_empty()) else { return unpriced };
    let sum = costs.iter().fold(0, |sum: u64, (cost, _)| sum.saturating_add(*cost));
    Reckoned {
        usage: Usage { micro_usd: Some(sum), ..usage },
        // A price per token counts on as the tokens do.
        counting: Counting { cost: counting.tokens, ..counting },
        priced: costs.iter().map(|(_, date)| *date).min().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
#[path = "price_tests.rs"]
mod tests;
