//! The hook filter, a small program of its own that git starts up to 33 times per command: lets pass what moves no guarded
//! ref, and asks git-orchestrate about the rest. Must use nothing but std, write nothing, and decide nothing: when in doubt
//! it asks, and when it cannot ask it refuses.
#![allow(
    clippy::disallowed_methods,
    reason = "a hook: git says by the environment where it runs; starts git-orchestrate"
)]

mod ask;
mod guarded;
mod place;

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write, stderr, stdin};
use std::path::Path;
use std::process::ExitCode;

use guarded::Guarded;

/// The program's own name; under any other it is the hook of that name.
const OWN_NAME: &str = "git-orchestrate-hook";

/// Enough for the few lines of an ordinary transaction in one read.
const USUAL: usize = 8 * 1024;

fn main() -> ExitCode {
    let mut argv = std::env::args_os();
    let started_as = argv.next().unwrap_or_default();
    let mut hook = Path::new(&started_as).file_name().unwrap_or_default().to_owned();
    if hook == OWN_NAME {
        let Some(name) = argv.next().filter(|name| !name.as_encoded_bytes().starts_with(b"-")) else { return usage() };
        hook = name;
    }
    let args: Vec<OsString> = argv.collect();
    match run(&hook, &args) {
        Ok(code) => ExitCode::from(code),
        Err(refused) => {
            // Git shows stderr; when even that is closed the exit code still speaks.
            drop(stderr().write_all(format!("git-orchestrate: refused: {refused}\n").as_bytes()));
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    let text = "git-orchestrate-hook is started by git, through links in the hooks folder that `git orchestrate init` \
                makes.\nUsage: git-orchestrate-hook HOOK [ARGUMENT...]\n";
    drop(stderr().write_all(text.as_bytes()));
    ExitCode::from(2)
}

/// Exit code of the hook: 0 lets git go on.
fn run(hook: &OsStr, args: &[OsString]) -> Result<u8, String> {
    if hook == "reference-transaction" {
        return if args.first().is_some_and(|state| state == "prepared") { prepared(args) } else { Ok(0) };
    }
    if hook == "prepare-commit-msg" && place::is_no_story() {
        return Ok(0);
    }
    Err(ask::instead(hook, args))
}

/// The one state in which a transaction can be refused; its lines are on stdin.
fn prepared(args: &[OsString]) -> Result<u8, String> {
    let mut input = Vec::with_capacity(USUAL);
    stdin().lock().read_to_end(&mut input).map_err(|error| format!("cannot read what git asks: {error}"))?;
    if !guarded::lines(&input).any(guarded::may_be) {
        return Ok(0);
    }
    let guarded = Guarded::load(place::common_dir());
    if guarded::lines(&input).any(|line| guarded.holds(line)) {
        return ask::about("reference-transaction", args, &input);
    }
    Ok(0)
}
