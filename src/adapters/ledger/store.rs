//! The ledger in a repository: chains of records under `refs/orchestrate/`, appended by compare-and-swap. Must not decide
//! anything: what applies to a chain is the domain's `apply`.
//!
//! An append is: read the chains, fold the events, write the objects, sync them, move all refs in one transaction, sync
//! them. When another process moved a chain meanwhile, it begins again from what is there now.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gix::ObjectId;

use super::audit::Guarded;
use super::chain::{Chain, Chains, message_of};
use super::clean::clean;
use super::codec::{self, Fact};
use super::landing::{Move, not_moved};
use super::memory::Memory;
use super::objects::{Batch, NewCommit, Objects};
use crate::adapters::git::refs::{self, Expected, RefError, RefUpdate, RefWriter};
use crate::adapters::git::repo::{Repo, git_error, oid};
use crate::domain::branch::{BranchEvent, BranchState, Hotfix};
use crate::domain::event::{ItemEvent, Landing, RunEvent};
use crate::domain::gate::MergePermit;
use crate::domain::names::{BranchRef, ItemKey, Oid, RunId, Timestamp};
use crate::domain::redact::Redactor;
use crate::domain::run_state::RunState;
use crate::domain::state::ItemState;
use crate::domain::tamper::Restored;
use crate::engine::ports::{Artefact, Ledger, LedgerError, PortError, Record};

/// Chains of items.
pub const ITEMS: &str = "refs/orchestrate/items/";
/// Chains of runs.
pub const RUNS: &str = "refs/orchestrate/runs/";
/// Chains of protected branches.
pub const CERTIFIED: &str = "refs/orchestrate/certified/";
/// Records of landings by result tree.
pub const LANDINGS: &str = "refs/orchestrate/landings/";
/// Format version.
pub const META: &str = "refs/orchestrate/meta";

/// How often a lost compare-and-swap is tried again.
const TRIES: u32 = 10;

/// Losses after which a writer lines up with other losers.
const PATIENCE: u32 = 2;

/// How often a writer asks for its turn before it goes on without: about two seconds.
const TURNS: u32 = 256;

/// One record of a chain, read back: commit, time, fact.
pub type Entry<F> = (Oid, Timestamp, F);

/// The ledger of a repository.
pub struct Store {
    pub(super) repo: Repo,
    pub(super) git: gix::Repository,
    pub(super) objects: Objects,
    writer: Arc<Mutex<RefWriter>>,
    redactor: Redactor,
    pub(super) items: Chains<ItemEvent>,
    runs: Chains<RunEvent>,
    branches: Chains<BranchEvent>,
    /// The `meta` commit that was found readable.
    format: Option<Oid>,
    /// Value of [`written`](Self::written) when packing was last considered.
    pub(super) considered: u64,
    /// What the refs are held to while agents are at work.
    pub(super) guarded: Option<Guarded>,
}

/// A chain while a batch is applied to it.
struct Draft<F: Fact> {
    before: Option<Oid>,
    now: Chain<F>,
}

/// Everything one transaction will do.
pub(super) struct Work {
    batch: Batch,
    items: BTreeMap<String, Draft<ItemEvent>>,
    runs: BTreeMap<String, Draft<RunEvent>>,
    branches: BTreeMap<String, Draft<BranchEvent>>,
    pub(super) updates: Vec<RefUpdate>,
}

/// How a try ended when it did not fail.
enum Tried {
    Done,
    Lost,
}

impl Store {
    /// The ledger of `repo`; nothing is read or written yet.
    pub fn new(repo: &Repo) -> Self {
        Self::with_writer(repo, Arc::new(Mutex::new(RefWriter::new(repo))))
    }

    /// The same, sharing the child that writes refs with others.
    pub fn with_writer(repo: &Repo, writer: Arc<Mutex<RefWriter>>) -> Self {
        let git = repo.gix();
        Self {
            repo: repo.clone(),
            git,
            objects: Objects::of(repo),
            writer,
            redactor: Redactor::default(),
            items: Chains::new(ITEMS),
            runs: Chains::new(RUNS),
            branches: Chains::new(CERTIFIED),
            format: None,
            considered: 0,
            guarded: None,
        }
    }

