//! One item whole: status, attempt, phases with their outcome, checks, reviews, landing, the next command.
//! Must not read anything nor print.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::domain::budget::of_item_by_phase;
use crate::domain::event::{CheckRun, Landing, PhaseOutcome, Review, ReviewVerdict};
use crate::domain::gate::{Refusal, reason as reason_of};
use crate::domain::names::{ItemKey, Oid, Timestamp};
use crate::domain::state::{Attempt, ItemState, Outcome, SessionEnd, Status};
use crate::domain::workflow::Phase;

use super::rows::{self, Guards, Known, View, item, reason};
use crate::report::failure::{Kept, advice, class_word, facts};
use crate::report::text::{Color, Tone, append, escape, json_safe, pad, rfc3339, rfc3339_seconds, span};
use crate::report::words::{cost, spent, spent_apart, tone};

/// The item to show.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// Its key.
    pub key: &'a ItemKey,
    /// Its folded state; `None` before its first event.
    pub state: Option<&'a ItemState>,
    /// What its file adds.
    pub known: Option<&'a Known>,
    /// Whether its liveness lock is held; `None` when nobody looked.
    pub live: Option<bool>,
    /// What the gate says of it now; `None` when there is nothing to land.
    pub gate: Option<&'a GateView>,
}

/// What the gate says of a change as it would be merged now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateView {
    /// Tip of the target.
    pub base: Oid,
    /// Tip of the story branch.
    pub head: Oid,
    /// Result of merging the two, or the paths that conflict.
    pub merge: Result<Oid, Vec<String>>,
    /// Why it may not land; empty when the gate covers it.
    pub refusals: Vec<Refusal>,
}

impl GateView {
    fn is_covered(&self) -> bool {
        self.merge.is_ok() && self.refusals.is_empty()
    }
}

/// The item as text.
pub fn show(shown: &Shown<'_>, color: Color) -> String {
    let status = rows::status(shown.state, shown.known, shown.live);
    let empty = ItemState::default();
    let state = shown.state.unwrap_or(&empty);
    let mut page = Page { out: String::new(), color };
    let title = shown.known.map(|known| known.title.as_str()).filter(|title| !title.is_empty());
    page.line(&format!("{} {}", shown.key, title.unwrap_or(&state.title)), Tone::Strong);
    let because = reason(state);
    let because = if because.is_empty() { String::new() } else { format!(": {because}") };
    page.line(&format!("{}{because}", status.word()), tone(status));
    page.facts(shown, state);
    page.failure(shown.key, state);
    page.phases(state);
    page.sessions(state);
    page.checks(&state.checks);
    page.reviews(&state.reviews);
    page.landings(&state.landings);
    page.gate(shown.gate);
    page.heading("next");
    for command in next_commands(shown.key, status, state) {
        page.line(&format!("  {command}"), Tone::Hint);
    }
    page.out
}

struct Page {
    out: String,
    color: Color,
}

impl Page {
    fn line(&mut self, text: &str, tone: Tone) {
        let text = self.color.paint(tone, &escape(text));
        append(&mut self.out, format_args!("{text}\n"));
    }

    fn plain(&mut self, text: &str) {
        append(&mut self.out, format_args!("{}\n", escape(text).trim_end()));
    }

    fn heading(&mut self, text: &str) {
        self.out.push('\n');
        self.line(text, Tone::Strong);
    }

