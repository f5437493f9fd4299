//! The real husky, pre-commit, lefthook and prek from their registries, fetched once into `target/tmp`. Where one cannot be
//! installed, its test says so and ends.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{all_is_well, assert_guarded, init, noted, put_hook, run, snapshot, story};
use crate::support::Scratch;

/// What a manager's own hook notes.
const NOTE: &str = "echo \"$(basename \"$0\") $PWD\" >> \"$HOME/log\"\n";

/// A folder in `target/tmp` that `make` fills; `None` and a message when it cannot.
fn cached(name: &str, program: &str, make: impl Fn(&Path) -> Vec<Command>) -> Option<PathBuf> {
    use nix::fcntl::{Flock, FlockArg};
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let folder = cache.join(name);
    let lock = std::fs::File::create(cache.join(format!("{name}.lock"))).unwrap();
    let _held = Flock::lock(lock, FlockArg::LockExclusive).ok()?;
    let program = folder.join(program);
    if program.exists() {
        return Some(program);
    }
    std::fs::create_dir_all(&folder).unwrap();
    let made = make(&folder).iter_mut().all(|command| command.output().is_ok_and(|output| output.status.success()));
    if made && program.exists() {
        return Some(program);
    }
    eprintln!("skipped: {name} cannot be installed here");
    None
}

fn npm(package: &str, program: &str) -> Option<PathBuf> {
    cached(package, program, |folder| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"]).arg(folder).arg(package);
        vec![npm]
    })
}

fn pip(package: &str) -> Option<PathBuf> {
    cached(package, &format!("bin/{package}"), |folder| {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(folder);
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", package]);
        vec![venv, pip]
    })
}

/// A commit that must run the manager's pre-commit hook once.
fn commits_with_its_hook(scratch: &Scratch) {
    noted(scratch);
    scratch.git(&["commit", "-q", "--allow-empty", "-m", "with a hook"]);
    let notes = noted(scratch);
    assert_eq!(notes.len(), 1, "{notes:?}");
}

#[test]
fn husky_before_and_after_ours() {
    let Some(husky) = npm("husky", "node_modules/husky/bin.js") else { return };
    let scratch = Scratch::new();
    let install = || {
        let ran = run(scratch.command("node").arg(&husky));
        assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    };
    install();
    scratch.write(".husky/pre-commit", NOTE);
    let before = snapshot(&scratch);
    init(&scratch);
    story(&scratch);
    install();
    all_is_well(&scratch);
    assert_guarded(&scratch, ".");
    commits_with_its_hook(&scratch);
    assert_eq!(scratch.orchestrate(&["init", "--uninstall"]).code, 0);
    assert_eq!(snapshot(&scratch), before);
    commits_with_its_hook(&scratch);

    let later = Scratch::new();
    init(&later);
    story(&later);
    let ran = run(later.command("node").arg(&husky));
    assert_eq!(ran.code, 0);
    later.write(".husky/pre-commit", NOTE);
    let ran = later.orchestrate(&["doctor"]);
    assert!(ran.code == 3 && ran.stdout.starts_with("shadowed: core.hooksPath is .husky/_ (local, "), "{}", ran.stdout);
    assert_eq!(later.orchestrate(&["doctor", "--repair"]).code, 0);
    assert_guarded(&later, ".");
    commits_with_its_hook(&later);
}

/// Called again, pre-commit refuses because of core.hooksPath; lefthook and prek write over the dispatchers. The gate holds all
/// the same, and doctor puts their hooks where they belong.
fn installed_again(scratch: &Scratch, code: i32) {
    assert_guarded(scratch, ".");
    if code == 0 {
        let ran = scratch.orchestrate(&["doctor"]);
        assert!(ran.code == 3 && ran.stdout.starts_with("replaced: "), "{}", ran.stdout);
        assert_eq!(scratch.orchestrate(&["doctor", "--repair"]).code, 0);
    }
    all_is_well(scratch);
}

