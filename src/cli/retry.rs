//! The `retry` command: lifts the failure of stories, so that the next run works on them again. Must not start anything.

use super::app::App;
use super::args::RetryArgs;
use super::certify;
use super::error::CommandError;
use super::exit::Exit;
use super::item;
use super::ui::Ui;
use crate::adapters::git::identity;
use crate::adapters::{elsewhere, runs};
use crate::domain::event::ItemEvent;
use crate::domain::names::{ItemKey, Principal};
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
        if let Some(refused) = states.get(&key).and_then(|state| not_failed(&app, &key, state)) {
            return Err(refused);
        }
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

/// What to say of a story with an open attempt: there is no failure to lift. `None` where a retry takes it over, and for every
/// other story.
fn not_failed(app: &App, key: &ItemKey, state: &ItemState) -> Option<CommandError> {
    let attempt = state.open_attempt().filter(|_| elsewhere::holder(&app.repo, state).is_none())?;
    let runs = runs::live(&app.repo.state_dir());
    let is_going_on = runs.iter().any(|live| live.run == attempt.run);
    let (what, hint) = match &state.waits {
        Some(reason) if is_going_on => {
            (format!("waits: {reason}"), format!("run {} goes on with it as soon as it can", attempt.run))
        }
        Some(reason) => (format!("waits: {reason}"), "when that is settled: git orchestrate resume".to_owned()),
        None if app.machine.held([key].into_iter()).contains(key) => (
            format!("is being worked on by run {}", attempt.run),
            format!("git orchestrate stop {key} ends that; git orchestrate log {key} shows it"),
        ),
        None => ("was interrupted".to_owned(), "git orchestrate resume goes on with it".to_owned()),
    };
    Some(CommandError::usage(format!("story {key} has not failed, it {what}; nothing was changed")).hint(hint))
}

/// An attempt that another machine works on ends here, so that this one may go on with what it left.
fn taken_over(app: &App, state: &ItemState) -> Option<ItemEvent> {
    let run = elsewhere::holder(&app.repo, state)?;
    let attempt = state.open_attempt()?.id.clone();
    Some(ItemEvent::Interrupted { attempt, reason: format!("taken over from run {run} of another machine") })
}
