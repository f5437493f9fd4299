//! A chain as a history that proves itself: every record decodes, and every snapshot follows from the events before it. Must
//! not write, and must not ask where the objects lie: a backup is looked at before it is let in.

use gix::ObjectId;
use thiserror::Error;

use super::chain::message_of;
use super::codec::{self, DecodeError, Decoded, Fact};
use super::store::{CERTIFIED, ITEMS, LANDINGS, META, RUNS};
use crate::adapters::git::repo::oid;
use crate::domain::branch::BranchEvent;
use crate::domain::event::{ItemEvent, RunEvent};
use crate::domain::names::Oid;

/// Work that nothing else names.
pub const RESCUE: &str = "refs/orchestrate/rescue/";

/// What a ref of ours holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Records of an item.
    Item,
    /// Records of a run.
    Run,
    /// Records of a protected branch.
    Branch,
    /// The record of a landing, by result tree.
    Landing,
    /// The format.
    Meta,
    /// Work that is kept.
    Rescue,
    /// Nothing that this version knows.
    Unknown,
}

impl Kind {
    /// By the full name of the ref.
    pub fn of(name: &str) -> Self {
        let chain = |prefix: &str| name.strip_prefix(prefix).is_some_and(|key| !key.is_empty() && !key.contains('/'));
        match name {
            _ if chain(ITEMS) => Self::Item,
            _ if chain(RUNS) => Self::Run,
            _ if chain(CERTIFIED) => Self::Branch,
            _ if chain(LANDINGS) => Self::Landing,
            META => Self::Meta,
            _ if name.starts_with(RESCUE) => Self::Rescue,
            _ => Self::Unknown,
        }
    }
}

/// Why a chain cannot be believed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Damage {
    /// Written by a newer version: nothing is wrong with it.
    #[error("{0}")]
    Newer(String),
    /// A record is missing or makes no sense.
    #[error("record {}: {reason}", record.short())]
    Broken {
        /// The newest such record.
        record: Oid,
        /// What is wrong.
        reason: String,
    },
}

/// A record with its place.
pub(super) struct Link<F: Fact> {
    pub(super) id: ObjectId,
    pub(super) tree: ObjectId,
    pub(super) decoded: Decoded<F>,
}

/// Every record of a chain, oldest first, each proven.
pub(super) fn prove<F: Fact>(git: &gix::Repository, tip: ObjectId) -> Result<Vec<Link<F>>, Damage> {
    let mut links = Vec::new();
    let mut next = Some(tip);
    while let Some(id) = next {
        let (link, parent) = read::<F>(git, id)?;
        links.push(link);
        next = parent;
    }
    links.reverse();
    let mut state = F::State::default();
    for link in &links {
        state = link.decoded.after(&state).map_err(|rejected| broken(link.id, &rejected))?;
        if state != link.decoded.state {
            return Err(broken(link.id, &"its snapshot does not follow from the events"));
        }
    }
    Ok(links)
}

/// Proves whatever a ref of ours leads to.
pub fn check(git: &gix::Repository, name: &str, tip: ObjectId) -> Result<(), Damage> {
    match Kind::of(name) {
        Kind::Item => prove::<ItemEvent>(git, tip).map(drop).and_then(|()| is_of(git, name, tip)),
        Kind::Run => prove::<RunEvent>(git, tip).map(drop),
        Kind::Branch => prove::<BranchEvent>(git, tip).map(drop),
        Kind::Landing => landing(git, name, tip),
        Kind::Meta => {
            let message = message_of(git, tip).map_err(|error| broken(tip, &error))?;
            codec::check_format(&message).map_err(|error| refused(tip, error))
        }
        Kind::Rescue => git.find_commit(tip).map(drop).map_err(|error| broken(tip, &error)),
        Kind::Unknown => Err(broken(tip, &"no record of git-orchestrate has such a name")),
    }
}

/// The newest record below `tip` whose chain can be proven; `None` when there is none.
pub fn last_good(git: &gix::Repository, name: &str, tip: ObjectId) -> Option<Oid> {
    let mut next = Some(tip);
    while let Some(id) = next {
        if check(git, name, id).is_ok() {
            return Some(oid(id));
        }
        next = git.find_commit(id).ok().and_then(|commit| commit.parent_ids().next().map(gix::Id::detach));
    }
    None
}

fn read<F: Fact>(git: &gix::Repository, id: ObjectId) -> Result<(Link<F>, Option<ObjectId>), Damage> {
    let commit = git.find_commit(id).map_err(|error| broken(id, &error))?;
    let message = commit.message_raw().map_err(|error| broken(id, &error))?;
    let decoded = codec::decode::<F>(message).map_err(|error| refused(id, error))?;
    let tree = commit.tree_id().map_err(|error| broken(id, &error))?.detach();
    let parent = commit.parent_ids().next().map(gix::Id::detach);
    Ok((Link { id, tree, decoded }, parent))
}

/// Each record says in its subject whose it is.
fn is_of(git: &gix::Repository, name: &str, tip: ObjectId) -> Result<(), Damage> {
    let key = name.strip_prefix(ITEMS).unwrap_or_default();
    let message = message_of(git, tip).map_err(|error| broken(tip, &error))?;
    let own = message.starts_with(format!("{key}: ").as_bytes());
    if own { Ok(()) } else { Err(broken(tip, &"it is the record of another item")) }
}

fn landing(git: &gix::Repository, name: &str, tip: ObjectId) -> Result<(), Damage> {
    let (link, _) = read::<ItemEvent>(git, tip)?;
    let ItemEvent::Landed { landing } = link.decoded.event else {
        return Err(broken(tip, &"it is not the record of a landing"));
    };
    let tree = name.strip_prefix(LANDINGS).unwrap_or_default();
    let landed = ObjectId::from_hex(landing.tip.as_str().as_bytes()).ok().and_then(|tip| git.find_commit(tip).ok());
    let landed = landed.map(|commit| commit.tree_id().is_ok_and(|id| id.to_string() == tree));
    // Without the commit nobody can tell which tree the write-back made.
    if landing.merge_tree.as_str() == tree || landed.unwrap_or(true) {
        return Ok(());
    }
    Err(broken(tip, &"it is the landing of another tree"))
}

fn broken(record: ObjectId, reason: &dyn std::fmt::Display) -> Damage {
    Damage::Broken { record: oid(record), reason: reason.to_string() }
}

fn refused(record: ObjectId, error: DecodeError) -> Damage {
    match error {
        DecodeError::Newer { .. } => Damage::Newer(error.to_string()),
        DecodeError::Damaged { .. } => broken(record, &error),
    }
}
