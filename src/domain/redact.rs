//! Takes secrets out of text that leaves: logs, records, the terminal. A secret is a value that was listed, in plain, JSON,
//! percent or base64 spelling, or something that has the shape of a key. Must not decide where text goes.
//!
//! Text is read as a stream: the same bytes give the same output, however they were cut into pieces. A piece ends before the
//! first byte that may belong to a secret whose end is not known yet: at most [`HELD_MOST`] bytes wait. What it cannot see: a
//! secret that is wrapped over lines, spelled backwards, or encrypted.

mod facts;
mod forms;
mod shapes;

use std::sync::{Arc, OnceLock};

use regex::bytes::Regex;
use serde::{Deserialize, Serialize};

use forms::Trie;
use shapes::{Found, Look, Then};

pub use forms::{LEAST, is_particular, looks_secret};

/// Bytes that may wait for the next piece, at most.
pub const HELD_MOST: usize = 2048;

/// Bytes before a place that its shape is judged by.
const HISTORY: usize = 32;

/// Bytes of a listed value that must be there before anything is taken out; the rest of a longer value is followed.
const HEAD: usize = 64;

/// Bytes of a listed value that are searched for in the first place.
const START: usize = 8;

/// Length up to which the body of a private key is taken out, in bytes.
const KEY_MOST: usize = 16 * 1024;

/// What is shown in place of a secret without a name.
pub const MARK: &str = "[redacted]";

/// A value that must not leave.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// What is shown in its place, e.g. the name of its variable; empty = nothing.
    pub name: String,
    /// The value.
    pub value: String,
}

impl std::fmt::Debug for Secret {
    /// The name only: a value that is printed by accident is what this file is against.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Secret({})", self.name)
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self { name: String::new(), value }
    }
}

/// The rules of a redactor; shared by its clones.
struct Rules {
    listed: Trie,
    /// Beginnings of everything that can be a secret.
    starts: Vec<Vec<u8>>,
    /// Length of the longest of them.
    longest: usize,
    /// Finds any of them; made when it is first needed.
    finder: OnceLock<Regex>,
}

impl Rules {
    fn finder(&self) -> &Regex {
        self.finder.get_or_init(|| {
            let any = self.starts.iter().map(|start| spelled(start)).collect::<Vec<_>>().join("|");
            Regex::new(&format!("(?-u){any}")).expect("escaped bytes are a pattern")
        })
    }
}

/// A stream of bytes on its way out.
#[derive(Clone)]
pub struct Redactor {
    rules: Arc<Rules>,
    /// Up to `HISTORY` bytes that are out already, then those that wait.
    buffer: Vec<u8>,
    /// How much of the buffer is out.
    done: usize,
    mode: Mode,
    #[cfg(test)]
    steps: u64,
}

/// What the next byte belongs to.
#[derive(Clone, Copy)]
enum Mode {
    /// Text, or the beginning of a secret.
    Text,
    /// The rest of a token.
    Token(fn(u8) -> bool),
    /// The rest of a listed value, from a node of the tree.
    Value(u32),
    /// The body of a private key, and its length so far.
    Key(usize),
}

impl std::fmt::Debug for Redactor {
    /// No values, and nothing of what waits.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Redactor({} beginnings)", self.rules.starts.len())
    }
}

impl Default for Redactor {
    fn default() -> Self {
        Self::new(std::iter::empty::<Secret>())
    }
}

impl Redactor {
    /// A redactor of listed values (`Secret`s, or plain `String`s) and of everything that has the shape of a key. Values of
    /// less than [`LEAST`] characters are not looked for: they would tear up ordinary text.
    pub fn new<S: Into<Secret>>(listed: impl IntoIterator<Item = S>) -> Self {
        let secrets: Vec<Secret> = listed.into_iter().map(Into::into).collect();
        let listed = Trie::of(&secrets);
        let mut starts = listed.starts(START);
        starts.extend(shapes::starts().map(|start| start.as_bytes().to_vec()));
        starts.sort();
        starts.dedup();
        let longest = starts.iter().map(Vec::len).max().unwrap_or(0);
        let rules = Arc::new(Rules { listed, starts, longest, finder: OnceLock::new() });
        Self::fresh(rules)
    }

    fn fresh(rules: Arc<Rules>) -> Self {
        let (buffer, done, mode) = (Vec::new(), 0, Mode::Text);
        Self {
            rules,
            buffer,
            done,
            mode,
            #[cfg(test)]
            steps: 0,
        }
    }

