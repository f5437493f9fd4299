//! Copies of the ledger that make themselves: at the start and the end of a run, in the repository's own folder and outside of
//! it, so that refs that were deleted or broken can be brought back. Must not fail a run, and must not replace what is there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use super::bring::{Change, How, Wish};
use super::lineage::RESCUE;
use super::store::Store;
use crate::adapters::git::refs::{self, identity};
use crate::adapters::git::repo::Repo;
use crate::adapters::git::{admin, bundle};
use crate::domain::names::Oid;
use crate::engine::ports::{LedgerError, PortError};

/// How many are kept in each place.
const KEPT: usize = 5;

/// Everything of ours.
const OURS: &str = "refs/orchestrate/";

/// When a checkpoint was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// Before a run begins.
    Start,
    /// After a run.
    End,
    /// After a backup was restored.
    Restore,
    /// After records of another machine came in.
    Sync,
}

/// A checkpoint on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its file, a git bundle.
    pub file: PathBuf,
    /// Counts up; clocks may be set back.
    number: u64,
}

/// A checkpoint that was made.
#[derive(Debug)]
pub struct Saved {
    /// Its file, in the repository's folder.
    pub file: PathBuf,
    /// Why there is no copy outside, where there is none.
    pub copy: Option<PortError>,
}

/// Makes a checkpoint of all chains, unless the newest one says the same. `None` when there was nothing to do.
pub fn save(repo: &Repo, occasion: Occasion) -> Result<Option<Saved>, PortError> {
    let now = heads(repo)?;
    let inside = inside(repo);
    let newest = list(&inside).pop();
    let outside = outside(repo);
    let same = |checkpoint: &Checkpoint| bundle::head(&checkpoint.file).is_ok_and(|head| head.refs == now);
    if now.is_empty() || newest.as_ref().is_some_and(same) {
        return Ok(None);
    }
    fs::create_dir_all(&inside).map_err(|error| admin::io_error("cannot make", &inside, error))?;
    // Where one place was emptied the other goes on counting.
    let last = all(repo).iter().map(|checkpoint| checkpoint.number).max().unwrap_or(0);
    let name = format!("{:06}-{}.bundle", last + 1, occasion.word());
    let file = inside.join(&name);
    let names: Vec<String> = now.into_keys().collect();
    bundle::create(repo, &file, &names)?;
    thin_out(&inside);
    let copy = match outside {
        Some(outside) => copy_out(repo, &file, &outside, &name).err(),
        None => Some(PortError::new("this system has no folder for it, or cannot tell directories apart")),
    };
    Ok(Some(Saved { file, copy }))
}

/// All checkpoints of this repository, from both places, newest first.
pub fn all(repo: &Repo) -> Vec<Checkpoint> {
    let mut found = list(&inside(repo));
    if let Some(outside) = outside(repo) {
        found.extend(list(&outside));
    }
    found.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.number));
    found
}

/// Chains that the newest checkpoint has and the repository has not. A look at refs and one file; nothing is changed.
pub fn lost(repo: &Repo) -> Result<Option<(Checkpoint, BTreeMap<String, Oid>)>, PortError> {
    let Some((newest, head)) = readable(repo).next() else { return Ok(None) };
    let now: BTreeMap<String, Oid> = refs::list(repo, OURS)?.into_iter().collect();
    let gone: BTreeMap<String, Oid> = head.refs.into_iter().filter(|(name, _)| !now.contains_key(name)).collect();
    Ok((!gone.is_empty()).then_some((newest, gone)))
}

/// Brings back what was lost. The names of the refs that are there again, and what they came from.
pub fn bring_back(store: &mut Store, repo: &Repo) -> Result<Option<(PathBuf, Vec<Change>)>, LedgerError> {
    let Some((checkpoint, gone)) = lost(repo)? else { return Ok(None) };
    if !all_there(repo, &gone) {
        bundle::unpack(repo, &checkpoint.file)?;
    }
    let mut changes = store.bring(&gone, &Wish::default())?;
    changes.retain(|change| change.how == How::Created);
    Ok((!changes.is_empty()).then_some((checkpoint.file, changes)))
}

