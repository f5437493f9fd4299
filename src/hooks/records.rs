//! The guard of `refs/orchestrate/*`: only git-orchestrate writes there, with hooks off. On a server records arrive by push:
//! they may begin and grow, and every new one must be a record that follows the one before. Must write nothing.

use super::refused::Why;
use crate::adapters::gate::reader::Reader;
use crate::adapters::ledger::codec::Fact;
use crate::adapters::ledger::store::{CERTIFIED, ITEMS, RUNS};
use crate::domain::branch::BranchEvent;
use crate::domain::event::{ItemEvent, RunEvent};
use crate::domain::names::Oid;
use crate::engine::ports::PortError;

/// Everything below here is ours.
pub(super) const LEDGER: &str = "refs/orchestrate/";

/// Git's configuration key that `init --server` sets.
const SERVER: &str = "orchestrate.server";

/// Whether this repository takes records by push.
pub(super) fn is_server(reader: &Reader) -> bool {
    reader.flag(SERVER)
}

/// Why a push may not give a record ref this value; `None` when it may.
pub(super) fn judge_push(reader: &Reader, refname: &str, new: Option<&Oid>) -> Result<Option<Why>, PortError> {
    let Some(new) = new else { return Ok(Some(Why::LedgerRewind)) };
    let old = reader.standing(refname)?;
    if old.as_ref() == Some(new) {
        return Ok(None);
    }
    let kind = [ITEMS, RUNS, CERTIFIED].into_iter().find(|prefix| refname.starts_with(prefix));
    let judged = match kind {
        Some(ITEMS) => chain::<ItemEvent>(reader, old.as_ref(), new),
        Some(RUNS) => chain::<RunEvent>(reader, old.as_ref(), new),
        Some(_) => chain::<BranchEvent>(reader, old.as_ref(), new),
        // The index by tree moves with its newest landing; rescued work and the format's mark are commits like others.
        None if refname.starts_with(crate::adapters::ledger::store::LANDINGS) => Ok(None),
        None if old.is_some() => Ok(Some(Why::LedgerRewind)),
        None => Ok(None),
    };
    Ok(judged.unwrap_or_else(|error| Some(Why::LedgerNonsense(error.message))))
}

/// Follows a chain from its new tip back to the old one, and folds what is new.
fn chain<F: Fact>(reader: &Reader, old: Option<&Oid>, new: &Oid) -> Result<Option<Why>, PortError> {
    let mut records = Vec::new();
    let mut next = Some(new.clone());
    while let Some(at) = next.filter(|at| Some(at) != old) {
        let commit = reader.history().commit(&at)?;
        if commit.parents.len() > 1 {
            return Err(PortError::new(format!("{} has several parents", at.short())));
        }
        records.push(reader.decoded::<F>(&at)?);
        next = commit.parents.first().cloned();
        if next.is_none() && old.is_some() {
            return Ok(Some(Why::LedgerRewind));
        }
    }
    let mut state = match old {
        Some(old) => reader.decoded::<F>(old)?.state,
        None => F::State::default(),
    };
    for record in records.into_iter().rev() {
        let folded = record.event.fold(&state, record.at);
        state = folded.map_err(|rejected| PortError::new(rejected.to_string()))?;
        // A snapshot is a cache: one that says something else than its events is a lie.
        if state != record.state {
            return Err(PortError::new("a snapshot does not follow from its events"));
        }
    }
    Ok(None)
}
