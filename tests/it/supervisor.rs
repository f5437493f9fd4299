//! Supervisors and what agents try against them: leaving, staying, flooding, stopping. With and without a PID namespace.
//! Must not assert durations.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use git_orchestrate::adapters::host::Machine;
use git_orchestrate::adapters::process::run::{Job, JobEnd, run};
use git_orchestrate::adapters::process::supervise::Namespace;
use git_orchestrate::adapters::process::supervisor::Supervisor;
use git_orchestrate::adapters::process::{fence, past};
use git_orchestrate::domain::settings::PidNamespace;
use git_orchestrate::engine::ports::{Cancel, Ended, Host};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::watch;

use super::faults;
use super::processes::{Bench, block_on};
use super::project::until;

/// Every way out that is known: a plain child, nohup, a session, a double fork, deaf to signals, a group of its own, and one
/// with nothing of ours at all. Each holds a lock for as long as it lives.
pub const ESCAPES: &str = r#"set -m
stay='exec 9>"$1/held-$2"; flock 9; : > "$1/up-$2"; exec sleep 1000 >/dev/null 2>&1 </dev/null'
sh -c "$stay" sh "$1" plain &
nohup sh -c "$stay" sh "$1" nohup >/dev/null 2>&1 &
setsid sh -c "$stay" sh "$1" session &
( ( sh -c "$stay" sh "$1" twice & ) & )
sh -c "trap '' TERM INT HUP QUIT; $stay" sh "$1" deaf &
env -i setsid sh -c "$stay" sh "$1" bare &
( setsid env -i sh -c "$stay" sh "$1" lost & )
while [ "$(ls "$1" | grep -c '^up-')" -lt 7 ]; do sleep 0.01; done
"#;

/// How many ways there are.
pub const WAYS: usize = 7;

/// Writes the script and returns its path.
pub fn escapes(folder: &Path) -> PathBuf {
    let path = folder.join("escapes.sh");
    std::fs::write(&path, ESCAPES).unwrap();
    path
}

/// Names of those that still live: a lock is free when its holder is gone, whatever namespace it was in.
pub fn alive(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    let held = |name: &String| {
        let file = File::open(folder.join(name)).unwrap();
        Flock::lock(file, FlockArg::LockSharedNonblock).is_err()
    };
    names.filter(|name| name.starts_with("held-")).filter(held).collect()
}

/// A supervisor in a mode; `None` where the machine does not allow it.
pub fn supervised(wanted: PidNamespace) -> Option<Supervisor> {
    let supervisor = Supervisor::at(env!("CARGO_BIN_EXE_git-orchestrate"), wanted);
    let fits = (supervisor.namespace() == Namespace::None) == (wanted == PidNamespace::Off);
    if !fits {
        faults::skip("F02", "PID namespace", "it cannot be made here");
    }
    fits.then_some(supervisor)
}

/// Both modes, as far as they can be had.
fn modes() -> Vec<Supervisor> {
    [PidNamespace::Off, PidNamespace::On].into_iter().filter_map(supervised).collect()
}

/// A bench whose agent tries every way out and then does `then`.
fn escaping(then: &str, supervisor: &Supervisor) -> (Bench, Job) {
    let bench = Bench::new(&format!("{{ run = ['sh', '@/escapes.sh', '@'] }}, {{ touch = '@/all' }}, {then}"));
    escapes(&bench.path(""));
    let job = Job { supervisor: supervisor.clone(), ..bench.job() };
    (bench, job)
}

/// A bench whose agent runs a shell script.
fn shell(script: &str) -> Bench {
    let bench = Bench::new("{ run = ['sh', '@/do.sh'] }");
    std::fs::write(bench.path("do.sh"), script).unwrap();
    bench
}

/// The process that the lock names.
pub fn holder(lock: &Path) -> Pid {
    let text = std::fs::read_to_string(lock).unwrap();
    Pid::from_raw(text.split_whitespace().next().unwrap().parse().unwrap())
}

fn assert_nobody(bench: &Bench) {
    assert_eq!(alive(&bench.path("")), Vec::<String>::new());
}

/// Runs a job and does something to it once a file is there.
fn disturbed(job: &Job, file: &Path, disturb: impl FnOnce()) -> JobEnd {
    let (_never, cancel) = watch::channel(Cancel::No);
    block_on(async {
        let (end, ()) = tokio::join!(run(job, cancel), async {
            super::processes::appears(file).await;
            disturb();
        });
        end
    })
}

