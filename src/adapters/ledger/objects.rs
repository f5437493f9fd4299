//! Writes loose objects so that they survive a power cut. gix hashes, encodes and compresses; it never syncs, so the file is
//! ours. Must not touch a ref.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use gix::ObjectId;
use gix::objs::{Kind, WriteTo};
use tempfile::NamedTempFile;

use super::memory::{Look, Memory};
use crate::adapters::git::refs::{Identity, identity, sync};
use crate::adapters::git::repo::{Repo, git_error};
use crate::domain::names::Timestamp;
use crate::engine::ports::PortError;

/// Who writes records: fixed, so that a missing user.name never fails an append.
const NAME: &str = "git-orchestrate";
const EMAIL: &str = "git-orchestrate@localhost";

/// How often a fan-out directory is made again when `git gc` removes it under us.
const TRIES: u32 = 5;

/// An object on its way to the disk.
pub(super) type Object = (ObjectId, (Kind, Vec<u8>));

/// Objects of one append, not on disk yet.
#[derive(Default)]
pub(super) struct Batch {
    objects: BTreeMap<ObjectId, (Kind, Vec<u8>)>,
}

/// The object folder.
pub(super) struct Objects {
    directory: PathBuf,
    hash: gix::hash::Kind,
    /// Fan-out folders whose own entries are known to be on disk.
    settled: HashMap<PathBuf, Identity>,
    /// Blobs that wait for the append that references them.
    held: Batch,
    /// What is to be written again when a gc took it.
    pub(super) memory: Memory,
    /// Objects written since the store was opened.
    written: u64,
}

/// A commit to be written.
pub(super) struct NewCommit<'a> {
    pub(super) tree: ObjectId,
    pub(super) parent: Option<ObjectId>,
    pub(super) message: &'a str,
    pub(super) at: Timestamp,
}

impl Objects {
    pub(super) fn of(repo: &Repo) -> Self {
        let directory = repo.common_dir().join("objects");
        Self {
            directory,
            hash: repo.object_hash(),
            settled: HashMap::new(),
            held: Batch::default(),
            memory: Memory::default(),
            written: 0,
        }
    }

    /// Keeps a blob for the next [`publish`](Self::publish).
    pub(super) fn hold(&mut self, bytes: &[u8]) -> Result<ObjectId, PortError> {
        self.held.add(self.hash, Kind::Blob, bytes.to_vec())
    }

    /// A blob that waits.
    pub(super) fn held(&self, id: &ObjectId) -> Option<&[u8]> {
        self.held.objects.get(id).map(|(_, bytes)| bytes.as_slice())
    }

    pub(super) fn hash(&self) -> gix::hash::Kind {
        self.hash
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Where a loose object lies.
    pub(super) fn path(&self, id: &ObjectId) -> PathBuf {
        let hex = id.to_string();
        self.directory.join(&hex[..2]).join(&hex[2..])
    }

    /// Writes a batch and all held blobs; returns when files and directories are on disk. An object that is there already
    /// is written again: what is there may never have been synced, or be about to be pruned.
    pub(super) fn publish(&mut self, batch: &Batch) -> Result<(), PortError> {
        let held = std::mem::take(&mut self.held);
        let all: Vec<_> = held.objects.into_iter().chain(batch.objects.clone()).collect();
        if let Err(error) = self.put(&all) {
            let blobs = all.into_iter().filter(|(_, (kind, _))| *kind == Kind::Blob);
            // Whoever tries again finds what the records of this batch refer to.
            self.held.objects.extend(blobs);
            return Err(error);
        }
        self.memory.remember(all);
        Ok(())
    }

    /// Writes again what a `gc --prune=now` beside us took between its writing and the move of the ref that names it: what
    /// is remembered and lies neither loose nor, by `packed`, in a pack. Answers with how many objects that were.
    pub(super) fn restore(&mut self, look: Look, packed: impl Fn(&ObjectId) -> bool) -> Result<usize, PortError> {
        let lost = self.memory.lost(look, |id| self.path(id).is_file() || packed(id));
        if !lost.is_empty() {
            self.put(&lost)?;
        }
        Ok(lost.len())
    }

    /// Writes objects; returns when files and directories are on disk.
    fn put(&mut self, objects: &[Object]) -> Result<(), PortError> {
        let mut staged = Vec::new();
        let mut directories = BTreeSet::new();
        for (id, (kind, bytes)) in objects {
            let path = self.path(id);
            let file = stage(folder_of(&path), *kind, bytes)
                .map_err(|error| PortError::new(format!("cannot write object {id}")).because(error))?;
            staged.push((file, path, (kind, bytes)));
        }
        for (mut file, path, (kind, bytes)) in staged {
            let mut tries = 0;
            loop {
                file.as_file().sync_all().map_err(|error| PortError::new("cannot sync an object").because(error))?;
                tries += 1;
                match file.persist(&path) {
                    Ok(_) => break,
                    // `git prune --expire=now` takes files that are being written, too.
                    Err(error) if error.error.kind() == ErrorKind::NotFound && tries < TRIES => {
                        file = stage(folder_of(&path), *kind, bytes)
                            .map_err(|error| PortError::new("cannot write an object").because(error))?;
                    }
                    Err(error) => {
                        let message = format!("cannot write {}", path.display());
                        return Err(PortError::new(message).because(error.error));
                    }
                }
            }
            directories.extend(path.parent().map(Path::to_owned));
            self.written += 1;
        }
        self.settle(directories)
    }

    /// Syncs the folders of what was written.
    fn settle(&mut self, directories: BTreeSet<PathBuf>) -> Result<(), PortError> {
        let mut unsettled = Vec::new();
        for directory in directories {
            if !directory.exists() {
                // Removed as empty by a gc beside us, which `restore` makes good.
                continue;
            }
            sync(&directory)?;
            // The folder itself may be new, made by us or by somebody who does not sync.
            let identity = identity(&directory);
            if identity.is_none() || self.settled.get(&directory) != identity.as_ref() {
                unsettled.push((directory, identity));
            }
        }
        if !unsettled.is_empty() {
            sync(&self.directory)?;
            let known = unsettled.into_iter().filter_map(|(directory, identity)| Some((directory, identity?)));
            self.settled.extend(known);
        }
        Ok(())
    }
}

impl Batch {
    /// Adds an object.
    pub(super) fn add(&mut self, hash: gix::hash::Kind, kind: Kind, bytes: Vec<u8>) -> Result<ObjectId, PortError> {
        let id =
            gix::objs::compute_hash(hash, kind, &bytes).map_err(|error| git_error("cannot hash an object", error))?;
        self.objects.insert(id, (kind, bytes));
        Ok(id)
    }

