//! Where things stand: all items as a table or JSON, one item whole. Must not read anything nor print.

mod rows;
mod show;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use crate::domain::budget::{of_run, of_run_by_phase};
use crate::domain::names::{RunId, Timestamp};
use crate::domain::run_state::RunState;
use crate::domain::state::Status;
use crate::domain::usage::Spent;
use crate::domain::workflow::Phase;

use super::hotfix::{self, open_lines};
use super::text::{Cell, Color, Fit, Table, Tone, append, between, escape, json_safe, rfc3339, span};
use super::words::{numbered, spent, spent_apart, spent_apart_json, spent_json, tone};
use rows::{Row, item, phase};

pub use rows::{Guards, Known, PausedAgent, View, Watched};
pub use show::{GateView, Shown, show, show_json};

/// Counts and place of the run.
#[derive(Default)]
struct Tally {
    completed: usize,
    in_progress: usize,
    pending: usize,
    failed: usize,
    blocked: usize,
    current_wave: Option<u32>,
}

fn tally(rows: &[Row<'_>]) -> Tally {
    let mut tally = Tally::default();
    for row in rows {
        let count = match row.status {
            Status::Landed => &mut tally.completed,
            Status::InProgress | Status::ReadyForReview | Status::Approved => &mut tally.in_progress,
            Status::NotStarted | Status::Stopped => &mut tally.pending,
            Status::Failed => &mut tally.failed,
            Status::Blocked => &mut tally.blocked,
        };
        *count += 1;
    }
    let open = |row: &&Row<'_>| !matches!(row.status, Status::Landed | Status::Failed | Status::Blocked);
    tally.current_wave = rows.iter().filter(open).filter_map(|row| row.wave).min();
    tally
}

/// Everything as JSON; the items, which are many, go without a value in between.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    head: serde_json::Value,
    items: Vec<rows::Item<'a>>,
}

/// All items as a table.
pub fn table(view: &View<'_>, width: Option<usize>, color: Color) -> String {
    let rows = view.rows();
    let mut out = String::new();
    if let Some((id, run)) = view.run {
        append(&mut out, format_args!("{}\n", escape(&run_line(id, run))));
    }
    out.push_str(&open_lines(view.hotfixes, color));
    for branch in view.branches {
        watched(&mut out, branch, color);
    }
    held(&mut out, view, color);
    if rows.is_empty() {
        out.push_str("no story is known yet\n");
        return out;
    }
    let tally = tally(&rows);
    append(
        &mut out,
        format_args!(
            "{} in all: {} completed, {} in progress, {} pending, {} failed, {} blocked\n\n",
            rows.len(),
            tally.completed,
            tally.in_progress,
            tally.pending,
            tally.failed,
            tally.blocked
        ),
    );
    let mut table = Table::new(&["id", "status", "phase", "wave", "agent", "elapsed", "title", "note"]);
    for row in &rows {
        table.row(cells(row, view.now));
    }
    out.push_str(&table.render(width.unwrap_or(usize::MAX), &["note", "title", "agent"], Fit::Cut, color));
    out
}

/// Clients that are paused, a machine without room, and what the run has consumed.
fn held(out: &mut String, view: &View<'_>, color: Color) {
    for paused in &view.guards.paused {
        let until = match paused.until {
            Some(until) => format!("paused until {}", rfc3339(until)),
            None => "half open, the next session decides".to_owned(),
        };
        let text = format!("{} is {until}: {} ({} failure(s) in a row)", paused.agent, paused.why, paused.failures);
        append(out, format_args!("{}\n", color.paint(Tone::Warn, &escape(&text))));
    }
    if let Some(why) = &view.guards.held {
        append(out, format_args!("{}\n", color.paint(Tone::Warn, &escape(&format!("starts are held back: {why}")))));
    }
    let consumed = spent(&run_spent(view));
    if !consumed.is_empty() {
        append(out, format_args!("this run so far: {consumed}\n"));
        for (what, sum) in spent_apart(&run_phases(view)) {
            append(out, format_args!("  {what}: {sum}\n"));
        }
    }
}

fn run_spent(view: &View<'_>) -> Spent {
    view.run.map(|(id, _)| of_run(view.items.values(), id)).unwrap_or_default()
}

fn run_phases(view: &View<'_>) -> BTreeMap<Phase, Spent> {
    view.run.map(|(id, _)| of_run_by_phase(view.items.values(), id)).unwrap_or_default()
}

