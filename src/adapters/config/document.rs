//! A TOML file with its places: parsing, and errors that name file, line and column. Must not know any key.

use std::ops::Range;

use serde::de::Error as _;
use toml::Spanned;
use toml::de::DeTable;

use crate::domain::diagnostic::{Diagnostic, Place};

/// The largest configuration file that is read, in bytes.
const LIMIT: usize = 1024 * 1024;

/// The text of a file and its name for people.
#[derive(Clone, Debug)]
pub(super) struct Document<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
}

impl<'a> Document<'a> {
    /// The text, when it is one.
    pub(super) fn open(name: &'a str, bytes: &'a [u8]) -> Result<Self, Box<Diagnostic>> {
        let invalid = |message: String| Box::new(Diagnostic::error("config", message).at(Place::file(name)));
        if bytes.len() > LIMIT {
            return Err(invalid("larger than 1 MiB".to_owned()));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|error| invalid(format!("not UTF-8 at byte {}", error.valid_up_to())))?;
        Ok(Self { name, text: text.strip_prefix('\u{feff}').unwrap_or(text) })
    }

    /// The tables of the file.
    pub(super) fn parse(&self) -> Result<Spanned<DeTable<'a>>, Box<Diagnostic>> {
        let nested = || toml::de::Error::custom("nested too deeply");
        if self.text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() > 20_000 {
            return Err(Box::new(Diagnostic::error("config", nested().message()).at(Place::file(self.name))));
        }
        DeTable::parse(self.text).map_err(|error| {
            let place = error.span().map_or_else(|| Place::file(self.name), |span| self.place(span));
            let message = error.message().lines().next().unwrap_or("invalid TOML").to_owned();
            Box::new(Diagnostic::error("config", message).at(place).hint("the file must be TOML: https://toml.io"))
        })
    }

    /// Line, column and text of a span of bytes.
    pub(super) fn place(&self, span: Range<usize>) -> Place {
        let start = floor(self.text, span.start);
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = self.text[line_start..].lines().next().unwrap_or_default();
        let end = floor(self.text, span.end).clamp(start, (line_start + line.len()).max(start));
        Place {
            path: self.name.to_owned(),
            line: number(before.bytes().filter(|byte| *byte == b'\n').count() + 1),
            column: number(self.text[line_start..start].chars().count() + 1),
            text: line.chars().take(200).collect(),
            width: number(self.text[start..end].chars().count().max(1)),
        }
    }
}

/// The nearest character boundary at or before a byte offset.
fn floor(text: &str, offset: usize) -> usize {
    let offset = offset.min(text.len());
    (0..=offset).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_toml_is_shown_where_it_breaks() {
        let document = Document::open(".orchestrate.toml", b"[run]\njobs = = 3\n").unwrap();
        let place = document.parse().unwrap_err().place.unwrap();
        assert_eq!((place.line, place.column, place.text.as_str()), (2, 8, "jobs = = 3"));
    }

    #[test]
    fn bytes_that_are_no_text_are_counted() {
        let error = Document::open("x", b"[run]\n\xff").unwrap_err();
        assert_eq!(error.message, "not UTF-8 at byte 6");
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_crash() {
        for text in [format!("a = {}", "[".repeat(100_000)), format!("a = {}", "[".repeat(10_000))] {
            assert!(Document::open("x", text.as_bytes()).unwrap().parse().is_err());
        }
    }
}
