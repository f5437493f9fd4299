//! Makes everything in a worktree reachable that is not already, as a commit below `refs/orchestrate/rescue/`. Must not touch
//! the worktree, and must not lose what it cannot take: that is said to be left over, and stays in the trash.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Mutex;

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::index::entry::Mode;

use super::admin::{Entry, Head, io_error};
use super::commit::{self, Draft, Staging, TOOL};
use super::refs::{self, Expected, RefError, RefUpdate, RefWriter};
use super::repo::{Repo, git_error, oid};
use super::status::{self, Depth, Survey};
use super::worktree::locked;
use super::{hidden, strays, trash};
use crate::domain::names::{BranchRef, Oid};
use crate::engine::ports::PortError;

/// Where rescued commits are kept.
pub const RESCUE: &str = "refs/orchestrate/rescue/";

/// How the message of a rescued commit begins that we made; what `git` made stands for itself.
pub(super) const LEFT: &str = "Work left in ";

/// Largest file that is copied into a commit: 100 MB. Larger ones stay in the trash.
const LARGEST: u64 = 100_000_000;

/// Most ignored files that are compared with the main work tree's.
const COMPARED: usize = 2_000;

/// Most paths or commits listed in a message.
const LISTED: usize = 100;

/// Times a rescue ref's number is chosen again when another process took it.
const TRIES: u32 = 10;

/// Whether a directory in the trash still matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leftovers {
    /// Everything in it is in a commit or in the main work tree.
    None,
    /// Something is nowhere else.
    Some,
}

/// What was kept of a worktree.
#[derive(Debug)]
pub(super) struct Kept {
    /// The ref.
    pub(super) rescue: Option<String>,
    /// Whether its files still matter.
    pub(super) leftovers: Leftovers,
    /// The tree the files are exactly, with nothing beside them.
    pub(super) pristine: Option<ObjectId>,
}

/// A worktree that is about to go.
pub(super) struct Leaving<'a> {
    pub(super) repo: &'a Repo,
    pub(super) writer: &'a Mutex<RefWriter>,
    pub(super) git: &'a gix::Repository,
    pub(super) entry: &'a Entry,
    pub(super) path: &'a Path,
    /// The branch it was made for.
    pub(super) branch: Option<&'a BranchRef>,
    /// The commit the branch began at: stands in for a HEAD that names none.
    pub(super) start: Option<ObjectId>,
    /// What stays in any case.
    pub(super) reachable: &'a [ObjectId],
    /// The tree whose ignore rules are believed.
    pub(super) rules: Option<ObjectId>,
}

/// What goes into a commit, and what cannot.
struct Taken<'a> {
    staging: Staging<'a>,
    strays: Vec<ObjectId>,
    left: Vec<String>,
}

