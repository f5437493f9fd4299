//! Landing: one item at a time, in order of arrival, the protected branch moves to exactly what was reviewed and tested.
//! Write-ahead: intended → moved (with `Landed`, in one ref transaction) → checkouts follow. Must not move a branch without
//! a permit.

use super::attempt::{Attempt, Halt, describe};
use super::checks::READINESS_FAILED;
use super::ports::{Bookkeeping, LandingPlan, LedgerError, Looked};
use super::reviewing::Merge;
use crate::domain::bookkeep::review_lines;
use crate::domain::event::{FailureClass, ItemEvent, Landing, ReviewVerdict};
use crate::domain::gate::{self, Candidate, MergePermit, Refusal, Verdict};
use crate::domain::names::{Principal, Timestamp};
use crate::domain::statement;
use crate::domain::workflow::Phase;

/// How often a landing begins anew because the target moved meanwhile.
const MOST_TRIES: u32 = 20;

/// How often it does because something could not be read or written.
const MOST_UNMADE: u32 = 3;

/// What one try at landing came to.
enum Try {
    /// Landed.
    Landed,
    /// Work goes back; the phases say where.
    Back,
    /// The target moved; try again.
    Again,
}

impl Attempt {
    /// Readiness on the merge tree, then the landing itself.
    pub(crate) async fn land(&mut self) -> Result<(), Halt> {
        let (queue, watch) = (self.track.world.queue.clone(), self.track.world.watch.clone());
        let head = self.branch_tip(Phase::Readiness).await?;
        let _still = watch.still(&self.track.key, self.recorded().branch.clone(), head);
        let _turn = queue.turn().await;
        let mut unmade = 0;
        for _ in 0..MOST_TRIES {
            self.stop_if_asked()?;
            self.look(Phase::Readiness).await?;
            watch.alarm().map_or(Ok(()), |alarm| Err(Halt::Wait(alarm)))?;
            match self.try_landing().await {
                Ok(Try::Landed | Try::Back) => return Ok(()),
                Ok(Try::Again) => {}
                // A gc beside us takes merges that no ref names yet, and nothing has moved: they are made again.
                Err(Halt::Fail(failure)) if failure.class == FailureClass::Internal && unmade < MOST_UNMADE => {
                    unmade += 1;
                    drop(self.track.world.ports.recorder.make_good().await);
                }
                Err(halt) => return Err(halt),
            }
        }
        let message = format!("{} kept moving while landing", self.recorded().target.short());
        Err(Halt::fail(FailureClass::Internal, Phase::Readiness, message))
    }

    async fn try_landing(&mut self) -> Result<Try, Halt> {
        let Some(merge) = self.merge_now(Phase::Readiness).await? else { return Ok(Try::Back) };
        self.require_same_policy(&merge).await?;
        if self.look_at_base(&merge).await? {
            return Ok(Try::Landed);
        }
        if !self.carry_review(&merge).await? || !self.check_merge(&merge).await? {
            return Ok(Try::Back);
        }
        // Again: checks run what agents wrote.
        self.look(Phase::Readiness).await?;
        self.track.world.watch.alarm().map_or(Ok(()), |alarm| Err(Halt::Wait(alarm)))?;
        let lander = self.track.world.ports.lander.clone();
        let persons =
            lander.person_authors(&merge.base, &merge.head).await.map_err(Halt::internal(Phase::Readiness))?;
        let candidate = Candidate {
            base: merge.base.clone(),
            head: merge.head.clone(),
            merge_tree: merge.tree.clone(),
            person_authors: persons,
        };
        let policy = &self.track.world.decisions.policy;
        let signatures = lander.signatures(&merge.base, policy, &self.track.key, &self.track.state).await;
        let signatures = signatures.map_err(Halt::internal(Phase::Readiness))?;
        match gate::judge(policy, &self.track.state, &candidate, &signatures) {
            // `--no-land`: everything up to the landing, then the item waits for `land`.
            Verdict::Covered(_) if !self.track.world.decisions.land => Err(Halt::Approved),
            Verdict::Covered(covered) => self.move_target(MergePermit::reviewed(covered), merge).await,
            Verdict::Refused(refusals) => self.refused(&refusals),
        }
    }

