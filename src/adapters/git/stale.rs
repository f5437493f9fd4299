//! Lock files that git left in the worktree of an attempt when it was killed with the agent that called it, and who has a
//! lock. Must not remove one where a person works: there it is named and stays.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::admin::{self, Entry};
use super::repo::Repo;
use crate::domain::names::BranchRef;

/// How often a git process that still works there is looked for again, and after how long: it was about to end.
const LOOKS: u32 = 100;
const LOOK: Duration = Duration::from_millis(20);

/// Removes the locks of an entry, and that of its branch, that no live process can release any more. The caller holds the
/// item's lock and has ended the processes of its attempts; what is left is a person's git, or a child of an orchestrator
/// that was killed, which is waited for. A lock that stays is found by whoever needs it.
pub(super) fn clear(repo: &Repo, entry: &Entry, path: &Path, branch: Option<&BranchRef>) {
    let place = admin::real(path);
    for _ in 0..LOOKS {
        let locks = locks(repo, entry, branch);
        if locks.is_empty() {
            return;
        }
        if !in_use(&place, &locks) {
            for lock in locks {
                drop(fs::remove_file(lock));
            }
            return;
        }
        std::thread::sleep(LOOK);
    }
}

/// Removes the lock of a story's branch that was left without its worktree: by a power cut, which can lose the one and keep
/// the other. One that stays the same for longer than git holds any is nobody's; the caller holds the item's lock.
pub(super) fn clear_branch(repo: &Repo, branch: &BranchRef) {
    let lock = repo.common_dir().join(format!("{}.lock", branch.as_str()));
    let identity = || lock.symlink_metadata().ok().map(|found| (found.ino(), found.mtime_nsec()));
    let first = identity();
    for _ in 0..LOOKS {
        if first.is_none() || identity() != first {
            return;
        }
        std::thread::sleep(LOOK);
    }
    if !is_open(&lock) {
        drop(fs::remove_file(lock));
    }
}

fn locks(repo: &Repo, entry: &Entry, branch: Option<&BranchRef>) -> Vec<PathBuf> {
    let own = ["index.lock", "HEAD.lock", "ORIG_HEAD.lock"].map(|name| entry.dir.join(name));
    let branch = branch.map(|branch| repo.common_dir().join(format!("{}.lock", branch.as_str())));
    own.into_iter().chain(branch).filter(|lock| lock.symlink_metadata().is_ok()).collect()
}

/// Whether any process has a file open; where processes cannot be looked at, it counts as open.
pub(super) fn is_open(file: &Path) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return true };
    let open = |process: fs::DirEntry| {
        let mut files = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        files.any(|open| fs::read_link(open.path()).is_ok_and(|open| open == file))
    };
    processes.flatten().any(open)
}

/// Age of a lock, who has it, and what helps, for a message: `made 2 h ago; no process has it open and no git works here; ...`.
pub(super) fn about(lock: &Path) -> String {
    let made = lock.symlink_metadata().and_then(|about| about.modified());
    let Ok(made) = made else { return "it was released meanwhile; try again".to_owned() };
    let seconds = SystemTime::now().duration_since(made).unwrap_or_default().as_secs();
    let age = match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    };
    let shown = lock.display();
    match holders(lock).as_slice() {
        [] => format!("made {age} ago, open in no process; if no git is at work here: rm '{shown}'"),
        some => format!("made {age} ago, held by {}; wait for it or end it", some.join(", ")),
    }
}

/// The lock file that git names in a message.
pub(super) fn named_in(message: &str) -> Option<PathBuf> {
    let end = message.find(".lock'")? + ".lock".len();
    let start = message[..end].rfind('\'')? + 1;
    Some(PathBuf::from(&message[start..end]))
}

/// Whether any git process works in the repository; where that cannot be seen, one does.
pub(super) fn git_at_work(repo: &Repo) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return true };
    let mut places: Vec<PathBuf> = vec![repo.root().to_owned(), repo.common_dir().to_owned()];
    places.extend(admin::entries(repo).unwrap_or_default().into_iter().filter_map(|entry| entry.path));
    let inside = |path: &Path| places.iter().any(|place| path.starts_with(place));
    let at_work = |process: PathBuf| {
        let Ok(name) = fs::read(process.join("comm")) else { return false };
        if !name.starts_with(b"git") || name.starts_with(b"git-orchestrat") {
            return false;
        }
        let Ok(cwd) = fs::read_link(process.join("cwd")) else {
            // Dead and not yet waited for, or another user's.
            return fs::read(process.join("cmdline")).is_ok_and(|line| !line.is_empty());
        };
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        let mut variables = environment.split(|byte| *byte == 0);
        let named = variables.any(|variable| {
            let value = variable.strip_prefix(b"GIT_DIR=").or_else(|| variable.strip_prefix(b"GIT_COMMON_DIR="));
            value.is_some_and(|value| inside(&cwd.join(std::ffi::OsStr::from_bytes(value))))
        });
        named || inside(&cwd)
    };
    processes.flatten().map(|process| process.path()).any(at_work)
}

/// Name and number of the processes that have a file open.
fn holders(file: &Path) -> Vec<String> {
    let open = |process: fs::DirEntry| {
        let mut files = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        let open = files.any(|open| fs::read_link(open.path()).is_ok_and(|open| open == file));
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        open.then(|| format!("{} (pid {})", name.trim().escape_debug(), process.file_name().to_string_lossy()))
    };
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(open).collect()
}

/// Whether a git works in the place, or anybody has one of the files open. Where processes cannot be looked at, everything
/// counts as in use.
fn in_use(place: &Path, locks: &[PathBuf]) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return true };
    let pids =
        processes.flatten().filter(|entry| entry.file_name().to_str().is_some_and(|name| name.parse::<i32>().is_ok()));
    pids.map(|entry| entry.path()).any(|process| {
        let git = fs::read(process.join("comm")).is_ok_and(|name| name.trim_ascii() == b"git");
        let here = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(place));
        let open = fs::read_dir(process.join("fd"));
        let holds = |file: fs::DirEntry| fs::read_link(file.path()).is_ok_and(|file| locks.contains(&file));
        git && here || open.is_ok_and(|files| files.flatten().any(holds))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_somebody_has_open_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().canonicalize().unwrap();
        let lock = place.join("index.lock");
        let file = fs::File::create(&lock).unwrap();
        assert!(in_use(&place, std::slice::from_ref(&lock)));
        let said = about(&lock);
        assert!(said.contains(&format!("(pid {})", std::process::id())), "{said}");
        drop(file);
        assert!(about(&lock).contains("open in no process"));
        assert!(!in_use(&place, &[lock]));
    }

    #[test]
    fn the_lock_in_a_message_of_git_is_found() {
        let said = "fatal: Unable to create '/a b/.git/packed-refs.lock': File exists.";
        assert_eq!(named_in(said), Some(PathBuf::from("/a b/.git/packed-refs.lock")));
        assert_eq!(named_in("fatal: nothing of that kind"), None);
    }
}
