//! The local executor: runs commands of the policy and the settings on this machine. Must not interpret their output.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use super::environment::{Environment, MARK, OF_COMMANDS};
use super::fence;
use super::output::LOG_CAP;
use super::run::{Ask, Job, run};
use super::spawn::Launch;
use super::supervisor::Supervisor;
use crate::domain::redact::{Redactor, Secret};
use crate::engine::ports::{CancelSignal, CommandEnd, CommandRequest, Ended, Executor};

/// Runs processes on this machine; logs go to `<state dir>/attempts/<attempt>/<n>-<log name>.log`.
#[derive(Clone, Debug)]
pub struct LocalExecutor {
    state_dir: PathBuf,
    supervisor: Supervisor,
    secrets: Vec<Secret>,
}

impl LocalExecutor {
    /// An executor that keeps its logs below `state_dir` (`<git common dir>/orchestrate`).
    pub fn new(state_dir: impl Into<PathBuf>, supervisor: Supervisor) -> Self {
        Self { state_dir: state_dir.into(), supervisor, secrets: Vec::new() }
    }

    /// The same with values that must not leave by a log.
    pub fn hiding(self, secrets: Vec<Secret>) -> Self {
        Self { secrets, ..self }
    }
}

#[async_trait(?Send)]
impl Executor for LocalExecutor {
    async fn run(&self, request: CommandRequest, cancel: CancelSignal) -> CommandEnd {
        let log = match new_log(&self.state_dir, request.attempt.as_str(), &request.log_name) {
            Ok(log) => log,
            Err(error) => {
                return not_started(format!("cannot write a log below {}: {error}", self.state_dir.display()));
            }
        };
        let Some((program, args)) = request.argv.split_first() else {
            return not_started("the command is empty".to_owned());
        };
        let mut environment = Environment::inherited(&OF_COMMANDS.map(str::to_owned));
        for (name, value) in &request.env {
            environment.set(name, value);
        }
        environment.set(MARK, request.attempt.as_str());
        let secrets = [self.secrets.clone(), environment.secrets()].concat();
        let redactor = Redactor::new(secrets.clone());
        let secrets = secrets.into_iter().map(|secret| secret.value).collect();
        let launch = Launch {
            program: program.into(),
            args: args.to_vec(),
            directory: request.directory,
            environment,
            stdin: None,
            log: log.clone(),
        };
        let job = Job {
            launch,
            attempt: request.attempt.as_str().to_owned(),
            timeout: Duration::from_secs(request.timeout_secs),
            idle: None,
            grace: Duration::from_secs(request.grace_secs),
            ask: Ask::Terminate,
            log_cap: LOG_CAP,
            secrets,
            supervisor: self.supervisor.clone(),
            lock: fence::lock_path(&self.state_dir, request.attempt.as_str()),
            exit: log.with_extension("exit.json"),
        };
        let end = run(&job, cancel).await;
        CommandEnd { ended: end.ended, tail: redactor.redact(&end.tail), log, millis: end.millis }
    }
}

fn not_started(reason: String) -> CommandEnd {
    CommandEnd { ended: Ended::NotStarted(reason.clone()), tail: reason, log: PathBuf::new(), millis: 0 }
}

/// Creates the next free `<n>-<name>.log` of an attempt.
fn new_log(state_dir: &Path, attempt: &str, name: &str) -> io::Result<PathBuf> {
    let folder = attempt_folder(state_dir, attempt);
    fs::create_dir_all(&folder)?;
    let name = plain_name(name);
    next_free(&folder, |path| {
        let path = path.with_file_name(format!("{}-{name}.log", path.file_name()?.to_str()?));
        Some(OpenOptions::new().write(true).create_new(true).open(&path).map(|_| path))
    })
}

/// The folder of an attempt's transient files.
pub fn attempt_folder(state_dir: &Path, attempt: &str) -> PathBuf {
    state_dir.join("attempts").join(plain_name(attempt))
}

/// Calls `make` with `<folder>/<n>` for rising n until it does not answer "exists already"; n is higher than the number that
/// any name in the folder begins with.
pub fn next_free(folder: &Path, make: impl Fn(&Path) -> Option<io::Result<PathBuf>>) -> io::Result<PathBuf> {
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.split('-').next()?.parse::<u32>().ok();
    let last = fs::read_dir(folder)?.flatten().filter_map(number).max().unwrap_or(0);
    for number in last.saturating_add(1)..u32::MAX {
        match make(&folder.join(number.to_string())) {
            Some(Err(error)) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Some(result) => return result,
            None => break,
        }
    }
    Err(io::Error::other("no free name"))
}

/// A file name made of a text: no separators, no leading dot, at most 80 bytes.
pub fn plain_name(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let plain: String = text.chars().map(|c| if fits(c) { c } else { '_' }).take(80).collect();
    match plain.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None if plain.is_empty() => "_".to_owned(),
        None => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_never_replaces_another_and_never_leaves_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let first = new_log(dir.path(), "a-1", "../../check").unwrap();
        let second = new_log(dir.path(), "a-1", "../../check").unwrap();
        assert_eq!(first, dir.path().join("attempts/a-1/1-_._.._check.log"));
        assert_eq!(second, dir.path().join("attempts/a-1/2-_._.._check.log"));
    }
}