fn guards_json(guards: &Guards) -> serde_json::Value {
    let paused = |paused: &PausedAgent| {
        json!({
            "agent": paused.agent,
            "until": paused.until.map(rfc3339),
            "halfOpen": paused.until.is_none(),
            "failures": paused.failures,
            "why": paused.why,
        })
    };
    json!({
        "pausedAgents": guards.paused.iter().map(paused).collect::<Vec<_>>(),
        "machine": guards.pressure,
        "held": guards.held,
    })
}

/// Nothing of a branch that is proven up to its tip.
fn watched(out: &mut String, watched: &Watched, color: Color) {
    let branch = watched.branch.short();
    if let Some(first) = watched.breaches.first() {
        let (count, commit) = (watched.breaches.len(), first.commit.short());
        let what = format!("nothing lands on {branch}: {count} breach(es), first {commit}: {}", first.reason);
        append(out, format_args!("{}\n", color.paint(Tone::Bad, &escape(&what))));
        out.push_str("see: git orchestrate verify\n");
    } else if watched.uncertified > 0 {
        let what = format!("{branch} has {} commit(s) that were not looked at yet", watched.uncertified);
        append(out, format_args!("{} (git orchestrate verify)\n", escape(&what)));
    }
}

fn watched_json(watched: &Watched) -> serde_json::Value {
    json!({
        "branch": watched.branch.short(),
        "tip": watched.tip,
        "certified": watched.certified,
        "uncertified": watched.uncertified,
        "breaches": watched.breaches,
    })
}

fn run_line(id: &RunId, run: &RunState) -> String {
    let state = if let Some(reason) = &run.stopped {
        format!("stopped: {reason}")
    } else if run.totals.is_some() {
        "finished".to_owned()
    } else if !run.waiting.is_empty() {
        format!("paused, {} waiting", run.waiting.len())
    } else {
        format!("not finished, last worked on by {}", run.host)
    };
    let target = run.target.as_ref().map(|target| format!(" onto {}", target.short())).unwrap_or_default();
    format!("run {id}{target}: {state}")
}

fn cells(row: &Row<'_>, now: Timestamp) -> Vec<Cell> {
    let attempt = row.state.and_then(|state| state.attempt.as_ref());
    let phase = row.state.and_then(phase).map(numbered).unwrap_or_default();
    let agent = attempt.map(|attempt| format!("{} ({})", attempt.role, attempt.agent)).unwrap_or_default();
    let elapsed = row.state.and_then(|state| {
        let until = if state.outcome.is_some() { state.updated? } else { now };
        Some(span(between(state.started?, until)))
    });
    vec![
        Cell::toned(row.key.as_str(), Tone::Strong),
        Cell::toned(row.status.word(), tone(row.status)),
        Cell::new(&phase),
        Cell::new(&row.wave.map(|wave| wave.to_string()).unwrap_or_default()),
        Cell::new(&agent),
        Cell::new(&elapsed.unwrap_or_default()),
        Cell::new(row.title),
        Cell::toned(&row.reason(), Tone::Faint),
    ]
}

/// All items as one JSON object, version 1, with the field names of the users' guide, ended by a line feed.
pub fn json(view: &View<'_>) -> String {
    let rows = view.rows();
    let tally = tally(&rows);
    let head = json!({
        "version": 1,
        "run": view.run.map(|(id, _)| id),
        "totalStories": rows.len(),
        "completed": tally.completed,
        "inProgress": tally.in_progress,
        "pending": tally.pending,
        "failed": tally.failed,
        "blocked": tally.blocked,
        "currentWave": tally.current_wave,
        "startTime": view.run.and_then(|(_, run)| run.started).map(rfc3339),
        "spent": spent_json(&run_spent(view)),
        "spentApart": spent_apart_json(&run_phases(view)),
        "guards": guards_json(view.guards),
        "openHotfixes": view.hotfixes.iter().filter(|listed| listed.is_open()).map(hotfix::value).collect::<Vec<_>>(),
        "branches": view.branches.iter().map(watched_json).collect::<Vec<_>>(),
    });
    let report = Report { head, items: rows.iter().map(item).collect() };
    let mut text = serde_json::to_string_pretty(&report).expect("a report has only string keys");
    text.push('\n');
    match json_safe(&text) {
        Cow::Owned(safe) => safe,
        Cow::Borrowed(_) => text,
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
