//! A story's text as lines: decoding, headings, code fences, comments, fields and places. Must not know what a story is.

use std::borrow::Cow;
use std::cell::Cell;

use crate::domain::diagnostic::{Diagnostic, Place};

/// Largest file that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// Longest line text kept in a place, in characters.
const SHOWN: usize = 200;

/// One line of a document.
pub(super) struct Line<'a> {
    /// The text without its line end.
    pub(super) text: &'a str,
    /// Whether it lies in a code fence (the fence lines included) or in a comment.
    pub(super) code: bool,
    /// 1 to 6 for a heading, else 0.
    pub(super) heading: u8,
}

/// A decoded document.
pub(super) struct Document<'a> {
    path: &'a str,
    /// All lines.
    pub(super) lines: Vec<Line<'a>>,
    /// Lines of the front matter between its delimiters.
    pub(super) front: std::ops::Range<usize>,
    /// Last column that was computed: line, byte, column. Keeps many places on one long line linear.
    cursor: Cell<(usize, usize, u32)>,
}

/// Decodes bytes; `None` when there is no text to work with.
pub(super) fn decode<'b>(path: &str, bytes: &'b [u8], found: &mut Vec<Diagnostic>) -> Option<Cow<'b, str>> {
    if bytes.len() > MAX_BYTES {
        found.push(Diagnostic::error("too-large", "larger than 1 MiB").at(Place::file(path)));
        return None;
    }
    if bytes.starts_with(&[0xff, 0xfe]) && bytes.contains(&0) || bytes.starts_with(&[0xfe, 0xff]) {
        let finding = Diagnostic::error("unreadable", "UTF-16, not UTF-8").at(Place::file(path));
        found.push(finding.hint("save the file as UTF-8"));
        return None;
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        found.push(Diagnostic::error("unreadable", format!("NUL at byte {at}")).at(byte_place(path, bytes, at)));
        return None;
    }
    let body = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(body) {
        Ok(text) => Some(Cow::Borrowed(text)),
        Err(error) => {
            let at = error.valid_up_to() + bytes.len() - body.len();
            let finding = Diagnostic::error("unreadable", format!("not UTF-8 at byte {at}"));
            found.push(finding.at(byte_place(path, bytes, at)).hint("save the file as UTF-8"));
            Some(String::from_utf8_lossy(body))
        }
    }
}

/// The place of a byte in text that is not UTF-8 as a whole.
fn byte_place(path: &str, bytes: &[u8], at: usize) -> Place {
    let before = &bytes[..at];
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let end = bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |newline| at + newline);
    let start = if start == 0 && bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { start };
    let lines = before.split(|byte| *byte == b'\n').count();
    let text = String::from_utf8_lossy(&bytes[start..end.max(start)]);
    let column = String::from_utf8_lossy(&bytes[start..at.max(start)]).chars().count();
    Place {
        path: path.to_owned(),
        line: small(lines),
        column: small(column + 1),
        text: text.trim_end_matches('\r').chars().take(SHOWN).collect(),
        width: 1,
    }
}

/// A count as it is kept in places; files are at most 1 MiB, so nothing is cut.
pub(super) fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Byte offset of `part`, a slice of `whole`.
pub(super) fn offset(whole: &str, part: &str) -> usize {
    part.as_ptr().addr().saturating_sub(whole.as_ptr().addr()).min(whole.len())
}

impl<'a> Document<'a> {
    /// Splits text into lines and marks headings, code and comments.
    pub(super) fn new(path: &'a str, text: &'a str, found: &mut Vec<Diagnostic>) -> Self {
        let lines = text.split('\n').map(|line| Line {
            text: line.strip_suffix('\r').unwrap_or(line),
            code: false,
            heading: 0,
        });
        let mut document = Self { path, lines: lines.collect(), front: 0..0, cursor: Cell::new((0, 0, 1)) };
        let body = document.mark_front(found);
        document.mark_code(body, found);
        for line in document.lines.iter_mut().skip(body).filter(|line| !line.code) {
            line.heading = heading_level(line.text);
        }
        document
    }

    fn mark_front(&mut self, found: &mut Vec<Diagnostic>) -> usize {
        if self.lines.first().is_none_or(|line| line.text.trim_end() != "---") {
            return 0;
        }
        let closing = |line: &Line<'_>| matches!(line.text.trim_end(), "---" | "...");
        let Some(end) = self.lines.iter().skip(1).position(closing).map(|index| index + 1) else {
            let finding = Diagnostic::error("front-matter", "front matter is not closed").at(self.line_place(0));
            found.push(finding.hint("end it with a line `---`"));
            return 0;
        };
        self.front = 1..end;
        for line in &mut self.lines[..=end] {
            line.code = true;
        }
        end + 1
    }

