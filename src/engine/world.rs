//! What every attempt of a run shares: the ports, the run's decisions, and the way to the reporter.
//! Must not hold anything that changes during a run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use tokio::sync::mpsc;

use super::events::Happening;
use super::limits::Limits;
use super::ports::{Agents, Clock, Executor, Guard, Host, Lander, Surroundings, Worktrees};
use super::queue::LandingQueue;
use super::recorder::Recorder;
use super::tamper::Watch;
use crate::domain::names::{BranchRef, Oid, RunId};
use crate::domain::plan::Assignment;
use crate::domain::policy::Policy;
use crate::domain::prompt::template::Prompts;
use crate::domain::role::RoleFile;
use crate::domain::settings::Settings;

/// The implementations of the ports.
#[derive(Clone)]
pub struct Ports {
    /// Ledger.
    pub recorder: Recorder,
    /// Worktrees.
    pub worktrees: Rc<dyn Worktrees>,
    /// Merging.
    pub lander: Rc<dyn Lander>,
    /// The guard of the target.
    pub guard: Rc<dyn Guard>,
    /// Agents.
    pub agents: Rc<dyn Agents>,
    /// Commands.
    pub executor: Rc<dyn Executor>,
    /// Clock.
    pub clock: Rc<dyn Clock>,
    /// Machine.
    pub host: Rc<dyn Host>,
    /// What git runs here.
    pub surroundings: Rc<dyn Surroundings>,
}

/// What was decided before the run began.
#[derive(Clone, Debug)]
pub struct Decisions {
    /// Run.
    pub run: RunId,
    /// Target branch.
    pub target: BranchRef,
    /// Its tip when the run began.
    pub base: Oid,
    /// Gate policy of the target.
    pub policy: Policy,
    /// Settings.
    pub settings: Settings,
    /// Absolute root of the main work tree.
    pub root: PathBuf,
    /// Who reviews, when an agent does.
    pub reviewer: Assignment,
    /// Who else does, in order, when the policy wants several approvals: of other adapters.
    pub more_reviewers: Vec<Assignment>,
    /// The roles that the repository defines, by name.
    pub roles: BTreeMap<String, RoleFile>,
    /// What agents are told.
    pub prompts: Prompts,
    /// Slots, at least 1.
    pub jobs: u32,
    /// Wave barrier.
    pub waves: bool,
    /// Whether approved items land.
    pub land: bool,
}

/// Ports, decisions and the way to the reporter.
#[derive(Clone)]
pub struct World {
    /// Ports.
    pub ports: Ports,
    /// Decisions.
    pub decisions: Rc<Decisions>,
    /// The order in which approved items land.
    pub(crate) queue: LandingQueue,
    /// What holds starts back.
    pub(crate) limits: Limits,
    /// What has been seen of tampering.
    pub(crate) watch: Watch,
    /// To the dispatcher, which tells the reporter.
    pub(crate) happenings: mpsc::UnboundedSender<Happening>,
}

impl World {
    /// Tells the reporter; a reporter that is gone does not matter.
    pub(crate) fn tell(&self, happening: Happening) {
        drop(self.happenings.send(happening));
    }
}
