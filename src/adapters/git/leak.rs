//! Whether commits bring a listed secret into the history. Must not change anything: a commit is what was reviewed.

use gix::ObjectId;

use super::landing::new_commits;
use super::merge;
use super::repo::{Repo, git_error, oid};
use crate::domain::redact::Redactor;
use crate::engine::ports::{Leak, PortError};

/// Largest file that is looked into, in bytes.
const LIMIT: u64 = 32 * 1024 * 1024;

/// The first listed value in what the commits of base..head add: files that held none of it before, and messages.
pub(super) fn find(
    repo: &Repo,
    base: ObjectId,
    head: ObjectId,
    redactor: &Redactor,
) -> Result<Option<Leak>, PortError> {
    let git = repo.gix();
    for id in new_commits(&git, base, head)? {
        let failed = |error| git_error(format!("cannot read {id}"), error);
        let commit = git.find_commit(id).map_err(failed)?;
        let leak = |name: &str, path: String| Leak { commit: oid(id), name: name.to_owned(), path };
        if let Some(name) = redactor.listed_in(commit.message_raw().map_err(failed)?) {
            return Ok(Some(leak(name, String::new())));
        }
        let parent = commit.parent_ids().next().map_or(base, gix::Id::detach);
        for (path, change) in merge::changes(&git, parent, id)? {
            let (Some(new), old) = (change.new, change.old) else { continue };
            if let Some(name) = holds(&git, new.1, redactor)?
                && old.map(|old| holds(&git, old.1, redactor)).transpose()?.flatten().as_ref() != Some(&name)
            {
                return Ok(Some(leak(&name, path.to_string())));
            }
        }
    }
    Ok(None)
}

/// Name of the first listed value in a blob.
fn holds(git: &gix::Repository, blob: ObjectId, redactor: &Redactor) -> Result<Option<String>, PortError> {
    let failed = |error| git_error(format!("cannot read {blob}"), error);
    // A submodule's commit is not here.
    let Some(header) = git.try_find_header(blob).map_err(failed)? else { return Ok(None) };
    if !header.kind().is_blob() || header.size() > LIMIT {
        return Ok(None);
    }
    let object = git.find_object(blob).map_err(failed)?;
    Ok(redactor.listed_in(&object.data).map(str::to_owned))
}
