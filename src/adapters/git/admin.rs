//! How linked worktrees are registered: the entries in `<common dir>/worktrees`, written whole and renamed into place, so that
//! no git command ever meets a half-made one. Must not touch what lies in a worktree, apart from its `.git` file.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::repo::{Repo, git_error};
use super::tables::{self, NewHead, Value};
use crate::domain::names::{BranchRef, Oid, Timestamp};
use crate::engine::ports::PortError;

/// Opens the lock reason of every entry of ours.
const OURS: &str = "git-orchestrate";

/// Begins the name of an entry that is being written.
const DRAFT: &str = "worktree-";

/// What a worktree has checked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// A branch, born or not.
    Branch(BranchRef),
    /// A commit.
    Detached(Oid),
    /// The file is missing or says neither.
    Unreadable,
}

/// A linked worktree as git has it on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its private git directory, `<common dir>/worktrees/<name>`.
    pub dir: PathBuf,
    /// Its directory, as recorded; `None` when the record is unreadable.
    pub path: Option<PathBuf>,
    /// What it has checked out.
    pub head: Head,
    /// Whether the record says where the shared directory is. An entry without stops git in the whole repository.
    pub whole: bool,
}

/// Proof that this process alone registers or removes worktrees; released on drop.
#[derive(Debug)]
#[must_use]
pub struct RegistryLock {
    _file: Flock<File>,
}

impl RegistryLock {
    /// Waits for the lock of this repository.
    pub fn acquire(repo: &Repo) -> Result<Self, PortError> {
        let dir = repo.state_dir();
        let path = dir.join("worktrees.lock");
        let open = || {
            fs::create_dir_all(&dir)?;
            File::options().create(true).truncate(false).write(true).open(&path)
        };
        let file = open().map_err(|error| io_error("cannot open", &path, error))?;
        let file = Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, errno)| io_error("cannot lock", &path, errno.into()))?;
        Ok(Self { _file: file })
    }
}

impl Entry {
    /// Reads one entry.
    fn read(repo: &Repo, dir: PathBuf) -> Self {
        let path = fs::read(dir.join("gitdir")).ok().and_then(|text| {
            let dot_git = dir.join(OsStr::from_bytes(text.trim_ascii()));
            dot_git.parent().filter(|_| !text.trim_ascii().is_empty()).map(real)
        });
        let common = fs::read(dir.join("commondir")).ok();
        let common = common.filter(|text| !text.trim_ascii().is_empty());
        let whole =
            common.is_some_and(|text| real(dir.join(OsStr::from_bytes(text.trim_ascii()))) == repo.common_dir());
        let head = read_head(repo.common_dir(), &dir);
        Self { dir, path, head, whole }
    }

    /// Name of the entry, for people and rescue refs.
    pub fn name(&self) -> String {
        self.dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Index file.
    pub fn index(&self) -> PathBuf {
        self.dir.join("index")
    }

    /// Whether the lock reason is one that we write.
    pub fn is_ours(&self) -> bool {
        fs::read(self.dir.join("locked")).is_ok_and(|reason| reason.starts_with(OURS.as_bytes()))
    }

    /// Whether it was made for checks of a merge that nobody works on.
    pub fn is_for_checks(&self) -> bool {
        fs::read(self.dir.join("locked")).is_ok_and(|reason| reason == format!("{OURS}: checks").into_bytes())
    }

    /// Whether the branch is checked out here, or reserved by a rebase or bisect that will come back to it.
    pub fn holds(&self, branch: &BranchRef) -> bool {
        if self.head == Head::Branch(branch.clone()) {
            return true;
        }
        let reserved =
            |file: &str, name: &str| fs::read_to_string(self.dir.join(file)).is_ok_and(|text| text.trim() == name);
        reserved("rebase-merge/head-name", branch.as_str())
            || reserved("rebase-apply/head-name", branch.as_str())
            || reserved("BISECT_START", branch.short())
    }

    /// Points HEAD at a commit. Only for worktrees in which nobody works.
    pub fn detach(&self, commit: &Oid) -> Result<(), PortError> {
        if tables::are_in(&self.dir) {
            let common_dir = self.dir.ancestors().nth(2).unwrap_or(&self.dir);
            return tables::set_head(common_dir, &self.dir, &NewHead::Commit(commit));
        }
        write_new_over(&self.dir.join("HEAD"), format!("{commit}\n").as_bytes())
    }

    /// Notes a move of HEAD in its reflog. A missing line loses nothing, so failing is no error.
    pub fn note_move(&self, from: Option<&Oid>, to: &Oid, at: Timestamp, why: &str) {
        if tables::are_in(&self.dir) {
            return;
        }
        let line = reflog_line(from, to, at, why);
        let _ = fs::create_dir_all(self.dir.join("logs"));
        let log = File::options().create(true).append(true).open(self.dir.join("logs/HEAD"));
        let _ = log.and_then(|mut log| log.write_all(line.as_bytes()));
    }
}

/// Every linked worktree on record, half-made ones included, sorted by name.
pub fn entries(repo: &Repo) -> Result<Vec<Entry>, PortError> {
    let dir = repo.common_dir().join("worktrees");
    let listed = match fs::read_dir(&dir) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error("cannot read", &dir, error)),
    };
    let mut entries: Vec<Entry> = listed
        .flatten()
        .map(|found| found.path())
        .filter(|path| path.is_dir())
        .map(|path| Entry::read(repo, path))
        .collect();
    entries.sort_by(|a, b| a.dir.cmp(&b.dir));
    Ok(entries)
}

