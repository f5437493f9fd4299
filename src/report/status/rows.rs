//! One row per item out of ledger, run and files: what the table, the JSON and `show` have in common.
//! Must not lay anything out.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::domain::branch::Breach;
use crate::domain::budget::of_item_by_phase;
use crate::domain::id::ItemId;
use crate::domain::names::{BranchRef, ItemKey, Oid, RunId, Timestamp};
use crate::domain::pressure::Pressure;
use crate::domain::run_state::RunState;
use crate::domain::state::{ItemState, Outcome, Status};
use crate::domain::usage::Spent;
use crate::domain::workflow::Phase;
use crate::report::hotfix::Listed;
use crate::report::text::{rfc3339, rfc3339_seconds};
use crate::report::words::{spent_apart_json, usd};

/// What the stories' files add to the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Title as the file has it now; empty = use the ledger's.
    pub title: String,
    /// Ids of the prerequisites.
    pub dependencies: Vec<String>,
    /// 0-based wave, where a plan was made.
    pub wave: Option<u32>,
    /// Whether the file says that the story is done; counts only for items without a chain.
    pub done: bool,
}

/// A protected branch and how far it is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The branch.
    pub branch: BranchRef,
    /// Where it is.
    pub tip: Oid,
    /// Up to here it is proven.
    pub certified: Option<Oid>,
    /// Commits since then.
    pub uncertified: usize,
    /// Breaches on record that nobody acknowledged.
    pub breaches: Vec<Breach>,
}

/// A client that is given nothing for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PausedAgent {
    /// Adapter.
    pub agent: String,
    /// Failures in a row.
    pub failures: u32,
    /// Why.
    pub why: String,
    /// Until when; `None` when the next session decides.
    pub until: Option<Timestamp>,
}

/// What holds starts back now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    /// Clients that are paused.
    pub paused: Vec<PausedAgent>,
    /// What the machine has left.
    pub pressure: Pressure,
    /// Why it has no room for more; `None` when it has.
    pub held: Option<String>,
}

/// Everything that status is derived from.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Folded states.
    pub items: &'a BTreeMap<ItemKey, ItemState>,
    /// The run to show: the live one, else the newest.
    pub run: Option<(&'a RunId, &'a RunState)>,
    /// Stories by key; may hold items without a chain and lack items whose file is gone.
    pub known: &'a BTreeMap<ItemKey, Known>,
    /// Items whose liveness lock is held; `None` when nobody looked. An open attempt without one is shown as Stopped.
    pub live: Option<&'a BTreeSet<ItemKey>>,
    /// Hotfixes, those that are closed included.
    pub hotfixes: &'a [Listed],
    /// Protected branches that are watched.
    pub branches: &'a [Watched],
    /// What holds starts back.
    pub guards: &'a Guards,
    /// Now, for elapsed times.
    pub now: Timestamp,
}

/// One item as status shows it.
pub(super) struct Row<'a> {
    pub(super) key: &'a ItemKey,
    pub(super) state: Option<&'a ItemState>,
    pub(super) title: &'a str,
    pub(super) status: Status,
    pub(super) dependencies: Vec<&'a str>,
    pub(super) wave: Option<u32>,
}

impl<'a> View<'a> {
    /// Every item of ledger, run and files, in natural id order.
    pub(super) fn rows(&self) -> Vec<Row<'a>> {
        let planned = self.run.map(|(_, run)| run.items.as_slice()).unwrap_or_default();
        let planned: BTreeMap<&ItemKey, (u32, &[ItemKey])> =
            planned.iter().map(|item| (&item.key, (item.wave, item.after.as_slice()))).collect();
        let mut keys: BTreeSet<&'a ItemKey> = self.items.keys().chain(self.known.keys()).collect();
        keys.extend(planned.keys());
        // All of them are in the same order: each is gone through once, instead of a search for every key.
        let (mut items, mut known) = (self.items.iter().peekable(), self.known.iter().peekable());
        let mut planned = planned.into_iter().peekable();
        let row = |key: &'a ItemKey| {
            let state = items.next_if(|(at, _)| *at == key).map(|(_, state)| state);
            let known = known.next_if(|(at, _)| *at == key).map(|(_, known)| known);
            let planned = planned.next_if(|(at, _)| *at == key).map(|(_, planned)| planned);
            (key.item_id(), self.row_of(key, state, known, planned))
        };
        let mut rows: Vec<(Option<ItemId>, Row<'a>)> = keys.into_iter().map(row).collect();
        // Keys that are no ids come last; among themselves they keep the order of their text.
        rows.sort_by(|(a, _), (b, _)| (a.is_none(), a).cmp(&(b.is_none(), b)));
        rows.into_iter().map(|(_, row)| row).collect()
    }

    pub(super) fn row(&self, key: &'a ItemKey, planned: Option<(u32, &'a [ItemKey])>) -> Row<'a> {
        self.row_of(key, self.items.get(key), self.known.get(key), planned)
    }

    fn row_of(
        &self,
        key: &'a ItemKey,
        state: Option<&'a ItemState>,
        known: Option<&'a Known>,
        planned: Option<(u32, &'a [ItemKey])>,
    ) -> Row<'a> {
        let title = known.map(|known| known.title.as_str()).filter(|title| !title.is_empty());
        let dependencies = match (known, planned) {
            (Some(known), _) => known.dependencies.iter().map(String::as_str).collect(),
            (None, Some((_, after))) => after.iter().map(ItemKey::as_str).collect(),
            (None, None) => Vec::new(),
        };
        Row {
            key,
            state,
            title: title.or(state.map(|state| state.title.as_str())).unwrap_or_default(),
            status: status(state, known, self.live.map(|live| live.contains(key))),
            dependencies,
            wave: planned.map(|(wave, _)| wave).or(known.and_then(|known| known.wave)),
        }
    }
}

