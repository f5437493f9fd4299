//! The names of guarded refs in a small file, for the hook filter that git starts (`hooks/filter`). Must not decide what may
//! become of them: a name too many costs a hook some milliseconds, one too few is an open door.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use super::config::{self, target};
use super::git::content;
use super::git::repo::Repo;
use crate::engine::ports::PortError;

/// First line of the file; the filter guards every branch when it is another.
const FORMAT: &str = "git-orchestrate guarded 1";

const BRANCHES: &str = "refs/heads/";
const RECORDS: &str = "refs/orchestrate/";

/// Characters that make a branch name in `[protect] branches` a pattern.
const WILD: [char; 5] = ['*', '?', '[', '{', '\\'];

/// The guarded refs: full names, and prefixes that end in `/`. `protected` as in `[protect] branches`, `targets` as short or
/// full branch names.
pub fn names(protected: &[String], targets: &[String]) -> BTreeSet<String> {
    let usual = ["main", "master"].map(str::to_owned);
    let branches = protected.iter().chain(targets).chain(&usual).map(|name| guarded(name));
    branches.chain([RECORDS.to_owned()]).filter(|name| !name.contains(|c: char| c.is_whitespace())).collect()
}

/// Brings the file up to date with the target, its policy and git's configuration (as `repo` found it when it was opened);
/// writes only what differs. Without a file
/// one is made only when `make` says so: reading commands leave a repository as it is that was never set up. A repository
/// that may not be written to is no error.
pub fn refresh(repo: &Repo, make: bool) -> Result<(), PortError> {
    let path = path(repo);
    let text = format!("{FORMAT}\n{}", current(repo).into_iter().map(|name| name + "\n").collect::<String>());
    let failed = |error| PortError::new(format!("cannot write {}", path.display())).because(error);
    let written = match fs::read(&path) {
        Ok(found) if found == text.as_bytes() => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound && !make => Ok(()),
        // What cannot be read is replaced, as what differs is.
        Ok(_) | Err(_) => replace(&path, &text),
    };
    match written {
        Err(error) if matches!(error.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) => Ok(()),
        written => written.map_err(failed),
    }
}

/// Where the names are kept.
pub fn path(repo: &Repo) -> PathBuf {
    repo.state_dir().join("guarded")
}

/// What is guarded now. A target or a policy that cannot be made out guards every branch.
fn current(repo: &Repo) -> BTreeSet<String> {
    let mut targets: Vec<String> = target::configured(repo).into_iter().collect();
    let protected = target::find(repo, None).and_then(|found| {
        targets.push(found.branch.as_str().to_owned());
        let file = content::file_at(repo, &found.tip, config::FILE)?;
        let (policy, findings) = config::policy(config::FILE, file.as_deref());
        Ok(if config::has_errors(&findings) { vec!["*".to_owned()] } else { policy.protected })
    });
    names(&protected.unwrap_or_else(|_| vec!["*".to_owned()]), &targets)
}

/// The name of a branch in full; of a pattern, all that comes before its first wild part.
fn guarded(branch: &str) -> String {
    let short = branch.strip_prefix(BRANCHES).unwrap_or(branch);
    let fixed = match short.find(WILD) {
        Some(wild) => &short[..short[..wild].rfind('/').map_or(0, |slash| slash + 1)],
        None => short,
    };
    format!("{BRANCHES}{fixed}")
}

/// A hook that reads meanwhile sees the old file or the new one, never a half.
fn replace(path: &std::path::Path, text: &str) -> io::Result<()> {
    let new = path.with_file_name(format!("guarded.new-{}", std::process::id()));
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    let replaced = fs::write(&new, text).and_then(|()| fs::rename(&new, path));
    if replaced.is_err() {
        drop(fs::remove_file(&new));
    }
    replaced
}

#[cfg(test)]
#[path = "guarded_tests.rs"]
mod tests;
