//! `init --server`: where it works, what it leaves alone, and that a second time changes nothing.

use super::Hub;
use crate::support::{Scratch, run};

#[test]
fn a_server_is_set_up_once_and_says_what_it_did() {
    let hub = Hub::empty("");
    hub.git(&["push", "-q", "origin", "main"]);
    let first = hub.init();
    assert_eq!(first.code, 0, "{first:?}");
    for said in ["orchestrate.server", "pre-receive", "reference-transaction", "guards main from"] {
        assert!(first.stderr.contains(said), "no `{said}` in {}", first.stderr);
    }
    assert_eq!(hub.there(&["config", "orchestrate.server"]), "true");
    let snapshot = || {
        let config = std::fs::read_to_string(hub.server.join("config")).unwrap();
        let hooks = std::fs::read_dir(hub.server.join("hooks")).unwrap().flatten();
        let mut hooks: Vec<_> = hooks.map(|hook| (hook.file_name(), std::fs::read_link(hook.path()).ok())).collect();
        hooks.sort();
        (config, hooks)
    };
    let before = snapshot();
    assert!(!before.0.contains("receive"), "{}", before.0);
    let again = hub.init();
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.stderr.contains("is installed already") && again.stderr.contains("is set already"), "{again:?}");
    assert_eq!(snapshot(), before);
    let uninstall = ["init", "--server", "--uninstall"];
    let ran = run(hub.project.scratch.orchestrate_command().current_dir(&hub.server).args(uninstall));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_ne!(hub.project.scratch.try_git(&["--git-dir", hub.url(), "config", "orchestrate.server"]).code, 0);
    assert!(!hub.server.join("hooks/pre-receive").is_symlink());
    hub.story_branch();
    hub.accepted(&["story/1.1-a", "story/1.1-a:main"]);
}

#[test]
fn a_repository_with_a_work_tree_is_no_server() {
    let scratch = Scratch::new();
    let ran = scratch.orchestrate(&["init", "--server"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("is not a bare repository") && ran.stderr.contains("git orchestrate init"), "{ran:?}");
    assert!(!scratch.root().join(".git/hooks/pre-receive").exists());
    assert_ne!(scratch.try_git(&["config", "orchestrate.server"]).code, 0);
    // The key alone makes none either: records of a working repository are written by the tool.
    scratch.git(&["config", "orchestrate.server", "true"]);
    assert_eq!(scratch.orchestrate(&["init", "--yes"]).code, 0);
    let ran = scratch.try_git(&["update-ref", "refs/orchestrate/rescue/x", "HEAD"]);
    assert!(ran.stderr.contains("written by git-orchestrate alone"), "{ran:?}");
}

#[test]
fn another_program_s_hook_stays_and_the_gap_is_an_error() {
    let hub = Hub::empty("");
    let theirs = hub.server.join("hooks/pre-receive");
    std::fs::create_dir_all(theirs.parent().unwrap()).unwrap();
    std::fs::write(&theirs, "#!/bin/sh\nexit 0\n").unwrap();
    let ran = hub.init();
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("the gate is not closed"), "{ran:?}");
    assert!(ran.stderr.contains("git-orchestrate hook pre-receive"), "{ran:?}");
    assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "#!/bin/sh\nexit 0\n");
}

#[test]
fn a_hook_that_calls_ours_by_the_template_guards_as_well() {
    let hub = Hub::new("");
    let hook = hub.server.join("hooks/pre-receive");
    let program = std::fs::read_link(&hook).unwrap();
    std::fs::remove_file(&hook).unwrap();
    let template = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/hooks/pre-receive")).unwrap();
    std::fs::write(&hook, template).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&hook, mode).unwrap();
    assert_eq!(hub.init().code, 0);
    hub.story_branch();
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let push =
        |refs: &[&str]| run(hub.project.scratch.command("git").args(["push", "origin"]).args(refs).env("PATH", &path));
    assert_eq!(push(&["story/1.1-a"]).code, 0);
    let ran = push(&["story/1.1-a:main"]);
    assert!(ran.stderr.contains("the story branch story/1.1-a") && ran.stderr.contains(super::DECLINED), "{ran:?}");
    hub.git(&["branch", "-q", "-D", "story/1.1-a"]);
    hub.run_stories();
    let ran = push(&["main", "refs/orchestrate/items/1.1"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}
