//! The `show` command: one story whole. Must stay thin: parse, call, render, exit code.

use super::app::App;
use super::args::ShowArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::status::{at_work, item_of};
use super::ui::Ui;
use crate::adapters::gate::reader::Reader;
use crate::adapters::git::landing::GitLander;
use crate::adapters::git::{merge, signing};
use crate::domain::gate::{self, Candidate, Verdict};
use crate::domain::names::ItemKey;
use crate::domain::state::ItemState;
use crate::engine::ports::Merged;
use crate::report::status::{self, GateView, Shown};
use crate::report::text::Color;

/// Runs `git orchestrate show`.
pub(crate) fn run(args: &ShowArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let app = App::open()?;
    let (key, state, known) = item_of(&app, &args.id)?;
    let states = state.clone().map(|state| (key.clone(), state)).into_iter().collect();
    let live = at_work(&app, &states).contains(&key);
    let gate = state.as_ref().map_or(Ok(None), |state| verdict(&app, &key, state)).unwrap_or_else(|error| {
        // Everything else can still be shown.
        ui.warning(&format!("what the gate says cannot be told: {}", error.message));
        None
    });
    let shown =
        Shown { key: &key, state: state.as_ref(), known: known.as_ref(), live: Some(live), gate: gate.as_ref() };
    let text = if args.json { status::show_json(&shown) } else { status::show(&shown, Color::of(ui.out_color())) };
    ui.data(&text)?;
    Ok(Exit::DONE)
}

/// The gate's answer to landing the story now; nothing is written. `None` for what has landed, or has no branch.
fn verdict(app: &App, key: &ItemKey, state: &ItemState) -> Result<Option<GateView>, CommandError> {
    let Some(attempt) = state.attempt.as_ref().filter(|_| !state.is_done()) else { return Ok(None) };
    let reader = Reader::of(&app.repo);
    let tips = (reader.standing(attempt.target.as_str())?, reader.standing(attempt.branch.as_str())?);
    let (Some(base), Some(head)) = tips else { return Ok(None) };
    let git = app.repo.gix().with_object_memory();
    let merged = merge::merge(&git, app.repo.object_id(&base)?, app.repo.object_id(&head)?)?;
    let persons = GitLander::new(&app.repo).persons(&base, &head)?;
    let (merge, refusals) = match merged {
        Merged::Conflict { paths } => (Err(paths), Vec::new()),
        Merged::Clean { tree } => {
            let candidate =
                Candidate { base: base.clone(), head: head.clone(), merge_tree: tree.clone(), person_authors: persons };
            let signatures = signing::known(&app.repo, &base, reader.policy()?, key, state)?;
            match gate::judge(reader.policy()?, state, &candidate, &signatures) {
                Verdict::Covered(_) => (Ok(tree), Vec::new()),
                Verdict::Refused(refusals) => (Ok(tree), refusals),
            }
        }
    };
    Ok(Some(GateView { base, head, merge, refusals }))
}
