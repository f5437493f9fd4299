//! What watching over an agent costs: a program that ends at once under a supervisor, against the program alone; and the
//! memory of a supervisor at work.

use std::path::Path;
use std::time::Duration;

use git_orchestrate::adapters::process::environment::{Environment, MARK};
use git_orchestrate::adapters::process::run::{Ask, Job, run};
use git_orchestrate::adapters::process::spawn::Launch;
use git_orchestrate::adapters::process::supervisor::Supervisor;
use git_orchestrate::domain::settings::PidNamespace;
use git_orchestrate::engine::ports::{Cancel, Ended};
use tokio::sync::watch;

use crate::meter::{self, Cost, here, in_turn};

/// Turns of each figure.
const TURNS: usize = 31;

const LONG: Duration = Duration::from_secs(60);

pub fn measure() {
    let folder = tempfile::Builder::new().prefix("orchestrate-bench-").tempdir().unwrap();
    let place = folder.path();
    let alone = Box::new(|| meter::program(&mut std::process::Command::new("/bin/true"))) as Box<dyn FnMut() -> Cost>;
    let under = |mode: PidNamespace| {
        Box::new(move || here(|| drop(watched(place, mode, "true")))) as Box<dyn FnMut() -> Cost + '_>
    };
    let figures = in_turn(TURNS, vec![alone, under(PidNamespace::Off), under(PidNamespace::Auto)]);
    let names = [
        "/bin/true alone",
        "the same under a supervisor, no PID namespace",
        "the same, PID namespace where it can be made",
    ];
    for (name, cost) in names.into_iter().zip(figures) {
        meter::line(name, cost);
    }
    let text = watched(place, PidNamespace::Off, "cat /proc/$PPID/smaps_rollup");
    for name in ["Rss", "Pss", "Private_Dirty"] {
        let line = text.lines().find(|line| line.starts_with(&format!("{name}:")));
        let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or("not told");
        println!("  {:<58} {kilobytes:>10} KB", format!("a supervisor at work: {name}"));
    }
}

/// Runs a line of shell under a supervisor; what it printed.
fn watched(place: &Path, mode: PidNamespace, line: &str) -> String {
    let attempt = "a-bench";
    let mut environment = Environment::inherited(&[]);
    environment.set(MARK, attempt);
    let log = place.join("log");
    let (program, args) = match line {
        "true" => ("/bin/true", Vec::new()),
        line => ("/bin/sh", vec!["-c".to_owned(), line.to_owned()]),
    };
    let launch = Launch {
        program: program.into(),
        args,
        directory: place.to_owned(),
        environment,
        stdin: None,
        log: log.clone(),
    };
    let job = Job {
        launch,
        attempt: attempt.to_owned(),
        timeout: LONG,
        idle: None,
        grace: LONG,
        ask: Ask::Terminate,
        log_cap: 1 << 20,
        secrets: Vec::new(),
        supervisor: Supervisor::at(env!("CARGO_BIN_EXE_git-orchestrate"), mode),
        lock: place.join("supervisor.lock"),
        exit: place.join("exit.json"),
    };
    let (_never, cancel) = watch::channel(Cancel::No);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let end = tokio::task::LocalSet::new().block_on(&runtime, run(&job, cancel));
    assert_eq!(end.ended, Ended::Exit(0), "{}", end.tail);
    std::fs::read_to_string(log).unwrap_or_default()
}
