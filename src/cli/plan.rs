//! The `plan` command. Must stay thin: parse, call, render, exit code.

use super::args::PlanArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;

/// Runs `git orchestrate plan`.
pub(crate) fn run(_args: &PlanArgs, _ui: &mut Ui) -> Result<Exit, CommandError> {
    Err(CommandError::operation("`plan` is not wired yet"))
}
