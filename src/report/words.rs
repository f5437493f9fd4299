//! Words that several views share: phases, counts, how an item ended. Must not print.

use std::collections::BTreeMap;

use serde_json::json;

use crate::domain::budget::{Kind, by_kind, dollars};
use crate::domain::event::{Failure, Totals};
use crate::domain::names::ItemKey;
use crate::domain::state::Status;
use crate::domain::usage::{Spent, Usage};
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

/// What a session cost, and by which prices where its client did not say it.
pub(crate) fn cost(usage: &Usage, priced: &str) -> String {
    match usage.micro_usd {
        None => "cost unknown".to_owned(),
        Some(cost) if priced.is_empty() => format!("{} USD", dollars(cost)),
        Some(cost) => format!("{} USD by the prices of {priced}", dollars(cost)),
    }
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
        (Some(cost), unknown) => {
            parts.push(format!("at least {} USD ({unknown} session(s) of unknown cost)", dollars(cost)));
        }
    }
    parts.join(", ")
}

/// What sessions consumed by phase and by who they were: a line each, empty where there is nothing to tell apart.
pub(crate) fn spent_apart(phases: &BTreeMap<Phase, Spent>) -> Vec<(String, String)> {
    let phase = phases.iter().map(|(phase, sum)| (phase.name().to_owned(), spent(sum)));
    let kinds = by_kind(phases);
    let kind = kinds.iter().map(|(kind, sum)| {
        let who = match kind {
            Kind::Work => "all authors",
            Kind::Review => "all reviewers",
        };
        (who.to_owned(), spent(sum))
    });
    if phases.len() < 2 { Vec::new() } else { phase.chain(kind).filter(|(_, text)| !text.is_empty()).collect() }
}

/// What sessions consumed, for scripts.
pub(crate) fn spent_json(spent: &Spent) -> serde_json::Value {
    json!({
        "sessions": spent.sessions,
        "agentMillis": spent.millis,
        "costUsd": usd(spent),
        "unpricedSessions": spent.unpriced(),
        "tokens": spent.token_count(),
    })
}

/// The same by phase, and by who the sessions were.
pub(crate) fn spent_apart_json(phases: &BTreeMap<Phase, Spent>) -> serde_json::Value {
    let by_phase: serde_json::Map<String, serde_json::Value> =
        phases.iter().map(|(phase, sum)| (phase.name().to_owned(), spent_json(sum))).collect();
    let kinds = by_kind(phases);
    let of = |kind| spent_json(&kinds.get(&kind).copied().unwrap_or_default());
    json!({"byPhase": by_phase, "authors": of(Kind::Work), "reviewers": of(Kind::Review)})
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
