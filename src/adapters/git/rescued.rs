//! What was rescued: listed, looked at, put on a branch. Must not delete a rescue ref, and must not move a branch.

use std::os::unix::ffi::OsStrExt;

use gix::bstr::ByteSlice;

use super::cli;
use super::refs::{self, Expected, RefError, RefUpdate, RefWriter};
use super::repo::{Repo, git_error, oid};
use super::rescue::RESCUE;
use crate::domain::names::{BranchRef, Oid, Timestamp};
use crate::engine::ports::PortError;

/// One rescue ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescued {
    /// Its name below `refs/orchestrate/rescue/`.
    pub name: String,
    /// Full name.
    pub reference: String,
    /// The commit.
    pub commit: Oid,
    /// When that was committed.
    pub at: Timestamp,
    /// Its message, as it is.
    pub message: String,
    /// Its parents with their subjects; the first is what it is compared with.
    pub parents: Vec<(Oid, String)>,
}

/// A changed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Path.
    pub path: String,
    /// Lines that came and lines that went; `None` for binary files.
    pub lines: Option<(u64, u64)>,
}

impl Rescued {
    /// First line of the message.
    pub fn subject(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }
}

/// Everything that is kept, newest first. One whose commit is gone is left out; `fsck` names it.
pub fn list(repo: &Repo) -> Result<Vec<Rescued>, PortError> {
    let git = repo.gix();
    let mut found = Vec::new();
    for (reference, commit) in refs::list(repo, RESCUE)? {
        found.extend(read(repo, &git, reference, commit)?);
    }
    found.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.name.cmp(&b.name)));
    Ok(found)
}

/// The line about rescued work in `status`; `None` when there is none. Changes nothing.
pub fn summary(repo: &Repo) -> Option<String> {
    let count = refs::list(repo, RESCUE).ok()?.len();
    (count > 0).then(|| format!("rescued: {count} kept; see: git orchestrate rescue"))
}

/// Most names that an error suggests.
const SUGGESTED: usize = 3;

/// What there is, by name; nothing where it cannot be listed.
fn names(repo: &Repo) -> Vec<String> {
    let all = refs::list(repo, RESCUE).unwrap_or_default().into_iter();
    all.filter_map(|(reference, _)| Some(reference.strip_prefix(RESCUE)?.to_owned())).collect()
}

/// The one with this name, or this full ref name.
pub fn find(repo: &Repo, name: &str) -> Result<Rescued, PortError> {
    let short = name.strip_prefix(RESCUE).unwrap_or(name);
    let reference = format!("{RESCUE}{short}");
    let unknown =
        || {
            let alike: Vec<String> =
                names(repo).into_iter().filter(|known| known.starts_with(short)).take(SUGGESTED).collect();
            let list = "list what is kept: git orchestrate rescue list";
            PortError::new(format!("nothing is kept under the name `{}`", name.escape_debug())).hint(
                if alike.is_empty() { list.to_owned() } else { format!("did you mean {}? {list}", alike.join(", ")) },
            )
        };
    if !refs::is_valid_name(&reference) {
        return Err(unknown());
    }
    let commit = refs::tip(repo, &reference)?.ok_or_else(unknown)?;
    let missing = || PortError::new(format!("{reference} names a commit that is gone")).hint("see: git fsck");
    read(repo, &repo.gix(), reference.clone(), commit)?.ok_or_else(missing)
}

/// What it changes against its first parent.
pub fn changes(repo: &Repo, rescued: &Rescued) -> Result<Vec<Changed>, PortError> {
    let mut diff = cli::git(repo);
    diff.args([
        "diff-tree",
        "-r",
        "-z",
        "--numstat",
        "--no-commit-id",
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
    ]);
    match rescued.parents.first() {
        Some((parent, _)) => diff.args([parent.as_str(), rescued.commit.as_str()]),
        None => diff.args(["--root", rescued.commit.as_str()]),
    };
    let printed = cli::run(&mut diff)?;
    let line = |line: &[u8]| {
        let mut parts = line.splitn(3, |byte| *byte == b'\t');
        let mut number = || parts.next()?.to_str().ok()?.parse::<u64>().ok();
        let lines = (number(), number());
        let path = std::ffi::OsStr::from_bytes(parts.next()?).to_string_lossy().into_owned();
        Some(Changed { path, lines: lines.0.zip(lines.1) })
    };
    Ok(printed.split(|byte| *byte == 0).filter_map(line).collect())
}

/// Makes a branch at the commit; one that exists is never moved.
pub fn restore(repo: &Repo, rescued: &Rescued, branch: &BranchRef) -> Result<(), PortError> {
    if !branch.as_str().starts_with("refs/heads/") || !refs::is_valid_name(branch.as_str()) {
        return Err(PortError::new(format!("`{}` is no branch name", branch.short().escape_debug())));
    }
    let new = Some(rescued.commit.clone());
    let update = RefUpdate { name: branch.as_str().to_owned(), expected: Expected::Absent, new };
    match RefWriter::new(repo).transaction(&[update]) {
        Err(RefError::Conflict { .. }) => {
            let message = format!("the branch {} exists and stays as it is", branch.short());
            Err(PortError::new(message).hint("choose another name with --branch"))
        }
        moved => Ok(moved?),
    }
}

fn read(repo: &Repo, git: &gix::Repository, reference: String, commit: Oid) -> Result<Option<Rescued>, PortError> {
    let Ok(found) = git.find_commit(repo.object_id(&commit)?) else { return Ok(None) };
    let failed = |error| git_error(format!("cannot read {commit}"), error);
    let message = found.message_raw().map_err(failed)?.to_str_lossy().trim_end().to_owned();
    let seconds = found.time().map_err(failed)?.seconds;
    let subject = |id: gix::ObjectId| {
        let parent = git.find_commit(id).ok();
        parent
            .and_then(|parent| Some(parent.message().ok()?.title.to_str_lossy().trim().to_owned()))
            .unwrap_or_default()
    };
    let parents = found.parent_ids().map(|id| (oid(id), subject(id.detach()))).collect();
    let name = reference.strip_prefix(RESCUE).unwrap_or(&reference).to_owned();
    let at = Timestamp(seconds.saturating_mul(1_000));
    Ok(Some(Rescued { name, reference, commit, at, message, parents }))
}
