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
    let mut known = cache::read(state_dir);
    let mut kept = Vec::with_capacity(files.len());
    let mut changed = Vec::new();
    for path in &files {
        match known.remove(path).filter(|known| is_same(&folders, known)) {
            Some(known) => kept.push(known),
            None => changed.push(path.as_str()),
        }
    }
    let read = read(&home, &folders, &changed);
    let (settled, passing): (Vec<_>, Vec<_>) =
        read.into_iter().partition(|(_, _, stamp)| stamp.is_some_and(|stamp| stamp.is_settled(now)));
    let worth = settled.len() >= WORTH;
    kept.extend(settled.into_iter().filter_map(|(path, brief, stamp)| {
        Some(Kept { path: path.to_owned(), stamp: stamp?, brief })
    }));
    if worth {
        cache::write(state_dir, &kept);
    }
    let kept = kept.into_iter().map(|kept| (kept.path, kept.brief));
    let passing = passing.into_iter().map(|(path, brief, _)| (path.to_owned(), brief));
    let mut all: Vec<(String, Option<Brief>)> = kept.chain(passing).collect();
    // Which of two files with one id is the story depends on their order.
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(settle(all.into_iter().filter_map(|(_, brief)| brief)))
}

/// Whether the file is the one that was read, as it was then.
fn is_same(folders: &HashMap<&str, PathBuf>, known: &Kept) -> bool {
    let about = real_place(folders, &known.path).and_then(|real| fs::symlink_metadata(real).ok());
    about.is_some_and(|about| about.is_file() && Stamp::of(&about) == known.stamp)
}

/// Reads files: what each says in brief, and its stamp unless it is of a kind that is not kept.
fn read<'p>(
    home: &Path,
    folders: &HashMap<&str, PathBuf>,
    paths: &[&'p str],
) -> Vec<(&'p str, Option<Brief>, Option<Stamp>)> {
    let read = |path: &&'p str| {
        let (parsed, about) = one(home, folders, path);
        (*path, Brief::of(&parsed), about.as_ref().map(Stamp::of))
    };
    // To start threads for a few files would cost more than to read them.
    if paths.len() < WORTH { paths.iter().map(read).collect() } else { paths.par_iter().map(read).collect() }
}

#[cfg(test)]
#[path = "briefs_tests.rs"]
mod tests;
