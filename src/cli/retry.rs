//! The `retry` command: lifts the failure of stories, so that the next run works on them again. Must not start anything.

use super::app::App;
use super::args::RetryArgs;
use super::certify;
use super::error::CommandError;
use super::exit::Exit;
use super::item;
use super::ui::Ui;
use crate::adapters::elsewhere;
use crate::adapters::git::identity;
use crate::domain::event::ItemEvent;
use crate::domain::names::Principal;
use crate::domain::state::ItemState;
use crate::engine::ports::{Clock, Ledger, Record};

/// Runs `git orchestrate retry`.
pub(crate) fn run(args: &RetryArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let app = App::open_to_change()?;
    certify::settle_and_go_on(&app, ui)?;
    let mut store = app.ledger();
    let states = store.items()?;
    let by = Principal::Person(identity::email(&app.repo)?);
    let at = app.machine.now();
    let mut records = Vec::new();
    for id in &args.ids {
        let key = item::find(id, &states)?;
        let event = match states.get(&key).and_then(|state| taken_over(&app, state)) {
            Some(event) => event,
            None => ItemEvent::RetryRequested { by: by.clone(), reopen: args.reopen },
        };
        records.push(Record::Item { key, event, at, artefacts: Vec::new() });
    }
    store.append(&records)?;
    ui.status(&format!("{} will be tried again; work that was kept is gone on with", args.ids.join(", ")));
    ui.hint(&format!("git orchestrate stories {}", args.ids.join(" ")));
    Ok(Exit::DONE)
}

/// An attempt that another machine works on ends here, so that this one may go on with what it left.
fn taken_over(app: &App, state: &ItemState) -> Option<ItemEvent> {
    let run = elsewhere::holder(&app.repo, state)?;
    let attempt = state.open_attempt()?.id.clone();
    Some(ItemEvent::Interrupted { attempt, reason: format!("taken over from run {run} of another machine") })
}
