//! Checks: the commands of the policy, each bound to the tree it ran on. Must not decide whether a change may land.

use std::path::PathBuf;

use super::attempt::{Attempt, Halt, Rework, ended};
use super::ports::{Artefact, Ended};
use crate::domain::event::{CheckRun, Failure, FailureClass, ItemEvent, PhaseOutcome};
use crate::domain::names::{Oid, Principal};
use crate::domain::workflow::Phase;

/// How the reason of a way back from readiness begins.
pub(crate) const READINESS_FAILED: &str = "on the merged tree, ";

/// Checks that ran on one tree.
pub(crate) struct CheckResults {
    pub(crate) runs: Vec<CheckRun>,
    pub(crate) artefacts: Vec<Artefact>,
    /// Name and last lines of the first one that failed.
    pub(crate) failed: Option<(String, String)>,
}

impl Attempt {
    /// Phase 6: the checks on the tree of the story branch's tip.
    pub(crate) async fn test(&mut self) -> Result<(), Halt> {
        let head = self.commit_leftovers(&format!("Work on story {}", self.track.key)).await?;
        if self.track.world.decisions.policy.checks.is_empty() {
            let reason = "no checks are configured ([checks] in .orchestrate.toml)";
            return Ok(self.track.not_applicable(Phase::Testing, reason)?);
        }
        let tree = self.tree_of(&head, Phase::Testing).await?;
        let results = self.run_checks(&tree, self.spec.path.clone()).await?;
        let failed = results.failed.clone();
        let summary = match &failed {
            None => {
                let count = self.track.world.decisions.policy.checks.len();
                format!("{count} check(s) passed on {}", tree.short())
            }
            Some((name, _)) => format!("check `{name}` failed on {}", tree.short()),
        };
        self.record_checks(Phase::Testing, summary, Some(head), results)?;
        match failed {
            None => Ok(()),
            Some((name, tail)) => self.rework_check((Phase::Testing, Phase::Implementation), name, tail, ""),
        }
    }

    /// Sends a failed check back to the author, or fails the item when that happened too often.
    pub(crate) fn rework_check(
        &mut self,
        (from, to): (Phase, Phase),
        name: String,
        tail: String,
        prefix: &str,
    ) -> Result<(), Halt> {
        let rounds = self.track.state.returns.get(&to).copied().unwrap_or(0);
        if rounds >= self.track.world.decisions.settings.rework_rounds {
            let message = format!("{prefix}check `{name}` still fails after {rounds} round(s) of rework");
            return Err(Halt::Fail(Failure::new(FailureClass::Check, from, message).with_output(&tail, "")));
        }
        self.track.back_to(to, format!("{prefix}check `{name}` failed"))?;
        self.rework = Some(Rework::Check { name, tail });
        Ok(())
    }

    /// Runs every check that has no result on `tree` yet, in `directory`, up to the first failure.
    pub(crate) async fn run_checks(&mut self, tree: &Oid, directory: PathBuf) -> Result<CheckResults, Halt> {
        // Checks take time, and the sessions before them took more: a crash from here on should not cost those.
        self.track.write_mark().await?;
        let checks = self.track.world.decisions.policy.checks.clone();
        let mut results = CheckResults { runs: Vec::new(), artefacts: Vec::new(), failed: None };
        for check in checks {
            if self.track.state.check_on(&check.name, tree).is_some_and(|known| known.passed) {
                continue;
            }
            self.track.tell(format!("check `{}` on {}", check.name, tree.short()));
            let end = self.run_command(&check, directory.clone()).await;
            self.stop_if_asked()?;
            let passed = end.ended == Ended::Exit(0);
            results
                .artefacts
                .push(Artefact { name: format!("check-{}", check.name), bytes: end.tail.clone().into_bytes() });
            results.runs.push(CheckRun {
                name: check.name.clone(),
                tree: tree.clone(),
                passed,
                ended: ended(&end.ended),
                millis: end.millis,
            });
            if !passed {
                results.failed = Some((check.name, end.tail));
                break;
            }
        }
        Ok(results)
    }

    /// Notes check results as the outcome of a phase, with the ends of their output.
    pub(crate) fn record_checks(
        &mut self,
        phase: Phase,
        summary: String,
        head: Option<Oid>,
        results: CheckResults,
    ) -> Result<(), Halt> {
        let outcome = PhaseOutcome::Done { by: Principal::Tool, summary: summary.clone(), head, checks: results.runs };
        let event = ItemEvent::PhaseRecorded { attempt: self.track.attempt.clone(), phase, outcome };
        self.track.note_with(event, results.artefacts)?;
        self.track.world.tell(super::events::Happening::PhaseEnded {
            story_id: self.track.key.clone(),
            phase,
            summary,
        });
        Ok(())
    }

    pub(crate) async fn tree_of(&self, commit: &Oid, phase: Phase) -> Result<Oid, Halt> {
        self.track.world.ports.lander.tree(commit).await.map_err(Halt::internal(phase))
    }
}
