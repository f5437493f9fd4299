//! The `status` command. Must stay thin: parse, call, render, exit code.

use super::args::StatusArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;

/// Runs `git orchestrate status`.
pub(crate) fn run(_args: &StatusArgs, _ui: &mut Ui) -> Result<Exit, CommandError> {
    Err(CommandError::operation("`status` is not wired yet"))
}
