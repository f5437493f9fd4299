//! The trash: directories that were moved out of the way and wait for their deletion. Must not decide what goes in.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::admin::io_error;
use super::repo::Repo;
use super::trash_clock;
pub(super) use super::trash_clock::now;
use crate::domain::names::Timestamp;
use crate::engine::ports::PortError;

/// How long everything in the trash is kept, in counted time: 14 days.
pub const KEPT_MILLIS: i64 = 14 * 24 * 60 * 60 * 1000;

/// Most bytes of a name that are kept in the trash: with time and number it must be a file name.
const NAME: usize = 180;

/// Most files that are counted for a size; `status`, which must be quick, counts fewer.
const COUNTED: usize = 100_000;
const COUNTED_IN_STATUS: usize = 2_000;

/// Something in the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trashed {
    /// What it was called, with time and number.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// When it was put there, by the wall clock.
    pub since: Timestamp,
    /// Milliseconds that certainly passed since then (see `trash_clock`).
    pub age: i64,
}

/// Size of what is in the trash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Bytes of files.
    pub bytes: u64,
    /// Whether there is more that was not looked at.
    pub more: bool,
}

/// Everything in the trash, oldest first.
pub fn list(repo: &Repo) -> Result<Vec<Trashed>, PortError> {
    let dir = trash_dir(repo);
    let listed = match fs::read_dir(&dir) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error("cannot read", &dir, error)),
    };
    let counted = trash_clock::counted(&repo.state_dir());
    let describe = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let (since, then) = since_of(&name)?;
        Some(Trashed { name, path: entry.path(), since, age: counted.saturating_sub(then).max(0) })
    };
    let mut found: Vec<Trashed> = listed.flatten().filter_map(describe).collect();
    found.sort_by(|a, b| (a.since, &a.name).cmp(&(b.since, &b.name)));
    Ok(found)
}

/// The line about the trash in `status`: how much is there and how to see it; `None` when it is empty. Changes nothing.
pub fn summary(repo: &Repo) -> Option<String> {
    let listed = list(repo).ok()?;
    let size = size_within(listed.iter().map(|trashed| trashed.path.as_path()), COUNTED_IN_STATUS);
    (!listed.is_empty()).then(|| {
        let (count, shown) = (listed.len(), size.shown());
        format!("trash: {count} kept, {shown}; see: git orchestrate cleanup --trash")
    })
}

/// Bytes below some places, without following a link; counting ends after some files.
pub fn size<'a>(places: impl Iterator<Item = &'a Path>) -> Size {
    size_within(places, COUNTED)
}

fn size_within<'a>(places: impl Iterator<Item = &'a Path>, most: usize) -> Size {
    let mut open: Vec<PathBuf> = places.map(Path::to_owned).collect();
    let (mut size, mut left) = (Size::default(), most);
    while let Some(path) = open.pop() {
        let Some(rest) = left.checked_sub(1) else { return Size { more: true, ..size } };
        left = rest;
        let Ok(about) = path.symlink_metadata() else { continue };
        if about.is_dir() {
            open.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        } else if about.is_file() {
            size.bytes = size.bytes.saturating_add(about.len());
        }
    }
    size
}

impl Size {
    /// `1.5 MB`; `more than 1.5 MB` when not everything was counted.
    pub fn shown(&self) -> String {
        const UNITS: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
        let unit = UNITS.into_iter().find(|(_, unit)| self.bytes >= *unit);
        let shown = unit.map_or_else(
            || format!("{} bytes", self.bytes),
            |(word, unit)| format!("{}.{} {word}", self.bytes / unit, self.bytes % unit * 10 / unit),
        );
        if self.more { format!("more than {shown}") } else { shown }
    }
}

