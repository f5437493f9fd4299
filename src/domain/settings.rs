//! Settings that are no gate keys: where stories lie, how many slots, which agent. Values only; `adapters::config` reads them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::breaker::{self, Rule};
use super::budget::{Amount, Caps, GUESS};
use super::pressure::Floors;
use super::price::PriceTable;
use super::retry::RetryPolicy;
use super::workflow::Phase;

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

/// What a run may consume, and what the machine must have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Caps by the configuration.
    pub caps: Caps,
    /// Cap on the cost by the command line, in millionths of a US dollar; it goes before the configuration's.
    pub asked: Option<u64>,
    /// Estimated cost of a session of which nothing is known, in millionths of a US dollar; `None` = the built-in one.
    pub session_cost: Option<u64>,
    /// Below what starts are held back.
    pub floors: Floors,
}

impl Limits {
    /// The caps in force.
    pub fn in_force(&self) -> Caps {
        Caps { micro_usd: self.asked.or(self.caps.micro_usd), ..self.caps }
    }

    /// What a session of which nothing is known is reckoned with.
    pub fn guess(&self) -> Amount {
        Amount { micro_usd: self.session_cost.unwrap_or(GUESS.micro_usd), ..GUESS }
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
    /// Slots; `None` = by cores, memory and what the agents need, at most 8.
    pub jobs: Option<u32>,
    /// Prerequisites outside the scope.
    pub missing: Missing,
    /// Folder of the worktrees, relative to the repository root.
    pub worktrees: String,
    /// Commands run in a new worktree, argv arrays.
    pub setup: Vec<Vec<String>>,
    /// Time limit of each setup command in seconds.
    pub setup_timeout_secs: u64,
    /// Adapters for every role without an entry of its own, in order: the next takes the place of one that is missing or
    /// paused. Empty = the first installed one.
    pub agents: Vec<String>,
    /// Role → adapters, in order.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Technology → role, on top of the built-in table.
    pub technologies: BTreeMap<String, String>,
    /// Wall-clock limit of one agent invocation in seconds.
    pub agent_timeout_secs: u64,
    /// Limit without any output in seconds; 0 = none.
    pub idle_timeout_secs: u64,
    /// Seconds between asking an agent to end and killing it.
    pub grace_secs: u64,
    /// Phase → wall-clock limit of a session that begins with it, in seconds.
    pub timeouts: BTreeMap<Phase, u64>,
    /// Phase → limit without any output, in seconds; 0 = none.
    pub idle_timeouts: BTreeMap<Phase, u64>,
    /// How often and when a failed attempt is repeated.
    pub retry: RetryPolicy,
    /// When an agent is left alone after failures in a row, and for how long.
    pub breaker: Rule,
    /// What a run may consume, and what the machine must have left.
    pub limits: Limits,
    /// Whether agents are put into a PID namespace.
    pub pid_namespace: PidNamespace,
    /// How often a conflict or a failed check goes back to the author before the item fails.
    pub rework_rounds: u32,
    /// How agents are confined whose adapter does not say.
    pub sandbox: SandboxKind,
    /// Variables whose values are kept out of logs, records and output, besides those whose names say that they are secret.
    pub redact_values_of: Vec<String>,
    /// Prices of models, on top of the built-in table.
    pub prices: PriceTable,
    /// Adapters defined or overridden in configuration: name → the files that do, the lowest layer first.
    pub adapters: BTreeMap<String, Vec<AdapterText>>,
}

/// A configuration file with the table `[agents.<name>]` of an adapter. The whole text: what is wrong in it is shown where it
/// stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AdapterText {
    /// Path for people.
    pub path: String,
    /// Content of the file.
    pub text: String,
}

impl Settings {
    /// Wall-clock limit of a session that begins with a phase, in seconds.
    pub fn timeout_of(&self, phase: Phase) -> u64 {
        self.timeouts.get(&phase).copied().unwrap_or(self.agent_timeout_secs)
    }

    /// Its limit without output, in seconds; 0 = none.
    pub fn idle_timeout_of(&self, phase: Phase) -> u64 {
        self.idle_timeouts.get(&phase).copied().unwrap_or(self.idle_timeout_secs)
    }
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
            agents: Vec::new(),
            roles: BTreeMap::new(),
            technologies: BTreeMap::new(),
            agent_timeout_secs: 3600,
            idle_timeout_secs: 0,
            grace_secs: 10,
            timeouts: BTreeMap::new(),
            idle_timeouts: BTreeMap::new(),
            retry: RetryPolicy::default(),
            breaker: breaker::AGENTS,
            limits: Limits { caps: Caps::default(), asked: None, session_cost: None, floors: Floors::default() },
            pid_namespace: PidNamespace::Auto,
            rework_rounds: 2,
            sandbox: SandboxKind::None,
            redact_values_of: Vec::new(),
            prices: PriceTable::default(),
            adapters: BTreeMap::new(),
        }
    }
}
