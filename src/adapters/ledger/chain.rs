//! Reads chains of records and remembers the newest state of each. Must not write.

use std::collections::{BTreeMap, HashMap};

use gix::ObjectId;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::codec::{self, Fact};
use super::store::Entry;
use crate::adapters::git::refs;
use crate::adapters::git::repo::{git_error, oid};
use crate::domain::names::Oid;
use crate::engine::ports::{LedgerError, PortError};

/// The newest state of one chain.
#[derive(Clone)]
pub(super) struct Chain<F: Fact> {
    /// Newest record; `None` before the first.
    pub(super) tip: Option<Oid>,
    /// The fold.
    pub(super) state: F::State,
    raw: Raw,
}

/// What the snapshot in the tip holds beyond the state.
#[derive(Clone)]
enum Raw {
    /// Not looked at yet: only whoever appends needs it.
    Unread,
    /// Nothing.
    Plain,
    /// This, as written.
    Kept(Value),
}

/// All chains below one prefix, read when their refs changed.
pub(super) struct Chains<F: Fact> {
    prefix: &'static str,
    known: HashMap<String, Chain<F>>,
}

impl<F: Fact> Default for Chain<F> {
    fn default() -> Self {
        Self { tip: None, state: F::State::default(), raw: Raw::Plain }
    }
}

impl<F: Fact> Chain<F> {
    /// The snapshot for `state`, which follows this one; what this version does not know stays in it.
    pub(super) fn next_snapshot(&mut self, git: &gix::Repository, state: &F::State) -> Result<Value, LedgerError> {
        if let (Raw::Unread, Some(id)) = (&self.raw, self.parent()?) {
            let unreadable = |reason: String| LedgerError::Unreadable { chain: id.to_string(), reason };
            let message = message_of(git, id).map_err(|error| unreadable(error.to_string()))?;
            let raw = codec::raw_snapshot(&message).map_err(|error| unreadable(error.to_string()))?;
            self.raw = if raw == codec::to_snapshot(&self.state) { Raw::Plain } else { Raw::Kept(raw) };
        }
        Ok(match &self.raw {
            Raw::Kept(raw) => codec::carry(raw, &self.state, state),
            Raw::Plain | Raw::Unread => codec::to_snapshot(state),
        })
    }

    /// Parent of the next record.
    pub(super) fn parent(&self) -> Result<Option<ObjectId>, PortError> {
        let parse = |tip: &Oid| {
            ObjectId::from_hex(tip.as_str().as_bytes()).map_err(|_| PortError::new(format!("`{tip}` is no object id")))
        };
        self.tip.as_ref().map(parse).transpose()
    }

    /// Takes note of the next record.
    pub(super) fn advance(&mut self, tip: Oid, state: F::State, snapshot: Value) {
        self.raw = match self.raw {
            Raw::Kept(_) => Raw::Kept(snapshot),
            Raw::Plain | Raw::Unread => Raw::Plain,
        };
        self.tip = Some(tip);
        self.state = state;
    }
}

impl<F: Fact> Chains<F> {
    pub(super) fn new(prefix: &'static str) -> Self {
        Self { prefix, known: HashMap::new() }
    }

    /// A chain as it stands now.
    pub(super) fn current(&mut self, git: &gix::Repository, name: &str) -> Result<Option<&Chain<F>>, LedgerError> {
        let full = format!("{}{name}", self.prefix);
        let Some(tip) = refs::tip_in(git, &full)? else {
            self.known.remove(name);
            return Ok(None);
        };
        self.load(git, name, tip)?;
        Ok(self.known.get(name))
    }

