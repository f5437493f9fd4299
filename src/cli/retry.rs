//! The `retry` command. Must stay thin: parse, call, render, exit code.

use super::args::RetryArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;

/// Runs `git orchestrate retry`.
pub(crate) fn run(_args: &RetryArgs, _ui: &mut Ui) -> Result<Exit, CommandError> {
    Err(CommandError::operation("`retry` is not wired yet"))
}
