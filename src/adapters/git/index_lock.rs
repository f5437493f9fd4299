//! The lock of a checkout's index, marked as ours, so that a killed process leaves none that anybody has to remove by hand.
//! Must not remove a lock that somebody else took.
//!
//! The mark is a file that its process keeps locked as long as it lives; it names the inode of the index lock. A mark that
//! nobody holds belongs to a dead process, and the lock with that inode is nobody's.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use super::admin::io_error;
use super::repo::git_error;
use crate::engine::ports::PortError;

/// An index that nobody else writes; released on drop.
pub(super) struct IndexLock {
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
        clear_dead(&folder, &git_dir.join("index.lock"));
        let mark = Mark::make(&folder)?;
        let wait = gix::lock::acquire::Fail::AfterDurationWithBackoff(wait);
        let lock = gix::lock::File::acquire_to_update_resource(&index, wait, None, 0)
            .map_err(|error| git_error(format!("cannot lock {}", index.display()), error))?;
        mark.name(&git_dir.join("index.lock"))?;
        Ok(Self { lock, mark })
    }

    /// Replaces the index with what `write` writes.
    pub(super) fn replace(
        self,
        write: impl FnOnce(&mut std::io::BufWriter<gix::lock::File>) -> Result<(), PortError>,
    ) -> Result<(), PortError> {
        let Self { lock, mark } = self;
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

    fn name(&self, lock: &Path) -> Result<(), PortError> {
        let failed = |error| io_error("cannot write", &self.path, error);
        let text = identity(lock).unwrap_or_default();
        (&*self.file).write_all(text.as_bytes()).map_err(failed)
    }
}

fn identity(lock: &Path) -> Option<String> {
    let about = lock.symlink_metadata().ok()?;
    Some(format!("{} {}", about.dev(), about.ino()))
}

/// Removes marks of dead processes, and `lock` where one of them names it.
fn clear_dead(folder: &Path, lock: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Some(_held) =
            File::open(&path).ok().and_then(|file| Flock::lock(file, FlockArg::LockExclusiveNonblock).ok())
        else {
            continue;
        };
        let named = fs::read_to_string(&path).unwrap_or_default();
        let ours = !named.is_empty() && identity(lock).is_some_and(|there| there == named);
        if ours && fs::remove_file(lock).is_err() {
            continue;
        }
        // A mark of another checkout's lock stays until that one is taken; one that names nothing is of no use.
        if ours || named.is_empty() {
            drop(fs::remove_file(&path));
        }
    }
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
}
