//! Commits of what lies in a worktree: at the end of a phase on its branch, and as a rescue before it goes away. Must not
//! touch files of the worktree.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use gix::ObjectId;
use gix::bstr::{BString, ByteSlice};

use super::admin::{Entry, io_error};
use super::repo::{Repo, git_error};
use super::status::{self, Survey};
use super::{cli, refs};
use crate::domain::names::Timestamp;
use crate::engine::ports::PortError;

/// Address in every commit that an agent's work is recorded with.
pub const AGENT_ADDRESS: &str = "git-orchestrate-agent@localhost";

/// Address of the tool's own commits.
pub const TOOL_ADDRESS: &str = "git-orchestrate@localhost";

/// Identity of the tool itself.
pub const TOOL: &str = "git-orchestrate <git-orchestrate@localhost>";

/// Files of a private git directory that say a merge waits for its commit.
const MERGE_FILES: [&str; 4] = ["MERGE_HEAD", "MERGE_MSG", "MERGE_MODE", "AUTO_MERGE"];

/// What a commit is made of.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// Its tree.
    pub tree: ObjectId,
    /// Its parents.
    pub parents: &'a [ObjectId],
    /// `<name> <address>`; the committer is always the tool.
    pub author: &'a str,
    /// Its message; a final newline is added.
    pub message: &'a str,
    /// Its time, in UTC.
    pub at: Timestamp,
}

/// Writes a commit. Not durable: see [`sync_object`].
pub fn write_commit(git: &gix::Repository, draft: &Draft<'_>) -> Result<ObjectId, PortError> {
    let commit = gix::objs::Commit {
        tree: draft.tree,
        parents: draft.parents.iter().copied().collect(),
        author: signature(draft.author, draft.at),
        committer: signature(TOOL, draft.at),
        encoding: None,
        message: format!("{}\n", draft.message.trim_end()).into(),
        extra_headers: Vec::new(),
    };
    let id = git.write_object(&commit).map_err(|error| git_error("cannot write a commit", error))?;
    Ok(id.detach())
}

/// Makes a loose object survive a power cut; one in a pack has been synced by git.
pub fn sync_object(repo: &Repo, id: &ObjectId) -> Result<(), PortError> {
    sync_objects(repo, &BTreeSet::from([*id]))
}

/// [`sync_object`] for many, each directory once.
pub fn sync_objects(repo: &Repo, ids: &BTreeSet<ObjectId>) -> Result<(), PortError> {
    let objects = repo.common_dir().join("objects");
    let mut fans = BTreeSet::new();
    for id in ids {
        let hex = id.to_string();
        let (fan, rest) = hex.split_at(2);
        let fan = objects.join(fan);
        refs::sync(&fan.join(rest))?;
        fans.insert(fan);
    }
    fans.iter().chain([&objects]).try_for_each(|dir| refs::sync(dir))
}

/// Commits that wait in `MERGE_HEAD`.
pub fn merge_heads(git: &gix::Repository, entry: &Entry) -> Vec<ObjectId> {
    let text = fs::read(entry.dir.join("MERGE_HEAD")).unwrap_or_default();
    let ids = text.lines().filter_map(|line| ObjectId::from_hex(line.trim()).ok());
    ids.filter(|id| git.find_commit(*id).is_ok()).collect()
}

/// Forgets a merge that is committed now.
pub fn forget_merge(entry: &Entry) {
    for name in MERGE_FILES {
        let _ = fs::remove_file(entry.dir.join(name));
    }
}

/// Stages everything that is not ignored and returns its tree. `index` replaces the worktree's own.
pub fn stage_all(repo: &Repo, worktree: &Path, survey: &Survey, index: Option<&Path>) -> Result<ObjectId, PortError> {
    let mut add = git_in(repo, worktree, index)?;
    add.args(["-c", "core.safecrlf=false", "-c", "advice.addEmbeddedRepo=false", "add", "--all"]);
    let list = if survey.nested.is_empty() { None } else { Some(list_without_nested(repo, worktree, survey)?) };
    if let Some(list) = &list {
        let mut argument = std::ffi::OsString::from("--pathspec-from-file=");
        argument.push(list.path());
        add.arg(argument).arg("--pathspec-file-nul");
    }
    // An empty list would mean everything.
    if survey.dirty.len() > survey.nested.len() {
        cli::run(&mut add)?;
    }
    write_tree(repo, worktree, index)
}

/// The tree of the index.
pub fn write_tree(repo: &Repo, worktree: &Path, index: Option<&Path>) -> Result<ObjectId, PortError> {
    let mut write = git_in(repo, worktree, index)?;
    write.arg("write-tree");
    let printed = cli::run(&mut write)?;
    ObjectId::from_hex(printed.trim_ascii()).map_err(|_| PortError::new("git write-tree printed no object id"))
}

