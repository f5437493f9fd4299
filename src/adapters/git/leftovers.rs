//! What killed processes left in the git directory: locks that nobody holds, drafts of objects, half-made entries of
//! worktrees. Must not touch anything that a live process may still be using.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::admin::{self, RegistryLock};
use super::repo::Repo;
use super::{stale, trash};
use crate::engine::ports::PortError;

/// A lock younger than this may belong to a command that runs now.
const LOCK_AGE: Duration = Duration::from_secs(60);

/// A draft younger than this may belong to a long fetch.
const DRAFT_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// What was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A lock file of git.
    Lock,
    /// A draft of an object, which git never clears away.
    Draft,
    /// An entry of a worktree that was never finished; git stops at it.
    Worktree,
}

/// Something that was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// What it is.
    pub what: What,
    /// Where it lies.
    pub path: PathBuf,
    /// Since when, as a span from now in either direction: clocks are set.
    pub age: Duration,
}

impl What {
    /// One word, also in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Lock => "stale-lock",
            Self::Draft => "left-draft",
            Self::Worktree => "half-made-worktree",
        }
    }
}

/// Everything that was left.
pub fn find(repo: &Repo) -> Result<Vec<Leftover>, PortError> {
    let mut found = Vec::new();
    let common = repo.common_dir();
    let state = repo.state_dir();
    let mut open = vec![common.to_owned()];
    while let Some(folder) = open.pop() {
        let in_objects = folder.starts_with(common.join("objects"));
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
            if kind.is_dir() {
                // Our own lock files say nothing by being there.
                if path != state {
                    open.push(path);
                }
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let ends = path.extension().is_some_and(|end| end == "lock");
            let (what, least) = match name {
                _ if kind.is_file() && ends && !in_objects => (What::Lock, LOCK_AGE),
                name if in_objects && kind.is_file() && name.starts_with(".tmp") => (What::Draft, DRAFT_AGE),
                _ => continue,
            };
            let Some(age) = age(&path).filter(|age| *age >= least) else { continue };
            found.push(Leftover { what, path, age });
        }
    }
    for entry in admin::entries(repo)?.into_iter().filter(|entry| !entry.whole) {
        let age = age(&entry.dir).unwrap_or_default();
        found.push(Leftover { what: What::Worktree, path: entry.dir, age });
    }
    if found.iter().any(|left| left.what != What::Draft) && is_git_at_work(repo) {
        found.retain(|left| left.what == What::Draft);
    }
    found.retain(|left| !stale::is_open(&left.path));
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Clears one away; returns where it is kept. A draft is half of an object that nobody names: it is deleted.
pub fn clear(repo: &Repo, left: &Leftover) -> Result<Option<PathBuf>, PortError> {
    match left.what {
        What::Draft => {
            let failed = |error| admin::io_error("cannot delete", &left.path, error);
            fs::remove_file(&left.path).map_err(failed).map(|()| None)
        }
        What::Lock => trash::put(repo, &left.path),
        What::Worktree => {
            let _lock = RegistryLock::acquire(repo)?;
            trash::put(repo, &left.path)
        }
    }
}

fn age(path: &Path) -> Option<Duration> {
    let modified = path.symlink_metadata().ok()?.modified().ok()?;
    let now = SystemTime::now();
    now.duration_since(modified).or_else(|_| modified.duration_since(now)).ok()
}

/// Whether any git works in this repository: it keeps locks that it has closed, while a person writes a message. Where
/// processes cannot be looked at, one may.
fn is_git_at_work(repo: &Repo) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return true };
    let mut places = vec![admin::real(repo.root()), admin::real(repo.common_dir())];
    places.extend(admin::entries(repo).into_iter().flatten().filter_map(|entry| entry.path).map(admin::real));
    processes.flatten().map(|entry| entry.path()).any(|process| {
        let git = fs::read(process.join("comm")).is_ok_and(|name| name.trim_ascii() == b"git");
        git && fs::read_link(process.join("cwd")).is_ok_and(|cwd| places.iter().any(|place| cwd.starts_with(place)))
    })
}
