//! The fold of an item's and a run's events, and the status derived from it.
//! Must not read anything: the same events give the same state byte for byte.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::event::{CheckRun, Failure, FailureClass, ItemEvent, Landing, PhaseOutcome, Review, ReviewVerdict};
use super::names::{AttemptId, BranchRef, ItemKey, Oid, PolicyVersion, Principal, RunId, Timestamp};
use super::usage::{Spent, Usage};
use super::workflow::Phase;

/// Why an event does not apply to a state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Rejected {
    /// A newer attempt, or none, is the current one.
    #[error("attempt {attempt} is no longer the current one")]
    Fenced {
        /// The attempt that tried to write.
        attempt: AttemptId,
    },
    /// The event makes no sense in this state.
    #[error("{what}")]
    Illegal {
        /// What was tried in which state.
        what: String,
    },
}

/// One try at one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Fencing token.
    pub id: AttemptId,
    /// The run it belongs to.
    pub run: RunId,
    /// Adapter.
    pub agent: String,
    /// Role.
    pub role: String,
    /// Story branch.
    pub branch: BranchRef,
    /// Worktree.
    pub worktree: String,
    /// Target branch.
    pub target: BranchRef,
    /// Where the story branch starts.
    pub base: Oid,
    /// Policy in force.
    pub policy: PolicyVersion,
    /// Blob of the story text.
    pub story: Oid,
    /// When it began.
    pub started: Timestamp,
}

/// How the last attempt, or the item itself, ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ended", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Outcome {
    /// The branch moved.
    Landed,
    /// Nothing had to change.
    NoChange {
        /// Why.
        reason: String,
    },
    /// Failed.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// The attempt failed, and another one is due.
    Due {
        /// Why.
        failure: Failure,
        /// Tries that count by now.
        number: u32,
        /// Tries at most.
        of: u32,
        /// Not before this time.
        not_before: Timestamp,
    },
    /// Prerequisites failed.
    Blocked {
        /// Chain, nearest first.
        by: Vec<ItemKey>,
    },
    /// A person stopped it.
    Stopped {
        /// Why.
        reason: String,
    },
    /// The orchestrator went away.
    Interrupted {
        /// How it was found.
        reason: String,
    },
}

/// A review carried over a moved base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Carried {
    /// Merge tree of the review as given.
    pub from_tree: Oid,
    /// New base.
    pub base: Oid,
    /// New merge tree.
    pub merge_tree: Oid,
}

/// A session of an agent and the first phase it performed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionRecord {
    /// First phase.
    pub phase: Phase,
    /// `agent:<adapter>:<session>`.
    pub principal: Principal,
    /// How it ended; absent while it runs, and for ever when it was cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<SessionEnd>,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionEnd {
    /// When.
    pub at: Timestamp,
    /// Wall time in milliseconds.
    pub millis: u64,
    /// What it consumed.
    #[serde(default)]
    pub usage: Usage,
    /// The model, as the client names it; empty = it did not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// Date of the price table by which the cost was reckoned; empty = the client said it, or it is unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub priced: String,
    /// When a rate limit ends, as far as the client says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The failure that its end proves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<FailureClass>,
    /// Whether it was asked to end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
}

/// An author's session of which nobody has recorded what it came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenSession {
    /// Attempt that started it.
    pub attempt: AttemptId,
    /// First phase.
    pub phase: Phase,
    /// `agent:<adapter>:<session>`.
    pub principal: Principal,
}

