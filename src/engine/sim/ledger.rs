//! The ledger of the simulated machine: the real fold over chains that lie on the simulated disk. A write is objects, then
//! refs one by one, then their sync, with a point to die at between any two. Must keep the contract of the port.

use std::collections::BTreeMap;

use super::check;
use super::disk::Entry;
use super::sabotage::Sabotage;
use super::world::{Gone, Handle, MAIN, World, dead};
use crate::domain::branch::{BranchState, Hotfix};
use crate::domain::event::{ItemEvent, Landing, RunEvent};
use crate::domain::gate::MergePermit;
use crate::domain::names::{BranchRef, ItemKey, Oid, RunId, Timestamp};
use crate::domain::run_state::RunState;
use crate::domain::state::ItemState;
use crate::engine::ports::{Ledger, LedgerError, PortError, Record};

/// The ledger as one orchestrator writes it.
pub(super) struct SimLedger(pub(super) Handle);

/// What one write adds.
#[derive(Default)]
struct Drafts {
    items: BTreeMap<ItemKey, Vec<Entry<ItemEvent, ItemState>>>,
    runs: BTreeMap<RunId, Vec<Entry<RunEvent, RunState>>>,
}

/// State of an item as its chain says.
pub(super) fn state_of(world: &World, key: &ItemKey) -> Option<ItemState> {
    world.disk.items.get(key)?.entries.last().map(|entry| entry.state.clone())
}

impl Drafts {
    fn take(&mut self, world: &mut World, pid: u32, record: &Record) -> Result<(), LedgerError> {
        match record {
            Record::Item { key, event, at, .. } => {
                let drafted = self.items.get(key).and_then(|entries| entries.last());
                let before = drafted.or_else(|| world.disk.items.get(key)?.entries.last()).map(|entry| &entry.state);
                let mut state = before.unwrap_or(&ItemState::default()).apply(event, *at)?;
                check::appended(world, pid, key, event);
                if world.sabotaged(Sabotage::StaleSnapshot) && matches!(event, ItemEvent::ReturnedTo { .. }) {
                    state.returns.clear();
                }
                let entry = Entry { event: event.clone(), at: *at, state };
                self.items.entry(key.clone()).or_default().push(entry);
            }
            Record::Run { run, event, at } => {
                let drafted = self.runs.get(run).and_then(|entries| entries.last()).map(|entry| entry.state.clone());
                let known = || world.disk.runs.get(run)?.entries.last().map(|entry| entry.state.clone());
                let state = drafted.or_else(known).unwrap_or_default().apply(event, *at)?;
                self.runs.entry(run.clone()).or_default().push(Entry { event: event.clone(), at: *at, state });
            }
            Record::Branch { .. } => {}
        }
        Ok(())
    }

    /// Moves the refs, one by one.
    fn move_refs(&mut self, world: &mut World, pid: u32) -> Result<(), Gone> {
        for (key, entries) in &mut self.items {
            for entry in entries.iter() {
                world.tell(|_| format!("[{pid}] record {key}: {:?}", Brief(&entry.event)));
                check::recorded(world, key, &entry.event);
            }
            world.disk.extend_item(key, std::mem::take(entries));
            world.point(pid, "ref of an item moved")?;
        }
        for (run, entries) in &mut self.runs {
            world.disk.extend_run(run, std::mem::take(entries));
            world.point(pid, "ref of a run moved")?;
        }
        Ok(())
    }

    fn sync(&self, world: &mut World) {
        self.items.keys().for_each(|key| world.disk.sync_item(key));
        self.runs.keys().for_each(|run| world.disk.sync_run(run));
    }
}

/// An event in few words.
struct Brief<'a>(&'a ItemEvent);

impl std::fmt::Debug for Brief<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{:?}", self.0);
        f.write_str(text.get(..160).unwrap_or(&text))
    }
}

impl SimLedger {
    fn write(&self, name: &'static str, records: &[Record], moved: Option<&Landing>) -> Result<(), LedgerError> {
        let pid = self.0.pid;
        let answer = self.0.act_now(name, |world| {
            let mut drafts = Drafts::default();
            for record in records {
                if let Err(error) = drafts.take(world, pid, record) {
                    world.tell(|_| format!("[{pid}] refused: {error}"));
                    return Ok(Ok(Err(error)));
                }
            }
            world.point(pid, "objects written")?;
            let first = moved.filter(|_| !world.sabotaged(Sabotage::LandedFirst));
            if let Some(landing) = first
                && let Err(error) = move_target(world, pid, records, landing)?
            {
                return Ok(Ok(Err(error)));
            }
            drafts.move_refs(world, pid)?;
            if let Some(landing) = moved.filter(|_| first.is_none())
                && let Err(error) = move_target(world, pid, records, landing)?
            {
                return Ok(Ok(Err(error)));
            }
            if !world.sabotaged(Sabotage::LateSync) {
                if moved.is_some() {
                    world.disk.sync_ref(MAIN);
                }
                drafts.sync(world);
            }
            Ok(Ok(Ok(())))
        });
        self.settle(answer)
    }

