//! How a worktree goes away: what it holds is made reachable first, then it is renamed into the trash. Must not delete
//! anything that is neither in a commit nor in the trash.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Mutex;

use gix::ObjectId;

use super::admin::{self, Entry, Head, RegistryLock};
use super::refs::{self, Expected, RefError, RefUpdate, RefWriter};
use super::repo::{Repo, oid};
use super::status::{self, Depth, Survey};
use super::worktree::locked;
use super::{commit, pool, stale, trash};
use crate::domain::names::Oid;
use crate::engine::ports::{PortError, Retired, WorktreeSpec};

/// Where rescued commits are kept.
const RESCUE: &str = "refs/orchestrate/rescue/";

/// Most ignored files that are compared with the main work tree's.
const COMPARED: usize = 2_000;

/// Times a rescue ref's number is chosen again when another process took it.
const TRIES: u32 = 10;

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
            let kept = keep_work(self.repo, self.writer, &git, entry, &self.spec.path, &reachable)?;
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
    if let Head::Detached(head) = &entry.head {
        let git = repo.gix();
        let head = repo.object_id(head)?;
        if git.find_commit(head).is_ok() && !is_on_a_branch(repo, &git, head)? {
            write_rescue(repo, writer, &git, &entry.name(), head)?;
        }
    }
    remove(repo, lock, entry, path, Leftovers::Some)
}

/// Names a commit by a rescue ref.
pub(super) fn keep(repo: &Repo, writer: &Mutex<RefWriter>, name: &str, commit: &Oid) -> Result<String, PortError> {
    write_rescue(repo, writer, &repo.gix(), name, repo.object_id(commit)?)
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

/// The commit a worktree's HEAD names.
pub(super) fn commit_of(repo: &Repo, entry: &Entry) -> Result<Option<Oid>, PortError> {
    match &entry.head {
        Head::Branch(branch) => refs::tip(repo, branch.as_str()),
        Head::Detached(commit) => Ok(Some(commit.clone())),
        Head::Unreadable => Ok(None),
    }
}

/// Whether a directory in the trash still matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leftovers {
    /// Everything in it is in a commit or in the main work tree.
    None,
    /// Something is nowhere else.
    Some,
}

struct Kept {
    rescue: Option<String>,
    leftovers: Leftovers,
    /// The tree the files are exactly, with nothing beside them.
    pristine: Option<ObjectId>,
}