    fn fact(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.plain(&format!("  {} {value}", pad(name, 13)));
        }
    }

    fn facts(&mut self, shown: &Shown<'_>, state: &ItemState) {
        self.out.push('\n');
        self.fact("file", &state.path);
        self.fact("dependencies", &shown.known.map(|known| known.dependencies.join(" ")).unwrap_or_default());
        if let Some(attempt) = &state.attempt {
            self.fact("attempt", &format!("{} (number {} of round {})", attempt.id, state.attempts, state.round));
            self.fact("run", attempt.run.as_str());
            self.fact("agent", &format!("{} via {}", attempt.role, attempt.agent));
            self.fact("branch", &format!("{} from {}", attempt.branch.short(), attempt.base.short()));
            self.fact("target", attempt.target.short());
            self.fact("worktree", &attempt.worktree);
        }
        self.fact("started", &state.started.map(rfc3339_seconds).unwrap_or_default());
        self.fact("updated", &state.updated.map(rfc3339_seconds).unwrap_or_default());
        self.fact("went back", &state.return_reason);
        self.fact("consumed", &spent(&state.spent_in_all()));
        for (what, sum) in spent_apart(&of_item_by_phase(state)) {
            self.fact("", &format!("{what}: {sum}"));
        }
    }

    /// What each session of the round came to.
    fn sessions(&mut self, state: &ItemState) {
        if state.sessions.is_empty() {
            return;
        }
        self.heading("sessions");
        for session in &state.sessions {
            let end = session.end.as_ref().map_or_else(|| "its end is not known".to_owned(), came_to);
            self.plain(&format!("  {} {}: {end}", pad(session.phase.name(), 16), session.principal));
        }
    }

    /// The failure that the item ended with, or after which another try is due.
    fn failure(&mut self, key: &ItemKey, state: &ItemState) {
        let Some(Outcome::Failed { failure } | Outcome::Due { failure, .. }) = &state.outcome else { return };
        self.heading("failure");
        self.fact("class", &class_word(failure.class));
        self.fact("phase", failure.phase.name());
        let attempt = state.attempt.as_ref();
        let branch = attempt.map(|attempt| attempt.branch.short());
        let kept = Kept { branch, worktree: attempt.map(|attempt| attempt.worktree.as_str()) };
        for line in facts(failure, kept, usize::MAX) {
            self.plain(&format!("  {line}"));
        }
        self.plain(&format!("  what helps: {}", advice(failure.class, key)));
    }

    fn phases(&mut self, state: &ItemState) {
        self.heading("phases");
        for phase in Phase::ALL {
            let outcome = match state.phases.get(&phase) {
                None => "-".to_owned(),
                Some(PhaseOutcome::Done { by, summary, .. }) => format!("{summary} ({by})"),
                Some(PhaseOutcome::NotApplicable { reason }) => format!("not applicable: {reason}"),
            };
            self.plain(&format!("  {:>2} {} {outcome}", phase.number(), pad(phase.name(), 16)));
        }
    }

    fn checks(&mut self, checks: &[CheckRun]) {
        if checks.is_empty() {
            return;
        }
        self.heading("checks");
        for check in checks {
            let word = if check.passed { "passed" } else { "failed" };
            let (name, ended, took) = (&check.name, &check.ended, span(check.millis));
            self.plain(&format!("  {word} {name} on tree {} ({ended}, {took})", check.tree.short()));
        }
    }

    fn reviews(&mut self, reviews: &[Review]) {
        if reviews.is_empty() {
            return;
        }
        self.heading("reviews");
        for review in reviews {
            let verdict = verdict(review.verdict);
            let at = rfc3339_seconds(review.at);
            let (who, tree) = (&review.reviewer, review.merge_tree.short());
            let said = if review.message.is_empty() { String::new() } else { format!(": {}", review.message) };
            self.plain(&format!("  {at} {verdict} by {who}, merge tree {tree}{said}"));
            if let Some(signature) = &review.signature {
                self.plain(&format!("    signed with key {}", signature.key));
            }
            for finding in &review.findings {
                let place = match (finding.path.as_str(), finding.line) {
                    ("", _) => String::new(),
                    (path, 0) => format!("{path}: "),
                    (path, line) => format!("{path}:{line}: "),
                };
                self.plain(&format!("    {place}{}", finding.text));
            }
        }
    }

    fn gate(&mut self, gate: Option<&GateView>) {
        let Some(gate) = gate else { return };
        self.heading("gate");
        let (base, head) = (gate.base.short(), gate.head.short());
        match &gate.merge {
            Err(paths) => self.plain(&format!("  refused: {head} conflicts with {base} in {}", paths.join(", "))),
            Ok(tree) if gate.is_covered() => {
                self.plain(&format!("  covered: {head} may land on {base}, merge tree {}", tree.short()));
            }
            Ok(tree) => self.plain(&format!("  refused: {head} onto {base}, merge tree {}:", tree.short())),
        }
        for refusal in &gate.refusals {
            self.plain(&format!("  - {}", reason_of(refusal)));
        }
    }

    fn landings(&mut self, landings: &[Landing]) {
        if landings.is_empty() {
            return;
        }
        self.heading("landed");
        for landing in landings {
            let (target, base, tip) = (landing.target.short(), landing.base.short(), landing.tip.short());
            self.plain(&format!("  {target} {base}..{tip}, merge {}", landing.merge.short()));
        }
    }
}

fn verdict(verdict: ReviewVerdict) -> &'static str {
    match verdict {
        ReviewVerdict::Approve => "approved",
        ReviewVerdict::RequestChanges => "changes requested",
    }
}

/// What a session came to: time, tokens, cost and where it is from, model, failure.
fn came_to(end: &SessionEnd) -> String {
    let mut parts = vec![span(end.millis)];
    parts.extend((!end.model.is_empty()).then(|| format!("model {}", end.model)));
    parts.push(end.usage.tokens.map_or_else(|| "tokens unknown".to_owned(), |tokens| format!("{tokens} tokens")));
    parts.push(cost(&end.usage, &end.priced));
    parts.extend(end.class.map(class_word));
    parts.extend(end.cancelled.then(|| "stopped".to_owned()));
    parts.join(", ")
}

