//! Reads the story references at the start of one item of a dependency list. Must not decide what they mean for the story.

use super::name::{Lead, strip_word, token};
use crate::domain::id::ItemId;

/// Most ids that a range may stand for.
const RANGE_LIMIT: u64 = 500;

/// Which way a reference points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// This story waits for the other.
    Forward,
    /// The other waits for this one.
    Reverse,
}

/// What one reference names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// One or, by a range, several stories.
    Stories(Vec<ItemId>),
    /// A range that cannot be, and why.
    BadRange(&'static str),
    /// `01.X`.
    Placeholder,
}

/// One reference.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// As spelled.
    pub(super) text: &'a str,
    /// What it names.
    pub(super) named: Named,
    /// The bracketed remark behind it.
    pub(super) note: &'a str,
}

/// What an item of a list says.
#[derive(Debug, Default)]
pub(super) struct Reading<'a> {
    /// A leading verb ("Foundation for", "Requires").
    pub(super) verb: Option<Direction>,
    /// Story references at the start.
    pub(super) entries: Vec<Entry<'a>>,
    /// Text behind them.
    pub(super) tail: &'a str,
    /// Whether it names an epic or a task instead of stories.
    pub(super) other: bool,
}

const VERBS: [(&str, Direction); 26] = [
    ("this story depends on", Direction::Forward),
    ("this story requires", Direction::Forward),
    ("this story enables", Direction::Reverse),
    ("this story blocks", Direction::Reverse),
    ("this story unblocks", Direction::Reverse),
    ("story depends on", Direction::Forward),
    ("depends on", Direction::Forward),
    ("depend on", Direction::Forward),
    ("blocked by", Direction::Forward),
    ("requires", Direction::Forward),
    ("prerequisites", Direction::Forward),
    ("prerequisite", Direction::Forward),
    ("needs", Direction::Forward),
    ("builds on", Direction::Forward),
    ("after", Direction::Forward),
    ("foundation for", Direction::Reverse),
    ("required by", Direction::Reverse),
    ("required for", Direction::Reverse),
    ("provides to", Direction::Reverse),
    ("used by", Direction::Reverse),
    ("consumed by", Direction::Reverse),
    ("unblocks", Direction::Reverse),
    ("enables", Direction::Reverse),
    ("blocks", Direction::Reverse),
    ("precedes", Direction::Reverse),
    ("before", Direction::Reverse),
];

/// Reads the references at the start of `text`; `own` is the story they stand in.
pub(super) fn read<'a>(text: &'a str, own: &ItemId) -> Reading<'a> {
    let mut reading = Reading::default();
    let mut rest = skip_start(text);
    if let Some((after, direction)) = verb(rest) {
        reading.verb = Some(direction);
        rest = skip_start(after.trim_start_matches([':', ' ']));
    }
    if let Some(after) = strip_any(rest, &["epics", "epic", "\u{e9}pico"]) {
        let number = after.trim_start_matches([' ', '-']);
        let length = token(number, Lead::Upper).map_or(0, str::len);
        let behind = number[length..].trim_start_matches([',', ':', '-', ' ']);
        if !is_story_word(behind) {
            reading.other = length > 0;
            return reading;
        }
        rest = behind;
    }
    if let Some(after) = strip_any(rest, &["tasks", "task"]) {
        reading.other = after.trim_start_matches([' ', '-']).starts_with(|c: char| c.is_ascii_digit());
        return reading;
    }
    let own_prefix = own.prefix();
    let mut word = Word::Absent;
    loop {
        let (start, seen) = story_word(rest);
        word = if seen == Word::Absent { word } else { seen };
        let Some((mut entry, after)) = entry(start, word, &own_prefix) else { break };
        let (note, after) = note(after);
        entry.note = note;
        reading.entries.push(entry);
        rest = after;
        let Some(next) = separator(after) else { break };
        rest = skip_start(next);
    }
    reading.tail = rest;
    reading
}

/// Whether a text starts with a reference to a story.
pub(super) fn starts_with_story(text: &str, own: &ItemId) -> bool {
    let reading = read(text, own);
    reading.verb.is_none() && !reading.entries.is_empty()
}

/// Whether a text starts with an epic or a task.
pub(super) fn names_other(text: &str, own: &ItemId) -> bool {
    read(text, own).other
}

/// What may stand between the word and the id.
const AFTER: &[char] = &[' ', ':', '#', '-', '_', '\u{a0}', '\t', '*', '`', '['];

/// The form of the word "story" in front of ids.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Absent,
    One,
    Many,
}

fn is_story_word(text: &str) -> bool {
    story_word(text).1 != Word::Absent
}

fn story_word(text: &str) -> (&str, Word) {
    if let Some(rest) = strip_any(text, &["stories", "hist\u{f3}rias", "historias"]) {
        return (rest.trim_start_matches(AFTER), Word::Many);
    }
    if let Some(rest) = strip_any(text, &["story", "hist\u{f3}ria", "historia"]) {
        return (rest.trim_start_matches(AFTER), Word::One);
    }
    (text, Word::Absent)
}

