//! Faults of processes: orchestrators, supervisors and agents that are killed, stopped, replaced or deaf, in real runs.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use git_orchestrate::adapters::host::Machine;
use git_orchestrate::adapters::process::fence;
use git_orchestrate::domain::names::AttemptId;
use git_orchestrate::domain::settings::PidNamespace;
use git_orchestrate::engine::ports::Host;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};

use super::{note, skip};
use crate::project::{Live, Project, until};
use crate::supervisor::{WAYS, alive, end_unreachable, escapes, holder, supervised};

/// Five times the five seconds that are promised.
const WATCHDOG: Duration = Duration::from_secs(25);

/// A project whose author leaves half a file, starts processes in every way there is, and stays; the next one does the work.
/// Each author starts with a look at whether anything of an earlier one still lives.
fn entangled() -> Project {
    let project = Project::new("", "");
    let dir = project.scratch.outside();
    let script = escapes(&dir);
    project.script(&format!(
        "[[step]]\nphase = 'implementation'\nnth = 1\n\
         do = [{{ write = {{ path = 'part.txt', text = 'half' }} }}, {{ run = ['sh', '{}', '{}'] }}, {{ touch = '{}' }}, 'hang-ignoring-term']\n",
        script.display(),
        dir.display(),
        dir.join("all").display(),
    ));
    project.story("1.1", "First", "None").commit();
    project
}

/// The run of such a project, where everything is up.
fn entangle(project: &Project, namespace: &str) -> Live {
    let live = project.start_with(&["stories"], &[("GIT_ORCHESTRATE_PID_NAMESPACE", namespace)]);
    until("the tree of processes", || project.meeting("all").exists());
    assert_eq!(alive(&project.scratch.outside()).len(), WAYS);
    live
}

/// The lock of the one supervisor at work.
fn supervisor_lock(project: &Project) -> PathBuf {
    let attempts = project.scratch.root().join(".git/orchestrate/attempts");
    let names = std::fs::read_dir(&attempts).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    let state = attempts.parent().unwrap();
    let live: Vec<String> = names.filter(|attempt| fence::is_alive(state, attempt)).collect();
    assert_eq!(live.len(), 1, "{live:?}");
    fence::lock_path(state, &live[0])
}

