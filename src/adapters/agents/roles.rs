//! The roles that a repository defines, as the target's tip has them: a worktree holds nothing that is not committed, and an
//! agent at work must not change what its reviewer is told. Must not read a work tree.

use crate::adapters::git::content;
use crate::adapters::git::repo::Repo;
use crate::domain::names::Oid;
use crate::domain::role::{FOLDERS, RoleFile};
use crate::engine::ports::PortError;

/// The roles of a commit, each name once, sorted by name.
pub fn committed(repo: &Repo, commit: &Oid) -> Result<Vec<RoleFile>, PortError> {
    let mut roles: Vec<RoleFile> = Vec::new();
    for folder in FOLDERS {
        let files = content::files_in(repo, commit, folder)?;
        for role in files.iter().filter_map(|(path, bytes)| RoleFile::read(path, bytes)) {
            if roles.iter().all(|known| known.name != role.name) {
                roles.push(role);
            }
        }
    }
    roles.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(roles)
}
