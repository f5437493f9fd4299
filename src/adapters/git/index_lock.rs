//! The lock of a checkout's index, marked as ours, so that a killed process leaves none that anybody has to remove by hand.
//! Must not remove a lock that somebody else took.
//!
//! The mark is a file that its process keeps locked as long as it lives; it names the inode of the index lock. A mark that
//! nobody holds belongs to a dead process, and the lock with that inode is nobody's. A process that was killed between taking
//! the lock and naming it has left the path it was about to lock: an empty lock there, made after the mark and open in no
//! process, is nobody's either.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use super::admin::io_error;
use super::repo::git_error;
use super::stale;
use crate::engine::ports::PortError;

/// Longest time between a mark and the lock it is for: the wait for other programs and some more.
const LONGEST_WAIT_SECS: i64 = 60;

/// An index that nobody else writes; released on drop.
pub(super) struct IndexLock {
    taken_over: bool,
    lock: gix::lock::File,
    mark: Mark,
}

/// The file that says whose lock it is.
struct Mark {
    file: Flock<File>,
    path: PathBuf,
}

impl Drop for Mark {
    fn drop(&mut self) {
        // Without its lock it says nothing any more.
        drop(fs::remove_file(&self.path));
    }
}

impl IndexLock {
    /// Takes the lock of the index in `git_dir`, waiting for other programs at most `wait`; marks lie below `state_dir`.
    pub(super) fn take(state_dir: &Path, git_dir: &Path, wait: Duration) -> Result<Self, PortError> {
        let folder = state_dir.join("index-locks");
        fs::create_dir_all(&folder).map_err(|error| io_error("cannot make", &folder, error))?;
        let index = git_dir.join("index");
        let taken_over = clear_dead(&folder, &git_dir.join("index.lock"));
        let mark = Mark::make(&folder)?;
        mark.say(&intention(&git_dir.join("index.lock")))?;
        let wait = gix::lock::acquire::Fail::AfterDurationWithBackoff(wait);
        let lock = gix::lock::File::acquire_to_update_resource(&index, wait, None, 0)
            .map_err(|error| git_error(format!("cannot lock {}", index.display()), error))?;
        mark.say(&identity(&git_dir.join("index.lock")).unwrap_or_default())?;
        Ok(Self { taken_over, lock, mark })
    }

    /// Whether a process of ours was killed while it held the lock.
    pub(super) fn was_a_dead_ones(&self) -> bool {
        self.taken_over
    }

    /// Replaces the index with what `write` writes.
    pub(super) fn replace(
        self,
        write: impl FnOnce(&mut std::io::BufWriter<gix::lock::File>) -> Result<(), PortError>,
    ) -> Result<(), PortError> {
        let Self { lock, mark, .. } = self;
        let path = lock.resource_path();
        let mut out = std::io::BufWriter::new(lock);
        write(&mut out)?;
        let lock = out.into_inner().map_err(|error| io_error("cannot write", &path, error.into_error()))?;
        lock.commit().map_err(|error| io_error("cannot write", &path, error.error))?;
        drop(mark);
        Ok(())
    }
}

impl Mark {
    fn make(folder: &Path) -> Result<Self, PortError> {
        let failed = |error| io_error("cannot write below", folder, error);
        let (file, path) = tempfile::NamedTempFile::new_in(folder)
            .and_then(|file| file.keep().map_err(|error| error.error))
            .map_err(failed)?;
        let file = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| failed(errno.into()))?;
        Ok(Self { file, path })
    }

    /// Replaces what the mark says.
    fn say(&self, text: &str) -> Result<(), PortError> {
        let failed = |error| io_error("cannot write", &self.path, error);
        self.file.write_all_at(text.as_bytes(), 0).map_err(failed)?;
        self.file.set_len(text.len() as u64).map_err(failed)
    }
}

/// What a mark says before the lock is taken.
fn intention(lock: &Path) -> String {
    format!("taking {}", lock.display())
}

/// Whether the lock was left by the process that left `mark` before it could name it.
fn is_unnamed(mark: &Path, said: &str, lock: &Path) -> bool {
    let (Ok(mark), Ok(about)) = (mark.symlink_metadata(), lock.symlink_metadata()) else { return false };
    let made_after = about.ctime() >= mark.mtime() && about.ctime() - mark.mtime() <= LONGEST_WAIT_SECS;
    said == intention(lock) && about.len() == 0 && made_after && !stale::is_open(lock)
}

fn identity(lock: &Path) -> Option<String> {
    let about = lock.symlink_metadata().ok()?;
    Some(format!("{} {}", about.dev(), about.ino()))
}

/// Removes marks of dead processes, and `lock` where one of them names it: `true` then.
fn clear_dead(folder: &Path, lock: &Path) -> bool {
    let mut cleared = false;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Some(_held) =
            File::open(&path).ok().and_then(|file| Flock::lock(file, FlockArg::LockExclusiveNonblock).ok())
        else {
            continue;
        };
        let named = fs::read_to_string(&path).unwrap_or_default();
        let ours = identity(lock).is_some_and(|there| there == named) || is_unnamed(&path, &named, lock);
        if ours && fs::remove_file(lock).is_err() {
            continue;
        }
        cleared |= ours;
        // A mark of another checkout's lock stays until that one is taken; one that says nothing is of no use.
        if ours || named.is_empty() || named == intention(lock) {
            drop(fs::remove_file(&path));
        }
    }
    cleared
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Duration = Duration::ZERO;

    #[test]
    fn the_lock_of_a_dead_process_of_ours_is_taken_over_and_a_foreign_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (state, lock) = (dir.path().join("state"), dir.path().join("index.lock"));
        fs::write(&lock, "half an index").unwrap();
        assert!(IndexLock::take(&state, dir.path(), AT_ONCE).is_err());
        assert_eq!(fs::read(&lock).unwrap(), b"half an index");
        fs::write(state.join("index-locks/dead"), identity(&lock).unwrap()).unwrap();
        let taken = IndexLock::take(&state, dir.path(), AT_ONCE).unwrap();
        assert!(IndexLock::take(&state, dir.path(), AT_ONCE).is_err(), "a live lock of ours stays as well");
        assert!(lock.exists());
        drop(taken);
        assert!(!lock.exists());
        assert_eq!(fs::read_dir(state.join("index-locks")).unwrap().count(), 0);
    }

    #[test]
    fn a_lock_that_its_dead_process_could_not_name_is_taken_over_unless_it_has_content() {
        let dir = tempfile::tempdir().unwrap();
        let (state, lock) = (dir.path().join("state"), dir.path().join("index.lock"));
        fs::create_dir_all(state.join("index-locks")).unwrap();
        for (content, taken) in [("", true), ("somebody's index", false)] {
            fs::write(state.join("index-locks/dead"), intention(&lock)).unwrap();
            fs::write(&lock, content).unwrap();
            let ours = IndexLock::take(&state, dir.path(), AT_ONCE);
            assert_eq!(ours.as_ref().is_ok_and(IndexLock::was_a_dead_ones), taken, "{content}");
            drop(ours);
            assert_eq!(lock.exists(), !taken);
        }
    }
}
