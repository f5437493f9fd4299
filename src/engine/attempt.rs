//! One item as an async state machine: whatever the ledger says is recorded is not done again, so an attempt that goes on
//! with an interrupted one starts at the first phase that is missing. Must not move a branch; that is `landing`'s.

use super::events::Happening;
use super::ports::{AttemptLock, CancelSignal, Ended, LedgerError, PortError, Prepared, WorktreeSpec};
use super::track::Track;
use super::world::World;
use crate::domain::event::{Failure, FailureClass};
use crate::domain::names::{Oid, Principal};
use crate::domain::plan::PlannedItem;
use crate::domain::pressure;
use crate::domain::state::{ItemState, Outcome, Status};
use crate::domain::workflow::{Performer, Phase};

/// Why an attempt cannot go on right now.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The item failed.
    Fail(Failure),
    /// Something outside must happen first.
    Wait(String),
    /// Somebody asked to stop.
    Stop(String),
    /// The item is done.
    Finished,
    /// The item is approved, and the run does not land.
    Approved,
    /// The ledger refused or broke.
    Ledger(LedgerError),
    /// Somebody else ended the attempt.
    Over(End),
}

/// How often the ledger may refuse an event of an attempt that is still ours before the item fails: each time the chain is
/// read again and the attempt goes on from what it says.
pub(crate) const MOST_REFUSALS: u32 = 5;

impl From<LedgerError> for Halt {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl Halt {
    /// A failure of the item. What the machine lacked is nobody else's fault.
    pub(crate) fn fail(class: FailureClass, phase: Phase, message: impl Into<String>) -> Self {
        let message = message.into();
        let may_lack = matches!(class, FailureClass::Internal | FailureClass::Setup);
        let class = if may_lack && pressure::lack(&message).is_some() { FailureClass::Resources } else { class };
        Self::Fail(Failure::new(class, phase, message))
    }

    /// A failure of git or the machine in a phase.
    pub(crate) fn internal(phase: Phase) -> impl FnOnce(PortError) -> Self {
        move |error| Self::fail(FailureClass::Internal, phase, describe(&error))
    }
}

/// A port's error in one line, its hint included.
pub(crate) fn describe(error: &PortError) -> String {
    let mut text = error.to_string();
    // The last cause is what a person can do something about: "No space left on device".
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    if let Some(cause) = causes.last().map(ToString::to_string).filter(|cause| !text.contains(cause)) {
        text = format!("{text}: {cause}");
    }
    match &error.hint {
        Some(hint) => format!("{text} ({hint})"),
        None => text,
    }
}

/// The same of an error of the ledger.
pub(crate) fn describe_ledger(error: &LedgerError) -> String {
    match error {
        LedgerError::Port(error) | LedgerError::Locked(error) | LedgerError::Gone(error) => describe(error),
        LedgerError::Rejected(_) | LedgerError::Unreadable { .. } | LedgerError::TargetMoved { .. } => {
            error.to_string()
        }
    }
}

/// How an attempt ended, for the dispatcher.
#[derive(Debug)]
pub enum End {
    /// Landed with this tip, or done with no change; also when it was so before.
    Done(Option<Oid>),
    /// Failed.
    Failed(Failure),
    /// Failed, and another attempt is due.
    Due {
        /// Why it failed.
        failure: Failure,
        /// Tries that count by now.
        number: u32,
        /// Tries at most.
        of: u32,
        /// Delay in milliseconds.
        millis: u64,
    },
    /// Waits for a person or for a checkout; not live any more.
    Waiting {
        /// What helps.
        reason: String,
        /// Where the item stands.
        status: Status,
    },
    /// Stopped; `resume` goes on.
    Stopped(String),
    /// Another process works on it.
    Held(String),
    /// The ledger or the machine failed us; nothing more is known.
    Broken(String),
}

/// What an attempt starts from.
pub(crate) struct Task {
    pub(crate) world: World,
    pub(crate) planned: PlannedItem,
    /// Exact bytes of the story.
    pub(crate) story: Vec<u8>,
    pub(crate) cancel: CancelSignal,
}

/// An attempt in progress.
pub(crate) struct Attempt {
    pub(crate) track: Track,
    pub(crate) planned: PlannedItem,
    pub(crate) story: Vec<u8>,
    pub(crate) cancel: CancelSignal,
    pub(crate) spec: WorktreeSpec,
    /// Set once the worktree is ready.
    pub(crate) prepared: Option<Prepared>,
    /// Output of the check, or the paths of the conflict, that sent work back; only as long as this process lives.
    pub(crate) rework: Option<Rework>,
    /// Reviews there were when an author's session ended in which one was recorded: so many saw unfinished work.
    pub(crate) reviews_while_writing: usize,
    pub(crate) _lock: Box<dyn AttemptLock>,
}

/// Why work went back to the author, with what the author needs to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rework {
    /// A check failed.
    Check {
        /// Name of the check.
        name: String,
        /// Last lines of its output.
        tail: String,
    },
    /// The merge with the target conflicts.
    Conflict {
        /// Paths.
        paths: Vec<String>,
    },
}

