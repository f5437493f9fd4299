//! The display on a terminal: one line per story by wave, an overall bar below. Must not know more than `live` does.

use std::io::Write;

use crate::domain::names::Timestamp;
use crate::engine::events::{Happening, Reporter};

use super::block::Block;
use super::live::Live;
use crate::report::text::{Color, Tone, between, cut, escape, span};
use crate::report::words::{again, ended, stopping, tone};

/// Columns of the overall bar.
const BAR: usize = 24;

/// Fewer columns than this do not hold a story's line; then only the overall bar is shown.
const NARROW: usize = 40;

/// Milliseconds between two drawings when nothing is there that stays.
const PAUSE: u64 = 50;

/// The terminal as it is at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Columns, more than 0.
    pub columns: usize,
    /// Rows, more than 0.
    pub rows: usize,
    /// Whether it is this program's to draw on; not while it runs in the background of a shell.
    pub foreground: bool,
    /// Whether somebody else may have written since the last look, as after Ctrl-Z and `fg`.
    pub disturbed: bool,
}

/// Looks at the terminal. One that others wrote on says so once.
pub type Look = Box<dyn Fn() -> Terminal>;

/// The display on a terminal.
pub struct Bars {
    live: Live,
    block: Block,
    look: Look,
    /// Lines that stay, not written yet.
    said: Vec<String>,
    /// The last block, its columns, and when it was drawn.
    last: Option<(Vec<String>, usize, Timestamp)>,
    /// Whether the last look found the terminal in other hands.
    away: bool,
    began: Option<Timestamp>,
    color: Color,
}

impl Bars {
    /// Draws on `writer`, which is the terminal that `look` looks at.
    pub fn new(writer: Box<dyn Write>, look: Look, color: Color) -> Self {
        Self {
            live: Live::default(),
            block: Block::new(writer),
            look,
            said: Vec::new(),
            last: None,
            away: false,
            began: None,
            color,
        }
    }

    fn draw(&mut self, now: Timestamp, ticked: bool) {
        let terminal = (self.look)();
        if terminal.disturbed || (self.away && terminal.foreground) {
            self.block.forget();
            self.last = None;
        }
        self.away = !terminal.foreground;
        if self.away {
            return;
        }
        if let Some((_, _, at)) = &self.last
            && self.said.is_empty()
            && !ticked
            && *at <= now
            && between(*at, now) < PAUSE
        {
            return;
        }
        let lines = self.lines(now, terminal);
        let same = |(before, columns, _): &(Vec<String>, usize, Timestamp)| {
            *before == lines && *columns == terminal.columns && self.said.is_empty()
        };
        if !self.last.as_ref().is_some_and(same) {
            self.block.draw(&std::mem::take(&mut self.said), &lines, terminal.columns);
        }
        self.last = Some((lines, terminal.columns, now));
    }

    /// The stories and the overall bar, as many as fit.
    fn lines(&self, now: Timestamp, terminal: Terminal) -> Vec<String> {
        // A line as wide as the terminal may break. Below the stories: the overall bar and the cursor; above: room for the
        // prompt the run was started from.
        let width = terminal.columns.saturating_sub(1);
        let height = terminal.rows.saturating_sub(3);
        let mut lines =
            if width >= NARROW && height > 0 { self.live.lines(now, width, height, self.color) } else { Vec::new() };
        lines.push(cut(&self.overall(now), width).into_owned());
        lines
    }

    fn overall(&self, now: Timestamp) -> String {
        let (ended, total) = (self.live.ended(), self.live.total());
        let full = (ended * BAR).checked_div(total).unwrap_or(0);
        let bar = format!("{}{}", "█".repeat(full), "░".repeat(BAR - full));
        let elapsed = span(self.began.map_or(0, |began| between(began, now)));
        format!("{bar} {ended}/{total}  {}  {elapsed}", self.live.counts())
    }

    /// A line that stays on the screen above the display.
    fn say(&mut self, text: &str, tone: Tone) {
        self.said.push(self.color.paint(tone, &escape(text)));
    }

    /// Takes the block away; what was to stay is written, wherever the terminal is.
    fn clear(&mut self) {
        let terminal = (self.look)();
        if terminal.disturbed || self.away || !terminal.foreground {
            self.block.forget();
        }
        self.block.draw(&std::mem::take(&mut self.said), &[], terminal.columns);
        self.last = None;
    }
}

impl Reporter for Bars {
    fn on(&mut self, happening: &Happening, at: Timestamp) {
        self.live.take(happening, at);
        match happening {
            Happening::RunStarted { .. } => self.began = Some(at),
            Happening::ItemEnded { item } => self.say(&ended(item), tone(item.status)),
            Happening::Notice { text } => self.say(text, Tone::Warn),
            Happening::RetryDue { story_id, failure, number, of, millis } => {
                self.say(&again(story_id, failure, (*number, *of), *millis), Tone::Warn);
            }
            Happening::Stopping { live } => self.say(&stopping(*live), Tone::Warn),
            Happening::RunEnded { .. } => return self.clear(),
            Happening::ItemStarted { .. }
            | Happening::PhaseStarted { .. }
            | Happening::PhaseEnded { .. }
            | Happening::StatusChanged { .. }
            | Happening::Activity { .. }
            | Happening::Note { .. } => {}
        }
        self.draw(at, false);
    }

    fn tick(&mut self, at: Timestamp) {
        self.draw(at, true);
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.clear();
    }
}
