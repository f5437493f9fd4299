//! What happens to people every day: dirty checkouts, deleted folders, other branches checked out. Nothing of theirs is lost,
//! the message names the thing, and the command that it offers works.

use crate::project::{Project, until};
use crate::support::{Ran, run};

/// A project with two stories in a row whose author does `command` while it works on 1.1.
fn with_author_doing(command: &str) -> Project {
    let project = Project::new("", "");
    let script = format!(
        "journal = \"{}\"\n[[step]]\nitem = \"1.1\"\nphase = \"implementation\"\nnth = 1\ndo = [{{ run = [\"sh\", \"-c\", {command:?}] }}, \
         {{ write = {{ path = \"1.1.txt\", text = \"x\" }} }}, {{ commit = \"work\" }}]\n",
        project.journal_path().display()
    );
    std::fs::write(project.script_path(), script.replace("ROOT", project.scratch.root().to_str().unwrap())).unwrap();
    project.story("1.1", "First", "None").story("1.2", "Second", "1.1").commit();
    project
}

fn landed(project: &Project, ran: &Ran) {
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    for id in ["1.1", "1.2"] {
        assert_eq!(project.merges_of(id), 1, "{id}: {:?}", project.mainline());
    }
}

#[test]
fn a_story_edited_while_it_is_worked_on_waits_and_lands_when_the_edit_is_put_aside() {
    let project = with_author_doing("echo more >> ROOT/docs/stories/1.1.first.md");
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 5, "{}\n{}", ran.stdout, ran.stderr);
    let sentence = "docs/stories/1.1.first.md has changes that are not committed";
    assert!(ran.stdout.contains(sentence) && ran.stdout.contains("paused"), "{}", ran.stdout);
    assert!(ran.stdout.contains("git stash") && ran.stdout.contains("git orchestrate resume"), "{}", ran.stdout);
    assert!(project.scratch.read("docs/stories/1.1.first.md").ends_with("more\n"));
    project.scratch.git(&["stash"]);
    landed(&project, &project.orchestrate(&["resume"]));
    assert!(project.scratch.git(&["stash", "show", "-p"]).contains("+more"));
    project.assert_tidy();
}

#[test]
fn a_file_in_the_way_of_a_landing_is_named_and_kept() {
    let project = with_author_doing("echo mine > ROOT/1.1.txt");
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 5, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("1.1.txt, which git does not know, is in the way"), "{}", ran.stdout);
    assert_eq!(project.scratch.read("1.1.txt"), "mine\n");
    std::fs::rename(project.scratch.root().join("1.1.txt"), project.scratch.outside().join("mine.txt")).unwrap();
    landed(&project, &project.orchestrate(&["resume"]));
    project.assert_tidy();
}

#[test]
fn a_deleted_worktree_fails_its_story_and_retry_lands_it() {
    let project = with_author_doing("rm -rf ROOT/.worktrees/1.1-first && kill -9 $PPID");
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 4, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains(".worktrees/1.1-first is gone"), "{}", ran.stdout);
    assert!(ran.stdout.contains("git orchestrate retry 1.1"), "{}", ran.stdout);
    assert_eq!(project.orchestrate(&["retry", "1.1"]).code, 0);
    landed(&project, &project.stories(&[]));
    project.assert_tidy();
}

#[test]
fn a_story_file_deleted_during_the_run_changes_nothing_for_the_run() {
    let project = with_author_doing("rm ROOT/docs/stories/1.2.second.md");
    landed(&project, &project.stories(&[]));
    project.assert_tidy();
}

#[test]
fn a_target_moved_by_a_person_during_the_run_keeps_the_persons_commit() {
    let commit = "env -u ORCHESTRATE_ATTEMPT -u GIT_AUTHOR_EMAIL -u GIT_COMMITTER_EMAIL git -C ROOT -c user.name=Bob \
                  -c user.email=bob@example.org commit -q --allow-empty -m 'by hand'";
    let project = with_author_doing(commit);
    landed(&project, &project.stories(&[]));
    assert!(project.mainline().contains(&"by hand".to_owned()), "{:?}", project.mainline());
    project.assert_tidy();
}

