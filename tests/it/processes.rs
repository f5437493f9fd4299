//! Processes and agents: limits, leftovers, environment, results, the built-in agent. Must not assert durations.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use git_orchestrate::adapters::agents::{AgentPlace, RealAgents, Registry};
use git_orchestrate::adapters::host::Machine;
use git_orchestrate::adapters::process::environment::{Environment, MARK};
use git_orchestrate::adapters::process::executor::LocalExecutor;
use git_orchestrate::adapters::process::run::{Ask, Job, JobEnd, run};
use git_orchestrate::adapters::process::spawn::Launch;
use git_orchestrate::adapters::process::supervisor::Supervisor;
use git_orchestrate::domain::event::{FailureClass, Finding};
use git_orchestrate::domain::names::{AttemptId, BranchRef, ItemKey, Oid, RunId};
use git_orchestrate::domain::prompt::template::Prompts;
use git_orchestrate::domain::prompt::{PromptContext, PromptTask, read_review, render};
use git_orchestrate::domain::settings::{PidNamespace, Settings};
use git_orchestrate::domain::workflow::Phase;
use git_orchestrate::engine::ports::{AgentEnd, AgentRequest, Agents, Cancel, CommandRequest, Ended, Executor, Host};
use tokio::sync::watch;

use super::support::{Scratch, scripted_agent};

/// Long enough never to be reached in a test that is right.
pub const LONG: Duration = Duration::from_secs(100);

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

/// A fresh mark, so that tests that run side by side do not end each other's processes.
fn fresh_attempt() -> AttemptId {
    Machine::new("unused").attempt_id()
}

/// Supervisors as the real program starts them, without a namespace around the work.
fn supervisor() -> Supervisor {
    Supervisor::at(env!("CARGO_BIN_EXE_git-orchestrate"), PidNamespace::Off)
}

/// A folder with a script for the scripted agent.
pub struct Bench {
    dir: tempfile::TempDir,
    pub attempt: AttemptId,
}

impl Bench {
    pub fn new(actions: &str) -> Self {
        let bench = Self { dir: tempfile::tempdir().unwrap(), attempt: fresh_attempt() };
        std::fs::write(bench.path("script.toml"), format!("[[step]]\ndo = [{}]\n", bench.expand(actions))).unwrap();
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `@` stands for the folder.
    pub fn expand(&self, text: &str) -> String {
        text.replace('@', self.dir.path().to_str().unwrap())
    }

    pub fn job(&self) -> Job {
        let mut environment = Environment::inherited(&[]);
        environment.set(MARK, self.attempt.as_str());
        let launch = Launch {
            program: scripted_agent(),
            args: vec!["--script".to_owned(), self.path("script.toml").to_str().unwrap().to_owned()],
            directory: self.dir.path().to_owned(),
            environment,
            stdin: None,
            log: self.path("log"),
        };
        let attempt = self.attempt.to_string();
        Job {
            launch,
            attempt,
            timeout: LONG,
            idle: None,
            grace: LONG,
            ask: Ask::Terminate,
            log_cap: 1 << 20,
            secrets: Vec::new(),
            supervisor: supervisor(),
            lock: self.path("supervisor.lock"),
            exit: self.path("exit.json"),
        }
    }

    pub fn run(&self, job: &Job) -> JobEnd {
        assert_eq!(job.attempt, self.attempt.as_str());
        let (_never, cancel) = watch::channel(Cancel::No);
        block_on(run(job, cancel))
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path("log")).unwrap()).into_owned()
    }

    /// The process that wrote its pid, if it lives.
    fn lives(&self, file: &str) -> bool {
        let pid = std::fs::read_to_string(self.path(file)).unwrap();
        let environ = std::fs::read(format!("/proc/{}/environ", pid.trim())).unwrap_or_default();
        String::from_utf8_lossy(&environ).contains(self.attempt.as_str())
    }
}

