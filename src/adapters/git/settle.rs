//! Brings what was written in a checkout onto the disk: neither git nor gix syncs files of a work tree, and a power cut
//! seconds later leaves them empty. Must not write anything.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::admin::io_error;
use crate::engine::ports::PortError;

/// Files from which on the whole file system is synced at once.
const MANY: usize = 64;

/// Syncs the files of a move that are there, the folders of all of them, and the index in `git_dir`.
pub(super) fn settle<'a>(
    root: &Path,
    git_dir: &Path,
    paths: impl ExactSizeIterator<Item = &'a Path>,
) -> Result<(), PortError> {
    if paths.len() > MANY {
        return [root, git_dir].into_iter().try_for_each(sync_all_around);
    }
    let mut folders = BTreeSet::from([git_dir.to_owned()]);
    for path in paths {
        let full = root.join(path);
        sync_one(&full)?;
        // Up to one that is there: the folders of a removed file may be gone with it.
        folders.extend(full.ancestors().skip(1).find(|folder| folder.is_dir()).map(Path::to_owned));
    }
    sync_one(&git_dir.join("index"))?;
    folders.iter().try_for_each(|folder| sync_one(folder))
}

/// Syncs the whole file system that a folder lies on.
pub(super) fn sync_all_around(folder: &Path) -> Result<(), PortError> {
    let opened = File::open(folder).map_err(|error| io_error("cannot open", folder, error))?;
    sync_file_system(&opened).map_err(|error| io_error("cannot sync", folder, error))
}

/// Links are names only, and what is gone needs nothing: the folder's sync is theirs.
fn sync_one(path: &Path) -> Result<(), PortError> {
    match path.symlink_metadata() {
        Ok(found) if found.is_file() || found.is_dir() => {}
        Ok(_) => return Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(io_error("cannot sync", path, error)),
    }
    match File::open(path).and_then(|file| file.sync_all()) {
        // A file that its mode forbids to read was written by git all the same.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => sync_all_around(path.parent().unwrap_or(path)),
        done => done.map_err(|error| io_error("cannot sync", path, error)),
    }
}

#[cfg(target_os = "linux")]
fn sync_file_system(folder: &File) -> io::Result<()> {
    Ok(nix::unistd::syncfs(folder)?)
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_: &File) -> io::Result<()> {
    nix::unistd::sync();
    Ok(())
}
