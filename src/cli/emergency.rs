//! What a hotfix has on this machine: its lock, the worktree of its checks, and the end of what a kill left half done.
//! Must not judge or begin one.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use super::app::{self, App};
use super::error::CommandError;
use super::ui::Ui;
use crate::adapters::git::landing::GitLander;
use crate::domain::names::{AttemptId, BranchRef, ItemKey};
use crate::engine::hotfix::finish;
use crate::engine::ports::{AttemptLock, Clock, Host, Worktrees};

/// Key of the lock; no story can have it, for `%` is escaped in keys.
const LOCK: &str = "%hotfix";

/// Finishes hotfixes that a killed process left half done.
pub(crate) fn recover(app: &App, ui: &mut Ui) -> Result<(), CommandError> {
    let mut store = app.ledger();
    let pending = store.branches()?.into_iter().filter(|(_, state)| state.landing.is_some());
    let pending: Vec<BranchRef> = pending.map(|(branch, _)| branch).collect();
    let directory = directory(app);
    if pending.is_empty() && !directory.exists() {
        return Ok(());
    }
    // Whoever holds the lock is at work on it.
    let Ok(_lock) = lock(app)? else { return Ok(()) };
    let runtime = app::runtime()?;
    let lander = GitLander::new(&app.repo);
    for branch in pending {
        let said = runtime.block_on(finish(&mut store, &lander, &branch, app.machine.now()))?;
        if let Some(line) = said {
            ui.status(&line);
        }
    }
    if directory.exists() {
        app.machine.sweep(&attempt(app))?;
        runtime.block_on(app.worktrees().discard(&directory))?;
    }
    Ok(())
}

/// Takes the lock that one hotfix at a time holds; else says who holds it.
pub(crate) fn lock(app: &App) -> Result<Result<Box<dyn AttemptLock>, String>, CommandError> {
    Ok(app.machine.lock(&ItemKey::new(LOCK), &attempt(app))?)
}

/// The mark of what checks of hotfixes start; always the same one in a repository, so that a later command finds it.
pub(crate) fn attempt(app: &App) -> AttemptId {
    let mut hasher = DefaultHasher::new();
    app.repo.common_dir().hash(&mut hasher);
    AttemptId::new(format!("hotfix-{:016x}", hasher.finish()))
}

/// Where checks of hotfixes run.
pub(crate) fn directory(app: &App) -> PathBuf {
    app.repo.root().join(&app.settings.worktrees).join("check-hotfix")
}
