//! The author's sessions: phases 4, 5 and 7 in one invocation, 10 in another. What was done is judged by git first, then by
//! how the session ended. Must not review.

use std::cell::Cell;
use std::rc::Rc;

use super::attempt::{Attempt, Halt, Rework, ended, last_line};
use super::checks::READINESS_FAILED;
use super::continuing::Client;
use super::events::Happening;
use super::limits::Refused;
use super::ports::{Activity, AgentEnd, AgentRequest, Ended, Merged, Watcher};
use super::reviewing::CONFLICTS;
use crate::domain::budget::{Kind, Ticket};
use crate::domain::event::{Failure, FailureClass, ItemEvent};
use crate::domain::item::ItemKind;
use crate::domain::names::{Oid, Principal};
use crate::domain::pressure;
use crate::domain::prompt::{self, PromptContext, PromptTask};
use crate::domain::workflow::{Performer, Phase};

impl Attempt {
    /// Phases 4 and 5 (and the work of 7): one session of the author's role.
    pub(crate) async fn implement(&mut self) -> Result<(), Halt> {
        let rework = match self.rework.take() {
            None => self.conflict_again().await?,
            known => known,
        };
        let reason = self.track.state.return_reason.clone();
        let target = self.recorded().target.short().to_owned();
        let task = match &rework {
            Some(Rework::Check { name, tail }) => PromptTask::Rework { failed: name, output: tail },
            Some(Rework::Conflict { paths }) => PromptTask::Conflict { target: &target, paths },
            None if reason.is_empty() => PromptTask::Author,
            // An interrupted attempt lost the details; the reason is in the ledger.
            None => PromptTask::Rework { failed: failed_check(&reason), output: "" },
        };
        let (author, head, how) = self.author_session(Phase::Implementation, task).await?;
        if !self.has_work(&head).await? {
            return self.without_work(Phase::Implementation, &how);
        }
        let changed = self.change_summary(&head).await?;
        if !self.track.state.phases.contains_key(&Phase::Research) {
            self.track.done(
                Phase::Research,
                author.clone(),
                "read the story and planned in the author's session",
                None,
            )?;
        }
        if self.track.world.decisions.policy.phase(Phase::Implementation).by == Performer::Agent {
            self.track.done(Phase::Implementation, author, changed, Some(head))?;
        }
        Ok(())
    }

    /// Phase 10: the author answers the findings of the newest review; then tests and review again.
    pub(crate) async fn respond(&mut self) -> Result<(), Halt> {
        if !self.must_respond() {
            return Ok(self.track.not_applicable(Phase::ReviewResponse, "approved without an open finding")?);
        }
        if self.track.world.decisions.policy.phase(Phase::ReviewResponse).by == Performer::Person {
            return Err(self.wait_for_person(Phase::ReviewResponse));
        }
        let rework = self.rework.take();
        let reason = self.track.state.return_reason.clone();
        let findings = self.track.state.reviews.last().map(|review| review.findings.clone()).unwrap_or_default();
        let task = match &rework {
            Some(Rework::Check { name, tail }) => PromptTask::Rework { failed: name, output: tail },
            Some(Rework::Conflict { .. }) | None if self.rejected() => {
                PromptTask::ReviewResponse { findings: &findings }
            }
            Some(Rework::Conflict { .. }) | None => PromptTask::Rework { failed: failed_check(&reason), output: "" },
        };
        let (author, head, how) = self.author_session(Phase::ReviewResponse, task).await?;
        if !self.has_work(&head).await? {
            return self.without_work(Phase::ReviewResponse, &how);
        }
        self.track.done(Phase::ReviewResponse, author, "answered the findings", Some(head))?;
        Ok(self.track.back_to(Phase::Testing, "the author answered the findings")?)
    }

    /// Whether the author has something to answer: findings, or a check that failed on the merge tree.
    fn must_respond(&self) -> bool {
        self.rejected() || self.rework.is_some() || self.track.state.return_reason.starts_with(READINESS_FAILED)
    }

    /// A phase the policy gives to an agent beyond the default ones.
    pub(crate) async fn extra_session(&mut self, phase: Phase) -> Result<(), Halt> {
        let (author, head, _) = self.author_session(phase, PromptTask::Author).await?;
        Ok(self.track.done(phase, author, format!("{phase} in a session of its own"), Some(head))?)
    }

    /// The conflict that sent work back, found again when another process noted it.
    async fn conflict_again(&self) -> Result<Option<Rework>, Halt> {
        if !self.track.state.return_reason.starts_with(CONFLICTS) {
            return Ok(None);
        }
        let internal = || Halt::internal(Phase::Implementation);
        let lander = &self.track.world.ports.lander;
        let recorded = self.recorded();
        let target = lander.tip(&recorded.target).await.map_err(internal())?;
        let head = lander.tip(&recorded.branch).await.map_err(internal())?;
        let (Some(target), Some(head)) = (target, head) else { return Ok(None) };
        Ok(match lander.merge(&target, &head).await.map_err(internal())? {
            Merged::Conflict { paths } => Some(Rework::Conflict { paths }),
            Merged::Clean { .. } => None,
        })
    }

