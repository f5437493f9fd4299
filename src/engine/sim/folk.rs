//! Processes of the simulated machine: agents and checks, each with a life of its own that does not end with whoever
//! started it. Must not write anywhere but in a worktree and on its branch.

use std::collections::VecDeque;
use std::path::PathBuf;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::check;
use super::disk::Files;
use super::git::{commit_by_agent, merge_by_agent};
use super::machine::SimMachine;
use super::world::{Deed, Handle, Token, World, append};
use crate::domain::event::FailureClass;
use crate::domain::names::{AttemptId, ItemKey, Timestamp};
use crate::domain::prompt;
use crate::domain::workflow::Phase;
use crate::engine::ports::{
    Abilities, AgentEnd, AgentRequest, Agents, Cancel, CancelSignal, Clock, CommandEnd, CommandRequest, Ended,
    Executor, Watcher,
};

/// Rounds of rework that the settings and the policy allow.
const ROUNDS: u32 = 2;

/// What goes wrong with a story for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misery {
    /// The author changes nothing.
    Idle,
    /// The author's client ends in error.
    Crashes,
    /// The author never ends.
    Hangs,
    /// The reviewer writes no review.
    Silent,
}

/// What happens to a story when agents work on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Tale {
    /// Whether it writes to the file that others write to.
    pub(super) shared: bool,
    /// Whether it passes alone, and not together with another one like it, before it is reworked.
    pub(super) clash: bool,
    /// Sessions of the author that leave a failing check behind.
    pub(super) broken: u32,
    /// Reviews that ask for changes.
    pub(super) refusals: u32,
    pub(super) misery: Option<Misery>,
    /// Sessions of the author that end at a rate limit.
    pub(super) limits: u32,
    /// Sessions so far.
    pub(super) authored: u32,
    pub(super) reviewed: u32,
}

impl Tale {
    /// Whether the story may end with this failure without anything being wrong with us.
    pub(super) fn explains(&self, class: FailureClass) -> bool {
        match class {
            FailureClass::NoCommit => self.misery == Some(Misery::Idle),
            FailureClass::Agent => self.misery == Some(Misery::Crashes),
            FailureClass::WallTimeout => self.misery == Some(Misery::Hangs),
            FailureClass::NoReview => self.misery == Some(Misery::Silent),
            FailureClass::Check => self.broken > ROUNDS,
            FailureClass::Review => self.refusals > ROUNDS,
            FailureClass::Conflict => self.shared,
            _ => false,
        }
    }
}

/// The next thing that a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Write,
    Share,
    Clash,
    Break,
    /// Takes away what makes checks fail.
    Mend,
    Commit,
    MergeTarget,
    Exit(i32),
    Say(&'static str),
    /// Ends at a rate limit that is over after so many seconds.
    Limit(u64),
    /// Runs a check on what lies in the directory.
    Check,
}

/// What a process left when it ended by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    code: i32,
    result: Option<&'static str>,
    /// Seconds until a rate limit is over.
    limit: Option<u64>,
}

/// A process.
#[derive(Debug)]
pub(super) struct Proc {
    pub(super) key: ItemKey,
    pub(super) attempt: AttemptId,
    /// The orchestrator that started it.
    pub(super) owner: u32,
    desk: PathBuf,
    name: String,
    acts: VecDeque<Act>,
    waiter: Option<oneshot::Sender<Left>>,
}

const APPROVE: &str = r#"{"version":1,"verdict":"approve","findings":[]}"#;
const REFUSE: &str = r#"{"version":1,"verdict":"request-changes","findings":[{"path":"","line":0,"text":"more"}]}"#;

/// What an author does in this session.
fn author(world: &mut World, request: &AgentRequest) -> VecDeque<Act> {
    let Some(tale) = world.tales.get_mut(&request.key) else { return VecDeque::from([Act::Exit(0)]) };
    if tale.limits > 0 && tale.misery.is_none() {
        tale.limits -= 1;
        let seconds = world.dice.between(1, 90);
        let commit = world.dice.chance(50).then_some(Act::Commit);
        return std::iter::once(Act::Write).chain(commit).chain([Act::Limit(seconds)]).collect();
    }
    if prompt::is_nudge(&request.prompt) && tale.misery.is_none() {
        return VecDeque::from([Act::Commit, Act::Exit(0)]);
    }
    let turn = tale.authored;
    tale.authored += 1;
    let tale = tale.clone();
    match tale.misery {
        Some(Misery::Idle) => return VecDeque::from([Act::Exit(0)]),
        Some(Misery::Crashes) => return VecDeque::from([Act::Write, Act::Exit(1)]),
        Some(Misery::Hangs) => return VecDeque::from([Act::Write]),
        Some(Misery::Silent) | None => {}
    }
    let mut acts = VecDeque::new();
    if prompt::conflict_target(&request.prompt).is_some() {
        acts.push_back(Act::MergeTarget);
    }
    if turn < tale.broken {
        acts.push_back(Act::Break);
    } else if turn > 0 {
        acts.push_back(Act::Mend);
    }
    if turn == 0 {
        acts.extend(tale.shared.then_some(Act::Share));
        acts.extend(tale.clash.then_some(Act::Clash));
    }
    for _ in 0..world.dice.between(1, 3) {
        acts.push_back(Act::Write);
        if world.dice.chance(40) {
            acts.push_back(Act::Commit);
        }
    }
    acts.push_back(Act::Exit(0));
    acts
}

