//! What a run may consume: money, tokens and agent time, reserved before a session starts. Must not read a clock or a ledger.
//!
//! A session reserves what the dearest one of its adapter and kind has come to, or an estimate as long as nothing is known; what it
//! really consumed takes the place of the reservation at its end. A cost that a client does not report stays unknown, and
//! the reservation counts in its stead.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::names::{Principal, RunId};
use super::state::ItemState;
use super::usage::{Spent, Usage};
use super::workflow::Phase;

/// Millionths in a whole.
pub const MICROS: u64 = 1_000_000;

/// Estimate of a session of which nothing is known: a dollar, half a million tokens, ten minutes.
pub const GUESS: Amount = Amount { micro_usd: MICROS, tokens: 500_000, millis: 600_000 };

/// Upper limits; what is absent is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Caps {
    /// Money in millionths of a US dollar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micro_usd: Option<u64>,
    /// Tokens read and written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Agent time in milliseconds: the sum over all sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub millis: Option<u64>,
}

/// A quantity of everything that is limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Millionths of a US dollar.
    pub micro_usd: u64,
    /// Tokens.
    pub tokens: u64,
    /// Milliseconds.
    pub millis: u64,
}

impl Amount {
    fn plus(self, other: Self) -> Self {
        Self {
            micro_usd: self.micro_usd.saturating_add(other.micro_usd),
            tokens: self.tokens.saturating_add(other.tokens),
            millis: self.millis.saturating_add(other.millis),
        }
    }

    fn times(self, count: u32) -> Self {
        let count = u64::from(count);
        Self {
            micro_usd: self.micro_usd.saturating_mul(count),
            tokens: self.tokens.saturating_mul(count),
            millis: self.millis.saturating_mul(count),
        }
    }
}

/// What a run consumed, by the items it worked on.
pub fn of_run<'a>(states: impl IntoIterator<Item = &'a ItemState>, run: &RunId) -> Spent {
    let mut sum = Spent::default();
    states.into_iter().filter_map(|state| state.spent.get(run)).for_each(|spent| sum.add(spent));
    sum
}

/// What a run consumed by the phase that its sessions began with.
pub fn of_run_by_phase<'a>(states: impl IntoIterator<Item = &'a ItemState>, run: &RunId) -> BTreeMap<Phase, Spent> {
    let phases = states.into_iter().filter_map(|state| state.spent_by_phase.get(run)).flatten();
    sum_by_phase(phases)
}

/// What an item consumed by the phase that its sessions began with, over every run.
pub fn of_item_by_phase(state: &ItemState) -> BTreeMap<Phase, Spent> {
    sum_by_phase(state.spent_by_phase.values().flatten())
}

fn sum_by_phase<'a>(phases: impl IntoIterator<Item = (&'a Phase, &'a Spent)>) -> BTreeMap<Phase, Spent> {
    let mut sums: BTreeMap<Phase, Spent> = BTreeMap::new();
    phases.into_iter().for_each(|(phase, spent)| sums.entry(*phase).or_default().add(spent));
    sums
}

/// The same by who the sessions were: authors and reviewers.
pub fn by_kind(phases: &BTreeMap<Phase, Spent>) -> BTreeMap<Kind, Spent> {
    let mut sums: BTreeMap<Kind, Spent> = BTreeMap::new();
    for (phase, spent) in phases {
        sums.entry(Kind::of(*phase)).or_default().add(spent);
    }
    sums
}

/// What was consumed, with `guess` for every session of which a quantity is unknown.
fn assumed(spent: &Spent, guess: Amount) -> Amount {
    let known = Amount { micro_usd: spent.micro_usd, tokens: spent.tokens, millis: spent.millis };
    known.plus(Amount {
        micro_usd: guess.times(spent.unknown(spent.priced)).micro_usd,
        tokens: guess.times(spent.unknown(spent.counted)).tokens,
        millis: guess.times(spent.unknown(spent.ended)).millis,
    })
}

/// A cap that leaves no room for another session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// Money.
    Money {
        /// The cap.
        cap: u64,
        /// Consumed, estimates included.
        used: u64,
        /// Held for sessions at work.
        held: u64,
        /// What the next session would hold.
        next: u64,
    },
    /// Tokens, in the same order.
    Tokens {
        /// The cap.
        cap: u64,
        /// Consumed, estimates included.
        used: u64,
        /// Held for sessions at work.
        held: u64,
        /// What the next session would hold.
        next: u64,
    },
    /// Agent time in milliseconds, in the same order.
    Time {
        /// The cap.
        cap: u64,
        /// Consumed, estimates included.
        used: u64,
        /// Held for sessions at work.
        held: u64,
        /// What the next session would hold.
        next: u64,
    },
}

/// What a session is for: reviews come to much less than the work they are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An author's.
    Work,
    /// A reviewer's.
    Review,
}

impl Kind {
    /// The kind of a session that begins with a phase.
    pub fn of(phase: Phase) -> Self {
        if phase == Phase::Review { Self::Review } else { Self::Work }
    }
}

/// A reservation.
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket(u64, Kind);

/// The budget of one run.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    caps: Caps,
    guess: Amount,
    used: Amount,
    dearest: BTreeMap<(String, Kind), Amount>,
    reserved: BTreeMap<u64, Amount>,
    next: u64,
}