    /// Runs one session; returns its principal, the tip afterwards and how it ended.
    async fn author_session(&mut self, phase: Phase, task: PromptTask<'_>) -> Result<(Principal, Oid, String), Halt> {
        let settings = self.track.world.decisions.settings.clone();
        let adapter = self.planned.assignment.adapter.clone();
        let role = self.planned.assignment.role.clone();
        let prompt = self.prompt(&role, &task);
        let (principal, end) = self.new_or_continued(phase, &adapter, &role, prompt).await?;
        if end.ended == Ended::Cancelled {
            return Err(Halt::Stop("the agent was asked to stop; its work is kept".to_owned()));
        }
        let head = self.commit_leftovers(&format!("{} (story {})", self.planned.item.title, self.track.key)).await?;
        crate::fail_point::reach("work-committed");
        if let Some(failure) = judge(&end, phase, settings.timeout_of(phase)) {
            return Err(Halt::Fail(failure));
        }
        let how = format!("the agent {}: {}", ended(&end.ended), last_line(&end.tail));
        Ok((principal, head, how))
    }

    /// Starts a session, durably noted before the process exists, and waits for its end.
    pub(crate) async fn session(
        &mut self,
        phase: Phase,
        adapter: &str,
        role: &str,
        client: Client,
        prompt: String,
        wants_result: bool,
    ) -> Result<(Principal, AgentEnd), Halt> {
        let (session, resume) = match client {
            Client::New(session) => (session, false),
            Client::Known(session) => (session, true),
        };
        let ticket = self.admit(adapter, phase).await?;
        self.announce(phase);
        let principal = Principal::Agent { adapter: adapter.to_owned(), session: session.clone() };
        let attempt = self.track.attempt.clone();
        let noted = self.track.note(ItemEvent::SessionStarted { attempt, phase, principal: principal.clone() });
        let written = match noted {
            Ok(()) => self.track.write().await,
            refused => refused,
        };
        if let Err(error) = written {
            self.track.world.limits.release(&ticket, &self.track.key, adapter);
            return Err(error.into());
        }
        crate::fail_point::reach("session-noted");
        let settings = &self.track.world.decisions.settings;
        let recorded = self.recorded();
        let request = AgentRequest {
            key: self.track.key.clone(),
            attempt: self.track.attempt.clone(),
            run: self.track.world.decisions.run.clone(),
            phase,
            adapter: adapter.to_owned(),
            role: role.to_owned(),
            role_file: self.track.world.decisions.roles.get(role).cloned(),
            session,
            resume,
            prompt,
            worktree: self.spec.path.clone(),
            branch: recorded.branch.clone(),
            base: recorded.base.clone(),
            story: self.story.clone(),
            story_name: file_name(&self.planned.item.path),
            wants_result,
            timeout_secs: settings.timeout_of(phase),
            idle_secs: settings.idle_timeout_of(phase),
            grace_secs: settings.grace_secs,
        };
        let agents = self.track.world.ports.agents.clone();
        let cancel = self.cancel.clone();
        let watcher = self.watcher();
        let kept = Rc::new(Cell::new(None));
        let place = kept.clone();
        let work = async move { place.set(Some(agents.invoke(request, cancel, watcher).await)) };
        let watched = self.watched(phase, work).await;
        // Whatever else was found out: what was consumed was consumed.
        let end = kept.take();
        match &end {
            Some(end) => self.account(&ticket, adapter, &principal, end)?,
            None => self.track.world.limits.release(&ticket, &self.track.key, adapter),
        }
        watched?;
        Ok((principal, end.expect("a session that was watched has ended")))
    }

    /// Where what the agent is doing is shown.
    fn watcher(&self) -> Watcher {
        let (world, story_id) = (self.track.world.clone(), self.track.key.clone());
        Rc::new(move |activity| {
            let (Activity::Tool(text) | Activity::File(text) | Activity::Message(text)) = activity;
            world.tell(Happening::Activity { story_id: story_id.clone(), text });
        })
    }

    /// Waits until a session of the adapter may begin.
    async fn admit(&mut self, adapter: &str, phase: Phase) -> Result<Ticket, Halt> {
        let world = self.track.world.clone();
        let tell = |text| self.track.tell(text);
        match world.limits.admit(&self.track.key, (adapter, Kind::of(phase)), &mut self.cancel.clone(), tell).await {
            Ok(ticket) => Ok(ticket),
            Err(Refused::Budget(why)) => Err(Halt::Wait(why)),
            Err(Refused::Stopped) => Err(Halt::Stop("stopped by a signal".to_owned())),
        }
    }

