//! A story branch whose newest objects are gone: a `gc --prune=now` beside a commit takes what no ref names yet. The files of
//! the worktree are there still. Must not touch a branch that can be read.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::Mutex;

use gix::ObjectId;
use gix::bstr::{BStr, ByteSlice};
use gix::objs::tree::EntryKind;

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
        if !self.is_whole(&git, id) && !self.make_again(&git, id) {
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

    /// Writes what the index names again, as far as the files of the worktree are still what was added, and its trees. Whether
    /// the tip is whole then; whatever cannot be read or written leaves it as it is.
    fn make_again(&self, git: &gix::Repository, tip: ObjectId) -> bool {
        let Some(place) = &self.entry.path else { return false };
        let options = gix::index::decode::Options::default();
        let Ok(index) = gix::index::File::at(self.entry.index(), git.object_hash(), false, options) else {
            return false;
        };
        let Ok(mut editor) = git.edit_tree(ObjectId::empty_tree(git.object_hash())) else { return false };
        for entry in index.entries() {
            let path = entry.path(&index);
            let Some(kind) = entry.mode.to_tree_entry_mode().map(|mode| mode.kind()) else { return false };
            let there = kind == EntryKind::Commit || git.has_object(entry.id);
            if !there && !from_file(git, entry.id, place, path, kind) {
                return false;
            }
            if editor.upsert(path, kind, entry.id).is_err() {
                return false;
            }
        }
        editor.write().is_ok() && self.is_whole(git, tip)
    }

    /// The newest commit of the reflogs that is whole, else where the branch began.
    fn last_whole(&self, git: &gix::Repository) -> ObjectId {
        let branch = refs::reflog(git, self.repo.common_dir(), self.branch.as_str());
        for text in [branch, refs::reflog(git, &self.entry.dir, "HEAD")] {
            let new = |line: &[u8]| ObjectId::from_hex(line.split(|byte| b" \t".contains(byte)).nth(1)?).ok();
            let ids = text.lines().filter_map(new);
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

/// Writes a blob from the file of the worktree or the link that it was added from, where nothing converted it and it is
/// still the same.
fn from_file(git: &gix::Repository, wanted: ObjectId, place: &Path, path: &BStr, kind: EntryKind) -> bool {
    let Ok(path) = path.to_path() else { return false };
    let path = place.join(path);
    let read = match kind {
        EntryKind::Link => fs::read_link(path).map(|to| to.into_os_string().into_vec()),
        _ => fs::read(path),
    };
    let Ok(bytes) = read else { return false };
    let id = gix::objs::compute_hash(git.object_hash(), gix::objs::Kind::Blob, &bytes);
    id.is_ok_and(|id| id == wanted) && git.write_blob(bytes).is_ok()
}

/// Whether a commit, its tree and what it changes can be read: a ref to one that is not would stop git's own gc and fsck.
pub(super) fn is_sound(git: &gix::Repository, id: ObjectId) -> bool {
    let Ok(commit) = git.find_commit(id) else { return false };
    let parent = commit.parent_ids().next().map(gix::Id::detach).filter(|parent| git.find_commit(*parent).is_ok());
    match parent {
        Some(parent) => {
            merge::new_objects(git, parent, id).is_ok_and(|new| new.into_iter().all(|id| git.has_object(id)))
        }
        None => commit.tree().is_ok(),
    }
}
