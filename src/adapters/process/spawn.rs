//! The one place that makes processes. Must not know what they are for.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// Variables of git that would point a child at another repository; a hook or an alias parent sets them.
const LOCATION: [&str; 11] = [
    "GIT_DIR",
    "GIT_COMMON_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_QUARANTINE_PATH",
    "GIT_PREFIX",
    "GIT_NAMESPACE",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
];

/// A command with stdin null, no prompts, no editor, and none of git's location variables.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).env("GIT_TERMINAL_PROMPT", "0").env("GIT_EDITOR", "true");
    for name in LOCATION {
        command.env_remove(name);
    }
    command
}
