//! The wire form of a record: a commit message of one sentence for people and a JSON body for machines. Must not touch git.
//!
//! `{"v":2,"at":<ms>,"event":{…},"state":{…}}`: `state` is the fold up to and including `event`, a cache that can be derived
//! again. A body with a newer `v` is refused. Fields of the same `v` that this version does not know stay in the snapshots
//! it writes. `"joins":true` marks a commit with two parents that says nothing new: it repeats the event and the state of
//! its first parent, so that the records of another machine (its second parent) stay reachable.

use std::fmt::Write;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use super::diary;
use crate::domain::branch::{BranchEvent, BranchState};
use crate::domain::divergence;
use crate::domain::event::{ItemEvent, RunEvent};
use crate::domain::names::Timestamp;
use crate::domain::run_state::RunState;
use crate::domain::state::{ItemState, Rejected};

/// The newest format this version reads, and the one it writes. 2 added retries that are due and what sessions consume: a
/// version that knows only 1 would take an item between two tries for one at work, so it is to refuse.
/// 3 added classes of failure, which a version that knows only 2 cannot read.
pub const FORMAT: u64 = 3;

/// How a body begins that this program wrote, in one format or another.
const OURS: &str = "{\n\"v\": ";

/// A kind of event with the state it folds to.
pub trait Fact: Clone + PartialEq + Serialize + DeserializeOwned {
    /// What the events of one chain fold to.
    type State: Clone + Default + PartialEq + Serialize + DeserializeOwned;

    /// The state after this event.
    fn fold(&self, state: &Self::State, at: Timestamp) -> Result<Self::State, Rejected>;

    /// One sentence for people; `name` is the item's key or the run's id.
    fn subject(&self, name: &str) -> String;

    /// Whether the event adds nothing to a state that another machine's events led to.
    fn is_moot(&self, state: &Self::State) -> bool;

    /// Why what two machines recorded after the same beginning cannot both be so; `None` when it can.
    fn contradiction(_ours: &Side<'_, Self>, _theirs: &Side<'_, Self>) -> Option<String> {
        None
    }
}

/// What one machine recorded after the point where two parted, and what it came to.
pub type Side<'a, F> = (&'a [F], &'a <F as Fact>::State);

impl Fact for ItemEvent {
    type State = ItemState;

    fn fold(&self, state: &ItemState, at: Timestamp) -> Result<ItemState, Rejected> {
        state.apply(self, at)
    }

    fn subject(&self, name: &str) -> String {
        diary::of_item(name, self)
    }

    fn is_moot(&self, state: &ItemState) -> bool {
        divergence::is_moot(self, state)
    }

    fn contradiction(ours: &Side<'_, Self>, theirs: &Side<'_, Self>) -> Option<String> {
        divergence::contradiction(*ours, *theirs)
    }
}

impl Fact for RunEvent {
    type State = RunState;

    fn fold(&self, state: &RunState, at: Timestamp) -> Result<RunState, Rejected> {
        state.apply(self, at)
    }

    fn subject(&self, name: &str) -> String {
        diary::of_run(name, self)
    }

    fn is_moot(&self, _state: &RunState) -> bool {
        false
    }
}

impl Fact for BranchEvent {
    type State = BranchState;

    fn fold(&self, state: &BranchState, at: Timestamp) -> Result<BranchState, Rejected> {
        state.apply(self, at)
    }

    fn subject(&self, name: &str) -> String {
        diary::of_branch(name, self)
    }

    fn is_moot(&self, state: &BranchState) -> bool {
        divergence::is_moot_for_branch(self, state)
    }
}

/// A decoded record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<F: Fact> {
    /// The fact.
    pub event: F,
    /// When it happened.
    pub at: Timestamp,
    /// The fold up to and including it, as its writer saw it.
    pub state: F::State,
    /// Whether it only joins two histories: its event is its first parent's, told again, and is not folded.
    pub joins: bool,
}

impl<F: Fact> Decoded<F> {
    /// The state after this record, derived from the one before it.
    pub fn after(&self, before: &F::State) -> Result<F::State, Rejected> {
        if self.joins { Ok(before.clone()) } else { self.event.fold(before, self.at) }
    }
}

/// Why a message is not a record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Written by a newer version.
    #[error(
        "it is written in ledger format {found} and this version reads up to {FORMAT}; upgrade git-orchestrate to one that reads format {found}"
    )]
    Newer {
        /// The format needed.
        found: u64,
    },
    /// Not a record, or a damaged one.
    #[error("it is not a ledger record: {what}")]
    Damaged {
        /// What is wrong.
        what: String,
    },
}

#[derive(Deserialize)]
struct Version {
    v: u64,
}

#[derive(Deserialize)]
struct Body<E, S> {
    event: E,
    at: Timestamp,
    state: S,
    #[serde(default)]
    joins: bool,
}

#[derive(Deserialize)]
struct Snapshot<S = Value> {
    state: S,
}

/// The message of a record.
pub fn encode<F: Fact>(name: &str, event: &F, at: Timestamp, snapshot: &Value) -> String {
    let subject = event.subject(name);
    let event = serde_json::to_string_pretty(event).expect("an event has only string keys");
    // The event is for reading; the snapshot is a cache, on one line so that it does not bury the event.
    let body = format!("{{\n\"v\": {FORMAT},\n\"at\": {},\n\"event\": {event},\n\"state\": {snapshot}\n}}\n", at.0);
    format!("{subject}\n\n{}", visible(&body))
}

