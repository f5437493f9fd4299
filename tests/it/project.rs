//! A scratch repository with stories and the scripted agent, and what every finished run must leave behind.

use std::path::PathBuf;

use crate::support::{Ran, Scratch, run, scripted_agent};

/// One try for each story and no breaker, so that a failure is final where a test is about something else; and no guard of the machine, for
/// tests share theirs with others.
pub const LIMITS: &str = "[retry]\nattempts = 1\nbreaker_failures = 0\n[limits]\nmin_disk = 0\nmin_memory = 0\nmax_memory_stall = 0\nmax_load = 0\n";

/// A scratch repository set up for runs.
pub struct Project {
    pub scratch: Scratch,
}

impl Project {
    /// A repository whose only agent is the scripted one, doing what `script` says; `policy` is added to the policy file.
    pub fn new(script: &str, policy: &str) -> Self {
        let project = Self { scratch: Scratch::new() };
        let journal = project.journal_path();
        std::fs::write(project.script_path(), format!("journal = \"{}\"\n{script}", journal.display())).unwrap();
        let (agent, file) = (scripted_agent(), project.script_path());
        let config = format!(
            "{LIMITS}[agents]\ndefault = \"scripted\"\n[agents.scripted]\ncommand = [\"{}\", \"--script\", \"{}\"]\n{policy}\n",
            agent.display(),
            file.display()
        );
        project.scratch.write(".orchestrate.toml", config);
        project.scratch.write(".gitignore", "/.worktrees\n");
        project
    }

    pub fn script_path(&self) -> PathBuf {
        self.scratch.outside().join("script.toml")
    }

    pub fn journal_path(&self) -> PathBuf {
        self.scratch.outside().join("journal.jsonl")
    }

    /// Adds a story; `dependencies` as the file would say them.
    pub fn story(&self, id: &str, title: &str, dependencies: &str) -> &Self {
        let slug = title.to_lowercase().replace(' ', "-");
        let text = format!(
            "# Story {id}: {title}\n\n**Status:** Ready\n**Dependencies**: {dependencies}\n\n## Story\n\nAs a user I want it.\n\n\
             ## Acceptance Criteria\n\n1. It works.\n2. It is tested.\n"
        );
        self.scratch.write(&format!("docs/stories/{id}.{slug}.md"), text);
        self
    }

    /// Commits everything.
    pub fn commit(&self) -> &Self {
        self.scratch.commit("stories");
        self
    }

    /// `git orchestrate stories ARGS`.
    pub fn stories(&self, args: &[&str]) -> Ran {
        let all: Vec<&str> = std::iter::once("stories").chain(args.iter().copied()).collect();
        self.scratch.orchestrate(&all)
    }

    /// `git orchestrate ARGS`.
    pub fn orchestrate(&self, args: &[&str]) -> Ran {
        self.scratch.orchestrate(args)
    }

    /// `git orchestrate ARGS` as another person.
    pub fn as_person(&self, email: &str, args: &[&str]) -> Ran {
        run(self.scratch.orchestrate_command().args(args).env("GIT_AUTHOR_EMAIL", email))
    }

    /// Starts `git orchestrate ARGS` in the background; what it prints goes to files.
    pub fn start(&self, args: &[&str]) -> Live {
        self.start_with(args, &[])
    }

    /// The same with variables of its own.
    pub fn start_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Live {
        let path = |name: &str| self.scratch.outside().join(name);
        let file = |name: &str| std::fs::File::create(path(name)).unwrap();
        let mut command = self.scratch.orchestrate_command();
        if signals_are_ignored() {
            // Tests started in the background hand that on, and a signal that is ignored stays ignored.
            command = self.scratch.command("env");
            command.arg("--default-signal=HUP,INT,QUIT,TERM,TSTP").arg(env!("CARGO_BIN_EXE_git-orchestrate"));
        }
        let child = command
            .args(args)
            .envs(variables.iter().copied())
            .stdout(file("live.out"))
            .stderr(file("live.err"))
            .spawn()
            .unwrap();
        Live { child, out: path("live.out"), err: path("live.err") }
    }

    /// Replaces the script of the agent.
    pub fn script(&self, steps: &str) {
        let text = format!("journal = \"{}\"\n{steps}", self.journal_path().display());
        std::fs::write(self.script_path(), text).unwrap();
    }

    /// A path outside the repository for scripts and tests to meet at.
    pub fn meeting(&self, name: &str) -> PathBuf {
        self.scratch.outside().join(name)
    }

    /// Puts a line at the head of a table that the policy file has already.
    pub fn set(&self, table: &str, line: &str) {
        let text = self.scratch.read(".orchestrate.toml");
        let head = format!("[{table}]\n");
        self.scratch.write(".orchestrate.toml", text.replacen(&head, &format!("{head}{line}\n"), 1));
    }

    /// Liveness locks of runs and items; none is left by a process that ended by itself.
    pub fn own_locks(&self) -> Vec<PathBuf> {
        let state = self.scratch.root().join(".git/orchestrate");
        let below = |name: &str| std::fs::read_dir(state.join(name)).into_iter().flatten().flatten();
        below("runs").chain(below("locks")).map(|entry| entry.path()).collect()
    }