/// What a reviewer does; some leave files behind.
fn reviewer(world: &mut World, request: &AgentRequest) -> VecDeque<Act> {
    let Some(tale) = world.tales.get_mut(&request.key) else { return VecDeque::from([Act::Exit(0)]) };
    let turn = tale.reviewed;
    tale.reviewed += 1;
    let end = match tale.misery {
        Some(Misery::Silent) => Act::Exit(0),
        _ if turn < tale.refusals => Act::Say(REFUSE),
        _ => Act::Say(APPROVE),
    };
    if world.dice.chance(10) { VecDeque::from([Act::Write, end]) } else { VecDeque::from([end]) }
}

/// Starts a process.
fn start(world: &mut World, proc: Proc) -> u32 {
    check::started(world, &proc);
    let id = world.number();
    world.tell(|_| format!("[{}] starts process {id} `{}` of {} {}", proc.owner, proc.name, proc.key, proc.attempt));
    world.procs.insert(id, proc);
    let after = world.dice.between(1, 2_000);
    world.plan(after, Deed::Step(id));
    id
}

/// A process does the next thing; a hanging one nothing.
pub(super) fn step(world: &mut World, id: u32) {
    let Some(proc) = world.procs.get_mut(&id) else { return };
    let Some(act) = proc.acts.pop_front() else { return };
    let (key, desk, name) = (proc.key.clone(), proc.desk.clone(), proc.name.clone());
    world.tell(|_| format!("process {id} of {key}: {act:?}"));
    match act {
        Act::Exit(code) => end(world, id, Left { code, result: None, limit: None }),
        Act::Say(result) => end(world, id, Left { code: 0, result: Some(result), limit: None }),
        Act::Limit(seconds) => end(world, id, Left { code: 1, result: None, limit: Some(seconds) }),
        Act::Check => {
            let files = world.desks.get(&desk).map(|desk| desk.files.clone()).unwrap_or_default();
            let passes = passes(&files);
            let tree = world.disk.tree(files);
            world.checked.insert((name, tree), passes);
            end(world, id, Left { code: i32::from(!passes), result: None, limit: None });
        }
        Act::Commit => commit_by_agent(world, &desk),
        Act::MergeTarget => merge_by_agent(world, &desk),
        Act::Write | Act::Share | Act::Clash | Act::Break | Act::Mend => write(world, act, &key, &desk),
    }
    if world.procs.contains_key(&id) {
        let after = world.dice.between(1, 2_000);
        world.plan(after, Deed::Step(id));
    }
}

fn write(world: &mut World, act: Act, key: &ItemKey, path: &PathBuf) {
    let number = world.number();
    let Some(desk) = world.desks.get_mut(path) else { return };
    match act {
        Act::Write => {
            let path: std::sync::Arc<str> = format!("t-{key}-{number}").into();
            desk.files.insert(path.clone(), "1\n".into());
            world.tokens.push(Token { path, excused: false });
        }
        Act::Share => append(&mut desk.files, "shared", &format!("{key} {number}\n")),
        Act::Clash => append(&mut desk.files, &format!("clash-{key}"), "1\n"),
        Act::Break => append(&mut desk.files, &format!("broken-{key}"), &format!("{number}\n")),
        Act::Mend => {
            desk.files.remove(format!("clash-{key}").as_str());
            desk.files.remove(format!("broken-{key}").as_str());
        }
        Act::Commit | Act::MergeTarget | Act::Exit(_) | Act::Say(_) | Act::Limit(_) | Act::Check => {}
    }
}

fn passes(files: &Files) -> bool {
    let clashes = files.keys().filter(|path| path.starts_with("clash-")).count();
    clashes < 2 && !files.keys().any(|path| path.starts_with("broken-"))
}

fn end(world: &mut World, id: u32, left: Left) {
    if let Some(waiter) = world.procs.remove(&id).and_then(|proc| proc.waiter) {
        // Nobody listens any more where the orchestrator died meanwhile.
        let _ = waiter.send(left);
    }
}

/// Agents and commands as one orchestrator starts them.
pub(super) struct SimFolk(pub(super) Handle);

/// How a process ended for who waited.
enum Heard {
    Left(Left),
    Killed,
    Late,
    Cancelled,
}

