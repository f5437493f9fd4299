//! Refs and HEAD: read by gix from files and by git from reftables, written by one `git update-ref` child. No other file calls
//! a ref or HEAD function of gix. Must not know what a ref means.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use gix::refs::{FullNameRef, Target};
use thiserror::Error;

use super::repo::{Repo, git_error, oid};
use super::tables::{self, Value};
use super::update_ref::{Exchange, Session};
use super::{room, stale};
use crate::domain::names::{BranchRef, Oid};
use crate::engine::ports::PortError;

/// What HEAD of the main worktree says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// On a branch that has a commit.
    Branch(BranchRef),
    /// On a branch without a commit.
    Unborn(BranchRef),
    /// On no branch.
    Detached(Oid),
}

/// Value of a ref before an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The ref does not exist.
    Absent,
    /// The ref has this value.
    Value(Oid),
    /// Whatever it is. Never for our own chains or a protected branch.
    Any,
}

/// One ref of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefUpdate {
    /// Full name.
    pub name: String,
    /// Value before.
    pub expected: Expected,
    /// Value after; `None` deletes.
    pub new: Option<Oid>,
}

/// Why a transaction moved nothing.
#[derive(Debug, Error)]
pub enum RefError {
    /// A ref is not where it was expected.
    #[error("{name} is not where it was expected")]
    Conflict {
        /// The first such ref.
        name: String,
    },
    /// Another process held a lock for too long.
    #[error("a ref is locked: {message}")]
    Locked {
        /// What git said; names the lock file.
        message: String,
    },
    /// Git or the machine.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl From<RefError> for PortError {
    fn from(error: RefError) -> Self {
        match error {
            RefError::Port(error) => error,
            RefError::Conflict { .. } => Self::new(error.to_string()),
            RefError::Locked { ref message } => {
                let about = stale::named_in(message).map(|lock| stale::about(&lock));
                let general = || "if no git process is running, remove the lock file it names".to_owned();
                Self::new(error.to_string()).hint(about.unwrap_or_else(general))
            }
        }
    }
}

/// Value of a ref by its full name; `None` when it does not exist. A symbolic ref is refused: what it names may be moved
/// by anybody.
pub fn tip(repo: &Repo, name: &str) -> Result<Option<Oid>, PortError> {
    tip_in(&repo.gix(), name)
}

/// [`tip`] with a handle that is there already.
pub fn tip_in(git: &gix::Repository, name: &str) -> Result<Option<Oid>, PortError> {
    let full = full_name(name)?;
    if tables::are_used(git) {
        return match tables::value(git.common_dir(), name)? {
            None => Ok(None),
            Some(Value::Object(oid)) => Ok(Some(oid)),
            Some(Value::Symbolic(to)) => Err(symbolic(name, &to)),
        };
    }
    loop {
        let before = packed_stamp(git);
        let (target, loose) = target_once(git, full)?;
        // A ref that was packed and written and packed again while we looked would show its older value.
        if !loose && packed_stamp(git) != before {
            continue;
        }
        return match target {
            None => Ok(None),
            Some(Target::Object(id)) => Ok(Some(oid(id))),
            Some(Target::Symbolic(to)) => Err(symbolic(name, &to.as_bstr().to_string())),
        };
    }
}

/// A ref's target and whether it was read from a loose file. Packing writes packed-refs and then removes the loose file. gix
/// looks at packed-refs first, so that its answer could be older than our own last write.
fn target_once(git: &gix::Repository, full: &FullNameRef) -> Result<(Option<Target>, bool), PortError> {
    let failed = |error| git_error(format!("cannot read {}", full.as_bstr()), error);
    let name = full.as_bstr().to_string();
    let failed = |error| mendable(failed(error), &name);
    if let Some(loose) = git.refs.try_find_loose(full).map_err(failed)?.filter(|loose| loose.name.as_ref() == full) {
        return Ok((Some(loose.target), true));
    }
    let found = git.try_find_reference(full).map_err(failed)?;
    // gix looks the name up in other places too when it is not there (refs/heads/refs/...).
    Ok((found.filter(|found| found.name() == full).map(|found| found.inner.target), false))
}

/// Reads packed-refs again even where its time stamp looks the same.
pub(crate) fn refresh(git: &gix::Repository) {
    // It fails when there is no packed-refs, and then there is nothing to be out of date.
    let _ = git.refs.force_refresh_packed_buffer();
}

