//! Listed values in every spelling in which they are found, as one tree of bytes. Must not know shapes of keys.

use super::shapes::{Found, Look, Then};
use super::{HEAD, MARK, Secret};

/// Characters that a listed value needs.
pub const LEAST: usize = 6;

/// Bytes of a value that are kept.
const LONGEST: usize = 64 * 1024;

/// Characters that a line of a value of many lines needs to be looked for by itself.
const LINE_LEAST: usize = 16;

/// Characters that a base64 spelling needs; fewer are found in any hash.
const BASE64_LEAST: usize = 8;

/// Words of a variable's name that say that its value is secret.
const WORDS: [&str; 22] = [
    "TOKEN",
    "TOKENS",
    "KEY",
    "KEYS",
    "APIKEY",
    "SECRET",
    "SECRETS",
    "PASSWORD",
    "PASSWORDS",
    "PASSWD",
    "PASS",
    "PASSPHRASE",
    "PASSCODE",
    "CREDENTIAL",
    "CREDENTIALS",
    "CREDS",
    "AUTH",
    "PAT",
    "DSN",
    "COOKIE",
    "BEARER",
    "JWT",
];

/// Values of such variables that are switches.
const SWITCHES: [&str; 8] =
    ["enabled", "disabled", "default", "required", "optional", "always", "unknown", "[redacted]"];

/// Whether a variable's name says that its value is secret, and the value may be one: numbers of a setting, paths and
/// switches are none.
pub fn looks_secret(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let named = name.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
        WORDS.contains(&word) || ["TOKEN", "SECRET", "PASSWORD", "APIKEY"].iter().any(|end| word.ends_with(end))
    });
    let number = value.len() <= 10 && value.bytes().all(|byte| byte.is_ascii_digit());
    let path = value.starts_with('/') && !value.contains(['=', '\n']);
    named && value.chars().count() >= LEAST && !number && !path && !SWITCHES.contains(&value)
}

/// Whether a value is too particular to be found in a file by chance: a commit is refused for it.
pub fn is_particular(value: &str) -> bool {
    let kind = |kind: fn(&char) -> bool| value.chars().any(|c| kind(&c));
    value.chars().count() >= 12 && kind(char::is_ascii_digit) && kind(char::is_ascii_alphabetic)
}

/// One byte further.
#[derive(Default)]
struct Node {
    next: Vec<(u8, u32)>,
    /// Label of the first value that passes here.
    label: u32,
    /// Whether a value ends here.
    end: bool,
}

/// All spellings of all values.
pub(super) struct Trie {
    nodes: Vec<Node>,
    labels: Vec<String>,
    spellings: Vec<Vec<u8>>,
}

impl Trie {
    pub(super) fn of(secrets: &[Secret]) -> Self {
        let mut trie = Self { nodes: vec![Node::default()], labels: Vec::new(), spellings: Vec::new() };
        for secret in secrets {
            let label = u32::try_from(trie.labels.len()).unwrap_or(u32::MAX);
            let name: String =
                secret.name.chars().filter(|c| c.is_ascii_alphanumeric() || "_-.".contains(*c)).take(60).collect();
            trie.labels.push(if name.is_empty() { MARK.to_owned() } else { format!("[redacted:{name}]") });
            for spelling in spellings(&secret.value) {
                trie.insert(&spelling, label);
                trie.spellings.push(spelling);
            }
        }
        trie
    }

    /// First bytes of every spelling, at most `most` of each.
    pub(super) fn starts(&self, most: usize) -> Vec<Vec<u8>> {
        self.spellings.iter().map(|spelling| spelling[..spelling.len().min(most)].to_vec()).collect()
    }

    pub(super) fn label(&self, label: u32) -> &str {
        self.labels.get(label as usize).map_or(MARK, String::as_str)
    }

    pub(super) fn name(&self, label: u32) -> &str {
        let label = self.label(label);
        label.strip_prefix("[redacted:").and_then(|name| name.strip_suffix(']')).unwrap_or("a listed variable")
    }

