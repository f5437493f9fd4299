//! Commands of the policy and the settings in an attempt's worktree, and the commit of what was left there.
//! Must not judge a change; checks are `checks`'.

use std::path::PathBuf;

use super::attempt::{Attempt, Halt, describe_ledger, ended, last_line};
use super::ports::{CommandEnd, CommandRequest, Ended, Leak};
use crate::domain::event::{Failure, FailureClass};
use crate::domain::names::{Oid, Principal};
use crate::domain::policy::CheckSpec;
use crate::domain::workflow::Phase;

impl Attempt {
    pub(crate) async fn set_up(&mut self) -> Result<(), Halt> {
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
                let failure = Failure::new(FailureClass::Setup, Phase::Setup, message);
                return Err(Halt::Fail(failure.with_output(&end.tail, end.log.to_string_lossy())));
            }
        }
        Ok(commands.len())
    }

    /// A phase that the policy gives to commands.
    pub(crate) async fn run_commands(&mut self, phase: Phase) -> Result<(), Halt> {
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

    pub(crate) async fn run_commands_of(&mut self, phase: Phase) -> Result<usize, Halt> {
        let commands = self.track.world.decisions.policy.phase(phase).commands.clone();
        if !commands.is_empty() {
            self.track.write().await?;
        }
        for command in &commands {
            let end = self.run_in_worktree(command).await;
            self.stop_if_asked()?;
            if end.ended != Ended::Exit(0) {
                let message = format!("`{}` {}: {}", command.name, ended(&end.ended), last_line(&end.tail));
                let failure = Failure::new(FailureClass::Command, phase, message);
                return Err(Halt::Fail(failure.with_output(&end.tail, end.log.to_string_lossy())));
            }
        }
        Ok(commands.len())
    }

    /// Commits what lies uncommitted in the worktree, makes the branch durable, and returns the tip.
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
            self.settle_branch(phase).await?;
            self.refuse_leak(phase, &state.head).await?;
            return Ok(state.head);
        }
        let attempt = self.recorded();
        // Another agent of the chain may have taken over in the middle of the attempt.
        let agent = match self.track.state.authors().last() {
            Some(Principal::Agent { adapter, .. }) => adapter,
            Some(Principal::Person(_) | Principal::Tool) | None => &attempt.agent,
        };
        let author = format!("{} via {agent} <git-orchestrate-agent@localhost>", attempt.role);
        // By its trailer the commit is known wherever it is copied to.
        let message = format!("{message}\n\nStory: {}\n", self.track.key);
        let made = worktrees.commit_all(&self.spec, &message, &author).await.map_err(Halt::internal(phase))?;
        // What is on record as done must be there after a power cut.
        self.settle_branch(phase).await?;
        let head = made.unwrap_or(state.head);
        self.refuse_leak(phase, &head).await?;
        Ok(head)
    }

    /// Makes the branch durable, against a power cut and against a gc that did not see it move.
    async fn settle_branch(&self, phase: Phase) -> Result<(), Halt> {
        let ports = &self.track.world.ports;
        let settled = ports.worktrees.settle(&self.spec.branch, &self.spec.start).await;
        settled.map_err(Halt::internal(phase))?;
        let held = ports.recorder.hold(&self.spec.branch, &self.spec.start).await;
        held.map_err(|error| Halt::fail(FailureClass::Internal, phase, describe_ledger(&error)))
    }

    /// What holds a key of ours never reaches the target. The commit stays on the story branch: nothing anyone wrote is lost.
    async fn refuse_leak(&self, phase: Phase, head: &Oid) -> Result<(), Halt> {
        let lander = &self.track.world.ports.lander;
        let found = lander.leak(&self.recorded().base, head).await.map_err(Halt::internal(phase))?;
        let Some(Leak { commit, name, path }) = found else { return Ok(()) };
        let place = if path.is_empty() { "its message".to_owned() } else { path };
        let branch = self.spec.branch.short();
        let message = format!(
            "commit {} holds the value of {name} in {place}; take it out of {branch} before pushing that, and change the key",
            commit.short()
        );
        Err(Halt::fail(FailureClass::Gate, phase, message))
    }

    pub(crate) async fn run_in_worktree(&self, spec: &CheckSpec) -> CommandEnd {
        let directory = self.spec.path.clone();
        self.run_command(spec, directory).await
    }

    pub(crate) async fn run_command(&self, spec: &CheckSpec, directory: PathBuf) -> CommandEnd {
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
        // Commands run what agents wrote.
        let _at_work = self.track.world.watch.at_work(&self.track.key);
        self.track.world.ports.executor.run(request, self.cancel.clone()).await
    }
}