/// Everything the events of one item say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ItemState {
    /// Title as of the last attempt.
    pub title: String,
    /// Source file.
    pub path: String,
    /// 1 for the first round; a reopened item begins the next.
    pub round: u32,
    /// Attempts started in this round, continued ones included.
    pub attempts: u32,
    /// Attempts that failed and count, since a person last asked for the item.
    #[serde(skip_serializing_if = "is_zero")]
    pub tries: u32,
    /// Attempts that failed for lack of resources and do not count, since then.
    #[serde(skip_serializing_if = "is_zero")]
    pub lacks: u32,
    /// What its sessions consumed, by run; no retry and no round takes it back.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub spent: BTreeMap<RunId, Spent>,
    /// The last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
    /// Phases of this round that are recorded and not returned from.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub phases: BTreeMap<Phase, PhaseOutcome>,
    /// Sessions of this round.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<SessionRecord>,
    /// The author's session under way; after a stop or a kill the next attempt goes on with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_session: Option<OpenSession>,
    /// Checks of this round, the newest of each (name, tree).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckRun>,
    /// Reviews of this round, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reviews: Vec<Review>,
    /// The newest carrying of the newest approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carried: Option<Carried>,
    /// How often work went back for each reason, by phase gone back to.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub returns: BTreeMap<Phase, u32>,
    /// Reason of the last way back; empty when none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub return_reason: String,
    /// A landing intended and not known to have happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intended: Option<Landing>,
    /// Landings that happened, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub landings: Vec<Landing>,
    /// What the landing waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// Whether the last attempt ended in order to wait; the next one goes on with it, and nothing was interrupted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub parked: bool,
    /// How it ended; absent while an attempt is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Time of the first event of this round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// Time of the newest event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Whether a class says that something outside ended a session.
fn is_cut_off(class: FailureClass) -> bool {
    matches!(
        class,
        FailureClass::RateLimited | FailureClass::WallTimeout | FailureClass::IdleTimeout | FailureClass::Resources
    )
}

/// The status words of the users' guide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// No attempt yet, or a retry was asked for.
    NotStarted,
    /// An attempt is open.
    InProgress,
    /// Phases 1 to 8 are recorded and the review is missing.
    ReadyForReview,
    /// Reviewed; not landed yet.
    Approved,
    /// On the protected branch, or done with no change.
    Landed,
    /// Failed.
    Failed,
    /// A prerequisite failed.
    Blocked,
    /// Stopped by a person, or interrupted.
    Stopped,
}

impl Status {
    /// The word shown to people and written in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotStarted => "Not Started",
            Self::InProgress => "In Progress",
            Self::ReadyForReview => "Ready for Review",
            Self::Approved => "Approved",
            Self::Landed => "Landed",
            Self::Failed => "Failed",
            Self::Blocked => "Blocked",
            Self::Stopped => "Stopped",
        }
    }
}

impl Serialize for Status {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl ItemState {
    /// The state after `event`, which happened at `at`.
    pub fn apply(&self, event: &ItemEvent, at: Timestamp) -> Result<Self, Rejected> {
        self.admit(event)?;
        let mut next = self.clone();
        next.updated = Some(at);
        next.take(event, at);
        Ok(next)
    }

