//! The `log` command. Must stay thin: parse, call, render, exit code.

use super::args::LogArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;

/// Runs `git orchestrate log`.
pub(crate) fn run(_args: &LogArgs, _ui: &mut Ui) -> Result<Exit, CommandError> {
    Err(CommandError::operation("`log` is not wired yet"))
}
