//! Takes over what another copy of the ledger holds: a backup, a checkpoint, a remote. Nothing is believed before its chain is
//! proven, and everything that moves moves in one transaction. Must not delete a ref, nor rewind one that was not asked for.

use std::collections::{BTreeMap, BTreeSet};

use gix::ObjectId;

use super::codec;
use super::join::{self, Failed, Keep, Meeting};
use super::lineage::{self, Kind, RESCUE};
use super::objects::Batch;
use super::store::{CERTIFIED, ITEMS, RUNS, Store, branch_chain, expected};
use crate::adapters::git::commit;
use crate::adapters::git::refs::{self, RefError, RefUpdate};
use crate::adapters::git::repo::oid;
use crate::domain::branch::BranchEvent;
use crate::domain::event::{ItemEvent, RunEvent};
use crate::domain::names::{BranchRef, Oid};
use crate::engine::ports::{LedgerError, PortError};

/// How often a write that another writer crossed is tried again.
const TRIES: u32 = 5;

/// What is asked for beyond taking over what is new.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Whether chains that have newer events here are set back; what they were is kept.
    pub overwrite: bool,
    /// Whose records stand, by ref, where two contradict each other.
    pub keep: BTreeMap<String, Keep>,
    /// Refs that a process here works on: they stay.
    pub held: BTreeSet<String>,
}

/// One ref of the other copy, and what becomes of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Full name.
    pub name: String,
    /// Our value before.
    pub ours: Option<Oid>,
    /// The other's.
    pub theirs: Oid,
    /// What becomes of it.
    pub how: How,
}

/// What becomes of a ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// They are equal.
    Same,
    /// It was not here.
    Created,
    /// It had nothing that the other lacks.
    Forwarded,
    /// Both went on, and this has everything of both.
    Joined(Oid),
    /// It is set back; this ref keeps what it was.
    Overwritten(String),
    /// It has everything of the other, and more: it stays.
    Newer,
    /// It is worked on here: it stays.
    Held,
    /// The other tells of commits that a branch here does not have: it stays.
    Behind(BranchRef),
    /// Both went on, and both cannot be so: it stays.
    Contradicts(String),
    /// The other cannot be believed: it stays.
    Unreadable(String),
}

impl How {
    /// Whether our ref moves.
    pub fn moves(&self) -> bool {
        matches!(self, Self::Created | Self::Forwarded | Self::Joined(_) | Self::Overwritten(_))
    }
}

/// What would be done, before anything is.
pub struct Weighed {
    /// One for each ref of the other copy, by name.
    pub changes: Vec<Change>,
    batch: Batch,
    updates: Vec<RefUpdate>,
}

impl Store {
    /// Compares another copy with ours, without writing anything. `git` sees the objects of both.
    pub fn weigh(
        &self,
        git: &gix::Repository,
        offered: &BTreeMap<String, Oid>,
        wish: &Wish,
    ) -> Result<Weighed, LedgerError> {
        let mut weighed = Weighed { changes: Vec::new(), batch: Batch::default(), updates: Vec::new() };
        for (name, theirs) in offered {
            let ours = refs::tip_in(&self.git, name)?;
            let how = self.weigh_one(git, name, ours.as_ref(), theirs, wish, &mut weighed.batch)?;
            weighed.add(Change { name: name.clone(), ours, theirs: theirs.clone(), how });
        }
        Ok(weighed)
    }

    /// Takes over what can be. The objects of the other copy are in the repository.
    pub fn bring(&mut self, offered: &BTreeMap<String, Oid>, wish: &Wish) -> Result<Vec<Change>, LedgerError> {
        for _ in 0..TRIES {
            let git = self.repo.gix();
            let weighed = self.weigh(&git, offered, wish)?;
            if weighed.updates.is_empty() {
                return Ok(weighed.changes);
            }
            if !weighed.batch.is_empty() {
                self.objects.publish(&weighed.batch)?;
            }
            let written = self.writer().transaction(&weighed.updates);
            match written {
                Ok(()) => {
                    self.note_written(&weighed.updates);
                    return Ok(weighed.changes);
                }
                Err(RefError::Conflict { .. }) => refs::refresh(&self.git),
                Err(error) => return Err(LedgerError::Port(error.into())),
            }
        }
        Err(PortError::new("the ledger keeps changing while records are taken over").hint("try again").into())
    }

