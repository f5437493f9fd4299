//! What holds starts back during a run: its budget, clients that keep failing, a machine with nothing left.
//! Must not start or stop anything, nor read a wall clock: its time is the run's, which no change of the clock moves.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::ports::{Cancel, CancelSignal};
use super::world::Decisions;
use crate::domain::breaker::{Breakers, Stand};
use crate::domain::budget::{self, Budget, Kind, Short, Ticket, dollars};
use crate::domain::event::FailureClass;
use crate::domain::names::{ItemKey, Timestamp};
use crate::domain::policy::ReviewBy;
use crate::domain::pressure::{self, Floors, Pressure, Room, Slots};
use crate::domain::state::{ItemState, Status};
use crate::domain::usage::{Spent, Usage};

/// How long until a machine that had nothing left is looked at again, in milliseconds.
const LOOK_AGAIN: i64 = 5_000;

/// Why an item does not start now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Its client is paused until then.
    Until(Timestamp),
    /// Somebody else tries whether its client works again.
    Probed,
    /// The budget has no room for it.
    Budget(String),
    /// The machine has no room for anything more.
    Machine {
        /// What is lacking.
        why: String,
        /// When to look again; `None` when waiting does not help.
        until: Option<Timestamp>,
    },
}

/// Why a session does not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The budget has no room for it, and nothing at work gives any back.
    Budget(String),
    /// Somebody asked to stop meanwhile.
    Stopped,
}

/// The limits of a run. Cheap to clone; clones share them.
#[derive(Clone)]
pub(crate) struct Limits {
    inner: Rc<RefCell<Inner>>,
    /// Something was given back, or a client is tried again.
    changed: Rc<Notify>,
}

struct Inner {
    budget: Budget,
    breakers: Breakers,
    slots: Slots,
    floors: Floors,
    pressure: Pressure,
    /// Held for sessions that items at work have before them: their work and its review.
    ahead: BTreeMap<ItemKey, Vec<Ahead>>,
    /// Who reviews, when an agent does.
    reviewer: Option<String>,
    /// How far items had come when the run began: landing what is approved costs nothing, and what is written is only to be
    /// reviewed.
    came: BTreeMap<ItemKey, Status>,
    /// Sessions at work.
    live: u32,
    /// What each item consumed in this run.
    spent: BTreeMap<ItemKey, Spent>,
    began: (Timestamp, Instant),
}

impl Limits {
    /// Limits that know what the ledger holds.
    pub(crate) fn new(decisions: &Decisions, states: &BTreeMap<ItemKey, ItemState>, now: Timestamp) -> Self {
        let limits = &decisions.settings.limits;
        let run = |state: &ItemState| state.spent.get(&decisions.run).copied();
        let spent = budget::of_run(states.values(), &decisions.run);
        let mut budget = Budget::new(limits.in_force(), limits.guess(), &spent);
        budget.learn(states.values());
        let by_agent = decisions.policy.review_by != ReviewBy::Human;
        let inner = Inner {
            budget,
            breakers: Breakers::fold(states.values(), decisions.settings.breaker, now),
            slots: Slots::new(decisions.jobs),
            floors: limits.floors,
            pressure: Pressure::default(),
            ahead: BTreeMap::new(),
            reviewer: by_agent.then(|| decisions.reviewer.adapter.clone()),
            came: states.iter().map(|(key, state)| (key.clone(), state.status())).collect(),
            live: 0,
            spent: states.iter().filter_map(|(key, state)| Some((key.clone(), run(state)?))).collect(),
            began: (now, Instant::now()),
        };
        Self { inner: Rc::new(RefCell::new(inner)), changed: Rc::default() }
    }

    /// The run's time.
    pub(crate) fn now(&self) -> Timestamp {
        self.inner.borrow().now()
    }

    /// Takes a reading of the machine.
    pub(crate) fn feel(&self, pressure: Pressure) {
        self.inner.borrow_mut().pressure = pressure;
    }

    /// Slots there are now.
    pub(crate) fn slots(&self) -> u32 {
        self.inner.borrow().slots.now()
    }

