//! Remotes: what they hold, fetched beside our refs, and pushed with a lease on each ref. Must not move a local branch or a
//! ref of ours, and must not rewind anything over there.

use std::collections::BTreeMap;

use super::cli;
use super::repo::Repo;
use crate::domain::names::Oid;
use crate::engine::ports::PortError;

/// Where a remote's refs are mirrored.
pub const MIRROR: &str = "refs/orchestrate-remote/";

/// Most refs in one push: their names are arguments.
const AT_ONCE: usize = 1_000;

/// One ref to push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// Full name, the same on both sides.
    pub name: String,
    /// What the remote has; the push fails when it has something else by then.
    pub lease: Option<Oid>,
    /// What it gets: a descendant of that.
    pub new: Oid,
}

/// How a push ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// Everything moved.
    Done,
    /// Somebody else was faster; nothing moved.
    Raced,
}

/// Names of the configured remotes.
pub fn names(repo: &Repo) -> Result<Vec<String>, PortError> {
    let said = cli::run(cli::git(repo).arg("remote"))?;
    Ok(String::from_utf8_lossy(&said).lines().map(str::to_owned).collect())
}

/// The remote that a branch follows, where it does.
pub fn upstream(repo: &Repo, branch: &str) -> Option<String> {
    let key = format!("branch.{branch}.remote");
    repo.gix().config_snapshot().string(key.as_str()).map(|value| value.to_string())
}

/// What a remote has below these patterns, by full name.
pub fn refs(repo: &Repo, remote: &str, patterns: &[&str]) -> Result<BTreeMap<String, Oid>, PortError> {
    let mut command = cli::git(repo);
    command.args(["ls-remote", "--refs", "--end-of-options", remote]).args(patterns);
    let said = cli::run(&mut command).map_err(|error| unreachable(error, remote))?;
    let text = String::from_utf8_lossy(&said).into_owned();
    let read = |line: &str| line.split_once('\t').map(|(oid, name)| (name.to_owned(), Oid::new(oid)));
    // A pattern also matches at the end of longer names.
    let wanted = |name: &str| patterns.iter().any(|pattern| name.starts_with(pattern.trim_end_matches('*')));
    Ok(text.lines().filter_map(read).filter(|(name, _)| wanted(name)).collect())
}

/// Fetches everything below prefixes that end in `/` into the mirror, durably. What the remote has lost stays there.
pub fn fetch(repo: &Repo, remote: &str, prefixes: &[(&str, &str)]) -> Result<(), PortError> {
    let mut command = cli::git(repo);
    command.args(["-c", "core.fsync=all", "-c", "fetch.prune=false", "fetch", "--quiet", "--no-tags"]);
    // No refspec of the configuration may lead anything elsewhere.
    command.args(["--no-write-fetch-head", "--refmap=", "--end-of-options", remote]);
    command.args(prefixes.iter().map(|(from, to)| format!("+{from}*:{MIRROR}{remote}/{to}*")));
    cli::run(&mut command).map(drop).map_err(|error| unreachable(error, remote))
}

/// Pushes all refs or none of each thousand.
pub fn push(repo: &Repo, remote: &str, pushes: &[Push]) -> Result<Pushed, PortError> {
    for some in pushes.chunks(AT_ONCE) {
        let mut command = cli::git(repo);
        command.args(["push", "--quiet", "--atomic"]);
        for Push { name, lease, .. } in some {
            let lease = lease.as_ref().map_or("", Oid::as_str);
            command.arg(format!("--force-with-lease={name}:{lease}"));
        }
        command.args(["--end-of-options", remote]);
        command.args(some.iter().map(|push| format!("{}:{}", push.new, push.name)));
        let output = cli::output(&mut command)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            if ["stale info", "cannot lock ref", "reference already exists"].iter().any(|race| said.contains(race)) {
                return Ok(Pushed::Raced);
            }
            return Err(cli::failed(&command, &output)
                .hint("what was fetched and joined here stays; sync again when it is mended"));
        }
    }
    Ok(Pushed::Done)
}

fn unreachable(error: PortError, remote: &str) -> PortError {
    error.hint(format!("see: git remote -v, git ls-remote {}", remote.escape_debug()))
}
