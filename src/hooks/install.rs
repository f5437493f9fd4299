//! Puts the hooks into place beside everybody else's, finds out whether they still work, and takes them away again. Must
//! never overwrite another program's file or setting.
//!
//! Three ways, see [`plan::Way`]: git 2.54 and newer run hooks that their configuration names, so nothing else is touched.
//! With an older git, a link and scripts in `.git/hooks` are enough while nobody else wants those names and no `core.hooksPath` leads
//! elsewhere. Else a folder of dispatchers comes first, at the scope of the worktree, which neither husky's own setting nor
//! a global one can override, and each dispatcher goes on to the hook that git would have run.

pub mod change;
pub mod examine;
mod layout;
pub mod plan;
pub mod record;
mod setting;

use crate::adapters::git::repo::Repo;
use crate::adapters::guarded;
use crate::engine::ports::PortError;

use change::Change;
pub use layout::hook_program;
use record::Record;

/// Everything that takes our hooks away and the configuration back to what it was before `init`: the very bytes, where
/// nobody else has changed the file since.
pub fn uninstall(repo: &Repo) -> Result<Vec<Change>, PortError> {
    let record = Record::load(repo)?;
    let seen = plan::look(repo)?;
    let mut changes = plan::without_links(repo);
    let mut exact = Vec::new();
    let mut by_key = plan::without_dispatchers(repo, &seen, record.as_ref())?;
    let config = repo.common_dir().join("config");
    let unset = |key: String| Change::Unset { file: config.clone(), key };
    by_key.extend(plan::includes(repo)?.into_iter().map(unset));
    if record.as_ref().is_some_and(|record| !record.had_target) {
        by_key.push(unset("orchestrate.target".to_owned()));
    }
    for file in std::iter::once(config.clone()).chain(seen.iter().map(|one| one.place.config())) {
        let Some(restored) = record.as_ref().map(|record| record.restore(&file)).transpose()?.flatten() else {
            continue;
        };
        by_key.retain(|change| !touches(change, &file));
        exact.extend(restored);
    }
    // Configuration first: git must not be led to a file that is gone.
    changes.splice(0..0, exact.into_iter().chain(by_key));
    changes.extend(plan::emptied(&layout::own(repo)));
    changes.extend(leftovers(repo, record.as_ref()));
    Ok(changes)
}

/// Whether a change is one of this configuration file.
fn touches(change: &Change, wanted: &std::path::Path) -> bool {
    match change {
        Change::Set { file, .. } | Change::Unset { file, .. } | Change::Restore { file, .. } => file == wanted,
        Change::Prune { path } => path == wanted,
        Change::Link { .. }
        | Change::Script { .. }
        | Change::Write { .. }
        | Change::Remove { .. }
        | Change::Move { .. } => false,
    }
}

fn leftovers(repo: &Repo, record: Option<&Record>) -> Vec<Change> {
    let ours = [repo.common_dir().join(layout::INCLUDED), record::path(repo), guarded::path(repo)];
    let files = ours.into_iter().filter(|path| path.exists()).map(|path| Change::Remove { path });
    let mut changes: Vec<Change> = files.collect();
    let hooks = repo.common_dir().join("hooks");
    if record.is_some_and(|record| !record.had_hooks_folder) && hooks.is_dir() {
        changes.push(Change::Prune { path: hooks });
    }
    if repo.state_dir().is_dir() && record.is_some() {
        changes.push(Change::Prune { path: repo.state_dir() });
    }
    changes
}
