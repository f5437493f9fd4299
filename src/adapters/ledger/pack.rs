//! Packs our own loose objects and refs, so that they never make `git gc` start inside an agent's commit. Must not touch
//! what others wrote, and is safe while others read, write and pack: an object is removed only when a pack on disk has it.

use std::collections::{HashSet, VecDeque};
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use gix::ObjectId;

use super::store::Store;
use crate::adapters::git::cli;
use crate::adapters::git::refs::{self, sync};
use crate::adapters::git::repo::{GitVersion, Repo, git_error, git_version};
use crate::engine::ports::PortError;

/// More loose refs of ours than this are packed.
const LOOSE_REFS: usize = 256;
/// More loose objects of ours than this are packed.
const LOOSE_OBJECTS: usize = 1_000;
/// Objects written between two looks.
const EVERY: u64 = 64;
/// Longest chain of differences in a pack: git's 50 makes the newest records, the ones that are read, twice as dear for a
/// tenth of the size.
const DEPTH: &str = "--depth=4";
/// The first git whose `pack-refs` takes `--include`.
const PACKS_SELECTED_REFS: GitVersion = GitVersion { major: 2, minor: 42 };
/// Our namespace.
const OURS: &str = "refs/orchestrate/";

/// What a packing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Loose objects that are in a pack now.
    pub objects: usize,
    /// Loose refs that are in packed-refs now.
    pub refs: usize,
}

impl Store {
    /// Packs when more than 256 of our refs or more than 1,000 of our objects are loose. Cheap when there is nothing to do:
    /// it looks once per 64 objects written, and at the first call.
    pub fn pack_if_needed(&mut self) -> Result<Packed, PortError> {
        let written = self.objects.written();
        if self.considered > 0 && written < self.considered + EVERY {
            return Ok(Packed::default());
        }
        self.considered = written.max(1);
        let refs = loose_refs(self.repo.common_dir());
        if refs <= LOOSE_REFS && self.loose_objects(LOOSE_OBJECTS + 1)?.len() <= LOOSE_OBJECTS {
            return Ok(Packed::default());
        }
        self.pack()
    }

    /// Packs whatever of ours is loose; does nothing while another process packs.
    pub fn pack(&mut self) -> Result<Packed, PortError> {
        let Some(_lock) = lock(&self.repo)? else { return Ok(Packed::default()) };
        let objects = self.loose_objects(usize::MAX)?;
        if !objects.is_empty() {
            let index = write_pack(&self.repo, &objects)?;
            self.remove_loose(&objects, &index)?;
        }
        let before = loose_refs(self.repo.common_dir());
        pack_refs(&self.repo)?;
        self.forget_packed_refs();
        let packed = before.saturating_sub(loose_refs(self.repo.common_dir()));
        Ok(Packed { objects: objects.len(), refs: packed })
    }

    /// Loose objects that our loose refs lead to, at most about `limit`, the tips of all chains first: a pack keeps that
    /// order, and tips are what is read most. A ref that is packed was packed after its objects.
    fn loose_objects(&self, limit: usize) -> Result<Vec<ObjectId>, PortError> {
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        let mut pending = VecDeque::new();
        for (name, tip) in refs::list_in(&self.git, OURS)? {
            if is_chain(&name) && refs::is_loose(&self.git, &name) {
                pending.push_back(self.repo.object_id(&tip)?);
            }
        }
        while let Some(id) = pending.pop_front() {
            if found.len() >= limit || !seen.insert(id) || !self.is_loose(&id) {
                continue;
            }
            // What cannot be read is not ours to move.
            let Ok(commit) = self.git.find_commit(id) else { continue };
            let Ok(tree) = commit.tree() else { continue };
            pending.extend(commit.parent_ids().map(gix::Id::detach));
            let blobs = tree.iter().filter_map(Result::ok).map(|entry| entry.object_id());
            found.push(id);
            found.extend(blobs.chain([tree.id]).filter(|id| seen.insert(*id) && self.is_loose(id)));
        }
        Ok(found)
    }

    fn is_loose(&self, id: &ObjectId) -> bool {
        self.objects.path(id).is_file()
    }

    fn remove_loose(&self, objects: &[ObjectId], index: &Path) -> Result<(), PortError> {
        let packed = gix::odb::pack::index::File::at(index, self.repo.object_hash())
            .map_err(|error| git_error(format!("cannot read {}", index.display()), error))?;
        for id in objects.iter().filter(|id| packed.lookup(id).is_some()) {
            match fs::remove_file(self.objects.path(id)) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(PortError::new(format!("cannot remove the loose copy of {id}")).because(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Whether a ref is one of our chains or leads to their records; rescue refs lead to other people's work.
fn is_chain(name: &str) -> bool {
    let kind = name.strip_prefix(OURS).unwrap_or_default();
    ["items/", "runs/", "landings/"].iter().any(|ours| kind.starts_with(ours)) || kind == "meta"
}

/// Loose ref files of ours.
fn loose_refs(common_dir: &Path) -> usize {
    let mut count = 0;
    let mut folders = vec![common_dir.join(OURS)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) => count += 1,
                Err(_) => {}
            }
        }
    }
    count
}

/// Released when dropped, and by the death of the process.
fn lock(repo: &Repo) -> Result<Option<File>, PortError> {
    let folder = repo.state_dir();
    let failed = |error| PortError::new("cannot lock the packing of the ledger").because(error);
    fs::create_dir_all(&folder).map_err(failed)?;
    let file = File::create(folder.join("pack.lock")).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Writes one pack of exactly these objects, durably, and returns its index.
fn write_pack(repo: &Repo, objects: &[ObjectId]) -> Result<PathBuf, PortError> {
    let folder = repo.common_dir().join("objects/pack");
    fs::create_dir_all(&folder)
        .map_err(|error| PortError::new(format!("cannot make {}", folder.display())).because(error))?;
    let mut command = cli::git(repo);
    command.args(["-c", "core.fsync=all", "pack-objects", "-q", DEPTH]).arg(folder.join("pack"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |error| PortError::new("git pack-objects cannot be run").because(error);
    let mut child = command.spawn().map_err(failed)?;
    let list = objects.iter().fold(String::new(), |list, id| list + &id.to_string() + "\n");
    // It reads the whole list before it answers, so one pipe at a time is enough; when it ends early its exit code tells.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(list.as_bytes()));
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        return Err(cli::failed(&command, &output));
    }
    sync(&folder)?;
    let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(folder.join(format!("pack-{name}.idx")))
}

fn pack_refs(repo: &Repo) -> Result<(), PortError> {
    let mut command = cli::git(repo);
    command.args(["-c", "core.fsync=reference", "-c", "core.packedRefsTimeout=10000", "pack-refs"]);
    if git_version()? >= PACKS_SELECTED_REFS {
        command.args(["--include", "refs/orchestrate/*"]);
    } else {
        command.arg("--all");
    }
    cli::run(&mut command)?;
    sync(repo.common_dir())
}
