//! Story files that are wrong, through the real binary: the message names file, line and column, nothing is started, and
//! the good stories beside a bad one are still planned.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::project::Project;
use crate::support::{Ran, run};

/// No terminal may be steered by what was printed.
pub fn assert_plain(ran: &Ran) {
    let steers = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.chars().any(steers), "{text:?}");
    }
}

/// No agent, ref, branch or worktree came of it.
pub fn assert_nothing_started(project: &Project) {
    assert_eq!(project.journal(), Vec::<serde_json::Value>::new());
    let refs = project.scratch.git(&["for-each-ref", "--format=%(refname)"]);
    assert!(refs.lines().all(|name| name == "refs/heads/main"), "{refs}");
    let worktrees = project.scratch.git(&["worktree", "list", "--porcelain"]);
    assert_eq!(worktrees.matches("worktree ").count(), 1, "{worktrees}");
    assert!(!project.scratch.root().join(".worktrees").exists());
}

/// `git orchestrate ARGS`, ended by a watchdog where it would wait for ever.
pub fn guarded(project: &Project, args: &[&str]) -> Ran {
    let binary = env!("CARGO_BIN_EXE_git-orchestrate");
    run(project.scratch.command("timeout").args(["300", binary]).args(args))
}

/// The command is refused with exit code 2, says all of `expected` on stderr, and starts nothing.
pub fn assert_refused(project: &Project, args: &[&str], expected: &[&str]) -> Ran {
    let ran = guarded(project, args);
    assert_eq!(ran.code, 2, "{args:?}: {}{}", ran.stdout, ran.stderr);
    for text in expected {
        assert!(ran.stderr.contains(text), "{args:?} does not say {text:?}:\n{}", ran.stderr);
    }
    assert_plain(&ran);
    assert_nothing_started(project);
    ran
}

/// Rows of the plan's table: `wave id`.
pub fn rows(ran: &Ran) -> Vec<String> {
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let wave = words
            .next()
            .filter(|word| line.starts_with(|c: char| c.is_ascii_digit()) && word.parse::<u32>().is_ok())?;
        let id = words.next().filter(|word| word.contains('.'))?;
        Some(format!("{wave} {id}"))
    };
    ran.stdout.lines().filter_map(row).collect()
}

/// A project with a good story 5.1 and nothing else.
fn with_good_story() -> Project {
    let project = Project::new("", "");
    project.story("5.1", "Good", "None").commit();
    project
}

/// `stories` starts nothing, `plan` says the same and still plans the good stories.
fn assert_bad(project: &Project, expected: &[&str], planned: &[&str]) {
    let ran = assert_refused(project, &["stories"], expected);
    assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    assert!(ran.stderr.ends_with("error: nothing was started, because of the errors above\n"), "{}", ran.stderr);
    let ran = assert_refused(project, &["plan"], expected);
    assert_eq!(rows(&ran), planned, "{}", ran.stdout);
    assert!(
        ran.stdout.contains("to mend before anything can start") && !ran.stdout.contains("next:"),
        "{}",
        ran.stdout
    );
}

#[test]
fn b01_a_missing_prerequisite_is_named_with_the_nearest_ids() {
    let project = with_good_story();
    project.story("3.1", "A", "9.9").story("9.8", "B", "None");
    let expected =
        ["docs/stories/3.1.a.md:4:19", "depends on 9.9, which does not exist", "nearest: 9.8", "--assume-done 9.9"];
    assert_bad(&project, &expected, &["0 3.1", "0 5.1", "0 9.8"]);
    let ran = project.orchestrate(&["plan", "--assume-done", "9.9"]);
    assert!(ran.code == 0 && ran.stderr.contains("9.9 has no story; it is assumed to be done"), "{ran:?}");
}

#[test]
fn b02_b03_circles_name_every_edge_with_its_line() {
    let project = with_good_story();
    project.story("3.1", "A", "3.1");
    assert_bad(&project, &["docs/stories/3.1.a.md:4:19", "3.1 depends on itself"], &["0 3.1", "0 5.1"]);
    project.story("3.1", "A", "3.2").story("3.2", "B", "5.1, 3.1");
    let ran = assert_refused(&project, &["stories"], &["cycle: 3.1 → 3.2 → 3.1"]);
    let note = |text: &str| ran.stderr.split(text).nth(1).unwrap().lines().nth(1).unwrap().trim().to_owned();
    assert_eq!(note("note: 3.1 depends on 3.2"), "--> docs/stories/3.1.a.md:4:19");
    assert_eq!(note("note: 3.2 depends on 3.1"), "--> docs/stories/3.2.b.md:4:24");
}