/// All refs below a prefix that ends in `/`, loose and packed, sorted by name. Symbolic ones are left out.
pub fn list(repo: &Repo, prefix: &str) -> Result<Vec<(String, Oid)>, PortError> {
    list_in(&repo.gix(), prefix)
}

/// [`list`] with a handle that is there already.
pub fn list_in(git: &gix::Repository, prefix: &str) -> Result<Vec<(String, Oid)>, PortError> {
    if tables::are_used(git) {
        return tables::below(git.common_dir(), prefix);
    }
    loop {
        let before = packed_stamp(git);
        let found = list_once(git, prefix)?;
        // A ref that is packed while we look could be seen in neither place.
        if packed_stamp(git) == before {
            return Ok(found);
        }
    }
}

fn list_once(git: &gix::Repository, prefix: &str) -> Result<Vec<(String, Oid)>, PortError> {
    let failed = |error| git_error(format!("cannot list refs below {prefix}"), error);
    let platform = git.references().map_err(failed)?;
    let mut found = Vec::new();
    for reference in platform.prefixed(prefix).map_err(failed)? {
        let reference = reference.map_err(|error| mendable(failed(error), prefix))?;
        if let Target::Object(id) = &reference.inner.target {
            found.push((reference.name().as_bstr().to_string(), oid(id)));
        }
    }
    found.sort();
    Ok(found)
}

/// Names the way out where a ref of our own record cannot be read.
fn mendable(error: PortError, name: &str) -> PortError {
    if !name.starts_with("refs/orchestrate/") {
        return error;
    }
    error.hint("git orchestrate doctor shows what is wrong with the record, --fix goes back to what is sound")
}

fn packed_stamp(git: &gix::Repository) -> Option<(u64, u64, SystemTime)> {
    let metadata = fs::metadata(git.refs.packed_refs_path()).ok()?;
    Some((metadata.ino(), metadata.len(), metadata.modified().ok()?))
}

/// What HEAD of the main worktree says.
pub fn head_branch(repo: &Repo) -> Result<Head, PortError> {
    let git = repo.gix();
    if tables::are_used(&git) {
        return Ok(match tables::head(git.common_dir(), git.common_dir())? {
            Value::Object(oid) => Head::Detached(oid),
            Value::Symbolic(name) if tip_in(&git, &name)?.is_some() => Head::Branch(BranchRef::new(name)),
            Value::Symbolic(name) => Head::Unborn(BranchRef::new(name)),
        });
    }
    let head = git.head().map_err(|error| git_error("cannot read HEAD", error))?;
    Ok(match head.kind {
        gix::head::Kind::Symbolic(reference) => Head::Branch(BranchRef::new(reference.name.as_bstr().to_string())),
        gix::head::Kind::Unborn(name) => Head::Unborn(BranchRef::new(name.as_bstr().to_string())),
        gix::head::Kind::Detached { target, .. } => Head::Detached(oid(target)),
    })
}

/// The ref that HEAD of one worktree names, by its private git directory; `None` when it names a commit or cannot be read.
pub fn head_of(repo: &Repo, git_dir: &Path) -> Option<String> {
    match super::admin::head_in(repo, git_dir) {
        super::admin::Head::Branch(branch) => Some(branch.as_str().to_owned()),
        super::admin::Head::Detached(_) | super::admin::Head::Unreadable => None,
    }
}

/// The reflog of HEAD or a ref, oldest entry first: lines of `<old> <new> ...<tab><why>`; the old value may be left out by a
/// `-`. Empty when there is none. `git_dir` is a worktree's private one for its HEAD, else the shared one.
pub(super) fn reflog(git: &gix::Repository, git_dir: &Path, name: &str) -> Vec<u8> {
    if tables::are_used(git) {
        return tables::reflog(git.common_dir(), git_dir, name);
    }
    fs::read(git_dir.join("logs").join(name)).unwrap_or_default()
}

/// Whether a ref may lie in a file of its own, so that nothing is known of how its objects are kept.
pub(crate) fn is_loose(git: &gix::Repository, name: &str) -> bool {
    tables::are_used(git) || git.common_dir().join(name).is_file()
}

