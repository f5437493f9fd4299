//! Hooks named in git's configuration, which git runs from 2.54 on. `GIT_ORCHESTRATE_TEST_GIT` names such a git, a program or
//! the folder it is in; without it each test says that it was skipped.

use std::path::PathBuf;

use super::{NOTE, put_hook, run, snapshot};
use crate::support::{Ran, Scratch};

/// A scratch repository in which another git is first on PATH.
struct Bed {
    scratch: Scratch,
    path: std::ffi::OsString,
}

impl Bed {
    fn new() -> Option<Self> {
        let Some(named) = std::env::var_os("GIT_ORCHESTRATE_TEST_GIT").map(PathBuf::from) else {
            eprintln!("skipped: GIT_ORCHESTRATE_TEST_GIT names no git of 2.54 or newer");
            return None;
        };
        let folder = if named.is_dir() { named } else { named.parent().unwrap().to_owned() };
        let others = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&others))).unwrap();
        let bed = Self { scratch: Scratch::new(), path };
        let version = bed.git(&["version"]).stdout;
        let minor: u32 = version.split('.').nth(1).unwrap().parse().unwrap();
        assert!(minor >= 54, "{version}");
        Some(bed)
    }

    fn git(&self, args: &[&str]) -> Ran {
        run(self.scratch.command("git").env("PATH", &self.path).args(args))
    }

    fn good(&self, args: &[&str]) -> String {
        let ran = self.git(args);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.stderr);
        ran.stdout.trim_end().to_owned()
    }

    fn orchestrate(&self, args: &[&str]) -> Ran {
        run(self.scratch.orchestrate_command().env("PATH", &self.path).args(args))
    }

    fn init(&self) -> Ran {
        let ran = self.orchestrate(&["init"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran
    }

    fn is_guarded(&self, options: &[&str]) -> bool {
        let ran = self.git(&[options, &["update-ref", "refs/heads/main", "story/1.1-a"]].concat());
        ran.code != 0 && ran.stderr.contains("git-orchestrate: refused: refs/heads/main")
    }
}

#[test]
fn configured_hooks_stand_beside_others_and_hold_under_every_hooks_path() {
    let Some(bed) = Bed::new() else { return };
    let hooks = bed.scratch.root().join(".git/hooks");
    for name in ["pre-push", "reference-transaction", "post-commit"] {
        put_hook(&hooks, name, NOTE);
    }
    let before = snapshot(&bed.scratch);
    bed.init();
    let at =
        |folder: &str| snapshot(&bed.scratch).into_iter().filter(|(path, _)| path.contains(folder)).collect::<Vec<_>>();
    assert_eq!(
        at("/.git/hooks"),
        before.clone().into_iter().filter(|(path, _)| path.contains("/.git/hooks")).collect::<Vec<_>>()
    );
    super::story(&bed.scratch);
    assert_eq!(bed.orchestrate(&["doctor"]).code, 0);
    assert!(bed.is_guarded(&[]));
    assert!(bed.is_guarded(&["-c", "core.hooksPath=/dev/null"]));
    bed.good(&["worktree", "add", "-q", "side"]);
    assert!(bed.is_guarded(&["-C", "side"]));
    assert!(super::noted(&bed.scratch).iter().any(|line| line.contains("reference-transaction|prepared")));
    bed.good(&["commit", "-q", "--allow-empty", "-m", "second"]);
    assert!(super::noted(&bed.scratch).iter().any(|line| line.contains("post-commit")));
    bed.good(&["worktree", "remove", "side"]);
    let again = bed.init();
    assert!(again.stderr.contains("the hooks are installed already"), "{}", again.stderr);
    assert_eq!(bed.orchestrate(&["init", "--uninstall"]).code, 0);
    assert_eq!(snapshot(&bed.scratch), before);
}

#[test]
fn a_folder_with_a_space_and_a_quote_is_named_so_that_git_finds_it() {
    let Some(bed) = Bed::new() else { return };
    let odd = "it's [a] \"place\"";
    bed.good(&["init", "-q", "-b", "main", odd]);
    bed.good(&["-C", odd, "commit", "-q", "--allow-empty", "-m", "first"]);
    let ran = bed.orchestrate(&["-C", odd, "init"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = bed.orchestrate(&["-C", odd, "doctor"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let commit = bed.good(&["-C", odd, "commit-tree", "main^{tree}", "-p", "main", "-m", "work"]);
    bed.good(&["-C", odd, "update-ref", "refs/heads/story/1.1-a", &commit]);
    assert!(bed.is_guarded(&["-C", odd]));
}

#[test]
fn doctor_finds_switches_that_turn_configured_hooks_off() {
    let Some(bed) = Bed::new() else { return };
    bed.init();
    super::story(&bed.scratch);
    for key in ["hook.reference-transaction.enabled", "hook.orchestrate-reference-transaction.enabled"] {
        bed.good(&["config", key, "false"]);
        assert!(bed.git(&["hook", "list", "reference-transaction"]).stdout.contains("disabled"));
        let ran = bed.orchestrate(&["doctor"]);
        assert_eq!((ran.code, ran.stdout.lines().count()), (3, 1), "{}", ran.stdout);
        assert!(ran.stdout.starts_with(&format!("disabled: {key} is false (local, ")), "{}", ran.stdout);
        assert_eq!(bed.orchestrate(&["doctor", "--repair"]).code, 0);
        assert!(bed.is_guarded(&[]));
    }
    let ran = run(bed
        .scratch
        .orchestrate_command()
        .env("PATH", &bed.path)
        .arg("doctor")
        .env("GIT_CONFIG_PARAMETERS", "'hook.reference-transaction.enabled'='false'"));
    assert_eq!(ran.code, 3);
    assert!(ran.stdout.contains("repair: run git without -c hook.reference-transaction.enabled"), "{}", ran.stdout);
    let link = bed.scratch.root().join(".git/orchestrate/own/pre-push");
    std::fs::remove_file(&link).unwrap();
    let ran = bed.orchestrate(&["doctor"]);
    assert!(ran.code == 3 && ran.stdout.starts_with("removed: "), "{}", ran.stdout);
    assert_eq!(bed.orchestrate(&["doctor", "--repair"]).code, 0);
}

#[test]
fn the_older_ways_give_way_to_the_configured_one_and_uninstall_goes_back_to_before_both() {
    let Some(bed) = Bed::new() else { return };
    let hooks = bed.scratch.root().join(".git/hooks");
    put_hook(&hooks, "pre-push", NOTE);
    let before = snapshot(&bed.scratch);
    super::init(&bed.scratch);
    assert!(bed.scratch.root().join(".git/config.worktree").exists());
    bed.init();
    assert!(!bed.scratch.root().join(".git/config.worktree").exists());
    assert!(!bed.scratch.root().join(".git/orchestrate/hooks").exists());
    assert_eq!(bed.orchestrate(&["doctor"]).code, 0);
    // The older git ignores them, and says so.
    let ran = bed.scratch.orchestrate(&["doctor"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stdout.contains("git-too-old: "), "{}", ran.stdout);
    assert_eq!(bed.orchestrate(&["init", "--uninstall"]).code, 0);
    assert_eq!(snapshot(&bed.scratch), before);
}

#[test]
fn a_moved_repository_still_works_and_doctor_says_that_it_is_unguarded() {
    let Some(bed) = Bed::new() else { return };
    bed.init();
    let moved = bed.scratch.root().parent().unwrap().join("moved");
    std::fs::rename(bed.scratch.root(), &moved).unwrap();
    std::fs::create_dir(moved.parent().unwrap().join("repo")).unwrap();
    bed.good(&["-C", "../moved", "commit", "-q", "--allow-empty", "-m", "second"]);
    let ran = bed.orchestrate(&["-C", "../moved", "doctor"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stdout.contains("the repository was moved"), "{}", ran.stdout);
    assert_eq!(bed.orchestrate(&["-C", "../moved", "doctor", "--repair"]).code, 0);
}
