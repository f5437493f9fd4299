//! A ledger in memory for tests: every event in order, every write counted. Outlives a run, as the real one does.
//! Must keep the contract of the port: one rejected record rejects the batch, the target moves only from its expected value.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use super::fake_git::{FakeGit, digest};
use super::ports::{Ledger, LedgerError, PortError, Record};
use crate::domain::branch::{BranchEvent, BranchState, Hotfix};
use crate::domain::event::{ItemEvent, Landing, RunEvent};
use crate::domain::gate::MergePermit;
use crate::domain::names::{BranchRef, ItemKey, Oid, RunId, Timestamp};
use crate::domain::run_state::RunState;
use crate::domain::state::ItemState;

/// What happens to the next `land`.
pub(crate) enum Trap {
    /// Somebody commits this file on the target just before.
    TargetMoves(&'static str, &'static str),
    /// The branch moves, and the process dies before `Landed` is written.
    MovesThenFails,
    /// Somebody holds the branch's lock.
    Locked,
    /// A gc took the merge.
    Gone,
}

/// Everything the ledger holds.
#[derive(Default)]
pub(crate) struct Chains {
    /// Every event of every item in the order of writing.
    pub(crate) log: Vec<(ItemKey, ItemEvent)>,
    /// Every event of every run.
    pub(crate) run_log: Vec<RunEvent>,
    pub(crate) items: BTreeMap<ItemKey, ItemState>,
    pub(crate) runs: BTreeMap<RunId, RunState>,
    pub(crate) branches: BTreeMap<BranchRef, BranchState>,
    /// Appends and landings that wrote something.
    pub(crate) writes: u32,
    /// Calls that wanted to write, refused and failed ones included.
    pub(crate) tries: u32,
    /// Writes after which every further one fails.
    pub(crate) fails_after: Option<u32>,
    /// Events that another process writes just before our next write, once so many were made: a lost compare-and-swap.
    pub(crate) intruders: VecDeque<(u32, ItemKey, ItemEvent)>,
    /// For the next landings, in order.
    pub(crate) traps: VecDeque<Trap>,
    blobs: BTreeMap<Oid, Vec<u8>>,
}

/// A handle; clones share the ledger.
#[derive(Clone)]
pub(crate) struct FakeLedger {
    chains: Arc<Mutex<Chains>>,
    git: FakeGit,
}

impl FakeLedger {
    /// An empty ledger beside a repository.
    pub(crate) fn new(git: FakeGit) -> Self {
        Self { chains: Arc::default(), git }
    }

    /// What it holds.
    pub(crate) fn chains(&self) -> MutexGuard<'_, Chains> {
        self.chains.lock().unwrap()
    }

    /// Another process, or a person, writes an event now.
    pub(crate) fn somebody_writes(&self, key: &str, event: ItemEvent) {
        let mut chains = self.chains();
        chains.take(&ItemKey::new(key), &event, Timestamp(0)).unwrap();
    }

    /// State of an item.
    pub(crate) fn state(&self, key: &str) -> ItemState {
        self.chains().items.get(&ItemKey::new(key)).cloned().unwrap_or_default()
    }

    /// Events of an item in order.
    pub(crate) fn events(&self, key: &str) -> Vec<ItemEvent> {
        let of_item = |(of, event): &(ItemKey, ItemEvent)| (of.as_str() == key).then(|| event.clone());
        self.chains().log.iter().filter_map(of_item).collect()
    }
}

impl Chains {
    fn take(&mut self, key: &ItemKey, event: &ItemEvent, at: Timestamp) -> Result<(), LedgerError> {
        let state = self.items.get(key).cloned().unwrap_or_default().apply(event, at)?;
        self.items.insert(key.clone(), state);
        self.log.push((key.clone(), event.clone()));
        Ok(())
    }

    fn writable(&mut self) -> Result<(), LedgerError> {
        self.tries += 1;
        if self.fails_after.is_some_and(|most| self.writes >= most) {
            return Err(PortError::new("the disk is full").into());
        }
        let due = self.intruders.iter().take_while(|(writes, ..)| *writes <= self.writes).count();
        for (_, key, event) in self.intruders.drain(..due).collect::<Vec<_>>() {
            self.take(&key, &event, Timestamp(0))?;
        }
        Ok(())
    }

    fn try_append(&mut self, records: &[Record]) -> Result<(), LedgerError> {
        for record in records {
            match record {
                Record::Item { key, event, at, .. } => self.take(key, event, *at)?,
                Record::Run { run, event, at } => {
                    let state = self.runs.get(run).cloned().unwrap_or_default().apply(event, *at)?;
                    self.runs.insert(run.clone(), state);
                    self.run_log.push(event.clone());
                }
                Record::Branch { branch, event, at } => {
                    let state = self.branches.get(branch).cloned().unwrap_or_default().apply(event, *at)?;
                    self.branches.insert(branch.clone(), state);
                }
            }
        }
        Ok(())
    }
}

impl Ledger for FakeLedger {
    fn maintain(&mut self) -> Result<(), LedgerError> {
        Ok(())
    }

