//! The `stop` command: asks live runs to end, in the way of a first Ctrl-C. Must not kill anything itself.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::app::App;
use super::args::StopArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;
use crate::adapters::runs;

/// Runs `git orchestrate stop`.
pub(crate) fn run(_args: &StopArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let app = App::open()?;
    let live = runs::live(&app.repo.state_dir());
    if live.is_empty() {
        ui.data("nothing to stop: no run is going on\n")?;
        return Ok(Exit::DONE);
    }
    for run in live {
        // The lock that names the process is held by it, so the number cannot belong to another one.
        // TERM: a run in the background of a script ignores INT.
        kill(Pid::from_raw(run.pid), Signal::SIGTERM).map_err(|error| {
            CommandError::operation(format!("cannot ask process {} of run {} to end: {error}", run.pid, run.run))
        })?;
        ui.status(&format!(
            "run {} was asked to end; its work is kept, and git orchestrate resume goes on with it",
            run.run
        ));
    }
    Ok(Exit::DONE)
}
