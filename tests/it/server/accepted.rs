//! What a server takes: people's own work, story branches, tags, records that follow, and what the gate covers.

use super::Hub;
use crate::support::{Scratch, run};

#[test]
fn the_result_of_a_run_is_taken_with_its_records_atomic_or_not() {
    for args in [&["--atomic", "main", "refs/orchestrate/items/1.1"][..], &["main", "refs/orchestrate/items/1.1"]] {
        let hub = Hub::new("[checks]\nnothing = [\"true\"]\n");
        hub.run_stories();
        // What an honest user tries first says how to do it right, word for word.
        let said = hub.refused(&["main"], "commits of story 1.1 that have no reviewed landing on record");
        assert!(said.contains("git push --atomic origin main refs/orchestrate/items/1.1"), "{said}");
        hub.accepted(args);
        assert_eq!(hub.there(&["rev-parse", "main"]), hub.git(&["rev-parse", "main"]));
        let item = "refs/orchestrate/items/1.1";
        assert_eq!(hub.there(&["rev-parse", item]), hub.git(&["rev-parse", item]));
    }
}

#[test]
fn records_may_come_first_and_everything_may_come_at_once() {
    let hub = Hub::new("");
    hub.run_stories();
    hub.accepted(&["refs/orchestrate/items/*:refs/orchestrate/items/*"]);
    hub.accepted(&["main"]);
    hub.project.story("1.2", "Second", "1.1").commit();
    hub.run_stories();
    hub.accepted(&["--atomic", "main", "refs/orchestrate/*:refs/orchestrate/*"]);
    assert_eq!(hub.there(&["rev-parse", "main"]), hub.git(&["rev-parse", "main"]));
}

#[test]
fn a_second_clone_may_push_what_a_first_one_made() {
    let hub = Hub::new("");
    hub.run_stories();
    let second = hub.project.scratch.outside().join("second");
    let second = second.to_str().unwrap();
    let root = hub.project.scratch.root();
    hub.git(&["clone", "-q", hub.url(), second]);
    let items = "refs/orchestrate/items/*:refs/orchestrate/items/*";
    hub.git(&["-C", second, "fetch", "-q", root.to_str().unwrap(), "main:theirs", items]);
    hub.git(&["-C", second, "merge", "-q", "--ff-only", "theirs"]);
    hub.git(&["-C", second, "push", "-q", "--atomic", "origin", "main", items]);
    assert_eq!(hub.there(&["rev-parse", "main"]), hub.git(&["rev-parse", "main"]));
}

#[test]
fn the_first_push_of_an_empty_server_is_where_adoption_begins() {
    let hub = Hub::empty("");
    let ran = hub.init();
    assert!(ran.stderr.contains("the first push of main is taken as it is"), "{ran:?}");
    hub.run_stories();
    hub.accepted(&["main", "refs/orchestrate/items/*:refs/orchestrate/items/*"]);
    hub.project.story("1.2", "Second", "1.1").commit();
    hub.run_stories();
    hub.refused(&["main"], "story 1.2");
}

#[test]
fn people_s_own_commits_story_branches_and_tags_pass() {
    let hub = Hub::new("");
    hub.story_branch();
    hub.record_attempt();
    hub.accepted(&["story/1.1-a", "refs/orchestrate/items/1.1"]);
    hub.project.scratch.write("mine.txt", "mine\n");
    hub.project.scratch.commit("my own");
    hub.git(&["tag", "-a", "-m", "v1", "v1"]);
    hub.git(&["branch", "topic", "main"]);
    hub.accepted(&["main", "topic", "v1"]);
    // What is not protected is nobody's business: forced, deleted, pushed again.
    hub.accepted(&["--force", "main~1:refs/heads/topic"]);
    hub.accepted(&["--delete", "topic"]);
    hub.accepted(&["--delete", "story/1.1-a"]);
    hub.accepted(&["--force", "main~1:refs/tags/v1"]);
    hub.there(&["fsck"]);
    hub.there(&["pack-refs", "--all", "--prune"]);
    hub.there(&["gc", "-q"]);
    hub.accepted(&["story/1.1-a"]);
}

#[test]
fn a_person_s_manual_merge_of_what_was_approved_is_taken() {
    let hub = Hub::new("");
    let ran = hub.project.stories(&["--no-land"]);
    assert!(matches!(ran.code, 0 | 5), "{ran:?}");
    let branch = hub.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads/story/"]);
    hub.git(&["merge", "-q", "--no-ff", "-m", "by hand", &branch]);
    hub.refused(&["main", &branch], "the story branch");
    hub.accepted(&["--atomic", "main", "refs/orchestrate/items/1.1"]);
}

