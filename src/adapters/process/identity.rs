//! Which process a number stood for: pid, start time and boot. A number is never signalled for its own sake; a pidfd is
//! opened first, and only then is it looked at whether the process is the one that was meant.

use std::fmt;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// What `/proc/<pid>/stat` says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// Parent.
    pub(super) parent: i32,
    /// Session, by the pid of its first process.
    pub(super) session: i32,
    /// Start in clock ticks since boot.
    pub(super) start: u64,
    /// Whether it has ended and only waits to be collected.
    pub(super) dead: bool,
}

/// Looks at a process; `None` when there is none of that number.
pub(super) fn stat(pid: i32) -> Option<Stat> {
    parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse(text: &str) -> Option<Stat> {
    // The name may hold anything, spaces and brackets included; what follows the last bracket cannot.
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
        dead: matches!(*fields.first()?, "Z" | "X" | "x"),
    })
}

/// A process that cannot be mistaken for a later one of the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Its number, as this machine counts.
    pub(super) pid: i32,
    start: u64,
    boot: String,
}

impl Identity {
    /// This process.
    pub(super) fn own() -> Option<Self> {
        let pid = i32::try_from(std::process::id()).ok()?;
        Some(Self { pid, start: stat(pid)?.start, boot: boot()? })
    }

    /// Reads what [`fmt::Display`] wrote.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let identity = Self {
            pid: words.next()?.parse().ok()?,
            start: words.next()?.parse().ok()?,
            boot: words.next()?.to_owned(),
        };
        words.next().is_none().then_some(identity)
    }

    /// A handle on the process; `None` when it is gone, even if its number is another's now.
    pub(super) fn open(&self) -> Option<OwnedFd> {
        let pidfd = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        // Only now: from here on the handle stays with the process that is looked at.
        let same = stat(self.pid)?.start == self.start && boot()? == self.boot;
        same.then_some(pidfd)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.pid, self.start, self.boot)
    }
}

/// The boot of this machine that is going on.
fn boot() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
