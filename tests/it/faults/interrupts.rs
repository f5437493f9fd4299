//! Signals, and output that nobody takes (F03, F04, F12). Must not assert durations: a limit is a watchdog at five times.

use std::process::Stdio;

use nix::sys::signal::Signal;

use super::note;
use crate::project::{Live, Project, until};
use crate::support::run;
use crate::survival::{assert_complete, assert_survived, blocked};

/// Waits for the end, at most so many seconds.
fn ends_within(mut live: Live, seconds: u64) -> crate::support::Ran {
    let started = std::time::Instant::now();
    while !live.is_over() {
        assert!(started.elapsed().as_secs() < seconds, "it does not end");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    live.finish()
}

/// A project whose author hangs with work in its hands, each of the first `times` times; `AT-n` says that it does.
fn hanging(how: &str, times: usize, grace: &str) -> Project {
    let step = |nth: usize| {
        format!(
            "[[step]]\nphase = \"implementation\"\nitem = \"1.1\"\nnth = {nth}\n\
             do = [{{ write = {{ path = \"left.txt\", text = \"left\\n\", append = true }} }}, {{ touch = AT{nth} }}, \"{how}\"]\n"
        )
    };
    let steps: String = (1..=times).map(step).collect();
    let project = blocked("", "");
    let at = project.meeting("at");
    project.script(&(1..=times).fold(steps, |steps, nth| {
        steps.replace(&format!("AT{nth} "), &format!("\"{}-{nth}\" ", at.to_str().unwrap()))
    }));
    project.set("agents", &format!("grace = \"{grace}\""));
    project.commit();
    project
}

fn started(project: &Project, command: &str, nth: usize) -> Live {
    let live = project.start(&[command]);
    until("the author's work", || project.meeting(&format!("at-{nth}")).exists());
    live
}

/// The work is kept and nothing runs.
fn assert_stopped(project: &Project, times: usize) {
    assert_eq!(project.status_of("1.1"), "Stopped");
    assert_eq!(project.merges_of("1.1"), 0);
    assert_eq!(project.scratch.read(".worktrees/1.1-first/left.txt"), "left\n".repeat(times));
    project.assert_sound();
    assert_eq!(project.own_locks(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn each_signal_asks_and_keeps_the_work() {
    let signals = [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129), (Signal::SIGQUIT, 131)];
    let project = hanging("hang", signals.len(), "1h");
    for (nth, (signal, code)) in (1..).zip(signals) {
        let live = started(&project, if nth == 1 { "stories" } else { "resume" }, nth);
        live.signal(signal);
        let ran = ends_within(live, 75);
        assert_eq!(ran.code, code, "{}\n{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("git orchestrate resume"), "the next step is named: {}", ran.stdout);
        assert_stopped(&project, nth);
        note("F03", signal.as_str(), &format!("exit {code}, work kept, nothing alive"));
    }
    assert_survived(&project, &["1.1", "1.2"]);
    assert_eq!(project.scratch.git(&["show", "main:left.txt"]), "left\n".repeat(4).trim_end());
}

#[test]
fn an_agent_that_ignores_the_first_ctrl_c_is_killed_by_the_second() {
    let project = hanging("hang-ignoring-term", 1, "1h");
    let mut live = started(&project, "stories", 1);
    // The log says when the agent has blocked the signals.
    let logs = project.scratch.root().join(".git/orchestrate");
    until("the agent ignores signals", || says(&logs, "ignoring"));
    let before = live.stderr().lines().count();
    live.signal(Signal::SIGINT);
    until("the first Ctrl-C is heard", || live.stderr().lines().skip(before).any(|line| line.contains("stopping")));
    assert!(!live.is_over(), "the grace is an hour");
    live.signal(Signal::SIGINT);
    assert_eq!(ends_within(live, 10).code, 130);
    assert_stopped(&project, 1);
    note("F04", "second INT, agent ignores the first", "killed at once, exit 130");
}

/// Whether a file below the folder says a word.
fn says(folder: &std::path::Path, word: &str) -> bool {
    std::fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            says(&path, word)
        } else {
            std::fs::read_to_string(path).is_ok_and(|text| text.contains(word))
        }
    })
}

#[test]
fn an_agent_that_ignores_the_request_is_killed_after_the_grace() {
    let project = hanging("hang-ignoring-term", 1, "1s");
    let live = started(&project, "stories", 1);
    live.signal(Signal::SIGINT);
    assert_eq!(ends_within(live, 75).code, 130);
    assert_stopped(&project, 1);
    note("F03", "SIGINT, agent ignores it", "killed after the grace, work kept");
}

#[test]
fn stop_ends_a_story_or_asks_a_live_run_to_end() {
    let project = hanging("hang", 2, "1h");
    let live = started(&project, "stories", 1);
    let asked = project.orchestrate(&["stop", "1.1", "1.2"]);
    assert_eq!(asked.code, 2, "a story that nobody has begun is not known: {asked:?}");
    let asked = project.orchestrate(&["stop", "1.1"]);
    assert_eq!(asked.code, 0, "{asked:?}");
    let ran = ends_within(live, 75);
    assert_eq!(ran.code, 4, "the rest of the run goes on to its end: {}\n{}", ran.stdout, ran.stderr);
    let live = started(&project, "stories", 2);
    let asked = project.orchestrate(&["stop"]);
    assert_eq!(asked.code, 0, "{asked:?}");
    assert_eq!(ends_within(live, 75).code, 143);
    assert_stopped(&project, 2);
    assert_survived(&project, &["1.1", "1.2"]);
}

/// A project whose author of 1.1 waits for the file `go`.
fn waiting() -> Project {
    let project = blocked("", "");
    let step = "[[step]]\nphase = \"implementation\"\nitem = \"1.1\"\n\
         do = [{ touch = \"AT\" }, { wait-for = \"GO\" }, { write = { path = \"1.1.txt\", text = \"x\" } }]\n";
    let at = |name: &str| project.meeting(name).to_str().unwrap().to_owned();
    project.script(&step.replace("AT", &at("at-1")).replace("GO", &at("go")));
    project
}

#[test]
fn a_run_that_was_put_to_sleep_goes_on() {
    let project = waiting();
    let live = started(&project, "stories", 1);
    live.signal(Signal::SIGTSTP);
    let stat = format!("/proc/{}/stat", live.pid());
    let stopped = || std::fs::read_to_string(&stat).unwrap().contains(") T ");
    let mut looks = 0;
    until("Ctrl-Z", || {
        looks += 1;
        if looks == 500 {
            // Where no shell waits for the tests (an orphaned process group), the system takes no notice of a Ctrl-Z.
            live.signal(Signal::SIGSTOP);
        }
        stopped()
    });
    std::fs::write(project.meeting("go"), "").unwrap();
    live.signal(Signal::SIGCONT);
    let ran = ends_within(live, 75);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_complete(&project, &["1.1", "1.2"]);
}

#[test]
fn what_nohup_has_ignored_stays_ignored() {
    let project = waiting();
    let binary = env!("CARGO_BIN_EXE_git-orchestrate");
    let mut command = project.scratch.command("sh");
    command
        .args(["-c", "trap '' HUP INT QUIT; exec \"$0\" stories", binary])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    until("the author's work", || project.meeting("at-1").exists());
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT] {
        nix::sys::signal::kill(pid, signal).unwrap();
    }
    std::fs::write(project.meeting("go"), "").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_complete(&project, &["1.1", "1.2"]);
}

