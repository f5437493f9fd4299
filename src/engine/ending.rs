//! How an attempt ends: phase 13 after a landing, and the event that says how it ended otherwise.
//! Must not take a landing back, whatever happens after it.

use super::attempt::{Attempt, End, Halt, MOST_REFUSALS, describe, describe_ledger, ended, landed_tip};
use super::ports::{LedgerError, PortError};
use crate::domain::event::{Failure, ItemEvent};
use crate::domain::names::{Oid, Principal, Timestamp};
use crate::domain::retry::{self, Tries, Verdict};
use crate::domain::workflow::{Performer, Phase};

impl Attempt {
    /// Phase 13: the facts of the attempt, after the landing; and the worktree goes.
    pub(crate) async fn reflect(&mut self) -> Result<(), Halt> {
        let state = &self.track.state;
        let millis = match (state.started, state.updated) {
            (Some(from), Some(to)) => to.0.saturating_sub(from.0).max(0),
            (None, _) | (_, None) => 0,
        };
        let summary = format!(
            "{} attempt(s), {} session(s), {} review round(s), {} check run(s), {}.{:03} s",
            state.attempts,
            state.sessions.len(),
            state.reviews.len(),
            state.checks.len(),
            millis / 1000,
            millis % 1000
        );
        let merged = state.landings.last().map_or_else(|| self.spec.start.clone(), |landing| landing.tip.clone());
        let commands = self.reflect_by_commands().await;
        // Before the phase is recorded: a recorded reflection tells the next start that nothing is left to clear away.
        let mut retired = self.retire(&merged).await;
        if retired.is_err() {
            // A gc beside us may have taken what the landing brought; that comes back.
            drop(self.track.world.ports.recorder.make_good().await);
            retired = self.retire(&merged).await;
        }
        if let Err(error) = retired {
            self.track.tell(format!("the worktree stays: {}", describe(&error)));
        }
        self.track.done(Phase::Reflection, Principal::Tool, format!("{summary}{commands}"), None)?;
        self.track.write().await?;
        crate::fail_point::reach("story-closed");
        Ok(())
    }

    /// Runs the commands of phase 13; what they come to changes nothing about the landing. Answers with a part of the summary.
    async fn reflect_by_commands(&self) -> String {
        let spec = self.track.world.decisions.policy.phase(Phase::Reflection).clone();
        let mut text = String::new();
        for command in spec.commands.iter().filter(|_| spec.by == Performer::Command) {
            let end = self.run_in_worktree(command).await;
            text = format!("{text}, `{}` {}", command.name, ended(&end.ended));
        }
        text
    }

    async fn retire(&self, merged: &Oid) -> Result<(), PortError> {
        let retired = self.track.world.ports.worktrees.retire(&self.spec, Some(merged)).await?;
        if let Some(rescue) = retired.rescue {
            self.track.tell(format!("what was left uncommitted is kept in {rescue}"));
        }
        Ok(())
    }

    /// Writes the end of the attempt and tells the dispatcher.
    pub(crate) async fn conclude(&mut self, halt: Halt) -> End {
        let event = match self.closing(halt) {
            Ok(event) => event,
            Err(end) => return end,
        };
        for _ in 0..=MOST_REFUSALS {
            let written = match self.track.note(event.0.clone()) {
                Ok(()) => self.track.write().await,
                Err(error) => Err(error),
            };
            match written {
                Ok(()) => return self.ending(event.1.clone()),
                Err(LedgerError::Rejected(_)) => match self.reread().await {
                    Ok(None) => {}
                    Ok(Some(end)) => return end,
                    Err(error) => return End::Broken(describe_ledger(&error)),
                },
                Err(error) => return End::Broken(describe_ledger(&error)),
            }
        }
        End::Broken(format!("the ledger does not take the end of the attempt at {}", self.track.key))
    }

    /// The event that ends the attempt and what the dispatcher is told then; or the end itself, where there is no event.
    fn closing(&self, halt: Halt) -> Result<(ItemEvent, Closing), End> {
        let attempt = self.track.attempt.clone();
        if self.track.state.is_done() {
            // Nothing that happens after the landing takes it back.
            return Err(End::Done(landed_tip(&self.track.state)));
        }
        let waits = |attempt, reason: String| (ItemEvent::LandingWaits { attempt, reason: reason.clone() }, reason);
        Ok(match halt {
            Halt::Finished => return Err(End::Done(landed_tip(&self.track.state))),
            Halt::Over(end) => return Err(end),
            Halt::Ledger(error) => return Err(End::Broken(describe_ledger(&error))),
            Halt::Approved => {
                let key = &self.track.key;
                let (event, reason) = waits(attempt, format!("approved; `git orchestrate land {key}` lands it"));
                (event, Closing::Waiting(reason))
            }
            Halt::Wait(reason) => {
                let (event, reason) = waits(attempt, reason);
                (event, Closing::Waiting(reason))
            }
            Halt::Fail(failure) => self.failing(failure),
            Halt::Stop(reason) => (ItemEvent::Stopped { attempt, reason: reason.clone() }, Closing::Stopped(reason)),
        })
    }

    /// A failure: the item's, or only this attempt's, when another one is worth it.
    fn failing(&self, failure: Failure) -> (ItemEvent, Closing) {
        let attempt = self.track.attempt.clone();
        let (world, state) = (&self.track.world, &self.track.state);
        let tries = Tries { counted: state.tries, lacks: state.lacks };
        match retry::judge(&world.decisions.settings.retry, failure.class, tries, world.ports.host.dice()) {
            Verdict::Final => (ItemEvent::Failed { attempt, failure: failure.clone() }, Closing::Failed(failure)),
            Verdict::Again { number, of, millis } => {
                let now = world.ports.clock.now();
                let not_before = Timestamp(now.0.saturating_add(i64::try_from(millis).unwrap_or(i64::MAX)));
                let event = ItemEvent::RetryDue { attempt, failure: failure.clone(), number, of, not_before };
                (event, Closing::Due { failure, number, of, millis })
            }
        }
    }

    fn ending(&self, closing: Closing) -> End {
        match closing {
            Closing::Failed(failure) => End::Failed(failure),
            Closing::Due { failure, number, of, millis } => End::Due { failure, number, of, millis },
            Closing::Stopped(reason) => End::Stopped(reason),
            Closing::Waiting(reason) => End::Waiting { reason, status: self.track.state.status() },
        }
    }
}

/// An end that is written to the ledger.
#[derive(Clone, Debug)]
enum Closing {
    Failed(Failure),
    Due { failure: Failure, number: u32, of: u32, millis: u64 },
    Stopped(String),
    Waiting(String),
}
