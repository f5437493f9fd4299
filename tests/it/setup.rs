//! Setting up: `init`, configuration errors, the target branch, bad arguments, `install.sh`.

use std::path::PathBuf;
use std::process::Stdio;

use super::support::{Ran, Scratch, run};

fn assert_clean(ran: &Ran) {
    for text in [&ran.stdout, &ran.stderr] {
        assert!(text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()), "{text:?}");
        assert!(!text.contains("panicked"), "{text}");
    }
}

/// Exit 2, the words on stderr, nothing on stdout.
fn refused(ran: &Ran, words: &[&str]) {
    assert_clean(ran);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "`{word}` in: {}", ran.stderr);
    }
}

#[test]
fn bad_arguments_are_quoted_escaped_and_helped() {
    let scratch = Scratch::new();
    refused(&scratch.orchestrate(&["init", "--", "--force"]), &["'--force'"]);
    refused(&scratch.orchestrate(&["show", "1.1", "--\u{1b}]0;pwn\u{7}"]), &["\\x1b]0;pwn\\x07"]);
    refused(&scratch.orchestrate(&["\u{202e}seirots"]), &["\\u202e"]);
    refused(&scratch.orchestrate(&["storys"]), &["unrecognized subcommand 'storys'", "stories"]);
    refused(&scratch.orchestrate(&["stories", "--nope"]), &["'--nope'"]);
    refused(&scratch.orchestrate(&["stories", "--missing", "expnd"]), &["ask, expand, skip, fail", "'expand'"]);
    refused(&scratch.orchestrate(&["stories", "--jobs", "banana"]), &["'banana'", "a number from 1 to 256"]);
    refused(&scratch.orchestrate(&["stories", "--jobs", "0"]), &["'0'", "a number from 1 to 256"]);
    refused(&scratch.orchestrate(&[]), &["Usage: git orchestrate"]);
    refused(&scratch.orchestrate(&["-C", "nowhere\u{1b}", "init"]), &["cannot change to `nowhere\\x1b`"]);
    refused(&scratch.orchestrate(&["hook", "post-commit"]), &["no hook `post-commit`", "reference-transaction"]);
}

#[test]
fn help_and_version_go_to_stdout() {
    let scratch = Scratch::empty();
    for args in [&["--help"][..], &["-h"], &["--version"], &["stories", "--help"]] {
        let ran = scratch.orchestrate(args);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{args:?}");
        assert!(!ran.stdout.is_empty());
    }
}

#[test]
fn places_without_a_repository_or_a_commit_are_named_with_the_next_step() {
    refused(&Scratch::empty().orchestrate(&["init"]), &["is not in a git repository", "git init"]);
    refused(
        &Scratch::unborn().orchestrate(&["init"]),
        &["branch `main` has no commit yet", "git commit --allow-empty"],
    );
    let bare = Scratch::empty();
    bare.git(&["init", "-q", "--bare"]);
    refused(&bare.orchestrate(&["init"]), &["bare repository"]);
}

#[test]
fn a_reader_that_went_away_is_no_error_and_a_full_disk_is() {
    let scratch = Scratch::empty();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let child =
        scratch.orchestrate_command().args(["completions", "bash"]).stdout(writer).stderr(Stdio::piped()).spawn();
    let output = child.unwrap().wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(141), &b""[..]));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let child = scratch.orchestrate_command().args(["completions", "bash"]).stdout(full).stderr(Stdio::piped()).spawn();
    let output = child.unwrap().wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.starts_with("error: cannot write to standard output: No space left"), "{said}");
}

