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
use super::status::Survey;
use super::{cli, merge, refs};
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

/// What is staged of a worktree.
#[derive(Clone, Debug, Default)]
pub struct Staging<'a> {
    /// Paths that differ.
    pub dirty: BTreeSet<&'a str>,
    /// Those of them that are left out.
    pub without: BTreeSet<&'a str>,
    /// Ignored paths that are staged all the same.
    pub forced: &'a [String],
}

impl<'a> Staging<'a> {
    /// Everything but repositories inside: git would stage them as links to commits that nobody else has, or refuse.
    pub fn of(survey: &'a Survey) -> Self {
        Self {
            dirty: survey.dirty.iter().map(String::as_str).collect(),
            without: survey.nested.iter().map(String::as_str).collect(),
            forced: &[],
        }
    }
}

/// Stages and returns the tree. `index` replaces the worktree's own.
pub fn stage(repo: &Repo, worktree: &Path, staging: &Staging<'_>, index: Option<&Path>) -> Result<ObjectId, PortError> {
    let add = |list: Option<&tempfile::NamedTempFile>, how: &str| {
        let mut add = git_in(repo, worktree, index)?;
        add.args(["-c", "core.safecrlf=false", "-c", "advice.addEmbeddedRepo=false", "add", "--sparse", how]);
        if let Some(list) = list {
            let mut argument = std::ffi::OsString::from("--pathspec-from-file=");
            argument.push(list.path());
            add.arg(argument).arg("--pathspec-file-nul");
        }
        cli::run(&mut add).map(drop)
    };
    let wanted: Vec<&str> = staging.dirty.difference(&staging.without).copied().collect();
    if staging.without.is_empty() && !wanted.is_empty() {
        add(None, "--all")?;
    } else {
        let known = git_known(repo, worktree, index)?;
        let there = |path: &&str| lies_there(worktree, path) || known.contains(*path);
        // An empty list would mean everything.
        if let Some(list) = list_of(repo, &wanted.into_iter().filter(there).collect::<Vec<_>>())? {
            add(Some(&list), "--all")?;
        }
    }
    let forced: Vec<&str> = staging.forced.iter().map(String::as_str).collect();
    if let Some(list) = list_of(repo, &forced)? {
        // `update-index` does not ask what is ignored.
        let mut update = git_in(repo, worktree, index)?;
        let list = fs::File::open(list.path()).map_err(|error| io_error("cannot read", list.path(), error))?;
        update.args(["-c", "core.safecrlf=false", "update-index", "--add", "-z", "--stdin"]).stdin(list);
        cli::run(&mut update)?;
    }
    write_tree(repo, worktree, index)
}

/// Paths whose staged content is neither in the tree `before` nor in `after`.
pub fn staged_only(
    git: &gix::Repository,
    staged: ObjectId,
    before: ObjectId,
    after: ObjectId,
) -> Result<Vec<String>, PortError> {
    if staged == before || staged == after {
        return Ok(Vec::new());
    }
    let came = merge::changes(git, before, staged)?;
    let went = merge::changes(git, staged, after)?;
    let both = came.iter().filter(|(path, change)| change.new.is_some() && went.contains_key(*path));
    Ok(both.map(|(path, _)| path.to_str_lossy().into_owned()).collect())
}

/// The tree of the index.
pub fn write_tree(repo: &Repo, worktree: &Path, index: Option<&Path>) -> Result<ObjectId, PortError> {
    let mut write = git_in(repo, worktree, index)?;
    write.arg("write-tree");
    let printed = cli::run(&mut write)?;
    let tree = ObjectId::from_hex(printed.trim_ascii());
    let tree = tree.map_err(|_| PortError::new("git write-tree printed no object id"))?;
    if tree.is_empty_tree() {
        // Git knows it without an object, and then misses it in `fsck`.
        let git = repo.gix();
        git.write_object(gix::objs::Tree::empty()).map_err(|error| git_error("cannot write the empty tree", error))?;
    }
    Ok(tree)
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
    // What is not there is in no history that is whole: a landing that was intended, and whose commits a gc took since.
    if !git.is_shallow().unwrap_or(true) && !git.has_object(ancestor) {
        return Ok(false);
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
    let Some(index) = index else { return cli::git_in(repo, worktree) };
    // Only rescues have an index of their own: they must be durable, and work where the worktree's HEAD is lost, without
    // which git takes its private directory for none.
    let mut command = cli::git(repo);
    command.current_dir(worktree).env("GIT_WORK_TREE", worktree);
    command.env("GIT_INDEX_FILE", index).args(["-c", "core.fsync=loose-object"]);
    Ok(command)
}

/// Paths of the index.
fn git_known(repo: &Repo, worktree: &Path, index: Option<&Path>) -> Result<BTreeSet<String>, PortError> {
    let file = match index {
        Some(index) => index.to_owned(),
        None => cli::git_dir_of(repo, worktree)?.join("index"),
    };
    let options = gix::index::decode::Options::default();
    let Ok(index) = gix::index::File::at(&file, repo.object_hash(), false, options) else { return Ok(BTreeSet::new()) };
    Ok(index.entries().iter().map(|entry| entry.path(&index).to_str_lossy().into_owned()).collect())
}

/// Whether something is at the path itself, not behind a symbolic link.
pub(super) fn lies_there(worktree: &Path, path: &str) -> bool {
    let path = Path::new(path);
    let behind = path.ancestors().skip(1).any(|above| worktree.join(above).is_symlink() && above != Path::new(""));
    !behind && worktree.join(path).symlink_metadata().is_ok()
}

/// A file with the paths, one after the other; `None` without any.
fn list_of(repo: &Repo, paths: &[&str]) -> Result<Option<tempfile::NamedTempFile>, PortError> {
    if paths.is_empty() {
        return Ok(None);
    }
    let state = repo.state_dir();
    let failed = |error| io_error("cannot write in", &state, error);
    let file = tempfile::NamedTempFile::new_in(&state).map_err(failed)?;
    let text = paths.iter().fold(String::new(), |text, path| text + path + "\0");
    fs::write(file.path(), text).map_err(failed)?;
    Ok(Some(file))
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