impl SimFolk {
    async fn run(
        &self,
        name: &'static str,
        make: impl FnOnce(&mut World, oneshot::Sender<Left>) -> Proc,
        (limit, grace): (u64, u64),
        mut cancel: CancelSignal,
    ) -> Result<Heard, String> {
        let (waiter, answer) = oneshot::channel();
        let mut number = None;
        let started = self.0.act(name, |world| {
            let proc = make(world, waiter);
            number = Some(start(world, proc));
            Ok(Ok(()))
        });
        let started = started.await;
        if let Err(error) = started {
            // Whoever could not start it sees to it that nothing is left of it.
            number.map(|id| self.0.world().procs.remove(&id));
            return Err(error.to_string());
        }
        let second = std::time::Duration::from_secs;
        let mut killed = cancel.clone();
        let heard = tokio::select! {
            biased;
            left = answer => left.map_or(Heard::Killed, Heard::Left),
            () = asked(&mut cancel, Cancel::Ask) => {
                let patience = self.0.world().dice.below(grace + 1);
                tokio::select! {
                    biased;
                    () = asked(&mut killed, Cancel::Kill) => {}
                    () = tokio::time::sleep(second(patience)) => {}
                }
                Heard::Cancelled
            }
            () = tokio::time::sleep(second(limit)) => Heard::Late,
        };
        number.map(|id| self.0.world().procs.remove(&id));
        // To die here is to die before the end was heard; an error has no meaning here.
        drop(self.0.act("hear the end of a process", |_| Ok(Ok(()))).await);
        Ok(heard)
    }
}

/// Somebody wants it to end, at least this urgently. What is waited for is let go at once: it is a lock.
async fn asked(cancel: &mut CancelSignal, least: Cancel) {
    drop(cancel.wait_for(|urgency| *urgency >= least).await);
}

fn ended(heard: &Result<Heard, String>) -> Ended {
    match heard {
        Ok(Heard::Left(left)) => Ended::Exit(left.code),
        Ok(Heard::Killed) => Ended::Signal(9),
        Ok(Heard::Late) => Ended::WallTimeout,
        Ok(Heard::Cancelled) => Ended::Cancelled,
        Err(reason) => Ended::NotStarted(reason.clone()),
    }
}

#[async_trait(?Send)]
impl Agents for SimFolk {
    fn abilities(&self, _adapter: &str) -> Abilities {
        Abilities { resumes: self.0.world().sessions, commits: true, commit_for_it: true }
    }

    async fn invoke(&self, request: AgentRequest, cancel: CancelSignal, _watcher: Watcher) -> AgentEnd {
        let owner = self.0.pid;
        let limits = (request.timeout_secs, request.grace_secs);
        let session = request.session.clone();
        let make = |world: &mut World, waiter| {
            let review = request.phase == Phase::Review;
            let acts = if review { reviewer(world, &request) } else { author(world, &request) };
            let (key, attempt, desk) = (request.key.clone(), request.attempt.clone(), request.worktree.clone());
            Proc { key, attempt, owner, desk, name: request.phase.to_string(), acts, waiter: Some(waiter) }
        };
        let heard = self.run("start an agent", make, limits, cancel).await;
        let result = match &heard {
            Ok(Heard::Left(left)) => left.result.map(|text| text.as_bytes().to_vec()),
            _ => None,
        };
        let seconds = if let Ok(Heard::Left(left)) = &heard { left.limit } else { None };
        let now = SimMachine(self.0.clone()).now();
        let until = seconds.and_then(|seconds| Some(Timestamp(now.0 + i64::try_from(seconds * 1_000).ok()?)));
        let class = until.map(|_| FailureClass::RateLimited);
        let (ended, tail, log) = (ended(&heard), String::new(), PathBuf::new());
        AgentEnd { result, class, until, tail, log, millis: 1, ..AgentEnd::of(ended, session) }
    }
}

#[async_trait(?Send)]
impl Executor for SimFolk {
    async fn run(&self, request: CommandRequest, cancel: CancelSignal) -> CommandEnd {
        let owner = self.0.pid;
        let limits = (request.timeout_secs, request.grace_secs);
        let key = request.env.iter().find(|(name, _)| name == "ORCHESTRATE_ITEM").map(|(_, value)| value.clone());
        let make = |_: &mut World, waiter| {
            let key = ItemKey::new(key.unwrap_or_default());
            let (attempt, desk, name) = (request.attempt, request.directory, request.log_name);
            Proc { key, attempt, owner, desk, name, acts: VecDeque::from([Act::Check]), waiter: Some(waiter) }
        };
        let heard = self.run("start a check", make, limits, cancel).await;
        CommandEnd { ended: ended(&heard), tail: String::new(), log: PathBuf::new(), millis: 1 }
    }
}
