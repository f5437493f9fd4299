//! The guard of `refs/orchestrate/*`: only git-orchestrate writes there, with hooks off. On a server records arrive by push:
//! they may begin and grow, and every new one must be a record that follows the one before. Must write nothing.

use super::refused::Why;
use crate::adapters::gate::reader::Reader;
use crate::adapters::ledger::codec::{self, Fact};
use crate::adapters::ledger::store::{CERTIFIED, ITEMS, LANDINGS, META, RUNS};
use crate::domain::branch::BranchEvent;
use crate::domain::event::{ItemEvent, RunEvent};
use crate::domain::names::Oid;
use crate::engine::ports::PortError;

/// Everything below here is ours.
pub(super) const LEDGER: &str = "refs/orchestrate/";

/// Work that is kept.
const RESCUE: &str = "refs/orchestrate/rescue/";

/// Why a push may not give a record ref this value; `None` when it may.
pub(super) fn judge_push(reader: &Reader, refname: &str, new: &Oid) -> Result<Option<Why>, PortError> {
    let old = reader.standing(refname)?;
    if old.as_ref() == Some(new) {
        return Ok(None);
    }
    let judged = if let Some(key) = chain_name(refname, ITEMS) {
        chain::<ItemEvent>(reader, old.as_ref(), new).and_then(|why| is_of(reader, key, new).map(|()| why))
    } else if chain_name(refname, RUNS).is_some() {
        chain::<RunEvent>(reader, old.as_ref(), new)
    } else if chain_name(refname, CERTIFIED).is_some() {
        chain::<BranchEvent>(reader, old.as_ref(), new)
    } else if let Some(tree) = chain_name(refname, LANDINGS) {
        // An index: it leads to the newest landing with this tree, so it is no chain.
        landing(reader, tree, new)
    } else if refname == META {
        follows(reader, old.as_ref(), new).and_then(|why| format(reader, new).map(|()| why))
    } else if refname.starts_with(RESCUE) {
        follows(reader, old.as_ref(), new)
    } else {
        Err(PortError::new("no record of git-orchestrate has such a name"))
    };
    Ok(judged.unwrap_or_else(|error| Some(Why::LedgerNonsense(error.message))))
}

/// The name of a chain below a prefix. None has a slash: it would stand in the way of another.
fn chain_name<'a>(refname: &'a str, prefix: &str) -> Option<&'a str> {
    refname.strip_prefix(prefix).filter(|name| !name.is_empty() && !name.contains('/'))
}

/// Refuses the records of one item under the key of another: each says in its subject whose it is.
fn is_of(reader: &Reader, key: &str, record: &Oid) -> Result<(), PortError> {
    let message = &reader.history().commit(record)?.message;
    if message.starts_with(format!("{key}: ").as_bytes()) {
        return Ok(());
    }
    Err(PortError::new("it is the record of another item"))
}

fn landing(reader: &Reader, tree: &str, new: &Oid) -> Result<Option<Why>, PortError> {
    let ItemEvent::Landed { landing } = reader.decoded::<ItemEvent>(new)?.event else {
        return Err(PortError::new("it does not lead to the record of a landing"));
    };
    let landed = reader.history().commit(&landing.tip).map(|commit| commit.tree.clone());
    if landing.merge_tree.as_str() == tree || landed.is_ok_and(|landed| landed.as_str() == tree) {
        return Ok(None);
    }
    Err(PortError::new("it leads to the landing of another tree"))
}

fn format(reader: &Reader, new: &Oid) -> Result<(), PortError> {
    let commit = reader.history().commit(new)?;
    codec::check_format(&commit.message).map_err(|error| PortError::new(error.to_string()))
}

/// Whether the new value has the old one among its ancestors.
fn follows(reader: &Reader, old: Option<&Oid>, new: &Oid) -> Result<Option<Why>, PortError> {
    let Some(old) = old else { return Ok(None) };
    let lost = reader.history().between(std::slice::from_ref(old), std::slice::from_ref(new))?;
    Ok((!lost.is_empty()).then_some(Why::LedgerRewind))
}

/// Follows a chain from its new tip back to the old one, and folds what is new.
fn chain<F: Fact>(reader: &Reader, old: Option<&Oid>, new: &Oid) -> Result<Option<Why>, PortError> {
    let mut records = Vec::new();
    let mut next = Some(new.clone());
    let (mut joined, mut begun) = (false, false);
    while let Some(at) = next.filter(|at| Some(at) != old) {
        let commit = reader.history().commit(&at)?;
        let record = reader.decoded::<F>(&at)?;
        if commit.parents.len() != if record.joins { 2 } else { commit.parents.len().min(1) } {
            return Err(PortError::new(format!("{} has a number of parents that no record has", at.short())));
        }
        joined |= record.joins;
        records.push(record);
        next = commit.parents.first().cloned();
        // Two machines went on with the same chain: the old value may have come in by the side, and all is folded again.
        if next.is_none() && old.is_some() && (!joined || follows(reader, old, new)?.is_some()) {
            return Ok(Some(Why::LedgerRewind));
        }
        begun = next.is_none();
    }
    let mut state = match old {
        Some(old) if !begun => reader.decoded::<F>(old)?.state,
        Some(_) | None => F::State::default(),
    };
    for record in records.into_iter().rev() {
        state = record.after(&state).map_err(|rejected| PortError::new(rejected.to_string()))?;
        // A snapshot is a cache: one that says something else than its events is a lie.
        if state != record.state {
            return Err(PortError::new("a snapshot does not follow from its events"));
        }
    }
    Ok(None)
}