/// Waits for a file that a process writes.
pub async fn appears(path: &Path) {
    while !path.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn exit_code_signal_and_output_are_reported() {
    let bench = Bench::new("{ print = 'hello' }, { exit = 3 }");
    let end = bench.run(&bench.job());
    assert_eq!((end.ended, end.tail.as_str(), end.swept), (Ended::Exit(3), "hello", 0));
    let bench = Bench::new("{ run = ['sh', '-c', 'kill -9 $PPID'] }");
    assert_eq!(bench.run(&bench.job()).ended, Ended::Signal(9));
}

#[test]
fn a_timeout_ends_the_tree_and_the_daemon_that_left_the_group() {
    let bench = Bench::new("{ daemon = '@/daemon' }, 'hang'");
    let mut job = bench.job();
    job.timeout = Duration::from_secs(2);
    assert_eq!(bench.run(&job).ended, Ended::WallTimeout);
    // On a loaded machine the limit may strike before the daemon is up; the cancel below waits for its own.
    assert!(!bench.path("daemon").exists() || !bench.lives("daemon"));
}

#[test]
fn a_daemon_does_not_outlive_a_success() {
    let bench = Bench::new("{ daemon = '@/daemon' }");
    let end = bench.run(&bench.job());
    assert_eq!(end.ended, Ended::Exit(0));
    assert!(end.swept >= 1);
    assert!(!bench.lives("daemon"));
}

#[test]
fn a_background_child_of_the_group_without_the_mark_is_killed() {
    let bench = Bench::new("{ run = ['sh', '-c', 'env -i /bin/sleep 1000 & echo $! > @/pid'] }");
    let end = bench.run(&bench.job());
    assert_eq!(end.ended, Ended::Exit(0));
    let pid = std::fs::read_to_string(bench.path("pid")).unwrap();
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "{state}");
}

#[test]
fn what_ignores_the_question_is_killed_after_the_grace() {
    let bench = Bench::new("'hang-ignoring-term'");
    let mut job = bench.job();
    (job.timeout, job.grace) = (Duration::from_millis(200), Duration::from_millis(100));
    assert_eq!(bench.run(&job).ended, Ended::WallTimeout);
}

#[test]
fn silence_is_limited_and_output_is_not_silence() {
    let bench = Bench::new("{ print = 'once' }, 'hang'");
    let mut job = bench.job();
    job.idle = Some(Duration::from_millis(500));
    let end = bench.run(&job);
    assert_eq!((end.ended, end.tail.as_str()), (Ended::IdleTimeout, "once"));
    let bench = Bench::new("{ run = ['sh', '-c', 'for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.5; done'] }");
    let mut job = bench.job();
    job.idle = Some(Duration::from_secs(3));
    assert_eq!(bench.run(&job).ended, Ended::Exit(0));
}

#[test]
fn the_first_cancel_asks_and_the_second_kills() {
    let asked = Bench::new("{ daemon = '@/daemon' }, { touch = '@/up' }, 'hang'");
    let (raise, cancel) = watch::channel(Cancel::No);
    let end = block_on(async {
        let job = asked.job();
        let (end, ()) = tokio::join!(run(&job, cancel), async {
            appears(&asked.path("up")).await;
            raise.send(Cancel::Ask).unwrap();
        });
        end
    });
    assert_eq!(end.ended, Ended::Cancelled);
    assert!(!asked.lives("daemon"));

    let stubborn = Bench::new("'hang-ignoring-term'");
    let (raise, cancel) = watch::channel(Cancel::No);
    let end = block_on(async {
        let job = stubborn.job();
        let (end, ()) = tokio::join!(run(&job, cancel), async {
            while !std::fs::read_to_string(stubborn.path("log")).is_ok_and(|text| text.contains("ignoring")) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            raise.send(Cancel::Ask).unwrap();
            tokio::task::yield_now().await;
            raise.send(Cancel::Kill).unwrap();
        });
        end
    });
    assert_eq!(end.ended, Ended::Cancelled);
}

