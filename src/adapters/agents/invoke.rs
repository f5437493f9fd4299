//! One invocation of an agent: its files, its environment, its arguments, its end. Must not judge what it did in git.
//!
//! Files of an invocation lie in a folder of their own, `<state dir>/attempts/<attempt>/<n>-<phase>/`, outside the worktree:
//! `prompt.md`, `story/<name>`, `schema.json`, `answer/result.json` (written by the agent), `output.log`, `exit.json`.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use super::adapter::{Adapter, PromptBy, ResultBy, StopSignal};
use super::arguments::Placeholder;
use super::leftover;
use super::registry::Registry;
use super::transcript::{self, Transcript};
use crate::adapters::process::environment::{Environment, MARK};
use crate::adapters::process::executor::{attempt_folder, next_free, plain_name};
use crate::adapters::process::fence;
use crate::adapters::process::output::{self, LOG_CAP};
use crate::adapters::process::past::EXIT_FILE;
use crate::adapters::process::run::{Ask, Job, JobEnd, run};
use crate::adapters::process::sandbox::{self, Places};
use crate::adapters::process::spawn::Launch;
use crate::adapters::process::supervisor::Supervisor;
use crate::domain::diagnostic::escape_line;
use crate::domain::event::FailureClass;
use crate::domain::names::Principal;
use crate::domain::prompt::REVIEW_SCHEMA;
use crate::domain::redact::{Redactor, Secret};
use crate::domain::state::OpenSession;
use crate::domain::workflow::Phase;
use crate::engine::ports::{AgentEnd, AgentRequest, Agents, CancelSignal, Ended, LeftSession, Watcher};

/// Length a result may have, in bytes.
const RESULT_CAP: u64 = 4 * 1024 * 1024;