/// Where a symbolic ref points (`refs/remotes/origin/HEAD`); `None` when it is absent or not symbolic.
pub fn symbolic_target(repo: &Repo, name: &str) -> Result<Option<String>, PortError> {
    let git = repo.gix();
    let full = full_name(name)?;
    if tables::are_used(&git) {
        return Ok(tables::value(git.common_dir(), name)?.and_then(|value| match value {
            Value::Symbolic(to) => Some(to),
            Value::Object(_) => None,
        }));
    }
    let found = git.try_find_reference(full).map_err(|error| git_error(format!("cannot read {name}"), error))?;
    Ok(found.filter(|found| found.name() == full).and_then(|found| match &found.inner.target {
        Target::Symbolic(to) => Some(to.as_bstr().to_string()),
        Target::Object(_) => None,
    }))
}

/// Whether a full ref name is one that git accepts.
pub fn is_valid_name(name: &str) -> bool {
    full_name(name).is_ok()
}

fn full_name(name: &str) -> Result<&FullNameRef, PortError> {
    let wrong = || PortError::new(format!("`{}` is not a full ref name", name.escape_debug()));
    if !name.starts_with("refs/") {
        return Err(wrong());
    }
    <&FullNameRef>::try_from(name).map_err(|_| wrong())
}

fn symbolic(name: &str, to: &str) -> PortError {
    PortError::new(format!("{name} is a symbolic ref to {}", to.escape_debug()))
        .hint("name the ref it points to instead")
}

/// Writes refs through one persistent `git update-ref --stdin -z`, started at the first write and again when it died.
pub struct RefWriter {
    repo: Repo,
    session: Option<Session>,
    /// Directories of refs whose own entries are known to be on disk, by identity.
    settled: HashMap<PathBuf, Identity>,
    /// Committed transactions, for tests and benchmarks.
    transactions: u64,
}

impl RefWriter {
    /// A writer; nothing is started yet.
    pub fn new(repo: &Repo) -> Self {
        Self { repo: repo.clone(), session: None, settled: HashMap::new(), transactions: 0 }
    }

    /// How many transactions were committed by this writer.
    pub fn transactions(&self) -> u64 {
        self.transactions
    }

    /// The child's process id while one runs.
    pub fn child_id(&self) -> Option<u32> {
        self.session.as_ref().map(Session::id)
    }

    /// Moves all refs or none, and returns when the move survives a power cut.
    pub fn transaction(&mut self, updates: &[RefUpdate]) -> Result<(), RefError> {
        let request = encode(&self.repo, updates)?;
        loop {
            let kept = self.session.take();
            let fresh = kept.is_none();
            let session = match kept {
                Some(session) => session,
                None => Session::spawn(&self.repo)?,
            };
            match session.exchange(&request) {
                Exchange::Committed(session) => {
                    self.session = Some(session);
                    self.transactions += 1;
                    return Ok(self.settle(updates)?);
                }
                Exchange::Unknown(_) if self.arrived(updates)? => {
                    self.transactions += 1;
                    return Ok(self.settle(updates)?);
                }
                Exchange::Unknown(said) => return Err(self.explain(updates, said)),
                // An older child may refuse what is right: git tells two versions of packed-refs apart by second, size and
                // inode only. A new child has not read any.
                Exchange::Refused(said) => match self.explain(updates, said) {
                    RefError::Port(_) if !fresh => {}
                    RefError::Locked { .. } if tables::clear_dead_lock(self.repo.common_dir()) => {}
                    error => return Err(error),
                },
                // It died since the last call; nothing had been asked of it.
                Exchange::Died(_) if !fresh => {}
                Exchange::Died(said) => return Err(self.explain(updates, said)),
            }
        }
    }

    /// Starts the child where none runs, so that the next transaction does not have to.
    pub fn warm(&mut self) -> Result<(), PortError> {
        if self.session.is_none() {
            self.session = Some(Session::spawn(&self.repo)?);
        }
        Ok(())
    }

    /// Ends the child; the next write starts another.
    pub fn close(&mut self) {
        if let Some(session) = self.session.take() {
            session.end();
        }
    }

