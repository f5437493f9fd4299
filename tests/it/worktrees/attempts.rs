//! Worktrees of attempts: made, adopted, committed, retired.

use super::*;

#[test]
fn a_new_worktree_is_what_git_would_have_made() {
    let bed = Bed::new();
    bed.scratch.write("bin/run", "#!/bin/sh\n");
    bed.scratch.git(&["update-index", "--add", "--chmod=+x", "bin/run"]);
    std::os::unix::fs::symlink("README.md", bed.scratch.root().join("link")).unwrap();
    bed.scratch.write("a b/größe.txt", "x\n");
    bed.scratch.git(&["add", "link", "a b"]);
    bed.scratch.git(&["commit", "-qm", "kinds"]);
    let spec = bed.spec("1.1-first");
    let prepared = bed.prepare(&spec).unwrap();
    assert_eq!((prepared.head.clone(), prepared.adopted, prepared.uv), (bed.head(), false, false));
    let listed = bed.scratch.git(&["worktree", "list", "--porcelain"]);
    let expected = format!(
        "worktree {}\nHEAD {}\nbranch refs/heads/story/1.1-first\nlocked git-orchestrate: 1.1 in run 7",
        spec.path.display(),
        bed.head()
    );
    assert!(listed.ends_with(&expected), "{listed}");
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain=v2", "--ignored"]), "");
    // Stat data of the index is git's own: nothing to refresh, nothing to read again.
    assert_eq!(bed.try_inside(&spec.path, &["diff-files", "--exit-code"]).code, 0);
    assert_eq!(bed.inside(&spec.path, &["ls-files", "-s"]), bed.scratch.git(&["ls-files", "-s"]));
    assert!(spec.path.join("link").is_symlink());
    assert_eq!(bed.inside(&spec.path, &["rev-parse", "--git-common-dir"]), bed.repo.common_dir().display().to_string());
    let state = bed.inspect(&spec);
    assert_eq!((state.head, state.on_branch, state.dirty), (bed.head(), true, Vec::new()));
    assert_eq!(state.tree.as_str(), bed.scratch.git(&["rev-parse", "main^{tree}"]));
    write(&spec.path, "agent.txt", "by an agent\n");
    bed.inside(&spec.path, &["add", "agent.txt"]);
    bed.inside(&spec.path, &["commit", "-qm", "by an agent"]);
    assert!(bed.inside(&spec.path, &["reflog", "show", "HEAD"]).lines().count() == 2);
    bed.fsck();
}

#[test]
fn git_can_repair_move_and_remove_our_worktrees() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    let elsewhere = bed.scratch.outside().join("moved");
    std::fs::rename(&spec.path, &elsewhere).unwrap();
    bed.scratch.git(&["worktree", "repair", elsewhere.to_str().unwrap()]);
    assert_eq!(bed.inside(&elsewhere, &["status", "--porcelain"]), "");
    bed.scratch.git(&["worktree", "unlock", elsewhere.to_str().unwrap()]);
    bed.scratch.git(&["worktree", "remove", elsewhere.to_str().unwrap()]);
    assert_eq!(bed.scratch.git(&["worktree", "list"]).lines().count(), 1);
}

/// Makes and retires `count` worktrees, each by an orchestrator of its own as far as locks and refs go, all at once.
fn at_once(bed: &Bed, round: usize, count: usize) {
    let specs: Vec<_> = (0..count).map(|number| bed.spec(&format!("{round}.{number}-story"))).collect();
    let barrier = std::sync::Barrier::new(count);
    let all = |work: &(dyn Fn(&GitWorktrees, &WorktreeSpec) -> Result<(), String> + Sync)| {
        std::thread::scope(|scope| {
            let one = |spec| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let repo = Repo::discover(&bed.scratch.root()).unwrap();
                    let trees = GitWorktrees::new(&repo, Arc::new(Mutex::new(RefWriter::new(&repo))));
                    barrier.wait();
                    work(&trees, spec)
                })
            };
            let ended: Vec<_> = specs.iter().map(one).collect();
            let failures: Vec<_> = ended.into_iter().filter_map(|ended| ended.join().unwrap().err()).collect();
            assert_eq!(failures, Vec::<String>::new(), "round {round}");
        });
    };
    all(&|trees, spec| wait(trees.prepare(spec)).map(drop).map_err(|error| format!("{error:?}")));
    let listed = bed.scratch.git(&["worktree", "list", "--porcelain"]);
    assert_eq!(listed.matches("\nlocked git-orchestrate").count(), count);
    for spec in specs.iter().step_by(count / 4) {
        assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "");
    }
    let head = bed.head();
    all(&|trees, spec| {
        let retired = wait(trees.retire(spec, Some(&head))).map_err(|error| format!("{error:?}"))?;
        if retired == (Retired { rescue: None, branch_deleted: true }) { Ok(()) } else { Err(format!("{retired:?}")) }
    });
    assert_eq!(bed.scratch.git(&["worktree", "list"]).lines().count(), 1);
}

