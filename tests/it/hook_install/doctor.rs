//! `doctor`: every way in which a hook can be lost, the line that says so, and the command that repairs it.

use std::os::unix::fs::PermissionsExt;

use super::{NOTE, all_is_well, init, put_hook, run};
use crate::support::Scratch;

/// One finding of this sort, with these words; its repair is the command that `doctor` names for what it can do itself.
fn finds(scratch: &Scratch, problem: &str, words: &[&str]) {
    let ran = scratch.orchestrate(&["doctor"]);
    assert_eq!(ran.code, 3, "{}", ran.stdout);
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
    assert!(ran.stdout.starts_with(&format!("{problem}: ")), "{}", ran.stdout);
    for word in words {
        assert!(ran.stdout.contains(word), "`{word}` in {}", ran.stdout);
    }
}

fn repairs(scratch: &Scratch) {
    let ran = scratch.orchestrate(&["doctor", "--repair"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    all_is_well(scratch);
}

#[test]
fn doctor_finds_what_was_never_installed() {
    let scratch = Scratch::new();
    finds(&scratch, "not-installed", &["reference-transaction", "pre-push", "repair: git orchestrate init"]);
    repairs(&scratch);
}

#[test]
fn doctor_finds_what_was_removed() {
    let scratch = Scratch::new();
    init(&scratch);
    std::fs::remove_file(scratch.root().join(".git/hooks/reference-transaction")).unwrap();
    finds(&scratch, "removed", &["[reference-transaction]", "repair: git orchestrate doctor --fix"]);
    repairs(&scratch);
}

#[test]
fn doctor_finds_a_program_that_is_gone_and_one_that_cannot_be_run() {
    let scratch = Scratch::new();
    init(&scratch);
    let link = scratch.root().join(".git/hooks/reference-transaction");
    let other = scratch.outside().join("git-orchestrate");
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&other, &link).unwrap();
    finds(&scratch, "program-gone", &[other.to_str().unwrap()]);
    std::fs::write(&other, "").unwrap();
    finds(&scratch, "not-executable", &["[reference-transaction]"]);
    repairs(&scratch);
    let path = scratch.root().join(".git/hooks/pre-push");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "#!/bin/sh\nexec git-orchestrate hook pre-push \"$@\"\n").unwrap();
    finds(&scratch, "not-executable", &["chmod +x "]);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    all_is_well(&scratch);
}

#[test]
fn doctor_finds_a_hook_manager_that_came_later() {
    let scratch = Scratch::new();
    init(&scratch);
    put_hook(&scratch.root().join(".husky/_"), "pre-commit", NOTE);
    scratch.git(&["config", "core.hooksPath", ".husky/_"]);
    finds(&scratch, "shadowed", &["core.hooksPath is .husky/_ (local, ", ".git/config)"]);
    let json = scratch.orchestrate(&["doctor", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((json.code, &report["version"], &report["gateInForce"]), (3, &1.into(), &false.into()));
    assert_eq!(report["findings"][0]["problem"], "shadowed");
    repairs(&scratch);
    scratch.git(&["commit", "-q", "--allow-empty", "-m", "second"]);
    assert_eq!(super::noted(&scratch).len(), 1, "husky's hook runs after the repair");
}

#[test]
fn doctor_finds_overrides_of_one_worktree_of_the_user_and_of_the_call() {
    let scratch = Scratch::new();
    put_hook(&scratch.root().join(".git/hooks"), "pre-push", NOTE);
    init(&scratch);
    scratch.git(&["worktree", "add", "-q", "side"]);
    let side = scratch.root().join("side");
    scratch.git(&["-C", "side", "config", "--worktree", "core.hooksPath", "/dev/null"]);
    finds(&scratch, "shadowed", &["/dev/null (worktree, ", &format!(" in {}", side.display())]);
    repairs(&scratch);
    let call =
        run(scratch.orchestrate_command().arg("doctor").env("GIT_CONFIG_PARAMETERS", "'core.hooksPath'='/dev/null'"));
    assert_eq!(call.code, 3);
    assert!(
        call.stdout.contains("(command, command line)") && call.stdout.contains(" in 2 worktrees"),
        "{}",
        call.stdout
    );

    let scratch = Scratch::new();
    init(&scratch);
    let user = scratch.outside().join("gitconfig");
    std::fs::write(&user, "[core]\n\thooksPath = ~/hooks\n").unwrap();
    let doctor =
        |args: &[&str]| run(scratch.orchestrate_command().arg("doctor").args(args).env("GIT_CONFIG_GLOBAL", &user));
    let ran = doctor(&[]);
    assert_eq!(ran.code, 3);
    assert!(ran.stdout.contains("/hooks (global, "), "{}", ran.stdout);
    assert_eq!(doctor(&["--repair"]).code, 0);
}

#[test]
fn doctor_finds_a_dispatcher_that_was_lost_and_a_hook_that_it_keeps_from_running() {
    let scratch = Scratch::new();
    let hooks = scratch.root().join(".git/hooks");
    put_hook(&hooks, "pre-push", NOTE);
    init(&scratch);
    std::fs::remove_file(scratch.root().join(".git/orchestrate/hooks/pre-push")).unwrap();
    let ran = scratch.orchestrate(&["doctor"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (3, 2), "{}", ran.stdout);
    assert!(ran.stdout.starts_with("removed: ") && ran.stdout.contains("\nunchained: "), "{}", ran.stdout);
    repairs(&scratch);
    put_hook(&hooks, "reference-transaction", "#!/bin/sh\necho >> \"$HOME/log\"\n");
    let ran = scratch.orchestrate(&["doctor"]);
    assert_eq!(ran.code, 0, "the gate itself is in force");
    assert!(ran.stdout.starts_with("unchained: "), "{}", ran.stdout);
    repairs(&scratch);
    scratch.git(&["update-ref", "refs/heads/side", "HEAD"]);
    assert!(!super::noted(&scratch).is_empty());
}

#[test]
fn a_hook_of_another_program_over_ours_is_found_and_chained() {
    let scratch = Scratch::new();
    init(&scratch);
    let hooks = scratch.root().join(".git/hooks");
    std::fs::remove_file(hooks.join("pre-push")).unwrap();
    put_hook(&hooks, "pre-push", NOTE);
    finds(&scratch, "replaced", &["[pre-push]", "another program's hook"]);
    repairs(&scratch);
    assert_eq!(std::fs::read_to_string(hooks.join("pre-push")).unwrap(), NOTE);
}

#[test]
fn a_hook_that_was_written_over_a_dispatcher_is_kept_and_chained() {
    let scratch = Scratch::new();
    put_hook(&scratch.root().join(".git/hooks"), "pre-merge-commit", NOTE);
    init(&scratch);
    let ours = scratch.root().join(".git/orchestrate/hooks");
    std::fs::remove_file(ours.join("pre-push")).unwrap();
    put_hook(&ours, "pre-push", "#!/bin/sh\nexit 9\n");
    finds(&scratch, "replaced", &["[pre-push]"]);
    repairs(&scratch);
    assert_eq!(scratch.read(".git/hooks/pre-push"), "#!/bin/sh\nexit 9\n");
    put_hook(&ours, "post-merge", NOTE);
    assert_eq!(scratch.orchestrate(&["init", "--uninstall"]).code, 0);
    assert_eq!(scratch.read(".git/hooks/post-merge"), NOTE, "nothing of others is thrown away");
}
