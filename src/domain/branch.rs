//! The record of one protected branch: where adoption began, how far it is proven, breaches, acknowledgements, hotfixes.
//! Events and their fold; must not read anything, and must not judge a commit (that is `passage`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event::CheckRun;
use super::names::{Oid, Principal, Timestamp};
use super::state::Rejected;

/// A commit that came onto the branch by no way that the gate knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Breach {
    /// The commit; for a rewind the tip that was lost.
    pub commit: Oid,
    /// Why it is one, completing "because ".
    pub reason: String,
    /// How it seems to have come, guessed from the reflog; empty when nothing is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub route: String,
}

/// An emergency change that landed without review, under the conditions of a hotfix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hotfix {
    /// Its name, unique per branch.
    pub id: String,
    /// First parent of the landing.
    pub base: Oid,
    /// Tip of the hotfix branch.
    pub head: Oid,
    /// Tree of the merge of the two.
    pub merge_tree: Oid,
    /// The commit the branch moved to.
    pub tip: Oid,
    /// Changed lines, added and removed.
    pub lines: u32,
    /// The production emergency, as stated.
    pub emergency: String,
    /// Why it cannot wait for a review.
    pub reason: String,
    /// What has to be done afterwards: an issue or a sentence.
    pub follow_up: String,
    /// Who did it.
    pub by: Principal,
    /// Labels of the record: `emergency`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Checks that passed on the merge tree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckRun>,
    /// Checks of the policy that were asked to be skipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
}

/// A fact of a protected branch's chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum BranchEvent {
    /// The tool was put in charge; what the branch held then is before adoption.
    Adopted {
        /// Tip at that moment.
        tip: Oid,
        /// Who did it.
        by: Principal,
    },
    /// Everything up to this commit is proven.
    Certified {
        /// The commit.
        tip: Oid,
    },
    /// Something came in, or was taken back, that no way explains. Landings stop until it is acknowledged.
    Breached {
        /// What.
        breach: Breach,
    },
    /// A person looked at every open breach and lets landings go on from here.
    Acknowledged {
        /// Tip that was looked at.
        tip: Oid,
        /// Who.
        by: Principal,
        /// What they say of it.
        message: String,
    },
    /// A hotfix is about to land: written before the branch moves, so that a crash in between is told apart.
    HotfixIntended {
        /// Which.
        hotfix: Hotfix,
    },
    /// A hotfix landed; written in one transaction with the move.
    HotfixLanded {
        /// Which.
        hotfix: Hotfix,
    },
    /// The landing of a hotfix is over: checkouts followed, or it never happened.
    HotfixSettled {
        /// Its name.
        id: String,
    },
    /// The follow-up of a hotfix is done.
    HotfixResolved {
        /// Its name.
        id: String,
        /// Who says so.
        by: Principal,
        /// What was done.
        message: String,
    },
}

/// A hotfix and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HotfixRecord {
    /// The hotfix.
    #[serde(flatten)]
    pub hotfix: Hotfix,
    /// When it landed.
    pub at: Timestamp,
    /// What was done afterwards, once it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<String>,
}

/// Everything the events of one protected branch say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BranchState {
    /// Where adoption began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adopted: Option<Oid>,
    /// Up to here everything is proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certified: Option<Oid>,
    /// Breaches that nobody acknowledged yet, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub breaches: Vec<Breach>,
    /// Commits of breaches that were acknowledged, with what was said.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub acknowledged: BTreeMap<Oid, String>,
    /// Hotfixes, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hotfixes: Vec<HotfixRecord>,
    /// A hotfix on its way: intended, or landed with checkouts that have not followed yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub landing: Option<Hotfix>,
    /// Time of the newest event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated: Option<Timestamp>,
}

impl BranchState {
    /// The state after `event`, which happened at `at`.
    pub fn apply(&self, event: &BranchEvent, at: Timestamp) -> Result<Self, Rejected> {
        let illegal = |what: String| Err(Rejected::Illegal { what });
        let mut next = self.clone();
        next.updated = Some(at);
        match event {
            BranchEvent::Adopted { .. } if self.adopted.is_some() => {
                return illegal("the branch was adopted already".to_owned());
            }
            BranchEvent::Adopted { tip, .. } => {
                next.adopted = Some(tip.clone());
                next.certified = Some(tip.clone());
            }
            BranchEvent::Certified { .. } if !self.breaches.is_empty() => {
                return illegal("a breach is open; acknowledge it first".to_owned());
            }
            BranchEvent::Certified { tip } => next.certified = Some(tip.clone()),
            BranchEvent::Breached { breach } => {
                let known = |known: &&Breach| known.commit == breach.commit;
                if self.breaches.iter().find(known).is_none() && !self.acknowledged.contains_key(&breach.commit) {
                    next.breaches.push(breach.clone());
                }
            }
            BranchEvent::Acknowledged { tip, message, .. } => {
                for breach in std::mem::take(&mut next.breaches) {
                    next.acknowledged.insert(breach.commit, message.clone());
                }
                next.certified = Some(tip.clone());
            }
            BranchEvent::HotfixIntended { hotfix } if self.landing.is_some() => {
                return illegal(format!("another hotfix than {} is on its way", hotfix.id));
            }
            BranchEvent::HotfixIntended { hotfix } if self.has_hotfix(&hotfix.id) => {
                return illegal(format!("hotfix {} has landed already", hotfix.id));
            }
            BranchEvent::HotfixIntended { hotfix } => next.landing = Some(hotfix.clone()),
            BranchEvent::HotfixSettled { id } => match &self.landing {
                Some(landing) if landing.id == *id => next.landing = None,
                Some(_) | None => return illegal(format!("hotfix {id} is not on its way")),
            },
            BranchEvent::HotfixLanded { hotfix } => {
                if self.has_hotfix(&hotfix.id) {
                    return illegal(format!("hotfix {} has landed already", hotfix.id));
                }
                next.hotfixes.push(HotfixRecord { hotfix: hotfix.clone(), at, resolved: None });
            }
            BranchEvent::HotfixResolved { id, message, .. } => {
                let open = next.hotfixes.iter_mut().find(|known| known.hotfix.id == *id && known.resolved.is_none());
                match open {
                    Some(open) => open.resolved = Some(message.clone()),
                    None => return illegal(format!("there is no open hotfix {id}")),
                }
            }
        }
        Ok(next)
    }

    /// The state after all events, oldest first.
    pub fn fold<'a>(events: impl IntoIterator<Item = (&'a BranchEvent, Timestamp)>) -> Result<Self, Rejected> {
        events.into_iter().try_fold(Self::default(), |state, (event, at)| state.apply(event, at))
    }

    /// Whether a hotfix of this name has landed.
    pub fn has_hotfix(&self, id: &str) -> bool {
        self.hotfixes.iter().any(|known| known.hotfix.id == id)
    }

    /// Hotfixes whose follow-up is open.
    pub fn open_hotfixes(&self) -> impl Iterator<Item = &HotfixRecord> {
        self.hotfixes.iter().filter(|known| known.resolved.is_none())
    }
}

#[cfg(test)]
#[path = "branch_tests.rs"]
mod tests;
