//! Work that this program does when it calls itself: under strace, or away from the user's home. Must not measure.

use std::path::Path;
use std::process::{Command, ExitCode};

use git_orchestrate::adapters::git::repo::Repo;
use git_orchestrate::adapters::ledger::checkpoint::{self, Occasion};

use crate::fixture::Scratch;
use crate::group;

/// Names the errand.
const VARIABLE: &str = "MEASURE_ERRAND";

/// The errand that this program was called for.
pub fn asked() -> Option<String> {
    std::env::var(VARIABLE).ok()
}

/// A call of this program in the scratch repository.
pub fn command(scratch: &Scratch, errand: &str) -> Command {
    let mut command = scratch.command(std::env::current_exe().unwrap());
    command.env(VARIABLE, errand);
    command
}

/// The same under strace, which counts calls that sync; `None` where there is no strace.
pub fn syncs(scratch: &Scratch, errand: &str) -> Option<u32> {
    let counts = scratch.outside().join("syncs");
    let mut strace = scratch.command("strace");
    strace.args(["-f", "-qq", "-e", "trace=fsync,fdatasync,syncfs,sync", "-o"]).arg(&counts);
    let status = strace.arg(std::env::current_exe().unwrap()).env(VARIABLE, errand).status().ok()?;
    assert!(status.success(), "{errand}: {status}");
    let text = std::fs::read_to_string(counts).unwrap();
    let calls = text.lines().filter(|line| line.contains("sync") && !line.contains("resumed"));
    Some(u32::try_from(calls.count()).unwrap())
}

/// Does it.
pub fn work(errand: &str) -> ExitCode {
    let repo = Repo::discover(Path::new(".")).unwrap();
    match errand {
        "together" => group::together(&repo),
        "apart" => group::apart(&repo),
        "open" => {}
        "checkpoint" => {
            checkpoint::save(&repo, Occasion::End).unwrap().expect("something has changed");
        }
        unknown => panic!("no errand {unknown}"),
    }
    ExitCode::SUCCESS
}
