//! What group commit saves: one event of each of 8 items in one ledger transaction, against one transaction each.

use git_orchestrate::adapters::git::repo::Repo;
use git_orchestrate::adapters::ledger::store::Store;
use git_orchestrate::engine::ports::Ledger;

use crate::errand;
use crate::fixture::Scratch;
use crate::ledger::{fill, phase};
use crate::meter::{self, Cost, RUNS, here, interleaved};

/// Items that have something to say at the same time.
const ITEMS: usize = 8;

/// Times they do, of one figure; git's child, its start included, is shared by them.
const ROUNDS: usize = 25;

pub fn measure() {
    let scratch = Scratch::repository();
    scratch.write("README.md", "# Scratch\n");
    scratch.commit();
    fill(&scratch, ITEMS, 1);
    let repo = Repo::discover(&scratch.root()).unwrap();
    let figure = |work: fn(&Repo)| {
        let repo = &repo;
        Box::new(move || {
            let all = here(|| work(repo));
            let rounds = u32::try_from(ROUNDS).unwrap();
            Cost { cpu: all.cpu / rounds, wall: all.wall / rounds }
        }) as Box<dyn FnMut() -> Cost + '_>
    };
    let [one, eight] = interleaved(2 * RUNS + 1, [figure(together), figure(apart)]);
    meter::line(&format!("{ITEMS} events, {ITEMS} items: one transaction"), one);
    meter::line(&format!("{ITEMS} events, {ITEMS} items: {ITEMS} transactions"), eight);
    meter::ratio("one / eight", one.cpu, eight.cpu);
    println!("  {:<58} {:>10.2} x", "the same, wall", one.wall.as_secs_f64() / eight.wall.as_secs_f64());
    for name in ["together", "apart"] {
        let each = errand::syncs(&scratch, name).map(|all| f64::from(all) / ROUNDS as f64);
        let shown = each.map_or("no strace".to_owned(), |each| format!("{each:.1}"));
        println!("  {:<58} {shown:>10} calls", format!("fsync and its like, {name}"));
    }
}

/// All events of a round in one transaction.
pub fn together(repo: &Repo) {
    let mut store = Store::new(repo);
    for round in 0..ROUNDS {
        let records: Vec<_> = (0..ITEMS).map(|item| phase(item, round)).collect();
        store.append(&records).unwrap();
    }
    assert_eq!(store.transactions(), ROUNDS as u64);
}

/// Each event of a round in a transaction of its own.
pub fn apart(repo: &Repo) {
    let mut store = Store::new(repo);
    for round in 0..ROUNDS {
        for item in 0..ITEMS {
            store.append(&[phase(item, round)]).unwrap();
        }
    }
    assert_eq!(store.transactions(), (ROUNDS * ITEMS) as u64);
}
