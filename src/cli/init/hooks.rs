//! The part of `init` that shows, makes and takes back the changes for the hooks. Must not decide what they are.

use std::path::PathBuf;

use super::super::error::CommandError;
use super::super::ui::Ui;
use crate::adapters::git::repo::{Repo, check_git_version};
use crate::hooks::install::change::Change;
use crate::hooks::install::plan::{Plan, Way, plan};
use crate::hooks::install::{self, record::Record};

/// What hooks of other programs mean for the user.
const ON_CHAINING: &str = "after `lefthook install` or `prek install`: git orchestrate doctor --fix; `pre-commit install` \
                           refuses until `git orchestrate init --uninstall`, but what it installed runs on";

/// Shows what would change.
pub(super) fn preview(repo: &Repo, ui: &mut Ui) -> Result<Plan, CommandError> {
    let plan = planned(repo)?;
    if let Some(why) = &plan.blocked {
        ui.warning(&format!("no hook can be installed: {why}"));
        ui.hint("upgrade git to 2.54, whose configured hooks need no chaining, then: git orchestrate init");
    } else if plan.changes.is_empty() {
        ui.status("the hooks are installed already");
    } else {
        list("for the hooks, this changes:", repo, &plan.changes, ui);
        if plan.way == Way::Dispatchers {
            for folder in &plan.chained {
                ui.status(&format!("  hooks in {} go on running, after ours", folder.display()));
            }
            ui.hint(ON_CHAINING);
        }
    }
    Ok(plan)
}

/// Makes what was shown.
pub(crate) fn install(repo: &Repo, plan: &Plan, ui: &mut Ui) -> Result<(), CommandError> {
    if plan.changes.is_empty() {
        return Ok(());
    }
    make(&plan.changes)?;
    let how = match plan.way {
        Way::Configured => "named in git's configuration",
        Way::Links => "in the repository's hooks folder",
        Way::Dispatchers => "before the hooks of other programs, which they chain to",
    };
    for name in crate::hooks::NAMES {
        ui.detail(&format!("installed the hook {name}"));
    }
    ui.status(&format!("installed the hooks {}, {how}", crate::hooks::NAMES.join(", ")));
    if let Some(left) = planned(repo)?.changes.first() {
        ui.warning(&format!("something undid a change at once: {}", left.shown(repo.root())));
    }
    Ok(())
}

/// Runs `git orchestrate init --uninstall`.
pub(super) fn uninstall(repo: &Repo, dry_run: bool, ui: &mut Ui) -> Result<(), CommandError> {
    let changes = install::uninstall(repo)?;
    if changes.is_empty() {
        ui.status("no hook of git-orchestrate is installed");
        return Ok(());
    }
    list("this takes the hooks away:", repo, &changes, ui);
    if !dry_run {
        make(&changes)?;
        ui.status("the hooks are gone, and git's configuration is what it was; .orchestrate.toml, the line in");
        ui.status(".git/info/exclude and refs/orchestrate/ stay");
    }
    Ok(())
}

/// The plan for this git and this program.
pub(crate) fn planned(repo: &Repo) -> Result<Plan, CommandError> {
    Ok(plan(repo, &program()?, check_git_version()?)?)
}

/// Notes what the configuration is before the first change.
pub(crate) fn record(repo: &Repo) -> Result<Record, CommandError> {
    Ok(Record::begin(repo)?)
}

fn program() -> Result<PathBuf, CommandError> {
    let program = std::env::current_exe().and_then(|path| path.canonicalize());
    let program =
        program.map_err(|error| CommandError::operation("cannot tell where this program is").because(&error))?;
    Ok(install::hook_program(&program))
}

fn list(head: &str, repo: &Repo, changes: &[Change], ui: &mut Ui) {
    ui.status(head);
    for change in changes {
        ui.status(&format!("  {}", change.shown(repo.root())));
    }
}

fn make(changes: &[Change]) -> Result<(), CommandError> {
    for change in changes {
        change.make().map_err(|error| {
            CommandError::from(error)
                .hint("what was done so far stays; run it again, or: git orchestrate init --uninstall")
        })?;
    }
    Ok(())
}
