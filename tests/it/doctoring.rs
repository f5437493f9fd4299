//! `doctor` on what killed processes leave: each damage is made first, found, and mended without touching what is in use.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime};

use crate::project::{Project, until};
use crate::support::{Ran, Scratch};

/// A process that does not outlive the test, however that ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn put(path: &Path, old: bool) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::File::create(path).unwrap();
    if old {
        file.set_modified(SystemTime::now() - Duration::from_secs(30 * 3_600)).unwrap();
    }
}

fn finds(ran: &Ran, problem: &str, path: &str) -> bool {
    ran.stdout.lines().any(|line| line.starts_with(&format!("{problem}: ")) && line.contains(path))
}

#[test]
fn doctor_clears_what_nobody_uses_and_keeps_locks_aside() {
    let scratch = Scratch::new();
    assert_eq!(scratch.orchestrate(&["init", "--yes"]).code, 0);
    let git = scratch.root().join(".git");
    let held = git.join("HEAD.lock");
    put(&git.join("index.lock"), true);
    put(&git.join("config.lock"), false);
    put(&git.join("objects/.tmpAbCdEf"), true);
    put(&git.join("objects/pack/.tmpYoUnGx"), false);
    put(&held, true);
    put(&git.join("worktrees/half/commondir"), true);
    put(&git.join("worktrees/half/gitdir"), true);
    let open = std::fs::File::open(&held).unwrap();
    let ran = scratch.orchestrate(&["doctor"]);
    assert_eq!(ran.code, 1, "git stops at a half-made worktree: {ran:?}");
    assert!(finds(&ran, "stale-lock", "index.lock") && finds(&ran, "left-draft", ".tmpAbCdEf"), "{ran:?}");
    assert!(finds(&ran, "half-made-worktree", "worktrees/half"), "{ran:?}");
    assert!(!finds(&ran, "stale-lock", "config.lock"), "it is young: {ran:?}");
    assert!(!finds(&ran, "stale-lock", "HEAD.lock"), "somebody has it open: {ran:?}");
    assert_eq!(ran.stdout.lines().count(), 4, "{ran:?}");
    let fixed = scratch.orchestrate(&["doctor", "--fix"]);
    assert_eq!(fixed.code, 0, "{fixed:?}");
    for gone in ["index.lock", "objects/.tmpAbCdEf", "worktrees/half"] {
        assert!(!git.join(gone).exists(), "{gone}");
    }
    for there in ["config.lock", "HEAD.lock", "objects/pack/.tmpYoUnGx"] {
        assert!(git.join(there).exists(), "{there}");
    }
    drop(open);
    assert!(fixed.stderr.contains("index.lock is out of the way, kept as "), "{fixed:?}");
    scratch.git(&["worktree", "list"]);
}

#[test]
fn doctor_ends_processes_of_attempts_that_are_over_and_names_runs_that_died() {
    let project = Project::new("", "");
    project.story("1.1", "First", "None").commit();
    let at = format!("{:?}", project.meeting("at").to_str().unwrap());
    project.script(&format!(
        "[[step]]\nphase = \"implementation\"\nitem = \"1.1\"\nnth = 1\ndo = [{{ touch = {at} }}, \"hang\"]\n"
    ));
    let live = project.start(&["stories"]);
    until("the agent", || project.meeting("at").exists());
    let during = project.orchestrate(&["doctor"]);
    assert!(!during.stdout.contains("orphaned-process"), "the attempt is alive: {during:?}");
    live.kill();
    let after = project.orchestrate(&["doctor"]);
    assert!(finds(&after, "dead-run", "git orchestrate resume"), "{after:?}");
    assert_eq!(project.orchestrate(&["resume"]).code, 0);

    // A process of an attempt that is over, out of reach of whoever ends agents.
    let attempt = project.journal().last().unwrap()["attempt"].as_str().unwrap().to_owned();
    let mut orphan = project.scratch.command("sleep");
    orphan.arg("1000").env("ORCHESTRATE_ATTEMPT", &attempt).process_group(0);
    let mut orphan = Ended(orphan.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let pid = orphan.0.id().to_string();
    let found = project.orchestrate(&["doctor"]);
    assert!(finds(&found, "orphaned-process", &pid), "{found:?}");
    assert!(orphan.0.try_wait().unwrap().is_none(), "looking ends nothing");
    let fixed = project.orchestrate(&["doctor", "--fix"]);
    assert!(fixed.stderr.contains("ended "), "{fixed:?}");
    assert!(!orphan.0.wait().unwrap().success());
    let last = project.orchestrate(&["doctor"]);
    assert_eq!((last.code, last.stdout.lines().count()), (0, 1), "{last:?}");
    project.assert_tidy();
}

#[test]
fn doctor_names_a_configured_target_that_nobody_made() {
    let scratch = Scratch::new();
    assert_eq!(scratch.orchestrate(&["init", "--yes"]).code, 0);
    assert_eq!(scratch.orchestrate(&["doctor"]).code, 0);
    scratch.git(&["config", "orchestrate.target", "gone"]);
    let ran = scratch.orchestrate(&["doctor"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(finds(&ran, "no-target", "the target branch `gone` does not exist"), "{ran:?}");
    assert!(ran.stdout.contains("git config orchestrate.target BRANCH"), "{ran:?}");
    scratch.git(&["branch", "gone"]);
    let ran = scratch.orchestrate(&["doctor"]);
    assert!(!ran.stdout.contains("no-target"), "{ran:?}");
}

#[test]
fn doctor_of_a_bare_repository_names_what_a_server_lacks_and_installs_nothing_else() {
    let scratch = Scratch::empty();
    scratch.git(&["init", "-q", "--bare", "-b", "main"]);
    let hooks = || {
        let entries = std::fs::read_dir(scratch.root().join("hooks")).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.ends_with(".sample")).collect();
        names.sort();
        names
    };
    for args in [&["doctor"][..], &["doctor", "--fix"]] {
        let ran = scratch.orchestrate(args);
        assert_eq!(ran.code, 3, "{ran:?}");
        assert!(
            ran.stdout.contains("[pre-receive, reference-transaction]; repair: git orchestrate init --server"),
            "{ran:?}"
        );
        assert_eq!(hooks(), Vec::<String>::new());
    }
    assert_eq!(scratch.orchestrate(&["init", "--server"]).code, 0);
    let ran = scratch.orchestrate(&["doctor", "--fix"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 1), "{ran:?}");
    assert_eq!(hooks(), ["pre-receive", "reference-transaction"]);
    std::fs::remove_file(scratch.root().join("hooks/pre-receive")).unwrap();
    let ran = scratch.orchestrate(&["doctor"]);
    assert!(ran.code == 3 && ran.stdout.contains("[pre-receive]; repair: git orchestrate init --server"), "{ran:?}");
}
