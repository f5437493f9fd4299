//! Starts git-orchestrate, which decides. Must let nothing pass when that fails.

use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PROGRAM: &str = "git-orchestrate";

/// Becomes git-orchestrate, which then reads stdin itself; returns only when that fails, with the reason.
pub(super) fn instead(hook: &OsStr, args: &[OsString]) -> String {
    let program = program();
    let error = command(&program, hook, args).exec();
    cannot_start(&program, &error)
}

/// Runs git-orchestrate with `input` on its stdin, and returns its exit code.
pub(super) fn about(hook: &str, args: &[OsString], input: &[u8]) -> Result<u8, String> {
    let program = program();
    let mut command = command(&program, hook.as_ref(), args);
    let mut child = command.stdin(Stdio::piped()).spawn().map_err(|error| cannot_start(&program, &error))?;
    // The pipe is closed here, which is how the child learns that this was all.
    let written = child.stdin.take().map_or(Err(ErrorKind::BrokenPipe.into()), |mut pipe| pipe.write_all(input));
    let ended = child.wait().map_err(|error| cannot_start(&program, &error))?;
    let code = ended.code().unwrap_or_else(|| 128 + ended.signal().unwrap_or(0));
    match written {
        Err(error) if code == 0 => Err(format!("{} did not read what git asks: {error}", shown(&program))),
        _ => Ok(u8::try_from(code).unwrap_or(1)),
    }
}

/// The program beside this one, where links to this one are followed; without one, whatever PATH has.
fn program() -> PathBuf {
    let own = std::env::current_exe().and_then(|path| path.canonicalize().or(Ok(path)));
    let sibling = own.ok().map(|path| path.with_file_name(PROGRAM));
    // A sibling that is there but cannot be started is not passed over.
    sibling.filter(|path| path.symlink_metadata().is_ok()).unwrap_or_else(|| PROGRAM.into())
}

fn command(program: &Path, hook: &OsStr, args: &[OsString]) -> Command {
    let mut command = Command::new(program);
    command.arg("hook").arg(hook).args(args);
    command
}

fn cannot_start(program: &Path, error: &std::io::Error) -> String {
    let shown = shown(program);
    let place = if program.is_absolute() { shown } else { format!("{shown}, on PATH") };
    format!(
        "the program that decides about this change cannot be started ({place}: {error}); install git-orchestrate \
         again, or take its links out of the hooks folder"
    )
}

/// Without control characters.
fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}