    /// The same, remembering together with others what a gc beside us may take.
    pub fn remembering(mut self, memory: Memory) -> Self {
        self.objects.memory = memory;
        self
    }

    /// The same with values that no record may hold.
    pub fn hiding(self, redactor: Redactor) -> Self {
        Self { redactor, ..self }
    }

    /// Folded state of every item, for one look: cheaper than [`Ledger::items`], and nothing is remembered.
    pub fn look(&mut self) -> Result<BTreeMap<ItemKey, ItemState>, LedgerError> {
        self.check_format()?;
        let states = self.items.look(&self.git)?;
        Ok(states.into_iter().map(|(key, state)| (ItemKey::new(key), state)).collect())
    }

    /// Every record of an item, oldest first; empty when there is none.
    pub fn history(&mut self, key: &ItemKey) -> Result<Vec<Entry<ItemEvent>>, LedgerError> {
        self.check_format()?;
        self.items.history(&self.git, key.as_str())
    }

    /// Every record of a run, oldest first; empty when there is none.
    pub fn run_history(&mut self, run: &RunId) -> Result<Vec<Entry<RunEvent>>, LedgerError> {
        self.check_format()?;
        self.runs.history(&self.git, run.as_str())
    }

    /// Every record of a protected branch, oldest first; empty when there is none.
    pub fn branch_history(&mut self, branch: &BranchRef) -> Result<Vec<Entry<BranchEvent>>, LedgerError> {
        self.check_format()?;
        self.branches.history(&self.git, &branch_chain(branch))
    }

    /// Folded state of every protected branch that has a record. A branch that is gone is named in lower case.
    pub fn branches(&mut self) -> Result<BTreeMap<BranchRef, BranchState>, LedgerError> {
        self.check_format()?;
        let states = self.branches.all(&self.git)?;
        let mut branches = BTreeMap::new();
        for (chain, state) in states {
            let mut branch = branch_of_chain(&chain);
            if refs::tip_in(&self.git, branch.as_str())?.is_none() {
                let there = refs::list_in(&self.git, "refs/heads/")?.into_iter();
                let mut there = there.map(|(name, _)| BranchRef::new(name));
                branch = there.find(|branch| branch_chain(branch) == chain).unwrap_or(branch);
            }
            branches.insert(branch, state);
        }
        Ok(branches)
    }

    /// The state of an item derived again from its events; what the snapshot in the tip must equal.
    pub fn refold(&mut self, key: &ItemKey) -> Result<ItemState, LedgerError> {
        let history = self.history(key)?;
        Ok(ItemState::fold(history.iter().map(|(_, at, event)| (event, *at)))?)
    }

    /// Names and blobs of what is kept beside a record.
    pub fn artefacts(&mut self, record: &Oid) -> Result<Vec<(String, Oid)>, LedgerError> {
        let failed = |error| git_error(format!("cannot read record {record}"), error);
        let id = self.repo.object_id(record)?;
        let tree = self.git.find_commit(id).map_err(failed)?.tree().map_err(failed)?;
        let mut found = Vec::new();
        for entry in tree.iter() {
            let entry = entry.map_err(failed)?;
            found.push((entry.filename().to_string(), oid(entry.object_id())));
        }
        Ok(found)
    }

    /// Committed transactions of this store, for tests and benchmarks.
    pub fn transactions(&self) -> u64 {
        self.writer().transactions()
    }

    /// Objects written by this store, for tests and benchmarks.
    pub fn written(&self) -> u64 {
        self.objects.written()
    }

    /// After packed-refs was rewritten: neither our reader nor git's child may go on with the old one.
    pub(super) fn forget_packed_refs(&mut self) {
        refs::refresh(&self.git);
        self.writer().close();
    }

