//! Reads files out of commits, in process. Must not look at a work tree.

use std::collections::HashSet;

use super::repo::{Repo, git_error};
use crate::domain::names::Oid;
use crate::engine::ports::PortError;

/// Content of the file at `path` in a commit; `None` when there is no regular file.
pub fn file_at(repo: &Repo, commit: &Oid, path: &str) -> Result<Option<Vec<u8>>, PortError> {
    let git = repo.gix();
    let id = repo.object_id(commit)?;
    let failed = |error| git_error(format!("cannot read {path} in {}", commit.short()), error);
    let tree = git.find_commit(id).map_err(failed)?.tree().map_err(failed)?;
    let Some(entry) = tree.lookup_entry_by_path(path).map_err(failed)? else { return Ok(None) };
    if !entry.mode().is_blob() {
        return Ok(None);
    }
    Ok(Some(entry.object().map_err(failed)?.detach().data))
}

/// Names of the regular files directly in a folder of a commit; none when there is no such folder.
pub fn names_in(repo: &Repo, commit: &Oid, folder: &str) -> Result<HashSet<String>, PortError> {
    let git = repo.gix();
    let id = repo.object_id(commit)?;
    let failed = |error| git_error(format!("cannot read {folder} in {}", commit.short()), error);
    let tree = git.find_commit(id).map_err(failed)?.tree().map_err(failed)?;
    let Some(entry) = tree.lookup_entry_by_path(folder).map_err(failed)? else { return Ok(HashSet::new()) };
    if !entry.mode().is_tree() {
        return Ok(HashSet::new());
    }
    let below = entry.object().map_err(failed)?.into_tree();
    let files = below.iter().flatten().filter(|entry| entry.mode().is_blob_or_symlink());
    Ok(files.map(|entry| entry.filename().to_string()).collect())
}

/// The regular files directly in a folder of a commit, as path and content, sorted; those longer than 1 MiB are left out.
pub fn files_in(repo: &Repo, commit: &Oid, folder: &str) -> Result<Vec<(String, Vec<u8>)>, PortError> {
    const LONGEST: u64 = 1024 * 1024;
    let git = repo.gix();
    let id = repo.object_id(commit)?;
    let failed = |error| git_error(format!("cannot read {folder} in {}", commit.short()), error);
    let tree = git.find_commit(id).map_err(failed)?.tree().map_err(failed)?;
    let Some(entry) = tree.lookup_entry_by_path(folder).map_err(failed)? else { return Ok(Vec::new()) };
    if !entry.mode().is_tree() {
        return Ok(Vec::new());
    }
    let below = entry.object().map_err(failed)?.into_tree();
    let mut files = Vec::new();
    for entry in below.iter() {
        let entry = entry.map_err(|error| git_error(format!("cannot read {folder} in {}", commit.short()), error))?;
        let Ok(name) = std::str::from_utf8(entry.filename()) else { continue };
        let header = git.find_header(entry.oid()).map_err(failed)?;
        if entry.mode().is_blob() && header.size() <= LONGEST {
            files.push((format!("{folder}/{name}"), entry.object().map_err(failed)?.detach().data));
        }
    }
    Ok(files)
}
