//! The fold of a run's events. Must not read anything: the same events give the same state byte for byte.

use serde::{Deserialize, Serialize};

use super::event::{PlannedKey, RunEvent, Totals};
use super::names::{BranchRef, ItemKey, Timestamp};
use super::state::Rejected;

/// Everything the events of one run say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunState {
    /// Selectors as given.
    pub scope: Vec<String>,
    /// Target branch.
    pub target: Option<BranchRef>,
    /// Items in plan order.
    pub items: Vec<PlannedKey>,
    /// Slots.
    pub jobs: u32,
    /// Wave barrier.
    pub waves: bool,
    /// Whether approved items land.
    pub land: bool,
    /// Explicit agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// What it may cost by the command line, in millionths of a US dollar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_micro_usd: Option<u64>,
    /// Process that last worked on it.
    pub host: String,
    /// When it began.
    pub started: Option<Timestamp>,
    /// Time of the newest event.
    pub updated: Option<Timestamp>,
    /// Counts, once it finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub totals: Option<Totals>,
    /// What it waits for, when it is paused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<(ItemKey, String)>,
    /// Why it was stopped, when it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

impl RunState {
    /// The state after `event`, which happened at `at`.
    pub fn apply(&self, event: &RunEvent, at: Timestamp) -> Result<Self, Rejected> {
        let mut next = self.clone();
        next.updated = Some(at);
        match event {
            RunEvent::Started { scope, target, items, jobs, waves, land, agent, host, .. } => {
                if self.started.is_some() {
                    return Err(Rejected::Illegal { what: "the run has begun already".to_owned() });
                }
                next.scope.clone_from(scope);
                next.target = Some(target.clone());
                next.items.clone_from(items);
                next.jobs = *jobs;
                next.waves = *waves;
                next.land = *land;
                next.agent.clone_from(agent);
                next.host.clone_from(host);
                next.started = Some(at);
            }
            RunEvent::Capped { micro_usd } => next.max_micro_usd = Some(*micro_usd),
            RunEvent::Resumed { host } => {
                next.host.clone_from(host);
                next.waiting.clear();
                next.totals = None;
                next.stopped = None;
            }
            RunEvent::Paused { waiting } => next.waiting.clone_from(waiting),
            RunEvent::Finished { totals } => next.totals = Some(*totals),
            RunEvent::Stopped { reason } => next.stopped = Some(reason.clone()),
        }
        Ok(next)
    }

    /// Whether `resume` has something to go on with.
    pub fn is_unfinished(&self) -> bool {
        self.started.is_some() && self.totals.is_none()
    }
}