/// The entry whose worktree is `path`.
pub fn entry_of(repo: &Repo, path: &Path) -> Result<Option<Entry>, PortError> {
    let wanted = real(path);
    Ok(entries(repo)?.into_iter().find(|entry| entry.path.as_ref() == Some(&wanted)))
}

/// What the main worktree has checked out.
pub fn main_head(repo: &Repo) -> Head {
    read_head(repo.common_dir(), repo.common_dir())
}

/// What the worktree with this private git directory has checked out.
pub fn head_in(repo: &Repo, git_dir: &Path) -> Head {
    read_head(repo.common_dir(), git_dir)
}

/// What is written for a new worktree.
#[derive(Clone, Debug)]
pub struct Registration<'a> {
    /// Absolute directory; its parent exists.
    pub path: &'a Path,
    /// What it has checked out.
    pub head: Head,
    /// The commit of that, for the reflog.
    pub commit: &'a Oid,
    /// Lock reason.
    pub reason: &'a str,
    /// Now.
    pub at: Timestamp,
}

/// Puts a worktree on record: first its directory with the `.git` file, then the entry, in one rename. There is no index yet;
/// an entry without one was interrupted before anybody worked in it.
pub fn register(repo: &Repo, _lock: &RegistryLock, new: &Registration<'_>) -> Result<Entry, PortError> {
    let dir = free_entry_dir(repo, new.path)?;
    let failed = |error| io_error("cannot make", new.path, error);
    match fs::create_dir(new.path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    let path = new.path.canonicalize().map_err(failed)?;
    let link = [b"gitdir: ".as_slice(), dir.as_os_str().as_bytes(), b"\n"].concat();
    fs::write(path.join(".git"), link).map_err(failed)?;
    let draft = draft_entry(repo, &path, new)?;
    fs::create_dir_all(repo.common_dir().join("worktrees")).map_err(failed)?;
    fs::rename(&draft, &dir).map_err(|error| io_error("cannot register", new.path, error))?;
    Ok(Entry { dir, path: Some(path), head: new.head.clone(), whole: true })
}

/// Removes entries that were killed before they were put on record; they are made under the lock only.
pub(super) fn remove_drafts(repo: &Repo, _lock: &RegistryLock) {
    for found in fs::read_dir(repo.state_dir()).into_iter().flatten().flatten() {
        let name = found.file_name().to_string_lossy().into_owned();
        if name.starts_with(DRAFT) && found.path().join("commondir").exists() {
            let _ = fs::remove_dir_all(found.path());
        }
    }
}

/// Whether a directory holds a worktree's `.git` file that names this repository, or an empty one: that is what a kill leaves
/// while the file is written, and no other program makes it.
pub fn claims_this_repository(repo: &Repo, path: &Path) -> bool {
    let Ok(text) = fs::read(path.join(".git")) else { return false };
    if text.is_empty() {
        return true;
    }
    let Some(named) = text.strip_prefix(b"gitdir:") else { return false };
    let named = path.join(OsStr::from_bytes(named.trim_ascii()));
    named.parent().is_some_and(|parent| real(parent) == repo.common_dir().join("worktrees"))
}

/// Whether a registered worktree can be worked in: whole on record and checked out to the end. A lost `.git` file is written
/// again; a repository in its place is not ours to touch.
pub fn is_usable(entry: &Entry, path: &Path) -> Result<bool, PortError> {
    if !entry.whole || entry.head == Head::Unreadable || !entry.index().is_file() || !path.is_dir() {
        return Ok(false);
    }
    let dot_git = path.join(".git");
    match dot_git.symlink_metadata() {
        Ok(found) if found.is_file() => {
            let text = fs::read(&dot_git).map_err(|error| io_error("cannot read", &dot_git, error))?;
            Ok(link_to(entry) == text.trim_ascii() || names(&text, path, &entry.dir))
        }
        Ok(_) => Ok(false),
        Err(_) => write_link(entry, path).map(|()| true),
    }
}

/// Writes the `.git` file of a worktree.
pub(super) fn write_link(entry: &Entry, path: &Path) -> Result<(), PortError> {
    let dot_git = path.join(".git");
    let text = [link_to(entry).as_slice(), b"\n"].concat();
    fs::write(&dot_git, text).map_err(|error| io_error("cannot write", &dot_git, error))
}

fn link_to(entry: &Entry) -> Vec<u8> {
    [b"gitdir: ".as_slice(), entry.dir.as_os_str().as_bytes()].concat()
}

/// Whether the text of a `.git` file leads to the entry, by whatever spelling.
fn names(text: &[u8], path: &Path, entry: &Path) -> bool {
    let Some(named) = text.strip_prefix(b"gitdir:") else { return false };
    real(path.join(OsStr::from_bytes(named.trim_ascii()))) == real(entry)
}

/// The path with symbolic links resolved as far as it exists.
pub fn real(path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => real_parent(parent).join(name),
        _ => path.to_owned(),
    }
}

