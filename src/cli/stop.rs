//! The `stop` command: asks live runs to end, in the way of a first Ctrl-C, or ends what works on single stories. Must not
//! touch what a run has in hand that was not named.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::app::App;
use super::args::StopArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::item;
use super::ui::Ui;
use crate::adapters::runs;
use crate::domain::event::ItemEvent;
use crate::engine::ports::{Clock, Host, Ledger, LedgerError, Record};

/// Runs `git orchestrate stop`.
pub(crate) fn run(args: &StopArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    if !args.ids.is_empty() {
        return stop_stories(&args.ids, ui);
    }
    let app = App::open()?;
    let live = runs::live(&app.repo.state_dir());
    if live.is_empty() {
        ui.data("nothing to stop: no run is going on\n")?;
        return Ok(Exit::DONE);
    }
    for run in live {
        // TERM: a run in the background of a script ignores INT. The lock that names the process is held by it, so the number
        // cannot belong to another one.
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

/// Records the stop first, which fences the attempt: whatever its run still wanted to write is refused from then on.
fn stop_stories(ids: &[String], ui: &mut Ui) -> Result<Exit, CommandError> {
    let app = App::open_to_change()?;
    let mut store = app.ledger();
    let states = store.items()?;
    let keys = ids.iter().map(|id| item::find(id, &states)).collect::<Result<Vec<_>, _>>()?;
    for key in keys {
        let Some(attempt) = states.get(&key).and_then(|state| state.open_attempt()).map(|open| open.id.clone()) else {
            ui.status(&format!("story {key} is not being worked on"));
            continue;
        };
        let reason = "a person stopped it".to_owned();
        let event = ItemEvent::Stopped { attempt: attempt.clone(), reason };
        let record = Record::Item { key: key.clone(), event, at: app.machine.now(), artefacts: Vec::new() };
        match store.append(&[record]) {
            Err(LedgerError::Rejected(_)) => {
                ui.status(&format!("story {key} came to an end by itself meanwhile"));
                continue;
            }
            written => written?,
        }
        app.machine.sweep(&attempt)?;
        ui.status(&format!("story {key} was stopped; its work is kept, and git orchestrate resume goes on with it"));
    }
    Ok(Exit::DONE)
}