#[test]
fn nothing_outlives_a_success_and_the_end_is_written_down() {
    for supervisor in modes() {
        let (bench, job) = escaping("{ exit = 3 }", &supervisor);
        let end = bench.run(&job);
        assert_eq!(end.ended, Ended::Exit(3), "{}", end.tail);
        assert!(end.swept >= WAYS, "{}", end.swept);
        assert_nobody(&bench);
        assert_eq!(past::ended(&bench.path("")), Some(Ended::Exit(3)));
    }
}

#[test]
fn the_end_of_the_engine_is_the_end_of_all() {
    for supervisor in modes() {
        let (bench, job) = escaping("'hang-ignoring-term'", &supervisor);
        let (_never, cancel) = watch::channel(Cancel::No);
        let all = bench.path("all");
        block_on(async {
            tokio::select! {
                end = run(&job, cancel) => panic!("it ended: {end:?}"),
                () = super::processes::appears(&all) => {}
            }
        });
        // The pipe is closed, as by the kernel when the engine is killed.
        until("the end", || alive(&bench.path("")).is_empty());
        until("the exit file", || bench.path("exit.json").exists());
        assert_eq!(past::ended(&bench.path("")), None, "an interruption is no end of its own");
    }
}

#[test]
fn a_killed_supervisor_is_noticed_and_its_work_ended() {
    for supervisor in modes() {
        let in_namespace = supervisor.namespace() != Namespace::None;
        let (bench, job) = escaping("'hang'", &supervisor);
        let end = disturbed(&job, &bench.path("all"), || kill(holder(&job.lock), Signal::SIGKILL).unwrap());
        assert_eq!(end.ended, Ended::Signal(9));
        assert!(end.tail.contains("its supervisor was killed"), "{}", end.tail);
        // Without a namespace nothing ties together what has neither our mark nor the supervisor's session any more.
        let mut left = alive(&bench.path(""));
        left.retain(|name| in_namespace || !["held-bare", "held-lost"].contains(&name.as_str()));
        assert_eq!(left, Vec::<String>::new());
        end_unreachable(&bench.path(""));
    }
}

/// Ends what a test left on purpose: whoever has its folder's files open.
pub fn end_unreachable(folder: &Path) {
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let opened = std::fs::read_link(entry.path().join("fd/9")).is_ok_and(|path| path.starts_with(folder));
        if let (true, Ok(pid)) = (opened, entry.file_name().to_str().unwrap().parse()) {
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        }
    }
}

#[test]
fn a_live_attempt_is_fenced_even_when_its_supervisor_is_stopped() {
    for supervisor in modes() {
        let state = tempfile::tempdir().unwrap();
        let (bench, job) = escaping("'hang'", &supervisor);
        let lock = fence::lock_path(state.path(), bench.attempt.as_str());
        std::fs::create_dir_all(lock.parent().unwrap()).unwrap();
        let job = Job { lock: lock.clone(), ..job };
        let machine = Machine::new(state.path());
        let attempt = bench.attempt.clone();
        let end = disturbed(&job, &bench.path("all"), || {
            assert!(fence::is_alive(state.path(), attempt.as_str()));
            kill(holder(&lock), Signal::SIGSTOP).unwrap();
            // The fence waits, and so does this thread; the supervisor needs neither.
            machine.sweep(&attempt).unwrap();
            assert!(!fence::is_alive(state.path(), attempt.as_str()));
            assert_nobody(&bench);
        });
        assert_eq!(end.ended, Ended::Cancelled);
        assert_eq!(past::ended(&bench.path("")), None);
        faults::note("F06", "supervisor alive and stopped", "fenced, nothing left");
    }
}

#[test]
fn a_stopped_agent_runs_into_the_idle_limit() {
    let bench = Bench::new("{ run = ['sh', '-c', 'kill -STOP $PPID; echo woken'] }, 'hang'");
    let mut job = bench.job();
    (job.idle, job.grace) = (Some(Duration::from_millis(300)), Duration::from_millis(100));
    assert_eq!(bench.run(&job).ended, Ended::IdleTimeout);
    faults::note("F08", "agent stopped by SIGSTOP", "idle limit ended it");
}

/// Eight chains of processes that are replaced as fast as they can, with nothing of ours in their environment. They stop by
/// themselves after a while, so that a broken test does not harm the machine.
const STORM: &str = r#"n=${2:-0}; [ "$n" -lt 20000 ] || exit
setsid env -i sh "$0" "$1" $((n + 1)) >/dev/null 2>&1 &
if [ "$n" = 300 ]; then : > "$1/all"; fi
"#;