/// Newest output that patterns are looked for in, in bytes.
const PATTERN_BYTES: u64 = 64 * 1024;

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

    async fn invoke(&self, request: AgentRequest, cancel: CancelSignal, _watcher: Watcher) -> AgentEnd {
        let Some(adapter) = self.registry.adapter(&request.adapter) else {
            return not_started(&request, format!("there is no agent `{}`", escape_line(&request.adapter)));
        };
        let Some(program) = self.registry.program(&request.adapter, &self.place.root, &self.place.program) else {
            let bin = if adapter.bin.is_empty() { "no program is configured" } else { adapter.bin.as_str() };
            return not_started(&request, format!("agent `{}` is not installed: {bin}", adapter.name));
        };
        let invocation = match Invocation::prepare(&self.place, adapter, &request) {
            Ok(invocation) => invocation,
            Err(error) => {
                let place = self.place.state_dir.display();
                return not_started(&request, format!("cannot write the agent's files below {place}: {error}"));
            }
        };
        let environment = invocation.environment();
        let secrets = [self.place.secrets.clone(), environment.secrets()].concat();
        let redactor = Redactor::new(secrets.clone());
        let secrets = secrets.into_iter().map(|secret| secret.value).collect();
        let mut job = invocation.job(program, environment, secrets);
        job.launch = match invocation.confined(job.launch) {
            Ok(launch) => launch,
            Err(reason) => return not_started(&request, reason),
        };
        let end = run(&job, cancel).await;
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
struct Invocation<'a> {
    place: &'a AgentPlace,
    adapter: &'a Adapter,
    request: &'a AgentRequest,
    folder: PathBuf,
    story: PathBuf,
    role_file: Option<PathBuf>,
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
        let mut invocation = Self { place, adapter, request, folder, story, role_file: None };
        let mut prompt = request.prompt.clone();
        match invocation.role() {
            Role::None => {}
            Role::Flag(path) => invocation.role_file = Some(path),
            Role::Text(text) => {
                prompt.push_str("\n## Your role\n\n");
                prompt.push_str(&text);
            }
        }
        write_new(&invocation.folder.join("prompt.md"), prompt.as_bytes())?;
        Ok(invocation)
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

    /// The session comes last: Codex takes its other flags before `resume` only.
    fn args(&self) -> Vec<String> {
        let (adapter, request) = (self.adapter, self.request);
        let review = request.phase == Phase::Review;
        let mut parts = vec![&adapter.args];
        if adapter.model.is_some() {
            parts.push(&adapter.model_args);
        }
        parts.push(if review { &adapter.reviewer_args } else { &adapter.author_args });
        if request.wants_result {
            parts.push(&adapter.result_args);
        }
        if self.role_file.is_some() {
            parts.push(&adapter.role_args);
        }
        let resume = request.resume && !adapter.resume_args.is_empty();
        parts.push(if resume { &adapter.resume_args } else { &adapter.session_args });
        parts.into_iter().flat_map(|part| part.fill(&|placeholder| self.value(placeholder))).collect()
    }

    fn value(&self, placeholder: Placeholder) -> String {
        let request = self.request;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        match placeholder {
            Placeholder::Prompt => fs::read_to_string(self.prompt_file()).unwrap_or_default(),
            Placeholder::PromptFile => text(&self.prompt_file()),
            Placeholder::Model => self.adapter.model.clone().unwrap_or_default(),
            Placeholder::SessionId => request.session.clone(),
            Placeholder::Role => request.role.clone(),
            Placeholder::RoleFile => self.role_file.as_deref().map(text).unwrap_or_default(),
            Placeholder::Schema => REVIEW_SCHEMA.to_owned(),
            Placeholder::SchemaFile => text(&self.folder.join("schema.json")),
            Placeholder::ResultFile => text(&self.result_file()),
            Placeholder::Worktree => text(&request.worktree),
            Placeholder::Repo => text(&self.place.root),
            Placeholder::GitCommonDir => text(&self.place.git_common_dir),
            Placeholder::Branch => request.branch.short().to_owned(),
            Placeholder::Base => request.base.to_string(),
            Placeholder::StoryId => request.key.to_string(),
            Placeholder::StoryPath => text(&self.story),
            Placeholder::Phase => request.phase.to_string(),
            Placeholder::Attempt => request.attempt.to_string(),
        }
    }

    fn environment(&self) -> Environment {
        let request = self.request;
        let mut environment = Environment::inherited(&self.adapter.env_pass);
        for (name, value) in &self.adapter.env_set {
            environment.set(name, value);
        }
        environment.set_identity(&request.role, &request.adapter);
        environment.set(MARK, request.attempt.as_str());
        environment.set("ORCHESTRATE_ITEM", request.key.as_str());
        environment.set("ORCHESTRATE_ITEM_FILE", &self.story);
        environment.set("ORCHESTRATE_PHASE", request.phase.name());
        environment.set("ORCHESTRATE_RUN", request.run.as_str());
        environment.set("ORCHESTRATE_BRANCH", request.branch.short());
        environment.set("ORCHESTRATE_BASE", request.base.as_str());
        environment.set("ORCHESTRATE_ROLE", &request.role);
        environment.set("ORCHESTRATE_SESSION", &request.session);
        environment.set("ORCHESTRATE_WORKTREE", &request.worktree);
        environment.set("ORCHESTRATE_PROMPT_FILE", self.prompt_file());
        environment.set("ORCHESTRATE_RESULT", self.result_file());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
        environment.set("ORCHESTRATE_DEADLINE", now.saturating_add(request.timeout_secs).to_string());
        environment
    }

    /// What is handed on: nothing in it holds a secret that the agent was given.
    fn end(&self, end: JobEnd, redactor: &Redactor) -> AgentEnd {
        let log = self.log();
        let transcript = transcript::read(&log, self.adapter.parser);
        let class = self.class(&end.ended, &transcript, &log);
        let result = self.request.wants_result.then(|| self.result(&transcript)).flatten();
        let usage = transcript.usage;
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
            counting: transcript.counting,
            model: transcript.model,
            until: transcript.until,
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

    /// What the client's end proves: events, then exit code, then patterns, these only when it did not succeed.
    fn class(&self, ended: &Ended, transcript: &Transcript, log: &Path) -> Option<FailureClass> {
        match ended {
            Ended::WallTimeout => return Some(FailureClass::WallTimeout),
            Ended::IdleTimeout => return Some(FailureClass::IdleTimeout),
            Ended::NotStarted(_) => return Some(FailureClass::Agent),
            Ended::Cancelled => return None,
            Ended::Exit(_) | Ended::Signal(_) => {}
        }
        if transcript.class.is_some() {
            return transcript.class;
        }
        if let Ended::Exit(code) = ended {
            if let Some(class) = self.adapter.exit_codes.get(code) {
                return Some(class.class());
            }
            if *code == 0 {
                return None;
            }
        }
        let bytes = output::last_bytes(log, PATTERN_BYTES).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        self.adapter.patterns.iter().find(|(regex, _)| regex.is_match(&text)).map(|(_, class)| class.class())
    }

    fn prompt_file(&self) -> PathBuf {
        self.folder.join("prompt.md")
    }

    fn result_file(&self) -> PathBuf {
        self.folder.join("answer").join("result.json")
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

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
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