/// Whether there is more to do.
enum Next {
    Phase,
    Nothing,
}

/// Drives one item to an end.
pub(crate) async fn drive(task: Task) -> End {
    match Attempt::begin(task).await {
        Ok(Ok(mut attempt)) => {
            let halt = attempt.work().await;
            attempt.conclude(halt).await
        }
        Ok(Err(end)) => end,
        Err(halt) => broken(&halt),
    }
}

fn broken(halt: &Halt) -> End {
    match halt {
        Halt::Ledger(error) => End::Broken(describe_ledger(error)),
        Halt::Fail(failure) => End::Broken(failure.message.clone()),
        Halt::Wait(reason) | Halt::Stop(reason) => End::Broken(reason.clone()),
        Halt::Approved | Halt::Finished | Halt::Over(_) => End::Broken("it ended before it began".to_owned()),
    }
}

impl Attempt {
    /// The current attempt as recorded.
    pub(crate) fn recorded(&self) -> &crate::domain::state::Attempt {
        self.track.state.attempt.as_ref().expect("an attempt was started before any phase")
    }

    /// Performs phases until the item is done or cannot go on.
    async fn work(&mut self) -> Halt {
        let mut refusals = 0;
        loop {
            match self.step().await {
                Ok(Next::Phase) => {}
                Ok(Next::Nothing) => return Halt::Finished,
                Err(Halt::Ledger(LedgerError::Rejected(rejected))) => {
                    refusals += 1;
                    match self.reread().await {
                        Ok(None) if refusals <= MOST_REFUSALS => {}
                        Ok(None) => {
                            let phase = self.track.state.next_phase().unwrap_or(Phase::Reflection);
                            return Halt::fail(FailureClass::Internal, phase, rejected.to_string());
                        }
                        Ok(Some(end)) => return Halt::Over(end),
                        Err(error) => return Halt::Ledger(error),
                    }
                }
                Err(halt) => return halt,
            }
        }
    }

    /// After a refusal: reads the chain again. `None` when the attempt is still the current one and goes on from there.
    pub(crate) async fn reread(&mut self) -> Result<Option<End>, LedgerError> {
        self.track.reload().await?;
        self.rework = None;
        let state = &self.track.state;
        if state.attempt.as_ref().is_none_or(|attempt| attempt.id != self.track.attempt) {
            return Ok(Some(End::Held("another process took over".to_owned())));
        }
        Ok(match &state.outcome {
            None => None,
            Some(Outcome::Landed | Outcome::NoChange { .. }) => Some(End::Done(landed_tip(state))),
            Some(Outcome::Failed { failure }) => Some(End::Failed(failure.clone())),
            Some(Outcome::Due { failure, number, of, not_before }) => {
                let now = self.track.world.ports.clock.now();
                let millis = u64::try_from(not_before.0 - now.0).unwrap_or(0);
                Some(End::Due { failure: failure.clone(), number: *number, of: *of, millis })
            }
            Some(Outcome::Stopped { reason } | Outcome::Interrupted { reason }) => Some(End::Stopped(reason.clone())),
            Some(Outcome::Blocked { .. }) => Some(End::Held("another process blocked it".to_owned())),
        })
    }

    /// One phase.
    async fn step(&mut self) -> Result<Next, Halt> {
        if self.track.state.is_done() {
            if !self.track.state.phases.contains_key(&Phase::Reflection) {
                self.announce(Phase::Reflection);
                self.reflect().await?;
            }
            return Ok(Next::Nothing);
        }
        self.stop_if_asked()?;
        self.ready_worktree().await?;
        match self.track.state.next_phase() {
            None | Some(Phase::Reflection) => self.land().await?,
            Some(Phase::Readiness) => {
                self.announce(Phase::Readiness);
                self.prepare_readiness().await?;
                self.land().await?;
            }
            Some(phase) => {
                // What an agent performs begins with a session, and some phases need none.
                if self.track.world.decisions.policy.phase(phase).by != Performer::Agent {
                    self.announce(phase);
                }
                self.perform(phase).await?;
            }
        }
        Ok(Next::Phase)
    }