    /// The run goes by the policy that it began with; when the target has another one now, a new start has to read it.
    async fn require_same_policy(&self, merge: &Merge) -> Result<(), Halt> {
        let decisions = &self.track.world.decisions;
        if merge.base == decisions.base {
            return Ok(());
        }
        let same = self.track.world.ports.lander.same_policy(&decisions.base, &merge.base).await;
        if same.map_err(Halt::internal(Phase::Readiness))? {
            return Ok(());
        }
        let target = decisions.target.short();
        Err(Halt::Wait(format!(
            "the gate policy on {target} changed after the run began, so the approval is void: git orchestrate resume"
        )))
    }

    /// Nothing is built on a base that the gate does not vouch for. `true` when a person merged this very change meanwhile: it
    /// is recorded as landed, and its story file is left as it is.
    async fn look_at_base(&mut self, merge: &Merge) -> Result<bool, Halt> {
        let ports = self.track.world.ports.clone();
        let target = self.recorded().target.clone();
        let at = ports.clock.now();
        match ports.guard.look(&target, &merge.base, at).await.map_err(Halt::internal(Phase::Readiness))? {
            Looked::Breached { records, sentence } => {
                ports.recorder.append(records).await?;
                Err(Halt::Wait(sentence))
            }
            Looked::Sound { merged } => {
                let Some((_, landing)) = merged.into_iter().find(|(key, _)| *key == self.track.key) else {
                    return Ok(false);
                };
                // A person's git does not sync the move of a branch.
                let settled = ports.worktrees.settle(&target, &landing.base).await;
                settled.map_err(Halt::internal(Phase::Readiness))?;
                let attempt = self.track.attempt.clone();
                self.track.note(ItemEvent::LandingIntended { attempt, landing: landing.clone() })?;
                self.track.tell(format!("a person merged it: {} is recorded as its landing", landing.merge.short()));
                self.track.note(ItemEvent::Landed { landing })?;
                self.track.write().await?;
                Ok(true)
            }
        }
    }

    /// Makes sure the newest approval covers this merge: as it is, or carried by the written rule (DESIGN.md §6: the merge is
    /// clean and changes the same paths, modes and content). `false` when the change must be reviewed again.
    async fn carry_review(&mut self, merge: &Merge) -> Result<bool, Halt> {
        let Some(review) = self.track.state.reviews.last().filter(|review| review.verdict == ReviewVerdict::Approve)
        else {
            self.track.back_to(Phase::Review, "there is no approval")?;
            return Ok(false);
        };
        if self.track.state.reviews.len() <= self.reviews_while_writing {
            self.track.back_to(Phase::Review, "the approval was recorded while an author was at work")?;
            return Ok(false);
        }
        if review.head == merge.head && review.merge_tree == merge.tree {
            return Ok(true);
        }
        let (base, tree) = (review.base.clone(), review.merge_tree.clone());
        if review.head == merge.head {
            let lander = self.track.world.ports.lander.clone();
            let same = lander.same_change((&base, &tree), (&merge.base, &merge.tree)).await;
            if same.map_err(Halt::internal(Phase::Readiness))? {
                self.track.note(ItemEvent::ReviewCarried {
                    attempt: self.track.attempt.clone(),
                    from_tree: tree,
                    base: merge.base.clone(),
                    merge_tree: merge.tree.clone(),
                })?;
                return Ok(true);
            }
        }
        let returns = self.track.state.returns.get(&Phase::Review).copied().unwrap_or(0);
        if returns >= MOST_TRIES {
            let message = format!("{} moved after each of {returns} reviews", self.recorded().target.short());
            return Err(Halt::fail(FailureClass::Review, Phase::Readiness, message));
        }
        self.track.back_to(Phase::Review, format!("the approval saw another merge than {}", merge.tree.short()))?;
        Ok(false)
    }

