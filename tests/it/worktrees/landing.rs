//! Landings and the checkouts that follow.

use super::*;

/// Something done to the main checkout.
type Edit = fn(&Bed);

#[test]
fn a_landing_is_a_merge_commit_and_what_the_tool_writes_on_top() {
    let bed = Bed::new();
    bed.scratch.write("docs/stories/1.1.md", "# Story 1.1: A\n\nStatus: Ready\n");
    bed.scratch.commit("story");
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    write(&spec.path, "a.txt", "a\n");
    let head = bed.commit_all(&spec).unwrap();
    let base = bed.head();
    let Merged::Clean { tree } = wait(bed.lander.merge(&base, &head)).unwrap() else { panic!("a conflict") };
    let plan = LandingPlan {
        target: branch("main"),
        base: base.clone(),
        head: head.clone(),
        merge_tree: tree.clone(),
        message: "Land 1.1: A\n\nStory: 1.1".to_owned(),
        bookkeeping: Some(Bookkeeping {
            path: "docs/stories/1.1.md".to_owned(),
            message: "1.1: done".to_owned(),
            review_lines: vec!["Approved by agent:demo:1".to_owned()],
        }),
        at: Timestamp(1_700_000_000_000),
    };
    let landing = wait(bed.lander.build(&plan)).unwrap();
    let shown = bed.scratch.git(&["log", "-1", "--format=%P|%T|%an <%ae>|%ct|%B", landing.merge.as_str()]);
    let expected = format!(
        "{base} {head}|{tree}|git-orchestrate <git-orchestrate@localhost>|1700000000|Land 1.1: A\n\nStory: 1.1"
    );
    assert_eq!(shown, expected);
    assert_eq!(bed.head(), base, "nothing moved");
    assert_eq!(wait(bed.lander.build(&plan)).unwrap(), landing, "the same plan is the same commit");
    let on_top = bed.scratch.git(&["log", "-1", "--format=%P|%an|%s", landing.tip.as_str()]);
    assert_eq!(on_top, format!("{}|git-orchestrate|1.1: done", landing.merge));
    let changed = bed.scratch.git(&["diff", "--name-only", landing.merge.as_str(), landing.tip.as_str()]);
    assert_eq!(changed, "docs/stories/1.1.md");
    let story = bed.scratch.git(&["show", &format!("{}:docs/stories/1.1.md", landing.tip)]);
    assert!(story.contains("Status: Done") && story.contains("Approved by agent:demo:1"), "{story}");
    assert!(wait(bed.lander.contains(&landing.tip, &head)).unwrap());
    assert!(!wait(bed.lander.contains(&head, &landing.tip)).unwrap());
    assert_eq!(wait(bed.lander.tree(&landing.merge)).unwrap(), tree);
    assert_eq!(wait(bed.lander.tip(&branch("main"))).unwrap(), Some(base.clone()));
    assert_eq!(wait(bed.lander.tip(&branch("none"))).unwrap(), None);
    let candidate = wait(bed.lander.candidate(&base, &head, &tree)).unwrap();
    assert_eq!(wait(bed.lander.tree(&candidate)).unwrap(), tree);
    assert_eq!(wait(bed.lander.candidate(&base, &head, &tree)).unwrap(), candidate);
    let no_story = LandingPlan { bookkeeping: None, ..plan };
    let landing = wait(bed.lander.build(&no_story)).unwrap();
    assert_eq!(landing.merge, landing.tip);
    bed.fsck();
}

/// Moves main as a landing does and lets the checkouts follow.
fn land(bed: &Bed, from: &Oid, to: &Oid) -> Result<(), String> {
    let target = branch("main");
    if let Some(reason) = wait(bed.lander.obstacle(&target, from, to)).unwrap() {
        return Err(reason);
    }
    bed.scratch.git(&["update-ref", "refs/heads/main", to.as_str(), from.as_str()]);
    wait(bed.lander.follow(&target, from, to)).map_err(|error| error.message)
}

/// A commit on top of main that changes, adds, removes and makes executable, made without touching the checkout.
fn next(bed: &Bed) -> (Oid, Oid) {
    for name in ["changed.txt", "removed/only.txt", "script", "untouched.txt"] {
        bed.scratch.write(name, "1\n");
    }
    bed.scratch.commit("files");
    let from = bed.head();
    bed.scratch.git(&["switch", "-q", "-c", "next"]);
    bed.scratch.write("changed.txt", "2\n");
    bed.scratch.write("added/deep/new.txt", "new\n");
    std::os::unix::fs::symlink("changed.txt", bed.scratch.root().join("link")).unwrap();
    bed.scratch.git(&["rm", "-q", "removed/only.txt"]);
    bed.scratch.git(&["add", "-A"]);
    bed.scratch.git(&["update-index", "--chmod=+x", "script"]);
    bed.scratch.git(&["commit", "-qm", "next"]);
    let to = Oid::new(bed.scratch.git(&["rev-parse", "HEAD"]));
    bed.scratch.git(&["reset", "-q", "--hard"]);
    bed.scratch.git(&["switch", "-q", "main"]);
    bed.scratch.git(&["branch", "-q", "-D", "next"]);
    (from, to)
}

