//! Settings out of `GIT_ORCHESTRATE_*` variables. Must not hold gate keys: no variable weakens a gate.

use std::collections::BTreeMap;

use super::reader::{MONEY, did_you_mean, parse_seconds};
use super::settings::{LONGEST, MISSING, PID_NAMESPACE, UNDECLARED};
use crate::domain::budget::parse_dollars;
use crate::domain::diagnostic::Diagnostic;
use crate::domain::settings::Settings;

/// What all our variables begin with.
pub(super) const PREFIX: &str = "GIT_ORCHESTRATE_";

/// The variables, without the prefix.
pub const VARIABLES: [&str; 15] = [
    "AGENT",
    "AGENT_TIMEOUT",
    "GRACE",
    "IDLE_TIMEOUT",
    "JOBS",
    "MAX_COST",
    "MISSING",
    "PID_NAMESPACE",
    "RETRY_ATTEMPTS",
    "REWORK_ROUNDS",
    "SETUP_TIMEOUT",
    "STORIES_ROOTS",
    "UNDECLARED",
    "WORKTREES_DIR",
    "WRITE_BACK",
];

/// Applies the variables (full name → value) on top of what is there. An empty value counts as unset.
pub(super) fn apply(variables: &BTreeMap<String, String>, settings: &mut Settings) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    for (name, value) in variables.iter().filter(|(_, value)| !value.is_empty()) {
        let Some(key) = name.strip_prefix(PREFIX) else { continue };
        if !VARIABLES.contains(&key) {
            let unknown = Diagnostic::warning("unknown-variable", format!("unknown variable `{name}`"));
            diagnostics
                .push(unknown.hint(did_you_mean(key, &VARIABLES).replace("keys", "variables after GIT_ORCHESTRATE_")));
        } else if let Err(expected) = set(key, value.trim(), settings) {
            let message = format!("{name} must be {expected}, not `{}`", value.escape_debug());
            diagnostics.push(Diagnostic::error("invalid-value", message));
        }
    }
    diagnostics
}

fn set(key: &str, value: &str, settings: &mut Settings) -> Result<(), String> {
    match key {
        "AGENT" => settings.agents = value.split(',').map(|name| name.trim().to_owned()).collect(),
        "AGENT_TIMEOUT" => settings.agent_timeout_secs = seconds(value, 1, LONGEST)?,
        "GRACE" => settings.grace_secs = seconds(value, 0, 3600)?,
        "IDLE_TIMEOUT" => settings.idle_timeout_secs = seconds(value, 0, LONGEST)?,
        "JOBS" if value == "auto" => settings.jobs = None,
        "JOBS" => settings.jobs = Some(number(value, 1, 256)?),
        "MAX_COST" => settings.limits.caps.micro_usd = Some(parse_dollars(value).ok_or(MONEY)?),
        "RETRY_ATTEMPTS" => settings.retry.attempts = number(value, 1, 20)?,
        "MISSING" => settings.missing = word(value, &MISSING)?,
        "PID_NAMESPACE" => settings.pid_namespace = word(value, &PID_NAMESPACE)?,
        "REWORK_ROUNDS" => settings.rework_rounds = number(value, 0, 20)?,
        "SETUP_TIMEOUT" => settings.setup_timeout_secs = seconds(value, 1, LONGEST)?,
        "STORIES_ROOTS" => settings.story_roots = folders(value)?,
        "UNDECLARED" => settings.undeclared = word(value, &UNDECLARED)?,
        "WORKTREES_DIR" => settings.worktrees = folder(value)?,
        "WRITE_BACK" => settings.write_back = word(value, &[("true", true), ("false", false)])?,
        _ => {}
    }
    Ok(())
}

fn number(value: &str, low: u32, high: u32) -> Result<u32, String> {
    let number = value.parse().ok().filter(|number| (low..=high).contains(number));
    number.ok_or_else(|| format!("a number from {low} to {high}"))
}

fn seconds(value: &str, low: u64, high: u64) -> Result<u64, String> {
    let seconds = parse_seconds(value).filter(|seconds| (low..=high).contains(seconds));
    seconds.ok_or_else(|| format!("seconds or text like `10m`, from {low} s to {high} s"))
}

fn word<T: Copy>(value: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning);
    found.ok_or_else(|| {
        format!("one of {}", words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", "))
    })
}

fn folder(value: &str) -> Result<String, String> {
    super::settings::folder(value).ok_or_else(|| "a folder below the repository root".to_owned())
}

fn folders(value: &str) -> Result<Vec<String>, String> {
    value.split(',').map(|root| folder(root.trim())).collect()
}
