//! init
use super::args::InitArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;
pub(crate) fn run(_args: &InitArgs, _ui: &mut Ui) -> Result<Exit, CommandError> {
    Err(CommandError::operation("not wired yet"))
}
