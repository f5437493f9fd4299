//! What the file says, and what is known of this invocation. Must not act.

use std::io::Write;

use git_orchestrate::domain::prompt;
use serde::Deserialize;

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    pub journal: Option<String>,
    #[serde(default)]
    step: Vec<Step>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    item: Option<String>,
    phase: Option<String>,
    nth: Option<usize>,
    conflict: Option<bool>,
    #[serde(rename = "do")]
    actions: Vec<Action>,
}

/// One thing to do.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Write {
        path: String,
        text: String,
        #[serde(default)]
        append: bool,
    },
    Commit(String),
    Run(Vec<String>),
    Try(Vec<String>),
    Print(String),
    Exit(u8),
    Hang,
    HangIgnoringTerm,
    Flood(usize),
    Daemon(String),
    Touch(String),
    WaitFor(String),
    Barrier {
        dir: String,
        count: usize,
    },
    Approve,
    RequestChanges {
        #[serde(default)]
        path: String,
        text: String,
    },
    Prose,
    ApproveOwn,
    Status(String),
    Merge,
    Ask(Vec<String>),
    Say(String),
    RpcError(String),
    BigUpdate(usize),
    Stop(String),
}

/// This invocation.
#[derive(Debug)]
pub struct Call {
    pub item: String,
    pub phase: String,
    pub nth: usize,
    pub conflict: bool,
}

impl Script {
    pub fn read(path: &str) -> Self {
        toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    pub fn actions(&self, call: &Call) -> Vec<Action> {
        let fits = |step: &&Step| {
            step.item.as_ref().is_none_or(|item| *item == call.item)
                && step.phase.as_ref().is_none_or(|phase| *phase == call.phase)
                && step.nth.is_none_or(|nth| nth == call.nth)
                && step.conflict.is_none_or(|conflict| conflict == call.conflict)
        };
        self.step.iter().find(fits).map_or_else(|| default_actions(call), |step| step.actions.clone())
    }
}

fn default_actions(call: &Call) -> Vec<Action> {
    if call.phase == "review" {
        return vec![Action::Approve];
    }
    if call.conflict {
        return vec![Action::Merge];
    }
    let text = format!("{} {} {}\n", call.item, call.phase, call.nth);
    let write = Action::Write { path: format!("{}.txt", call.item), text, append: true };
    vec![write, Action::Commit(format!("{}: {}", call.item, call.phase))]
}

pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

impl Call {
    /// Finds out the rest from the journal and appends to it.
    pub fn record(text: &str, journal: Option<&str>) -> Self {
        let (item, phase) = (variable("ORCHESTRATE_ITEM"), variable("ORCHESTRATE_PHASE"));
        let earlier = journal.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        let same = |line: &&str| {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap();
            entry["item"] == item.as_str() && entry["phase"] == phase.as_str()
        };
        let nth = earlier.lines().filter(same).count() + 1;
        let call = Self { item, phase, nth, conflict: prompt::conflict_target(text).is_some() };
        let mut names: Vec<String> = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
        names.sort();
        let live: Vec<u64> = earlier.lines().filter_map(|line| still_at_work(line, &call.item)).collect();
        let entry = serde_json::json!({
            "live": live, "item": call.item, "phase": call.phase, "attempt": variable("ORCHESTRATE_ATTEMPT"), "nth": nth,
            "pid": std::process::id(), "mark": format!("ORCHESTRATE_ATTEMPT={}", variable("ORCHESTRATE_ATTEMPT")),
            "role": variable("ORCHESTRATE_ROLE"), "session": variable("ORCHESTRATE_SESSION"),
            "promptLength": text.len(), "conflict": call.conflict, "env": names,
        });
        if let Some(path) = journal {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
            file.write_all(format!("{entry}\n").as_bytes()).unwrap();
        }
        call
    }
}

/// The pid of an earlier invocation for the item that has not ended.
fn still_at_work(line: &str, item: &str) -> Option<u64> {
    let entry: serde_json::Value = serde_json::from_str(line).unwrap();
    let pid = entry["pid"].as_u64().filter(|_| entry["item"] == item)?;
    // A dead process that nobody has waited for yet has an empty environment; a reused pid has another mark.
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mark = entry["mark"].as_str()?.as_bytes();
    environment.split(|byte| *byte == 0).any(|variable| variable == mark).then_some(pid)
}
