//! How a client is called: arguments and environment of one invocation. Must not run anything.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::unistd::geteuid;

use super::acp;
use super::adapter::{Adapter, Autonomy};
use super::arguments::{Placeholder, Template};
use super::claude_hooks::{self, Known};
use super::ground::in_tmp;
use super::invoke::{Invocation, write_new};
use crate::adapters::process::environment::{Environment, MARK};
use crate::adapters::process::spawn::Launch;
use crate::domain::prompt::REVIEW_SCHEMA;
use crate::domain::workflow::Phase;

/// Longest text that is given as an argument, in bytes; the system takes 128 KiB.
const ARGUMENT: usize = 96 * 1024;

/// Whether a text can be given to a client as system text.
pub(super) fn takes_system(adapter: &Adapter, text: &str) -> bool {
    !adapter.system_args.is_empty() && text.len() <= ARGUMENT && !text.contains('\0')
}

impl Invocation<'_> {
    /// The arguments. The session comes last: Codex takes its other flags before `resume` only.
    pub(super) fn args(&self) -> Vec<String> {
        self.template().fill(&|placeholder| self.value(placeholder))
    }

    /// The arguments as written.
    pub(super) fn template(&self) -> Template {
        let (adapter, request) = (self.adapter, self.request);
        let review = request.phase == Phase::Review;
        let mut parts = vec![&adapter.args];
        if adapter.model.is_some() {
            parts.push(&adapter.model_args);
        }
        parts.push(if review { &adapter.reviewer_args } else { &adapter.author_args });
        if !review && in_tmp(&self.place.git_common_dir, &tmpdir()) {
            parts.push(&adapter.tmp_args);
        }
        if adapter.max_turns.is_some() {
            parts.push(&adapter.limit_args);
        }
        parts.push(&adapter.settings_args);
        if request.wants_result {
            parts.push(&adapter.result_args);
        }
        if self.role_file.is_some() {
            parts.push(&adapter.role_args);
        }
        if self.system.is_some() {
            parts.push(&adapter.system_args);
        }
        let resume = request.resume && !adapter.resume_args.is_empty();
        parts.push(if resume { &adapter.resume_args } else { &adapter.session_args });
        let mut all = Template::default();
        for part in parts {
            all.extend(part);
        }
        all
    }

    /// The launch with this program's client of the protocol in between. Session, model and mode are said in the protocol.
    pub(super) fn conversation(&self, mut launch: Launch) -> io::Result<Launch> {
        let (adapter, request) = (self.adapter, self.request);
        let fill = |part: &Template| part.fill(&|placeholder| self.value(placeholder));
        let reviewer = request.phase == Phase::Review;
        launch.args = fill(&adapter.args);
        let spec = acp::Spec {
            prompt: self.prompt_file(),
            session: request.resume.then(|| request.session.clone()),
            modes: fill(if reviewer { &adapter.reviewer_args } else { &adapter.author_args }),
            model: adapter.model.clone(),
            wants_result: request.wants_result,
            grace_millis: adapter.stop.grace_s.unwrap_or(request.grace_secs).saturating_mul(1000),
            facts: self.facts(),
            ..acp::Spec::default()
        };
        acp::conversation(launch, &self.place.program, spec, self.folder.join("conversation.json"))
    }

    fn value(&self, placeholder: Placeholder) -> String {
        let request = self.request;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        // Without a ground nothing that uses it is started.
        let ground = |of: fn(&super::ground::Ground) -> &Path| {
            self.ground.as_ref().map(|ground| text(of(ground))).unwrap_or_default()
        };
        match placeholder {
            Placeholder::Prompt => fs::read_to_string(self.prompt_file()).unwrap_or_default(),
            Placeholder::PromptFile => text(&self.prompt_file()),
            Placeholder::Model => self.adapter.model.clone().unwrap_or_default(),
            Placeholder::SessionId => request.session.clone(),
            Placeholder::Role => request.role.clone(),
            Placeholder::RoleFile => self.role_file.as_deref().map(text).unwrap_or_default(),
            Placeholder::System => self.system.clone().unwrap_or_default(),
            Placeholder::MaxTurns => self.adapter.max_turns.map(|turns| turns.to_string()).unwrap_or_default(),
            Placeholder::SettingsFile => text(&self.settings_file()),
            Placeholder::UsageFile => text(&self.folder.join("answer").join("usage.json")),
            Placeholder::Schema => REVIEW_SCHEMA.to_owned(),
            Placeholder::SchemaFile => text(&self.folder.join("schema.json")),
            Placeholder::ResultFile => text(&self.result_file()),
            Placeholder::Worktree => text(&request.worktree),
            Placeholder::Repo => text(&self.place.root),
            Placeholder::GitCommonDir => text(&self.place.git_common_dir),
            Placeholder::GitDir => ground(|ground| &ground.git_dir),
            Placeholder::GitObjects => ground(|ground| &ground.objects),
            Placeholder::StoryRefs => ground(|ground| &ground.refs),
            Placeholder::StoryLogs => ground(|ground| &ground.logs),
            Placeholder::Branch => request.branch.short().to_owned(),
            Placeholder::Base => request.base.to_string(),
            Placeholder::StoryId => request.key.to_string(),
            Placeholder::StoryPath => text(&self.story),
            Placeholder::Phase => request.phase.to_string(),
            Placeholder::Attempt => request.attempt.to_string(),
        }
    }

    /// Whether the arguments name places that only the worktree's entry tells.
    pub(super) fn needs_ground(&self) -> bool {
        let template = self.template();
        let places = [Placeholder::GitDir, Placeholder::GitObjects, Placeholder::StoryRefs, Placeholder::StoryLogs];
        places.into_iter().any(|place| template.uses(place))
    }

    pub(super) fn environment(&self) -> Environment {
        let request = self.request;
        let as_root = geteuid().is_root() && request.phase != Phase::Review;
        let mut environment = of_adapter(self.adapter, as_root);
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

    /// What requests and commands of the session are judged by.
    fn facts(&self) -> acp::Facts {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        acp::Facts {
            reviewer: self.request.phase == Phase::Review,
            worktree: text(&self.request.worktree),
            root: text(&self.place.root),
            git_common_dir: text(&self.place.git_common_dir),
            branch: self.request.branch.short().to_owned(),
            result: text(&self.result_file()),
            ..acp::Facts::default()
        }
    }

    /// Writes the settings with hooks, and what these have to know, where the client is given any.
    pub(super) fn write_settings(&self) -> std::io::Result<()> {
        if !self.adapter.settings_args.uses(Placeholder::SettingsFile) {
            return Ok(());
        }
        let request = self.request;
        let reviewer = request.phase == Phase::Review;
        let mut facts = self.facts();
        acp::look_around(&mut facts, Some(tmpdir().to_string_lossy().into_owned()));
        let known = Known { facts, base: request.base.to_string() };
        let file = self.folder.join("hooks.json");
        write_new(&file, &serde_json::to_vec(&known)?)?;
        let settings = claude_hooks::settings(&self.place.program, &file, reviewer);
        write_new(&self.settings_file(), &serde_json::to_vec_pretty(&settings)?)
    }
}

/// What an adapter lets through of our environment and adds to it; the same for a session and for asking its version.
pub(super) fn of_adapter(adapter: &Adapter, as_root: bool) -> Environment {
    let mut environment = Environment::inherited(&adapter.env_pass);
    environment.forbid(&adapter.env_forbid);
    for (name, value) in &adapter.env_set {
        environment.set(name, value);
    }
    if as_root && adapter.author == Autonomy::Full {
        for (name, value) in &adapter.env_set_as_root {
            environment.set(name, value);
        }
    }
    environment
}

/// Our folder for temporary files, which agents are told of as well.
fn tmpdir() -> std::path::PathBuf {
    std::env::temp_dir()
}
