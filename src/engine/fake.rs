//! The stage on which engine tests play: every port in memory, a manual clock, and runs that can die at any moment.
//! Ledger and repository outlive a run, so a second run on the same stage is a resume. Must not sleep or read the machine.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tokio::sync::{Notify, mpsc};

use super::dispatcher::{RunRequest, run};
use super::events::{Happening, Reporter, Summary};
use super::fake_agents::{FakeAgents, FakeExecutor};
use super::fake_git::{FakeGit, main_branch};
use super::fake_ledger::FakeLedger;
use super::ports::{AttemptLock, Cancel, Clock, Host, PortError};
use super::recorder::Recorder;
use super::recovery;
use super::world::{Decisions, Ports};
use crate::domain::diagnostic::Place;
use crate::domain::event::{Failure, FailureClass, RunEvent};
use crate::domain::id::ItemId;
use crate::domain::item::{Declared, FileStatus, ItemKind, StatedStatus, WorkItem};
use crate::domain::names::{AttemptId, ItemKey, PolicyVersion, RunId, Timestamp};
use crate::domain::plan::{Assignment, EdgeKind, PlannedItem, Prerequisite};
use crate::domain::policy::{CheckSpec, Policy};
use crate::domain::prompt::template::Prompts;
use crate::domain::retry::RetryPolicy;
use crate::domain::settings::Settings;
use crate::domain::state::Status;

/// A clock that stands still.
#[derive(Clone, Default)]
pub(crate) struct FakeClock {
    now: Rc<Cell<i64>>,
}

impl FakeClock {
    /// Lets time pass.
    pub(crate) fn advance(&self, millis: i64) {
        self.now.set(self.now.get() + millis);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_700_000_000_000 + self.now.get())
    }
}

/// The machine: ids that count, locks that end with their run, leftovers to sweep.
#[derive(Clone, Default)]
pub(crate) struct FakeHost {
    count: Rc<Cell<u32>>,
    locks: Rc<RefCell<BTreeSet<ItemKey>>>,
    /// Items that another process holds.
    pub(crate) foreign: Rc<RefCell<BTreeSet<ItemKey>>>,
    /// Attempts whose leftovers were ended, in order.
    pub(crate) swept: Rc<RefCell<Vec<AttemptId>>>,
}

struct FakeLock {
    key: ItemKey,
    locks: Rc<RefCell<BTreeSet<ItemKey>>>,
}

impl AttemptLock for FakeLock {}

impl Drop for FakeLock {
    fn drop(&mut self) {
        self.locks.borrow_mut().remove(&self.key);
    }
}

impl FakeHost {
    fn next(&self, kind: &str) -> String {
        self.count.set(self.count.get() + 1);
        format!("{kind}-{:04}", self.count.get())
    }

    /// Whether an item's lock is held.
    pub(crate) fn holds(&self, key: &str) -> bool {
        self.locks.borrow().contains(&ItemKey::new(key))
    }
}

impl Host for FakeHost {
    fn run_id(&self) -> RunId {
        RunId::new(self.next("run"))
    }

    fn attempt_id(&self) -> AttemptId {
        AttemptId::new(self.next("attempt"))
    }

    fn session_id(&self) -> String {
        self.next("session")
    }

    fn describe(&self) -> String {
        "test, pid 1".to_owned()
    }

    fn lock(&self, key: &ItemKey, _: &AttemptId) -> Result<Result<Box<dyn AttemptLock>, String>, PortError> {
        if self.foreign.borrow().contains(key) || !self.locks.borrow_mut().insert(key.clone()) {
            return Ok(Err("pid 2".to_owned()));
        }
        Ok(Ok(Box::new(FakeLock { key: key.clone(), locks: self.locks.clone() })))
    }

    fn sweep(&self, attempt: &AttemptId) -> Result<usize, PortError> {
        self.swept.borrow_mut().push(attempt.clone());
        Ok(1)
    }
}

/// Remembers everything it is told.
#[derive(Clone, Default)]
pub(crate) struct FakeReporter {
    pub(crate) heard: Rc<RefCell<Vec<Happening>>>,
}

impl Reporter for FakeReporter {
    fn on(&mut self, happening: &Happening, _: Timestamp) {
        self.heard.borrow_mut().push(happening.clone());
    }
}

