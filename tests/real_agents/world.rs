//! A scratch repository whose agents are real clients, run through the real program, and what every run must leave behind.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::clients::{Client, before_path, programs};
use crate::model::{Kind, Model};
use crate::project::Project;
use crate::server::{Asked, Server};

/// Ends a run that does not end by itself. A watchdog; no test depends on it.
const WATCHDOG: Duration = Duration::from_secs(150);

/// Repository, clients and server.
pub struct World {
    pub project: Project,
    pub server: Server,
    clients: Vec<Client>,
    folders: Vec<PathBuf>,
    /// What it is called in the folder that keeps streams.
    name: String,
    variables: BTreeMap<String, String>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// Most memory that any process of our program had resident, in KiB.
    pub peak: u64,
}

impl World {
    /// A repository with an author and another client as reviewer; `None`, said why, when one is not to be had. `config` goes
    /// into the policy file below the limits.
    pub fn new(name: &str, author: Client, reviewer: Client, config: &str, model: Model) -> Option<Self> {
        Self::with_chain(name, &[author], reviewer, config, model)
    }

    /// The same with several authors, of which the next takes the place of one that is not to be had.
    pub fn with_chain(name: &str, authors: &[Client], reviewer: Client, config: &str, model: Model) -> Option<Self> {
        let clients = [authors, &[reviewer]].concat();
        let folders = programs(&clients)?;
        let project = Project { scratch: crate::support::Scratch::new() };
        let home = project.scratch.outside();
        let attempts = attempts(&project);
        let server = Server::start(model, move || sessions(&attempts).len(), home.join("requests.jsonl"));
        for client in &clients {
            client.configure(&home, &server.url());
        }
        std::fs::create_dir_all(home.join("tmp")).unwrap();
        let text = format!(
            "[agents]\ndefault = {:?}\ngrace = 2\n[agents.roles]\ncode-reviewer = \"{}\"\n\
             [limits]\nmin_disk = 0\nmin_memory = 0\nmax_memory_stall = 0\nmax_load = 0\n\
             [agents.gemini]\nmodel = \"gemini-2.5-pro\"\n{config}\n",
            authors.iter().map(|author| author.name()).collect::<Vec<_>>(),
            reviewer.name()
        );
        project.scratch.write(".orchestrate.toml", text);
        project.scratch.write(".gitignore", "/.worktrees\n");
        Some(Self { project, server, clients, folders, name: name.to_owned(), variables: BTreeMap::new() })
    }

    /// Sets a variable of the run.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Adds stories that wait for nothing and commits them.
    pub fn stories(&self, ids: &[&str]) -> &Self {
        for id in ids {
            self.project.story(id, &format!("Part {}", id.replace('.', " ")), "None");
        }
        self.project.commit();
        self
    }