    /// Whether every ref has its new value: the child committed and was killed before it said so.
    fn arrived(&self, updates: &[RefUpdate]) -> Result<bool, PortError> {
        let git = self.repo.gix();
        for update in updates {
            if tip_in(&git, &update.name)? != update.new {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Finds out from the refs themselves what git's sentence means.
    fn explain(&self, updates: &[RefUpdate], said: String) -> RefError {
        let git = self.repo.gix();
        refresh(&git);
        for update in updates {
            let is = match tip_in(&git, &update.name) {
                Ok(is) => is,
                Err(error) => return RefError::Port(error),
            };
            let holds = match &update.expected {
                Expected::Absent => is.is_none(),
                Expected::Value(value) => is.as_ref() == Some(value),
                Expected::Any => true,
            };
            if !holds {
                return RefError::Conflict { name: update.name.clone() };
            }
        }
        let tables = said.contains("cannot lock references");
        // A lock that could be taken and not written is no lock in the way.
        let full = said.contains("couldn't write");
        if !full && (tables || said.contains(".lock'") || said.contains("packed-refs.lock")) {
            return RefError::Locked { message: said };
        }
        // Git says that it could not write, and not why.
        let why = if room::is_used_up(&self.repo) { ": No space left on device" } else { "" };
        RefError::Port(PortError::new(format!("git update-ref refused: {said}{why}")))
    }

    /// Makes the newest move of a ref durable, whoever made it.
    pub(super) fn settle_ref(&mut self, name: &str) -> Result<(), PortError> {
        self.settle(&[RefUpdate { name: name.to_owned(), expected: Expected::Any, new: None }])
    }

    /// Syncs the ref files and the directories they lie in: git syncs neither the rename nor new directories.
    fn settle(&mut self, updates: &[RefUpdate]) -> Result<(), PortError> {
        if tables::are_used(&self.repo.gix()) {
            return tables::settle(self.repo.common_dir());
        }
        let mut directories = Vec::new();
        for update in updates {
            let path = self.repo.common_dir().join(&update.name);
            sync(&path)?;
            let parent = path.parent().expect("a full ref name has a slash").to_owned();
            if !directories.contains(&parent) {
                directories.push(parent);
            }
        }
        for directory in directories {
            sync(&directory)?;
            self.settle_above(&directory)?;
        }
        Ok(())
    }

    fn settle_above(&mut self, directory: &Path) -> Result<(), PortError> {
        let identity = identity(directory);
        if identity.is_some() && self.settled.get(directory) == identity.as_ref() {
            return Ok(());
        }
        let stop = self.repo.common_dir();
        for above in directory.ancestors().skip(1).take_while(|above| above.starts_with(stop)) {
            sync(above)?;
        }
        if let Some(identity) = identity {
            self.settled.insert(directory.to_owned(), identity);
        }
        Ok(())
    }
}

impl Drop for RefWriter {
    fn drop(&mut self) {
        self.close();
    }
}

fn encode(repo: &Repo, updates: &[RefUpdate]) -> Result<Vec<u8>, PortError> {
    let zero = gix::ObjectId::null(repo.object_hash()).to_string();
    let mut request = Vec::new();
    for update in updates {
        full_name(&update.name)?;
        let old = match &update.expected {
            Expected::Absent => zero.clone(),
            Expected::Value(value) => repo.object_id(value)?.to_string(),
            Expected::Any => String::new(),
        };
        // A symbolic ref planted under our name must be overwritten or refused, never followed.
        request.extend_from_slice(b"option no-deref\0");
        let verb = if update.new.is_some() { "update" } else { "delete" };
        request.extend_from_slice(format!("{verb} {}\0", update.name).as_bytes());
        if let Some(new) = &update.new {
            request.extend_from_slice(format!("{}\0", repo.object_id(new)?).as_bytes());
        }
        request.extend_from_slice(format!("{old}\0").as_bytes());
    }
    Ok(request)
}

/// Inode and time of birth.
pub(crate) type Identity = (u64, SystemTime);

/// Identity of a directory that survives neither its removal nor its return; `None` where the file system cannot tell.
pub(crate) fn identity(directory: &Path) -> Option<Identity> {
    let metadata = fs::metadata(directory).ok()?;
    Some((metadata.ino(), metadata.created().ok()?))
}

/// Makes a file or directory durable; one that is gone (deleted or packed meanwhile) needs nothing.
pub(crate) fn sync(path: &Path) -> Result<(), PortError> {
    match File::open(path).and_then(|file| file.sync_all()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(PortError::new(format!("cannot sync {}", path.display())).because(error)),
    }
}
