//! `status` of 1,000 items with 20 events each, packed; with the story files and without.

use crate::fixture::{Scratch, write_stories};
use crate::ledger::{fill, open};
use crate::meter::{self, Cost, RUNS, interleaved, program};

const ITEMS: usize = 1_000;
const EVENTS: usize = 20;

pub fn measure() {
    for stories in [false, true] {
        let scratch = Scratch::repository();
        scratch.write("README.md", "# Scratch\n");
        if stories {
            write_stories(&scratch, ITEMS, 2_048);
        }
        scratch.commit();
        fill(&scratch, ITEMS, EVENTS);
        open(&scratch).pack().unwrap();
        let status = |args: &'static [&'static str]| {
            let scratch = &scratch;
            Box::new(move || program(&mut scratch.orchestrate(args))) as Box<dyn FnMut() -> Cost + '_>
        };
        let [table, json] = interleaved(2 * RUNS + 1, [status(&["status"]), status(&["status", "--json"])]);
        let files = if stories { "with 2 KB story files" } else { "ledger only" };
        meter::line(&format!("{ITEMS} items, {EVENTS} events each, packed, {files}: status"), table);
        meter::line("  status --json", json);
    }
}
