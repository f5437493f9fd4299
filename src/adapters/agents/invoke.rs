//! One invocation of an agent: its files, its environment, its arguments, its end. Must not judge what it did in git.
//!
//! Files of an invocation lie in a folder of their own, `<state dir>/attempts/<attempt>/<n>-<phase>/`, outside the worktree:
//! `prompt.md`, `story/<name>`, `schema.json`, `answer/result.json` (written by the agent), `output.log`, `exit.json`.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::tz::TimeZone;

use super::adapter::{Adapter, CommitBy, Parser, PromptBy, ResultBy, StopSignal, UsageBy};
use super::calling::takes_system;
use super::ground::Ground;
use super::parse::{self, Transcript, follow};
use super::price::{self, Reckoned};
use super::record::{self, Invoked};
use super::registry::Registry;
use super::{leaves, leftover};
use crate::adapters::process::environment::Environment;
use crate::adapters::process::executor::{attempt_folder, next_free, plain_name};
use crate::adapters::process::fence;
use crate::adapters::process::output::{self, LOG_CAP};
use crate::adapters::process::past::EXIT_FILE;
use crate::adapters::process::run::{Ask, Job, JobEnd, run};
use crate::adapters::process::sandbox::{self, Places};
use crate::adapters::process::spawn::{self, Launch};
use crate::adapters::process::supervisor::Supervisor;
use crate::domain::diagnostic::escape_line;
use crate::domain::event::FailureClass;
use crate::domain::names::{Principal, Timestamp};
use crate::domain::price::PriceTable;
use crate::domain::prompt::REVIEW_SCHEMA;
use crate::domain::redact::{Redactor, Secret};
use crate::domain::state::OpenSession;
use crate::domain::workflow::Phase;
use crate::engine::ports::{Abilities, AgentEnd, AgentRequest, Agents, CancelSignal, Ended, LeftSession, Watcher};

/// Length a result may have, in bytes.
const RESULT_CAP: u64 = 4 * 1024 * 1024;

/// Newest output that patterns are looked for in, in bytes.
const PATTERN_BYTES: u64 = 64 * 1024;

/// What an agent is told whose work we commit.
const NO_COMMIT: &str = "\n## Commits\n\nDo not commit, whatever is said above: your client cannot, or is not to. Leave your \
    changes in the worktree; they are committed for you when you end.\n";

/// Where agents are run.
#[derive(Clone, Debug)]
pub struct AgentPlace {
    /// Transient files: `<git common dir>/orchestrate`.
    pub state_dir: PathBuf,
    /// Main worktree.
    pub root: PathBuf,
    /// Common git directory.
    pub git_common_dir: PathBuf,
    /// This program itself, for the built-in agent.
    pub program: PathBuf,
    /// Values that must not leave by a log or an answer.
    pub secrets: Vec<Secret>,
    /// Who watches over them.
    pub supervisor: Supervisor,
    /// What models cost.
    pub prices: PriceTable,
    /// Whether anybody sees what agents are doing meanwhile.
    pub followed: bool,
}

/// Agents as processes on this machine.
#[derive(Clone, Debug)]
pub struct RealAgents {
    registry: Arc<Registry>,
    place: AgentPlace,
}

impl RealAgents {
    /// Agents of a registry.
    pub fn new(registry: Arc<Registry>, place: AgentPlace) -> Self {
        Self { registry, place }
    }
}

#[async_trait(?Send)]
impl Agents for RealAgents {
    fn left(&self, open: &OpenSession) -> LeftSession {
        let Principal::Agent { adapter, .. } = &open.principal else { return LeftSession::default() };
        let adapter = self.registry.adapter(adapter);
        adapter.map_or_else(LeftSession::default, |adapter| leftover::of(&self.place.state_dir, adapter, open))
    }

    fn abilities(&self, adapter: &str) -> Abilities {
        let adapter = self.registry.adapter(adapter);
        Abilities {
            resumes: adapter.is_some_and(|adapter| !adapter.resume_args.is_empty()),
            commits: adapter.is_none_or(|adapter| adapter.commit != CommitBy::Orchestrator),
            commit_for_it: adapter.is_none_or(|adapter| adapter.commit != CommitBy::Agent),
        }
    }