#[test]
fn a_thousand_refs_are_read_by_one_process() {
    let hub = Hub::new("");
    hub.run_stories();
    let tip = hub.git(&["rev-parse", "refs/orchestrate/items/1.1"]);
    let refs: String = (0..1000).map(|n| format!("create refs/orchestrate/rescue/9.{n} {tip}\n")).collect();
    let file = hub.project.scratch.outside().join("refs");
    std::fs::write(&file, refs).unwrap();
    let mut many = hub.project.scratch.command("git");
    let ran = run(many.args(["update-ref", "--stdin"]).stdin(std::fs::File::open(&file).unwrap()));
    assert_eq!(ran.code, 0, "{ran:?}");
    let trace = hub.project.scratch.outside().join("trace");
    let mut push = hub.project.scratch.command("git");
    let (records, rescued) =
        ("refs/orchestrate/items/*:refs/orchestrate/items/*", "refs/orchestrate/rescue/*:refs/orchestrate/rescue/*");
    let ran = run(push.args(["push", "-q", "--atomic", "origin", "main", records, rescued]).env("GIT_TRACE", &trace));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let trace = std::fs::read_to_string(trace).unwrap();
    assert_eq!(trace.lines().filter(|line| line.contains("cat-file --batch")).count(), 1);
}

#[test]
fn objects_may_lie_in_alternates() {
    let hub = Hub::new("");
    let fork = hub.project.scratch.outside().join("fork.git");
    hub.git(&["clone", "-q", "--bare", "--shared", hub.url(), fork.to_str().unwrap()]);
    let fork = Hub { server: fork, project: hub.project };
    assert_eq!(fork.init().code, 0);
    fork.git(&["remote", "set-url", "origin", fork.url()]);
    fork.run_stories();
    fork.refused(&["main"], "story 1.1");
    fork.accepted(&["--atomic", "main", "refs/orchestrate/items/1.1"]);
}

#[test]
fn a_repository_of_the_other_hash_is_guarded_as_well() {
    let scratch = Scratch::empty();
    let server = scratch.outside().join("server.git");
    scratch.git(&["init", "-q", "--object-format=sha256", "-b", "main"]);
    scratch.write("a.txt", "a");
    scratch.commit("first");
    scratch.git(&["clone", "-q", "--bare", ".", server.to_str().unwrap()]);
    let ran = run(scratch.orchestrate_command().current_dir(&server).args(["init", "--server"]));
    assert_eq!(ran.code, 0, "{ran:?}");
    scratch.git(&["remote", "add", "origin", server.to_str().unwrap()]);
    scratch.git(&["switch", "-q", "-c", "story/1.1-a"]);
    scratch.commit("one");
    scratch.git(&["push", "-q", "origin", "story/1.1-a"]);
    let ran = scratch.try_git(&["push", "origin", "story/1.1-a:main"]);
    assert!(ran.stderr.contains("the story branch story/1.1-a") && ran.stderr.contains(super::DECLINED), "{ran:?}");
    scratch.git(&["switch", "-q", "main"]);
    scratch.commit("my own");
    scratch.git(&["push", "-q", "origin", "main"]);
}

#[test]
fn a_chain_that_two_clones_began_is_taken_as_what_both_came_to() {
    let hub = Hub::new("");
    let second = hub.project.scratch.outside().join("second");
    hub.git(&["clone", "-q", hub.url(), second.to_str().unwrap()]);
    let there = |args: &[&str]| run(hub.project.scratch.orchestrate_command().current_dir(&second).args(args));
    assert_eq!(hub.project.orchestrate(&["init", "--yes"]).code, 0);
    assert_eq!(there(&["init", "--yes"]).code, 0);
    // The one that began later comes first: the server's value is not on the first line of what both came to.
    let ran = there(&["sync"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let chain = "refs/orchestrate/certified/main";
    let first = hub.there(&["rev-parse", chain]);
    let ran = hub.project.orchestrate(&["sync"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(hub.there(&["rev-parse", chain]), hub.git(&["rev-parse", chain]));
    assert_eq!(hub.there(&["rev-parse", &format!("{chain}^2")]), first);
    // Going back to one of the two is still a rewind.
    hub.git(&["update-ref", "refs/side", &format!("{chain}^1")]);
    hub.refused(&[&format!("+refs/side:{chain}")], "refs/orchestrate/certified/main");
}
