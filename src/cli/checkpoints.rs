//! Checkpoints around runs, and what they bring back. Must not fail a command: a run is worth more than its copy.

use super::app::App;
use super::ui::Ui;
use crate::adapters::ledger::bring::spoken;
use crate::adapters::ledger::checkpoint::{self, Occasion};
use crate::engine::ports::Ledger;

/// Makes a checkpoint where something changed since the last one.
pub(crate) fn save(app: &App, occasion: Occasion, ui: &mut Ui) {
    // Before the first story there is nothing that could not be made again.
    if occasion == Occasion::Start && app.ledger().items().is_ok_and(|items| items.is_empty()) {
        return;
    }
    match checkpoint::save(&app.repo, occasion) {
        Ok(Some(saved)) => {
            ui.detail(&format!("checkpoint {}", saved.file.display()));
            saved.copy.iter().for_each(|error| ui.detail(&format!("no copy outside the repository: {error}")));
        }
        Ok(None) => {}
        Err(error) => ui.warning(&format!("no checkpoint of the record was made: {error}")),
    }
}

/// Brings back chains that somebody deleted, and says so.
pub(crate) fn mend(app: &App, ui: &mut Ui) {
    match checkpoint::bring_back(&mut app.ledger(), &app.repo) {
        Ok(None) => {}
        Ok(Some((file, changes))) => {
            ui.warning(&format!(
                "{} refs of the record were gone; they are back from checkpoint {}",
                changes.len(),
                file.display()
            ));
            changes.iter().for_each(|change| ui.detail(&spoken(&change.name)));
            ui.hint(
                "events since that checkpoint are lost, unless a backup or a remote has them: git orchestrate sync",
            );
        }
        // Whoever reads the record next says what is wrong with it.
        Err(error) => ui.detail(&format!("the checkpoints were not looked at: {error}")),
    }
}
