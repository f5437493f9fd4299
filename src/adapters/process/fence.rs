//! The lock of an attempt's supervisor: held for as long as anything of the attempt may live. Taking it, and ending who
//! holds it. Must not signal a process by a number alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use rustix::process::{Signal, pidfd_send_signal};

use super::executor::attempt_folder;
use super::identity::Identity;
use super::sweep::{Swept, sweep_blocking};

/// How long a supervisor that was told to end may take; it gives up on processes that do not die a little earlier.
const PATIENCE: Duration = Duration::from_secs(8);

/// The same for one that was killed, and how long the next process of an attempt waits for the lock.
const DYING: Duration = Duration::from_secs(2);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(3);

/// The lock of an attempt's supervisor; `state_dir` is `<git common dir>/orchestrate`.
pub fn lock_path(state_dir: &Path, attempt: &str) -> PathBuf {
    attempt_folder(state_dir, attempt).join("supervisor.lock")
}

/// Whether a supervisor of the attempt lives.
pub fn is_alive(state_dir: &Path, attempt: &str) -> bool {
    is_held(&lock_path(state_dir, attempt))
}

/// Ends everything that an attempt left alive: first its supervisor, which ends what it watches over, then by the mark what
/// no supervisor watched over. Safe to repeat; cheap when there is nothing.
pub fn end(state_dir: &Path, attempt: &str) -> Swept {
    let still_held = end_holder(&lock_path(state_dir, attempt));
    let swept = sweep_blocking(attempt);
    Swept { left: swept.left + usize::from(still_held), ..swept }
}

/// Takes the lock for this process and writes down who it is. Waits a little for one that is about to end.
pub(super) fn take(path: &Path) -> io::Result<Flock<File>> {
    let give_up = Instant::now() + DYING;
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
    let mut file = Some(file);
    while let Some(open) = file.take() {
        match Flock::lock(open, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                lock.set_len(0)?;
                let own = Identity::own().map(|own| own.to_string()).unwrap_or_default();
                lock.write_all(own.as_bytes())?;
                return Ok(lock);
            }
            Err((open, Errno::EWOULDBLOCK)) if Instant::now() < give_up => {
                std::thread::sleep(LOOK);
                file = Some(open);
            }
            Err((_, Errno::EWOULDBLOCK)) => break,
            Err((_, errno)) => return Err(errno.into()),
        }
    }
    Err(io::Error::other("another process of this attempt is still at work"))
}

/// Ends who holds the lock; `true` when it is held all the same.
fn end_holder(path: &Path) -> bool {
    if !is_held(path) {
        return false;
    }
    // Asked first: only the supervisor knows all that it watches over. One that is stopped hears it when it goes on.
    signal(path, &[Signal::TERM, Signal::CONT]);
    if !stays_held(path, PATIENCE) {
        return false;
    }
    signal(path, &[Signal::KILL]);
    stays_held(path, DYING)
}

/// Signals the process that the lock names, if it still is that process.
fn signal(path: &Path, signals: &[Signal]) {
    let Some(pidfd) = fs::read_to_string(path).ok().and_then(|text| Identity::read(&text)?.open()) else { return };
    for signal in signals {
        let _ = pidfd_send_signal(&pidfd, *signal);
    }
}

fn stays_held(path: &Path, patience: Duration) -> bool {
    let give_up = Instant::now() + patience;
    while is_held(path) {
        if Instant::now() > give_up {
            return true;
        }
        std::thread::sleep(LOOK);
    }
    false
}

fn is_held(path: &Path) -> bool {
    // A shared lock is refused as long as somebody holds the exclusive one.
    File::open(path).is_ok_and(|file| Flock::lock(file, FlockArg::LockSharedNonblock).is_err())
}

#[cfg(test)]
#[path = "fence_tests.rs"]
mod tests;
