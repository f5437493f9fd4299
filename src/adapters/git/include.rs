//! `.worktreeinclude`: which ignored files of the main work tree a new worktree gets a copy of. Must not overwrite a file,
//! follow a symbolic link, nor copy anything that git tracks.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use gix::bstr::BStr;
use gix::index::entry::Mode;
use gix::worktree::stack::state::ignore::Source;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::admin::io_error;
use super::repo::git_error;
use crate::engine::ports::PortError;

/// Name of the file at the root of the main work tree.
const FILE: &str = ".worktreeinclude";

/// Copies what matches `.worktreeinclude`, is ignored by git and not tracked; returns the relative paths, sorted. Directories
/// in `skip` (our own worktrees) are not looked into.
pub fn copy_included(
    git: &gix::Repository,
    root: &Path,
    worktree: &Path,
    skip: &[PathBuf],
) -> Result<Vec<String>, PortError> {
    let Some(wanted) = patterns(root)? else { return Ok(Vec::new()) };
    let found = included(git, root, &wanted, skip)?;
    let mut copied = Vec::new();
    for path in found {
        let done = copy(root, worktree, &path)
            .map_err(|error| io_error("cannot copy into the worktree:", &root.join(&path), error))?;
        if done {
            copied.push(path.to_string_lossy().into_owned());
        }
    }
    copied.sort();
    Ok(copied)
}

fn patterns(root: &Path) -> Result<Option<Gitignore>, PortError> {
    let path = root.join(FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("cannot read", &path, error)),
    };
    let mut builder = GitignoreBuilder::new(root);
    let text = String::from_utf8_lossy(&text);
    for line in text.trim_start_matches('\u{feff}').lines() {
        // A pattern that cannot be read matches nothing, as in git.
        let _ = builder.add_line(None, line);
    }
    let wanted = builder.build().map_err(|error| PortError::new(format!("cannot read {FILE}")).because(error))?;
    Ok((wanted.num_ignores() > 0).then_some(wanted))
}

/// A walk over the main work tree that knows which of it is ignored.
struct Walk<'a> {
    root: &'a Path,
    wanted: &'a Gitignore,
    skip: &'a [PathBuf],
    index: &'a gix::index::State,
    excludes: gix::AttributeStack<'a>,
    found: Vec<PathBuf>,
}

fn included(
    git: &gix::Repository,
    root: &Path,
    wanted: &Gitignore,
    skip: &[PathBuf],
) -> Result<Vec<PathBuf>, PortError> {
    let failed = |error| git_error("cannot read what git ignores", error);
    let index = git.index_or_empty().map_err(failed)?;
    let excludes = git.excludes(&index, None, Source::WorktreeThenIdMappingIfNotSkipped).map_err(failed)?;
    let mut walk = Walk { root, wanted, skip, index: &index, excludes, found: Vec::new() };
    walk.enter(Path::new(""), false).map_err(failed)?;
    Ok(walk.found)
}

impl Walk<'_> {
    /// Looks into a directory; everything in an ignored one is ignored.
    fn enter(&mut self, relative: &Path, ignored: bool) -> Result<(), gix::Error> {
        // What cannot be listed cannot be copied.
        let Ok(listed) = fs::read_dir(self.root.join(relative)) else { return Ok(()) };
        for entry in listed.flatten() {
            let path = relative.join(entry.file_name());
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                self.directory(&path, ignored)?;
            } else if (kind.is_file() || kind.is_symlink()) && self.takes(&path, ignored)? {
                self.found.push(path);
            }
        }
        Ok(())
    }

    fn directory(&mut self, path: &Path, ignored: bool) -> Result<(), gix::Error> {
        let full = self.root.join(path);
        let foreign = path.file_name().is_some_and(|name| name == ".git")
            || full.join(".git").symlink_metadata().is_ok()
            || self.skip.contains(&full);
        if foreign {
            return Ok(());
        }
        let ignored = ignored || self.excludes.at_path(path, Some(Mode::DIR))?.is_excluded();
        self.enter(path, ignored)
    }

    fn takes(&mut self, path: &Path, ignored: bool) -> Result<bool, gix::Error> {
        if !self.wanted.matched_path_or_any_parents(path, false).is_ignore() {
            return Ok(false);
        }
        let name: &BStr = path.as_os_str().as_bytes().into();
        if self.index.entry_by_path(name).is_some() {
            return Ok(false);
        }
        Ok(ignored || self.excludes.at_path(path, Some(Mode::FILE))?.is_excluded())
    }
}

/// Copies one file or symbolic link, unless something is there already or a link leads out of the work tree.
fn copy(root: &Path, worktree: &Path, path: &Path) -> io::Result<bool> {
    let (from, to) = (root.join(path), worktree.join(path));
    if to.symlink_metadata().is_ok() || !make_parents(worktree, path)? {
        return Ok(false);
    }
    let metadata = match from.symlink_metadata() {
        Ok(metadata) => metadata,
        // Gone since the walk.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if metadata.is_symlink() {
        let target = fs::read_link(&from)?;
        if !stays_inside(path, &target) {
            return Ok(false);
        }
        std::os::unix::fs::symlink(target, to)?;
        return Ok(true);
    }
    reflink_copy::reflink_or_copy(&from, &to)?;
    fs::set_permissions(&to, metadata.permissions())?;
    Ok(true)
}

/// Makes the directories above a file, real ones only: a tracked symbolic link must not lead the copy elsewhere.
fn make_parents(worktree: &Path, path: &Path) -> io::Result<bool> {
    let mut dir = worktree.to_owned();
    for part in path.parent().into_iter().flat_map(Path::components) {
        dir.push(part);
        match dir.symlink_metadata() {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Ok(false),
            Err(_) => fs::create_dir(&dir)?,
        }
    }
    Ok(true)
}

/// Whether a link at `path` to `target` stays below the root, judged by its text.
fn stays_inside(path: &Path, target: &Path) -> bool {
    let mut depth = path.components().count().saturating_sub(1);
    for part in target.components() {
        match part {
            Component::Prefix(_) | Component::RootDir => return false,
            Component::CurDir => {}
            Component::ParentDir if depth == 0 => return false,
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_climb_out_or_are_absolute_lead_outside() {
        assert!(stays_inside(Path::new("a/link"), Path::new("../b")));
        assert!(stays_inside(Path::new("link"), Path::new("./b/../c")));
        assert!(!stays_inside(Path::new("link"), Path::new("../b")));
        assert!(!stays_inside(Path::new("a/link"), Path::new("../../b")));
        assert!(!stays_inside(Path::new("a/link"), Path::new("/etc/passwd")));
        assert!(!stays_inside(Path::new("a/link"), Path::new("x/../../../b")));
    }
}
