//! The `backup` command: ledger, story branches, rescued work and the target in one file. Must not change the repository, nor
//! write over a file.

use super::app::App;
use super::args::BackupArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;
use crate::adapters::config::target;
use crate::adapters::git::{bundle, refs};
use crate::adapters::ledger::branches::STORY_BRANCHES;

/// Runs `git orchestrate backup`.
pub(crate) fn run(args: &BackupArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let app = App::open()?;
    app.show_findings(ui)?;
    let records = refs::list(&app.repo, "refs/orchestrate/")?;
    if records.is_empty() {
        return Err(CommandError::usage("there is nothing to back up: nothing was recorded here yet")
            .hint("git orchestrate stories begins the record"));
    }
    let stories = refs::list(&app.repo, STORY_BRANCHES)?;
    let target = target::find(&app.repo, None).ok().map(|target| target.branch.as_str().to_owned());
    let (kept, branches) = (records.len(), stories.len());
    let names: Vec<String> = records.into_iter().chain(stories).map(|(name, _)| name).chain(target).collect();
    let waiting = ui.waiting(&format!("packing {} refs", names.len()), None);
    bundle::create(&app.repo, &args.file, &names)?;
    drop(waiting);
    ui.data(&format!("{}: {kept} refs of the record, {branches} story branches\n", args.file.display()))?;
    ui.hint(&format!(
        "look at it with git bundle verify, bring it back with git orchestrate restore {}",
        args.file.display()
    ));
    Ok(Exit::DONE)
}