    fn items(&mut self) -> Result<BTreeMap<ItemKey, ItemState>, LedgerError> {
        Ok(self.chains().items.clone())
    }

    fn item(&mut self, key: &ItemKey) -> Result<Option<ItemState>, LedgerError> {
        Ok(self.chains().items.get(key).cloned())
    }

    fn branch(&mut self, branch: &BranchRef) -> Result<BranchState, LedgerError> {
        Ok(self.chains().branches.get(branch).cloned().unwrap_or_default())
    }

    fn record(&mut self, key: &ItemKey) -> Result<Option<Oid>, LedgerError> {
        let count = self.events(key.as_str()).len();
        Ok((count > 0).then(|| Oid::new(format!("{count:040x}"))))
    }

    fn runs(&mut self) -> Result<BTreeMap<RunId, RunState>, LedgerError> {
        Ok(self.chains().runs.clone())
    }

    fn append(&mut self, records: &[Record]) -> Result<(), LedgerError> {
        let mut chains = self.chains();
        chains.writable()?;
        let before = (chains.items.clone(), chains.runs.clone(), chains.log.len(), chains.run_log.len());
        if let Err(error) = chains.try_append(records) {
            (chains.items, chains.runs) = (before.0, before.1);
            chains.log.truncate(before.2);
            chains.run_log.truncate(before.3);
            return Err(error);
        }
        chains.writes += 1;
        Ok(())
    }

    fn land(
        &mut self,
        permit: MergePermit,
        key: &ItemKey,
        landing: &Landing,
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        let mut chains = self.chains();
        chains.writable()?;
        let trap = chains.traps.pop_front();
        if let Some(Trap::TargetMoves(path, content)) = &trap {
            self.git.somebody_commits(landing.target.short(), path, content);
        }
        stopped_by(trap.as_ref())?;
        let mut repo = self.git.repo();
        assert_eq!((permit.base(), permit.head()), (&landing.base, &landing.head), "the permit is for another landing");
        assert_eq!(repo.commits[&landing.merge].tree, *permit.merge_tree(), "another tree lands than was permitted");
        if repo.refs.get(landing.target.as_str()) != Some(permit.base()) {
            return Err(LedgerError::TargetMoved { branch: landing.target.clone(), expected: permit.base().clone() });
        }
        let fails = matches!(trap, Some(Trap::MovesThenFails));
        if !fails {
            chains.take(key, &ItemEvent::Landed { landing: landing.clone() }, at)?;
        }
        repo.refs.insert(landing.target.as_str().to_owned(), landing.tip.clone());
        chains.writes += 1;
        if fails { Err(PortError::new("the machine lost power").into()) } else { Ok(()) }
    }

    fn land_hotfix(
        &mut self,
        permit: MergePermit,
        hotfix: &Hotfix,
        branch: &BranchRef,
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        let mut chains = self.chains();
        chains.writable()?;
        let trap = chains.traps.pop_front();
        if let Some(Trap::TargetMoves(path, content)) = &trap {
            self.git.somebody_commits(branch.short(), path, content);
        }
        stopped_by(trap.as_ref())?;
        let mut repo = self.git.repo();
        assert!(permit.is_for_hotfix(), "a story's permit lands a hotfix");
        assert_eq!((permit.base(), permit.head()), (&hotfix.base, &hotfix.head), "the permit is for another hotfix");
        assert_eq!(repo.commits[&hotfix.tip].tree, *permit.merge_tree(), "another tree lands than was permitted");
        if repo.refs.get(branch.as_str()) != Some(permit.base()) {
            return Err(LedgerError::TargetMoved { branch: branch.clone(), expected: permit.base().clone() });
        }
        let fails = matches!(trap, Some(Trap::MovesThenFails));
        if !fails {
            let event = BranchEvent::HotfixLanded { hotfix: hotfix.clone() };
            chains.try_append(&[Record::Branch { branch: branch.clone(), event, at }])?;
        }
        repo.refs.insert(branch.as_str().to_owned(), hotfix.tip.clone());
        chains.writes += 1;
        if fails { Err(PortError::new("the machine lost power").into()) } else { Ok(()) }
    }

    fn blob(&mut self, oid: &Oid) -> Result<Vec<u8>, LedgerError> {
        let known = self.chains().blobs.get(oid).cloned();
        known.ok_or_else(|| PortError::new(format!("no blob {oid}")).into())
    }

    fn write_blob(&mut self, bytes: &[u8]) -> Result<Oid, LedgerError> {
        let oid = digest(bytes);
        self.chains().blobs.insert(oid.clone(), bytes.to_vec());
        Ok(oid)
    }
}

/// What moves nothing at all.
fn stopped_by(trap: Option<&Trap>) -> Result<(), LedgerError> {
    match trap {
        Some(Trap::Locked) => {
            Err(LedgerError::Locked(PortError::new("a ref is locked: HEAD.lock").hint("wait for it or end it")))
        }
        Some(Trap::Gone) => Err(LedgerError::Gone(PortError::new("cannot read commit 1a2b3c4"))),
        Some(Trap::TargetMoves(..) | Trap::MovesThenFails) | None => Ok(()),
    }
}
