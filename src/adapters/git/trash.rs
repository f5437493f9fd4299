//! The trash: directories that were moved out of the way and wait for their deletion. Must not decide what goes in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::admin::io_error;
use super::repo::Repo;
use crate::domain::names::Timestamp;
use crate::engine::ports::PortError;

/// Something in the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trashed {
    /// What it was called, with time and number.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// When it was put there.
    pub since: Timestamp,
}

/// Everything in the trash, oldest first.
pub fn list(repo: &Repo) -> Result<Vec<Trashed>, PortError> {
    let dir = trash_dir(repo);
    let listed = match fs::read_dir(&dir) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error("cannot read", &dir, error)),
    };
    let describe = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let since = since_of(&name)?;
        Some(Trashed { name, path: entry.path(), since })
    };
    let mut found: Vec<Trashed> = listed.flatten().filter_map(describe).collect();
    found.sort_by(|a, b| (a.since, &a.name).cmp(&(b.since, &b.name)));
    Ok(found)
}

/// Deletes what was put there before `older_than`, and worktrees kept for reuse; returns what is gone of the former.
pub fn purge(repo: &Repo, older_than: Timestamp) -> Result<Vec<Trashed>, PortError> {
    super::pool::drain(repo)?;
    let mut gone = Vec::new();
    for trashed in list(repo)?.into_iter().filter(|trashed| trashed.since < older_than) {
        delete(&trashed.path).map_err(|error| io_error("cannot delete", &trashed.path, error))?;
        gone.push(trashed);
    }
    Ok(gone)
}

/// Moves a file or directory into the trash in one rename and returns its new place; `None` when it was not there.
pub fn put(repo: &Repo, what: &Path) -> Result<Option<PathBuf>, PortError> {
    let name = what.file_name().unwrap_or_default().to_string_lossy();
    let dir = trash_dir(repo);
    fs::create_dir_all(&dir).map_err(|error| io_error("cannot make", &dir, error))?;
    let place = free_place(&dir, &name);
    match fs::rename(what, &place) {
        Ok(()) => Ok(Some(place)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => put_beside(what, &place).map(Some),
        Err(error) => Err(io_error("cannot move into the trash:", what, error)),
    }
}

/// A new empty directory in the trash, for parts of something that stays.
pub(super) fn new_directory(repo: &Repo, name: &str) -> Result<PathBuf, PortError> {
    let dir = trash_dir(repo);
    let place = free_place(&dir, name);
    fs::create_dir_all(&place).map_err(|error| io_error("cannot make", &place, error))?;
    Ok(place)
}

/// Deletes something in the trash at once. What cannot be deleted stays listed there.
pub(super) fn discard(place: &Path) {
    let _ = delete(place);
}

/// Now.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn trash_dir(repo: &Repo) -> PathBuf {
    repo.state_dir().join("trash")
}

/// Another file system: the directory stays beside where it was, under another name, and a link in the trash points at it.
fn put_beside(what: &Path, place: &Path) -> Result<PathBuf, PortError> {
    let failed = |error| io_error("cannot move out of the way:", what, error);
    let mut name = std::ffi::OsString::from(".orchestrate-trash-");
    name.push(place.file_name().unwrap_or_default());
    let beside = what.with_file_name(name);
    std::os::unix::fs::symlink(&beside, place).map_err(failed)?;
    fs::rename(what, &beside).map_err(failed)?;
    Ok(place.to_owned())
}

fn delete(place: &Path) -> io::Result<()> {
    let metadata = place.symlink_metadata()?;
    if metadata.is_dir() {
        return fs::remove_dir_all(place);
    }
    if metadata.is_symlink() {
        let target = fs::read_link(place)?;
        let ours = target.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".orchestrate-trash-"));
        if ours && target.is_dir() {
            fs::remove_dir_all(&target)?;
        }
    }
    fs::remove_file(place)
}

/// `<name>-<milliseconds>-<number>`, not taken.
fn free_place(dir: &Path, name: &str) -> PathBuf {
    let now = now().0;
    let mut number = 0u32;
    loop {
        let place = dir.join(format!("{name}-{now}-{number}"));
        if place.symlink_metadata().is_err() {
            return place;
        }
        number += 1;
    }
}

fn since_of(name: &str) -> Option<Timestamp> {
    let (rest, _number) = name.rsplit_once('-')?;
    rest.rsplit_once('-')?.1.parse().ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_read_from_the_name_whatever_the_name_holds() {
        assert_eq!(since_of("1.1-a-b-1700000000000-0"), Some(Timestamp(1_700_000_000_000)));
        assert_eq!(since_of("notes"), None);
    }
}
