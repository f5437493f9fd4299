//! Checkouts of a branch that moved: whether they can follow, and following as a fast-forward would. Must not lose an edit:
//! what is not exactly as the old commit has it is left to git, which refuses.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::index::entry::{Flags, Mode, Stat};

use super::admin::{self, Entry, Head, io_error};
use super::commit::tree_of;
use super::index_lock::IndexLock;
use super::merge::{self, FileChange, Side};
use super::repo::{Repo, git_error};
use super::{behind, checkout, cli, settle, stale, status};
use crate::domain::names::{BranchRef, Oid};
use crate::engine::ports::PortError;

/// How long another program's hold on an index is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// A work tree with the branch checked out.
struct Checkout {
    root: PathBuf,
    git_dir: PathBuf,
    linked: Option<Entry>,
}

/// What became of an earlier move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// None was under way.
    Whole,
    /// One was killed, or failed, in the middle: files that hold the beginning of what it wrote are its own.
    CutShort,
}

/// What a look at a checkout says.
enum Look {
    /// Every file of the move is as the old commit has it, or already as the new one.
    Clear(Box<Move>),
    /// Only git can tell.
    Doubt,
    /// It cannot follow.
    Blocked(String),
}

/// Brings files that nobody uses from one tree to another; `false`, with nothing done, when they are not exactly the first.
/// `dir` holds their index.
pub(super) fn bring(
    git: &gix::Repository,
    root: &Path,
    dir: &Path,
    from: ObjectId,
    to: ObjectId,
) -> Result<bool, PortError> {
    let checkout = Checkout { root: root.to_owned(), git_dir: dir.to_owned(), linked: None };
    let changes = merge::changes(git, from, to)?;
    let Look::Clear(work) = look(git, &checkout, &changes, Before::Whole)? else { return Ok(false) };
    let lock = IndexLock::take(dir, dir, LOCK_WAIT)?;
    apply(git, &checkout, *work, lock)?;
    Ok(true)
}

/// What remains to be done in a checkout.
struct Move {
    index: gix::index::File,
    todo: BTreeMap<BString, Side>,
}

/// Why a checkout of the branch could not follow from one commit to another.
pub fn obstacle(repo: &Repo, branch: &BranchRef, from: &Oid, to: &Oid) -> Result<Option<String>, PortError> {
    let git = repo.gix();
    let changes = changes(repo, &git, from, to)?;
    for checkout in checkouts(repo, branch)? {
        if checkout.git_dir.join("index.lock").exists()
            && IndexLock::take(&repo.state_dir(), &checkout.git_dir, LOCK_WAIT).is_err()
        {
            let about = stale::about(&checkout.git_dir.join("index.lock"));
            return Ok(Some(format!("{} cannot follow: its index is locked: {about}", checkout.root.display())));
        }
        let reason = match look(&git, &checkout, &changes, Before::Whole)? {
            Look::Clear(_) => None,
            Look::Blocked(reason) => Some(reason),
            Look::Doubt => asked(repo, &checkout, from, to)?,
        };
        if let Some(reason) = reason {
            return Ok(Some(format!("{} cannot follow: {reason}", checkout.root.display())));
        }
    }
    Ok(None)
}

/// Brings every checkout of the branch along. One that is there already is left alone; one that resists is noted, so that
/// [`behind::catch_up`](super::behind::catch_up) tries again.
pub fn follow(repo: &Repo, branch: &BranchRef, from: &Oid, to: &Oid) -> Result<(), PortError> {
    let mut before = Before::Whole;
    let followed = follow_all(repo, branch, (from, to), &mut before);
    if followed.is_err() {
        behind::note(repo, branch, (from, to), before);
    }
    followed
}

/// [`follow`] without a note. `before` says how an earlier move ended, and after an error how this one did.
pub(super) fn follow_all(
    repo: &Repo,
    branch: &BranchRef,
    (from, to): (&Oid, &Oid),
    before: &mut Before,
) -> Result<(), PortError> {
    let git = repo.gix();
    let changes = changes(repo, &git, from, to)?;
    for checkout in checkouts(repo, branch)? {
        follow_one(repo, &git, &checkout, &changes, (from, to), before)?;
        // Before the landing is reported as followed: a file that a power cut leaves empty looks like an edit afterwards.
        let paths: Vec<PathBuf> = changes.keys().filter_map(|path| path.to_path().ok().map(Path::to_owned)).collect();
        settle::settle(&checkout.root, &checkout.git_dir, paths.iter().map(PathBuf::as_path))?;
        if let Some(entry) = &checkout.linked {
            // The main worktree's reflog was written with the branch.
            entry.note_move(Some(from), to, super::trash::now(), "landing: by git-orchestrate");
        }
    }
    Ok(())
}

