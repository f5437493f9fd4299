//! A simulation from beginning to end: what a seed decides, the lives of orchestrators one after the other and side by side,
//! and at last a calm in which one resume per unfinished run must finish everything. Must not judge; that is `check`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::check;
use super::dice::Dice;
use super::folk::{self, Misery, SimFolk, Tale};
use super::git::SimGit;
use super::ledger::{SimLedger, state_of};
use super::machine::{SimMachine, SimReporter};
use super::sabotage::Sabotage;
use super::world::{Death, Deed, Fate, Handle, MAIN, When, World};
use crate::domain::event::{Failure, RunEvent};
use crate::domain::names::{BranchRef, ItemKey, PolicyVersion, RunId};
use crate::domain::plan::{Assignment, PlannedItem};
use crate::domain::policy::Policy;
use crate::domain::prompt::template::Prompts;
use crate::domain::settings::Settings;
use crate::domain::state::{ItemState, Outcome, Status};
use crate::engine::dispatcher::{RunRequest, ledger_error, run};
use crate::engine::fake;
use crate::engine::ports::{Cancel, Ledger, PortError};
use crate::engine::recorder::Recorder;
use crate::engine::recovery;
use crate::engine::world::{Decisions, Ports};

/// Points inside of effects that have several steps: rare, and the most delicate ones.
const BETWEEN: [&str; 7] = [
    "target moved",
    "landing written",
    "leftovers written",
    "rescue ref written",
    "worktree gone",
    "branch made",
    "worktree registered",
];

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// What came of a seed.
pub(super) struct Verdict {
    pub(super) wrongs: BTreeSet<String>,
    /// The same for the same seed.
    pub(super) trace: u64,
    /// Points that all orchestrators passed.
    pub(super) points: u64,
    pub(super) tally: Tally,
    pub(super) diary: String,
}

/// How much of what a simulation is for has happened in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) crashes: u64,
    pub(super) power_cuts: u64,
    pub(super) doubles: u64,
    pub(super) faults: u64,
    pub(super) landed: u64,
    pub(super) failed: u64,
}

/// What a seed decides once.
struct Play {
    stories: Vec<(String, Vec<String>)>,
    policy: Policy,
    settings: Settings,
    jobs: u32,
    waves: bool,
    machine: Arc<Mutex<World>>,
}

/// Simulates a seed.
pub(super) fn simulate(seed: u64, sabotage: Option<Sabotage>, loud: bool) -> Verdict {
    let mut dice = Dice::new(seed);
    let play = Rc::new(Play::cast(&mut dice, sabotage, loud));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without input and output can be made");
    runtime.block_on(async {
        play.world().begin();
        let limit = Duration::from_secs(40 * 86_400);
        let whole = tokio::time::timeout(limit, play.perform(&mut dice));
        tokio::select! {
            biased;
            ended = whole => if ended.is_err() {
                play.world().wrong("I16: nobody can go on");
            },
            () = drive(&play.machine) => {}
        }
    });
    play.verdict()
}

/// Performs what is on the agenda, for ever.
async fn drive(machine: &Arc<Mutex<World>>) {
    let hand = Handle::new(machine.clone(), 0);
    let changed = hand.world().changed.clone();
    loop {
        let due = hand.world().due();
        match due {
            None => changed.notified().await,
            Some(at) => tokio::select! {
                biased;
                () = changed.notified() => {}
                () = tokio::time::sleep_until(at) => {}
            },
        }
        while let Some(deed) = next_deed(&hand) {
            perform(&mut hand.world(), deed);
        }
    }
}

fn next_deed(hand: &Handle) -> Option<Deed> {
    hand.world().next_deed()
}

fn perform(world: &mut World, deed: Deed) {
    world.tell(|_| format!("{deed:?}"));
    match deed {
        Deed::Step(id) => folk::step(world, id),
        Deed::End(id) => drop(world.procs.remove(&id)),
        Deed::Commit { shared } => world.commit_by_person(shared),
        Deed::Jump(millis) => world.jump(millis),
        Deed::Obstacle(there) => world.obstacle = there,
        Deed::Interrupt(pid, urgency) => {
            if let Some(interrupts) = world.lives.get(&pid).and_then(|life| life.interrupts.as_ref()) {
                let _ = interrupts.send(urgency);
            }
        }
    }
}

