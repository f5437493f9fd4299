//! The benchmarks: `cargo bench --bench measure -- [NAME...]`, all groups when none is named. Must not
//! judge: it prints figures, and what they should be stands in README.md. See there for what is counted.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    missing_docs,
    unreachable_pub
)]

mod agent;
mod checkpoint;
mod errand;
mod fixture;
mod group;
mod hook;
mod ledger;
mod meter;
mod plan;
mod run;
mod status;
mod supervisor;
mod verify;

use std::process::ExitCode;

/// A named group of figures.
type Group = (&'static str, fn());

const GROUPS: [Group; 9] = [
    ("ledger", ledger::measure),
    ("group", group::measure),
    ("checkpoint", checkpoint::measure),
    ("supervisor", supervisor::measure),
    ("plan", plan::measure),
    ("hook", hook::measure),
    ("run", run::measure),
    ("status", status::measure),
    ("verify", verify::measure),
];

fn main() -> ExitCode {
    if let Some(tally) = agent::tally() {
        return agent::work(&tally);
    }
    if let Some(errand) = errand::asked() {
        return errand::work(&errand);
    }
    let asked: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    if let Some(unknown) = asked.iter().find(|name| GROUPS.iter().all(|(group, _)| group != name)) {
        println!("no benchmark `{unknown}`; there are: {}", GROUPS.map(|(name, _)| name).join(", "));
        return ExitCode::from(2);
    }
    for (name, measure) in GROUPS {
        if asked.is_empty() || asked.iter().any(|wanted| wanted == name) {
            println!("\n{name}");
            measure();
        }
    }
    ExitCode::SUCCESS
}
