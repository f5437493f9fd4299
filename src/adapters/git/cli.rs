//! The git program, hardened: nothing that the repository or a worktree names is run. Must not be used where gix will do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::repo::Repo;
use crate::adapters::process::spawn;
use crate::domain::diagnostic::escape_line;
use crate::engine::ports::PortError;

/// Most bytes of stderr shown in a message.
const SHOWN: usize = 2_000;

/// Settings that would run a program, ask a question or start work in the background. An external diff cannot be switched
/// off here (an empty `diff.external` is run, and fails): whoever runs `git diff` adds `--no-ext-diff --no-textconv`.
const QUIET: [&str; 8] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "commit.gpgSign=false",
    "tag.gpgSign=false",
];

/// Events whose configured hooks (git 2.54 and newer; they ignore `core.hooksPath`) are off for our calls.
const EVENTS: [&str; 9] = [
    "reference-transaction",
    "post-checkout",
    "post-index-change",
    "post-commit",
    "pre-commit",
    "prepare-commit-msg",
    "commit-msg",
    "pre-auto-gc",
    "post-rewrite",
];

/// The git program on the main repository.
pub fn git(repo: &Repo) -> Command {
    let work_tree = (!repo.is_bare()).then(|| repo.root());
    at(repo.common_dir(), repo.common_dir(), work_tree)
}

/// The git program on a private git directory, without a work tree: for refs and HEAD.
pub(super) fn git_dir(common_dir: &Path, git_dir: &Path) -> Command {
    at(common_dir, git_dir, None)
}

/// The git program in an agent's worktree, or in the main one. What the agent's `.git` file says is not believed: the
/// worktree is looked up among the registered ones.
pub fn git_in(repo: &Repo, worktree: &Path) -> Result<Command, PortError> {
    let git_dir = git_dir_of(repo, worktree)?;
    Ok(at(repo.common_dir(), &git_dir, Some(worktree)))
}

/// Private git directory of a registered worktree.
pub fn git_dir_of(repo: &Repo, worktree: &Path) -> Result<PathBuf, PortError> {
    let wanted = real(worktree);
    if !repo.is_bare() && wanted == repo.root() {
        return Ok(repo.common_dir().to_owned());
    }
    let entries = fs::read_dir(repo.common_dir().join("worktrees")).into_iter().flatten().flatten();
    let mut registered = entries.map(|entry| entry.path()).filter(|dir| names_worktree(dir, &wanted));
    registered.next().ok_or_else(|| {
        PortError::new(format!("{} is not a worktree of this repository", worktree.display()))
            .hint("see: git worktree list")
    })
}

/// Runs a command to its end and returns its stdout; stderr, escaped and bounded, is in the message when it fails.
pub fn run(command: &mut Command) -> Result<Vec<u8>, PortError> {
    let output = output(command)?;
    if output.status.success() { Ok(output.stdout) } else { Err(failed(command, &output)) }
}

/// Runs a command to its end, whatever its exit code.
pub fn output(command: &mut Command) -> Result<Output, PortError> {
    command.output().map_err(|error| PortError::new(format!("{} cannot be run", described(command))).because(error))
}

/// The error of a command that ended without success.
pub fn failed(command: &Command, output: &Output) -> PortError {
    let said = shown(&output.stderr);
    let ended = output.status;
    PortError::new(format!("{} ended with {ended}: {said}", described(command)))
}

/// Text of a program for a message: one line per line, control characters escaped, at most 2,000 bytes.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(SHOWN)];
    let text = String::from_utf8_lossy(cut);
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(escape_line);
    let mut shown = lines.collect::<Vec<_>>().join("; ");
    if bytes.len() > SHOWN {
        shown.push_str(" ...");
    }
    if shown.is_empty() { "no message".to_owned() } else { shown }
}

fn at(common_dir: &Path, git_dir: &Path, work_tree: Option<&Path>) -> Command {
    let mut command = spawn::command("git");
    command.current_dir(work_tree.unwrap_or(git_dir));
    command.env("GIT_DIR", git_dir);
    if git_dir != common_dir {
        command.env("GIT_COMMON_DIR", common_dir);
    }
    if let Some(work_tree) = work_tree {
        command.env("GIT_WORK_TREE", work_tree);
    }
    // Replace refs and external diffs could show us another content than the one that lands.
    command.env("GIT_NO_REPLACE_OBJECTS", "1").env_remove("GIT_EXTERNAL_DIFF").env("GIT_PAGER", "cat");
    command.env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
    command.arg("--no-pager").arg("--literal-pathspecs");
    for setting in QUIET {
        command.arg("-c").arg(setting);
    }
    for event in EVENTS {
        command.arg("-c").arg(format!("hook.{event}.enabled=false"));
    }
    command
}

/// The command for a message: program and subcommand, without our settings.
fn described(command: &Command) -> String {
    let mut words = command.get_args().map(|arg| arg.to_string_lossy());
    let mut subcommand = None;
    while let Some(word) = words.next() {
        if word == "-c" || word == "-C" {
            words.next();
        } else if !word.starts_with('-') {
            subcommand = Some(word.escape_debug().to_string());
            break;
        }
    }
    let program = command.get_program().to_string_lossy().into_owned();
    subcommand.map_or(program.clone(), |subcommand| format!("{program} {subcommand}"))
}

fn names_worktree(admin: &Path, wanted: &Path) -> bool {
    let Ok(text) = fs::read_to_string(admin.join("gitdir")) else { return false };
    let dot_git = admin.join(text.trim());
    dot_git.parent().is_some_and(|dir| real(dir) == wanted)
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_subcommand_and_escapes_what_the_program_said() {
        let mut command = spawn::command("git");
        command.args(["--no-pager", "-c", "core.pager=cat", "frobnicate"]);
        let error = run(&mut command).unwrap_err();
        assert!(error.message.starts_with("git frobnicate ended with exit status: 1: "), "{}", error.message);
        assert_eq!(shown(b"a\x1b[2Jb\nc\n"), "a\\x1b[2Jb; c");
        // Messages are searched for the lock that git names.
        assert_eq!(shown(b"Unable to create '/r/HEAD.lock'"), "Unable to create '/r/HEAD.lock'");
        assert!(shown(&[b'x'; 9_000]).len() < 2_100);
    }
}