/// The newest checkpoint that can be read, and what it holds.
pub fn newest(repo: &Repo) -> Option<(PathBuf, bundle::Head)> {
    readable(repo).next().map(|(checkpoint, head)| (checkpoint.file, head))
}

/// What the checkpoints know of one ref, newest first, with the file that has its objects.
pub fn known(repo: &Repo, name: &str) -> Vec<(PathBuf, Oid)> {
    let found = readable(repo).filter_map(|(checkpoint, head)| Some((checkpoint.file, head.refs.get(name)?.clone())));
    found.collect()
}

fn readable(repo: &Repo) -> impl Iterator<Item = (Checkpoint, bundle::Head)> {
    // One that a power cut left half written is none.
    all(repo).into_iter().filter_map(|checkpoint| {
        let head = bundle::head(&checkpoint.file).ok()?;
        Some((checkpoint, head))
    })
}

/// Whether the objects are in the repository, chains whole: what was unnamed may have been thrown away in part.
fn all_there(repo: &Repo, refs: &BTreeMap<String, Oid>) -> bool {
    let git = repo.gix();
    refs.iter().all(|(name, oid)| {
        repo.object_id(oid).is_ok_and(|id| git.has_object(id) && super::lineage::check(&git, name, id).is_ok())
    })
}

/// Chains and their index; rescued work leads to all of history, and is in a backup.
fn heads(repo: &Repo) -> Result<BTreeMap<String, Oid>, PortError> {
    let all = refs::list(repo, OURS)?.into_iter();
    Ok(all.filter(|(name, _)| !name.starts_with(RESCUE)).collect())
}

fn inside(repo: &Repo) -> PathBuf {
    repo.state_dir().join("checkpoints")
}

/// The folder of this repository in the user's data directory. Named after the directory's birth, so that another repository
/// at the same place never gets the records of this one; `None` where that cannot be told.
fn outside(repo: &Repo) -> Option<PathBuf> {
    let data = directories::ProjectDirs::from("", "", "git-orchestrate")?.data_dir().to_owned();
    let (inode, born) = identity(repo.common_dir())?;
    let born = born.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    let digest = Sha256::digest(format!("{inode} {born}").as_bytes());
    let key: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let name = repo.root().file_name().unwrap_or_default().to_string_lossy().into_owned();
    Some(data.join("checkpoints").join(format!("{name}-{key}")))
}

/// Oldest first.
fn list(folder: &Path) -> Vec<Checkpoint> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let number = name.strip_suffix(".bundle")?.split_once('-')?.0.parse().ok()?;
        Some(Checkpoint { file: entry.path(), number })
    };
    let mut found: Vec<Checkpoint> = entries.filter_map(read).collect();
    found.sort_by_key(|checkpoint| checkpoint.number);
    found
}

fn thin_out(folder: &Path) {
    let found = list(folder);
    for old in found.iter().take(found.len().saturating_sub(KEPT)) {
        // One that resists is harmless and tried again next time.
        drop(fs::remove_file(&old.file));
    }
}

fn copy_out(repo: &Repo, file: &Path, folder: &Path, name: &str) -> Result<(), PortError> {
    let failed = |error| admin::io_error("cannot write below", folder, error);
    fs::create_dir_all(folder).map_err(failed)?;
    // For a person who looks for it.
    fs::write(folder.join("repository"), format!("{}\n", repo.common_dir().display())).map_err(failed)?;
    let draft = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    fs::copy(file, draft.path()).map_err(failed)?;
    draft.as_file().sync_all().map_err(failed)?;
    draft.persist(folder.join(name)).map_err(|error| failed(error.error))?;
    thin_out(folder);
    Ok(())
}

impl Occasion {
    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::End => "end",
            Self::Restore => "restore",
            Self::Sync => "sync",
        }
    }
}
