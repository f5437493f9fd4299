//! Installing the hooks beside other people's, taking them away again, and `doctor`: with stand-ins for hook managers on the
//! git of this machine; `managers` has the real ones, `configured` a git of 2.54 or newer.

mod configured;
mod doctor;
mod managers;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::support::{Ran, Scratch, run};

/// Notes each hook that runs, with its arguments and what it read, in `log` outside the repository.
const NOTE: &str = "#!/bin/sh\nprintf '%s|%s|%s|' \"$0\" \"$*\" \"$PWD\" >> \"$HOME/log\"\n\
                    [ \"${0##*/}\" != pre-push ] || cat >> \"$HOME/log\"\necho >> \"$HOME/log\"\n";

/// Everything that `init` may touch and `init --uninstall` has to put back: configuration, hooks, our folder.
pub(super) fn snapshot(scratch: &Scratch) -> BTreeMap<String, String> {
    let git = scratch.root().join(".git");
    let mut found = BTreeMap::new();
    let mut folders = vec![git.join("hooks"), git.join("orchestrate")];
    while let Some(folder) = folders.pop() {
        found.extend(folder.is_dir().then(|| (folder.display().to_string(), "folder".to_owned())));
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
                continue;
            }
            let mode = path.symlink_metadata().unwrap().permissions().mode();
            let what = match path.read_link() {
                Ok(target) => target.display().to_string(),
                Err(_) => String::from_utf8(std::fs::read(&path).unwrap()).unwrap(),
            };
            found.insert(path.display().to_string(), format!("{mode:o} {what}"));
        }
    }
    let worktrees = std::fs::read_dir(git.join("worktrees")).into_iter().flatten().flatten();
    let configs = worktrees.map(|entry| entry.path().join("config.worktree"));
    for path in configs.chain([git.join("config"), git.join("config.worktree")]) {
        if let Ok(bytes) = std::fs::read(&path) {
            let mode = path.metadata().unwrap().permissions().mode();
            found.insert(path.display().to_string(), format!("{mode:o} {}", String::from_utf8(bytes).unwrap()));
        }
    }
    found
}

/// A hook that notes its calls.
pub(super) fn put_hook(folder: &Path, name: &str, text: &str) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join(name), text).unwrap();
    std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
}

