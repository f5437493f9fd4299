//! The promises that a simulation is held to: some are looked at whenever something happens, some when nothing runs, some at
//! the end. Everything is judged from the machine itself, never by asking the engine. Must not change anything.

use std::collections::BTreeMap;

use super::disk::By;
use super::folk::Proc;
use super::ledger::state_of;
use super::world::{MAIN, World};
use crate::domain::event::{FailureClass, ItemEvent, Landing, PhaseOutcome, ReviewVerdict};
use crate::domain::names::{ItemKey, Oid};
use crate::domain::run_state::RunState;
use crate::domain::state::{ItemState, Outcome, Status};
use crate::domain::workflow::Phase;
use crate::engine::events::ItemSummary;

/// I6, I13: an attempt begins only under the item's lock, when nothing of an earlier one runs.
pub(super) fn appended(world: &mut World, pid: u32, key: &ItemKey, event: &ItemEvent) {
    let ItemEvent::AttemptStarted { attempt, .. } = event else { return };
    if world.locks.get(key).map(|(holder, _)| *holder) != Some(pid) {
        world.wrong(format!("I13: an attempt at {key} begins without its lock"));
    }
    if world.procs.values().any(|proc| proc.key == *key && proc.attempt != *attempt) {
        world.wrong(format!("I13: an attempt at {key} begins while something of an earlier one runs"));
    }
}

/// I14: what is recorded as landed is on the target.
pub(super) fn recorded(world: &mut World, key: &ItemKey, event: &ItemEvent) {
    if let ItemEvent::Landed { landing } = event
        && !world.disk.tip(MAIN).is_some_and(|tip| world.disk.contains(tip, &landing.tip))
    {
        world.wrong(format!("I14: {key} is recorded as landed and is not on the target"));
    }
}

/// I6, I13: a process starts for the current attempt only, which is on record, under the item's lock.
pub(super) fn started(world: &mut World, proc: &Proc) {
    let key = &proc.key;
    if world.procs.values().any(|other| other.key == *key && other.attempt != proc.attempt) {
        world.wrong(format!("I13: two attempts at {key} live at once"));
    }
    if world.locks.get(key).map(|(holder, _)| *holder) != Some(proc.owner) {
        world.wrong(format!("I13: a process of {key} starts without its lock"));
    }
    if world.attempt(key).as_ref() != Some(&proc.attempt) {
        world.wrong(format!("I6: a process of {key} starts whose attempt is not on record"));
    }
}

/// I3, I4: the target moves to exactly what was approved by somebody else and passed its checks, once per story.
pub(super) fn landing(world: &mut World, key: &ItemKey, landing: &Landing) {
    let mut wrong = Vec::new();
    let state = state_of(world, key).unwrap_or_default();
    if state.intended.as_ref() != Some(landing) {
        wrong.push("I4: it moves the target without an intent on record");
    }
    let Some(merge) = world.disk.find(&landing.merge).map(|number| world.disk.at(number)) else {
        return world.wrong(format!("I4: {key} lands a commit that is not there"));
    };
    let parents: Vec<&Oid> = merge.parents.iter().map(|parent| &world.disk.at(*parent).oid).collect();
    if merge.tree != landing.merge_tree || parents != [&landing.base, &landing.head] {
        wrong.push("I4: the merge is not the one that was judged");
    }
    if !approved(&state, landing) {
        wrong.push("I4: nobody else approved this merge");
    }
    let check = ("test".to_owned(), landing.merge_tree.clone());
    if world.checks && world.checked.get(&check) != Some(&true) {
        wrong.push("I4: the check did not pass on the merge tree");
    }
    if let Some(head) = author_heads(&state).find(|head| !world.disk.contains(&landing.head, head)) {
        world.tell(|_| format!("{head} is not part of {}", landing.head));
        wrong.push("I17: it lands without work that is on record as done");
    }
    if merges_of(world).contains_key(key) {
        wrong.push("I3: it is on the target already");
    }
    for what in wrong {
        world.wrong(format!("{what} ({key})"));
    }
}