fn follow_one(
    repo: &Repo,
    git: &gix::Repository,
    checkout: &Checkout,
    changes: &BTreeMap<BString, FileChange>,
    (from, to): (&Oid, &Oid),
    before: &mut Before,
) -> Result<(), PortError> {
    let cannot = |reason: &str| {
        PortError::new(format!("{} cannot follow: {reason}", checkout.root.display()))
            .hint("put its changes aside (git stash), then: git orchestrate resume")
    };
    let lock = IndexLock::take(&repo.state_dir(), &checkout.git_dir, LOCK_WAIT).map_err(|error| {
        let about = stale::about(&checkout.git_dir.join("index.lock"));
        cannot("its index is locked").because(error).hint(format!("{about}; then: git orchestrate resume"))
    })?;
    // Looked at again under the lock: what obstacle() saw may have changed.
    let earlier = *before;
    let seen = if lock.was_a_dead_ones() { Before::CutShort } else { earlier };
    match look(git, checkout, changes, seen)? {
        Look::Clear(work) => {
            // A full disk leaves the same behind as a kill.
            *before = Before::CutShort;
            apply(git, checkout, *work, lock)?;
            *before = earlier;
            Ok(())
        }
        Look::Blocked(reason) => Err(cannot(&reason)),
        Look::Doubt => {
            drop(lock);
            refresh(repo, checkout)?;
            let mut read = git_at(repo, checkout)?;
            read.args(["read-tree", "-m", "-u", from.as_str(), to.as_str()]);
            cli::run(&mut read).map(drop)
        }
    }
}

fn changes(
    repo: &Repo,
    git: &gix::Repository,
    from: &Oid,
    to: &Oid,
) -> Result<BTreeMap<BString, FileChange>, PortError> {
    let (from, to) = (repo.object_id(from)?, repo.object_id(to)?);
    merge::changes(git, tree_of(git, from)?, tree_of(git, to)?)
}

fn checkouts(repo: &Repo, branch: &BranchRef) -> Result<Vec<Checkout>, PortError> {
    let mut found = Vec::new();
    if !repo.is_bare() && admin::main_head(repo) == Head::Branch(branch.clone()) {
        found.push(Checkout { root: repo.root().to_owned(), git_dir: repo.common_dir().to_owned(), linked: None });
    }
    for entry in admin::entries(repo)?.into_iter().filter(|entry| entry.head == Head::Branch(branch.clone())) {
        if let Some(root) = entry.path.clone().filter(|path| path.is_dir()) {
            found.push(Checkout { root, git_dir: entry.dir.clone(), linked: Some(entry) });
        }
    }
    Ok(found)
}

/// Looks at the paths of a move only, as a fast-forward would.
fn look(
    git: &gix::Repository,
    checkout: &Checkout,
    changes: &BTreeMap<BString, FileChange>,
    before: Before,
) -> Result<Look, PortError> {
    let path = checkout.git_dir.join("index");
    let options = gix::index::decode::Options::default();
    let Ok(index) = gix::index::File::at(&path, git.object_hash(), false, options) else { return Ok(Look::Doubt) };
    let unmerged = index.entries().iter().any(|entry| entry.stage_raw() != 0);
    if unmerged {
        return Ok(Look::Blocked("a merge is in progress there".to_owned()));
    }
    if index.link().is_some() || status::is_sparse(&index) || !is_plain(changes) {
        return Ok(Look::Doubt);
    }
    let stat = git.stat_options().map_err(|error| git_error("cannot read the configuration", error))?;
    let view = View { git, before, root: &checkout.root, index: &index, stat, hash: git.object_hash() };
    let mut todo = BTreeMap::new();
    for (path, change) in changes {
        match view.standing(path.as_bstr(), change) {
            Standing::Old => _ = todo.insert(path.clone(), change.new),
            Standing::New => {}
            Standing::Unclear => return Ok(Look::Doubt),
            Standing::Shadowed => {
                return Ok(Look::Blocked(format!(
                    "{}, which git does not know, is in the way",
                    path.to_string().escape_debug()
                )));
            }
        }
    }
    Ok(Look::Clear(Box::new(Move { index, todo })))
}

