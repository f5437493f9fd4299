//! The display on a terminal: one line per story by wave, an overall bar below. Must not know more than `live` does.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::domain::names::Timestamp;
use crate::engine::events::{Happening, Reporter};

use super::live::Live;
use crate::report::text::{Color, Tone, escape};
use crate::report::words::{again, ended, stopping, tone};

/// Lines used for stories on a terminal whose height is unknown.
const HEIGHT: usize = 20;

/// The display on a terminal.
pub struct Bars {
    live: Live,
    multi: MultiProgress,
    overall: ProgressBar,
    lines: Vec<ProgressBar>,
    size: (usize, usize),
    color: Color,
}

impl Bars {
    /// Draws on stderr. `size` is the terminal's (columns, lines), where known.
    pub fn stderr(size: Option<(u16, u16)>, color: Color) -> Self {
        Self::new(ProgressDrawTarget::stderr(), size, color)
    }

    /// Draws on any target.
    pub fn new(target: ProgressDrawTarget, size: Option<(u16, u16)>, color: Color) -> Self {
        let multi = MultiProgress::with_draw_target(target);
        let overall = multi.add(ProgressBar::new(0));
        overall.set_style(style("{bar:24} {pos}/{len}  {msg}  {elapsed_precise}"));
        let (columns, lines): (usize, usize) =
            size.map_or((100, HEIGHT), |(columns, lines)| (columns.into(), lines.into()));
        // Below the lines: the overall bar and the cursor; above: room for the prompt the run was started from.
        // A line as wide as the terminal may wrap, and then what is cleared is not what was drawn.
        let size = (columns.saturating_sub(1).max(20), lines.saturating_sub(3).max(1));
        Self { live: Live::default(), multi, overall, lines: Vec::new(), size, color }
    }

    fn draw(&mut self, now: Timestamp) {
        let (width, height) = self.size;
        let texts = self.live.lines(now, width, height, self.color);
        while self.lines.len() > texts.len() {
            if let Some(line) = self.lines.pop() {
                self.multi.remove(&line);
            }
        }
        while self.lines.len() < texts.len() {
            let line = ProgressBar::new_spinner().with_style(style("{msg}"));
            self.lines.push(self.multi.insert_before(&self.overall, line));
        }
        for (line, text) in self.lines.iter().zip(texts) {
            if line.message() != text {
                line.set_message(text);
            }
        }
        self.overall.set_length(self.live.total() as u64);
        self.overall.set_position(self.live.ended() as u64);
        self.overall.set_message(self.live.counts());
    }

    /// A line that stays on the screen above the display. A failing terminal is no reason to fail a run.
    fn say(&self, text: &str, tone: Tone) {
        let _unseen = self.multi.println(self.color.paint(tone, &escape(text)));
    }

    fn clear(&mut self) {
        for line in self.lines.drain(..) {
            line.finish_and_clear();
        }
        self.overall.finish_and_clear();
        let _unseen = self.multi.clear();
    }
}

impl Reporter for Bars {
    fn on(&mut self, happening: &Happening, at: Timestamp) {
        self.live.take(happening, at);
        match happening {
            Happening::RunStarted { .. } => self.overall.enable_steady_tick(Duration::from_secs(1)),
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
        self.draw(at);
    }

    fn tick(&mut self, at: Timestamp) {
        self.draw(at);
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("our templates are valid")
}