fn bed_with_files() -> Bed {
    let bed = Bed::new();
    for number in 0..40 {
        bed.scratch.write(&format!("src/{number}.txt"), format!("{number}\n"));
    }
    bed.scratch.commit("files");
    bed
}

#[test]
fn eight_at_once_are_all_made_and_all_go() {
    let bed = bed_with_files();
    at_once(&bed, 0, 8);
    assert!(!bed.scratch.root().join(".worktrees").exists());
    assert_eq!(trash::list(&bed.repo).unwrap(), []);
    bed.fsck();
}

#[test]
#[ignore = "battery"]
fn sixty_four_at_once_never_fail_in_ten_rounds() {
    let bed = bed_with_files();
    for round in 0..10 {
        at_once(&bed, round, 64);
        crate::faults::note("worktrees", &format!("64 at once, round {round}"), "0 failures");
    }
    bed.fsck();
}

#[test]
fn what_an_earlier_attempt_left_is_adopted_as_it_is() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    write(&spec.path, "committed.txt", "1\n");
    bed.inside(&spec.path, &["add", "."]);
    bed.inside(&spec.path, &["commit", "-qm", "one"]);
    write(&spec.path, "README.md", "edited\n");
    write(&spec.path, "new.txt", "new\n");
    let tip = Oid::new(bed.inside(&spec.path, &["rev-parse", "HEAD"]));
    bed.scratch.commit("main moves on");
    let again = WorktreeSpec { start: bed.head(), ..spec.clone() };
    let prepared = bed.prepare(&again).unwrap();
    assert_eq!((prepared.head, prepared.adopted), (tip, true));
    assert_eq!(bed.inspect(&spec).dirty, ["README.md", "new.txt"]);
    assert_eq!(read(&spec.path, "README.md"), "edited\n");
}

#[test]
fn a_branch_without_its_directory_gets_one_again() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    write(&spec.path, "kept.txt", "kept\n");
    let kept = bed.commit_all(&spec).unwrap();
    std::fs::remove_dir_all(&spec.path).unwrap();
    let prepared = bed.prepare(&spec).unwrap();
    assert_eq!((prepared.head, prepared.adopted), (kept, false));
    assert_eq!(read(&spec.path, "kept.txt"), "kept\n");
    assert_eq!(bed.scratch.git(&["worktree", "list"]).lines().count(), 2);
    // And from another place, when the folder of worktrees was changed.
    std::fs::remove_dir_all(&spec.path).unwrap();
    let moved = WorktreeSpec { path: bed.scratch.outside().join("elsewhere/1.1-first"), ..spec };
    bed.prepare(&moved).unwrap();
    assert_eq!(read(&moved.path, "kept.txt"), "kept\n");
    assert_eq!(bed.scratch.git(&["worktree", "list"]).lines().count(), 2);
}

#[test]
fn half_made_entries_are_set_aside() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    let entry = bed.repo.common_dir().join("worktrees/1.1-first");
    // As git leaves it when killed early: it stops `worktree list` in the whole repository.
    std::fs::create_dir_all(&entry).unwrap();
    std::fs::write(entry.join("commondir"), "").unwrap();
    std::fs::write(entry.join("locked"), "initializing").unwrap();
    bed.prepare(&spec).unwrap();
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "");
    // Killed while files were written: no index yet.
    std::fs::remove_file(entry.join("index")).unwrap();
    std::fs::remove_file(spec.path.join("README.md")).unwrap();
    let prepared = bed.prepare(&spec).unwrap();
    assert!(!prepared.adopted);
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "");
    // The record is gone, the directory is there, with work in it.
    write(&spec.path, "work.txt", "work\n");
    std::fs::remove_dir_all(&entry).unwrap();
    bed.prepare(&spec).unwrap();
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "");
    let kept = trash::list(&bed.repo).unwrap();
    assert!(kept.iter().any(|trashed| trashed.path.join("work.txt").is_file()), "{kept:?}");
    assert_eq!(bed.scratch.git(&["worktree", "list"]).lines().count(), 2);
    bed.fsck();
}

