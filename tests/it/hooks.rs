//! The installed hooks against real git: what moves a protected branch and what does not.

use git_orchestrate::adapters::git::repo::Repo;
use git_orchestrate::adapters::ledger::codec;
use git_orchestrate::adapters::ledger::store::Store;
use git_orchestrate::domain::event::{ItemEvent, Landing};
use git_orchestrate::domain::names::{AttemptId, BranchRef, ItemKey, Oid, PolicyVersion, RunId, Timestamp};
use git_orchestrate::domain::state::{ItemState, Outcome};
use git_orchestrate::engine::ports::{Artefact, Ledger, Record};

use super::support::{Ran, Scratch, run};

/// A repository after `init`; on main, with the branch `story/1.1-a` two commits ahead of it.
fn guarded() -> Scratch {
    let scratch = Scratch::new();
    let ran = scratch.orchestrate(&["init", "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    scratch.git(&["switch", "-q", "-c", "story/1.1-a"]);
    scratch.write("one.txt", "1\n");
    scratch.commit("one");
    scratch.write("two.txt", "2\n");
    scratch.commit("two");
    scratch.git(&["switch", "-q", "main"]);
    scratch
}

/// Records that story 1.1 is at work on that branch since main.
fn record_attempt(scratch: &Scratch) {
    let repo = Repo::discover(&scratch.root()).unwrap();
    let mut store = Store::new(&repo);
    let story = store.write_blob(b"# Story 1.1\n").unwrap();
    let event = ItemEvent::AttemptStarted {
        attempt: AttemptId::new("a-1"),
        continues: None,
        run: RunId::new("r-1"),
        title: "one".to_owned(),
        path: "docs/stories/1.1.md".to_owned(),
        agent: "demo".to_owned(),
        role: "general-developer".to_owned(),
        branch: BranchRef::new("refs/heads/story/1.1-a"),
        worktree: ".worktrees/1.1".to_owned(),
        target: BranchRef::new("refs/heads/main"),
        base: oid(scratch, "main"),
        policy: PolicyVersion::new("p"),
        story,
    };
    let artefact = Artefact { name: "story".to_owned(), bytes: b"# Story 1.1\n".to_vec() };
    let key = ItemKey::new("1.1");
    store.append(&[Record::Item { key, event, at: Timestamp(1), artefacts: vec![artefact] }]).unwrap();
}

fn oid(scratch: &Scratch, name: &str) -> Oid {
    Oid::new(scratch.git(&["rev-parse", name]))
}

/// A merge of main and the story branch that no branch names yet.
fn merge_commit(scratch: &Scratch) -> String {
    let tree = scratch.git(&["merge-tree", "--write-tree", "main", "story/1.1-a"]);
    scratch.git(&["commit-tree", &tree, "-p", "main", "-p", "story/1.1-a", "-m", "Land 1.1"])
}

/// Writes the record of a landing as the ledger does, without moving main.
fn record_landing(scratch: &Scratch, merge: &str) {
    let tree = oid(scratch, &format!("{merge}^{{tree}}"));
    let landing = Landing {
        target: BranchRef::new("refs/heads/main"),
        base: oid(scratch, "main"),
        head: oid(scratch, "story/1.1-a"),
        merge_tree: tree.clone(),
        merge: Oid::new(merge),
        tip: Oid::new(merge),
    };
    let state = ItemState { landings: vec![landing.clone()], outcome: Some(Outcome::Landed), ..ItemState::default() };
    let snapshot = codec::to_snapshot(&state);
    let message = codec::encode("1.1", &ItemEvent::Landed { landing }, Timestamp(2), &snapshot);
    scratch.write(".git/message", message);
    let empty = scratch.git(&["hash-object", "-t", "tree", "-w", "/dev/null"]);
    let record = scratch.git(&["commit-tree", &empty, "-F", ".git/message"]);
    write_record(scratch, &record);
}

/// Writes a record as nobody but the ledger may: with hooks off.
fn write_record(scratch: &Scratch, record: &str) {
    let off = ["-c", "core.hooksPath=/dev/null", "update-ref", "refs/orchestrate/items/1.1", record];
    scratch.git(&off);
}

fn main_stays(scratch: &Scratch, args: &[&str]) -> Ran {
    let before = oid(scratch, "main");
    let ran = scratch.try_git(args);
    assert_ne!(ran.code, 0, "git {args:?} went through");
    assert_eq!(oid(scratch, "main"), before, "git {args:?}");
    assert!(ran.stderr.contains("git-orchestrate: refused: refs/heads/main"), "git {args:?}: {}", ran.stderr);
    ran
}

#[test]
fn no_ordinary_way_brings_an_unreviewed_story_to_main() {
    let scratch = guarded();
    record_attempt(&scratch);
    let said = main_stays(&scratch, &["merge", "-q", "story/1.1-a"]).stderr;
    assert!(
        said.contains("commits of story 1.1 that have no reviewed landing")
            && said.contains("to undo:    git reset --merge"),
        "{said}"
    );
    assert!(said.contains("git orchestrate review 1.1 --approve"), "{said}");
    scratch.git(&["reset", "-q", "--merge"]);
    assert_eq!(scratch.git(&["status", "--porcelain"]), "");
    main_stays(&scratch, &["reset", "-q", "--hard", "story/1.1-a"]);
    scratch.git(&["reset", "-q", "--merge"]);
    // Part of a story is as unreviewed as the whole.
    main_stays(&scratch, &["update-ref", "refs/heads/main", "story/1.1-a~1"]);
    let said = main_stays(&scratch, &["merge", "-q", "--no-ff", "-m", "m", "story/1.1-a"]).stderr;
    assert!(said.contains("to undo:    git merge --abort"), "{said}");
    scratch.git(&["merge", "--abort"]);
    main_stays(&scratch, &["merge", "-q", "--no-ff", "--no-verify", "-m", "m", "story/1.1-a"]);
    scratch.git(&["merge", "--abort"]);
    scratch.git(&["switch", "-q", "--detach"]);
    main_stays(&scratch, &["branch", "-f", "main", "story/1.1-a"]);
    main_stays(&scratch, &["fetch", "-q", ".", "story/1.1-a:main"]);
    main_stays(&scratch, &["push", "-q", ".", "story/1.1-a:main"]);
    main_stays(&scratch, &["symbolic-ref", "refs/heads/main", "refs/heads/story/1.1-a"]);
    main_stays(&scratch, &["branch", "-D", "main"]);
}

#[test]
fn a_story_branch_without_a_record_is_guarded_by_its_tip() {
    let scratch = guarded();
    let said = main_stays(&scratch, &["merge", "-q", "story/1.1-a"]).stderr;
    assert!(said.contains("the story branch story/1.1-a"), "{said}");
}

#[test]
fn people_s_own_work_and_git_s_housekeeping_go_on() {
    let scratch = guarded();
    record_attempt(&scratch);
    scratch.write("mine.txt", "mine\n");
    scratch.commit("my own");
    scratch.git(&["switch", "-q", "-c", "topic", "HEAD~1"]);
    scratch.write("topic.txt", "t\n");
    scratch.commit("topic");
    scratch.git(&["switch", "-q", "main"]);
    scratch.git(&["merge", "-q", "--no-ff", "-m", "merge", "topic"]);
    scratch.git(&["reset", "-q", "--hard", "HEAD~1"]);
    scratch.git(&["rebase", "-q", "topic"]);
    scratch.git(&["commit", "-q", "--amend", "-m", "amended"]);
    scratch.write("mine.txt", "changed\n");
    scratch.git(&["stash", "-q"]);
    scratch.git(&["stash", "pop", "-q"]);
    scratch.git(&["worktree", "add", "-q", "side", "story/1.1-a"]);
    scratch.git(&["-C", "side", "commit", "-q", "--allow-empty", "-m", "work on the story"]);
    scratch.git(&["pack-refs", "--all", "--prune"]);
    scratch.git(&["gc", "-q"]);
    scratch.git(&["branch", "-D", "topic"]);
    scratch.git(&["tag", "v1"]);
    scratch.git(&["fsck"]);
}

#[test]
fn a_landing_on_record_may_be_followed_and_nothing_else() {
    let scratch = guarded();
    record_attempt(&scratch);
    let merge = merge_commit(&scratch);
    main_stays(&scratch, &["merge", "-q", "--ff-only", &merge]);
    scratch.git(&["reset", "-q", "--merge"]);
    record_landing(&scratch, &merge);
    scratch.git(&["merge", "-q", "--ff-only", &merge]);
    assert_eq!(scratch.git(&["rev-parse", "main"]), merge);
    // A commit that came after the review is not covered by it.
    scratch.git(&["switch", "-q", "story/1.1-a"]);
    scratch.write("late.txt", "late\n");
    scratch.commit("after the review");
    scratch.git(&["switch", "-q", "main"]);
    main_stays(&scratch, &["merge", "-q", "--no-ff", "-m", "m", "story/1.1-a"]);
}

#[test]
fn a_process_of_an_agent_moves_no_protected_branch() {
    let scratch = guarded();
    let commit = |scratch: &Scratch| {
        run(scratch.command("git").args(["commit", "-q", "--allow-empty", "-m", "x"]).env("ORCHESTRATE_ATTEMPT", "a-1"))
    };
    let ran = commit(&scratch);
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("an agent's process may not move a protected branch"), "{}", ran.stderr);
    scratch.git(&["switch", "-q", "story/1.1-a"]);
    assert_eq!(commit(&scratch).code, 0);
}

#[test]
fn a_push_of_an_uncovered_target_is_stopped_early() {
    let scratch = guarded();
    record_attempt(&scratch);
    let server = scratch.outside().join("server.git");
    scratch.git(&["init", "-q", "--bare", server.to_str().unwrap()]);
    scratch.git(&["remote", "add", "origin", server.to_str().unwrap()]);
    scratch.git(&["push", "-q", "origin", "main", "story/1.1-a"]);
    main_stays(&scratch, &["push", "-q", "origin", "story/1.1-a:main"]);
    let there = scratch.git(&["--git-dir", server.to_str().unwrap(), "rev-parse", "main"]);
    assert_eq!(Oid::new(there), oid(&scratch, "main"));
}

#[test]
fn a_record_that_cannot_be_read_keeps_the_gate_shut() {
    let scratch = guarded();
    let empty = scratch.git(&["hash-object", "-t", "tree", "-w", "/dev/null"]);
    let broken = scratch.git(&["commit-tree", &empty, "-m", "no record"]);
    write_record(&scratch, &broken);
    let ran = scratch.try_git(&["merge", "-q", "story/1.1-a"]);
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("the record of reviews cannot be read"), "{}", ran.stderr);
}