/// Whether the newest review, given by no author, approves this landing, as it is or carried.
fn approved(state: &ItemState, landing: &Landing) -> bool {
    let Some(review) = state.reviews.last() else { return false };
    let carried = state.carried.as_ref().is_some_and(|carried| {
        carried.from_tree == review.merge_tree
            && carried.merge_tree == landing.merge_tree
            && carried.base == landing.base
    });
    review.verdict == ReviewVerdict::Approve
        && review.head == landing.head
        && (review.merge_tree == landing.merge_tree || carried)
        && !state.authors().any(|author| *author == review.reviewer)
}

/// Tips of the story branch that the record names as what authors left.
fn author_heads(state: &ItemState) -> impl Iterator<Item = &Oid> {
    let phases =
        [Phase::Implementation, Phase::ReviewResponse].into_iter().filter_map(|phase| state.phases.get(&phase));
    phases.filter_map(|outcome| match outcome {
        PhaseOutcome::Done { head, .. } => head.as_ref(),
        PhaseOutcome::NotApplicable { .. } => None,
    })
}

/// Merges of stories on the first-parent chain of the target, by story.
fn merges_of(world: &World) -> BTreeMap<ItemKey, usize> {
    let mut merges = BTreeMap::new();
    let mut next = world.disk.tip(MAIN).and_then(|tip| world.disk.find(tip));
    while let Some(number) = next {
        let commit = world.disk.at(number);
        if let Some(key) = commit.story.as_ref().filter(|_| commit.parents.len() == 2) {
            *merges.entry(key.clone()).or_default() += 1;
        }
        next = commit.parents.first().copied();
    }
    merges
}

/// I17: what is shown as ended is so after a power cut right now.
pub(super) fn reported(world: &mut World, item: &ItemSummary) {
    let key = &item.story_id;
    let status = item.status;
    if !matches!(status, Status::Landed | Status::Failed | Status::Blocked) {
        return;
    }
    let chain = world.disk.items.get(key);
    let last = chain.and_then(|chain| chain.entries.get(chain.synced.checked_sub(1)?));
    let durable = last.map_or(Status::NotStarted, |entry| entry.state.status());
    if durable != status && !(status == Status::Blocked && world.faults > 0) {
        world.wrong(format!("I17: {key} is shown as {status:?}, and a power cut would leave {durable:?}"));
    }
    let Some(tip) = &item.landed else { return };
    let Some(main) = world.disk.synced_tip(MAIN).cloned() else { return };
    if !world.disk.contains(&main, tip) {
        world.wrong(format!("I17: {key} is shown as landed, and a power cut would take it off the target"));
    }
    let reached = world.disk.reach(world.disk.find(&main));
    let unsynced = (0..reached.len()).any(|number| reached[number] && !world.disk.at(number).synced);
    if unsynced {
        world.wrong(format!("I17: {key} is shown as landed, and a power cut would take commits of it"));
    }
}

/// What holds at any time at which nothing of an orchestrator runs.
pub(super) fn at_rest(world: &mut World) {
    let mut wrong = Vec::new();
    for path in world.missing_paths() {
        wrong.push(format!("I5: {path} is in no commit, worktree or trash"));
    }
    wrong.extend(target(world));
    wrong.into_iter().for_each(|what| world.wrong(what));
}

/// I18: the state beside the last record is what the records give, byte for byte.
fn folds(world: &World) -> Vec<String> {
    let mut wrong = Vec::new();
    for (place, (key, chain)) in world.disk.items.iter().enumerate() {
        let folded = ItemState::fold(chain.entries.iter().map(|entry| (&entry.event, entry.at)));
        let cached = chain.entries.last().map(|entry| &entry.state);
        // The bytes of one item in each world: equal states with other bytes would be a matter of the form, not of the seed.
        let other_bytes = || place == 0 && folded.as_ref().ok().map(bytes) != cached.map(bytes);
        if folded.as_ref().ok() != cached || other_bytes() {
            wrong.push(format!("I18: the state of {key} is not what its records give"));
        }
    }
    for (run, chain) in &world.disk.runs {
        let fold = |state: RunState, entry: &super::disk::Entry<_, _>| state.apply(&entry.event, entry.at);
        let folded = chain.entries.iter().try_fold(RunState::default(), fold);
        let cached = chain.entries.last().map(|entry| &entry.state);
        if folded.as_ref().ok() != cached {
            wrong.push(format!("I18: the state of {run} is not what its records give"));
        }
    }
    wrong
}