/// Commits everything in a worktree that HEAD does not hold, staged versions and unfinished merges included, durably and
/// without changing its index.
pub fn rescue(
    repo: &Repo,
    git: &gix::Repository,
    entry: &Entry,
    worktree: &Path,
    head: ObjectId,
    survey: &Survey,
    at: Timestamp,
) -> Result<ObjectId, PortError> {
    let head_tree = tree_of(git, head)?;
    let state = repo.state_dir();
    let scratch = tempfile::Builder::new().prefix("rescue-").tempdir_in(&state);
    let scratch = scratch.map_err(|error| io_error("cannot write in", &state, error))?;
    let file = scratch.path().join("index");
    let mut index = status::read_index(git, entry, head_tree)?;
    status::reveal(&mut index, worktree);
    index.set_path(&file);
    let options = gix::index::write::Options::default();
    index.write(options).map_err(|error| git_error("cannot copy the index", error))?;
    let mut parents = vec![head];
    let staged = survey.unmerged.is_empty().then(|| write_tree(repo, worktree, Some(&file))).transpose()?;
    let tree = stage_all(repo, worktree, survey, Some(&file))?;
    if let Some(staged) = staged.filter(|staged| *staged != tree && *staged != head_tree) {
        let message = format!("Index of {}", entry.name());
        let draft = Draft { tree: staged, parents: &[head], author: TOOL, message: &message, at };
        let id = write_commit(git, &draft)?;
        sync_object(repo, &id)?;
        parents.push(id);
    }
    parents.extend(merge_heads(git, entry));
    let message = format!("Work left in {}\n\n{}", entry.name(), listed(survey));
    let id = write_commit(git, &Draft { tree, parents: &parents, author: TOOL, message: &message, at })?;
    sync_object(repo, &id)?;
    Ok(id)
}

/// Tree of a commit, or the tree itself.
pub fn tree_of(git: &gix::Repository, id: ObjectId) -> Result<ObjectId, PortError> {
    let tree = git.find_object(id).and_then(|object| Ok(object.peel_to_tree()?.id));
    tree.map_err(|error| git_error(format!("{id} is no commit of this repository"), error))
}

/// Whether `ancestor` is reachable from `commit`.
pub fn contains(git: &gix::Repository, commit: ObjectId, ancestor: ObjectId) -> Result<bool, PortError> {
    if commit == ancestor {
        return Ok(true);
    }
    let failed = |error| git_error(format!("cannot compare {commit} and {ancestor}"), error);
    let bases = git.merge_bases_many(commit, &[ancestor]).map_err(failed)?;
    Ok(bases.iter().any(|base| base.detach() == ancestor))
}

/// Splits `<name> <address>`; without an address it is an agent's.
fn signature(who: &str, at: Timestamp) -> gix::actor::Signature {
    let split = who.rsplit_once('<').and_then(|(name, rest)| Some((name.trim(), rest.trim().strip_suffix('>')?)));
    let (name, address) = split.unwrap_or((who.trim(), AGENT_ADDRESS));
    // Characters that would end a field of the commit header.
    let clean = |text: &str| text.chars().filter(|c| !c.is_control() && !"<>".contains(*c)).collect::<String>();
    let time = gix::date::Time { seconds: at.0.div_euclid(1_000), offset: 0 };
    gix::actor::Signature { name: BString::from(clean(name)), email: BString::from(clean(address)), time }
}

fn git_in(repo: &Repo, worktree: &Path, index: Option<&Path>) -> Result<Command, PortError> {
    let mut command = cli::git_in(repo, worktree)?;
    if let Some(index) = index {
        // Only rescues have an index of their own, and they must be durable.
        command.env("GIT_INDEX_FILE", index).args(["-c", "core.fsync=loose-object"]);
    }
    Ok(command)
}

/// The paths to stage when there are repositories inside the worktree: git would stage them as links to commits that
/// nobody else has, or refuse.
fn list_without_nested(repo: &Repo, worktree: &Path, survey: &Survey) -> Result<tempfile::NamedTempFile, PortError> {
    let state = repo.state_dir();
    let failed = |error| io_error("cannot write in", &state, error);
    let file = tempfile::NamedTempFile::new_in(&state).map_err(failed)?;
    let wanted = survey.dirty.difference(&survey.nested);
    let there = wanted.filter(|path| worktree.join(path).symlink_metadata().is_ok());
    let text = there.fold(String::new(), |text, path| text + path + "\0");
    fs::write(file.path(), text).map_err(failed)?;
    Ok(file)
}

fn listed(survey: &Survey) -> String {
    let shown = survey.dirty.iter().take(100).map(|path| path.escape_debug().to_string());
    let mut lines: Vec<String> = shown.collect();
    if survey.dirty.len() > lines.len() {
        lines.push(format!("and {} more", survey.dirty.len() - lines.len()));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_cannot_break_out_of_its_header_line() {
        let who = signature("python-developer via demo <git-orchestrate-agent@localhost>", Timestamp(5_000));
        assert_eq!(
            (who.name.to_string(), who.email.to_string()),
            ("python-developer via demo".into(), AGENT_ADDRESS.into())
        );
        assert_eq!(who.time.seconds, 5);
        let who = signature("a\nparent b> <x>y<z>", Timestamp(0));
        assert!(!who.name.contains(&b'\n') && !who.name.contains(&b'>'), "{who:?}");
        assert_eq!(signature("somebody", Timestamp(0)).email, AGENT_ADDRESS);
    }
}
