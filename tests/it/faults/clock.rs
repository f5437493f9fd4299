//! F24: the clock jumps between a death and the resume, by libfaketime. Needs the program `faketime`.

use std::process::Command;

use super::{note, skip};
use crate::project::Project;
use crate::support::run;

/// What is kept of worktrees that went away: rescue refs, and folders in the trash.
fn kept(project: &Project) -> (String, Vec<std::ffi::OsString>) {
    let refs = project.scratch.git(&["for-each-ref", "--format=%(refname) %(objectname)", "refs/orchestrate/rescue/"]);
    let trash = std::fs::read_dir(project.scratch.root().join(".git/orchestrate/trash")).unwrap();
    let mut names: Vec<_> = trash.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    (refs, names)
}

/// One story failed and was cleaned up after, two were interrupted; then the clock is another, and a resume goes on.
fn jumped(by: &str) {
    let point = format!("clock {by} at resume");
    if !Command::new("faketime").args(["-f", "+1d", "true"]).status().is_ok_and(|status| status.success()) {
        return skip("F24", &point, "faketime is not installed");
    }
    let project = Project::new(
        "[[step]]\nitem = \"2.1\"\nphase = \"implementation\"\ndo = [{ write = { path = \"kept.txt\", text = \"kept\" } }, { exit = 1 }]\n",
        "",
    );
    project.story("1.1", "First", "None").story("1.2", "Second", "1.1").story("2.1", "Third", "None").commit();
    assert_eq!(project.stories(&["2.1"]).code, 4);
    assert_eq!(project.orchestrate(&["cleanup", "--force"]).code, 0);
    let before = kept(&project);
    assert!(before.0.contains("refs/orchestrate/rescue/2.1"), "{before:?}");
    let dying = run(project
        .scratch
        .orchestrate_command()
        .args(["stories", "1.1", "1.2"])
        .env("GIT_ORCHESTRATE_FAIL_POINT", "work-committed"));
    assert_eq!(dying.code, -1, "{dying:?}");
    let later = |args: &[&str]| {
        let mut command = project.scratch.command("faketime");
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").args(["-f", by, env!("CARGO_BIN_EXE_git-orchestrate")]);
        run(command.args(args))
    };
    let resumed = later(&["resume"]);
    assert_eq!(resumed.code, 0, "{}\n{}", resumed.stdout, resumed.stderr);
    assert_eq!(later(&["cleanup"]).code, 0);
    let (refs, trash) = kept(&project);
    assert_eq!(refs, before.0, "rescued work does not expire");
    assert!(before.1.iter().all(|name| trash.contains(name)), "{trash:?} lacks some of {:?}", before.1);
    let shown: serde_json::Value = serde_json::from_str(&later(&["status", "--json"]).stdout).unwrap();
    assert!(!shown.to_string().contains(":-"), "a negative number: {shown}");
    for id in ["1.1", "1.2"] {
        assert_eq!(project.merges_of(id), 1, "{id}: {:?}", project.mainline());
    }
    assert_complete_but_failed(&project);
    note("F24", &point, "one resume, one merge each, nothing expired");
}

/// As after a run that nobody disturbed, apart from the story that failed before.
fn assert_complete_but_failed(project: &Project) {
    assert_eq!(project.status_of("2.1"), "Failed");
    let branches = project.scratch.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads/story/"]);
    assert!(branches.lines().all(|branch| branch.starts_with("story/2.1")), "{branches}");
    project.assert_sound();
}

#[test]
fn a_clock_that_was_set_back_expires_nothing() {
    jumped("-1d");
}

#[test]
#[ignore = "battery"]
fn a_clock_that_jumped_ahead_expires_nothing() {
    for by in ["+20d", "+400d"] {
        jumped(by);
    }
}
