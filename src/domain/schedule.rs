//! Decides what a run does next: a pure function from the board to actions.
//! Must not know how items are worked on, nor remember anything between calls.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};

use super::event::PlannedKey;
use super::id::ItemId;
use super::names::ItemKey;

/// Members of a chain that a block names at most.
const SHOWN: usize = 50;

/// Where an item stands in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Progress {
    /// Not started.
    Waiting,
    /// Holds a slot.
    Running,
    /// Landed, or done with no change.
    Done,
    /// Failed.
    Failed,
    /// A prerequisite failed.
    Blocked,
    /// Waits for a person or for the target: dependants wait with it, nobody is blocked.
    Paused,
    /// Cannot start yet: another try is due later, or something holds starts back. Dependants wait with it.
    Held,
    /// Stopped by a person or a signal: its dependants stay unstarted.
    Stopped,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin an attempt at the item; it takes a slot.
    Start(ItemKey),
    /// Record that the item cannot start.
    Block {
        /// The item.
        key: ItemKey,
        /// From its nearest prerequisite to the one that failed; at most 50, the last one is always the one that failed.
        by: Vec<ItemKey>,
    },
}

/// The items of a run and what limits them.
#[derive(Clone, Debug)]
pub struct Board {
    /// Slots that are free now.
    pub free: usize,
    /// Whether no wave starts before all lower ones have ended (`--waves`).
    pub barrier: bool,
    /// Whether the run is ending: nothing is started any more.
    pub stopping: bool,
    entries: Vec<Entry>,
    index: HashMap<ItemKey, usize>,
}

#[derive(Clone, Debug)]
struct Entry {
    key: ItemKey,
    wave: u32,
    after: Vec<usize>,
    dependants: Vec<usize>,
    /// Items on the longest chain from here to a leaf, itself included.
    chain: u32,
    /// Position in natural id order.
    rank: usize,
    progress: Progress,
}

impl Board {
    /// A board on which every item waits. Prerequisites outside `items` are taken as done.
    pub fn new(items: &[PlannedKey]) -> Self {
        let index: HashMap<ItemKey, usize> =
            items.iter().enumerate().map(|(position, item)| (item.key.clone(), position)).collect();
        let mut entries: Vec<Entry> = items.iter().map(|item| Entry::new(item, &index)).collect();
        for position in 0..entries.len() {
            for needed in entries[position].after.clone() {
                entries[needed].dependants.push(position);
            }
        }
        rank(&mut entries);
        measure(&mut entries);
        Self { free: 0, barrier: false, stopping: false, entries, index }
    }

    /// Notes where an item stands; keys outside the run are ignored.
    pub fn set(&mut self, key: &ItemKey, progress: Progress) {
        if let Some(position) = self.index.get(key) {
            self.entries[*position].progress = progress;
        }
    }

    /// Where an item stands.
    pub fn progress(&self, key: &ItemKey) -> Option<Progress> {
        self.index.get(key).map(|position| self.entries[*position].progress)
    }

    /// Every item with its standing, in plan order.
    pub fn items(&self) -> impl Iterator<Item = (&ItemKey, Progress)> {
        self.entries.iter().map(|entry| (&entry.key, entry.progress))
    }

    /// Prerequisites of an item that are not done, in plan order: what it waits for.
    pub fn waits_for(&self, key: &ItemKey) -> Vec<&ItemKey> {
        let Some(position) = self.index.get(key) else { return Vec::new() };
        let needed = self.entries[*position].after.iter().map(|needed| &self.entries[*needed]);
        needed.filter(|entry| entry.progress != Progress::Done).map(|entry| &entry.key).collect()
    }
}

/// The actions that the board asks for: blocks first, then starts, the longest chain first, then in id order.
pub fn next(board: &Board) -> Vec<Action> {
    let causes = failures(board);
    let blocked = |position: usize| causes[position].is_some() && board.entries[position].progress == Progress::Waiting;
    let mut actions: Vec<Action> = Vec::new();
    for (position, entry) in board.entries.iter().enumerate().filter(|(position, _)| blocked(*position)) {
        actions.push(Action::Block { key: entry.key.clone(), by: chain_of(board, &causes, position) });
    }
    if board.stopping {
        return actions;
    }
    let open_wave = lowest_open_wave(board, &blocked);
    let mut ready: Vec<&Entry> = board
        .entries
        .iter()
        .enumerate()
        .filter(|(position, entry)| entry.progress == Progress::Waiting && !blocked(*position))
        .map(|(_, entry)| entry)
        .filter(|entry| !board.barrier || open_wave.is_none_or(|open| entry.wave <= open))
        .filter(|entry| entry.after.iter().all(|needed| board.entries[*needed].progress == Progress::Done))
        .collect();
    ready.sort_by_key(|entry| (Reverse(entry.chain), entry.rank));
    actions.extend(ready.into_iter().take(board.free).map(|entry| Action::Start(entry.key.clone())));
    actions
}