    /// Reserves what the item's sessions will come to, where nothing speaks against its start.
    pub(crate) fn start(&self, key: &ItemKey, adapter: &str, live: usize) -> Result<(), Hold> {
        let inner = &mut *self.inner.borrow_mut();
        let now = inner.now();
        let look_again = Timestamp(now.0 + LOOK_AGAIN);
        match pressure::room(&inner.pressure, &inner.floors) {
            Room::Free => {}
            // With nothing at work nothing will change by waiting, and one at a time must go on.
            Room::Busy(_) if live == 0 => {}
            Room::Busy(why) => return Err(Hold::Machine { why, until: Some(look_again) }),
            Room::Full(why) => return Err(Hold::Machine { why, until: (live > 0).then_some(look_again) }),
        }
        // Only at its first start in this run: later nothing is known of how far it has come.
        let came = inner.came.remove(key);
        if came == Some(Status::Approved) {
            return Ok(());
        }
        let breaker = inner.breakers.of(adapter);
        if !breaker.would_admit(key, now) {
            return Err(match breaker.stand(now) {
                Stand::Open(until) => Hold::Until(until),
                Stand::Closed | Stand::HalfOpen => Hold::Probed,
            });
        }
        if let Err(short) = inner.reserve_ahead(key, adapter, came == Some(Status::ReadyForReview)) {
            inner.give_back(key);
            inner.came.extend(came.map(|came| (key.clone(), came)));
            return Err(Hold::Budget(words(&short)));
        }
        inner.breakers.of(adapter).admit(key, now);
        Ok(())
    }