#[test]
fn a_place_whose_git_file_was_cut_short_is_set_aside() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    // Killed while the `.git` file of a kept worktree was written over: empty, and no record yet.
    write(&spec.path, ".git", "");
    write(&spec.path, "kept.txt", "kept\n");
    bed.prepare(&spec).unwrap();
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "");
    let kept = trash::list(&bed.repo).unwrap();
    assert!(kept.iter().any(|trashed| trashed.path.join("kept.txt").is_file()), "{kept:?}");
}

#[test]
fn a_lost_git_file_is_written_again() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    write(&spec.path, "work.txt", "work\n");
    std::fs::remove_file(spec.path.join(".git")).unwrap();
    assert!(bed.prepare(&spec).unwrap().adopted);
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "?? work.txt");
}

#[test]
fn a_branch_that_is_checked_out_elsewhere_and_a_place_that_is_taken_are_errors() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    bed.scratch.git(&["branch", "story/1.1-first"]);
    let elsewhere = bed.scratch.outside().join("mine");
    bed.scratch.git(&["worktree", "add", "-q", elsewhere.to_str().unwrap(), "story/1.1-first"]);
    let error = bed.prepare(&spec).unwrap_err();
    assert_eq!(error.message, format!("story/1.1-first is checked out at {}", elsewhere.display()));
    assert!(!spec.path.exists());
    let own = WorktreeSpec { branch: branch("main"), ..spec.clone() };
    assert!(bed.prepare(&own).unwrap_err().message.starts_with("main is checked out at "));
    let other = bed.spec("1.2-second");
    write(&other.path, "notes.txt", "somebody's\n");
    let error = bed.prepare(&other).unwrap_err();
    assert!(error.message.contains("is in the way"), "{}", error.message);
    assert_eq!(read(&other.path, "notes.txt"), "somebody's\n");
    let bad = WorktreeSpec { branch: BranchRef::new("refs/heads/story/..x"), ..bed.spec("1.3-x") };
    assert!(bed.prepare(&bad).unwrap_err().message.contains("is no branch name"));
}

#[test]
fn names_with_spaces_and_unicode_work_throughout() {
    let bed = Bed::new();
    bed.scratch.write("docs/ein schöner Name.md", "x\n");
    bed.scratch.commit("names");
    let mut spec = bed.spec("1.1 größe");
    spec.branch = branch("story/1.1-größe");
    bed.prepare(&spec).unwrap();
    write(&spec.path, "neu – ü.txt", "x\n");
    assert_eq!(bed.inspect(&spec).dirty, ["neu – ü.txt"]);
    assert!(bed.commit_all(&spec).is_some());
    write(&spec.path, "mehr ü.txt", "x\n");
    let retired = bed.retire(&spec, None);
    assert_eq!(retired.rescue.as_deref(), Some("refs/orchestrate/rescue/1.1-gr--e-1"));
    assert_eq!(bed.scratch.git(&["show", "refs/orchestrate/rescue/1.1-gr--e-1:mehr ü.txt"]), "x");
    bed.fsck();
}

