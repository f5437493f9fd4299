//! Every way to push what a server must not take; main stays, and the message says why.

use super::Hub;

const STORY: &str = "commits of story 1.1 that have no reviewed landing";

/// A server that knows story 1.1, at work on a branch that is there too.
fn at_work() -> Hub {
    let hub = Hub::new("");
    hub.story_branch();
    hub.record_attempt();
    hub.accepted(&["story/1.1-a", "refs/orchestrate/items/1.1"]);
    hub
}

#[test]
fn no_way_of_pushing_brings_an_unreviewed_story_to_main() {
    let hub = at_work();
    for args in [
        &["story/1.1-a:main"][..],
        &["--no-verify", "story/1.1-a:main"],
        &["--force", "story/1.1-a:main"],
        &["--force-with-lease", "story/1.1-a:main"],
        &["--no-thin", "story/1.1-a~1:main"],
        &["--atomic", "story/1.1-a:main", "main:refs/heads/other"],
        &["story/1.1-a:main", "main:refs/heads/other", "main:refs/tags/t"],
        // A protected branch that is not there yet.
        &["story/1.1-a:master"],
        &["--push-option=approved", "story/1.1-a:main"],
    ] {
        hub.there(&["config", "receive.advertisePushOptions", "true"]);
        let said = hub.refused(args, STORY);
        assert!(said.contains("git orchestrate review 1.1 --approve"), "{said}");
    }
    // Through a merge, a squash and a copy that says whose it is.
    hub.git(&["merge", "-q", "--no-ff", "-m", "merge", "story/1.1-a"]);
    hub.refused(&["main"], STORY);
    hub.git(&["reset", "-q", "--hard", "origin/main"]);
    hub.git(&["cherry-pick", "story/1.1-a"]);
    hub.git(&["commit", "-q", "--amend", "-m", "copy\n\nStory: 1.1"]);
    hub.refused(&["main"], STORY);
}

#[test]
fn nothing_of_a_refused_push_stays() {
    let hub = at_work();
    hub.git(&["switch", "-q", "story/1.1-a"]);
    hub.project.scratch.write("three.txt", "three");
    let late = hub.project.scratch.commit("three");
    hub.refused(&["HEAD:main"], STORY);
    let there = hub.project.scratch.try_git(&["--git-dir", hub.url(), "cat-file", "-e", &late]);
    assert_ne!(there.code, 0, "an object of a refused push is in the server");
}

#[test]
fn protected_branches_and_records_are_neither_deleted_nor_rewound() {
    let hub = at_work();
    hub.project.scratch.write("mine.txt", "mine\n");
    hub.project.scratch.commit("my own");
    hub.accepted(&["main"]);
    let branch = "a protected branch of a server is never deleted, and loses no commit";
    let records = "the records of reviews only grow";
    hub.refused(&["--delete", "main"], branch);
    hub.refused(&[":main"], branch);
    hub.refused(&["--force", "main~1:main"], branch);
    hub.git(&["commit", "-q", "--amend", "-m", "another"]);
    hub.refused(&["--force", "main"], branch);
    hub.refused(&["--delete", "refs/orchestrate/items/1.1"], records);
    hub.refused(&["--force", "main:refs/orchestrate/items/1.1"], "no record");
    hub.refused(&["--prune", "refs/orchestrate/rescue/*:refs/orchestrate/*"], records);
}

#[test]
fn a_mirror_push_from_a_clone_that_knows_nothing_is_refused_whole() {
    let hub = at_work();
    let ignorant = hub.project.scratch.outside().join("ignorant");
    let ignorant = ignorant.to_str().unwrap();
    hub.git(&["clone", "-q", hub.url(), ignorant]);
    let before = hub.refs();
    let ran = hub.project.scratch.try_git(&["-C", ignorant, "push", "--mirror", "origin"]);
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("refused: refs/orchestrate/items/1.1"), "{}", ran.stderr);
    assert_eq!(hub.refs(), before);
}

#[test]
fn all_refusals_of_a_push_are_told() {
    let hub = at_work();
    hub.there(&["branch", "master", "main"]);
    let said = hub.refused(
        &["story/1.1-a:main", ":master", ":refs/orchestrate/items/1.1", "main:refs/orchestrate/what"],
        "refused: refs/heads/main",
    );
    for name in ["refs/heads/master", "refs/orchestrate/items/1.1", "refs/orchestrate/what"] {
        assert!(said.contains(&format!("git-orchestrate: refused: {name}")), "{said}");
    }
}

