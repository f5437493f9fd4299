//! A story branch whose newest objects are gone: a `gc --prune=now` beside a commit takes what no ref names yet. The files of
//! the worktree are there still. Must not touch a branch that can be read.

use std::fs;
use std::sync::Mutex;

use gix::ObjectId;
use gix::bstr::ByteSlice;

use super::admin::Entry;
use super::refs::{self, Expected, RefUpdate, RefWriter};
use super::repo::{Repo, git_error, oid};
use super::worktree::locked;
use super::{commit, merge, status};
use crate::domain::names::BranchRef;
use crate::engine::ports::PortError;

/// A worktree to be gone on in.
pub(super) struct Pruned<'a> {
    pub(super) repo: &'a Repo,
    pub(super) writer: &'a Mutex<RefWriter>,
    pub(super) entry: &'a Entry,
    pub(super) branch: &'a BranchRef,
    /// Where the branch began.
    pub(super) start: ObjectId,
}

impl Pruned<'_> {
    /// Sets the branch back to its last commit that is whole, where its tip is not, and makes git read every file of the
    /// worktree again, so that their content is in the next commit.
    pub(super) fn repair(&self) -> Result<(), PortError> {
        let Some(tip) = refs::tip(self.repo, self.branch.as_str())? else { return Ok(()) };
        let git = self.repo.gix();
        let id = self.repo.object_id(&tip)?;
        let mut good = id;
        if !self.is_whole(&git, id) {
            good = self.last_whole(&git);
            let name = self.branch.as_str().to_owned();
            let update = RefUpdate { name, expected: Expected::Value(tip), new: Some(oid(good)) };
            locked(self.writer).transaction(&[update])?;
        } else if self.index_is_whole(&git, id)? {
            return Ok(());
        }
        let tree = commit::tree_of(&git, good)?;
        let failed = |error| git_error("cannot write the index", error);
        let mut index = git.index_from_tree(&tree).map_err(failed)?;
        index.set_path(self.entry.index());
        index.write(gix::index::write::Options::default()).map_err(failed)
    }

    /// Whether everything that the branch added up to a commit can be read.
    fn is_whole(&self, git: &gix::Repository, tip: ObjectId) -> bool {
        let trees = commit::tree_of(git, self.start).and_then(|base| Ok((base, commit::tree_of(git, tip)?)));
        let Ok((base, tree)) = trees else { return false };
        let Ok(changes) = merge::changes(git, base, tree) else { return false };
        let there =
            changes.values().filter_map(|change| change.new).all(|(mode, id)| mode.is_commit() || git.has_object(id));
        let history = git.rev_walk([tip]).with_hidden([self.start]).all();
        there
            && history
                .is_ok_and(|mut walk| walk.all(|commit| commit.is_ok_and(|commit| git.find_commit(commit.id).is_ok())))
    }

    /// The newest commit of the reflogs that is whole, else where the branch began.
    fn last_whole(&self, git: &gix::Repository) -> ObjectId {
        let branch = self.repo.common_dir().join("logs").join(self.branch.as_str());
        for log in [branch, self.entry.dir.join("logs/HEAD")] {
            let text = fs::read(log).unwrap_or_default();
            let ids = text.lines().filter_map(|line| ObjectId::from_hex(line.split_str(" ").nth(1)?).ok());
            if let Some(whole) = ids.collect::<Vec<_>>().into_iter().rev().find(|id| self.is_whole(git, *id)) {
                return whole;
            }
        }
        self.start
    }

    fn index_is_whole(&self, git: &gix::Repository, tip: ObjectId) -> Result<bool, PortError> {
        let index = status::read_index(git, self.entry, commit::tree_of(git, tip)?)?;
        let gitlink = gix::index::entry::Mode::COMMIT;
        Ok(index.entries().iter().all(|entry| entry.mode == gitlink || git.has_object(entry.id)))
    }
}
