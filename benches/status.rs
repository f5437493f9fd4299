//! `status` of 1,000 items with 20 events each, packed; with the story files and without, and while a run is in progress.

use git_orchestrate::adapters::git::repo::Repo;
use git_orchestrate::adapters::host::Machine;
use git_orchestrate::adapters::runs::RunLock;
use git_orchestrate::domain::event::{PlannedKey, RunEvent};
use git_orchestrate::domain::names::{AttemptId, BranchRef, ItemKey, Oid, PolicyVersion, RunId};
use git_orchestrate::engine::ports::{AttemptLock, Host, Ledger, Record};

use crate::fixture::{Scratch, id, write_stories};
use crate::ledger::{AT, fill, open, phase};
use crate::meter::{self, Cost, RUNS, interleaved, program};

const ITEMS: usize = 1_000;
const EVENTS: usize = 20;

/// Items at work.
const LIVE: usize = 64;

/// Items with records that are not packed, and how many each: a little less than what is packed at the next occasion.
const LOOSE: usize = 240;
const LATE: usize = 4;

pub fn measure() {
    for (stories, live) in [(false, false), (true, false), (true, true)] {
        let scratch = Scratch::repository();
        scratch.write("README.md", "# Scratch\n");
        if stories {
            write_stories(&scratch, ITEMS, 2_048);
        }
        scratch.commit();
        fill(&scratch, ITEMS, EVENTS);
        if live {
            plan(&scratch);
        }
        open(&scratch).pack().unwrap();
        let _held = live.then(|| run(&scratch));
        looks(&scratch, stories, live);
    }
}

fn looks(scratch: &Scratch, stories: bool, live: bool) {
    let status = |args: &'static [&'static str]| {
        Box::new(move || program(&mut scratch.orchestrate(args))) as Box<dyn FnMut() -> Cost + '_>
    };
    let kept = Repo::discover(&scratch.root()).unwrap().state_dir().join("stories.cache");
    let first = Box::new(move || {
        let _ = std::fs::remove_file(&kept);
        program(&mut scratch.orchestrate(&["status", "--json"]))
    });
    let files = if stories { "with 2 KB story files" } else { "ledger only" };
    let run = if live { ", a run in progress" } else { "" };
    // What the first look kept is what the others find.
    let [first, table, json] = interleaved(2 * RUNS + 1, [first, status(&["status"]), status(&["status", "--json"])]);
    meter::line(&format!("{ITEMS} items, {EVENTS} events each, {files}{run}: status"), table);
    meter::line("  status --json", json);
    if stories {
        meter::line("  status --json, nothing kept of the files", first);
    }
}

fn run_id() -> RunId {
    RunId::new("20261121T120000-abcdef")
}

/// The record of a run that begins: all items in waves of a hundred.
fn plan(scratch: &Scratch) {
    let planned = |number: usize| PlannedKey {
        key: ItemKey::new(id(number)),
        wave: u32::try_from(number / 100).unwrap(),
        after: [1, 7, 31].iter().filter_map(|back| Some(ItemKey::new(id(number.checked_sub(*back)?)))).collect(),
    };
    let event = RunEvent::Started {
        scope: Vec::new(),
        target: BranchRef::new("refs/heads/main"),
        base: Oid::new(scratch.git(&["rev-parse", "HEAD"])),
        policy: PolicyVersion::new("p-1"),
        items: (0..ITEMS).map(planned).collect(),
        jobs: u32::try_from(LIVE).unwrap(),
        waves: false,
        land: true,
        agent: None,
        host: "localhost pid 1".to_owned(),
    };
    open(scratch).append(&[Record::Run { run: run_id(), event, at: AT }]).unwrap();
}

/// Everything that lies about while a run is going on: its lock, those of its attempts, and records that are not packed yet.
fn run(scratch: &Scratch) -> (RunLock, Vec<Box<dyn AttemptLock>>) {
    let repo = Repo::discover(&scratch.root()).unwrap();
    let mut store = open(scratch);
    for nth in 0..LATE {
        let late = (0..LOOSE).map(|number| phase(number, EVENTS + nth));
        store.append(&late.collect::<Vec<_>>()).unwrap();
    }
    let machine = Machine::new(repo.state_dir());
    let hold = |number: usize| {
        let lock = machine.lock(&ItemKey::new(id(number)), &AttemptId::new("a-1")).unwrap();
        lock.unwrap_or_else(|holder| panic!("held by {holder}"))
    };
    (RunLock::take(&repo.state_dir(), &run_id()).unwrap(), (0..LIVE).map(hold).collect())
}
