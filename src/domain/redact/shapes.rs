//! What a key looks like: known prefixes, tokens of three parts, blocks of private keys, passwords in URLs. Made to leave
//! hashes, ids and words alone. Must not look further than a bounded way ahead.

use super::HISTORY;

/// What stands at a place.
pub(super) enum Look {
    /// No secret.
    No,
    /// It depends on bytes that are not there yet.
    More,
    /// A secret.
    Found(Found),
}

/// A secret, or its first bytes.
pub(super) struct Found {
    /// Bytes at the place that are shown.
    pub(super) shown: usize,
    /// Bytes after those that are taken out.
    pub(super) eaten: usize,
    /// What follows.
    pub(super) then: Then,
    /// Label of a listed value.
    pub(super) label: Option<u32>,
}

/// What follows the first bytes of a secret.
#[derive(Clone, Copy)]
pub(super) enum Then {
    /// Text.
    Text,
    /// More of it, for as long as the bytes fit.
    Token(fn(u8) -> bool),
    /// More of a listed value, from this node on.
    Value(u32),
    /// The body of a private key.
    Key,
}

/// A prefix and what must follow.
struct Shape {
    start: &'static str,
    rule: Rule,
}

/// What must follow a prefix.
#[derive(Clone, Copy)]
enum Rule {
    /// At least so many characters of a kind.
    Least(usize, fn(u8) -> bool),
    /// The same, and the prefix stands at the beginning of a word.
    Word(usize, fn(u8) -> bool),
    /// Exactly so many, as a word of their own.
    Exact(usize, fn(u8) -> bool),
    /// Like `Word`, with a long part that no words make: a digit among 16 characters without a hyphen.
    Mixed(usize),
    /// A header, a payload and a signature.
    Jwt,
    /// A user, a password and a host.
    Url,
    /// The rest of the line that begins a private key.
    Key,
    /// A token with a digit in it; the prefix is shown.
    Bearer,
}

/// In order of precedence.
const SHAPES: [Shape; 27] = [
    Shape { start: "sk-ant-", rule: Rule::Least(16, key) },
    Shape { start: "sk-", rule: Rule::Mixed(20) },
    Shape { start: "ghp_", rule: Rule::Least(30, alnum) },
    Shape { start: "gho_", rule: Rule::Least(30, alnum) },
    Shape { start: "ghu_", rule: Rule::Least(30, alnum) },
    Shape { start: "ghs_", rule: Rule::Least(30, alnum) },
    Shape { start: "ghr_", rule: Rule::Least(30, alnum) },
    Shape { start: "github_pat_", rule: Rule::Least(22, key) },
    Shape { start: "glpat-", rule: Rule::Least(16, key) },
    Shape { start: "npm_", rule: Rule::Least(36, alnum) },
    Shape { start: "xoxa-", rule: Rule::Mixed(10) },
    Shape { start: "xoxb-", rule: Rule::Mixed(10) },
    Shape { start: "xoxp-", rule: Rule::Mixed(10) },
    Shape { start: "xoxr-", rule: Rule::Mixed(10) },
    Shape { start: "xoxs-", rule: Rule::Mixed(10) },
    Shape { start: "xapp-", rule: Rule::Mixed(10) },
    Shape { start: "AKIA", rule: Rule::Exact(16, upper) },
    Shape { start: "ASIA", rule: Rule::Exact(16, upper) },
    Shape { start: "AIza", rule: Rule::Word(35, key) },
    Shape { start: "hf_", rule: Rule::Word(30, alnum) },
    Shape { start: "sk_live_", rule: Rule::Word(16, alnum) },
    Shape { start: "rk_live_", rule: Rule::Word(16, alnum) },
    Shape { start: "pypi-AgE", rule: Rule::Least(50, key) },
    Shape { start: "eyJ", rule: Rule::Jwt },
    Shape { start: "://", rule: Rule::Url },
    Shape { start: "-----BEGIN ", rule: Rule::Key },
    Shape { start: "Bearer ", rule: Rule::Bearer },
];

/// How far a header of a token, a user, a password may reach, in bytes.
const JWT_HEADER: usize = 1024;
const USER: usize = 64;
const PASSWORD: usize = 256;

/// How far after its first line a private key must look like one, in bytes.
const KEY_BODY: usize = 160;

/// Characters without a hyphen that words do not reach together with a digit.
const RUN: usize = 16;