#[test]
fn b04_a_long_cycle_is_cut_and_the_shortest_one_is_shown() {
    let project = with_good_story();
    for number in 1..=1000 {
        project.story(&format!("3.{number}"), "A", &format!("3.{}", number % 1000 + 1));
    }
    let ran = assert_refused(&project, &["stories"], &["cycle: 3.1 → 3.2 → 3.3", "3.10 → … (990 more) → 3.1"]);
    assert_eq!(ran.stderr.matches("cycle: ").count(), 1);
    project.story("3.500", "A", "3.501, 3.499");
    assert_refused(&project, &["stories"], &["cycle: 3.499 → 3.500 → 3.499"]);
}

#[test]
fn b05_b06_ids_that_collide_or_contradict_name_both_files() {
    let project = with_good_story();
    project.story("1.1", "A", "None").story("1.1", "B", "None");
    let expected = ["two stories with id 1.1", "docs/stories/1.1.a.md:1:9", "docs/stories/1.1.b.md:1:9"];
    assert_bad(&project, &expected, &["0 1.1", "0 5.1"]);
    std::fs::remove_file(project.scratch.root().join("docs/stories/1.1.b.md")).unwrap();
    project.scratch.write("docs/stories/1.3.c.md", "# Story 1.2: C\n\nStatus: Ready\nDepends on: none\n\n## Story\n");
    let expected =
        ["id in heading (1.2) differs from id in file name (1.3)", "docs/stories/1.3.c.md:1:9", "rename the file"];
    assert_bad(&project, &expected, &["0 1.1", "0 1.2", "0 5.1"]);
}

#[test]
fn b07_to_b12_damaged_files_are_named_with_the_place() {
    let deep = "---\na: &a [1]\nb: [*a, *a]\n---\n# Story 3.1: x\n\nStatus: Ready\nDepends on: none\n";
    let cases: [(&[u8], &[&str]); 6] = [
        (b"", &["docs/stories/3.1.x.md", "the file is empty"]),
        (b"# Story 3.1\xff\xfe", &["docs/stories/3.1.x.md:1:12", "not UTF-8 at byte 11", "save the file as UTF-8"]),
        (b"# Story 3.1\n\0", &["docs/stories/3.1.x.md:2:1", "NUL at byte 12"]),
        (b"\xff\xfe#\0 \0S\0", &["docs/stories/3.1.x.md", "UTF-16, not UTF-8"]),
        (
            b"---\nid: 3.1\n# Story 3.1: x\n\nStatus: Ready\n",
            &["docs/stories/3.1.x.md:1:1", "front matter is not closed"],
        ),
        (deep.as_bytes(), &["docs/stories/3.1.x.md:3:", "front matter uses aliases, which are refused"]),
    ];
    for (bytes, expected) in cases {
        let project = with_good_story();
        project.story("5.2", "Needs the bad one", "3.1");
        project.scratch.write("docs/stories/3.1.x.md", bytes);
        let ran = assert_refused(&project, &["stories"], expected);
        assert!(!ran.stderr.contains("does not exist"), "an unreadable story is not a missing one: {}", ran.stderr);
        let ran = assert_refused(&project, &["plan"], expected);
        assert!(rows(&ran).iter().any(|row| row.ends_with(" 5.1")) && ran.stdout.contains("5.2"), "{}", ran.stdout);
    }
    let project = with_good_story();
    let large = std::fs::File::create(project.scratch.root().join("docs/stories/3.1.x.md")).unwrap();
    large.set_len(100 << 20).unwrap();
    assert_bad(&project, &["docs/stories/3.1.x.md", "larger than 1 MiB"], &["0 5.1"]);
}

