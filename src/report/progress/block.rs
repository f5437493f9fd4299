//! A block of lines at the end of what a terminal shows, drawn again and again in its place. Must not know what the lines say.

use std::io::Write;

use super::Out;
use crate::report::text::{append, columns};

/// The block. The cursor rests at the beginning of the line below it.
pub(super) struct Block {
    out: Out,
    /// Columns of each line as it was drawn last; none when nothing is on the screen.
    drawn: Vec<usize>,
}

impl Block {
    /// Draws on `writer`; nothing is drawn yet.
    pub(super) fn new(writer: Box<dyn Write>) -> Self {
        Self { out: Out(Some(writer)), drawn: Vec::new() }
    }

    /// What was drawn is left where it is, and the next block is drawn below: others may have written meanwhile.
    pub(super) fn forget(&mut self) {
        self.drawn.clear();
    }

    /// Takes the last block away and writes `above`, which stays, and `lines`, the next block, in one go. `width` is what the
    /// terminal has now: where it became narrower since, a terminal has broken the old lines, and they take more rows.
    pub(super) fn draw(&mut self, above: &[String], lines: &[String], width: usize) {
        let mut text = String::new();
        let rows: usize = self.drawn.iter().map(|columns| columns.div_ceil(width.max(1)).max(1)).sum();
        if rows > 0 {
            append(&mut text, format_args!("\u{1b}[{rows}A"));
        }
        if rows > 0 || !lines.is_empty() {
            text.push_str("\r\u{1b}[J");
        }
        for line in above.iter().chain(lines) {
            text.push_str(line);
            text.push('\n');
        }
        self.drawn = lines.iter().map(|line| visible(line)).collect();
        if !text.is_empty() {
            self.out.text(&text);
        }
    }
}

/// Columns of a line of ours, whose colours take none.
fn visible(line: &str) -> usize {
    let mut parts = line.split("\u{1b}[");
    let first = parts.next().map_or(0, columns);
    first + parts.map(|part| part.split_once('m').map_or(0, |(_, rest)| columns(rest))).sum::<usize>()
}

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;