    /// Never were two agents at work on one item.
    pub fn assert_one_at_a_time(&self) {
        for line in self.journal() {
            assert_eq!(line["live"], serde_json::json!([]), "an earlier agent was still at work: {line}");
        }
    }

    /// The journal of the scripted agent, one value per invocation.
    pub fn journal(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.journal_path()).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Subjects of the commits of `main`, first parents, oldest first.
    pub fn mainline(&self) -> Vec<String> {
        let log = self.scratch.git(&["log", "--first-parent", "--reverse", "--format=%s", "main"]);
        log.lines().map(str::to_owned).collect()
    }

    /// How often a story was merged into `main`.
    pub fn merges_of(&self, id: &str) -> usize {
        let log = self.scratch.git(&[
            "log",
            "--first-parent",
            "--merges",
            "--format=%(trailers:key=Story,valueonly)",
            "main",
        ]);
        log.lines().filter(|line| line.trim() == id).count()
    }

    /// Status words by story, from `status --json`.
    pub fn statuses(&self) -> Vec<(String, String)> {
        let ran = self.orchestrate(&["status", "--json"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let value: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let items = value["stories"].as_array().or_else(|| value["items"].as_array()).unwrap();
        items.iter().map(|item| (text(&item["storyId"]), text(&item["status"]))).collect()
    }

    pub fn status_of(&self, id: &str) -> String {
        let statuses = self.statuses();
        statuses.iter().find(|(story, _)| story == id).unwrap_or_else(|| panic!("no {id} in {statuses:?}")).1.clone()
    }

    /// What every finished run leaves: a sound repository, a clean checkout, no worktree, story branch, process or lock.
    pub fn assert_tidy(&self) {
        self.assert_sound();
        let worktrees = self.scratch.git(&["worktree", "list", "--porcelain"]);
        assert_eq!(worktrees.matches("worktree ").count(), 1, "{worktrees}");
        let branches = self.scratch.git(&["for-each-ref", "--format=%(refname)", "refs/heads/"]);
        assert_eq!(branches, "refs/heads/main");
        let left = std::fs::read_dir(self.scratch.root().join(".worktrees")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "worktree folders are left");
    }

    /// A sound repository without stale locks or processes, and a checkout that agrees with its branch.
    pub fn assert_sound(&self) {
        let fsck = self.scratch.try_git(&["fsck", "--strict", "--no-dangling"]);
        assert_eq!(fsck.code, 0, "{fsck:?}");
        assert_eq!(self.scratch.git(&["status", "--porcelain"]), "");
        let locks = locks_below(&self.scratch.root().join(".git"));
        assert!(locks.is_empty(), "{locks:?}");
        self.assert_no_agents();
    }

    /// No process carries the mark of an attempt in the journal.
    pub fn assert_no_agents(&self) {
        let marked = marked_processes(&self.journal());
        assert!(marked.is_empty(), "agents are still alive: {marked:?}");
    }
}

/// Whether this process ignores one of the signals that end a run.
fn signals_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).map(str::trim);
    let mask = mask.and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0);
    // HUP, INT, QUIT, TERM, TSTP
    [1, 2, 3, 15, 20].iter().any(|signal| mask >> (signal - 1) & 1 == 1)
}

/// A background invocation; killed when dropped.
pub struct Live {
    child: std::process::Child,
    out: PathBuf,
    err: PathBuf,
}

impl Live {
    pub fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(self.pid(), signal).unwrap();
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn stderr(&self) -> String {
        std::fs::read_to_string(&self.err).unwrap()
    }

    /// Waits for the end.
    pub fn finish(mut self) -> Ran {
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        Ran { code, stdout: std::fs::read_to_string(&self.out).unwrap(), stderr: self.stderr() }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // After a failed assertion nothing may go on; what has ended cannot be killed, and that is fine.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits for something that happens in another process; panics when it does not.
pub fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !happened() {
        assert!(started.elapsed() < std::time::Duration::from_secs(100), "{what} did not happen");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// Lock files of git's own kind.
fn locks_below(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            // Our own lock files are liveness locks: they lie in a folder of their own and their presence says nothing.
            if path.file_name().is_some_and(|name| name == "orchestrate") && folder.ends_with(".git") {
                continue;
            }
            found.extend(locks_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "lock") {
            found.push(path);
        }
    }
    found
}

/// Processes that still carry the mark of an attempt in the journal.
fn marked_processes(journal: &[serde_json::Value]) -> Vec<String> {
    let marks: Vec<String> = journal
        .iter()
        .filter_map(|line| line["attempt"].as_str())
        .map(|mark| format!("ORCHESTRATE_ATTEMPT={mark}"))
        .collect();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(environment) = std::fs::read(entry.path().join("environ")) else { continue };
        let text = String::from_utf8_lossy(&environment).into_owned();
        if text.split('\0').any(|variable| marks.iter().any(|mark| mark == variable)) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found
}
