//! Phase 9: a review by somebody who did not write the change, bound to base, head, merge tree, policy and story text.
//! Prose never counts as a review. Must not land anything.

use super::attempt::{Attempt, Halt, Rework};
use super::author::session_class;
use super::continuing::Client;
use super::ports::{Artefact, Ended, Merged};
use crate::domain::event::{Failure, FailureClass, ItemEvent, Review, ReviewVerdict};
use crate::domain::gate::{self, Candidate};
use crate::domain::names::{Oid, Principal};
use crate::domain::plan::Assignment;
use crate::domain::policy::ReviewBy;
use crate::domain::prompt::{self, PromptTask, ReviewAnswer};
use crate::domain::statement;
use crate::domain::workflow::Phase;

/// How the reason of a way back after a conflict begins.
pub(crate) const CONFLICTS: &str = "conflicts with ";

/// A merge that is to be reviewed or landed.
#[derive(Clone, Debug)]
pub(crate) struct Merge {
    pub(crate) base: Oid,
    pub(crate) head: Oid,
    pub(crate) tree: Oid,
}

impl Attempt {
    /// Gets a review of the change as it would be merged now.
    pub(crate) async fn review(&mut self) -> Result<(), Halt> {
        if self.rejected() {
            self.limit_rounds()?;
            return self.respond().await;
        }
        let Some(merge) = self.merge_now(Phase::Review).await? else { return Ok(()) };
        let merge = self.merge_under_review(merge);
        let missing = self.missing_reviews(&merge, None).await?;
        match self.track.world.decisions.policy.review_by {
            ReviewBy::Human => self.review_by_person().await,
            ReviewBy::Both if missing.agents == 0 && missing.persons > 0 => self.review_by_person().await,
            ReviewBy::Agent | ReviewBy::Both => self.review_by_agent(merge).await,
        }
    }

    /// The merge that reviewers saw before, where several are to approve: all of them approve the same one.
    fn merge_under_review(&self, now: Merge) -> Merge {
        let policy = &self.track.world.decisions.policy;
        gate::under_review(policy, &self.track.state, &now.head).map_or_else(
            || now.clone(),
            |(base, tree)| Merge { base: base.clone(), head: now.head.clone(), tree: tree.clone() },
        )
    }

    /// The approvals that are missing for a merge, with one that is about to be given. Where one is enough, whether it counts is
    /// the gate's to say.
    async fn missing_reviews(&self, merge: &Merge, given: Option<&Review>) -> Result<gate::Missing, Halt> {
        let decisions = &self.track.world.decisions;
        if decisions.policy.one_review() {
            return Ok(gate::Missing::default());
        }
        let lander = &self.track.world.ports.lander;
        let mut state = self.track.state.clone();
        state.reviews.extend(given.cloned());
        let authors = lander.person_authors(&merge.base, &merge.head).await.map_err(Halt::internal(Phase::Review))?;
        let signatures = lander.signatures(&merge.base, &decisions.policy, &self.track.key, &state).await;
        let signatures = signatures.map_err(Halt::internal(Phase::Review))?;
        let candidate = Candidate {
            base: merge.base.clone(),
            head: merge.head.clone(),
            merge_tree: merge.tree.clone(),
            person_authors: authors,
        };
        Ok(gate::missing(&decisions.policy, &state, &candidate, &signatures))
    }

    /// Who reviews next: somebody whose adapter has not approved this merge.
    fn next_reviewer(&self, merge: &Merge) -> Assignment {
        let decisions = &self.track.world.decisions;
        let approvals = gate::standing_approvals(&self.track.state.reviews);
        let has_approved = |assignment: &&Assignment| {
            approvals.iter().any(|review| {
                review.head == merge.head
                    && matches!(&review.reviewer, Principal::Agent { adapter, .. } if *adapter == assignment.adapter)
            })
        };
        let mut all = std::iter::once(&decisions.reviewer).chain(&decisions.more_reviewers);
        all.find(|assignment| !has_approved(assignment)).unwrap_or(&decisions.reviewer).clone()
    }