    /// The writer, also after a panic elsewhere: its child is asked anew then.
    pub(super) fn writer(&self) -> std::sync::MutexGuard<'_, RefWriter> {
        self.writer.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn check_format(&mut self) -> Result<Option<Oid>, LedgerError> {
        let meta = refs::tip_in(&self.git, META)?;
        if let Some(tip) = meta.as_ref().filter(|tip| Some(*tip) != self.format.as_ref()) {
            let id = self.repo.object_id(tip)?;
            let unreadable = |reason: String| LedgerError::Unreadable { chain: META.to_owned(), reason };
            let message = message_of(&self.git, id).map_err(|error| unreadable(error.to_string()))?;
            codec::check_format(&message).map_err(|error| unreadable(error.to_string()))?;
            self.format = Some(tip.clone());
        }
        Ok(meta)
    }

    /// Applies and writes until no other process is in the way.
    fn write(&mut self, records: &[Record], moved: Option<&Move<'_>>) -> Result<(), LedgerError> {
        let mut turn = None;
        for round in 0..=TRIES {
            if round == PATIENCE {
                turn = self.take_turn();
            }
            match self.attempt(records, moved)? {
                Tried::Done => {
                    drop(turn);
                    return Ok(());
                }
                Tried::Lost => {
                    // Git's child ends with a lost swap. Whoever lost must not be slower the next time than who won.
                    self.writer().warm()?;
                    pause(round);
                    refs::refresh(&self.git);
                }
            }
        }
        Err(LedgerError::Port(
            PortError::new(format!("the ledger changed {TRIES} times while a record was being written"))
                .hint("try again; see: git orchestrate status"),
        ))
    }

    /// Lines up with others that keep losing: among many writers of one chain, ten fair tries are often lost. It guards
    /// nothing; whoever does not get the file in time goes on without.
    fn take_turn(&self) -> Option<File> {
        let folder = self.repo.state_dir();
        std::fs::create_dir_all(&folder).ok()?;
        let file = File::create(folder.join("turn.lock")).ok()?;
        for _ in 0..TURNS {
            if file.try_lock().is_ok() {
                return Some(file);
            }
            pause(3);
        }
        None
    }

    fn attempt(&mut self, records: &[Record], moved: Option<&Move<'_>>) -> Result<Tried, LedgerError> {
        let mut work = Work {
            batch: Batch::default(),
            items: BTreeMap::new(),
            runs: BTreeMap::new(),
            branches: BTreeMap::new(),
            updates: moved.map(Move::update).into_iter().collect(),
        };
        self.settle(&records.iter().map(chain_of).collect::<Vec<_>>())?;
        let meta = self.check_format()?;
        for record in records {
            match self.apply(&mut work, record) {
                Ok(()) => {}
                // A verdict on a chain that has moved meanwhile is no verdict.
                Err(LedgerError::Rejected(rejected)) => {
                    refs::refresh(&self.git);
                    return if self.is_current(&work)? { Err(rejected.into()) } else { Ok(Tried::Lost) };
                }
                Err(error) => return Err(error),
            }
        }
        if meta.is_none() {
            self.begin_ledger(&mut work, records)?;
        }
        work.collect_updates();
        self.objects.publish(&work.batch)?;
        // Syncing took a while; a swap that is lost already would only cost us git's child.
        if !self.is_current(&work)? {
            return Ok(Tried::Lost);
        }
        let written = self.writer().transaction(&work.updates);
        match written {
            Ok(()) => {
                crate::fail_point::reach(if moved.is_some() { "ref-moved" } else { "record-written" });
                self.restore_pruned()?;
                self.note_written(&work.updates);
                self.items.adopt(work.items.into_iter().map(|(key, draft)| (key, draft.now)));
                self.runs.adopt(work.runs.into_iter().map(|(key, draft)| (key, draft.now)));
                self.branches.adopt(work.branches.into_iter().map(|(key, draft)| (key, draft.now)));
                Ok(Tried::Done)
            }
            Err(RefError::Conflict { name }) => match moved {
                Some(moved) if name == moved.branch.as_str() => Err(moved.lost()),
                Some(_) | None => Ok(Tried::Lost),
            },
            // Git refuses a ref to an object that a gc took meanwhile.
            Err(error) => match self.restore_everything()? {
                0 if moved.is_some() => Err(not_moved(error)),
                0 => Err(LedgerError::Port(error.into())),
                _ => Ok(Tried::Lost),
            },
        }
    }