#[test]
fn output_that_nobody_takes_ends_no_run() {
    let project = Project::new("", "");
    let binary = env!("CARGO_BIN_EXE_git-orchestrate");
    // What the shell does with the descriptors, and the exit codes that are right for it.
    let cases = [("<&- >/dev/full", 1), (">&-", 0), ("2>/dev/full", 0), ("<&- >&- 2>&-", 0), ("--json >/dev/full", 0)];
    for (number, _) in (1..).zip(cases) {
        project.story(&format!("{number}.1"), &format!("Story {number}"), "None");
    }
    project.story("9.1", "Piped", "None").commit();
    for (number, (redirects, code)) in (1..).zip(cases) {
        let line = format!("exec \"$0\" stories {number}.1 {redirects}");
        let ran = run(project.scratch.command("sh").args(["-c", line.as_str(), binary]));
        assert_eq!(ran.code, code, "{redirects}: {}\n{}", ran.stdout, ran.stderr);
        assert!(!ran.stderr.contains("internal fault"), "{redirects}: {}", ran.stderr);
        assert_eq!(project.merges_of(&format!("{number}.1")), 1, "{redirects}");
        note("F12", redirects, &format!("landed, exit {code}, no panic"));
    }
    let mut command = project.scratch.orchestrate_command();
    let mut child = command.args(["stories", "9.1"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(141), "as any program whose reader went away");
    assert_eq!(project.merges_of("9.1"), 1);
    note("F12", "broken pipes", "landed, exit 141, no panic");
    let again = project.orchestrate(&["resume"]);
    assert!(again.stdout.contains("nothing to resume"), "each run is recorded as finished: {again:?}");
}