#[test]
fn a_detached_head_and_another_branch_are_left_where_they_are() {
    for switch in [&["checkout", "-q", "--detach"][..], &["checkout", "-q", "-b", "feature"]] {
        let project = with_author_doing("true");
        project.scratch.git(switch);
        let before = project.scratch.git(&["rev-parse", "HEAD"]);
        landed(&project, &project.stories(&[]));
        assert_eq!(project.scratch.git(&["rev-parse", "HEAD"]), before);
        project.assert_sound();
    }
}

#[test]
fn a_linked_worktree_and_a_folder_in_it_are_places_to_start_from() {
    let project = with_author_doing("true");
    let linked = project.scratch.outside().join("linked");
    project.scratch.git(&["worktree", "add", "-q", "-b", "feature", linked.to_str().unwrap()]);
    let place = linked.join("docs/stories");
    let ran = run(project.scratch.orchestrate_command().current_dir(place).args(["stories"]));
    landed(&project, &ran);
    assert_eq!(project.scratch.git(&["-C", linked.to_str().unwrap(), "status", "--porcelain"]), "");
    project.assert_sound();
}

#[test]
fn a_checkout_of_the_target_in_another_worktree_follows() {
    let project = with_author_doing("true");
    let linked = project.scratch.outside().join("linked");
    project.scratch.git(&["checkout", "-q", "-b", "feature"]);
    project.scratch.git(&["worktree", "add", "-q", linked.to_str().unwrap(), "main"]);
    landed(&project, &project.stories(&[]));
    assert_eq!(std::fs::read_to_string(linked.join("1.1.txt")).unwrap(), "x");
    assert_eq!(project.scratch.git(&["-C", linked.to_str().unwrap(), "status", "--porcelain"]), "");
}

#[test]
fn an_agent_that_is_not_installed_starts_nothing_and_names_the_known_ones() {
    let project = with_author_doing("true");
    let ran = project.stories(&["--agent", "claude"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("claude") && ran.stderr.contains("not installed"), "{}", ran.stderr);
    assert!(ran.stderr.contains("demo"), "{}", ran.stderr);
    assert_eq!(project.scratch.git(&["for-each-ref", "refs/orchestrate/"]), "");
}

#[test]
fn beside_a_live_run_land_and_resume_say_so_and_leave_no_run_behind() {
    let project = with_author_doing(
        "echo early > early.txt; git add early.txt; git commit -qm early; \
         touch ../../at; while ! test -e ../../go; do sleep 0.01; done; rm ../../at ../../go",
    );
    let live = project.start(&["stories"]);
    until("the author's work", || project.scratch.root().join("at").exists());
    // What a person says of the first commit is void with the author's next one; until then the story counts as reviewed.
    let reviewed = project.as_person("bob@example.org", &["review", "1.1", "--approve", "-m", "fine"]);
    assert_eq!(reviewed.code, 0, "{reviewed:?}");
    for args in [&["land", "1.1"][..], &["resume"]] {
        let ran = project.orchestrate(args);
        assert!(ran.code == 2 && ran.stderr.contains("1.1") && ran.stderr.contains("in hand"), "{args:?}: {ran:?}");
        assert!(!ran.stderr.contains("going on with"), "it is not: {}", ran.stderr);
    }
    assert_eq!(project.scratch.git(&["for-each-ref", "refs/orchestrate/runs/"]).lines().count(), 1);
    std::fs::write(project.scratch.root().join("go"), "").unwrap();
    landed(&project, &live.finish());
    let done = project.as_person("bob@example.org", &["review", "1.1", "--approve", "-m", "fine"]);
    assert!(done.code == 2 && done.stderr.contains("story 1.1 is done: there is nothing left to review"), "{done:?}");
    project.assert_tidy();
}

#[test]
fn a_run_whose_story_lost_its_file_says_how_to_bring_it_back() {
    let project = with_author_doing("kill -9 $(cat ROOT/.git/orchestrate/runs/*.lock)");
    drop(project.stories(&[]));
    project.scratch.git(&["rm", "-q", "docs/stories/1.1.first.md"]);
    let ran = project.orchestrate(&["resume"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    let hint = ran.stderr.lines().find_map(|line| line.strip_prefix("hint: bring the files back: ")).unwrap();
    let (back, without) = hint.split_once("; or go on without them: ").unwrap();
    assert_eq!(without, "git orchestrate stories 1.2 --yes");
    assert_eq!(run(project.scratch.command("sh").args(["-c", back])).code, 0, "{back}");
    landed(&project, &project.orchestrate(&["resume"]));
    project.assert_tidy();
}