fn bytes(state: &ItemState) -> Vec<u8> {
    serde_json::to_vec(state).unwrap_or_default()
}

/// I3, I4, I14: the target holds what persons committed and what landed, nothing else, each once.
fn target(world: &World) -> Vec<String> {
    let mut wrong = Vec::new();
    let Some(tip) = world.disk.tip(MAIN).and_then(|tip| world.disk.find(tip)) else {
        return vec!["I4: the target is gone".to_owned()];
    };
    let reached = world.disk.reach([tip]);
    let on_target = |oid: &Oid| world.disk.find(oid).is_some_and(|number| reached[number]);
    for oid in world.persons.iter().filter(|oid| !on_target(oid)) {
        wrong.push(format!("I4: a person's commit {} is no longer on the target", oid.short()));
    }
    let merges = merges_of(world);
    for (key, count) in merges.iter().filter(|(_, count)| **count > 1) {
        wrong.push(format!("I3: {key} was merged {count} times"));
    }
    let mut next = Some(tip);
    while let Some(number) = next {
        let commit = world.disk.at(number);
        let known = commit.by == By::Person || commit.story.is_some() && commit.by == By::Tool;
        if !known {
            wrong.push(format!("I4: {} came to the target by no landing", commit.oid.short()));
        }
        next = commit.parents.first().copied();
    }
    for key in world.tales.keys() {
        let state = state_of(world, key).unwrap_or_default();
        let landed = state.outcome == Some(Outcome::Landed);
        let there = state.landings.last().is_some_and(|landing| on_target(&landing.tip));
        if landed && !there {
            wrong.push(format!("I14: {key} is recorded as landed and is not on the target"));
        }
        // A landing whose record is missing is on record as intended.
        let intended = state.intended.as_ref().is_some_and(|landing| on_target(&landing.tip));
        if !landed && !intended && merges.contains_key(key) {
            wrong.push(format!("I14: {key} is on the target, and no record says so"));
        }
    }
    wrong
}

/// What holds when everything has come to its end.
pub(super) fn at_end(world: &mut World) {
    at_rest(world);
    let mut wrong = folds(world);
    if let Some(proc) = world.procs.values().next() {
        wrong.push(format!("I6: a process of {} lives on", proc.key));
    }
    if let Some(key) = world.locks.keys().next() {
        wrong.push(format!("I2: the lock of {key} is held by nobody alive"));
    }
    let merges = merges_of(world);
    let mut accidents = world.faults;
    for (key, tale) in &world.tales {
        let state = state_of(world, key).unwrap_or_default();
        match (&state.outcome, state.status()) {
            (Some(Outcome::Landed), _) if merges.get(key) == Some(&1) => {
                let desk = state.attempt.as_ref().map(|attempt| world.root.join(&attempt.worktree));
                if desk.is_some_and(|desk| world.desks.contains_key(&desk)) && world.faults == 0 {
                    wrong.push(format!("I16: {key} has landed, and its worktree stays"));
                }
            }
            (Some(Outcome::Failed { failure }), _) if tale.explains(failure.class) => {}
            (Some(Outcome::Failed { failure }), _) => {
                let machine =
                    matches!(failure.class, FailureClass::Internal | FailureClass::Setup | FailureClass::Agent)
                        || matches!(failure.class, FailureClass::NoReview);
                if accidents == 0 || !machine {
                    wrong.push(format!("I19: {key} failed for no reason of its own: {}", failure.message));
                }
                accidents = accidents.saturating_sub(1);
            }
            (Some(Outcome::Blocked { by }), _) if failed(world, by.last()) => {}
            (_, status) => wrong.push(format!("I16: {key} is left {status:?}")),
        }
    }
    wrong.into_iter().for_each(|what| world.wrong(what));
}

fn failed(world: &World, key: Option<&ItemKey>) -> bool {
    let state = key.and_then(|key| state_of(world, key));
    state.is_some_and(|state| matches!(state.status(), Status::Failed | Status::Blocked))
}
