//! The `restore` command: brings back what a backup or a checkpoint holds. Must not lose anything that is newer, nor move a
//! branch that stories land on.

use std::collections::BTreeMap;

use super::app::App;
use super::args::RestoreArgs;
use super::changes;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;
use crate::adapters::git::bundle;
use crate::adapters::git::commit;
use crate::adapters::git::refs;
use crate::adapters::ledger::branches::STORY_BRANCHES;
use crate::adapters::ledger::bring::{Change, How, Wish, spoken};
use crate::adapters::ledger::checkpoint::{self, Occasion};
use crate::adapters::ledger::lineage::RESCUE;
use crate::adapters::runs;
use crate::domain::names::{BranchRef, Oid};

/// What a file holds, by what becomes of it.
#[derive(Default)]
struct Contents {
    records: BTreeMap<String, Oid>,
    stories: BTreeMap<String, Oid>,
    /// Branches that stories land on.
    targets: BTreeMap<String, Oid>,
}

/// Runs `git orchestrate restore`.
pub(crate) fn run(args: &RestoreArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let app = App::open_to_change()?;
    app.show_findings(ui)?;
    let head = bundle::head(&args.file).map_err(CommandError::invalid)?;
    if let Some(needed) = head.needs.first() {
        let message = format!("{} is only the newer part of a bundle; it needs {needed}", args.file.display());
        return Err(CommandError::usage(message).hint("restore from a file that git orchestrate backup wrote"));
    }
    let contents = Contents::of(head.refs)?;
    if !args.dry_run {
        require_no_run(&app)?;
    }
    let wish = Wish { overwrite: args.overwrite_newer, ..Wish::default() };
    let mut store = app.ledger();
    let waiting = ui.waiting("reading the backup", None);
    let (_folder, looked_at) = bundle::quarantine(&app.repo)?;
    bundle::unpack(&looked_at, &args.file)?;
    let git = looked_at.gix();
    let mut all = store.weigh(&git, &contents.records, &wish)?.changes;
    refuse_damaged(&all, args)?;
    if args.dry_run {
        all.extend(store.weigh_branches(&git, &contents.stories)?);
    } else {
        bundle::unpack(&app.repo, &args.file)?;
        all = store.bring(&contents.records, &wish)?;
        all.extend(store.bring_branches(&contents.stories)?);
        all.extend(keep_targets(&app, &mut store, &contents.targets, ui)?);
        // What was set back is meant to be: no earlier checkpoint may bring it forward again.
        checkpoint::save(&app.repo, Occasion::Restore)?;
    }
    drop(waiting);
    let newer = all.iter().any(|change| change.how == How::Newer && !change.name.contains("/heads/"));
    let exit = changes::show(&all, "the backup", args.dry_run, ui)?;
    if newer {
        ui.hint("what is newer here stays; --overwrite-newer sets it back and keeps what it was");
    }
    Ok(exit)
}

impl Contents {
    fn of(all: BTreeMap<String, Oid>) -> Result<Self, CommandError> {
        let mut contents = Self::default();
        for (name, oid) in all {
            let part = if name.starts_with("refs/orchestrate/") {
                &mut contents.records
            } else if name.starts_with(STORY_BRANCHES) {
                &mut contents.stories
            } else if name.starts_with("refs/heads/") {
                &mut contents.targets
            } else {
                continue;
            };
            part.insert(name, oid);
        }
        if contents.records.is_empty() {
            let message = "the file is a git bundle, but there is no record of git-orchestrate in it";
            return Err(CommandError::usage(message).hint("git fetch FILE reads other bundles"));
        }
        Ok(contents)
    }
}

fn require_no_run(app: &App) -> Result<(), CommandError> {
    let Some(live) = runs::live(&app.repo.state_dir()).into_iter().next() else { return Ok(()) };
    let message = format!("run {} is going on in process {}; nothing is restored under it", live.run, live.pid);
    Err(CommandError::usage(message).hint("git orchestrate stop ends it; --dry-run only looks"))
}

/// Nothing moves when any record of the file cannot be believed.
fn refuse_damaged(weighed: &[Change], args: &RestoreArgs) -> Result<(), CommandError> {
    let damaged = weighed.iter().filter_map(|change| match &change.how {
        How::Unreadable(why) => Some(format!("{}: {why}", spoken(&change.name))),
        _ => None,
    });
    let damaged: Vec<String> = damaged.collect();
    let Some(first) = damaged.first() else { return Ok(()) };
    let message = format!(
        "{} holds {} record(s) that cannot be believed; nothing was restored",
        args.file.display(),
        damaged.len()
    );
    let error =
        CommandError::operation(message).hint("use another backup, or a checkpoint below .git/orchestrate/checkpoints");
    Err(CommandError { causes: vec![first.clone()], ..error })
}

/// The branch that stories land on is never moved: what of the backup it lacks gets a name, and the person the command.
fn keep_targets(
    app: &App,
    store: &mut crate::adapters::ledger::store::Store,
    targets: &BTreeMap<String, Oid>,
    ui: &mut Ui,
) -> Result<Vec<Change>, CommandError> {
    let git = app.repo.gix();
    let mut kept = BTreeMap::new();
    for (name, theirs) in targets {
        let their = app.repo.object_id(theirs)?;
        let ours = refs::tip(&app.repo, name)?;
        let has = match &ours {
            Some(ours) => commit::contains(&git, app.repo.object_id(ours)?, their)?,
            None => false,
        };
        if !has {
            let short = BranchRef::new(name.clone()).short().replace('/', "-");
            let rescue = format!("{RESCUE}restored-{short}-{}", theirs.short());
            ui.hint(&format!(
                "{} lacks commits of the backup; on it: git merge --ff-only {rescue}, then restore again",
                spoken(name)
            ));
            kept.insert(rescue, theirs.clone());
        }
    }
    Ok(store.bring(&kept, &Wish::default())?)
}
