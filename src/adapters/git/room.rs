//! Whether the repository can be written to, asked before anything starts. Must leave nothing behind.

use std::io::{self, Write};
use std::path::Path;

use super::repo::Repo;
use crate::engine::ports::PortError;

/// Bytes that must fit beside the objects before a run starts: enough for the records of a few stories.
const LEAST: usize = 1024 * 1024;

/// Bytes that a transaction of a few refs may need, and gives back when it fails.
const TRANSACTION: usize = 64 * 1024;

/// Refuses a repository that this user, or anybody, cannot write to.
pub fn require_writable(repo: &Repo) -> Result<(), PortError> {
    try_to_write(&repo.common_dir().join("objects"), 0).map_err(|error| {
        cannot(repo.common_dir(), error).hint("only commands that read work here, such as: git orchestrate status")
    })
}

/// Refuses a repository whose disk is full. A file system may promise room that it has not: what is tried is a write.
pub fn require_room(repo: &Repo) -> Result<(), PortError> {
    try_to_write(&repo.common_dir().join("objects"), LEAST).map_err(|error| {
        let full = is_full(&error);
        let error = cannot(repo.common_dir(), error);
        if full {
            error.hint("make room on it (git orchestrate cleanup --trash empties our trash), then try again")
        } else {
            error
        }
    })
}

/// Whether the disk is so full that moving a few refs may fail.
pub(super) fn is_used_up(repo: &Repo) -> bool {
    try_to_write(&repo.common_dir().join("objects"), TRANSACTION).is_err_and(|error| is_full(&error))
}

fn try_to_write(folder: &Path, bytes: usize) -> io::Result<()> {
    // Under this name `git prune` finds it, should we be killed here.
    let mut file = tempfile::Builder::new().prefix("tmp_obj_").tempfile_in(folder)?;
    file.write_all(&vec![0; bytes])?;
    file.close()
}

fn cannot(place: &Path, error: io::Error) -> PortError {
    let failed = |why: &str| PortError::new(format!("nothing can be written to {}: {why}", place.display()));
    match error.kind() {
        _ if is_full(&error) => failed("its disk is full"),
        io::ErrorKind::ReadOnlyFilesystem => failed("it is on a read-only file system"),
        io::ErrorKind::PermissionDenied => failed("this user may not write there"),
        _ => failed("a file cannot be made there").because(error),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