#[test]
fn nothing_starts_after_a_cancel() {
    let bench = Bench::new("{ touch = '@/up' }");
    let (_raise, cancel) = watch::channel(Cancel::Ask);
    assert_eq!(block_on(run(&bench.job(), cancel)).ended, Ended::Cancelled);
    assert!(!bench.path("up").exists());
}

#[test]
fn a_flood_stays_below_the_cap_with_a_mark_and_its_last_lines() {
    let bench = Bench::new("{ print = 'first' }, { flood = 8 }, { print = 'last' }");
    let end = bench.run(&bench.job());
    assert_eq!(end.ended, Ended::Exit(0));
    assert!(end.left_out > 7 << 20, "{}", end.left_out);
    let log = bench.log();
    assert!(log.len() <= 1 << 20, "{}", log.len());
    assert!(log.starts_with("first\n") && log.ends_with("last\n"));
    assert!(log.contains("bytes of output left out here"));
    assert!(end.tail.ends_with("last"));
}

#[test]
fn binary_output_and_a_closed_stdin_do_no_harm() {
    let bench = Bench::new("{ run = ['sh', '-c', 'cat; printf \"\\\\377\\\\033[2J\\\\000end\"'] }");
    let end = bench.run(&bench.job());
    assert_eq!(end.ended, Ended::Exit(0));
    assert_eq!(end.tail, "\u{fffd}\\x1b[2J\\x00end");
}

#[test]
fn a_program_that_is_missing_never_started() {
    let bench = Bench::new("");
    let mut job = bench.job();
    job.launch.program = "no-such-program".into();
    let Ended::NotStarted(reason) = bench.run(&job).ended else { panic!("it started") };
    assert_eq!(reason, "cannot start `no-such-program`: no such program");
    let mut job = bench.job();
    job.launch.directory = bench.path("nowhere");
    let Ended::NotStarted(reason) = bench.run(&job).ended else { panic!("it started") };
    assert!(reason.contains("is missing"), "{reason}");
}

#[test]
fn commands_get_their_variables_and_each_a_log() {
    let dir = tempfile::tempdir().unwrap();
    let executor = LocalExecutor::new(dir.path().join("state"), supervisor());
    let request = CommandRequest {
        argv: ["sh", "-c", "echo $EXTRA; pwd; exit 4"].map(str::to_owned).to_vec(),
        directory: dir.path().canonicalize().unwrap(),
        env: vec![("EXTRA".to_owned(), "given".to_owned())],
        attempt: fresh_attempt(),
        log_name: "test".to_owned(),
        timeout_secs: 60,
        grace_secs: 1,
    };
    let (_never, cancel) = watch::channel(Cancel::No);
    let first = block_on(executor.run(request.clone(), cancel.clone()));
    assert_eq!(first.ended, Ended::Exit(4));
    assert_eq!(first.tail, format!("given\n{}", request.directory.display()));
    let second = block_on(executor.run(request.clone(), cancel.clone()));
    assert_ne!(first.log, second.log);
    assert!(first.log.is_file() && second.log.is_file());
    let empty = block_on(executor.run(CommandRequest { argv: Vec::new(), ..request }, cancel));
    assert_eq!(empty.ended, Ended::NotStarted("the command is empty".to_owned()));
}

#[test]
fn a_sweep_ends_what_carries_the_mark_and_nothing_else() {
    let (mine, other) = (fresh_attempt(), fresh_attempt());
    let sleeper = |attempt: &AttemptId| {
        let mut command = std::process::Command::new("sleep");
        command.arg("30").stdout(std::process::Stdio::null()).env(MARK, attempt.as_str()).spawn().unwrap()
    };
    let (mut marked, mut bystander) = (sleeper(&mine), sleeper(&other));
    let machine = Machine::new("unused");
    // The zombie of a killed child has no environment any more, so the sweep ends although nobody has reaped it.
    assert_eq!(machine.sweep(&mine).unwrap(), 1);
    assert!(!marked.wait().unwrap().success());
    assert!(bystander.try_wait().unwrap().is_none());
    assert_eq!(machine.sweep(&mine).unwrap(), 0);
    assert_eq!(machine.sweep(&other).unwrap(), 1);
    bystander.wait().unwrap();
}