/// pre-commit and prek: the same configuration, the same folder.
fn generated_hooks(program: &Path) {
    let config = "repos:\n- repo: local\n  hooks:\n  - id: note\n    name: note\n    language: system\n    pass_filenames: false\n    \
                  always_run: true\n    entry: sh -c 'echo ran >> \"$HOME/log\"'\n    stages: [pre-commit, pre-push]\n";
    let install = |scratch: &Scratch| {
        let mut command = scratch.command(program);
        run(command.args(["install", "-t", "pre-commit", "-t", "pre-push", "-t", "pre-merge-commit"]))
    };
    let scratch = Scratch::new();
    scratch.write(".pre-commit-config.yaml", config);
    scratch.commit("configuration");
    let ran = install(&scratch);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let before = snapshot(&scratch);
    init(&scratch);
    story(&scratch);
    all_is_well(&scratch);
    assert_guarded(&scratch, ".");
    commits_with_its_hook(&scratch);
    scratch.git(&["init", "-q", "--bare", "../remote.git"]);
    scratch.git(&["push", "-q", "../remote.git", "HEAD:refs/heads/other"]);
    assert_eq!(noted(&scratch).len(), 1, "its pre-push hook reads what git says and runs");
    let refused = scratch.try_git(&["push", "../remote.git", "story/1.1-a:refs/heads/main"]);
    assert!(refused.stderr.contains("git-orchestrate: refused"), "{}", refused.stderr);
    installed_again(&scratch, install(&scratch).code);
    commits_with_its_hook(&scratch);
    assert_eq!(scratch.orchestrate(&["init", "--uninstall"]).code, 0);
    assert_eq!(snapshot(&scratch), before);

    // Installed after ours it keeps our link and goes on calling it.
    let later = Scratch::new();
    later.write(".pre-commit-config.yaml", config);
    later.commit("configuration");
    init(&later);
    story(&later);
    let ran = install(&later);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    all_is_well(&later);
    assert_guarded(&later, ".");
    commits_with_its_hook(&later);
    later.git(&["init", "-q", "--bare", "../later.git"]);
    let refused = later.try_git(&["push", "../later.git", "story/1.1-a:refs/heads/main"]);
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(refused.code != 0 && said.contains("git-orchestrate: refused"), "{said}");
}

#[test]
fn pre_commit_before_and_after_ours() {
    let Some(program) = pip("pre-commit") else { return };
    generated_hooks(&program);
}

#[test]
fn prek_before_and_after_ours() {
    let Some(program) = pip("prek") else { return };
    generated_hooks(&program);
}

#[test]
fn lefthook_before_and_after_ours() {
    let Some(program) = npm("lefthook", "node_modules/.bin/lefthook") else { return };
    let config = "pre-commit:\n  commands:\n    note:\n      run: echo ran >> \"$HOME/log\"\n\
                  pre-push:\n  commands:\n    note:\n      run: echo ran >> \"$HOME/log\"\n";
    let bin = program.parent().unwrap().to_owned();
    let with_path = |mut command: Command| {
        let others = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(bin.clone()).chain(std::env::split_paths(&others));
        command.env("PATH", std::env::join_paths(path).unwrap());
        command
    };
    let install = |scratch: &Scratch| run(with_path(scratch.command(&program)).arg("install"));
    let commit = |scratch: &Scratch| {
        noted(scratch);
        // lefthook passes over hooks when no file is staged.
        let text = std::fs::read_to_string(scratch.root().join("note.txt")).unwrap_or_default();
        scratch.write("note.txt", format!("{text}x\n"));
        scratch.git(&["add", "note.txt"]);
        let ran = run(with_path(scratch.command("git")).args(["commit", "-q", "-m", "with a hook"]));
        assert_eq!((ran.code, noted(scratch).len()), (0, 1), "{}{}", ran.stdout, ran.stderr);
    };
    let scratch = Scratch::new();
    scratch.write("lefthook.yml", config);
    scratch.commit("configuration");
    let ran = install(&scratch);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let before = snapshot(&scratch);
    init(&scratch);
    story(&scratch);
    all_is_well(&scratch);
    assert_guarded(&scratch, ".");
    commit(&scratch);
    installed_again(&scratch, install(&scratch).code);
    commit(&scratch);
    assert_eq!(scratch.orchestrate(&["init", "--uninstall"]).code, 0);
    assert_eq!(snapshot(&scratch), before);

    // It moves our pre-push link aside and calls it no more: doctor says so, and repairs it.
    let later = Scratch::new();
    later.write("lefthook.yml", config);
    later.commit("configuration");
    init(&later);
    story(&later);
    assert_eq!(install(&later).code, 0);
    assert_guarded(&later, ".");
    let ran = later.orchestrate(&["doctor"]);
    assert!(ran.code == 3 && ran.stdout.starts_with("replaced: "), "{}", ran.stdout);
    assert_eq!(later.orchestrate(&["doctor", "--repair"]).code, 0);
    all_is_well(&later);
    commit(&later);
    put_hook(&later.root().join(".git/hooks"), "pre-rebase", "#!/bin/sh\n");
    all_is_well(&later);
}
