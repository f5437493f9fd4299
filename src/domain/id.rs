//! Item ids and their natural order. Must not know where an id was read.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One dotted component of an id: digits with letters around them (`4b`, `R3`, `auth`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Part {
    prefix: String,
    number: Option<u64>,
    suffix: String,
}

/// The canonical id of an item: dotted, leading zeros dropped, letters kept and lower-cased (`1.4b`).
///
/// Ids compare in natural order: `1.9 < 1.10`, `1.4 < 1.4b < 1.5`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ItemId {
    text: String,
    parts: Vec<Part>,
}

impl ItemId {
    /// Parses one spelling of an id (`01.4B`, `1-4b`, `STORY-012`); `None` when it is not an id.
    pub fn parse(spelling: &str) -> Option<Self> {
        let spelling = spelling.trim();
        if spelling.is_empty() || spelling.len() > 64 || !spelling.is_ascii() {
            return None;
        }
        let mut parts = Vec::new();
        for piece in spelling.split(['.', '-']) {
            parts.push(Part::parse(piece)?);
        }
        let text = parts.iter().map(Part::to_string).collect::<Vec<_>>().join(".");
        Some(Self { text, parts })
    }

    /// The canonical spelling.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Part {
    fn parse(piece: &str) -> Option<Self> {
        if piece.is_empty() || !piece.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        let start = piece.find(|c: char| c.is_ascii_digit()).unwrap_or(piece.len());
        let rest = &piece[start..];
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number = if end == 0 { None } else { Some(rest[..end].parse().ok()?) };
        Some(Self { prefix: piece[..start].to_ascii_lowercase(), number, suffix: rest[end..].to_ascii_lowercase() })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.prefix)?;
        if let Some(number) = self.number {
            write!(f, "{number}")?;
        }
        f.write_str(&self.suffix)
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl Ord for ItemId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts.cmp(&other.parts)
    }
}

impl PartialOrd for ItemId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl TryFrom<String> for ItemId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or_else(|| format!("`{text}` is not an item id"))
    }
}

impl From<ItemId> for String {
    fn from(id: ItemId) -> Self {
        id.text
    }
}
