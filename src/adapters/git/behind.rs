//! Checkouts that did not follow a landing: noted in the state folder, and brought along later. Must not move a branch.

use std::fs;
use std::path::PathBuf;

use super::follow::Before;
use super::repo::Repo;
use super::{commit, follow, refs};
use crate::domain::names::{BranchRef, Oid};
use crate::engine::ports::PortError;

/// How a note begins whose move failed in the middle.
const CUT_SHORT: &str = "cut ";

/// Notes that a checkout of the branch is still at `from`, and how the move from there ended. All of it is in the name of an empty file: that fits on a disk
/// that is full.
pub(super) fn note(repo: &Repo, branch: &BranchRef, (from, to): (&Oid, &Oid), how: Before) {
    let cut = if how == Before::CutShort { CUT_SHORT } else { "" };
    let name = branch.as_str().replace('%', "%25").replace('/', "%2F");
    // Where even that cannot be written, the message about the landing is all there is.
    let _ = fs::create_dir_all(folder(repo));
    let _ = fs::File::create(folder(repo).join(format!("{cut}{from} {to} {name}")));
}

/// Tries again, from where the checkout was to where its branch is now; a line for each, done or not.
pub fn catch_up(repo: &Repo) -> Result<Vec<String>, PortError> {
    let mut lines = Vec::new();
    for file in fs::read_dir(folder(repo)).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (how, rest) =
            name.strip_prefix(CUT_SHORT).map_or((Before::Whole, name.as_str()), |rest| (Before::CutShort, rest));
        let noted = noted(rest).map(|(branch, from, to)| bring(repo, &branch, (&from, &to), how));
        match noted.transpose() {
            // An empty file of ours, about something that is over.
            Ok(line) => {
                let _ = fs::remove_file(&file);
                lines.extend(line.flatten());
            }
            Err(error) => lines.push(error.to_string()),
        }
    }
    Ok(lines)
}

fn bring(
    repo: &Repo,
    branch: &BranchRef,
    (from, to): (&Oid, &Oid),
    mut how: Before,
) -> Result<Option<String>, PortError> {
    let Some(tip) = refs::tip(repo, branch.as_str())? else { return Ok(None) };
    let (now, then) = (repo.object_id(&tip)?, repo.object_id(to)?);
    if !commit::contains(&repo.gix(), now, then)? {
        return Ok(None);
    }
    follow::follow_all(repo, branch, (from, &tip), &mut how)?;
    Ok(Some(format!("a checkout of {} that had stayed behind was brought to {}", branch.short(), tip.short())))
}

fn noted(name: &str) -> Option<(BranchRef, Oid, Oid)> {
    let mut parts = name.splitn(3, ' ');
    let (from, to, branch) = (parts.next()?, parts.next()?, parts.next()?);
    let branch = branch.replace("%2F", "/").replace("%25", "%");
    Some((BranchRef::new(branch), Oid::new(from), Oid::new(to)))
}

fn folder(repo: &Repo) -> PathBuf {
    repo.state_dir().join("behind")
}
