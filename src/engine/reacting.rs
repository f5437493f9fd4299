//! What follows when an author's session ends: judged by git first, then by what its client said, then by its exit code; and
//! what its session is asked for once more. Must not decide when another attempt begins; that is `ending`'s.

use super::attempt::{Attempt, Halt, ended, last_line};
use super::author::session_class;
use super::continuing::Client;
use super::limits::Chosen;
use super::ports::{AgentEnd, Ended, WorktreeState};
use crate::domain::event::{Failure, FailureClass};
use crate::domain::item::ItemKind;
use crate::domain::names::{Oid, Principal};
use crate::domain::prompt::{self, PromptTask};
use crate::domain::reaction::{self, Reaction, Tally};
use crate::domain::workflow::Phase;

/// The author's session of one phase, in one invocation or several.
struct Sitting {
    phase: Phase,
    agent: Chosen,
    role: String,
    /// What the session was asked for.
    prompt: String,
    /// Tip of the branch before it; `None` when it goes on with work of the same task.
    from: Option<Oid>,
}

impl Attempt {
    /// Runs the author's session of a phase; returns its principal, the tip afterwards and how it ended.
    pub(crate) async fn author_session(
        &mut self,
        phase: Phase,
        task: PromptTask<'_>,
    ) -> Result<(Principal, Oid, String), Halt> {
        let role = self.planned.assignment.role.clone();
        let prompt = self.prompt(&role, &task);
        let agent = self.author_agent();
        let from = if self.goes_on(phase) { None } else { Some(self.state_of_worktree(phase).await?.head) };
        let sitting = Sitting { phase, agent, role, prompt, from };
        let (mut principal, mut end) =
            self.new_or_continued(phase, &sitting.agent, &sitting.role, sitting.prompt.clone()).await?;
        let mut tally = Tally::default();
        loop {
            if end.ended == Ended::Cancelled {
                return Err(Halt::Stop("the agent was asked to stop; its work is kept".to_owned()));
            }
            let worktree = self.state_of_worktree(phase).await?;
            let Some(class) = self.lacking(&sitting, &end, &worktree).await? else { break };
            match self.once_more(&sitting, class, &worktree, &mut tally).await? {
                Some(next) => (principal, end) = next,
                None => break,
            }
        }
        let head = self.keep_work(&sitting, &end).await?;
        crate::fail_point::reach("work-committed");
        let limit = self.track.world.decisions.settings.timeout_of(phase);
        if let Some(failure) = judge(&end, phase, limit) {
            return Err(Halt::Fail(failure));
        }
        let said = if end.said.is_empty() { last_line(&end.tail) } else { last_line(&end.said) };
        Ok((principal, head, format!("the agent {}: {said}", ended(&end.ended))))
    }

    /// What a session lacks to have done its task, as far as git, its events and its exit code say.
    async fn lacking(
        &self,
        sitting: &Sitting,
        end: &AgentEnd,
        worktree: &WorktreeState,
    ) -> Result<Option<FailureClass>, Halt> {
        if let Some(class) = session_class(end) {
            return Ok(Some(class));
        }
        // Whoever left the story's branch is not asked to commit where it is now.
        if !worktree.on_branch {
            return Ok(None);
        }
        if !worktree.dirty.is_empty() {
            return Ok(Some(FailureClass::Dirty));
        }
        let must_commit = matches!(sitting.phase, Phase::Implementation | Phase::Research | Phase::ReviewResponse)
            && self.planned.item.kind != ItemKind::Documentation;
        let nothing = sitting.from.as_ref() == Some(&worktree.head) || !self.has_work(&worktree.head).await?;
        Ok((must_commit && nothing).then_some(FailureClass::NoCommit))
    }

