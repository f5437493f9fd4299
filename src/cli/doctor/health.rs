//! What `doctor` finds beside the hooks: the record, what killed processes left, processes and runs that nobody looks after.
//! Must change nothing but in `fix`.

use super::{CommandError, FIX};
use crate::adapters::config::target;
use crate::adapters::git::leftovers::{self, What};
use crate::adapters::git::repo::Repo;
use crate::adapters::host::Machine;
use crate::adapters::ledger::damage::{self, Damaged, Matter};
use crate::adapters::ledger::store::Store;
use crate::adapters::process::sweep;
use crate::adapters::{elsewhere, orphans, runs};
use crate::domain::names::ItemKey;
use crate::domain::state::ItemState;
use crate::engine::ports::{Ledger, PortError};

/// One thing that is wrong.
pub(super) struct Finding {
    /// Where it belongs: `target`, `ledger`, `leftovers`, `processes`, `runs`.
    pub(super) area: &'static str,
    /// One word.
    pub(super) problem: &'static str,
    /// What was found, and where.
    pub(super) detail: String,
    /// The command that helps.
    pub(super) repair: String,
    /// Whether commands fail because of it.
    pub(super) serious: bool,
}

/// Everything that is wrong beside the hooks.
pub(super) fn examine(repo: &Repo) -> Result<Vec<Finding>, PortError> {
    let mut found: Vec<Finding> = damage::examine(repo)?.into_iter().map(of_ledger).collect();
    found.extend(missing_target(repo));
    for left in leftovers::find(repo)? {
        found.push(Finding {
            area: "leftovers",
            problem: left.what.word(),
            detail: format!("{}, {} old, and no process uses it", left.path.display(), span(left.age.as_secs())),
            repair: FIX.to_owned(),
            serious: left.what == What::Worktree,
        });
    }
    let mut store = Store::new(repo);
    // Where the record cannot be read that is the finding; what depends on it waits for the repair.
    let (Ok(items), Ok(all_runs)) = (store.items(), store.runs()) else { return Ok(found) };
    for orphan in orphans_of(repo, items.iter()) {
        let pids: Vec<String> = orphan.pids.iter().map(ToString::to_string).collect();
        found.push(Finding {
            area: "processes",
            problem: "orphaned-process",
            detail: format!("attempt {} is over and its processes {} live on", orphan.attempt, pids.join(", ")),
            repair: FIX.to_owned(),
            serious: false,
        });
    }
    let live = runs::live(&repo.state_dir());
    for (id, state) in all_runs {
        let waits = !state.waiting.is_empty() || state.stopped.is_some();
        let here = live.iter().any(|live| live.run == id) || elsewhere::has(repo, &id);
        if state.is_unfinished() && !waits && !here {
            found.push(Finding {
                area: "runs",
                problem: "dead-run",
                detail: format!("run {id} was not finished and its process ({}) is gone", state.host),
                repair: "git orchestrate resume".to_owned(),
                serious: false,
            });
        }
    }
    Ok(found)
}

/// Repairs what can be; returns a line for each thing that was done.
pub(super) fn fix(repo: &Repo) -> Result<Vec<String>, CommandError> {
    let mut done = Vec::new();
    for left in leftovers::find(repo)? {
        let path = left.path.display();
        done.push(match leftovers::clear(repo, &left)? {
            Some(kept) => format!("{path} is out of the way, kept as {}", kept.display()),
            None => format!("{path} is deleted"),
        });
    }
    // In two rounds: what a checkpoint knows better shows once the refs can be read.
    for _ in 0..2 {
        let mut store = Store::new(repo);
        for damaged in damage::examine(repo)? {
            done.extend(damage::repair(&mut store, repo, &damaged)?);
        }
    }
    for folder in ["runs", "locks"] {
        runs::clear_dead(&repo.state_dir().join(folder));
    }
    let items = Store::new(repo).items().unwrap_or_default();
    for orphan in orphans_of(repo, items.iter()) {
        let swept = sweep::sweep_blocking(&orphan.attempt);
        done.push(format!("ended {} processes of attempt {}, {} are left", swept.killed, orphan.attempt, swept.left));
    }
    Ok(done)
}

/// A target that the configuration names and nobody made. On a server the first push makes it.
fn missing_target(repo: &Repo) -> Option<Finding> {
    target::configured(repo).filter(|_| !repo.is_bare())?;
    let error = target::find(repo, None).err()?;
    Some(Finding {
        area: "target",
        problem: "no-target",
        detail: error.message,
        repair: error.hint.unwrap_or_else(|| "git config orchestrate.target BRANCH".to_owned()),
        serious: true,
    })
}

fn of_ledger(damaged: Damaged) -> Finding {
    let repair = match damaged.matter {
        Matter::Newer => "upgrade git-orchestrate".to_owned(),
        Matter::Unreadable | Matter::Broken | Matter::Lost | Matter::Rewound => FIX.to_owned(),
    };
    let Damaged { detail, matter, .. } = damaged;
    Finding { area: "ledger", problem: matter.word(), detail, repair, serious: true }
}

/// Marked processes of attempts of this repository that no process holds the item of.
fn orphans_of<'a>(
    repo: &Repo,
    items: impl Iterator<Item = (&'a ItemKey, &'a ItemState)> + Clone,
) -> Vec<orphans::Marked> {
    let mut marked = orphans::marked(repo.root());
    if marked.is_empty() {
        return marked;
    }
    let held = Machine::new(repo.state_dir()).held(items.clone().map(|(key, _)| key));
    marked.retain(|marked| {
        let of = items
            .clone()
            .find(|(_, state)| state.attempt.as_ref().is_some_and(|attempt| attempt.id.as_str() == marked.attempt));
        match of {
            Some((key, _)) => !held.contains(key),
            // An attempt that another one followed, while nobody works on anything here.
            None => marked.here && held.is_empty(),
        }
    });
    marked
}

/// `3 d`, `5 h`, `2 min`.
fn span(seconds: u64) -> String {
    match seconds {
        0..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}
