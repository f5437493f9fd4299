//! Refs and HEAD of repositories that keep them in reftables, which git's library cannot read: asked of the git program, and
//! asked again only when the list of tables changed. Must not write, nor know what a ref means.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::refs::sync;
use super::{cli, stale};
use crate::domain::names::Oid;
use crate::engine::ports::PortError;

/// How often a lock that nobody has open is looked at again, and after how long: git closes it just before it is done.
const LOOKS: u32 = 20;
const LOOK: Duration = Duration::from_millis(50);

/// One line per ref: name, value, and what a symbolic one leads to.
const FORMAT: &str = "--format=%(refname)%00%(objectname)%00%(symref)";

/// What a ref or HEAD holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// An object.
    Object(Oid),
    /// Another ref, by its full name.
    Symbolic(String),
}

/// All refs as git listed them.
struct Listing {
    refs: BTreeMap<String, Value>,
    /// Git left some out: symbolic refs that lead nowhere, or damage.
    incomplete: bool,
}

/// An answer and the list of tables it was read from. The names of tables are never used twice, so that an equal list is an
/// equal content.
struct Known<T> {
    tables: Vec<u8>,
    answer: T,
}

type Answers<T> = Mutex<BTreeMap<PathBuf, Known<T>>>;

static LISTINGS: Answers<Arc<Listing>> = Mutex::new(BTreeMap::new());
static HEADS: Answers<Value> = Mutex::new(BTreeMap::new());

/// Whether a repository keeps its refs so, by its own configuration.
pub(super) fn are_used(git: &gix::Repository) -> bool {
    let config = git.config_snapshot();
    let own = |meta: &gix::config::file::Metadata| meta.source == gix::config::Source::Local;
    let storage = config.plumbing().string_filter("extensions.refStorage", own);
    storage.is_some_and(|storage| storage.eq_ignore_ascii_case(b"reftable"))
}

/// What a ref holds by its full name; `None` when it does not exist.
pub(super) fn value(common_dir: &Path, name: &str) -> Result<Option<Value>, PortError> {
    let listing = listing(common_dir)?;
    match listing.refs.get(name) {
        Some(value) => Ok(Some(value.clone())),
        None if listing.incomplete => Ok(symbolic(common_dir, common_dir, name)?.map(Value::Symbolic)),
        None => Ok(None),
    }
}

/// All refs below a prefix that are not symbolic, sorted by name.
pub(super) fn below(common_dir: &Path, prefix: &str) -> Result<Vec<(String, Oid)>, PortError> {
    let listing = listing(common_dir)?;
    let from = listing.refs.range(prefix.to_owned()..).take_while(|(name, _)| name.starts_with(prefix));
    let object = |(name, value): (&String, &Value)| match value {
        Value::Object(oid) => Some((name.clone(), oid.clone())),
        Value::Symbolic(_) => None,
    };
    Ok(from.filter_map(object).collect())
}

/// HEAD of the worktree whose private git directory is `git_dir`; every worktree has tables of its own.
pub(super) fn head(common_dir: &Path, git_dir: &Path) -> Result<Value, PortError> {
    remembered(&HEADS, git_dir, || {
        if let Some(to) = symbolic(common_dir, git_dir, "HEAD")? {
            return Ok(Value::Symbolic(to));
        }
        let mut parse = cli::git_dir(common_dir, git_dir);
        parse.args(["rev-parse", "--verify", "HEAD"]);
        let said = cli::run(&mut parse)?;
        Ok(Value::Object(Oid::new(String::from_utf8_lossy(&said).trim())))
    })
}

/// Whether the git directory of a worktree has tables of its own.
pub(super) fn are_in(git_dir: &Path) -> bool {
    tables(git_dir).is_dir()
}

