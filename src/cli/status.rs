//! The `status` command: where everything stands. Reads ledger, locks and story files; takes no lock and changes nothing, but
//! for a copy of what the story files said, so that the next look need not read them again.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::ManuallyDrop;

use super::app::App;
use super::args::StatusArgs;
use super::certify;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;
use crate::adapters::git::{rescued, trash};
use crate::adapters::{runs, stories};
use crate::domain::breaker::{Breakers, Stand};
use crate::domain::names::{ItemKey, RunId};
use crate::domain::pressure::{self, Room};
use crate::domain::run_state::RunState;
use crate::domain::source::brief::Brief;
use crate::domain::state::{ItemState, Outcome};
use crate::engine::ports::{Clock, Host, Ledger};
use crate::report::status::{self, Guards, Known, PausedAgent, View};
use crate::report::text::Color;

/// Runs `git orchestrate status`.
pub(crate) fn run(args: &StatusArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let app = App::open()?;
    let mut store = app.ledger();
    // Freed by the end of the process: to take thousands of states apart costs as much as to read some of them.
    let items = ManuallyDrop::new(store.look()?);
    let all = store.look_at_runs()?;
    let known = known(&app);
    let live = at_work(&app, &items);
    let run = shown_run(&app, &all);
    let hotfixes = super::hotfix::listed(&mut store)?;
    let branches = certify::watched(&app)?;
    let guards = guards(&app, &items);
    let view = View {
        items: &items,
        run,
        known: &known,
        live: Some(&live),
        hotfixes: &hotfixes,
        branches: &branches,
        guards: &guards,
        now: app.machine.now(),
    };
    if args.json {
        ui.data(&status::json(&view))?;
        return Ok(Exit::DONE);
    }
    let (width, color) = (ui.fitted(), Color::of(ui.out_color()));
    ui.data(&status::table(&view, width, color))?;
    for (id, _) in all.iter().filter(|(_, run)| run.is_unfinished()) {
        if !runs::live(&app.repo.state_dir()).iter().any(|live| live.run == *id) {
            ui.hint(&format!("run {id} is unfinished: git orchestrate resume"));
        }
    }
    for line in rescued::summary(&app.repo).into_iter().chain(trash::summary(&app.repo)) {
        ui.status(&line);
    }
    Ok(Exit::DONE)
}

/// Items that are being worked on.
pub(crate) fn at_work(app: &App, items: &BTreeMap<ItemKey, ItemState>) -> BTreeSet<ItemKey> {
    let mut live = app.machine.held(items.keys());
    live.extend(between_tries(app, items));
    live
}

/// Items between two tries of a run that is going on: nobody holds their lock, and yet they are being worked on.
fn between_tries(app: &App, items: &BTreeMap<ItemKey, ItemState>) -> Vec<ItemKey> {
    let mut due = items.iter().filter(|(_, state)| matches!(state.outcome, Some(Outcome::Due { .. }))).peekable();
    if due.peek().is_none() {
        return Vec::new();
    }
    let runs = runs::live(&app.repo.state_dir());
    let is_live = |state: &ItemState| {
        state.attempt.as_ref().is_some_and(|attempt| runs.iter().any(|live| live.run == attempt.run))
    };
    due.filter(|(_, state)| is_live(state)).map(|(key, _)| key.clone()).collect()
}

/// What would hold a start back now.
pub(crate) fn guards(app: &App, items: &BTreeMap<ItemKey, ItemState>) -> Guards {
    let now = app.machine.now();
    let pressure = app.machine.pressure();
    let held = match pressure::room(&pressure, &app.settings.limits.floors) {
        Room::Free => None,
        Room::Busy(why) | Room::Full(why) => Some(why),
    };
    let breakers = Breakers::fold(items.values(), app.settings.breaker, now);
    let paused = breakers.tripped(now).map(|(agent, breaker, stand)| PausedAgent {
        agent: agent.to_owned(),
        failures: breaker.failed(),
        why: breaker.why().to_owned(),
        until: if let Stand::Open(until) = stand { Some(until) } else { None },
    });
    Guards { paused: paused.collect(), pressure, held }
}

/// The live run, else the newest.
fn shown_run<'a>(app: &App, all: &'a BTreeMap<RunId, RunState>) -> Option<(&'a RunId, &'a RunState)> {
    let live = runs::live(&app.repo.state_dir());
    let live = live.last().and_then(|live| all.get_key_value(&live.run));
    live.or_else(|| all.last_key_value())
}

/// What the story files add; nothing when they cannot be read, for status must answer all the same.
pub(crate) fn known(app: &App) -> BTreeMap<ItemKey, Known> {
    let (roots, state_dir) = (&app.settings.story_roots, app.repo.state_dir());
    let Ok(briefs) = stories::briefs(app.repo.root(), roots, &state_dir, app.machine.now()) else {
        return BTreeMap::new();
    };
    let known =
        |brief: Brief| Known { title: brief.title, dependencies: brief.dependencies, wave: None, done: brief.done };
    briefs.into_iter().map(|(key, brief)| (key, known(brief))).collect()
}

/// The state of an item that a person named, and its key.
pub(crate) fn item_of(app: &App, typed: &str) -> Result<(ItemKey, Option<ItemState>, Option<Known>), CommandError> {
    let items = app.ledger().items()?;
    let known = known(app);
    match super::item::find(typed, &items) {
        Ok(key) => Ok((key.clone(), items.get(&key).cloned(), known.get(&key).cloned())),
        Err(error) => {
            let key = crate::domain::id::ItemId::parse(typed).map(|id| ItemKey::from(&id));
            match key.and_then(|key| known.get(&key).cloned().map(|known| (key, known))) {
                Some((key, known)) => Ok((key, None, Some(known))),
                None => Err(error),
            }
        }
    }
}
