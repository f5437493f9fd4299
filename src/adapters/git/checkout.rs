//! Files from trees: fills new worktrees and brings existing ones along, in process. Must not look at refs, and never
//! replaces a file that differs from what the index says.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use gix::ObjectId;
use gix::progress::Discard;
use gix::worktree::stack::state::attributes::Source;

use super::repo::git_error;
use crate::engine::ports::PortError;

/// Files from which on a checkout is worth more than one thread.
const PARALLEL: usize = 2_000;

/// Most paths named in a message.
const NAMED: usize = 5;

/// Writes every file of `tree` into a directory that holds nothing but its `.git` file, then the index that describes them,
/// so that git finds nothing to refresh.
pub fn populate(git: &gix::Repository, tree: ObjectId, worktree: &Path, index: &Path) -> Result<(), PortError> {
    let failed = |error| git_error(format!("cannot check out {}", worktree.display()), error);
    let mut files = git.index_from_tree(&tree).map_err(failed)?;
    write_files(git, &mut files, worktree, Place::Empty)?;
    files.set_path(index);
    files.write(gix::index::write::Options::default()).map_err(failed)
}

/// Where files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing is there yet, and attributes are those of the tree.
    Empty,
    /// What is there is replaced, the caller having made sure that nothing is lost; attributes are those of the files there.
    InUse,
}

/// Writes the files of an index and takes their stat data into it.
pub(super) fn write_files(
    git: &gix::Repository,
    files: &mut gix::index::State,
    worktree: &Path,
    place: Place,
) -> Result<(), PortError> {
    let failed = |error| git_error(format!("cannot check out {}", worktree.display()), error);
    let attributes = match place {
        Place::Empty => Source::IdMapping,
        Place::InUse => Source::WorktreeThenIdMapping,
    };
    let mut options = git.checkout_options(attributes).map_err(failed)?;
    // Threads that create files in one directory wait for each other: they pay on large trees only.
    options.thread_limit = (files.entries().len() < PARALLEL).then_some(1);
    options.destination_is_initially_empty = place == Place::Empty;
    options.overwrite_existing = place == Place::InUse;
    let objects = git
        .objects
        .clone()
        .into_arc()
        .map_err(|error| PortError::new(format!("cannot check out {}", worktree.display())).because(error))?;
    let never = AtomicBool::new(false);
    let outcome = gix::worktree::state::checkout(files, worktree, objects, &Discard, &Discard, &never, options)
        .map_err(failed)?;
    let collided = outcome.collisions.iter().map(|collision| collision.path.to_string());
    let broken = outcome.errors.iter().map(|record| record.path.to_string());
    let late = outcome.delayed_paths_unprocessed.iter().map(ToString::to_string);
    let bad: Vec<String> = collided.chain(broken).chain(late).collect();
    if bad.is_empty() {
        return Ok(());
    }
    let named = bad.iter().take(NAMED).map(|path| path.escape_debug().to_string()).collect::<Vec<_>>().join(", ");
    Err(PortError::new(format!("{} files of {} could not be written: {named}", bad.len(), worktree.display()))
        .hint("are two names of the tree the same on this file system, or is the disk full?"))
}
