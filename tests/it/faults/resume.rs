//! Death and what follows: killed at every place, signals, two at once, and other people's work meanwhile (F03 to F06, F09,
//! F12, F19, F20). Must not assert durations.

use git_orchestrate::fail_point::NAMES;

use super::note;
use crate::project::Project;
use crate::support::{Ran, run};
use crate::survival::{assert_complete, assert_survived, killed_twelve_times};

/// Two stories, the second after the first. The first one's author leaves work committed and uncommitted.
fn project() -> Project {
    let project = Project::new(
        "[[step]]\nitem = \"1.1\"\nphase = \"implementation\"\n\
         do = [{ write = { path = \"done.txt\", text = \"committed\\n\", append = true } }, { commit = \"half\" }, \
         { write = { path = \"left.txt\", text = \"uncommitted\\n\", append = true } }]\n",
        "[checks]\nfine = [\"true\"]\n",
    );
    project.story("1.1", "First", "None").story("1.2", "Second", "1.1").commit();
    project
}

/// Runs until it comes to the `nth` time to a place, where it is killed. `None` when it never came there.
fn killed_at(project: &Project, command: &str, point: &str, nth: usize) -> Option<()> {
    let at = format!("{point}:{nth}");
    let ran: Ran = run(project.scratch.orchestrate_command().arg(command).env("GIT_ORCHESTRATE_FAIL_POINT", at));
    assert!(matches!(ran.code, -1 | 0), "{point}: {}\n{}", ran.stdout, ran.stderr);
    let seen = project.orchestrate(&["status", "--json"]);
    assert_eq!(seen.code, 0, "{point}: {seen:?}");
    assert!(serde_json::from_str::<serde_json::Value>(&seen.stdout).is_ok(), "{point}: {}", seen.stdout);
    (ran.code == -1).then_some(())
}

/// One resume later everything is as after a run that nobody disturbed, and nothing of what the agent wrote is missing.
fn assert_whole(project: &Project) {
    if project.scratch.git(&["for-each-ref", "refs/orchestrate/runs/"]).is_empty() {
        // Killed before the run was on record: there is nothing to resume, and starting again is right.
        assert_eq!(project.stories(&[]).code, 0);
        assert_complete(project, &["1.1", "1.2"]);
    } else {
        assert_survived(project, &["1.1", "1.2"]);
    }
    assert!(project.scratch.git(&["show", "main:done.txt"]).starts_with("committed"));
    assert!(project.scratch.git(&["show", "main:left.txt"]).starts_with("uncommitted"));
}

fn killed_once(points: &[&str], nth: usize) {
    let ended = NAMES.iter().position(|name| *name == "exit-written").unwrap();
    let after_the_session = &NAMES[ended..];
    for point in points {
        let project = project();
        if killed_at(&project, "stories", point, nth).is_none() {
            assert!(nth > 1, "a clean run never comes to {point}");
            continue;
        }
        eprintln!("killed at {point}:{nth}");
        assert_whole(&project);
        if nth == 1 && after_the_session.contains(point) {
            let of_author = |line: &&serde_json::Value| line["item"] == "1.1" && line["phase"] == "implementation";
            assert_eq!(
                project.journal().iter().filter(of_author).count(),
                1,
                "{point}: a session that had ended is not run again"
            );
        }
        note("F05", &format!("killed at {point}, time {nth}"), "one resume: each landed once");
    }
}

#[test]
fn killed_at_every_other_place() {
    killed_once(&NAMES.iter().copied().step_by(2).collect::<Vec<_>>(), 1);
}

#[test]
fn killed_at_the_places_between() {
    killed_once(&NAMES.iter().copied().skip(1).step_by(2).collect::<Vec<_>>(), 1);
}

#[test]
#[ignore = "battery"]
fn killed_at_every_place_the_second_and_third_time() {
    killed_once(&NAMES, 2);
    killed_once(&NAMES, 3);
}

#[test]
#[ignore = "battery"]
fn killed_after_each_record() {
    for nth in 1..=40 {
        killed_once(&["record-written"], nth);
    }
}

/// Killed, and the resume killed as well; `false` when that never came to the second place.
fn killed_twice(first: &str, second: &str) -> bool {
    let project = project();
    killed_at(&project, "stories", first, 1).unwrap();
    let again = killed_at(&project, "resume", second, 1).is_some();
    eprintln!("killed at {first}, resume killed at {second}: {again}");
    if again && second != "run-closed" {
        assert_whole(&project);
    } else {
        assert_complete(&project, &["1.1", "1.2"]);
    }
    if again {
        note("F05", &format!("killed at {first}, resume killed at {second}"), "one more resume: each landed once");
    }
    again
}

#[test]
fn a_resume_that_is_killed_is_resumed() {
    for (first, second) in [("agent-spawned", "session-noted"), ("landing-intended", "ref-moved")] {
        assert!(killed_twice(first, second), "no resume after {first} came to {second}");
    }
}

#[test]
#[ignore = "battery"]
fn a_resume_that_is_killed_anywhere_is_resumed() {
    for first in ["run-opened", "intent-written", "agent-spawned", "work-committed", "ref-moved", "worktree-trashed"] {
        // The second story is still to be done whole, so that a resume comes to nearly every place.
        let killed = NAMES.iter().filter(|second| killed_twice(first, second)).count();
        assert!(killed >= 12, "after {first} a resume was killed at {killed} places only");
    }
}

#[test]
#[ignore = "battery"]
fn killed_twelve_times_again_and_again() {
    for _ in 0..5 {
        killed_twelve_times();
    }
}
