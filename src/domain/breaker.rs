//! A circuit breaker: after failures in a row nothing more is tried for a while, then one try decides. Time is passed in.
//! Must not know what is tried; agents and forges use the same machine with rules of their own.

use std::collections::BTreeMap;

use serde::Serialize;

use super::event::FailureClass;
use super::names::{ItemKey, Principal, Timestamp};
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

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Everything goes through.
    Closed,
    /// Nothing goes through before this time.
    Open(Timestamp),
    /// One try decides.
    HalfOpen,
}

/// One breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    rule: Rule,
    failed: u32,
    until: Option<Timestamp>,
    why: String,
    /// Who makes the one try.
    probe: Option<ItemKey>,
}

impl Breaker {
    /// A closed one.
    pub fn new(rule: Rule) -> Self {
        Self { rule, failed: 0, until: None, why: String::new(), probe: None }
    }

    /// Where it stands at `now`.
    pub fn stand(&self, now: Timestamp) -> Stand {
        match self.until {
            None => Stand::Closed,
            Some(until) if now < until => Stand::Open(until),
            Some(_) => Stand::HalfOpen,
        }
    }

    /// Why it opened; empty while it is closed.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Failures in a row.
    pub fn failed(&self) -> u32 {
        self.failed
    }

    /// Whether `who` may try now. When half open, the first who asks makes the one try; everybody else waits for it.
    pub fn admit(&mut self, who: &ItemKey, now: Timestamp) -> bool {
        match self.stand(now) {
            Stand::Closed => true,
            Stand::Open(_) => false,
            Stand::HalfOpen => self.probe.get_or_insert_with(|| who.clone()) == who,
        }
    }

    /// Whether `who` would be let through, without taking the one try.
    pub fn would_admit(&self, who: &ItemKey, now: Timestamp) -> bool {
        match self.stand(now) {
            Stand::Closed => true,
            Stand::Open(_) => false,
            Stand::HalfOpen => self.probe.as_ref().is_none_or(|probe| probe == who),
        }
    }

    /// Gives the one try back that `who` did not make after all.
    pub fn release(&mut self, who: &ItemKey) {
        self.probe.take_if(|probe| probe == who);
    }

    /// A try succeeded. One that began before the breaker opened proves nothing about now.
    pub fn succeeded(&mut self, at: Timestamp) {
        if !matches!(self.stand(at), Stand::Open(_)) {
            *self = Self::new(self.rule);
        }
    }

    /// A try failed; `at_once` opens whatever came before, as a rate limit does.
    pub fn failed_at(&mut self, at: Timestamp, why: &str, at_once: bool) {
        self.failed = self.failed.saturating_add(1);
        let half_open = self.stand(at) == Stand::HalfOpen;
        let row = self.rule.failures > 0 && self.failed >= self.rule.failures;
        if row || at_once || half_open {
            let until = Timestamp(at.0.saturating_add(self.rule.open_millis));
            // Tries that were under way do not put the end off, unless they say so themselves.
            if at_once || half_open || self.until.is_none() {
                self.until = self.until.max(Some(until));
            }
            why.clone_into(&mut self.why);
            self.probe = None;
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

    /// A session of an adapter ended: with success (`Ok`), or with a class. What blames nobody changes nothing.
    pub fn note(&mut self, adapter: &str, end: Result<(), FailureClass>, at: Timestamp) {
        match end {
            Ok(()) => self.of(adapter).succeeded(at),
            Err(class) if blames_client(class) => {
                self.of(adapter).failed_at(at, word(class), class == FailureClass::RateLimited);
            }
            Err(_) => {}
        }
    }

    /// The breakers as the sessions on record leave them; ends after `now` (a clock was set back) count as of now.
    pub fn fold<'a>(states: impl IntoIterator<Item = &'a ItemState>, rule: Rule, now: Timestamp) -> Self {
        let mut ends: Vec<(Timestamp, &str, Result<(), FailureClass>)> = Vec::new();
        for session in states.into_iter().flat_map(|state| &state.sessions) {
            let (Principal::Agent { adapter, .. }, Some(end)) = (&session.principal, &session.end) else { continue };
            if !end.cancelled {
                ends.push((end.at.min(now), adapter, end.class.map_or(Ok(()), Err)));
            }
        }
        ends.sort_by_key(|(at, ..)| *at);
        let mut breakers = Self::new(rule);
        for (at, adapter, end) in ends {
            breakers.note(adapter, end, at);
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
