//! The ledger in process: appending to each of n items, and reading all of them with a cold store, loose and packed.

use git_orchestrate::adapters::git::repo::Repo;
use git_orchestrate::adapters::ledger::store::Store;
use git_orchestrate::domain::event::{ItemEvent, PhaseOutcome};
use git_orchestrate::domain::names::{AttemptId, BranchRef, ItemKey, Oid, PolicyVersion, Principal, RunId, Timestamp};
use git_orchestrate::domain::workflow::Phase;
use git_orchestrate::engine::ports::{Artefact, Ledger, Record};

use crate::fixture::{Scratch, id};
use crate::meter::{self, Cost, RUNS, here, median};

/// Some time in 2026.
const AT: Timestamp = Timestamp(1_795_000_000_000);

/// Transactions of one figure.
const SINGLES: u32 = 50;

/// Records of one transaction while items are made.
const BATCH: usize = 500;

pub fn measure() {
    for count in [10, 1_000, 10_000] {
        let scratch = Scratch::repository();
        scratch.write("README.md", "# Scratch\n");
        scratch.commit();
        let made = here(|| fill(&scratch, count, 1));
        meter::line(&format!("{count} items: first event of all, {BATCH} to a transaction"), made);
        let costs: Vec<Cost> = (0..RUNS).map(|_| appends(&scratch, count)).collect();
        meter::line(&format!("{count} items, loose: append one event"), median(&costs));
        meter::line(&format!("{count} items, loose: read all, cold"), reads(&scratch, count));
        open(&scratch).pack().unwrap();
        let costs: Vec<Cost> = (0..RUNS).map(|_| appends(&scratch, count)).collect();
        meter::line(&format!("{count} items, packed: append one event"), median(&costs));
        open(&scratch).pack().unwrap();
        meter::line(&format!("{count} items, packed: read all, cold"), reads(&scratch, count));
    }
}

/// Gives each of `count` items its first `events` events, in as many durable transactions as needed.
pub fn fill(scratch: &Scratch, count: usize, events: usize) {
    let base = Oid::new(scratch.git(&["rev-parse", "HEAD"]));
    let mut store = open(scratch);
    let story = store.write_blob(b"# Story\n").unwrap();
    let numbers: Vec<usize> = (0..count).collect();
    for batch in numbers.chunks(BATCH.div_ceil(events)) {
        let history = |number: &usize| {
            let phases = (0..events - 1).map(|nth| phase(*number, nth));
            std::iter::once(started(*number, &base, &story)).chain(phases).collect::<Vec<_>>()
        };
        store.append(&batch.iter().flat_map(history).collect::<Vec<_>>()).unwrap();
    }
}

/// Opens the ledger anew.
pub fn open(scratch: &Scratch) -> Store {
    Store::new(&Repo::discover(&scratch.root()).unwrap())
}

/// One durable transaction; git's child, its start included, is shared by [`SINGLES`].
fn appends(scratch: &Scratch, count: usize) -> Cost {
    let all = here(|| {
        let mut store = open(scratch);
        for nth in 0..SINGLES as usize {
            store.append(&[phase(nth * 7 % count, nth)]).unwrap();
        }
    });
    Cost { cpu: all.cpu / SINGLES, wall: all.wall / SINGLES }
}

/// One more event of the first item.
pub fn touch(scratch: &Scratch, nth: usize) {
    open(scratch).append(&[phase(0, nth)]).unwrap();
}

fn reads(scratch: &Scratch, count: usize) -> Cost {
    let costs: Vec<Cost> =
        (0..RUNS).map(|_| here(|| assert_eq!(open(scratch).items().unwrap().len(), count))).collect();
    median(&costs)
}

fn started(number: usize, base: &Oid, story: &Oid) -> Record {
    let event = ItemEvent::AttemptStarted {
        attempt: AttemptId::new("a-1"),
        continues: None,
        run: RunId::new("r-1"),
        title: format!("Keep ledger page number {number}"),
        path: format!("docs/stories/{}.page-{number}.md", id(number)),
        agent: "claude".to_owned(),
        role: "general-developer".to_owned(),
        branch: BranchRef::new(format!("refs/heads/story/{}-page-{number}", id(number))),
        worktree: format!(".worktrees/{}-page-{number}", id(number)),
        target: BranchRef::new("refs/heads/main"),
        base: base.clone(),
        policy: PolicyVersion::new("p-1"),
        story: story.clone(),
    };
    let artefacts = vec![Artefact { name: "story".to_owned(), bytes: b"# Story\n".to_vec() }];
    Record::Item { key: ItemKey::new(id(number)), event, at: AT, artefacts }
}

/// The n-th phase, of the twelve before the landing; begins again after them, as rounds of rework do.
pub fn phase(number: usize, nth: usize) -> Record {
    let outcome = PhaseOutcome::Done {
        by: Principal::Tool,
        summary: "done as the story asks, nothing left over".to_owned(),
        head: None,
        checks: Vec::new(),
    };
    let event = ItemEvent::PhaseRecorded { attempt: AttemptId::new("a-1"), phase: Phase::ALL[nth % 12], outcome };
    Record::Item { key: ItemKey::new(id(number)), event, at: Timestamp(AT.0 + 1), artefacts: Vec::new() }
}
