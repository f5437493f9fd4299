//! The `restore` command: brings back what a backup holds.
//! Must not lose anything that is newer.

use super::args::RestoreArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;

/// Runs `git orchestrate restore`.
pub(crate) fn run(_args: &RestoreArgs, _ui: &mut Ui) -> Result<Exit, CommandError> {
    Err(CommandError::usage("`restore` is not built yet"))
}
