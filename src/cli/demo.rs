//! demo
use super::args::DemoArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;
pub(crate) fn run(_args: &DemoArgs, _ui: &mut Ui) -> Result<Exit, CommandError> {
    Err(CommandError::operation("not wired yet"))
}
pub(crate) fn agent() -> Result<Exit, CommandError> {
    Err(CommandError::operation("not wired yet"))
}