    fn mark_code(&mut self, body: usize, found: &mut Vec<Diagnostic>) {
        self.mark_comments(body);
        let fences: Vec<(usize, Fence)> = (body..self.lines.len())
            .filter(|index| !self.lines[*index].code)
            .filter_map(|index| Fence::parse(self.lines[index].text).map(|fence| (index, fence)))
            .collect();
        let (mut blocks, open) = pair(&fences, Reading::Strict);
        if open.is_some() {
            let (recovered, stray) = pair(&fences, Reading::Recovering);
            blocks = recovered;
            if let Some(line) = stray {
                let finding = Diagnostic::warning("unbalanced-fence", "unbalanced code fence");
                found.push(finding.at(self.line_place(line)).hint("close it, or remove this line"));
            }
        }
        for (start, end) in blocks {
            for line in &mut self.lines[start..=end] {
                line.code = true;
            }
        }
    }

    /// Whole lines inside `<!-- ... -->` say nothing.
    fn mark_comments(&mut self, body: usize) {
        let mut open = None;
        let mut fence: Option<Fence> = None;
        let mut hidden: Vec<usize> = Vec::new();
        for (index, line) in self.lines.iter().enumerate().skip(body) {
            if let Some(mark) = Fence::parse(line.text).filter(|_| open.is_none()) {
                fence = match fence {
                    Some(first) if mark.closes(first) => None,
                    Some(first) => Some(first),
                    None => Some(mark),
                };
            }
            if fence.is_none() && open.is_none() && line.text.trim_start().starts_with("<!--") {
                open = Some(hidden.len());
            }
            if open.is_some() {
                hidden.push(index);
                if line.text.contains("-->") {
                    open = None;
                }
            }
        }
        // A comment that never ends hides only its first line.
        if let Some(kept) = open {
            hidden.truncate(kept + 1);
        }
        for index in hidden {
            self.lines[index].code = true;
        }
    }

    /// Path of the file.
    pub(super) fn path(&self) -> &'a str {
        self.path
    }

    /// The text of a heading line without its marks.
    pub(super) fn heading_text(&self, index: usize) -> &'a str {
        self.lines[index].text.trim().trim_matches('#').trim()
    }

    /// The place of a part of a line.
    pub(super) fn place(&self, index: usize, part: &str) -> Place {
        let text = self.lines[index].text;
        let start = offset(text, part);
        let width = part.chars().take(SHOWN).count().max(1);
        Place {
            path: self.path.to_owned(),
            line: small(index + 1),
            column: self.column(index, start),
            text: text.chars().take(SHOWN).collect(),
            width: small(width),
        }
    }

    /// The place of a whole line.
    pub(super) fn line_place(&self, index: usize) -> Place {
        self.place(index, self.lines[index].text.trim())
    }

    fn column(&self, index: usize, byte: usize) -> u32 {
        let (line, at, column) = self.cursor.get();
        let (from, column) = if line == index && at <= byte { (at, column) } else { (0, 1) };
        let text = self.lines[index].text;
        let column = column + small(text.get(from..byte).map_or(0, |between| between.chars().count()));
        self.cursor.set((index, byte, column));
        column
    }
}

/// A line that opens or closes a code block.
#[derive(Clone, Copy)]
struct Fence {
    mark: u8,
    length: usize,
    info: bool,
}

impl Fence {
    fn parse(text: &str) -> Option<Self> {
        let body = text.trim_start();
        let mark = *body.as_bytes().first()?;
        if mark != b'`' && mark != b'~' {
            return None;
        }
        let length = body.bytes().take_while(|byte| *byte == mark).count();
        let info = body[length..].trim();
        (length >= 3 && !(mark == b'`' && info.contains('`'))).then_some(Self { mark, length, info: !info.is_empty() })
    }

    fn closes(self, open: Self) -> bool {
        self.mark == open.mark && self.length >= open.length && !self.info
    }
}

/// How fences that do not pair are read.
#[derive(Clone, Copy, PartialEq)]
enum Reading {
    /// As CommonMark says: everything up to the closing fence is code.
    Strict,
    /// An opening fence inside a block means that the block's own opening was stray.
    Recovering,
}

/// Blocks as first and last line, and the first fence without a partner.
fn pair(fences: &[(usize, Fence)], reading: Reading) -> (Vec<(usize, usize)>, Option<usize>) {
    let mut blocks = Vec::new();
    let mut stray = None;
    let mut open: Option<(usize, Fence)> = None;
    for (index, fence) in fences {
        match open {
            None => open = Some((*index, *fence)),
            Some((start, first)) if fence.closes(first) => {
                blocks.push((start, *index));
                open = None;
            }
            Some((start, _)) if reading == Reading::Recovering && fence.info => {
                stray = stray.or(Some(start));
                open = Some((*index, *fence));
            }
            Some(_) => {}
        }
    }
    (blocks, stray.or(open.map(|(start, _)| start)))
}

fn heading_level(text: &str) -> u8 {
    let body = text.trim_start();
    if !body.starts_with('#') || text.len() - body.len() > 3 {
        return 0;
    }
    let level = body.bytes().take_while(|byte| *byte == b'#').count();
    let spaced = body.as_bytes().get(level).is_none_or(u8::is_ascii_whitespace);
    if level <= 6 && spaced { u8::try_from(level).unwrap_or(0) } else { 0 }
}

/// Text without emphasis marks around it and trailing colons.
pub(super) fn plain(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '*' | '_' | '`' | ':'))
}

/// The first `limit` characters.
pub(super) fn cut(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}
