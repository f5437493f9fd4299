//! The simulated machine that outlives every orchestrator: disk, worktrees, processes, locks, clock, and who else acts on it.
//! Every effect of an orchestrator passes a numbered point, at which it may die. Must not know what the engine decides.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, mpsc};

use super::dice::Dice;
use super::disk::{By, Disk, Files};
use super::folk::{Proc, Tale};
use super::lives::Tally;
use super::sabotage::Sabotage;
use crate::domain::names::{AttemptId, ItemKey, Oid, RunId, Timestamp};
use crate::engine::ports::{Cancel, PortError};

/// The target branch.
pub(super) const MAIN: &str = "refs/heads/main";

/// Points after which an orchestrator counts as going round in circles.
const MOST_POINTS: u64 = 20_000;

/// How an orchestrator ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Death {
    /// Its process is killed; everything else goes on.
    Process,
    /// The machine goes dark: every process dies, and what was not synced may be gone.
    Power,
}

/// The orchestrator is dead: the effect does not happen, or its answer is heard by nobody.
#[derive(Debug)]
pub(super) struct Gone;

/// A point in the life of an orchestrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// By its number.
    Point(u64),
    /// The nth one of that name.
    Named(&'static str, u64),
}

/// What will befall an orchestrator.
#[derive(Clone, Debug, Default)]
pub(super) struct Fate {
    /// When it dies, and how.
    pub(super) dies: Option<(When, Death)>,
    /// Number of the call that answers with an error, and whether its effect happens nevertheless.
    pub(super) fails: Option<(u64, bool)>,
}

/// An orchestrator.
pub(super) struct Life {
    pub(super) dead: bool,
    pub(super) died: Arc<Notify>,
    pub(super) interrupts: Option<mpsc::UnboundedSender<Cancel>>,
    points: u64,
    calls: u64,
    fate: Fate,
}

/// A directory with files, on a branch or at a commit.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) branch: Option<String>,
    pub(super) detached: Option<Oid>,
    pub(super) files: Files,
    /// Registered, but not filled yet.
    pub(super) half: bool,
}

/// Something that will happen by itself.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    /// A process does the next thing.
    Step(u32),
    /// A process is ended by whoever looks after it.
    End(u32),
    /// A person commits to the target; to the file that stories share as well, or not.
    Commit { shared: bool },
    /// The wall clock jumps by so many milliseconds.
    Jump(i64),
    /// A checkout gets into the way of landings, or out of it.
    Obstacle(bool),
    /// A signal for an orchestrator.
    Interrupt(u32, Cancel),
}

/// Something an agent wrote.
pub(super) struct Token {
    pub(super) path: Arc<str>,
    /// A power cut took it before anything of ours had made it durable.
    pub(super) excused: bool,
}

/// The machine.
pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) disk: Disk,
    pub(super) desks: BTreeMap<PathBuf, Desk>,
    pub(super) trash: Vec<Files>,
    pub(super) procs: BTreeMap<u32, Proc>,
    pub(super) lives: BTreeMap<u32, Life>,
    pub(super) locks: BTreeMap<ItemKey, (u32, u64)>,
    pub(super) run_locks: BTreeMap<RunId, u32>,
    pub(super) tales: BTreeMap<ItemKey, Tale>,
    /// Whether clients go on with their sessions.
    pub(super) sessions: bool,
    pub(super) tokens: Vec<Token>,
    /// What a person committed to the target.
    pub(super) persons: Vec<Oid>,
    /// Moves of the target by landings: story, tip.
    pub(super) landed: Vec<(ItemKey, Oid)>,
    /// Checks as they really ran: name, tree of the directory, result.
    pub(super) checked: BTreeMap<(String, Oid), bool>,
    /// What has happened so far.
    pub(super) tally: Tally,
    /// Whether the policy has a check.
    pub(super) checks: bool,
    /// Where the main work tree lies.
    pub(super) root: PathBuf,
    pub(super) obstacle: bool,
    /// Calls that answered with an error because the seed wanted it.
    pub(super) faults: u32,
    pub(super) sabotage: Option<Sabotage>,
    /// What must never be the case, and was.
    pub(super) wrongs: BTreeSet<String>,
    /// Told line by line, when somebody wants to read it.
    pub(super) diary: Option<String>,
    /// Changes with everything that happens.
    pub(super) trace: u64,
    agenda: BTreeMap<(u64, u64), Deed>,
    planned: u64,
    pub(super) changed: Arc<Notify>,
    count: u32,
    began: Option<tokio::time::Instant>,
    jumped: i64,
}

