//! What a person at a terminal meets: the question about an unfinished run, the live display through Ctrl-Z, `fg`, a narrower
//! window and signals, and hostile text that must not reach the terminal raw. Bytes are compared and counted, never timed.

use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::{Signal, kill};

use crate::project::Project;
use crate::pty::{DRAWN, Pty};

/// A project of two stories in a row whose author of 1.1 touches `at` and waits for `go`.
fn waiting(title: &str) -> Project {
    let project = Project::new("", "");
    project.script(&waits(&project));
    project.story("1.1", "First", "None").story("1.2", "Second", "1.1");
    let file = "docs/stories/1.1.first.md";
    project.scratch.write(file, project.scratch.read(file).replace("1.1: First", &format!("1.1: {title}")));
    project.commit();
    project
}

fn waits(project: &Project) -> String {
    format!(
        "[[step]]\nphase = \"implementation\"\nitem = \"1.1\"\n\
         do = [{{ touch = {:?} }}, {{ wait-for = {:?} }}, {{ write = {{ path = \"1.1.txt\", text = \"x\" }} }}, {{ commit = \"work\" }}]\n",
        project.meeting("at").to_str().unwrap(),
        project.meeting("go").to_str().unwrap()
    )
}

/// The line that the display shows while the author of 1.1 is at work.
const AT_WORK: &str = "1.1  5/13 implementation";

#[test]
fn the_question_about_an_unfinished_run_takes_each_answer() {
    let project = waiting("First");
    let Some(mut pty) = Pty::start(&project, "\"$0\" stories; echo \"[$?]\"; exec \"$0\" stories 2>&1") else { return };
    pty.wait_for(AT_WORK, 0);
    kill_the_run(&project);
    let killed = pty.wait_for("[137]", 0);
    // The second command asks; end of input is no answer, and nothing starts.
    pty.wait_for("1-3: ", killed);
    pty.type_in("\u{4}");
    let (code, seen) = pty.finish();
    assert_eq!(code, 2, "{seen}");
    assert!(
        seen[killed..].contains("is unfinished: 2 of its 2 stories are left, stories 1.1, 1.2 in this scope"),
        "{seen}"
    );
    assert!(seen[killed..].contains("git orchestrate resume goes on with it"), "{seen}");
    // What is no answer is asked again; to cancel starts nothing; Ctrl-C ends as it does everywhere.
    for (typed, code, said) in
        [(&["n\n", "3\n"][..], 2, "cancelled; nothing was started"), (&["\u{3}"][..], 130, "3) cancel")]
    {
        let mut pty = Pty::start(&project, "exec \"$0\" stories").unwrap();
        let mut asked = pty.wait_for("1-3: ", 0);
        for (nth, keys) in typed.iter().enumerate() {
            pty.type_in(keys);
            if nth + 1 < typed.len() {
                asked = pty.wait_for("please answer with a number from 1 to 3", asked);
                asked = pty.wait_for("1-3: ", asked);
            }
        }
        let (ended, seen) = pty.finish();
        assert_eq!(ended, code, "{seen}");
        assert!(seen.contains(said), "{seen}");
        assert_eq!(project.own_locks(), Vec::<std::path::PathBuf>::new());
    }
    assert_eq!(project.journal().len(), 1, "no answer so far started an agent");
    std::fs::write(project.meeting("go"), "").unwrap();
    let mut pty = Pty::start(&project, "exec \"$0\" stories").unwrap();
    pty.wait_for("1-3: ", 0);
    pty.type_in("1\n");
    let (code, seen) = pty.finish();
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains("going on with run "), "{seen}");
    assert_eq!([project.merges_of("1.1"), project.merges_of("1.2")], [1, 1]);
    project.assert_tidy();
}

/// A folder for `PATH` with a git in it whose `bundle create` waits for the file `go`, or not longer than `PAUSE`, where set.
fn slow_git(project: &Project) -> String {
    let git = project.scratch.outside().join("slow/git");
    std::fs::create_dir_all(git.parent().unwrap()).unwrap();
    let go = project.meeting("go");
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in *'bundle create'*)\n\
         if [ \"$PAUSE\" ]; then sleep \"$PAUSE\"; else until [ -e '{}' ]; do sleep 0.02; done; fi;;\nesac\nexec \"$REAL\" \"$@\"\n",
        go.display()
    );
    std::fs::write(&git, text).unwrap();
    std::fs::set_permissions(&git, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("REAL=$(command -v git); export REAL PATH='{}':\"$PATH\"; ", git.parent().unwrap().display())
}