    /// Phase 12: every check on the merge tree. `false` when one failed and work went back.
    async fn check_merge(&mut self, merge: &Merge) -> Result<bool, Halt> {
        let policy = &self.track.world.decisions.policy;
        if policy.checks.is_empty() {
            if !self.track.state.phases.contains_key(&Phase::Readiness) {
                self.track
                    .not_applicable(Phase::Readiness, "no checks are configured ([checks] in .orchestrate.toml)")?;
            }
            return Ok(true);
        }
        let fresh = policy
            .checks
            .iter()
            .all(|check| self.track.state.check_on(&check.name, &merge.tree).is_some_and(|run| run.passed));
        if fresh {
            if !self.track.state.phases.contains_key(&Phase::Readiness) {
                let summary = format!("all checks passed on the merge tree {}", merge.tree.short());
                self.track.done(Phase::Readiness, Principal::Tool, summary, Some(merge.head.clone()))?;
            }
            return Ok(true);
        }
        self.check_in_scratch(merge).await
    }

    /// Runs the checks on the merged tree in a worktree of its own.
    async fn check_in_scratch(&mut self, merge: &Merge) -> Result<bool, Halt> {
        let ports = self.track.world.ports.clone();
        let decisions = self.track.world.decisions.clone();
        let directory = decisions.root.join(&decisions.settings.worktrees).join(format!("check-{}", self.track.key));
        let commit = ports.lander.candidate(&merge.base, &merge.head, &merge.tree).await;
        let commit = commit.map_err(Halt::internal(Phase::Readiness))?;
        ports.worktrees.check_out(&commit, &directory).await.map_err(Halt::internal(Phase::Readiness))?;
        let results = self.run_checks(&merge.tree, directory.clone()).await;
        if let Err(error) = ports.worktrees.discard(&directory).await {
            // The next check of this item takes the place over; what the checks said stands.
            self.track.tell(format!("{} stays: {}", directory.display(), describe(&error)));
        }
        let results = results?;
        let failed = results.failed.clone();
        let summary = match &failed {
            None => format!("all checks passed on the merge tree {}", merge.tree.short()),
            Some((name, _)) => format!("check `{name}` failed on the merge tree {}", merge.tree.short()),
        };
        self.record_checks(Phase::Readiness, summary, Some(merge.head.clone()), results)?;
        match failed {
            None => Ok(true),
            Some((name, tail)) => {
                self.rework_check((Phase::Readiness, Phase::ReviewResponse), name, tail, READINESS_FAILED)?;
                Ok(false)
            }
        }
    }

    async fn move_target(&mut self, permit: MergePermit, merge: Merge) -> Result<Try, Halt> {
        let ports = self.track.world.ports.clone();
        // The merge commit names the ledger record of its approval, so that record is written first.
        self.track.write().await?;
        let at = ports.clock.now();
        let plan = self.landing_plan(&merge, at).await?;
        let landing = ports.lander.build(&plan).await.map_err(Halt::internal(Phase::Readiness))?;
        crate::fail_point::reach("merge-written");
        let (target, base, tip) = (landing.target.clone(), landing.base.clone(), landing.tip.clone());
        let obstacle = ports.lander.obstacle(&target, &base, &tip).await.map_err(Halt::internal(Phase::Readiness))?;
        if let Some(obstacle) = obstacle {
            return Err(Halt::Wait(obstacle));
        }
        let attempt = self.track.attempt.clone();
        self.track.note(ItemEvent::LandingIntended { attempt, landing: landing.clone() })?;
        self.track.write().await?;
        crate::fail_point::reach("landing-intended");
        match ports.recorder.land(permit, self.track.key.clone(), landing.clone(), at).await {
            Ok(()) => {}
            Err(LedgerError::TargetMoved { .. }) => return Ok(Try::Again),
            Err(LedgerError::Gone(error)) => return Err(Halt::internal(Phase::Readiness)(error)),
            // Somebody's git is at work on the branch, or died there: this story waits, everything else goes on.
            Err(LedgerError::Locked(error)) => {
                return Err(Halt::Wait(format!("{}; then: git orchestrate resume", describe(&error))));
            }
            Err(error) => return Err(Halt::Ledger(error)),
        }
        crate::fail_point::reach("outcome-written");
        self.track.world.watch.landed(&base, &tip);
        ports.guard.trust(&target, &tip);
        self.landed(&landing, at)?;
        if let Err(error) = ports.lander.follow(&target, &base, &tip).await {
            let helps = describe(&error);
            self.track.tell(format!("landed, but a checkout did not follow: {helps}"));
        }
        crate::fail_point::reach("checkout-followed");
        Ok(Try::Landed)
    }