// Agents.

/// A repository and agents for it.
struct Agency {
    scratch: Scratch,
    base: Oid,
    attempt: AttemptId,
}

impl Agency {
    fn new() -> Self {
        let scratch = Scratch::new();
        let base = Oid::new(scratch.git(&["rev-parse", "HEAD"]));
        scratch.git(&["checkout", "-q", "-b", "story/1.1-x"]);
        Self { scratch, base, attempt: fresh_attempt() }
    }

    fn script(&self, text: &str) -> String {
        let path = self.scratch.outside().join("script.toml");
        let journal = self.scratch.outside().join("journal");
        std::fs::write(&path, format!("journal = '{}'\n{text}", journal.display())).unwrap();
        format!("command = ['{}', '--script', '{}']\n", scripted_agent().display(), path.display())
    }

    fn journal(&self) -> serde_json::Value {
        let text = std::fs::read_to_string(self.scratch.outside().join("journal")).unwrap();
        serde_json::from_str(text.lines().last().unwrap()).unwrap()
    }

    fn request(&self, phase: Phase, prompt: &str) -> AgentRequest {
        AgentRequest {
            key: ItemKey::new("1.1"),
            attempt: self.attempt.clone(),
            run: RunId::new("20261121T075500-3f2a9c"),
            phase,
            adapter: "scripted".to_owned(),
            role: "general-developer".to_owned(),
            role_file: None,
            session: "6f1c7f2e-0000-4000-8000-000000000001".to_owned(),
            resume: false,
            prompt: prompt.to_owned(),
            worktree: self.scratch.root(),
            branch: BranchRef::new("refs/heads/story/1.1-x"),
            base: self.base.clone(),
            story: b"# Story 1.1: Title\n\n## Acceptance Criteria\n\n1. Alpha works\n2. Beta works\n".to_vec(),
            story_name: "1.1.title.md".to_owned(),
            wants_result: phase == Phase::Review,
            timeout_secs: 100,
            idle_secs: 0,
            grace_secs: 10,
        }
    }

    fn invoke(&self, adapter: &str, request: AgentRequest) -> AgentEnd {
        let adapters = [(request.adapter.clone(), adapter.to_owned())].into();
        let registry = Registry::load(&Settings { adapters, ..Settings::default() }).unwrap();
        let place = AgentPlace {
            secrets: Vec::new(),
            state_dir: self.scratch.root().join(".git/orchestrate"),
            root: self.scratch.root(),
            git_common_dir: self.scratch.root().join(".git"),
            program: PathBuf::from(env!("CARGO_BIN_EXE_git-orchestrate")),
            supervisor: supervisor(),
        };
        let (_never, cancel) = watch::channel(Cancel::No);
        block_on(RealAgents::new(Arc::new(registry), place).invoke(request, cancel, std::rc::Rc::new(|_| ())))
    }
}

