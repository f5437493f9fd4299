//! Words that several views share: phases, counts, how an item ended. Must not print.

use crate::domain::budget::dollars;
use crate::domain::event::{Failure, Totals};
use crate::domain::names::ItemKey;
use crate::domain::state::Status;
use crate::domain::usage::Spent;
use crate::domain::workflow::{Performer, Phase};
use crate::engine::events::ItemSummary;

use super::text::{Tone, span};

/// `5/13 implementation`.
pub(crate) fn numbered(phase: Phase) -> String {
    format!("{}/{} {phase}", phase.number(), Phase::ALL.len())
}

/// `3 landed, 1 failed`: what there is of each, `nothing to do` for none of all.
pub(crate) fn counts(totals: &Totals) -> String {
    let all = [
        (totals.landed, "landed"),
        (totals.failed, "failed"),
        (totals.blocked, "blocked"),
        (totals.waiting, "waiting"),
        (totals.unfinished, "unfinished"),
    ];
    let some: Vec<String> =
        all.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if some.is_empty() { "nothing to do".to_owned() } else { some.join(", ") }
}

/// `1 story`, `3 stories`.
pub(crate) fn stories(count: usize) -> String {
    format!("{count} {}", if count == 1 { "story" } else { "stories" })
}

/// Who performs a phase, where it is worth a line.
pub(crate) fn performer(by: Performer) -> Option<&'static str> {
    match by {
        Performer::Tool => None,
        Performer::Agent => Some("performed by an agent"),
        Performer::Command => Some("performed by commands"),
        Performer::Person => Some("performed by a person"),
    }
}

/// How an item ended, in one line.
pub(crate) fn ended(item: &ItemSummary) -> String {
    let key = &item.story_id;
    let took = if item.millis > 0 { format!(" after {}", span(item.millis)) } else { String::new() };
    match (item.status, &item.landed) {
        (Status::Landed, Some(tip)) => format!("{key} landed{took}: {}", tip.short()),
        (Status::Landed, None) => format!("{key} done without a change{took}"),
        (Status::Failed, _) => format!("{key} failed{took}: {}", item.reason),
        (Status::Blocked, _) => format!("{key} blocked: {}", item.reason),
        (Status::ReadyForReview | Status::Approved, _) => format!("{key} waits{took}: {}", item.reason),
        (Status::NotStarted | Status::InProgress | Status::Stopped, _) => {
            let reason = if item.reason.is_empty() { String::new() } else { format!(": {}", item.reason) };
            format!("{key} {}{took}{reason}", item.status.word().to_lowercase())
        }
    }
}

/// An attempt after which another one is due, in one line.
pub(crate) fn again(key: &ItemKey, failure: &Failure, (number, of): (u32, u32), millis: u64) -> String {
    let next = number.saturating_add(1);
    format!("{key} try {next} of {of} follows in {}: {} (in {})", span(millis), failure.message, failure.phase)
}

/// What sessions consumed, for people; empty where nothing was consumed. Unknown stays unknown.
pub(crate) fn spent(spent: &Spent) -> String {
    if spent.sessions == 0 && spent.ended == 0 {
        return String::new();
    }
    let mut parts = vec![format!("{} session(s)", spent.sessions), format!("agent time {}", span(spent.millis))];
    parts.extend(spent.token_count().map(|tokens| format!("{tokens} tokens")));
    match (spent.cost(), spent.unpriced()) {
        (None, _) => parts.push("cost unknown".to_owned()),
        (Some(cost), 0) => parts.push(format!("{} USD", dollars(cost))),
        (Some(cost), unknown) => parts.push(format!("{} USD and {unknown} session(s) of unknown cost", dollars(cost))),
    }
    parts.join(", ")
}

/// Known cost in dollars for JSON; `null` is unknown.
pub(crate) fn usd(spent: &Spent) -> serde_json::Value {
    let dollars = |micros: u64| micros.to_string().parse::<f64>().map_or(f64::NAN, |micros| micros / 1e6);
    spent.cost().map_or(serde_json::Value::Null, |micros| dollars(micros).into())
}

/// What the first Ctrl-C does.
pub(crate) fn stopping(live: usize) -> String {
    let agents = if live == 1 { "1 agent is".to_owned() } else { format!("{live} agents are") };
    format!("stopping: {agents} asked to end; Ctrl-C again kills")
}

/// The tone of a status.
pub(crate) fn tone(status: Status) -> Tone {
    match status {
        Status::Landed => Tone::Good,
        Status::Failed => Tone::Bad,
        Status::Blocked | Status::Stopped => Tone::Warn,
        Status::InProgress | Status::ReadyForReview | Status::Approved => Tone::Hint,
        Status::NotStarted => Tone::Faint,
    }
}
