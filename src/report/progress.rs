//! Shows a run while it happens: bars on a terminal, plain lines elsewhere, JSON lines for scripts.
//! Must not decide anything; a write that fails is forgotten, never an error of the run.

mod bars;
mod block;
mod live;

use std::collections::HashMap;
use std::io::Write;

use serde::Serialize;

use crate::domain::names::{ItemKey, Timestamp};
use crate::domain::state::Status;
use crate::engine::events::{Happening, Line, Reporter};

use super::text::{escape, json_safe, rfc3339, rfc3339_seconds, span};
use super::words::{again, counts, ended, numbered, performer, stopping, stories};

pub use bars::{Bars, Look, Terminal};

/// Plain lines with the time in front.
pub struct Lines {
    out: Out,
    lines: HashMap<ItemKey, Line>,
}

/// One JSON object per line and happening: `{"version":1,"at":"…","event":"…",…}`.
pub struct JsonLines {
    out: Out,
}

/// A writer that goes silent after its first failure.
struct Out(Option<Box<dyn Write>>);

impl Out {
    fn line(&mut self, text: &str) {
        self.text(&format!("{text}\n"));
    }

    fn text(&mut self, text: &str) {
        let Some(writer) = &mut self.0 else { return };
        if writer.write_all(text.as_bytes()).and_then(|()| writer.flush()).is_err() {
            self.0 = None;
        }
    }
}

impl Lines {
    /// Writes to `writer`.
    pub fn new(writer: Box<dyn Write>) -> Self {
        Self { out: Out(Some(writer)), lines: HashMap::new() }
    }

    fn text(&self, happening: &Happening) -> Option<String> {
        Some(match happening {
            Happening::RunStarted { run, target, base, jobs, items } => format!(
                "run {run}: {} onto {} at {}, {jobs} at a time",
                stories(items.len()),
                target.short(),
                base.short()
            ),
            Happening::ItemStarted { story_id, continued } => self.started(story_id, *continued),
            Happening::PhaseStarted { story_id, phase, by } => {
                // What the tool does itself takes no time worth two lines.
                let by = performer(*by)?;
                format!("{story_id} {} begins, {by}", numbered(*phase))
            }
            Happening::PhaseEnded { story_id, phase, summary } => format!("{story_id} {}: {summary}", numbered(*phase)),
            // Start and end have lines of their own, which say more.
            Happening::StatusChanged { status, .. } if !is_between(*status) => return None,
            Happening::Activity { .. } => return None,
            Happening::StatusChanged { story_id, status } => format!("{story_id} is now {}", status.word()),
            Happening::Note { story_id, text } => format!("{story_id} {text}"),
            Happening::Notice { text } => text.clone(),
            Happening::RetryDue { story_id, failure, number, of, millis } => {
                again(story_id, failure, (*number, *of), *millis)
            }
            Happening::ItemEnded { item } => ended(item),
            Happening::Stopping { live } => stopping(*live),
            Happening::RunEnded { summary } => {
                format!("run {} ended after {}: {}", summary.run, span(summary.millis), counts(&summary.totals))
            }
        })
    }

    fn started(&self, key: &ItemKey, continued: bool) -> String {
        let verb = if continued { "continued" } else { "started" };
        match self.lines.get(key) {
            Some(line) => format!("{key} {verb}: {} ({} via {})", line.title, line.agent, line.adapter),
            None => format!("{key} {verb}"),
        }
    }
}

/// Whether a status lies between the start and the end of an attempt.
fn is_between(status: Status) -> bool {
    match status {
        Status::ReadyForReview | Status::Approved => true,
        Status::NotStarted
        | Status::InProgress
        | Status::Landed
        | Status::Failed
        | Status::Blocked
        | Status::Stopped => false,
    }
}

impl Reporter for Lines {
    fn on(&mut self, happening: &Happening, at: Timestamp) {
        if let Happening::RunStarted { items, .. } = happening {
            self.lines = items.iter().map(|line| (line.story_id.clone(), line.clone())).collect();
        }
        if let Some(text) = self.text(happening) {
            self.out.line(&format!("{} {}", rfc3339_seconds(at), escape(&text)));
        }
    }
}

#[derive(Serialize)]
struct Entry<'a> {
    version: u32,
    at: String,
    #[serde(flatten)]
    happening: &'a Happening,
}

impl JsonLines {
    /// Writes to `writer`.
    pub fn new(writer: Box<dyn Write>) -> Self {
        Self { out: Out(Some(writer)) }
    }
}

impl Reporter for JsonLines {
    fn on(&mut self, happening: &Happening, at: Timestamp) {
        if matches!(happening, Happening::Activity { .. }) {
            return;
        }
        let entry = Entry { version: 1, at: rfc3339(at), happening };
        if let Ok(json) = serde_json::to_string(&entry) {
            self.out.line(&json_safe(&json));
        }
    }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
