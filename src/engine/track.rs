//! One item's events on their way into the ledger: noted one by one, written together when something depends on them.
//! Must not decide what happens next.

use super::events::Happening;
use super::ports::{Artefact, LedgerError, Record};
use super::recorder::Submitted;
use super::world::World;
use crate::domain::event::{ItemEvent, PhaseOutcome};
use crate::domain::names::{AttemptId, ItemKey, Oid, Principal};
use crate::domain::state::{ItemState, Status};
use crate::domain::workflow::Phase;

/// The state of one item, events noted but not yet written included.
pub(crate) struct Track {
    pub(crate) world: World,
    pub(crate) key: ItemKey,
    pub(crate) attempt: AttemptId,
    pub(crate) state: ItemState,
    pending: Vec<Record>,
    /// Handed to the ledger and not yet known to be durable.
    under_way: Vec<Submitted>,
    /// Whether the ledger holds the start of the attempt for good.
    begun: bool,
    shown: Status,
}

impl Track {
    /// Starts from the state the ledger holds.
    pub(crate) fn new(world: World, key: ItemKey, attempt: AttemptId, state: ItemState) -> Self {
        let shown = state.status();
        Self { world, key, attempt, state, pending: Vec::new(), under_way: Vec::new(), begun: false, shown }
    }

    /// Applies an event; it is written with the next [`Track::write`].
    pub(crate) fn note(&mut self, event: ItemEvent) -> Result<(), LedgerError> {
        self.note_with(event, Vec::new())
    }

    /// Applies an event that keeps artefacts beside it.
    pub(crate) fn note_with(&mut self, event: ItemEvent, artefacts: Vec<Artefact>) -> Result<(), LedgerError> {
        let at = self.world.ports.clock.now();
        self.state = self.state.apply(&event, at)?;
        self.pending.push(Record::Item { key: self.key.clone(), event, at, artefacts });
        let status = self.state.status();
        if status != self.shown {
            self.shown = status;
            self.world.tell(Happening::StatusChanged { story_id: self.key.clone(), status });
        }
        Ok(())
    }

    /// Notes the end of a phase.
    pub(crate) fn phase(&mut self, phase: Phase, outcome: PhaseOutcome) -> Result<(), LedgerError> {
        let summary = match &outcome {
            PhaseOutcome::Done { summary, .. } => summary.clone(),
            PhaseOutcome::NotApplicable { reason } => format!("not applicable: {reason}"),
        };
        self.note(ItemEvent::PhaseRecorded { attempt: self.attempt.clone(), phase, outcome })?;
        self.world.tell(Happening::PhaseEnded { story_id: self.key.clone(), phase, summary });
        Ok(())
    }

    /// Notes that a phase was performed.
    pub(crate) fn done(
        &mut self,
        phase: Phase,
        by: Principal,
        summary: impl Into<String>,
        head: Option<Oid>,
    ) -> Result<(), LedgerError> {
        self.phase(phase, PhaseOutcome::Done { by, summary: summary.into(), head, checks: Vec::new() })
    }

    /// Notes that a phase has nothing to do.
    pub(crate) fn not_applicable(&mut self, phase: Phase, reason: impl Into<String>) -> Result<(), LedgerError> {
        self.phase(phase, PhaseOutcome::NotApplicable { reason: reason.into() })
    }

    /// Notes that work goes back.
    pub(crate) fn back_to(&mut self, phase: Phase, reason: impl Into<String>) -> Result<(), LedgerError> {
        let reason = reason.into();
        self.tell(format!("back to {phase}: {reason}"));
        self.note(ItemEvent::ReturnedTo { attempt: self.attempt.clone(), phase, reason })
    }

    /// Writes what was noted; returns when it is durable.
    pub(crate) async fn write(&mut self) -> Result<(), LedgerError> {
        self.write_soon();
        // All are waited for, so that an early refusal leaves no later answer behind.
        let mut first = Ok(());
        for submitted in std::mem::take(&mut self.under_way) {
            let settled = submitted.settled().await;
            first = first.and(settled);
        }
        if !self.begun && first.is_ok() {
            self.begun = true;
            crate::fail_point::reach("intent-written");
        }
        first
    }

    /// Before a process of the attempt exists: the start of the attempt is made durable, so that the next start of this tool
    /// finds the mark of the process and ends it. Everything else is written without waiting.
    pub(crate) async fn write_mark(&mut self) -> Result<(), LedgerError> {
        if self.begun {
            self.write_soon();
            return Ok(());
        }
        self.write().await
    }

    /// Has what was noted written without waiting: nothing depends on it, yet a crash should not lose it.
    pub(crate) fn write_soon(&mut self) {
        if !self.pending.is_empty() {
            let records = std::mem::take(&mut self.pending);
            self.under_way.push(self.world.ports.recorder.submit(records));
        }
    }

    /// Forgets what was noted and reads what the ledger holds.
    pub(crate) async fn reload(&mut self) -> Result<(), LedgerError> {
        self.pending.clear();
        self.under_way.clear();
        self.state = self.world.ports.recorder.item(&self.key).await?.unwrap_or_default();
        Ok(())
    }

    /// A line for the reporter.
    pub(crate) fn tell(&self, text: impl Into<String>) {
        self.world.tell(Happening::Note { story_id: self.key.clone(), text: text.into() });
    }
}