fn strip_any<'a>(text: &'a str, words: &[&str]) -> Option<&'a str> {
    words.iter().find_map(|word| strip_word(text, word))
}

fn verb(text: &str) -> Option<(&str, Direction)> {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    VERBS.iter().find_map(|(verb, direction)| strip_word(text, verb).map(|rest| (rest, *direction)))
}

fn is_mark(c: char) -> bool {
    matches!(c, '*' | '_' | '`')
        || !c.is_ascii() && !c.is_alphanumeric() && !matches!(c, '\u{2013}' | '\u{2014}' | '\u{2192}')
}

fn skip_start(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_whitespace() || is_mark(c) || c == '[')
}

fn skip_after(text: &str) -> &str {
    text.trim_start_matches(|c: char| {
        c.is_whitespace() || is_mark(c) && !matches!(c, '\u{ff0c}' | '\u{3001}') || c == ']'
    })
}

fn entry<'a>(text: &'a str, word: Word, own_prefix: &str) -> Option<(Entry<'a>, &'a str)> {
    let token = token(text, Lead::Any)?;
    let after = &text[token.len()..];
    let done = |named, length: usize| Some((Entry { text: &text[..length], named, note: "" }, &text[length..]));
    if let Some(rest) = after.strip_prefix(['.', '-']) {
        let x = rest.strip_prefix(['x', 'X']);
        if x.is_some_and(|behind| !behind.starts_with(char::is_alphanumeric)) {
            return done(Named::Placeholder, token.len() + 2);
        }
        let file_name = rest.split(char::is_whitespace).next().is_some_and(|name| name.contains(".md"));
        if rest.starts_with(char::is_alphanumeric) && !file_name {
            return None;
        }
    }
    if after.starts_with(['/', '\\', '%', '=']) {
        return None;
    }
    if let Some((first, last)) = split_range(token, word) {
        return done(range(first, last), token.len());
    }
    let first = story(token, word, own_prefix)?;
    if let Some((last, length)) = spaced_range(after, token) {
        return done(range(token, last), token.len() + length);
    }
    done(Named::Stories(vec![first]), token.len())
}

/// `18.1-18.5` is a range, not an id; `5-7` only behind the word "Stories".
fn split_range(token: &str, word: Word) -> Option<(&str, &str)> {
    let dotted = token.match_indices('-').find_map(|(at, _)| {
        let (first, last) = (&token[..at], &token[at + 1..]);
        (first.contains('.') && last.contains('.')).then_some((first, last))
    });
    let plain =
        || token.split_once('-').filter(|(_, last)| word == Word::Many && !token.contains('.') && !last.contains('-'));
    dotted.or_else(plain)
}

/// `1.1 - 1.5`, `1.1–1.5`, `1.1 through 1.5`: the last id and the length up to its end.
fn spaced_range<'a>(after: &'a str, first: &str) -> Option<(&'a str, usize)> {
    let body = after.trim_start();
    let rest = body
        .strip_prefix(['\u{2013}', '~', '-'])
        .or_else(|| body.strip_prefix(".."))
        .or_else(|| strip_any(body, &["through", "thru", "to"]))?;
    let rest = skip_start(rest);
    let (rest, _) = story_word(rest);
    let last = token(rest, Lead::Any)?;
    let behind = &rest[last.len()..];
    let same = last.matches(['.', '-']).count() == first.matches(['.', '-']).count();
    let whole = !behind.starts_with(char::is_alphanumeric) && !behind.starts_with('-');
    (same && first.contains('.') && whole).then(|| (last, after.len() - behind.len()))
}

fn range(first: &str, last: &str) -> Named {
    let (Some(low), Some(high)) = (ItemId::parse(first), ItemId::parse(last)) else {
        return Named::BadRange("an end is not a story id");
    };
    if low.depth() != high.depth() || low.parent() != high.parent() {
        return Named::BadRange("its ends are not of one epic");
    }
    if high < low {
        return Named::BadRange("it ends before it starts");
    }
    ItemId::expand(&low, &high, RANGE_LIMIT).map_or(Named::BadRange("it is too long"), Named::Stories)
}

/// A story id: dotted numbers, anything behind the word "Story", or an id with the story's own prefix.
fn story(token: &str, word: Word, own_prefix: &str) -> Option<ItemId> {
    let id = ItemId::parse(token)?;
    let prefix = id.prefix();
    if !prefix.is_empty() {
        if prefix == own_prefix {
            return Some(id);
        }
        return (prefix == "story" || word != Word::Absent).then(|| id.without_prefix()).flatten();
    }
    if word != Word::Absent {
        // "story-002" in a set whose ids are STORY-001, STORY-002.
        if own_prefix == "story" && id.depth() == 1 {
            return ItemId::parse(&format!("story.{token}"));
        }
        return Some(id);
    }
    let digit = token.starts_with(|c: char| c.is_ascii_digit());
    (id.depth() > 1 && (digit || own_prefix.is_empty() && token.contains('-') && token.starts_with(char::is_uppercase)))
        .then_some(id)
}

