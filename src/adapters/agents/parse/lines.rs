//! Cuts a stream of bytes into lines, in bounded memory however long a line is. Must not know any client.
//!
//! A line that begins with `{` is an event. Of its strings only the first [`STRING`] bytes are kept, and once it is longer
//! than [`LINE`] whole containers go, from the one that was being read on: what remains is JSON with the same keys on top,
//! so that the small fields behind a text of many megabytes are still found. Any other line is text, and its beginning is
//! kept. A NUL byte ends a line as well: it is what a hole in a log reads as.

/// Bytes of one string that are kept.
pub(super) const STRING: usize = 64 * 1024;

/// Bytes of one event that are kept.
pub(super) const LINE: usize = 1024 * 1024;

/// Bytes of a line of text that are kept.
pub(super) const TEXT: usize = 4096;

/// Deepest nesting that is read; deeper ones are no event of any client.
const DEPTH: usize = 100;

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A JSON object, perhaps broken.
    Event {
        /// What is kept of it.
        json: Vec<u8>,
        /// Fields on top of which something was left out.
        cut: Vec<String>,
    },
    /// Anything else that is not empty.
    Text(String),
}

/// Where in the line we are.
#[derive(Debug, PartialEq, Eq)]
enum At {
    /// Nothing but blanks so far.
    Start,
    /// In a line of text.
    Text,
    /// In an event.
    Event,
    /// In what is not read at all.
    Skipped,
}

/// An open container.
#[derive(Debug)]
struct Open {
    close: u8,
    /// Length of the kept bytes behind its last whole element.
    whole: usize,
}

/// The cutter.
#[derive(Debug)]
pub(super) struct Lines {
    at: At,
    kept: Vec<u8>,
    open: Vec<Open>,
    /// Containers open inside the one that is being left out; `None` = nothing is.
    leaving_out: Option<usize>,
    in_string: bool,
    /// Bytes of the present string so far that were kept.
    string: usize,
    /// Bytes still to come of an escape, the backslash not counted.
    escape: u8,
    /// Where the last escape begins.
    escape_at: usize,
    /// The last string that ended on the first level: perhaps a key.
    last: (usize, usize),
    key: String,
    cut: Vec<String>,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            at: At::Start,
            kept: Vec::new(),
            open: Vec::new(),
            leaving_out: None,
            in_string: false,
            string: 0,
            escape: 0,
            escape_at: 0,
            last: (0, 0),
            key: String::new(),
            cut: Vec::new(),
        }
    }
}

