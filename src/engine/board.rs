//! What the dispatcher knows of its run: every item's standing, and the answer to each thing that happens, as effects.
//! Must stay synchronous and free of ports, so that cancellation and blocking are tested without processes.

use std::collections::BTreeMap;

use super::attempt::End;
use super::events::{Happening, ItemSummary, Line, Summary};
use super::ports::Cancel;
use super::world::Decisions;
use crate::domain::event::{Failure, FailureClass, PlannedKey, RunEvent, Totals};
use crate::domain::names::{BranchRef, ItemKey, Oid, RunId, Timestamp, slug};
use crate::domain::plan::PlannedItem;
use crate::domain::schedule::{self, Action, Progress as Standing};
use crate::domain::state::Status;
use crate::domain::workflow::Phase;

/// Everything that can happen to a run.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// The run begins.
    Begin,
    /// An attempt tells the reporter something.
    Heard(Happening),
    /// An attempt ended.
    Ended(ItemKey, End),
    /// A signal.
    Interrupt(Cancel),
    /// Time to look at waiting items.
    Recheck,
    /// A waiting item may go on.
    Unblocked(ItemKey),
}

/// What the dispatcher is to do.
#[derive(Debug)]
pub(crate) enum Effect {
    Report(Happening),
    Start(Box<PlannedItem>),
    Cancel(Cancel),
    Release(ItemKey),
    RecordBlocked { key: ItemKey, by: Vec<ItemKey> },
    LookAt(Vec<ItemKey>),
}

/// One item of the run.
struct Row {
    planned: PlannedItem,
    standing: Standing,
    /// Status of an item that waits.
    waits_as: Status,
    reason: String,
    failure: Option<Failure>,
    began: Option<Timestamp>,
    landed: Option<Oid>,
    millis: u64,
}

/// The run.
pub(crate) struct Board {
    run: RunId,
    target: BranchRef,
    base: Oid,
    jobs: u32,
    schedule: schedule::Board,
    rows: Vec<Row>,
    began: Timestamp,
    stopping: Option<Cancel>,
    broken: Option<String>,
}

impl Board {
    pub(crate) fn new(
        decisions: &Decisions,
        plan: Vec<PlannedItem>,
        settled: &BTreeMap<ItemKey, Failure>,
        now: Timestamp,
    ) -> Self {
        let keys: Vec<PlannedKey> = plan.iter().map(PlannedItem::recorded).collect();
        let mut schedule = schedule::Board::new(&keys);
        schedule.barrier = decisions.waves;
        let row = |planned: PlannedItem| {
            let failure = settled.get(&planned.key).cloned();
            Row {
                standing: if failure.is_some() { Standing::Failed } else { Standing::Waiting },
                reason: failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default(),
                planned,
                waits_as: Status::ReadyForReview,
                failure,
                began: None,
                landed: None,
                millis: 0,
            }
        };
        Self {
            run: decisions.run.clone(),
            target: decisions.target.clone(),
            base: decisions.base.clone(),
            jobs: decisions.jobs,
            schedule,
            rows: plan.into_iter().map(row).collect(),
            began: now,
            stopping: None,
            broken: None,
        }
    }

    /// What the reporter is told first.
    pub(crate) fn opening(&self) -> Happening {
        let line = |row: &Row| Line {
            story_id: row.planned.key.clone(),
            title: row.planned.item.title.clone(),
            wave: row.planned.wave,
            agent: row.planned.assignment.role.clone(),
            adapter: row.planned.assignment.adapter.clone(),
        };
        Happening::RunStarted {
            run: self.run.clone(),
            target: self.target.clone(),
            base: self.base.clone(),
            jobs: self.jobs,
            items: self.rows.iter().map(line).collect(),
        }
    }

    /// Takes what happened and answers with what is to be done.
    pub(crate) fn handle(&mut self, incoming: Incoming, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        match incoming {
            Incoming::Begin => {}
            Incoming::Heard(happening) => {
                effects.push(Effect::Report(happening));
                return effects;
            }
            Incoming::Ended(key, end) => self.item_ended(&key, end, now, &mut effects),
            Incoming::Interrupt(urgency) => self.interrupt(urgency, &mut effects),
            Incoming::Recheck => {
                let waiting = self.rows.iter().filter(|row| row.standing == Standing::Paused);
                effects.push(Effect::LookAt(waiting.map(|row| row.planned.key.clone()).collect()));
                return effects;
            }
            Incoming::Unblocked(key) => {
                if let Some(row) = self.row(&key) {
                    row.standing = Standing::Waiting;
                    row.reason.clear();
                }
            }
        }
        self.schedule(now, &mut effects);
        effects
    }

    fn row(&mut self, key: &ItemKey) -> Option<&mut Row> {
        self.rows.iter_mut().find(|row| row.planned.key == *key)
    }

    fn schedule(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let live = self.rows.iter().filter(|row| row.standing == Standing::Running).count();
        self.schedule.free = (self.jobs as usize).saturating_sub(live);
        self.schedule.stopping = self.stopping.is_some();
        for row in &self.rows {
            self.schedule.set(&row.planned.key, row.standing);
        }
        for action in schedule::next(&self.schedule) {
            match action {
                Action::Start(key) => {
                    if let Some(row) = self.row(&key) {
                        row.standing = Standing::Running;
                        row.began = Some(now);
                        effects.push(Effect::Start(Box::new(row.planned.clone())));
                    }
                }
                Action::Block { key, by } => {
                    let chain = by.iter().map(ItemKey::as_str).collect::<Vec<_>>().join(" → ");
                    if let Some(row) = self.row(&key) {
                        row.standing = Standing::Blocked;
                        row.reason = format!("needs {chain}");
                        let item = summary_of(row);
                        effects.push(Effect::RecordBlocked { key, by });
                        effects.push(Effect::Report(Happening::ItemEnded { item }));
                    }
                }
            }
        }
    }