    /// What the session is asked for once more; `None` when what there is, is to be judged.
    async fn once_more(
        &mut self,
        sitting: &Sitting,
        class: FailureClass,
        worktree: &WorktreeState,
        tally: &mut Tally,
    ) -> Result<Option<(Principal, AgentEnd)>, Halt> {
        let Sitting { phase, agent, role, .. } = sitting;
        let known = self.track.state.author_session.clone().filter(|known| known.is_of(&agent.adapter));
        // Nobody waits for a paused client with a question that can be settled without it.
        let world = &self.track.world;
        let able = world.ports.agents.abilities(&agent.adapter);
        if !able.commits && matches!(class, FailureClass::Dirty | FailureClass::NoCommit) {
            return Ok(None);
        }
        let settled = class == FailureClass::Dirty && able.commit_for_it;
        let resumes = known.is_some() && (!settled || world.limits.is_free(&self.track.key, &agent.adapter));
        let reaction = reaction::react(class, resumes, tally);
        let client = match (reaction, known) {
            (Reaction::Judge, _) => return Ok(None),
            (Reaction::Nudge | Reaction::GoOn, Some(known)) => Client::known(&known),
            (Reaction::Anew, _) | (Reaction::Nudge | Reaction::GoOn, None) => {
                Client::New(self.track.world.ports.host.session_id())
            }
        };
        let prompt = match reaction {
            Reaction::Nudge => {
                self.track.tell("the agent ended without a finished commit: its session is asked for it");
                prompt::nudge(self.planned.item.id.as_str(), &worktree.dirty)
            }
            Reaction::GoOn | Reaction::Anew | Reaction::Judge => {
                let going = if reaction == Reaction::GoOn { "its session goes on" } else { "a new session goes on" };
                self.track.tell(format!("the agent {}: {going}", why(class)));
                let known = reaction == Reaction::GoOn;
                format!("{}{}", sitting.prompt, self.standing(worktree, (known, true)).await?)
            }
        };
        self.session(*phase, agent, role, client, prompt, false).await.map(Some)
    }

    /// Commits what the session left where that may be done for it, and returns the tip.
    async fn keep_work(&mut self, sitting: &Sitting, end: &AgentEnd) -> Result<Oid, Halt> {
        let able = self.track.world.ports.agents.abilities(&sitting.agent.adapter);
        if !able.commit_for_it {
            let worktree = self.state_of_worktree(sitting.phase).await?;
            if worktree.on_branch && !worktree.dirty.is_empty() {
                let limit = self.track.world.decisions.settings.timeout_of(sitting.phase);
                return Err(Halt::Fail(judge(end, sitting.phase, limit).unwrap_or_else(|| {
                    let count = worktree.dirty.len();
                    let place = self.spec.path.display();
                    let message = format!(
                        "{count} path(s) are left uncommitted in {place}, and {} has to commit itself",
                        sitting.agent.adapter
                    );
                    Failure::new(FailureClass::Dirty, sitting.phase, message)
                })));
            }
        }
        self.commit_leftovers(&format!("{} (story {})", self.planned.item.title, self.track.key)).await
    }
}

/// What happened to a session that goes on, for people.
fn why(class: FailureClass) -> &'static str {
    match class {
        FailureClass::ContextFull => "filled its context",
        FailureClass::MaxTurns => "reached its limit of turns",
        _ => "ended early",
    }
}

/// The failure that the end of a session proves; `None` leaves the judgement to git.
fn judge(end: &AgentEnd, phase: Phase, limit: u64) -> Option<Failure> {
    let class = session_class(end)?;
    let what = match &end.ended {
        Ended::Exit(0) => "ended".to_owned(),
        Ended::WallTimeout => format!("ran longer than {limit} s"),
        Ended::Signal(KILLED) => "was killed: by the system for lack of memory, or by somebody (signal 9)".to_owned(),
        other => ended(other),
    };
    let message = format!("the agent {what}: {}", last_line(&end.tail));
    Some(Failure::new(class, phase, message).with_output(&end.tail, end.log.to_string_lossy()))
}

/// The signal by which the system takes memory back.
const KILLED: i32 = 9;