    async fn invoke(&self, request: AgentRequest, cancel: CancelSignal, watcher: Watcher) -> AgentEnd {
        let Some(adapter) = self.registry.adapter(&request.adapter) else {
            return not_started(&request, format!("there is no agent `{}`", escape_line(&request.adapter)));
        };
        let Some(program) = self.registry.program(&request.adapter, &self.place.root, &self.place.program) else {
            let bin = if adapter.bin.is_empty() { "no program is configured" } else { adapter.bin.as_str() };
            return not_started(&request, format!("agent `{}` is not installed: {bin}", adapter.name));
        };
        let mut invocation = match Invocation::prepare(&self.place, adapter, &request) {
            Ok(invocation) => invocation,
            Err(error) => {
                let place = self.place.state_dir.display();
                return not_started(&request, format!("cannot write the agent's files below {place}: {error}"));
            }
        };
        if let Err(reason) = invocation.find_ground() {
            return not_started(&request, reason);
        }
        let environment = invocation.environment();
        let secrets = [self.place.secrets.clone(), environment.secrets()].concat();
        let redactor = Redactor::new(secrets.clone());
        let secrets = secrets.into_iter().map(|secret| secret.value).collect();
        let mut job = invocation.job(program, environment, secrets);
        if adapter.parser == Parser::Acp {
            job.launch = match invocation.conversation(job.launch) {
                Ok(launch) => launch,
                Err(error) => return not_started(&request, format!("cannot write the agent's files: {error}")),
            };
        }
        job.launch = match invocation.confined(job.launch) {
            Ok(launch) => launch,
            Err(reason) => return not_started(&request, reason),
        };
        let work = run(&job, cancel);
        let end = if self.place.followed {
            let log = job.launch.log.clone();
            follow::while_running(work, log, adapter.parser, &redactor, |activity| watcher(activity)).await
        } else {
            work.await
        };
        invocation.end(end, &redactor)
    }
}

fn not_started(request: &AgentRequest, reason: String) -> AgentEnd {
    AgentEnd {
        class: Some(FailureClass::Agent),
        tail: reason.clone(),
        ..AgentEnd::of(Ended::NotStarted(reason), &request.session)
    }
}

/// An invocation whose files are written.
pub(super) struct Invocation<'a> {
    pub(super) place: &'a AgentPlace,
    pub(super) adapter: &'a Adapter,
    pub(super) request: &'a AgentRequest,
    pub(super) folder: PathBuf,
    pub(super) story: PathBuf,
    pub(super) role_file: Option<PathBuf>,
    /// What is added to the client's system text.
    pub(super) system: Option<String>,
    /// The worktree's places, where the arguments name any.
    pub(super) ground: Option<Ground>,
}

impl<'a> Invocation<'a> {
    fn prepare(place: &'a AgentPlace, adapter: &'a Adapter, request: &'a AgentRequest) -> io::Result<Self> {
        let attempt = attempt_folder(&place.state_dir, request.attempt.as_str());
        fs::create_dir_all(&attempt)?;
        let folder = next_free(&attempt, |path| {
            let folder = path.with_file_name(format!("{}-{}", path.file_name()?.to_str()?, request.phase));
            Some(DirBuilder::new().mode(0o700).create(&folder).map(|()| folder))
        })?;
        let story = folder.join("story").join(plain_name(&request.story_name));
        fs::create_dir(folder.join("story"))?;
        fs::create_dir(folder.join("answer"))?;
        write_new(&story, &request.story)?;
        write_new(&folder.join("schema.json"), REVIEW_SCHEMA.as_bytes())?;
        record::write(&folder, &Invoked::of(adapter, request))?;
        let mut invocation =
            Self { place, adapter, request, folder, story, role_file: None, system: None, ground: None };
        let mut prompt = request.prompt.clone();
        match invocation.role() {
            Role::None => {}
            Role::Flag(path) => invocation.role_file = Some(path),
            Role::Text(text) if takes_system(adapter, &text) => invocation.system = Some(text),
            Role::Text(text) => {
                prompt.push_str("\n## Your role\n\n");
                prompt.push_str(&text);
            }
        }
        if adapter.commit == CommitBy::Orchestrator && request.phase != Phase::Review {
            prompt.push_str(NO_COMMIT);
        }
        write_new(&invocation.folder.join("prompt.md"), prompt.as_bytes())?;
        invocation.write_settings()?;
        // An earlier invocation may have been cut short.
        invocation.move_leaves();
        Ok(invocation)
    }

