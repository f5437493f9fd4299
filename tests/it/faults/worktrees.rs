//! Faults around worktrees, branches and locks while stories run. Must not assert durations.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::note;
use crate::project::{Project, until};
use crate::support::Ran;

/// Makes a file or directory look as if nobody had touched it for an hour.
fn age(path: &Path) {
    let hour_ago = SystemTime::now() - Duration::from_secs(3_600);
    std::fs::File::open(path).unwrap().set_modified(hour_ago).unwrap();
}

fn said(ran: &Ran) -> String {
    format!("{}\n{}\n{}", ran.code, ran.stdout, ran.stderr)
}

/// `{ run = ["sh", "-c", "..."] }`.
fn shell(line: &str) -> String {
    format!("{{ run = [\"sh\", \"-c\", {}] }}", toml::Value::String(line.to_owned()))
}

/// One step of the author of an item.
fn author(item: &str, nth: usize, actions: &str) -> String {
    format!("[[step]]\nitem = \"{item}\"\nphase = \"implementation\"\nnth = {nth}\ndo = [{actions}]\n")
}

fn git_dir(project: &Project) -> PathBuf {
    project.scratch.root().join(".git")
}

#[test]
fn f13_locks_of_the_dead_are_removed_and_foreign_ones_are_named() {
    let project = Project::new(&author("1.1", 1, "{ exit = 1 }"), "");
    project.story("1.1", "First", "None").commit();
    assert_eq!(project.stories(&[]).code, 4);
    let own = [
        "refs/heads/story/1.1-first.lock",
        "refs/orchestrate/items/1.1.lock",
        "worktrees/1.1-first/index.lock",
        "worktrees/1.1-first/HEAD.lock",
    ];
    let foreign = ["config.lock"];
    for name in own.iter().chain(&foreign) {
        let lock = git_dir(&project).join(name);
        std::fs::write(&lock, "").unwrap();
        age(&lock);
    }
    let ran = project.orchestrate(&["retry", "1.1"]);
    assert_eq!(ran.code, 0, "{}", said(&ran));
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 0, "{}", said(&ran));
    assert_eq!(project.merges_of("1.1"), 1);
    for name in own {
        assert!(!git_dir(&project).join(name).exists(), "{name}: {}", said(&ran));
        note("F13", &format!("{name}, owner dead"), "removed, one merge");
    }
    for name in foreign {
        let lock = git_dir(&project).join(name);
        assert!(lock.exists(), "{name} is somebody's");
        let named = said(&ran).contains(&format!("{} is locked: made 60 min ago", lock.with_extension("").display()));
        assert!(named, "{name}: {}", said(&ran));
        std::fs::remove_file(lock).unwrap();
        note("F13", &format!("{name}, foreign"), "named with age, left, one merge");
    }
    project.assert_tidy();
}

/// A run that meets somebody's lock when it lands; the lock is there for `hold`, or until the run has ended.
fn with_lock_at_the_landing(name: &str, hold: Option<Duration>) -> (Project, Ran) {
    let project = Project::new("", "");
    let (at, go) = (project.meeting("at"), project.meeting("go"));
    project.script(&format!(
        "[[step]]\nphase = \"review\"\ndo = [{{ touch = {at:?} }}, {{ wait-for = {go:?} }}, \"approve\"]\n"
    ));
    project.story("1.1", "First", "None").commit();
    let live = project.start(&["stories"]);
    until("the review", || at.exists());
    let lock = git_dir(&project).join(name);
    let open = std::fs::File::create(&lock).unwrap();
    std::fs::write(&go, "").unwrap();
    if let Some(hold) = hold {
        std::thread::sleep(hold);
        std::fs::remove_file(&lock).unwrap();
    }
    drop(open);
    (project, live.finish())
}

fn f14(name: &str, hold: Duration) {
    let (project, ran) = with_lock_at_the_landing(name, Some(hold));
    assert_eq!(ran.code, 0, "{name}: {}", said(&ran));
    assert_eq!(project.merges_of("1.1"), 1, "{name}");
    project.assert_tidy();
    note("F14", &format!("{name}, held for {} ms", hold.as_millis()), "waited for, one merge");
}

