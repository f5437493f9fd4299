//! What is known of a live run, and the lines that show it in a given height. Must not touch the terminal.

use std::collections::HashMap;

use crate::domain::names::{ItemKey, Timestamp};
use crate::domain::state::Status;
use crate::domain::workflow::Phase;
use crate::engine::events::{Happening, Line};

use crate::report::text::{Color, Tone, append, between, columns, cut, escape, pad, span};
use crate::report::words::{numbered, tone};

/// A run as its reporter knows it.
#[derive(Default)]
pub(super) struct Live {
    rows: Vec<Row>,
    index: HashMap<ItemKey, usize>,
}

struct Row {
    line: Line,
    status: Status,
    phase: Option<Phase>,
    began: Option<Timestamp>,
    /// Wall time in milliseconds, once the item has ended in this run.
    took: Option<u64>,
    note: String,
}

impl Live {
    /// Takes note of what happened.
    pub(super) fn take(&mut self, happening: &Happening, at: Timestamp) {
        match happening {
            Happening::RunStarted { items, .. } => self.begin(items),
            Happening::ItemStarted { story_id, .. } => self.change(story_id, |row| {
                row.status = Status::InProgress;
                row.began = Some(at);
                row.took = None;
                row.phase = None;
            }),
            Happening::PhaseStarted { story_id, phase, .. } | Happening::PhaseEnded { story_id, phase, .. } => {
                self.change(story_id, |row| row.phase = Some(*phase));
            }
            Happening::StatusChanged { story_id, status } => self.change(story_id, |row| row.status = *status),
            Happening::Note { story_id, text } => self.change(story_id, |row| row.note = escape(text)),
            Happening::Activity { story_id, text } => self.change(story_id, |row| row.note = escape(text)),
            Happening::ItemEnded { item } => self.change(&item.story_id, |row| {
                row.status = item.status;
                row.took = Some(item.millis);
                row.note = escape(&item.reason);
            }),
            Happening::RetryDue { story_id, failure, .. } => self.change(story_id, |row| {
                row.began = None;
                row.note = escape(&format!("another try is due: {}", failure.message));
            }),
            Happening::Notice { .. } | Happening::Stopping { .. } | Happening::RunEnded { .. } => {}
        }
    }

    /// Items in the run.
    pub(super) fn total(&self) -> usize {
        self.rows.len()
    }

    /// Items that ended.
    pub(super) fn ended(&self) -> usize {
        self.rows.iter().filter(|row| row.took.is_some()).count()
    }

    /// Counts by state: `2 landed, 1 in progress, 4 not started`.
    pub(super) fn counts(&self) -> String {
        counts(self.rows.iter())
    }

    /// At most `height` lines, each at most `width` columns. Everything where it fits, else what is live, by wave.
    pub(super) fn lines(&self, now: Timestamp, width: usize, height: usize, color: Color) -> Vec<String> {
        let waves: Vec<Vec<&Row>> = self.waves();
        let all = self.rows.len() + waves.len() <= height;
        let shape = Shape::of(&self.rows, width, color);
        let mut lines = Vec::new();
        for wave in &waves {
            let shown: Vec<&&Row> = wave.iter().filter(|row| all || row.is_live()).collect();
            if shown.is_empty() {
                continue;
            }
            let head = format!("wave {} ({})", wave[0].line.wave, counts(wave.iter().copied()));
            lines.push(color.paint(Tone::Strong, &cut(&head, width)));
            lines.extend(shown.into_iter().map(|row| shape.line(row, now)));
        }
        if lines.len() > height {
            let more = lines.len() - height + 1;
            lines.truncate(height.saturating_sub(1));
            lines.push(format!("… {more} more"));
        }
        lines
    }

    fn begin(&mut self, items: &[Line]) {
        self.index = items.iter().enumerate().map(|(at, line)| (line.story_id.clone(), at)).collect();
        let row = |line: &Line| Row {
            line: line.clone(),
            status: Status::NotStarted,
            phase: None,
            began: None,
            took: None,
            note: String::new(),
        };
        self.rows = items.iter().map(row).collect();
    }