/// Status of an item. `live` says whether its lock is held, where somebody looked.
pub(super) fn status(state: Option<&ItemState>, known: Option<&Known>, live: Option<bool>) -> Status {
    let Some(state) = state else {
        return if known.is_some_and(|known| known.done) { Status::Landed } else { Status::NotStarted };
    };
    let status = state.status();
    if status == Status::InProgress && live == Some(false) { Status::Stopped } else { status }
}

/// The phase an item is in or failed in; `None` before the first attempt and after the landing.
pub(super) fn phase(state: &ItemState) -> Option<Phase> {
    match &state.outcome {
        Some(Outcome::Landed | Outcome::NoChange { .. } | Outcome::Blocked { .. }) => None,
        Some(Outcome::Failed { failure } | Outcome::Due { failure, .. }) => Some(failure.phase),
        Some(Outcome::Stopped { .. } | Outcome::Interrupted { .. }) | None => {
            state.attempt.as_ref().and_then(|_| state.next_phase())
        }
    }
}

/// Reason of the present status, for people; empty when it needs none.
pub(super) fn reason(state: &ItemState) -> String {
    match &state.outcome {
        Some(Outcome::Failed { failure }) => failure.message.clone(),
        Some(Outcome::Due { failure, number, of, not_before }) => {
            let at = rfc3339_seconds(*not_before);
            format!("try {} of {of} at {at}: {}", number.saturating_add(1), failure.message)
        }
        Some(Outcome::Blocked { by }) => {
            format!("needs {}", by.iter().map(ItemKey::as_str).collect::<Vec<_>>().join(" → "))
        }
        Some(Outcome::Stopped { reason } | Outcome::Interrupted { reason } | Outcome::NoChange { reason }) => {
            reason.clone()
        }
        Some(Outcome::Landed) => String::new(),
        None => state.waits.clone().unwrap_or_default(),
    }
}

impl Row<'_> {
    /// Reason of the status, for people; empty when it needs none.
    pub(super) fn reason(&self) -> String {
        match self.state {
            Some(state) => reason(state),
            None if self.status == Status::Landed => "done by its file".to_owned(),
            None => String::new(),
        }
    }
}

/// An item as scripts see it, with the field names of the users' guide.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item<'a> {
    story_id: &'a ItemKey,
    title: &'a str,
    status: Status,
    phase: Option<Phase>,
    agent: Option<&'a str>,
    adapter: Option<&'a str>,
    worktree: Option<&'a str>,
    branch: Option<&'a str>,
    dependencies: &'a [&'a str],
    wave: Option<u32>,
    start_time: Option<String>,
    last_update: Option<String>,
    attempts: u32,
    failed_tries: u32,
    cost_usd: Option<Value>,
    unpriced_sessions: Option<u32>,
    spent_apart: Option<Value>,
    tokens: Option<u64>,
    agent_millis: Option<u64>,
    reason: Option<String>,
}

/// A row for scripts.
pub(super) fn item<'a>(row: &'a Row<'_>) -> Item<'a> {
    let attempt = row.state.and_then(|state| state.attempt.as_ref());
    let spent = row.state.map(ItemState::spent_in_all);
    Item {
        story_id: row.key,
        title: row.title,
        status: row.status,
        phase: row.state.and_then(phase),
        agent: attempt.map(|attempt| attempt.role.as_str()),
        adapter: attempt.map(|attempt| attempt.agent.as_str()),
        worktree: attempt.map(|attempt| attempt.worktree.as_str()),
        branch: attempt.map(|attempt| attempt.branch.short()),
        dependencies: &row.dependencies,
        wave: row.wave,
        start_time: row.state.and_then(|state| state.started).map(rfc3339),
        last_update: row.state.and_then(|state| state.updated).map(rfc3339),
        attempts: row.state.map_or(0, |state| state.attempts),
        failed_tries: row.state.map_or(0, |state| state.tries),
        cost_usd: spent.as_ref().map(usd),
        unpriced_sessions: spent.as_ref().map(Spent::unpriced),
        spent_apart: row
            .state
            .map(of_item_by_phase)
            .filter(|phases| !phases.is_empty())
            .map(|phases| spent_apart_json(&phases)),
        tokens: spent.as_ref().and_then(Spent::token_count),
        agent_millis: spent.map(|spent| spent.millis),
        reason: Some(row.reason()).filter(|reason| !reason.is_empty()),
    }
}
