//! The `sync` command: shares the ledger with a remote.
//! Must not lose anything that is newer.

use super::args::SyncArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;

/// Runs `git orchestrate sync`.
pub(crate) fn run(_args: &SyncArgs, _ui: &mut Ui) -> Result<Exit, CommandError> {
    Err(CommandError::usage("`sync` is not built yet"))
}
