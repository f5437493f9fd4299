//! Where git runs the hook: the git directory and what is checked out, found with a few reads. Must not start git.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const STORY_BRANCHES: &[u8] = b"refs/heads/story/";

/// The git directory of this worktree. Git names it in the environment for a linked worktree and a bare repository; else the
/// hook runs at the top of the work tree.
fn git_dir() -> Option<PathBuf> {
    let named = std::env::var_os("GIT_DIR").map_or_else(|| PathBuf::from(".git"), PathBuf::from);
    let Ok(text) = fs::read(&named) else { return Some(named) };
    // A file that says where the directory is, from the file's own place.
    let path = text.strip_prefix(b"gitdir:")?.trim_ascii();
    Some(named.parent().unwrap_or(Path::new("")).join(OsStr::from_bytes(path)))
}

/// The directory that all worktrees share.
pub(super) fn common_dir() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("GIT_COMMON_DIR") {
        return Some(named.into());
    }
    let git_dir = git_dir()?;
    match fs::read(git_dir.join("commondir")) {
        Ok(text) => Some(git_dir.join(OsStr::from_bytes(text.trim_ascii()))),
        Err(_) => Some(git_dir),
    }
}

/// Whether this is surely not the worktree of a story: no agent of ours is at work, and the branch that is checked out or
/// being rebased is no story's.
pub(super) fn is_no_story() -> bool {
    let Some(git_dir) = git_dir().filter(|_| std::env::var_os("ORCHESTRATE_ATTEMPT").is_none()) else { return false };
    let symbolic = |text: Vec<u8>| text.strip_prefix(b"ref: ").map(<[u8]>::to_owned);
    let names = ["rebase-merge/head-name", "rebase-apply/head-name"];
    let tables = git_dir.join("reftable");
    if tables.is_dir() {
        let rebased = names.into_iter().find_map(|name| fs::read(git_dir.join(name)).ok());
        return !name_a_story(&tables) && rebased.is_none_or(|name| !name.starts_with(STORY_BRANCHES));
    }
    let checked_out = fs::read(git_dir.join("HEAD")).ok().and_then(symbolic);
    let branch = checked_out.or_else(|| names.into_iter().find_map(|name| fs::read(git_dir.join(name)).ok()));
    branch.is_some_and(|name| name.starts_with(b"refs/heads/") && !name.starts_with(STORY_BRANCHES))
}

/// Whether any of a worktree's reftables may say that a story's branch is checked out: what a symbolic ref leads to is
/// written there in full, among much else. In doubt, yes.
fn name_a_story(tables: &Path) -> bool {
    let Ok(list) = fs::read_to_string(tables.join("tables.list")) else { return true };
    let holds = |table: Vec<u8>| table.windows(STORY_BRANCHES.len()).any(|bytes| bytes == STORY_BRANCHES);
    list.lines().any(|name| fs::read(tables.join(name)).map_or(true, holds))
}
