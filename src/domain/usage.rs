//! What a session consumed, as its client reports it. Must not guess: what is not reported stays unknown, never 0.

use serde::{Deserialize, Serialize};

/// Consumption of one session, or a sum over several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// Money in millionths of a US dollar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micro_usd: Option<u64>,
    /// Tokens read and written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Of them: read, without what came from a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<u64>,
    /// Of them: written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<u64>,
    /// Of them: read from a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<u64>,
    /// Of them: written into a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<u64>,
}

/// Which numbers of a client count on over all invocations of a session, so that the difference is what one consumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counting {
    /// The cost does.
    pub cost: bool,
    /// The tokens do.
    pub tokens: bool,
}

impl Usage {
    /// What came on top of `earlier` in the numbers that count on; one that counts anew after all is less than before, and
    /// that is taken as it is.
    #[must_use]
    pub fn beyond(&self, earlier: &Self, counting: Counting) -> Self {
        let beyond = |on: bool, now: Option<u64>, before: Option<u64>| {
            now.map(|now| if on { now.checked_sub(before.unwrap_or(0)).unwrap_or(now) } else { now })
        };
        let tokens = |now, before| beyond(counting.tokens, now, before);
        Self {
            micro_usd: beyond(counting.cost, self.micro_usd, earlier.micro_usd),
            tokens: tokens(self.tokens, earlier.tokens),
            input: tokens(self.input, earlier.input),
            output: tokens(self.output, earlier.output),
            cache_read: tokens(self.cache_read, earlier.cache_read),
            cache_write: tokens(self.cache_write, earlier.cache_write),
        }
    }

    /// Adds what is known of another one.
    pub fn add(&mut self, other: &Self) {
        let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.saturating_add(other)),
            (one, other) => one.or(other),
        };
        self.micro_usd = sum(self.micro_usd, other.micro_usd);
        self.tokens = sum(self.tokens, other.tokens);
        self.input = sum(self.input, other.input);
        self.output = sum(self.output, other.output);
        self.cache_read = sum(self.cache_read, other.cache_read);
        self.cache_write = sum(self.cache_write, other.cache_write);
    }
}

/// What sessions have consumed, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spent {
    /// Sessions started.
    pub sessions: u32,
    /// Sessions whose end is on record.
    pub ended: u32,
    /// Sessions whose cost is known.
    pub priced: u32,
    /// Sessions whose tokens are known.
    pub counted: u32,
    /// Known cost in millionths of a US dollar.
    pub micro_usd: u64,
    /// Known tokens.
    pub tokens: u64,
    /// Agent time in milliseconds.
    pub millis: u64,
}

impl Spent {
    /// A session starts.
    pub fn start(&mut self) {
        self.sessions = self.sessions.saturating_add(1);
    }

    /// A session ended.
    pub fn end(&mut self, usage: &Usage, millis: u64) {
        self.ended = self.ended.saturating_add(1);
        self.millis = self.millis.saturating_add(millis);
        if let Some(cost) = usage.micro_usd {
            self.priced = self.priced.saturating_add(1);
            self.micro_usd = self.micro_usd.saturating_add(cost);
        }
        if let Some(tokens) = usage.tokens {
            self.counted = self.counted.saturating_add(1);
            self.tokens = self.tokens.saturating_add(tokens);
        }
    }

    /// Adds another sum.
    pub fn add(&mut self, other: &Self) {
        self.sessions = self.sessions.saturating_add(other.sessions);
        self.ended = self.ended.saturating_add(other.ended);
        self.priced = self.priced.saturating_add(other.priced);
        self.counted = self.counted.saturating_add(other.counted);
        self.micro_usd = self.micro_usd.saturating_add(other.micro_usd);
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.millis = self.millis.saturating_add(other.millis);
    }

    /// Known cost; `None` when no session reported any.
    pub fn cost(&self) -> Option<u64> {
        (self.priced > 0).then_some(self.micro_usd)
    }

    /// Known tokens; `None` when no session reported any.
    pub fn token_count(&self) -> Option<u64> {
        (self.counted > 0).then_some(self.tokens)
    }

    /// Sessions whose cost is not known, those that never ended included.
    pub fn unpriced(&self) -> u32 {
        self.unknown(self.priced)
    }

    /// Sessions of which `known` is not known.
    pub fn unknown(&self, known: u32) -> u32 {
        self.sessions.max(self.ended).saturating_sub(known)
    }
}
