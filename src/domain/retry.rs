//! Whether a failed attempt is worth another one, and after how long. Time and chance are arguments.
//! Must not know agents or the machine.

use serde::Serialize;

use super::event::FailureClass;

/// Failures for lack of resources that do not count as tries; what fails like that more often does count.
pub const MOST_LACKS: u32 = 5;

/// Rate limits in a row that do not count as tries: whoever meets more of them than that has another problem.
pub const MOST_LIMITS: u32 = 20;

/// The same for a provider without room: it does not say when it has some again, so it is asked less often.
pub const MOST_OVERLOADS: u32 = 5;

/// The settings of retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RetryPolicy {
    /// Tries of an item until somebody asks for another one, 1 to 20.
    pub attempts: u32,
    /// Delay before the second try in seconds; it doubles with each further one.
    pub first_delay_secs: u64,
    /// Longest delay in seconds.
    pub max_delay_secs: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 3, first_delay_secs: 5, max_delay_secs: 300 }
    }
}

/// How often an item has failed since a person last asked for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// Failures that count.
    pub counted: u32,
    /// Failures for lack of resources that did not count.
    pub lacks: u32,
    /// Failures in a row because a client had no room, that did not count.
    pub pauses: u32,
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another try.
    Again {
        /// Tries that count by now, this one included where it counts.
        number: u32,
        /// Tries at most, for this class of failure.
        of: u32,
        /// Delay in milliseconds.
        millis: u64,
    },
    /// The item has failed.
    Final,
}

/// Tries that a class is worth. Another try helps against what comes and goes: a client that broke off, a limit of time or
/// rate, a machine that is busy. It does not help where the answer would be the same: a check or a review that keeps
/// failing was repeated in its own rounds, and a refused login or gate needs a person.
pub fn worth(class: FailureClass, attempts: u32) -> u32 {
    match class {
        FailureClass::Agent
        | FailureClass::IdleTimeout
        | FailureClass::NoReview
        | FailureClass::RateLimited
        | FailureClass::Overloaded
        | FailureClass::ContextFull
        | FailureClass::Setup
        | FailureClass::Resources
        | FailureClass::Internal => attempts,
        // Dear or seldom of use: once more and no oftener. Where the client can go on it was asked for the commit by now.
        FailureClass::NoCommit | FailureClass::WallTimeout | FailureClass::MaxTurns | FailureClass::Dirty => {
            attempts.min(2)
        }
        FailureClass::Check
        | FailureClass::Review
        | FailureClass::Conflict
        | FailureClass::Command
        | FailureClass::Auth
        | FailureClass::Billing
        | FailureClass::Denied
        | FailureClass::ClientBudget
        | FailureClass::Gate
        | FailureClass::Tampering => 1,
    }
}

/// What follows a failure of `class` after the tries before it; `dice` is any number, from which the jitter comes.
pub fn judge(policy: &RetryPolicy, class: FailureClass, before: Tries, dice: u32) -> Verdict {
    let of = worth(class, policy.attempts);
    let free = is_free(class, before, of);
    let number = if free { before.counted } else { before.counted.saturating_add(1) };
    if !free && number >= of {
        return Verdict::Final;
    }
    let row = if class.is_pause() { before.pauses } else { before.lacks };
    let nth = number.saturating_add(if free { row.saturating_add(1) } else { 0 });
    Verdict::Again { number, of, millis: delay(policy, nth, dice) }
}

/// Whether a failure costs no try. A rate limit is only a matter of time, also where nothing is to be repeated.
fn is_free(class: FailureClass, before: Tries, of: u32) -> bool {
    match class {
        FailureClass::RateLimited => before.pauses < MOST_LIMITS,
        FailureClass::Overloaded => before.pauses < MOST_OVERLOADS && of > 1,
        FailureClass::Resources => before.lacks < MOST_LACKS && of > 1,
        _ => false,
    }
}

/// What follows when an agent cannot be used until a person helps, and another one of the chain takes its place: that costs
/// no try and no time. `None` for every other class.
pub fn hand_over(class: FailureClass, before: Tries, attempts: u32) -> Option<Verdict> {
    let helpless = matches!(class, FailureClass::Auth | FailureClass::Billing);
    helpless.then_some(Verdict::Again { number: before.counted, of: attempts, millis: 0 })
}

/// Delay in milliseconds before the try after the `nth` failure: it doubles, and lies anywhere in the upper half, so that
/// attempts that failed together do not come back together.
pub fn delay(policy: &RetryPolicy, nth: u32, dice: u32) -> u64 {
    let doubled = 1_u64.checked_shl(nth.saturating_sub(1).min(40)).unwrap_or(u64::MAX);
    let whole = policy.first_delay_secs.saturating_mul(doubled).min(policy.max_delay_secs).saturating_mul(1000);
    let half = whole / 2;
    half + u64::from(dice) % (whole - half + 1)
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