    fn weigh_one(
        &self,
        git: &gix::Repository,
        name: &str,
        ours: Option<&Oid>,
        theirs: &Oid,
        wish: &Wish,
        batch: &mut Batch,
    ) -> Result<How, LedgerError> {
        if ours == Some(theirs) {
            return Ok(How::Same);
        }
        let Ok(tip) = self.repo.object_id(theirs) else {
            return Ok(How::Unreadable(format!("`{}` is no object id here", theirs.as_str().escape_debug())));
        };
        let Some(ours) = ours else {
            return Ok(match lineage::check(git, name, tip) {
                Err(damage) => How::Unreadable(damage.to_string()),
                Ok(()) => self.behind(git, name, tip)?.map_or(How::Created, How::Behind),
            });
        };
        let keep = wish.keep.get(name).copied();
        let ours = self.repo.object_id(ours)?;
        let short = name.rsplit('/').next().unwrap_or(name);
        let met = match Kind::of(name) {
            Kind::Item => join::meet::<ItemEvent>(git, short, ours, tip, keep, batch),
            Kind::Run => join::meet::<RunEvent>(git, short, ours, tip, keep, batch),
            Kind::Branch => join::meet::<BranchEvent>(git, short, ours, tip, keep, batch),
            // An index, a format, something kept: whichever is here serves.
            Kind::Landing | Kind::Meta | Kind::Rescue => {
                let damage = lineage::check(git, name, tip).err();
                return Ok(damage.map_or(How::Newer, |damage| How::Unreadable(damage.to_string())));
            }
            Kind::Unknown => return Ok(How::Unreadable("no record of git-orchestrate has such a name".to_owned())),
        };
        let met = match met {
            Ok(met) => met,
            Err(Failed::Theirs(damage)) => return Ok(How::Unreadable(damage.to_string())),
            Err(Failed::Ours(damage)) => {
                return Err(LedgerError::Unreadable { chain: name.to_owned(), reason: damage.to_string() });
            }
            Err(Failed::Port(error)) => return Err(error.into()),
        };
        let how = match met {
            Meeting::Same => How::Same,
            Meeting::Older => How::Forwarded,
            Meeting::Newer | Meeting::Joined(_) | Meeting::Contradicts(_) if wish.overwrite => {
                How::Overwritten(format!("{RESCUE}before-restore-{short}-{}", oid(ours).short()))
            }
            Meeting::Newer => How::Newer,
            Meeting::Joined(joined) => How::Joined(oid(joined)),
            Meeting::Contradicts(why) => How::Contradicts(why),
        };
        if !how.moves() {
            return Ok(how);
        }
        if wish.held.contains(name) {
            return Ok(How::Held);
        }
        if keep == Some(Keep::Ours) {
            // Nothing that they tell of comes to count.
            return Ok(how);
        }
        Ok(self.behind(git, name, tip)?.map_or(how, How::Behind))
    }

    /// The branch here that lacks what a chain tells of: taken over now, the chain would make it look as if somebody had
    /// taken landings back.
    fn behind(&self, git: &gix::Repository, name: &str, tip: ObjectId) -> Result<Option<BranchRef>, LedgerError> {
        let message = super::chain::message_of(git, tip)?;
        let told = match Kind::of(name) {
            Kind::Item => {
                let state = codec::decode::<ItemEvent>(&message).ok().map(|decoded| decoded.state);
                let landing = state.and_then(|state| state.landings.last().cloned());
                landing.map(|landing| (landing.target, landing.tip))
            }
            Kind::Branch => {
                let state = codec::decode::<BranchEvent>(&message).ok().map(|decoded| decoded.state);
                let branch = self.branch_named(name.strip_prefix(CERTIFIED).unwrap_or_default())?;
                branch.zip(state.and_then(|state| state.certified))
            }
            Kind::Run | Kind::Landing | Kind::Meta | Kind::Rescue | Kind::Unknown => None,
        };
        let Some((branch, commit)) = told else { return Ok(None) };
        let Some(here) = refs::tip_in(&self.git, branch.as_str())? else { return Ok(None) };
        let here = self.repo.object_id(&here)?;
        let has = match self.repo.object_id(&commit) {
            Ok(commit) => git.has_object(commit) && commit::contains(git, here, commit)?,
            Err(_) => false,
        };
        Ok((!has).then_some(branch))
    }

    /// The branch here whose chain has this name.
    fn branch_named(&self, chain: &str) -> Result<Option<BranchRef>, PortError> {
        let heads = refs::list_in(&self.git, "refs/heads/")?.into_iter();
        let mut heads = heads.map(|(name, _)| BranchRef::new(name));
        Ok(heads.find(|branch| branch_chain(branch) == chain))
    }
}

impl Weighed {
    fn add(&mut self, change: Change) {
        let new = match &change.how {
            How::Created | How::Forwarded => Some(change.theirs.clone()),
            How::Joined(joined) => Some(joined.clone()),
            How::Overwritten(kept) => {
                let update = RefUpdate { name: kept.clone(), expected: refs::Expected::Any, new: change.ours.clone() };
                self.updates.push(update);
                Some(change.theirs.clone())
            }
            How::Same | How::Newer | How::Held | How::Behind(_) | How::Contradicts(_) | How::Unreadable(_) => None,
        };
        if new.is_some() {
            self.updates.push(RefUpdate { name: change.name.clone(), expected: expected(change.ours.clone()), new });
        }
        self.changes.push(change);
    }
}

/// Name of a ref for people: `story 1.1`, `run 2026...`.
pub fn spoken(name: &str) -> String {
    let of = |prefix: &str, what: &str| name.strip_prefix(prefix).map(|rest| format!("{what} {rest}"));
    of(ITEMS, "story")
        .or_else(|| of(RUNS, "run"))
        .or_else(|| of(CERTIFIED, "record of branch"))
        .or_else(|| of(RESCUE, "rescued work"))
        .or_else(|| of("refs/heads/", "branch"))
        .unwrap_or_else(|| name.to_owned())
}
