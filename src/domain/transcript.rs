//! What an agent did and said, entry by entry, as its client tells it. Values only: must not read a client's format.

use serde::Serialize;

/// Longest text of an entry, in bytes.
pub const LONGEST: usize = 16 * 1024;

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A session began: its id, and the model.
    Session,
    /// A tool was used: its name and what on.
    Tool,
    /// A file was changed: its path.
    File,
    /// The agent said something.
    Message,
    /// The agent thought something.
    Thought,
    /// A tool was asked for, and allowed or refused.
    Permission,
    /// The client has something to say: a retry, a limit, an error.
    Notice,
    /// A line that is no event.
    Output,
    /// The client's own account of the end.
    End,
}

/// One entry. The text is as the client gave it: whoever shows it escapes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// What it is about.
    pub kind: Kind,
    /// The text, at most [`LONGEST`] bytes.
    pub text: String,
}

impl Entry {
    /// An entry; what is too long is cut.
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        let mut text: String = text.into();
        cut(&mut text, LONGEST);
        Self { kind, text }
    }
}

/// Shortens a text to at most `bytes` bytes, an ellipsis included, at a character's border.
pub fn cut(text: &mut String, bytes: usize) {
    if text.len() <= bytes {
        return;
    }
    let mut end = bytes.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push('…');
}