/// For each item that a failure reaches, the prerequisite through which a nearest failure reaches it.
fn failures(board: &Board) -> Vec<Option<usize>> {
    let mut cause: Vec<Option<usize>> = vec![None; board.entries.len()];
    let having = |progress: Progress| {
        board.entries.iter().enumerate().filter(move |(_, entry)| entry.progress == progress).map(|(at, _)| at)
    };
    // Items blocked in an earlier run count as causes where the failure itself is not part of this run.
    for sources in [having(Progress::Failed).collect::<Vec<_>>(), having(Progress::Blocked).collect()] {
        let mut queue: VecDeque<usize> = sources.into_iter().filter(|source| cause[*source].is_none()).collect();
        while let Some(position) = queue.pop_front() {
            for dependant in &board.entries[position].dependants {
                let reached = matches!(board.entries[*dependant].progress, Progress::Waiting | Progress::Blocked);
                if reached && cause[*dependant].is_none() {
                    cause[*dependant] = Some(position);
                    queue.push_back(*dependant);
                }
            }
        }
    }
    cause
}

/// The chain from the nearest prerequisite to the cause; of one longer than [`SHOWN`] the far middle is left out, else a
/// chain of thousands would be recorded thousands of times.
fn chain_of(board: &Board, causes: &[Option<usize>], position: usize) -> Vec<ItemKey> {
    let mut chain = Vec::new();
    let mut at = position;
    // Bounded, so that a damaged record with a circle in it cannot hold the run up.
    for _ in 0..board.entries.len() {
        let Some(cause) = causes[at] else { break };
        if chain.len() == SHOWN {
            chain.pop();
        }
        chain.push(cause);
        at = cause;
    }
    chain.into_iter().map(|cause| board.entries[cause].key.clone()).collect()
}

fn lowest_open_wave(board: &Board, blocked: &dyn Fn(usize) -> bool) -> Option<u32> {
    let open = |(position, entry): &(usize, &Entry)| match entry.progress {
        Progress::Waiting => !blocked(*position),
        Progress::Running | Progress::Paused | Progress::Held => true,
        Progress::Done | Progress::Failed | Progress::Blocked | Progress::Stopped => false,
    };
    board.entries.iter().enumerate().filter(open).map(|(_, entry)| entry.wave).min()
}

impl Entry {
    fn new(item: &PlannedKey, index: &HashMap<ItemKey, usize>) -> Self {
        Self {
            key: item.key.clone(),
            wave: item.wave,
            after: item.after.iter().filter_map(|key| index.get(key).copied()).collect(),
            dependants: Vec::new(),
            chain: 1,
            rank: 0,
            progress: Progress::Waiting,
        }
    }
}

fn rank(entries: &mut [Entry]) {
    let mut order: Vec<(Option<ItemId>, ItemKey, usize)> = entries
        .iter()
        .enumerate()
        .map(|(position, entry)| (ItemId::parse(entry.key.as_str()), entry.key.clone(), position))
        .collect();
    order.sort();
    for (rank, (_, _, position)) in order.into_iter().enumerate() {
        entries[position].rank = rank;
    }
}

/// Sets the chains from the leaves up, without recursion.
fn measure(entries: &mut [Entry]) {
    let mut open: Vec<usize> = entries.iter().map(|entry| entry.dependants.len()).collect();
    let mut queue: Vec<usize> = (0..entries.len()).filter(|position| open[*position] == 0).collect();
    while let Some(position) = queue.pop() {
        let chain = entries[position].chain + 1;
        for needed in entries[position].after.clone() {
            entries[needed].chain = entries[needed].chain.max(chain);
            open[needed] -= 1;
            if open[needed] == 0 {
                queue.push(needed);
            }
        }
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