    /// Adds a flat tree of blobs.
    pub(super) fn add_tree(
        &mut self,
        hash: gix::hash::Kind,
        blobs: BTreeMap<String, ObjectId>,
    ) -> Result<ObjectId, PortError> {
        let mode = gix::objs::tree::EntryKind::Blob.into();
        // Names of files sort in a tree as they do in the map.
        let entries = blobs.into_iter().map(|(name, oid)| gix::objs::tree::Entry { mode, filename: name.into(), oid });
        let tree = gix::objs::Tree { entries: entries.collect() };
        self.add(hash, Kind::Tree, encoded(&tree)?)
    }

    /// Adds a commit by the tool.
    pub(super) fn add_commit(&mut self, hash: gix::hash::Kind, new: &NewCommit<'_>) -> Result<ObjectId, PortError> {
        self.add_with_parents(hash, new, new.parent)
    }

    /// The same with a second parent.
    pub(super) fn add_join(
        &mut self,
        hash: gix::hash::Kind,
        new: &NewCommit<'_>,
        other: ObjectId,
    ) -> Result<ObjectId, PortError> {
        self.add_with_parents(hash, new, new.parent.into_iter().chain([other]))
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    fn add_with_parents(
        &mut self,
        hash: gix::hash::Kind,
        new: &NewCommit<'_>,
        parents: impl IntoIterator<Item = ObjectId>,
    ) -> Result<ObjectId, PortError> {
        let time = gix::date::Time { seconds: new.at.0.div_euclid(1_000).max(0), offset: 0 };
        let tool = gix::actor::Signature { name: NAME.into(), email: EMAIL.into(), time };
        let commit = gix::objs::Commit {
            tree: new.tree,
            parents: parents.into_iter().collect(),
            author: tool.clone(),
            committer: tool,
            encoding: None,
            message: new.message.into(),
            extra_headers: Vec::new(),
        };
        self.add(hash, Kind::Commit, encoded(&commit)?)
    }
}

fn encoded(object: &dyn WriteTo) -> Result<Vec<u8>, PortError> {
    let mut bytes = Vec::new();
    object.write_to(&mut bytes).map_err(|error| PortError::new("cannot encode an object").because(error))?;
    Ok(bytes)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().expect("a loose object lies in a folder")
}

/// Writes an object under a name that `git prune` recognises as left over.
fn stage(fan_out: &Path, kind: Kind, bytes: &[u8]) -> std::io::Result<NamedTempFile> {
    let file = temporary_in(fan_out)?;
    let mut deflate = gix::zlib::stream::deflate::Write::new(file, gix::zlib::Compression::BEST_SPEED);
    deflate.write_all(&gix::objs::encode::loose_header(kind, bytes.len() as u64))?;
    deflate.write_all(bytes)?;
    deflate.flush()?;
    Ok(deflate.into_inner())
}

fn temporary_in(fan_out: &Path) -> std::io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    let read_only = std::fs::Permissions::from_mode(0o444);
    let mut tries = 0;
    loop {
        match std::fs::create_dir(fan_out) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let made = tempfile::Builder::new().prefix("tmp_obj_").permissions(read_only.clone()).tempfile_in(fan_out);
        tries += 1;
        match made {
            Err(error) if error.kind() == ErrorKind::NotFound && tries < TRIES => {}
            made => return made,
        }
    }
}
