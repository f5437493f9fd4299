//! What is wrong with an input, where, and what to do: errors, warnings and information as data.
//! Must not print; `report::diagnostics` renders.

use serde::Serialize;

/// How bad a finding is. Errors start nothing (exit 2); `--strict` turns warnings into errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is started.
    Error,
    /// A start is allowed.
    Warning,
    /// Worth knowing.
    Info,
}

/// A place in a file, with the text needed to show it without reading the file again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Path relative to the repository root.
    pub path: String,
    /// 1-based line, 0 when the finding is about the whole file.
    pub line: u32,
    /// 1-based column in characters, 0 when the finding is about the whole line or file.
    pub column: u32,
    /// The line's text without its line end, cut at 200 characters; empty for a whole file.
    pub text: String,
    /// Length in characters of the marked part of the line.
    pub width: u32,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Stable machine name, e.g. `missing-dependency`.
    pub code: &'static str,
    /// Lower-case sentence without a final period.
    pub message: String,
    /// Where; `None` for findings about arguments.
    pub place: Option<Place>,
    /// Further places that belong to the finding (the other file with the same id, each edge of a cycle), with a label.
    pub related: Vec<(Place, String)>,
    /// What to do.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A finding without place or hint.
    pub fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        Self { severity, code, message: message.into(), place: None, related: Vec::new(), hint: None }
    }

    /// An error.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// A warning.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    /// An information.
    pub fn info(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Info, code, message)
    }

    /// Sets the place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Adds a further place.
    #[must_use]
    pub fn with_related(mut self, place: Place, label: impl Into<String>) -> Self {
        self.related.push((place, label.into()));
        self
    }

    /// Sets the hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Place {
    /// A whole file.
    pub fn file(path: impl Into<String>) -> Self {
        Self { path: path.into(), line: 0, column: 0, text: String::new(), width: 0 }
    }
}

/// Makes any text safe for a terminal: control bytes but line feed and tab, escape sequences, bidirectional marks and
/// invisible characters are shown as `\x1b`, `\u202e` or `\U000e0041`. Idempotent. The only rule of this kind: nothing else may decide
/// what a terminal can be shown.
pub fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let code = u32::from(c);
        let written = match code {
            _ if !is_unsafe(c) => {
                out.push(c);
                Ok(())
            }
            0..0x100 => write!(out, "\\x{code:02x}"),
            0x100..0x10000 => write!(out, "\\u{code:04x}"),
            _ => write!(out, "\\U{code:08x}"),
        };
        written.expect("writing to a string cannot fail");
    }
    out
}

/// Like [`escape`], for text that must stay on one line: line feeds and tabs are shown as well.
pub fn escape_line(text: &str) -> String {
    escape(text).replace('\n', "\\x0a").replace('\t', "\\x09")
}

/// Whether a terminal would obey the character or hide it, other than line feed and tab.
pub fn is_unsafe(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' => true,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        _ => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_are_visible() {
        assert_eq!(escape("a\u{1b}]0;x\u{7}b"), "a\\x1b]0;x\\x07b");
        assert_eq!(escape("\u{202e}\u{200b}\u{9b}"), "\\u202e\\u200b\\x9b");
        assert_eq!(escape("a\n\tb \u{e9}"), "a\n\tb \u{e9}");
        assert_eq!(escape("a\r\u{e0041}"), "a\\x0d\\U000e0041");
        assert_eq!(escape_line("a\nb"), "a\\x0ab");
    }

    proptest! {
        #[test]
        fn output_has_no_control_byte(text in any::<String>()) {
            let shown = escape(&text);
            prop_assert!(shown.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
            let hidden = ['\u{202e}', '\u{200b}', '\u{2066}', '\u{feff}'];
            prop_assert!(!shown.contains(hidden));
            prop_assert_eq!(escape(&shown), shown.clone());
            let broken = ['\n', '\t'];
            prop_assert!(!escape_line(&text).contains(broken));
        }
    }
}
