//! `prepare-commit-msg`: adds the `Story:` trailer to commits made in the worktree of a story, and nowhere else. Never stops
//! a commit.

use std::ffi::OsString;

use crate::adapters::gate::line::trailers;
use crate::adapters::gate::reader::{BRANCHES, Reader};
use crate::adapters::process::spawn;
use crate::engine::ports::PortError;

/// `<file> [<source> [<commit>]]`
pub(super) fn run(args: &[OsString]) -> Result<(), PortError> {
    let Some(file) = args.first() else { return Ok(()) };
    let repo = super::repository()?;
    let Some(branch) = super::head(&repo).filter(|head| head.starts_with(BRANCHES)) else { return Ok(()) };
    let reader = Reader::of(&repo);
    if reader.is_protected(&branch)? {
        return Ok(());
    }
    let on_it = |attempt: &crate::domain::state::Attempt| attempt.branch.as_str() == branch;
    let found = reader.items()?.iter().find(|(_, state)| state.attempt.as_ref().is_some_and(on_it));
    let Some((key, _)) = found else { return Ok(()) };
    let message = std::fs::read(file).unwrap_or_default();
    if trailers(&message).contains(key) {
        return Ok(());
    }
    let mut git = spawn::command("git");
    git.args(["interpret-trailers", "--in-place", "--if-exists", "addIfDifferent", "--trailer"]);
    git.arg(format!("Story: {key}")).arg(file);
    git.output().map_err(|error| PortError::new("git interpret-trailers cannot be run").because(error))?;
    Ok(())
}
