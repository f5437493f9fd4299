//! The `resume` command: goes on with the newest unfinished run. Must stay thin: parse, call, render, exit code.

use std::collections::BTreeMap;

use super::app::App;
use super::args::{Jobs, Planning, ResumeArgs};
use super::certify;
use super::error::CommandError;
use super::execute::{self, Options, View};
use super::exit::Exit;
use super::others::{self, Known};
use super::planning::Planned;
use super::ui::Ui;
use crate::domain::event::Failure;
use crate::domain::names::{ItemKey, RunId};
use crate::domain::run_state::RunState;
use crate::domain::settings::Missing;
use crate::domain::state::{ItemState, Outcome};
use crate::engine::ports::Ledger;

/// Runs `git orchestrate resume`.
pub(crate) fn run(args: &ResumeArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let app = App::open_to_change()?;
    certify::settle(&app, ui)?;
    execute::recover(&app, ui)?;
    go_on(app, (args.jobs, args.max_cost), if args.json { View::Json } else { View::Person }, ui)
}

/// Goes on with the newest unfinished run, preferably one that no process executes.
pub(crate) fn go_on(
    app: App,
    (jobs, max_cost): (Option<Jobs>, Option<u64>),
    view: View,
    ui: &mut Ui,
) -> Result<Exit, CommandError> {
    let mut store = app.ledger();
    let known = Known { runs: store.runs()?, items: store.items()? };
    drop(store);
    let Some((id, run)) = known.to_resume(&app).map(|(id, run)| (id.clone(), run.clone())) else {
        super::stories::say_nothing("nothing to resume: no run is unfinished", view == View::Json, ui)?;
        return Ok(Exit::DONE);
    };
    let asked = Planning {
        scope: run.items.iter().map(|item| item.key.to_string()).collect(),
        agent: run.agent.clone(),
        missing: Some(Missing::Fail),
        settled: true,
        target: run.target.as_ref().map(|target| target.short().to_owned()),
        policy_from_target: true,
        ..Planning::default()
    };
    let gone = gone(&app, run.items.iter().map(|item| &item.key), &known.items);
    let planned = Planned::make(app, &asked, ui)
        .map_err(|error| if gone.is_empty() { error } else { error.hint(without_file(&run, &gone)) })?;
    others::refuse_live(&planned.app, &known, &planned.plan)?;
    ui.status(&planned.headline());
    ui.status(&format!("going on with run {id}: {} of {} stories are left", planned.plan.items.len(), run.items.len()));
    let settled = settled(&id, &known.items);
    let options = Options {
        continues: Some(id),
        scope: run.scope.clone(),
        jobs: jobs.or(positive(&run).map(Jobs::Count)),
        max_cost: max_cost.or(run.max_micro_usd),
        waves: run.waves,
        land: run.land,
        agent: run.agent.clone(),
        settled,
        view,
    };
    execute::execute(planned, options, ui)
}

/// The run's stories that were begun and whose file is gone, with where it was.
fn gone<'a>(
    app: &App,
    keys: impl Iterator<Item = &'a ItemKey>,
    states: &'a BTreeMap<ItemKey, ItemState>,
) -> Vec<(&'a ItemKey, &'a str)> {
    let begun = keys.filter_map(|key| Some((key, states.get(key).filter(|state| !state.is_done())?.path.as_str())));
    begun.filter(|(_, path)| !app.repo.root().join(path).exists()).collect()
}

/// Two ways out for a run whose stories lost their files.
fn without_file(run: &RunState, gone: &[(&ItemKey, &str)]) -> String {
    let paths: Vec<&str> = gone.iter().map(|(_, path)| *path).collect();
    let others =
        run.items.iter().map(|item| item.key.as_str()).filter(|key| gone.iter().all(|(it, _)| it.as_str() != *key));
    let others: Vec<&str> = others.collect();
    let back = format!("bring the files back: git checkout HEAD -- {}", paths.join(" "));
    if others.is_empty() {
        return back;
    }
    format!("{back}; or go on without them: git orchestrate stories {} --yes", others.join(" "))
}

fn positive(run: &RunState) -> Option<u32> {
    (run.jobs > 0).then_some(run.jobs)
}

/// Items that failed in this very run: a resume does not try them again, `retry` does.
fn settled(run: &RunId, states: &BTreeMap<ItemKey, ItemState>) -> BTreeMap<ItemKey, Failure> {
    let failed = |(key, state): (&ItemKey, &ItemState)| match (&state.outcome, &state.attempt) {
        (Some(Outcome::Failed { failure }), Some(attempt)) if attempt.run == *run => {
            Some((key.clone(), failure.clone()))
        }
        _ => None,
    };
    states.iter().filter_map(failed).collect()
}
