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
        Some(Self { text: join(&parts), parts })
    }

    /// The canonical spelling.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Number of dotted components, at least 1.
    pub fn depth(&self) -> usize {
        self.parts.len()
    }

    /// The id without its last component; `None` when nothing with a digit is left (`3.5.1` gives `3.5`, `story.12` none).
    pub fn parent(&self) -> Option<String> {
        let rest = &self.parts[..self.parts.len().saturating_sub(1)];
        if rest.iter().all(|part| part.number.is_none()) {
            return None;
        }
        Some(join(rest))
    }

    /// The leading components without a digit, dotted (`aiox.ho` of `aiox.ho.2.1`); empty for a plain number.
    pub fn prefix(&self) -> String {
        let words = self.parts.iter().take_while(|part| part.number.is_none()).count();
        join(&self.parts[..words])
    }

    /// Whether the components of `self` are the first components of `other`.
    pub fn starts(&self, other: &Self) -> bool {
        other.parts.starts_with(&self.parts)
    }

    /// The id without its leading components that have no digit; `None` when none has one.
    pub fn without_prefix(&self) -> Option<Self> {
        let parts: Vec<Part> = self.parts.iter().skip_while(|part| part.number.is_none()).cloned().collect();
        (!parts.is_empty()).then(|| Self { text: join(&parts), parts })
    }

    /// Whether the id lies in the inclusive range `first`..=`last` in natural order. Only ids as deep as the ends count:
    /// `3.1-3.8` means stories of epic 3, not those of an epic 3.5.
    pub fn is_between(&self, first: &Self, last: &Self) -> bool {
        self.depth() == first.depth() && first <= self && self <= last
    }

    /// All ids from `first` to `last`, which differ in their last number only; `None` when the ends are reversed, unequal in
    /// anything but the last number, or `limit` or more apart.
    pub fn expand(first: &Self, last: &Self, limit: u64) -> Option<Vec<Self>> {
        let (low, lead) = first.parts.split_last()?;
        let (high, other) = last.parts.split_last()?;
        let (from, to) = (low.number?, high.number?);
        if lead != other || low.prefix != high.prefix || from > to || to - from >= limit {
            return None;
        }
        let id = |number| {
            let suffix = match number {
                _ if number == from => low.suffix.clone(),
                _ if number == to => high.suffix.clone(),
                _ => String::new(),
            };
            let mut parts = lead.to_vec();
            parts.push(Part { prefix: low.prefix.clone(), number: Some(number), suffix });
            Self { text: join(&parts), parts }
        };
        Some((from..=to).map(id).collect())
    }
}

fn join(parts: &[Part]) -> String {
    parts.iter().map(Part::to_string).collect::<Vec<_>>().join(".")
}

/// The at most three known ids that a person most likely meant by `wanted`, nearest first; empty when nothing is known.
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a ItemId>) -> Vec<ItemId> {
    let parent = ItemId::parse(wanted).and_then(|id| id.parent());
    let rank = |id: &'a ItemId| (strsim::levenshtein(wanted, id.as_str()), id.parent() != parent, id);
    let mut ranked: Vec<(usize, bool, &ItemId)> = known.into_iter().map(rank).collect();
    ranked.sort();
    ranked.dedup();
    ranked.into_iter().take(3).map(|(_, _, id)| id.clone()).collect()
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(text: &str) -> ItemId {
        ItemId::parse(text).unwrap()
    }

    #[test]
    fn spellings_of_one_id_are_equal() {
        assert_eq!(id("01.1"), id("1.1"));
        assert_eq!(id("1-4B"), id("1.4b"));
        assert_eq!(id("STORY-012").as_str(), "story.12");
        assert_eq!(id("1.1.1.1.1.1").depth(), 6);
    }

    #[test]
    fn foreign_digits_and_marks_are_no_id() {
        let texts = ["\u{661}.\u{661}", "1\u{ff0e}1", "", ".", "1..2", "3.-1", "1.1/", "99999999999999999999.1", "a b"];
        for text in texts {
            assert_eq!(ItemId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn order_is_natural() {
        let mut ids: Vec<_> = ["1.10", "1.5", "1.9", "1.4b", "1.4", "2.1", "1.4.1"].map(id).to_vec();
        ids.sort();
        let text: Vec<_> = ids.iter().map(ItemId::as_str).collect();
        assert_eq!(text, ["1.4", "1.4.1", "1.4b", "1.5", "1.9", "1.10", "2.1"]);
    }

    #[test]
    fn parents_and_prefixes() {
        assert_eq!(id("3.5.1").parent().as_deref(), Some("3.5"));
        assert_eq!(id("5").parent(), None);
        assert_eq!(id("STORY-12").parent(), None);
        assert_eq!(id("E1-S2").parent().as_deref(), Some("e1"));
        assert_eq!(id("AIOX-HO-2.1").prefix(), "aiox.ho");
        assert_eq!(id("STORY-124.3").without_prefix(), Some(id("124.3")));
    }

    #[test]
    fn ranges_expand_over_the_last_number_only() {
        let count = |first: &str, last: &str| ItemId::expand(&id(first), &id(last), 1000).map(|ids| ids.len());
        assert_eq!(count("14.1", "14.8"), Some(8));
        assert_eq!(count("1.2", "1.1"), None);
        assert_eq!(count("1.1", "2.2"), None);
        assert_eq!(count("1.1", "1.2.3"), None);
        assert_eq!(count("1.1", "1.999999999999"), None);
    }

    #[test]
    fn near_ids_come_first() {
        let known = ["1.1", "9.8", "9.10", "3.3"].map(id);
        assert_eq!(nearest("9.9", &known)[0], id("9.8"));
        assert!(nearest("9.9", &[]).is_empty());
    }

    const ID: &str = "[a-b0-2]{1,2}([.][a-b0-2]{1,2}){0,2}";

    proptest! {
        #[test]
        fn parse_after_print_is_the_same(text in "[a-zA-Z0-9]{0,3}([.-][a-zA-Z]{0,2}[0-9]{1,3}[a-z]?){0,3}") {
            if let Some(id) = ItemId::parse(&text) {
                prop_assert_eq!(ItemId::parse(id.as_str()), Some(id));
            }
        }

        #[test]
        fn order_is_total_and_agrees_with_equality(a in ID, b in ID, c in ID) {
            let (Some(a), Some(b), Some(c)) = (ItemId::parse(&a), ItemId::parse(&b), ItemId::parse(&c)) else {
                return Ok(());
            };
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            prop_assert_eq!(a == b, a.cmp(&b) == Ordering::Equal);
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
        }

        #[test]
        fn expansion_is_what_lies_between(first in 1_u64..40, length in 0_u64..40, other in 1_u64..100) {
            let (low, high) = (id(&format!("7.{first}")), id(&format!("7.{}", first + length)));
            let all = ItemId::expand(&low, &high, 1000).unwrap();
            let other = id(&format!("7.{other}"));
            prop_assert_eq!(all.contains(&other), other.is_between(&low, &high));
            prop_assert!(all.is_sorted());
        }
    }
}