#[test]
fn an_author_commits_under_its_role_and_sees_the_contract() {
    let agency = Agency::new();
    let adapter = agency.script("");
    let end = agency.invoke(&adapter, agency.request(Phase::Implementation, "do it"));
    assert_eq!((&end.ended, end.class, &end.result), (&Ended::Exit(0), None, &None), "{}", end.tail);
    let author = agency.scratch.git(&["log", "-1", "--format=%an <%ae> %cn: %s"]);
    let name = "general-developer via scripted";
    assert_eq!(author, format!("{name} <git-orchestrate-agent@localhost> {name}: 1.1: implementation"));
    let entry = agency.journal();
    assert_eq!(entry["mark"], format!("ORCHESTRATE_ATTEMPT={}", agency.attempt));
    assert_eq!(entry["promptLength"], 5);
    let folder = end.log.parent().unwrap();
    assert_eq!(std::fs::read_to_string(folder.join("prompt.md")).unwrap(), "do it");
    let story = std::fs::read(folder.join("story/1.1.title.md")).unwrap();
    assert_eq!(story, agency.request(Phase::Review, "").story);
    for name in "ITEM ITEM_FILE PHASE ATTEMPT RUN BRANCH RESULT BASE ROLE SESSION DEADLINE WORKTREE".split(' ') {
        let name = serde_json::Value::from(format!("ORCHESTRATE_{name}"));
        assert!(entry["env"].as_array().unwrap().contains(&name), "{name}");
    }
    let second = agency.invoke(&adapter, agency.request(Phase::ReviewResponse, "again"));
    assert_ne!(second.log, end.log);
    assert!(end.log.is_file());
}

