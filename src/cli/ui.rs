//! The only writer to the terminal: data on stdout, everything else on stderr, questions on a terminal only.
//! Must not know what it writes about.

use std::io::{BufRead, IsTerminal, Stdout, Write, stderr, stdin, stdout};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use nix::unistd::{getpgrp, tcgetpgrp};

use super::error::{CommandError, Kind};
use super::waiting::{Curtain, Place, Waiting};
use crate::adapters::process::secrets;
use crate::adapters::process::signals::terminal_obeys;
use crate::domain::diagnostic::{escape, is_unsafe};
use crate::domain::redact::Redactor;
use crate::report::progress::Terminal;

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loudness {
    /// Errors and warnings only.
    Quiet,
    /// What was done.
    #[default]
    Normal,
    /// Details too.
    Verbose,
}

/// Standard output and standard error with their colours.
pub struct Ui {
    out: AutoStream<Box<dyn Write>>,
    /// Standard output itself, for text in which the stream has nothing to look for.
    plain: Option<Stdout>,
    err: AutoStream<Box<dyn Write>>,
    out_color: bool,
    err_color: bool,
    interactive: bool,
    loudness: Loudness,
    redactor: Redactor,
    /// Whether a program reads what is said.
    for_program: bool,
    /// Over the line of work that goes on.
    curtain: Option<Curtain>,
}

impl Ui {
    /// The terminal. `Auto` follows `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE`, `TERM` and whether it is a terminal.
    pub fn terminal(color: ColorChoice, loudness: Loudness) -> Self {
        let resolve = |auto: ColorChoice| if color == ColorChoice::Auto { auto } else { color };
        let out_choice = resolve(AutoStream::choice(&stdout()));
        let err_choice = resolve(AutoStream::choice(&stderr()));
        Self {
            out: AutoStream::new(Box::new(stdout()), out_choice),
            plain: Some(stdout()),
            err: AutoStream::new(Box::new(stderr()), err_choice),
            out_color: out_choice != ColorChoice::Never,
            err_color: err_choice != ColorChoice::Never,
            interactive: stdin().is_terminal() && stderr().is_terminal(),
            loudness,
            redactor: Redactor::new(secrets::of_environment(&[])),
            for_program: false,
            curtain: None,
        }
    }

    /// Writers of a test; no colour, no terminal.
    pub fn captured(out: Box<dyn Write>, err: Box<dyn Write>) -> Self {
        Self {
            out: AutoStream::never(out),
            plain: None,
            err: AutoStream::never(err),
            out_color: false,
            err_color: false,
            interactive: false,
            loudness: Loudness::Normal,
            redactor: Redactor::default(),
            for_program: false,
            curtain: None,
        }
    }

    /// Sets what must not be written.
    pub fn hide(&mut self, redactor: Redactor) {
        self.redactor = redactor;
    }

    /// Whether text for stdout may be coloured.
    pub fn out_color(&self) -> bool {
        self.out_color
    }

    /// Whether text for stderr may be coloured.
    pub fn err_color(&self) -> bool {
        self.err_color
    }

    /// Whether a person can be asked: stdin and stderr are terminals.
    pub fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// How much is said.
    pub fn loudness(&self) -> Loudness {
        self.loudness
    }

    /// Columns of the terminal on stderr, 80 where there is none.
    pub fn width(&self) -> usize {
        terminal_size::terminal_size_of(stderr()).map_or(80, |(columns, _)| usize::from(columns.0))
    }

    /// Whether lines on stderr can be drawn again in their place: a person looks at it, and it obeys.
    pub fn can_draw(&self) -> bool {
        self.interactive && terminal_obeys()
    }

    /// A program reads what the command says: nothing is drawn for a person.
    pub(super) fn speak_to_program(&mut self) {
        self.for_program = true;
    }