/// What a person would do next, best first.
fn next_commands(key: &ItemKey, status: Status, state: &ItemState) -> Vec<String> {
    match status {
        Status::NotStarted => vec![format!("git orchestrate stories {key}")],
        Status::InProgress => vec![format!("git orchestrate log {key} -f")],
        Status::ReadyForReview => {
            let diff = state
                .attempt
                .as_ref()
                .map(|attempt| format!("git diff {}...{}", attempt.target.short(), attempt.branch.short()));
            let review = format!("git orchestrate review {key} --approve -m \"…\"");
            diff.into_iter().chain([review, "git orchestrate resume".to_owned()]).collect()
        }
        Status::Approved => vec![format!("git orchestrate land {key}")],
        Status::Landed => match state.landings.last() {
            Some(landing) => vec![format!("git show {}", landing.merge.short())],
            None => vec![format!("git orchestrate log {key}")],
        },
        Status::Failed => vec![format!("git orchestrate log {key}"), format!("git orchestrate retry {key}")],
        Status::Blocked => match &state.outcome {
            Some(Outcome::Blocked { by }) if !by.is_empty() => {
                by.last().map(|cause| format!("git orchestrate retry {cause}")).into_iter().collect()
            }
            Some(_) | None => vec![format!("git orchestrate retry {key}")],
        },
        Status::Stopped => vec!["git orchestrate resume".to_owned()],
    }
}

/// The item as one JSON object, version 1: the fields of `status`, and all evidence. Ended by a line feed.
pub fn show_json(shown: &Shown<'_>) -> String {
    let items: BTreeMap<ItemKey, ItemState> =
        shown.state.map(|state| (shown.key.clone(), state.clone())).into_iter().collect();
    let known: BTreeMap<ItemKey, Known> =
        shown.known.map(|known| (shown.key.clone(), known.clone())).into_iter().collect();
    let live: Option<BTreeSet<ItemKey>> = shown.live.map(|live| live.then(|| shown.key.clone()).into_iter().collect());
    let view = View {
        items: &items,
        run: None,
        known: &known,
        live: live.as_ref(),
        hotfixes: &[],
        branches: &[],
        guards: &Guards::default(),
        now: Timestamp(0),
    };
    let row = view.row(shown.key, None);
    let mut value = serde_json::to_value(item(&row)).expect("an item has only string keys");
    let empty = ItemState::default();
    let state = shown.state.unwrap_or(&empty);
    value["version"] = json!(1);
    value["path"] = json!(state.path);
    value["round"] = json!(state.round);
    value["attempt"] = state.attempt.as_ref().map_or(Value::Null, attempt);
    value["phases"] = Phase::ALL.into_iter().map(|phase| phase_json(phase, state.phases.get(&phase))).collect();
    value["checks"] = json!(state.checks);
    value["reviews"] = state.reviews.iter().map(review).collect();
    value["sessions"] = json!(state.sessions);
    value["landings"] = json!(state.landings);
    value["failure"] = match &state.outcome {
        Some(Outcome::Failed { failure } | Outcome::Due { failure, .. }) => {
            json!({"failure": failure, "advice": advice(failure.class, shown.key)})
        }
        _ => Value::Null,
    };
    value["waits"] = json!(state.waits);
    value["gate"] = shown.gate.map_or(Value::Null, gate);
    value["next"] = json!(next_commands(shown.key, row.status, state));
    format!("{}\n", json_safe(&format!("{value:#}")))
}

fn gate(gate: &GateView) -> Value {
    json!({
        "covered": gate.is_covered(),
        "base": gate.base,
        "head": gate.head,
        "mergeTree": gate.merge.as_ref().ok(),
        "conflicts": gate.merge.as_ref().err(),
        "refusals": gate.refusals.iter().map(reason_of).collect::<Vec<_>>(),
    })
}

fn attempt(attempt: &Attempt) -> Value {
    json!({
        "id": attempt.id,
        "run": attempt.run,
        "target": attempt.target.short(),
        "base": attempt.base,
        "policy": attempt.policy,
        "story": attempt.story,
        "startTime": rfc3339(attempt.started),
    })
}

fn phase_json(phase: Phase, outcome: Option<&PhaseOutcome>) -> Value {
    let mut value = match outcome {
        None => json!({"outcome": "pending"}),
        Some(outcome) => json!(outcome),
    };
    value["number"] = json!(phase.number());
    value["name"] = json!(phase);
    value
}

fn review(review: &Review) -> Value {
    let mut value = json!(review);
    value["at"] = json!(rfc3339(review.at));
    value
}