#[test]
fn a_clean_checkout_follows_file_by_file() {
    let bed = Bed::new();
    let (from, to) = next(&bed);
    // Edits, staged and not, that have nothing to do with the landing stay.
    bed.scratch.write("untouched.txt", "edited\n");
    bed.scratch.write("mine.txt", "staged\n");
    bed.scratch.git(&["add", "mine.txt"]);
    bed.scratch.write("draft.txt", "untracked\n");
    land(&bed, &from, &to).unwrap();
    assert_eq!(bed.scratch.git(&["status", "--porcelain"]), "A  mine.txt\n M untouched.txt\n?? draft.txt");
    assert_eq!(bed.scratch.read("changed.txt"), "2\n");
    assert_eq!(bed.scratch.read("added/deep/new.txt"), "new\n");
    assert!(!bed.scratch.root().join("removed").exists());
    assert!(bed.scratch.root().join("link").is_symlink());
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&bed.scratch.root().join("script").metadata().unwrap().permissions());
    assert_eq!(mode & 0o111, 0o111);
    assert!(bed.scratch.git(&["reflog", "show", "HEAD"]).starts_with(&to.as_str()[..7]));
    // Again, as after a crash between the two: nothing changes.
    wait(bed.lander.follow(&branch("main"), &from, &to)).unwrap();
    assert_eq!(bed.scratch.git(&["status", "--porcelain"]), "A  mine.txt\n M untouched.txt\n?? draft.txt");
    bed.scratch.git(&["stash", "-q"]);
    assert_eq!(bed.scratch.git(&["write-tree"]), bed.scratch.git(&["rev-parse", "main^{tree}"]));
    bed.fsck();
}

#[test]
fn edits_of_what_lands_make_the_landing_wait() {
    let cases: [(&str, Edit); 7] = [
        ("edited", |bed| bed.scratch.write("changed.txt", "mine\n")),
        ("staged", |bed| {
            bed.scratch.write("changed.txt", "mine\n");
            bed.scratch.git(&["add", "changed.txt"]);
        }),
        ("edited and removed by the landing", |bed| bed.scratch.write("removed/only.txt", "mine\n")),
        ("untracked in the way", |bed| bed.scratch.write("added/deep/new.txt", "mine\n")),
        ("a file where a directory comes", |bed| bed.scratch.write("added", "mine\n")),
        ("untracked link in the way", |bed| {
            std::os::unix::fs::symlink("nowhere", bed.scratch.root().join("link")).unwrap();
        }),
        ("ignored file in the way", |bed| {
            std::fs::write(bed.repo.common_dir().join("info/exclude"), "new.txt\n").unwrap();
            bed.scratch.write("added/deep/new.txt", "mine\n");
        }),
    ];
    for (name, edit) in cases {
        let bed = Bed::new();
        let (from, to) = next(&bed);
        edit(&bed);
        let before = bed.scratch.git(&["status", "--porcelain", "-uall"]);
        let reason = land(&bed, &from, &to).expect_err(name);
        assert!(reason.contains(" cannot follow: "), "{name}: {reason}");
        assert_eq!(bed.head(), from, "{name}");
        assert_eq!(bed.scratch.git(&["status", "--porcelain", "-uall"]), before, "{name}");
    }
}

#[test]
fn an_edit_between_look_and_move_is_kept_and_told() {
    let bed = Bed::new();
    let (from, to) = next(&bed);
    bed.scratch.git(&["update-ref", "refs/heads/main", to.as_str(), from.as_str()]);
    bed.scratch.write("changed.txt", "mine\n");
    wait(bed.lander.follow(&branch("main"), &from, &to)).unwrap_err();
    assert_eq!(bed.scratch.read("changed.txt"), "mine\n");
    // The person puts it aside; the landing is completed.
    bed.scratch.write("changed.txt", "1\n");
    wait(bed.lander.follow(&branch("main"), &from, &to)).unwrap();
    assert_eq!(bed.scratch.git(&["status", "--porcelain"]), "");
}

#[test]
fn touched_files_and_moves_that_git_must_make_follow_too() {
    let bed = Bed::new();
    bed.scratch.write("thing", "a file\n");
    let from = Oid::new(bed.scratch.commit("file"));
    bed.scratch.git(&["switch", "-q", "-c", "next"]);
    bed.scratch.git(&["rm", "-q", "thing"]);
    bed.scratch.write("thing/inner.txt", "now a directory\n");
    bed.scratch.write(".gitattributes", "*.txt text\n");
    let to = Oid::new(bed.scratch.commit("directory"));
    bed.scratch.git(&["switch", "-q", "main"]);
    // Same bytes, new stat data.
    std::fs::remove_file(bed.scratch.root().join("thing")).unwrap();
    bed.scratch.write("thing", "a file\n");
    land(&bed, &from, &to).unwrap();
    assert_eq!(bed.scratch.git(&["status", "--porcelain"]), "");
    assert_eq!(bed.scratch.read("thing/inner.txt"), "now a directory\n");
}

#[test]
fn every_checkout_of_the_branch_follows_and_others_do_not() {
    let bed = Bed::new();
    let (from, to) = next(&bed);
    bed.scratch.git(&["switch", "-q", "-c", "elsewhere"]);
    let linked = bed.scratch.outside().join("linked main");
    bed.scratch.git(&["worktree", "add", "-q", linked.to_str().unwrap(), "main"]);
    let target = branch("main");
    write(&linked, "changed.txt", "mine\n");
    let reason = wait(bed.lander.obstacle(&target, &from, &to)).unwrap().unwrap();
    assert!(reason.starts_with(linked.to_str().unwrap()), "{reason}");
    write(&linked, "changed.txt", "1\n");
    land(&bed, &from, &to).unwrap();
    assert_eq!(bed.inside(&linked, &["status", "--porcelain"]), "");
    assert_eq!(read(&linked, "changed.txt"), "2\n");
    assert!(bed.inside(&linked, &["reflog", "show", "HEAD"]).starts_with(&to.as_str()[..7]));
    assert_eq!(bed.scratch.read("changed.txt"), "1\n");
    assert_eq!(bed.scratch.git(&["status", "--porcelain"]), "");
}
