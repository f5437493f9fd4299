//! The actor that owns a run's state: one `select!`, a closed set of events, a synchronous handler that answers with effects.
//! Must not touch git, processes or files; attempts do, through the ports.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use tokio::sync::{mpsc, watch};

use super::attempt::{self, End, Task};
use super::board::{Board, Effect, Incoming};
use super::events::{Happening, Reporter, Summary};
use super::limits::Limits;
use super::ports::{Cancel, LedgerError, PortError, Record};
use super::queue::LandingQueue;
use super::tamper::Watch;
use super::world::{Decisions, Ports, World};
use crate::domain::event::{Failure, ItemEvent, RunEvent};
use crate::domain::names::{ItemKey, Timestamp};
use crate::domain::plan::PlannedItem;
use crate::domain::state::{ItemState, Outcome};

/// How often waiting items are looked at for a review that came in from outside, in milliseconds.
const RECHECK_MILLIS: u64 = 2_000;

/// What a run needs.
pub struct RunRequest {
    /// Ports.
    pub ports: Ports,
    /// Decisions.
    pub decisions: Decisions,
    /// Items in plan order.
    pub plan: Vec<PlannedItem>,
    /// Exact bytes of each item's story.
    pub stories: BTreeMap<ItemKey, Vec<u8>>,
    /// Event that opens the run: started, or resumed.
    pub opening: RunEvent,
    /// Items of the plan that failed earlier in this run and are not tried again.
    pub settled: BTreeMap<ItemKey, Failure>,
    /// Shows the run.
    pub reporter: Box<dyn Reporter>,
    /// Ctrl-C and its like: `Ask` first, `Kill` second.
    pub interrupts: mpsc::UnboundedReceiver<Cancel>,
}

/// Runs a plan to its end. Must be called inside a `tokio::task::LocalSet`.
pub async fn run(request: RunRequest) -> Result<Summary, PortError> {
    let (happenings, heard) = mpsc::unbounded_channel();
    let (ended, endings) = mpsc::unbounded_channel();
    let (ports, decisions) = (request.ports, Rc::new(request.decisions));
    ports.recorder.guard().await.map_err(ledger_error)?;
    let now = ports.clock.now();
    let states = ports.recorder.items().await.map_err(ledger_error)?;
    let limits = Limits::new(&decisions, &states, now);
    ports.recorder.append(openings(&decisions, request.opening, now)).await.map_err(ledger_error)?;
    crate::fail_point::reach("run-opened");
    let due = due(&states, decisions.settings.retry.max_delay_secs, now);
    let board = Board::new(&decisions, request.plan, &request.settled, (limits.clone(), &due), now);
    let world = World { ports, decisions, queue: LandingQueue::default(), limits, watch: Watch::default(), happenings };
    let mut dispatcher = Dispatcher {
        world,
        board,
        stories: request.stories,
        reporter: request.reporter,
        cancels: BTreeMap::new(),
        ended,
    };
    dispatcher.report(&dispatcher.board.opening());
    dispatcher.serve(heard, endings, request.interrupts).await;
    dispatcher.finish().await
}

struct Dispatcher {
    world: World,
    board: Board,
    stories: BTreeMap<ItemKey, Vec<u8>>,
    reporter: Box<dyn Reporter>,
    cancels: BTreeMap<ItemKey, watch::Sender<Cancel>>,
    ended: mpsc::UnboundedSender<(ItemKey, End)>,
}

impl Dispatcher {
    async fn serve(
        &mut self,
        mut heard: mpsc::UnboundedReceiver<Happening>,
        mut endings: mpsc::UnboundedReceiver<(ItemKey, End)>,
        mut interrupts: mpsc::UnboundedReceiver<Cancel>,
    ) {
        self.perform(Incoming::Begin).await;
        let mut interruptible = true;
        // One timer for the whole run: a new one per happening would never fire in a busy run.
        let mut rechecks = tokio::time::interval(std::time::Duration::from_millis(RECHECK_MILLIS));
        rechecks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut seconds = tokio::time::interval(std::time::Duration::from_secs(1));
        seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.board.is_over() {
            let wakes = self.board.wakes_in();
            let wake = tokio::time::sleep(std::time::Duration::from_millis(wakes.unwrap_or(0)));
            let incoming = tokio::select! {
                biased;
                urgency = interrupts.recv(), if interruptible => {
                    let Some(urgency) = urgency else { interruptible = false; continue };
                    Incoming::Interrupt(urgency)
                }
                Some(happening) = heard.recv() => Incoming::Heard(happening),
                Some((key, end)) = endings.recv() => {
                    drain(&mut heard, |happening| self.report(&happening));
                    Incoming::Ended(key, end)
                }
                () = wake, if wakes.is_some() => Incoming::Wake,
                _ = rechecks.tick(), if self.board.has_waiting() => Incoming::Recheck,
                _ = seconds.tick() => {
                    self.reporter.tick(self.world.ports.clock.now());
                    continue;
                }
            };
            self.perform(incoming).await;
        }
        drain(&mut heard, |happening| self.report(&happening));
    }