#[test]
fn a_repository_with_converted_line_ends_stays_clean() {
    let bed = Bed::new();
    bed.scratch.git(&["config", "core.autocrlf", "true"]);
    bed.scratch.write(".gitattributes", "*.sh text eol=lf\n*.bat text eol=crlf\n");
    bed.scratch.write("a.txt", "one\r\ntwo\r\n");
    bed.scratch.write("run.sh", "one\n");
    bed.scratch.write("run.bat", "one\r\n");
    bed.scratch.commit("lines");
    let bed = Bed::of(bed.scratch);
    let spec = bed.spec("1.1-lines");
    bed.prepare(&spec).unwrap();
    assert_eq!(read(&spec.path, "a.txt"), "one\r\ntwo\r\n");
    assert_eq!(read(&spec.path, "run.sh"), "one\n");
    assert_eq!(read(&spec.path, "run.bat"), "one\r\n");
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "");
    assert_eq!(bed.inspect(&spec).dirty, Vec::<String>::new());
    write(&spec.path, "a.txt", "one\r\ntwo\r\nthree\r\n");
    let commit = bed.commit_all(&spec).unwrap();
    assert_eq!(bed.scratch.git(&["cat-file", "blob", &format!("{commit}:a.txt")]), "one\ntwo\nthree");
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "");
    let target = branch("main");
    let (from, to) = (bed.head(), commit);
    assert_eq!(wait(bed.lander.obstacle(&target, &from, &to)).unwrap(), None);
    bed.scratch.git(&["update-ref", "refs/heads/main", to.as_str(), from.as_str()]);
    wait(bed.lander.follow(&target, &from, &to)).unwrap();
    assert_eq!(bed.scratch.git(&["status", "--porcelain"]), "");
    assert_eq!(bed.scratch.read("a.txt"), "one\r\ntwo\r\nthree\r\n");
}

#[test]
fn a_submodule_does_not_break_anything() {
    let bed = Bed::new();
    let other = Scratch::new();
    let url = other.root();
    bed.scratch.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", url.to_str().unwrap(), "sub"]);
    bed.scratch.commit("submodule");
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "");
    assert_eq!(bed.inspect(&spec).dirty, Vec::<String>::new());
    write(&spec.path, "a.txt", "a\n");
    let commit = bed.commit_all(&spec).unwrap();
    let changed = bed.scratch.git(&["diff", "--name-only", "main", commit.as_str()]);
    assert_eq!(changed, "a.txt");
    assert_eq!(bed.retire(&spec, Some(&commit)), Retired { rescue: None, branch_deleted: true });
    assert_eq!(trash::list(&bed.repo).unwrap(), []);
}

#[test]
fn included_files_are_ignored_ones_that_match_and_nothing_else() {
    let bed = Bed::new();
    let outside = bed.scratch.outside().join("secret");
    std::fs::write(&outside, "outside\n").unwrap();
    bed.scratch.write(".gitignore", ".env*\nlocal/\nnode_modules/\n*.link\n.worktrees/\n");
    bed.scratch
        .write(".worktreeinclude", "# what agents need\n.env\nlocal/\n!local/big.bin\n*.link\nREADME.md\nnotes.txt\n");
    bed.scratch.git(&["add", ".gitignore", ".worktreeinclude"]);
    bed.scratch.git(&["commit", "-qm", "rules"]);
    bed.scratch.write(".env", "KEY=1\n");
    bed.scratch.write(".env.prod", "KEY=2\n");
    bed.scratch.write("app/.env", "KEY=3\n");
    bed.scratch.write("local/deep/file", "x\n");
    bed.scratch.write("local/big.bin", "x\n");
    bed.scratch.write("node_modules/m.js", "x\n");
    bed.scratch.write("notes.txt", "untracked but not ignored\n");
    std::os::unix::fs::symlink(&outside, bed.scratch.root().join("out.link")).unwrap();
    std::os::unix::fs::symlink("README.md", bed.scratch.root().join("in.link")).unwrap();
    let spec = bed.spec("1.1-first");
    let prepared = bed.prepare(&spec).unwrap();
    assert_eq!(prepared.copied, [".env", "app/.env", "in.link", "local/deep/file"]);
    assert_eq!(read(&spec.path, "app/.env"), "KEY=3\n");
    assert!(spec.path.join("out.link").symlink_metadata().is_err());
    write(&spec.path, ".env", "KEY=agent\n");
    std::fs::remove_file(spec.path.join("app/.env")).unwrap();
    assert_eq!(bed.prepare(&spec).unwrap().copied, ["app/.env"]);
    assert_eq!(read(&spec.path, ".env"), "KEY=agent\n");
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "");
    // Copies of what the main work tree has are no leftovers; what the agent changed is.
    write(&spec.path, ".env", "KEY=1\n");
    bed.retire(&spec, Some(&bed.head()));
    assert_eq!(trash::list(&bed.repo).unwrap(), []);
}