    /// Folds events from the beginning.
    pub fn fold<'a>(events: impl IntoIterator<Item = (&'a ItemEvent, Timestamp)>) -> Result<Self, Rejected> {
        events.into_iter().try_fold(Self::default(), |state, (event, at)| state.apply(event, at))
    }

    /// Status, derived.
    pub fn status(&self) -> Status {
        match &self.outcome {
            Some(Outcome::Landed | Outcome::NoChange { .. }) => Status::Landed,
            Some(Outcome::Failed { .. }) => Status::Failed,
            // Between two tries it is still being worked on.
            Some(Outcome::Due { .. }) => Status::InProgress,
            Some(Outcome::Blocked { .. }) => Status::Blocked,
            Some(Outcome::Stopped { .. } | Outcome::Interrupted { .. }) => Status::Stopped,
            None if self.attempt.is_none() => Status::NotStarted,
            None if self.phases.contains_key(&Phase::Review) => Status::Approved,
            None if self.phases.contains_key(&Phase::PullRequest) => Status::ReadyForReview,
            None => Status::InProgress,
        }
    }

    /// Whether the item is finished for good: landed, or done with no change.
    pub fn is_done(&self) -> bool {
        self.status() == Status::Landed
    }

    /// The first phase that is not recorded.
    pub fn next_phase(&self) -> Option<Phase> {
        Phase::ALL.into_iter().find(|phase| !self.phases.contains_key(phase))
    }

    /// The attempt that may still write.
    pub fn open_attempt(&self) -> Option<&Attempt> {
        if self.outcome.is_some() { None } else { self.attempt.as_ref() }
    }

    /// Sessions that wrote: all but the reviewers'.
    pub fn authors(&self) -> impl Iterator<Item = &Principal> {
        self.sessions.iter().filter(|session| session.phase != Phase::Review).map(|session| &session.principal)
    }

    /// Reviews that asked for changes in this round.
    pub fn rejections(&self) -> u32 {
        let rejected = self.reviews.iter().filter(|review| review.verdict == ReviewVerdict::RequestChanges).count();
        u32::try_from(rejected).unwrap_or(u32::MAX)
    }

    /// The newest run of the check `name` on `tree`.
    pub fn check_on(&self, name: &str, tree: &Oid) -> Option<&CheckRun> {
        self.checks.iter().rev().find(|check| check.name == name && check.tree == *tree)
    }

    fn admit(&self, event: &ItemEvent) -> Result<(), Rejected> {
        if let Some(attempt) = event.attempt() {
            let current = self.attempt.as_ref().is_some_and(|open| open.id == *attempt);
            let reflection =
                matches!(event, ItemEvent::PhaseRecorded { phase: Phase::Reflection, .. }) && self.is_done();
            if !current || (self.outcome.is_some() && !reflection) {
                return Err(Rejected::Fenced { attempt: attempt.clone() });
            }
        }
        let illegal = |what: &str| Err(Rejected::Illegal { what: what.to_owned() });
        match event {
            ItemEvent::AttemptStarted { continues, .. } => match &self.outcome {
                Some(Outcome::Landed | Outcome::NoChange { .. }) => illegal("the item has landed; reopen it first"),
                None if self.attempt.is_some() && continues.is_none() => {
                    illegal("an attempt is open; continue it instead")
                }
                _ if continues.is_some() && self.attempt.as_ref().map(|open| &open.id) != continues.as_ref() => {
                    illegal("the attempt to go on with is not the last one")
                }
                Some(
                    Outcome::Failed { .. }
                    | Outcome::Due { .. }
                    | Outcome::Blocked { .. }
                    | Outcome::Stopped { .. }
                    | Outcome::Interrupted { .. },
                )
                | None => Ok(()),
            },
            ItemEvent::ReturnedTo { phase, .. } if !self.may_return_to(*phase) => {
                illegal(&format!("work cannot go back to {phase} from here"))
            }
            ItemEvent::PhaseRecorded { phase: Phase::Reflection, .. } if !self.is_done() => {
                illegal("reflection follows the landing")
            }
            ItemEvent::Reviewed { .. } if self.attempt.is_none() || self.is_done() => {
                illegal("there is nothing to review")
            }
            ItemEvent::LandingIntended { landing, .. } if !self.is_approved(landing) => {
                illegal("a landing needs an approval of exactly what lands")
            }
            ItemEvent::Landed { landing } if self.intended.as_ref() != Some(landing) => {
                illegal("this landing was not intended")
            }
            ItemEvent::Blocked { .. } if self.open_attempt().is_some() || self.is_done() => {
                illegal("an open or landed item cannot be blocked")
            }
            ItemEvent::RetryRequested { reopen: false, .. } if self.is_done() => {
                illegal("the item has landed; use --reopen")
            }
            ItemEvent::RetryRequested { .. } if self.open_attempt().is_some() => illegal("an attempt is open"),
            ItemEvent::SessionStarted { .. }
            | ItemEvent::SessionEnded { .. }
            | ItemEvent::RetryDue { .. }
            | ItemEvent::PhaseRecorded { .. }
            | ItemEvent::Reviewed { .. }
            | ItemEvent::ReviewCarried { .. }
            | ItemEvent::ReturnedTo { .. }
            | ItemEvent::LandingWaits { .. }
            | ItemEvent::LandingIntended { .. }
            | ItemEvent::Landed { .. }
            | ItemEvent::NoChange { .. }
            | ItemEvent::Interrupted { .. }
            | ItemEvent::Failed { .. }
            | ItemEvent::Blocked { .. }
            | ItemEvent::Stopped { .. }
            | ItemEvent::RetryRequested { .. } => Ok(()),
        }
    }

    /// Whether the newest review approves this head and merge tree, as given or carried.
    fn is_approved(&self, landing: &Landing) -> bool {
        let carried = |review: &Review| {
            self.carried.as_ref().is_some_and(|carried| {
                carried.from_tree == review.merge_tree && carried.merge_tree == landing.merge_tree
            })
        };
        self.phases.contains_key(&Phase::Review)
            && self.reviews.last().is_some_and(|review| {
                review.verdict == ReviewVerdict::Approve
                    && review.head == landing.head
                    && (review.merge_tree == landing.merge_tree || carried(review))
            })
    }

    /// Whether work may go back to `to` from the phase that is next.
    fn may_return_to(&self, to: Phase) -> bool {
        let here = self.next_phase().unwrap_or(Phase::Reflection).min(Phase::Readiness);
        let answered = to == Phase::Testing && self.phases.contains_key(&Phase::ReviewResponse);
        answered || here.may_return_to(to)
    }

    fn take(&mut self, event: &ItemEvent, at: Timestamp) {
        match event {
            ItemEvent::AttemptStarted { .. } => self.begin(event, at),
            ItemEvent::SessionStarted { attempt, phase, principal } => {
                if *phase != Phase::Review {
                    let (attempt, principal) = (attempt.clone(), principal.clone());
                    self.open_session = Some(OpenSession { attempt, phase: *phase, principal });
                }
                self.sessions.push(SessionRecord { phase: *phase, principal: principal.clone(), end: None });
                if let Some(run) = self.attempt.as_ref().map(|attempt| attempt.run.clone()) {
                    self.spent.entry(run).or_default().start();
                }
            }
            ItemEvent::SessionEnded {
                run, principal, millis, usage, model, priced, until, class, cancelled, ..
            } => {
                let end = SessionEnd {
                    at,
                    millis: *millis,
                    usage: *usage,
                    model: model.clone(),
                    priced: priced.clone(),
                    until: *until,
                    class: *class,
                    cancelled: *cancelled,
                };
                // One that was cut off may be gone on with; one that broke off by itself is not.
                if class.is_some_and(|class| !is_cut_off(class)) {
                    self.open_session.take_if(|open| open.principal == *principal);
                }
                self.end_session(run, principal, end);
            }
            ItemEvent::PhaseRecorded { phase, outcome, .. } => {
                self.waits = None;
                self.open_session.take_if(|open| open.phase == *phase);
                self.record_phase(*phase, outcome);
            }
            ItemEvent::Reviewed { review, more, .. } => self.record_review(review, *more),
            ItemEvent::ReviewCarried { from_tree, base, merge_tree, .. } => {
                self.carried =
                    Some(Carried { from_tree: from_tree.clone(), base: base.clone(), merge_tree: merge_tree.clone() });
            }
            ItemEvent::ReturnedTo { phase, reason, .. } => {
                // The author's answer (10) stays recorded: it is what leads back to testing and review.
                self.phases.retain(|done, _| {
                    done < phase || *done == Phase::ReviewResponse && *phase != Phase::ReviewResponse
                });
                *self.returns.entry(*phase).or_default() += 1;
                self.return_reason.clone_from(reason);
                self.open_session = None;
                self.intended = None;
            }
            ItemEvent::LandingWaits { reason, .. } => {
                self.waits = Some(reason.clone());
                self.parked = true;
            }
            ItemEvent::LandingIntended { landing, .. } => {
                self.waits = None;
                self.intended = Some(landing.clone());
            }
            ItemEvent::Landed { landing } => {
                self.intended = None;
                self.landings.push(landing.clone());
                self.end(Outcome::Landed);
            }
            ItemEvent::NoChange { reason, .. } => self.end(Outcome::NoChange { reason: reason.clone() }),
            ItemEvent::Interrupted { reason, .. } => self.end(Outcome::Interrupted { reason: reason.clone() }),
            ItemEvent::Failed { failure, .. } => {
                self.tries = self.tries.saturating_add(1);
                self.end(Outcome::Failed { failure: failure.clone() });
            }
            ItemEvent::RetryDue { failure, number, of, not_before, .. } => {
                self.lacks = self.lacks.saturating_add(u32::from(*number == self.tries));
                self.tries = *number;
                let (number, of, not_before) = (*number, *of, *not_before);
                self.end(Outcome::Due { failure: failure.clone(), number, of, not_before });
            }
            ItemEvent::Blocked { by, .. } => self.end(Outcome::Blocked { by: by.clone() }),
            ItemEvent::Stopped { reason, .. } => self.end(Outcome::Stopped { reason: reason.clone() }),
            ItemEvent::RetryRequested { reopen, .. } => self.reset(*reopen),
        }
    }

    /// Notes the end of a session that was noted when it started, and charges its run.
    fn end_session(&mut self, run: &RunId, principal: &Principal, end: SessionEnd) {
        let open = |session: &&mut SessionRecord| session.principal == *principal && session.end.is_none();
        self.spent.entry(run.clone()).or_default().end(&end.usage, end.millis);
        if let Some(session) = self.sessions.iter_mut().rev().find(open) {
            session.end = Some(end);
        }
    }

    /// What a session is known to have consumed so far.
    pub fn used_by(&self, principal: &Principal) -> Usage {
        let mut sum = Usage::default();
        let of = self.sessions.iter().filter(|session| session.principal == *principal);
        of.filter_map(|session| session.end.as_ref()).for_each(|end| sum.add(&end.usage));
        sum
    }

    /// What all its sessions consumed, over every run.
    pub fn spent_in_all(&self) -> Spent {
        let mut sum = Spent::default();
        self.spent.values().for_each(|spent| sum.add(spent));
        sum
    }

    fn end(&mut self, outcome: Outcome) {
        self.waits = None;
        self.parked = false;
        if !matches!(outcome, Outcome::Stopped { .. } | Outcome::Interrupted { .. }) {
            self.open_session = None;
        }
        self.outcome = Some(outcome);
    }

    fn begin(&mut self, event: &ItemEvent, at: Timestamp) {
        let ItemEvent::AttemptStarted {
            attempt,
            continues,
            run,
            title,
            path,
            agent,
            role,
            branch,
            worktree,
            target,
            base,
            policy,
            story,
        } = event
        else {
            return;
        };
        if continues.is_none() {
            self.phases.clear();
            self.reviews.clear();
            self.returns.clear();
            self.return_reason.clear();
            self.carried = None;
            self.open_session = None;
        }
        if matches!(self.outcome, Some(Outcome::Failed { .. } | Outcome::Blocked { .. })) {
            // A run that somebody started after the last try had failed.
            (self.tries, self.lacks) = (0, 0);
        }
        self.round = self.round.max(1);
        self.attempts += 1;
        self.started.get_or_insert(at);
        self.title.clone_from(title);
        self.path.clone_from(path);
        self.outcome = None;
        self.waits = None;
        self.parked = false;
        self.attempt = Some(Attempt {
            id: attempt.clone(),
            run: run.clone(),
            agent: agent.clone(),
            role: role.clone(),
            branch: branch.clone(),
            worktree: worktree.clone(),
            target: target.clone(),
            base: base.clone(),
            policy: policy.clone(),
            story: story.clone(),
            started: at,
        });
    }

    fn record_phase(&mut self, phase: Phase, outcome: &PhaseOutcome) {
        if let PhaseOutcome::Done { checks, .. } = outcome {
            for check in checks {
                self.checks.retain(|known| known.name != check.name || known.tree != check.tree);
                self.checks.push(check.clone());
            }
        }
        self.phases.insert(phase, outcome.clone());
    }

    fn record_review(&mut self, review: &Review, more: bool) {
        self.carried = None;
        self.waits = None;
        if review.verdict == ReviewVerdict::Approve && more {
            self.phases.remove(&Phase::Review);
        } else if review.verdict == ReviewVerdict::Approve {
            let outcome = PhaseOutcome::Done {
                by: review.reviewer.clone(),
                summary: "approved".to_owned(),
                head: Some(review.head.clone()),
                checks: Vec::new(),
            };
            self.phases.insert(Phase::Review, outcome);
        } else {
            self.phases.remove(&Phase::Review);
            self.phases.remove(&Phase::ReviewResponse);
        }
        self.reviews.push(review.clone());
    }

    fn reset(&mut self, reopen: bool) {
        self.outcome = None;
        self.attempt = None;
        self.waits = None;
        self.parked = false;
        self.attempts = 0;
        (self.tries, self.lacks) = (0, 0);
        self.intended = None;
        self.phases.clear();
        self.checks.clear();
        self.reviews.clear();
        self.sessions.clear();
        self.open_session = None;
        self.returns.clear();
        self.return_reason.clear();
        self.carried = None;
        self.started = None;
        if reopen {
            self.round += 1;
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