    /// Notes what a session consumed and what its end proves.
    fn account(&mut self, ticket: &Ticket, adapter: &str, principal: &Principal, end: &AgentEnd) -> Result<(), Halt> {
        // Clients count up over all invocations of a session.
        let usage = end.usage.beyond(&self.track.state.used_by(principal), end.counting);
        let class = session_class(end);
        let cancelled = end.ended == Ended::Cancelled;
        let proves = (!cancelled).then(|| class.map_or(Ok(()), Err));
        let said = self.track.world.limits.settle(ticket, (&self.track.key, adapter), (&usage, end.millis), proves);
        if let Some(text) = said {
            self.track.world.tell(Happening::Notice { text });
        }
        let attempt = self.track.attempt.clone();
        let run = self.track.world.decisions.run.clone();
        let (principal, millis) = (principal.clone(), end.millis);
        let (model, until) = (end.model.clone(), end.until);
        let priced = String::new();
        let ended =
            ItemEvent::SessionEnded { attempt, run, principal, millis, usage, model, priced, until, class, cancelled };
        Ok(self.track.note(ended)?)
    }

    /// Whether the branch holds anything that the target does not.
    pub(crate) async fn has_work(&self, head: &Oid) -> Result<bool, Halt> {
        let lander = &self.track.world.ports.lander;
        let target = &self.recorded().target;
        let tip = lander.tip(target).await.map_err(Halt::internal(Phase::Implementation))?;
        let tip = tip.unwrap_or_else(|| self.recorded().base.clone());
        let contained = lander.contains(&tip, head).await.map_err(Halt::internal(Phase::Implementation))?;
        Ok(!contained)
    }

    /// The author left no change: right for documents, a failure for anything else.
    pub(crate) fn without_work(&mut self, phase: Phase, how: &str) -> Result<(), Halt> {
        if self.planned.item.kind == ItemKind::Documentation {
            return self.finish_without_change();
        }
        Err(Halt::fail(FailureClass::NoCommit, phase, format!("no commit and no change; {how}")))
    }

    /// Documents that need no change: every phase up to the landing is recorded as not applicable, and nothing moves.
    fn finish_without_change(&mut self) -> Result<(), Halt> {
        let reason = "a documentation item whose author found nothing to change";
        for phase in Phase::ALL.into_iter().filter(|phase| phase.needed_for_landing()) {
            if !self.track.state.phases.contains_key(&phase) {
                self.track.not_applicable(phase, reason)?;
            }
        }
        let attempt = self.track.attempt.clone();
        Ok(self.track.note(ItemEvent::NoChange { attempt, reason: reason.to_owned() })?)
    }

    async fn change_summary(&self, head: &Oid) -> Result<String, Halt> {
        let base = &self.recorded().base;
        let changes = self.track.world.ports.lander.changes(base, head).await;
        let changes = changes.map_err(Halt::internal(Phase::Implementation))?;
        Ok(format!("{} commit(s), {} file(s) changed", changes.commits, changes.files))
    }

    /// The prompt of a session of this item.
    pub(crate) fn prompt(&self, role: &str, task: &PromptTask<'_>) -> String {
        let story = String::from_utf8_lossy(&self.story);
        let context = PromptContext {
            id: self.planned.item.id.as_str(),
            title: &self.planned.item.title,
            path: &self.planned.item.path,
            story: &story,
            role,
            base: &self.recorded().base,
            checks: &self.track.world.decisions.policy.checks,
            uv: self.prepared.as_ref().is_some_and(|prepared| prepared.uv),
            prompts: &self.track.world.decisions.prompts,
        };
        prompt::render(&context, task)
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

/// The signal by which the system takes memory back, and the exit code by which a shell reports it.
const KILLED: i32 = 9;
const KILLED_CODE: i32 = 128 + KILLED;

/// The class of failure that the end of a session proves by itself.
pub(crate) fn session_class(end: &AgentEnd) -> Option<FailureClass> {
    match &end.ended {
        Ended::Cancelled => None,
        Ended::Exit(0) => end.class,
        Ended::WallTimeout => Some(FailureClass::WallTimeout),
        Ended::IdleTimeout => Some(FailureClass::IdleTimeout),
        Ended::Signal(KILLED) => Some(FailureClass::Resources),
        Ended::NotStarted(reason) if pressure::lack_at_start(reason).is_some() => Some(FailureClass::Resources),
        Ended::Exit(KILLED_CODE) => Some(end.class.unwrap_or(FailureClass::Resources)),
        Ended::Exit(_) | Ended::Signal(_) | Ended::NotStarted(_) => Some(end.class.unwrap_or(FailureClass::Agent)),
    }
}

/// The check that the reason of a way back names, or the whole reason.
fn failed_check(reason: &str) -> &str {
    reason.split('`').nth(1).unwrap_or(reason)
}

fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}