/// What a backup that takes long shows.
const PACKING: &str = "packing ";

#[test]
fn a_long_command_says_so_and_leaves_the_terminal_as_it_was() {
    let project = waiting("First");
    assert_eq!(project.orchestrate(&["init", "--yes"]).code, 0);
    let slow = slow_git(&project);
    let Some(mut pty) = Pty::start(&project, &format!("{slow} exec \"$0\" backup c.bundle")) else { return };
    pty.wait_for(PACKING, 0);
    pty.type_in("\u{3}");
    let (code, seen) = pty.finish();
    assert_eq!(code, 130, "{seen:?}");
    // Through a pipe and with --quiet no byte of it is written, however long it takes.
    let kept = project.meeting("kept");
    let script = format!(
        "{slow} export PAUSE=0.8; \"$0\" --quiet backup q.bundle; \"$0\" backup p.bundle 2> '{}'",
        kept.display()
    );
    let (code, seen) = Pty::start(&project, &script).unwrap().finish();
    let piped = std::fs::read_to_string(&kept).unwrap();
    assert_eq!(code, 0, "{seen} {piped}");
    assert!(!seen.contains(PACKING) && !piped.contains(PACKING) && !piped.contains('\r'), "{seen:?} {piped:?}");
    // It is taken away before the answer is written.
    let pty = Pty::start(&project, &format!("{slow} exec \"$0\" backup a.bundle")).unwrap();
    pty.wait_for(PACKING, 0);
    std::fs::write(project.meeting("go"), "").unwrap();
    let (code, seen) = pty.finish();
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains("\r\u{1b}[Ka.bundle: "), "{seen:?}");
}

/// `kill -9` of the one run that is alive, which its lock names.
fn kill_the_run(project: &Project) {
    let runs = project.scratch.root().join(".git/orchestrate/runs");
    let lock = std::fs::read_dir(runs).unwrap().flatten().map(|entry| entry.path());
    let pids = lock.filter_map(|path| std::fs::read_to_string(path).ok());
    let pids: Vec<i32> = pids.filter_map(|text| text.split_whitespace().next()?.parse().ok()).collect();
    assert_eq!(pids.len(), 1, "one run is alive");
    kill(nix::unistd::Pid::from_raw(pids[0]), Signal::SIGKILL).unwrap();
}

/// Columns of the widest line of a drawing. Nothing in it is wider than a column.
fn widest(drawing: &str) -> usize {
    drawing.lines().map(|line| line.split('\u{1b}').next().unwrap().chars().count()).max().unwrap()
}

#[test]
fn the_display_survives_ctrl_z_a_shell_and_a_narrower_window() {
    let project = waiting("First");
    let script = "set -m; \"$0\" stories; echo \"[stopped $?]\"; read again; fg; echo \"[ended $?]\"";
    let Some(mut pty) = Pty::start(&project, script) else { return };
    let at_work = pty.wait_for(AT_WORK, 0);
    let one = pty.wait_for(DRAWN, at_work);
    pty.type_in("\u{1a}");
    let stopped = pty.wait_for("[stopped 14", one);
    let drawings = pty.drawings(0);
    let last = drawings.last().unwrap();
    for id in ["  1.1  ", "  1.2  "] {
        assert_eq!(last.matches(id).count(), 1, "one line per story: {last:?}");
    }
    // Stopped means stopped: nothing is drawn until the shell lets it go on.
    assert_eq!(pty.seen()[stopped..].matches(DRAWN).count(), 0);
    pty.type_in("\n");
    let again = pty.wait_for(DRAWN, stopped);
    let between = &pty.seen()[stopped..again - DRAWN.len()];
    assert!(!between.contains("\u{1b}["), "what the shell wrote is not drawn over: {between:?}");
    pty.wait_for(AT_WORK, again);
    pty.resize(&project, 50);
    let next = pty.wait_for("implementation", pty.wait_for("\u{1b}[8A", again));
    std::fs::write(project.meeting("go"), "").unwrap();
    pty.wait_for("[ended 0]", next);
    let (code, seen) = pty.finish();
    assert_eq!(code, 0, "{seen}");
    // Five lines, three of them wider than 50 columns, were eight rows, and all of them went away; what came fits.
    let drawings: Vec<&str> = seen[next..].split(DRAWN).collect();
    assert!(drawings.iter().take(drawings.len() - 1).all(|drawing| widest(drawing) < 50), "{drawings:?}");
    for id in ["1.1", "1.2"] {
        assert_eq!(seen.matches(&format!("{id} landed after")).count(), 1, "{seen}");
        assert_eq!(project.merges_of(id), 1);
    }
    project.assert_tidy();
}

