//! Tests of `schedule`: rules by example, and whole runs over random graphs.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn key(text: &str) -> ItemKey {
    ItemKey::new(text)
}

fn planned(name: &str, wave: u32, after: &[&str]) -> PlannedKey {
    PlannedKey { key: key(name), wave, after: after.iter().map(|text| key(text)).collect() }
}

fn board(items: &[PlannedKey], free: usize) -> Board {
    Board { free, ..Board::new(items) }
}

fn shown(board: &Board) -> Vec<String> {
    next(board)
        .into_iter()
        .map(|action| match action {
            Action::Start(key) => format!("start {key}"),
            Action::Block { key, by } => {
                format!("block {key} by {}", by.iter().map(ItemKey::as_str).collect::<Vec<_>>().join(" "))
            }
        })
        .collect()
}

#[test]
fn the_longest_chain_starts_first_then_id_order() {
    let items = [
        planned("1.9", 0, &[]),
        planned("1.10", 0, &[]),
        planned("3.1", 0, &[]),
        planned("3.2", 1, &["3.1"]),
        planned("3.3", 2, &["3.2"]),
    ];
    assert_eq!(shown(&board(&items, 2)), ["start 3.1", "start 1.9"]);
    assert_eq!(shown(&board(&items, 9)), ["start 3.1", "start 1.9", "start 1.10"]);
    assert!(shown(&board(&items, 0)).is_empty());
}

#[test]
fn an_item_starts_the_moment_its_own_prerequisites_are_done() {
    let items = [planned("1.1", 0, &[]), planned("1.2", 0, &[]), planned("2.1", 1, &["1.1"])];
    let mut board = board(&items, 5);
    board.set(&key("1.1"), Progress::Done);
    board.set(&key("1.2"), Progress::Running);
    assert_eq!(shown(&board), ["start 2.1"]);
    board.barrier = true;
    assert!(shown(&board).is_empty());
    assert_eq!(board.waits_for(&key("2.1")), Vec::<&ItemKey>::new());
    board.set(&key("1.2"), Progress::Failed);
    assert_eq!(shown(&board), ["start 2.1"]);
}

#[test]
fn a_failure_blocks_its_dependants_with_the_chain_and_nobody_else() {
    let items =
        [planned("1.1", 0, &[]), planned("1.2", 1, &["1.1"]), planned("1.3", 2, &["1.2"]), planned("2.1", 0, &[])];
    let mut board = board(&items, 5);
    board.set(&key("1.1"), Progress::Failed);
    assert_eq!(shown(&board), ["block 1.2 by 1.1", "block 1.3 by 1.2 1.1", "start 2.1"]);
    board.set(&key("1.2"), Progress::Blocked);
    board.stopping = true;
    assert_eq!(shown(&board), ["block 1.3 by 1.2 1.1"]);
}

#[test]
fn a_block_of_an_earlier_run_still_blocks() {
    let items = [planned("1.2", 0, &["1.1"]), planned("1.3", 1, &["1.2"])];
    let mut board = board(&items, 5);
    board.set(&key("1.2"), Progress::Blocked);
    assert_eq!(shown(&board), ["block 1.3 by 1.2"]);
}

#[test]
fn paused_and_stopped_prerequisites_leave_dependants_waiting() {
    for progress in [Progress::Paused, Progress::Stopped, Progress::Running] {
        let mut board = board(&[planned("1.1", 0, &[]), planned("1.2", 1, &["1.1"])], 5);
        board.set(&key("1.1"), progress);
        assert!(shown(&board).is_empty());
        assert_eq!(board.waits_for(&key("1.2")), [&key("1.1")]);
    }
}

#[test]
fn a_circle_in_a_damaged_record_neither_hangs_nor_starts() {
    let mut board = board(&[planned("1.1", 0, &["1.2"]), planned("1.2", 0, &["1.1"])], 5);
    assert!(shown(&board).is_empty());
    board.set(&key("1.1"), Progress::Blocked);
    assert_eq!(next(&board).len(), 1);
}

