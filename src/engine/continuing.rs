//! An author's session that a stop or a kill interrupted: gone on with where the client can, judged by git where it had ended
//! by itself, else begun anew by an agent that is told what git holds. Must not decide whether work is good.

use super::attempt::{Attempt, Halt, describe, ended};
use super::ports::{AgentEnd, Ended, LeftSession, WorktreeState};
use crate::domain::event::FailureClass;
use crate::domain::names::Principal;
use crate::domain::prompt::{self, Standing};
use crate::domain::state::OpenSession;
use crate::domain::workflow::Phase;

/// How a client is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// A new session with this id.
    New(String),
    /// One that the client knows.
    Known(String),
}

impl Attempt {
    /// The author's session of a phase: what an earlier attempt left of it first, else a new one.
    pub(crate) async fn new_or_continued(
        &mut self,
        phase: Phase,
        adapter: &str,
        role: &str,
        prompt: String,
    ) -> Result<(Principal, AgentEnd), Halt> {
        let Some(open) = self.interrupted(phase, adapter) else {
            let client = Client::New(self.track.world.ports.host.session_id());
            return self.session(phase, adapter, role, client, prompt, false).await;
        };
        let left = self.track.world.ports.agents.left(&open);
        if left.ended == Some(Ended::Exit(0)) {
            self.track.tell("the agent had ended before its orchestrator went away: its work is judged as it is");
            return Ok((open.principal.clone(), unseen_end(&open)));
        }
        let before = self.state_of_worktree(phase).await?;
        if let LeftSession { session: Some(session), .. } = left {
            self.track.tell(format!("going on with the agent's session {session}"));
            let told = format!("{prompt}{}", self.standing(&before, true).await?);
            let (principal, end) = self.session(phase, adapter, role, Client::Known(session), told, false).await?;
            if !was_refused(&end) || self.state_of_worktree(phase).await? != before {
                return Ok((principal, end));
            }
            self.track
                .tell(format!("the session could not be gone on with, the agent {}: a new one", ended(&end.ended)));
        }
        let told = format!("{prompt}{}", self.standing(&before, false).await?);
        let client = Client::New(self.track.world.ports.host.session_id());
        self.session(phase, adapter, role, client, told, false).await
    }

    /// The session of an earlier attempt that nobody saw the end of, when it is this phase's and this adapter's.
    fn interrupted(&self, phase: Phase, adapter: &str) -> Option<OpenSession> {
        let open = self.track.state.open_session.clone()?;
        let same = matches!(&open.principal, Principal::Agent { adapter: of, .. } if of == adapter);
        (same && open.phase == phase && open.attempt != self.track.attempt).then_some(open)
    }

    async fn state_of_worktree(&self, phase: Phase) -> Result<WorktreeState, Halt> {
        let state = self.track.world.ports.worktrees.inspect(&self.spec).await;
        state.map_err(|error| Halt::fail(FailureClass::Internal, phase, describe(&error)))
    }

    /// What git holds of the interrupted work, for the agent.
    async fn standing(&self, worktree: &WorktreeState, known: bool) -> Result<String, Halt> {
        let base = &self.recorded().base;
        let changes = self.track.world.ports.lander.changes(base, &worktree.head).await;
        let changes = changes.map_err(Halt::internal(Phase::Implementation))?;
        let standing = Standing { known, base, commits: changes.commits, uncommitted: &worktree.dirty };
        Ok(prompt::standing(&standing))
    }
}

/// Whether the client did not take the session up, as far as its end says.
fn was_refused(end: &AgentEnd) -> bool {
    matches!(end.ended, Ended::Exit(code) if code != 0) && end.class.is_none_or(|class| class == FailureClass::Agent)
}

/// The end of a session that this process did not see.
fn unseen_end(open: &OpenSession) -> AgentEnd {
    let session = match &open.principal {
        Principal::Agent { session, .. } => session.clone(),
        Principal::Person(_) | Principal::Tool => String::new(),
    };
    AgentEnd::of(Ended::Exit(0), session)
}
