//! What a person is told of a failure: the last output, what was kept and where, and what helps, by class. Must not print.

use crate::domain::event::{Failure, FailureClass};
use crate::domain::names::ItemKey;

/// What a failed attempt left.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kept<'a> {
    /// Branch.
    pub(crate) branch: Option<&'a str>,
    /// Worktree.
    pub(crate) worktree: Option<&'a str>,
}

/// The word of a class, as JSON has it.
pub(crate) fn class_word(class: FailureClass) -> String {
    serde_json::to_value(class).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Output, log, and what was kept; `most` lines of output.
pub(crate) fn facts(failure: &Failure, kept: Kept<'_>, most: usize) -> Vec<String> {
    let lines: Vec<&str> = failure.output.lines().collect();
    let mut facts: Vec<String> =
        lines[lines.len().saturating_sub(most)..].iter().map(|line| format!("| {line}")).collect();
    if !failure.log.is_empty() {
        facts.push(format!("whole output: {}", failure.log));
    }
    match (kept.branch, kept.worktree) {
        (Some(branch), Some(worktree)) => facts.push(format!("its work is kept on {branch}, worktree {worktree}")),
        (Some(branch), None) => facts.push(format!("its work is kept on {branch}")),
        (None, Some(worktree)) => facts.push(format!("its work is kept in {worktree}")),
        (None, None) => {}
    }
    facts
}

/// What helps, in one line; commands come last.
pub(crate) fn advice(class: FailureClass, key: &ItemKey) -> String {
    let retry = format!("git orchestrate retry {key}");
    let output = format!("git orchestrate log {key} --agent");
    match class {
        FailureClass::NoCommit | FailureClass::Agent | FailureClass::NoReview => {
            format!("read what the agent said: {output}; then {retry}")
        }
        FailureClass::IdleTimeout => {
            format!("see where it fell silent: {output}; [agents.idle_timeouts] sets the limit; then {retry}")
        }
        FailureClass::WallTimeout => {
            format!("cut the story smaller, or raise the limit in [agents.timeouts]; then {retry}")
        }
        FailureClass::Check => format!("see the check fail in its worktree, mend check or story; then {retry}"),
        FailureClass::Review => format!("read the findings: git orchestrate show {key}; mend the story; then {retry}"),
        FailureClass::Conflict => format!("merge the target into its branch by hand; then {retry}"),
        FailureClass::Setup => format!("mend [worktrees] setup; then {retry}"),
        FailureClass::Command => format!("mend the command of the phase ([workflow]); then {retry}"),
        FailureClass::Auth => format!("log the agent's client in again, or take another one (--agent); then {retry}"),
        FailureClass::RateLimited => {
            format!("wait for the limit to pass, or take another agent (--agent); then {retry}")
        }
        FailureClass::Overloaded => format!("wait until its provider has room again; then {retry}"),
        FailureClass::Billing => {
            format!("see to the credit of the agent's account, or take another agent; then {retry}")
        }
        FailureClass::Dirty => format!("commit what is right in its worktree, or allow commits for it; then {retry}"),
        FailureClass::Denied => {
            format!("see what it was not allowed to do: {output}; widen its autonomy or sandbox; then {retry}")
        }
        FailureClass::ContextFull => format!("cut the story smaller; then {retry}"),
        FailureClass::MaxTurns | FailureClass::ClientBudget => {
            format!("raise that limit of the agent in its arguments, or cut the story smaller; then {retry}")
        }
        FailureClass::Gate => format!("see what the gate asks for: git orchestrate show {key}"),
        FailureClass::Tampering => {
            format!("look at what it did before you trust it: git orchestrate show {key}; git orchestrate rescue list")
        }
        FailureClass::Resources => format!("make room on the machine, or run fewer at a time (-j 1); then {retry}"),
        FailureClass::Internal => format!("git orchestrate doctor; then {retry}"),
    }
}