/// Whether the move is files only, in directories that stay directories, with the attributes as they are.
fn is_plain(changes: &BTreeMap<BString, FileChange>) -> bool {
    let file = |side: Side| side.is_none_or(|(mode, _)| mode.is_blob_or_symlink());
    changes.iter().all(|(path, change)| {
        let mut above = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| &path[..end]);
        let plain = file(change.old) && file(change.new) && !path.ends_with(b".gitattributes");
        plain && !above.any(|directory| changes.contains_key(directory.as_bstr()))
    })
}

/// How a path of the move stands in a checkout.
enum Standing {
    Old,
    New,
    Unclear,
    Shadowed,
}

struct View<'a> {
    git: &'a gix::Repository,
    before: Before,
    root: &'a Path,
    index: &'a gix::index::File,
    stat: gix::index::entry::stat::Options,
    hash: gix::hash::Kind,
}

impl View<'_> {
    fn standing(&self, path: &BStr, change: &FileChange) -> Standing {
        let staged = status::staged(self.index, path).map(|(entry, mode)| (mode, entry.id));
        let side = |side: Side| side.map(|(mode, id)| (Mode::from(mode), id));
        if staged == side(change.new) {
            return Standing::New;
        }
        if staged != side(change.old) {
            return Standing::Unclear;
        }
        // A move that was killed half way has left files of the new commit without an entry in the index.
        if self.is_new_already(path, change) || self.is_cut_short(path, change) {
            return Standing::Old;
        }
        if change.old.is_none() {
            return if self.is_free(path) { Standing::Old } else { Standing::Shadowed };
        }
        if self.is_untouched(path) { Standing::Old } else { Standing::Unclear }
    }

    /// Whether nothing is at the path, and only directories above it.
    fn is_free(&self, path: &BStr) -> bool {
        let Ok(path) = path.to_path() else { return false };
        let mut place = self.root.to_owned();
        let parts: Vec<_> = path.components().collect();
        for (number, part) in parts.iter().enumerate() {
            place.push(part);
            match place.symlink_metadata() {
                Err(_) => return true,
                Ok(found) if found.is_dir() && number + 1 < parts.len() => {}
                Ok(_) => return false,
            }
        }
        false
    }

    /// Whether the file is what the index says: by its stat data, else by its bytes.
    fn is_untouched(&self, path: &BStr) -> bool {
        let Some((entry, mode)) = status::staged(self.index, path) else { return false };
        let Ok(relative) = path.to_path() else { return false };
        let full = self.root.join(relative);
        let hidden = entry.flags.intersects(Flags::ASSUME_VALID | Flags::SKIP_WORKTREE | Flags::INTENT_TO_ADD);
        let Ok(metadata) = gix::index::fs::Metadata::from_path_no_follow(&full) else { return false };
        if hidden || metadata.is_symlink() != (mode == Mode::SYMLINK) || metadata.is_dir() {
            return false;
        }
        let stat = Stat::from_fs(&metadata).unwrap_or_default();
        let fresh = stat.matches(&entry.stat, self.stat) && !entry.stat.is_racy(self.index.timestamp(), self.stat);
        fresh || self.has_bytes_of(&full, &metadata, mode, entry.id)
    }

    /// Whether what lies there is byte for byte what the move would put there.
    fn is_new_already(&self, path: &BStr, change: &FileChange) -> bool {
        let (Some((mode, id)), Ok(relative)) = (change.new, path.to_path()) else { return false };
        let (full, mode) = (self.root.join(relative), Mode::from(mode));
        let Ok(metadata) = gix::index::fs::Metadata::from_path_no_follow(&full) else { return false };
        !metadata.is_dir()
            && metadata.is_symlink() == (mode == Mode::SYMLINK)
            && self.has_bytes_of(&full, &metadata, mode, id)
    }

    /// Whether a killed move left the path like this: the old file is gone, or what lies there is the beginning of the new.
    fn is_cut_short(&self, path: &BStr, change: &FileChange) -> bool {
        let (Before::CutShort, Ok(relative)) = (self.before, path.to_path()) else { return false };
        let full = self.root.join(relative);
        match (full.symlink_metadata(), change.new) {
            (Err(error), _) => error.kind() == std::io::ErrorKind::NotFound && change.old.is_some(),
            (Ok(found), Some((_, id))) if found.is_file() => {
                let begins = |there: Vec<u8>| self.git.find_blob(id).is_ok_and(|new| new.data.starts_with(&there));
                fs::read(&full).is_ok_and(begins)
            }
            (Ok(_), _) => false,
        }
    }

    /// Compares bytes as they are; a file that git converts does not match and is left to git.
    fn has_bytes_of(&self, full: &Path, metadata: &gix::index::fs::Metadata, mode: Mode, id: ObjectId) -> bool {
        if metadata.is_executable() != (mode == Mode::FILE_EXECUTABLE) && !metadata.is_symlink() {
            return false;
        }
        let bytes = if metadata.is_symlink() {
            use std::os::unix::ffi::OsStringExt;
            fs::read_link(full).map(|target| target.into_os_string().into_vec())
        } else {
            fs::read(full)
        };
        let Ok(bytes) = bytes else { return false };
        gix::objs::compute_hash(self.hash, gix::objs::Kind::Blob, &bytes).is_ok_and(|found| found == id)
    }
}