    /// Waits for a person, unless one was faster than we are.
    async fn review_by_person(&mut self) -> Result<(), Halt> {
        let known = self.track.state.reviews.len();
        self.track.write().await?;
        self.track.reload().await?;
        if self.track.state.reviews.len() > known {
            return Ok(());
        }
        let key = &self.track.key;
        if self.track.world.decisions.policy.signatures_required {
            return Err(Halt::Wait(format!("a person's signed review: {}", statement::remedy(key))));
        }
        Err(Halt::Wait(format!("a person's review: git orchestrate review {key} --approve -m \"...\"")))
    }

    /// Whether the newest review asks for changes that the author has not answered.
    pub(crate) fn rejected(&self) -> bool {
        let state = &self.track.state;
        state.reviews.last().is_some_and(|review| review.verdict == ReviewVerdict::RequestChanges)
            && !state.phases.contains_key(&Phase::ReviewResponse)
    }

    /// Fails the item after too many rounds.
    fn limit_rounds(&self) -> Result<(), Halt> {
        let rounds = self.track.state.rejections();
        let limit = self.track.world.decisions.policy.review_rounds;
        if rounds >= limit {
            let message = format!("the review asked for changes {rounds} time(s), the limit is {limit}");
            return Err(Halt::fail(FailureClass::Review, Phase::Review, message));
        }
        Ok(())
    }

    /// Merges the tip of the target with the story in memory; a conflict goes back to the author.
    pub(crate) async fn merge_now(&mut self, phase: Phase) -> Result<Option<Merge>, Halt> {
        let lander = self.track.world.ports.lander.clone();
        let target = self.recorded().target.clone();
        let head = self.branch_tip(phase).await?;
        let base = lander.tip(&target).await.map_err(Halt::internal(phase))?.ok_or_else(|| {
            Halt::fail(FailureClass::Internal, phase, format!("{} does not exist any more", target.short()))
        })?;
        match lander.merge(&base, &head).await.map_err(Halt::internal(phase))? {
            Merged::Clean { tree } => Ok(Some(Merge { base, head, tree })),
            Merged::Conflict { paths } => {
                self.rework_conflict(phase, paths)?;
                Ok(None)
            }
        }
    }

    pub(crate) async fn branch_tip(&self, phase: Phase) -> Result<Oid, Halt> {
        let branch = &self.recorded().branch;
        let tip = self.track.world.ports.lander.tip(branch).await.map_err(Halt::internal(phase))?;
        tip.ok_or_else(|| {
            let message = format!("{} was deleted; its last commits are in the ledger", branch.short());
            Halt::fail(FailureClass::Internal, phase, message)
        })
    }

    fn rework_conflict(&mut self, phase: Phase, paths: Vec<String>) -> Result<(), Halt> {
        let rounds = self.track.state.returns.get(&Phase::Implementation).copied().unwrap_or(0);
        let target = self.recorded().target.short().to_owned();
        let what = format!("{CONFLICTS}{target} in {}", shown(&paths));
        if rounds >= self.track.world.decisions.settings.rework_rounds {
            let kept = self.recorded().branch.short();
            let message = format!("{what}, still after {rounds} round(s); the work is kept on {kept}");
            return Err(Halt::fail(FailureClass::Conflict, phase, message));
        }
        self.track.back_to(Phase::Implementation, what)?;
        self.rework = Some(Rework::Conflict { paths });
        Ok(())
    }