    pub(super) fn next(&self, node: u32, byte: u8) -> Option<u32> {
        let next = &self.nodes[node as usize].next;
        next.binary_search_by_key(&byte, |(byte, _)| *byte).ok().map(|index| next[index].1)
    }

    /// The longest value at a place.
    pub(super) fn look(&self, buffer: &[u8], at: usize, last: bool) -> Look {
        let (mut node, mut found) = (0, None);
        for depth in 0..HEAD {
            let Some(byte) = buffer.get(at + depth) else {
                let ended = last || self.nodes[node as usize].next.is_empty();
                return if ended { found.map_or(Look::No, Look::Found) } else { Look::More };
            };
            let Some(next) = self.next(node, *byte) else { return found.map_or(Look::No, Look::Found) };
            node = next;
            if self.nodes[node as usize].end {
                found = Some(self.found(node, depth + 1, Then::Text));
            }
        }
        Look::Found(self.found(node, HEAD, Then::Value(node)))
    }

    fn found(&self, node: u32, eaten: usize, then: Then) -> Found {
        Found { shown: 0, eaten, then, label: Some(self.nodes[node as usize].label) }
    }

    fn insert(&mut self, spelling: &[u8], label: u32) {
        let mut node = 0_u32;
        for byte in spelling {
            let next = match self.next(node, *byte) {
                Some(next) => next,
                None => self.grow(node, *byte, label),
            };
            node = next;
        }
        self.nodes[node as usize].end = true;
    }

    fn grow(&mut self, node: u32, byte: u8, label: u32) -> u32 {
        let new = u32::try_from(self.nodes.len()).expect("values are of bounded length");
        self.nodes.push(Node { label, ..Node::default() });
        let next = &mut self.nodes[node as usize].next;
        let index = next.partition_point(|(known, _)| *known < byte);
        next.insert(index, (byte, new));
        new
    }
}

/// Every spelling of a value that may be met: as it is, its long lines, in JSON (once and twice), in a URL, in base64.
fn spellings(value: &str) -> Vec<Vec<u8>> {
    let value = value.trim();
    let mut plain: Vec<&str> = vec![value];
    if value.contains('\n') {
        let lines = value.lines().map(str::trim);
        plain.extend(lines.filter(|line| line.chars().count() >= LINE_LEAST && !line.contains("-----")));
    }
    let mut all: Vec<Vec<u8>> = Vec::new();
    for value in plain.into_iter().filter(|value| value.chars().count() >= LEAST && value.len() <= LONGEST) {
        let json = in_json(value, false);
        let slashes = json.replace('/', "\\/");
        let twice = in_json(&json, false);
        let texts = [value.to_owned(), slashes, twice, in_json(value, true), in_url(value), json];
        all.extend(texts.into_iter().map(String::into_bytes));
        all.extend(in_base64(value.as_bytes()));
    }
    all.sort();
    all.dedup();
    all
}

/// Inside a JSON string; `ascii` = with everything beyond ASCII as an escape.
fn in_json(text: &str, ascii: bool) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii_control() || ascii && !c.is_ascii() => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out
}

/// Percent-encoded, as in the user part or the query of a URL.
fn in_url(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The characters that depend on nothing but the value, for each of the three places where it may begin in a group; in both
/// alphabets.
fn in_base64(value: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for before in 0..3 {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(value);
        let sure = bytes.len() * 8 / 6;
        let encoded = base64(&bytes);
        // 1 byte before reaches into the 2nd character, 2 bytes into the 3rd.
        let from = if before == 0 { 0 } else { before + 1 };
        let core = encoded.get(from..sure).unwrap_or_default();
        if core.len() >= BASE64_LEAST {
            all.push(core.to_vec());
            all.push(
                core.iter()
                    .map(|c| match c {
                        b'+' => b'-',
                        b'/' => b'_',
                        c => *c,
                    })
                    .collect(),
            );
        }
    }
    all
}

/// Standard base64 without padding.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - group.len()));
        out.extend((0..=group.len()).map(|digit| DIGITS[bits >> (18 - 6 * digit) & 63]));
    }
    out
}