/// Makes a clear move: old files go, new ones are written, the index says so, all under its lock.
fn apply(git: &gix::Repository, checkout: &Checkout, work: Move, lock: IndexLock) -> Result<(), PortError> {
    let Move { mut index, todo } = work;
    if todo.is_empty() {
        return Ok(());
    }
    for path in todo.keys() {
        remove_file(&checkout.root, path.as_bstr(), todo.get(path).is_some_and(Option::is_none))?;
    }
    let mut written = gix::index::State::new(git.object_hash());
    for (path, side) in &todo {
        if let Some((mode, id)) = side {
            written.dangerously_push_entry(Stat::default(), *id, Flags::empty(), Mode::from(*mode), path.as_bstr());
        }
    }
    written.sort_entries();
    checkout::write_files(git, &mut written, &checkout.root, checkout::Place::InUse)?;
    index.remove_entries(|_, path, _| todo.contains_key(path));
    for entry in written.entries() {
        let path = entry.path(&written);
        index.dangerously_push_entry(entry.stat, entry.id, Flags::empty(), entry.mode, path);
    }
    index.sort_entries();
    index.remove_tree();
    index.remove_resolve_undo();
    let failed = |error| git_error(format!("cannot write the index of {}", checkout.root.display()), error);
    lock.replace(|out| {
        let written = index.write_to(out, gix::index::write::Options::default());
        written.map(drop).map_err(failed)
    })
}

/// Removes a file and, when nothing replaces it, the directories that became empty.
fn remove_file(root: &Path, path: &BStr, prune: bool) -> Result<(), PortError> {
    let Ok(relative) = path.to_path() else { return Err(PortError::new(format!("{path} is no path here"))) };
    let full = root.join(relative);
    match fs::remove_file(&full) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io_error("cannot remove", &full, error));
        }
        Ok(()) | Err(_) => {}
    }
    let mut parent = full.parent();
    while let Some(dir) = parent.filter(|dir| prune && *dir != root) {
        // Stops at the first that still holds something.
        if fs::remove_dir(dir).is_err() {
            break;
        }
        parent = dir.parent();
    }
    Ok(())
}

/// What git itself says of the move.
fn asked(repo: &Repo, checkout: &Checkout, from: &Oid, to: &Oid) -> Result<Option<String>, PortError> {
    refresh(repo, checkout)?;
    let mut read = git_at(repo, checkout)?;
    read.args(["read-tree", "-m", "-u", "-n", from.as_str(), to.as_str()]);
    let output = cli::output(&mut read)?;
    Ok((!output.status.success()).then(|| plainly(&output.stderr)))
}

/// What `read-tree` said against a move, for people; as it is where it says something else.
fn plainly(stderr: &[u8]) -> String {
    let said = String::from_utf8_lossy(stderr);
    let path = said.split_once('\'').and_then(|(_, rest)| rest.rsplit_once('\'')).map(|(path, _)| path.escape_debug());
    match path {
        Some(path) if said.contains("Untracked") => format!("{path}, which git does not know, is in the way"),
        Some(path) if said.contains("not uptodate") || said.contains("would be overwritten") => {
            format!("{path} has changes that are not committed")
        }
        Some(_) | None => cli::shown(stderr),
    }
}

/// Lets git compare files whose stat data changed; what it prints and its exit code only say that there are edits.
fn refresh(repo: &Repo, checkout: &Checkout) -> Result<(), PortError> {
    let mut refresh = git_at(repo, checkout)?;
    refresh.args(["update-index", "-q", "--refresh"]);
    cli::output(&mut refresh).map(drop)
}

fn git_at(repo: &Repo, checkout: &Checkout) -> Result<Command, PortError> {
    cli::git_in(repo, &checkout.root)
}
