//! The `stories` command. Must stay thin: parse, call, render, exit code.

use super::args::StoriesArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;

/// Runs `git orchestrate stories`.
pub(crate) fn run(_args: &StoriesArgs, _ui: &mut Ui) -> Result<Exit, CommandError> {
    Err(CommandError::operation("`stories` is not wired yet"))
}
