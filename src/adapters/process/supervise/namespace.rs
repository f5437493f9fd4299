//! A PID namespace around the work, where one can be made: when its first process ends, however it ends, the kernel ends
//! all the others, also when engine and supervisor die in the same moment. Must not change what agents may do otherwise.
//!
//! With the right to do so (root, `CAP_SYS_ADMIN`) it costs agents nothing. Without it a user namespace is needed as well,
//! in which programs of root (sudo) do not work and ssh mistrusts its own configuration; so that is only made when asked
//! for.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::process::{Child, ExitCode, Stdio};

use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{getgid, getuid};

use super::super::spawn;
use super::signals::Signals;
use super::wire::{Finish, Report};
use super::work;

/// What is made around the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// Nothing.
    None,
    /// A PID namespace.
    Pid,
    /// A PID namespace in a user namespace.
    User,
}

impl Namespace {
    /// The word of it on a supervisor's command line.
    pub(in super::super) fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pid => "pid",
            Self::User => "user",
        }
    }

    /// Reads the word; nothing is made for a word that is not known.
    pub(super) fn read(word: &OsStr) -> Self {
        let all = [Self::Pid, Self::User];
        all.into_iter().find(|namespace| word == namespace.word()).unwrap_or(Self::None)
    }
}

/// Whether the namespace can be made here: makes one.
pub(super) fn probe(wanted: &OsStr) -> ExitCode {
    // An empty specification: the first process of the namespace enters it and finds that nobody wants anything.
    let report = work(Namespace::read(wanted), OsStr::new("probe"), &mut io::sink());
    if report.ended == Finish::Interrupted { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Does the work in a namespace, or in this process where there is to be none.
pub(super) fn work(namespace: Namespace, attempt: &OsStr, said: &mut impl Write) -> Report {
    if namespace == Namespace::None {
        return work::work(said);
    }
    let child = separate(namespace == Namespace::User).and_then(|()| {
        let args = [OsString::from("--inside"), attempt.to_owned()];
        spawn::supervisor(spawn::this_program(), &args, Stdio::inherit(), Stdio::piped())
    });
    match child.and_then(|child| Ok((child, Signals::listen()?))) {
        Ok((child, signals)) => attend(child, &signals, said),
        Err(error) => Report::of(Finish::NotStarted(format!("cannot make a PID namespace: {error}"))),
    }
}

/// From here on children of this process are in namespaces of their own.
fn separate(user: bool) -> io::Result<()> {
    if !user {
        return Ok(unshare(CloneFlags::CLONE_NEWPID)?);
    }
    let (user, group) = (getuid(), getgid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID)?;
    // The kernel wants this before a group is mapped without the right to.
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
}

/// The first process of the namespace, from the inside: ties its life to the supervisor's, and makes `/proc` show what is
/// in the namespace.
pub(super) fn enter() -> Result<(), String> {
    // Before the tie is looked at, or the supervisor could die in between.
    set_pdeathsig(Signal::SIGKILL).map_err(|errno| format!("cannot tie a process to its parent: {errno}"))?;
    if supervisor_is_gone() {
        return Err("its supervisor died".to_owned());
    }
    let _ = nix::unistd::setsid();
    let mounted = unshare(CloneFlags::CLONE_NEWNS)
        // What the user unmounts must go away here as well, and what is mounted here must not be seen outside.
        .and_then(|()| mount::<str, str, str, str>(None, "/", None, MsFlags::MS_SLAVE | MsFlags::MS_REC, None))
        .and_then(|()| {
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            mount::<str, str, str, str>(Some("proc"), "/proc", Some("proc"), flags, None)
        });
    mounted.map_err(|errno| format!("cannot show the processes of a PID namespace: {errno}"))
}

/// The supervisor reads the other end of our stderr, and nobody else does.
fn supervisor_is_gone() -> bool {
    let stderr = io::stderr();
    let mut polled = [PollFd::new(stderr.as_fd(), PollFlags::empty())];
    matches!(poll(&mut polled, PollTimeout::ZERO), Ok(1..))
}

/// Hands on what the first process of the namespace says, until it is gone and everything with it.
fn attend(mut child: Child, signals: &Signals, said: &mut impl Write) -> Report {
    let mut report = None;
    let mut interrupted = false;
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout);
        loop {
            if lines.buffer().is_empty() {
                let mut polled = [
                    PollFd::new(signals.as_fd(), PollFlags::POLLIN),
                    PollFd::new(lines.get_ref().as_fd(), PollFlags::POLLIN),
                ];
                let _ = poll(&mut polled, PollTimeout::NONE);
                if polled[0].any() == Some(true) && signals.asked_to_end() {
                    interrupted = true;
                    // Not waited for yet, so the number is its own; with it goes all that is in the namespace.
                    let _ = child.kill();
                }
                if polled[1].any() != Some(true) {
                    continue;
                }
            }
            let mut line = String::new();
            if !matches!(lines.read_line(&mut line), Ok(1..)) {
                break;
            }
            match Report::read(line.as_bytes()) {
                Some(found) => report = Some(found),
                None => {
                    let _ = said.write_all(line.as_bytes()).and_then(|()| said.flush());
                }
            }
        }
    }
    // Returns when nothing of the namespace is left.
    let _ = child.wait();
    let lost = if interrupted { Finish::Interrupted } else { Finish::Signal(Signal::SIGKILL as i32) };
    report.unwrap_or_else(|| Report::of(lost))
}
