//! The one place that makes processes. Must not know what they are for.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::environment::Environment;

/// Variables of git that would point a child at another repository; a hook or an alias parent sets them.
/// The list of `git rev-parse --local-env-vars`, and the two that it leaves out.
pub(super) const LOCATION: [&str; 17] = [
    "GIT_DIR",
    "GIT_COMMON_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_GRAFT_FILE",
    "GIT_SHALLOW_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_QUARANTINE_PATH",
    "GIT_NAMESPACE",
];

/// The hidden first argument of a supervisor.
pub const SUPERVISE: &str = "__supervise";

/// A command with stdin null, no prompts, no editor, and none of git's location variables.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).env("GIT_TERMINAL_PROMPT", "0").env("GIT_EDITOR", "true");
    for name in LOCATION {
        command.env_remove(name);
    }
    command
}

/// A process in a group of its own.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Program: a path, or a name looked up in the child's `PATH`.
    pub program: PathBuf,
    /// Arguments.
    pub args: Vec<String>,
    /// Working directory.
    pub directory: PathBuf,
    /// The whole environment.
    pub environment: Environment,
    /// What the child reads on stdin; `None` = nothing.
    pub stdin: Option<PathBuf>,
    /// File that keeps stdout and stderr.
    pub log: PathBuf,
}

/// Starts a process group whose stdout and stderr are `output`.
pub(super) fn launch(launch: &Launch, output: OwnedFd) -> io::Result<Child> {
    let stdin = match &launch.stdin {
        Some(path) => Stdio::from(File::open(path)?),
        None => Stdio::null(),
    };
    Command::new(&launch.program)
        .args(&launch.args)
        .current_dir(&launch.directory)
        .env_clear()
        .envs(launch.environment.iter())
        .stdin(stdin)
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .spawn()
}

/// Starts a program to talk to, in the environment of this process and a process group of its own: stdin, stdout and stderr
/// are pipes.
pub fn piped(program: &Path, args: &[String], directory: &Path) -> io::Result<Child> {
    Command::new(program)
        .args(args)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

/// Replaces this process by a program, in the same environment and directory; returns only what went wrong.
pub(super) fn become_program(program: &OsStr, args: &[OsString]) -> io::Error {
    Command::new(program).args(args).exec()
}

/// Whether a program ends well; otherwise what it said, one line.
pub(super) fn probe<'a>(program: &Path, args: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let output = command(program).args(args).output().map_err(|error| format!("{}: {error}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().next().unwrap_or("it failed without a word").to_owned();
    if output.status.success() { Ok(()) } else { Err(line) }
}

/// The file that this process runs, even if another one lies at its path by now.
pub(super) fn this_program() -> &'static Path {
    Path::new("/proc/self/exe")
}

/// Starts this program as a supervisor, with nothing of our environment: an agent could read it there.
/// Its stdin and stdout are pipes; `stderr` is where it ends when it must not be silent.
pub(super) fn supervisor(program: &Path, args: &[OsString], stdin: Stdio, stderr: Stdio) -> io::Result<Child> {
    Command::new(program)
        .arg0("git-orchestrate")
        .arg(SUPERVISE)
        .args(args)
        .env_clear()
        .envs(crate::fail_point::variable())
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
}
