//! What is kept of a worktree that goes away, whatever an agent left in it. Must not assert durations.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

/// A worktree in which an agent worked: `.gitignore` with `*.log` and some files are on main.
fn worked() -> (Bed, WorktreeSpec) {
    let bed = Bed::new();
    bed.scratch.write(".gitignore", "*.log\ntarget/\n");
    bed.scratch.write("tracked.txt", "1\n");
    bed.scratch.commit("files");
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    (bed, spec)
}

impl Bed {
    fn commit_in(&self, spec: &WorktreeSpec, name: &str, more: &[&str]) -> String {
        write(&spec.path, name, &format!("{name}\n"));
        self.inside(&spec.path, &["add", "-A"]);
        self.inside(&spec.path, &[&["commit", "-q", "-m", name], more].concat());
        self.inside(&spec.path, &["rev-parse", "HEAD"])
    }

    /// Whether a commit is reachable from what was rescued.
    fn is_rescued(&self, commit: &str) -> bool {
        let found = self.scratch.git(&["rev-list", "--glob=refs/orchestrate/rescue"]);
        found.lines().any(|line| line == commit)
    }

    fn in_trash(&self, path: &str) -> Option<PathBuf> {
        let trashed = trash::list(&self.repo).unwrap().into_iter().map(|trashed| trashed.path.join(path));
        trashed.into_iter().find(|path| path.symlink_metadata().is_ok())
    }
}

#[test]
fn the_five_ways_in_which_git_worktree_remove_loses_work_lose_none() {
    type Leave = fn(&Bed, &WorktreeSpec);
    let ways: [(&str, Leave); 5] = [
        ("ignored", |_, spec| write(&spec.path, "notes.log", "token\n")),
        ("detached", |bed, spec| {
            bed.inside(&spec.path, &["switch", "-q", "--detach"]);
            write(&spec.path, "file.txt", "token\n");
            bed.inside(&spec.path, &["add", "-A"]);
            bed.inside(&spec.path, &["commit", "-qm", "detached"]);
        }),
        ("assume-unchanged", |bed, spec| {
            bed.inside(&spec.path, &["update-index", "--assume-unchanged", "tracked.txt"]);
            write(&spec.path, "tracked.txt", "token\n");
        }),
        ("untracked that status does not show", |bed, spec| {
            bed.inside(&spec.path, &["config", "status.showUntrackedFiles", "no"]);
            write(&spec.path, "file.txt", "token\n");
        }),
        ("new sources under an ignore rule of their own", |_, spec| {
            write(&spec.path, "new/.gitignore", "*\n");
            write(&spec.path, "new/source.txt", "token\n");
        }),
    ];
    for (way, leave) in ways {
        let (bed, spec) = worked();
        leave(&bed, &spec);
        // Git would destroy it without a question.
        let place = spec.path.to_str().unwrap();
        bed.scratch.git(&["worktree", "unlock", place]);
        let copy = bed.scratch.outside().join("copy");
        assert!(std::process::Command::new("cp").args(["-a", place]).arg(&copy).status().unwrap().success());
        let entry = bed.repo.common_dir().join("worktrees/1.1-first");
        let saved = bed.scratch.outside().join("entry");
        assert!(std::process::Command::new("cp").arg("-a").arg(&entry).arg(&saved).status().unwrap().success());
        bed.scratch.git(&["worktree", "remove", place]);
        std::fs::create_dir_all(entry.parent().unwrap()).unwrap();
        std::fs::rename(saved, entry).unwrap();
        std::fs::create_dir_all(spec.path.parent().unwrap()).unwrap();
        std::fs::rename(copy, &spec.path).unwrap();
        // We do not.
        let retired = bed.retire(&spec, Some(&bed.head()));
        let in_refs = bed.scratch.try_git(&["grep", "-h", "token", retired.rescue.as_deref().unwrap_or("main")]);
        let found = in_refs.stdout == "token\n" || bed.in_trash("notes.log").is_some();
        assert!(found, "{way}: {retired:?} {in_refs:?}");
        assert_eq!(retired.rescue.is_some(), way != "ignored", "{way}: what the project ignores is in the trash only");
        bed.fsck();
    }
}

