//! Which runs are carried on elsewhere: those whose newest event came from another machine. Must not be in the record, for it
//! is true of this repository only.

use std::fs;
use std::path::PathBuf;

use super::git::admin;
use super::git::repo::Repo;
use crate::domain::names::RunId;
use crate::domain::state::ItemState;
use crate::engine::ports::PortError;

/// Notes that a run's newest event came from another machine.
pub fn note(repo: &Repo, run: &str) -> Result<(), PortError> {
    let path = file(repo, run);
    let folder = path.parent().unwrap_or(&path);
    fs::create_dir_all(folder).map_err(|error| admin::io_error("cannot make", folder, error))?;
    fs::write(&path, "").map_err(|error| admin::io_error("cannot write", &path, error))
}

/// This machine goes on with the run.
pub fn take(repo: &Repo, run: &RunId) {
    // What was never noted cannot be removed.
    drop(fs::remove_file(file(repo, run.as_str())));
}

/// Whether a run is carried on elsewhere.
pub fn has(repo: &Repo, run: &RunId) -> bool {
    file(repo, run.as_str()).is_file()
}

/// The run elsewhere that works on an item; one that ended in order to wait holds nothing.
pub fn holder<'a>(repo: &Repo, state: &'a ItemState) -> Option<&'a RunId> {
    let attempt = state.open_attempt().filter(|_| !state.parked)?;
    has(repo, &attempt.run).then_some(&attempt.run)
}

fn file(repo: &Repo, run: &str) -> PathBuf {
    // A run's id comes from another machine: it must not lead out of the folder.
    let plain: String = run.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    repo.state_dir().join("elsewhere").join(plain)
}