/// What HEAD is set to.
pub(super) enum NewHead<'a> {
    /// A branch, born or not.
    Branch(&'a str),
    /// A commit.
    Commit(&'a Oid),
}

/// Sets HEAD of a worktree in which nobody works; in a directory that is being made, also its first tables.
pub(super) fn set_head(common_dir: &Path, git_dir: &Path, head: &NewHead<'_>) -> Result<(), PortError> {
    let mut command = cli::git_dir(common_dir, git_dir);
    command.args(["-c", "reftable.lockTimeout=10000", "-c", "core.fsync=reference"]);
    command.envs([("GIT_COMMITTER_NAME", "git-orchestrate"), ("GIT_COMMITTER_EMAIL", "git-orchestrate@localhost")]);
    match head {
        NewHead::Branch(name) => command.args(["symbolic-ref", "-m", "git-orchestrate", "HEAD", name]),
        NewHead::Commit(commit) => {
            command.args(["update-ref", "-m", "git-orchestrate", "--no-deref", "HEAD", commit.as_str()])
        }
    };
    cli::run(&mut command).map(drop)
}

/// Lays out a worktree's private directory as git does: what older programs read says that they cannot.
pub(super) fn lay_out(git_dir: &Path) -> std::io::Result<()> {
    fs::create_dir(tables(git_dir))?;
    fs::write(git_dir.join("HEAD"), "ref: refs/heads/.invalid\n")?;
    fs::write(git_dir.join("refs/heads"), "this repository uses the reftable format\n")
}

/// Makes the tables durable: git syncs their content, but not the rename.
pub(super) fn settle(common_dir: &Path) -> Result<(), PortError> {
    let folder = tables(common_dir);
    for name in String::from_utf8_lossy(&list_of(common_dir).unwrap_or_default()).lines() {
        sync(&folder.join(name))?;
    }
    sync(&folder.join("tables.list"))?;
    sync(&folder)
}

/// Removes the lock of the shared tables when the process that took it is gone; `true` then. The whole repository would stay
/// closed to writes. The caller has waited for it: git keeps the file open for as long as it needs it.
pub(super) fn clear_dead_lock(common_dir: &Path) -> bool {
    let lock = tables(common_dir).join("tables.list.lock");
    let standing = || lock.symlink_metadata().ok().map(|about| (about.ino(), about.uid()));
    let Some(first) = standing() else { return false };
    // The open files of other users' processes cannot be seen.
    let me = nix::unistd::geteuid();
    if first.1 != me.as_raw() && !me.is_root() {
        return false;
    }
    for _ in 0..LOOKS {
        if standing() != Some(first) || stale::is_open(&lock) {
            return false;
        }
        std::thread::sleep(LOOK);
    }
    standing() == Some(first) && fs::remove_file(&lock).is_ok()
}

fn listing(common_dir: &Path) -> Result<Arc<Listing>, PortError> {
    remembered(&LISTINGS, common_dir, || {
        let mut list = cli::git_dir(common_dir, common_dir);
        list.args(["for-each-ref", FORMAT]);
        let output = cli::output(&mut list)?;
        if !output.status.success() {
            return Err(cli::failed(&list, &output));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(Arc::new(Listing { refs: text.lines().filter_map(parse).collect(), incomplete: !output.stderr.is_empty() }))
    })
}

fn parse(line: &str) -> Option<(String, Value)> {
    let mut parts = line.split('\0');
    let (name, oid, to) = (parts.next()?, parts.next()?, parts.next()?);
    let value = if to.is_empty() { Value::Object(Oid::new(oid)) } else { Value::Symbolic(to.to_owned()) };
    Some((name.to_owned(), value))
}

/// What a symbolic ref leads to; `None` when it is absent or not symbolic.
fn symbolic(common_dir: &Path, git_dir: &Path, name: &str) -> Result<Option<String>, PortError> {
    let mut ask = cli::git_dir(common_dir, git_dir);
    ask.args(["symbolic-ref", "-q", "--no-recurse", name]);
    let output = cli::output(&mut ask)?;
    match output.status.code() {
        Some(0) => Ok(Some(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())),
        Some(1) => Ok(None),
        _ => Err(cli::failed(&ask, &output)),
    }
}

/// The answer as long as the list of tables is the same, else a new one. What changed while git looked is not remembered.
fn remembered<T: Clone>(
    answers: &Answers<T>,
    git_dir: &Path,
    ask: impl FnOnce() -> Result<T, PortError>,
) -> Result<T, PortError> {
    let before = list_of(git_dir);
    if let Some(known) = locked(answers).get(git_dir).filter(|known| Some(&known.tables) == before.as_ref()) {
        return Ok(known.answer.clone());
    }
    let answer = ask()?;
    if let Some(tables) = before.filter(|before| list_of(git_dir).as_ref() == Some(before)) {
        locked(answers).insert(git_dir.to_owned(), Known { tables, answer: answer.clone() });
    }
    Ok(answer)
}

fn list_of(git_dir: &Path) -> Option<Vec<u8>> {
    fs::read(tables(git_dir).join("tables.list")).ok()
}

fn tables(git_dir: &Path) -> PathBuf {
    git_dir.join("reftable")
}

fn locked<T>(answers: &Answers<T>) -> MutexGuard<'_, BTreeMap<PathBuf, Known<T>>> {
    answers.lock().unwrap_or_else(PoisonError::into_inner)
}