    /// What the policy adds to readiness besides the checks on the merge tree.
    async fn prepare_readiness(&mut self) -> Result<(), Halt> {
        match self.track.world.decisions.policy.phase(Phase::Readiness).by {
            Performer::Command => self.run_commands_of(Phase::Readiness).await.map(drop),
            Performer::Tool | Performer::Agent | Performer::Person => Ok(()),
        }
    }

    pub(crate) fn stop_if_asked(&self) -> Result<(), Halt> {
        if *self.cancel.borrow() == super::ports::Cancel::No {
            return Ok(());
        }
        Err(Halt::Stop("stopped by a signal".to_owned()))
    }

    pub(crate) fn announce(&self, phase: Phase) {
        let by = self.track.world.decisions.policy.phase(phase).by;
        self.track.world.tell(Happening::PhaseStarted { story_id: self.track.key.clone(), phase, by });
    }

    async fn perform(&mut self, phase: Phase) -> Result<(), Halt> {
        let by = self.track.world.decisions.policy.phase(phase).by;
        match (phase, by) {
            (Phase::Review, _) => self.review().await,
            // `step` performs these two: readiness with the landing, reflection after it.
            (Phase::Readiness | Phase::Reflection, _) => Ok(()),
            (_, Performer::Command) => self.run_commands(phase).await,
            (Phase::ReviewResponse, _) => self.respond().await,
            (_, Performer::Person) => Err(self.wait_for_person(phase)),
            (Phase::Setup, _) => self.set_up().await,
            (Phase::Branch, _) => self.record_branch(),
            (Phase::Research | Phase::Implementation, _) => self.implement().await,
            (Phase::Testing, _) => self.test().await,
            (Phase::Documentation, _) => self.record_documentation(),
            (Phase::Issue | Phase::PullRequest, Performer::Tool) => {
                Ok(self.track.not_applicable(phase, "no forge is configured")?)
            }
            (Phase::Settings, Performer::Tool) => {
                Ok(self.track.not_applicable(phase, "no settings update is configured")?)
            }
            (Phase::Issue | Phase::PullRequest | Phase::Settings, Performer::Agent) => self.extra_session(phase).await,
        }
    }

    /// A phase that the policy gives to a person: the attempt ends here and goes on once the person has recorded it.
    pub(crate) fn wait_for_person(&self, phase: Phase) -> Halt {
        let key = &self.track.key;
        let place = self.recorded().worktree.clone();
        Halt::Wait(format!(
            "{phase} is a person's: commit the work in {place}, then git orchestrate phase {key} {phase} -m \"...\""
        ))
    }

    /// Makes or adopts the worktree, once per attempt.
    async fn ready_worktree(&mut self) -> Result<(), Halt> {
        if self.prepared.is_some() || self.track.state.is_done() {
            return Ok(());
        }
        let prepared = self.track.world.ports.worktrees.prepare(&self.spec).await;
        let prepared = prepared.map_err(|error| Halt::fail(FailureClass::Setup, Phase::Setup, describe(&error)))?;
        crate::fail_point::reach("worktree-made");
        let made_again = !prepared.adopted && self.track.state.phases.contains_key(&Phase::Setup);
        self.prepared = Some(prepared);
        if made_again {
            // The worktree of the recorded setup is gone; what setup installed went with it.
            self.run_setup_commands().await?;
        }
        Ok(())
    }

    fn record_branch(&mut self) -> Result<(), Halt> {
        let attempt = self.recorded();
        let summary = format!("{} from {} at {}", attempt.branch.short(), attempt.target.short(), attempt.base.short());
        let base = attempt.base.clone();
        Ok(self.track.done(Phase::Branch, Principal::Tool, summary, Some(base))?)
    }

    fn record_documentation(&mut self) -> Result<(), Halt> {
        let author = self.track.state.authors().last().cloned().unwrap_or(Principal::Tool);
        Ok(self.track.done(Phase::Documentation, author, "documents in the author's session", None)?)
    }
}

/// How a process ended, for people.
pub(crate) fn ended(ended: &Ended) -> String {
    match ended {
        Ended::Exit(code) => format!("exited with {code}"),
        Ended::Signal(signal) => format!("was killed by signal {signal}"),
        Ended::WallTimeout => "ran into its time limit".to_owned(),
        Ended::IdleTimeout => "gave no output for too long".to_owned(),
        Ended::Cancelled => "was stopped".to_owned(),
        Ended::NotStarted(reason) => format!("did not start: {reason}"),
    }
}

/// The last line that says something.
pub(crate) fn last_line(tail: &str) -> &str {
    tail.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no output")
}

/// The tip of the newest landing.
pub(crate) fn landed_tip(state: &ItemState) -> Option<Oid> {
    state.landings.last().map(|landing| landing.tip.clone())
}
