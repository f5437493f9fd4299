//! Looks at clients before they are needed: found, started once for their version, compared with the oldest that was tried.
//! Starts nothing but that, under a supervisor and in the environment of a session. Must not judge an adapter's keys.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::unistd::geteuid;
use tokio::sync::watch;
use tokio::task::LocalSet;

use super::adapter::{Adapter, Autonomy, StopSignal};
use super::calling::of_adapter;
use super::invoke::AgentPlace;
use super::registry::{Registry, SELF};
use super::version::Version;
use crate::adapters::process::environment::{Environment, MARK};
use crate::adapters::process::run::{Ask, Job, run};
use crate::adapters::process::spawn::Launch;
use crate::adapters::process::{fence, output};
use crate::engine::ports::{Cancel, Ended};

/// Longest time that a client may take to say its version.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was found of one client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// The adapter.
    pub name: String,
    /// Its program.
    pub program: Option<PathBuf>,
    /// Its version.
    pub version: Option<Version>,
    /// What is wrong, one sentence each.
    pub problems: Vec<String>,
    /// What is good to know, one sentence each.
    pub notes: Vec<String>,
    /// The next command.
    pub hint: Option<String>,
}

/// Clients of a registry on this machine.
#[derive(Clone, Debug)]
pub struct Look {
    /// All adapters.
    pub registry: Arc<Registry>,
    /// Where agents are run.
    pub place: Arc<AgentPlace>,
}

impl Look {
    /// Whether a client's program is there; starts nothing.
    pub fn find(&self, name: &str) -> Checked {
        let Some(adapter) = self.registry.adapter(name) else { return Checked::default() };
        let program = self.registry.program(name, &self.place.root, &self.place.program);
        let mut checked = Checked { name: name.to_owned(), program, ..Checked::default() };
        if checked.program.is_none() {
            let (problem, hint) = match adapter.bin.as_str() {
                "" => ("it has no program".to_owned(), format!("set `command = [\"program\"]` in [agents.{name}]")),
                bin if bin.contains('/') => (format!("there is no program {bin}"), String::new()),
                bin => (format!("there is no program {bin} on PATH"), adapter.install.clone()),
            };
            checked.problems.push(problem);
            checked.hint = Some(hint).filter(|hint| !hint.is_empty());
        }
        checked
    }

    /// The same, and a dry start: its version is asked for and compared.
    pub async fn check(&self, name: &str) -> Checked {
        let mut checked = self.find(name);
        let (Some(program), Some(adapter)) = (checked.program.clone(), self.registry.adapter(name)) else {
            return checked;
        };
        if adapter.bin == SELF {
            checked.notes.push("it is part of this program".to_owned());
        } else if adapter.version_args.is_empty() {
            checked.notes.push("it was not started: its adapter has no version_args".to_owned());
        } else {
            let args = adapter.version_args.fill(&|_| String::new());
            match self.ask(&program, args, of_adapter(adapter, geteuid().is_root()), adapter).await {
                Ok(said) => checked.version = Version::find(&said),
                Err(problem) => checked.problems.push(problem),
            }
            self.compare(adapter, &mut checked).await;
        }
        if geteuid().is_root() && adapter.author == Autonomy::Full && !adapter.env_set_as_root.is_empty() {
            let names: Vec<&str> = adapter.env_set_as_root.keys().map(String::as_str).collect();
            let note = format!("you are root: {} is set for its authors, which have full autonomy", names.join(", "));
            checked.notes.push(note);
        }
        checked
    }

    /// Checks several at the same time, in their order.
    pub async fn check_all(&self, names: &[&str]) -> Vec<Checked> {
        let local = LocalSet::new();
        let started = names.iter().map(|name| {
            let (look, name) = (self.clone(), (*name).to_owned());
            local.spawn_local(async move { look.check(&name).await })
        });
        let started: Vec<_> = started.collect();
        local
            .run_until(async move {
                let mut all = Vec::new();
                for one in started {
                    all.extend(one.await.ok());
                }
                all
            })
            .await
    }

