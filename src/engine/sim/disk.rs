//! What lies on the disk of the simulated machine: commits, refs and chains of records, each with a part that a power cut
//! would take. Must not decide what a power cut or a crash is; it only knows what was synced.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::dice::Dice;
use crate::domain::event::{ItemEvent, RunEvent};
use crate::domain::names::{ItemKey, Oid, RunId, Timestamp};
use crate::domain::run_state::RunState;
use crate::domain::state::ItemState;

/// Content of a tree or of a directory: path and text.
pub(super) type Files = BTreeMap<Arc<str>, Arc<str>>;

/// Who made a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Person,
    Agent,
    Tool,
}

/// A commit. Parents have lower numbers than their children.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    pub(super) oid: Oid,
    pub(super) parents: Vec<usize>,
    pub(super) tree: Oid,
    pub(super) by: By,
    /// The story that its message names.
    pub(super) story: Option<ItemKey>,
    /// Whether a power cut leaves it.
    pub(super) synced: bool,
    /// Taken by a power cut.
    lost: bool,
}

/// A record in a chain with the state after it.
#[derive(Clone, Debug)]
pub(super) struct Entry<E, S> {
    pub(super) event: E,
    pub(super) at: Timestamp,
    pub(super) state: S,
}

/// Records in order; a ref at the last one.
#[derive(Clone, Debug)]
pub(super) struct Chain<E, S> {
    pub(super) entries: Vec<Entry<E, S>>,
    /// How many of them a power cut leaves.
    pub(super) synced: usize,
}

impl<E, S> Default for Chain<E, S> {
    fn default() -> Self {
        Self { entries: Vec::new(), synced: 0 }
    }
}

/// A ref that moved and was not synced since.
#[derive(Clone, Debug)]
enum Moved {
    Branch(String, Option<Oid>),
    Item(ItemKey, usize),
    Run(RunId, usize),
}

/// Everything on the disk but directories.
#[derive(Default)]
pub(super) struct Disk {
    commits: Vec<Commit>,
    numbers: HashMap<Oid, usize>,
    trees: HashMap<Oid, Arc<Files>>,
    refs: BTreeMap<String, Oid>,
    synced_refs: BTreeMap<String, Oid>,
    moves: Vec<Moved>,
    pub(super) items: BTreeMap<ItemKey, Chain<ItemEvent, ItemState>>,
    pub(super) runs: BTreeMap<RunId, Chain<RunEvent, RunState>>,
}

/// An object id made from content.
fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> Oid {
    let mut hash = 0x6C62_272E_07BB_0142_62B8_2175_6295_C58D_u128;
    for part in parts {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013B);
        }
    }
    // Ids are shown by their first digits, so the zeros stand at the end.
    Oid::new(format!("{:032x}00000000", hash ^ hash.rotate_left(64).wrapping_mul(0x9E37_79B9_7F4A_7C15)))
}

impl Disk {
    /// Stores a tree.
    pub(super) fn tree(&mut self, files: Files) -> Oid {
        let id = digest(files.iter().flat_map(|(path, text)| [path.as_ref(), text.as_ref()]));
        self.trees.entry(id.clone()).or_insert_with(|| Arc::new(files));
        id
    }

    /// Stores a commit of a stored tree; the same one again when it is there.
    pub(super) fn commit(&mut self, tree: &Oid, parents: &[Oid], by: By, story: Option<&ItemKey>, note: &str) -> Oid {
        let name = format!("{by:?} {}", story.map_or("", ItemKey::as_str));
        let above: Vec<&str> = parents.iter().map(Oid::as_str).collect();
        let oid = digest([tree.as_str(), &name, note].into_iter().chain(above));
        if let Some(number) = self.numbers.get(&oid) {
            let known = &mut self.commits[*number];
            known.synced &= !known.lost;
            known.lost = false;
            return oid;
        }
        let parents = parents.iter().map(|parent| self.numbers[parent]).collect();
        self.numbers.insert(oid.clone(), self.commits.len());
        let (tree, story) = (tree.clone(), story.cloned());
        self.commits.push(Commit { oid: oid.clone(), parents, tree, by, story, synced: false, lost: false });
        oid
    }