#[test]
fn inspecting_shows_everything_that_a_commit_would_take() {
    let bed = Bed::new();
    bed.scratch.write(".gitignore", "*.log\n");
    for name in ["edited", "deleted", "staged", "hidden", "mode"] {
        bed.scratch.write(name, "1\n");
    }
    bed.scratch.commit("files");
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    bed.inside(&spec.path, &["config", "status.showUntrackedFiles", "no"]);
    bed.inside(&spec.path, &["update-index", "--assume-unchanged", "hidden"]);
    for name in ["edited", "staged", "hidden", "dir/new", "noise.log"] {
        write(&spec.path, name, "2\n");
    }
    bed.inside(&spec.path, &["add", "staged"]);
    bed.inside(&spec.path, &["update-index", "--chmod=+x", "mode"]);
    std::fs::remove_file(spec.path.join("deleted")).unwrap();
    assert_eq!(bed.inspect(&spec).dirty, ["deleted", "dir/new", "edited", "hidden", "mode", "staged"]);
    let commit = bed.commit_all(&spec).unwrap();
    let changed = bed.scratch.git(&["diff", "--name-only", "main", commit.as_str()]);
    assert_eq!(changed.lines().collect::<Vec<_>>(), ["deleted", "dir/new", "edited", "hidden", "staged"]);
    assert_eq!(bed.inspect(&spec).dirty, Vec::<String>::new());
    assert_eq!(bed.commit_all(&spec), None);
    let who = bed.scratch.git(&["log", "-1", "--format=%an <%ae> %cn %s", commit.as_str()]);
    assert_eq!(who, format!("{AGENT} git-orchestrate 1.1: work"));
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain", "-uall"]), "");
    assert!(bed.inside(&spec.path, &["reflog", "show", "HEAD"]).starts_with(&commit.as_str()[..7]));
    bed.fsck();
}

#[test]
fn nothing_that_a_worktree_names_is_run() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    let trap = bed.scratch.outside().join("ran");
    let program = bed.scratch.outside().join("trap.sh");
    std::fs::write(&program, format!("#!/bin/sh\necho ran >> {}\n", trap.display())).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // A: the .git file leads to a repository of the agent's. C: a nested repository. Hooks in the shared directory.
    let evil = bed.scratch.outside().join("evil");
    for dir in [evil.clone(), spec.path.join("nested")] {
        bed.scratch.git(&["init", "-q", dir.to_str().unwrap()]);
        bed.inside(&dir, &["config", "core.fsmonitor", program.to_str().unwrap()]);
    }
    std::fs::copy(&program, bed.repo.common_dir().join("hooks/reference-transaction")).unwrap();
    write(&spec.path, ".git", &format!("gitdir: {}\n", evil.join(".git").display()));
    write(&spec.path, "work.txt", "work\n");
    assert_eq!(bed.inspect(&spec).dirty, ["nested", "work.txt"]);
    let commit = bed.commit_all(&spec).unwrap();
    assert_eq!(bed.scratch.git(&["diff", "--name-only", "main", commit.as_str()]), "work.txt");
    bed.retire(&spec, None);
    assert!(!trap.exists(), "{}", std::fs::read_to_string(&trap).unwrap_or_default());
    // The nested repository is in no commit of ours, so it stays in the trash.
    assert!(trash::list(&bed.repo).unwrap().iter().any(|trashed| trashed.path.join("nested/.git").is_dir()));
}

#[test]
fn a_merge_the_agent_left_is_committed_with_both_parents() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    write(&spec.path, "README.md", "story\n");
    let ours = bed.commit_all(&spec).unwrap();
    bed.scratch.write("README.md", "main\n");
    let theirs = bed.scratch.commit("main");
    assert_eq!(bed.try_inside(&spec.path, &["merge", "main"]).code, 1);
    let error = wait(bed.trees.commit_all(&spec, "m", AGENT)).unwrap_err();
    assert_eq!(error.message, "unresolved conflict in README.md");
    write(&spec.path, "README.md", "both\n");
    let merged = bed.commit_all(&spec).unwrap();
    let parents = bed.scratch.git(&["log", "-1", "--format=%P", merged.as_str()]);
    assert_eq!(parents, format!("{ours} {theirs}"));
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "");
    assert!(!bed.inside(&spec.path, &["status"]).contains("merging"));
}

