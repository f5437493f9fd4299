//! F44-F46: the orchestrator is killed, or told that the disk is full or broken, at its state-changing system calls, one call
//! per run. One `resume` must converge. Needs strace; must not assert durations.

use std::collections::BTreeMap;
use std::process::Command;

use super::{note, skip};
use crate::project::Project;
use crate::support::{Ran, run};

/// Calls that change what others see.
const CALLS: [&str; 14] = [
    "openat",
    "write",
    "pwrite64",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "fsync",
    "fdatasync",
    "ftruncate",
    "linkat",
];

/// What is injected, by the number of the fault.
#[derive(Clone, Copy)]
struct Fault {
    id: &'static str,
    name: &'static str,
    injection: &'static str,
}

const KILL: Fault = Fault { id: "F44", name: "SIGKILL", injection: "signal=KILL" };
const FULL: Fault = Fault { id: "F45", name: "ENOSPC", injection: "error=ENOSPC" };
const BROKEN: Fault = Fault { id: "F46", name: "EIO", injection: "error=EIO" };

fn one_story() -> Project {
    let project = Project::new("", "");
    project.story("1.1", "First", "None").commit();
    project
}

/// A run under strace, which follows the threads of the orchestrator and lets the programs go that it starts.
fn traced(project: &Project, options: &[&str]) -> Ran {
    let mut command = project.scratch.command("strace");
    command.args(["-f", "-qq", "-b", "execve", "-e", "signal=none"]).args(options);
    run(command.arg("--").arg(env!("CARGO_BIN_EXE_git-orchestrate")).arg("stories"))
}

/// How often the thread that makes a call most often makes it, in a run that nobody disturbs: strace counts by thread.
fn most() -> BTreeMap<&'static str, u32> {
    let project = one_story();
    let log = project.scratch.outside().join("trace");
    let trace = format!("trace={}", CALLS.join(","));
    let ran = traced(&project, &["-e", &trace, "-o", log.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let mut counts: BTreeMap<(String, &str), u32> = BTreeMap::new();
    for line in std::fs::read_to_string(log).unwrap().lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let name = call.trim_start().split('(').next().unwrap_or_default();
        if let Some(name) = CALLS.iter().find(|known| **known == name) {
            *counts.entry((thread.to_owned(), name)).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((_, name), count) in counts {
        let most = most.entry(name).or_default();
        *most = count.max(*most);
    }
    most
}

/// One run with one fault, and what a `resume` makes of it.
fn injected(fault: Fault, call: &str, number: u32) {
    let point = format!("{} at {call} {number}", fault.name);
    let project = one_story();
    let inject = format!("inject={call}:{}:when={number}", fault.injection);
    let log = project.scratch.outside().join("trace");
    let ran = traced(&project, &["-e", &format!("trace={call}"), "-e", &inject, "-o", log.to_str().unwrap()]);
    assert_ne!(ran.code, 101, "{point}: {ran:?}");
    assert!(!ran.stderr.contains("panicked"), "{point}: {ran:?}");
    assert!(project.scratch.try_git(&["fsck", "--strict", "--no-dangling"]).code == 0, "{point}");
    let status = project.orchestrate(&["status", "--json"]);
    assert!(
        status.code == 0 && serde_json::from_str::<serde_json::Value>(&status.stdout).is_ok(),
        "{point}: {status:?}"
    );

    let resumed = project.orchestrate(&["resume"]);
    assert!([0, 4].contains(&resumed.code), "{point}: {ran:?}\n{resumed:?}");
    // What the error itself made fail is tried again when somebody says so; and nothing may have begun at all.
    let mut how = "converged in one resume";
    if project.status_of("1.1") == "Failed" {
        assert_eq!(project.orchestrate(&["retry", "1.1"]).code, 0, "{point}");
        how = "the story failed with the reason; landed after retry";
    }
    if project.status_of("1.1") != "Landed" {
        let again = project.stories(&[]);
        assert_eq!(again.code, 0, "{point}: {ran:?}\n{resumed:?}\n{again:?}");
        if how.starts_with("converged") {
            how = "nothing was begun; landed with the next run";
        }
    }
    assert_eq!((project.merges_of("1.1"), project.status_of("1.1")), (1, "Landed".to_owned()), "{point}: {ran:?}");
    let lines = |args: &[&str]| project.scratch.git(args).lines().count();
    let left = lines(&["worktree", "list"]) > 1 || lines(&["for-each-ref", "refs/heads/"]) > 1;
    if fault.id != KILL.id && left {
        // A worktree that could not be moved away is mentioned and stays until somebody clears up, so does its branch.
        assert_eq!(project.orchestrate(&["cleanup"]).code, 0, "{point}");
        how = "landed; its worktree or branch stayed until cleanup";
    }
    let untidy = project.scratch.git(&["status", "--porcelain"]);
    assert_eq!(untidy, "", "{point}: {ran:?}\n{resumed:?}");
    project.assert_tidy();
    project.assert_one_at_a_time();
    note(fault.id, &format!("{} at {call}", fault.name), how);
}

fn can_trace(fault: Fault) -> bool {
    let asked = Command::new("strace").args(["-b", "execve", "-o", "/dev/null", "true"]).status();
    let possible = asked.is_ok_and(|status| status.success());
    if !possible {
        skip(fault.id, fault.name, "strace is not installed or may not trace");
    }
    possible
}

/// Every call, or where there are many of a kind, so many of them evenly.
fn at_every_call(fault: Fault, most_of_a_kind: u32) {
    if !can_trace(fault) {
        return;
    }
    for (call, count) in most() {
        let step = count.div_ceil(most_of_a_kind).max(1);
        for number in (1..=count).step_by(usize::try_from(step).unwrap()) {
            injected(fault, call, number);
        }
    }
}

#[test]
#[ignore = "battery"]
fn killed_at_every_system_call() {
    at_every_call(KILL, 12);
}

#[test]
#[ignore = "battery"]
fn a_full_disk_at_every_system_call() {
    at_every_call(FULL, 8);
}

#[test]
#[ignore = "battery"]
fn a_broken_disk_at_every_system_call() {
    at_every_call(BROKEN, 8);
}

#[test]
fn one_call_of_each_fault() {
    for (fault, call, number) in [(KILL, "rename", 9), (FULL, "fsync", 7), (BROKEN, "pwrite64", 1)] {
        if can_trace(fault) {
            injected(fault, call, number);
        }
    }
}
