//! Runs one process group to its end: limits of time and silence, asking and killing, then the sweep of what it left.
//! Must run on a tokio runtime with time and io; must not know agents.
//!
//! Order at the end: the leader is seen dead but is not reaped yet (its pid, and with it the group's number, cannot be
//! reused), the group is killed, the leader is reaped, the marked processes are swept. One process of an attempt at a time:
//! the sweep of one would end another of the same attempt.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use tokio::signal::unix::{Signal as Arrivals, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use super::output::{self, LogWatch};
use super::spawn::{self, Launch};
use super::sweep;
use crate::domain::diagnostic::escape_line;
use crate::engine::ports::{Cancel, CancelSignal, Ended};

/// Between two looks at the log.
const LOOK: Duration = Duration::from_millis(100);

/// Between two looks at a log that grows fast.
const LOOK_FLOOD: Duration = Duration::from_millis(5);

/// How a process is asked to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ask {
    /// SIGTERM.
    #[default]
    Terminate,
    /// SIGINT.
    Interrupt,
}

/// A process and its limits.
#[derive(Clone, Debug)]
pub struct Job {
    /// What to start.
    pub launch: Launch,
    /// Mark of everything it starts; must be in the environment as well.
    pub attempt: String,
    /// Wall-clock limit.
    pub timeout: Duration,
    /// Limit without output.
    pub idle: Option<Duration>,
    /// Between asking and killing.
    pub grace: Duration,
    /// How it is asked.
    pub ask: Ask,
    /// Length of the log in bytes.
    pub log_cap: u64,
}

/// What a process left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobEnd {
    /// How it ended.
    pub ended: Ended,
    /// Wall time in milliseconds, sweep included.
    pub millis: u64,
    /// Last lines of output, escaped.
    pub tail: String,
    /// Bytes of output left out of the log.
    pub left_out: u64,
    /// Leftover processes that had to be killed.
    pub swept: usize,
}

/// How often a killed group is looked for again, and after how long.
const GROUP_LOOKS: u32 = 50;
const GROUP_LOOK: Duration = Duration::from_millis(4);

/// Runs a job to its end.
pub async fn run(job: &Job, cancel: CancelSignal) -> JobEnd {
    let started = Instant::now();
    let (ended, left_out, swept) = match start(job, &cancel) {
        Ok(mut live) => {
            crate::fail_point::reach("agent-spawned");
            let ended = live.wait(cancel).await;
            crate::fail_point::reach("exit-written");
            let swept = sweep::sweep(&job.attempt).await.killed;
            live.until_the_group_is_gone().await;
            // Once more: what was written between the last look and the end counts against the cap as well.
            let _ = live.log.finish();
            (ended, live.log.left_out(), swept)
        }
        Err(ended) => (ended, 0, 0),
    };
    let mut tail = output::tail(&job.launch.log);
    if let (Ended::NotStarted(reason), true) = (&ended, tail.is_empty()) {
        tail.clone_from(reason);
    }
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    JobEnd { ended, millis, tail, left_out, swept }
}

fn start<'a>(job: &'a Job, cancel: &CancelSignal) -> Result<Live<'a>, Ended> {
    if *cancel.borrow() != Cancel::No {
        return Err(Ended::Cancelled);
    }
    let path = &job.launch.log;
    let log = LogWatch::open(path, job.log_cap)
        .map_err(|error| Ended::NotStarted(format!("cannot write {}: {error}", path.display())))?;
    // Before the child exists, so that its end cannot be missed.
    let children = signal(SignalKind::child()).ok();
    let child = spawn::launch(&job.launch)
        .map_err(|error| Ended::NotStarted(why(&job.launch.program, &job.launch.directory, &error)))?;
    let now = Instant::now();
    Ok(Live { job, child, children, log, deadline: now + job.timeout, active: now, look: now + LOOK, stopping: None })
}

fn why(program: &Path, directory: &Path, error: &std::io::Error) -> String {
    let program = escape_line(&program.display().to_string());
    if !directory.is_dir() {
        return format!("cannot start `{program}`: its directory {} is missing", directory.display());
    }
    match error.kind() {
        std::io::ErrorKind::NotFound => format!("cannot start `{program}`: no such program"),
        std::io::ErrorKind::ArgumentListTooLong => {
            format!("cannot start `{program}`: an argument is too long; hand the prompt over on stdin or in a file")
        }
        _ => format!("cannot start `{program}`: {error}"),
    }
}

/// A running job.
struct Live<'a> {
    job: &'a Job,
    child: Child,
    children: Option<Arrivals>,
    log: LogWatch,
    deadline: Instant,
    active: Instant,
    look: Instant,
    stopping: Option<Stopping>,
}

