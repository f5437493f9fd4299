//! What engine and supervisor say to each other, and what is left of it on disk. Must not act on it.
//!
//! To the supervisor, over its stdin: one line of JSON, the [`Spec`], then one byte each time the urgency rises. The end of
//! that pipe is the end of the engine. From it, over its stdout: the line [`STARTED`] when the process runs, then one line of
//! JSON, the [`Report`]. The pipe and not a file carries the specification, because it holds the child's environment.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::environment::Environment;
use super::super::run::{Ask, Job};
use super::super::spawn::Launch;
use crate::engine::ports::Ended;

/// Asks it to end.
pub(in super::super) const ASK: u8 = b'a';
/// Kills it.
pub(in super::super) const KILL: u8 = b'k';
/// The process runs.
pub(in super::super) const STARTED: &str = "started";

/// What to run, and within which limits.
#[derive(Debug, Serialize, Deserialize)]
pub(in super::super) struct Spec {
    program: OsString,
    args: Vec<String>,
    directory: OsString,
    environment: Vec<(OsString, OsString)>,
    stdin: Option<OsString>,
    log: OsString,
    /// Longest wall time.
    pub(super) timeout: Duration,
    /// Longest time without output.
    pub(super) idle: Option<Duration>,
    /// Between asking and killing.
    pub(super) grace: Duration,
    interrupt: bool,
    /// Length of the log in bytes.
    pub(super) log_cap: u64,
    /// What must not reach the log.
    pub(super) secrets: Vec<String>,
}

impl Spec {
    /// What the supervisor needs to know of a job.
    pub(in super::super) fn of(job: &Job) -> Self {
        let launch = &job.launch;
        Self {
            program: launch.program.clone().into(),
            args: launch.args.clone(),
            directory: launch.directory.clone().into(),
            environment: launch.environment.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            stdin: launch.stdin.clone().map(PathBuf::into_os_string),
            log: launch.log.clone().into(),
            timeout: job.timeout,
            idle: job.idle,
            grace: job.grace,
            interrupt: job.ask == Ask::Interrupt,
            log_cap: job.log_cap,
            secrets: job.secrets.clone(),
        }
    }

    /// What to start.
    pub(super) fn launch(&self) -> Launch {
        Launch {
            program: self.program.clone().into(),
            args: self.args.clone(),
            directory: self.directory.clone().into(),
            environment: Environment::exactly(self.environment.iter().cloned()),
            stdin: self.stdin.clone().map(PathBuf::from),
            log: self.log.clone().into(),
        }
    }

    /// How it is asked.
    pub(super) fn ask(&self) -> Ask {
        if self.interrupt { Ask::Interrupt } else { Ask::Terminate }
    }
}

/// How a process ended, in a form that is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in super::super) enum Finish {
    /// Exit code.
    Exit(i32),
    /// A signal that was not ours.
    Signal(i32),
    /// Wall-clock limit.
    WallTimeout,
    /// No output for too long.
    IdleTimeout,
    /// The engine wanted it to end.
    Cancelled,
    /// The engine died, or a later one put an end to it.
    Interrupted,
    /// It never started.
    NotStarted(String),
}

impl Finish {
    /// For the engine, to which an interruption is an end on its own behalf.
    pub(in super::super) fn ended(&self) -> Ended {
        match self {
            Self::Exit(code) => Ended::Exit(*code),
            Self::Signal(signal) => Ended::Signal(*signal),
            Self::WallTimeout => Ended::WallTimeout,
            Self::IdleTimeout => Ended::IdleTimeout,
            Self::Cancelled | Self::Interrupted => Ended::Cancelled,
            Self::NotStarted(reason) => Ended::NotStarted(reason.clone()),
        }
    }
}

/// The end of a process; the content of an exit file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct Report {
    /// Version of the format.
    pub(in super::super) version: u32,
    /// How it ended.
    pub(in super::super) ended: Finish,
    /// Bytes of output left out of the log.
    pub(in super::super) left_out: u64,
    /// Processes that it left behind and that were killed.
    pub(in super::super) killed: usize,
    /// Processes that could not be killed.
    pub(in super::super) left: usize,
    /// What a person should know of the end, one sentence.
    pub(in super::super) note: Option<String>,
}

impl Report {
    /// A report of nothing but an end.
    pub(in super::super) fn of(ended: Finish) -> Self {
        Self { version: 1, ended, left_out: 0, killed: 0, left: 0, note: None }
    }

    /// Reads a line or a file; `None` for what is no report of a version that is understood.
    pub(in super::super) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|report: &Self| report.version == 1)
    }

    /// One line.
    pub(in super::super) fn line(&self) -> String {
        let mut line = serde_json::to_string(self).expect("numbers and text become JSON");
        line.push('\n');
        line
    }
}
