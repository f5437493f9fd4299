//! The order in which items land. Must not know what a landing is.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// First come, first served.
#[derive(Clone, Default)]
pub(crate) struct LandingQueue {
    turn: Arc<Mutex<()>>,
}

impl LandingQueue {
    /// Waits for one's turn, which lasts as long as the guard.
    pub(crate) async fn turn(&self) -> OwnedMutexGuard<()> {
        self.turn.clone().lock_owned().await
    }
}
