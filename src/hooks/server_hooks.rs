//! Puts the hooks of a server into its bare repository, and takes them away. Never overwrites another program's hook, and
//! never touches a folder outside the repository.

use std::path::{Path, PathBuf};

use crate::adapters::gate::reader::Reader;
use crate::adapters::git::repo::Repo;
use crate::engine::ports::PortError;

/// The hooks of a server.
pub const NAMES: [&str; 2] = ["pre-receive", "reference-transaction"];

/// File name of the program that the links lead to.
const PROGRAM: &str = "git-orchestrate";

/// What is or became of one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Linked {
    /// It leads to this program now.
    Made,
    /// It did so before.
    AlreadyOurs,
    /// Another program's hook has the name, and was left alone; so was a folder outside the repository.
    LeftAlone,
}

/// Where the hooks of `repo` lie, and whether that is inside it.
pub fn folder(repo: &Repo) -> (PathBuf, bool) {
    let folder = Reader::of(repo).hooks_dir();
    let real = folder.canonicalize().unwrap_or_else(|_| folder.clone());
    let inside = real.starts_with(repo.common_dir());
    (folder, inside)
}

/// Links both hooks to `program`, an absolute path.
pub fn link(repo: &Repo, program: &Path) -> Result<Vec<(PathBuf, Linked)>, PortError> {
    let (folder, inside) = folder(repo);
    if inside {
        let failed = |error| PortError::new(format!("cannot make {}", folder.display())).because(error);
        std::fs::create_dir_all(&folder).map_err(failed)?;
    }
    let place = |name| {
        let path = folder.join(name);
        let linked = if inside { link_one(&path, program)? } else { foreign(&path) };
        Ok((path, linked))
    };
    NAMES.into_iter().map(place).collect()
}

fn link_one(path: &Path, program: &Path) -> Result<Linked, PortError> {
    let failed = |error| PortError::new(format!("cannot install {}", path.display())).because(error);
    if path.symlink_metadata().is_ok() {
        match std::fs::read_link(path) {
            Ok(target) if target == program => return Ok(Linked::AlreadyOurs),
            // A link of ours from an earlier place of the program.
            Ok(target) if target.file_name() == program.file_name() => std::fs::remove_file(path).map_err(failed)?,
            Ok(_) | Err(_) => return Ok(foreign(path)),
        }
    }
    std::os::unix::fs::symlink(program, path).map_err(failed)?;
    Ok(Linked::Made)
}

/// Names of the hooks that do not lead to us, or to a program that is gone.
pub fn missing(repo: &Repo) -> Vec<&'static str> {
    let (folder, _) = folder(repo);
    let ours = |name: &str| {
        let path = folder.join(name);
        let target = std::fs::read_link(&path).ok();
        let linked = target.is_some_and(|target| target.file_name().is_some_and(|name| name == PROGRAM));
        (linked && path.is_file()) || foreign(&path) == Linked::AlreadyOurs
    };
    NAMES.into_iter().filter(|name| !ours(name)).collect()
}

/// Another program's hook may call ours.
fn foreign(path: &Path) -> Linked {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let calls = std::fs::read_to_string(path).is_ok_and(|text| text.contains(&format!("git-orchestrate hook {name}")));
    if calls { Linked::AlreadyOurs } else { Linked::LeftAlone }
}

/// Removes the links to this program; returns what was removed.
pub fn unlink(repo: &Repo, program: &Path) -> Result<Vec<PathBuf>, PortError> {
    let (folder, inside) = folder(repo);
    let mut removed = Vec::new();
    for path in NAMES.into_iter().map(|name| folder.join(name)).filter(|_| inside) {
        let ours = std::fs::read_link(&path).is_ok_and(|target| target.file_name() == program.file_name());
        if ours {
            let failed = |error| PortError::new(format!("cannot remove {}", path.display())).because(error);
            std::fs::remove_file(&path).map_err(failed)?;
            removed.push(path);
        }
    }
    Ok(removed)
}