#[test]
fn f14_a_live_lock_is_waited_for() {
    f14("index.lock", Duration::from_millis(600));
}

#[test]
#[ignore = "battery"]
fn f14_live_locks_of_every_kind() {
    for name in ["index.lock", "refs/heads/main.lock", "packed-refs.lock", "refs/heads/story/1.1-first.lock"] {
        f14(name, Duration::from_secs(3));
    }
}

#[test]
#[ignore = "battery"]
fn f13_foreign_locks_at_the_landing_are_named_and_the_story_lands_when_they_are_gone() {
    for name in ["index.lock", "HEAD.lock", "refs/heads/main.lock", "packed-refs.lock"] {
        let (project, ran) = with_lock_at_the_landing(name, None);
        assert!([0, 4, 5].contains(&ran.code), "{name}: {}", said(&ran));
        assert!(said(&ran).contains(name) || said(&ran).contains("locked"), "{name}: {}", said(&ran));
        assert!(said(&ran).contains("s ago, open in no process"), "{name}: {}", said(&ran));
        let lock = git_dir(&project).join(name);
        assert!(lock.exists(), "{name} is somebody's");
        std::fs::remove_file(lock).unwrap();
        for again in [&["retry", "1.1"][..], &["resume"], &["stories"], &["cleanup"]] {
            let ran = project.orchestrate(again);
            // A story that waits or has landed is no failed one: there is nothing to retry then.
            let nothing = ["it waits", "has landed"];
            let refused = again[0] == "retry" && nothing.iter().any(|said| ran.stderr.contains(said));
            assert!(refused || [0, 2].contains(&ran.code), "{name}: {again:?}: {}", said(&ran));
        }
        assert_eq!(project.merges_of("1.1"), 1, "{name}");
        project.assert_tidy();
        note("F13", &format!("{name} at the landing, foreign, stays"), "named with age; lands once it is gone");
    }
}

#[test]
fn f15_f16_half_made_entries_do_not_stop_anything() {
    let project = Project::new("", "");
    project.story("1.1", "First", "None").commit();
    // Somebody else's worktree, whose entry was cut short: git is stuck in the whole repository.
    let theirs = project.meeting("theirs");
    project.scratch.git(&["worktree", "add", "-q", "--detach", theirs.to_str().unwrap()]);
    let entry = git_dir(&project).join("worktrees/theirs");
    std::fs::write(entry.join("commondir"), "").unwrap();
    // As git leaves our place when it is killed: locked, without HEAD or files, and the branch is there.
    let half = git_dir(&project).join("worktrees/1.1-first");
    std::fs::create_dir_all(&half).unwrap();
    std::fs::write(half.join("locked"), "initializing").unwrap();
    let place = project.scratch.root().join(".worktrees/1.1-first");
    std::fs::write(half.join("gitdir"), format!("{}/.git\n", place.display())).unwrap();
    project.scratch.git(&["update-ref", "refs/heads/story/1.1-first", "HEAD"]);
    age(&entry);
    assert_eq!(project.scratch.try_git(&["worktree", "list"]).code, 128, "the fault is there");
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 0, "{}", said(&ran));
    assert!(ran.stderr.contains("worktrees/theirs had an empty commondir"), "{}", said(&ran));
    assert_eq!(project.merges_of("1.1"), 1);
    project.assert_tidy();
    let trash = git_dir(&project).join("orchestrate/trash");
    let kept = |name: &str| {
        let mut listed = std::fs::read_dir(&trash).unwrap().flatten();
        listed
            .any(|found| found.file_name().to_string_lossy().starts_with(name) && found.path().join("gitdir").exists())
    };
    assert!(kept("theirs-") && kept("1.1-first-"), "both are kept");
    assert!(theirs.join("README.md").exists(), "its files are untouched");
    note("F15", "empty commondir of a foreign worktree", "set aside, named, kept, one merge");
    note("F16", "locked initializing and a left branch", "replaced, one merge");
}