/// Ports, decisions and what was heard; ledger and repository outlive every run.
pub(crate) struct Stage {
    pub(crate) git: FakeGit,
    pub(crate) ledger: FakeLedger,
    pub(crate) agents: FakeAgents,
    pub(crate) executor: FakeExecutor,
    pub(crate) host: FakeHost,
    pub(crate) clock: FakeClock,
    pub(crate) reporter: FakeReporter,
    pub(crate) policy: Policy,
    pub(crate) more_reviewers: Vec<Assignment>,
    pub(crate) settings: Settings,
    pub(crate) jobs: u32,
    pub(crate) waves: bool,
    pub(crate) land: bool,
    /// Signals; scripts may send on it.
    pub(crate) interrupts: mpsc::UnboundedSender<Cancel>,
    inbox: RefCell<Option<mpsc::UnboundedReceiver<Cancel>>>,
    /// Kills the orchestrator: every task is dropped where it stands.
    pub(crate) death: Rc<Notify>,
}

impl Stage {
    /// Agents that succeed, no checks, four slots.
    pub(crate) fn new() -> Self {
        let git = FakeGit::new();
        let ledger = FakeLedger::new(git.clone());
        let (interrupts, inbox) = mpsc::unbounded_channel();
        Self {
            agents: FakeAgents::new(git.clone(), ledger.clone()),
            executor: FakeExecutor::new(git.clone()),
            host: FakeHost::default(),
            clock: FakeClock::default(),
            reporter: FakeReporter::default(),
            policy: Policy::built_in(PolicyVersion::new("p1")),
            more_reviewers: Vec::new(),
            settings: Settings {
                write_back: false,
                retry: RetryPolicy { attempts: 1, ..RetryPolicy::default() },
                ..Settings::default()
            },
            jobs: 4,
            waves: false,
            land: true,
            interrupts,
            inbox: RefCell::new(Some(inbox)),
            death: Rc::default(),
            git,
            ledger,
        }
    }

    /// A stage whose policy has one check.
    pub(crate) fn with_check() -> Self {
        let mut stage = Self::new();
        stage.policy.checks = vec![check("test")];
        stage
    }

    /// Runs a plan to its end.
    pub(crate) fn run(&self, plan: &[PlannedItem]) -> Result<Summary, PortError> {
        self.play(plan).expect("nothing killed the run")
    }

    /// Runs a plan to its end, or to the death of the orchestrator (`None`).
    pub(crate) fn play(&self, plan: &[PlannedItem]) -> Option<Result<Summary, PortError>> {
        let stories = plan.iter().map(|planned| (planned.key.clone(), b"the story".to_vec())).collect();
        self.play_with(plan, stories)
    }

    /// As [`Stage::play`], with the stories' text.
    pub(crate) fn play_with(
        &self,
        plan: &[PlannedItem],
        stories: BTreeMap<ItemKey, Vec<u8>>,
    ) -> Option<Result<Summary, PortError>> {
        let interrupts = self.inbox.borrow_mut().take().unwrap_or_else(|| mpsc::unbounded_channel().1);
        let death = self.death.clone();
        self.within(async move |ports: Ports| {
            let request = RunRequest {
                settled: BTreeMap::new(),
                decisions: self.decisions(),
                opening: self.opening(plan),
                plan: plan.to_vec(),
                stories,
                reporter: Box::new(self.reporter.clone()),
                interrupts,
                ports,
            };
            tokio::select! {
                biased;
                () = death.notified() => None,
                ended = run(request) => Some(ended),
            }
        })
    }

    /// Mends what earlier runs left, as every start does; answers with what was mended.
    pub(crate) fn reconcile(&self) -> Result<Vec<String>, PortError> {
        let items: Vec<_> = self.ledger.chains().items.clone().into_iter().collect();
        let root = self.decisions().root;
        self.within(async move |ports: Ports| recovery::reconcile(&ports, &root, &items).await)
    }