    /// Every chain as it stands now.
    pub(super) fn all(&mut self, git: &gix::Repository) -> Result<BTreeMap<String, F::State>, LedgerError> {
        let mut states = BTreeMap::new();
        for (full, tip) in refs::list_in(git, self.prefix)? {
            let Some(name) = full.strip_prefix(self.prefix) else { continue };
            self.load(git, name, tip)?;
            if let Some(chain) = self.known.get(name) {
                states.insert(name.to_owned(), chain.state.clone());
            }
        }
        self.known.retain(|name, _| states.contains_key(name));
        Ok(states)
    }

    /// Every state as it stands now, or a part `S` of it, for one look: nothing is remembered. `made` names it and makes it what
    /// is asked for: a thousand states are not moved twice.
    pub(super) fn look<S: DeserializeOwned, K: Ord, T>(
        &self,
        git: &gix::Repository,
        made: impl Fn(&str, S) -> (K, T),
    ) -> Result<BTreeMap<K, T>, LedgerError> {
        let mut states = BTreeMap::new();
        for (full, tip) in refs::list_in(git, self.prefix)? {
            let Some(name) = full.strip_prefix(self.prefix) else { continue };
            let id = parse(&full, &tip)?;
            let commit = git.find_commit(id).map_err(|error| unreadable(&full, &error))?;
            let message = commit.message_raw().map_err(|error| unreadable(&full, &error))?;
            let state = codec::decode_state::<S>(message).map_err(|error| unreadable(&full, &error))?;
            let (key, state) = made(name, state);
            states.insert(key, state);
        }
        Ok(states)
    }

    /// Takes over what was just written.
    pub(super) fn adopt(&mut self, chains: impl Iterator<Item = (String, Chain<F>)>) {
        self.known.extend(chains);
    }

    /// Every record of a chain, oldest first.
    pub(super) fn history(&self, git: &gix::Repository, name: &str) -> Result<Vec<Entry<F>>, LedgerError> {
        let full = format!("{}{name}", self.prefix);
        let Some(tip) = refs::tip_in(git, &full)? else { return Ok(Vec::new()) };
        let mut records = Vec::new();
        let mut next = Some(parse(&full, &tip)?);
        while let Some(id) = next {
            let message = message_of(git, id).map_err(|error| unreadable(&full, &error))?;
            let decoded = codec::decode::<F>(&message).map_err(|error| unreadable(&full, &error))?;
            if !decoded.joins {
                records.push((oid(id), decoded.at, decoded.event));
            }
            let commit = git.find_commit(id).map_err(|error| unreadable(&full, &error))?;
            next = commit.parent_ids().next().map(gix::Id::detach);
        }
        records.reverse();
        Ok(records)
    }

    fn load(&mut self, git: &gix::Repository, name: &str, tip: Oid) -> Result<(), LedgerError> {
        if self.known.get(name).is_some_and(|known| known.tip.as_ref() == Some(&tip)) {
            return Ok(());
        }
        let full = format!("{}{name}", self.prefix);
        let id = parse(&full, &tip)?;
        let message = message_of(git, id).map_err(|error| unreadable(&full, &error))?;
        let decoded = codec::decode::<F>(&message).map_err(|error| unreadable(&full, &error))?;
        let chain = Chain { tip: Some(tip), state: decoded.state, raw: Raw::Unread };
        self.known.insert(name.to_owned(), chain);
        Ok(())
    }
}

/// The message of a commit.
pub(super) fn message_of(git: &gix::Repository, id: ObjectId) -> Result<Vec<u8>, PortError> {
    let failed = |error| git_error(format!("cannot read record {id}"), error);
    let commit = git.find_commit(id).map_err(failed)?;
    Ok(commit.message_raw().map_err(failed)?.to_vec())
}

fn parse(chain: &str, tip: &Oid) -> Result<ObjectId, LedgerError> {
    ObjectId::from_hex(tip.as_str().as_bytes()).map_err(|error| unreadable(chain, &error))
}

fn unreadable(chain: &str, reason: &dyn std::fmt::Display) -> LedgerError {
    LedgerError::Unreadable { chain: chain.to_owned(), reason: reason.to_string() }
}