    /// Number of a commit that is there.
    pub(super) fn find(&self, oid: &Oid) -> Option<usize> {
        self.numbers.get(oid).copied().filter(|number| !self.commits[*number].lost)
    }

    /// A commit by its number.
    pub(super) fn at(&self, number: usize) -> &Commit {
        &self.commits[number]
    }

    /// Files of a stored tree.
    pub(super) fn files_of(&self, tree: &Oid) -> Arc<Files> {
        self.trees.get(tree).cloned().unwrap_or_default()
    }

    /// Files of a commit; none when it is not there.
    pub(super) fn files(&self, commit: &Oid) -> Arc<Files> {
        self.find(commit).map(|number| self.files_of(&self.commits[number].tree)).unwrap_or_default()
    }

    /// For every commit, whether one of `tips` descends from it or is it.
    pub(super) fn reach(&self, tips: impl IntoIterator<Item = usize>) -> Vec<bool> {
        let mut reached = vec![false; self.commits.len()];
        for tip in tips {
            reached[tip] = true;
        }
        for number in (0..reached.len()).rev() {
            if reached[number] {
                for parent in &self.commits[number].parents {
                    reached[*parent] = true;
                }
            }
        }
        reached
    }

    /// Whether `ancestor` is reachable from `commit`.
    pub(super) fn contains(&self, commit: &Oid, ancestor: &Oid) -> bool {
        let (Some(commit), Some(ancestor)) = (self.find(commit), self.find(ancestor)) else { return false };
        self.reach([commit])[ancestor]
    }

    /// Commits in base..head, newest first.
    pub(super) fn range(&self, base: &Oid, head: &Oid) -> Vec<usize> {
        let (old, new) = (self.reach(self.find(base)), self.reach(self.find(head)));
        (0..new.len()).rev().filter(|number| new[*number] && !old[*number]).collect()
    }

    fn merge_base(&self, one: &Oid, other: &Oid) -> Arc<Files> {
        let (ours, theirs) = (self.reach(self.find(one)), self.reach(self.find(other)));
        let common = (0..ours.len()).rev().find(|number| ours[*number] && theirs[*number]);
        common.map(|number| self.files_of(&self.commits[number].tree)).unwrap_or_default()
    }

    /// What changed between the common ancestor and `head`.
    pub(super) fn change(&self, base: &Oid, head: &Oid) -> usize {
        differences(&self.merge_base(base, head), &self.files(head)).len()
    }

    /// Merges file by file: the result, or the paths that both sides changed differently.
    pub(super) fn merge(&self, one: &Oid, other: &Oid) -> Result<Files, Vec<Arc<str>>> {
        let (base, ours, theirs) = (self.merge_base(one, other), self.files(one), self.files(other));
        let mut merged = (*ours).clone();
        let mut conflicts = Vec::new();
        for path in differences(&base, &theirs) {
            let (was, our, their) = (base.get(&path), ours.get(&path), theirs.get(&path));
            if our == their {
                continue;
            }
            if our != was {
                conflicts.push(path);
                continue;
            }
            match their {
                Some(text) => drop(merged.insert(path, text.clone())),
                None => drop(merged.remove(&path)),
            }
        }
        if conflicts.is_empty() { Ok(merged) } else { Err(conflicts) }
    }

    /// Value of a ref.
    pub(super) fn tip(&self, name: &str) -> Option<&Oid> {
        self.refs.get(name)
    }

    /// Value that a ref would have after a power cut now.
    pub(super) fn synced_tip(&self, name: &str) -> Option<&Oid> {
        self.synced_refs.get(name)
    }

    /// Every ref.
    pub(super) fn refs(&self) -> impl Iterator<Item = (&String, &Oid)> {
        self.refs.iter()
    }

    /// Moves, makes or deletes a ref; not synced.
    pub(super) fn set(&mut self, name: &str, to: Option<Oid>) {
        match &to {
            Some(oid) => drop(self.refs.insert(name.to_owned(), oid.clone())),
            None => drop(self.refs.remove(name)),
        }
        self.moves.push(Moved::Branch(name.to_owned(), to));
    }

