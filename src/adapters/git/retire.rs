//! How a worktree goes away: what it holds is made reachable first, then it is renamed into the trash. Must not delete
//! anything that is neither in a commit nor in the trash.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use gix::ObjectId;

use super::admin::{self, Entry, Head, RegistryLock};
use super::refs::{self, Expected, RefError, RefUpdate, RefWriter};
use super::repo::{Repo, oid};
use super::rescue::{self, Leaving, Leftovers, write_rescue};
use super::worktree::locked;
use super::{commit, pool, stale, trash};
use crate::domain::names::{BranchRef, Oid};
use crate::engine::ports::{PortError, Retired, WorktreeSpec};

/// One retirement.
pub(super) struct Retirement<'a> {
    /// Repository.
    pub(super) repo: &'a Repo,
    /// Moves refs.
    pub(super) writer: &'a Mutex<RefWriter>,
    /// The worktree.
    pub(super) spec: &'a WorktreeSpec,
    /// The commit its branch should be part of.
    pub(super) merged_into: Option<&'a Oid>,
}

impl Retirement<'_> {
    /// Rescues, moves away, unregisters, and deletes the branch when it is merged. Nothing there is fine too.
    pub(super) fn run(&self) -> Result<Retired, PortError> {
        let git = self.repo.gix();
        let lock = RegistryLock::acquire(self.repo)?;
        let entry = admin::entry_of(self.repo, &self.spec.path)?;
        let tip = refs::tip(self.repo, self.spec.branch.as_str())?;
        let tip = tip.map(|tip| self.repo.object_id(&tip)).transpose()?;
        let merged = self.merged_into.map(|oid| self.repo.object_id(oid)).transpose()?;
        let mut retired = Retired::default();
        if let Some(entry) = &entry {
            stale::clear(self.repo, entry, &self.spec.path, Some(&self.spec.branch));
            let reachable: Vec<ObjectId> = tip.iter().chain(merged.iter()).copied().collect();
            let kept = self.leaving(&git, entry, &reachable, tip, merged)?.keep_work()?;
            retired.rescue = kept.rescue;
            // What is pooled is gone from its place; the rest goes the usual way.
            let _ = kept.pristine.is_some_and(|tree| pool::keep(self.repo, &lock, entry, &self.spec.path, tree));
            remove(self.repo, &lock, entry, &self.spec.path, kept.leftovers)?;
        } else if admin::claims_this_repository(self.repo, &self.spec.path) {
            trash::put(self.repo, &self.spec.path)?;
        }
        if let (Some(tip), Some(merged)) = (tip, merged) {
            if commit::contains(&git, merged, tip)? {
                retired.branch_deleted = self.delete_branch(&oid(tip))?;
            } else if retired.rescue.is_none() {
                retired.rescue = Some(self.name_unmerged(&git, tip)?);
            }
        }
        drop_empty_parent(self.repo, &self.spec.path);
        Ok(retired)
    }

    fn leaving<'a>(
        &'a self,
        git: &'a gix::Repository,
        entry: &'a Entry,
        reachable: &'a [ObjectId],
        tip: Option<ObjectId>,
        merged: Option<ObjectId>,
    ) -> Result<Leaving<'a>, PortError> {
        let start = Some(self.repo.object_id(&self.spec.start)?).filter(|id| git.find_commit(*id).is_ok());
        // Rules that came with the branch are believed once they have landed with it.
        let accepted = match (tip, merged) {
            (Some(tip), Some(merged)) if commit::contains(git, merged, tip)? => Some(merged),
            _ => start,
        };
        let rules = accepted.map(|commit| commit::tree_of(git, commit)).transpose()?;
        let (repo, writer, path) = (self.repo, self.writer, self.spec.path.as_path());
        Ok(Leaving { repo, writer, git, entry, path, branch: Some(&self.spec.branch), start, reachable, rules })
    }

    /// A rescue ref at an unmerged tip: the branch stays, but anybody may delete it later.
    fn name_unmerged(&self, git: &gix::Repository, tip: ObjectId) -> Result<String, PortError> {
        let name = self.spec.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        write_rescue(self.repo, self.writer, git, &name, tip)
    }

    /// Deletes the branch unless another worktree has it.
    fn delete_branch(&self, tip: &Oid) -> Result<bool, PortError> {
        let branch = &self.spec.branch;
        let main = !self.repo.is_bare() && admin::main_head(self.repo) == Head::Branch(branch.clone());
        if main || admin::entries(self.repo)?.iter().any(|entry| entry.holds(branch)) {
            return Ok(false);
        }
        let name = branch.as_str().to_owned();
        let update = RefUpdate { name, expected: Expected::Value(tip.clone()), new: None };
        match locked(self.writer).transaction(&[update]) {
            Ok(()) => {
                crate::fail_point::reach("branch-deleted");
                Ok(true)
            }
            // Somebody committed to it since: it stays.
            Err(RefError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Takes a half-made or damaged worktree out of the way: its commits are rescued, its directory stays in the trash.
pub(super) fn set_aside(
    repo: &Repo,
    writer: &Mutex<RefWriter>,
    lock: &RegistryLock,
    entry: &Entry,
    path: &Path,
) -> Result<(), PortError> {
    keep_commits(repo, writer, entry, path, None)?;
    remove(repo, lock, entry, path, Leftovers::Some)
}

/// Names the commits that only a worktree remembers by a rescue ref; none without such commits.
pub(super) fn keep_commits(
    repo: &Repo,
    writer: &Mutex<RefWriter>,
    entry: &Entry,
    path: &Path,
    branch: Option<&BranchRef>,
) -> Result<Option<String>, PortError> {
    let git = &repo.gix();
    Leaving { repo, writer, git, entry, path, branch, start: None, reachable: &[], rules: None }.keep_commits()
}

/// Names a commit by a rescue ref.
pub(super) fn keep(repo: &Repo, writer: &Mutex<RefWriter>, name: &str, commit: &Oid) -> Result<String, PortError> {
    write_rescue(repo, writer, &repo.gix(), name, repo.object_id(commit)?)
}

/// Names what was staged in a worktree and is about to be replaced by the content of its files.
pub(super) fn keep_index(
    repo: &Repo,
    writer: &Mutex<RefWriter>,
    worktree: &str,
    tree: ObjectId,
    head: ObjectId,
) -> Result<String, PortError> {
    let git = repo.gix();
    let message = format!("{}{worktree}\n\nWhat was staged there before its files were committed.", rescue::LEFT);
    let draft = commit::Draft { tree, parents: &[head], author: commit::TOOL, message: &message, at: trash::now() };
    let id = commit::write_commit(&git, &draft)?;
    commit::sync_object(repo, &id)?;
    write_rescue(repo, writer, &git, worktree, id)
}

/// Takes the worktree of a check away for good: its commit is a candidate of ours, and what checks left in it is nobody's work.
pub(super) fn discard(repo: &Repo, path: &Path) -> Result<(), PortError> {
    let lock = RegistryLock::acquire(repo)?;
    if let Some(entry) = admin::entry_of(repo, path)? {
        remove(repo, &lock, &entry, path, Leftovers::None)?;
    }
    drop_empty_parent(repo, path);
    Ok(())
}

/// Moves the worktree of a check into the trash: its commit is a candidate of ours.
pub(super) fn put_away(repo: &Repo, lock: &RegistryLock, entry: &Entry, path: &Path) -> Result<(), PortError> {
    remove(repo, lock, entry, path, Leftovers::Some)?;
    drop_empty_parent(repo, path);
    Ok(())
}

/// Renames directory and entry into the trash, the directory first: whoever is killed between finds an entry without a
/// directory, which every caller here takes away.
fn remove(
    repo: &Repo,
    _lock: &RegistryLock,
    entry: &Entry,
    path: &Path,
    leftovers: Leftovers,
) -> Result<(), PortError> {
    let directory = trash::put(repo, path)?;
    crate::fail_point::reach("worktree-trashed");
    let record = trash::put(repo, &entry.dir)?;
    if leftovers == Leftovers::None {
        for place in directory.iter().chain(&record) {
            trash::discard(place);
        }
    }
    Ok(())
}

/// The folder of our worktrees goes with the last of them.
fn drop_empty_parent(repo: &Repo, path: &Path) {
    if let Some(parent) = path.parent().filter(|parent| admin::real(parent) != repo.root()) {
        // Fails when something is in it, as it should.
        let _ = fs::remove_dir(parent);
    }
}