impl Leaving<'_> {
    /// Keeps files and commits.
    pub(super) fn keep_work(&self) -> Result<Kept, PortError> {
        let mut kept = Kept { rescue: None, leftovers: Leftovers::Some, pristine: None };
        let Some(head) = self.commit_of_head()? else {
            kept.rescue = self.keep_commits()?;
            return Ok(kept);
        };
        let strays = self.strays()?;
        if !self.path.is_dir() {
            if !self.has_modules() {
                kept.leftovers = Leftovers::None;
            }
            kept.rescue = self.name_commits(head, strays)?;
            return Ok(kept);
        }
        let tree = commit::tree_of(self.git, head)?;
        let survey = status::survey(self.git, self.entry, self.path, tree, Depth::Everything)?;
        let hidden = match self.rules {
            Some(rules) => hidden::files(self.git, rules, self.path, &survey)?,
            None => Vec::new(),
        };
        let taken = self.take(&survey, &hidden, strays);
        let foreign = self.has_submodules(tree)? || has_special_files(self.path);
        let whole = taken.left.is_empty() && !foreign && self.are_copies(&survey);
        kept.leftovers = if whole { Leftovers::None } else { Leftovers::Some };
        kept.pristine = (survey.is_pristine() && !foreign).then_some(tree);
        let files = taken.staging.dirty.len() > taken.staging.without.len() || !hidden.is_empty();
        kept.rescue = if files {
            let commit = self.commit(head, &survey, &taken)?;
            Some(write_rescue(self.repo, self.writer, self.git, &self.entry.name(), commit)?)
        } else {
            self.name_commits(head, taken.strays)?
        };
        Ok(kept)
    }

    /// Keeps what only this worktree remembers; its files are not looked at.
    pub(super) fn keep_commits(&self) -> Result<Option<String>, PortError> {
        let strays = self.strays()?;
        match self.commit_of_head()?.or(strays.first().copied()) {
            Some(head) => self.name_commits(head, strays),
            None => Ok(None),
        }
    }

    /// The commit its files are compared with: HEAD, or where HEAD names none the last one there was.
    fn commit_of_head(&self) -> Result<Option<ObjectId>, PortError> {
        let head = commit_of(self.repo, self.entry)?.map(|head| self.repo.object_id(&head)).transpose()?;
        let there = |id: &ObjectId| self.git.find_commit(*id).is_ok();
        let last = || strays::last_logged(self.git, self.entry);
        Ok(head.filter(there).or_else(last).or(self.start.filter(there)))
    }

    fn strays(&self) -> Result<Vec<ObjectId>, PortError> {
        let mut reachable = self.reachable.to_vec();
        if let Head::Branch(_) = &self.entry.head {
            let tip = commit_of(self.repo, self.entry)?.map(|tip| self.repo.object_id(&tip)).transpose()?;
            reachable.extend(tip);
        }
        strays::of(self.repo, self.git, self.entry, self.branch, &reachable)
    }

    fn take<'s>(&self, survey: &'s Survey, hidden: &'s [String], strays: Vec<ObjectId>) -> Taken<'s> {
        let mut staging = Staging::of(survey);
        staging.forced = hidden;
        let mut left: Vec<String> = survey.nested.iter().cloned().collect();
        for path in survey.dirty.difference(&survey.nested) {
            if !can_be_taken(self.path, path) {
                staging.without.insert(path);
                left.push(path.clone());
            }
        }
        Taken { staging, strays, left }
    }

    /// Commits everything that HEAD does not hold, staged versions, unfinished merges and lost commits included, durably and
    /// without changing the worktree's index.
    fn commit(&self, head: ObjectId, survey: &Survey, taken: &Taken<'_>) -> Result<ObjectId, PortError> {
        let (repo, git, at) = (self.repo, self.git, trash::now());
        let head_tree = commit::tree_of(git, head)?;
        let state = repo.state_dir();
        let scratch = tempfile::Builder::new().prefix("rescue-").tempdir_in(&state);
        let scratch = scratch.map_err(|error| io_error("cannot write in", &state, error))?;
        let file = scratch.path().join("index");
        let mut index = status::read_index(git, self.entry, head_tree)?;
        status::reveal(&mut index, self.path);
        index.set_path(&file);
        let options = gix::index::write::Options::default();
        index.write(options).map_err(|error| git_error("cannot copy the index", error))?;
        let mut parents = vec![head];
        let staged =
            survey.unmerged.is_empty().then(|| commit::write_tree(repo, self.path, Some(&file))).transpose()?;
        let tree = commit::stage(repo, self.path, &taken.staging, Some(&file))?;
        if let Some(staged) = staged.filter(|staged| *staged != tree && *staged != head_tree) {
            let message = format!("Index of {}", self.entry.name());
            let draft = Draft { tree: staged, parents: &[head], author: TOOL, message: &message, at };
            let id = commit::write_commit(git, &draft)?;
            commit::sync_object(repo, &id)?;
            parents.push(id);
        }
        parents.extend(commit::merge_heads(git, self.entry));
        parents.extend(taken.strays.iter().copied());
        let mut message = format!("{LEFT}{}\n\n{}", self.entry.name(), listed(survey.dirty.iter()));
        for (title, paths) in
            [("Ignored by rules of its own:", taken.staging.forced), ("In the trash only:", &taken.left)]
        {
            if !paths.is_empty() {
                message.push_str(&format!("\n\n{title}\n{}", listed(paths.iter())));
            }
        }
        self.write(tree, parents, &mut message, &taken.strays)
    }

    /// A ref for commits that nothing else names; none without such commits.
    fn name_commits(&self, head: ObjectId, strays: Vec<ObjectId>) -> Result<Option<String>, PortError> {
        let commit = match strays.as_slice() {
            [] => return Ok(None),
            [only] => *only,
            _ => {
                let tree = commit::tree_of(self.git, head)?;
                let parents = std::iter::once(head).chain(strays.iter().copied()).collect();
                self.write(tree, parents, &mut format!("{LEFT}{}", self.entry.name()), &strays)?
            }
        };
        write_rescue(self.repo, self.writer, self.git, &self.entry.name(), commit).map(Some)
    }

    fn write(
        &self,
        tree: ObjectId,
        mut parents: Vec<ObjectId>,
        message: &mut String,
        strays: &[ObjectId],
    ) -> Result<ObjectId, PortError> {
        let mut seen = BTreeSet::new();
        parents.retain(|parent| seen.insert(*parent));
        if !strays.is_empty() {
            let lines: Vec<String> = strays.iter().map(|id| described(self.git, *id)).collect();
            message.push_str(&format!("\n\nCommits that nothing else names:\n{}", listed(lines.iter())));
        }
        let draft = Draft { tree, parents: &parents, author: TOOL, message, at: trash::now() };
        let id = commit::write_commit(self.git, &draft)?;
        commit::sync_object(self.repo, &id)?;
        Ok(id)
    }

    /// Whether an agent checked a submodule out: its commits and edits are in no repository of ours.
    fn has_submodules(&self, tree: ObjectId) -> Result<bool, PortError> {
        if self.has_modules() {
            return Ok(true);
        }
        let index = status::read_index(self.git, self.entry, tree)?;
        let mut links = index.entries().iter().filter(|entry| entry.mode == Mode::COMMIT);
        Ok(links.any(|entry| {
            let path = entry.path(&index).to_path().map(|path| self.path.join(path));
            path.is_ok_and(|path| fs::read_dir(path).is_ok_and(|mut listed| listed.next().is_some()))
        }))
    }

    /// Whether repositories of submodules lie in the entry.
    fn has_modules(&self) -> bool {
        self.entry.dir.join("modules").symlink_metadata().is_ok()
    }

    /// Whether all ignored files are byte for byte the main work tree's (our own copies).
    fn are_copies(&self, survey: &Survey) -> bool {
        let mut budget = COMPARED;
        let root = self.repo.root();
        let same = |path: &String| {
            !self.repo.is_bare() && is_copy(&self.path.join(path), &root.join(path), &mut budget).unwrap_or(false)
        };
        survey.ignored.iter().all(same)
    }
}

