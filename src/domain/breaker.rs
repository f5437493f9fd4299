//! A circuit breaker: after failures in a row nothing more is tried for a while, then one try decides. A limit that says when
//! it ends pauses until then; a refused login stops the client for the run. Time is passed in.
//! Must not know what is tried; agents and forges use the same machine with rules of their own.

use std::collections::BTreeMap;

use serde::Serialize;

use super::event::FailureClass;
use super::names::{ItemKey, Principal, Timestamp};
use super::session::SessionEnd;
use super::state::ItemState;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Failures in a row; 0 = it never opens because of them.
    pub failures: u32,
    /// Time until one try is let through, in milliseconds.
    pub open_millis: i64,
}

/// The rule of agents.
pub const AGENTS: Rule = Rule { failures: 5, open_millis: 600_000 };

/// The rule of forges.
pub const FORGE: Rule = Rule { failures: 3, open_millis: 300_000 };

/// First pause after a rate limit that does not say when it ends, in milliseconds; it doubles up to the rule's.
pub const FIRST_PAUSE: i64 = 60_000;

/// Longest pause that a client's word is taken for, in milliseconds: a week's limit, and a day.
pub const LONGEST_PAUSE: i64 = 8 * 86_400_000;

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Everything goes through.
    Closed,
    /// Nothing goes through before this time.
    Open(Timestamp),
    /// One try decides.
    HalfOpen,
    /// Nothing goes through in this run: only a person can help.
    Shut,
}

/// One breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    rule: Rule,
    failed: u32,
    until: Option<Timestamp>,
    /// Whether the client said itself when that is: then nobody has to try first.
    told: bool,
    /// Rate limits in a row that did not say when they end.
    guesses: u32,
    /// Whether only a person can help.
    shut: bool,
    why: String,
    /// Who makes the one try.
    probe: Option<ItemKey>,
}

impl Breaker {
    /// A closed one.
    pub fn new(rule: Rule) -> Self {
        Self { rule, failed: 0, until: None, told: false, guesses: 0, shut: false, why: String::new(), probe: None }
    }

    /// Where it stands at `now`.
    pub fn stand(&self, now: Timestamp) -> Stand {
        match self.until {
            _ if self.shut => Stand::Shut,
            None => Stand::Closed,
            Some(until) if now < until => Stand::Open(until),
            Some(_) if self.told => Stand::Closed,
            Some(_) => Stand::HalfOpen,
        }
    }

    /// Why it opened; empty while it is closed.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Whether it met a limit that passes by itself.
    pub fn is_limited(&self) -> bool {
        self.told || self.guesses > 0
    }

    /// Failures in a row.
    pub fn failed(&self) -> u32 {
        self.failed
    }

    /// Whether `who` may try now. When half open, the first who asks makes the one try; everybody else waits for it.
    pub fn admit(&mut self, who: &ItemKey, now: Timestamp) -> bool {
        match self.stand(now) {
            Stand::Closed => true,
            Stand::Open(_) | Stand::Shut => false,
            Stand::HalfOpen => self.probe.get_or_insert_with(|| who.clone()) == who,
        }
    }

    /// Whether `who` would be let through, without taking the one try.
    pub fn would_admit(&self, who: &ItemKey, now: Timestamp) -> bool {
        match self.stand(now) {
            Stand::Closed => true,
            Stand::Open(_) | Stand::Shut => false,
            Stand::HalfOpen => self.probe.as_ref().is_none_or(|probe| probe == who),
        }
    }

    /// Gives the one try back that `who` did not make after all.
    pub fn release(&mut self, who: &ItemKey) {
        self.probe.take_if(|probe| probe == who);
    }

    /// A try succeeded. One that began before the breaker opened proves nothing about now.
    pub fn succeeded(&mut self, at: Timestamp) {
        if matches!(self.stand(at), Stand::Closed | Stand::HalfOpen) {
            *self = Self::new(self.rule);
        }
    }

    /// A try failed.
    pub fn failed_at(&mut self, at: Timestamp, why: &str) {
        self.failed = self.failed.saturating_add(1);
        let stand = self.stand(at);
        let row = self.rule.failures > 0 && self.failed >= self.rule.failures;
        // Tries that were under way when it opened do not put the end off.
        if stand == Stand::HalfOpen || row && stand == Stand::Closed {
            self.open(Timestamp(at.0.saturating_add(self.rule.open_millis)), false, why);
        }
    }

