//! The instant agent: this program under another name. An author writes one file and commits it; a reviewer approves. It
//! notes what it cost, itself and its git, so that both sides of the comparison can leave it out.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::meter;

/// Name that makes this program the agent.
pub const NAME: &str = "instant-agent";

/// Makes the agent in `folder`; returns its path.
pub fn install(folder: &Path) -> PathBuf {
    let agent = folder.join(NAME);
    std::os::unix::fs::symlink(std::env::current_exe().unwrap(), &agent).unwrap();
    agent
}

/// What all invocations of an agent cost so far, in microseconds each.
pub fn spent(agent: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(agent.with_extension("cpu")).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

/// Where to note the costs, when this program was called as the agent.
pub fn tally() -> Option<PathBuf> {
    let called = PathBuf::from(std::env::args_os().next()?);
    (called.file_name()?.as_bytes() == NAME.as_bytes()).then(|| called.with_extension("cpu"))
}

/// Does the work and notes its cost.
pub fn work(tally: &Path) -> ExitCode {
    let phase = std::env::var("ORCHESTRATE_PHASE").unwrap_or_default();
    if phase == "review" {
        let result = std::env::var_os("ORCHESTRATE_RESULT").unwrap();
        std::fs::write(result, r#"{"version":1,"verdict":"approve","findings":[]}"#).unwrap();
    } else {
        let item = std::env::var("ORCHESTRATE_ITEM").unwrap();
        std::fs::write(format!("{item}.txt"), "done\n").unwrap();
        git(&["add", "-A"]);
        git(&["commit", "-q", "-m", "Work"]);
    }
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(tally).unwrap();
    // One write: several agents note at the same time.
    file.write_all(format!("{}\n", meter::cpu_of_all().as_micros()).as_bytes()).unwrap();
    ExitCode::SUCCESS
}

fn git(args: &[&str]) {
    assert!(Command::new("git").args(args).status().unwrap().success(), "git {args:?}");
}
