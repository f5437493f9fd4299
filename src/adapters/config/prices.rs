//! Prices of models out of one file: table `[prices]`. Must not know the built-in ones.

use super::reader::Table;
use crate::domain::price::Rates;
use crate::domain::settings::Settings;

/// Date of prices that give none.
const UNDATED: &str = "the configuration";

/// Lays the file's prices over what is there, key by key.
pub(super) fn prices(table: &Table<'_>, settings: &mut Settings) {
    let models = table.table_names();
    table.warn_unknown(&[&["date"], models.as_slice()].concat());
    let date = table.string("date").unwrap_or_else(|| UNDATED.to_owned());
    for model in models {
        let Some(prices) = table.table(model) else { continue };
        prices.warn_unknown(&["input", "output", "cache_read", "cache_write"]);
        let rates = Rates {
            input: prices.rate("input"),
            output: prices.rate("output"),
            cache_read: prices.rate("cache_read"),
            cache_write: prices.rate("cache_write"),
        };
        settings.prices.lay(model, rates, &date);
    }
}