#[test]
fn f17_f18_what_disappears_in_a_run_fails_its_story_only() {
    let project = Project::new("", "");
    let (go, dir) = (project.meeting("go"), project.meeting("together"));
    let work = |item: &str, more: &str| {
        let actions = format!(
            "{{ write = {{ path = \"{item}.txt\", text = \"work of {item}\" }} }}, {{ commit = \"work\" }}, \
             {{ barrier = {{ dir = {dir:?}, count = 4 }} }}, {{ wait-for = {go:?} }}{more}"
        );
        author(item, 1, &actions)
    };
    // The third goes on after its branch was set back under it.
    let more = ", { write = { path = \"more.txt\", text = \"more\" } }";
    project.script(&[work("1.1", ""), work("1.2", ""), work("1.3", more), work("1.4", "")].join(""));
    for (id, title) in [("1.1", "First"), ("1.2", "Second"), ("1.3", "Third"), ("1.4", "Fourth")] {
        project.story(id, title, "None");
    }
    project.commit();
    let live = project.start(&["stories", "-j", "4"]);
    until("four agents", || std::fs::read_dir(&dir).is_ok_and(|found| found.count() == 4));
    let tip = |name: &str| project.scratch.git(&["rev-parse", name]);
    let (deleted, moved) = (tip("story/1.2-second"), tip("story/1.3-third"));
    std::fs::remove_dir_all(project.scratch.root().join(".worktrees/1.1-first")).unwrap();
    project.scratch.git(&["update-ref", "-d", "refs/heads/story/1.2-second"]);
    project.scratch.git(&["update-ref", "refs/heads/story/1.3-third", "main"]);
    std::fs::write(&go, "").unwrap();
    let ran = live.finish();
    assert_eq!(ran.code, 4, "{}", said(&ran));
    assert!(said(&ran).contains(".worktrees/1.1-first is gone"), "{}", said(&ran));
    let gone = "branch story/1.2-second of the worktree 1.2-second is gone; its commits are kept in";
    assert!(said(&ran).contains(gone), "{}", said(&ran));
    assert_eq!(project.merges_of("1.4"), 1, "{}", said(&ran));
    let kept = project.scratch.git(&["rev-list", "--glob=refs/orchestrate/rescue"]);
    assert!(kept.contains(&deleted), "commits of the deleted branch");
    assert!(kept.contains(&moved), "commits of the branch that was set back");
    assert_eq!(project.scratch.git(&["show", "main:more.txt"]), "more");
    note("F17", "worktree removed while its agent works", "that story fails with the reason, others land");
    note("F18", "branch deleted while its agent works", "story fails, commits kept");
    note("F18", "branch set back while its agent works", "earlier tip kept, the work lands");
    // Both go on from there.
    let ran = project.orchestrate(&["retry", "1.1", "1.2"]);
    assert_eq!(ran.code, 0, "{}", said(&ran));
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 0, "{}", said(&ran));
    assert_eq!((project.merges_of("1.1"), project.merges_of("1.2"), project.merges_of("1.3")), (1, 1, 1));
    project.assert_tidy();
}

/// Stories while git collects and packs as hard as it can beside them.
fn collected(script: &str, stories: usize) -> (Project, Ran) {
    let project = Project::new(script, "");
    for number in 1..=stories {
        project.story(&format!("1.{number}"), &format!("Story {number}"), "None");
    }
    project.commit();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let ran = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                // Both fail now and then beside writers; that is the fault.
                drop(project.scratch.try_git(&["gc", "-q", "--prune=now"]));
                drop(project.scratch.try_git(&["pack-refs", "--all"]));
            }
        });
        let ran = project.stories(&["-j", "4"]);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        ran
    });
    // A gc that meets an object which another one took gives up by a signal, and its own lock stays. It is not ours.
    drop(std::fs::remove_file(git_dir(&project).join("objects/info/commit-graph.lock")));
    (project, ran)
}

