//! Which runs are alive: one lock file per run below `<state dir>/runs`, held for as long as the run's process lives.
//! Must not decide what a live run means.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::domain::names::RunId;
use crate::engine::ports::PortError;

/// Proof that this process executes a run; released on drop.
#[must_use]
pub struct RunLock {
    _lock: Flock<File>,
    path: PathBuf,
}

/// A live run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveRun {
    /// The run.
    pub run: RunId,
    /// Process id of its orchestrator.
    pub pid: i32,
}

impl RunLock {
    /// Takes the lock of a run; an error names the process that holds it.
    pub fn take(state_dir: &Path, run: &RunId) -> Result<Self, PortError> {
        let folder = state_dir.join("runs");
        let failed = |error| PortError::new(format!("cannot write below {}", folder.display())).because(error);
        fs::create_dir_all(&folder).map_err(failed)?;
        let path = folder.join(format!("{run}.lock"));
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(failed)?;
        let Ok(mut lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
            let holder =
                held(&path).map_or_else(|| "another process".to_owned(), |live| format!("process {}", live.pid));
            return Err(PortError::new(format!("run {run} is being executed by {holder}"))
                .hint("git orchestrate status shows it, git orchestrate stop ends it"));
        };
        lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id())).map_err(failed)?;
        Ok(Self { _lock: lock, path })
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // A file that stays is harmless: liveness is the lock, not the file.
        drop(fs::remove_file(&self.path));
    }
}

/// Removes the lock files of processes that were killed: those in `folder` that nobody holds.
pub fn clear_dead(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let file = path.extension().filter(|extension| *extension == "lock").and_then(|_| File::open(&path).ok());
        if let Some(_lock) = file.and_then(|file| Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()) {
            // While it is held, so that it is not taken meanwhile. One that resists is harmless and tried again next time.
            drop(fs::remove_file(&path));
        }
    }
}

/// Runs whose lock is held, oldest first.
pub fn live(state_dir: &Path) -> Vec<LiveRun> {
    let Ok(entries) = fs::read_dir(state_dir.join("runs")) else { return Vec::new() };
    let mut live: Vec<LiveRun> = entries.flatten().filter_map(|entry| held(&entry.path())).collect();
    live.sort_by(|a, b| a.run.cmp(&b.run));
    live
}

fn held(path: &Path) -> Option<LiveRun> {
    let run = path.file_name()?.to_str()?.strip_suffix(".lock")?;
    let mut file = File::open(path).ok()?;
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    // A shared lock is refused as long as the run holds its exclusive one.
    if Flock::lock(file, FlockArg::LockSharedNonblock).is_ok() {
        return None;
    }
    Some(LiveRun { run: RunId::new(run), pid: text.trim().parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_live_as_long_as_its_lock_is_held() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunId::new("20261121T000000-abc");
        assert_eq!(live(dir.path()), []);
        let lock = RunLock::take(dir.path(), &run).unwrap();
        assert_eq!(live(dir.path()), [LiveRun { run: run.clone(), pid: i32::try_from(std::process::id()).unwrap() }]);
        let refused = RunLock::take(dir.path(), &run).err().unwrap().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "the holder is named: {refused}");
        drop(lock);
        assert_eq!(live(dir.path()), []);
    }
    #[test]
    fn only_locks_that_nobody_holds_are_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let lock = RunLock::take(dir.path(), &RunId::new("20261121T000000-abc")).unwrap();
        let folder = dir.path().join("runs");
        std::fs::write(folder.join("20261120T000000-abc.lock"), "1").unwrap();
        std::fs::write(folder.join("other"), "").unwrap();
        clear_dead(&folder);
        let mut left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["20261121T000000-abc.lock", "other"]);
        drop(lock);
    }
}