#[test]
fn a_chain_of_five_thousand_is_blocked_at_once() {
    let name = |n: u32| format!("1.{n}");
    let mut items = vec![planned(&name(0), 0, &[])];
    items.extend((1..5000).map(|n| planned(&name(n), n, &[name(n - 1).as_str()])));
    let mut board = board(&items, 1);
    assert_eq!(shown(&board), ["start 1.0"]);
    board.set(&key("1.0"), Progress::Failed);
    let actions = next(&board);
    assert_eq!(actions.len(), 4999);
    let Some(Action::Block { by, .. }) = actions.last() else { panic!("{:?}", actions.last()) };
    assert_eq!((by.len(), &by[0], &by[49]), (50, &key("1.4998"), &key("1.0")));
}

/// Items that need only lower ones, with minimal waves.
fn graphs() -> impl Strategy<Value = Vec<PlannedKey>> {
    proptest::collection::vec(proptest::collection::btree_set(0usize..20, 0..3), 1..20).prop_map(|needs| {
        let mut items: Vec<PlannedKey> = Vec::new();
        for (position, needs) in needs.into_iter().enumerate() {
            let needs: Vec<usize> = needs.into_iter().filter(|needed| *needed < position).collect();
            let wave = needs.iter().map(|needed| items[*needed].wave + 1).max().unwrap_or(0);
            let after = needs.iter().map(|needed| items[*needed].key.clone()).collect();
            items.push(PlannedKey { key: key(&format!("1.{position}")), wave, after });
        }
        items
    })
}

fn after<'a>(items: &'a [PlannedKey], key: &ItemKey) -> &'a [ItemKey] {
    &items.iter().find(|item| item.key == *key).unwrap().after
}

/// Everything that `key` needs, transitively.
fn ancestors(items: &[PlannedKey], key: &ItemKey) -> BTreeSet<ItemKey> {
    let direct = after(items, key);
    direct.iter().cloned().chain(direct.iter().flat_map(|needed| ancestors(items, needed))).collect()
}

proptest! {
    #[test]
    fn a_run_keeps_every_rule(
        items in graphs(),
        failing in proptest::collection::btree_set(0usize..20, 0..4),
        slots in 1usize..4,
        barrier: bool,
    ) {
        let failing: BTreeSet<ItemKey> = failing.into_iter().map(|n| key(&format!("1.{n}"))).collect();
        let mut board = Board { barrier, ..Board::new(&items) };
        let mut live: VecDeque<ItemKey> = VecDeque::new();
        loop {
            board.free = slots - live.len();
            let actions = next(&board);
            for action in actions.clone() {
                match action {
                    Action::Start(started) => {
                        for needed in after(&items, &started) {
                            prop_assert_eq!(board.progress(needed), Some(Progress::Done));
                        }
                        if barrier {
                            let wave = |key: &ItemKey| items.iter().find(|item| item.key == *key).unwrap().wave;
                            for (lower, progress) in board.items().filter(|(other, _)| wave(other) < wave(&started)) {
                                prop_assert!(!matches!(progress, Progress::Waiting | Progress::Running), "{} is open", lower);
                            }
                        }
                        board.set(&started, Progress::Running);
                        live.push_back(started);
                    }
                    Action::Block { key, by } => {
                        let mut path = vec![key.clone()];
                        path.extend(by);
                        for pair in path.windows(2) {
                            prop_assert!(after(&items, &pair[0]).contains(&pair[1]));
                        }
                        prop_assert!(failing.contains(path.last().unwrap()));
                        board.set(&key, Progress::Blocked);
                    }
                }
            }
            prop_assert!(live.len() <= slots);
            let Some(ended) = live.pop_front() else {
                prop_assert!(actions.is_empty() || next(&board).is_empty());
                break;
            };
            board.set(&ended, if failing.contains(&ended) { Progress::Failed } else { Progress::Done });
        }
        // A failure never stops an independent item, and nothing is left over.
        for item in &items {
            let above = ancestors(&items, &item.key);
            let expected = if above.iter().any(|needed| failing.contains(needed)) {
                Progress::Blocked
            } else if failing.contains(&item.key) {
                Progress::Failed
            } else {
                Progress::Done
            };
            prop_assert_eq!(board.progress(&item.key), Some(expected));
        }
    }
}
