//! Turns the launch of a client into one of this program's `acp-client`, which talks to it. Must not start anything but one
//! look at the names of branches.

use std::io;
use std::path::{Path, PathBuf};

use super::spec::Spec;
use super::{ACP_CLIENT, Facts};
use crate::adapters::process::spawn::{self, Launch};

/// Branches whose names are read; a repository with more knows more than the policy needs.
const BRANCHES: &str = "--count=2000";

/// The conversation instead of the client: `spec` is completed with its command and written to `path`.
pub fn conversation(mut launch: Launch, program: &Path, mut spec: Spec, path: PathBuf) -> io::Result<Launch> {
    let client = launch.program.to_string_lossy().into_owned();
    spec.command = std::iter::once(client).chain(launch.args).collect();
    spec.directory.clone_from(&launch.directory);
    let temporary = launch.environment.value("TMPDIR").map(|folder| folder.to_string_lossy().into_owned());
    look_around(&mut spec.facts, temporary);
    spec.write(&path)?;
    program.clone_into(&mut launch.program);
    launch.args = vec![ACP_CLIENT.to_owned(), path.to_string_lossy().into_owned()];
    launch.stdin = None;
    Ok(launch)
}

/// Completes facts by what is found here: the names of branches, and the folders for temporary files with `temporary`.
pub fn look_around(facts: &mut Facts, temporary: Option<String>) {
    facts.scratch = ["/tmp", "/var/tmp"].map(str::to_owned).into_iter().chain(temporary).collect();
    facts.branches = branches(facts);
}

/// Names of the repository's branches; none where they cannot be read, and then fewer mistakes are found.
fn branches(facts: &Facts) -> Vec<String> {
    let mut git = spawn::command("git");
    git.arg("--git-dir").arg(&facts.git_common_dir);
    git.args(["for-each-ref", BRANCHES, "--format=%(refname:lstrip=2)", "refs/heads/"]);
    let listed = git.output().ok().filter(|output| output.status.success());
    let text = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
