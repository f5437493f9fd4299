//! Git hooks: read stdin, ask the gate, exit code and message. An accident guard that runs 7 to 33 times per git command, so
//! it loads neither clap nor tokio nor the settings of a run, and it never writes to the repository.

pub mod install;
mod pre_merge_commit;
mod pre_push;
mod pre_receive;
mod prepare_commit_msg;
mod records;
mod reference_transaction;
mod refused;
mod server;
pub mod server_hooks;
mod undo;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::adapters::gate::reader::Reader;
use crate::adapters::git::refs;
use crate::adapters::git::repo::Repo;
use crate::engine::ports::PortError;

/// The hooks of a repository that people work in.
pub const NAMES: [&str; 4] = ["reference-transaction", "pre-merge-commit", "pre-push", "prepare-commit-msg"];

/// Most bytes of stdin that are read: more than a transaction of 100,000 refs needs.
const STDIN_LIMIT: u64 = 64 * 1024 * 1024;

/// The hook's name and arguments, when the program was started as one: under the hook's name, or as `hook NAME ...`.
pub fn called_as_hook(argv: &[OsString]) -> Option<(String, Vec<OsString>)> {
    let known = |name: &str| (NAMES.contains(&name) || server_hooks::NAMES.contains(&name)).then(|| name.to_owned());
    let started_as = Path::new(argv.first()?).file_name()?.to_str()?;
    if let Some(name) = known(started_as) {
        return Some((name, argv[1..].to_vec()));
    }
    match argv {
        [_, command, name, args @ ..] if command == "hook" => Some((known(name.to_str()?)?, args.to_vec())),
        _ => None,
    }
}

/// Runs a hook to its exit code: 0 lets git go on, anything else stops it.
pub fn dispatch(name: &str, args: &[OsString], stdin: &mut dyn Read, err: &mut dyn Write) -> u8 {
    let one = |answer: Result<Option<refused::Refused>, PortError>| answer.map(|refused| refused.into_iter().collect());
    let answer = match name {
        "reference-transaction" => one(reference_transaction::run(args, stdin)),
        "pre-merge-commit" => one(pre_merge_commit::run()),
        "pre-push" => one(pre_push::run(stdin)),
        pre_receive::NAME => pre_receive::run(stdin),
        // A trailer that cannot be added is no reason to stop a commit.
        "prepare-commit-msg" => {
            drop(prepare_commit_msg::run(args));
            return 0;
        }
        _ => return 2,
    };
    let text = match answer {
        Ok(refused) if refused.is_empty() => return 0,
        Ok(refused) => refused::all(&refused),
        // A gate that cannot read its records does not open.
        Err(error) => unreadable(&error),
    };
    // Git shows stderr; when even that is closed the exit code still speaks.
    drop(err.write_all(printable(&text).as_bytes()));
    1
}

/// The repository that git called the hook in. Git names it in linked worktrees, in bare repositories and for `--git-dir`,
/// wherever it stands then; else it stands in the top of the work tree.
fn repository() -> Result<Repo, PortError> {
    let named = std::env::var_os("GIT_DIR").map(PathBuf::from);
    Repo::discover(named.as_deref().unwrap_or(Path::new(".")))
}

/// The private git directory: git names it in linked worktrees and bare repositories.
fn git_dir() -> Option<PathBuf> {
    let named = std::env::var_os("GIT_DIR").map(PathBuf::from);
    let found = named.or_else(|| {
        let dot_git = Path::new(".git");
        if dot_git.is_dir() {
            return Some(dot_git.to_owned());
        }
        let text = std::fs::read_to_string(dot_git).ok()?;
        Some(PathBuf::from(text.strip_prefix("gitdir:")?.trim()))
    });
    found.and_then(|dir| dir.canonicalize().ok())
}

/// The ref that HEAD of this worktree names.
fn head(repo: &Repo) -> Option<String> {
    refs::head_of(repo, &git_dir()?)
}

/// The branch that is checked out in this worktree, as a full name; none in a bare repository.
fn checked_out(reader: &Reader) -> Option<String> {
    if reader.repo().is_bare() && git_dir().is_some_and(|dir| dir == reader.repo().common_dir()) {
        return None;
    }
    head(reader.repo())
}

fn is_checked_out(reader: &Reader, refname: &str) -> bool {
    checked_out(reader).is_some_and(|head| head == refname)
}

fn unreadable(error: &PortError) -> String {
    let mut text = format!("git-orchestrate: refused: the record of reviews cannot be read: {error}\n");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!("  caused by: {error}\n"));
        cause = error.source();
    }
    text
}

/// Control characters of names and messages shown by their code; line ends stay.
fn printable(text: &str) -> String {
    let show = |c: char| if c.is_control() && c != '\n' { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(show).collect()
}

fn read_all(stdin: &mut dyn Read) -> Result<String, PortError> {
    let mut bytes = Vec::new();
    let read = stdin.take(STDIN_LIMIT).read_to_end(&mut bytes);
    read.map_err(|error| PortError::new("cannot read what git asks").because(error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_program_or_the_hook_command_makes_it_a_hook() {
        let asked = |argv: &[&str]| called_as_hook(&argv.iter().map(OsString::from).collect::<Vec<_>>());
        let hook = Some(("pre-push".to_owned(), vec![OsString::from("origin")]));
        assert_eq!(asked(&["/repo/.git/hooks/pre-push", "origin"]), hook);
        assert_eq!(asked(&["git-orchestrate", "hook", "pre-push", "origin"]), hook);
        for other in [&["git-orchestrate", "status"][..], &["git-orchestrate", "hook", "post-commit"], &["hook"], &[]] {
            assert_eq!(asked(other), None, "{other:?}");
        }
    }
}
