//! `pre-merge-commit`: an early, readable word before git makes a merge commit. Never the gate: `reference-transaction` is.

use super::refused::{Refused, Why};
use super::undo::Undo;
use crate::adapters::gate::line::{Asked, Depth};
use crate::adapters::gate::reader::Reader;
use crate::domain::names::{BranchRef, Oid};
use crate::domain::passage::{Objection, StoryName};
use crate::engine::ports::PortError;

/// `git merge` names each merged commit in a variable `GITHEAD_<oid>`; MERGE_HEAD is not written yet.
const HEADS: &str = "GITHEAD_";

pub(super) fn run() -> Result<Option<Refused>, PortError> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let heads: Vec<Oid> = names.filter_map(|name| name.strip_prefix(HEADS).map(Oid::new)).collect();
    if heads.is_empty() {
        return Ok(None);
    }
    let reader = Reader::of(&super::repository()?);
    let Some(branch) = super::checked_out(&reader) else { return Ok(None) };
    if !reader.is_protected(&branch)? {
        return Ok(None);
    }
    let branch = BranchRef::new(branch);
    let current = reader.standing(branch.as_str())?;
    for head in heads.into_iter().filter(|head| reader.history().has(head)) {
        let asked = Asked { branch: &branch, from: current.as_ref(), to: &head, depth: Depth::Records };
        // The merge commit and its tree do not exist yet: only what no tree could cover is said here.
        let hopeless = |objection: &Objection| match objection {
            Objection::Stories(stories) => stories.iter().any(|(name, _)| !is_approved(&reader, name)),
            Objection::NotBookkeeping(_) => true,
            Objection::NoPermit | Objection::TakesBack(_) | Objection::Rewinds => false,
        };
        let answer = reader.judge(&asked)?;
        if let Some(objected) = answer.objections.into_iter().find(|objected| hopeless(&objected.objection)) {
            let refname = branch.as_str().to_owned();
            return Ok(Some(Refused { refname, new: Some(head), why: Why::Gate(objected), undo: Undo::Merge }));
        }
    }
    Ok(None)
}

/// Whether somebody approved the story: the merge itself is judged when its tree is known.
fn is_approved(reader: &Reader, name: &StoryName) -> bool {
    let StoryName::Key(key) = name else { return false };
    let states = reader.items().ok();
    let state = states.and_then(|items| items.get(key));
    state.is_some_and(|state| {
        state.reviews.last().is_some_and(|review| review.verdict == crate::domain::event::ReviewVerdict::Approve)
    })
}
