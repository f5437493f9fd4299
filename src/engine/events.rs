//! What reporters see of a run while it happens. Must not carry anything a reporter could act on.

use serde::Serialize;

use crate::domain::event::{Failure, Totals};
use crate::domain::names::{BranchRef, ItemKey, Oid, RunId, Timestamp};
use crate::domain::state::Status;
use crate::domain::usage::Spent;
use crate::domain::workflow::{Performer, Phase};

/// One line of the display.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Item.
    pub story_id: ItemKey,
    /// Title.
    pub title: String,
    /// 0-based wave.
    pub wave: u32,
    /// Role.
    pub agent: String,
    /// Adapter.
    pub adapter: String,
}

/// How one item of a run ended, for the summary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemSummary {
    /// Item.
    pub story_id: ItemKey,
    /// Title.
    pub title: String,
    /// Status.
    pub status: Status,
    /// Reason of a failure, block, stop or wait; empty otherwise.
    pub reason: String,
    /// Failure, when it failed.
    pub failure: Option<Failure>,
    /// Branch that keeps unlanded work.
    pub branch: Option<BranchRef>,
    /// Value of the target after the landing.
    pub landed: Option<Oid>,
    /// Worktree that keeps it, relative to the repository root.
    pub worktree: Option<String>,
    /// Wall time of its attempts in this run, in milliseconds.
    pub millis: u64,
    /// What its sessions consumed in this run.
    pub spent: Spent,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Run.
    pub run: RunId,
    /// Target branch.
    pub target: BranchRef,
    /// Items in plan order.
    pub items: Vec<ItemSummary>,
    /// Counts.
    pub totals: Totals,
    /// Wall time of the run in milliseconds.
    pub millis: u64,
    /// Sum of the attempts' wall times in milliseconds.
    pub attempt_millis: u64,
    /// Whether a signal or `stop` ended the run early.
    pub stopped: bool,
    /// What nothing more could be started for, and what helps.
    pub paused: Option<String>,
    /// What the sessions of this run consumed.
    pub spent: Spent,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Happening {
    /// The run begins.
    RunStarted {
        /// Run.
        run: RunId,
        /// Target branch.
        target: BranchRef,
        /// Its tip.
        base: Oid,
        /// Slots.
        jobs: u32,
        /// Items in plan order.
        items: Vec<Line>,
    },
    /// An item's attempt begins.
    ItemStarted {
        /// Item.
        story_id: ItemKey,
        /// Whether it goes on with earlier work.
        continued: bool,
    },
    /// A phase begins.
    PhaseStarted {
        /// Item.
        story_id: ItemKey,
        /// Phase.
        phase: Phase,
        /// Who performs it.
        by: Performer,
    },
    /// A phase is recorded.
    PhaseEnded {
        /// Item.
        story_id: ItemKey,
        /// Phase.
        phase: Phase,
        /// What was done, or why there was nothing to do.
        summary: String,
    },
    /// The status of an item changed.
    StatusChanged {
        /// Item.
        story_id: ItemKey,
        /// New status.
        status: Status,
    },
    /// Something worth a line.
    Note {
        /// Item.
        story_id: ItemKey,
        /// Text.
        text: String,
    },
    /// What the item's agent is doing just now; never kept, and never worth a line of its own.
    Activity {
        /// Item.
        story_id: ItemKey,
        /// One line, escaped.
        text: String,
    },
    /// Something about the run as a whole worth a line.
    Notice {
        /// Text.
        text: String,
    },
    /// An attempt failed, and another one is due.
    RetryDue {
        /// Item.
        story_id: ItemKey,
        /// Why it failed.
        failure: Failure,
        /// Tries that count by now.
        number: u32,
        /// Tries at most.
        of: u32,
        /// Delay in milliseconds.
        millis: u64,
    },
    /// An item ended in this run.
    ItemEnded {
        /// The item's line of the summary.
        item: ItemSummary,
    },
    /// The first Ctrl-C.
    Stopping {
        /// Agents that are being asked to end.
        live: usize,
    },
    /// The run ended.
    RunEnded {
        /// The summary.
        summary: Summary,
    },
}

/// Shows a run. A failing reporter never fails the run.
pub trait Reporter {
    /// Takes note of something that happened at `at`.
    fn on(&mut self, happening: &Happening, at: Timestamp);

    /// Nothing happened, but time goes by: shows elapsed times anew. Called about once a second.
    fn tick(&mut self, _at: Timestamp) {}
}