    fn change(&mut self, key: &ItemKey, change: impl FnOnce(&mut Row)) {
        if let Some(at) = self.index.get(key) {
            change(&mut self.rows[*at]);
        }
    }

    fn waves(&self) -> Vec<Vec<&Row>> {
        let mut waves: Vec<Vec<&Row>> = Vec::new();
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.sort_by_key(|row| row.line.wave);
        for row in rows {
            match waves.last_mut().filter(|wave| wave[0].line.wave == row.line.wave) {
                Some(wave) => wave.push(row),
                None => waves.push(vec![row]),
            }
        }
        waves
    }
}

impl Row {
    fn is_live(&self) -> bool {
        self.began.is_some() && self.took.is_none()
    }
}

fn counts<'a>(rows: impl Iterator<Item = &'a Row>) -> String {
    let mut by_status: HashMap<Status, usize> = HashMap::new();
    for row in rows {
        *by_status.entry(row.status).or_default() += 1;
    }
    let order = [
        Status::Landed,
        Status::Approved,
        Status::ReadyForReview,
        Status::InProgress,
        Status::NotStarted,
        Status::Failed,
        Status::Blocked,
        Status::Stopped,
    ];
    let some = order.iter().filter_map(|status| Some((by_status.get(status)?, status)));
    some.map(|(count, status)| format!("{count} {}", status.word().to_lowercase())).collect::<Vec<_>>().join(", ")
}

/// Columns from which on state and phase have a column each.
const WIDE: usize = 100;

/// Columns below which nobody is told who works on it: time and title are worth more.
const SLIM: usize = 64;

/// Column widths that all rows share.
struct Shape {
    id: usize,
    agent: usize,
    width: usize,
    color: Color,
}

impl Shape {
    fn of(rows: &[Row], width: usize, color: Color) -> Self {
        let id = rows.iter().map(|row| columns(row.line.story_id.as_str())).max().unwrap_or(0);
        let agent = rows.iter().map(|row| columns(&agent(row))).max().unwrap_or(0);
        Self { id: id.min(24), agent: agent.min(30), width, color }
    }

    fn line(&self, row: &Row, now: Timestamp) -> String {
        let phase = row.phase.filter(|_| row.is_live()).map(numbered).unwrap_or_default();
        let elapsed = match (row.took, row.began) {
            (Some(took), _) if took > 0 => span(took),
            (Some(_), _) | (None, None) => String::new(),
            (None, Some(began)) => span(between(began, now)),
        };
        let id = pad(&cut(row.line.story_id.as_str(), self.id), self.id);
        let mut rest = String::new();
        // On a narrow terminal the phase says the state of what is live, and the title needs the room.
        let (status, column) = match (self.width < WIDE, phase.is_empty()) {
            (true, false) => (phase, 21),
            (true, true) => (row.status.word().to_owned(), 21),
            (false, _) => {
                append(&mut rest, format_args!("  {}", pad(&phase, 21)));
                (row.status.word().to_owned(), 16)
            }
        };
        let status = pad(&status, column);
        if self.width >= SLIM {
            append(&mut rest, format_args!("  {}", pad(&cut(&agent(row), self.agent), self.agent)));
        }
        append(&mut rest, format_args!("  {}  {}", pad(&elapsed, 9), escape(&row.line.title)));
        if !row.note.is_empty() {
            append(&mut rest, format_args!(" · {}", row.note));
        }
        // Colour only what is never cut, so that no sequence is left open.
        let left = self.width.saturating_sub(2 + self.id + 2 + column);
        format!("  {id}  {}{}", self.color.paint(tone(row.status), &status), cut(rest.trim_end(), left))
    }
}

fn agent(row: &Row) -> String {
    escape(&row.line.agent)
}
