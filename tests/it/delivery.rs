//! The main job, end to end: real binary, real git, real processes.

use crate::project::Project;

#[test]
fn dependent_stories_land_in_order_each_once() {
    let project = Project::new("", "");
    project.story("1.1", "First", "None").story("1.2", "Second", "1.1").story("1.3", "Third", "1.1");
    project.story("1.4", "Fourth", "1.2, 1.3").story("1.10", "Tenth", "1.4").commit();
    let ran = project.stories(&["1.1-1.10"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    for id in ["1.1", "1.2", "1.3", "1.4", "1.10"] {
        assert_eq!(project.merges_of(id), 1, "{id}: {:?}", project.mainline());
        assert_eq!(project.status_of(id), "Landed");
    }
    let merged: Vec<String> =
        project.mainline().into_iter().filter(|subject| subject.starts_with("Merge story")).collect();
    assert!(merged[0].contains("1.1") && merged[3].contains("1.4") && merged[4].contains("1.10"), "{merged:?}");
    project.assert_tidy();
    let again = project.stories(&["1.1-1.10"]);
    assert_eq!(again.code, 0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
}

#[test]
fn the_ledger_reads_like_a_diary() {
    let project = Project::new("", "");
    project.story("1.1", "First", "None").commit();
    assert_eq!(project.stories(&[]).code, 0);
    let log = project.scratch.git(&["log", "--reverse", "--format=%s", "refs/orchestrate/items/1.1"]);
    let lines: Vec<&str> = log.lines().collect();
    assert!(lines.len() <= 20, "at most 20 events: {log}");
    assert!(lines.iter().all(|line| line.starts_with("1.1: ")), "{log}");
    for word in ["setup", "approved", "landed", "reflection"] {
        assert!(log.to_lowercase().contains(word), "no `{word}` in\n{log}");
    }
}

#[test]
fn status_and_review_are_written_into_the_story_by_the_tool_alone() {
    let project = Project::new("", "");
    project.story("1.1", "First", "None").commit();
    assert_eq!(project.stories(&[]).code, 0);
    let text = project.scratch.read("docs/stories/1.1.first.md");
    assert!(text.contains("**Status:** Done\n"), "{text}");
    assert!(text.contains("## Review\n") && text.contains("approved by agent:scripted:"), "{text}");
    let last = project.scratch.git(&["log", "-1", "--format=%an %s", "main"]);
    assert_eq!(last, "git-orchestrate Record story 1.1 as done");
    assert_eq!(project.scratch.git(&["diff", "--name-only", "main~1", "main"]), "docs/stories/1.1.first.md");
}

#[test]
fn independent_stories_run_at_the_same_time() {
    let script = r#"
[[step]]
phase = "implementation"
do = [{ barrier = { dir = "DIR", count = 3 } }, { write = { path = "ITEM.txt", text = "x" } }, { commit = "work" }]
"#;
    let project = Project::new("", "");
    let dir = project.scratch.outside().join("barrier");
    std::fs::create_dir_all(&dir).unwrap();
    let mut text = format!("journal = {:?}\n", project.journal_path());
    for id in ["1.1", "1.2", "1.3"] {
        let step = script.replace("DIR", dir.to_str().unwrap()).replace("ITEM", id);
        text.push_str(&step.replace("phase =", &format!("item = \"{id}\"\nphase =")));
    }
    std::fs::write(project.script_path(), text).unwrap();
    project.story("1.1", "First", "None").story("1.2", "Second", "None").story("1.3", "Third", "None").commit();
    let ran = project.stories(&["-j", "3"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    project.assert_tidy();
}

#[test]
fn a_failure_blocks_only_its_dependants_and_keeps_its_work() {
    let script = r#"
[[step]]
item = "1.1"
phase = "implementation"
do = [{ write = { path = "half.txt", text = "half" } }, { exit = 3 }]
"#;
    let project = Project::new(script, "");
    project.story("1.1", "First", "None").story("1.2", "Second", "1.1").story("1.3", "Third", "1.2");
    project.story("2.1", "Other", "None").commit();
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 4, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(project.status_of("1.1"), "Failed");
    assert_eq!(project.status_of("1.2"), "Blocked");
    assert_eq!(project.status_of("1.3"), "Blocked");
    assert_eq!(project.status_of("2.1"), "Landed");
    assert!(ran.stdout.contains("exited with 3"), "{}", ran.stdout);
    assert!(ran.stdout.contains("git orchestrate retry 1.1"), "{}", ran.stdout);
    assert_eq!(project.scratch.git(&["show", "story/1.1-first:half.txt"]), "half");
    // Mended, the rest goes through.
    std::fs::write(project.script_path(), format!("journal = {:?}\n", project.journal_path())).unwrap();
    assert_eq!(project.orchestrate(&["retry", "1.1"]).code, 0);
    let again = project.stories(&[]);
    assert_eq!(again.code, 0, "{}\n{}", again.stdout, again.stderr);
    assert_eq!(project.merges_of("1.3"), 1);
    assert_eq!(project.scratch.git(&["show", "main:half.txt"]), "half");
    project.assert_tidy();
}

#[test]
fn findings_go_back_to_the_author_and_the_answer_is_reviewed_again() {
    let script = r#"
[[step]]
phase = "review"
nth = 1
do = [{ request-changes = { path = "1.1.txt", text = "say more" } }]
"#;
    let project = Project::new(script, "");
    project.story("1.1", "First", "None").commit();
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    let phases: Vec<String> = project.journal().iter().map(|line| line["phase"].as_str().unwrap().to_owned()).collect();
    assert_eq!(phases.len(), 4, "{phases:?}");
    assert_eq!(phases[1..], ["review", "review-response", "review"]);
    let log = project.scratch.git(&["log", "--reverse", "--format=%s", "refs/orchestrate/items/1.1"]);
    assert!(log.contains("changes"), "{log}");
    project.assert_tidy();
}

#[test]
fn without_a_valid_review_nothing_lands() {
    for (what, actions) in [("prose", "[\"prose\"]"), ("none", "[]"), ("crash", "[{ exit = 1 }]")] {
        let project = Project::new(&format!("[[step]]\nphase = \"review\"\ndo = {actions}\n"), "");
        project.story("1.1", "First", "None").commit();
        let before = project.scratch.git(&["rev-parse", "main"]);
        let ran = project.stories(&[]);
        assert_eq!(ran.code, 4, "{what}: {}\n{}", ran.stdout, ran.stderr);
        assert_eq!(project.scratch.git(&["rev-parse", "main"]), before, "{what}");
        assert_eq!(project.status_of("1.1"), "Failed", "{what}");
    }
}

#[test]
fn a_person_reviews_and_the_run_goes_on() {
    let project = Project::new("", "[review]\nby = \"human\"\n");
    project.story("1.1", "First", "None").story("1.2", "Second", "1.1").story("2.1", "Other", "None").commit();
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 5, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("git orchestrate review 1.1 --approve"), "{}", ran.stdout);
    assert_eq!(project.status_of("1.1"), "Ready for Review");
    assert_eq!(project.status_of("1.2"), "Not Started");
    let approved = project.as_person("bob@example.org", &["review", "1.1", "--approve", "-m", "fine"]);
    assert_eq!(approved.code, 0, "{approved:?}");
    let sent_back = project.as_person("bob@example.org", &["review", "2.1", "--request-changes", "-m", "more tests"]);
    assert_eq!(sent_back.code, 0, "{sent_back:?}");
    let ran = project.orchestrate(&["resume"]);
    assert_eq!(ran.code, 5, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(project.status_of("1.1"), "Landed");
    assert_eq!(project.status_of("1.2"), "Ready for Review");
    assert_eq!(project.status_of("2.1"), "Ready for Review");
    for id in ["1.2", "2.1"] {
        assert_eq!(project.as_person("bob@example.org", &["review", id, "--approve", "-m", "ok"]).code, 0);
    }
    let ran = project.orchestrate(&["resume"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    for id in ["1.1", "1.2", "2.1"] {
        assert_eq!(project.merges_of(id), 1);
    }
    project.assert_tidy();
    let authors: Vec<_> = project.journal().iter().filter(|line| line["phase"] == "review-response").cloned().collect();
    assert_eq!(authors.len(), 1, "the findings went to the author once");
}

#[test]
fn nobody_approves_a_branch_that_brings_nothing() {
    let project = Project::new("", "[review]\nby = \"human\"\n");
    project.story("1.1", "First", "None").commit();
    assert_eq!(project.stories(&[]).code, 5);
    let branch = project.scratch.git(&["for-each-ref", "--format=%(refname)", "refs/heads/story/"]);
    let work = project.scratch.git(&["rev-parse", &branch]);
    let approve = || project.as_person("bob@example.org", &["review", "1.1", "--approve", "-m", "fine"]);
    project.scratch.git(&["update-ref", &branch, "refs/heads/main"]);
    let before = project.scratch.git(&["rev-parse", "refs/orchestrate/items/1.1"]);
    let refused = approve();
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("has no commit that main lacks: there is nothing to review"), "{refused:?}");
    assert!(refused.stderr.contains("git orchestrate stories 1.1"), "{refused:?}");
    assert_eq!(project.scratch.git(&["rev-parse", "refs/orchestrate/items/1.1"]), before, "nothing was recorded");
    project.scratch.git(&["update-ref", &branch, &work]);
    let approved = approve();
    assert_eq!(approved.code, 0, "{approved:?}");
}

#[test]
fn stories_that_were_never_committed_are_named_once() {
    let project = Project::new("", "");
    project.story("1.1", "First", "None").commit();
    let said = "not committed on main: the worktrees of agents will lack that text";
    project.story("1.2", "Second", "None");
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.stderr.matches(said).count(), 1, "{}", ran.stderr);
    let path = "docs/stories/1.2.second.md";
    assert!(ran.stderr.contains(&format!("{path} is {said}")), "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("git add -- {path} && git commit")), "{}", ran.stderr);
    project.story("1.3", "Third", "None");
    project.scratch.git(&["add", "docs/stories"]);
    project.scratch.git(&["commit", "-qm", "stories"]);
    let ran = project.stories(&[]);
    assert!(ran.code == 0 && !ran.stderr.contains(said), "{ran:?}");
}

#[test]
fn nobody_approves_their_own_commit() {
    let project = Project::new("", "[review]\nby = \"human\"\n");
    project.story("1.1", "First", "None").commit();
    assert_eq!(project.stories(&[]).code, 5);
    let worktree = project.scratch.root().join(".worktrees/1.1-first");
    std::fs::write(worktree.join("by-hand.txt"), "x").unwrap();
    project.scratch.git(&["-C", worktree.to_str().unwrap(), "add", "-A"]);
    project.scratch.git(&["-C", worktree.to_str().unwrap(), "commit", "-q", "-m", "by hand"]);
    let own = project.as_person("ada@example.org", &["review", "1.1", "--approve", "-m", "mine"]);
    assert_eq!(own.code, 3, "{own:?}");
    assert!(own.stderr.contains("somebody else has to review it"), "{}", own.stderr);
    assert_eq!(project.as_person("bob@example.org", &["review", "1.1", "--approve", "-m", "ok"]).code, 0);
    assert_eq!(project.orchestrate(&["resume"]).code, 0);
    assert_eq!(project.scratch.git(&["show", "main:by-hand.txt"]), "x");
}

#[test]
fn a_failing_check_goes_back_to_the_author() {
    let script = r#"
[[step]]
phase = "implementation"
nth = 1
do = [{ write = { path = "1.1.txt", text = "bad" } }, { commit = "first try" }]
[[step]]
phase = "implementation"
do = [{ write = { path = "good.txt", text = "good" } }, { commit = "second try" }]
"#;
    let project = Project::new(script, "[checks]\ngood = [\"test\", \"-f\", \"good.txt\"]\n");
    project.story("1.1", "First", "None").commit();
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(project.scratch.git(&["show", "main:good.txt"]), "good");
    project.assert_tidy();
}

#[test]
fn checks_run_again_on_the_merged_tree_when_the_target_moved() {
    // Each branch passes alone; together they break the check.
    let mut script = String::new();
    for id in ["1.1", "1.2"] {
        script.push_str(&format!(
            "[[step]]\nitem = \"{id}\"\nphase = \"implementation\"\nnth = 1\n\
             do = [{{ barrier = {{ dir = \"DIR\", count = 2 }} }}, {{ write = {{ path = \"{id}.flag\", text = \"x\" }} }}, {{ commit = \"w\" }}]\n\
             [[step]]\nitem = \"{id}\"\nphase = \"review-response\"\n\
             do = [{{ run = [\"git\", \"rm\", \"-q\", \"{id}.flag\"] }}, {{ write = {{ path = \"{id}.other\", text = \"x\" }} }}, {{ commit = \"other\" }}]\n"
        ));
    }
    let check = "[checks]\none = [\"sh\", \"-c\", \"test $(ls *.flag 2>/dev/null | wc -l) -le 1\"]\n";
    let project = Project::new("", check);
    let dir = project.scratch.outside().join("barrier");
    std::fs::create_dir_all(&dir).unwrap();
    let script = script.replace("DIR", dir.to_str().unwrap());
    std::fs::write(project.script_path(), format!("journal = {:?}\n{script}", project.journal_path())).unwrap();
    project.story("1.1", "First", "None").story("1.2", "Second", "None").commit();
    let ran = project.stories(&["-j", "2"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    let flags = project.scratch.git(&["ls-tree", "--name-only", "main"]);
    assert_eq!(flags.matches(".flag").count(), 1, "main is green: {flags}");
    assert_eq!(flags.matches(".other").count(), 1, "{flags}");
    project.assert_tidy();
}

#[test]
fn a_conflict_goes_back_to_the_author() {
    let mut script = String::new();
    for id in ["1.1", "1.2"] {
        script.push_str(&format!(
            "[[step]]\nitem = \"{id}\"\nphase = \"implementation\"\nnth = 1\n\
             do = [{{ barrier = {{ dir = \"DIR\", count = 2 }} }}, {{ write = {{ path = \"shared.txt\", text = \"{id}\\n\" }} }}, {{ commit = \"w\" }}]\n"
        ));
    }
    let project = Project::new("", "");
    let dir = project.scratch.outside().join("barrier");
    std::fs::create_dir_all(&dir).unwrap();
    let script = script.replace("DIR", dir.to_str().unwrap());
    std::fs::write(project.script_path(), format!("journal = {:?}\n{script}", project.journal_path())).unwrap();
    project.story("1.1", "First", "None").story("1.2", "Second", "None").commit();
    let ran = project.stories(&["-j", "2"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    let shared = project.scratch.git(&["show", "main:shared.txt"]);
    assert!(shared.contains("1.1") && shared.contains("1.2"), "no line is lost: {shared}");
    project.assert_tidy();
}

#[test]
fn an_edited_checkout_makes_the_landing_wait_and_loses_nothing() {
    let script = "[[step]]\nphase = \"implementation\"\ndo = [{ write = { path = \"README.md\", text = \"new\\n\" } }, { commit = \"w\" }]\n";
    let project = Project::new(script, "");
    project.story("1.1", "First", "None").commit();
    project.scratch.write("README.md", "edited by hand\n");
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 5, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("README.md"), "the reason names the file: {}", ran.stdout);
    assert_eq!(project.scratch.read("README.md"), "edited by hand\n");
    project.scratch.git(&["checkout", "-q", "--", "README.md"]);
    let ran = project.orchestrate(&["resume"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(project.scratch.read("README.md"), "new\n");
    project.assert_tidy();
}

#[test]
fn approved_stories_wait_for_land_with_no_land() {
    let project = Project::new("", "");
    project.story("1.1", "First", "None").commit();
    let ran = project.stories(&["--no-land"]);
    assert_eq!(ran.code, 5, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(project.status_of("1.1"), "Approved");
    assert_eq!(project.merges_of("1.1"), 0);
    let ran = project.orchestrate(&["land", "1.1"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(project.merges_of("1.1"), 1);
    project.assert_tidy();
}

#[test]
fn uncommitted_work_of_an_agent_is_committed_for_it() {
    let script = "[[step]]\nphase = \"implementation\"\ndo = [{ write = { path = \"left.txt\", text = \"left\" } }]\n";
    let project = Project::new(script, "");
    project.story("1.1", "First", "None").commit();
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(project.scratch.git(&["show", "main:left.txt"]), "left");
    let author = project.scratch.git(&["log", "-1", "--format=%an", "main", "--", "left.txt"]);
    assert_eq!(author, "general-developer via scripted");
}

#[test]
fn an_agent_that_does_nothing_fails_with_no_commit() {
    let project = Project::new("[[step]]\nphase = \"implementation\"\ndo = []\n", "");
    project.story("1.1", "First", "None").commit();
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 4, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("no commit and no change"), "{}", ran.stdout);
}

#[test]
fn cleanup_rescues_what_is_not_merged() {
    let script = "[[step]]\nphase = \"implementation\"\ndo = [{ write = { path = \"a.txt\", text = \"kept\" } }, { exit = 1 }]\n";
    let project = Project::new(script, "");
    project.story("1.1", "First", "None").commit();
    assert_eq!(project.stories(&[]).code, 4);
    project.scratch.write(".worktrees/1.1-first/untracked.txt", "also kept");
    let dry = project.orchestrate(&["cleanup", "1.1", "--dry-run"]);
    assert!(dry.stdout.contains("would remove"), "{dry:?}");
    assert!(project.scratch.root().join(".worktrees/1.1-first").is_dir());
    let ran = project.orchestrate(&["cleanup", "1.1"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!project.scratch.root().join(".worktrees/1.1-first").exists());
    let refs = project.scratch.git(&["for-each-ref", "--format=%(refname)", "refs/orchestrate/rescue/"]);
    let rescue = refs.lines().next().expect("a rescue ref");
    assert!(ran.stdout.contains(rescue), "{ran:?}");
    assert_eq!(project.scratch.git(&["show", &format!("{rescue}:untracked.txt")]), "also kept");
    assert_eq!(project.scratch.git(&["show", "story/1.1-first:a.txt"]), "kept", "an unmerged branch stays");
    project.assert_sound();
}

#[test]
fn stories_work_without_init_and_say_so() {
    let project = Project::new("", "");
    project.story("1.1", "First", "None");
    std::fs::remove_file(project.scratch.root().join(".orchestrate.toml")).unwrap();
    std::fs::remove_file(project.scratch.root().join(".gitignore")).unwrap();
    project.commit();
    let ran = project.stories(&["--agent", "demo"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("built-in policy") && ran.stderr.contains("git orchestrate init"), "{}", ran.stderr);
    assert!(ran.stderr.contains("added .worktrees/ to .git/info/exclude"), "{}", ran.stderr);
    assert_eq!(project.merges_of("1.1"), 1);
    project.assert_tidy();
}

#[test]
fn json_is_one_object_per_line() {
    let project = Project::new("", "");
    project.story("1.1", "First", "None").commit();
    let ran = project.stories(&["--json"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    let events: Vec<serde_json::Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().all(|event| event["version"] == 1), "{}", ran.stdout);
    assert_eq!(events.first().unwrap()["event"], "run-started");
    assert_eq!(events.last().unwrap()["event"], "run-ended");
    let phases = events.iter().filter(|event| event["event"] == "phase-ended").count();
    assert!(phases >= 13, "{phases}");
}

#[test]
fn an_agent_that_runs_too_long_is_ended_and_its_story_fails() {
    let project = Project::new("[[step]]\nphase = \"implementation\"\ndo = [\"hang-ignoring-term\"]\n", "");
    let config = project.scratch.read(".orchestrate.toml").replace("[agents]\n", "[agents]\ntimeout = 1\ngrace = 0\n");
    project.scratch.write(".orchestrate.toml", config);
    project.story("1.1", "First", "None").story("2.1", "Other", "None").commit();
    std::fs::write(
        project.script_path(),
        format!(
            "journal = \"{}\"\n[[step]]\nitem = \"1.1\"\nphase = \"implementation\"\ndo = [\"hang-ignoring-term\"]\n",
            project.journal_path().display()
        ),
    )
    .unwrap();
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 4, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("ran longer than 1 s"), "{}", ran.stdout);
    assert_eq!(project.status_of("2.1"), "Landed", "one story's time limit stops no other");
    project.assert_sound();
}