impl Play {
    fn cast(dice: &mut Dice, sabotage: Option<Sabotage>, loud: bool) -> Self {
        let mut world = World::new(Dice::new(dice.below(u64::MAX)));
        world.sabotage = sabotage;
        world.diary = loud.then(String::new);
        world.checks = dice.chance(70);
        let count = [3, 3, 3, 4, 4, 5, 6][dice.index(7)];
        let mut stories: Vec<(String, Vec<String>)> = Vec::new();
        for number in 1..=count {
            let id = format!("1.{number}");
            let after = stories.iter().filter(|_| dice.chance(20)).map(|(id, _)| id.clone()).collect();
            world.tales.insert(ItemKey::new(id.clone()), tale(dice));
            stories.push((id, after));
        }
        let mut policy = Policy::built_in(PolicyVersion::new("p1"));
        if world.checks {
            policy.checks = vec![fake::check("test")];
        }
        let settings = Settings { write_back: dice.chance(50), agent_timeout_secs: 60, ..Settings::default() };
        let jobs = u32::try_from(dice.between(1, 4)).unwrap_or(1);
        let waves = dice.chance(15);
        Self { stories, policy, settings, jobs, waves, machine: Arc::new(Mutex::new(world)) }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.machine.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Eras with deaths and accidents, and at last the calm.
    async fn perform(self: &Rc<Self>, dice: &mut Dice) {
        self.plan_others(dice);
        for _ in 0..dice.between(1, 3) {
            Box::pin(self.era(dice)).await;
            check::at_rest(&mut self.world());
            tokio::time::sleep(Duration::from_millis(dice.below(5_000))).await;
        }
        self.calm().await;
        check::at_end(&mut self.world());
    }

    /// What persons and the clock will do.
    fn plan_others(&self, dice: &mut Dice) {
        let mut world = self.world();
        for _ in 0..dice.below(4) {
            world.plan(dice.below(60_000), Deed::Commit { shared: dice.chance(30) });
        }
        if dice.chance(30) {
            let days = [-1, 20, 400][dice.index(3)];
            world.plan(dice.below(60_000), Deed::Jump(days * DAY));
        }
        if dice.chance(15) {
            let from = dice.below(40_000);
            world.plan(from, Deed::Obstacle(true));
            world.plan(from + dice.below(40_000), Deed::Obstacle(false));
        }
    }

    /// One orchestrator, or two at once.
    async fn era(self: &Rc<Self>, dice: &mut Dice) {
        let first = self.birth(dice);
        if dice.chance(30) {
            let second = self.birth(dice);
            self.world().tally.doubles += 1;
            let wait = Duration::from_millis(dice.below(15_000));
            let fresh = dice.chance(50);
            let later = async {
                tokio::time::sleep(wait).await;
                self.live(second, fresh).await;
            };
            tokio::join!(self.live(first, false), later);
        } else {
            self.live(first, false).await;
        }
    }

    fn birth(&self, dice: &mut Dice) -> u32 {
        let when = if dice.chance(40) {
            When::Named(BETWEEN[dice.index(BETWEEN.len())], dice.between(1, 3))
        } else {
            let span = [80, 300, 900][dice.index(3)];
            When::Point(dice.between(1, span))
        };
        let power = dice.chance(35);
        let death = if power { Death::Power } else { Death::Process };
        let dies = dice.chance(80).then_some((when, death));
        let fails = dice.chance(15).then(|| (dice.between(1, 250), dice.chance(50)));
        let mut world = self.world();
        let pid = world.give_birth(Fate { dies, fails });
        if dice.chance(15) {
            let at = dice.below(40_000);
            world.plan(at, Deed::Interrupt(pid, Cancel::Ask));
            if dice.chance(30) {
                world.plan(at + dice.below(5_000), Deed::Interrupt(pid, Cancel::Kill));
            }
        }
        pid
    }

    /// Nothing happens any more but one resume per unfinished run, and one run for what no run has.
    async fn calm(self: &Rc<Self>) {
        let unfinished = {
            let mut world = self.world();
            world.obstacle = false;
            world.tell(|_| "calm".to_owned());
            world
                .disk
                .runs
                .values()
                .filter(|chain| chain.entries.last().is_some_and(|last| last.state.is_unfinished()))
                .count()
        };
        for _ in 0..unfinished {
            self.live_calmly(false).await;
        }
        if !self.is_over() {
            self.live_calmly(true).await;
        }
        if !self.is_over() {
            self.world().wrong("I16: a resume of each unfinished run did not finish everything");
        }
        // Whoever looks after the processes of the dead is done by then.
        tokio::time::sleep(Duration::from_secs(5)).await;
    }

    async fn live_calmly(self: &Rc<Self>, fresh: bool) {
        self.world().obstacle = false;
        let pid = self.world().give_birth(Fate::default());
        self.live(pid, fresh).await;
    }

    fn is_over(&self) -> bool {
        let world = self.world();
        world.tales.keys().all(|key| check::is_over(&world, key))
    }

    /// The life of one orchestrator, to its end or its death.
    async fn live(self: &Rc<Self>, pid: u32, fresh: bool) {
        let hand = Handle::new(self.machine.clone(), pid);
        let Some(died) = hand.world().lives.get(&pid).map(|life| life.died.clone()) else { return };
        let local = LocalSet::new();
        let ended = local.run_until(async {
            tokio::select! {
                biased;
                () = died.notified() => None,
                ended = self.work(&hand, fresh) => Some(ended),
            }
        });
        let ended = ended.await;
        drop(local);
        let mut world = self.world();
        if let Some(ended) = ended.filter(|_| world.lives(pid)) {
            world.tell(|_| format!("[{pid}] ends: {ended:?}"));
            if world.procs.values().any(|proc| proc.owner == pid) {
                world.wrong("I6: a process outlives the run that started it");
            }
        }
        world.bury(pid);
    }

    /// What `resume` does, or `stories` where no run is unfinished.
    async fn work(&self, hand: &Handle, fresh: bool) -> Result<(), PortError> {
        let ports = ports(hand);
        let root = hand.world().root.clone();
        let mut ledger = SimLedger(hand.clone());
        let items = ledger.items().map_err(ledger_error)?;
        let pending: Vec<_> = items.into_iter().filter(|(_, state)| recovery::is_pending(state)).collect();
        let mended = recovery::reconcile(&ports, &root, &pending).await?;
        hand.world().tell(|_| format!("[{}] mended: {mended:?}", hand.pid));
        let runs = ledger.runs().map_err(ledger_error)?;
        let locked = |run: &RunId| hand.world().run_locks.contains_key(run);
        let unfinished = runs.into_iter().rfind(|(id, state)| !fresh && state.is_unfinished() && !locked(id));
        let scope: Option<BTreeSet<ItemKey>> =
            unfinished.as_ref().map(|(_, state)| state.items.iter().map(|item| item.key.clone()).collect());
        let plan = self.plan(&mut ledger, scope.as_ref())?;
        let run_id = unfinished.as_ref().map_or_else(|| ports.host.run_id(), |(id, _)| id.clone());
        hand.world().run_locks.insert(run_id.clone(), hand.pid);
        let settled = if unfinished.is_some() { settled(&mut ledger, &run_id)? } else { BTreeMap::new() };
        let request = self.request(hand, ports, (run_id, unfinished.is_some()), plan, settled)?;
        run(request).await.map(drop)
    }

    /// Stories that are not done, in the scope of a run or all.
    fn plan(&self, ledger: &mut SimLedger, scope: Option<&BTreeSet<ItemKey>>) -> Result<Vec<PlannedItem>, PortError> {
        let states = ledger.items().map_err(ledger_error)?;
        let open = |id: &str| {
            let key = ItemKey::new(id);
            scope.is_none_or(|scope| scope.contains(&key)) && !states.get(&key).is_some_and(ItemState::is_done)
        };
        let stories = self.stories.iter().filter(|(id, _)| open(id));
        let after: Vec<(&str, Vec<&str>)> = stories
            .map(|(id, after)| (id.as_str(), after.iter().map(String::as_str).filter(|id| open(id)).collect()))
            .collect();
        let items: Vec<(&str, &[&str])> = after.iter().map(|(id, after)| (*id, after.as_slice())).collect();
        Ok(fake::plan(&items))
    }

    fn request(
        &self,
        hand: &Handle,
        ports: Ports,
        (run, resumed): (RunId, bool),
        plan: Vec<PlannedItem>,
        settled: BTreeMap<ItemKey, Failure>,
    ) -> Result<RunRequest, PortError> {
        let (interrupts, inbox) = mpsc::unbounded_channel();
        let mut world = hand.world();
        let base = world.disk.tip(MAIN).cloned().ok_or_else(|| PortError::new("no target"))?;
        if let Some(life) = world.lives.get_mut(&hand.pid) {
            life.interrupts = Some(interrupts);
        }
        let target = BranchRef::new(MAIN);
        let host = format!("pid {}", hand.pid);
        let opening = if resumed {
            RunEvent::Resumed { host }
        } else {
            RunEvent::Started {
                scope: Vec::new(),
                target: target.clone(),
                base: base.clone(),
                policy: self.policy.version.clone(),
                items: plan.iter().map(PlannedItem::recorded).collect(),
                jobs: self.jobs,
                waves: self.waves,
                land: true,
                agent: None,
                host,
            }
        };
        let reviewer = Assignment { role: "code-reviewer".into(), adapter: "sim".into(), why: String::new() };
        let decisions = Decisions {
            run,
            target,
            base,
            policy: self.policy.clone(),
            settings: self.settings.clone(),
            root: world.root.clone(),
            reviewer,
            roles: BTreeMap::new(),
            prompts: Prompts::default(),
            more_reviewers: Vec::new(),
            jobs: self.jobs,
            waves: self.waves,
            land: true,
        };
        let stories = plan.iter().map(|planned| (planned.key.clone(), b"the story".to_vec())).collect();
        let reporter = Box::new(SimReporter(hand.clone()));
        Ok(RunRequest { ports, decisions, plan, stories, opening, settled, reporter, interrupts: inbox })
    }

    fn verdict(&self) -> Verdict {
        let mut world = self.world();
        let pids: Vec<u32> = world.lives.keys().copied().collect();
        let count = |status: Status| {
            let of = |key: &&ItemKey| state_of(&world, key).unwrap_or_default().status() == status;
            world.tales.keys().filter(of).count() as u64
        };
        let (landed, failed) = (count(Status::Landed), count(Status::Failed));
        let tally = Tally { landed, failed, faults: world.faults.into(), ..world.tally };
        let points = pids.iter().map(|pid| world.points(*pid)).sum();
        let diary = world.diary.take().unwrap_or_default();
        Verdict { wrongs: world.wrongs.clone(), trace: world.trace, points, tally, diary }
    }
}

fn ports(hand: &Handle) -> Ports {
    Ports {
        recorder: Recorder::inline(Box::new(SimLedger(hand.clone()))),
        worktrees: Rc::new(SimGit(hand.clone())),
        lander: Rc::new(SimGit(hand.clone())),
        guard: Rc::new(SimGit(hand.clone())),
        agents: Rc::new(SimFolk(hand.clone())),
        executor: Rc::new(SimFolk(hand.clone())),
        clock: Rc::new(SimMachine(hand.clone())),
        host: Rc::new(SimMachine(hand.clone())),
        surroundings: Rc::new(SimGit(hand.clone())),
    }
}

/// Items that failed in this very run; a resume does not try them again.
fn settled(ledger: &mut SimLedger, run: &RunId) -> Result<BTreeMap<ItemKey, Failure>, PortError> {
    let states = ledger.items().map_err(ledger_error)?;
    let failed = |(key, state): (ItemKey, ItemState)| match (state.outcome, state.attempt) {
        (Some(Outcome::Failed { failure }), Some(attempt)) if attempt.run == *run => Some((key, failure)),
        _ => None,
    };
    Ok(states.into_iter().filter_map(failed).collect())
}

/// What agents make of a story.
fn tale(dice: &mut Dice) -> Tale {
    let all = [Misery::Idle, Misery::Crashes, Misery::Hangs, Misery::Silent];
    Tale {
        shared: dice.chance(30),
        clash: dice.chance(15),
        broken: if dice.chance(20) { u32::try_from(dice.between(1, 4)).unwrap_or(1) } else { 0 },
        refusals: if dice.chance(20) { u32::try_from(dice.between(1, 4)).unwrap_or(1) } else { 0 },
        misery: dice.chance(8).then(|| all[dice.index(all.len())]),
        ..Tale::default()
    }
}

impl std::ops::Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            crashes: self.crashes + other.crashes,
            power_cuts: self.power_cuts + other.power_cuts,
            doubles: self.doubles + other.doubles,
            faults: self.faults + other.faults,
            landed: self.landed + other.landed,
            failed: self.failed + other.failed,
        }
    }
}