/// How a mark begins.
const MARK_OPENS: &[u8] = b"[redacted";

/// Backslashes of one line end in nested JSON.
const BACKSLASHES: usize = 8;

/// Every prefix.
pub(super) fn starts() -> impl Iterator<Item = &'static str> {
    SHAPES.iter().map(|shape| shape.start)
}

/// What stands at a place of the buffer; `last` = nothing follows the buffer.
pub(super) fn look(buffer: &[u8], at: usize, last: bool) -> Look {
    for shape in &SHAPES {
        let rest = &buffer[at..];
        let start = shape.start.as_bytes();
        let found = if rest.len() < start.len() {
            if !last && start.starts_with(rest) { Look::More } else { Look::No }
        } else if rest.starts_with(start) {
            let before = &buffer[at.saturating_sub(HISTORY)..at];
            shape.rule.look(before, start.len(), &rest[start.len()..], last)
        } else {
            Look::No
        };
        if !matches!(found, Look::No) {
            return found;
        }
    }
    Look::No
}

impl Rule {
    fn look(self, before: &[u8], start: usize, rest: &[u8], last: bool) -> Look {
        match self {
            Self::Least(least, kind) => token(start, least, kind, rest, last),
            Self::Word(least, kind) if begins_word(before) => token(start, least, kind, rest, last),
            Self::Exact(length, kind) if begins_word(before) => exact(start, length, kind, rest, last),
            Self::Mixed(least) if begins_word(before) => mixed(start, least, rest, last),
            Self::Jwt if begins_word(before) => jwt(rest, last),
            Self::Word(..) | Self::Exact(..) | Self::Mixed(_) | Self::Jwt => Look::No,
            Self::Url => url(start, rest, last),
            Self::Key => private_key(start, rest, last),
            Self::Bearer => bearer(start, rest, last),
        }
    }
}