    /// Makes the last move of a ref survive a power cut.
    pub(super) fn sync_ref(&mut self, name: &str) {
        self.moves.retain(|moved| !matches!(moved, Moved::Branch(of, _) if of == name));
        match self.refs.get(name).cloned() {
            Some(oid) => drop(self.synced_refs.insert(name.to_owned(), oid)),
            None => drop(self.synced_refs.remove(name)),
        }
    }

    /// Makes commits with their trees survive a power cut.
    pub(super) fn sync_commits(&mut self, numbers: impl IntoIterator<Item = usize>) {
        for number in numbers {
            self.commits[number].synced = true;
        }
    }

    /// Adds records to an item's chain in one move of its ref; not synced.
    pub(super) fn extend_item(&mut self, key: &ItemKey, entries: Vec<Entry<ItemEvent, ItemState>>) {
        let chain = self.items.entry(key.clone()).or_default();
        chain.entries.extend(entries);
        self.moves.push(Moved::Item(key.clone(), chain.entries.len()));
    }

    /// The same for a run.
    pub(super) fn extend_run(&mut self, run: &RunId, entries: Vec<Entry<RunEvent, RunState>>) {
        let chain = self.runs.entry(run.clone()).or_default();
        chain.entries.extend(entries);
        self.moves.push(Moved::Run(run.clone(), chain.entries.len()));
    }

    /// Makes the ref of an item's chain survive a power cut.
    pub(super) fn sync_item(&mut self, key: &ItemKey) {
        self.moves.retain(|moved| !matches!(moved, Moved::Item(of, _) if of == key));
        if let Some(chain) = self.items.get_mut(key) {
            chain.synced = chain.entries.len();
        }
    }

    /// The same for a run.
    pub(super) fn sync_run(&mut self, run: &RunId) {
        self.moves.retain(|moved| !matches!(moved, Moved::Run(of, _) if of == run));
        if let Some(chain) = self.runs.get_mut(run) {
            chain.synced = chain.entries.len();
        }
    }

    /// Loses what was not synced: of the commits by chance; of the moves of refs all behind a point chosen by chance, for a
    /// file system with a journal loses no earlier change while it keeps a later one.
    pub(super) fn power_cut(&mut self, dice: &mut Dice) {
        for number in 0..self.commits.len() {
            // A commit without its history is of no use.
            let broken = self.commits[number].parents.iter().any(|parent| self.commits[*parent].lost);
            let commit = &mut self.commits[number];
            commit.lost |= broken || !commit.synced && dice.chance(50);
            commit.synced = !commit.lost;
        }
        let kept = dice.index(self.moves.len() + 1);
        for moved in std::mem::take(&mut self.moves).into_iter().take(kept) {
            self.keep(moved);
        }
        self.refs.clone_from(&self.synced_refs);
        for chain in self.items.values_mut() {
            chain.entries.truncate(chain.synced);
        }
        for chain in self.runs.values_mut() {
            chain.entries.truncate(chain.synced);
        }
        self.items.retain(|_, chain| !chain.entries.is_empty());
        self.runs.retain(|_, chain| !chain.entries.is_empty());
    }

    fn keep(&mut self, moved: Moved) {
        match moved {
            Moved::Branch(name, Some(oid)) if self.find(&oid).is_some() => drop(self.synced_refs.insert(name, oid)),
            Moved::Branch(_, Some(_)) => {}
            Moved::Branch(name, None) => drop(self.synced_refs.remove(&name)),
            Moved::Item(key, length) => {
                if let Some(chain) = self.items.get_mut(&key) {
                    chain.synced = length;
                }
            }
            Moved::Run(run, length) => {
                if let Some(chain) = self.runs.get_mut(&run) {
                    chain.synced = length;
                }
            }
        }
    }
}

/// Paths in which two sets of files differ.
pub(super) fn differences(from: &Files, to: &Files) -> Vec<Arc<str>> {
    let gone = from.keys().filter(|path| !to.contains_key(*path));
    let changed = to.iter().filter(|(path, text)| from.get(*path) != Some(text)).map(|(path, _)| path);
    gone.chain(changed).cloned().collect()
}