#[test]
fn a_variable_outside_the_allow_list_never_reaches_an_agent() {
    // CARGO_MANIFEST_DIR reaches the agent by CARGO_*; OUT_OF_LIST stands for a secret and only comes by `env.set`.
    let agency = Agency::new();
    let names: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
    let end = agency.invoke(&agency.script(""), agency.request(Phase::Implementation, ""));
    assert_eq!(end.ended, Ended::Exit(0));
    let seen = agency.journal()["env"].clone();
    let seen: Vec<&str> = seen.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let known =
        ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TERM", "TMPDIR", "TZ", "SSH_AUTH_SOCK"];
    let allowed = |name: &&str| {
        known.contains(name)
            || ["LC_", "XDG_", "CARGO_", "RUSTUP_", "ORCHESTRATE_", "GIT_AUTHOR_", "GIT_COMMITTER_", "GIT_CONFIG_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
            || ["GIT_TERMINAL_PROMPT", "GIT_EDITOR", "GIT_NO_REPLACE_OBJECTS"].contains(name)
    };
    let leaked: Vec<_> = seen.iter().filter(|name| !allowed(name)).collect();
    assert!(leaked.is_empty(), "{leaked:?}");
    // Cargo gives every test this one, so the list above has something to hold back.
    assert!(names.contains(&"LD_LIBRARY_PATH".to_owned()) && !seen.contains(&"LD_LIBRARY_PATH"));
    let more = format!("{}env.pass = ['LD_LIBRARY_*']\nenv.set = {{ GIVEN = 'x' }}\n", agency.script(""));
    agency.invoke(&more, agency.request(Phase::Implementation, ""));
    let seen = agency.journal()["env"].to_string();
    assert!(seen.contains("LD_LIBRARY_PATH") && seen.contains("GIVEN"));
}

#[test]
fn a_large_prompt_goes_over_stdin_and_is_refused_as_an_argument() {
    let agency = Agency::new();
    let prompt = "x".repeat(300 << 10);
    let end = agency.invoke(&agency.script(""), agency.request(Phase::Implementation, &prompt));
    assert_eq!(end.ended, Ended::Exit(0));
    assert_eq!(agency.journal()["promptLength"], prompt.len());
    let by_argument = "command = ['true', '{prompt}']\nprompt = 'arg'\n";
    let end = agency.invoke(by_argument, agency.request(Phase::Implementation, &prompt));
    let Ended::NotStarted(reason) = end.ended else { panic!("it started") };
    assert!(reason.contains("argument is too long"), "{reason}");
}

#[test]
fn placeholders_become_whole_arguments() {
    let agency = Agency::new();
    let adapter =
        "command = ['printf', '%s\\n', '{story_id}', '{branch}', '{phase}', '{prompt}', '$HOME;']\nprompt = 'arg'\n";
    let end = agency.invoke(adapter, agency.request(Phase::Implementation, "a b; c"));
    assert_eq!(end.tail, "1.1\nstory/1.1-x\nimplementation\na b; c\n$HOME;");
}

#[test]
fn only_a_result_file_is_a_result() {
    let agency = Agency::new();
    let answer = |actions: &str| {
        let step = format!("[[step]]\nphase = 'review'\ndo = [{actions}]\n");
        agency.invoke(&agency.script(&step), agency.request(Phase::Review, "")).result
    };
    assert!(read_review(&answer("'approve'").unwrap()).is_ok());
    let changes = read_review(&answer("{ request-changes = { path = 'a', text = 'no' } }").unwrap()).unwrap();
    assert_eq!(changes.findings, [Finding { path: "a".to_owned(), line: 1, text: "no".to_owned() }]);
    assert!(read_review(&answer("'prose'").unwrap()).is_err());
    assert_eq!(answer("{ print = 'APPROVED' }"), None);
    assert_eq!(answer("{ run = ['sh', '-c', 'mkfifo \"$ORCHESTRATE_RESULT\"'] }"), None);
    assert_eq!(answer("{ run = ['sh', '-c', 'ln -s /etc/passwd \"$ORCHESTRATE_RESULT\"'] }"), None);
    assert_eq!(answer("{ run = ['sh', '-c', 'head -c 5000000 /dev/zero > \"$ORCHESTRATE_RESULT\"'] }"), None);
}

#[test]
fn a_reviewer_never_finds_what_an_author_left() {
    let agency = Agency::new();
    let script = agency.script("[[step]]\nphase = 'implementation'\ndo = ['approve-own']\n[[step]]\ndo = []\n");
    assert_eq!(agency.invoke(&script, agency.request(Phase::Implementation, "")).result, None);
    assert_eq!(agency.invoke(&script, agency.request(Phase::Review, "")).result, None);
}

#[test]
fn exit_codes_and_patterns_prove_a_class_only_in_failure() {
    let agency = Agency::new();
    let class = |actions: &str| {
        let adapter = agency.script(&format!("[[step]]\ndo = [{actions}]\n"));
        let adapter = format!("{adapter}patterns = [{{ regex = 'try later', class = 'rate-limit' }}]\n");
        agency.invoke(&adapter, agency.request(Phase::Implementation, "")).class
    };
    assert_eq!(class("{ exit = 75 }"), Some(FailureClass::RateLimited));
    assert_eq!(class("{ exit = 77 }"), Some(FailureClass::Auth));
    assert_eq!(class("{ print = 'try later' }, { exit = 1 }"), Some(FailureClass::RateLimited));
    assert_eq!(class("{ print = 'try later' }"), None);
    assert_eq!(class("{ exit = 1 }"), None);
}

#[test]
fn an_agent_that_is_not_there_says_so() {
    let agency = Agency::new();
    let end = agency.invoke("command = ['no-such-agent']", agency.request(Phase::Implementation, ""));
    let Ended::NotStarted(reason) = end.ended else { panic!("it started") };
    assert_eq!(reason, "agent `scripted` is not installed: no-such-agent");
}

/// A fake of a client: a shell script that prints events.
fn fake_client(agency: &Agency, events: &str) -> String {
    let path = agency.scratch.outside().join("events");
    std::fs::write(&path, events).unwrap();
    format!("bin = 'cat'\nargs = ['{}', '/dev/null']\n{}", path.display(), NO_FLAGS)
}

const NO_FLAGS: &str = "session_args = []\nresult_args = []\nautonomy.full = []\nautonomy.read-only = []\n";

#[test]
fn a_structured_answer_and_the_clients_session_are_taken_from_its_events() {
    let agency = Agency::new();
    let events = "{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"theirs\"}\n\
                  {\"type\":\"result\",\"is_error\":false,\"structured_output\":{\"version\":1,\"verdict\":\"approve\",\"findings\":[]}}\n";
    let request = AgentRequest { adapter: "claude".to_owned(), ..agency.request(Phase::Review, "") };
    let end = agency.invoke(&fake_client(&agency, events), request);
    assert_eq!(end.session, "theirs");
    assert!(read_review(&end.result.unwrap()).is_ok());
}

// The built-in agent.

#[test]
fn the_built_in_agent_meets_every_criterion_and_sends_back_what_misses_one() {
    let agency = Agency::new();
    let demo = DemoBench { agency: &agency, said: Rc::default() };
    demo.run(Phase::Implementation, PromptTask::Author);
    assert!(agency.scratch.read("demo/1.1/criterion-2.md").contains("Beta works"));
    assert_eq!(agency.scratch.git(&["status", "--porcelain"]), "");
    assert!(demo.review().findings.is_empty());

    agency.scratch.write("demo/1.1/criterion-2.md", "something else\n");
    agency.scratch.commit("damage");
    let review = demo.review();
    let finding = &review.findings[0];
    assert_eq!((finding.path.as_str(), review.findings.len()), ("demo/1.1/criterion-2.md", 1));

    demo.run(Phase::ReviewResponse, PromptTask::ReviewResponse { findings: &review.findings });
    assert!(demo.review().findings.is_empty());
    assert!(agency.scratch.read("demo/1.1/answers.md").contains("criterion 2 is not covered"));
}

#[test]
fn the_built_in_agent_merges_the_target_and_keeps_both_sides() {
    let agency = Agency::new();
    let demo = DemoBench { agency: &agency, said: Rc::default() };
    agency.scratch.write("README.md", "# Scratch\nstory\n");
    agency.scratch.commit("story side");
    demo.run(Phase::Implementation, PromptTask::Author);
    agency.scratch.git(&["checkout", "-q", "main"]);
    agency.scratch.write("README.md", "# Scratch\nmain\n");
    agency.scratch.commit("main side");
    agency.scratch.git(&["checkout", "-q", "story/1.1-x"]);
    let paths = ["README.md".to_owned()];
    demo.run(Phase::Implementation, PromptTask::Conflict { target: "main", paths: &paths });
    let text = agency.scratch.read("README.md");
    assert!(text.contains("story\n") && text.contains("main\n") && !text.contains("<<<<"), "{text}");
    assert_eq!(agency.scratch.git(&["rev-list", "--count", "HEAD..main"]), "0");
    assert_eq!(agency.scratch.git(&["status", "--porcelain"]), "");
}

/// Runs the built-in agent in this process, as its subcommand would.
struct DemoBench<'a> {
    agency: &'a Agency,
    said: Rc<RefCell<String>>,
}

