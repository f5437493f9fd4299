//! Arguments, places and configuration that are wrong, through the real binary: quoted and escaped, exit code 2, the next
//! step in one line, nothing started.

use crate::bad_input::{assert_nothing_started, assert_plain, assert_refused, rows};
use crate::project::Project;
use crate::support::{Ran, Scratch, run};

fn project() -> Project {
    let project = Project::new("", "");
    project.story("1.1", "Login", "None").story("1.2", "Logout", "1.1").story("1.10", "Profile", "1.2");
    project.story("2.1", "Billing", "1.1").commit();
    project
}

/// A refusal in a place that is no project.
fn assert_stops(ran: &Ran, expected: &[&str]) {
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stdout.is_empty() && expected.iter().all(|text| ran.stderr.contains(text)), "{}", ran.stderr);
    assert!(ran.stderr.lines().any(|line| line.starts_with("hint: ")), "no next step: {}", ran.stderr);
    assert_plain(ran);
}

#[test]
fn b44_to_b49_selectors_that_select_nothing_are_quoted() {
    let project = project();
    for (selector, expected) in [
        ("9.9", &["no story 9.9 (did you mean "] as &[&str]),
        ("1.11", &["no story 1.11 (did you mean 1.1, 1.10, 1.2?)"]),
        ("1", &["no story 1 (did you mean", "`epic:1` selects the stories of epic 1"]),
        ("7.*", &["`7.*` matches nothing", "git orchestrate plan"]),
        ("7.1-7.3", &["`7.1-7.3` matches nothing"]),
        ("epic:nope", &["`epic:nope` matches nothing", "epics: 1, 2"]),
        ("1.2-1.1", &["`1.2-1.1`: range ends before it starts"]),
        ("1.1-2", &["no story 1.1-2 (did you mean "]),
        ("1.1-1.5.2", &["`1.1-1.5.2`: range ends are not alike"]),
        ("1.1-", &["`1.1-`: range without end", "`1.1-<last>`"]),
        ("[[[[***", &["bad pattern `[[[[***`"]),
        ("../../etc/passwd", &["`../../etc/passwd` is not a selector", "selectors are `1.1`"]),
        ("1.1,,; DROP TABLE, --force", &["`; DROP TABLE` is not a selector", "`--force` is not a selector"]),
        ("", &["`` is not a selector"]),
        ("99999999999999999999.1", &["is not a selector"]),
        ("\u{661}.\u{661}", &["is not a selector"]),
    ] {
        let ran = assert_refused(&project, &["stories", "--", selector], expected);
        assert!(ran.stdout.is_empty(), "{}", ran.stdout);
        assert_refused(&project, &["plan", "--", selector], expected);
    }
}

#[test]
fn b50_to_b55_arguments_are_quoted_escaped_and_given_what_is_allowed() {
    let project = project();
    for (args, expected) in [
        (&["stories", "--", "--force"] as &[&str], &["`--force` is not a selector"] as &[&str]),
        (&["stories", "a\u{1b}]0;x\u{7}\u{202e}b"], &["`a\\x1b]0;x\\x07\\u202eb` is not a selector"]),
        (&["st\u{1b}]0;x"], &["'st\\x1b]0;x'"]),
        (&["stories", "--x\u{1b}[31m"], &["'--x\\x1b[31m'"]),
        (&["storys"], &["unrecognized subcommand 'storys'", "'stories'"]),
        (&["stories", "--nope"], &["unexpected argument '--nope'"]),
        (&["stories", "--jbos", "3"], &["unexpected argument '--jbos'", "'--jobs'"]),
        (&["stories", "--jobs", "banana"], &["'banana'", "a number from 1 to 256"]),
        (&["stories", "--jobs", "0"], &["'0'", "a number from 1 to 256"]),
        (&["stories", "--jobs", "257"], &["'257'", "a number from 1 to 256"]),
        (&["stories", "--missing", "banana"], &["'banana'", "ask, expand, skip, fail"]),
        (&["plan", "--format", "xml"], &["'xml'", "table, json, dot, mermaid"]),
        (
            &["stories", "--agent", "nosuch-agent"],
            &["\"nosuch-agent\", which does not exist", "known agents: claude, codex"],
        ),
        (&["stories", "--assume-done", "x/y"], &["--assume-done: `x/y` is not a story id"]),
        (&["stories", "--target", "nowhere"], &["nowhere"]),
        (&["-C", "/nonexistent", "stories"], &["cannot change to `/nonexistent`"]),
    ] {
        let ran = assert_refused(&project, args, expected);
        assert!(ran.stdout.is_empty(), "{args:?}: {}", ran.stdout);
    }
}