    /// Takes a piece of the stream; returns what can go out now.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.buffer.drain(..self.done.saturating_sub(HISTORY));
        self.done = self.done.min(HISTORY);
        self.buffer.extend_from_slice(bytes);
        self.advance(false)
    }

    /// Ends the stream; returns what was waiting. The next piece begins a new stream.
    pub fn finish(&mut self) -> Vec<u8> {
        let rest = self.advance(true);
        *self = Self::fresh(self.rules.clone());
        rest
    }

    /// A whole text without its secrets.
    pub fn redact(&self, text: &str) -> String {
        if !self.has_any(text) {
            return text.to_owned();
        }
        let bytes = self.redact_bytes(text.as_bytes());
        String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// Whether a text holds the beginning of anything that can be a secret.
    pub(super) fn has_any(&self, text: &str) -> bool {
        self.rules.finder().is_match(text.as_bytes())
    }

    /// A whole content without its secrets.
    pub fn redact_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = Self::fresh(self.rules.clone());
        let mut out = stream.push(bytes);
        out.extend(stream.finish());
        out
    }

    /// Name of the first listed value in a content, whatever its spelling; shapes do not count.
    pub fn listed_in(&self, bytes: &[u8]) -> Option<&str> {
        let mut at = 0;
        while let Some(next) = self.rules.finder().find_at(bytes, at) {
            if let Look::Found(Found { label: Some(label), .. }) = self.rules.listed.look(bytes, next.start(), true) {
                return Some(self.rules.listed.name(label));
            }
            at = next.start() + 1;
        }
        None
    }

    fn advance(&mut self, last: bool) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            let before = self.done;
            let waits = match self.mode {
                Mode::Text => self.text(last, &mut out),
                Mode::Token(fits) => self.swallow(fits),
                Mode::Value(node) => self.follow(node),
                Mode::Key(length) => self.key(length, last),
            };
            if waits || self.done == self.buffer.len() && before == self.done {
                return out;
            }
        }
    }

    /// Shows everything up to the next secret and begins to take that out. `true` = the rest must wait.
    fn text(&mut self, last: bool, out: &mut Vec<u8>) -> bool {
        let mut at = self.done;
        let mut unsure = self.unsure(at, last);
        loop {
            let next = self.rules.finder().find_at(&self.buffer, at).map_or(unsure, |found| found.start().min(unsure));
            if next == self.buffer.len() {
                self.show(next, out);
                return false;
            }
            match self.look(next, last) {
                Look::Found(found) => {
                    self.take_out(next, &found, out);
                    return false;
                }
                Look::More if !last => {
                    self.show(next, out);
                    return true;
                }
                Look::No | Look::More => at = next + 1,
            }
            if unsure < at {
                unsure = self.unsure(at, last);
            }
        }
    }

    fn take_out(&mut self, at: usize, found: &Found, out: &mut Vec<u8>) {
        self.show(at + found.shown, out);
        out.extend_from_slice(found.label.map_or(MARK, |label| self.rules.listed.label(label)).as_bytes());
        self.done += found.eaten;
        self.mode = match found.then {
            Then::Text => Mode::Text,
            Then::Token(fits) => Mode::Token(fits),
            Then::Value(node) => Mode::Value(node),
            Then::Key => Mode::Key(0),
        };
    }

    /// First place at the end of the buffer, not before `from`, where a beginning may be cut off.
    fn unsure(&self, from: usize, last: bool) -> usize {
        let end = self.buffer.len();
        if last {
            return end;
        }
        let cut_off = |at: &usize| {
            let rest = &self.buffer[*at..];
            self.rules.starts.iter().any(|start| start.len() > rest.len() && start.starts_with(rest))
        };
        (end.saturating_sub(self.rules.longest).max(from)..end).find(cut_off).unwrap_or(end)
    }

    /// A shape reaches as far as its characters go, a listed value as far as it is long; where both begin, both go.
    fn look(&mut self, at: usize, last: bool) -> Look {
        let listed = |at: usize| self.rules.listed.look(&self.buffer, at, last);
        let look = match shapes::look(&self.buffer, at, last) {
            Look::More => Look::More,
            Look::No => listed(at),
            Look::Found(shape) => match listed(at + shape.shown) {
                Look::No => Look::Found(shape),
                Look::More => Look::More,
                Look::Found(value) if matches!(value.then, Then::Value(_)) => {
                    Look::Found(Found { shown: shape.shown, ..value })
                }
                Look::Found(value) => {
                    Look::Found(Found { eaten: value.eaten.max(shape.eaten), label: value.label, ..shape })
                }
            },
        };
        #[cfg(test)]
        {
            self.steps += 1;
        }
        look
    }

    fn show(&mut self, to: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.buffer[self.done..to]);
        self.done = to;
    }

    /// Takes bytes out for as long as they fit.
    fn swallow(&mut self, fits: fn(u8) -> bool) -> bool {
        let rest = &self.buffer[self.done..];
        let end = rest.iter().position(|byte| !fits(*byte));
        self.done += end.unwrap_or(rest.len());
        if end.is_some() {
            self.mode = Mode::Text;
        }
        end.is_none()
    }

    fn follow(&mut self, mut node: u32) -> bool {
        while let Some(byte) = self.buffer.get(self.done) {
            let Some(next) = self.rules.listed.next(node, *byte) else {
                self.mode = Mode::Text;
                return false;
            };
            node = next;
            self.done += 1;
        }
        self.mode = Mode::Value(node);
        true
    }

    fn key(&mut self, mut length: usize, last: bool) -> bool {
        while self.done < self.buffer.len() {
            match shapes::in_key(&self.buffer[self.done..], last) {
                Some(true) if length < KEY_MOST => {}
                Some(_) => {
                    self.mode = Mode::Text;
                    return false;
                }
                None => break,
            }
            length += 1;
            self.done += 1;
        }
        self.mode = Mode::Key(length);
        true
    }
}

/// Bytes as a regular expression.
fn spelled(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
