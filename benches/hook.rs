//! What our hooks cost git: `git-orchestrate-hook` against `/bin/true` in its place and against no hook, on ordinary work and
//! on a guarded branch; and what lefthook and pre-commit add to a commit, where they are on PATH.

use std::cell::Cell;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixture::Scratch;
use crate::meter::{self, Cost, in_turn, program};

/// Rounds of each operation.
const ROUNDS: usize = 51;

/// The hooks that are linked, to whatever is measured.
const HOOKS: [&str; 4] = ["reference-transaction", "pre-merge-commit", "pre-push", "prepare-commit-msg"];

/// An operation: git with `-c core.hooksPath` already given, the number of the round.
type Operation = fn(&Scratch, &mut Command, usize);

pub fn measure() {
    let scratch = repository();
    program(&mut scratch.orchestrate(&["init"]));
    let installed = scratch.outside().join("bin");
    let kinds = [
        ("no hook", folder(&scratch, "none", None)),
        ("/bin/true", folder(&scratch, "true", Some(Path::new("/bin/true")))),
        ("filter, linked as install.sh does", folder(&scratch, "static", Some(&filter(&installed, true)))),
        (
            "filter, as cargo links it",
            folder(&scratch, "shared", Some(&filter(&scratch.outside().join("cargo"), false))),
        ),
        (
            "git-orchestrate in its place",
            folder(&scratch, "whole", Some(Path::new(env!("CARGO_BIN_EXE_git-orchestrate")))),
        ),
    ];
    let ordinary: [(&str, Operation); 4] = [
        ("update-ref of a branch", |_, git, round| {
            git.args(["update-ref", "refs/heads/other", commit(round)]);
        }),
        ("commit", |_, git, _| {
            git.args(["commit", "-q", "--allow-empty", "-m", "x"]);
        }),
        ("rebase of 5 commits", |_, git, round| {
            git.args(["rebase", "-q", "--onto", commit(round), "five~5", "five"]);
        }),
        ("worktree add", |scratch, git, round| {
            let (path, branch) = (scratch.outside().join(format!("tree-{round}")), format!("tree-{round}"));
            git.args(["worktree", "add", "-q", "-b", &branch]).arg(path);
        }),
    ];
    for (what, operation) in ordinary {
        scratch.git(&["-c", "core.hooksPath=/dev/null", "switch", "-q", "topic"]);
        compare(&scratch, what, operation, &kinds);
    }
    scratch.git(&["-c", "core.hooksPath=/dev/null", "switch", "-q", "--detach", "topic"]);
    compare(
        &scratch,
        "update-ref of main (guarded)",
        |_, git, round| {
            git.args(["update-ref", "refs/heads/main", commit(round)]);
        },
        &kinds,
    );
    others(&kinds);
}

/// Two commits that take turns.
fn commit(round: usize) -> &'static str {
    ["refs/tags/a", "refs/tags/b"][round % 2]
}

/// `main` and `topic` at a commit of 20 files; `five` five commits ahead; the tags `a` and `b`.
fn repository() -> Scratch {
    let scratch = Scratch::repository();
    (0..20).for_each(|number| scratch.write(&format!("src/file-{number}.txt"), "A line of text.\n"));
    scratch.commit();
    scratch.git(&["tag", "a"]);
    scratch.git(&["commit", "-q", "--allow-empty", "-m", "b"]);
    scratch.git(&["tag", "b"]);
    scratch.git(&["branch", "topic", "a"]);
    scratch.git(&["switch", "-q", "-c", "five", "a"]);
    for number in 0..5 {
        scratch.write(&format!("five-{number}.txt"), "More text.\n");
        scratch.commit();
    }
    scratch.git(&["switch", "-q", "main"]);
    scratch
}

/// A folder of hooks that are links to `leads_to`.
fn folder(scratch: &Scratch, name: &str, leads_to: Option<&Path>) -> PathBuf {
    let folder = scratch.outside().join(format!("hooks-{name}"));
    std::fs::create_dir_all(&folder).unwrap();
    let Some(leads_to) = leads_to else { return folder };
    // The whole program refuses to be a hook that it does not know.
    let whole = leads_to.ends_with("git-orchestrate");
    for hook in HOOKS.into_iter().filter(|hook| !whole || git_orchestrate::hooks::NAMES.contains(hook)) {
        symlink(leads_to, folder.join(hook)).unwrap();
    }
    folder
}

