//! The scripted agent of the tests: a real process that does what a file says. Must not decide anything by itself.
//!
//! Configured as `[agents.scripted] command = ["<this program>", "--script", "<file>"]`. The file is TOML:
//!
//! ```toml
//! journal = "/path/journal.jsonl"      # each invocation appends one JSON line: item, phase, attempt, nth, pid, mark, role,
//!                                      # session, promptLength, conflict, env (names of all variables), live (pids of
//!                                      # earlier invocations for the item that have not ended)
//! [[step]]                             # the first step that fits is done, in order; absent keys fit everything
//! item = "1.1"                         # ORCHESTRATE_ITEM
//! phase = "implementation"             # ORCHESTRATE_PHASE: implementation or research, review, review-response
//! nth = 2                              # how often this item came to this phase, 1 = first, by the journal
//! conflict = true                      # whether the prompt asks to resolve conflicts
//! do = [
//!   { write = { path = "a.txt", text = "x\n", append = true } },   # below the worktree
//!   { commit = "message" },            # everything that is not ignored
//!   { run = ["git", "push"] },         # any program; its failure is ours
//!   { try = ["git", "push"] },         # any program, whether it fails or not
//!   { print = "text" }, { exit = 3 }, "hang", "hang-ignoring-term", { flood = 100 },   # flood: megabytes to stdout
//!   { daemon = "/path/pid" },          # a process in a session of its own, re-parented; writes its pid and stays
//!   { touch = "/path" }, { wait-for = "/path" },
//!   { barrier = { dir = "/path", count = 3 } },   # puts a file there and waits until there are as many
//!   "approve", { request-changes = { path = "a.txt", text = "why" } },   # the review, as JSON to ORCHESTRATE_RESULT
//!   "prose",                           # a review in words only; for no review at all: do = []
//!   "approve-own",                     # an author that leaves approvals wherever one might be looked for
//!   { status = "Done" },               # rewrites the status lines of the story file in the worktree
//!   { ask = ["git", "push"] },         # with `--acp`: asks to be allowed to run it, and does so when it is
//!   { say = "text" },                  # with `--acp`: a message; else a line
//!   { rpc-error = "{...}" },           # with `--acp`: answers the turn with this error
//!   { stop = "refusal" },              # with `--acp`: ends the turn with this reason
//!   { big-update = 5 },                # with `--acp`: an update of so many megabytes in one line
//!   "merge",                           # merges the target that the prompt names, keeping both sides
//! ]
//! ```
//!
//! `--acp --script FILE` does the same as a server of the Agent Client Protocol: see `acp.rs`.
//!
//! Without a step that fits: a reviewer approves, a conflict is merged, an author appends a line to `<item>.txt` and commits.
//! Waiting ends with exit code 9 after two minutes.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub
)]

mod acp;
mod act;
mod script;

use std::io::Read;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--daemon", "1", file] => act::daemon_parent(file),
        ["--daemon", "2", file] => act::daemon(file),
        ["--acp", "--script", file] => acp::serve(file),
        ["--script", file, ..] => work(Some(file)),
        [] => work(None),
        _ => ExitCode::from(2),
    }
}

fn work(file: Option<&str>) -> ExitCode {
    let mut prompt = String::new();
    std::io::stdin().read_to_string(&mut prompt).unwrap();
    let script = file.map(script::Script::read).unwrap_or_default();
    let call = script::Call::record(&prompt, script.journal.as_deref());
    for action in script.actions(&call) {
        if let Some(code) = act::perform(&action, &call, &prompt) {
            return ExitCode::from(code);
        }
    }
    ExitCode::SUCCESS
}
