//! Other people at work in the same repository: a second orchestrator, an unfinished run, commits and edits of the user (F09,
//! F19, F20). Must not assert durations.

use super::note;
use crate::project::{Project, until};
use crate::survival::{assert_complete, blocked};

/// A run of 1.1 and 1.2 whose author of 1.1 waits for the file `go`; 2.1 is beside them.
fn waiting(policy: &str) -> (Project, crate::project::Live) {
    let project = blocked("", policy);
    let step = "[[step]]\nphase = \"implementation\"\nitem = \"1.1\"\n\
         do = [{ touch = \"AT\" }, { wait-for = \"GO\" }, { write = { path = \"1.1.txt\", text = \"x\" } }]\n";
    let at = |name: &str| project.meeting(name).to_str().unwrap().to_owned();
    project.script(&step.replace("AT", &at("blocked")).replace("GO", &at("go")));
    project.story("2.1", "Other", "None").commit();
    let live = project.start(&["stories", "1.1-1.2"]);
    until("the author's work", || project.meeting("blocked").exists());
    (project, live)
}

#[test]
fn a_second_orchestrator_refuses_what_the_first_has_and_takes_the_rest() {
    let (project, live) = waiting("");
    let pid = format!("process {}", live.pid());
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    for args in [&["stories", "1.2", "2.1", "--assume-done", "1.1"][..], &["stories"], &["resume"]] {
        let ran = project.orchestrate(args);
        assert_eq!(ran.code, 2, "{args:?}: {}\n{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(&pid) && ran.stderr.contains(&host) && ran.stderr.contains("going on for"));
        assert!(ran.stderr.contains("1.2") && ran.stderr.contains("git orchestrate stop"), "{}", ran.stderr);
    }
    assert_eq!(project.merges_of("2.1"), 0, "nothing was started");
    assert_eq!(project.stories(&["2.1"]).code, 0, "what nobody works on is done");
    assert_eq!(project.merges_of("2.1"), 1);
    std::fs::write(project.meeting("go"), "").unwrap();
    let ran = live.finish();
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(project.journal().iter().filter(|line| line["item"] == "1.1").count(), 2, "one author, one reviewer");
    assert_complete(&project, &["1.1", "1.2", "2.1"]);
    note("F09", "second `stories`, shared and disjoint scope", "shared refused with the holder, disjoint landed");
}

#[test]
#[ignore = "battery"]
fn two_that_start_at_once_do_nothing_twice() {
    for round in 0..5 {
        let project = Project::new("", "");
        project.story("1.1", "First", "None").story("1.2", "Second", "1.1").story("2.1", "Other", "None").commit();
        let mut both = [(); 2].map(|()| {
            let mut command = project.scratch.orchestrate_command();
            command.arg("stories").stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            command.spawn().unwrap()
        });
        let codes: Vec<_> = both.iter_mut().map(|child| child.wait().unwrap().code().unwrap()).collect();
        // Who came second was refused, or left single stories to the first.
        assert!(codes.iter().all(|code| [0, 2, 4].contains(code)), "{codes:?}");
        assert_eq!(project.stories(&["--yes"]).code, 0);
        while !project.orchestrate(&["resume"]).stdout.contains("nothing to resume") {}
        assert_complete(&project, &["1.1", "1.2", "2.1"]);
        note("F09", &format!("two at once, round {round}"), &format!("exits {codes:?}, each landed once"));
    }
}

#[test]
fn stories_on_top_of_an_unfinished_run_says_so_and_does_nothing_twice() {
    let (project, live) = waiting("");
    live.kill();
    let refused = project.stories(&["1.1", "2.1"]);
    assert_eq!(refused.code, 2, "{}\n{}", refused.stdout, refused.stderr);
    for text in
        ["is unfinished: 2 of its 2 stories are left, story 1.1 in this scope", "git orchestrate resume", "--yes"]
    {
        assert!(refused.stderr.contains(text), "{}", refused.stderr);
    }
    assert_eq!(project.merges_of("2.1"), 0, "nothing was started");
    std::fs::write(project.meeting("go"), "").unwrap();
    assert_eq!(project.stories(&["2.1"]).code, 0, "what the run has not in hand is free");
    let ran = project.stories(&["1.1", "--yes"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("1.1 continued"), "it goes on where the killed run was: {}", ran.stderr);
    assert_eq!(project.orchestrate(&["resume"]).code, 0);
    assert_complete(&project, &["1.1", "1.2", "2.1"]);
}

#[test]
fn the_users_own_commits_and_edits_during_a_run_are_kept_and_tested_with() {
    let (project, live) = waiting("[checks]\nlist = [\"sh\", \"-c\", \"ls > \\\"$HOME/seen.$$\\\"\"]\n");
    project.scratch.write("mine.txt", "a commit of the user's\n");
    project.scratch.git(&["add", "mine.txt"]);
    project.scratch.git(&["commit", "-q", "-m", "mine"]);
    project.scratch.write("README.md", "# Edited, not committed\n");
    project.scratch.write("staged.txt", "staged\n");
    project.scratch.git(&["add", "staged.txt"]);
    let before = project.scratch.git(&["status", "--porcelain"]);
    std::fs::write(project.meeting("go"), "").unwrap();
    let ran = live.finish();
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    for id in ["1.1", "1.2"] {
        assert_eq!(project.merges_of(id), 1);
    }
    let seen = std::fs::read_dir(project.scratch.outside()).unwrap().flatten().map(|entry| entry.path());
    let seen: Vec<_> = seen.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("seen.")).collect();
    let both = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        text.contains("mine.txt") && text.contains("1.1.txt")
    };
    assert!(seen.iter().any(both), "the checks ran on the merge with the user's commit");
    assert_eq!(project.scratch.read("mine.txt"), "a commit of the user's\n");
    note("F19", "user commits to the target mid-run", "merged and checked anew on the new base");
    assert_eq!(project.scratch.git(&["status", "--porcelain"]), before, "nothing of the user's was touched");
    assert_eq!(project.scratch.read("README.md"), "# Edited, not committed\n");
    note("F20", "edited and staged files beside the landing", "untouched, landed");
}
