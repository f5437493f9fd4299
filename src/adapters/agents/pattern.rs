//! What exit codes and output prove about a failure, as data: classes, patterns, times at which a limit ends. Must not read
//! files or a clock; text and time come in.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp as Instant};
use regex::Regex;
use serde::Deserialize;

use super::parse::when;
use crate::domain::event::FailureClass;
use crate::domain::names::Timestamp;

/// What an exit code or a line of output can prove. What git shows better (no commit, a dirty tree, tampering) and what we
/// end ourselves is not among it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassName {
    /// Login or key refused.
    Auth,
    /// Try again later.
    #[serde(alias = "rate-limited", alias = "rate_limited", alias = "rate_limit")]
    RateLimit,
    /// No room at the provider just now, or the answer broke off.
    Overloaded,
    /// No credit.
    Billing,
    /// Not allowed to do what it had to.
    Denied,
    /// The context is full.
    #[serde(alias = "context_full")]
    ContextFull,
    /// A limit of turns of the client's own.
    #[serde(alias = "max_turns")]
    MaxTurns,
    /// A limit of money or time of the client's own.
    Budget,
    /// Any other failure of the client.
    #[serde(alias = "crashed")]
    Agent,
}

impl ClassName {
    /// The class in the ledger's words.
    pub fn class(self) -> FailureClass {
        match self {
            Self::Auth => FailureClass::Auth,
            Self::RateLimit => FailureClass::RateLimited,
            Self::Overloaded => FailureClass::Overloaded,
            Self::Billing => FailureClass::Billing,
            Self::Denied => FailureClass::Denied,
            Self::ContextFull => FailureClass::ContextFull,
            Self::MaxTurns => FailureClass::MaxTurns,
            Self::Budget => FailureClass::ClientBudget,
            Self::Agent => FailureClass::Agent,
        }
    }
}

/// Which output a pattern is looked for in. Both streams share one log, so they are told apart by their form: of a client
/// with a parser, a line that begins with `{` is an event and came by stdout, any other line by stderr. Of a plain client
/// nothing is known, and every line counts for both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// Both.
    #[default]
    Any,
    /// Events.
    Stdout,
    /// What is no event.
    Stderr,
}

/// What the group of a pattern says about when a limit ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reset {
    /// Seconds since 1970.
    Epoch,
    /// Seconds from now.
    Seconds,
    /// A time of day on this machine's clock, `7:05 AM` or `19:05`: the end of that minute, today or tomorrow.
    Clock,
}

/// One pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// Where it is looked for.
    pub stream: Stream,
    /// What is looked for.
    pub regex: Regex,
    /// What it proves.
    pub class: ClassName,
    /// How its group `reset`, or else its first one, is read.
    pub reset: Option<Reset>,
    /// Whether it counts although the exit code is 0.
    pub always: bool,
}

impl Pattern {
    /// Whether the newest match is there, and the time it names. `events` says whether the client has a parser.
    pub fn find(&self, text: &str, events: bool, now: Timestamp, zone: &TimeZone) -> Option<Option<Timestamp>> {
        let kept: String;
        let text = if self.stream == Stream::Any || !events {
            text
        } else {
            let wanted = |line: &&str| line.starts_with('{') == (self.stream == Stream::Stdout);
            kept = text.split_inclusive('\n').filter(wanted).collect();
            &kept
        };
        let found = self.regex.captures_iter(text).last()?;
        let group = found.name("reset").or_else(|| found.get(1));
        Some(self.reset.zip(group).and_then(|(reset, group)| reset.time(group.as_str(), now, zone)))
    }
}

impl Reset {
    /// The time that a text names; `None` when it names none, or one that is past or out of range.
    pub fn time(self, text: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let millis = match self {
            Self::Epoch => text.trim().parse::<i64>().ok()?.checked_mul(1000)?,
            Self::Seconds => {
                let seconds = text.trim().parse::<f64>().ok().filter(|seconds| (0.0..1e9).contains(seconds))?;
                let wait = SignedDuration::try_from_secs_f64(seconds).ok()?;
                now.0.checked_add(i64::try_from(wait.as_millis()).ok()?)?
            }
            Self::Clock => next(text, now, zone)?,
        };
        (millis > now.0).then_some(Timestamp(millis))
    }
}

/// The end of a limit until the clock shows that, in milliseconds.
fn next(text: &str, now: Timestamp, zone: &TimeZone) -> Option<i64> {
    let (hour, minute) = time_of_day(text)?;
    let now = Instant::from_millisecond(now.0).ok()?.to_zoned(zone.clone());
    when::next(Time::new(hour, minute, 0, 0).ok()?, &now).map(|at| at.0)
}

/// Hour and minute of `7:05 AM`, `7 pm`, `19:05`.
fn time_of_day(text: &str) -> Option<(i8, i8)> {
    let lower = text.trim().to_ascii_lowercase().replace('.', "");
    let (clock, half) = match (lower.strip_suffix("am"), lower.strip_suffix("pm")) {
        (Some(clock), _) => (clock.trim_end(), Some(0)),
        (_, Some(clock)) => (clock.trim_end(), Some(12)),
        (None, None) => (lower.as_str(), None),
    };
    let (hour, minute) = match (clock.split_once(':'), half) {
        (Some(parts), _) => parts,
        (None, Some(_)) => (clock, "0"),
        (None, None) => return None,
    };
    let (hour, minute) = (hour.parse::<i8>().ok()?, minute.parse::<i8>().ok()?);
    let hour = match half {
        Some(half) => (1..=12).contains(&hour).then_some(hour % 12 + half)?,
        None => hour,
    };
    ((0..24).contains(&hour) && (0..60).contains(&minute)).then_some((hour, minute))
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
