//! `git-orchestrate-hook`: how often it starts git-orchestrate, counted by a stub beside it, and that it never opens a gate
//! that it cannot ask about.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::project::until;
use super::support::{Ran, Scratch, run};

const HOOKS: [&str; 4] = ["reference-transaction", "pre-push", "pre-merge-commit", "prepare-commit-msg"];

/// Guards main, master, the records, and what is below `release/`.
const GUARDED: &str = "git-orchestrate guarded 1\nrefs/heads/release/\nrefs/heads/trunk\n";

/// A repository whose hooks are links to the filter, which has a stub of git-orchestrate beside it.
struct Filtered {
    scratch: Scratch,
}

impl Filtered {
    fn new() -> Self {
        let filtered = Self::of(Scratch::new());
        filtered.scratch.write(".git/orchestrate/guarded", GUARDED);
        filtered.link_hooks(".git/hooks");
        filtered
    }

    /// The filter and a stub that counts, says yes, and keeps its stdin; no hooks yet.
    fn of(scratch: Scratch) -> Self {
        let filtered = Self { scratch };
        std::fs::create_dir_all(filtered.bin()).unwrap();
        filtered.program("git-orchestrate-hook", &std::fs::read(env!("CARGO_BIN_EXE_git-orchestrate-hook")).unwrap());
        filtered.stub("cat >\"$out/input\"");
        filtered
    }

    fn bin(&self) -> PathBuf {
        self.scratch.outside().join("bin")
    }

    fn filter(&self) -> PathBuf {
        self.bin().join("git-orchestrate-hook")
    }

    /// Makes an executable file by `cp`: what a test process itself has open for writing, a sibling thread's child may keep open.
    fn program(&self, name: &str, content: &[u8]) {
        let plain = self.scratch.outside().join("plain");
        std::fs::write(&plain, content).unwrap();
        let (from, to) = (plain.to_str().unwrap(), self.bin().join(name));
        let ran = run(self
            .scratch
            .command("sh")
            .args(["-c", "rm -f \"$1\"; cp \"$0\" \"$1\"; chmod 755 \"$1\"", from])
            .arg(to));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }

    /// What git-orchestrate does: counts, then `last`.
    fn stub(&self, last: &str) {
        let out = self.scratch.outside();
        let text = format!("#!/bin/sh\nout='{}'\necho \"$*\" >>\"$out/calls\"\n{last}\n", out.display());
        self.program("git-orchestrate", text.as_bytes());
    }

    fn link_hooks(&self, folder: &str) {
        let folder = self.scratch.root().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        for name in HOOKS {
            std::os::unix::fs::symlink(self.filter(), folder.join(name)).unwrap();
        }
    }

    fn git(&self, args: &[&str]) -> String {
        self.scratch.git(args)
    }

    /// The arguments of every start since the last question.
    fn calls(&self) -> Vec<String> {
        let path = self.scratch.outside().join("calls");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        drop(std::fs::remove_file(path));
        text.lines().map(str::to_owned).collect()
    }

    fn input(&self) -> Vec<u8> {
        std::fs::read(self.scratch.outside().join("input")).unwrap()
    }

