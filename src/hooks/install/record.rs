//! What the configuration was before `init`, so that `init --uninstall` can put back the very bytes. Must not decide what
//! is installed.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::change::{Change, replace};
use super::layout;
use super::setting::Place;
use crate::adapters::git::repo::Repo;
use crate::engine::ports::PortError;

/// Facts of the time before the first `init`, kept in `<common dir>/orchestrate/before-init.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    version: u32,
    /// Whether there was a folder for hooks.
    pub(super) had_hooks_folder: bool,
    /// Whether `extensions.worktreeConfig` was on.
    pub(super) had_worktree_config: bool,
    /// Whether the target branch was configured.
    pub(super) had_target: bool,
    files: Vec<Kept>,
}

/// One configuration file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    path: PathBuf,
    /// `None` = there was no such file.
    before: Option<Vec<u8>>,
    /// Digest of the file as we left it; `None` while we are at it.
    after: Option<String>,
    /// False once somebody else has changed the file: then only our own keys are taken out.
    exact: bool,
}

impl Record {
    /// The record of an earlier `init`.
    pub fn load(repo: &Repo) -> Result<Option<Self>, PortError> {
        let path = path(repo);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(PortError::new(format!("cannot read {}", path.display())).because(error)),
        };
        let unreadable = |error| PortError::new(format!("{} cannot be understood", path.display())).because(error);
        serde_json::from_slice(&bytes).map(Some).map_err(unreadable)
    }

    /// Takes down how things are, or goes on with the record of an earlier `init`. To be called before the first change.
    pub fn begin(repo: &Repo) -> Result<Self, PortError> {
        let mut record = match Self::load(repo)? {
            Some(record) => record,
            None => Self::new(repo)?,
        };
        for file in files(repo)? {
            let now = read(&file)?;
            match record.files.iter_mut().find(|kept| kept.path == file) {
                Some(kept) => {
                    let known = kept.after.clone().unwrap_or_else(|| digest(kept.before.as_deref()));
                    kept.exact &= known == digest(now.as_deref());
                    kept.after = None;
                }
                // Git copied our setting into a worktree that came later: there is nothing to go back to.
                None if is_ours(repo, now.as_deref()) => {}
                None => record.files.push(Kept { path: file, before: now, after: None, exact: true }),
            }
        }
        record.save(repo)?;
        Ok(record)
    }

    /// Takes down how we leave things. To be called after the last change.
    pub fn finish(mut self, repo: &Repo) -> Result<(), PortError> {
        for kept in &mut self.files {
            kept.after = Some(digest(read(&kept.path)?.as_deref()));
        }
        self.save(repo)
    }

    /// How to put a file back to its very bytes; `None` when somebody else has changed it since. No change is needed where
    /// the file is as it was.
    pub(super) fn restore(&self, file: &Path) -> Result<Option<Vec<Change>>, PortError> {
        let Some(kept) = self.files.iter().find(|kept| kept.path == file && kept.exact) else { return Ok(None) };
        let now = read(file)?;
        if now == kept.before {
            return Ok(Some(Vec::new()));
        }
        let ours = kept.after.as_ref().is_some_and(|after| *after == digest(now.as_deref()));
        Ok(ours.then(|| vec![Change::Restore { file: file.to_owned(), before: kept.before.clone() }]))
    }

    /// Whether a configuration file was there before.
    pub(super) fn had(&self, file: &Path) -> bool {
        self.files.iter().any(|kept| kept.path == file && kept.before.is_some())
    }

    fn new(repo: &Repo) -> Result<Self, PortError> {
        let main = Place { git_dir: repo.common_dir().to_owned(), top: repo.root().to_owned() };
        let found = main.settings(repo, r"^(extensions\.worktreeconfig|orchestrate\.target)$", false)?;
        let local = |key: &str| found.iter().any(|one| one.scope == "local" && one.key == key && one.value != "false");
        Ok(Self {
            version: 1,
            had_hooks_folder: repo.common_dir().join("hooks").is_dir(),
            had_worktree_config: local("extensions.worktreeconfig"),
            had_target: local("orchestrate.target"),
            files: Vec::new(),
        })
    }

    fn save(&self, repo: &Repo) -> Result<(), PortError> {
        let path = path(repo);
        let failed = |error: std::io::Error| PortError::new(format!("cannot write {}", path.display())).because(error);
        let bytes = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        replace(&path, &bytes, Some(0o644)).map_err(failed)
    }
}

/// Where the record lies.
pub(super) fn path(repo: &Repo) -> PathBuf {
    repo.state_dir().join("before-init.json")
}

fn files(repo: &Repo) -> Result<Vec<PathBuf>, PortError> {
    let worktrees = Place::all(repo)?.into_iter().map(|place| place.config());
    Ok(std::iter::once(repo.common_dir().join("config")).chain(worktrees).collect())
}

fn is_ours(repo: &Repo, bytes: Option<&[u8]>) -> bool {
    let text = String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    text.contains(&*layout::dispatchers(repo).to_string_lossy())
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, PortError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(PortError::new(format!("cannot read {}", path.display())).because(error)),
    }
}

fn digest(bytes: Option<&[u8]>) -> String {
    let sum = bytes.map(Sha256::digest);
    sum.map_or_else(String::new, |sum| sum.iter().map(|byte| format!("{byte:02x}")).collect())
}
