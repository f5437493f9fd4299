//! Settings that are no gate keys: where stories lie, how many slots, which agent. Values only; `adapters::config` reads them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a story that declares nothing about dependencies waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undeclared {
    /// The next lower story of its epic, and the foundation stories 0.0 and 0.1 outside epic 0.
    EpicOrder,
    /// The foundation stories only.
    Foundation,
    /// Nothing.
    Independent,
}

/// What happens to a prerequisite outside the scope that is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// Ask on a terminal, else fail.
    Ask,
    /// Take it into the scope.
    Expand,
    /// Leave out the stories that need it.
    Skip,
    /// Start nothing.
    Fail,
}

impl Missing {
    /// The word of it in settings and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Expand => "expand",
            Self::Skip => "skip",
            Self::Fail => "fail",
        }
    }
}

/// Whether agents are put into a PID namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PidNamespace {
    /// Where it takes nothing away from them: where we have the right to make one.
    #[default]
    Auto,
    /// Also by a user namespace, in which programs like sudo do not work.
    On,
    /// Never.
    Off,
}

/// How an agent is confined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SandboxKind {
    /// Not at all.
    #[default]
    None,
    /// By the kernel: writes and signals.
    Landlock,
    /// By bubblewrap: writes, processes, and places that are hidden.
    Bwrap,
}

/// The settings of one invocation, resolved from defaults, user file, repository file, environment and flags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// Folders with stories, relative to the repository root, searched at any depth. The first is the default root.
    pub story_roots: Vec<String>,
    /// Fallback for stories that declare nothing.
    pub undeclared: Undeclared,
    /// Whether the tool writes status and review lines into story files at landing.
    pub write_back: bool,
    /// Slots; `None` = as many as there are cores, at most 8.
    pub jobs: Option<u32>,
    /// Prerequisites outside the scope.
    pub missing: Missing,
    /// Folder of the worktrees, relative to the repository root.
    pub worktrees: String,
    /// Commands run in a new worktree, argv arrays.
    pub setup: Vec<Vec<String>>,
    /// Time limit of each setup command in seconds.
    pub setup_timeout_secs: u64,
    /// Adapter for every role without an entry of its own; `None` = the first installed one.
    pub agent: Option<String>,
    /// Role → adapter.
    pub roles: BTreeMap<String, String>,
    /// Technology → role, on top of the built-in table.
    pub technologies: BTreeMap<String, String>,
    /// Wall-clock limit of one agent invocation in seconds.
    pub agent_timeout_secs: u64,
    /// Limit without any output in seconds; 0 = none.
    pub idle_timeout_secs: u64,
    /// Seconds between asking an agent to end and killing it.
    pub grace_secs: u64,
    /// Whether agents are put into a PID namespace.
    pub pid_namespace: PidNamespace,
    /// How often a conflict or a failed check goes back to the author before the item fails.
    pub rework_rounds: u32,
    /// How agents are confined whose adapter does not say.
    pub sandbox: SandboxKind,
    /// Variables whose values are kept out of logs, records and output, besides those whose names say that they are secret.
    pub redact_values_of: Vec<String>,
    /// Adapters defined or overridden in configuration: name → raw TOML table as text.
    pub adapters: BTreeMap<String, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            story_roots: vec!["docs/stories".to_owned()],
            undeclared: Undeclared::EpicOrder,
            write_back: true,
            jobs: None,
            missing: Missing::Ask,
            worktrees: ".worktrees".to_owned(),
            setup: Vec::new(),
            setup_timeout_secs: 600,
            agent: None,
            roles: BTreeMap::new(),
            technologies: BTreeMap::new(),
            agent_timeout_secs: 3600,
            idle_timeout_secs: 0,
            grace_secs: 10,
            pid_namespace: PidNamespace::Auto,
            rework_rounds: 2,
            sandbox: SandboxKind::None,
            redact_values_of: Vec::new(),
            adapters: BTreeMap::new(),
        }
    }
}
