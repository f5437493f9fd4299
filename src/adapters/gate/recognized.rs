//! Commits that are certified, told by what they say of themselves, without reading the record of every story. Answers only
//! where each of them was made by this tool, or by persons without a story, or is a hotfix or acknowledged; else the records
//! have to be asked. Must not judge: the certified tip says that it was done.

use std::collections::{BTreeSet, HashSet};

use gix::ObjectId;

use super::history::{CommitFacts, Walk};
use super::line::trailers;
use super::reader::Reader;
use crate::adapters::git::commit::{AGENT_ADDRESS, TOOL_ADDRESS};
use crate::adapters::git::repo::oid;
use crate::adapters::ledger::store::ITEMS;
use crate::domain::branch::BranchState;
use crate::domain::names::{BranchRef, ItemKey, Oid};
use crate::domain::passage::Way;
use crate::domain::proof::Proven;
use crate::engine::ports::PortError;

/// Everything up to the certified tip.
pub(super) struct Recognized {
    /// What came since adoption, oldest step first.
    pub(super) proven: Vec<Proven>,
    /// Commits that the branch held when it was adopted.
    pub(super) before: usize,
}

/// One commit of the first-parent line.
struct Found {
    id: ObjectId,
    parents: Vec<ObjectId>,
    facts: CommitFacts,
}

/// What the record of the branch, and the names of the stories on record, say.
struct Told<'a> {
    record: &'a BranchState,
    keys: BTreeSet<ItemKey>,
}

impl Reader {
    /// What the certified part of a branch consists of; `None` when that cannot be told without the records of the stories:
    /// something else came in between, a breach is open, or a landing on record is not there.
    pub(super) fn recognized(
        &self,
        branch: &BranchRef,
        record: &BranchState,
        adopted: &Oid,
        certified: &Oid,
    ) -> Result<Option<Recognized>, PortError> {
        if !record.breaches.is_empty() {
            return Ok(None);
        }
        let mut walk = self.history().walk();
        let before = ancestors(&mut walk, self.repo().object_id(adopted)?)?;
        let Some(line) = line(&mut walk, self.repo().object_id(certified)?, &before)? else { return Ok(None) };
        let refs = self.list(ITEMS)?;
        let keys = refs.keys().map(|name| ItemKey::new(name.strip_prefix(ITEMS).unwrap_or(name))).collect();
        let told = Told { record, keys };
        let mut taken: HashSet<ObjectId> = HashSet::new();
        let (mut proven, mut landed) = (Vec::new(), BTreeSet::new());
        for found in &line {
            taken.insert(found.id);
            let with = brought(&mut walk, found, &before, &mut taken)?;
            self.tell(with.len() + 1);
            let way = match told.way(found) {
                Some(way) => way,
                None if told.is_own(&mut walk, found, &with)? => Way::Own,
                None => return Ok(None),
            };
            if let Way::Landed(key) = &way {
                landed.insert(key.clone());
            }
            for commit in with {
                proven.push(Proven { commit: oid(commit), way: way.clone() });
            }
            proven.push(Proven { commit: oid(found.id), way });
        }
        if self.has_landed_otherwise(branch, told.keys.difference(&landed))? {
            return Ok(None);
        }
        Ok(Some(Recognized { proven, before: before.len() }))
    }

    /// Whether any of these stories has a landing on the branch according to its record.
    fn has_landed_otherwise<'a>(
        &self,
        branch: &BranchRef,
        mut keys: impl Iterator<Item = &'a ItemKey>,
    ) -> Result<bool, PortError> {
        keys.try_fold(false, |found, key| {
            if found {
                return Ok(true);
            }
            let Some(state) = self.item(key)? else { return Ok(false) };
            Ok(state.landings.iter().chain(&state.intended).any(|landing| landing.target == *branch))
        })
    }
}

impl Told<'_> {
    /// The way of a commit that says so itself.
    fn way(&self, found: &Found) -> Option<Way> {
        // Few are on record, and most commits have no need of a name in hex.
        if !self.record.acknowledged.is_empty() || !self.record.hotfixes.is_empty() || self.record.landing.is_some() {
            let commit = oid(found.id);
            if self.record.acknowledged.contains_key(&commit) {
                return Some(Way::Acknowledged);
            }
            let hotfixes = self.record.hotfixes.iter().map(|known| &known.hotfix).chain(&self.record.landing);
            if let Some(hotfix) = hotfixes.into_iter().find(|hotfix| hotfix.tip == commit) {
                return Some(Way::Hotfix(hotfix.id.clone()));
            }
        }
        if found.facts.author != TOOL_ADDRESS {
            return None;
        }
        let mut named = trailers(&found.facts.message);
        let key = named.pop().filter(|key| named.is_empty() && self.keys.contains(key))?;
        // As `engine::landing` words them; another commit of the tool is one of the story's own.
        match found.facts.parents.len() {
            2 if found.facts.message.starts_with(b"Merge story ") => Some(Way::Landed(key)),
            1 if found.facts.message.starts_with(b"Record story ") => Some(Way::Bookkeeping(key)),
            _ => None,
        }
    }

    /// Whether persons made the commit and all that came with it, and none names a story. That none of them landed a story by
    /// hand is asked at the end.
    fn is_own(&self, walk: &mut Walk<'_>, found: &Found, with: &[ObjectId]) -> Result<bool, PortError> {
        let by_person = |facts: &CommitFacts| {
            !matches!(facts.author.as_str(), TOOL_ADDRESS | AGENT_ADDRESS)
                && !trailers(&facts.message).iter().any(|key| self.keys.contains(key))
        };
        with.iter().try_fold(by_person(&found.facts), |own, commit| Ok(own && by_person(&walk.commit(commit)?.0)))
    }
}

/// A commit and everything below it.
fn ancestors(walk: &mut Walk<'_>, tip: ObjectId) -> Result<HashSet<ObjectId>, PortError> {
    let mut found = HashSet::from([tip]);
    let mut waiting = vec![tip];
    while let Some(commit) = waiting.pop() {
        for parent in walk.parents(&commit)? {
            if found.insert(parent) {
                waiting.push(parent);
            }
        }
    }
    Ok(found)
}

/// Commits along first parents down to what was there before, oldest first; `None` when they lead elsewhere.
fn line(walk: &mut Walk<'_>, tip: ObjectId, before: &HashSet<ObjectId>) -> Result<Option<Vec<Found>>, PortError> {
    let mut line = Vec::new();
    let mut next = tip;
    while !before.contains(&next) {
        let (facts, parents) = walk.commit(&next)?;
        let first = parents.first().copied();
        line.push(Found { id: next, parents, facts });
        let Some(first) = first else { return Ok(None) };
        next = first;
    }
    line.reverse();
    Ok(Some(line))
}

/// What came with a commit of the line and with none before it.
fn brought(
    walk: &mut Walk<'_>,
    found: &Found,
    before: &HashSet<ObjectId>,
    taken: &mut HashSet<ObjectId>,
) -> Result<Vec<ObjectId>, PortError> {
    let mut brought = Vec::new();
    let mut waiting: Vec<ObjectId> = found.parents.iter().skip(1).copied().collect();
    while let Some(commit) = waiting.pop() {
        if !before.contains(&commit) && taken.insert(commit) {
            brought.push(commit);
            waiting.extend(walk.parents(&commit)?);
        }
    }
    Ok(brought)
}