#[test]
fn off_its_branch_a_worktree_is_shown_and_not_committed() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    bed.inside(&spec.path, &["switch", "-q", "--detach"]);
    write(&spec.path, "a.txt", "a\n");
    assert!(!bed.inspect(&spec).on_branch);
    let error = wait(bed.trees.commit_all(&spec, "m", AGENT)).unwrap_err();
    assert!(error.message.ends_with("is not on story/1.1-first"), "{}", error.message);
    std::fs::remove_dir_all(&spec.path).unwrap();
    let error = wait(bed.trees.inspect(&spec)).unwrap_err();
    assert!(error.message.ends_with("is gone"), "{}", error.message);
}

#[test]
fn retiring_keeps_what_git_worktree_remove_destroys() {
    let bed = Bed::new();
    bed.scratch.write("hidden.txt", "1\n");
    bed.scratch.commit("files");
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    bed.inside(&spec.path, &["config", "status.showUntrackedFiles", "no"]);
    bed.inside(&spec.path, &["switch", "-q", "--detach"]);
    write(&spec.path, "detached.txt", "on no branch\n");
    bed.inside(&spec.path, &["add", "detached.txt"]);
    bed.inside(&spec.path, &["commit", "-qm", "on a detached HEAD"]);
    bed.inside(&spec.path, &["update-index", "--assume-unchanged", "hidden.txt"]);
    write(&spec.path, "hidden.txt", "edited\n");
    write(&spec.path, "README.md", "modified\n");
    write(&spec.path, "untracked.txt", "untracked\n");
    write(&spec.path, "staged.txt", "staged\n");
    bed.inside(&spec.path, &["add", "staged.txt"]);
    write(&spec.path, "staged.txt", "edited after staging\n");
    write(&spec.path, "out/.gitignore", "*\n");
    write(&spec.path, "out/source.txt", "ignored source\n");
    let retired = bed.retire(&spec, Some(&bed.head()));
    let rescue = retired.rescue.unwrap();
    assert_eq!(rescue, "refs/orchestrate/rescue/1.1-first-1");
    let kept = |path: &str| bed.scratch.git(&["show", &format!("{rescue}:{path}")]);
    assert_eq!(kept("detached.txt"), "on no branch");
    assert_eq!(kept("hidden.txt"), "edited");
    assert_eq!(kept("README.md"), "modified");
    assert_eq!(kept("untracked.txt"), "untracked");
    assert_eq!(kept("staged.txt"), "edited after staging");
    assert_eq!(bed.scratch.git(&["show", &format!("{rescue}^2:staged.txt")]), "staged");
    assert_eq!(bed.scratch.git(&["log", "-1", "--format=%s", &format!("{rescue}^1")]), "on a detached HEAD");
    assert_eq!(kept("out/source.txt"), "ignored source");
    let trashed = trash::list(&bed.repo).unwrap();
    assert!(trashed.iter().any(|trashed| trashed.path.join("out/source.txt").is_file()), "{trashed:?}");
    assert!(!spec.path.exists());
    assert_eq!(bed.scratch.git(&["worktree", "list"]).lines().count(), 1);
    assert_eq!(bed.retire(&spec, Some(&bed.head())), Retired::default());
    assert_eq!(bed.rescued(), rescue);
    bed.fsck();
    assert_eq!(trash::purge(&bed.repo, trash::KEPT_MILLIS).unwrap(), []);
    let gone: Vec<_> = trash::purge(&bed.repo, 0).unwrap().into_iter().map(|gone| gone.name).collect();
    assert_eq!(gone, trashed.into_iter().map(|trashed| trashed.name).collect::<Vec<_>>());
    assert_eq!(trash::list(&bed.repo).unwrap(), []);
}

