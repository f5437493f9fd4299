//! The last part of an item's ref name. Must not know what else the name stands for.

use sha2::{Digest, Sha256};

use crate::domain::id::ItemId;
use crate::domain::names::ItemKey;

/// Longest slug of a path.
const SLUG: usize = 40;

/// A place items are read from that is not the default stories root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// Kind of source: `stories`, `prompts`, `tasks`.
    pub source: &'a str,
    /// Its path, relative to the repository root.
    pub path: &'a str,
}

/// The key of an item: its canonical id for the default stories root (`origin` is `None`), else
/// `<source>~<slug>-<first 8 hex digits of the path's SHA-256>~<id>`; escaped so that it is always a valid part of a ref.
pub fn key_for(id: &ItemId, origin: Option<Origin<'_>>) -> ItemKey {
    let text = match origin {
        None => return ItemKey::from(id),
        Some(Origin { source, path }) => {
            let digest = Sha256::digest(path.as_bytes());
            let hash = digest.iter().take(4).fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
            format!("{source}~{}-{hash}~{id}", slug(path))
        }
    };
    ItemKey::escaped(&text)
}

fn slug(path: &str) -> String {
    let mut slug = String::new();
    for c in path.chars() {
        let c = c.to_ascii_lowercase();
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() == SLUG {
            break;
        }
    }
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::adapters::git::refs::is_valid_name;

    fn id(text: &str) -> ItemId {
        ItemId::parse(text).unwrap()
    }

    #[test]
    fn keys_of_the_default_root_are_the_ids() {
        assert_eq!(key_for(&id("01.4B"), None).as_str(), "1.4b");
        assert_eq!(key_for(&id("1.lock"), None).as_str(), "1%2elock");
        assert_eq!(key_for(&id("1.lock"), None), ItemKey::from(&id("1.lock")));
    }

    #[test]
    fn keys_of_other_roots_name_source_and_path() {
        let origin = Origin { source: "tasks", path: "plans/Über all/tasks.md" };
        assert_eq!(key_for(&id("3"), Some(origin)).as_str(), "tasks%7eplans-ber-all-tasks-md-7b93be49%7e3");
    }

    proptest! {
        #[test]
        fn every_key_is_a_valid_ref_name(text in ".{0,24}|[a.\\-%~]{0,12}|[a-z]{1,4}\\.lock") {
            let key = ItemKey::escaped(&text);
            let escaped = key.as_str();
            prop_assert!(is_valid_name(&format!("refs/orchestrate/items/{escaped}")), "{}", escaped);
            prop_assert!(escaped.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'%')));
        }

        #[test]
        fn different_texts_have_different_keys(a in "[a-z.%~2e]{0,6}", b in "[a-z.%~2e]{0,6}") {
            prop_assert_eq!(ItemKey::escaped(&a) == ItemKey::escaped(&b), a == b);
        }
    }
}
