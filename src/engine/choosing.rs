//! Which agent of a chain gets a session: the first that may be used now. Must not start anything.

use std::collections::BTreeSet;

use super::attempt::Attempt;
use super::events::Happening;
use super::limits::Chosen;
use super::world::World;
use crate::domain::assign;
use crate::domain::names::{ItemKey, Principal};
use crate::domain::plan::Assignment;
use crate::domain::state::ItemState;
use crate::domain::workflow::Phase;

/// The agents that may work on an item, in order: one whose session can be gone on with before all others.
pub(crate) fn author_chain(assignment: &Assignment, state: &ItemState) -> Vec<String> {
    let mut chain = assignment.chain();
    let of = |principal: &Principal| match principal {
        Principal::Agent { adapter, .. } => Some(adapter.clone()),
        Principal::Person(_) | Principal::Tool => None,
    };
    let open = state.open_session.as_ref().and_then(|open| of(&open.principal));
    let known = open.or_else(|| state.author_session.as_ref().and_then(|known| of(&known.principal)));
    if let Some(at) = known.and_then(|known| chain.iter().position(|adapter| *adapter == known)) {
        let known = chain.remove(at);
        chain.insert(0, known);
    }
    chain
}

/// The agent of the chain that works on an item from now on.
pub(crate) fn author(world: &World, key: &ItemKey, assignment: &Assignment, state: &ItemState) -> Chosen {
    world.limits.choose(key, &author_chain(assignment, state))
}

impl Attempt {
    /// The agent of the author's next session.
    pub(crate) fn author_agent(&self) -> Chosen {
        let chosen = author(&self.track.world, &self.track.key, &self.planned.assignment, &self.track.state);
        self.tell_of_choice(&chosen);
        chosen
    }

    /// The agent of the next review: one that wrote nothing of the change where the chain has one. Where several agents are to
    /// review, each is the one that was planned.
    pub(crate) fn reviewing_agent(&self, reviewer: &Assignment) -> Chosen {
        let several = !self.track.world.decisions.more_reviewers.is_empty();
        let chain = if several { vec![reviewer.adapter.clone()] } else { self.review_chain() };
        let chosen = self.track.world.limits.choose(&self.track.key, &chain);
        self.tell_of_choice(&chosen);
        chosen
    }

    fn review_chain(&self) -> Vec<String> {
        let authors: BTreeSet<&str> = self
            .track
            .state
            .authors()
            .filter_map(|author| match author {
                Principal::Agent { adapter, .. } => Some(adapter.as_str()),
                Principal::Person(_) | Principal::Tool => None,
            })
            .collect();
        let decisions = &self.track.world.decisions;
        let more = decisions.more_reviewers.iter().map(|more| more.adapter.clone());
        let chain: Vec<String> = decisions.reviewer.chain().into_iter().chain(more).collect();
        assign::reviewers(&chain, &authors)
    }

    /// Milliseconds until an agent may be used for a phase; `None` when all of them need a person.
    pub(crate) fn chance(&self, phase: Phase) -> Option<u64> {
        let chain = match phase {
            Phase::Review => self.review_chain(),
            _ => author_chain(&self.planned.assignment, &self.track.state),
        };
        self.track.world.limits.chance(&self.track.key, &chain)
    }

    /// Says once for the run that one agent takes the place of another.
    fn tell_of_choice(&self, chosen: &Chosen) {
        if chosen.instead.is_empty() {
            return;
        }
        let text = format!("{} takes its place: {}", chosen.adapter, chosen.instead);
        if self.track.world.limits.say_once(&text) {
            self.track.world.tell(Happening::Notice { text });
        }
    }
}
