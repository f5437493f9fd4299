//! Planning 10,000 stories with three edges each, against the minimal reader.

use std::process::Command;

use crate::fixture::{Scratch, beside, write_stories};
use crate::meter::{self, Cost, RUNS, interleaved, program};

const COUNT: usize = 10_000;

pub fn measure() {
    for size in [2_048, 17 * 1_024] {
        let scratch = Scratch::repository();
        write_stories(&scratch, COUNT, size);
        scratch.commit();
        let plan = |format: &'static str| {
            let scratch = &scratch;
            Box::new(move || program(&mut scratch.orchestrate(&["plan", "--format", format, "--agent", "demo"])))
                as Box<dyn FnMut() -> Cost + '_>
        };
        let read = Box::new(|| {
            let mut python: Command = scratch.command("python3");
            program(python.arg(beside("reader.py")).arg(scratch.root().join("docs/stories")))
        });
        let [reader, table, json] = interleaved(RUNS, [read, plan("table"), plan("json")]);
        let kilobytes = size / 1_024;
        meter::line(&format!("{COUNT} stories of {kilobytes} KB: reader.py"), reader);
        meter::line(&format!("{COUNT} stories of {kilobytes} KB: plan"), table);
        meter::line(&format!("{COUNT} stories of {kilobytes} KB: plan --format json"), json);
        meter::ratio("plan / reader.py", table.cpu, reader.cpu);
    }
}