fn alnum(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn dotted(byte: u8) -> bool {
    key(byte) || byte == b'.'
}

fn bearer_char(byte: u8) -> bool {
    dotted(byte) || b"~+/=".contains(&byte)
}

/// Length of the run of a kind at the beginning, and whether its end is known.
fn run(rest: &[u8], kind: impl Fn(u8) -> bool, most: usize, last: bool) -> (usize, bool) {
    let length = rest.iter().take(most).take_while(|byte| kind(**byte)).count();
    (length, length < rest.len() || length == most || last)
}

fn found(eaten: usize, then: Then) -> Look {
    Look::Found(Found { shown: 0, eaten, then, label: None })
}

fn token(start: usize, least: usize, kind: fn(u8) -> bool, rest: &[u8], last: bool) -> Look {
    match run(rest, kind, least, last) {
        (length, _) if length == least => found(start + least, Then::Token(kind)),
        (_, true) => Look::No,
        (_, false) => Look::More,
    }
}

fn exact(start: usize, length: usize, kind: fn(u8) -> bool, rest: &[u8], last: bool) -> Look {
    match run(rest, kind, length, last) {
        (run, _) if run == length => match rest.get(length) {
            Some(next) if key(*next) => Look::No,
            None if !last => Look::More,
            Some(_) | None => found(start + length, Then::Text),
        },
        (_, true) => Look::No,
        (_, false) => Look::More,
    }
}

fn mixed(start: usize, least: usize, rest: &[u8], last: bool) -> Look {
    let (length, known) = run(rest, key, 64, last);
    let is_key = |part: &[u8]| part.len() >= RUN && part.iter().any(u8::is_ascii_digit);
    // A part that is long enough stays so, whatever follows.
    if length >= least && rest[..length].split(|byte| *byte == b'-').any(is_key) {
        return found(start + length, Then::Token(key));
    }
    if known { Look::No } else { Look::More }
}

fn jwt(rest: &[u8], last: bool) -> Look {
    let (header, known) = run(rest, key, JWT_HEADER + 1, last);
    if !known {
        return Look::More;
    }
    let after = &rest[header..];
    let next = b".eyJ";
    if !(8..=JWT_HEADER).contains(&header) || !after.starts_with(&next[..after.len().min(next.len())]) {
        return Look::No;
    }
    match after.len() {
        0..4 if last => Look::No,
        0..4 => Look::More,
        _ => found(3 + header + next.len(), Then::Token(dotted)),
    }
}

/// Shows the user, takes the password out. Words that stand for a password are left: `$PASS`, `{password}`, `<password>`.
fn url(start: usize, rest: &[u8], last: bool) -> Look {
    let plain = |byte: u8| byte > b' ' && byte != 0x7f && !b"/@\"'<>\\`|".contains(&byte);
    let (user, known) = run(rest, |byte| plain(byte) && byte != b':', USER + 1, last);
    if !known {
        return Look::More;
    }
    if user > USER || rest.get(user) != Some(&b':') {
        return Look::No;
    }
    let rest = &rest[user + 1..];
    let (password, known) = run(rest, plain, PASSWORD + 1, last);
    if !known {
        return Look::More;
    }
    let stands_for = rest.first().is_none_or(|first| b"$[{*%".contains(first) && !rest.starts_with(b"%2"));
    if !(1..=PASSWORD).contains(&password) || stands_for || rest.get(password) != Some(&b'@') {
        return Look::No;
    }
    Look::Found(Found { shown: start + user + 1, eaten: password, then: Then::Text, label: None })
}

/// Shows the first line.
fn private_key(start: usize, rest: &[u8], last: bool) -> Look {
    let (kind, known) = run(rest, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ', 40, last);
    if !known {
        return Look::More;
    }
    let name = &rest[..kind];
    if !(name.ends_with(b"PRIVATE KEY") || name.ends_with(b"PRIVATE KEY BLOCK")) {
        return Look::No;
    }
    let line = &rest[kind..];
    if line.len() < 5 && !last {
        return Look::More;
    }
    if !line.starts_with(b"-----") {
        return Look::No;
    }
    let body = &line[5..];
    let mut length = 0;
    for (index, byte) in body.iter().enumerate().take(KEY_BODY) {
        length = if alnum(*byte) || b"+/=".contains(byte) { length + 1 } else { 0 };
        if length == RUN {
            return Look::Found(Found { shown: start + kind + 5, eaten: 0, then: Then::Key, label: None });
        }
        // The end, the end of a string, or what is left of a key that was taken out already.
        if *byte == b'"' || body[index..].starts_with(b"-----") || body[index..].starts_with(MARK_OPENS) {
            return Look::No;
        }
    }
    if body.len() < KEY_BODY && !last { Look::More } else { Look::No }
}

/// Whether the first byte belongs to the body of a private key, whatever stands at the head of its lines; `None` = it
/// depends on bytes that are not there yet.
pub(super) fn in_key(rest: &[u8], last: bool) -> Option<bool> {
    let dashes = rest.iter().take(5).take_while(|byte| **byte == b'-').count();
    if dashes == 5 {
        return Some(false);
    }
    if dashes > 0 && dashes == rest.len() && !last {
        return None;
    }
    // Of escapes line ends and tabs only: `\"` is part of the text around the key.
    let backslashes = rest.iter().take(BACKSLASHES).take_while(|byte| **byte == b'\\').count();
    if backslashes > 0 {
        return match rest.get(backslashes) {
            Some(escaped) => Some(b"nrt".contains(escaped)),
            None if last => Some(false),
            None => None,
        };
    }
    let first = rest.first().copied().unwrap_or(b' ');
    Some(alnum(first) || !first.is_ascii() || b"+/=-\r\n\t ',:|>".contains(&first))
}

fn bearer(start: usize, rest: &[u8], last: bool) -> Look {
    let (length, known) = run(rest, bearer_char, 20, last);
    if length == 20 && rest[..length].iter().any(u8::is_ascii_digit) {
        return Look::Found(Found { shown: start, eaten: length, then: Then::Token(bearer_char), label: None });
    }
    if known { Look::No } else { Look::More }
}

/// Whether a word begins after these bytes; the letter that ends an escape (`\n`, `%3D`, a colour) belongs to no word.
fn begins_word(before: &[u8]) -> bool {
    let Some((previous, rest)) = before.split_last() else { return true };
    if !key(*previous) {
        return true;
    }
    match rest {
        [.., b'\\'] => b"nrtbf".contains(previous),
        [.., b'%', digit] => digit.is_ascii_hexdigit() && previous.is_ascii_hexdigit(),
        _ => *previous == b'm' && ends_in_colour(rest),
    }
}

/// `ESC [ 1;31`, the ESC in any spelling.
fn ends_in_colour(rest: &[u8]) -> bool {
    let codes = rest.iter().rev().take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
    let open = &rest[..rest.len() - codes];
    open.ends_with(b"\x1b[") || open.ends_with(b"1b[") || open.ends_with(b"033[")
}