impl Lines {
    /// Takes the next bytes; `each` gets every line that they end.
    pub(super) fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(Line)) {
        let mut rest = bytes;
        while let Some((&byte, behind)) = rest.split_first() {
            if matches!(byte, b'\n' | 0) {
                self.end(each);
                rest = behind;
                continue;
            }
            let run = self.run(rest);
            if run > 0 {
                self.take_run(&rest[..run]);
                rest = &rest[run..];
            } else {
                self.take(byte);
                rest = behind;
            }
        }
    }

    /// What is there of the present line is the end of one whose beginning is not known: it is forgotten.
    pub(super) fn forget(&mut self) {
        *self = Self { at: At::Skipped, ..Self::default() };
    }

    /// The present line ends, or the stream does.
    pub(super) fn end(&mut self, each: &mut dyn FnMut(Line)) {
        let line = std::mem::take(self);
        match line.at {
            At::Event => each(Line::Event { json: line.kept, cut: line.cut }),
            At::Text => each(Line::Text(String::from_utf8_lossy(&line.kept).trim_end().to_owned())),
            At::Start | At::Skipped => {}
        }
    }

    /// Length of the bytes at the front that need no look each: inside a string, or outside of events.
    fn run(&self, bytes: &[u8]) -> usize {
        let ends = |special: fn(u8) -> bool| bytes.iter().position(|byte| special(*byte)).unwrap_or(bytes.len());
        match self.at {
            At::Text | At::Skipped => ends(|byte| matches!(byte, b'\n' | 0)),
            At::Event if self.in_string && self.escape == 0 => ends(|byte| matches!(byte, b'"' | b'\\' | b'\n' | 0)),
            At::Event | At::Start => 0,
        }
    }

    fn take_run(&mut self, run: &[u8]) {
        let room = match self.at {
            At::Skipped | At::Start => 0,
            At::Text => TEXT.saturating_sub(self.kept.len()),
            At::Event if self.leaving_out.is_some() => 0,
            At::Event => {
                let room = STRING.saturating_sub(self.string);
                if room < run.len() {
                    self.note_cut();
                }
                room
            }
        };
        let kept = &run[..room.min(run.len())];
        self.kept.extend_from_slice(kept);
        self.string += kept.len();
        self.bound();
    }

    fn take(&mut self, byte: u8) {
        match self.at {
            At::Start if byte == b'{' => {
                self.at = At::Event;
                self.structure(byte);
            }
            At::Start if byte.is_ascii_whitespace() => {}
            At::Start => {
                self.at = At::Text;
                self.kept.push(byte);
            }
            At::Event if self.in_string => self.in_string(byte),
            At::Event => self.structure(byte),
            At::Text | At::Skipped => {}
        }
        self.bound();
    }

    fn in_string(&mut self, byte: u8) {
        if self.escape > 0 {
            self.escape = if self.escape == 5 && byte != b'u' { 0 } else { self.escape - 1 };
            self.keep_of_string(byte);
        } else if byte == b'\\' {
            self.escape = 5;
            self.escape_at = self.kept.len();
            self.keep_of_string(byte);
        } else {
            // Only the closing quote is left: everything else is part of a run.
            self.in_string = false;
            if self.leaving_out.is_none() {
                self.close_string();
            }
        }
    }

    fn keep_of_string(&mut self, byte: u8) {
        if self.leaving_out.is_some() {
            return;
        }
        if self.string < STRING {
            self.kept.push(byte);
            self.string += 1;
        } else {
            self.note_cut();
        }
    }

    fn close_string(&mut self) {
        if self.string >= STRING {
            self.drop_half_escape();
        }
        if self.open.len() == 1 {
            self.last = (self.kept.len() - self.string.min(self.kept.len()), self.kept.len());
        }
        self.kept.push(b'"');
    }

    /// An escape of which the second half was left out would swallow the quote.
    fn drop_half_escape(&mut self) {
        let Some([b'\\', rest @ ..]) = self.kept.get(self.escape_at..) else { return };
        let whole = match rest.first() {
            None => false,
            Some(b'u') => rest.len() >= 5,
            Some(_) => true,
        };
        if !whole {
            self.string -= self.kept.len() - self.escape_at;
            self.kept.truncate(self.escape_at);
        }
    }

    /// A byte outside of strings.
    fn structure(&mut self, byte: u8) {
        if byte == b'"' {
            self.in_string = true;
            self.string = 0;
            self.escape = 0;
            self.escape_at = usize::MAX;
        }
        if let Some(depth) = self.leaving_out {
            match byte {
                b'{' | b'[' => self.leaving_out = Some(depth + 1),
                b'}' | b']' if depth == 0 => {
                    self.leaving_out = None;
                    self.close();
                }
                b'}' | b']' => self.leaving_out = Some(depth - 1),
                _ => {}
            }
            return;
        }
        match byte {
            b'{' | b'[' if self.open.len() >= DEPTH => self.forget(),
            b'{' | b'[' => {
                self.kept.push(byte);
                let close = if byte == b'{' { b'}' } else { b']' };
                self.open.push(Open { close, whole: self.kept.len() });
            }
            b'}' | b']' => self.close(),
            b',' => {
                if let Some(open) = self.open.last_mut() {
                    open.whole = self.kept.len();
                }
                self.kept.push(byte);
            }
            b':' => {
                if self.open.len() == 1 {
                    let key = self.kept.get(self.last.0..self.last.1).unwrap_or_default();
                    self.key = String::from_utf8_lossy(&key[..key.len().min(64)]).into_owned();
                }
                self.kept.push(byte);
            }
            byte if byte.is_ascii_whitespace() => {}
            byte => self.kept.push(byte),
        }
    }

    /// A container ends. What is broken is made no better: whatever closes it closes it.
    fn close(&mut self) {
        match self.open.pop() {
            Some(open) => self.kept.push(open.close),
            None => self.forget(),
        }
    }

    fn note_cut(&mut self) {
        if !self.cut.contains(&self.key) && self.cut.len() < 16 {
            self.cut.push(self.key.clone());
        }
    }

    /// Gives up the container on the second level once the event is too long.
    fn bound(&mut self) {
        if self.at != At::Event || self.kept.len() <= LINE || self.leaving_out.is_some() {
            return;
        }
        let Some(second) = self.open.get(1) else { return self.forget() };
        self.kept.truncate(second.whole);
        self.leaving_out = Some(self.open.len() - 2);
        self.open.truncate(2);
        self.note_cut();
    }
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