#[test]
fn commits_that_only_a_reflog_or_an_unfinished_rebase_remembers_are_kept() {
    let (bed, spec) = worked();
    let amended = bed.commit_in(&spec, "one.txt", &[]);
    let _ = bed.commit_in(&spec, "two.txt", &["--amend"]);
    let reset = bed.commit_in(&spec, "three.txt", &[]);
    let reset_too = bed.commit_in(&spec, "four.txt", &[]);
    bed.inside(&spec.path, &["reset", "-q", "--hard", "HEAD~2"]);
    bed.scratch.write("tracked.txt", "main\n");
    bed.scratch.commit("main");
    bed.commit_in(&spec, "five.txt", &[]);
    write(&spec.path, "tracked.txt", "story\n");
    bed.inside(&spec.path, &["commit", "-qam", "conflicts"]);
    let before = bed.inside(&spec.path, &["rev-parse", "HEAD"]);
    write(&spec.path, "one.txt", "autostashed\n");
    assert_eq!(bed.try_inside(&spec.path, &["rebase", "--autostash", "main"]).code, 1);
    let entry = bed.repo.common_dir().join("worktrees/1.1-first");
    let autostash = read(&entry, "rebase-merge/autostash").trim().to_owned();
    let rescue = bed.retire(&spec, Some(&bed.head())).rescue.unwrap();
    for lost in [amended, reset.clone(), reset_too.clone(), autostash.clone()] {
        assert!(bed.is_rescued(&lost), "{lost}");
    }
    // The branch has it still.
    assert_eq!(bed.scratch.git(&["rev-parse", "story/1.1-first"]), before);
    let message = bed.scratch.git(&["log", "-1", "--format=%B", &rescue]);
    assert!(message.starts_with("Work left in 1.1-first\n"), "{message}");
    assert!(message.contains(&format!("{} four.txt", &reset_too[..7])), "{message}");
    assert!(!message.contains(&reset[..7]), "named by its child: {message}");
    assert!(bed.in_trash("1.1-first").is_none());
    bed.fsck();
}

#[test]
fn what_was_amended_away_is_kept_after_a_landing_too_and_nothing_else_is() {
    let (bed, spec) = worked();
    let amended = bed.commit_in(&spec, "one.txt", &[]);
    let tip = bed.commit_in(&spec, "two.txt", &["--amend"]);
    bed.scratch.git(&["merge", "-q", "--no-ff", "story/1.1-first"]);
    let retired = bed.retire(&spec, Some(&bed.head()));
    assert_eq!((retired.branch_deleted, retired.rescue.is_some()), (true, true));
    assert_eq!(bed.scratch.git(&["rev-parse", &retired.rescue.unwrap()]), amended);
    let second = bed.spec("1.2-second");
    bed.prepare(&second).unwrap();
    bed.commit_in(&second, "three.txt", &[]);
    bed.scratch.git(&["merge", "-q", "--no-ff", "story/1.2-second"]);
    assert_eq!(bed.retire(&second, Some(&bed.head())), Retired { rescue: None, branch_deleted: true });
    assert!(!bed.is_rescued(&tip));
}

#[test]
fn a_stash_made_in_a_worktree_is_kept_and_stays_and_nobody_elses_is_touched() {
    let (bed, spec) = worked();
    bed.scratch.write("tracked.txt", "a person's\n");
    bed.scratch.git(&["stash", "-q"]);
    let persons = bed.scratch.git(&["rev-parse", "stash@{0}"]);
    for (text, detached) in [("first", false), ("second", false), ("third", true)] {
        if detached {
            bed.inside(&spec.path, &["switch", "-q", "--detach"]);
        }
        write(&spec.path, "tracked.txt", text);
        write(&spec.path, "new.txt", text);
        bed.inside(&spec.path, &["stash", "-q", "--include-untracked"]);
    }
    let stashes = bed.scratch.git(&["stash", "list", "--format=%H"]);
    assert_eq!(stashes.lines().count(), 4);
    let rescue = bed.retire(&spec, Some(&bed.head())).rescue.unwrap();
    assert_eq!(bed.scratch.git(&["stash", "list", "--format=%H"]), stashes);
    bed.scratch.git(&["stash", "clear"]);
    for stash in stashes.lines() {
        assert_eq!(bed.is_rescued(stash), stash != persons, "{stash}");
    }
    let message = bed.scratch.git(&["log", "-1", "--format=%B", &rescue]);
    assert!(message.contains("WIP on story/1.1-first: "), "{message}");
    bed.fsck();
}