/// Every story landed, or what failed did so with a reason, is repaired by trying again, and nothing is lost.
fn assert_all_land(project: &Project, ran: Ran, stories: usize) -> bool {
    let mut ran = ran;
    let at_once = ran.code == 0;
    for _ in 0..2 {
        if ran.code == 0 {
            break;
        }
        eprintln!("again after: {}", said(&ran));
        drop(project.orchestrate(&["resume"]));
        for number in 1..=stories {
            drop(project.orchestrate(&["retry", &format!("1.{number}")]));
        }
        ran = project.stories(&[]);
    }
    assert_eq!(ran.code, 0, "{}", said(&ran));
    for number in 1..=stories {
        assert_eq!(project.merges_of(&format!("1.{number}")), 1, "1.{number}");
    }
    // A worktree that could not be read while it was to go stays until somebody clears away.
    drop(project.orchestrate(&["cleanup"]));
    project.assert_tidy();
    at_once
}

#[test]
fn f22_f23_nothing_is_lost_when_everything_unreachable_is_pruned_in_a_run() {
    let gc = "git gc -q --prune=now && git pack-refs --all && git prune --expire=now";
    let project = Project::new("", "");
    let (at, go) = (project.meeting("at"), project.meeting("go"));
    let collects = author(
        "1.1",
        1,
        &format!("{{ write = {{ path = \"a.txt\", text = \"x\" }} }}, {{ commit = \"work\" }}, {}", shell(gc)),
    );
    let waits = author(
        "1.2",
        1,
        &format!("{{ write = {{ path = \"b.txt\", text = \"x\" }} }}, {{ touch = {at:?} }}, {{ wait-for = {go:?} }}"),
    );
    project.script(&(collects + &waits));
    project.story("1.1", "First", "None").story("1.2", "Second", "1.1").commit();
    let live = project.start(&["stories"]);
    until("the second agent", || at.exists());
    for args in [&["gc", "-q", "--prune=now"][..], &["pack-refs", "--all"], &["prune", "--expire=now"]] {
        project.scratch.git(args);
    }
    std::fs::write(&go, "").unwrap();
    let ran = live.finish();
    assert_eq!(ran.code, 0, "{}", said(&ran));
    assert_eq!((project.merges_of("1.1"), project.merges_of("1.2")), (1, 1));
    project.assert_tidy();
    note("F22", "gc --prune=now, pack-refs, prune beside an agent", "every story lands once, fsck clean");
    note("F23", "an agent runs gc --prune=now, pack-refs and prune", "every story lands once, fsck clean");
}

#[test]
#[ignore = "battery"]
fn f22_many_stories_while_everything_unreachable_is_pruned() {
    for round in 0..3 {
        let (project, ran) = collected("", 8);
        let how = if assert_all_land(&project, ran, 8) { "at once" } else { "after a retry" };
        note(
            "F22",
            &format!("8 stories, gc in a loop, round {round}"),
            &format!("every story lands once, {how}, fsck clean"),
        );
    }
}

#[test]
fn f51_a_time_out_in_the_middle_of_a_commit_costs_no_work() {
    let project = Project::new("", "");
    let (at, hooks) = (project.meeting("at"), project.meeting("hooks"));
    std::fs::create_dir_all(&hooks).unwrap();
    let hook = hooks.join("pre-commit");
    std::fs::write(
        &hook,
        format!(
            "#!/bin/sh\n: > '{}'\n# It cannot clean up when it is asked to end.\nkill -STOP $PPID\nexec sleep 1000\n",
            at.display()
        ),
    )
    .unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let commit = shell(&format!("git add -A && git -c core.hooksPath='{}' commit -q -m never", hooks.display()));
    project.script(&author("1.1", 1, &format!("{{ write = {{ path = \"late.txt\", text = \"late\" }} }}, {commit}")));
    project.set("agents", "timeout = \"2s\"\ngrace = \"1s\"");
    project.story("1.1", "First", "None").commit();
    let ran = project.stories(&[]);
    assert!(at.exists(), "the commit had begun: {}", said(&ran));
    let lock = git_dir(&project).join("worktrees/1.1-first/index.lock");
    assert!(!lock.exists(), "{}", said(&ran));
    assert_eq!(project.scratch.git(&["show", "story/1.1-first:late.txt"]), "late", "{}", said(&ran));
    project.assert_sound();
    note("F51", "agent's git killed while it holds index.lock in a hook", "lock removed, work committed");
}
