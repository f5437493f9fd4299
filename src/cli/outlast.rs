//! The end of a run beside a `git gc`: one that began before the last branches moved may take what they name. Must not fail a
//! command.

use std::time::Duration;

use tokio::sync::mpsc;

use super::app::App;
use super::ui::Ui;
use crate::adapters::git::collector;
use crate::adapters::process::signals;
use crate::engine::ports::{Cancel, Ledger};

/// How often it is looked whether the gc is over, how long for at most, and after how many looks a person is told.
const LOOK: Duration = Duration::from_millis(100);
const MOST_LOOKS: u32 = 300;
const SAID_AFTER: u32 = 10;

/// Waits for the gc that is at work now, not for a later one, which sees everything; then writes again what it took.
/// A signal ends the waiting. Must be called inside a `LocalSet`.
pub(crate) async fn outlast_gc(app: &App, ui: &mut Ui) {
    if let (Some(first), Ok(mut interrupts)) = (collector::at_work(&app.repo), signals::listen()) {
        for look in 0..MOST_LOOKS {
            if look == SAID_AFTER {
                ui.status(&format!("waiting up to 30 s for {first}, which began before the run ended"));
            }
            if interrupted(&mut interrupts.stream).await || collector::at_work(&app.repo) != Some(first) {
                break;
            }
        }
    }
    if let Err(error) = app.ledger().make_good() {
        ui.warning(&format!("a git gc beside the run may have taken what it should not: {error}; look: git fsck"));
    }
}

/// Whether a signal came before the next look was due.
async fn interrupted(stream: &mut mpsc::UnboundedReceiver<Cancel>) -> bool {
    tokio::time::timeout(LOOK, stream.recv()).await.is_ok_and(|signal| signal.is_some())
}
