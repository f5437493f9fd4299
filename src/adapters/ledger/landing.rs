//! The part of a landing that is the ledger's: what the permit covers, the branch that moves with the record, and the index
//! by result tree. Must not merge, nor touch a checkout.

use std::collections::BTreeSet;

use gix::ObjectId;

use super::memory;
use super::objects::Object;
use super::store::{LANDINGS, Store, Work, expected};
use crate::adapters::git::landing::{brought, line};
use crate::adapters::git::refs::{self, Expected, RefError, RefUpdate};
use crate::adapters::git::repo::{git_error, oid};
use crate::domain::branch::Hotfix;
use crate::domain::event::Landing;
use crate::domain::gate::MergePermit;
use crate::domain::names::{BranchRef, Oid};
use crate::engine::ports::{LedgerError, PortError};

/// Most objects of a landing or of a branch that are remembered, and how many bytes.
const MOST_HELD: usize = 1_000;
const MOST_BYTES: u64 = memory::MOST as u64 / 4;

/// A branch that moves with the records.
pub(super) struct Move<'a> {
    pub(super) branch: &'a BranchRef,
    pub(super) base: &'a Oid,
    pub(super) tip: &'a Oid,
}

impl Move<'_> {
    pub(super) fn update(&self) -> RefUpdate {
        let (name, expected) = (self.branch.as_str().to_owned(), Expected::Value(self.base.clone()));
        RefUpdate { name, expected, new: Some(self.tip.clone()) }
    }

    pub(super) fn lost(&self) -> LedgerError {
        LedgerError::TargetMoved { branch: self.branch.clone(), expected: self.base.clone() }
    }
}

impl Store {
    /// Remembers what a landing brings, to be written again when a gc beside us, which did not see the branch move, takes it.
    pub(super) fn hold_landing(&mut self, landing: &Landing) -> Result<(), LedgerError> {
        let id = |oid: &Oid| self.repo.object_id(oid);
        let commits = [id(&landing.merge)?, id(&landing.tip)?];
        let ids = brought(&self.git, id(&landing.base)?, id(&landing.head)?, commits, MOST_HELD);
        let objects = self.read_some(ids.map_err(LedgerError::Gone)?).map_err(LedgerError::Gone)?;
        self.objects.memory.remember(objects);
        Ok(())
    }

    /// The same for what a story's branch holds beyond `since`: an agent's git does not write it again.
    pub(super) fn hold_line(&mut self, branch: &BranchRef, since: &Oid) -> Result<(), LedgerError> {
        let Some(tip) = refs::tip_in(&self.git, branch.as_str())? else { return Ok(()) };
        let (since, tip) = (self.repo.object_id(since)?, self.repo.object_id(&tip)?);
        let ids = line(&self.git, since, tip, MOST_HELD).map_err(LedgerError::Gone)?;
        let objects = self.read_some(ids).map_err(LedgerError::Gone)?;
        self.objects.memory.remember_line(branch.as_str(), objects);
        Ok(())
    }

    /// Reads objects, the small ones first, until they are too many to remember.
    fn read_some(&self, ids: BTreeSet<ObjectId>) -> Result<Vec<Object>, PortError> {
        let failed = |id| move |error| git_error(format!("cannot read {id}, which a story brings"), error);
        let mut sized = Vec::new();
        for id in ids {
            sized.push((self.git.find_header(id).map_err(failed(id))?.size(), id));
        }
        sized.sort_unstable();
        let (mut objects, mut total) = (Vec::new(), 0);
        for (size, id) in sized {
            total += size;
            if total > MOST_BYTES {
                break;
            }
            let object = self.git.find_object(id).map_err(failed(id))?;
            objects.push((id, (object.kind, object.data.clone())));
        }
        Ok(objects)
    }

    /// Lets a hook find the record of a landing by the tree of the new tip.
    pub(super) fn index_landing(&self, work: &mut Work, landing: &Landing, record: &Oid) -> Result<(), LedgerError> {
        let mut trees = vec![landing.merge_tree.clone()];
        // A landing derived after a crash is recorded even where its commits are gone.
        if let Ok(commit) = self.git.find_commit(self.repo.object_id(&landing.tip)?) {
            let tree = commit.tree_id().map_err(|error| git_error("cannot read the landed commit", error))?;
            trees.push(oid(tree));
        }
        trees.dedup();
        for tree in trees {
            let name = format!("{LANDINGS}{tree}");
            work.updates.retain(|update| update.name != name);
            let expected = expected(refs::tip_in(&self.git, &name)?);
            work.updates.push(RefUpdate { name, expected, new: Some(record.clone()) });
        }
        Ok(())
    }

    /// Refuses a landing that is not the one the permit was given for, commit by commit.
    pub(super) fn check_landing(&self, permit: &MergePermit, landing: &Landing) -> Result<(), LedgerError> {
        if permit.is_for_hotfix() {
            return not_permitted("the permit is for a hotfix");
        }
        if permit.is_bookkeeping() {
            let (tree, parents) = self.commit_parts(&landing.tip)?;
            let right = tree == *permit.merge_tree() && parents == [permit.base().clone()];
            return if right { Ok(()) } else { not_permitted("the write-back is not the one that was recomputed") };
        }
        if landing.base != *permit.base()
            || landing.head != *permit.head()
            || landing.merge_tree != *permit.merge_tree()
        {
            return not_permitted("base, head or merge tree is another than the permit's");
        }
        let (merge_tree, parents) = self.commit_parts(&landing.merge)?;
        if merge_tree != landing.merge_tree || parents != [landing.base.clone(), landing.head.clone()] {
            return not_permitted("the merge commit does not merge the permitted head into the permitted base");
        }
        if landing.tip != landing.merge && self.commit_parts(&landing.tip)?.1 != [landing.merge.clone()] {
            return not_permitted("the new tip is not the merge commit, nor directly on top of it");
        }
        Ok(())
    }

    /// The same for a hotfix, whose one commit is the merge.
    pub(super) fn check_hotfix(&self, permit: &MergePermit, hotfix: &Hotfix) -> Result<(), LedgerError> {
        if !permit.is_for_hotfix() {
            return not_permitted("the permit is for a story");
        }
        let Hotfix { base, head, merge_tree, tip, .. } = hotfix;
        if (permit.base(), permit.head(), permit.merge_tree()) != (base, head, merge_tree) {
            return not_permitted("base, head or merge tree is another than the permit's");
        }
        if self.commit_parts(tip)? != (merge_tree.clone(), vec![base.clone(), head.clone()]) {
            return not_permitted("the commit does not merge the permitted head into the permitted base");
        }
        Ok(())
    }

    fn commit_parts(&self, commit: &Oid) -> Result<(Oid, Vec<Oid>), LedgerError> {
        let failed = |error| LedgerError::Gone(git_error(format!("cannot read commit {commit}"), error));
        let found = self.git.find_commit(self.repo.object_id(commit)?).map_err(failed)?;
        let tree = found.tree_id().map_err(failed)?;
        Ok((oid(tree), found.parent_ids().map(oid).collect()))
    }
}

/// Why a landing's transaction moved nothing. Somebody's lock is no failure of ours: the landing can wait for it.
pub(super) fn not_moved(error: RefError) -> LedgerError {
    match error {
        RefError::Locked { .. } => LedgerError::Locked(error.into()),
        RefError::Conflict { .. } | RefError::Port(_) => LedgerError::Port(error.into()),
    }
}

fn not_permitted(why: &str) -> Result<(), LedgerError> {
    Err(PortError::new(format!("the landing is not permitted: {why}")).into())
}