#[test]
fn branches_that_the_policy_names_and_aliases_of_branches_are_guarded() {
    let hub = Hub::new("[protect]\nbranches = [\"release/*\"]\n");
    hub.story_branch();
    hub.accepted(&["story/1.1-a"]);
    let why = "the story branch story/1.1-a";
    hub.refused(&["story/1.1-a:refs/heads/release/1"], why);
    hub.accepted(&["main:refs/heads/release/1"]);
    hub.refused(&["--delete", "release/1"], "never deleted");
    hub.there(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
    hub.refused(&["story/1.1-a:alias"], why);
    // The policy is the one that stands, not the one that is pushed.
    hub.project.scratch.write(".orchestrate.toml", "[protect]\nbranches = []\n");
    hub.git(&["add", "-A"]);
    hub.git(&["commit", "-q", "-m", "weaker"]);
    hub.refused(&["main", "story/1.1-a:refs/heads/release/1"], why);
}

#[test]
fn mode_all_takes_nobody_s_own_commits() {
    let hub = Hub::new("[protect]\nmode = \"all\"\n");
    hub.project.scratch.write("mine.txt", "mine\n");
    hub.project.scratch.commit("my own");
    hub.refused(&["main"], "takes only reviewed stories and hotfixes");
    hub.git(&["reset", "-q", "--hard", "HEAD~1"]);
    hub.run_stories();
    hub.accepted(&["--atomic", "main", "refs/orchestrate/items/1.1"]);
}

#[test]
fn work_of_an_agent_that_the_server_was_not_told_of_is_no_person_s_own() {
    let hub = Hub::new("");
    let ran = hub.project.stories(&["--no-land"]);
    assert!(matches!(ran.code, 0 | 5), "{ran:?}");
    let branch = hub.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads/story/"]);
    let said = hub.refused(&[&format!("{branch}:main")], "refused: refs/heads/main");
    assert!(said.contains("git push --atomic origin main"), "{said}");
}

#[test]
fn an_agent_s_process_moves_no_protected_branch_of_a_server() {
    let hub = Hub::new("");
    hub.project.scratch.commit("x");
    let mut push = hub.project.scratch.command("git");
    let ran = crate::support::run(push.args(["push", "origin", "main"]).env("ORCHESTRATE_ATTEMPT", "a-1"));
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("an agent's process may not move a protected branch"), "{}", ran.stderr);
}

#[test]
fn the_second_hook_says_the_same_when_the_first_is_gone() {
    let hub = at_work();
    std::fs::remove_file(hub.server.join("hooks/pre-receive")).unwrap();
    let before = hub.refs();
    for args in [
        &["--atomic", "story/1.1-a:main"][..],
        &["story/1.1-a:main"],
        &["--delete", "refs/orchestrate/items/1.1"],
        &["--force", "main:refs/orchestrate/items/1.1"],
    ] {
        let ran = hub.push(args);
        assert_ne!(ran.code, 0, "git push {args:?}");
        assert!(ran.stderr.contains("git-orchestrate: refused: "), "git push {args:?}: {}", ran.stderr);
        assert_eq!(hub.refs(), before, "git push {args:?}");
    }
    // Other ways on the server itself.
    let server = hub.url().to_owned();
    let there = |args: &[&str]| hub.project.scratch.try_git(&[&["--git-dir", &server], args].concat());
    for args in [
        &["update-ref", "refs/heads/main", "refs/heads/story/1.1-a"][..],
        &["fetch", "-q", ".", "story/1.1-a:main"],
        &["branch", "-f", "main", "story/1.1-a"],
        &["update-ref", "-d", "refs/orchestrate/items/1.1"],
        &["symbolic-ref", "refs/heads/main", "refs/heads/story/1.1-a"],
    ] {
        let ran = there(args);
        assert_ne!(ran.code, 0, "{args:?}: {ran:?}");
        assert_eq!(hub.refs(), before, "{args:?}");
    }
}

#[test]
fn the_second_hook_counts_records_that_move_in_the_same_transaction() {
    let hub = Hub::new("");
    std::fs::remove_file(hub.server.join("hooks/pre-receive")).unwrap();
    hub.run_stories();
    let before = hub.there(&["rev-parse", "main"]);
    // Git moves main alone, before its records are there, and no other hook has judged the whole.
    let ran = hub.push(&["main", "refs/orchestrate/items/1.1"]);
    assert!(ran.stderr.contains("refused: refs/heads/main"), "{}", ran.stderr);
    assert_eq!(hub.there(&["rev-parse", "main"]), before);
    hub.accepted(&["--atomic", "main", "refs/orchestrate/items/1.1"]);
}

#[test]
fn a_repository_that_nobody_made_a_server_is_left_alone() {
    let hub = at_work();
    hub.there(&["config", "--unset", "orchestrate.server"]);
    std::fs::remove_file(hub.server.join("hooks/reference-transaction")).unwrap();
    hub.accepted(&["story/1.1-a:main"]);
}