#[test]
fn what_git_cannot_take_is_named_and_stays_in_the_trash() {
    let (bed, spec) = worked();
    let long = format!("{}/{}.txt", "d".repeat(250), "f".repeat(250));
    write(&spec.path, "plain.txt", "plain\n");
    write(&spec.path, &long, "long\n");
    write(&spec.path, "locked/file.txt", "read-only\n");
    write(&spec.path, "other.txt", "somebody else's\n");
    std::fs::File::create(spec.path.join("huge.bin")).unwrap().set_len(2 << 30).unwrap();
    nix::unistd::mkfifo(&spec.path.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(spec.path.join("socket")).unwrap();
    let outside = bed.scratch.outside().join("outside");
    write(&outside, "secret.txt", "outside\n");
    for (name, target) in [("out", outside.to_str().unwrap()), ("up", "../.."), ("dangling", "/nowhere/at/all")] {
        std::os::unix::fs::symlink(target, spec.path.join(name)).unwrap();
    }
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(spec.path.join("other.txt"), Some(65_534), Some(65_534)).unwrap();
    }
    let mode = |path: &str, mode| {
        std::fs::set_permissions(spec.path.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("locked/file.txt", 0o400);
    mode("locked", 0o500);
    let rescue = bed.retire(&spec, Some(&bed.head())).rescue.unwrap();
    let kept = |path: &str| bed.scratch.git(&["show", &format!("{rescue}:{path}")]);
    for (path, content) in
        [("plain.txt", "plain"), (&long, "long"), ("locked/file.txt", "read-only"), ("other.txt", "somebody else's")]
    {
        assert_eq!(kept(path), content);
    }
    assert_eq!(kept("out"), outside.to_str().unwrap());
    let files = bed.scratch.git(&["ls-tree", "-r", "--name-only", &rescue]);
    assert!(!files.contains("secret") && !files.contains("huge") && !files.contains("fifo"), "{files}");
    assert!(bed.scratch.git(&["log", "-1", "--format=%B", &rescue]).contains("In the trash only:\nhuge.bin"));
    for path in ["huge.bin", "fifo", "socket", "out"] {
        assert!(bed.in_trash(path).is_some(), "{path}");
    }
    trash::purge(&bed.repo, 0).unwrap();
    assert_eq!(trash::list(&bed.repo).unwrap(), []);
    assert_eq!(read(&outside, "secret.txt"), "outside\n");
    assert_eq!(bed.scratch.read("tracked.txt"), "1\n");
    bed.fsck();
}

#[test]
fn a_special_file_alone_keeps_the_directory_in_the_trash() {
    let (bed, spec) = worked();
    nix::unistd::mkfifo(&spec.path.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    bed.retire(&spec, Some(&bed.head()));
    assert!(bed.in_trash("fifo").is_some(), "{:?}", trash::list(&bed.repo));
}

#[test]
fn edits_and_commits_in_a_submodule_stay_in_the_trash() {
    let bed = Bed::new();
    let other = Scratch::new();
    let (url, allow) = (other.root(), "protocol.file.allow=always");
    bed.scratch.git(&["-c", allow, "submodule", "--quiet", "add", url.to_str().unwrap(), "sub"]);
    bed.scratch.commit("submodule");
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    bed.inside(&spec.path, &["-c", allow, "submodule", "--quiet", "update", "--init"]);
    write(&spec.path, "sub/README.md", "edited\n");
    let retired = bed.retire(&spec, Some(&bed.head()));
    assert!(retired.branch_deleted);
    let kept = bed.in_trash("sub/README.md").expect("the submodule's files");
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "edited\n");
    assert!(bed.in_trash("modules/sub/HEAD").is_some(), "its repository");
}

#[test]
fn deletions_are_kept_beside_a_nested_repository() {
    let (bed, spec) = worked();
    bed.inside(&spec.path, &["rm", "-q", "tracked.txt"]);
    bed.inside(&spec.path, &["init", "-q", "nested"]);
    write(&spec.path, "nested/file.txt", "nested\n");
    write(&spec.path, "new.txt", "new\n");
    std::fs::remove_file(spec.path.join("README.md")).unwrap();
    let rescue = bed.retire(&spec, Some(&bed.head())).rescue.unwrap();
    let changed = bed.scratch.git(&["diff", "--name-status", "main", &rescue]);
    assert_eq!(changed, "D\tREADME.md\nA\tnew.txt\nD\ttracked.txt");
    assert!(bed.in_trash("nested/file.txt").is_some());
}

#[test]
fn work_is_kept_when_head_names_no_commit() {
    type Leave = fn(&Bed, &WorktreeSpec);
    let ways: [(&str, Leave); 4] = [
        ("unborn", |bed, spec| drop(bed.inside(&spec.path, &["switch", "-q", "--orphan", "fresh"]))),
        ("missing", |bed, _| std::fs::remove_file(bed.repo.common_dir().join("worktrees/1.1-first/HEAD")).unwrap()),
        ("empty", |bed, _| write(bed.repo.common_dir(), "worktrees/1.1-first/HEAD", "")),
        ("deleted", |bed, _| drop(bed.scratch.git(&["update-ref", "-d", "refs/heads/story/1.1-first"]))),
    ];
    for (way, leave) in ways {
        let (bed, spec) = worked();
        let commit = bed.commit_in(&spec, "committed.txt", &[]);
        leave(&bed, &spec);
        write(&spec.path, "left.txt", "left\n");
        let rescue = bed.retire(&spec, Some(&bed.head())).rescue.expect(way);
        assert_eq!(bed.scratch.git(&["show", &format!("{rescue}:left.txt")]), "left", "{way}");
        let branch = bed.scratch.try_git(&["rev-parse", "--verify", "refs/heads/story/1.1-first"]).stdout;
        assert!(bed.is_rescued(&commit) || branch.trim() == commit, "{way}");
        bed.fsck();
    }
}

#[test]
fn ignore_rules_that_landed_are_believed_and_large_hidden_trees_stay_in_the_trash() {
    let (bed, spec) = worked();
    write(&spec.path, "made/.gitignore", "*\n!.gitignore\n");
    bed.inside(&spec.path, &["add", "-f", "made/.gitignore"]);
    bed.inside(&spec.path, &["commit", "-qm", "rules"]);
    write(&spec.path, "made/build.o", "result\n");
    write(&spec.path, "target/cache", "cache\n");
    bed.scratch.git(&["merge", "-q", "story/1.1-first"]);
    assert_eq!(bed.retire(&spec, Some(&bed.head())), Retired { rescue: None, branch_deleted: true });
    assert!(bed.in_trash("made/build.o").is_some());
    let second = bed.spec("1.2-second");
    bed.prepare(&second).unwrap();
    write(&second.path, "packages/.gitignore", "*\n");
    for number in 0..1_100 {
        write(&second.path, &format!("packages/{number}"), "");
    }
    write(&second.path, "small/.gitignore", "*\n");
    write(&second.path, "small/source.txt", "source\n");
    let rescue = bed.retire(&second, Some(&bed.head())).rescue.unwrap();
    let files = bed.scratch.git(&["diff", "--name-only", "main", &rescue]);
    assert_eq!(files, "small/.gitignore\nsmall/source.txt");
    assert!(bed.in_trash("packages/1099").is_some());
}

#[test]
fn trash_is_kept_for_counted_days_whatever_the_clock_says() {
    let bed = Bed::new();
    let thing = bed.scratch.root().join("thing");
    std::fs::write(&thing, "x").unwrap();
    trash::put(&bed.repo, &thing).unwrap().unwrap();
    let file = bed.repo.state_dir().join("counted-time");
    let day = 24 * 60 * 60 * 1000_i64;
    let noted = std::fs::read_to_string(&file).unwrap();
    let words: Vec<&str> = noted.split_whitespace().collect();
    let [_, wall, boot, up] = words[..] else { panic!("{noted}") };
    let (wall, up) = (wall.parse::<i64>().unwrap(), up.parse::<i64>().unwrap());
    // As if the clock had jumped forward by 400 days since, then back.
    for jump in [-400 * day, 400 * day] {
        std::fs::write(&file, format!("0 {} {boot} {up}\n", wall + jump)).unwrap();
        assert_eq!(trash::purge(&bed.repo, trash::KEPT_MILLIS).unwrap(), [], "{jump}");
    }
    // As if thirteen and then fourteen days had been counted.
    for (days, gone) in [(13, 0), (14, 1)] {
        std::fs::write(&file, format!("{} {wall} {boot} {up}\n", days * day)).unwrap();
        assert_eq!(trash::purge(&bed.repo, trash::KEPT_MILLIS).unwrap().len(), gone);
    }
}

#[test]
fn a_branch_whose_objects_were_pruned_is_set_back_and_the_files_are_committed_again() {
    let (bed, spec) = worked();
    let good = bed.commit_in(&spec, "good.txt", &[]);
    let broken = bed.commit_in(&spec, "new.txt", &[]);
    let blob = bed.scratch.git(&["rev-parse", &format!("{broken}:new.txt")]);
    let object = |id: &str| bed.repo.common_dir().join("objects").join(&id[..2]).join(&id[2..]);
    for gone in [broken.as_str(), blob.as_str()] {
        std::fs::remove_file(object(gone)).unwrap();
    }
    assert!(wait(bed.trees.inspect(&spec)).is_err());
    assert!(bed.prepare(&spec).unwrap().adopted);
    assert_eq!(bed.scratch.git(&["rev-parse", "story/1.1-first"]), good);
    assert_eq!(bed.inspect(&spec).dirty, ["new.txt"]);
    let again = bed.commit_all(&spec).unwrap();
    assert_eq!(bed.scratch.git(&["show", &format!("{again}:new.txt")]), "new.txt");
    // Only the index knew it.
    write(&spec.path, "staged.txt", "staged\n");
    bed.inside(&spec.path, &["add", "staged.txt"]);
    let blob = bed.inside(&spec.path, &["rev-parse", ":staged.txt"]);
    std::fs::remove_file(object(&blob)).unwrap();
    bed.prepare(&spec).unwrap();
    let third = bed.commit_all(&spec).unwrap();
    assert_eq!(bed.scratch.git(&["show", &format!("{third}:staged.txt")]), "staged");
}

#[test]
fn a_commit_of_which_a_part_was_pruned_is_made_whole_from_the_files() {
    let (bed, spec) = worked();
    let tip = bed.commit_in(&spec, "new.txt", &[]);
    let object = |id: &str| bed.repo.common_dir().join("objects").join(&id[..2]).join(&id[2..]);
    for part in [format!("{tip}:new.txt"), format!("{tip}^{{tree}}")] {
        let id = bed.scratch.git(&["rev-parse", &part]);
        std::fs::remove_file(object(&id)).unwrap();
        bed.prepare(&spec).unwrap();
        assert_eq!(bed.scratch.git(&["rev-parse", "story/1.1-first"]), tip, "{part}");
        assert_eq!(bed.scratch.git(&["fsck", "--no-dangling"]), "", "{part}");
    }
    assert!(bed.inspect(&spec).dirty.is_empty());
}

#[test]
fn no_rescue_names_a_commit_of_which_a_part_is_gone() {
    let (bed, spec) = worked();
    let tip = bed.commit_in(&spec, "new.txt", &[]);
    let blob = bed.scratch.git(&["rev-parse", &format!("{tip}:new.txt")]);
    std::fs::remove_file(bed.repo.common_dir().join("objects").join(&blob[..2]).join(&blob[2..])).unwrap();
    // The file is another one by now: what it was cannot be made again.
    write(&spec.path, "new.txt", "changed\n");
    bed.prepare(&spec).unwrap();
    let again = bed.commit_all(&spec).unwrap();
    assert_ne!(again.as_str(), tip);
    assert_eq!(bed.scratch.git(&["show", &format!("{again}:new.txt")]), "changed");
    wait(bed.trees.retire(&spec, Some(&again))).unwrap();
    // With the branch its reflog has gone.
    assert_eq!(bed.scratch.git(&["fsck", "--no-dangling"]), "");
}

#[test]
fn what_was_staged_and_then_changed_is_kept_when_the_files_are_committed() {
    let (bed, spec) = worked();
    write(&spec.path, "staged.txt", "staged\n");
    bed.inside(&spec.path, &["add", "staged.txt"]);
    bed.commit_all(&spec).unwrap();
    assert_eq!(bed.rescued(), "", "nothing is lost here");
    write(&spec.path, "staged.txt", "staged again\n");
    bed.inside(&spec.path, &["add", "staged.txt"]);
    write(&spec.path, "staged.txt", "and changed\n");
    let commit = bed.commit_all(&spec).unwrap();
    assert_eq!(bed.scratch.git(&["show", &format!("{commit}:staged.txt")]), "and changed");
    assert_eq!(bed.scratch.git(&["show", &format!("{}:staged.txt", bed.rescued())]), "staged again");
}
