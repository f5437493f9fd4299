//! The few words of a story that a list of all stories shows. Must not parse: it is made of what a parser found, and small
//! enough to be kept beside the file it came from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::assemble::Parsed;
use crate::domain::item::FileStatus;
use crate::domain::names::ItemKey;

/// One story in brief.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    /// Key of its id.
    pub key: ItemKey,
    /// Title without the id.
    pub title: String,
    /// Ids of the prerequisites in order of first appearance.
    pub dependencies: Vec<String>,
    /// Whether the file says that it is done.
    pub done: bool,
    /// As in [`Parsed`]: a file without such sections gives way to one that has them.
    sections: bool,
    /// Whether its file has an error: it gives way to one without.
    flawed: bool,
}

impl Brief {
    /// What a file says in brief; `None` when it holds no story.
    pub fn of(parsed: &Parsed) -> Option<Self> {
        let item = parsed.item.as_ref()?;
        Some(Self {
            key: ItemKey::from(&item.id),
            title: item.title.clone(),
            dependencies: item.dependencies.iter().map(|needed| needed.id.to_string()).collect(),
            done: item.status.value == FileStatus::Done,
            sections: parsed.sections,
            flawed: parsed.has_error(),
        })
    }

    /// Which of several files that claim one id is the story; the least is.
    fn rank(&self) -> (bool, bool) {
        (!self.sections, self.flawed)
    }
}

/// The stories by key, each once: the same files win as in [`assemble`](super::assemble). `briefs` come in order of path.
pub fn settle(briefs: impl IntoIterator<Item = Brief>) -> BTreeMap<ItemKey, Brief> {
    let mut settled: BTreeMap<ItemKey, Brief> = BTreeMap::new();
    for brief in briefs {
        let better = settled.get(&brief.key).is_none_or(|first| brief.rank() < first.rank());
        if better {
            settled.insert(brief.key.clone(), brief);
        }
    }
    settled
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{assemble, story};
    use super::*;

    /// Texts of files that get in each other's way: stories, companions, contradicting headings, damaged and empty ones.
    fn text() -> impl Strategy<Value = String> {
        let heading = prop_oneof![Just("# Story 1.1: One"), Just("# Story 1.2: Two"), Just("# Notes"), Just("")];
        let status = prop_oneof![Just("**Status**: Done"), Just("**Status**: Ready"), Just("")];
        let needs = prop_oneof![Just("**Dependencies**: 1.2, 1.3"), Just("**Dependencies**: ???"), Just("")];
        let section = prop_oneof![Just("## Acceptance Criteria\n\n1. It works."), Just("Some notes.")];
        (heading, status, needs, section)
            .prop_map(|(heading, status, needs, section)| format!("{heading}\n\n{status}\n{needs}\n\n{section}\n"))
    }

    proptest! {
        #[test]
        fn the_same_files_win_as_among_whole_stories(texts in prop::collection::btree_map("1[.][12][.][a-d]", text(), 0..6)) {
            let parsed: Vec<Parsed> =
                texts.iter().map(|(name, text)| story::parse(&format!("docs/{name}.md"), text.as_bytes())).collect();
            let brief = settle(parsed.iter().filter_map(Brief::of));
            let whole = |item| Parsed { item: Some(item), ..Parsed::default() };
            let (items, _) = assemble(parsed);
            let shown = |brief: &Brief| (brief.key.clone(), brief.title.clone(), brief.dependencies.clone(), brief.done);
            let expected: Vec<_> = items.into_iter().map(|item| shown(&Brief::of(&whole(item)).unwrap())).collect();
            let mut got: Vec<_> = brief.values().map(shown).collect();
            got.sort_by_key(|(key, ..)| key.item_id());
            prop_assert_eq!(got, expected);
        }
    }
}