/// Deletes what has been there for at least `kept` milliseconds of counted time, and worktrees kept for reuse; returns what is
/// gone of the former.
pub fn purge(repo: &Repo, kept: i64) -> Result<Vec<Trashed>, PortError> {
    super::pool::drain(repo)?;
    trash_clock::advance(&repo.state_dir());
    let mut gone = Vec::new();
    for trashed in list(repo)?.into_iter().filter(|trashed| trashed.age >= kept) {
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
    let place = free_place(repo, &dir, &name);
    match rename(what, &place) {
        Ok(()) => Ok(Some(place)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => put_beside(what, &place).map(Some),
        Err(error) => Err(io_error("cannot move into the trash:", what, error)),
    }
}

/// A new empty directory in the trash, for parts of something that stays.
pub(super) fn new_directory(repo: &Repo, name: &str) -> Result<PathBuf, PortError> {
    let dir = trash_dir(repo);
    let place = free_place(repo, &dir, name);
    fs::create_dir_all(&place).map_err(|error| io_error("cannot make", &place, error))?;
    Ok(place)
}

/// Deletes something in the trash at once. What cannot be deleted stays listed there.
pub(super) fn discard(place: &Path) {
    let _ = delete(place);
}

fn trash_dir(repo: &Repo) -> PathBuf {
    repo.state_dir().join("trash")
}

/// A directory without the right to write cannot be moved to another one: its `..` would change.
fn rename(what: &Path, place: &Path) -> io::Result<()> {
    match fs::rename(what, place) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && make_writable(what) => fs::rename(what, place),
        renamed => renamed,
    }
}

/// Gives the owner all rights on a directory; `false` when it is none, or somebody else's.
fn make_writable(dir: &Path) -> bool {
    let Ok(about) = dir.symlink_metadata() else { return false };
    let mode = about.permissions().mode();
    about.is_dir() && fs::set_permissions(dir, fs::Permissions::from_mode(mode | 0o700)).is_ok()
}

/// Deletes a directory whose parts may be read-only. Links are removed, never followed.
fn delete_directory(dir: &Path) -> io::Result<()> {
    let first = fs::remove_dir_all(dir);
    if !first.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
        return first;
    }
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        make_writable(&dir);
        let listed = fs::read_dir(&dir).into_iter().flatten().flatten();
        open.extend(listed.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()));
    }
    fs::remove_dir_all(dir)
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
        return delete_directory(place);
    }
    if metadata.is_symlink() {
        let target = fs::read_link(place)?;
        // Only what `put_beside` named after this very link; a link that an agent planted leads elsewhere.
        let mut named = std::ffi::OsString::from(".orchestrate-trash-");
        named.push(place.file_name().unwrap_or_default());
        let ours = target.file_name() == Some(&named);
        if ours && target.symlink_metadata().is_ok_and(|target| target.is_dir()) {
            delete_directory(&target)?;
        }
    }
    fs::remove_file(place)
}

/// `<name>-<milliseconds>-c<counted milliseconds>-<number>`, not taken.
fn free_place(repo: &Repo, dir: &Path, name: &str) -> PathBuf {
    let (now, counted) = (now().0, trash_clock::advance(&repo.state_dir()));
    let end = (0..=NAME.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    let name = &name[..end];
    let mut number = 0u32;
    loop {
        let place = dir.join(format!("{name}-{now}-c{counted}-{number}"));
        if place.symlink_metadata().is_err() {
            return place;
        }
        number += 1;
    }
}

/// Wall clock and counted time in a name.
fn since_of(name: &str) -> Option<(Timestamp, i64)> {
    let (rest, _number) = name.rsplit_once('-')?;
    let (rest, counted) = rest.rsplit_once("-c")?;
    let since = rest.rsplit_once('-')?.1.parse().ok().map(Timestamp)?;
    Some((since, counted.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_read_from_the_name_whatever_the_name_holds() {
        assert_eq!(since_of("1.1-a-b-c-1700000000000-c86400-0"), Some((Timestamp(1_700_000_000_000), 86_400)));
        assert_eq!(since_of("notes"), None);
        assert_eq!(since_of("a-cake-c1-0"), None);
    }

    #[test]
    fn sizes_are_rounded_down_and_say_when_they_are_not_whole() {
        assert_eq!(Size { bytes: 999, more: false }.shown(), "999 bytes");
        assert_eq!(Size { bytes: 1_590_000, more: false }.shown(), "1.5 MB");
        assert_eq!(Size { bytes: 2_000, more: true }.shown(), "more than 2.0 kB");
    }

    #[test]
    fn a_link_that_was_put_in_the_trash_is_removed_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join(".orchestrate-trash-mine");
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("work"), "work").unwrap();
        let link = dir.path().join("other-1-c1-0");
        std::os::unix::fs::symlink(&kept, &link).unwrap();
        delete(&link).unwrap();
        assert!(link.symlink_metadata().is_err() && kept.join("work").is_file());
    }
}
