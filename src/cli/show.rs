//! The `show` command. Must stay thin: parse, call, render, exit code.

use super::args::ShowArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;

/// Runs `git orchestrate show`.
pub(crate) fn run(_args: &ShowArgs, _ui: &mut Ui) -> Result<Exit, CommandError> {
    Err(CommandError::operation("`show` is not wired yet"))
}