#[test]
fn b56_to_b58_a_place_without_repository_commit_or_stories_names_the_next_step() {
    for command in ["stories", "plan"] {
        let nowhere = Scratch::empty();
        assert_stops(&nowhere.orchestrate(&[command]), &["is not in a git repository", "hint: ", "git init"]);
        let unborn = Scratch::unborn();
        unborn.write("docs/stories/1.1.a.md", "# Story 1.1: a\n\nStatus: Ready\n\n## Story\n");
        let ran = unborn.orchestrate(&[command]);
        assert_stops(&ran, &["branch `main` has no commit yet", "git commit --allow-empty"]);
        let bare = Scratch::new();
        assert_stops(&bare.orchestrate(&[command]), &["docs/stories does not exist", "git orchestrate init"]);
        assert_eq!(bare.git(&["for-each-ref", "--format=%(refname)"]), "refs/heads/main");
    }
}

#[test]
fn b59_without_an_agent_on_the_path_everything_else_is_still_said() {
    let scratch = Scratch::new();
    scratch.write("docs/stories/1.1.a.md", "# Story 1.1: a\n\nStatus: Ready\nDepends on: 9.9\n\n## Story\n");
    let git = run(scratch.command("sh").args(["-c", "command -v git"])).stdout;
    let bin = scratch.outside().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(git.trim(), bin.join("git")).unwrap();
    let ran = run(scratch.orchestrate_command().arg("stories").env("PATH", &bin));
    let expected =
        ["no coding agent is installed", "claude, codex, gemini", "--agent demo", "docs/stories/1.1.a.md:4:13"];
    assert!(ran.code == 2 && expected.iter().all(|text| ran.stderr.contains(text)), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("no coding agent is installed").count(), 1, "{}", ran.stderr);
    assert_eq!(scratch.git(&["for-each-ref", "--format=%(refname)"]), "refs/heads/main");
}

#[test]
fn b60_broken_settings_name_file_line_and_column() {
    let project = project();
    let good = project.scratch.read(".orchestrate.toml");
    for (text, expected) in [
        ("[run]\njobs = = 3\n", &[".orchestrate.toml:2:8", "the file must be TOML"] as &[&str]),
        ("[run\njobs = 3\n", &[".orchestrate.toml:1:"]),
        ("[run]\njobs = 0\n", &[".orchestrate.toml:2:8", "`run.jobs` must be a number from 1 to 256"]),
        ("[checks]\ntest = 3\n", &[".orchestrate.toml:2:8", "`checks.test` must be a command"]),
        ("[stories]\nroots = [\"/etc\"]\n", &[".orchestrate.toml:2:", "below the repository root"]),
    ] {
        project.scratch.write(".orchestrate.toml", text);
        for command in ["stories", "plan"] {
            let ran = assert_refused(&project, &[command], expected);
            assert!(ran.stdout.is_empty(), "{}", ran.stdout);
        }
    }
    project.scratch.write(".orchestrate.toml", format!("{good}\n[run]\njbos = 3\n[revew]\nby = \"human\"\n"));
    let ran = project.orchestrate(&["plan"]);
    assert_eq!((ran.code, rows(&ran).len()), (0, 4), "{}", ran.stderr);
    for text in ["unknown key `run.jbos`", "did you mean `jobs`?", "unknown key `revew`", "did you mean `review`?"] {
        assert!(ran.stderr.contains(text), "{text}: {}", ran.stderr);
    }
    assert_refused(&project, &["stories", "--strict"], &["unknown key `run.jbos`", "--strict"]);
}

