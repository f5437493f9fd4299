//! `pre-merge-commit`: an early, readable word before git makes a merge commit. Never the gate: `reference-transaction` is.

use super::Refused;
use super::decide::{Decision, NewValue, Undo, decide};
use super::facts::Facts;
use crate::domain::names::Oid;
use crate::engine::ports::PortError;

/// `git merge` names each merged commit in a variable `GITHEAD_<oid>`; MERGE_HEAD is not written yet.
const HEADS: &str = "GITHEAD_";

pub(super) fn run() -> Result<Option<Refused>, PortError> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let heads: Vec<Oid> = names.filter_map(|name| name.strip_prefix(HEADS).map(Oid::new)).collect();
    if heads.is_empty() {
        return Ok(None);
    }
    let facts = Facts::open()?;
    let Some(branch) = facts.checked_out()?.filter(|branch| facts.is_protected(branch)) else { return Ok(None) };
    let current = facts.current(&branch)?;
    for head in heads.into_iter().filter(|head| facts.has(head)) {
        let asked = facts.asked(&branch, current.clone(), NewValue::Commit(head.clone()), false)?;
        let decision = decide(&asked);
        if decision != Decision::Allow {
            return Ok(Some(Refused { refname: branch, new: Some(head), decision, undo: Undo::Merge }));
        }
    }
    Ok(None)
}
