//! Text for terminals: escaping, widths, colour, tables, times. Must not print.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

pub(crate) use crate::domain::diagnostic::escape_line as escape;
use crate::domain::diagnostic::is_unsafe;
use crate::domain::names::Timestamp;

/// Whether text may hold colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// Plain text.
    Off,
    /// ANSI sequences of our own.
    On,
}

/// What a colour means; never the only sign of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Done.
    Good,
    /// Failed.
    Bad,
    /// Needs attention.
    Warn,
    /// A command or path to use.
    Hint,
    /// A heading.
    Strong,
    /// Less important.
    Faint,
}

impl Color {
    /// On or off.
    pub fn of(on: bool) -> Self {
        if on { Self::On } else { Self::Off }
    }

    /// `text` in a tone.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let style = anstyle::Style::new();
        let style = match tone {
            Tone::Good => style.fg_color(Some(anstyle::AnsiColor::Green.into())),
            Tone::Bad => style.fg_color(Some(anstyle::AnsiColor::Red.into())).bold(),
            Tone::Warn => style.fg_color(Some(anstyle::AnsiColor::Yellow.into())),
            Tone::Hint => style.fg_color(Some(anstyle::AnsiColor::Cyan.into())),
            Tone::Strong => style.bold(),
            Tone::Faint => style.dimmed(),
        };
        match self {
            Self::On if !text.is_empty() => format!("{style}{text}{style:#}"),
            Self::On | Self::Off => text.to_owned(),
        }
    }
}

/// JSON text in which no string holds a character that a terminal would obey.
pub(crate) fn json_safe(json: &str) -> Cow<'_, str> {
    let unsafe_in_json = |char: char| char == '\t' || is_unsafe(char);
    let printable = |byte: u8| matches!(byte, b' '..=b'~' | b'\n');
    if json.bytes().all(printable) || !json.chars().any(unsafe_in_json) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 8);
    for char in json.chars() {
        if unsafe_in_json(char) {
            // Such characters occur inside strings only; the rest of JSON is plain ASCII.
            for unit in char.encode_utf16(&mut [0; 2]) {
                append(&mut out, format_args!("\\u{unit:04x}"));
            }
        } else {
            out.push(char);
        }
    }
    Cow::Owned(out)
}

/// Appends formatted text; writing to a `String` cannot fail.
pub(crate) fn append(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes any text");
}

/// Columns that a text takes on a terminal.
pub(crate) fn columns(text: &str) -> usize {
    text.width()
}

/// The beginning of a text in at most `limit` columns, with an ellipsis where something is missing.
pub(crate) fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    if columns(text) <= limit {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut used = 0;
    for char in text.chars() {
        let wide = char.width().unwrap_or(0);
        if used + wide + 1 > limit {
            break;
        }
        used += wide;
        out.push(char);
    }
    if limit > 0 {
        out.push('…');
    }
    Cow::Owned(out)
}

/// A text filled with spaces to `width` columns.
pub(crate) fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

/// RFC 3339 in UTC, to the millisecond where it is not whole: `2026-01-12T14:30:22Z`. Out of range: the nearest time.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    let range = |millis: i64| if millis < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_millisecond(at.0).unwrap_or_else(|_| range(at.0)).to_string()
}

/// RFC 3339 in UTC, whole seconds.
pub(crate) fn rfc3339_seconds(at: Timestamp) -> String {
    rfc3339(Timestamp(at.0.saturating_sub(at.0.rem_euclid(1000))))
}

/// A span for people: `0.4 s`, `42 s`, `3 m 05 s`, `2 h 07 m`.
pub(crate) fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0..=9 => format!("{}.{} s", seconds, millis % 1000 / 100),
        10..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Milliseconds from one time to another; none when the clock went back.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0)
}

/// A table in the making: cells hold safe text, the last column is never filled up.
pub(crate) struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// Columns of the longest cell; one endless title must not make every row endless.
const LONGEST: usize = 200;

/// What happens to text that is wider than its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It ends with an ellipsis.
    Cut,
    /// It goes on in the next line.
    Wrap,
}

impl Fit {
    fn apply(self, text: &str, limit: usize) -> Vec<Cow<'_, str>> {
        match self {
            Self::Cut => vec![cut(text, limit)],
            Self::Wrap if columns(text) <= limit => vec![Cow::Borrowed(text)],
            Self::Wrap => wrap(text, limit).into_iter().map(Cow::Owned).collect(),
        }
    }
}

/// Lines of at most `limit` columns (at least 2), broken at spaces, inside a word only where it is longer than a line.
pub(crate) fn wrap(text: &str, limit: usize) -> Vec<String> {
    let limit = limit.max(2);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if used > 0 && used + 1 + columns(word) <= limit {
            lines.last_mut().expect("there is always a line").push(' ');
            used += 1;
        } else if used > 0 {
            lines.push(String::new());
            used = 0;
        }
        for char in word.chars() {
            let wide = char.width().unwrap_or(0);
            if used + wide > limit {
                lines.push(String::new());
                used = 0;
            }
            lines.last_mut().expect("there is always a line").push(char);
            used += wide;
        }
    }
    lines
}

/// One cell.
pub(crate) struct Cell {
    text: String,
    tone: Option<Tone>,
}

