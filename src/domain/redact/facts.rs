//! Facts without secrets: every text in them that a person or an agent wrote. Must not touch names, ids and paths, which
//! machines go by.

use super::Redactor;
use crate::domain::branch::{BranchEvent, Hotfix};
use crate::domain::event::{CheckRun, ItemEvent, PhaseOutcome, Review, RunEvent};

impl Redactor {
    /// A fact of an item.
    pub fn item_event(&self, event: &ItemEvent) -> ItemEvent {
        let mut event = event.clone();
        match &mut event {
            ItemEvent::AttemptStarted { title, .. } => self.clean(title),
            ItemEvent::PhaseRecorded { outcome, .. } => self.outcome(outcome),
            ItemEvent::Reviewed { review, .. } => self.review(review),
            ItemEvent::ReturnedTo { reason, .. }
            | ItemEvent::LandingWaits { reason, .. }
            | ItemEvent::NoChange { reason, .. }
            | ItemEvent::Interrupted { reason, .. }
            | ItemEvent::Stopped { reason, .. } => self.clean(reason),
            ItemEvent::Failed { failure, .. } => self.clean(&mut failure.message),
            ItemEvent::SessionStarted { .. }
            | ItemEvent::ReviewCarried { .. }
            | ItemEvent::LandingIntended { .. }
            | ItemEvent::Landed { .. }
            | ItemEvent::Blocked { .. }
            | ItemEvent::RetryRequested { .. } => {}
        }
        event
    }

    /// A fact of a run.
    pub fn run_event(&self, event: &RunEvent) -> RunEvent {
        let mut event = event.clone();
        match &mut event {
            RunEvent::Paused { waiting } => waiting.iter_mut().for_each(|(_, reason)| self.clean(reason)),
            RunEvent::Stopped { reason } => self.clean(reason),
            RunEvent::Started { .. } | RunEvent::Resumed { .. } | RunEvent::Finished { .. } => {}
        }
        event
    }

    /// A fact of a protected branch.
    pub fn branch_event(&self, event: &BranchEvent) -> BranchEvent {
        let mut event = event.clone();
        match &mut event {
            BranchEvent::Acknowledged { message, .. } | BranchEvent::HotfixResolved { message, .. } => {
                self.clean(message);
            }
            BranchEvent::Breached { breach } => self.clean(&mut breach.reason),
            BranchEvent::HotfixIntended { hotfix } | BranchEvent::HotfixLanded { hotfix } => self.hotfix(hotfix),
            BranchEvent::Adopted { .. } | BranchEvent::Certified { .. } | BranchEvent::HotfixSettled { .. } => {}
        }
        event
    }

    /// What a reviewer wrote. A signed review stays as it was signed: it has to be cleaned before.
    pub fn review(&self, review: &mut Review) {
        if review.signature.is_none() {
            self.clean(&mut review.message);
            review.findings.iter_mut().for_each(|finding| self.clean(&mut finding.text));
        }
    }

    fn outcome(&self, outcome: &mut PhaseOutcome) {
        match outcome {
            PhaseOutcome::Done { summary, checks, .. } => {
                self.clean(summary);
                self.checks(checks);
            }
            PhaseOutcome::NotApplicable { reason } => self.clean(reason),
        }
    }

    fn hotfix(&self, hotfix: &mut Hotfix) {
        for text in [&mut hotfix.emergency, &mut hotfix.reason, &mut hotfix.follow_up] {
            self.clean(text);
        }
        self.checks(&mut hotfix.checks);
    }

    fn checks(&self, checks: &mut [CheckRun]) {
        for check in checks {
            self.clean(&mut check.ended);
        }
    }

    fn clean(&self, text: &mut String) {
        if self.has_any(text) {
            *text = self.redact(text);
        }
    }
}