    /// Waits until a session may begin, and reserves what it may come to.
    pub(crate) async fn admit(
        &self,
        key: &ItemKey,
        (adapter, kind): (&str, Kind),
        cancel: &mut CancelSignal,
        tell: impl Fn(String),
    ) -> Result<Ticket, Refused> {
        let mut told = false;
        loop {
            // Asked for before looking, so that nothing that happens in between is missed.
            let changed = self.changed.notified();
            let wait = match self.try_admit(key, adapter, kind) {
                Ok(ticket) => return Ok(ticket),
                Err(Wait::Budget(why)) => return Err(Refused::Budget(why)),
                Err(Wait::Millis(millis, why)) => {
                    if !std::mem::replace(&mut told, true) {
                        tell(why);
                    }
                    Duration::from_millis(millis)
                }
            };
            tokio::select! {
                biased;
                urged = cancel.wait_for(|urgency| *urgency != Cancel::No) => {
                    // A run that is gone asks for nothing any more.
                    drop(urged);
                    return Err(Refused::Stopped);
                }
                () = changed => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn try_admit(&self, key: &ItemKey, adapter: &str, kind: Kind) -> Result<Ticket, Wait> {
        let inner = &mut *self.inner.borrow_mut();
        let now = inner.now();
        let stand = inner.breakers.of(adapter).stand(now);
        if !inner.breakers.of(adapter).would_admit(key, now) {
            let until = if let Stand::Open(until) = stand { until } else { Timestamp(now.0 + LOOK_AGAIN) };
            let millis = u64::try_from(until.0 - now.0).unwrap_or(0).max(1);
            return Err(Wait::Millis(millis, format!("waits for {adapter}: {}", inner.breakers.of(adapter).why())));
        }
        let ahead = inner.ahead.entry(key.clone()).or_default();
        let held = ahead.iter().position(|ahead| ahead.adapter == adapter && ahead.kind == kind);
        let held = held.map(|at| ahead.remove(at).ticket);
        let ticket = match held.map_or_else(|| inner.budget.reserve(adapter, kind), Ok) {
            Ok(ticket) => ticket,
            Err(short) if inner.live > 0 => {
                return Err(Wait::Millis(600_000, format!("waits for room in the budget: {}", words(&short))));
            }
            Err(short) => return Err(Wait::Budget(words(&short))),
        };
        inner.breakers.of(adapter).admit(key, now);
        inner.live += 1;
        Ok(ticket)
    }

    /// A session ended. Answers with what is to be said: that its client is paused from now on.
    pub(crate) fn settle(
        &self,
        ticket: &Ticket,
        (key, adapter): (&ItemKey, &str),
        (usage, millis): (&Usage, u64),
        proves: Option<Result<(), FailureClass>>,
    ) -> Option<String> {
        let inner = &mut *self.inner.borrow_mut();
        let now = inner.now();
        inner.live = inner.live.saturating_sub(1);
        inner.budget.settle(ticket, adapter, usage, millis);
        let spent = inner.spent.entry(key.clone()).or_default();
        spent.start();
        spent.end(usage, millis);
        let before = inner.breakers.of(adapter).stand(now);
        if let Some(end) = proves {
            inner.breakers.note(adapter, end, now);
        }
        inner.breakers.of(adapter).release(key);
        self.changed.notify_waiters();
        let opened =
            !matches!(before, Stand::Open(_)) && matches!(inner.breakers.of(adapter).stand(now), Stand::Open(_));
        opened.then(|| inner.paused(adapter)).flatten()
    }

    /// A session did not begin after all.
    pub(crate) fn release(&self, ticket: &Ticket, key: &ItemKey, adapter: &str) {
        let inner = &mut *self.inner.borrow_mut();
        inner.live = inner.live.saturating_sub(1);
        inner.budget.release(ticket);
        inner.breakers.of(adapter).release(key);
        self.changed.notify_waiters();
    }

    /// An item's attempt ended: what was held for it is given back.
    pub(crate) fn ended(&self, key: &ItemKey, adapter: &str) {
        let inner = &mut *self.inner.borrow_mut();
        inner.give_back(key);
        inner.breakers.of(adapter).release(key);
        self.changed.notify_waiters();
    }

    /// Clients that are paused, each with a sentence.
    pub(crate) fn paused(&self) -> Vec<String> {
        let inner = self.inner.borrow();
        let now = inner.now();
        let open = inner.breakers.tripped(now).filter(|(_, _, stand)| matches!(stand, Stand::Open(_)));
        open.filter_map(|(adapter, ..)| inner.paused(adapter)).collect()
    }

    /// An attempt failed for lack of resources. Answers with what is to be said.
    pub(crate) fn lacked(&self) -> Option<String> {
        let inner = &mut *self.inner.borrow_mut();
        let changed = inner.slots.lacked();
        changed.then(|| match inner.slots.now() {
            1 => "the machine lacks resources: one story at a time from now on".to_owned(),
            now => format!("the machine lacks resources: {now} stories at a time from now on"),
        })
    }

    /// An attempt ended well. Answers with what is to be said.
    pub(crate) fn went_well(&self) -> Option<String> {
        let inner = &mut *self.inner.borrow_mut();
        let back = inner.slots.went_well();
        back.then(|| format!("{} stories at a time again", inner.slots.now()))
    }

    /// What an item consumed in this run.
    pub(crate) fn spent_on(&self, key: &ItemKey) -> Spent {
        self.inner.borrow().spent.get(key).copied().unwrap_or_default()
    }

    /// What the run consumed.
    pub(crate) fn spent(&self) -> Spent {
        let mut sum = Spent::default();
        self.inner.borrow().spent.values().for_each(|spent| sum.add(spent));
        sum
    }
}

/// Held for a session that has not begun.
struct Ahead {
    adapter: String,
    kind: Kind,
    ticket: Ticket,
}

enum Wait {
    Millis(u64, String),
    Budget(String),
}

impl Inner {
    fn now(&self) -> Timestamp {
        let (wall, since) = self.began;
        Timestamp(wall.0 + i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX / 2))
    }

    /// Holds what the sessions of an item will come to: with less, it would be written and never reviewed.
    fn reserve_ahead(&mut self, key: &ItemKey, adapter: &str, written: bool) -> Result<(), Short> {
        let work = (!written || self.reviewer.is_none()).then(|| (adapter.to_owned(), Kind::Work));
        let review = self.reviewer.clone().map(|reviewer| (reviewer, Kind::Review));
        for (adapter, kind) in work.into_iter().chain(review) {
            let ticket = self.budget.reserve(&adapter, kind)?;
            self.ahead.entry(key.clone()).or_default().push(Ahead { adapter, kind, ticket });
        }
        Ok(())
    }

    fn give_back(&mut self, key: &ItemKey) {
        for ahead in self.ahead.remove(key).into_iter().flatten() {
            self.budget.release(&ahead.ticket);
        }
    }

    /// The sentence about a client that is paused.
    fn paused(&self, adapter: &str) -> Option<String> {
        let now = self.now();
        let (_, breaker, stand) = self.breakers.tripped(now).find(|(name, ..)| *name == adapter)?;
        let Stand::Open(until) = stand else { return None };
        let seconds = (until.0 - now.0 + 999) / 1000;
        let (failed, why) = (breaker.failed(), breaker.why());
        Some(format!("{adapter} is paused for {seconds} s: {why} ({failed} failure(s) in a row); other agents go on"))
    }
}

/// A budget without room, in one line with what helps.
fn words(short: &Short) -> String {
    let (spent, next, remedy) = match *short {
        Short::Money { cap, used, held, next } => (
            format!("{} of {} USD are spent or reserved", dollars(used.saturating_add(held)), dollars(cap)),
            format!("{} USD", dollars(next)),
            "git orchestrate resume --max-cost USD",
        ),
        Short::Tokens { cap, used, held, next } => (
            format!("{} of {cap} tokens are spent or reserved", used.saturating_add(held)),
            format!("{next} tokens"),
            "raise [limits] max_tokens, then git orchestrate resume",
        ),
        Short::Time { cap, used, held, next } => (
            format!("{} of {} agent minutes are spent or reserved", used.saturating_add(held) / 60_000, cap / 60_000),
            format!("{} min", next.div_ceil(60_000)),
            "raise [limits] max_agent_minutes, then git orchestrate resume",
        ),
    };
    format!("the budget has no room: {spent}, and a session is reckoned with {next}; {remedy}")
}
