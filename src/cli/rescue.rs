//! The `rescue` command: work that was kept when a worktree went away.
//! Must not lose anything that is newer.

use super::args::RescueArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;

/// Runs `git orchestrate rescue`.
pub(crate) fn run(_args: &RescueArgs, _ui: &mut Ui) -> Result<Exit, CommandError> {
    Err(CommandError::usage("`rescue` is not built yet"))
}
