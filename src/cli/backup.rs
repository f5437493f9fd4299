//! The `backup` command: ledger, story branches and rescued work in one file.
//! Must not lose anything that is newer.

use super::args::BackupArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;

/// Runs `git orchestrate backup`.
pub(crate) fn run(_args: &BackupArgs, _ui: &mut Ui) -> Result<Exit, CommandError> {
    Err(CommandError::usage("`backup` is not built yet"))
}