#[test]
fn a_merge_in_progress_is_rescued_with_both_sides() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    write(&spec.path, "README.md", "story\n");
    let ours = bed.commit_all(&spec).unwrap();
    bed.scratch.write("README.md", "main\n");
    let theirs = bed.scratch.commit("main");
    assert_eq!(bed.try_inside(&spec.path, &["merge", "main"]).code, 1);
    assert_eq!(bed.inspect(&spec).dirty, ["README.md"]);
    let rescue = bed.retire(&spec, Some(&bed.head())).rescue.unwrap();
    assert_eq!(bed.scratch.git(&["log", "-1", "--format=%P", &rescue]), format!("{ours} {theirs}"));
    assert!(bed.scratch.git(&["show", &format!("{rescue}:README.md")]).contains("<<<<<<<"));
    assert_eq!(bed.scratch.git(&["rev-parse", "story/1.1-first"]), ours.as_str());
    bed.fsck();
}

#[test]
fn an_unmerged_branch_stays_and_is_rescued_once() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    write(&spec.path, "a.txt", "a\n");
    let tip = bed.commit_all(&spec).unwrap();
    let expected = Retired { rescue: Some("refs/orchestrate/rescue/1.1-first-1".to_owned()), branch_deleted: false };
    assert_eq!(bed.retire(&spec, Some(&bed.head())), expected);
    assert_eq!(bed.retire(&spec, Some(&bed.head())), expected);
    assert_eq!(bed.scratch.git(&["rev-parse", "story/1.1-first"]), tip.as_str());
    assert_eq!(bed.rescued(), "refs/orchestrate/rescue/1.1-first-1");
    bed.scratch.git(&["merge", "-q", "story/1.1-first"]);
    assert_eq!(bed.retire(&spec, Some(&bed.head())), Retired { rescue: None, branch_deleted: true });
}

#[test]
fn a_worktree_for_checks_moves_from_commit_to_commit() {
    let bed = Bed::new();
    bed.scratch.write(".gitignore", "target/\n");
    bed.scratch.write("old.txt", "old\n");
    let one = Oid::new(bed.scratch.commit("one"));
    std::fs::remove_file(bed.scratch.root().join("old.txt")).unwrap();
    bed.scratch.write("new/a.txt", "new\n");
    bed.scratch.write("README.md", "two\n");
    let two = Oid::new(bed.scratch.commit("two"));
    let path = bed.scratch.root().join(".worktrees/checks-1");
    wait(bed.trees.check_out(&one, &path)).unwrap();
    assert_eq!(bed.inside(&path, &["rev-parse", "--abbrev-ref", "HEAD"]), "HEAD");
    write(&path, "target/cache", "warm\n");
    write(&path, "left/over.txt", "by a check\n");
    write(&path, "README.md", "edited by a check\n");
    for commit in [&two, &two, &one] {
        wait(bed.trees.check_out(commit, &path)).unwrap();
        assert_eq!(bed.inside(&path, &["rev-parse", "HEAD"]), commit.as_str());
        assert_eq!(bed.inside(&path, &["status", "--porcelain"]), "");
        assert_eq!(read(&path, "target/cache"), "warm\n");
        assert!(!path.join("left").exists() || path.join("left").read_dir().unwrap().next().is_none());
    }
    assert_eq!(read(&path, "old.txt"), "old\n");
    assert!(!path.join("new").exists());
    let kept = trash::list(&bed.repo).unwrap();
    assert_eq!(read(&kept[0].path, "left/over.txt"), "by a check\n");
    assert_eq!(read(&kept[0].path, "README.md"), "edited by a check\n");
}

#[test]
fn the_registry_lock_excludes_others() {
    use nix::fcntl::{Flock, FlockArg};
    let bed = Bed::new();
    let held = RegistryLock::acquire(&bed.repo).unwrap();
    let open = || std::fs::File::open(bed.repo.state_dir().join("worktrees.lock")).unwrap();
    assert!(Flock::lock(open(), FlockArg::LockSharedNonblock).is_err());
    drop(held);
    assert!(Flock::lock(open(), FlockArg::LockSharedNonblock).is_ok());
}

#[test]
fn the_hooks_path_of_a_worktree_configuration_is_handed_on() {
    let bed = Bed::new();
    bed.scratch.git(&["config", "extensions.worktreeConfig", "true"]);
    bed.scratch.git(&["config", "--worktree", "core.hooksPath", "/somewhere/hooks"]);
    bed.scratch.git(&["config", "--worktree", "core.bare", "false"]);
    let bed = Bed::of(bed.scratch);
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    assert_eq!(bed.inside(&spec.path, &["config", "core.hooksPath"]), "/somewhere/hooks");
    assert_eq!(bed.try_inside(&spec.path, &["config", "--worktree", "core.bare"]).code, 1);
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "");
}

