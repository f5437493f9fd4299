//! What a killed git leaves in the shared directory: an entry of a worktree that stops every git command in the repository,
//! locks that nobody will release. Must not remove what may be somebody's: that is named, with its age and who has it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use gix::bstr::ByteSlice;

use super::admin::{self, Head, RegistryLock};
use super::commit::TOOL_ADDRESS;
use super::repo::Repo;
use super::{stale, trash};
use crate::engine::ports::PortError;

/// How often something that may be under way is looked at again, and after how long.
const LOOKS: u32 = 100;
const LOOK: Duration = Duration::from_millis(20);

/// What was not touched for so long is not under way: longer than git takes between two steps of the same command.
const SETTLED: Duration = Duration::from_secs(2);

/// A ref transaction of ours never lasts so long.
const ABANDONED: Duration = Duration::from_secs(60);

/// Locks of the shared directory that are never ours: git and other programs take them.
const FOREIGN: [&str; 4] = ["packed-refs.lock", "HEAD.lock", "config.lock", "index.lock"];

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mended {
    /// What was done, one sentence each.
    pub done: Vec<String>,
    /// What is left to a person, one sentence each.
    pub left: Vec<String>,
}

/// Sets aside what stops git in the whole repository, and removes ref locks of ours and of dead agents. Costs a few listings
/// where nothing is wrong.
pub fn mend(repo: &Repo) -> Mended {
    let mut mended = Mended::default();
    set_aside_breaking(repo, &mut mended);
    clear_locks(repo, &mut mended);
    mended
}

/// An empty `commondir` stops `worktree`, `gc`, `fsck` and pushes in the whole repository, whoever's it is; `git worktree
/// prune` does not help. The entry goes to the trash as it is.
fn set_aside_breaking(repo: &Repo, mended: &mut Mended) {
    let breaks = |dir: &Path| dir.join("commondir").metadata().is_ok_and(|about| about.is_file() && about.len() == 0);
    let worktrees = repo.common_dir().join("worktrees");
    let listed = fs::read_dir(worktrees).into_iter().flatten().flatten().map(|entry| entry.path());
    for dir in listed.filter(|dir| breaks(dir)).collect::<Vec<_>>() {
        // Git writes the file in two steps.
        if !outlasts(&dir, || breaks(&dir)) {
            continue;
        }
        let moved = RegistryLock::acquire(repo).and_then(|_lock| trash::put(repo, &dir));
        let shown = dir.display();
        match moved {
            Ok(Some(place)) => mended.done.push(format!(
                "{shown} had an empty commondir, which stops git in the whole repository; it is kept in {}",
                place.display()
            )),
            Ok(None) => {}
            Err(PortError { message, .. }) => mended.left.push(format!(
                "{shown} has an empty commondir, which stops git in the whole repository; move it away ({message})"
            )),
        }
    }
}

fn clear_locks(repo: &Repo, mended: &mut Mended) {
    let common = repo.common_dir();
    let ours = branches_of_ours(repo);
    for lock in locks_below(&common.join("refs")) {
        let shown = lock.strip_prefix(common).unwrap_or(&lock).display().to_string();
        let record = shown.starts_with("refs/orchestrate");
        let branch = shown.strip_suffix(".lock").unwrap_or(&shown);
        let is_ours = record || ours.iter().any(|ours| ours == branch) || is_by_us(repo, &lock);
        if is_ours && is_dead(repo, &lock, record) && fs::remove_file(&lock).is_ok() {
            mended.done.push(format!("{shown} was left by a process that is gone; removed"));
        } else if age(&lock).is_some_and(|age| age > ABANDONED) {
            mended.left.push(left_lock(&lock));
        }
    }
    let foreign = FOREIGN.map(|name| common.join(name));
    for lock in foreign.iter().filter(|lock| age(lock).is_some_and(|age| age > ABANDONED)) {
        mended.left.push(left_lock(lock));
    }
}

fn left_lock(lock: &Path) -> String {
    format!("{} is locked: {}", lock.with_extension("").display(), stale::about(lock))
}

/// Full names of the branches in worktrees of ours.
fn branches_of_ours(repo: &Repo) -> Vec<String> {
    let entries = admin::entries(repo).unwrap_or_default().into_iter().filter(admin::Entry::is_ours);
    entries
        .filter_map(|entry| match entry.head {
            Head::Branch(branch) => Some(branch.as_str().to_owned()),
            Head::Detached(_) | Head::Unreadable => None,
        })
        .collect()
}

/// Whether the value that was about to be written is a commit that we made.
fn is_by_us(repo: &Repo, lock: &Path) -> bool {
    let Ok(text) = fs::read(lock) else { return false };
    let Ok(id) = gix::ObjectId::from_hex(text.trim()) else { return false };
    let git = repo.gix();
    git.find_commit(id).is_ok_and(|commit| {
        commit.committer().is_ok_and(|committer| committer.email == TOOL_ADDRESS.as_bytes().as_bstr())
    })
}

/// Whether nobody will release a lock. A record's lock is taken by our own writer only, and never for long.
fn is_dead(repo: &Repo, lock: &Path, record: bool) -> bool {
    let abandoned = || record && age(lock).is_some_and(|age| age > ABANDONED);
    let free = || !stale::is_open(lock) && (abandoned() || !stale::git_at_work(repo));
    outlasts(lock, || lock.symlink_metadata().is_ok()) && free()
}

/// Whether something stays as it is for as long as anybody would be at it.
fn outlasts(what: &Path, holds: impl Fn() -> bool) -> bool {
    for _ in 0..LOOKS {
        if !holds() {
            return false;
        }
        if age(what).is_some_and(|age| age >= SETTLED) {
            return true;
        }
        std::thread::sleep(LOOK);
    }
    holds()
}

/// Time since the last change; nothing for what is gone, zero for a time to come.
fn age(path: &Path) -> Option<Duration> {
    let changed = path.symlink_metadata().ok()?.modified().ok()?;
    Some(SystemTime::now().duration_since(changed).unwrap_or_default())
}

fn locks_below(dir: &Path) -> Vec<PathBuf> {
    let mut open = vec![dir.to_owned()];
    let mut found = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                // No ref may be called so.
                Ok(_) if entry.file_name().as_encoded_bytes().ends_with(b".lock") => found.push(entry.path()),
                Ok(_) | Err(_) => {}
            }
        }
    }
    found.sort();
    found
}