impl Budget {
    /// A budget of which `spent` is gone already. No estimate is larger than half its cap, else no story, which takes two
    /// sessions at least, could ever begin.
    pub fn new(caps: Caps, guess: Amount, spent: &Spent) -> Self {
        let half = |cap: Option<u64>| cap.map_or(u64::MAX, |cap| cap / 2);
        let guess = Amount {
            micro_usd: guess.micro_usd.min(half(caps.micro_usd)),
            tokens: guess.tokens.min(half(caps.tokens)),
            millis: guess.millis.min(half(caps.millis)),
        };
        Self { caps, guess, used: assumed(spent, guess), ..Self::default() }
    }

    /// Learns what sessions of earlier runs came to.
    pub fn learn<'a>(&mut self, states: impl IntoIterator<Item = &'a ItemState>) {
        for session in states.into_iter().flat_map(|state| &state.sessions) {
            if let (Principal::Agent { adapter, .. }, Some(end)) = (&session.principal, &session.end) {
                self.see(adapter, Kind::of(session.phase), &end.usage, end.millis);
            }
        }
    }

    fn see(&mut self, adapter: &str, kind: Kind, usage: &Usage, millis: u64) {
        let most = self.dearest.entry((adapter.to_owned(), kind)).or_default();
        most.micro_usd = most.micro_usd.max(usage.micro_usd.unwrap_or(0));
        most.tokens = most.tokens.max(usage.tokens.unwrap_or(0));
        most.millis = most.millis.max(millis);
    }

    /// What a session of an adapter holds: the dearest of its kind, else the dearest of any, else the estimate.
    fn price(&self, adapter: &str, kind: Kind) -> Amount {
        let seen = |kind| self.dearest.get(&(adapter.to_owned(), kind)).copied();
        let seen = seen(kind).or_else(|| seen(Kind::Work)).or_else(|| seen(Kind::Review)).unwrap_or_default();
        let or = |seen: u64, guess: u64| if seen > 0 { seen } else { guess };
        Amount {
            micro_usd: or(seen.micro_usd, self.guess.micro_usd),
            tokens: or(seen.tokens, self.guess.tokens),
            millis: or(seen.millis, self.guess.millis),
        }
    }

    fn held(&self) -> Amount {
        self.reserved.values().fold(Amount::default(), |sum, held| sum.plus(*held))
    }

    /// Whether there is room for another session of an adapter.
    pub fn room(&self, adapter: &str, kind: Kind) -> Result<(), Short> {
        let (next, used, held) = (self.price(adapter, kind), self.used, self.held());
        let over = |cap: Option<u64>, used: u64, held: u64, next: u64| {
            cap.filter(|cap| used.saturating_add(held).saturating_add(next) > *cap)
        };
        if let Some(cap) = over(self.caps.micro_usd, used.micro_usd, held.micro_usd, next.micro_usd) {
            return Err(Short::Money { cap, used: used.micro_usd, held: held.micro_usd, next: next.micro_usd });
        }
        if let Some(cap) = over(self.caps.tokens, used.tokens, held.tokens, next.tokens) {
            return Err(Short::Tokens { cap, used: used.tokens, held: held.tokens, next: next.tokens });
        }
        if let Some(cap) = over(self.caps.millis, used.millis, held.millis, next.millis) {
            return Err(Short::Time { cap, used: used.millis, held: held.millis, next: next.millis });
        }
        Ok(())
    }

    /// Reserves for a session; it must be settled.
    pub fn reserve(&mut self, adapter: &str, kind: Kind) -> Result<Ticket, Short> {
        self.room(adapter, kind)?;
        self.next += 1;
        self.reserved.insert(self.next, self.price(adapter, kind));
        Ok(Ticket(self.next, kind))
    }

    /// A session ended, having consumed this much; what it does not report counts as reserved.
    pub fn settle(&mut self, ticket: &Ticket, adapter: &str, usage: &Usage, millis: u64) {
        let held = self.reserved.remove(&ticket.0).unwrap_or_default();
        self.used = self.used.plus(Amount {
            micro_usd: usage.micro_usd.unwrap_or(held.micro_usd),
            tokens: usage.tokens.unwrap_or(held.tokens),
            millis,
        });
        self.see(adapter, ticket.1, usage, millis);
    }

    /// Gives back what was reserved for a session that did not begin.
    pub fn release(&mut self, ticket: &Ticket) {
        self.reserved.remove(&ticket.0);
    }
}

/// Dollars and cents of millionths: `12.40`; four places below a cent.
pub fn dollars(micro_usd: u64) -> String {
    if micro_usd > 0 && micro_usd < 10_000 {
        return format!("0.{:04}", micro_usd / 100);
    }
    let cents = micro_usd / 10_000 + u64::from(micro_usd % 10_000 >= 5_000);
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// Millionths of dollars out of `20`, `20.5`, `$0.25`; `None` when it is no amount, or not above 0 and below a million.
pub fn parse_dollars(text: &str) -> Option<u64> {
    let text = text.trim().trim_start_matches('$');
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() > 6 || part.len() > 6 || whole.len() + part.len() == 0 || !digits(whole) || !digits(part) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let micros: u64 = format!("{part:0<6}").parse().ok()?;
    Some(whole * MICROS + micros).filter(|micros| *micros > 0)
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
