//! The `stop` command. Must stay thin: parse, call, render, exit code.

use super::args::StopArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;

/// Runs `git orchestrate stop`.
pub(crate) fn run(_args: &StopArgs, _ui: &mut Ui) -> Result<Exit, CommandError> {
    Err(CommandError::operation("`stop` is not wired yet"))
}