/// An error of the file system that names the path.
pub(crate) fn io_error(what: &str, path: &Path, error: io::Error) -> PortError {
    PortError::new(format!("{what} {}", path.display())).because(error)
}

/// Replaces a file of an entry as git would: the lock beside it, then a rename.
fn write_new_over(path: &Path, content: &[u8]) -> Result<(), PortError> {
    let lock = path.with_extension("lock");
    let write = || {
        let mut file = File::options().create_new(true).write(true).open(&lock)?;
        file.write_all(content)?;
        fs::rename(&lock, path)
    };
    write().map_err(|error| io_error("cannot write", path, error))
}

fn real_parent(parent: &Path) -> PathBuf {
    parent.canonicalize().unwrap_or_else(|_| parent.to_owned())
}

fn read_head(common_dir: &Path, dir: &Path) -> Head {
    if tables::are_in(dir) {
        return match tables::head(common_dir, dir) {
            Ok(Value::Symbolic(name)) => Head::Branch(BranchRef::new(name)),
            Ok(Value::Object(commit)) => Head::Detached(commit),
            Err(_) => Head::Unreadable,
        };
    }
    let Ok(text) = fs::read_to_string(dir.join("HEAD")) else { return Head::Unreadable };
    let text = text.trim();
    if let Some(name) = text.strip_prefix("ref:") {
        return Head::Branch(BranchRef::new(name.trim()));
    }
    let digits = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits { Head::Detached(Oid::new(text)) } else { Head::Unreadable }
}

/// A directory name that no entry has: the worktree's own, numbered as git does when it is taken.
fn free_entry_dir(repo: &Repo, path: &Path) -> Result<PathBuf, PortError> {
    let base = entry_name(path);
    let worktrees = repo.common_dir().join("worktrees");
    let numbered = (1..10_000u32).map(|number| format!("{base}{number}"));
    let free = std::iter::once(base.clone()).chain(numbered).map(|name| worktrees.join(name));
    let free = free.into_iter().find(|dir| dir.symlink_metadata().is_err());
    free.ok_or_else(|| PortError::new(format!("too many worktrees are named {base}")).hint("run: git worktree prune"))
}

/// The last part of the path, with what git allows in no ref name replaced.
fn entry_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let allowed = |c: char| !(c.is_control() || c.is_whitespace() || "~^:?*[\\/{}".contains(c));
    let name: String = name.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    let name = name.replace("..", "--");
    let name = name.trim_matches('.').trim_end_matches(".lock");
    if name.is_empty() { "worktree".to_owned() } else { name.to_owned() }
}

