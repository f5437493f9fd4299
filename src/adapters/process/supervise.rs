//! The supervisor: one small single-threaded process between the engine and each process of an attempt. It outlives the
//! engine just long enough to end what it watches over. Must not know agents or git, and must not start a runtime.
//!
//! `__supervise ATTEMPT LOCK EXIT NAMESPACE` holds the lock of the attempt for as long as anything of it lives, and leaves
//! behind how it ended, durably. Where a namespace can be made, the work itself is done by a second process, the first one
//! of the namespace (`__supervise --inside`), whose end the kernel makes the end of everything in it; else by this one.
//! `__supervise --probe NAMESPACE` ends with 0 where the namespace can be made.

mod control;
mod memory;
mod namespace;
mod output;
mod reaper;
mod signals;
pub(super) mod wire;
mod work;

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind, Write, stdout};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;

pub use namespace::Namespace;

use super::spawn::SUPERVISE;
use super::sweep::sweep_blocking;
use super::{fence, past};
use crate::domain::diagnostic::escape_line;
use crate::fail_point;
use wire::{Finish, Report};

/// The arguments after the hidden one, when this process was started as a supervisor.
pub fn called(argv: &[OsString]) -> Option<&[OsString]> {
    (argv.get(1)? == SUPERVISE).then(|| &argv[2..])
}

/// Does what a supervisor was started for.
pub fn main(args: &[OsString]) -> ExitCode {
    match args {
        [flag, wanted] if flag == "--probe" => namespace::probe(wanted),
        [flag, _attempt] if flag == "--inside" => inside(),
        [attempt, lock, exit, wanted] => supervise(attempt, Path::new(lock), Path::new(exit), wanted),
        _ => ExitCode::from(2),
    }
}

fn supervise(attempt: &OsStr, lock: &Path, exit: &Path, wanted: &OsStr) -> ExitCode {
    // Out of the terminal's reach: Ctrl-C there is the engine's to hear.
    let _ = nix::unistd::setsid();
    let report = match fence::take(lock) {
        Ok(lock) => {
            let namespace = Namespace::read(wanted);
            let mut report = guarded(|| namespace::work(namespace, attempt, &mut stdout()));
            let swept = sweep_blocking(&attempt.to_string_lossy());
            report.killed += swept.killed;
            report.left += swept.left;
            // A full disk is no reason to hold anything up: the engine is told as well.
            let _ = past::write(exit, &report);
            fail_point::reach("exit-written");
            drop(lock);
            report
        }
        Err(error) => Report::of(Finish::NotStarted(format!("cannot lock {}: {error}", lock.display()))),
    };
    say(&report)
}

/// The first process of a namespace.
fn inside() -> ExitCode {
    let report = guarded(|| match namespace::enter() {
        Ok(()) => work::work(&mut stdout()),
        Err(reason) => Report::of(Finish::NotStarted(reason)),
    });
    say(&report)
}

fn say(report: &Report) -> ExitCode {
    let said = stdout().write_all(report.line().as_bytes()).and_then(|()| stdout().flush());
    // Nobody may be left to hear it.
    if said.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A fault of ours is an end like others, so that the lock is released and the engine hears of it.
fn guarded(work: impl FnOnce() -> Report) -> Report {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Report::of(Finish::NotStarted("its supervisor failed; this is a bug".to_owned())))
}

/// Why a program could not be started.
fn why(program: &Path, directory: &Path, error: &io::Error) -> String {
    let program = escape_line(&program.display().to_string());
    if !directory.is_dir() {
        return format!("cannot start `{program}`: its directory {} is missing", directory.display());
    }
    match error.kind() {
        ErrorKind::NotFound => format!("cannot start `{program}`: no such program"),
        ErrorKind::ArgumentListTooLong => {
            format!("cannot start `{program}`: an argument is too long; hand the prompt over on stdin or in a file")
        }
        _ => format!("cannot start `{program}`: {error}"),
    }
}