    fn item_ended(&mut self, key: &ItemKey, end: End, now: Timestamp, effects: &mut Vec<Effect>) {
        effects.push(Effect::Release(key.clone()));
        let broken = match &end {
            End::Broken(reason) => Some(reason.clone()),
            End::Done(_) | End::Failed(_) | End::Waiting { .. } | End::Stopped(_) | End::Held(_) => None,
        };
        if let Some(row) = self.row(key) {
            row.millis += row.began.take().map_or(0, |began| u64::try_from(now.0 - began.0).unwrap_or(0));
            take_end(row, end);
            effects.push(Effect::Report(Happening::ItemEnded { item: summary_of(row) }));
        }
        if let Some(reason) = broken {
            self.broken.get_or_insert(reason);
            self.stopping.get_or_insert(Cancel::Ask);
            effects.push(Effect::Cancel(Cancel::Ask));
        }
    }

    fn interrupt(&mut self, urgency: Cancel, effects: &mut Vec<Effect>) {
        let urgency = self.stopping.map_or(urgency, |before| before.max(urgency));
        self.stopping = Some(urgency);
        let live = self.rows.iter().filter(|row| row.standing == Standing::Running).count();
        effects.push(Effect::Report(Happening::Stopping { live }));
        effects.push(Effect::Cancel(urgency));
    }

    /// Whether items wait for something outside while others still run.
    pub(crate) fn has_waiting(&self) -> bool {
        self.rows.iter().any(|row| row.standing == Standing::Paused)
    }

    /// Nothing runs, and the last scheduling found nothing to start.
    pub(crate) fn is_over(&self) -> bool {
        self.rows.iter().all(|row| row.standing != Standing::Running)
    }

    /// Why the run cannot be trusted to be complete.
    pub(crate) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// The event that closes the run.
    pub(crate) fn closing(&self) -> RunEvent {
        let waiting: Vec<_> = self
            .rows
            .iter()
            .filter(|row| row.standing == Standing::Paused)
            .map(|row| (row.planned.key.clone(), row.reason.clone()))
            .collect();
        if let Some(reason) = &self.broken {
            RunEvent::Stopped { reason: reason.clone() }
        } else if self.stopping.is_some() {
            RunEvent::Stopped { reason: "stopped by a signal".to_owned() }
        } else if !waiting.is_empty() {
            RunEvent::Paused { waiting }
        } else {
            RunEvent::Finished { totals: self.totals() }
        }
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for row in &self.rows {
            let count = match row.standing {
                Standing::Done => &mut totals.landed,
                Standing::Failed => &mut totals.failed,
                Standing::Blocked => &mut totals.blocked,
                Standing::Paused => &mut totals.waiting,
                Standing::Waiting | Standing::Running | Standing::Stopped => &mut totals.unfinished,
            };
            *count += 1;
        }
        totals
    }

    /// The summary.
    pub(crate) fn summary(&self, now: Timestamp) -> Summary {
        Summary {
            run: self.run.clone(),
            target: self.target.clone(),
            items: self.rows.iter().map(summary_of).collect(),
            totals: self.totals(),
            millis: u64::try_from(now.0 - self.began.0).unwrap_or(0),
            attempt_millis: self.rows.iter().map(|row| row.millis).sum(),
            stopped: self.stopping.is_some(),
        }
    }
}

fn take_end(row: &mut Row, end: End) {
    let (standing, reason) = match end {
        End::Done(tip) => {
            row.landed = tip;
            (Standing::Done, String::new())
        }
        End::Failed(failure) => {
            let reason = failure.message.clone();
            row.failure = Some(failure);
            (Standing::Failed, reason)
        }
        End::Waiting { reason, status } => {
            row.waits_as = status;
            (Standing::Paused, reason)
        }
        End::Stopped(reason) => (Standing::Stopped, reason),
        End::Held(reason) => (Standing::Stopped, reason),
        End::Broken(reason) => {
            let failure = Failure { class: FailureClass::Internal, phase: Phase::Setup, message: reason.clone() };
            row.failure = Some(failure);
            (Standing::Stopped, reason)
        }
    };
    row.standing = standing;
    row.reason = reason;
}

fn summary_of(row: &Row) -> ItemSummary {
    let status = match row.standing {
        Standing::Waiting => Status::NotStarted,
        Standing::Running => Status::InProgress,
        Standing::Done => Status::Landed,
        Standing::Failed => Status::Failed,
        Standing::Blocked => Status::Blocked,
        Standing::Paused => row.waits_as,
        Standing::Stopped => Status::Stopped,
    };
    let kept = matches!(row.standing, Standing::Failed | Standing::Paused | Standing::Stopped);
    let branch =
        || BranchRef::new(format!("refs/heads/story/{}-{}", row.planned.item.id, slug(&row.planned.item.title)));
    ItemSummary {
        story_id: row.planned.key.clone(),
        title: row.planned.item.title.clone(),
        status,
        reason: row.reason.clone(),
        failure: row.failure.clone(),
        branch: kept.then(branch),
        landed: row.landed.clone(),
        millis: row.millis,
    }
}