    fn find_ground(&mut self) -> Result<(), String> {
        if self.needs_ground() {
            let request = self.request;
            let ground = Ground::of(&request.worktree, &self.place.git_common_dir, request.branch.as_str())?;
            self.ground = Some(ground);
        }
        Ok(())
    }

    /// Takes the client's own files out of the worktree, where git knows them neither from the base nor from the branch.
    fn move_leaves(&self) {
        let request = self.request;
        let known =
            |name: &str| [request.base.as_str(), request.branch.as_str()].iter().any(|commit| self.is_in(commit, name));
        leaves::move_out(&request.worktree, &self.adapter.leaves, &self.folder.join("left"), known);
    }

    fn is_in(&self, commit: &str, name: &str) -> bool {
        let mut git = spawn::command("git");
        git.arg("--git-dir").arg(&self.place.git_common_dir).args(["cat-file", "-e", "--end-of-options"]);
        // What cannot be asked counts as known: it stays where it is.
        git.arg(format!("{commit}:{name}")).output().map_or(true, |output| output.status.success())
    }

    /// What is known of the role. An author's client reads the file itself where it has a flag for it and knows its folder. A
    /// reviewer is told what the target had: the file in the worktree is the author's to change.
    fn role(&self) -> Role {
        let Some(role) = &self.request.role_file else { return Role::None };
        let own_folder = self.adapter.role_dirs.iter().any(|dir| role.path.strip_prefix(dir).is_some_and(is_direct));
        let path = self.request.worktree.join(&role.path);
        let flag = self.request.phase != Phase::Review && own_folder && !self.adapter.role_args.is_empty();
        if flag && path.is_file() { Role::Flag(path) } else { Role::Text(role.body.clone()) }
    }

    fn job(&self, program: PathBuf, environment: Environment, secrets: Vec<String>) -> Job {
        let request = self.request;
        let launch = Launch {
            program,
            args: self.args(),
            directory: request.worktree.clone(),
            environment,
            stdin: (self.adapter.prompt == PromptBy::Stdin).then(|| self.prompt_file()),
            log: self.log(),
        };
        Job {
            launch,
            attempt: request.attempt.as_str().to_owned(),
            timeout: Duration::from_secs(request.timeout_secs),
            idle: (request.idle_secs > 0).then(|| Duration::from_secs(request.idle_secs)),
            grace: Duration::from_secs(self.adapter.stop.grace_s.unwrap_or(request.grace_secs)),
            ask: match self.adapter.stop.signal {
                StopSignal::Term => Ask::Terminate,
                StopSignal::Int => Ask::Interrupt,
            },
            log_cap: LOG_CAP,
            secrets,
            supervisor: self.place.supervisor.clone(),
            lock: fence::lock_path(&self.place.state_dir, request.attempt.as_str()),
            exit: self.folder.join(EXIT_FILE),
        }
    }

    /// The launch in the adapter's sandbox.
    fn confined(&self, launch: Launch) -> Result<Launch, String> {
        let places = Places {
            worktree: &self.request.worktree,
            git_common_dir: &self.place.git_common_dir,
            branch: self.request.branch.as_str(),
            answer: &self.folder.join("answer"),
            tmp: &self.folder.join("tmp"),
            spec: &self.folder.join("sandbox.json"),
        };
        sandbox::confine(launch, &self.adapter.sandbox, &places)
    }

