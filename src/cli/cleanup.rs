//! The `cleanup` command: removes worktrees and merged branches of stories that ended; whatever is not merged is made
//! reachable under `refs/orchestrate/rescue/` first, and no option goes around that.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::app::App;
use super::args::CleanupArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;
use crate::adapters::git::trash;
use crate::adapters::runs;
use crate::adapters::stories;
use crate::domain::diagnostic::escape_line;
use crate::domain::names::{AttemptId, ItemKey};
use crate::domain::scope::Scope;
use crate::domain::state::{ItemState, Outcome};
use crate::engine::ports::{Host, Ledger, WorktreeSpec, Worktrees};
use crate::report::text::rfc3339_seconds;

/// Milliseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1000;

/// One worktree that can go.
struct Candidate {
    key: ItemKey,
    spec: WorktreeSpec,
    attempt: AttemptId,
    word: &'static str,
}

/// Runs `git orchestrate cleanup`.
pub(crate) fn run(args: &CleanupArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let app = App::open_to_change()?;
    app.show_findings(ui)?;
    if args.trash {
        return trash_only(&app, args.dry_run, ui);
    }
    let target = app.target(None)?;
    let mut store = app.ledger();
    let states = store.items()?;
    let wanted = wanted(&app, args, &states)?;
    let mut candidates = Vec::new();
    for (key, state) in &states {
        if (args.scope.is_empty() || wanted.contains(key)) && has_ended(state, args) {
            candidates.extend(candidate(&app, key, state));
        }
    }
    if candidates.is_empty() {
        ui.data("nothing to clean up\n")?;
    }
    let worktrees = app.worktrees();
    let runtime = super::app::runtime()?;
    let mut stayed = None;
    let waiting = ui.waiting("cleaning up", u64::try_from(candidates.len()).ok());
    for candidate in candidates {
        waiting.step(1);
        let Candidate { key, spec, attempt, word } = candidate;
        let Ok(_lock) = app.machine.lock(&key, &attempt)? else {
            ui.warning(&format!("{key}: another process works on it; left alone"));
            continue;
        };
        let shown = app.shown(&spec.path).to_string();
        if args.dry_run {
            ui.data(&format!("would remove {shown} and, if merged, {} ({word})\n", spec.branch.short()))?;
            continue;
        }
        // A process that an agent left behind would go on writing.
        app.machine.sweep(&attempt)?;
        let retired = match runtime.block_on(worktrees.retire(&spec, Some(&target.tip))) {
            Ok(retired) => retired,
            Err(error) => {
                stayed = Some(error);
                ui.warning(&format!("{key}: {shown} stays as it is"));
                continue;
            }
        };
        ui.data(&format!("removed {shown} ({word})\n"))?;
        if retired.branch_deleted {
            ui.data(&format!("deleted {}, which is merged\n", spec.branch.short()))?;
        }
        if let Some(rescue) = retired.rescue {
            ui.data(&format!("kept what was not merged or committed: {rescue}\n"))?;
        }
    }
    drop(waiting);
    if !args.dry_run {
        let _waiting = ui.waiting("sweeping up", None);
        sweep_up(&app, ui)?;
        let gone = trash::purge(&app.repo, trash::KEPT_MILLIS)?;
        if !gone.is_empty() {
            ui.status(&format!("deleted {} from the trash, older than 14 days", gone.len()));
        }
    }
    match stayed {
        Some(error) => Err(error.into()),
        None => Ok(Exit::DONE),
    }
}

/// What runs that were killed left and no story knows; not while a run may be using it.
fn sweep_up(app: &App, ui: &mut Ui) -> Result<(), CommandError> {
    if runs::live(&app.repo.state_dir()).is_empty() {
        for line in app.worktrees().sweep_up()? {
            ui.data(&format!("{line}\n"))?;
        }
    }
    Ok(())
}

/// `cleanup --trash`: everything in it, and what is old enough goes.
fn trash_only(app: &App, dry_run: bool, ui: &mut Ui) -> Result<Exit, CommandError> {
    let listed = trash::list(&app.repo)?;
    if listed.is_empty() {
        ui.data("the trash is empty\n")?;
    }
    for one in &listed {
        let size = trash::size(std::iter::once(one.path.as_path())).shown();
        let (days, since) = (one.age / DAY, rfc3339_seconds(one.since));
        let goes = if one.age >= trash::KEPT_MILLIS { ", goes now" } else { "" };
        let place = escape_line(&one.path.display().to_string());
        ui.data(&format!("{place}  since {since}, {days} of 14 days counted, {size}{goes}\n"))?;
    }
    if !dry_run {
        let gone = trash::purge(&app.repo, trash::KEPT_MILLIS)?;
        ui.status(&format!("deleted {} of {}", gone.len(), listed.len()));
    }
    Ok(Exit::DONE)
}

/// The items that the scope names: keys of the ledger, or selectors over the story files.
fn wanted(
    app: &App,
    args: &CleanupArgs,
    states: &BTreeMap<ItemKey, ItemState>,
) -> Result<BTreeSet<ItemKey>, CommandError> {
    let mut keys = BTreeSet::new();
    for typed in &args.scope {
        if let Ok(key) = super::item::find(typed, states) {
            keys.insert(key);
            continue;
        }
        let scope = Scope::parse(std::slice::from_ref(typed)).map_err(|findings| super::app::invalid(&findings))?;
        let loaded = stories::load(app.repo.root(), &app.settings.story_roots)?;
        let selection = scope.select(&loaded.items).map_err(|findings| super::app::invalid(&findings))?;
        keys.extend(selection.ids.iter().map(ItemKey::from));
    }
    Ok(keys)
}

/// Landed always; failed and stopped ones only when they are named or `--force` is given.
fn has_ended(state: &ItemState, args: &CleanupArgs) -> bool {
    match &state.outcome {
        Some(Outcome::Landed | Outcome::NoChange { .. }) => true,
        Some(
            Outcome::Failed { .. } | Outcome::Stopped { .. } | Outcome::Interrupted { .. } | Outcome::Blocked { .. },
        ) => args.force || !args.scope.is_empty(),
        // Between two tries its worktree is in use.
        Some(Outcome::Due { .. }) | None => false,
    }
}

fn candidate(app: &App, key: &ItemKey, state: &ItemState) -> Option<Candidate> {
    let attempt = state.attempt.as_ref()?;
    let path: PathBuf = app.repo.root().join(&attempt.worktree);
    let branch_exists = crate::adapters::git::refs::tip(&app.repo, attempt.branch.as_str()).ok().flatten().is_some();
    let something_left = path.exists() || branch_exists && state.is_done();
    if !something_left {
        return None;
    }
    let spec =
        WorktreeSpec { path, branch: attempt.branch.clone(), start: attempt.base.clone(), reason: String::new() };
    Some(Candidate { key: key.clone(), spec, attempt: attempt.id.clone(), word: state.status().word() })
}
