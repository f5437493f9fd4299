//! What a list of all items shows of a state, read out of a snapshot without the rest of it. Must not derive anything: it
//! becomes a state, and the state is asked.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::event::PhaseOutcome;
use super::names::{RunId, Timestamp};
use super::state::{Attempt, ItemState, Outcome, SessionRecord};
use super::usage::Spent;
use super::workflow::Phase;

/// The part of a snapshot that a list shows; fields as in [`ItemState`].
#[derive(Default, Deserialize)]
#[allow(clippy::zero_sized_map_values, reason = "serde reads an object into a map, whatever its values are")]
#[serde(rename_all = "camelCase", default)]
pub struct Glance {
    title: String,
    path: String,
    round: u32,
    attempts: u32,
    tries: u32,
    lacks: u32,
    spent: BTreeMap<RunId, Spent>,
    spent_by_phase: BTreeMap<RunId, BTreeMap<Phase, Spent>>,
    pauses: u32,
    attempt: Option<Attempt>,
    /// Which phases are recorded is shown, what came of them is not.
    phases: BTreeMap<Phase, IgnoredAny>,
    sessions: Vec<SessionRecord>,
    waits: Option<String>,
    parked: bool,
    outcome: Option<Outcome>,
    started: Option<Timestamp>,
    updated: Option<Timestamp>,
}

impl From<Glance> for ItemState {
    /// A state that a list shows as it shows the whole one. What came of its phases, its checks, reviews, landings and ways
    /// back are not in it.
    fn from(glance: Glance) -> Self {
        let unseen = |(phase, _)| (phase, PhaseOutcome::NotApplicable { reason: String::new() });
        Self {
            title: glance.title,
            path: glance.path,
            round: glance.round,
            attempts: glance.attempts,
            tries: glance.tries,
            lacks: glance.lacks,
            spent: glance.spent,
            spent_by_phase: glance.spent_by_phase,
            pauses: glance.pauses,
            attempt: glance.attempt,
            phases: glance.phases.into_iter().map(unseen).collect(),
            sessions: glance.sessions,
            waits: glance.waits,
            parked: glance.parked,
            outcome: glance.outcome,
            started: glance.started,
            updated: glance.updated,
            ..Self::default()
        }
    }
}
