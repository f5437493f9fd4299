//! Ends every process whose environment carries the mark of an attempt: clients put their tools into sessions of their own
//! and leave daemons behind, so that the process group is never all. Must not signal by a bare pid.
//!
//! Finding is cheap and may be wrong about a pid that is reused meanwhile; ending is not: the pidfd is opened first, the
//! environment is read again after it, and the signal goes to the pidfd. A process that cleared its environment is not
//! found, nor one whose environment we may not read.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::environment::MARK;

/// How long marked processes that do not die (uninterruptible sleep) are waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two passes, so that killed processes are gone.
const PAUSE: Duration = Duration::from_millis(2);

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Processes that were killed.
    pub killed: usize,
    /// Marked processes that were still there at the end.
    pub left: usize,
}

/// A sweep under way. Over when two passes in a row found nothing: one pass can miss a child whose parent forked it and
/// died while the list was read.
#[derive(Debug)]
struct Sweep {
    needle: Vec<u8>,
    killed: BTreeSet<i32>,
    quiet: u8,
    deadline: Instant,
}

impl Sweep {
    fn new(attempt: &str) -> Self {
        let needle = format!("{MARK}={attempt}").into_bytes();
        Self { needle, killed: BTreeSet::new(), quiet: 0, deadline: Instant::now() + PATIENCE }
    }

    /// One pass; `Some` when it was the last one.
    fn pass(&mut self) -> Option<Swept> {
        let found = marked(&self.needle);
        self.quiet = if found.is_empty() { self.quiet + 1 } else { 0 };
        // A killed process may be seen again until it is gone; it counts once.
        self.killed.extend(found.iter().filter(|pid| end(**pid, &self.needle)));
        let over = self.quiet == 2 || Instant::now() > self.deadline;
        over.then_some(Swept { killed: self.killed.len(), left: found.len() })
    }
}

/// Kills every process marked with the attempt until none is left, without blocking the event loop between passes.
pub async fn sweep(attempt: &str) -> Swept {
    let mut sweep = Sweep::new(attempt);
    loop {
        if let Some(swept) = sweep.pass() {
            return swept;
        }
        if sweep.quiet == 0 {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The same where no event loop runs.
pub fn sweep_blocking(attempt: &str) -> Swept {
    let mut sweep = Sweep::new(attempt);
    loop {
        if let Some(swept) = sweep.pass() {
            return swept;
        }
        if sweep.quiet == 0 {
            std::thread::sleep(PAUSE);
        }
    }
}

/// Pids of all live processes with the mark, this one excepted.
fn marked(needle: &[u8]) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut buffer = Vec::new();
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != own && carries(*pid, needle, &mut buffer))
        .collect()
}

/// Whether a live process's environment holds the mark. Dead and foreign processes have nothing to read.
fn carries(pid: i32, needle: &[u8], buffer: &mut Vec<u8>) -> bool {
    buffer.clear();
    let Ok(mut file) = File::open(format!("/proc/{pid}/environ")) else { return false };
    file.read_to_end(buffer).is_ok() && buffer.split(|byte| *byte == 0).any(|variable| variable == needle)
}

fn end(pid: i32, needle: &[u8]) -> bool {
    let Some(raw) = Pid::from_raw(pid) else { return false };
    let Ok(pidfd) = pidfd_open(raw, PidfdFlags::empty()) else { return false };
    carries(pid, needle, &mut Vec::new()) && pidfd_send_signal(&pidfd, Signal::KILL).is_ok()
}