#[test]
fn a_clean_worktree_is_used_again_and_a_touched_one_is_not() {
    use std::os::unix::fs::MetadataExt;
    let bed = Bed::new();
    bed.scratch.write("stays.txt", "1\n");
    bed.scratch.write("goes.txt", "1\n");
    bed.scratch.commit("files");
    let inode = |spec: &WorktreeSpec| spec.path.join("stays.txt").metadata().unwrap().ino();
    let (first, second) = (bed.spec("1.1-first"), bed.spec("1.2-second"));
    bed.prepare(&first).unwrap();
    let made = inode(&first);
    bed.retire(&first, Some(&bed.head()));
    bed.scratch.git(&["rm", "-q", "goes.txt"]);
    bed.scratch.write("comes/new.txt", "new\n");
    bed.scratch.write("README.md", "other\n");
    bed.scratch.commit("moved");
    let second = WorktreeSpec { start: bed.head(), ..second };
    bed.prepare(&second).unwrap();
    assert_eq!(inode(&second), made);
    assert_eq!(bed.inside(&second.path, &["status", "--porcelain=v2", "--ignored"]), "");
    assert_eq!(bed.inside(&second.path, &["rev-parse", "HEAD"]), bed.head().as_str());
    assert_eq!(bed.inside(&second.path, &["write-tree"]), bed.scratch.git(&["rev-parse", "main^{tree}"]));
    assert_eq!((read(&second.path, "README.md"), second.path.join("goes.txt").exists()), ("other\n".to_owned(), false));
    bed.retire(&second, Some(&bed.head()));
    // A process that outlived its attempt writes into it.
    let slot = bed.repo.state_dir().join("pool").read_dir().unwrap().next().unwrap().unwrap().path();
    write(&slot.join("files"), "stays.txt", "smuggled\n");
    write(&slot.join("files"), "extra.txt", "smuggled\n");
    bed.prepare(&second).unwrap();
    assert_eq!(read(&second.path, "stays.txt"), "1\n");
    assert_eq!(bed.inside(&second.path, &["status", "--porcelain=v2", "--ignored"]), "");
    // An empty directory or an ignored file is not handed on either.
    std::fs::create_dir(second.path.join("empty")).unwrap();
    bed.retire(&second, Some(&bed.head()));
    let pool = bed.repo.state_dir().join("pool");
    assert!(pool.read_dir().map_or(0, Iterator::count) == 0);
    let pool_of = || pool.exists();
    bed.prepare(&second).unwrap();
    bed.retire(&second, Some(&bed.head()));
    assert!(pool_of());
    drop(bed.trees);
    assert!(!pool.exists());
}

#[test]
fn many_stories_take_kept_worktrees_at_the_same_time() {
    let bed = Bed::new();
    let specs = || -> Vec<WorktreeSpec> { (0..8).map(|number| bed.spec(&format!("1.{number}-story"))).collect() };
    for spec in &specs() {
        bed.prepare(spec).unwrap();
    }
    for spec in &specs() {
        bed.retire(spec, Some(&bed.head()));
    }
    for round in 0..10 {
        // The kept ones have files to change.
        bed.scratch.write("round.txt", round.to_string());
        bed.scratch.commit("round");
        let specs = specs();
        // Each thread takes one out of the pool while the others look into it.
        let barrier = std::sync::Barrier::new(specs.len());
        std::thread::scope(|scope| {
            let one = |spec: &WorktreeSpec| {
                let trees = bed.trees.clone();
                let (spec, barrier) = (spec.clone(), &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    wait(trees.prepare(&spec)).map(drop).map_err(|error| format!("{error:?}"))
                })
            };
            let all: Vec<_> = specs.iter().map(one).collect();
            for ended in all {
                assert_eq!(ended.join().unwrap(), Ok(()));
            }
        });
        for spec in &specs {
            assert_eq!(bed.inside(&spec.path, &["status", "--porcelain=v2", "--ignored"]), "");
            bed.retire(spec, Some(&bed.head()));
        }
    }
}
