//! The stories in brief, for a list of all of them: files that did not change since they were last read are not read again.
//! Must not answer anything else than reading them all would.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::cache::{self, Kept, Stamp};
use super::{Found, find, one, real_folders, real_place};
use crate::domain::names::{ItemKey, Timestamp};
use crate::domain::source::brief::{Brief, settle};
use crate::engine::ports::PortError;

/// To keep what fewer files than this said, newly read, is not worth the while.
const WORTH: usize = 16;

/// What one file says.
struct Said<'p> {
    path: &'p str,
    /// Stamp from before it was read; `None` when it is of a kind that is not kept.
    stamp: Option<Stamp>,
    /// `None` when it holds no story.
    brief: Option<Brief>,
}

/// Every story below `roots` in brief, as [`load`](super::load) would find it. What the files said is kept in `state_dir`,
/// if there is such a folder and it can be written to; `now` is a time before the call.
pub fn briefs(
    root: &Path,
    roots: &[String],
    state_dir: &Path,
    now: Timestamp,
) -> Result<BTreeMap<ItemKey, Brief>, PortError> {
    let Found { home, files, .. } = find(root, roots)?;
    let folders = real_folders(&home, &files);
    // Both lists are in order of path.
    let mut known = cache::read(state_dir).into_iter().peekable();
    let (mut said, mut changed) = (Vec::with_capacity(files.len()), Vec::new());
    for path in &files {
        while known.next_if(|known| known.path < *path).is_some() {}
        match known.next_if(|known| known.path == *path).filter(|known| is_same(&folders, known)) {
            Some(Kept { stamp, brief, .. }) => said.push(Said { path, stamp: Some(stamp), brief }),
            None => changed.push(path.as_str()),
        }
    }
    let is_settled = |stamp: &Stamp| stamp.is_settled(now);
    let fresh = read(&home, &folders, &changed);
    let worth = fresh.iter().filter(|said| said.stamp.as_ref().is_some_and(is_settled)).count() >= WORTH;
    if !fresh.is_empty() {
        said.extend(fresh);
        said.sort_by_key(|said| said.path);
    }
    if worth {
        let kept = |said: &Said<'_>| {
            let stamp = said.stamp.filter(is_settled)?;
            Some(Kept { path: said.path.to_owned(), stamp, brief: said.brief.clone() })
        };
        cache::write(state_dir, &said.iter().filter_map(kept).collect::<Vec<_>>());
    }
    Ok(settle(said.into_iter().filter_map(|said| said.brief)))
}

/// Whether the file is the one that was read, as it was then.
fn is_same(folders: &HashMap<&str, PathBuf>, known: &Kept) -> bool {
    let about = real_place(folders, &known.path).and_then(|real| fs::symlink_metadata(real).ok());
    about.is_some_and(|about| about.is_file() && Stamp::of(&about) == known.stamp)
}

/// Reads files.
fn read<'p>(home: &Path, folders: &HashMap<&str, PathBuf>, paths: &[&'p str]) -> Vec<Said<'p>> {
    let read = |path: &&'p str| {
        let (parsed, about) = one(home, folders, path);
        Said { path, stamp: about.as_ref().map(Stamp::of), brief: Brief::of(&parsed) }
    };
    // To start threads for a few files would cost more than to read them.
    if paths.len() < WORTH { paths.iter().map(read).collect() } else { paths.par_iter().map(read).collect() }
}

#[cfg(test)]
#[path = "briefs_tests.rs"]
mod tests;
