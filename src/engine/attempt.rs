//! One item as an async state machine: whatever the ledger says is recorded is not done again, so an attempt that goes on
//! with an interrupted one starts at the first phase that is missing. Must not move a branch; that is `landing`'s.

use std::path::PathBuf;

use super::events::Happening;
use super::ports::{
    Artefact, AttemptLock, CancelSignal, CommandRequest, Ended, LedgerError, PortError, Prepared, WorktreeSpec,
};
use super::track::Track;
use super::world::World;
use crate::domain::event::{Failure, FailureClass, ItemEvent};
use crate::domain::names::{AttemptId, BranchRef, Oid, Principal, slug};
use crate::domain::plan::PlannedItem;
use crate::domain::policy::CheckSpec;
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
const MOST_REFUSALS: u32 = 5;

impl From<LedgerError> for Halt {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl Halt {
    /// A failure of the item.
    pub(crate) fn fail(class: FailureClass, phase: Phase, message: impl Into<String>) -> Self {
        Self::Fail(Failure { class, phase, message: message.into() })
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
fn describe_ledger(error: &LedgerError) -> String {
    match error {
        LedgerError::Port(error) => describe(error),
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
    _lock: Box<dyn AttemptLock>,
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
    match begin(task).await {
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

/// Takes the lock, fences what an earlier process left, and notes the start.
async fn begin(task: Task) -> Result<Result<Attempt, End>, Halt> {
    let Task { world, planned, story, cancel } = task;
    let id = world.ports.host.attempt_id();
    let lock = match world.ports.host.lock(&planned.key, &id).map_err(Halt::internal(Phase::Setup))? {
        Ok(lock) => lock,
        Err(holder) => return Ok(Err(End::Held(format!("another process works on it: {holder}")))),
    };
    let state = world.ports.recorder.item(&planned.key).await?.unwrap_or_default();
    if state.is_done() {
        return Ok(Err(End::Done(landed_tip(&state))));
    }
    let continues = continued(&state);
    let mut track = Track::new(world, planned.key.clone(), id, state);
    fence(&mut track)?;
    let start = start_event(&track, &planned, continues.clone(), &story).await?;
    track.note_with(start, vec![Artefact { name: "story".to_owned(), bytes: story.clone() }])?;
    track.world.tell(Happening::ItemStarted { story_id: planned.key.clone(), continued: continues.is_some() });
    let spec = worktree_spec(&track);
    Ok(Ok(Attempt { track, planned, story, cancel, spec, prepared: None, rework: None, _lock: lock }))
}

/// The attempt whose evidence a new one goes on with: any that did not fail.
fn continued(state: &ItemState) -> Option<AttemptId> {
    let last = state.attempt.as_ref()?;
    match &state.outcome {
        None | Some(Outcome::Stopped { .. } | Outcome::Interrupted { .. }) => Some(last.id.clone()),
        Some(Outcome::Landed | Outcome::NoChange { .. } | Outcome::Failed { .. } | Outcome::Blocked { .. }) => None,
    }
}

/// Ends what an earlier process of ours left running. We hold the lock, so nobody else works on the item.
fn fence(track: &mut Track) -> Result<(), Halt> {
    let Some(open) = track.state.open_attempt().map(|attempt| attempt.id.clone()) else { return Ok(()) };
    let swept = track.world.ports.host.sweep(&open).map_err(Halt::internal(Phase::Setup))?;
    if !track.state.parked {
        let reason = match swept {
            0 => "its orchestrator went away".to_owned(),
            count => format!("its orchestrator went away; ended {count} process(es) it had left"),
        };
        track.note(ItemEvent::Interrupted { attempt: open, reason })?;
    }
    Ok(())
}

async fn start_event(
    track: &Track,
    planned: &PlannedItem,
    continues: Option<AttemptId>,
    story: &[u8],
) -> Result<ItemEvent, Halt> {
    let ports = &track.world.ports;
    let decisions = &track.world.decisions;
    let tip = ports.lander.tip(&decisions.target).await.map_err(Halt::internal(Phase::Setup))?.ok_or_else(|| {
        Halt::fail(FailureClass::Internal, Phase::Setup, format!("{} does not exist", decisions.target.short()))
    })?;
    let story = ports.recorder.write_blob(story.to_vec()).await?;
    let name = format!("{}-{}", planned.item.id, slug(&planned.item.title));
    let last = continues.as_ref().and(track.state.attempt.as_ref());
    let (branch, worktree, base) = if let Some(last) = last {
        (last.branch.clone(), last.worktree.clone(), last.base.clone())
    } else {
        let branch = BranchRef::new(format!("refs/heads/story/{name}"));
        (branch, format!("{}/{name}", decisions.settings.worktrees), tip)
    };
    Ok(ItemEvent::AttemptStarted {
        attempt: track.attempt.clone(),
        continues,
        run: decisions.run.clone(),
        title: planned.item.title.clone(),
        path: planned.item.path.clone(),
        agent: planned.assignment.adapter.clone(),
        role: planned.assignment.role.clone(),
        branch,
        worktree,
        target: decisions.target.clone(),
        base,
        policy: decisions.policy.version.clone(),
        story,
    })
}

fn worktree_spec(track: &Track) -> WorktreeSpec {
    let attempt = track.state.attempt.as_ref().expect("an attempt was started just now");
    WorktreeSpec {
        path: track.world.decisions.root.join(&attempt.worktree),
        branch: attempt.branch.clone(),
        start: attempt.base.clone(),
        reason: format!("git-orchestrate: {} in run {}", track.key, attempt.run),
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
    async fn reread(&mut self) -> Result<Option<End>, LedgerError> {
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
            (Phase::Setup, _) => self.set_up().await,
            (Phase::Branch, _) => self.record_branch(),
            (Phase::Research | Phase::Implementation, _) => self.implement().await,
            (Phase::Testing, _) => self.test().await,
            (Phase::Documentation, _) => self.record_documentation(),
            (Phase::ReviewResponse, _) => self.respond().await,
            (Phase::Issue | Phase::PullRequest, Performer::Tool) => {
                Ok(self.track.not_applicable(phase, "no forge is configured")?)
            }
            (Phase::Settings, Performer::Tool) => {
                Ok(self.track.not_applicable(phase, "no settings update is configured")?)
            }
            (Phase::Issue | Phase::PullRequest | Phase::Settings, Performer::Agent | Performer::Person) => {
                self.extra_session(phase).await
            }
        }
    }

    /// Makes or adopts the worktree, once per attempt.
    async fn ready_worktree(&mut self) -> Result<(), Halt> {
        if self.prepared.is_some() || self.track.state.is_done() {
            return Ok(());
        }
        let prepared = self.track.world.ports.worktrees.prepare(&self.spec).await;
        let prepared = prepared.map_err(|error| Halt::fail(FailureClass::Setup, Phase::Setup, describe(&error)))?;
        let made_again = !prepared.adopted && self.track.state.phases.contains_key(&Phase::Setup);
        self.prepared = Some(prepared);
        if made_again {
            // The worktree of the recorded setup is gone; what setup installed went with it.
            self.run_setup_commands().await?;
        }
        Ok(())
    }

    async fn set_up(&mut self) -> Result<(), Halt> {
        let commands = self.run_setup_commands().await?;
        let prepared = self.prepared.clone().expect("the worktree is made before any phase");
        let made = if prepared.adopted { "adopted the worktree" } else { "made the worktree" };
        let mut summary = made.to_owned();
        if !prepared.copied.is_empty() {
            summary = format!("{summary}, copied {} ignored file(s)", prepared.copied.len());
        }
        if commands > 0 {
            summary = format!("{summary}, ran {commands} setup command(s)");
        }
        Ok(self.track.done(Phase::Setup, Principal::Tool, summary, Some(prepared.head))?)
    }

    /// Runs the setup commands in a new worktree and returns how many there are.
    pub(crate) async fn run_setup_commands(&mut self) -> Result<usize, Halt> {
        let prepared = self.prepared.clone().expect("the worktree is made before any phase");
        let settings = self.track.world.decisions.settings.clone();
        let mut commands = settings.setup;
        if prepared.uv {
            commands.insert(0, vec!["uv".to_owned(), "sync".to_owned()]);
        }
        if !commands.is_empty() {
            // Processes carry the attempt's mark; a crash must leave it where the next start looks for it.
            self.track.write().await?;
        }
        for (number, argv) in commands.iter().enumerate() {
            let name = format!("setup-{}", number + 1);
            let spec = CheckSpec { name, command: argv.clone(), timeout_secs: settings.setup_timeout_secs };
            let end = self.run_in_worktree(&spec).await;
            if end.ended != Ended::Exit(0) {
                let message = format!("`{}` {}: {}", argv.join(" "), ended(&end.ended), last_line(&end.tail));
                self.stop_if_asked()?;
                return Err(Halt::fail(FailureClass::Setup, Phase::Setup, message));
            }
        }
        Ok(commands.len())
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

    /// A phase that the policy gives to commands.
    async fn run_commands(&mut self, phase: Phase) -> Result<(), Halt> {
        let count = self.run_commands_of(phase).await?;
        let head = self.commit_leftovers(&format!("{phase} for story {}", self.track.key)).await?;
        if phase == Phase::Implementation {
            self.rework = None;
            if !self.has_work(&head).await? {
                return self.without_work(phase, "the commands of the phase ended");
            }
        }
        Ok(self.track.done(phase, Principal::Tool, format!("ran {count} command(s)"), Some(head))?)
    }

    async fn run_commands_of(&mut self, phase: Phase) -> Result<usize, Halt> {
        let commands = self.track.world.decisions.policy.phase(phase).commands.clone();
        if !commands.is_empty() {
            self.track.write().await?;
        }
        for command in &commands {
            let end = self.run_in_worktree(command).await;
            self.stop_if_asked()?;
            if end.ended != Ended::Exit(0) {
                let message = format!("`{}` {}: {}", command.name, ended(&end.ended), last_line(&end.tail));
                return Err(Halt::fail(FailureClass::Command, phase, message));
            }
        }
        Ok(commands.len())
    }

    /// Commits what lies uncommitted in the worktree and returns the tip.
    pub(crate) async fn commit_leftovers(&mut self, message: &str) -> Result<Oid, Halt> {
        let phase = self.track.state.next_phase().unwrap_or(Phase::Reflection);
        let worktrees = self.track.world.ports.worktrees.clone();
        let state = worktrees.inspect(&self.spec).await.map_err(Halt::internal(phase))?;
        if !state.on_branch {
            let message = format!(
                "HEAD of {} is no longer {}; its work is kept there",
                self.spec.path.display(),
                self.spec.branch.short()
            );
            return Err(Halt::fail(FailureClass::Agent, phase, message));
        }
        if state.dirty.is_empty() {
            return Ok(state.head);
        }
        let attempt = self.recorded();
        let author = format!("{} via {} <git-orchestrate-agent@localhost>", attempt.role, attempt.agent);
        let made = worktrees.commit_all(&self.spec, message, &author).await.map_err(Halt::internal(phase))?;
        Ok(made.unwrap_or(state.head))
    }

    pub(crate) async fn run_in_worktree(&self, spec: &CheckSpec) -> super::ports::CommandEnd {
        let directory = self.spec.path.clone();
        self.run_command(spec, directory).await
    }

    pub(crate) async fn run_command(&self, spec: &CheckSpec, directory: PathBuf) -> super::ports::CommandEnd {
        let request = CommandRequest {
            argv: spec.command.clone(),
            directory,
            env: vec![
                ("ORCHESTRATE_ITEM".to_owned(), self.track.key.to_string()),
                ("ORCHESTRATE_RUN".to_owned(), self.track.world.decisions.run.to_string()),
                ("ORCHESTRATE_BRANCH".to_owned(), self.spec.branch.short().to_owned()),
            ],
            attempt: self.track.attempt.clone(),
            log_name: spec.name.clone(),
            timeout_secs: spec.timeout_secs,
            grace_secs: self.track.world.decisions.settings.grace_secs,
        };
        self.track.world.ports.executor.run(request, self.cancel.clone()).await
    }

    /// Phase 13: the facts of the attempt, after the landing; and the worktree goes.
    async fn reflect(&mut self) -> Result<(), Halt> {
        let state = &self.track.state;
        let millis = match (state.started, state.updated) {
            (Some(from), Some(to)) => to.0.saturating_sub(from.0).max(0),
            (None, _) | (_, None) => 0,
        };
        let facts = format!(
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
        if let Err(error) = self.retire(&merged).await {
            self.track.tell(format!("the worktree stays: {}", describe(&error)));
        }
        self.track.done(Phase::Reflection, Principal::Tool, format!("{facts}{commands}"), None)?;
        Ok(self.track.write().await?)
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
    async fn conclude(&mut self, halt: Halt) -> End {
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
            Halt::Fail(failure) => (ItemEvent::Failed { attempt, failure: failure.clone() }, Closing::Failed(failure)),
            Halt::Stop(reason) => (ItemEvent::Stopped { attempt, reason: reason.clone() }, Closing::Stopped(reason)),
        })
    }

    fn ending(&self, closing: Closing) -> End {
        match closing {
            Closing::Failed(failure) => End::Failed(failure),
            Closing::Stopped(reason) => End::Stopped(reason),
            Closing::Waiting(reason) => End::Waiting { reason, status: self.track.state.status() },
        }
    }
}

/// An end that is written to the ledger.
#[derive(Clone, Debug)]
enum Closing {
    Failed(Failure),
    Stopped(String),
    Waiting(String),
}

/// The tip of the newest landing.
fn landed_tip(state: &ItemState) -> Option<Oid> {
    state.landings.last().map(|landing| landing.tip.clone())
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
