//! The line that says that a long command still works. Must not appear in fast cases, stay after the work, or be written
//! anywhere but on the terminal that it was given.

use std::fmt::{self, Debug, Write as _};
use std::io::{self, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike};

use crate::domain::diagnostic::escape_line;
use crate::report::progress::Terminal;

/// Work that ends before this shows nothing.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often the line is drawn again.
const AGAIN: Duration = Duration::from_millis(125);

/// Drawings in a second at most.
const HERTZ: u8 = 10;

/// Where the line is drawn, and what it asks before each drawing.
pub(super) struct Place {
    /// Standard error.
    pub(super) writer: Box<dyn Write + Send>,
    /// The terminal at this moment.
    pub(super) look: Box<dyn Fn() -> Terminal + Send + Sync>,
    /// Since when the work goes on.
    pub(super) elapsed: Box<dyn Fn() -> Duration + Send + Sync>,
}

/// Work that goes on. The line goes away with this value.
pub(crate) struct Waiting {
    bar: ProgressBar,
    drawing: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Waiting {
    /// Draws nothing, ever.
    pub(super) fn hidden() -> Self {
        Self { bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()), drawing: None }
    }

    /// Begins the line `what`; `total` is how many steps there will be, where that is known.
    pub(super) fn begin(what: &str, total: Option<u64>, place: Place) -> Self {
        let mut waiting = Self::still(what, total, place);
        let (stop, stopped) = channel();
        let bar = waiting.bar.clone();
        let draw = move || {
            while stopped.recv_timeout(AGAIN) == Err(RecvTimeoutError::Timeout) {
                bar.tick();
            }
        };
        // Without a thread the line is drawn at steps only.
        waiting.drawing = Builder::new().spawn(draw).ok().map(|thread| (stop, thread));
        waiting
    }

    /// The same, drawn at steps only.
    fn still(what: &str, total: Option<u64>, place: Place) -> Self {
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(Late::new(place)), HERTZ);
        let bar = ProgressBar::with_draw_target(total, target).with_style(style(total.is_some()));
        bar.set_message(escape_line(what));
        Self { bar, drawing: None }
    }

    /// `count` more steps are done.
    pub(crate) fn step(&self, count: u64) {
        self.bar.inc(count);
    }

    /// Counts steps for whoever does not know about terminals.
    pub(crate) fn counter(&self) -> impl Fn(u64) + 'static {
        let bar = self.bar.clone();
        move |count| bar.inc(count)
    }

    /// What takes the line away while something else is written.
    pub(super) fn curtain(&self) -> Curtain {
        Curtain(self.bar.clone())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.drawing.take() {
            drop(stop);
            // It has nothing to return, and a panic in it was said already.
            drop(thread.join());
        }
        self.bar.finish_and_clear();
    }
}

/// Takes the line away while something else is written.
#[derive(Clone)]
pub(super) struct Curtain(ProgressBar);

impl Curtain {
    /// Does `work` while the line is not there.
    pub(super) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.0.is_finished() { work() } else { self.0.suspend(work) }
    }
}

/// `| verifying 1200, 3s`, and with a known end `| cleaning up [====>     ] 3 of 12, 3s`.
fn style(ends: bool) -> ProgressStyle {
    let template =
        if ends { "{spinner} {msg} [{bar:20}]{count}, {elapsed}" } else { "{spinner} {msg}{count}, {elapsed}" };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    style.tick_chars("|/-\\ ").progress_chars("=> ").with_key(
        "count",
        |state: &ProgressState, out: &mut dyn fmt::Write| {
            // Writing into a string cannot fail.
            let _ = match (state.len(), state.pos()) {
                (Some(total), done) => write!(out, " {done} of {total}"),
                (None, 0) => Ok(()),
                (None, done) => write!(out, " {done}"),
            };
        },
    )
}

/// A terminal that hears of nothing before the patience is over, and of each drawing in one write.
struct Late {
    place: Mutex<Place>,
    drawn: Mutex<Drawn>,
}

#[derive(Default)]
struct Drawn {
    /// What the next drawing says.
    next: String,
    /// Whether the next drawing shows anything.
    shows: bool,
    /// Whether anything is on the screen.
    visible: bool,
}

impl Late {
    fn new(place: Place) -> Self {
        Self { place: Mutex::new(place), drawn: Mutex::default() }
    }

    fn add(&self, text: fmt::Arguments<'_>) -> io::Result<()> {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        drawn.next.write_fmt(text).map_err(io::Error::other)
    }

    /// `ESC [ count letter`, for nothing when there is no way to go.
    fn go(&self, count: usize, letter: char) -> io::Result<()> {
        if count == 0 { Ok(()) } else { self.add(format_args!("\u{1b}[{count}{letter}")) }
    }
}

impl TermLike for Late {
    fn width(&self) -> u16 {
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        u16::try_from((place.look)().columns).unwrap_or(u16::MAX)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.go(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.go(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.go(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.go(n, 'D')
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        self.write_str(s)?;
        self.add(format_args!("\n"))
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        // Blanks up to the right edge would break into a second row when the window is made narrower.
        if s.trim().is_empty() {
            return Ok(());
        }
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner).shows = true;
        self.add(format_args!("{s}"))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.add(format_args!("\r\u{1b}[K"))
    }

    fn flush(&self) -> io::Result<()> {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let Drawn { next, shows, visible } = std::mem::take(&mut *drawn);
        let ready = (place.elapsed)() >= PATIENCE && (place.look)().foreground;
        if !ready || !(shows || visible) {
            drawn.visible = visible;
            return Ok(());
        }
        drawn.visible = shows;
        place.writer.write_all(next.as_bytes())?;
        place.writer.flush()
    }
}

impl Debug for Late {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Late")
    }
}

#[cfg(test)]
#[path = "waiting_tests.rs"]
mod tests;