    fn is_current(&self, work: &Work) -> Result<bool, LedgerError> {
        for (name, before) in work.bases() {
            if refs::tip_in(&self.git, &name)? != *before || !self.is_remembered(&name, before.as_ref()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn apply(&mut self, work: &mut Work, record: &Record) -> Result<(), LedgerError> {
        match record {
            Record::Item { key, event, at, artefacts } => {
                let tree = self.tree_for(&mut work.batch, event, artefacts)?;
                let draft = draft(&mut self.items, &self.git, &mut work.items, key.as_str())?;
                let commit = extend(&self.git, &mut work.batch, draft, key.as_str(), event, *at, tree)?;
                if let ItemEvent::Landed { landing } = event {
                    self.index_landing(work, landing, &oid(commit))?;
                }
            }
            Record::Run { run, event, at } => {
                let tree = ObjectId::empty_tree(self.objects.hash());
                let draft = draft(&mut self.runs, &self.git, &mut work.runs, run.as_str())?;
                extend(&self.git, &mut work.batch, draft, run.as_str(), event, *at, tree)?;
            }
            Record::Branch { branch, event, at } => {
                let tree = ObjectId::empty_tree(self.objects.hash());
                let name = branch_chain(branch);
                let draft = draft(&mut self.branches, &self.git, &mut work.branches, &name)?;
                extend(&self.git, &mut work.batch, draft, branch.short(), event, *at, tree)?;
            }
        }
        Ok(())
    }

    /// The tree of a record: its artefacts, and the story text where the event names it.
    fn tree_for(
        &mut self,
        batch: &mut Batch,
        event: &ItemEvent,
        artefacts: &[Artefact],
    ) -> Result<ObjectId, LedgerError> {
        let hash = self.objects.hash();
        let mut blobs = BTreeMap::new();
        for Artefact { name, bytes } in artefacts {
            if !is_artefact_name(name) {
                return Err(PortError::new(format!("`{}` is not an artefact name", name.escape_debug())).into());
            }
            blobs.insert(name.clone(), batch.add(hash, gix::objs::Kind::Blob, bytes.clone())?);
        }
        if let ItemEvent::AttemptStarted { story, .. } = event {
            let story = self.repo.object_id(story)?;
            match blobs.get("story") {
                Some(given) if *given != story => {
                    return Err(PortError::new("the story kept beside the event is not the one it names").into());
                }
                Some(_) => {}
                None if self.objects.held(&story).is_some() || self.git.has_object(story) => {
                    blobs.insert("story".to_owned(), story);
                }
                None => return Err(PortError::new(format!("story blob {story} is not in the repository")).into()),
            }
        }
        if blobs.is_empty() {
            return Ok(ObjectId::empty_tree(hash));
        }
        Ok(batch.add_tree(hash, blobs)?)
    }

    fn begin_ledger(&self, work: &mut Work, records: &[Record]) -> Result<(), LedgerError> {
        let hash = self.objects.hash();
        let at = records.first().map_or(Timestamp(0), |record| match record {
            Record::Item { at, .. } | Record::Run { at, .. } | Record::Branch { at, .. } => *at,
        });
        // Git knows the empty tree without the object; other programs look for it.
        let tree = work.batch.add_tree(hash, BTreeMap::new())?;
        let message = codec::encode_format();
        let new = work.batch.add_commit(hash, &NewCommit { tree, parent: None, message: &message, at })?;
        work.updates.push(RefUpdate { name: META.to_owned(), expected: Expected::Absent, new: Some(oid(new)) });
        Ok(())
    }
}

impl Ledger for Store {
    fn items(&mut self) -> Result<BTreeMap<ItemKey, ItemState>, LedgerError> {
        self.mend()?;
        self.check_format()?;
        let states = self.items.all(&self.git)?;
        Ok(states.into_iter().map(|(key, state)| (ItemKey::new(key), state)).collect())
    }

    fn item(&mut self, key: &ItemKey) -> Result<Option<ItemState>, LedgerError> {
        self.settle(&[format!("{ITEMS}{key}")])?;
        self.check_format()?;
        Ok(self.items.current(&self.git, key.as_str())?.map(|chain| chain.state.clone()))
    }

    fn record(&mut self, key: &ItemKey) -> Result<Option<Oid>, LedgerError> {
        self.settle(&[format!("{ITEMS}{key}")])?;
        self.check_format()?;
        Ok(self.items.current(&self.git, key.as_str())?.and_then(|chain| chain.tip.clone()))
    }

    fn runs(&mut self) -> Result<BTreeMap<RunId, RunState>, LedgerError> {
        self.check_format()?;
        let states = self.runs.all(&self.git)?;
        Ok(states.into_iter().map(|(run, state)| (RunId::new(run), state)).collect())
    }

    fn branch(&mut self, branch: &BranchRef) -> Result<BranchState, LedgerError> {
        self.check_format()?;
        let chain = self.branches.current(&self.git, &branch_chain(branch))?;
        Ok(chain.map(|chain| chain.state.clone()).unwrap_or_default())
    }

    fn append(&mut self, records: &[Record]) -> Result<(), LedgerError> {
        if records.is_empty() { Ok(()) } else { self.write(&clean(records, &self.redactor), None) }
    }

    fn land(
        &mut self,
        permit: MergePermit,
        key: &ItemKey,
        landing: &Landing,
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        self.check_landing(&permit, landing)?;
        self.hold_landing(landing)?;
        let from = permit.base().clone();
        let event = ItemEvent::Landed { landing: landing.clone() };
        let record = Record::Item { key: key.clone(), event, at, artefacts: Vec::new() };
        let Landing { target: branch, tip, .. } = landing;
        self.write(&[record], Some(&Move { branch, base: &from, tip }))
    }

    fn land_hotfix(
        &mut self,
        permit: MergePermit,
        hotfix: &Hotfix,
        branch: &BranchRef,
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        self.check_hotfix(&permit, hotfix)?;
        let event = BranchEvent::HotfixLanded { hotfix: hotfix.clone() };
        let Hotfix { base, tip, .. } = hotfix;
        let record = Record::Branch { branch: branch.clone(), event, at };
        self.write(&clean(&[record], &self.redactor), Some(&Move { branch, base, tip }))
    }

    fn maintain(&mut self) -> Result<(), LedgerError> {
        self.pack_if_needed()?;
        Ok(())
    }

    fn blob(&mut self, oid: &Oid) -> Result<Vec<u8>, LedgerError> {
        let id = self.repo.object_id(oid)?;
        if let Some(held) = self.objects.held(&id) {
            return Ok(held.to_vec());
        }
        let mut found = self.git.find_blob(id).map_err(|error| git_error(format!("cannot read blob {oid}"), error))?;
        Ok(found.take_data())
    }

    fn write_blob(&mut self, bytes: &[u8]) -> Result<Oid, LedgerError> {
        Ok(oid(self.objects.hold(bytes)?))
    }

    fn guard(&mut self) -> Result<(), LedgerError> {
        self.remember()
    }

    fn hold(&mut self, branch: &BranchRef, since: &Oid) -> Result<(), LedgerError> {
        self.hold_line(branch, since)
    }

    fn make_good(&mut self) -> Result<usize, LedgerError> {
        self.restore_everything()
    }

    fn audit(&mut self) -> Result<Vec<Restored>, LedgerError> {
        self.restore_everything()?;
        self.mend()?;
        Ok(self.take_restored())
    }
}

/// The ref that a record goes to.
fn chain_of(record: &Record) -> String {
    match record {
        Record::Item { key, .. } => format!("{ITEMS}{key}"),
        Record::Run { run, .. } => format!("{RUNS}{run}"),
        Record::Branch { branch, .. } => format!("{CERTIFIED}{}", branch_chain(branch)),
    }
}

impl Work {
    /// The chains it builds on, with their tips.
    fn bases(&self) -> impl Iterator<Item = (String, &Option<Oid>)> {
        let items = self.items.iter().map(|(key, draft)| (format!("{ITEMS}{key}"), &draft.before));
        let runs = self.runs.iter().map(|(run, draft)| (format!("{RUNS}{run}"), &draft.before));
        let branches = self.branches.iter().map(|(name, draft)| (format!("{CERTIFIED}{name}"), &draft.before));
        items.chain(runs).chain(branches)
    }

    /// Adds the chains after a branch that moves: should the machine stop between the two, the branch tells.
    fn collect_updates(&mut self) {
        let items = self.items.iter().map(|(key, draft)| draft.update(ITEMS, key));
        let runs = self.runs.iter().map(|(run, draft)| draft.update(RUNS, run));
        let branches = self.branches.iter().map(|(name, draft)| draft.update(CERTIFIED, name));
        let chains: Vec<RefUpdate> = items.chain(runs).chain(branches).collect();
        self.updates.extend(chains);
    }
}

impl<F: Fact> Draft<F> {
    fn update(&self, prefix: &str, name: &str) -> RefUpdate {
        let expected = expected(self.before.clone());
        RefUpdate { name: format!("{prefix}{name}"), expected, new: self.now.tip.clone() }
    }
}

/// The last part of the ref of a branch's chain: no slash, so that no branch's chain lies inside another's.
pub fn branch_chain(branch: &BranchRef) -> String {
    ItemKey::escaped(branch.short()).as_str().to_owned()
}

/// The branch of a chain, in lower case: its own chain is this one again.
fn branch_of_chain(chain: &str) -> BranchRef {
    let mut bytes = Vec::with_capacity(chain.len());
    let mut rest = chain.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = hex.filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    BranchRef::new(format!("refs/heads/{}", String::from_utf8_lossy(&bytes)))
}

pub(super) fn expected(tip: Option<Oid>) -> Expected {
    tip.map_or(Expected::Absent, Expected::Value)
}

fn draft<'a, F: Fact>(
    chains: &mut Chains<F>,
    git: &gix::Repository,
    drafts: &'a mut BTreeMap<String, Draft<F>>,
    name: &str,
) -> Result<&'a mut Draft<F>, LedgerError> {
    if !drafts.contains_key(name) {
        let now = chains.current(git, name)?.cloned().unwrap_or_default();
        drafts.insert(name.to_owned(), Draft { before: now.tip.clone(), now });
    }
    Ok(drafts.get_mut(name).expect("inserted just above"))
}

/// Puts one event on top of a draft and returns its commit.
fn extend<F: Fact>(
    git: &gix::Repository,
    batch: &mut Batch,
    draft: &mut Draft<F>,
    name: &str,
    event: &F,
    at: Timestamp,
    tree: ObjectId,
) -> Result<ObjectId, LedgerError> {
    let chain = &mut draft.now;
    let state = event.fold(&chain.state, at)?;
    let snapshot = chain.next_snapshot(git, &state)?;
    let message = codec::encode(name, event, at, &snapshot);
    let parent = chain.parent()?;
    let commit = batch.add_commit(git.object_hash(), &NewCommit { tree, parent, message: &message, at })?;
    chain.advance(oid(commit), state, snapshot);
    Ok(commit)
}

/// Waits a little, differently in every process, so that competitors do not meet again.
fn pause(round: u32) {
    let ceiling = 2_u32 << round.min(6);
    let millis = getrandom::u32().unwrap_or(round) % ceiling;
    std::thread::sleep(Duration::from_millis(millis.into()));
}

fn is_artefact_name(name: &str) -> bool {
    let plain = name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'));
    plain && !name.is_empty() && !name.starts_with('.')
}
