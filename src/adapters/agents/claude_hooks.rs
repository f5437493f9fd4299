//! Claude Code's hooks: a settings file for one session, and what this program does when such a hook calls it. A hook refuses
//! with exit code 2 and a reason. Must not stand in for the gate: it stops honest mistakes, and in doubt it lets pass.
//!
//! `PreToolUse` refuses shell commands that leave the project's hooks out, push, or move refs that are not the story's.
//! `Stop` sends an author back to work, once, who would end without a commit.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::acp::Facts;
use super::acp::policy::{self, Asked};
use crate::adapters::git::refs;
use crate::adapters::git::repo::Repo;

/// Argument that makes this program a hook.
const HOOK: &str = "__claude-hook";
/// The hook before a tool is used.
const BEFORE_TOOL: &str = "pre-tool-use";
/// The hook at the end.
const AT_END: &str = "stop";
/// Exit code that refuses; what is on stderr is told to the model.
const REFUSED: u8 = 2;
/// Longest input that is read, in bytes.
const INPUT: u64 = 16 * 1024 * 1024;

/// What a hook has to know of its session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// What the session may do.
    pub(super) facts: Facts,
    /// Commit the change is measured from.
    pub(super) base: String,
}

/// The settings of a session: hooks that call `program` with the file `known`.
pub(super) fn settings(program: &Path, known: &Path, reviewer: bool) -> Value {
    let hook = |name| {
        let command =
            [program.to_string_lossy().as_ref(), HOOK, name, known.to_string_lossy().as_ref()].map(quoted).join(" ");
        json!([{ "type": "command", "command": command, "timeout": 60 }])
    };
    let mut hooks = json!({ "PreToolUse": [{ "matcher": "Bash", "hooks": hook(BEFORE_TOOL) }] });
    if !reviewer {
        hooks["Stop"] = json!([{ "hooks": hook(AT_END) }]);
    }
    json!({ "hooks": hooks })
}

/// A word that any POSIX shell reads as it is: Claude Code gives the command to one.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The arguments of the hook, when this process is one.
pub fn called(argv: &[OsString]) -> Option<&[OsString]> {
    argv.get(1).is_some_and(|arg| arg == HOOK).then(|| &argv[2..])
}

/// Acts as the hook `<name> <file>`; answers with an exit code.
pub fn main(args: &[OsString], input: &mut dyn Read, err: &mut dyn Write) -> u8 {
    let [name, known] = args else { return 0 };
    let Some(known) = std::fs::read(known).ok().and_then(|bytes| serde_json::from_slice::<Known>(&bytes).ok()) else {
        return 0;
    };
    let mut bytes = Vec::new();
    let read = input.take(INPUT).read_to_end(&mut bytes);
    let Some(event) = read.ok().and_then(|_| serde_json::from_slice::<Value>(&bytes).ok()) else { return 0 };
    let reason = match name.to_str() {
        Some(BEFORE_TOOL) => before_tool(&event, &known.facts),
        Some(AT_END) => at_end(&event, &known, head(&known)),
        _ => None,
    };
    let Some(reason) = reason else { return 0 };
    // Without a place to say it the exit code has to do.
    drop(writeln!(err, "git-orchestrate: {reason}"));
    REFUSED
}

/// Why a tool may not be used.
fn before_tool(event: &Value, facts: &Facts) -> Option<String> {
    let command = event.pointer("/tool_input/command").and_then(Value::as_str)?;
    let asked = Asked { kind: "execute".to_owned(), command: Some(command.to_owned()), ..Asked::default() };
    policy::refused(&asked, facts)
}

/// Why the session may not end yet: `head` is still the base. Said once: who was sent back before may end.
fn at_end(event: &Value, known: &Known, head: Option<String>) -> Option<String> {
    let sent_back = event["stop_hook_active"].as_bool().unwrap_or(false);
    (!sent_back && head.as_deref() == Some(known.base.as_str())).then(|| {
        let base = known.base.get(..12).unwrap_or(&known.base);
        format!(
            "there is no commit since {base} yet. If the work is done, commit it: `git add -A`, then `git commit`, without \
             --no-verify. If it is not, finish it first. If nothing has to change, say why and end."
        )
    })
}

fn head(known: &Known) -> Option<String> {
    let repo = Repo::discover(Path::new(&known.facts.worktree)).ok()?;
    Some(refs::tip(&repo, &format!("refs/heads/{}", known.facts.branch)).ok()??.to_string())
}

#[cfg(test)]
#[path = "claude_hooks_tests.rs"]
mod tests;
