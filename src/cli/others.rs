//! Other runs: live ones, whose stories are left to them, and unfinished ones of dead processes, which a person may rather go
//! on with. Must not start or end anything.

use std::collections::{BTreeMap, BTreeSet};

use super::app::App;
use super::error::CommandError;
use super::ui::Ui;
use crate::adapters::{elsewhere, runs};
use crate::domain::names::{BranchRef, ItemKey, RunId};
use crate::domain::plan::Plan;
use crate::domain::run_state::RunState;
use crate::domain::state::ItemState;
use crate::engine::ports::Clock;
use crate::report::text::span;

/// Most stories that a sentence names.
const NAMED: usize = 8;

/// What the ledger says of runs and items.
pub(crate) struct Known {
    pub(crate) runs: BTreeMap<RunId, RunState>,
    pub(crate) items: BTreeMap<ItemKey, ItemState>,
}

impl Known {
    /// Stories of a run that are not done.
    fn left(&self, run: &RunState) -> Vec<ItemKey> {
        let keys = run.items.iter().map(|item| &item.key);
        keys.filter(|key| !self.items.get(key).is_some_and(ItemState::is_done)).cloned().collect()
    }

    /// The newest unfinished run of this machine that no process executes, one with stories left rather than one without;
    /// else the newest unfinished one.
    pub(crate) fn to_resume(&self, app: &App) -> Option<(&RunId, &RunState)> {
        let live: BTreeSet<RunId> = runs::live(&app.repo.state_dir()).into_iter().map(|live| live.run).collect();
        let here = |id: &RunId| !elsewhere::has(&app.repo, id);
        let unfinished = || self.runs.iter().filter(|(id, run)| run.is_unfinished() && here(id));
        let dead = || unfinished().filter(|(id, _)| !live.contains(id));
        let with_work = dead().rfind(|(_, run)| !self.left(run).is_empty());
        with_work.or_else(|| dead().next_back()).or_else(|| unfinished().next_back())
    }
}

/// Refuses a plan that shares a story with a live run: nothing starts, and the holder is named.
pub(crate) fn refuse_live(app: &App, known: &Known, plan: &Plan) -> Result<(), CommandError> {
    let mine: BTreeSet<ItemKey> = plan.items.iter().map(|item| item.key.clone()).collect();
    for live in runs::live(&app.repo.state_dir()) {
        let Some(state) = known.runs.get(&live.run) else { continue };
        let shared: Vec<_> = known.left(state).into_iter().filter(|key| mine.contains(key)).collect();
        if shared.is_empty() {
            continue;
        }
        let since = state.started.map_or(0, |started| app.machine.now().0.saturating_sub(started.0));
        let message = format!(
            "run {} has {} in hand: it is going on for {} in process {} on {}",
            live.run,
            stories(&shared),
            span(u64::try_from(since).unwrap_or(0)),
            live.pid,
            state.host.split(" pid ").next().unwrap_or("this machine"),
        );
        return Err(CommandError::usage(message)
            .hint("nothing was started; wait for it (git orchestrate status), end it (git orchestrate stop), or name other stories"));
    }
    Ok(())
}

/// What to do about an unfinished run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// There is none in the way, or its stories are taken over.
    Start,
    /// Go on with it instead.
    Resume,
}

/// Asks about the newest run that a dead process left unfinished on the same target with stories of this plan. A run that ended
/// by itself in order to wait is not in the way: starting again is how a person goes on after a review.
pub(crate) fn ask_about_unfinished(
    app: &App,
    known: &Known,
    (target, plan): (&BranchRef, &Plan),
    yes: bool,
    ui: &mut Ui,
) -> Result<Choice, CommandError> {
    let Some((run, state)) = known.to_resume(app).filter(|(_, run)| run.waiting.is_empty()) else {
        return Ok(Choice::Start);
    };
    let left = known.left(state);
    let shared: Vec<_> = left.iter().filter(|key| plan.items.iter().any(|item| item.key == **key)).cloned().collect();
    if shared.is_empty() || state.target.as_ref() != Some(target) {
        return Ok(Choice::Start);
    }
    let sentence = format!(
        "run {run} is unfinished: {} of its {} stories are left, {} in this scope",
        left.len(),
        state.items.len(),
        stories(&shared)
    );
    if yes {
        ui.status(&format!("{sentence}; this run takes them over where they stand"));
        return Ok(Choice::Start);
    }
    let over = "start a new run, which takes these stories over where they stand";
    match ui.choose(&sentence, &["go on with that run, as `git orchestrate resume` does", over, "cancel"]) {
        Some(0) => Ok(Choice::Resume),
        Some(1) => Ok(Choice::Start),
        Some(_) => Err(CommandError::usage("cancelled; nothing was started")),
        None => Err(CommandError::usage(format!("{sentence}; nothing was started"))
            .hint("git orchestrate resume goes on with it; with --yes this command takes its stories over")),
    }
}

/// `stories 1.1, 1.2 and 3 more`.
fn stories(keys: &[ItemKey]) -> String {
    let named: Vec<_> = keys.iter().take(NAMED).map(ItemKey::as_str).collect();
    let word = if keys.len() == 1 { "story" } else { "stories" };
    match keys.len().saturating_sub(NAMED) {
        0 => format!("{word} {}", named.join(", ")),
        more => format!("{word} {} and {more} more", named.join(", ")),
    }
}