impl Cell {
    /// Foreign text; it is escaped.
    pub(crate) fn new(text: &str) -> Self {
        Self { text: cut(&escape(text), LONGEST).into_owned(), tone: None }
    }

    /// The same in a tone.
    pub(crate) fn toned(text: &str, tone: Tone) -> Self {
        Self { tone: Some(tone), ..Self::new(text) }
    }
}

impl Table {
    /// A table with these column heads.
    pub(crate) fn new(heads: &[&'static str]) -> Self {
        Self { heads: heads.to_vec(), rows: Vec::new() }
    }

    /// Adds a row with one cell for each head.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.heads.len());
        self.rows.push(cells);
    }

    /// Lines of at most `width` columns; columns named in `shrink` give way in turn, widest first, down to 8 columns each.
    /// What does not fit is cut, or goes on in the next line where `fit` says so.
    pub(crate) fn render(&self, width: usize, shrink: &[&str], fit: Fit, color: Color) -> String {
        let widths = self.widths(width, shrink);
        let mut out = String::new();
        let heads = self.heads.iter().map(|head| Cell::toned(head, Tone::Strong)).collect();
        for row in std::iter::once(&heads).chain(&self.rows) {
            let cells = row.iter().zip(&widths);
            let parts: Vec<Vec<Cow<'_, str>>> = cells.map(|(cell, limit)| fit.apply(&cell.text, *limit)).collect();
            let lines = parts.iter().map(Vec::len).max().unwrap_or(0);
            for number in 0..lines {
                let mut line = String::new();
                for (at, cell) in row.iter().enumerate() {
                    let text = parts[at].get(number).map_or("", Cow::as_ref);
                    let fill = if at + 1 == row.len() { 0 } else { widths[at] + 2 - columns(text) };
                    match cell.tone {
                        Some(tone) => line.push_str(&color.paint(tone, text)),
                        None => line.push_str(text),
                    }
                    line.extend(std::iter::repeat_n(' ', fill));
                }
                out.push_str(line.trim_end());
                out.push('\n');
            }
        }
        out
    }

    fn widths(&self, width: usize, shrink: &[&str]) -> Vec<usize> {
        let mut widths: Vec<usize> = self.heads.iter().map(|head| columns(head)).collect();
        for row in &self.rows {
            for (limit, cell) in widths.iter_mut().zip(row) {
                *limit = (*limit).max(columns(&cell.text));
            }
        }
        let gaps = 2 * widths.len().saturating_sub(1);
        let may: Vec<usize> = (0..widths.len()).filter(|at| shrink.contains(&self.heads[*at])).collect();
        let mut excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(width);
        while excess > 0 {
            let Some(widest) = may.iter().copied().filter(|at| widths[*at] > 8).max_by_key(|at| widths[*at]) else {
                break;
            };
            widths[widest] -= 1;
            excess -= 1;
        }
        widths
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn json_stays_json_and_loses_no_character() {
        let text = "a\u{202e}\u{9b}\u{7f}\u{e0041}ü";
        let json = serde_json::to_string(text).unwrap();
        let safe = json_safe(&json);
        assert!(!safe.chars().any(is_unsafe));
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
    }

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(cut("日本語テキスト", 7), "日本語…");
        assert_eq!(columns(&cut("日本語テキスト", 7)), 7);
        assert_eq!(pad("日本", 6), "日本  ");
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("short", 0), "");
    }

    #[test]
    fn times_and_spans_are_readable() {
        assert_eq!(rfc3339(Timestamp(1_736_692_222_000)), "2025-01-12T14:30:22Z");
        assert_eq!(rfc3339_seconds(Timestamp(1_736_692_222_999)), "2025-01-12T14:30:22Z");
        assert_eq!([400, 42_000, 185_000, 7_620_000].map(span), ["0.4 s", "42 s", "3 m 05 s", "2 h 07 m"]);
        assert_eq!(between(Timestamp(5), Timestamp(3)), 0);
        assert!(!rfc3339(Timestamp(i64::MAX)).is_empty() && !rfc3339(Timestamp(i64::MIN)).is_empty());
        assert!(!rfc3339_seconds(Timestamp(i64::MIN)).is_empty());
    }

    #[test]
    fn wrapped_text_breaks_at_spaces_and_loses_no_word() {
        assert_eq!(wrap("Connect the payment provider", 12), ["Connect the", "payment", "provider"]);
        assert_eq!(wrap("abcdefgh ij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("日本語", 4), ["日本", "語"]);
        assert_eq!(wrap("", 4), [""]);
    }

    proptest! {
        #[test]
        fn wrapped_lines_keep_to_the_limit(text in ".*", limit in 2usize..40) {
            let shown = escape(&text);
            let lines = wrap(&shown, limit);
            prop_assert!(lines.iter().all(|line| columns(line) <= limit));
            let letters = |text: &str| text.chars().filter(|char| *char != ' ').collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&shown));
        }

        #[test]
        fn nothing_escaped_reaches_a_terminal_as_control(text in ".*", limit in 0usize..40) {
            let shown = escape(&text);
            prop_assert!(!shown.chars().any(is_unsafe));
            prop_assert!(columns(&cut(&shown, limit)) <= limit);
        }
    }
}