/// The bracketed remark at the start of a text, and what follows.
fn note(text: &str) -> (&str, &str) {
    let body = text.trim_start_matches('+');
    let body = skip_after(body);
    if !body.starts_with('(') {
        return ("", body);
    }
    let mut depth = 0_usize;
    for (at, byte) in body.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => {
                depth -= 1;
                if depth == 0 {
                    let (note, after) = (&body[1..at], skip_after(&body[at + 1..]));
                    // A link target is followed by the remark.
                    if after.starts_with('(') && !note.contains(' ') {
                        return note_again(after);
                    }
                    return (note, after);
                }
            }
            _ => {}
        }
    }
    ("", &body[body.len()..])
}

fn note_again(body: &str) -> (&str, &str) {
    body.find(')').map_or(("", body), |end| (&body[1..end], skip_after(&body[end + 1..])))
}

fn separator(text: &str) -> Option<&str> {
    let comma = text.strip_prefix([',', ';', '&', '/', '+', '\u{ff0c}', '\u{3001}']);
    let comma = comma.map(|rest| strip_any(rest.trim_start(), &["and", "or"]).unwrap_or(rest));
    comma.or_else(|| strip_any(text, &["and", "und", "et", "e", "y", "i"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Vec<String> {
        ids_of(text, "9.9")
    }

    fn ids_of(text: &str, own: &str) -> Vec<String> {
        let reading = read(text, &ItemId::parse(own).unwrap());
        let named = reading.entries.into_iter().flat_map(|entry| match entry.named {
            Named::Stories(ids) => ids.iter().map(ToString::to_string).collect(),
            Named::BadRange(why) => vec![why.to_owned()],
            Named::Placeholder => vec!["X".to_owned()],
        });
        named.collect()
    }

    #[test]
    fn spellings_seen_in_the_wild() {
        for (text, expected) in [
            ("0.1, 1.1", "0.1 1.1"),
            ("Story 1.1, Story 1.2", "1.1 1.2"),
            ("Stories 5.2, 5.3", "5.2 5.3"),
            ("Stories 14.1-14.3 (DONE)", "14.1 14.2 14.3"),
            ("Story 2.1, 2.2", "2.1 2.2"),
            ("Story 32-3: Title", "32.3"),
            ("**01.8, 01.9** - both", "1.8 1.9"),
            ("Story 19.1 (Name) - COMPLETED", "19.1"),
            ("Story 4.1 \u{2705} (a, 7.7), Story 3.2 \u{2705}", "4.1 3.2"),
            ("Story 4.3+", "4.3"),
            ("01.X", "X"),
            ("03.x, 1.1", "X 1.1"),
            ("18.1\u{2013}18.3", "18.1 18.2 18.3"),
            ("18.1 through 18.3", "18.1 18.2 18.3"),
            ("18.1-18.5.2", "its ends are not of one epic"),
            ("1.5-1.2", "it ends before it starts"),
            ("[1.1](./1.1.x.md) and 1.2", "1.1 1.2"),
            ("3.1.story.md", "3.1"),
            ("1.1\u{a0},\t1.2", "1.1 1.2"),
            ("Story 1.1 and Story 1.2, and Story 1.3", "1.1 1.2 1.3"),
            ("Epic 3, Story 3.2", "3.2"),
            ("products in Story 03.2", ""),
            ("TypeScript 5.3.3", ""),
            ("~0.31.0", ""),
            ("Tasks 1-10 must be completed", ""),
            ("TASK-4.2.1 completed", ""),
            ("Epic 2 (BTP Protocol)", ""),
            ("v1.2 of it", ""),
            ("5 apples", ""),
            ("1.1/foo", ""),
            ("README", ""),
            ("C:\\x", ""),
        ] {
            assert_eq!(ids(text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn prefixed_ids_belong_to_stories_of_that_prefix() {
        assert_eq!(ids_of("STORY-008, STORY-014", "STORY-020"), ["story.8", "story.14"]);
        assert_eq!(ids_of("story-002 (reason), story-003 (other)", "STORY-020"), ["story.2", "story.3"]);
        assert_eq!(ids_of("story-002 (reason)", "5"), ["2"]);
        assert_eq!(ids_of("AIOX-HO-1.1", "AIOX-HO-2.1"), ["aiox.ho.1.1"]);
        assert!(ids_of("ADR-0012", "AIOX-HO-2.1").is_empty());
    }

    #[test]
    fn verbs_and_remarks_are_kept_apart() {
        let own = ItemId::parse("1.1").unwrap();
        let reading = read("Foundation for Stories 3.5.2, 3.5.3", &own);
        assert_eq!(reading.verb, Some(Direction::Reverse));
        assert_eq!(reading.entries.len(), 2);
        let reading = read("Story 1.2 (optional), 1.3 - later", &own);
        assert_eq!(reading.entries[0].note, "optional");
        assert_eq!(reading.tail, "- later");
    }

    #[test]
    fn a_hundred_thousand_ids_on_one_line() {
        let text = vec!["1.1"; 100_000].join(", ");
        assert_eq!(ids(&text).len(), 100_000);
    }
}
