//! How processes of earlier attempts ended, by what their supervisors left. Must not judge what follows from it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::executor::attempt_folder;
use super::supervise::wire::{Finish, Report};
use crate::engine::ports::Ended;

/// Name of the exit file in the folder of an agent's invocation.
pub const EXIT_FILE: &str = "exit.json";

/// An invocation of an agent that is over, or was going on when its supervisor was killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// Its files: `prompt.md`, `result.json`, `output.log`.
    pub folder: PathBuf,
    /// Number within the attempt, rising.
    pub number: u32,
    /// Name of the phase.
    pub phase: String,
    /// How it ended by itself or by its limits; `None` when it was interrupted, or never noted down.
    pub ended: Option<Ended>,
}

/// Invocations of an attempt, oldest first; `state_dir` is `<git common dir>/orchestrate`.
pub fn invocations(state_dir: &Path, attempt: &str) -> Vec<Invocation> {
    let folders = fs::read_dir(attempt_folder(state_dir, attempt)).into_iter().flatten().flatten();
    let mut found: Vec<Invocation> = folders.filter_map(|entry| invocation(entry.path())).collect();
    found.sort_by_key(|invocation| invocation.number);
    found
}

fn invocation(folder: PathBuf) -> Option<Invocation> {
    let (number, phase) = folder.file_name()?.to_str()?.split_once('-')?;
    let (number, phase) = (number.parse().ok()?, phase.to_owned());
    let ended = folder.is_dir().then(|| ended(&folder))?;
    Some(Invocation { folder, number, phase, ended })
}

/// How the invocation in a folder ended by itself or by its limits; `None` when it was interrupted, or never noted down.
pub fn ended(folder: &Path) -> Option<Ended> {
    let report = read(&folder.join(EXIT_FILE))?;
    (report.ended != Finish::Interrupted).then(|| report.ended.ended())
}

/// Reads an exit file.
pub(super) fn read(path: &Path) -> Option<Report> {
    Report::read(&fs::read(path).ok()?)
}

/// Writes an exit file so that it is there whole or not at all, also after a power cut.
pub(super) fn write(path: &Path, report: &Report) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(report.line().as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
#[path = "past_tests.rs"]
mod tests;