    /// A try met a limit that passes by itself: at `until` where the client says so, else after a pause that doubles.
    pub fn limited(&mut self, at: Timestamp, until: Option<Timestamp>, why: &str) {
        self.failed = self.failed.saturating_add(1);
        let open = match self.stand(at) {
            Stand::Shut => return,
            Stand::Open(known) => Some(known),
            Stand::Closed | Stand::HalfOpen => None,
        };
        let longest = Timestamp(at.0.saturating_add(LONGEST_PAUSE));
        match until.filter(|until| *until > at).map(|until| until.min(longest)) {
            Some(until) => self.open(open.filter(|_| self.told).max(Some(until)).unwrap_or(until), true, why),
            // Others under way that meet the same limit know no more of it.
            None if open.is_some() => {}
            None => {
                let doubled = FIRST_PAUSE.checked_shl(self.guesses.min(20)).unwrap_or(i64::MAX);
                self.guesses = self.guesses.saturating_add(1);
                self.open(Timestamp(at.0.saturating_add(doubled.min(self.rule.open_millis))), false, why);
            }
        }
    }

    /// A try showed that only a person can help.
    pub fn shut(&mut self, why: &str) {
        self.failed = self.failed.saturating_add(1);
        self.shut = true;
        why.clone_into(&mut self.why);
        self.probe = None;
    }

    fn open(&mut self, until: Timestamp, told: bool, why: &str) {
        (self.until, self.told) = (Some(until), told);
        why.clone_into(&mut self.why);
        self.probe = None;
    }

    /// A later run gives one try to what was shut at `at`.
    fn thaw(&mut self, at: Timestamp) {
        if std::mem::take(&mut self.shut) {
            (self.until, self.told) = (Some(at), false);
        }
    }
}

/// Whether a class speaks of the client and not of the story.
pub fn blames_client(class: FailureClass) -> bool {
    matches!(
        class,
        FailureClass::Agent
            | FailureClass::Auth
            | FailureClass::Billing
            | FailureClass::RateLimited
            | FailureClass::Overloaded
            | FailureClass::IdleTimeout
    )
}

/// The word of a class that blames a client.
pub fn word(class: FailureClass) -> &'static str {
    match class {
        FailureClass::RateLimited => "it is rate limited",
        FailureClass::Auth => "its login is refused",
        FailureClass::Billing => "its account has no credit",
        FailureClass::Overloaded => "its provider has no room",
        FailureClass::IdleTimeout => "it falls silent",
        _ => "it keeps failing",
    }
}

/// The breakers of all adapters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breakers {
    rule: Rule,
    all: BTreeMap<String, Breaker>,
}

impl Breakers {
    /// All closed.
    pub fn new(rule: Rule) -> Self {
        Self { rule, all: BTreeMap::new() }
    }

    /// The breaker of an adapter.
    pub fn of(&mut self, adapter: &str) -> &mut Breaker {
        let rule = self.rule;
        self.all.entry(adapter.to_owned()).or_insert_with(|| Breaker::new(rule))
    }

    /// Gives back every one try that `who` did not make after all.
    pub fn release(&mut self, who: &ItemKey) {
        self.all.values_mut().for_each(|breaker| breaker.release(who));
    }

    /// A session of an adapter ended: with success (`Ok`), or with a class, and for a rate limit with the time at which the
    /// client says it ends. What blames nobody changes nothing.
    pub fn note(&mut self, adapter: &str, end: Result<(), FailureClass>, until: Option<Timestamp>, at: Timestamp) {
        let breaker = self.of(adapter);
        match end {
            Ok(()) => breaker.succeeded(at),
            Err(class @ FailureClass::RateLimited) => breaker.limited(at, until, word(class)),
            Err(class @ (FailureClass::Auth | FailureClass::Billing)) => breaker.shut(word(class)),
            Err(class) if blames_client(class) => breaker.failed_at(at, word(class)),
            Err(_) => {}
        }
    }

    /// The breakers as the sessions on record leave them for a new run; ends after `now` (a clock was set back) count as of
    /// now.
    pub fn fold<'a>(states: impl IntoIterator<Item = &'a ItemState>, rule: Rule, now: Timestamp) -> Self {
        let mut ends: Vec<(Timestamp, &str, &SessionEnd)> = Vec::new();
        for session in states.into_iter().flat_map(|state| &state.sessions) {
            let (Principal::Agent { adapter, .. }, Some(end)) = (&session.principal, &session.end) else { continue };
            if !end.cancelled {
                ends.push((end.at.min(now), adapter, end));
            }
        }
        ends.sort_by_key(|(at, ..)| *at);
        let mut breakers = Self::new(rule);
        for (at, adapter, end) in ends {
            breakers.note(adapter, end.class.map_or(Ok(()), Err), end.until, at);
            breakers.of(adapter).thaw(at);
        }
        breakers
    }

    /// Adapters whose breaker is not closed, in order.
    pub fn tripped(&self, now: Timestamp) -> impl Iterator<Item = (&str, &Breaker, Stand)> {
        let all = self.all.iter().map(move |(name, breaker)| (name.as_str(), breaker, breaker.stand(now)));
        all.filter(|(_, _, stand)| *stand != Stand::Closed)
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
