//! The `cleanup` command. Must stay thin: parse, call, render, exit code.

use super::args::CleanupArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;

/// Runs `git orchestrate cleanup`.
pub(crate) fn run(_args: &CleanupArgs, _ui: &mut Ui) -> Result<Exit, CommandError> {
    Err(CommandError::operation("`cleanup` is not wired yet"))
}
