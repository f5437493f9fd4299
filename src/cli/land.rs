//! The `land` command. Must stay thin: parse, call, render, exit code.

use super::args::LandArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;

/// Runs `git orchestrate land`.
pub(crate) fn run(_args: &LandArgs, _ui: &mut Ui) -> Result<Exit, CommandError> {
    Err(CommandError::operation("`land` is not wired yet"))
}