#[test]
fn a_policy_that_differs_from_the_target_s_is_refused_until_it_is_committed() {
    let project = project();
    let good = project.scratch.read(".orchestrate.toml");
    project.scratch.write(".orchestrate.toml", format!("{good}\n[checks]\ntest = [\"true\"]\n[review]\nrounds = 5\n"));
    let expected = ["differs from the one on main: ", "[review] rounds", "[checks] test", "--policy-from-target"];
    for command in ["stories", "plan"] {
        assert_refused(&project, &[command], &expected);
    }
    let ran = project.orchestrate(&["plan", "--policy-from-target"]);
    assert_eq!((ran.code, rows(&ran).len()), (0, 4), "{}", ran.stderr);
    assert!(ran.stdout.contains("next: git orchestrate stories --policy-from-target"), "{}", ran.stdout);
    let refused = project.orchestrate(&["stories"]);
    let command = refused.stderr.split("on branch main: ").nth(1).unwrap().split("; ").next().unwrap();
    let ran = run(project.scratch.command("sh").args(["-c", command]));
    assert_eq!(ran.code, 0, "{command}: {ran:?}");
    assert_eq!(project.orchestrate(&["plan"]).code, 0);
    assert_nothing_started(&project);
}

#[test]
fn every_refusal_names_the_thing_and_a_command_that_helps() {
    let project = project();
    let gone = "[agents.gone]\ncommand = [\"/nonexistent/agent\"]\n";
    project.scratch.write(".orchestrate.toml", project.scratch.read(".orchestrate.toml") + gone);
    project.scratch.commit("an agent that is gone");
    project.scratch.git(&["update-ref", "refs/orchestrate/rescue/1.1-login-1", "main"]);
    for (args, code, expected) in [
        (
            &["stories", "--target", "nowhere"][..],
            2,
            &["`nowhere` does not exist (given by --target)", "--target BRANCH"][..],
        ),
        (&["stories", "--agent", "gone"], 2, &["--agent names the agent gone", "agents.gone.command"]),
        (&["plan", "all"], 2, &["`all` is not a selector", "none at all selects every story"]),
        (&["sync", "nowhere"], 2, &["no remote `nowhere`", "git remote add nowhere URL"]),
        (&["rescue", "show", "1.1"], 1, &["under the name `1.1`", "did you mean 1.1-login-1?"]),
        (&["rescue", "show", "9.9"], 1, &["under the name `9.9`", "git orchestrate rescue list"]),
    ] {
        let ran = project.orchestrate(args);
        assert!(ran.code == code && ran.stdout.is_empty(), "{args:?}: {ran:?}");
        assert!(expected.iter().all(|text| ran.stderr.contains(text)), "{args:?}: {}", ran.stderr);
        assert_plain(&ran);
    }
    let silent = project.orchestrate(&["log"]);
    assert!(silent.code == 0 && silent.stderr.contains("nothing is recorded yet"), "{silent:?}");
    let (outside, command) = (project.scratch.outside(), project.scratch.orchestrate_command());
    let ran = run({ command }.args(["doctor"]).current_dir(&outside));
    assert!(ran.code == 2 && ran.stderr.contains(&format!("{} is not in", outside.display())), "{ran:?}");
}

#[test]
fn json_stays_json_where_there_is_nothing_to_do() {
    let project = project();
    let ran = project.orchestrate(&["rescue", "list", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &value["rescued"]), (0, &serde_json::json!([])));
    for story in project.scratch.git(&["ls-files", "docs"]).lines() {
        project.scratch.write(story, project.scratch.read(story).replace("Ready", "Done"));
    }
    project.scratch.commit("all done");
    for args in [&["resume", "--json"][..], &["stories", "--json"], &["stories", "1.1", "--json"]] {
        let ran = project.orchestrate(args);
        assert!(ran.code == 0 && ran.stdout.is_empty() && ran.stderr.contains("nothing to "), "{args:?}: {ran:?}");
        let told = project.orchestrate(&args[..args.len() - 1]);
        assert!(told.code == 0 && told.stdout.starts_with("nothing to "), "{args:?}: {told:?}");
    }
}

#[test]
fn a_policy_file_that_is_not_committed_is_not_called_missing() {
    let project = project();
    project.scratch.git(&["rm", "-q", "--cached", ".orchestrate.toml"]);
    project.scratch.git(&["commit", "-q", "-m", "no policy"]);
    let ran = project.orchestrate(&["plan"]);
    assert!(ran.stdout.contains("built-in policy (.orchestrate.toml is not committed on main)"), "{ran:?}");
}
