//! Reads files out of commits, in process. Must not look at a work tree.

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