/// Makes everything in a worktree reachable that is not already.
fn keep_work(
    repo: &Repo,
    writer: &Mutex<RefWriter>,
    git: &gix::Repository,
    entry: &Entry,
    path: &Path,
    reachable: &[ObjectId],
) -> Result<Kept, PortError> {
    let head = commit_of(repo, entry)?.map(|head| repo.object_id(&head)).transpose()?;
    let Some(head) = head.filter(|head| git.find_commit(*head).is_ok()) else {
        return Ok(Kept { rescue: None, leftovers: Leftovers::Some, pristine: None });
    };
    let mut lost = Some(head).filter(|_| matches!(entry.head, Head::Detached(_)));
    for other in reachable {
        if lost.is_some() && commit::contains(git, *other, head)? {
            lost = None;
        }
    }
    let mut leftovers = Leftovers::None;
    let mut pristine = None;
    if path.is_dir() {
        let tree = commit::tree_of(git, head)?;
        let survey = status::survey(git, entry, path, tree, Depth::Everything)?;
        if !survey.is_clean() && survey.dirty.len() > survey.nested.len() {
            lost = Some(commit::rescue(repo, git, entry, path, head, &survey, trash::now())?);
        }
        leftovers = leftovers_of(repo, path, &survey);
        pristine = survey.is_pristine().then_some(tree);
    }
    let rescue = lost.map(|commit| write_rescue(repo, writer, git, &entry.name(), commit)).transpose()?;
    Ok(Kept { rescue, leftovers, pristine })
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

/// Names a commit by a rescue ref, unless one does already.
fn write_rescue(
    repo: &Repo,
    writer: &Mutex<RefWriter>,
    git: &gix::Repository,
    worktree: &str,
    commit: ObjectId,
) -> Result<String, PortError> {
    let stem = format!("{RESCUE}{}", ref_part(worktree));
    for _ in 0..TRIES {
        let present = refs::list(repo, RESCUE)?;
        if let Some((name, _)) = present.iter().find(|(_, other)| is_same(repo, git, other, commit)) {
            return Ok(name.clone());
        }
        let numbers =
            present.iter().filter_map(|(name, _)| name.strip_prefix(&stem)?.strip_prefix('-')?.parse::<u32>().ok());
        let name = format!("{stem}-{}", numbers.max().unwrap_or(0).saturating_add(1));
        let update = RefUpdate { name: name.clone(), expected: Expected::Absent, new: Some(oid(commit)) };
        match locked(writer).transaction(&[update]) {
            Ok(()) => return Ok(name),
            Err(RefError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(PortError::new(format!("no free name below {stem}")))
}

/// Whether a rescued commit keeps the same: itself, or one with its tree and parents.
fn is_same(repo: &Repo, git: &gix::Repository, rescued: &Oid, commit: ObjectId) -> bool {
    let Ok(rescued) = repo.object_id(rescued) else { return false };
    if rescued == commit {
        return true;
    }
    let content = |id: ObjectId| {
        let commit = git.find_commit(id).ok()?;
        let tree = commit.tree_id().ok()?.detach();
        let ours = commit.message_raw().ok()?.starts_with(b"Work left in ");
        Some((tree, commit.parent_ids().map(gix::Id::detach).collect::<Vec<_>>(), ours))
    };
    let (Some(a), Some(b)) = (content(rescued), content(commit)) else { return false };
    a.2 && b.2 && a == b
}

fn is_on_a_branch(repo: &Repo, git: &gix::Repository, commit: ObjectId) -> Result<bool, PortError> {
    for (_, tip) in refs::list(repo, "refs/heads/")? {
        if commit::contains(git, repo.object_id(&tip)?, commit)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A worktree name as the part of a ref name.
fn ref_part(name: &str) -> String {
    let keep = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
    let part: String = name.to_lowercase().chars().map(|c| if keep(c) { c } else { '-' }).collect();
    let part = part.replace("..", "--");
    let part = part.trim_matches('.').trim_end_matches(".lock");
    if part.is_empty() { "worktree".to_owned() } else { part.to_owned() }
}

/// Ignored files that are byte for byte the main work tree's (our own copies) are no leftovers.
fn leftovers_of(repo: &Repo, path: &Path, survey: &Survey) -> Leftovers {
    let mut budget = COMPARED;
    let same = |ignored: &String| {
        !repo.is_bare() && is_copy(&path.join(ignored), &repo.root().join(ignored), &mut budget).unwrap_or(false)
    };
    if survey.nested.is_empty() && survey.ignored.iter().all(same) { Leftovers::None } else { Leftovers::Some }
}

fn is_copy(here: &Path, there: &Path, budget: &mut usize) -> io::Result<bool> {
    if *budget == 0 {
        return Ok(false);
    }
    *budget -= 1;
    let (a, b) = (here.symlink_metadata()?, there.symlink_metadata()?);
    if a.is_dir() && b.is_dir() {
        for entry in fs::read_dir(here)? {
            let name = entry?.file_name();
            if !is_copy(&here.join(&name), &there.join(&name), budget)? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    if a.is_symlink() && b.is_symlink() {
        return Ok(fs::read_link(here)? == fs::read_link(there)?);
    }
    Ok(a.is_file() && b.is_file() && a.len() == b.len() && fs::read(here)? == fs::read(there)?)
}

/// The folder of our worktrees goes with the last of them.
fn drop_empty_parent(repo: &Repo, path: &Path) {
    if let Some(parent) = path.parent().filter(|parent| admin::real(parent) != repo.root()) {
        // Fails when something is in it, as it should.
        let _ = fs::remove_dir(parent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rescue_names_are_plain_and_valid() {
        for (name, part) in [("1.1-Größe", "1.1-gr--e"), ("..", "--"), ("a b.lock", "a-b"), (".", "worktree")] {
            assert_eq!(ref_part(name), part);
            assert!(refs::is_valid_name(&format!("{RESCUE}{part}-1")), "{part}");
        }
    }
}