#[test]
fn init_sets_up_says_so_and_changes_nothing_the_second_time() {
    let scratch = Scratch::new();
    let first = scratch.orchestrate(&["init"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    for said in [
        "wrote .orchestrate.toml",
        "added .worktrees/ to .git/info/exclude",
        "installed the hooks reference-transaction, pre-merge-commit, pre-push",
        "stories land on main (the usual name)",
        "there is no docs/stories/ yet",
        "git add .orchestrate.toml && git commit -m \"Set up git-orchestrate\" -- .orchestrate.toml",
    ] {
        assert!(first.stderr.contains(said), "`{said}` in: {}", first.stderr);
    }
    assert_eq!(scratch.git(&["config", "orchestrate.target"]), "main");
    assert_eq!(scratch.git(&["status", "--porcelain"]), "?? .orchestrate.toml");
    let look = || (scratch.read(".orchestrate.toml"), scratch.read(".git/info/exclude"), scratch.read(".git/config"));
    let before = look();
    let second = scratch.orchestrate(&["init"]);
    assert_eq!(second.code, 0);
    assert_eq!(look(), before);
    for said in ["is there already", "is excluded already", "are installed already", "as configured already"] {
        assert!(second.stderr.contains(said), "`{said}` in: {}", second.stderr);
    }
}

#[test]
fn init_never_overwrites() {
    let scratch = Scratch::new();
    scratch.write(".orchestrate.toml", "[run]\njobs = 2\n");
    scratch.write(".git/hooks/pre-push", "#!/bin/sh\nexit 0\n");
    scratch.write("docs/stories/README.md", "mine\n");
    let ran = scratch.orchestrate(&["init", "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(scratch.read(".orchestrate.toml"), "[run]\njobs = 2\n");
    assert_eq!(scratch.read(".git/hooks/pre-push"), "#!/bin/sh\nexit 0\n");
    assert!(!scratch.root().join("docs/stories/1.1.example.md").exists());
}

#[test]
fn init_leaves_a_shared_hooks_folder_alone() {
    let scratch = Scratch::new();
    let shared = scratch.outside().join("hooks");
    scratch.git(&["config", "core.hooksPath", shared.to_str().unwrap()]);
    let ran = scratch.orchestrate(&["init"]);
    assert_eq!(ran.code, 0);
    assert!(!shared.exists());
    assert_eq!(scratch.git(&["config", "--local", "core.hooksPath"]), shared.display().to_string());
    assert_eq!(scratch.orchestrate(&["doctor"]).code, 0);
}

#[test]
fn init_with_yes_commits_its_own_files_only() {
    let scratch = Scratch::new();
    scratch.write("mine.txt", "half done\n");
    scratch.git(&["add", "mine.txt"]);
    let ran = scratch.orchestrate(&["init", "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let files = scratch.git(&["show", "--name-only", "--format=%s", "HEAD"]);
    assert_eq!(files, "Set up git-orchestrate\n\n.orchestrate.toml\ndocs/stories/1.1.example.md");
    assert_eq!(scratch.git(&["status", "--porcelain"]), "A  mine.txt");
    let again = scratch.orchestrate(&["init", "--yes"]);
    assert!(again.stderr.contains("stands on main already"), "{}", again.stderr);
}

#[test]
fn init_on_another_branch_names_the_commit_and_does_not_make_it() {
    let scratch = Scratch::new();
    scratch.git(&["switch", "-q", "-c", "topic"]);
    let before = scratch.git(&["rev-parse", "HEAD"]);
    let ran = scratch.orchestrate(&["init", "--yes"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains("to make the configuration count, run on main:"), "{}", ran.stderr);
    assert_eq!(scratch.git(&["rev-parse", "HEAD"]), before);
}

#[test]
fn init_says_when_no_agent_is_installed() {
    let scratch = Scratch::new();
    let git = run(scratch.command("sh").args(["-c", "command -v git"]));
    let bin = scratch.outside().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(git.stdout.trim(), bin.join("git")).unwrap();
    let ran = run(scratch.orchestrate_command().arg("init").env("PATH", &bin));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("no coding agent on PATH; looked for claude, codex, gemini"), "{}", ran.stderr);
    let ran = run(scratch.orchestrate_command().arg("init").env("PATH", scratch.outside()));
    refused(&ran, &["git cannot be run", "install git 2.38"]);
}

#[test]
fn broken_configuration_is_named_by_line_and_column() {
    let scratch = Scratch::new();
    scratch.write(".orchestrate.toml", "[run]\njobs = = 3\n");
    refused(&scratch.orchestrate(&["init"]), &[".orchestrate.toml:2:8:"]);
    scratch.write(".orchestrate.toml", "[run]\njobs = 0\nmissing = \"never\"\n");
    refused(
        &scratch.orchestrate(&["init"]),
        &[".orchestrate.toml:2:8: `run.jobs` must be a number from 1 to 256", "`ask`, `expand`, `skip`, `fail`"],
    );
    scratch.write(".orchestrate.toml", "[checks]\ntest = \"cargo test\"\n");
    refused(&scratch.orchestrate(&["init"]), &[".orchestrate.toml:2:8: `checks.test` must be a command"]);
    scratch.write(".orchestrate.toml", "[runs]\njobs = 3\n");
    let ran = scratch.orchestrate(&["init"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains(".orchestrate.toml:1:2: unknown key `runs`"), "{}", ran.stderr);
    assert!(ran.stderr.contains("did you mean `run`?"), "{}", ran.stderr);
}

#[test]
fn the_target_branch_is_found_in_the_written_order() {
    let target = |scratch: &Scratch, args: &[&str]| {
        let ran = scratch.orchestrate(&[&["init"], args].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        scratch.git(&["config", "orchestrate.target"])
    };
    let scratch = Scratch::new();
    scratch.git(&["switch", "-q", "-c", "topic"]);
    scratch.git(&["branch", "dev"]);
    assert_eq!(target(&scratch, &[]), "main");
    assert_eq!(target(&scratch, &["--target", "dev"]), "dev");
    assert_eq!(target(&scratch, &[]), "dev");
    refused(&scratch.orchestrate(&["init", "--target", "gone"]), &["`gone` does not exist (given by --target)"]);
    refused(&scratch.orchestrate(&["init", "--target", "a..b"]), &["`a..b` does not exist"]);

    let remote = Scratch::new();
    remote.git(&["update-ref", "refs/remotes/origin/dev", "HEAD"]);
    remote.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/dev"]);
    refused(&remote.orchestrate(&["init"]), &["`dev` does not exist", "git branch dev origin/dev"]);
    remote.git(&["branch", "dev"]);
    assert_eq!(target(&remote, &[]), "dev");

    let both = Scratch::new();
    both.git(&["branch", "master"]);
    refused(&both.orchestrate(&["init"]), &["both `main` and `master` exist", "git config orchestrate.target"]);

    let other = Scratch::new();
    other.git(&["branch", "-m", "trunk"]);
    assert_eq!(target(&other, &[]), "trunk");
    let detached = Scratch::new();
    detached.git(&["branch", "-m", "trunk"]);
    detached.git(&["switch", "-q", "--detach"]);
    refused(&detached.orchestrate(&["init"]), &["HEAD is detached", "--target BRANCH"]);
}

#[test]
fn init_from_a_linked_worktree_sets_up_the_main_one() {
    let scratch = Scratch::new();
    scratch.git(&["worktree", "add", "-q", "side"]);
    let ran = scratch.orchestrate(&["-C", "side", "init"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(scratch.root().join(".orchestrate.toml").is_file());
    assert!(!scratch.root().join("side/.orchestrate.toml").exists());
}

#[test]
fn demo_makes_a_repository_that_is_ready_to_run() {
    let scratch = Scratch::empty();
    let ran = scratch.orchestrate(&["demo", "jot", "--no-run"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let log = scratch.git(&["-C", "jot", "log", "--format=%s"]);
    assert_eq!(log, "Five stories for a note-taking tool");
    assert_eq!(scratch.git(&["-C", "jot", "ls-files", "docs/stories"]).lines().count(), 5);
    assert_eq!(scratch.git(&["-C", "jot", "status", "--porcelain"]), "");
    assert!(scratch.root().join("jot/.git/hooks/reference-transaction").is_symlink());
    refused(&scratch.orchestrate(&["demo", "jot"]), &["is not empty"]);
}

#[test]
fn install_script_parses_helps_and_uninstalls_from_an_empty_place() {
    let scratch = Scratch::empty();
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("install.sh");
    let sh = |args: &[&str]| run(scratch.command("sh").arg(&script).args(args));
    assert_eq!(run(scratch.command("sh").arg("-n").arg(&script)).code, 0);
    let help = sh(&["--help"]);
    assert_eq!(help.code, 0);
    assert!(
        help.stdout.contains("--prefix DIR") && help.stdout.contains("--uninstall") && help.stdout.contains("--demo")
    );
    assert_eq!(sh(&["--nope"]).code, 2);
    let prefix = scratch.root().join("with space");
    let page = prefix.join("share/man/man1/git-orchestrate.1");
    std::fs::create_dir_all(page.parent().unwrap()).unwrap();
    std::fs::write(&page, "").unwrap();
    std::fs::write(prefix.join("share/man/man1/other.1"), "").unwrap();
    let gone = sh(&["--prefix", prefix.to_str().unwrap(), "--uninstall"]);
    assert_eq!(gone.code, 0, "{}", gone.stderr);
    assert!(!page.exists() && prefix.join("share/man/man1/other.1").exists(), "{}", gone.stdout);
    assert_eq!(sh(&["--prefix", prefix.to_str().unwrap(), "--uninstall"]).code, 0);
}

#[test]
fn install_script_installs_both_programs_whether_or_not_the_filter_can_be_linked_statically() {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("install.sh");
    for (linked, expected) in [("true", "static"), ("false", "shared")] {
        let scratch = Scratch::empty();
        // Stands in for cargo: builds what answers `completions`, and a filter that says how it was linked.
        let cargo = format!(
            "#!/bin/sh\nout=$CARGO_TARGET_DIR/release; mkdir -p \"$out\"\ncase $* in\n\
             rustc*' -- -C target-feature=+crt-static') {linked} || exit 101; kind=static; name=git-orchestrate-hook ;;\n\
             *--bin\\ git-orchestrate) kind=program; name=git-orchestrate ;;\n\
             *--bin\\ git-orchestrate-hook) kind=shared; name=git-orchestrate-hook ;;\nesac\n\
             printf '#!/bin/sh\\necho %s\\n' \"$kind\" >\"$out/$name\"; chmod 755 \"$out/$name\"\n"
        );
        scratch.write("tools/cargo", cargo);
        let prefix = scratch.root().join("pre fix");
        let sh = |last: &[&str]| {
            let path = format!("{}:{}", scratch.root().join("tools").display(), std::env::var("PATH").unwrap());
            let mut command = scratch.command("sh");
            command.env("PATH", path).env("CARGO_TARGET_DIR", scratch.root().join("target"));
            let ran = run(command.arg(&script).arg("--prefix").arg(&prefix).args(last));
            assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        };
        assert_eq!(run(scratch.command("chmod").args(["755", "tools/cargo"])).code, 0);
        sh(&[]);
        let said = |name: &str| run(&mut scratch.command(prefix.join("bin").join(name))).stdout;
        assert_eq!((said("git-orchestrate").trim(), said("git-orchestrate-hook").trim()), ("program", expected));
        sh(&["--uninstall"]);
        assert_eq!(std::fs::read_dir(prefix.join("bin")).unwrap().count(), 0);
    }
}

#[test]
fn a_git_that_is_too_old_is_refused_with_the_version_needed() {
    use std::os::unix::fs::PermissionsExt;

    let scratch = Scratch::new();
    let tools = scratch.outside().join("old");
    std::fs::create_dir_all(&tools).unwrap();
    std::fs::write(tools.join("git"), "#!/bin/sh\necho git version 2.30.2\n").unwrap();
    std::fs::set_permissions(tools.join("git"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let ran = run(scratch.orchestrate_command().arg("stories").env("PATH", &tools));
    refused(&ran, &["2.30", "too old", "2.38"]);
}
