//! What the dispatcher knows of its run: every item's standing, and the answer to each thing that happens, as effects.
//! Must stay synchronous and free of ports, so that cancellation and blocking are tested without processes.

use std::collections::{BTreeMap, BTreeSet};

use super::attempt::End;
use super::events::{Happening, ItemSummary, Line, Summary};
use super::limits::{Hold, Limits};
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
    /// Something that held starts back may be over.
    Wake,
}

/// What the dispatcher is to do.
#[derive(Debug)]
pub(crate) enum Effect {
    Report(Box<Happening>),
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
    /// When another try is due, in the run's time.
    due: Option<Timestamp>,
    /// Whether only the budget or the machine kept it from starting at the last look.
    refused: bool,
    /// Another process had it in hand.
    held: bool,
    /// Whether its review is what the next try begins with.
    reviews: bool,
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
    limits: Limits,
    worktrees: String,
    /// When to look again at what was held back, in the run's time; `None` when nothing changes by itself.
    wake: Option<Timestamp>,
    /// What the budget or the machine had no room for at the last look.
    paused: Option<String>,
    /// Sentences that were said already.
    said: BTreeSet<String>,
}

impl Board {
    pub(crate) fn new(
        decisions: &Decisions,
        plan: Vec<PlannedItem>,
        settled: &BTreeMap<ItemKey, Failure>,
        (limits, due): (Limits, &BTreeMap<ItemKey, Timestamp>),
        now: Timestamp,
    ) -> Self {
        let keys: Vec<PlannedKey> = plan.iter().map(PlannedItem::recorded).collect();
        let mut schedule = schedule::Board::new(&keys);
        schedule.barrier = decisions.waves;
        let row = |planned: PlannedItem| {
            let failure = settled.get(&planned.key).cloned();
            let due = due.get(&planned.key).copied().filter(|_| failure.is_none());
            Row {
                standing: match (&failure, due) {
                    (Some(_), _) => Standing::Failed,
                    (None, Some(_)) => Standing::Held,
                    (None, None) => Standing::Waiting,
                },
                due,
                refused: false,
                held: false,
                reviews: false,
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
            limits,
            worktrees: decisions.settings.worktrees.clone(),
            wake: None,
            paused: None,
            said: BTreeSet::new(),
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
            Incoming::Begin => {
                effects.extend(self.limits.paused().into_iter().map(|text| report(Happening::Notice { text })));
            }
            Incoming::Wake => {}
            Incoming::Heard(happening) => {
                effects.push(report(happening));
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
        self.wake_due();
        let live = self.live();
        self.schedule.free = (self.jobs.min(self.limits.slots()) as usize).saturating_sub(live);
        self.schedule.stopping = self.stopping.is_some();
        self.paused = None;
        self.wake = self.rows.iter().filter_map(|row| row.due).min();
        for row in &mut self.rows {
            row.refused = false;
            self.schedule.set(&row.planned.key, row.standing);
        }
        // What is held back makes room for what is not: so until nothing more is.
        while self.take_actions(now, effects) {}
    }

    fn live(&self) -> usize {
        self.rows.iter().filter(|row| row.standing == Standing::Running).count()
    }

    /// Items whose next try is due may start.
    fn wake_due(&mut self) {
        let now = self.limits.now();
        for row in self.rows.iter_mut().filter(|row| row.due.is_some_and(|due| due <= now)) {
            row.due = None;
            row.standing = Standing::Waiting;
        }
    }

    /// Begins and blocks what the schedule says; `true` when something was held back and others may go in its place.
    fn take_actions(&mut self, now: Timestamp, effects: &mut Vec<Effect>) -> bool {
        let mut held = false;
        for action in schedule::next(&self.schedule) {
            match action {
                Action::Start(key) => {
                    let live = self.live();
                    let Some(row) = self.rows.iter_mut().find(|row| row.planned.key == key) else { continue };
                    match self.limits.start(&key, &row.planned.assignment.chain(), row.reviews, live) {
                        Ok(()) => {
                            row.standing = Standing::Running;
                            row.began = Some(now);
                            row.reason.clear();
                            self.schedule.free -= 1;
                            self.schedule.set(&key, Standing::Running);
                            effects.push(Effect::Start(Box::new(row.planned.clone())));
                        }
                        Err(hold) => {
                            held = true;
                            self.schedule.set(&key, Standing::Held);
                            self.hold(&key, hold, effects);
                        }
                    }
                }
                Action::Block { key, by } => {
                    let chain = by.iter().map(ItemKey::as_str).collect::<Vec<_>>().join(" → ");
                    self.schedule.set(&key, Standing::Blocked);
                    if let Some(row) = self.row(&key) {
                        row.standing = Standing::Blocked;
                        row.reason = format!("needs {chain}");
                        effects.push(Effect::RecordBlocked { key: key.clone(), by });
                        effects.push(report(Happening::ItemEnded { item: self.summary_of(&key) }));
                    }
                }
            }
        }
        held
    }

    /// Notes why an item does not start now, and says it once.
    fn hold(&mut self, key: &ItemKey, hold: Hold, effects: &mut Vec<Effect>) {
        let (why, until) = match hold {
            Hold::Until(until) => (None, Some(until)),
            Hold::Probed => (None, None),
            Hold::Budget(why) | Hold::Shut(why) => (Some(why), None),
            Hold::Machine { why, until } => (Some(format!("nothing more is started: {why}")), until),
        };
        self.wake = match (self.wake, until) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let Some(why) = why else { return };
        if let Some(row) = self.row(key) {
            row.refused = true;
            row.reason.clone_from(&why);
        }
        // Of readings only the kind is said once; the numbers change.
        let kind: String = why.chars().filter(|c| !c.is_ascii_digit()).collect();
        if self.said.insert(kind) {
            effects.push(report(Happening::Notice { text: why.clone() }));
        }
        self.paused = Some(why);
    }

    fn item_ended(&mut self, key: &ItemKey, end: End, now: Timestamp, effects: &mut Vec<Effect>) {
        effects.push(Effect::Release(key.clone()));
        let broken = match &end {
            End::Broken(reason) => Some(reason.clone()),
            End::Done(_) | End::Failed(_) | End::Due { .. } | End::Waiting { .. } | End::Stopped(_) | End::Held(_) => {
                None
            }
        };
        let said = match &end {
            End::Done(_) => self.limits.went_well(),
            End::Failed(failure) | End::Due { failure, .. } if failure.class == FailureClass::Resources => {
                self.limits.lacked()
            }
            _ => None,
        };
        effects.extend(said.map(|text| report(Happening::Notice { text })));
        let time = self.limits.now();
        if let Some(row) = self.rows.iter_mut().find(|row| row.planned.key == *key) {
            self.limits.ended(key);
            row.millis += row.began.take().map_or(0, |began| u64::try_from(now.0 - began.0).unwrap_or(0));
            let again = due_again(key, &end);
            take_end(row, end, time);
            effects.push(report(match again {
                Some(happening) => happening,
                None => Happening::ItemEnded { item: self.summary_of(key) },
            }));
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
        effects.push(report(Happening::Stopping { live }));
        effects.push(Effect::Cancel(urgency));
    }

    /// Whether items wait for something outside while others still run.
    pub(crate) fn has_waiting(&self) -> bool {
        self.rows.iter().any(|row| row.standing == Standing::Paused)
    }

    /// Nothing runs, the last scheduling found nothing to start, and nothing will change by waiting.
    pub(crate) fn is_over(&self) -> bool {
        self.live() == 0 && (self.stopping.is_some() || self.wake.is_none())
    }

    /// Milliseconds until what was held back is to be looked at again.
    pub(crate) fn wakes_in(&self) -> Option<u64> {
        let now = self.limits.now();
        self.wake.map(|wake| u64::try_from(wake.0 - now.0).unwrap_or(0))
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
            .filter(|row| row.standing == Standing::Paused || row.refused || row.held)
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
                Standing::Waiting if row.refused => &mut totals.waiting,
                Standing::Waiting | Standing::Running | Standing::Held | Standing::Stopped => &mut totals.unfinished,
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
            items: self.rows.iter().map(|row| self.line(row)).collect(),
            totals: self.totals(),
            millis: u64::try_from(now.0 - self.began.0).unwrap_or(0),
            attempt_millis: self.rows.iter().map(|row| row.millis).sum(),
            stopped: self.stopping.is_some(),
            paused: self.paused.clone().filter(|_| self.stopping.is_none()),
            spent: self.limits.spent(),
        }
    }

    fn summary_of(&self, key: &ItemKey) -> ItemSummary {
        let row = self.rows.iter().find(|row| row.planned.key == *key);
        self.line(row.expect("only items of the run are scheduled"))
    }

    fn line(&self, row: &Row) -> ItemSummary {
        let kept = matches!(row.standing, Standing::Failed | Standing::Paused | Standing::Stopped | Standing::Held);
        let name = || format!("{}-{}", row.planned.item.id, slug(&row.planned.item.title));
        ItemSummary {
            story_id: row.planned.key.clone(),
            title: row.planned.item.title.clone(),
            status: status_of(row),
            reason: row.reason.clone(),
            failure: row.failure.clone(),
            branch: kept.then(|| BranchRef::new(format!("refs/heads/story/{}", name()))),
            landed: row.landed.clone(),
            worktree: kept.then(|| format!("{}/{}", self.worktrees, name())),
            millis: row.millis,
            spent: self.limits.spent_on(&row.planned.key),
        }
    }
}

fn take_end(row: &mut Row, end: End, now: Timestamp) {
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
        End::Due { failure, millis, .. } => {
            row.reviews = failure.phase == Phase::Review;
            row.due = Some(Timestamp(now.0.saturating_add(i64::try_from(millis).unwrap_or(i64::MAX / 2))));
            (Standing::Held, format!("another try is due: {}", failure.message))
        }
        End::Waiting { reason, status } => {
            row.waits_as = status;
            (Standing::Paused, reason)
        }
        End::Stopped(reason) => (Standing::Stopped, reason),
        End::Held(reason) => {
            row.held = true;
            (Standing::Stopped, reason)
        }
        End::Broken(reason) => {
            let failure = Failure::new(FailureClass::Internal, Phase::Setup, &reason);
            row.failure = Some(failure);
            (Standing::Stopped, reason)
        }
    };
    row.standing = standing;
    row.reason = reason;
}

fn status_of(row: &Row) -> Status {
    match row.standing {
        Standing::Waiting => Status::NotStarted,
        Standing::Running | Standing::Held => Status::InProgress,
        Standing::Done => Status::Landed,
        Standing::Failed => Status::Failed,
        Standing::Blocked => Status::Blocked,
        Standing::Paused => row.waits_as,
        Standing::Stopped => Status::Stopped,
    }
}

fn report(happening: Happening) -> Effect {
    Effect::Report(Box::new(happening))
}

/// What the reporter is told of an attempt after which another one is due.
fn due_again(key: &ItemKey, end: &End) -> Option<Happening> {
    let End::Due { failure, number, of, millis } = end else { return None };
    let failure = failure.clone();
    Some(Happening::RetryDue { story_id: key.clone(), failure, number: *number, of: *of, millis: *millis })
}