fn all_gone(project: &Project) {
    let started = Instant::now();
    loop {
        let left = alive(&project.scratch.outside());
        if left.is_empty() {
            return;
        }
        assert!(started.elapsed() < WATCHDOG, "{left:?} live on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// One `resume` ends it, with the half of the work that was there, once.
fn assert_resumed(project: &Project) {
    let ran = project.orchestrate(&["resume"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(project.merges_of("1.1"), 1);
    assert_eq!(project.scratch.git(&["show", "main:part.txt"]), "half");
    assert_eq!(alive(&project.scratch.outside()), Vec::<String>::new());
    project.assert_one_at_a_time();
    project.assert_tidy();
}

fn killed_orchestrator(namespace: &str) {
    let project = entangled();
    entangle(&project, namespace).kill();
    all_gone(&project);
    assert_resumed(&project);
    note("F01", &format!("full tree, namespace {namespace}"), "nothing left, landed once");
    note("F11", &format!("half a file, namespace {namespace}"), "kept and landed");
}

#[test]
fn a_killed_orchestrator_takes_everything_along_and_the_work_stays() {
    killed_orchestrator("off");
}

#[test]
#[ignore = "battery"]
fn the_same_in_a_namespace() {
    if supervised(PidNamespace::On).is_some() {
        killed_orchestrator("on");
    }
}

/// Stops orchestrator and supervisor, so that neither can act any more, and kills both.
fn kill_both(project: &Project, live: Live) {
    let supervisor = holder(&supervisor_lock(project));
    live.signal(Signal::SIGSTOP);
    kill(supervisor, Signal::SIGSTOP).unwrap();
    kill(supervisor, Signal::SIGKILL).unwrap();
    live.kill();
}

#[test]
fn orchestrator_and_supervisor_killed_together_leave_nothing_where_a_namespace_can_be_made() {
    if supervised(PidNamespace::On).is_none() {
        return;
    }
    let project = entangled();
    let live = entangle(&project, "on");
    kill_both(&project, live);
    all_gone(&project);
    assert_resumed(&project);
    note("F02", "in a namespace", "nothing left at once");
}

#[test]
#[ignore = "battery"]
fn without_a_namespace_the_next_command_ends_what_still_has_our_mark() {
    let project = entangled();
    let live = entangle(&project, "off");
    kill_both(&project, live);
    let ran = project.orchestrate(&["resume"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let mut left = alive(&project.scratch.outside());
    left.sort();
    assert_eq!(left, ["held-bare", "held-lost"], "what has neither our mark nor our supervisor is nobody's");
    end_unreachable(&project.scratch.outside());
    assert_eq!(project.merges_of("1.1"), 1);
    project.assert_one_at_a_time();
    note("F02", "no namespace", "resume ends all that has the mark; what shed it and its parents stays");
}

#[test]
fn resume_ends_a_live_agent_before_it_starts_another() {
    let project = entangled();
    let live = entangle(&project, "off");
    // A supervisor that is stopped does not hear of the end of its engine: the agent lives on.
    kill(holder(&supervisor_lock(&project)), Signal::SIGSTOP).unwrap();
    live.kill();
    assert_eq!(alive(&project.scratch.outside()).len(), WAYS);
    assert_resumed(&project);
    note("F06", "supervisor stopped, orchestrator killed", "fenced, landed once");
}

#[test]
fn the_end_of_one_agent_is_not_that_of_others() {
    let project = Project::new(
        "[[step]]\nitem = '1.1'\nphase = 'implementation'\nnth = 1\ndo = [{ run = ['sh', '-c', 'kill -STOP $PPID'] }, 'hang']\n\
         [[step]]\nitem = '1.2'\nphase = 'implementation'\nnth = 1\ndo = [{ run = ['sh', '-c', 'kill -9 $PPID'] }, 'hang']\n",
        "",
    );
    project.set("agents", "idle_timeout = 2\ngrace = 1");
    project.story("1.1", "Stopped", "None").story("1.2", "Killed", "None").story("1.3", "Sound", "None").commit();
    let ran = project.stories(&["-j", "3"]);
    assert_eq!(project.status_of("1.3"), "Landed", "{ran:?}");
    let diary = |id| project.orchestrate(&["log", id]).stdout;
    assert!(diary("1.1").contains("no output"), "{}", diary("1.1"));
    assert!(diary("1.2").contains("signal 9"), "{}", diary("1.2"));
    project.assert_sound();
    note("F08", "agent stopped in a run of three", "idle limit ended it, the others went on");
    note("F50", "agent killed by SIGKILL", "attempt ended as killed, the others went on");
}

#[test]
#[ignore = "battery"]
fn a_number_that_became_another_process_s_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (machine, attempt) = (Machine::new(dir.path()), AttemptId::new("a-1"));
    let lock = fence::lock_path(dir.path(), attempt.as_str());
    std::fs::create_dir_all(lock.parent().unwrap()).unwrap();
    let mut innocent = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    std::fs::write(&lock, format!("{} 1 {}", innocent.id(), boot.trim())).unwrap();
    // Held by this process, which is not the one that it names: as after a reuse of its number.
    let held = Flock::lock(std::fs::File::open(&lock).unwrap(), FlockArg::LockExclusive).unwrap();
    let refused = machine.sweep(&attempt).unwrap_err().to_string();
    assert!(refused.contains("do not end"), "{refused}");
    assert!(innocent.try_wait().unwrap().is_none(), "an innocent process was ended");
    drop(held);
    assert_eq!(machine.sweep(&attempt).unwrap(), 0);
    assert!(innocent.try_wait().unwrap().is_none());
    innocent.kill().unwrap();
    innocent.wait().unwrap();
    note("F07", "lock names a reused number", "innocent survives, the lock is respected");
    skip("F07", "reuse by ns_last_pid", "start time and boot are compared by unit tests of the identity");
}