impl World {
    /// A machine with one commit on the target.
    pub(super) fn new(dice: Dice) -> Self {
        let mut disk = Disk::default();
        let tree = disk.tree(Files::from([("README.md".into(), "# Scratch\n".into())]));
        let first = disk.commit(&tree, &[], By::Person, None, "first");
        disk.set(MAIN, Some(first.clone()));
        disk.sync_ref(MAIN);
        disk.sync_commits([0]);
        Self {
            dice,
            disk,
            desks: BTreeMap::new(),
            trash: Vec::new(),
            procs: BTreeMap::new(),
            lives: BTreeMap::new(),
            locks: BTreeMap::new(),
            run_locks: BTreeMap::new(),
            tales: BTreeMap::new(),
            sessions: false,
            tokens: Vec::new(),
            persons: vec![first],
            landed: Vec::new(),
            checked: BTreeMap::new(),
            tally: Tally::default(),
            checks: true,
            root: PathBuf::from("/repo"),
            obstacle: false,
            faults: 0,
            sabotage: None,
            wrongs: BTreeSet::new(),
            diary: None,
            trace: 0,
            agenda: BTreeMap::new(),
            planned: 0,
            changed: Arc::default(),
            count: 0,
            began: None,
            jumped: 0,
        }
    }

    /// A number that nothing else has.
    pub(super) fn number(&mut self) -> u32 {
        self.count += 1;
        self.count
    }

    /// Lets time begin; inside a runtime.
    pub(super) fn begin(&mut self) {
        self.began = Some(tokio::time::Instant::now());
    }

    /// Milliseconds since time began.
    pub(super) fn now(&self) -> u64 {
        let passed = self.began.map(|began| began.elapsed().as_millis()).unwrap_or_default();
        u64::try_from(passed).unwrap_or(u64::MAX)
    }

    /// What the wall clock shows.
    pub(super) fn wall(&self) -> Timestamp {
        Timestamp(1_700_000_000_000 + i64::try_from(self.now()).unwrap_or(0) + self.jumped)
    }

    /// Sets the wall clock.
    pub(super) fn jump(&mut self, millis: i64) {
        self.jumped += millis;
    }

    /// Plans a deed.
    pub(super) fn plan(&mut self, after: u64, deed: Deed) {
        self.planned += 1;
        let at = (self.now() + after, self.planned);
        self.agenda.insert(at, deed);
        self.changed.notify_one();
    }

    /// When the next deed is due.
    pub(super) fn due(&self) -> Option<tokio::time::Instant> {
        let (at, _) = self.agenda.keys().next()?;
        Some(self.began? + std::time::Duration::from_millis(*at))
    }