    async fn review_by_agent(&mut self, merge: Merge) -> Result<(), Halt> {
        let reviewer = self.next_reviewer(&merge);
        let session = self.track.world.ports.host.session_id();
        let prompt = self.prompt(&reviewer.role, &PromptTask::Review);
        let (principal, end) =
            self.session(Phase::Review, &reviewer.adapter, &reviewer.role, Client::New(session), prompt, true).await?;
        if end.ended == Ended::Cancelled {
            return Err(Halt::Stop("the reviewer was asked to stop".to_owned()));
        }
        self.discard_reviewers_changes(&merge).await?;
        let answer = match &end.result {
            Some(bytes) => prompt::read_review(bytes),
            None => Err("no review was written to the result file".to_owned()),
        };
        match answer {
            Ok(answer) => self.record_review(principal, merge, answer).await,
            Err(reason) => {
                let how = super::attempt::ended(&end.ended);
                let message = format!("no valid review: the reviewer {how}, {reason}");
                let class = match session_class(&end) {
                    // The client may be fine; what counts is that there is no review.
                    None | Some(FailureClass::Agent) => end.class.unwrap_or(FailureClass::NoReview),
                    Some(class) => class,
                };
                let failure = Failure::new(class, Phase::Review, message);
                Err(Halt::Fail(failure.with_output(&end.tail, end.log.to_string_lossy())))
            }
        }
    }

    /// A reviewer changes nothing: new commits void the review, anything uncommitted is kept under a rescue ref and removed.
    async fn discard_reviewers_changes(&mut self, merge: &Merge) -> Result<(), Halt> {
        let worktrees = self.track.world.ports.worktrees.clone();
        let state = worktrees.inspect(&self.spec).await.map_err(Halt::internal(Phase::Review))?;
        if state.head != merge.head || !state.on_branch {
            let message = "the reviewer moved the story branch; the review does not count".to_owned();
            return Err(Halt::fail(FailureClass::NoReview, Phase::Review, message));
        }
        if state.dirty.is_empty() {
            return Ok(());
        }
        let retired = worktrees.retire(&self.spec, None).await.map_err(Halt::internal(Phase::Review))?;
        let kept = retired.rescue.unwrap_or_else(|| "the trash".to_owned());
        self.track.tell(format!("the reviewer left changes in {}; kept in {kept}", shown(&state.dirty)));
        let prepared = worktrees.prepare(&self.spec).await.map_err(Halt::internal(Phase::Review))?;
        self.prepared = Some(prepared);
        self.run_setup_commands().await?;
        Ok(())
    }

    async fn record_review(&mut self, reviewer: Principal, merge: Merge, answer: ReviewAnswer) -> Result<(), Halt> {
        let rejected = answer.verdict == ReviewVerdict::RequestChanges;
        let text = serde_json::to_vec_pretty(&answer.findings).unwrap_or_default();
        let found = answer.findings.len();
        let attempt = self.track.attempt.clone();
        let review = Review {
            reviewer,
            verdict: answer.verdict,
            base: merge.base.clone(),
            head: merge.head.clone(),
            merge_tree: merge.tree.clone(),
            policy: self.track.world.decisions.policy.version.clone(),
            story: self.recorded().story.clone(),
            findings: answer.findings,
            message: String::new(),
            at: self.track.world.ports.clock.now(),
            signature: None,
        };
        let missing = self.missing_reviews(&merge, Some(&review)).await?;
        let more = !rejected && !missing.is_none();
        let event = ItemEvent::Reviewed { attempt: Some(attempt), review, more };
        self.track.note_with(event, vec![Artefact { name: "review".to_owned(), bytes: text }])?;
        let summary = match (rejected, more) {
            (true, _) => format!("changes requested, {found} finding(s)"),
            (false, true) => format!("approved; {} more to go", missing.agents + missing.persons),
            (false, false) => "approved".to_owned(),
        };
        let story_id = self.track.key.clone();
        self.track.world.tell(super::events::Happening::PhaseEnded { story_id, phase: Phase::Review, summary });
        Ok(())
    }
}

/// Paths for one line: at most five.
fn shown(paths: &[String]) -> String {
    let mut text = paths.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    if paths.len() > 5 {
        text = format!("{text} and {} more", paths.len() - 5);
    }
    text
}