pub(super) fn init(scratch: &Scratch) -> Ran {
    let ran = scratch.orchestrate(&["init"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran
}

/// Names of the hooks that noted a call since the last time.
pub(super) fn noted(scratch: &Scratch) -> Vec<String> {
    let path = scratch.outside().join("log");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    drop(std::fs::remove_file(path));
    text.lines().map(str::to_owned).collect()
}

pub(super) fn all_is_well(scratch: &Scratch) {
    let ran = scratch.orchestrate(&["doctor"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 1), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("the gate is in force"), "{}", ran.stdout);
}

/// Puts a story branch ahead of main without running any hook for it.
pub(super) fn story(scratch: &Scratch) {
    let tree = scratch.git(&["rev-parse", "main^{tree}"]);
    let commit = scratch.git(&["commit-tree", &tree, "-p", "main", "-m", "work of a story"]);
    scratch.git(&["update-ref", "refs/heads/story/1.1-a", &commit]);
}

/// The gate refuses to move main onto a story in a worktree; in the main one when `place` is `.`.
pub(super) fn assert_guarded(scratch: &Scratch, place: &str) {
    let before = scratch.git(&["rev-parse", "main"]);
    let ran = scratch.try_git(&["-C", place, "update-ref", "refs/heads/main", "story/1.1-a"]);
    assert_ne!(ran.code, 0, "main moved in {place}");
    assert!(ran.stderr.contains("git-orchestrate: refused: refs/heads/main"), "{}", ran.stderr);
    assert_eq!(scratch.git(&["rev-parse", "main"]), before);
}

/// `init` again changes nothing, and `--uninstall` leaves what was there before.
pub(super) fn assert_undone(scratch: &Scratch, before: &BTreeMap<String, String>) {
    let installed = snapshot(scratch);
    let again = init(scratch);
    assert!(again.stderr.contains("the hooks are installed already"), "{}", again.stderr);
    assert_eq!(snapshot(scratch).keys().collect::<Vec<_>>(), installed.keys().collect::<Vec<_>>());
    let ran = scratch.orchestrate(&["init", "--uninstall"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(snapshot(scratch), *before);
}

/// A repository as husky 9 leaves it: a relative hooks path to generated stubs, which run the scripts beside their folder.
fn like_husky() -> Scratch {
    let scratch = Scratch::new();
    let stubs = scratch.root().join(".husky/_");
    for name in ["pre-commit", "commit-msg", "prepare-commit-msg", "pre-push", "pre-merge-commit", "post-commit"] {
        put_hook(&stubs, name, "#!/usr/bin/env sh\n. \"$(dirname \"$0\")/h\"");
    }
    let runner = "n=$(basename \"$0\")\ns=$(dirname \"$(dirname \"$0\")\")/$n\n[ ! -f \"$s\" ] && exit 0\n\
                  sh -e \"$s\" \"$@\"\n";
    scratch.write(".husky/_/h", runner);
    scratch.write(".husky/_/.gitignore", "*");
    scratch.write(".husky/pre-commit", NOTE);
    scratch.write(".husky/pre-push", NOTE);
    scratch.commit("husky");
    scratch.git(&["config", "core.hooksPath", ".husky/_"]);
    scratch
}

#[test]
fn links_are_enough_where_nobody_else_is() {
    let scratch = Scratch::new();
    put_hook(&scratch.root().join(".git/hooks"), "pre-commit", NOTE);
    let before = snapshot(&scratch);
    let shown = scratch.orchestrate(&["init", "--dry-run"]);
    assert!(shown.stderr.contains("link .git/hooks/reference-transaction to "), "{}", shown.stderr);
    assert_eq!(snapshot(&scratch), before);
    let ran = init(&scratch);
    let line = shown.stderr.lines().find(|line| line.contains("write .git/hooks/pre-push")).unwrap();
    assert!(ran.stderr.find(line).unwrap() < ran.stderr.find("installed the hooks").unwrap(), "{}", ran.stderr);
    assert!(scratch.root().join(".git/hooks/reference-transaction").is_symlink());
    assert!(!scratch.root().join(".git/config.worktree").exists());
    all_is_well(&scratch);
    story(&scratch);
    assert_guarded(&scratch, ".");
    assert_undone(&scratch, &before);
    assert_eq!(scratch.orchestrate(&["doctor"]).code, 3);
}

#[test]
fn a_hook_of_the_same_name_goes_on_with_arguments_input_and_exit_code() {
    let scratch = Scratch::new();
    let hooks = scratch.root().join(".git/hooks");
    put_hook(&hooks, "pre-push", NOTE);
    let before = snapshot(&scratch);
    let ran = init(&scratch);
    assert!(ran.stderr.contains("hooks in"), "{}", ran.stderr);
    all_is_well(&scratch);
    scratch.git(&["init", "-q", "--bare", "remote.git"]);
    scratch.git(&["remote", "add", "origin", "remote.git"]);
    scratch.git(&["push", "-q", "origin", "HEAD:refs/heads/other"]);
    let head = scratch.git(&["rev-parse", "HEAD"]);
    let zero = "0".repeat(40);
    let line = format!(
        "{}|origin remote.git|{}|HEAD {head} refs/heads/other {zero}",
        hooks.join("pre-push").display(),
        scratch.root().display()
    );
    assert_eq!(noted(&scratch)[0], line);
    put_hook(&hooks, "pre-push", "#!/bin/sh\nexit 7\n");
    assert_ne!(scratch.try_git(&["push", "-q", "origin", "HEAD:refs/heads/third"]).code, 0);
    let code =
        run(scratch.command(scratch.root().join(".git/orchestrate/hooks/pre-push")).args(["origin", "remote.git"]));
    assert_eq!(code.code, 7);
    // Our own hook refuses what is not reviewed, and then the other one is not asked.
    put_hook(&hooks, "pre-push", NOTE);
    story(&scratch);
    let refused = scratch.try_git(&["push", "origin", "story/1.1-a:refs/heads/main"]);
    assert!(refused.code != 0 && refused.stderr.contains("git-orchestrate: refused"), "{}", refused.stderr);
    assert_eq!(noted(&scratch), Vec::<String>::new());
    put_hook(&hooks, "pre-push", NOTE);
    scratch.git(&["remote", "remove", "origin"]);
    std::fs::remove_dir_all(scratch.root().join("remote.git")).unwrap();
    let ran = scratch.orchestrate(&["init", "--uninstall"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(snapshot(&scratch), before, "our keys are taken out of a file that others changed since");
}

#[test]
fn a_relative_hooks_path_is_chained_in_every_worktree_and_may_be_written_again() {
    let scratch = like_husky();
    scratch.git(&["worktree", "add", "-q", "../early"]);
    let before = snapshot(&scratch);
    init(&scratch);
    scratch.git(&["worktree", "add", "-q", "../late"]);
    scratch.git(&["config", "core.hooksPath", ".husky/_"]);
    all_is_well(&scratch);
    story(&scratch);
    for place in [".", "../early", "../late"] {
        assert_guarded(&scratch, place);
    }
    scratch.git(&["commit", "-q", "--allow-empty", "-m", "second"]);
    let notes = noted(&scratch);
    let expected = format!(".husky/pre-commit||{}|", scratch.root().display());
    assert_eq!(notes, [expected], "husky's own script runs once, as husky would run it");
    // Husky's stubs are no part of the commit, so a linked worktree has none; with them they run there too.
    scratch.git(&["-C", "../late", "commit", "-q", "--allow-empty", "-m", "third"]);
    assert!(noted(&scratch).is_empty());
    let late = scratch.root().parent().unwrap().join("late");
    put_hook(&late.join(".husky/_"), "post-commit", NOTE);
    scratch.git(&["-C", "../late", "commit", "-q", "--allow-empty", "-m", "fourth"]);
    assert_eq!(noted(&scratch).len(), 1);
    put_hook(&scratch.root().join(".husky"), "pre-commit", "exit 5\n");
    assert_ne!(scratch.try_git(&["commit", "-q", "--allow-empty", "-m", "no"]).code, 0);
    std::fs::remove_dir_all(&late).unwrap();
    scratch.git(&["worktree", "prune"]);
    assert_undone(&scratch, &before);
}

#[test]
fn a_worktree_made_for_a_story_gets_the_dispatchers() {
    use crate::project::Project;
    let project = Project::new("[[step]]\nwhen = { phase = \"implementation\" }\nfail = 1\n", "");
    put_hook(&project.scratch.root().join(".git/hooks"), "pre-push", NOTE);
    project.story("1.1", "One", "none").commit();
    init(&project.scratch);
    project.stories(&[]);
    let made = project.scratch.git(&["worktree", "list", "--porcelain"]);
    let place = made.lines().filter_map(|line| line.strip_prefix("worktree ")).nth(1).expect("a worktree is left");
    story(&project.scratch);
    assert_guarded(&project.scratch, place);
    all_is_well(&project.scratch);
}

#[test]
fn an_own_hooks_path_of_one_worktree_is_kept_and_chained() {
    let scratch = Scratch::new();
    let special = scratch.outside().join("special");
    put_hook(&special, "post-commit", NOTE);
    scratch.git(&["config", "extensions.worktreeConfig", "true"]);
    scratch.git(&["config", "--worktree", "core.hooksPath", special.to_str().unwrap()]);
    let before = snapshot(&scratch);
    init(&scratch);
    scratch.git(&["commit", "-q", "--allow-empty", "-m", "second"]);
    assert_eq!(noted(&scratch).len(), 1);
    story(&scratch);
    assert_guarded(&scratch, ".");
    assert_undone(&scratch, &before);
}

#[test]
fn hooks_added_later_run_and_the_program_s_end_stops_nobody() {
    let scratch = Scratch::new();
    put_hook(&scratch.root().join(".git/hooks"), "pre-push", NOTE);
    init(&scratch);
    put_hook(&scratch.root().join(".git/hooks"), "commit-msg", NOTE);
    scratch.git(&["commit", "-q", "--allow-empty", "-m", "second"]);
    assert_eq!(noted(&scratch).len(), 1);
    for folder in ["own", "hooks"] {
        for entry in std::fs::read_dir(scratch.root().join(".git/orchestrate").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_symlink() {
                std::fs::remove_file(&path).unwrap();
                std::os::unix::fs::symlink("/gone/git-orchestrate", &path).unwrap();
            }
        }
    }
    scratch.git(&["commit", "-q", "--allow-empty", "-m", "third"]);
    assert_eq!(noted(&scratch).len(), 1, "the other hook still runs");
    let ran = scratch.orchestrate(&["doctor"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stdout.starts_with("program-gone: "), "{}", ran.stdout);
    assert_eq!(scratch.orchestrate(&["doctor", "--repair"]).code, 0);
}

#[test]
fn both_of_two_reference_transaction_hooks_read_all_of_the_input() {
    let scratch = Scratch::new();
    let note = "#!/bin/sh\n[ \"$1\" != prepared ] || cat >> \"$HOME/log\"\n";
    put_hook(&scratch.root().join(".git/hooks"), "reference-transaction", note);
    init(&scratch);
    scratch.git(&["update-ref", "refs/heads/side", "HEAD"]);
    let (zero, head) = ("0".repeat(40), scratch.git(&["rev-parse", "HEAD"]));
    assert_eq!(noted(&scratch), [format!("{zero} {head} refs/heads/side")]);
    story(&scratch);
    assert_guarded(&scratch, ".");
    all_is_well(&scratch);
}

#[test]
fn a_work_tree_elsewhere_stays_found_when_worktree_settings_are_switched_on() {
    let scratch = Scratch::new();
    let elsewhere = scratch.outside().join("store");
    std::fs::rename(scratch.root().join(".git"), &elsewhere).unwrap();
    scratch.write(".git", format!("gitdir: {}\n", elsewhere.display()));
    scratch.git(&["config", "core.worktree", scratch.root().to_str().unwrap()]);
    put_hook(&elsewhere.join("hooks"), "pre-push", NOTE);
    scratch.git(&["worktree", "add", "-q", "../side"]);
    let before = std::fs::read(elsewhere.join("config")).unwrap();
    init(&scratch);
    let top = |place: &str| scratch.git(&["-C", place, "rev-parse", "--show-toplevel"]);
    assert_eq!(top("."), scratch.root().display().to_string());
    assert!(top("../side").ends_with("/side"));
    story(&scratch);
    assert_guarded(&scratch, "../side");
    // A change of somebody else in between: key by key then.
    scratch.git(&["config", "user.nickname", "x"]);
    assert_eq!(scratch.orchestrate(&["init", "--uninstall"]).code, 0);
    scratch.git(&["config", "--unset", "user.nickname"]);
    assert_eq!(std::fs::read(elsewhere.join("config")).unwrap(), before);
    assert!(!elsewhere.join("config.worktree").exists());
    assert_eq!(top("."), scratch.root().display().to_string());
}

#[test]
fn a_hook_that_must_not_be_chained_stops_the_installation_with_the_reason() {
    let scratch = Scratch::new();
    let folder = scratch.root().join("hooks");
    put_hook(&folder, "push-to-checkout", NOTE);
    put_hook(&folder, "pre-push", NOTE);
    scratch.git(&["config", "core.hooksPath", "hooks"]);
    let ran = init(&scratch);
    assert!(ran.stderr.contains("no hook can be installed: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("push-to-checkout cannot be chained"), "{}", ran.stderr);
    assert!(!scratch.root().join(".git/orchestrate/hooks").exists());
    assert_eq!(scratch.orchestrate(&["doctor"]).code, 3);
}

#[test]
fn a_moved_repository_is_found_and_repaired() {
    let scratch = like_husky();
    init(&scratch);
    let moved = scratch.root().parent().unwrap().join("moved");
    std::fs::rename(scratch.root(), &moved).unwrap();
    std::fs::create_dir(moved.parent().unwrap().join("repo")).unwrap();
    let doctor = |args: &[&str]| scratch.orchestrate(&[&["-C", "../moved", "doctor"], args].concat());
    let ran = doctor(&[]);
    assert_eq!(ran.code, 3);
    assert!(ran.stdout.starts_with("shadowed: core.hooksPath is "), "{}", ran.stdout);
    assert_eq!(doctor(&["--repair"]).code, 0);
    scratch.git(&["-C", "../moved", "commit", "-q", "--allow-empty", "-m", "second"]);
    assert_eq!(noted(&scratch).len(), 1, "husky's hook is chained again");
}