    async fn compare(&self, adapter: &Adapter, checked: &mut Checked) {
        let Some(least) = &adapter.min_version else { return };
        match &checked.version {
            None if checked.problems.is_empty() => checked.problems.push("it starts, but says no version".to_owned()),
            Some(version) if version < least => {
                let problem = format!("version {version} is older than {least}, the oldest that was tried");
                checked.problems.push(problem);
                checked.hint = Some(adapter.install.clone()).filter(|hint| !hint.is_empty());
                self.blame_node(adapter, checked).await;
            }
            Some(_) | None => {}
        }
    }

    /// npm silently takes the newest release that fits the node it runs on.
    async fn blame_node(&self, adapter: &Adapter, checked: &mut Checked) {
        if adapter.node == 0 {
            return;
        }
        let Ok(node) = which::which("node") else { return };
        let asked = self.ask(&node, vec!["--version".to_owned()], Environment::inherited(&[]), adapter).await;
        let Some(version) = asked.ok().and_then(|said| Version::find(&said)) else { return };
        if version.major() < u64::from(adapter.node) {
            let wanted = adapter.node;
            let why = format!("node {version} is why: npm takes the newest release that fits it");
            checked.problems.push(why);
            checked.hint = Some(format!("install node {wanted} or newer, then: {}", adapter.install));
        }
    }

    /// Starts a program and returns what it printed, or one sentence on how it failed.
    async fn ask(
        &self,
        program: &Path,
        args: Vec<String>,
        mut environment: Environment,
        adapter: &Adapter,
    ) -> Result<String, String> {
        let folder = Folder::make().map_err(|error| format!("it cannot be started: no temporary folder: {error}"))?;
        let attempt = folder.0.file_name().unwrap_or_default().to_string_lossy().into_owned();
        environment.set(MARK, &attempt);
        let lock = fence::lock_path(&folder.0, &attempt);
        lock.parent().map_or(Ok(()), fs::create_dir_all).map_err(|error| format!("it cannot be started: {error}"))?;
        let log = folder.0.join("output.log");
        let secrets = [self.place.secrets.clone(), environment.secrets()].concat();
        let job = Job {
            launch: Launch {
                program: program.to_owned(),
                args,
                directory: folder.0.clone(),
                environment,
                stdin: None,
                log: log.clone(),
            },
            attempt,
            timeout: PATIENCE,
            idle: None,
            grace: Duration::from_secs(2),
            ask: if adapter.stop.signal == StopSignal::Int { Ask::Interrupt } else { Ask::Terminate },
            log_cap: output::LOG_CAP,
            secrets: secrets.into_iter().map(|secret| secret.value).collect(),
            supervisor: self.place.supervisor.clone(),
            lock,
            exit: folder.0.join("exit.json"),
        };
        let (_keep, cancel) = watch::channel(Cancel::No);
        let end = run(&job, cancel).await;
        let last = end.tail.lines().last().unwrap_or("without a word").to_owned();
        match end.ended {
            Ended::Exit(0) => Ok(fs::read_to_string(&log).unwrap_or_default()),
            Ended::Exit(code) => Err(format!("it does not start: exit code {code}: {last}")),
            Ended::Signal(number) => Err(format!("it does not start: it ended by signal {number}: {last}")),
            Ended::WallTimeout | Ended::IdleTimeout => {
                Err(format!("it did not say its version within {} s", PATIENCE.as_secs()))
            }
            Ended::NotStarted(reason) => Err(format!("it does not start: {reason}")),
            Ended::Cancelled => Err("it was stopped".to_owned()),
        }
    }
}

/// A folder of our own for one start; gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn make() -> std::io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let base = std::env::temp_dir();
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = base.join(format!("git-orchestrate-check-{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && number < 1000 => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Made by us a moment ago; what is left of it is a log.
        drop(fs::remove_dir_all(&self.0));
    }
}
