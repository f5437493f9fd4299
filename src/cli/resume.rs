//! The `resume` command. Must stay thin: parse, call, render, exit code.

use super::args::ResumeArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;

/// Runs `git orchestrate resume`.
pub(crate) fn run(_args: &ResumeArgs, _ui: &mut Ui) -> Result<Exit, CommandError> {
    Err(CommandError::operation("`resume` is not wired yet"))
}