    /// The filter as reference-transaction hook with those lines.
    fn asked(&self, lines: &[u8]) -> Ran {
        let mut command = self.scratch.command(self.filter());
        command.args(["reference-transaction", "prepared"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines).unwrap();
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// How often one update of each ref starts the program.
    fn starts(&self, names: &[&str]) -> Vec<usize> {
        names
            .iter()
            .map(|name| {
                self.git(&["update-ref", name, "HEAD"]);
                self.calls().len()
            })
            .collect()
    }
}

fn line(name: &str) -> String {
    format!("{} {} {name}\n", "0".repeat(40), "1".repeat(40))
}

#[test]
fn ordinary_work_never_starts_the_program() {
    let filtered = Filtered::new();
    let commit = |message: &str| filtered.git(&["commit", "-q", "--allow-empty", "-m", message]);
    filtered.git(&["switch", "-q", "-c", "topic"]);
    for message in ["1", "2", "3", "4", "5"] {
        commit(message);
    }
    filtered.git(&["switch", "-q", "-c", "base", "main"]);
    commit("base");
    filtered.git(&["rebase", "-q", "base", "topic"]);
    assert_eq!(filtered.git(&["rev-list", "--count", "base..topic"]), "5");
    filtered.git(&["commit", "-q", "--amend", "--allow-empty", "-m", "again"]);
    filtered.git(&["worktree", "add", "-q", "../home/side", "-b", "side"]);
    filtered.git(&["-C", "../home/side", "commit", "-q", "--allow-empty", "-m", "aside"]);
    filtered.git(&["worktree", "remove", "../home/side"]);
    filtered.git(&["branch", "-D", "-q", "side"]);
    filtered.git(&["tag", "v1"]);
    filtered.git(&["notes", "add", "-m", "noted"]);
    filtered.scratch.write("README.md", "changed\n");
    filtered.git(&["stash", "-q"]);
    filtered.git(&["stash", "pop", "-q"]);
    filtered.git(&["fetch", "-q", ".", "base:other"]);
    filtered.git(&["switch", "-q", "--detach"]);
    filtered.git(&["fsck"]);
    assert_eq!(filtered.calls(), [""; 0]);
}

#[test]
fn a_guarded_ref_is_asked_about_once_with_every_line_of_its_transaction() {
    let filtered = Filtered::new();
    filtered.git(&["switch", "-q", "-c", "topic"]);
    filtered.git(&["commit", "-q", "--allow-empty", "-m", "one"]);
    let (old, new) = (filtered.git(&["rev-parse", "main"]), filtered.git(&["rev-parse", "topic"]));
    filtered.git(&["update-ref", "refs/heads/main", &new, &old]);
    assert_eq!(filtered.calls(), ["hook reference-transaction prepared"]);
    assert_eq!(String::from_utf8(filtered.input()).unwrap(), format!("{old} {new} refs/heads/main\n"));

    filtered.git(&["switch", "-q", "main"]);
    filtered.git(&["commit", "-q", "--allow-empty", "-m", "two"]);
    assert_eq!(filtered.calls(), ["hook reference-transaction prepared"]);
    filtered.git(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
    assert_eq!(filtered.calls(), [""; 0]);
    filtered.git(&["update-ref", "refs/heads/alias", "main~1"]);
    assert_eq!(filtered.calls().len(), 1, "main moved by another name");
    assert_eq!(filtered.starts(&["refs/heads/release/1", "refs/heads/trunk", "refs/orchestrate/items/1.1"]), [1, 1, 1]);
    assert_eq!(
        filtered.starts(&["refs/heads/releases", "refs/heads/trunk2", "refs/tags/main", "refs/notes/main"]),
        [0; 4]
    );
    // On a file system that does not tell capitals apart this is main.
    assert_eq!(filtered.starts(&["refs/heads/MAIN"]), [1]);
}

#[test]
fn housekeeping_asks_only_about_the_guarded_refs_that_it_packs() {
    let filtered = Filtered::new();
    filtered.git(&["branch", "topic"]);
    filtered.git(&["pack-refs", "--all", "--prune"]);
    let asked = filtered.calls().len();
    assert!((1..=2).contains(&asked), "packed once, its loose copy dropped once: {asked}");
    filtered.git(&["switch", "-q", "topic"]);
    filtered.git(&["commit", "-q", "--allow-empty", "-m", "one"]);
    filtered.git(&["pack-refs", "--all", "--prune"]);
    filtered.git(&["gc", "-q"]);
    assert_eq!(filtered.calls(), [""; 0], "main is packed already");
}

#[test]
fn the_names_are_found_from_every_kind_of_worktree_and_repository() {
    // Of the two, a ref that is not guarded proves more: without the file it would be.
    let names = ["refs/heads/release/1", "refs/heads/topic"];
    let filtered = Filtered::new();
    filtered.scratch.write("sub/file", "");
    let starts = |at: &[&str]| {
        names.map(|name| {
            filtered.git(&[at, &["update-ref", name, "HEAD"]].concat());
            filtered.git(&[at, &["update-ref", "-d", name]].concat());
            filtered.calls().len()
        })
    };
    filtered.git(&["worktree", "add", "-q", "../home/side", "-b", "side"]);
    for at in [&["-C", "."][..], &["-C", "sub"], &["-C", ".git"], &["-C", "../home/side"], &["--git-dir=.git"]] {
        assert_eq!(starts(at), [2, 0], "{at:?}");
    }
    let from_afar = ["-C", "/", "--git-dir", filtered.scratch.root().join(".git").to_str().unwrap()].map(str::to_owned);
    assert_eq!(starts(&from_afar.each_ref().map(String::as_str)), [2, 0]);

    let bare = Filtered::of(Scratch::empty());
    bare.git(&["init", "-q", "--bare"]);
    bare.scratch.write("orchestrate/guarded", GUARDED);
    bare.link_hooks("hooks");
    let other = Scratch::new();
    let url = bare.scratch.root();
    for (name, starts) in [("release/1", 1), ("topic", 0)] {
        other.git(&["push", "-q", url.to_str().unwrap(), &format!("main:{name}")]);
        assert_eq!(bare.calls().len(), starts, "push to {name}");
    }

    let apart = Filtered::of(Scratch::empty());
    apart.git(&["init", "-q", "-b", "main", "--separate-git-dir", "../home/git dir"]);
    apart.scratch.write("../home/git dir/orchestrate/guarded", GUARDED);
    apart.link_hooks("../home/git dir/hooks");
    apart.git(&["commit", "-q", "--allow-empty", "-m", "one"]);
    assert_eq!(apart.calls().len(), 1);
    assert_eq!(apart.starts(&names), [1, 0]);
    // Git says where the directory is; a hook that is called by another hook may not be told.
    apart.asked(line("refs/heads/topic").as_bytes());
    assert_eq!(apart.calls(), [""; 0]);
}

#[test]
fn without_names_that_it_understands_every_branch_is_guarded() {
    let filtered = Filtered::new();
    let names =
        ["refs/heads/topic", "refs/heads/story/1.1-a", "refs/orchestrate/x", "refs/tags/v1", "refs/remotes/o/x"];
    let everything = [1, 1, 1, 0, 0];
    for content in
        ["", "git-orchestrate guarded 2\nrefs/heads/release/\n", "git-orchestrate guarded 1", "\nrefs/heads/a\n"]
    {
        filtered.scratch.write(".git/orchestrate/guarded", content);
        assert_eq!(filtered.starts(&names), everything, "{content:?}");
        for name in names {
            filtered.git(&["update-ref", "-d", name]);
        }
        filtered.calls();
    }
    std::fs::remove_dir_all(filtered.scratch.root().join(".git/orchestrate")).unwrap();
    assert_eq!(filtered.starts(&names), everything);
    filtered.scratch.write(".git/orchestrate/guarded", "git-orchestrate guarded 1\n");
    assert_eq!(
        filtered.starts(&["refs/heads/main", "refs/heads/master", "refs/heads/dev"]),
        [1, 1, 0],
        "always guarded"
    );
}

#[test]
fn a_transaction_of_any_size_is_handed_over_whole() {
    let filtered = Filtered::new();
    let mut lines: String = (0..100_000).map(|number| line(&format!("refs/heads/topic-{number}"))).collect();
    assert_eq!(filtered.asked(lines.as_bytes()).code, 0);
    assert_eq!(filtered.calls(), [""; 0]);
    lines.push_str(&line("refs/heads/main"));
    assert_eq!(filtered.asked(lines.as_bytes()).code, 0);
    assert_eq!(filtered.calls().len(), 1);
    assert!(filtered.input() == lines.as_bytes());
    // Not readable as a line of git's, so not harmless.
    for strange in ["refs/heads/topic\n", "a b\n", "\u{fffd}"] {
        filtered.asked(strange.as_bytes());
        assert_eq!((filtered.calls().len(), filtered.input().as_slice()), (1, strange.as_bytes()));
    }
    assert_eq!((filtered.asked(b"").code, filtered.calls().len()), (0, 0));
}

#[test]
fn a_gate_that_cannot_ask_does_not_open() {
    let filtered = Filtered::new();
    filtered.git(&["switch", "-q", "-c", "topic"]);
    filtered.git(&["commit", "-q", "--allow-empty", "-m", "one"]);
    let before = filtered.git(&["rev-parse", "main"]);
    let refused = |said: &str| {
        let ran = filtered.scratch.try_git(&["update-ref", "refs/heads/main", "topic"]);
        assert_ne!(ran.code, 0, "{said}");
        assert!(ran.stderr.contains(said), "`{said}` in: {}", ran.stderr);
        assert_eq!(filtered.git(&["rev-parse", "main"]), before);
        ran.stderr
    };
    filtered.stub("cat >/dev/null; echo 'not reviewed' >&2; exit 1");
    refused("not reviewed");
    filtered.stub("cat >/dev/null; kill -9 $$");
    refused("");
    let program = filtered.bin().join("git-orchestrate");
    std::fs::write(&program, "#!/nowhere/sh\n").unwrap();
    refused("cannot be started");
    std::fs::remove_file(&program).unwrap();
    let said = refused("git-orchestrate: refused: the program that decides about this change cannot be started");
    assert_eq!(said.lines().filter(|line| line.starts_with("git-orchestrate:")).count(), 1, "{said}");
    // What is not guarded goes on.
    filtered.git(&["commit", "-q", "--allow-empty", "-m", "two"]);
    // A program on PATH is as good.
    let tools = filtered.scratch.outside().join("tools");
    std::fs::create_dir_all(&tools).unwrap();
    filtered.stub("cat >/dev/null");
    std::fs::rename(&program, tools.join("git-orchestrate")).unwrap();
    filtered.calls();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let ran = run(filtered.scratch.command("git").args(["update-ref", "refs/heads/main", "topic"]).env("PATH", path));
    assert_eq!((ran.code, filtered.calls().len()), (0, 1), "{}", ran.stderr);
}

#[test]
fn a_yes_to_half_a_question_is_a_no() {
    let filtered = Filtered::new();
    filtered.stub("exit 0");
    let lines: String = (0..20_000).map(|_| line("refs/heads/main")).collect();
    let ran = filtered.asked(lines.as_bytes());
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("did not read what git asks"), "{}", ran.stderr);
}

#[test]
fn no_other_state_waits_for_its_input() {
    let filtered = Filtered::new();
    for state in [&["committed"][..], &["aborted"], &["preparing"], &["later"], &[]] {
        let mut command = filtered.scratch.command(filtered.filter());
        // The pipe stays open and empty: who reads it waits for ever.
        let mut child = command.arg("reference-transaction").args(state).stdin(Stdio::piped()).spawn().unwrap();
        let mut code = None;
        until("the end of the hook", || {
            code = child.try_wait().unwrap();
            code.is_some()
        });
        assert_eq!(code.unwrap().code(), Some(0), "{state:?}");
    }
    assert_eq!(filtered.calls(), [""; 0]);
}

#[test]
fn other_hooks_become_the_program_with_arguments_and_input() {
    let filtered = Filtered::new();
    let server = filtered.scratch.outside().join("server.git");
    filtered.git(&["init", "-q", "--bare", server.to_str().unwrap()]);
    filtered.git(&["push", "-q", server.to_str().unwrap(), "HEAD:topic"]);
    assert_eq!(filtered.calls(), [format!("hook pre-push {0} {0}", server.display())]);
    assert!(String::from_utf8(filtered.input()).unwrap().contains(" refs/heads/topic "));
    filtered.stub("exit 1");
    assert_ne!(filtered.scratch.try_git(&["push", "-q", server.to_str().unwrap(), "HEAD:other"]).code, 0);
    filtered.calls();
    std::fs::remove_file(filtered.bin().join("git-orchestrate")).unwrap();
    let ran = filtered.scratch.try_git(&["push", "-q", server.to_str().unwrap(), "HEAD:other"]);
    assert!(ran.code != 0 && ran.stderr.contains("cannot be started"), "{}", ran.stderr);
    for args in [&[][..], &["--help"]] {
        let ran = run(filtered.scratch.command(filtered.filter()).args(args));
        assert!(ran.code == 2 && ran.stderr.contains("Usage: git-orchestrate-hook HOOK"), "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn messages_are_asked_about_only_where_a_story_may_be_at_work() {
    let filtered = Filtered::new();
    let commit = |args: &[&str]| {
        filtered.git(&[args, &["commit", "-q", "--allow-empty", "-m", "x"]].concat());
        filtered.calls().iter().filter(|call| call.starts_with("hook prepare-commit-msg ")).count()
    };
    assert_eq!(commit(&[]), 0, "on main");
    filtered.git(&["switch", "-q", "-c", "story/1.1-a"]);
    assert_eq!(commit(&[]), 1, "on a story's branch");
    filtered.git(&["worktree", "add", "-q", "../home/side", "-b", "story/1.2-b"]);
    assert_eq!(commit(&["-C", "../home/side"]), 1, "in a story's worktree");
    filtered.git(&["switch", "-q", "-c", "stories"]);
    assert_eq!(commit(&[]), 0);
    filtered.git(&["switch", "-q", "--detach"]);
    assert_eq!(commit(&[]), 1, "detached: nobody knows");
    filtered.git(&["switch", "-q", "main"]);
    filtered.git(&["commit", "-q", "--allow-empty", "-m", "base"]);
    filtered.calls();
    filtered.git(&["rebase", "-q", "--force-rebase", "main", "stories"]);
    assert_eq!(filtered.calls(), [""; 0], "rebase of a branch that is no story's");
    filtered.git(&["rebase", "-q", "--force-rebase", "main", "story/1.1-a"]);
    assert!(!filtered.calls().is_empty(), "rebase of a story's branch");
    filtered.git(&["switch", "-q", "stories"]);
    let mut marked = filtered.scratch.command("git");
    marked.args(["commit", "-q", "--allow-empty", "-m", "x"]).env("ORCHESTRATE_ATTEMPT", "a-1");
    assert_eq!((run(&mut marked).code, filtered.calls().len()), (0, 1), "an agent's process");
}

#[test]
fn commands_keep_the_names_up_to_date() {
    let scratch = Scratch::new();
    let guarded = || std::fs::read_to_string(scratch.root().join(".git/orchestrate/guarded")).unwrap_or_default();
    assert_eq!(scratch.orchestrate(&["status"]).code, 0);
    assert_eq!(guarded(), "", "a repository that was never set up is left as it is");
    scratch.git(&["branch", "dev"]);
    assert_eq!(scratch.orchestrate(&["init", "--target", "dev"]).code, 0);
    let usual = "refs/heads/main\nrefs/heads/master\n";
    assert_eq!(guarded(), format!("git-orchestrate guarded 1\nrefs/heads/dev\n{usual}refs/orchestrate/\n"));
    let place = |scratch: &Scratch| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(scratch.root().join(".git/orchestrate/guarded")).unwrap().ino()
    };
    let before = place(&scratch);
    assert_eq!(scratch.orchestrate(&["status"]).code, 0);
    assert_eq!(place(&scratch), before, "written though nothing changed");

    let set = |policy: &str| {
        scratch.git(&["switch", "-q", "dev"]);
        scratch.write(".orchestrate.toml", policy);
        scratch.git(&["add", ".orchestrate.toml"]);
        scratch.git(&["-c", "core.hooksPath=/dev/null", "commit", "-q", "-m", "policy"]);
        assert_eq!(scratch.orchestrate(&["status"]).code, 0);
        guarded()
    };
    let text = set("[protect]\nbranches = [\"release/*\", \"live\"]\n");
    assert!(text.contains("\nrefs/heads/live\n") && text.contains("\nrefs/heads/release/\n"), "{text}");
    assert!(
        set("[protect]\nbranches = 3\n").contains("\nrefs/heads/\n"),
        "a policy that cannot be read guards every branch"
    );
    scratch.git(&["config", "orchestrate.target", "gone"]);
    assert_eq!(scratch.orchestrate(&["status"]).code, 0);
    assert!(guarded().contains("\nrefs/heads/\n") && guarded().contains("\nrefs/heads/gone\n"), "{}", guarded());
}

#[test]
fn names_that_cannot_be_written_fail_no_command() {
    let scratch = Scratch::new();
    assert_eq!(scratch.orchestrate(&["init"]).code, 0);
    scratch.write(".git/orchestrate/guarded", "old\n");
    // Even root cannot write there; `unshare` needs more rights than some machines give.
    let asked = "mount --bind .git .git && mount -o remount,bind,ro .git && ! touch .git/x 2>/dev/null || exit 9; \
                 \"$0\" status || exit 8; \"$0\" plan; exit 0";
    let mut command = scratch.command("unshare");
    command.args(["--mount", "sh", "-c", asked, env!("CARGO_BIN_EXE_git-orchestrate")]);
    match command.output() {
        Ok(output) if output.status.code() != Some(9) && !output.stderr.starts_with(b"unshare") => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !said.contains("guarded"), "{said}");
            assert_eq!(scratch.read(".git/orchestrate/guarded"), "old\n");
        }
        _ => eprintln!("skipped: nothing can be mounted here"),
    }
    std::fs::remove_file(scratch.root().join(".git/orchestrate/guarded")).unwrap();
    std::fs::create_dir(scratch.root().join(".git/orchestrate/guarded")).unwrap();
    let ran = scratch.orchestrate(&["plan"]);
    assert!(ran.stderr.contains("the names of guarded branches are not up to date"), "{}", ran.stderr);
}

#[test]
fn with_the_real_program_beside_it_the_gate_holds() {
    let scratch = Scratch::new();
    assert_eq!(scratch.orchestrate(&["init", "--yes"]).code, 0);
    let hooks = scratch.outside().join("hooks");
    std::fs::create_dir_all(&hooks).unwrap();
    for name in HOOKS {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_git-orchestrate-hook"), hooks.join(name)).unwrap();
    }
    scratch.git(&["config", "core.hooksPath", hooks.to_str().unwrap()]);
    let commit = scratch.git(&["commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "one"]);
    scratch.git(&["branch", "story/1.1-a", &commit]);
    let before = scratch.git(&["rev-parse", "main"]);
    for args in [&["merge", "-q", "--no-verify", "story/1.1-a"][..], &["update-ref", "refs/heads/main", &commit]] {
        let ran = scratch.try_git(args);
        assert!(ran.code != 0 && ran.stderr.contains("git-orchestrate: refused: refs/heads/main"), "{}", ran.stderr);
        assert_eq!(scratch.git(&["rev-parse", "main"]), before);
    }
    scratch.git(&["update-ref", "refs/heads/topic", &commit]);
}

#[test]
fn the_filter_is_made_of_std_alone() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/hooks/filter");
    let out = Scratch::empty();
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    // Without cargo nothing but std can be found.
    rustc.args(["--edition", "2024", "--crate-type", "bin", "--emit", "metadata", "--out-dir"]).arg(out.root());
    let ran = run(rustc.arg(folder.join("main.rs")));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}
