//! Commits that only a worktree remembers: in the reflog of its HEAD (amended away, reset, on a detached HEAD), in the files
//! of an unfinished rebase, merge or bisect, and stashes made there. Must not write.
//!
//! Every word of an entry's files that is the id of a commit counts: what git keeps where differs from version to version.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use gix::ObjectId;
use gix::bstr::ByteSlice;

use super::admin::Entry;
use super::repo::{Repo, git_error};
use super::{pruned, refs};
use crate::domain::names::BranchRef;
use crate::engine::ports::PortError;

/// Largest file of an entry that is searched, in bytes: an index or an object is no list of commits.
const LARGEST: u64 = 4 << 20;

/// How deep below the entry files are searched (`rebase-merge/`, `refs/bisect/`, `logs/refs/`).
const DEEPEST: u32 = 5;

/// Most lost commits that are looked at one by one.
const MOST: usize = 10_000;

/// Parts of an entry that are no lists of commits: a submodule's repository has commits of another one.
const SKIPPED: [&str; 3] = ["index", "modules", "sharedindex"];

/// The commits that would be lost with the entry, newest of each line only, sorted; stashes made on `branch` always. Not
/// those of which a gc took a part: no ref may name them.
/// `reachable` is what stays in any case; everything that a ref names stays too, the stash's top apart.
pub(super) fn of(
    repo: &Repo,
    git: &gix::Repository,
    entry: &Entry,
    branch: Option<&BranchRef>,
    reachable: &[ObjectId],
) -> Result<Vec<ObjectId>, PortError> {
    let mut named = named(git, &entry.dir);
    named.extend(ids_in(git, &refs::reflog(git, &entry.dir, "HEAD")));
    if let Some(branch) = branch {
        named.extend(ids_in(git, &refs::reflog(git, repo.common_dir(), branch.as_str())));
    }
    let stashed = stashes(repo, git, branch, &named);
    let known: Vec<ObjectId> = reachable.iter().copied().filter(|id| git.find_commit(*id).is_ok()).collect();
    let mut lost = unreachable(git, named, &known)?;
    if !lost.is_empty() {
        let mut all = known;
        for (name, tip) in refs::list(repo, "refs/")? {
            let tip = repo.object_id(&tip)?;
            if name != "refs/stash" && git.find_commit(tip).is_ok() {
                all.push(tip);
            }
        }
        lost = unreachable(git, lost, &all)?;
    }
    lost.extend(stashed.iter().copied());
    lost.retain(|id| pruned::is_sound(git, *id));
    let parents = parents_of(git, &lost);
    Ok(lost.into_iter().filter(|id| stashed.contains(id) || !parents.contains(id)).collect())
}

/// The last commit that the worktree had checked out, by its reflog.
pub(super) fn last_logged(git: &gix::Repository, entry: &Entry) -> Option<ObjectId> {
    let log = refs::reflog(git, &entry.dir, "HEAD");
    let line = log.lines().rfind(|line| !line.is_empty())?;
    let id = ObjectId::from_hex(line.split(|byte| b" \t".contains(byte)).nth(1)?).ok()?;
    git.find_commit(id).is_ok().then_some(id)
}

/// Commits named in the files of an entry.
fn named(git: &gix::Repository, dir: &Path) -> BTreeSet<ObjectId> {
    let mut open = vec![(dir.to_owned(), 0)];
    let mut found = BTreeSet::new();
    while let Some((dir, depth)) = open.pop() {
        for file in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let name = file.file_name();
            let skipped = SKIPPED.iter().any(|part| name.to_string_lossy().starts_with(part));
            match file.file_type() {
                Ok(kind) if kind.is_dir() && !skipped && depth < DEEPEST => open.push((file.path(), depth + 1)),
                Ok(kind) if kind.is_file() && !skipped => found.extend(ids(git, &file.path())),
                Ok(_) | Err(_) => {}
            }
        }
    }
    found
}

/// Commits named in a file.
fn ids(git: &gix::Repository, file: &Path) -> BTreeSet<ObjectId> {
    let small = file.symlink_metadata().is_ok_and(|about| about.is_file() && about.len() <= LARGEST);
    ids_in(git, &if small { fs::read(file).unwrap_or_default() } else { Vec::new() })
}

fn ids_in(git: &gix::Repository, text: &[u8]) -> BTreeSet<ObjectId> {
    let length = git.object_hash().len_in_hex();
    let words = text.split(|byte| !byte.is_ascii_hexdigit()).filter(|word| word.len() == length);
    let ids: BTreeSet<ObjectId> = words.filter_map(|word| ObjectId::from_hex(word).ok()).collect();
    ids.into_iter().filter(|id| git.find_commit(*id).is_ok()).collect()
}

/// Stashes are shared by all worktrees and stay where they are; those made on the branch, or on a commit that only this
/// worktree knows, are kept by a ref of their own too, because anybody may drop them.
fn stashes(
    repo: &Repo,
    git: &gix::Repository,
    branch: Option<&BranchRef>,
    named: &BTreeSet<ObjectId>,
) -> BTreeSet<ObjectId> {
    let text = refs::reflog(git, repo.common_dir(), "refs/stash");
    let mine = |line: &[u8]| {
        let (ids, message) = line.split_once_str("\t")?;
        let id = ObjectId::from_hex(ids.split_str(" ").nth(1)?).ok()?;
        let on = message.to_str_lossy();
        let on = on.strip_prefix("WIP on ").or_else(|| on.strip_prefix("On ")).unwrap_or_default().to_owned();
        let here = branch.is_some_and(|branch| on.starts_with(&format!("{}: ", branch.short())));
        let commit = git.find_commit(id).ok()?;
        let base = commit.parent_ids().next()?.detach();
        (here || on.starts_with("(no branch): ") && named.contains(&base)).then_some(id)
    };
    text.lines().filter_map(mine).collect()
}

/// Those of `tips` that none of `hidden` reaches.
fn unreachable(
    git: &gix::Repository,
    tips: BTreeSet<ObjectId>,
    hidden: &[ObjectId],
) -> Result<BTreeSet<ObjectId>, PortError> {
    let tips: BTreeSet<ObjectId> = tips.into_iter().filter(|tip| !hidden.contains(tip)).collect();
    if tips.is_empty() {
        return Ok(tips);
    }
    let failed = |error| git_error("cannot look for lost commits", error);
    let walk = git.rev_walk(tips.iter().copied()).with_hidden(hidden.iter().copied()).all().map_err(failed)?;
    let mut found = BTreeSet::new();
    for commit in walk.take(MOST) {
        match commit {
            Ok(commit) => found.insert(commit.id),
            // History that is not whole (shallow, damaged): better kept twice than lost.
            Err(_) => return Ok(tips),
        };
    }
    let all_seen = found.len() < MOST;
    Ok(tips.into_iter().filter(|tip| !all_seen || found.contains(tip)).collect())
}

/// Every commit below the given ones, among them.
fn parents_of(git: &gix::Repository, commits: &BTreeSet<ObjectId>) -> BTreeSet<ObjectId> {
    let mut below = BTreeSet::new();
    let mut open: Vec<ObjectId> = commits.iter().copied().collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        let Ok(commit) = git.find_commit(id) else { continue };
        for parent in commit.parent_ids().map(gix::Id::detach) {
            if commits.contains(&parent) {
                below.insert(parent);
            }
            // Lost lines are short; where one is not, its commits are named one by one.
            if seen.len() < MOST && seen.insert(parent) {
                open.push(parent);
            }
        }
    }
    below
}