impl DemoBench<'_> {
    fn run(&self, phase: Phase, task: PromptTask<'_>) {
        let request = self.agency.request(phase, "");
        let story = String::from_utf8(request.story).unwrap();
        let prompts = Prompts::default();
        let context = PromptContext {
            prompts: &prompts,
            id: "1.1",
            title: "Title",
            path: "docs/stories/1.1.title.md",
            story: &story,
            role: "general-developer",
            base: &self.agency.base,
            checks: &[],
            uv: false,
        };
        let item_file = self.agency.scratch.outside().join("story.md");
        std::fs::write(&item_file, &story).unwrap();
        let agent = git_orchestrate::adapters::agents::demo::DemoAgent {
            item: "1.1".to_owned(),
            item_file,
            phase: phase.to_string(),
            base: self.agency.base.to_string(),
            result: self.agency.scratch.outside().join("result.json"),
            worktree: self.agency.scratch.root(),
            prompt: render(&context, &task),
        };
        *self.said.borrow_mut() = agent.run().unwrap();
    }

    fn review(&self) -> git_orchestrate::domain::prompt::ReviewAnswer {
        self.run(Phase::Review, PromptTask::Review);
        let bytes = std::fs::read(self.agency.scratch.outside().join("result.json")).unwrap();
        read_review(&bytes).unwrap()
    }
}
