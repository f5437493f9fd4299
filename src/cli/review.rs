//! The `review` command. Must stay thin: parse, call, render, exit code.

use super::args::ReviewArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;

/// Runs `git orchestrate review`.
pub(crate) fn run(_args: &ReviewArgs, _ui: &mut Ui) -> Result<Exit, CommandError> {
    Err(CommandError::operation("`review` is not wired yet"))
}