/// The message of a record that joins two histories; `event`, `at` and `snapshot` are the first parent's.
pub fn encode_join<F: Fact>(name: &str, event: &F, at: Timestamp, snapshot: &Value) -> String {
    let event = serde_json::to_string_pretty(event).expect("an event has only string keys");
    let head = format!("{{\n\"v\": {FORMAT},\n\"at\": {},\n\"joins\": true,\n", at.0);
    let body = format!("{head}\"event\": {event},\n\"state\": {snapshot}\n}}\n");
    let name = name.escape_debug();
    format!("{name}: joined with what another machine recorded\n\n{}", visible(&body))
}

/// The message of `refs/orchestrate/meta`.
pub fn encode_format() -> String {
    format!("git-orchestrate ledger, format {FORMAT}\n\n{{\"v\": {FORMAT}}}\n")
}

/// Refuses a ledger whose format is newer.
pub fn check_format(message: &[u8]) -> Result<(), DecodeError> {
    checked_body(message).map(drop)
}

/// Reads a message.
pub fn decode<F: Fact>(message: &[u8]) -> Result<Decoded<F>, DecodeError> {
    let body = checked_body(message)?;
    let body: Body<F, F::State> = serde_json::from_str(body).map_err(|error| damaged(&error))?;
    let Body { event, at, state, joins } = body;
    Ok(Decoded { event, at, state, joins })
}

/// The state in a message, or the part of it that is asked for, without a look at the event: for those who only read.
pub fn decode_state<S: DeserializeOwned>(message: &[u8]) -> Result<S, DecodeError> {
    let body = checked_body(message)?;
    serde_json::from_str::<Snapshot<S>>(body).map(|snapshot| snapshot.state).map_err(|error| damaged(&error))
}

/// The snapshot as it is written, unknown fields included.
pub fn raw_snapshot(message: &[u8]) -> Result<Value, DecodeError> {
    let body = checked_body(message)?;
    serde_json::from_str::<Snapshot<Value>>(body).map(|snapshot| snapshot.state).map_err(|error| damaged(&error))
}

/// A state as JSON.
pub fn to_snapshot<S: Serialize>(state: &S) -> Value {
    serde_json::to_value(state).expect("a state has only string keys")
}

/// The snapshot of `new`, with what `raw` holds beyond `old`: unknown fields of the state itself, and of every part of it
/// that `new` keeps as it was.
pub fn carry<S: Serialize>(raw: &Value, old: &S, new: &S) -> Value {
    let (old, mut fresh) = (to_snapshot(old), to_snapshot(new));
    if *raw == old {
        return fresh;
    }
    graft(raw, &old, &mut fresh);
    if let (Value::Object(raw), Value::Object(old), Value::Object(fresh)) = (raw, &old, &mut fresh) {
        for (name, value) in raw.iter().filter(|(name, _)| !old.contains_key(*name)) {
            fresh.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    fresh
}

/// Puts the raw form of everything that did not change back in place.
fn graft(raw: &Value, old: &Value, fresh: &mut Value) {
    if fresh == old {
        *fresh = raw.clone();
        return;
    }
    match (raw, old, fresh) {
        (Value::Object(raw), Value::Object(old), Value::Object(fresh)) => graft_object(raw, old, fresh),
        (Value::Array(raw), Value::Array(old), Value::Array(fresh)) => {
            for part in fresh {
                let same = old.iter().position(|known| known == part).and_then(|index| raw.get(index));
                if let Some(same) = same {
                    *part = same.clone();
                }
            }
        }
        _ => {}
    }
}

fn graft_object(raw: &Map<String, Value>, old: &Map<String, Value>, fresh: &mut Map<String, Value>) {
    for (name, part) in fresh {
        if let (Some(raw), Some(old)) = (raw.get(name), old.get(name)) {
            graft(raw, old, part);
        }
    }
}

fn checked_body(message: &[u8]) -> Result<&str, DecodeError> {
    let text = std::str::from_utf8(message).map_err(|error| damaged(&error))?;
    let (_, body) = text.split_once("\n\n").ok_or_else(|| damaged(&"it has no body"))?;
    // Only the version is looked at first: of a newer body nothing else needs to make sense. Where it stands in front there is
    // no need to read the whole body twice.
    let in_front = body.strip_prefix(OURS).and_then(|rest| rest.split_once(",\n")?.0.parse().ok());
    let v = match in_front {
        Some(v) => v,
        None => serde_json::from_str::<Version>(body).map_err(|error| damaged(&error))?.v,
    };
    if v > FORMAT {
        return Err(DecodeError::Newer { found: v });
    }
    Ok(body)
}

fn damaged(what: &dyn std::fmt::Display) -> DecodeError {
    DecodeError::Damaged { what: what.to_string().escape_debug().to_string() }
}

/// Escapes what JSON allows but a terminal obeys. Outside of strings JSON has only ASCII, so this never changes the value.
fn visible(json: &str) -> String {
    if !json.chars().any(|c| diary::is_hidden(c) && c != '\n') {
        return json.to_owned();
    }
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if diary::is_hidden(c) && c != '\n' {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                write!(shown, "\\u{unit:04x}").expect("writing to a string cannot fail");
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
