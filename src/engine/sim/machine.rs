//! Clock, ids, locks and the sweep of the simulated machine, and the reporter that holds an orchestrator to what it shows.
//! Must not read the real machine.

use super::check;
use super::sabotage::Sabotage;
use super::world::{Gone, Handle, dead};
use crate::domain::names::{AttemptId, ItemKey, RunId, Timestamp};
use crate::engine::events::{Happening, Reporter};
use crate::engine::ports::{AttemptLock, Clock, Host, PortError};

/// The machine as one orchestrator sees it.
pub(super) struct SimMachine(pub(super) Handle);

/// A lock; it ends when it is dropped, or with its orchestrator.
struct SimLock {
    hand: Handle,
    key: ItemKey,
    number: u64,
}

impl AttemptLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut world = self.hand.world();
        if world.locks.get(&self.key) == Some(&(self.hand.pid, self.number)) {
            world.locks.remove(&self.key);
        }
    }
}

impl SimMachine {
    fn name(&self, kind: &str) -> String {
        format!("{kind}-{:05}", self.0.world().number())
    }
}

impl Clock for SimMachine {
    fn now(&self) -> Timestamp {
        self.0.world().wall()
    }
}

impl Host for SimMachine {
    fn run_id(&self) -> RunId {
        RunId::new(self.name("run"))
    }

    fn attempt_id(&self) -> AttemptId {
        AttemptId::new(self.name("a"))
    }

    fn session_id(&self) -> String {
        self.name("session")
    }

    fn describe(&self) -> String {
        format!("simulation, pid {}", self.0.pid)
    }

    fn lock(&self, key: &ItemKey, _: &AttemptId) -> Result<Result<Box<dyn AttemptLock>, String>, PortError> {
        let pid = self.0.pid;
        let taken = self.0.act_now("lock", |world| {
            let number = u64::from(world.number());
            if let Some((holder, _)) = world.locks.get(key).filter(|_| !world.sabotaged(Sabotage::NoLock)) {
                return Ok(Ok(Err(format!("pid {holder}"))));
            }
            world.locks.insert(key.clone(), (pid, number));
            Ok(Ok(Ok(number)))
        });
        match taken {
            Err(Gone) => Err(dead()),
            Ok(Err(error)) => {
                // What could not be taken is not held.
                self.0.world().locks.retain(|of, (holder, _)| of != key || *holder != pid);
                Err(error)
            }
            Ok(Ok(Err(holder))) => Ok(Err(holder)),
            Ok(Ok(Ok(number))) => Ok(Ok(Box::new(SimLock { hand: self.0.clone(), key: key.clone(), number }))),
        }
    }

    fn sweep(&self, attempt: &AttemptId) -> Result<usize, PortError> {
        let swept = self.0.act_now("sweep", |world| {
            let of: Vec<u32> =
                world.procs.iter().filter(|(_, proc)| proc.attempt == *attempt).map(|(id, _)| *id).collect();
            if world.sabotaged(Sabotage::NoSweep) {
                return Ok(Ok(0));
            }
            for id in &of {
                world.procs.remove(id);
            }
            Ok(Ok(of.len()))
        });
        swept.unwrap_or_else(|Gone| Err(dead()))
    }
}

/// Compares what is shown with what a power cut would leave.
pub(super) struct SimReporter(pub(super) Handle);

impl Reporter for SimReporter {
    fn on(&mut self, happening: &Happening, _: Timestamp) {
        let mut world = self.0.world();
        if !world.lives(self.0.pid) {
            return;
        }
        match happening {
            Happening::ItemEnded { item } => check::reported(&mut world, item),
            Happening::Note { story_id, text } => world.tell(|_| format!("[{}] {story_id}: {text}", self.0.pid)),
            Happening::RunStarted { .. }
            | Happening::ItemStarted { .. }
            | Happening::PhaseStarted { .. }
            | Happening::PhaseEnded { .. }
            | Happening::StatusChanged { .. }
            | Happening::Activity { .. }
            | Happening::Notice { .. }
            | Happening::RetryDue { .. }
            | Happening::Stopping { .. }
            | Happening::RunEnded { .. } => {}
        }
    }
}