    fn settle<T>(&self, answer: Result<Result<Result<T, LedgerError>, PortError>, Gone>) -> Result<T, LedgerError> {
        match answer {
            Err(Gone) => Err(dead().into()),
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(answer)) => answer,
        }
    }

    fn read<T>(&self, look: impl FnOnce(&World) -> T) -> Result<T, LedgerError> {
        self.settle(self.0.ask_now("reading the ledger", |world| Ok(Ok(look(world)))))
    }
}

/// Moves the target by compare-and-swap.
fn move_target(
    world: &mut World,
    pid: u32,
    records: &[Record],
    landing: &Landing,
) -> Result<Result<(), LedgerError>, Gone> {
    if world.disk.tip(MAIN) != Some(&landing.base) && !world.sabotaged(Sabotage::NoSwap) {
        world.tell(|_| format!("[{pid}] lost the swap of the target"));
        let (branch, expected) = (landing.target.clone(), landing.base.clone());
        return Ok(Err(LedgerError::TargetMoved { branch, expected }));
    }
    if let Some(Record::Item { key, .. }) = records.last() {
        check::landing(world, key, landing);
        world.landed.push((key.clone(), landing.tip.clone()));
    }
    world.tell(|_| format!("[{pid}] the target moves to {}", landing.tip.short()));
    world.disk.set(MAIN, Some(landing.tip.clone()));
    world.point(pid, "target moved")?;
    Ok(Ok(()))
}

/// What the intent says, for a simulation that does not write it down in time.
fn intended_now(key: &ItemKey, landing: &Landing, world: &World, at: Timestamp) -> Option<Record> {
    let attempt = world.attempt(key)?;
    let event = ItemEvent::LandingIntended { attempt, landing: landing.clone() };
    Some(Record::Item { key: key.clone(), event, at, artefacts: Vec::new() })
}

impl Ledger for SimLedger {
    fn items(&mut self) -> Result<BTreeMap<ItemKey, ItemState>, LedgerError> {
        self.read(|world| {
            let states = world.disk.items.keys().filter_map(|key| Some((key.clone(), state_of(world, key)?)));
            states.collect()
        })
    }

    fn item(&mut self, key: &ItemKey) -> Result<Option<ItemState>, LedgerError> {
        self.read(|world| state_of(world, key))
    }

    fn record(&mut self, key: &ItemKey) -> Result<Option<Oid>, LedgerError> {
        let number = |world: &World| world.disk.items.get(key).map(|chain| chain.entries.len());
        let count = self.read(number)?;
        Ok(count.map(|count| Oid::new(format!("{count:040x}"))))
    }

    fn runs(&mut self) -> Result<BTreeMap<RunId, RunState>, LedgerError> {
        self.read(|world| {
            let last = |(run, chain): (&RunId, &super::disk::Chain<RunEvent, RunState>)| {
                Some((run.clone(), chain.entries.last()?.state.clone()))
            };
            world.disk.runs.iter().filter_map(last).collect()
        })
    }

    fn branch(&mut self, _: &BranchRef) -> Result<BranchState, LedgerError> {
        Ok(BranchState::default())
    }

    fn append(&mut self, records: &[Record]) -> Result<(), LedgerError> {
        if self.0.world().sabotaged(Sabotage::NoIntent) {
            let intent =
                |record: &&Record| !matches!(record, Record::Item { event: ItemEvent::LandingIntended { .. }, .. });
            let others: Vec<Record> = records.iter().filter(intent).cloned().collect();
            return self.write("append", &others, None);
        }
        self.write("append", records, None)
    }

    fn land(
        &mut self,
        permit: MergePermit,
        key: &ItemKey,
        landing: &Landing,
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        let given = (permit.base(), permit.head(), permit.merge_tree());
        if given != (&landing.base, &landing.head, &landing.merge_tree) {
            self.0.world().wrong("I4: a permit was used for another landing");
        }
        let event = ItemEvent::Landed { landing: landing.clone() };
        let mut records = vec![Record::Item { key: key.clone(), event, at, artefacts: Vec::new() }];
        if self.0.world().sabotaged(Sabotage::NoIntent) {
            let late = intended_now(key, landing, &self.0.world(), at);
            records.splice(0..0, late);
        }
        self.write("land", &records, Some(landing))
    }

    fn land_hotfix(&mut self, _: MergePermit, _: &Hotfix, _: &BranchRef, _: Timestamp) -> Result<(), LedgerError> {
        Err(PortError::new("the simulation has no hotfixes").into())
    }

    fn maintain(&mut self) -> Result<(), LedgerError> {
        Ok(())
    }

    fn blob(&mut self, oid: &Oid) -> Result<Vec<u8>, LedgerError> {
        Err(PortError::new(format!("no blob {oid}")).into())
    }

    fn write_blob(&mut self, _: &[u8]) -> Result<Oid, LedgerError> {
        Ok(Oid::new(format!("{:040x}", 0x57_0071)))
    }
}
