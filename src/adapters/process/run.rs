//! Runs one process to its end by a supervisor of its own, which enforces the limits and ends what is left. This side says
//! how urgent it is, and survives a supervisor that does not. Must run on a tokio runtime with time and io; must not know
//! agents.
//!
//! One process of an attempt at a time: the supervisor's lock and the sweep are the attempt's.

use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::time::{Instant, sleep_until, timeout};

use super::spawn::Launch;
use super::supervise::wire::{ASK, Finish, KILL, Report, STARTED, Spec};
use super::supervisor::Supervisor;
use super::{output, past, sweep};
use crate::domain::diagnostic::escape_line;
use crate::engine::ports::{Cancel, CancelSignal, Ended};
use crate::fail_point;

/// How much longer than its limits a supervisor may take before it is given up. It waits up to 5 s each for its children
/// and for marked processes that do not die, and 2 s for an earlier one of the attempt.
const SLACK: Duration = Duration::from_secs(30);

/// Longest line a supervisor says, in bytes; a report is far shorter.
const LINE: usize = 64 * 1024;

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
    /// What must not reach the log.
    pub secrets: Vec<String>,
    /// Who watches over it.
    pub supervisor: Supervisor,
    /// Lock of the attempt's supervisor, in a folder that exists.
    pub lock: PathBuf,
    /// Where it is written down how it ended.
    pub exit: PathBuf,
}

/// What a process left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobEnd {
    /// How it ended.
    pub ended: Ended,
    /// Wall time in milliseconds, sweep included.
    pub millis: u64,
    /// Last lines of output, escaped; then what else is to be said of the end.
    pub tail: String,
    /// Bytes of output left out of the log.
    pub left_out: u64,
    /// Leftover processes that had to be killed.
    pub swept: usize,
}

/// Runs a job to its end. Dropped before it, it ends the process at once.
pub async fn run(job: &Job, cancel: CancelSignal) -> JobEnd {
    let started = Instant::now();
    let report = if *cancel.borrow() == Cancel::No {
        match Live::start(job).await {
            Ok(live) => live.to_the_end(cancel).await,
            Err(reason) => Report::of(Finish::NotStarted(reason)),
        }
    } else {
        Report::of(Finish::Cancelled)
    };
    let ended = report.ended.ended();
    let mut lines = vec![output::tail(&job.launch.log)];
    if let (Ended::NotStarted(reason), true) = (&ended, lines[0].is_empty()) {
        lines.push(reason.clone());
    }
    lines.extend(report.note.map(|note| escape_line(&note)));
    lines.extend((report.left > 0).then(|| format!("{} processes that it started do not end", report.left)));
    lines.retain(|line| !line.is_empty());
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    JobEnd { ended, millis, tail: lines.join("\n"), left_out: report.left_out, swept: report.killed }
}

/// A supervisor at work.
struct Live<'a> {
    job: &'a Job,
    child: Child,
    /// Closed with this value, which ends everything.
    control: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
    /// Whether the process itself is known to have started.
    runs: bool,
    /// When the supervisor is given up.
    give_up: Instant,
}

impl<'a> Live<'a> {
    async fn start(job: &'a Job) -> Result<Self, String> {
        let mut child = job
            .supervisor
            .start(&job.attempt, &job.lock, &job.exit)
            .map_err(|error| format!("cannot start a supervisor: {error}"))?;
        let pipes = child.stdin.take().zip(child.stdout.take()).ok_or("a supervisor without pipes")?;
        let listened = ChildStdin::from_std(pipes.0).and_then(|control| Ok((control, ChildStdout::from_std(pipes.1)?)));
        let (control, stdout) = listened.map_err(|error| format!("cannot talk to a supervisor: {error}"))?;
        let longest = job.timeout.saturating_add(job.grace).saturating_add(SLACK);
        let now = Instant::now();
        let give_up = now.checked_add(longest).unwrap_or(now + Duration::from_secs(u32::MAX.into()));
        let said = BufReader::with_capacity(LINE, stdout).lines();
        let mut live = Self { job, child, control, said, runs: false, give_up };
        let mut line = serde_json::to_vec(&Spec::of(job)).map_err(|error| format!("cannot describe it: {error}"))?;
        line.push(b'\n');
        // One that died does not listen; what that means is found out by listening to it.
        let _ = timeout(SLACK, live.control.write_all(&line)).await;
        Ok(live)
    }

    async fn to_the_end(mut self, mut cancel: CancelSignal) -> Report {
        let mut listening = true;
        loop {
            tokio::select! {
                line = self.said.next_line() => match line {
                    Ok(Some(line)) => if let Some(report) = self.hear(&line) {
                        let _ = self.child.wait();
                        fail_point::reach("exit-written");
                        return report;
                    },
                    Ok(None) | Err(_) => return self.lost(*cancel.borrow()).await,
                },
                changed = cancel.changed(), if listening => match changed {
                    Ok(()) => {
                        let urgency = *cancel.borrow_and_update();
                        self.tell(urgency).await;
                    }
                    // Whoever could cancel is gone; the limits still hold.
                    Err(_) => listening = false,
                },
                () = sleep_until(self.give_up) => return self.lost(*cancel.borrow()).await,
            }
        }
    }

    fn hear(&mut self, line: &str) -> Option<Report> {
        if line == STARTED {
            self.runs = true;
            fail_point::reach("agent-spawned");
            return None;
        }
        Report::read(line.as_bytes())
    }

    async fn tell(&mut self, urgency: Cancel) {
        let (byte, patience) = match urgency {
            Cancel::No => return,
            Cancel::Ask => (ASK, self.job.grace.saturating_add(SLACK)),
            Cancel::Kill => (KILL, SLACK),
        };
        // The pipe holds thousands of these, so this waits for nobody.
        let _ = self.control.write_all(&[byte]).await;
        self.give_up = self.give_up.min(Instant::now() + patience);
    }

    /// The supervisor was killed, or does not answer any more.
    async fn lost(mut self, urgency: Cancel) -> Report {
        // Its number is its own as long as it was not waited for, and with it the number of its session.
        let session = i32::try_from(self.child.id()).expect("a pid fits the system's pid type");
        let _ = self.child.kill();
        let swept = sweep::after_supervisor(&self.job.attempt, session).await;
        let _ = self.child.wait();
        if let Some(report) = past::read(&self.job.exit) {
            fail_point::reach("exit-written");
            return report;
        }
        let ended = match (urgency, self.runs) {
            (Cancel::Ask | Cancel::Kill, _) => Finish::Cancelled,
            (Cancel::No, true) => Finish::Signal(nix::sys::signal::Signal::SIGKILL as i32),
            (Cancel::No, false) => Finish::NotStarted("its supervisor was killed".to_owned()),
        };
        let note = self.runs.then(|| "its supervisor was killed, and it with it".to_owned());
        Report { killed: swept.killed, left: swept.left, note, ..Report::of(ended) }
    }
}