/// The filter with git-orchestrate beside it. Linked as install.sh does it is made here: cargo builds no second kind.
fn filter(folder: &Path, linked: bool) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_git-orchestrate"), folder.join("git-orchestrate")).unwrap();
    let made = folder.join("git-orchestrate-hook");
    if linked {
        let mut rustc = Command::new("rustc");
        let flags = "--edition 2024 -C opt-level=3 -C codegen-units=1 -C lto=thin -C strip=symbols -C target-feature=+crt-static";
        rustc.args(flags.split(' ')).arg("-o").arg(&made);
        program(rustc.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/hooks/filter/main.rs")));
    } else {
        std::fs::copy(env!("CARGO_BIN_EXE_git-orchestrate-hook"), &made).unwrap();
    }
    made
}

/// Takes all kinds in turn and prints them beside `/bin/true`, the second.
fn compare(scratch: &Scratch, what: &str, operation: Operation, kinds: &[(&str, PathBuf)]) {
    let round = Cell::new(0);
    let figure = |hooks: &Path| {
        let (path, round) = (format!("core.hooksPath={}", hooks.display()), &round);
        Box::new(move || {
            round.set(round.get() + 1);
            let mut git = scratch.command("git");
            operation(scratch, git.args(["-c", &path]), round.get());
            let cost = program(&mut git);
            tidy(scratch, round.get());
            cost
        }) as Box<dyn FnMut() -> Cost + '_>
    };
    let costs = in_turn(ROUNDS, kinds.iter().map(|(_, hooks)| figure(hooks)).collect());
    println!("  git {what}");
    for ((name, _), cost) in kinds.iter().zip(&costs) {
        meter::line(&format!("  {name}"), *cost);
    }
    for ((name, _), cost) in kinds.iter().zip(&costs).skip(2) {
        meter::ratio(&format!("  {name} / /bin/true"), cost.cpu, costs[1].cpu);
    }
}

/// Takes the worktree of a round away, not measured.
fn tidy(scratch: &Scratch, round: usize) {
    let path = scratch.outside().join(format!("tree-{round}"));
    if path.exists() {
        std::fs::remove_dir_all(path).unwrap();
        scratch.git(&["worktree", "prune"]);
        scratch.git(&["-c", "core.hooksPath=/dev/null", "branch", "-q", "-D", &format!("tree-{round}")]);
    }
}

/// What other programs' hooks that do nothing add to `git commit`, and ours in the same rounds.
fn others(kinds: &[(&str, PathBuf)]) {
    const LEFTHOOK: &str = "pre-commit:\n  commands:\n    nothing:\n      run: \"true\"\n";
    const PRE_COMMIT: &str = "repos:\n- repo: local\n  hooks:\n  - {id: nothing, name: nothing, entry: \"true\", \
                              language: system, always_run: true, pass_filenames: false}\n";
    let tools = [("lefthook", "lefthook.yml", LEFTHOOK), ("pre-commit", ".pre-commit-config.yaml", PRE_COMMIT)];
    for (tool, file, config) in tools {
        let scratch = repository();
        scratch.write(file, config);
        scratch.commit();
        let mut install = scratch.command(tool);
        if !install.arg("install").output().is_ok_and(|output| output.status.success()) {
            println!("  {tool} is not on PATH: not measured");
            continue;
        }
        program(&mut scratch.orchestrate(&["init"]));
        scratch.git(&["-c", "core.hooksPath=/dev/null", "switch", "-q", "-c", "work"]);
        let theirs = scratch.root().join(".git/hooks-of-theirs");
        std::fs::create_dir_all(&theirs).unwrap();
        std::fs::copy(scratch.root().join(".git/hooks/pre-commit"), theirs.join("pre-commit")).unwrap();
        let figure = |hooks: &Path| {
            let (path, scratch) = (format!("core.hooksPath={}", hooks.display()), &scratch);
            Box::new(move || {
                let mut git = scratch.command("git");
                program(
                    git.args(["-c", &path, "commit", "-q", "--allow-empty", "-m", "x"])
                        .stderr(std::process::Stdio::null()),
                )
            }) as Box<dyn FnMut() -> Cost + '_>
        };
        let costs = in_turn(ROUNDS, vec![figure(&kinds[0].1), figure(&kinds[2].1), figure(&theirs)]);
        let added = |cost: Cost| cost.cpu.saturating_sub(costs[0].cpu);
        println!(
            "  git commit, added by {tool}: {:.2} ms CPU; by the filter: {:.2}",
            meter::ms(added(costs[2])),
            meter::ms(added(costs[1]))
        );
        meter::ratio(&format!("  filter / {tool}"), added(costs[1]), added(costs[2]));
    }
}
