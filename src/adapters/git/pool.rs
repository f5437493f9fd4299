//! Clean worktrees kept for the next attempt: moving one to another commit costs a hundredth of writing all its files again.
//! Must not keep anything that git does not track, and never trusts that a kept one is still clean.

use std::fs;
use std::path::{Path, PathBuf};

use gix::ObjectId;

use super::admin::{Entry, Head, RegistryLock};
use super::repo::Repo;
use super::status::{self, Depth};
use super::{follow, trash};
use crate::domain::names::Oid;
use crate::engine::ports::PortError;

/// Most worktrees that are kept.
const MOST: usize = 16;

/// A kept worktree on its way to a new attempt: its files are at their new place, its index is not.
#[derive(Debug)]
pub(super) struct Pooled {
    slot: PathBuf,
    tree: ObjectId,
}

/// Keeps the files and the index of a worktree whose files are exactly `tree`. `false` when there is no room, or another file
/// system in between: nothing was moved then.
pub(super) fn keep(repo: &Repo, _lock: &RegistryLock, entry: &Entry, path: &Path, tree: ObjectId) -> bool {
    let pool = pool_dir(repo);
    let slots = fs::read_dir(&pool).map_or(0, Iterator::count);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let slot = pool.join(format!("{tree}-{name}"));
    // A repository or a link in the place of the `.git` file is not ours to write over.
    let plain = path.join(".git").symlink_metadata().is_ok_and(|found| found.is_file());
    if !plain || slots >= MOST || fs::create_dir_all(&pool).is_err() || fs::create_dir(&slot).is_err() {
        return false;
    }
    if fs::rename(path, slot.join("files")).is_err() {
        let _ = fs::remove_dir(&slot);
        return false;
    }
    // Without an index the slot is of no use, and is deleted when it is met.
    let _ = fs::rename(entry.index(), slot.join("index"));
    true
}

/// Moves a kept worktree's files to `path`, which does not exist.
pub(super) fn take(repo: &Repo, _lock: &RegistryLock, path: &Path) -> Option<Pooled> {
    for slot in fs::read_dir(pool_dir(repo)).ok()?.flatten().map(|slot| slot.path()) {
        let tree = slot.file_name().and_then(|name| name.to_str()).and_then(tree_in);
        // Out of the pool first: what is being settled must not be met, and deleted, by whoever takes the next one.
        let Ok(Some(slot)) = trash::put(repo, &slot) else { continue };
        match tree.filter(|_| slot.join("index").is_file()) {
            Some(tree) if fs::rename(slot.join("files"), path).is_ok() => return Some(Pooled { slot, tree }),
            Some(_) | None => trash::discard(&slot),
        }
    }
    None
}

/// Deletes everything that is kept.
pub fn drain(repo: &Repo) -> Result<(), PortError> {
    if pool_dir(repo).is_dir() {
        let _lock = RegistryLock::acquire(repo)?;
        trash::discard(&pool_dir(repo));
    }
    Ok(())
}

impl Pooled {
    /// Brings the files to `tree` and hands the index over to `entry`, last: until then the worktree counts as half made.
    /// `false` when something touched the files meanwhile; they must be thrown away then.
    pub(super) fn settle(
        self,
        git: &gix::Repository,
        entry: &Entry,
        path: &Path,
        tree: ObjectId,
    ) -> Result<bool, PortError> {
        let head = Head::Detached(Oid::new(self.tree.to_string()));
        let kept = Entry { dir: self.slot.clone(), path: Some(path.to_owned()), head, whole: true };
        let survey = status::survey(git, &kept, path, self.tree, Depth::Everything)?;
        let settled = survey.is_pristine() && follow::bring(git, path, &self.slot, self.tree, tree)?;
        let settled = settled && fs::rename(kept.index(), entry.index()).is_ok();
        trash::discard(&self.slot);
        Ok(settled)
    }
}

fn pool_dir(repo: &Repo) -> PathBuf {
    repo.state_dir().join("pool")
}

/// The tree that a slot's name says.
fn tree_in(name: &str) -> Option<ObjectId> {
    let end = name.find('-')?;
    ObjectId::from_hex(&name.as_bytes()[..end]).ok()
}
