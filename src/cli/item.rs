//! Finds items of the ledger by what a person typed. Must not change anything.

use std::collections::BTreeMap;

use super::error::CommandError;
use crate::domain::id::ItemId;
use crate::domain::names::ItemKey;
use crate::domain::state::ItemState;

/// The key a person means: a key of the ledger, or another spelling of one.
pub(crate) fn find(typed: &str, states: &BTreeMap<ItemKey, ItemState>) -> Result<ItemKey, CommandError> {
    let exact = ItemKey::new(typed);
    if states.contains_key(&exact) {
        return Ok(exact);
    }
    if let Some(id) = ItemId::parse(typed) {
        let key = ItemKey::from(&id);
        if states.contains_key(&key) {
            return Ok(key);
        }
    }
    let nearest = states.keys().max_by(|a, b| likeness(typed, a).total_cmp(&likeness(typed, b)));
    let nearest = nearest.filter(|key| likeness(typed, key) > 0.6);
    let error = CommandError::usage(format!("no story {typed} has been worked on"));
    Err(match nearest {
        Some(key) => error.hint(format!("did you mean {key}? git orchestrate status lists all")),
        None => error.hint("git orchestrate status lists what has been worked on; git orchestrate plan what could be"),
    })
}

fn likeness(typed: &str, key: &ItemKey) -> f64 {
    strsim::jaro_winkler(typed, key.as_str())
}
