//! Git hooks: read stdin, ask the gate, exit code and message. An accident guard that runs 7 to 33 times per git command, so
//! it loads neither clap nor tokio nor the settings of a run, and it never writes to the repository.

mod decide;
mod facts;
pub mod install;
mod pre_merge_commit;
mod pre_push;
mod reference_transaction;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;

use decide::{Decision, Undo};

use crate::domain::names::Oid;
use crate::engine::ports::PortError;

/// The hooks that exist.
pub const NAMES: [&str; 3] = ["reference-transaction", "pre-merge-commit", "pre-push"];

/// Most bytes of stdin that are read: more than a transaction of 100,000 refs needs.
const STDIN_LIMIT: u64 = 64 * 1024 * 1024;

/// The hook's name and arguments, when the program was started as one: under the hook's name, or as `hook NAME ...`.
pub fn called_as_hook(argv: &[OsString]) -> Option<(String, Vec<OsString>)> {
    let known = |name: &str| NAMES.contains(&name).then(|| name.to_owned());
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
    let answer = match name {
        "reference-transaction" => reference_transaction::run(args, stdin),
        "pre-merge-commit" => pre_merge_commit::run(),
        "pre-push" => pre_push::run(stdin),
        _ => return 2,
    };
    let text = match answer {
        Ok(None) => return 0,
        Ok(Some(refused)) => refused.to_string(),
        // A gate that cannot read its records does not open.
        Err(error) => unreadable(&error),
    };
    // Git shows stderr; when even that is closed the exit code still speaks.
    drop(err.write_all(printable(&text).as_bytes()));
    1
}

/// A refusal with everything its message says.
#[derive(Debug)]
pub(crate) struct Refused {
    refname: String,
    new: Option<Oid>,
    decision: Decision,
    undo: Undo,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let new = self.new.as_ref().map_or_else(String::new, |new| format!(" -> {}", new.short()));
        writeln!(f, "git-orchestrate: refused: {}{new}", self.refname)?;
        writeln!(f, "  why:        {}", self.decision.reason())?;
        if let Some(remedy) = self.decision.remedy() {
            writeln!(f, "  to land it: {remedy}")?;
        }
        writeln!(f, "  to undo:    {}", self.undo.command())
    }
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