#[test]
fn a_fork_storm_is_calmed() {
    for supervisor in modes() {
        let bench = shell(
            "cd \"$(dirname \"$0\")\"; exec 9>held-storm; flock 9\n\
             for i in 1 2 3 4 5 6 7 8; do env -i sh storm.sh . & done; exec sleep 1000",
        );
        std::fs::write(bench.path("storm.sh"), STORM).unwrap();
        let job = Job { supervisor, ..bench.job() };
        let (raise, cancel) = watch::channel(Cancel::No);
        let end = block_on(async {
            let (end, ()) = tokio::join!(run(&job, cancel), async {
                super::processes::appears(&bench.path("all")).await;
                raise.send(Cancel::Kill).unwrap();
            });
            end
        });
        assert_eq!(end.ended, Ended::Cancelled);
        assert!(end.swept >= 8, "{}: {}", end.swept, end.tail);
        assert_nobody(&bench);
    }
}

/// Most memory that the supervisor of a job had while the job ran, in KiB, and how the job ended.
fn watched(bench: &Bench, job: &Job) -> (u64, JobEnd) {
    let (_never, cancel) = watch::channel(Cancel::No);
    let most = std::cell::Cell::new(0);
    let look = async {
        loop {
            let pid = std::fs::read_to_string(&job.lock).unwrap_or_default();
            let pid = pid.split_whitespace().next().unwrap_or("0").to_owned();
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let peak = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            most.set(most.get().max(peak.unwrap_or(0)));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let end = block_on(async {
        tokio::select! { end = run(job, cancel) => end, () = look => unreachable!() }
    });
    assert!(most.get() > 0, "nobody was seen at {}", bench.path("").display());
    (most.get(), end)
}

/// A supervisor's memory may not grow with the output; the debug program alone takes a good part of this.
const MEMORY: u64 = 48 << 10;

#[test]
fn one_endless_line_neither_grows_memory_nor_the_log() {
    let bench = shell("head -c 20000000 /dev/zero | tr '\\0' x; printf '\\377\\000\\033end'");
    let job = bench.job();
    let (memory, end) = watched(&bench, &job);
    assert_eq!(end.ended, Ended::Exit(0), "{}", end.tail);
    assert!(memory < MEMORY, "{memory} KiB");
    assert!(end.left_out > 18_000_000, "{}", end.left_out);
    assert!(end.tail.lines().all(|line| line.chars().count() <= 401), "{}", end.tail.len());
    let log = std::fs::read(bench.path("log")).unwrap();
    assert!(log.len() <= 1 << 20 && log.ends_with(b"xx\xff\0\x1bend"), "{}", log.len());
    faults::note("F10", "one line of 20 MB, binary", "log capped, memory flat");
}

#[test]
#[ignore = "battery"]
fn three_hundred_megabytes_neither_grow_memory_nor_the_log() {
    let bench = Bench::new("{ print = 'first' }, { flood = 300 }, { print = 'last' }");
    let job = bench.job();
    let (memory, end) = watched(&bench, &job);
    assert_eq!(end.ended, Ended::Exit(0));
    assert!(memory < MEMORY, "{memory} KiB");
    assert!(bench.log().len() <= 1 << 20);
    faults::note("F10", "300 MB of output", "log capped, memory flat");
}

#[test]
fn two_processes_of_one_attempt_are_never_at_work_together() {
    let bench = Bench::new("{ touch = '@/all' }, 'hang'");
    let job = bench.job();
    let end = disturbed(&job, &bench.path("all"), || {
        // Another engine, which does not know of the first, wants the same attempt and waits for it in vain.
        let second = std::process::Command::new(env!("CARGO_BIN_EXE_git-orchestrate"))
            .args(["__supervise", bench.attempt.as_str()])
            .args([&job.lock, &bench.path("other.json")])
            .arg("none")
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8(second.stdout).unwrap();
        assert!(said.contains("not-started") && said.contains("still at work"), "{said}");
        assert!(!bench.path("other.json").exists());
        kill(holder(&job.lock), Signal::SIGTERM).unwrap();
    });
    assert_eq!(end.ended, Ended::Cancelled);
}

#[test]
fn a_supervisor_gives_nothing_of_its_surroundings_away() {
    let bench = shell("tr '\\0' '\\n' < /proc/$(ps -o ppid= -p $PPID | tr -d ' ')/environ; echo read");
    let end = bench.run(&bench.job());
    assert_eq!(end.tail, "read");
}