    /// What is handed on: nothing in it holds a secret that the agent was given.
    fn end(&self, end: JobEnd, redactor: &Redactor) -> AgentEnd {
        let log = self.log();
        self.move_leaves();
        let transcript = parse::read(&log, self.adapter.parser);
        let (class, until) = self.class(&end.ended, &transcript, &log);
        let result = self.request.wants_result.then(|| self.result(&transcript)).flatten();
        let own = self.adapter.model.as_deref();
        let Reckoned { usage, counting, priced } = price::reckon(&transcript, own, &self.place.prices);
        let result = result.map(|bytes| redactor.redact_bytes(&bytes));
        let session = transcript.session.unwrap_or_else(|| self.request.session.clone());
        AgentEnd {
            ended: end.ended,
            session,
            result,
            class,
            tail: redactor.redact(&end.tail),
            log,
            millis: end.millis,
            usage,
            counting: self.adapter.usage.map_or(counting, UsageBy::counting),
            priced,
            denied: transcript.denied,
            model: if transcript.model.is_empty() { own.unwrap_or_default().to_owned() } else { transcript.model },
            until: until.filter(|_| class == Some(FailureClass::RateLimited)),
            said: redactor.redact(&transcript.said),
        }
    }

    fn result(&self, transcript: &Transcript) -> Option<Vec<u8>> {
        match self.adapter.result {
            ResultBy::File => read_result(&self.result_file()),
            // The prompt names the file as well, for a client that was held to no shape after all.
            ResultBy::Structured => transcript.structured.clone().or_else(|| read_result(&self.result_file())),
        }
    }

    /// What the client's end proves, and until when a limit holds: events, then exit code, then patterns, these after a success
    /// only where the adapter says that the exit code proves nothing.
    fn class(&self, ended: &Ended, transcript: &Transcript, log: &Path) -> (Option<FailureClass>, Option<Timestamp>) {
        let code = match ended {
            Ended::WallTimeout => return (Some(FailureClass::WallTimeout), None),
            Ended::IdleTimeout => return (Some(FailureClass::IdleTimeout), None),
            Ended::NotStarted(_) => return (Some(FailureClass::Agent), None),
            Ended::Cancelled => return (None, None),
            Ended::Exit(code) => Some(*code),
            Ended::Signal(_) => None,
        };
        let by_code = code.and_then(|code| self.adapter.exit_codes.get(&code)).map(|class| class.class());
        let known = transcript.class.or(by_code);
        if known.is_some() && (known != Some(FailureClass::RateLimited) || transcript.until.is_some()) {
            return (known, transcript.until);
        }
        // A limit without a time: a pattern may still tell it.
        let bytes = output::last_bytes(log, PATTERN_BYTES).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let (events, now) = (self.adapter.parser != Parser::Plain, now());
        let patterns = self.adapter.patterns.iter().filter(|pattern| pattern.always || code != Some(0));
        let mut found =
            patterns.filter(|pattern| known.is_none_or(|known| known == pattern.class.class())).filter_map(|pattern| {
                Some((pattern.class.class(), pattern.find(&text, events, now, &TimeZone::system())?))
            });
        let failed = code != Some(0);
        found.next().map_or((known.or(transcript.hint.filter(|_| failed)), transcript.until), |(class, until)| {
            (Some(class), until)
        })
    }

    pub(super) fn prompt_file(&self) -> PathBuf {
        self.folder.join("prompt.md")
    }

    pub(super) fn result_file(&self) -> PathBuf {
        self.folder.join("answer").join("result.json")
    }

    pub(super) fn settings_file(&self) -> PathBuf {
        self.folder.join("settings.json")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("output.log")
    }
}

/// Whether what follows a folder is a file in it.
fn is_direct(rest: &str) -> bool {
    rest.strip_prefix('/').is_some_and(|name| !name.contains('/'))
}

/// How a role reaches a client.
enum Role {
    /// There is no file for it.
    None,
    /// By the client's flag.
    Flag(PathBuf),
    /// As text in the prompt.
    Text(String),
}

fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

pub(super) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
}

/// A regular file that is not too long. The agent made it: a link is not followed, a pipe is not waited for.
fn read_result(path: &Path) -> Option<Vec<u8>> {
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > RESULT_CAP {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(RESULT_CAP).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