    /// Runs something in a runtime of its own; time is virtual, and a run in which nobody can go on fails at once.
    pub(crate) fn within<T>(&self, play: impl AsyncFnOnce(Ports) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            let ports = self.ports();
            let limit = std::time::Duration::from_secs(86_400);
            tokio::time::timeout(limit, play(ports)).await.expect("somebody can go on")
        })
    }

    fn ports(&self) -> Ports {
        Ports {
            recorder: Recorder::start(Box::new(self.ledger.clone())),
            worktrees: Rc::new(self.git.clone()),
            lander: Rc::new(self.git.clone()),
            guard: Rc::new(self.git.clone()),
            agents: Rc::new(self.agents.clone()),
            executor: Rc::new(self.executor.clone()),
            clock: Rc::new(self.clock.clone()),
            host: Rc::new(self.host.clone()),
            surroundings: Rc::new(self.git.clone()),
        }
    }

    /// What a run on this stage decides before it begins.
    pub(crate) fn decisions(&self) -> Decisions {
        Decisions {
            run: self.host.run_id(),
            target: main_branch(),
            base: self.git.tip_of("main").unwrap(),
            policy: self.policy.clone(),
            settings: self.settings.clone(),
            root: "/repo".into(),
            reviewer: assignment("code-reviewer"),
            roles: BTreeMap::new(),
            prompts: Prompts::default(),
            more_reviewers: self.more_reviewers.clone(),
            jobs: self.jobs,
            waves: self.waves,
            land: self.land,
        }
    }

    fn opening(&self, plan: &[PlannedItem]) -> RunEvent {
        RunEvent::Started {
            scope: Vec::new(),
            target: main_branch(),
            base: self.git.tip_of("main").unwrap(),
            policy: self.policy.version.clone(),
            items: plan.iter().map(PlannedItem::recorded).collect(),
            jobs: self.jobs,
            waves: self.waves,
            land: self.land,
            agent: None,
            host: self.host.describe(),
        }
    }

    /// Status of an item by the ledger.
    pub(crate) fn status(&self, key: &str) -> Status {
        self.ledger.state(key).status()
    }

    /// What remains of a finished run must be nothing: no worktree, no story branch, no lock.
    pub(crate) fn assert_clean(&self) {
        let repo = self.git.repo();
        assert_eq!(repo.desks.keys().collect::<Vec<_>>(), Vec::<&std::path::PathBuf>::new());
        let branches: Vec<_> = repo.refs.keys().filter(|name| name.starts_with("refs/heads/story/")).collect();
        assert!(branches.is_empty(), "{branches:?}");
    }
}

/// A check by its name.
pub(crate) fn check(name: &str) -> CheckSpec {
    CheckSpec { name: name.to_owned(), command: vec!["run".to_owned(), name.to_owned()], timeout_secs: 60 }
}

fn assignment(role: &str) -> Assignment {
    Assignment { role: role.to_owned(), adapter: "fake".to_owned(), why: "a test".to_owned() }
}

/// A story with its prerequisites; its wave is set by [`plan`].
pub(crate) fn story(id: &str, after: &[&str]) -> PlannedItem {
    let id = ItemId::parse(id).unwrap();
    let needed = |id: &&str| Prerequisite {
        id: ItemId::parse(id).unwrap(),
        kind: EdgeKind::Declared,
        planned: true,
        lacking: false,
    };
    PlannedItem {
        key: ItemKey::from(&id),
        wave: 0,
        prerequisites: after.iter().map(needed).collect(),
        chain: 1,
        assignment: assignment("general-developer"),
        item: WorkItem {
            display_id: id.as_str().to_owned(),
            kind: ItemKind::Story,
            title: "Do it".to_owned(),
            path: format!("docs/stories/{id}.md"),
            place: Place::file("docs/stories/x.md"),
            epic: None,
            epic_title: None,
            status: StatedStatus { value: FileStatus::Ready, raw: String::new(), place: None },
            criteria: Vec::new(),
            declared: Declared::Undeclared,
            dependencies: Vec::new(),
            reverse: Vec::new(),
            references: Vec::new(),
            files: Vec::new(),
            technology: None,
            agent: None,
            id,
        },
    }
}

/// Items in plan order with their waves.
pub(crate) fn plan(items: &[(&str, &[&str])]) -> Vec<PlannedItem> {
    let mut planned: Vec<PlannedItem> = Vec::new();
    for (id, after) in items {
        let mut item = story(id, after);
        let below = planned.iter().filter(|known| after.contains(&known.key.as_str())).map(|known| known.wave + 1);
        item.wave = below.max().unwrap_or(0);
        planned.push(item);
    }
    planned
}

/// The failure of an item in a summary.
pub(crate) fn failure_of(summary: &Summary, key: &str) -> (FailureClass, String) {
    let item = summary.items.iter().find(|item| item.story_id.as_str() == key).unwrap();
    let Failure { class, message, .. } = item.failure.clone().unwrap_or_else(|| panic!("{key} did not fail: {item:?}"));
    (class, message)
}

/// Status of an item in a summary.
pub(crate) fn shown(summary: &Summary, key: &str) -> (Status, String) {
    let item = summary.items.iter().find(|item| item.story_id.as_str() == key).unwrap();
    (item.status, item.reason.clone())
}
