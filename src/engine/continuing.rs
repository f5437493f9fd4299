//! Which session an author's phase goes on with: one that a stop or a kill interrupted, judged by git where it had ended by
//! itself; the one that did the phases before; else a new one that is told what git holds. Must not decide whether work is good.

use super::attempt::{Attempt, Halt, describe, ended};
use super::limits::Chosen;
use super::ports::{AgentEnd, Ended, WorktreeState};
use crate::domain::event::FailureClass;
use crate::domain::names::Principal;
use crate::domain::prompt::{self, Standing};
use crate::domain::state::{KnownSession, OpenSession, SessionEnd, SessionRecord};
use crate::domain::workflow::Phase;

/// How a client is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// A new session with this id.
    New(String),
    /// One that the client knows.
    Known {
        /// Its id in the ledger.
        ours: String,
        /// Its id for the client.
        theirs: String,
    },
}

impl Client {
    /// The session that is on record.
    pub(crate) fn known(session: &KnownSession) -> Self {
        Self::Known { ours: session_of(&session.principal), theirs: session.client.clone() }
    }
}

impl Attempt {
    /// The author's session of a phase: what an earlier attempt left of it first, else the author's own session, else a new one.
    pub(crate) async fn new_or_continued(
        &mut self,
        phase: Phase,
        agent: &Chosen,
        role: &str,
        prompt: String,
    ) -> Result<(Principal, AgentEnd), Halt> {
        let open = self.interrupted(phase, &agent.adapter);
        let known = match &open {
            Some(open) => {
                let left = self.track.world.ports.agents.left(open);
                if left.ended == Some(Ended::Exit(0)) {
                    self.track
                        .tell("the agent had ended before its orchestrator went away: its work is judged as it is");
                    return Ok((open.principal.clone(), unseen_end(open)));
                }
                left.session.map(|theirs| Client::Known { ours: session_of(&open.principal), theirs })
            }
            None => self.own_session(&agent.adapter).map(|known| Client::known(&known)),
        };
        let cut = open.is_some() || self.goes_on(phase);
        if let Some(Client::Known { ours, theirs }) = known {
            let before = self.state_of_worktree(phase).await?;
            self.track.tell(format!("going on with the agent's session {theirs}"));
            let told = if cut { self.standing(&before, (true, true)).await? } else { String::new() };
            let client = Client::Known { ours, theirs };
            let (principal, end) = self.session(phase, agent, role, client, format!("{prompt}{told}"), false).await?;
            if !was_refused(&end) || self.state_of_worktree(phase).await? != before {
                return Ok((principal, end));
            }
            self.track
                .tell(format!("the session could not be gone on with, the agent {}: a new one", ended(&end.ended)));
        }
        let told = self.told_of_earlier(phase, cut).await?;
        let client = Client::New(self.track.world.ports.host.session_id());
        self.session(phase, agent, role, client, format!("{prompt}{told}"), false).await
    }

    /// The session of an earlier attempt that nobody saw the end of, when it is this phase's and this adapter's.
    fn interrupted(&self, phase: Phase, adapter: &str) -> Option<OpenSession> {
        let open = self.track.state.open_session.clone()?;
        let same = matches!(&open.principal, Principal::Agent { adapter: of, .. } if of == adapter);
        let unseen = open.attempt != self.track.attempt && !self.ended_as_known(&open.principal);
        (same && open.phase == phase && unseen).then_some(open)
    }

    /// Whether it is on record that the open session was broken off, and what its client calls it.
    fn ended_as_known(&self, principal: &Principal) -> bool {
        let known = self.track.state.author_session.as_ref();
        let last = self.track.state.sessions.iter().rfind(|session| session.principal == *principal);
        known.is_some_and(|known| known.principal == *principal)
            && last.is_some_and(|session| session.end.as_ref().is_some_and(SessionEnd::is_cut))
    }

    /// The author's session, when it is this adapter's and its client can go on with it.
    fn own_session(&self, adapter: &str) -> Option<KnownSession> {
        let known = self.track.state.author_session.clone().filter(|known| known.is_of(adapter))?;
        self.track.world.ports.agents.abilities(adapter).resumes.then_some(known)
    }

    /// Whether the last session of the author was broken off in this very phase.
    pub(crate) fn goes_on(&self, phase: Phase) -> bool {
        let last = self.track.state.sessions.iter().rfind(|session| session.phase != Phase::Review);
        let cut = |session: &SessionRecord| session.end.as_ref().is_none_or(SessionEnd::is_cut);
        last.is_some_and(|session| session.phase == phase && cut(session))
    }

    /// What a new session is told of the work of an earlier one; nothing when there is none.
    async fn told_of_earlier(&self, phase: Phase, cut: bool) -> Result<String, Halt> {
        if self.track.state.authors().next().is_none() {
            return Ok(String::new());
        }
        let worktree = self.state_of_worktree(phase).await?;
        if !cut && worktree.dirty.is_empty() && !self.has_work(&worktree.head).await? {
            return Ok(String::new());
        }
        self.standing(&worktree, (false, cut)).await
    }

    pub(crate) async fn state_of_worktree(&self, phase: Phase) -> Result<WorktreeState, Halt> {
        let state = self.track.world.ports.worktrees.inspect(&self.spec).await;
        state.map_err(|error| Halt::fail(FailureClass::Internal, phase, describe(&error)))
    }

    /// What git holds of the work so far, for the agent: whether it is its own session's, and whether that was broken off.
    pub(crate) async fn standing(&self, worktree: &WorktreeState, (known, cut): (bool, bool)) -> Result<String, Halt> {
        let base = &self.recorded().base;
        let changes = self.track.world.ports.lander.changes(base, &worktree.head).await;
        let changes = changes.map_err(Halt::internal(Phase::Implementation))?;
        let standing = Standing { known, cut, base, commits: changes.commits, uncommitted: &worktree.dirty };
        Ok(prompt::standing(&standing))
    }
}

/// Whether the client did not take the session up, as far as its end says.
fn was_refused(end: &AgentEnd) -> bool {
    matches!(end.ended, Ended::Exit(code) if code != 0) && end.class.is_none_or(|class| class == FailureClass::Agent)
}

/// The end of a session that this process did not see.
fn unseen_end(open: &OpenSession) -> AgentEnd {
    AgentEnd::of(Ended::Exit(0), session_of(&open.principal))
}

fn session_of(principal: &Principal) -> String {
    match principal {
        Principal::Agent { session, .. } => session.clone(),
        Principal::Person(_) | Principal::Tool => String::new(),
    }
}