/// The commit a worktree's HEAD names.
pub(super) fn commit_of(repo: &Repo, entry: &Entry) -> Result<Option<Oid>, PortError> {
    match &entry.head {
        Head::Branch(branch) => refs::tip(repo, branch.as_str()),
        Head::Detached(commit) => Ok(Some(commit.clone())),
        Head::Unreadable => Ok(None),
    }
}

/// Names a commit by a rescue ref, unless one does already.
pub(super) fn write_rescue(
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
        let ours = commit.message_raw().ok()?.starts_with(LEFT.as_bytes());
        Some((tree, commit.parent_ids().map(gix::Id::detach).collect::<Vec<_>>(), ours))
    };
    let (Some(a), Some(b)) = (content(rescued), content(commit)) else { return false };
    a.2 && b.2 && a == b
}

/// A worktree name as the part of a ref name.
fn ref_part(name: &str) -> String {
    let keep = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
    let part: String = name.to_lowercase().chars().map(|c| if keep(c) { c } else { '-' }).collect();
    let part = part.replace("..", "--");
    let part = part.trim_matches('.').trim_end_matches(".lock");
    if part.is_empty() { "worktree".to_owned() } else { part.to_owned() }
}

/// Whether git can put the path into a commit: no device, nothing huge, nothing that may not be read. What was deleted can.
fn can_be_taken(worktree: &Path, path: &str) -> bool {
    if !commit::lies_there(worktree, path) {
        return true;
    }
    let path = worktree.join(path);
    let Ok(about) = path.symlink_metadata() else { return false };
    let readable = || about.len() <= LARGEST && File::open(&path).is_ok();
    about.is_symlink() || about.is_dir() || about.is_file() && readable()
}

/// Whether there are pipes, sockets or devices, which git does not see. What cannot be looked into counts as such.
fn has_special_files(dir: &Path) -> bool {
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        let Ok(listed) = fs::read_dir(&dir) else { return true };
        for entry in listed {
            match entry.and_then(|entry| Ok((entry.file_type()?, entry))) {
                Ok((kind, entry)) if kind.is_dir() => open.push(entry.path()),
                Ok((kind, _)) if kind.is_file() || kind.is_symlink() => {}
                Ok(_) | Err(_) => return true,
            }
        }
    }
    false
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

/// `abc123def456 the subject`.
fn described(git: &gix::Repository, id: ObjectId) -> String {
    let subject = git.find_commit(id).ok().and_then(|commit| Some(commit.message().ok()?.title.to_string()));
    format!("{} {}", oid(id).short(), subject.unwrap_or_default().trim())
}

fn listed<'a>(lines: impl ExactSizeIterator<Item = &'a String>) -> String {
    let more = lines.len().saturating_sub(LISTED);
    let mut shown: Vec<String> = lines.take(LISTED).map(|line| line.escape_debug().to_string()).collect();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown.join("\n")
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