    async fn perform(&mut self, incoming: Incoming) {
        let mut queue = VecDeque::from([incoming]);
        while let Some(incoming) = queue.pop_front() {
            let now = self.world.ports.clock.now();
            if !matches!(incoming, Incoming::Heard(_)) {
                self.world.limits.feel(self.world.ports.host.pressure());
            }
            for effect in self.board.handle(incoming, now) {
                match effect {
                    Effect::Report(happening) => self.report(&happening),
                    Effect::Start(planned) => self.start(*planned),
                    Effect::Cancel(urgency) => {
                        for cancel in self.cancels.values() {
                            cancel.send_replace(urgency);
                        }
                    }
                    Effect::Release(key) => drop(self.cancels.remove(&key)),
                    Effect::RecordBlocked { key, by } => self.record_blocked(key, by).await,
                    Effect::LookAt(keys) => queue.extend(self.look_at(keys).await.map(Incoming::Unblocked)),
                }
            }
        }
    }

    fn start(&mut self, planned: PlannedItem) {
        let (sender, cancel) = watch::channel(Cancel::No);
        let key = planned.key.clone();
        self.cancels.insert(key.clone(), sender);
        let story = self.stories.get(&key).cloned().unwrap_or_default();
        let task = Task { world: self.world.clone(), planned, story, cancel };
        let ended = self.ended.clone();
        tokio::task::spawn_local(async move {
            let work = tokio::task::spawn_local(attempt::drive(task)).await;
            // A panic is a bug of ours; without an end the run would wait for this item for ever.
            let end = work.unwrap_or_else(|error| End::Broken(format!("internal error in {key}: {error}")));
            // The dispatcher outlives every attempt it started.
            drop(ended.send((key, end)));
        });
    }

    async fn record_blocked(&mut self, key: ItemKey, by: Vec<ItemKey>) {
        let run = self.world.decisions.run.clone();
        let at = self.world.ports.clock.now();
        let event = ItemEvent::Blocked { run, by };
        let record = Record::Item { key: key.clone(), event, at, artefacts: Vec::new() };
        if let Err(error) = self.world.ports.recorder.append(vec![record]).await {
            let text = format!("blocked, but the ledger did not take it: {error}");
            self.report(&Happening::Note { story_id: key, text });
        }
    }

    /// Reads waiting items again; those whose reviews changed go on.
    async fn look_at(&self, keys: Vec<ItemKey>) -> impl Iterator<Item = ItemKey> {
        let mut unblocked = Vec::new();
        for key in keys {
            if let Ok(Some(state)) = self.world.ports.recorder.item(&key).await
                && state.waits.is_none()
            {
                unblocked.push(key);
            }
        }
        unblocked.into_iter()
    }

    fn report(&mut self, happening: &Happening) {
        let now = self.world.ports.clock.now();
        self.reporter.on(happening, now);
    }

    /// Writes the end of the run and makes the summary.
    async fn finish(mut self) -> Result<Summary, PortError> {
        let now = self.world.ports.clock.now();
        let closing = Record::Run { run: self.world.decisions.run.clone(), event: self.board.closing(), at: now };
        let written = self.world.ports.recorder.append(vec![closing]).await;
        crate::fail_point::reach("run-closed");
        let summary = self.board.summary(now);
        self.report(&Happening::RunEnded { summary: summary.clone() });
        written.map_err(ledger_error)?;
        match self.board.broken() {
            None => Ok(summary),
            Some(reason) => Err(PortError::new(reason.to_owned()).hint("git orchestrate resume")),
        }
    }
}

/// The records that open a run: its beginning, and what the command line said that it may cost.
fn openings(decisions: &Decisions, opening: RunEvent, at: Timestamp) -> Vec<Record> {
    let capped = decisions.settings.limits.asked.map(|micro_usd| RunEvent::Capped { micro_usd });
    let run = &decisions.run;
    std::iter::once(opening).chain(capped).map(|event| Record::Run { run: run.clone(), event, at }).collect()
}

/// Items whose next try an earlier process left due, with the time. A clock that was set back makes no delay longer.
fn due(states: &BTreeMap<ItemKey, ItemState>, most_secs: u64, now: Timestamp) -> BTreeMap<ItemKey, Timestamp> {
    let latest = now.0.saturating_add(i64::try_from(most_secs.saturating_mul(1000)).unwrap_or(i64::MAX));
    let due = |(key, state): (&ItemKey, &ItemState)| match &state.outcome {
        Some(Outcome::Due { not_before, .. }) if *not_before > now => {
            Some((key.clone(), Timestamp(not_before.0.min(latest))))
        }
        _ => None,
    };
    states.iter().filter_map(due).collect()
}

fn drain(heard: &mut mpsc::UnboundedReceiver<Happening>, mut take: impl FnMut(Happening)) {
    while let Ok(happening) = heard.try_recv() {
        take(happening);
    }
}

/// A ledger error as a port error.
pub(crate) fn ledger_error(error: LedgerError) -> PortError {
    match error {
        LedgerError::Port(error) | LedgerError::Locked(error) | LedgerError::Gone(error) => error,
        LedgerError::Rejected(_) | LedgerError::Unreadable { .. } | LedgerError::TargetMoved { .. } => {
            PortError::new(error.to_string())
        }
    }
}
