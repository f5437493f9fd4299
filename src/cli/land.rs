//! The `land` command: lands stories that are approved. Must stay thin: it runs the last phases through the engine.

use std::collections::BTreeMap;

use super::app::App;
use super::args::{Jobs, LandArgs, Planning};
use super::certify;
use super::error::{CommandError, Kind};
use super::execute::{self, Options, View};
use super::exit::Exit;
use super::item;
use super::others::{self, Known};
use super::planning::Planned;
use super::ui::Ui;
use crate::domain::names::ItemKey;
use crate::domain::settings::Missing;
use crate::domain::state::{ItemState, Outcome};
use crate::domain::workflow::Phase;
use crate::engine::ports::Ledger;

/// Runs `git orchestrate land`.
pub(crate) fn run(args: &LandArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let app = App::open_to_change()?;
    certify::settle(&app, ui)?;
    execute::recover(&app, ui)?;
    let mut store = app.ledger();
    let known = Known { runs: store.runs()?, items: store.items()? };
    drop(store);
    let keys = wanted(args, &known.items)?;
    if keys.is_empty() {
        ui.data("nothing to land: no story is approved\n")?;
        return Ok(Exit::DONE);
    }
    let asked = Planning {
        scope: keys.iter().map(ItemKey::to_string).collect(),
        missing: Some(Missing::Fail),
        policy_from_target: true,
        ..Planning::default()
    };
    let planned = Planned::make(app, &asked, ui)?;
    // A run that has a story in hand lands it itself; one of ours beside it would only be left unfinished.
    others::refuse_live(&planned.app, &known, &planned.plan)?;
    let options = Options {
        continues: None,
        scope: asked.scope,
        jobs: Some(Jobs::Count(1)),
        max_cost: None,
        waves: false,
        land: true,
        agent: None,
        settled: BTreeMap::new(),
        view: View::Person,
    };
    execute::execute(planned, options, ui)
}

fn wanted(args: &LandArgs, states: &BTreeMap<ItemKey, ItemState>) -> Result<Vec<ItemKey>, CommandError> {
    if args.ids.is_empty() {
        return Ok(states.iter().filter(|(_, state)| is_approved(state)).map(|(key, _)| key.clone()).collect());
    }
    let mut keys = Vec::new();
    for id in &args.ids {
        let key = item::find(id, states)?;
        let state = &states[&key];
        if state.is_done() {
            continue;
        }
        if !is_approved(state) {
            let message = format!("story {key} is not approved: it is {}", state.status().word());
            let hint = format!("git orchestrate review {key} --approve -m \"...\", or git orchestrate stories {key}");
            return Err(CommandError::new(Kind::Gate, message).hint(hint));
        }
        keys.push(key);
    }
    Ok(keys)
}

fn is_approved(state: &ItemState) -> bool {
    let open = match &state.outcome {
        None | Some(Outcome::Stopped { .. } | Outcome::Interrupted { .. } | Outcome::Due { .. }) => true,
        Some(Outcome::Landed | Outcome::NoChange { .. } | Outcome::Failed { .. } | Outcome::Blocked { .. }) => false,
    };
    open && state.phases.contains_key(&Phase::Review)
}
