//! Tests of `plan`.

use super::*;
use crate::domain::diagnostic::Place;
use crate::domain::item::{Declared, ItemKind, StatedStatus};
use crate::domain::state::Outcome;

fn item(id: &str, value: FileStatus, raw: &str) -> WorkItem {
    WorkItem {
        id: ItemId::parse(id).unwrap(),
        display_id: id.to_owned(),
        kind: ItemKind::Story,
        title: format!("Story {id}"),
        path: format!("{id}.md"),
        place: Place::file(format!("{id}.md")),
        epic: None,
        epic_title: None,
        status: StatedStatus { value, raw: raw.to_owned(), place: None },
        criteria: Vec::new(),
        declared: Declared::None,
        dependencies: Vec::new(),
        reverse: Vec::new(),
        references: Vec::new(),
        files: Vec::new(),
        technology: None,
        agent: None,
    }
}

#[test]
fn the_ledger_wins_over_the_file_in_both_directions() {
    let landed = ItemState { outcome: Some(Outcome::Landed), ..ItemState::default() };
    let ledger = BTreeMap::from([
        (ItemKey::new("1.1"), landed.clone()),
        (ItemKey::new("1.2"), ItemState::default()),
        (ItemKey::new("7.7"), landed),
    ]);
    let items = [
        item("1.1", FileStatus::Ready, "Ready"),
        item("1.2", FileStatus::Done, "Done"),
        item("1.3", FileStatus::Done, "✅ DONE"),
        item("1.4", FileStatus::Ready, "Ready"),
    ];
    let done: Vec<(String, String)> =
        done_items(&items, &ledger).into_iter().map(|(id, why)| (id.to_string(), why)).collect();
    let expected = [("1.1", "landed"), ("1.3", "its file says \"✅ DONE\""), ("7.7", "landed")];
    assert_eq!(done, expected.map(|(id, why)| (id.to_owned(), why.to_owned())));
}
