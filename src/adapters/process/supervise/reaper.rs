//! Ends every descendant of this process, however it tried to get away: to a subreaper, and to the first process of a
//! namespace, each orphan becomes a child. Must not be used in a process that has children of other kinds.
//!
//! Only own children are signalled by number: nobody else reaps them, so that their numbers cannot be another's.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{WaitOptions, WaitStatus, wait};

use super::super::sweep;

/// How long processes that do not die (uninterruptible wait, another user's) are waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(1);

/// Rounds after which grandchildren are hunted as well: something forks faster than its parents die.
const STORM: u32 = 5;

/// What an end left.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ended {
    /// How the leader ended, where that was not known before.
    pub(super) leader: Option<WaitStatus>,
    /// Processes killed, the leader not counted.
    pub(super) killed: usize,
    /// Processes that did not die.
    pub(super) left: usize,
}

/// Collects the dead; `Some` with the leader's end when it is among them.
pub(super) fn collect(leader: i32) -> Option<WaitStatus> {
    let mut found = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid.as_raw_nonzero().get() == leader {
            found = Some(status);
        }
    }
    found
}

/// Kills until no child is left.
pub(super) fn end_all(leader: i32) -> Ended {
    let mut ended = Ended::default();
    let mut killed = std::collections::BTreeSet::new();
    let give_up = Instant::now() + PATIENCE;
    for round in 0.. {
        ended.leader = ended.leader.or(collect(leader));
        let children = sweep::children_of(std::process::id());
        if children.is_empty() || Instant::now() > give_up {
            ended.left = children.len();
            break;
        }
        for child in &children {
            let _ = kill(Pid::from_raw(*child), Signal::SIGKILL);
        }
        killed.extend(children);
        if round > STORM {
            killed.extend(sweep::kill_descendants());
        }
        std::thread::sleep(PAUSE);
    }
    killed.remove(&leader);
    ended.killed = killed.len() - ended.left.min(killed.len());
    ended
}