    /// Takes the next deed, when it is due.
    pub(super) fn next_deed(&mut self) -> Option<Deed> {
        let now = self.now();
        let entry = self.agenda.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    /// Notes what happens, for whoever repeats the seed.
    pub(super) fn tell(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.diary.is_some() {
            let line = format!("{:>9} {}", self.now(), what(self));
            if let Some(diary) = &mut self.diary {
                writeln!(diary, "{line}").expect("a String takes everything");
            }
        }
    }

    /// Notes that something must never be the case, and is.
    pub(super) fn wrong(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.tell(|_| format!("WRONG: {what}"));
        self.wrongs.insert(what);
    }

    /// Whether the simulation breaks this rule on purpose.
    pub(super) fn sabotaged(&self, how: Sabotage) -> bool {
        self.sabotage == Some(how)
    }

    fn mark(&mut self, pid: u32, name: &str) {
        for byte in name.bytes().chain(pid.to_le_bytes()) {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }

    /// A new orchestrator; its number.
    pub(super) fn give_birth(&mut self, fate: Fate) -> u32 {
        let pid = self.number();
        let life = Life { dead: false, died: Arc::default(), interrupts: None, points: 0, calls: 0, fate };
        self.lives.insert(pid, life);
        self.tell(|world| format!("[{pid}] starts; {:?}", world.lives[&pid].fate));
        pid
    }

    /// A point that an orchestrator passes before and after every effect, if it lives on.
    pub(super) fn point(&mut self, pid: u32, name: &str) -> Result<(), Gone> {
        let life = self.lives.get_mut(&pid).filter(|life| !life.dead).ok_or(Gone)?;
        life.points += 1;
        let points = life.points;
        if let Some((When::Named(wanted, left), _)) = &mut life.fate.dies
            && *wanted == name
        {
            *left -= 1;
        }
        let dies = life.fate.dies;
        self.mark(pid, name);
        self.tell(|_| format!("[{pid}] {points} {name}"));
        if points > MOST_POINTS {
            self.wrong(format!("I16: an orchestrator goes round in circles at {name}"));
            self.die(pid, Death::Process);
            return Err(Gone);
        }
        match dies {
            Some((When::Point(at), death)) if at == points => {
                self.die(pid, death);
                Err(Gone)
            }
            Some((When::Named(wanted, 0), death)) if wanted == name => {
                self.die(pid, death);
                Err(Gone)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether this call of an orchestrator is the one that fails, and whether its effect happens nevertheless.
    pub(super) fn fault(&mut self, pid: u32) -> Option<bool> {
        let life = self.lives.get_mut(&pid)?;
        life.calls += 1;
        let happens = life.fate.fails.filter(|(at, _)| *at == life.calls).map(|(_, happens)| happens)?;
        self.faults += 1;
        self.tell(|_| format!("[{pid}] this call fails; its effect happens: {happens}"));
        Some(happens)
    }

    /// Points that an orchestrator has passed.
    pub(super) fn points(&self, pid: u32) -> u64 {
        self.lives.get(&pid).map_or(0, |life| life.points)
    }

    /// Whether an orchestrator lives.
    pub(super) fn lives(&self, pid: u32) -> bool {
        self.lives.get(&pid).is_some_and(|life| !life.dead)
    }

    /// An orchestrator dies, alone or with everything.
    pub(super) fn die(&mut self, pid: u32, death: Death) {
        self.tell(|_| format!("[{pid}] dies: {death:?}"));
        match death {
            Death::Process => {
                self.tally.crashes += 1;
                self.bury(pid);
                let owned: Vec<u32> =
                    self.procs.iter().filter(|(_, proc)| proc.owner == pid).map(|(id, _)| *id).collect();
                for id in owned {
                    // Whoever looks after them ends them at once, a little later, or died as well.
                    match self.dice.below(10) {
                        0..=3 => drop(self.procs.remove(&id)),
                        4..=6 => {
                            let after = self.dice.below(3_000);
                            self.plan(after, Deed::End(id));
                        }
                        _ => {}
                    }
                }
            }
            Death::Power => {
                self.tally.power_cuts += 1;
                let all: Vec<u32> = self.lives.keys().copied().collect();
                for pid in all {
                    self.bury(pid);
                }
                self.procs.clear();
                self.go_dark();
            }
        }
    }

    /// The locks of a process end with it.
    pub(super) fn bury(&mut self, pid: u32) {
        self.locks.retain(|_, (holder, _)| *holder != pid);
        self.run_locks.retain(|_, holder| *holder != pid);
        if let Some(life) = self.lives.get_mut(&pid) {
            life.dead = true;
            life.died.notify_one();
        }
    }

    fn go_dark(&mut self) {
        let Self { disk, dice, .. } = self;
        disk.power_cut(dice);
        let paths: Vec<PathBuf> = self.desks.keys().cloned().collect();
        for path in paths {
            let head = self.head(&path);
            let files = head.map(|head| self.disk.files(&head));
            let Some(files) = files.filter(|_| !self.dice.chance(30)) else {
                self.desks.remove(&path);
                continue;
            };
            let lost = self.dice.chance(50);
            if let Some(desk) = self.desks.get_mut(&path).filter(|_| lost) {
                desk.files.clone_from(&files);
            }
        }
        let missing = self.missing_paths();
        for token in self.tokens.iter_mut().filter(|token| missing.contains(&token.path)) {
            token.excused = true;
        }
    }

    /// Commit of HEAD of a directory.
    pub(super) fn head(&self, path: &std::path::Path) -> Option<Oid> {
        let desk = self.desks.get(path)?;
        desk.detached.clone().or_else(|| self.disk.tip(desk.branch.as_ref()?).cloned())
    }

    /// Paths that somebody wrote and that are in no commit that a ref leads to, in no worktree and not in the trash.
    pub(super) fn missing_paths(&self) -> Vec<Arc<str>> {
        let mut places: Vec<Arc<Files>> = self.disk.refs().map(|(_, oid)| self.disk.files(oid)).collect();
        let kept = |places: &[Arc<Files>], path: &Arc<str>| {
            let desks = self.desks.values().map(|desk| &desk.files).chain(&self.trash);
            places.iter().any(|files| files.contains_key(path))
                || desks.into_iter().any(|files| files.contains_key(path))
        };
        let open = self.tokens.iter().filter(|token| !token.excused).map(|token| &token.path);
        let missing: Vec<Arc<str>> = open.filter(|path| !kept(&places, path)).cloned().collect();
        if missing.is_empty() {
            return missing;
        }
        // Not at a tip; that they are in the history is enough.
        let reached = self.disk.reach(self.disk.refs().filter_map(|(_, oid)| self.disk.find(oid)));
        let numbers = (0..reached.len()).filter(|number| reached[*number]);
        places.extend(numbers.map(|number| self.disk.files_of(&self.disk.at(number).tree)));
        missing.into_iter().filter(|path| !kept(&places, path)).collect()
    }

    /// A person commits to the target and does not lose it in a power cut.
    pub(super) fn commit_by_person(&mut self, shared: bool) {
        let Some(tip) = self.disk.tip(MAIN).cloned() else { return };
        let number = self.number();
        let mut files = (*self.disk.files(&tip)).clone();
        if shared {
            append(&mut files, "shared", &format!("person {number}\n"));
        } else {
            files.insert(format!("person-{number}").into(), "1\n".into());
        }
        let tree = self.disk.tree(files);
        let made = self.disk.commit(&tree, &[tip], By::Person, None, "a person's");
        self.disk.sync_commits(self.disk.find(&made));
        self.disk.set(MAIN, Some(made.clone()));
        self.disk.sync_ref(MAIN);
        self.tell(|_| format!("a person commits {}", made.short()));
        self.persons.push(made);
    }

    /// The attempt that the ledger knows as the current one of an item.
    pub(super) fn attempt(&self, key: &ItemKey) -> Option<AttemptId> {
        let state = &self.disk.items.get(key)?.entries.last()?.state;
        state.attempt.as_ref().map(|attempt| attempt.id.clone())
    }
}

/// Adds a line to a file.
pub(super) fn append(files: &mut Files, path: &str, line: &str) {
    let before = files.get(path).map_or("", AsRef::as_ref);
    let text = format!("{before}{line}");
    files.insert(path.into(), text.into());
}

/// The machine as one orchestrator has it in its hands.
#[derive(Clone)]
pub(super) struct Handle {
    machine: Arc<Mutex<World>>,
    pub(super) pid: u32,
}

impl Handle {
    /// For an orchestrator; 0 is nobody.
    pub(super) fn new(machine: Arc<Mutex<World>>, pid: u32) -> Self {
        Self { machine, pid }
    }

    /// The machine.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.machine.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Something else may go first.
    pub(super) async fn dawdle(&self) {
        let way = self.world().dice.below(20);
        match way {
            0..=9 => {}
            10..=16 => tokio::task::yield_now().await,
            _ => tokio::time::sleep(std::time::Duration::from_millis(way)).await,
        }
    }

    /// An effect; one that the orchestrator does not survive is never answered.
    pub(super) async fn act<T>(
        &self,
        name: &'static str,
        effect: impl FnOnce(&mut World) -> Result<Result<T, PortError>, Gone>,
    ) -> Result<T, PortError> {
        self.dawdle().await;
        match self.act_now(name, effect) {
            Ok(answer) => answer,
            Err(Gone) => std::future::pending().await,
        }
    }

    /// The same where nobody can be kept waiting.
    pub(super) fn act_now<T>(
        &self,
        name: &'static str,
        effect: impl FnOnce(&mut World) -> Result<Result<T, PortError>, Gone>,
    ) -> Result<Result<T, PortError>, Gone> {
        let mut world = self.world();
        world.point(self.pid, name)?;
        let fault = world.fault(self.pid);
        if fault == Some(false) {
            return Ok(Err(failed(name)));
        }
        let answer = effect(&mut world)?;
        world.point(self.pid, "answered")?;
        Ok(if fault.is_some() { Err(failed(name)) } else { answer })
    }

    /// A question.
    pub(super) async fn ask<T>(
        &self,
        name: &'static str,
        look: impl FnOnce(&World) -> Result<T, PortError>,
    ) -> Result<T, PortError> {
        self.dawdle().await;
        match self.ask_now(name, look) {
            Ok(answer) => answer,
            Err(Gone) => std::future::pending().await,
        }
    }

    /// The same where nobody can be kept waiting.
    pub(super) fn ask_now<T>(
        &self,
        name: &'static str,
        look: impl FnOnce(&World) -> Result<T, PortError>,
    ) -> Result<Result<T, PortError>, Gone> {
        let mut world = self.world();
        if !world.lives(self.pid) {
            return Err(Gone);
        }
        match world.fault(self.pid) {
            Some(_) => Ok(Err(failed(name))),
            None => Ok(look(&world)),
        }
    }
}

/// The error of a call that the seed wants to fail.
fn failed(name: &str) -> PortError {
    PortError::new(format!("{name} failed: the disk is full"))
}

/// What a dead process gets to hear.
pub(super) fn dead() -> PortError {
    PortError::new("this process is dead")
}
