//! Where a story's worktree keeps its part of the repository: the few places that a client's own sandbox has to leave open
//! for a commit. Must not believe the worktree's pointer, which is the agent's to write.

use std::fs;
use std::path::{Path, PathBuf};

use crate::adapters::process::sandbox;

/// The places of one worktree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ground {
    /// Its own entry below `worktrees/`.
    pub(super) git_dir: PathBuf,
    /// The object store.
    pub(super) objects: PathBuf,
    /// Folder of the branches of stories.
    pub(super) refs: PathBuf,
    /// Folder of their logs.
    pub(super) logs: PathBuf,
}

impl Ground {
    /// Finds them, and makes the folder of the logs, which a client cannot make in its sandbox. Where all refs are in one
    /// place (reftable) no folder of refs can be left open: the entry stands in for it, the client's commit is refused, and
    /// what it changed is committed for it.
    pub(super) fn of(worktree: &Path, common: &Path, branch: &str) -> Result<Self, String> {
        let git_dir = sandbox::entry(worktree, common)?;
        let objects = common.join("objects");
        let folder =
            branch.rsplit_once('/').map(|(folder, _)| folder).filter(|folder| folder.len() > "refs/heads".len());
        let Some(folder) = folder.filter(|_| !common.join("reftable").exists()) else {
            return Ok(Self { refs: git_dir.clone(), logs: git_dir.clone(), git_dir, objects });
        };
        let (refs, logs) = (common.join(folder), common.join("logs").join(folder));
        for made in [&refs, &logs] {
            fs::create_dir_all(made).map_err(|error| format!("cannot make {}: {error}", made.display()))?;
        }
        Ok(Self { git_dir, objects, refs, logs })
    }
}

/// Whether a path lies in a folder for temporary files, which clients leave open to everything.
pub(super) fn in_tmp(path: &Path, tmpdir: &Path) -> bool {
    let folders = [Path::new("/tmp"), tmpdir];
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let path = real(path);
    folders.into_iter().any(|folder| path.starts_with(real(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_below_a_link_to_tmp_is_in_tmp() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        fs::create_dir(real.join("x")).unwrap();
        assert!(in_tmp(&link.join("x"), &real) && in_tmp(&real.join("x"), &link) && in_tmp(Path::new("/tmp"), &real));
        assert!(!in_tmp(Path::new("/usr"), &real) && !in_tmp(Path::new("/tmpfs-not"), &real));
    }

    #[test]
    fn a_worktree_of_another_repository_has_no_ground_here() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Ground::of(dir.path(), dir.path(), "refs/heads/story/1.1").is_err());
    }
}
