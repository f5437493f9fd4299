//! What the copy of the record costs that a run makes at its start and its end, at 1,000 items.

use crate::errand;
use crate::fixture::Scratch;
use crate::ledger::{fill, open, touch};
use crate::meter::{self, Cost, RUNS, interleaved, program};

const ITEMS: usize = 1_000;

pub fn measure() {
    for events in [1, 20] {
        let scratch = Scratch::repository();
        scratch.write("README.md", "# Scratch\n");
        scratch.commit();
        fill(&scratch, ITEMS, events);
        open(&scratch).pack().unwrap();
        let opened = Box::new(|| program(&mut errand::command(&scratch, "open"))) as Box<dyn FnMut() -> Cost + '_>;
        let mut nth = 0;
        let saved = Box::new(|| {
            // A record that says nothing new is not copied again.
            nth += 1;
            touch(&scratch, nth);
            program(&mut errand::command(&scratch, "checkpoint"))
        });
        let [opened, saved] = interleaved(RUNS, [opened, saved]);
        meter::line(&format!("{ITEMS} items, {events} event(s) each: opening the repository alone"), opened);
        meter::line(&format!("{ITEMS} items, {events} event(s) each: with a checkpoint, two files"), saved);
    }
}