#[test]
fn b13_to_b16_what_is_no_readable_file_is_named_and_not_waited_for() {
    let project = with_good_story();
    let folder = project.scratch.root().join("docs/stories");
    std::fs::create_dir(folder.join("3.1.folder.md")).unwrap();
    symlink("/etc/passwd", folder.join("3.2.link.md")).unwrap();
    nix::unistd::mkfifo(&folder.join("3.3.pipe.md"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let expected =
        ["3.1.folder.md", "3.2.link.md", "3.3.pipe.md", "not a regular file", "symlink leaves the repository"];
    assert_bad(&project, &expected, &["0 5.1"]);
    let ran = guarded(&project, &["plan"]);
    assert!(ran.stderr.contains("3 errors") && !ran.stderr.contains("root:"), "{}", ran.stderr);
}

#[test]
fn b16_a_file_without_permission_is_named() {
    let project = with_good_story();
    project.story("3.1", "Closed", "None");
    let closed = project.scratch.root().join("docs/stories/3.1.closed.md");
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read(&closed).is_ok() {
        eprintln!("skipped: this user reads files without permission");
        return;
    }
    assert_bad(&project, &["docs/stories/3.1.closed.md", "permission denied"], &["0 5.1"]);
}

#[test]
fn b17_b18_control_and_direction_characters_in_a_title_are_shown_in_every_format() {
    let project = with_good_story();
    project.story("3.1", "A", "9.9");
    let title = "# Story 3.1: \u{1b}]0;pwn\u{7}\u{202e}x\u{200b}\u{9b}31m";
    let text = project.scratch.read("docs/stories/3.1.a.md");
    project.scratch.write("docs/stories/3.1.a.md", text.replace("# Story 3.1: A", title).replace("9.9", "None"));
    for args in [
        &["plan"] as &[&str],
        &["plan", "-v"],
        &["plan", "--format", "dot"],
        &["plan", "--format", "mermaid"],
        &["plan", "--json"],
        &["stories", "--dry-run"],
        &["stories", "--dry-run", "--json"],
    ] {
        let ran = guarded(&project, args);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.stderr);
        assert_plain(&ran);
        assert!(ran.stdout.contains("202e"), "{args:?}: {}", ran.stdout);
    }
    let ran = project.orchestrate(&["plan"]);
    assert!(ran.stdout.contains("\\x1b]0;pwn\\x07\\u202ex\\u200b\\x9b31m"), "{}", ran.stdout);
    assert_nothing_started(&project);
}

#[test]
fn b19_b20_a_broken_list_is_quoted_with_its_place() {
    let project = with_good_story();
    project.story("3.1", "A", "5.1,,; DROP TABLE, --force");
    let ran = guarded(&project, &["plan"]);
    let expected = ["docs/stories/3.1.a.md:4:", "`; DROP TABLE, --force` is not a story id"];
    assert!(expected.iter().all(|text| ran.stderr.contains(text)), "{}", ran.stderr);
    assert_eq!((ran.code, rows(&ran)), (0, vec!["0 5.1".to_owned(), "1 3.1".to_owned()]));
    assert_refused(&project, &["stories", "--strict"], &expected);
    project.story("3.1", "A", "1.2-1.1");
    assert_bad(
        &project,
        &["docs/stories/3.1.a.md:4:19", "bad range `1.2-1.1`: it ends before it starts"],
        &["0 3.1", "0 5.1"],
    );
}

#[test]
fn b21_b22_unknown_words_list_the_known_ones() {
    let project = with_good_story();
    let story = "# Story 3.1: A\n\n**Status:** Ready\n**Agent:** nosuch-agent\n**Dependencies**: None\n\n## Story\n";
    project.scratch.write("docs/stories/3.1.a.md", story);
    let expected = [
        "docs/stories/3.1.a.md:4:12",
        "nosuch-agent",
        "known roles: ",
        "python-developer",
        "known agents: ",
        "scripted",
    ];
    assert_bad(&project, &expected, &["0 3.1", "0 5.1"]);
    project
        .scratch
        .write("docs/stories/3.1.a.md", story.replace("**Agent:** nosuch-agent\n", "").replace("Ready", "Banana"));
    let expected =
        ["docs/stories/3.1.a.md:3:13", "unknown status `Banana`, treated as not started", "known: Draft, Ready"];
    let ran = guarded(&project, &["stories", "--dry-run"]);
    assert!(ran.code == 0 && expected.iter().all(|text| ran.stderr.contains(text)), "{ran:?}");
    assert_eq!(rows(&ran), ["0 3.1", "0 5.1"]);
    let ran = assert_refused(&project, &["stories", "--strict"], &expected);
    assert!(ran.stderr.contains("because of the warnings above and --strict"), "{}", ran.stderr);
}

#[test]
fn b23_windows_line_ends_and_a_byte_order_mark_are_accepted() {
    let project = with_good_story();
    let story = "\u{feff}# Story 3.1: A\r\n\r\n**Status:** Ready\r\n**Dependencies**: 5.1\r\n\r\n## Story\r\n";
    project.scratch.write("docs/stories/3.1.a.md", story);
    let ran = guarded(&project, &["plan", "--strict"]);
    assert_eq!((ran.code, ran.stderr.as_str(), rows(&ran)), (0, "", vec!["0 5.1".to_owned(), "1 3.1".to_owned()]));
    assert_plain(&ran);
}

#[test]
fn b24_a_long_chain_with_a_missing_end_overflows_nothing() {
    let project = with_good_story();
    for number in 1..=5000 {
        project.story(&format!("6.{number}"), "A", &format!("6.{}", number + 1));
    }
    let expected = ["docs/stories/6.5000.a.md:4:19", "depends on 6.5001, which does not exist"];
    assert_refused(&project, &["stories"], &expected);
}

#[test]
fn b25_to_b41_strange_file_names_are_skipped_escaped_and_never_run() {
    let project = with_good_story();
    let names = [
        ".._.._pwn.md",
        "-f.md",
        "--upload-pack=touch${IFS}pwn.md",
        "3.1..lock.md",
        "3.1.x.lock.md",
        "3.1 a.md",
        "$(touch pwn).md",
        "3.1.`touch pwn`.md",
        "3.1;touch pwn.md",
        "3.1\ntouch pwn.md",
        "3.1\u{1b}]0;x.md",
        "3.1@{x.md",
        "a~b^c:d?e*f[g.md",
        "CON.md",
        "99999999999999999999.1.md",
        "3.-1.md",
        "%2e%2e%2f.md",
    ];
    for name in names {
        project.scratch.write(&format!("docs/stories/{name}"), "# Story 3.1: a\n\nStatus: Ready\n\n## Story\n");
    }
    let ran = guarded(&project, &["plan"]);
    assert_eq!((ran.code, rows(&ran)), (0, vec!["0 5.1".to_owned()]), "{}", ran.stderr);
    assert_plain(&ran);
    assert_eq!(ran.stderr.matches(": not <epic>.<story>.<slug>.md").count(), names.len(), "{}", ran.stderr);
    assert!(ran.stderr.contains("3.1\\x1b]0;x.md") && ran.stderr.contains("3.1\\x0atouch pwn.md"), "{}", ran.stderr);
    assert_refused(&project, &["stories", "--strict"], &["skipped"]);
    for place in ["pwn", "docs/stories/pwn", "docs/pwn"] {
        assert!(!project.scratch.root().join(place).exists());
    }
}

#[test]
fn b42_b43_long_slugs_work_and_twins_by_case_are_named() {
    let project = with_good_story();
    let long = "x".repeat(236);
    project.scratch.write(
        &format!("docs/stories/3.1.{long}.md"),
        format!("# Story 3.1: {long}\n\nStatus: Ready\nDepends on: none\n\n## Story\n"),
    );
    let ran = guarded(&project, &["plan"]);
    assert_eq!((ran.code, rows(&ran)), (0, vec!["0 3.1".to_owned(), "0 5.1".to_owned()]), "{}", ran.stderr);
    let ran = guarded(&project, &["plan", "--json"]);
    let plan: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(plan["items"][0]["key"], "3.1");
    project
        .scratch
        .write("docs/stories/3.2.login.md", "# Story 3.2: a\n\nStatus: Ready\nDepends on: none\n\n## Story\n");
    project
        .scratch
        .write("docs/stories/3.2.LOGIN.md", "# Story 3.2: a\n\nStatus: Ready\nDepends on: none\n\n## Story\n");
    let expected = ["two stories with id 3.2", "docs/stories/3.2.login.md", "docs/stories/3.2.LOGIN.md"];
    assert_bad(&project, &expected, &["0 3.1", "0 3.2", "0 5.1"]);
}