#[test]
fn a_signal_takes_the_display_away_and_leaves_the_terminal_as_it_was() {
    for (signal, code) in [(None, 130), (Some(Signal::SIGTERM), 143)] {
        let project = waiting("First");
        project.set("agents", "grace = \"1h\"");
        project.commit();
        let Some(mut pty) = Pty::start(&project, "exec \"$0\" stories") else { return };
        pty.wait_for(AT_WORK, 0);
        match signal {
            None => pty.type_in("\u{3}"),
            Some(signal) => kill(pty.pid(), signal).unwrap(),
        }
        let (ended, seen) = pty.finish();
        assert_eq!(ended, code, "{seen}");
        let after = seen.rsplit(DRAWN).next().unwrap();
        assert!(!after.contains('░') && after.contains("2 unfinished"), "the display is gone: {after:?}");
        assert!(after.contains("git orchestrate resume"), "{after:?}");
        project.assert_sound();
        assert_eq!(project.status_of("1.1"), "Stopped");
    }
}

/// Text that would retitle the window, turn the reading direction around, go back to the line's beginning and clear the screen.
const HOSTILE: &str = "a\u{1b}]0;owned\u{7}\u{202e}b\rc\u{9b}2J";

/// What a terminal may be told: line ends, colours, and how the display is drawn over itself.
fn assert_harmless(seen: &str) {
    let mut rest = seen.replace("\r\n", "\n");
    for allowed in [DRAWN, "^C\u{8}\u{8}"] {
        rest = rest.replace(allowed, "");
    }
    while let Some(at) = rest.find("\u{1b}[") {
        let end = at + 2 + rest[at + 2..].bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
        assert!(matches!(rest.as_bytes()[end], b'A' | b'm'), "{:?}", &rest[at..=end]);
        rest.replace_range(at..=end, "");
    }
    let raw = |char: &char| (char.is_control() && !matches!(char, '\n' | '\t')) || *char == '\u{202e}';
    let found: Vec<char> = rest.chars().filter(raw).collect();
    assert!(found.is_empty(), "{found:?} in {rest:?}");
}

#[test]
fn hostile_text_of_a_story_an_agent_and_a_branch_does_not_reach_the_terminal() {
    let project = waiting(HOSTILE);
    let script = format!(
        "[[step]]\nphase = \"implementation\"\nitem = \"1.1\"\ndo = [{{ print = {0} }}, {{ write = {{ path = \"1.1.txt\", text = \"x\" }} }}, \
         {{ commit = {0} }}]\n[[step]]\nphase = \"review\"\nitem = \"1.1\"\nnth = 1\ndo = [{{ request-changes = {{ path = {0}, text = {0} }} }}]\n",
        toml::Value::String(HOSTILE.to_owned())
    );
    project.script(&script);
    let branch = "ma\u{202e}in";
    project.scratch.git(&["branch", "-m", branch]);
    project.scratch.git(&["config", "orchestrate.target", branch]);
    let commands = "\"$0\" plan; \"$0\" stories; \"$0\" status; \"$0\" show 1.1; \"$0\" log; \"$0\" log 1.1 --agent; \"$0\" verify; \"$0\" stories 9.9";
    let Some(pty) = Pty::start(&project, commands) else { return };
    let (code, seen) = pty.finish();
    assert_eq!(code, 2, "{seen}");
    assert_harmless(&seen);
    for shown in ["a\\x1b]0;owned\\x07\\u202eb\\x0dc", "ma\\u202ein", "1.1 landed after"] {
        assert!(seen.contains(shown), "{shown}: {seen}");
    }
}

#[test]
fn output_that_goes_into_a_pipe_is_plain_lines() {
    let project = waiting("First");
    std::fs::write(project.meeting("go"), "").unwrap();
    let Some(pty) = Pty::start(&project, "\"$0\" stories 2>&1 | cat; \"$0\" status | cat") else { return };
    let (code, seen) = pty.finish();
    assert_eq!(code, 0, "{seen}");
    assert!(!seen.contains('\u{1b}') && !seen.replace("\r\n", "").contains('\r'), "{seen:?}");
    let happenings = seen.lines().filter(|line| line.contains("/13 "));
    assert!(happenings.clone().count() > 20, "{seen}");
    assert!(happenings.clone().all(|line| line.starts_with("20") && line[19..].starts_with("Z 1.")), "{seen}");
}