/// Why it is being ended, and when asking turns into killing.
struct Stopping {
    ended: Ended,
    kill_at: Option<Instant>,
}

impl Live<'_> {
    async fn wait(&mut self, mut cancel: CancelSignal) -> Ended {
        let mut listening = true;
        while !self.is_dead() {
            let wake = self.next_wake();
            tokio::select! {
                () = some_child_ended(self.children.as_mut()) => {}
                changed = cancel.changed(), if listening => match changed {
                    Ok(()) => {
                        let urgency = *cancel.borrow_and_update();
                        self.on_cancel(urgency);
                    }
                    // Whoever could cancel is gone; the limits still hold.
                    Err(_) => listening = false,
                },
                () = sleep_until(wake) => self.on_time(Instant::now()),
            }
        }
        let status = self.reap();
        match (self.stopping.take(), status) {
            (Some(stopping), _) => stopping.ended,
            (None, Ok(status)) => how(status),
            (None, Err(error)) => Ended::NotStarted(format!("its end could not be read: {error}")),
        }
    }

    fn next_wake(&self) -> Instant {
        match &self.stopping {
            Some(Stopping { kill_at: Some(at), .. }) => self.look.min(*at),
            Some(Stopping { kill_at: None, .. }) => self.look,
            None => self.look.min(self.deadline),
        }
    }

    fn on_time(&mut self, now: Instant) {
        if now >= self.look {
            let look = self.log.look().unwrap_or(output::Look { changed: true, floods: false });
            if look.changed {
                self.active = now;
            }
            self.look = now + if look.floods { LOOK_FLOOD } else { LOOK };
        }
        match &mut self.stopping {
            Some(stopping) if stopping.kill_at.is_some_and(|at| now >= at) => {
                stopping.kill_at = None;
                self.kill();
            }
            Some(_) => {}
            None if now >= self.deadline => self.ask(Ended::WallTimeout),
            None if self.job.idle.is_some_and(|idle| now >= self.active + idle) => self.ask(Ended::IdleTimeout),
            None => {}
        }
    }

    fn on_cancel(&mut self, urgency: Cancel) {
        match urgency {
            Cancel::No => {}
            Cancel::Ask if self.stopping.is_some() => {}
            Cancel::Ask => self.ask(Ended::Cancelled),
            Cancel::Kill => {
                let ended = self.stopping.take().map_or(Ended::Cancelled, |stopping| stopping.ended);
                self.stopping = Some(Stopping { ended, kill_at: None });
                self.kill();
            }
        }
    }

    fn ask(&mut self, ended: Ended) {
        let signal = match self.job.ask {
            Ask::Terminate => Signal::SIGTERM,
            Ask::Interrupt => Signal::SIGINT,
        };
        let _ = killpg(self.pid(), signal);
        self.stopping = Some(Stopping { ended, kill_at: Some(Instant::now() + self.job.grace) });
    }

    /// The group, and the leader by itself, which may have moved to another group. It is not reaped, so the pid is its own.
    fn kill(&self) {
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let _ = kill(self.pid(), Signal::SIGKILL);
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a pid fits the system's pid type"))
    }

    /// Whether the leader ended; it stays a zombie, so that its number stays its own.
    fn is_dead(&self) -> bool {
        let pid = WaitId::Pid(rustix::process::Pid::from_child(&self.child));
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(pid, look), Ok(None) | Err(rustix::io::Errno::INTR))
    }

    /// A killed process takes a moment to go. Zombies that nobody reaps count as members, hence the bound.
    async fn until_the_group_is_gone(&self) {
        for _ in 0..GROUP_LOOKS {
            if killpg(self.pid(), None) == Err(nix::errno::Errno::ESRCH) {
                return;
            }
            tokio::time::sleep(GROUP_LOOK).await;
        }
    }

    fn reap(&mut self) -> std::io::Result<ExitStatus> {
        let _ = killpg(self.pid(), Signal::SIGKILL);
        self.child.wait()
    }
}

/// Returns when any child of ours may have ended; never, where that cannot be listened for and the looks at the log have
/// to do.
async fn some_child_ended(children: Option<&mut Arrivals>) {
    let arrived = match children {
        Some(children) => children.recv().await,
        None => None,
    };
    if arrived.is_none() {
        std::future::pending::<()>().await;
    }
}

fn how(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exit(code),
        (None, Some(signal)) => Ended::Signal(signal),
        (None, None) => Ended::NotStarted("its end is unknown".to_owned()),
    }
}