    /// Says on the terminal that `what` goes on, should it take long; `total` is how many steps it will take, where that is
    /// known. The line goes away with the value that comes back, and for as long as anything else is written.
    #[must_use]
    pub(super) fn waiting(&mut self, what: &str, total: Option<u64>) -> Waiting {
        if self.for_program || self.loudness == Loudness::Quiet || !self.can_draw() {
            return Waiting::hidden();
        }
        let since = Instant::now();
        let place = Place {
            writer: Box::new(stderr()),
            look: Box::new(|| look(&AtomicBool::new(false))),
            elapsed: Box::new(move || since.elapsed()),
        };
        let waiting = Waiting::begin(&self.safe(what), total, place);
        self.curtain = Some(waiting.curtain());
        waiting
    }

    /// Does `work`, which writes, while no line of ours is on the terminal.
    fn alone<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        match self.curtain.clone() {
            Some(curtain) => curtain.during(|| work(self)),
            None => work(self),
        }
    }

    /// Columns that data on stdout should fit into; `None` where stdout is no terminal.
    pub fn fitted(&self) -> Option<usize> {
        terminal_size::terminal_size_of(stdout()).map(|(columns, _)| usize::from(columns.0))
    }

    /// Writes data to stdout, without secrets.
    pub fn data(&mut self, text: &str) -> Result<(), CommandError> {
        let text = self.safe(text);
        let written = self.alone(|ui| match &mut ui.plain {
            Some(plain) if is_plain(&text) => plain.write_all(text.as_bytes()).and_then(|()| plain.flush()),
            _ => ui.out.write_all(text.as_bytes()).and_then(|()| ui.out.flush()),
        });
        written.map_err(|error| match CommandError::from(error) {
            broken if broken.kind == Kind::BrokenPipe => broken,
            other => CommandError { message: format!("cannot write to standard output: {}", other.message), ..other },
        })
    }

    /// Writes bytes of a file or a blob to stdout, without secrets.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), CommandError> {
        let bytes = self.redactor.redact_bytes(bytes);
        self.alone(|ui| ui.out.write_all(&bytes).and_then(|()| ui.out.flush())).map_err(CommandError::from)
    }

    /// A text without secrets, and with nothing in it that a terminal would obey but line ends, tabs and colours, which the stream
    /// takes out where they are not wanted. Whoever makes a text escapes what is foreign in it; this is the net below them.
    fn safe(&self, text: &str) -> String {
        let text = self.redactor.redact(text);
        if is_plain(&text) || !text.chars().any(is_unsafe) {
            return text;
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(at) = rest.find('\u{1b}') {
            out.push_str(&escape(&rest[..at]));
            let length = color_length(&rest[at..]);
            match length {
                0 => out.push_str(&escape("\u{1b}")),
                _ => out.push_str(&rest[at..at + length]),
            }
            rest = &rest[at + length.max(1)..];
        }
        out.push_str(&escape(rest));
        out
    }

    /// Says on stderr what was done; silent with `--quiet`.
    pub fn status(&mut self, line: &str) {
        if self.loudness >= Loudness::Normal {
            self.message(line);
        }
    }

    /// Says a detail on stderr; only with `--verbose`.
    pub fn detail(&mut self, line: &str) {
        if self.loudness >= Loudness::Verbose {
            self.message(line);
        }
    }

    /// Warns on stderr.
    pub fn warning(&mut self, line: &str) {
        self.labelled("warning:", AnsiColor::Yellow, line);
    }

    /// Shows one error of several on stderr; the command ends with a [`CommandError`] afterwards.
    pub fn problem(&mut self, line: &str) {
        self.labelled("error:", AnsiColor::Red, line);
    }

    /// Names what to do next, on stderr; silent with `--quiet`.
    pub fn hint(&mut self, line: &str) {
        if self.loudness >= Loudness::Normal {
            self.labelled("hint:", AnsiColor::Cyan, line);
        }
    }

    /// Writes text to stderr whatever the loudness, with a line end.
    pub fn message(&mut self, text: &str) {
        // A terminal that went away must not end the work.
        let text = self.safe(text);
        let text = text.trim_end_matches('\n');
        drop(self.alone(|ui| writeln!(ui.err, "{text}").and_then(|()| ui.err.flush())));
    }

    /// Shows an error with causes and hint.
    pub fn error(&mut self, error: &CommandError) {
        if error.kind == Kind::BrokenPipe {
            return;
        }
        self.labelled("error:", AnsiColor::Red, &error.message);
        if !error.causes.is_empty() {
            self.message("\nCaused by:");
            for cause in &error.causes {
                self.message(&format!("    {}", escape(cause)));
            }
            self.message("");
        }
        if let Some(hint) = &error.hint {
            self.labelled("hint:", AnsiColor::Cyan, hint);
        }
    }

    /// Asks a question with numbered answers; `None` when nobody can be asked, or on end of input. The answer is 0-based.
    pub fn choose(&mut self, question: &str, answers: &[&str]) -> Option<usize> {
        if !self.interactive {
            return None;
        }
        self.message(&escape(question));
        for (index, answer) in answers.iter().enumerate() {
            self.message(&format!("  {}) {}", index + 1, escape(answer)));
        }
        loop {
            let answer = self.prompt(&format!("1-{}: ", answers.len()))?;
            match answer.parse::<usize>() {
                Ok(number) if (1..=answers.len()).contains(&number) => return Some(number - 1),
                _ => self.message(&format!("please answer with a number from 1 to {}", answers.len())),
            }
        }
    }

    /// Asks yes or no; `false` when nobody can be asked.
    pub fn confirm(&mut self, question: &str) -> bool {
        if !self.interactive {
            return false;
        }
        let answer = self.prompt(&format!("{} [y/N] ", escape(question)));
        answer.is_some_and(|answer| matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    fn prompt(&mut self, prompt: &str) -> Option<String> {
        self.alone(|ui| {
            ui.err.write_all(prompt.as_bytes()).and_then(|()| ui.err.flush()).ok()?;
            let mut line = String::new();
            match stdin().lock().read_line(&mut line) {
                Ok(0) | Err(_) => None,
                Ok(_) => Some(line.trim().to_owned()),
            }
        })
    }

    fn labelled(&mut self, label: &str, color: AnsiColor, text: &str) {
        let style = Style::new().bold().fg_color(Some(color.into()));
        self.message(&format!("{style}{label}{style:#} {}", escape(text)));
    }
}

/// The terminal on stderr at this moment; `stopped` says once that the process was stopped and goes on.
pub fn look(stopped: &AtomicBool) -> Terminal {
    let (columns, rows) = terminal_size::terminal_size_of(stderr())
        .map_or((80, 24), |(columns, rows)| (usize::from(columns.0), usize::from(rows.0)));
    // Where nobody says whose the terminal is, there is no shell to share it with.
    let foreground = tcgetpgrp(stderr()).map_or(true, |group| group == getpgrp());
    Terminal { columns: columns.max(1), rows: rows.max(1), foreground, disturbed: stopped.swap(false, Relaxed) }
}

/// Length of the colour that a text begins with, 0 = it begins with something else.
fn color_length(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("\u{1b}[") else { return 0 };
    let codes = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
    if rest.as_bytes().get(codes) == Some(&b'm') { codes + 3 } else { 0 }
}

/// Replaces Rust's panic message by one sentence for people; the process goes on to exit with 70.
pub fn say_panics_in_one_sentence() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let what = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        let place = panic.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
        let text = format!("error: internal fault{place}: {}\nhint: this is a bug; please report it", escape(what));
        // Nothing is left to do when even this cannot be written.
        drop(writeln!(stderr(), "{text}"));
    }));
}

/// Whether a text is printable ASCII and line ends only: the quick answer for most of what is large.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_colours_of_ours_and_nothing_else_to_obey() {
        let mut ui = Ui::captured(Box::new(std::io::sink()), Box::new(std::io::sink()));
        ui.hide(Redactor::new(["a secret value".to_owned()]));
        let text = "\u{1b}[1;31mred\u{1b}[0m \u{1b}]0;x\u{7} \u{1b}[2J \u{9b}1m \u{202e}\n\ta secret value";
        let shown = "\u{1b}[1;31mred\u{1b}[0m \\x1b]0;x\\x07 \\x1b[2J \\x9b1m \\u202e\n\t[redacted]";
        assert_eq!(ui.safe(text), shown);
    }
}
