//! Ends every process that belongs together by a sign: the mark of an attempt in its environment, or a session. Clients put
//! their tools into sessions of their own and leave daemons behind, so that the process group is never all. Must not signal
//! by a bare pid.
//!
//! Finding is cheap and may be wrong about a pid that is reused meanwhile; ending is not: the pidfd is opened first, the
//! sign is looked for again after it, and the signal goes to the pidfd. A process that cleared its environment is not found
//! by the mark, nor one whose environment we may not read; its supervisor finds it, as the parent of all orphans.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::environment::MARK;
use super::identity::stat;

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
    sign: Sign,
    killed: BTreeSet<i32>,
    quiet: u8,
    deadline: Instant,
}

/// What shows that a process belongs to those to be ended.
#[derive(Debug)]
enum Sign {
    /// A variable of its environment, name and value.
    Variable(Vec<u8>),
    /// Its session.
    Session(i32),
}

impl Sweep {
    fn new(sign: Sign) -> Self {
        Self { sign, killed: BTreeSet::new(), quiet: 0, deadline: Instant::now() + PATIENCE }
    }

    fn of_attempt(attempt: &str) -> Self {
        Self::new(Sign::Variable(format!("{MARK}={attempt}").into_bytes()))
    }

    /// One pass; `Some` when it was the last one.
    fn pass(&mut self) -> Option<Swept> {
        let found = found(&self.sign);
        self.quiet = if found.is_empty() { self.quiet + 1 } else { 0 };
        // A killed process may be seen again until it is gone; it counts once.
        self.killed.extend(found.iter().filter(|pid| end(**pid, &self.sign)));
        let over = self.quiet == 2 || Instant::now() > self.deadline;
        over.then_some(Swept { killed: self.killed.len(), left: found.len() })
    }
}

/// Kills every process marked with the attempt until none is left.
pub fn sweep_blocking(attempt: &str) -> Swept {
    Sweep::of_attempt(attempt).blocking()
}

/// The same without blocking the event loop between passes; before it, everything in the session of a supervisor that died.
/// `session` is its pid, and it must not have been waited for, or the number could be another's.
pub(super) async fn after_supervisor(attempt: &str, session: i32) -> Swept {
    let by_session = Sweep::new(Sign::Session(session)).patient().await;
    let by_mark = Sweep::of_attempt(attempt).patient().await;
    Swept { killed: by_session.killed + by_mark.killed, left: by_session.left + by_mark.left }
}

impl Sweep {
    async fn patient(mut self) -> Swept {
        loop {
            if let Some(swept) = self.pass() {
                return swept;
            }
            if self.quiet == 0 {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn blocking(mut self) -> Swept {
        loop {
            if let Some(swept) = self.pass() {
                return swept;
            }
            if self.quiet == 0 {
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// Pids of all live processes with the sign, this one excepted.
fn found(sign: &Sign) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut buffer = Vec::new();
    processes().filter(|pid| *pid != own && carries(*pid, sign, &mut buffer)).collect()
}

/// Numbers of all processes.
fn processes() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
}

/// Whether a live process carries the sign. Dead and foreign processes have no environment to read.
fn carries(pid: i32, sign: &Sign, buffer: &mut Vec<u8>) -> bool {
    match sign {
        Sign::Session(session) => stat(pid).is_some_and(|stat| stat.session == *session && !stat.dead),
        Sign::Variable(wanted) => {
            buffer.clear();
            let Ok(mut file) = File::open(format!("/proc/{pid}/environ")) else { return false };
            file.read_to_end(buffer).is_ok() && buffer.split(|byte| *byte == 0).any(|variable| variable == wanted)
        }
    }
}

fn end(pid: i32, sign: &Sign) -> bool {
    end_if(pid, || carries(pid, sign, &mut Vec::new()))
}

/// Kills a process of which `still` holds once its number can no longer become another's.
fn end_if(pid: i32, still: impl FnOnce() -> bool) -> bool {
    let Some(raw) = Pid::from_raw(pid) else { return false };
    let Ok(pidfd) = pidfd_open(raw, PidfdFlags::empty()) else { return false };
    still() && pidfd_send_signal(&pidfd, Signal::KILL).is_ok()
}

/// Children of a process, the dead that nobody has collected included.
pub(super) fn children_of(pid: u32) -> Vec<i32> {
    // A kernel may be built without this list; then the parents of all processes tell.
    match std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")) {
        Ok(list) => list.split_whitespace().filter_map(|child| child.parse().ok()).collect(),
        Err(_) => {
            let is_child = |child: &i32| stat(*child).is_some_and(|stat| i32::try_from(pid) == Ok(stat.parent));
            processes().filter(is_child).collect()
        }
    }
}

/// Kills every descendant of this process that can be seen now, and returns their numbers.
pub(super) fn kill_descendants() -> Vec<i32> {
    let parents: Vec<(i32, i32)> = processes().filter_map(|pid| Some((pid, stat(pid)?.parent))).collect();
    let mut family = BTreeSet::from([i32::try_from(std::process::id()).unwrap_or(0)]);
    loop {
        let before = family.len();
        family.extend(
            parents.iter().filter(|(_, parent)| family.contains(parent)).map(|(pid, _)| *pid).collect::<Vec<_>>(),
        );
        if family.len() == before {
            break;
        }
    }
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let is_ours = |pid: i32| stat(pid).is_some_and(|stat| family.contains(&stat.parent) && !stat.dead);
    family.iter().copied().filter(|pid| *pid != own && end_if(*pid, || is_ours(*pid))).collect()
}