/// Writes the entry beside the others' directory, to be renamed into it.
fn draft_entry(repo: &Repo, path: &Path, new: &Registration<'_>) -> Result<PathBuf, PortError> {
    let state = repo.state_dir();
    let draft = tempfile::Builder::new().prefix(DRAFT).tempdir_in(&state);
    let draft = draft.map_err(|error| io_error("cannot write in", &state, error))?.keep();
    let head = match &new.head {
        Head::Branch(branch) => format!("ref: {branch}\n"),
        Head::Detached(_) | Head::Unreadable => format!("{}\n", new.commit),
    };
    let reason = if new.reason.starts_with(OURS) { new.reason.to_owned() } else { format!("{OURS}: {}", new.reason) };
    let dot_git = [path.join(".git").as_os_str().as_bytes(), b"\n"].concat();
    let in_tables = tables::are_used(&repo.gix());
    let write = || {
        // Temporary directories are private; git's entries are as open as the rest of the repository.
        fs::set_permissions(&draft, fs::metadata(repo.common_dir())?.permissions())?;
        fs::create_dir(draft.join("logs"))?;
        fs::create_dir(draft.join("refs"))?;
        fs::write(draft.join("commondir"), "../..\n")?;
        fs::write(draft.join("gitdir"), dot_git)?;
        fs::write(draft.join("locked"), one_line(&reason))?;
        if in_tables {
            return tables::lay_out(&draft);
        }
        fs::write(draft.join("HEAD"), head)?;
        fs::write(draft.join("logs/HEAD"), reflog_line(None, new.commit, new.at, "worktree: made"))
    };
    write().map_err(|error| io_error("cannot write", &draft, error))?;
    if in_tables {
        let head = match &new.head {
            Head::Branch(branch) => NewHead::Branch(branch.as_str()),
            Head::Detached(_) | Head::Unreadable => NewHead::Commit(new.commit),
        };
        // The draft lies as deep below the common directory as the entry will.
        tables::set_head(repo.common_dir(), &draft, &head)?;
    }
    copy_worktree_config(repo, &draft)?;
    Ok(draft)
}

/// Hands per-worktree configuration on as `git worktree add` does: a hooks path set there must hold in new worktrees too.
fn copy_worktree_config(repo: &Repo, draft: &Path) -> Result<(), PortError> {
    let source = repo.common_dir().join("config.worktree");
    let enabled = repo.gix().config_snapshot().boolean("extensions.worktreeConfig").unwrap_or(false);
    if !enabled || !source.is_file() {
        return Ok(());
    }
    let failed = |error| git_error(format!("cannot read {}", source.display()), error);
    let mut config =
        gix::config::File::from_path_no_includes(source.clone(), gix::config::Source::Worktree).map_err(failed)?;
    for key in ["bare", "worktree", "sparseCheckout", "sparseCheckoutCone"] {
        while let Ok(mut value) = config.raw_value_mut(&format!("core.{key}")) {
            value.delete();
        }
    }
    let target = draft.join("config.worktree");
    fs::write(&target, config.to_bstring().as_slice()).map_err(|error| io_error("cannot write", &target, error))
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn reflog_line(from: Option<&Oid>, to: &Oid, at: Timestamp, why: &str) -> String {
    let zero = "0".repeat(to.as_str().len());
    let from = from.map_or(zero.as_str(), Oid::as_str);
    let seconds = at.0.div_euclid(1_000);
    format!("{from} {to} git-orchestrate <git-orchestrate@localhost> {seconds} +0000\t{}\n", one_line(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_names_keep_unicode_and_lose_what_refs_forbid() {
        assert_eq!(entry_name(Path::new("/r/.worktrees/1.1-größe")), "1.1-größe");
        assert_eq!(entry_name(Path::new("/r/my story: a?")), "my-story--a-");
        assert_eq!(entry_name(Path::new("/r/..a..b.lock")), "--a--b");
        assert_eq!(entry_name(Path::new("/")), "worktree");
    }

    #[test]
    fn a_reflog_line_is_one_line_whatever_the_reason() {
        let line = reflog_line(None, &Oid::new("a".repeat(40)), Timestamp(1_999), "two\nlines");
        assert_eq!(line.lines().count(), 1);
        assert!(line.contains(" 1 +0000\ttwo lines"), "{line}");
    }
}