    /// A command with nothing of the user's that a client would read: keys, proxies, settings.
    fn command(&self) -> Command {
        let mut command = self.project.scratch.orchestrate_command();
        let theirs = ["ANTHROPIC", "CLAUDE", "OPENAI", "CODEX", "GEMINI", "GOOGLE", "AWS_", "AZURE_", "NODE_"];
        for (name, _) in std::env::vars() {
            let upper = name.to_uppercase();
            if theirs.iter().any(|prefix| upper.starts_with(prefix)) || upper.ends_with("_PROXY") {
                command.env_remove(name);
            }
        }
        // Nothing listens at port 9: who asks anybody but the server gets no answer.
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            command.env(name, "http://127.0.0.1:9");
        }
        command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
        command.env("TMPDIR", self.project.scratch.outside().join("tmp")).env("PATH", before_path(&self.folders));
        if nix::unistd::geteuid().is_root() {
            command.env("IS_SANDBOX", "1");
        }
        for client in &self.clients {
            command.envs(client.variables(&self.server.url()));
        }
        command.envs(&self.variables);
        command
    }

    /// `git orchestrate ARGS`, to its end.
    pub fn run(&self, args: &[&str]) -> Run {
        let path = |name: &str| self.project.scratch.outside().join(name);
        let file = |name: &str| std::fs::File::create(path(name)).unwrap();
        let mut command = self.command();
        let mut child =
            command.args(args).stdout(file("run.out")).stderr(file("run.err")).process_group(0).spawn().unwrap();
        let (started, mut peak) = (Instant::now(), 0);
        let status = loop {
            peak = peak.max(self.most_resident());
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if started.elapsed() > WATCHDOG {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            std::thread::sleep(Duration::from_millis(25));
        };
        let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
        let run = Run {
            code: status.and_then(|status| status.code()).unwrap_or(-1),
            stdout: read("run.out"),
            stderr: read("run.err"),
            peak,
        };
        self.keep_streams();
        assert!(status.is_some(), "the run did not end: {run:?}");
        self.assert_nothing_lives();
        run
    }

    /// Nothing that carries the mark of an agent of this repository is alive.
    pub fn assert_nothing_lives(&self) {
        let left: Vec<_> = self.processes().filter(|process| process.marked).collect();
        assert!(left.is_empty(), "agents are still alive: {left:?}");
    }

    fn most_resident(&self) -> u64 {
        let ours = Path::new(env!("CARGO_BIN_EXE_git-orchestrate"));
        let peaks = self.processes().filter(|process| process.program == ours).map(|process| process.peak());
        peaks.max().unwrap_or(0)
    }

    /// Processes with the home folder of this repository.
    fn processes(&self) -> impl Iterator<Item = Process> {
        let home = format!("HOME={}", self.project.scratch.outside().display());
        let entries = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        entries.filter_map(move |path| {
            let environment = std::fs::read(path.join("environ")).ok()?;
            let mut variables = environment.split(|byte| *byte == 0);
            variables.any(|variable| variable == home.as_bytes()).then_some(())?;
            let marked = String::from_utf8_lossy(&environment).contains("ORCHESTRATE_ATTEMPT=");
            let program = std::fs::read_link(path.join("exe")).unwrap_or_default();
            let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ").chars().take(200).collect();
            Some(Process { path, program, line, marked })
        })
    }

    /// What the clients printed and asked, for who asked for it.
    fn keep_streams(&self) {
        let Some(folder) = std::env::var_os("GIT_ORCHESTRATE_REAL_STREAMS").map(PathBuf::from) else { return };
        std::fs::create_dir_all(&folder).unwrap();
        let requests = self.project.scratch.outside().join("requests.jsonl");
        std::fs::copy(requests, folder.join(format!("{}-requests.jsonl", self.name))).unwrap();
        for (number, (session, log)) in self.logs().iter().enumerate() {
            std::fs::write(folder.join(format!("{}-{number}-{session}.jsonl", self.name)), log).unwrap();
        }
    }

    /// Output of every session so far with its number and phase, in order.
    pub fn logs(&self) -> Vec<(String, Vec<u8>)> {
        let read = |path: PathBuf| {
            let name = path.file_name()?.to_str()?.to_owned();
            Some((name, std::fs::read(path.join("output.log")).ok()?))
        };
        sessions(&attempts(&self.project)).into_iter().filter_map(read).collect()
    }

    /// What was asked in sessions of one kind.
    pub fn asked(&self, kind: Kind) -> Vec<Asked> {
        self.server.asked().into_iter().filter(|asked| asked.ask.is(kind)).collect()
    }

    /// The record of a story, from `show --json`.
    pub fn show(&self, id: &str) -> Value {
        let ran = self.project.orchestrate(&["show", id, "--json"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// The whole of `log --json` of a story.
    pub fn history(&self, id: &str) -> String {
        let ran = self.project.orchestrate(&["log", id, "--json"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout
    }

    /// These stories have landed once each, nothing is left, and the branch is sound.
    pub fn assert_landed(&self, run: &Run, ids: &[&str]) {
        assert_eq!(run.code, 0, "{}\n{}\n{}", run.stdout, run.stderr, self.tails());
        for id in ids {
            assert_eq!(self.project.merges_of(id), 1, "{id}");
            let work = self.project.scratch.read(&format!("{id}.txt"));
            assert!(work.contains(&format!("work on {id}")), "{work}");
        }
        self.project.assert_tidy();
        self.assert_verified();
    }

    /// `verify` finds nothing.
    pub fn assert_verified(&self) {
        let ran = self.project.orchestrate(&["verify"]);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    }

    /// What all sessions printed.
    pub fn output(&self) -> String {
        self.logs().iter().map(|(_, log)| String::from_utf8_lossy(log).into_owned()).collect()
    }

    /// The ends of all logs, for a test that failed.
    pub fn tails(&self) -> String {
        let end = |log: &[u8]| String::from_utf8_lossy(&log[log.len().saturating_sub(1500)..]).into_owned();
        self.logs().iter().map(|(session, log)| format!("--- {session}\n{}\n", end(log))).collect()
    }
}

/// Where attempts have their files.
fn attempts(project: &Project) -> PathBuf {
    project.scratch.root().join(".git/orchestrate/attempts")
}

/// Folders of all sessions that were started, oldest first.
fn sessions(attempts: &Path) -> Vec<PathBuf> {
    let below = |path: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let mut all: Vec<_> =
        below(attempts).iter().flat_map(|attempt| below(attempt)).filter(|path| path.is_dir()).collect();
    all.sort_by_key(|path| std::fs::metadata(path.join("prompt.md")).and_then(|meta| meta.created()).ok());
    all
}

/// A process of this repository.
#[derive(Debug)]
struct Process {
    path: PathBuf,
    program: PathBuf,
    line: String,
    marked: bool,
}

impl Process {
    /// Most memory it had resident, in KiB.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(self.path.join("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    }
}