    /// Takes the `Landed` event, which the ledger wrote with the move, into our own state.
    fn landed(&mut self, landing: &Landing, at: Timestamp) -> Result<(), Halt> {
        let event = ItemEvent::Landed { landing: landing.clone() };
        self.track.state = self.track.state.apply(&event, at).map_err(LedgerError::Rejected)?;
        self.track.tell(format!("landed on {} as {}", landing.target.short(), landing.tip.short()));
        Ok(())
    }

    async fn landing_plan(&self, merge: &Merge, at: Timestamp) -> Result<LandingPlan, Halt> {
        let record = self.track.world.ports.recorder.record(&self.track.key).await?;
        let record = record.map(|oid| oid.to_string()).unwrap_or_default();
        let key = &self.track.key;
        let title = &self.planned.item.title;
        let standing = gate::standing_approvals(&self.track.state.reviews).iter();
        let mut reviewers = String::new();
        for review in standing.filter(|review| review.head == merge.head) {
            let line = format!("Reviewed-by: {}\n", review.reviewer);
            if !reviewers.contains(&line) {
                reviewers.push_str(&line);
            }
        }
        let message = format!("Merge story {key}: {title}\n\nStory: {key}\n{reviewers}Orchestrate-Record: {record}\n");
        let bookkeeping = self.track.world.decisions.settings.write_back.then(|| Bookkeeping {
            path: self.planned.item.path.clone(),
            message: format!("Record story {key} as done\n\nStory: {key}\nOrchestrate-Record: {record}\n"),
            review_lines: review_lines(&self.track.state.reviews),
        });
        Ok(LandingPlan {
            target: self.recorded().target.clone(),
            base: merge.base.clone(),
            head: merge.head.clone(),
            merge_tree: merge.tree.clone(),
            message,
            bookkeeping,
            at,
        })
    }

    /// The gate found something that another round may mend, or that nothing mends.
    fn refused(&mut self, refusals: &[Refusal]) -> Result<Try, Halt> {
        for refusal in refusals {
            let to = match refusal {
                Refusal::NoReview
                | Refusal::ChangesRequested
                | Refusal::ReviewStale(_)
                | Refusal::ReviewersMissing(_)
                | Refusal::NotAPerson(_) => Phase::Review,
                Refusal::CheckMissing(_) => Phase::Readiness,
                Refusal::PhaseMissing(_)
                | Refusal::SelfReview(_)
                | Refusal::CheckFailed(_)
                | Refusal::NoChecks
                | Refusal::NotSigned(_)
                | Refusal::BadSignature(_) => continue,
            };
            if self.track.state.returns.get(&to).copied().unwrap_or(0) >= MOST_TRIES {
                break;
            }
            self.track.back_to(to, gate::reason(refusal))?;
            return Ok(Try::Back);
        }
        if let [refusal @ (Refusal::NotSigned(_) | Refusal::BadSignature(_))] = refusals {
            // No round of an agent mends this: a person has to sign.
            let remedy = statement::remedy(&self.track.key);
            return Err(Halt::Wait(format!("{}: {remedy}", gate::reason(refusal))));
        }
        let reasons = refusals.iter().map(gate::reason).collect::<Vec<_>>().join("; ");
        Err(Halt::fail(FailureClass::Gate, Phase::Readiness, format!("the gate refused: {reasons}")))
    }
}
