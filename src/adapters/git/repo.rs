//! Finds and opens the repository. Must not read or write a ref, nor follow the environment to another repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use gix::open::Permissions;
use gix::open::permissions::{Config, Environment};
use gix::sec::Permission;

use crate::adapters::process::spawn;
use crate::domain::names::Oid;
use crate::engine::ports::PortError;

/// The oldest git that has everything we call.
const MINIMUM_GIT: GitVersion = GitVersion { major: 2, minor: 38 };

/// A repository. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Repo {
    inner: Arc<Inner>,
}

struct Inner {
    shared: gix::ThreadSafeRepository,
    root: PathBuf,
    common_dir: PathBuf,
    hash: gix::hash::Kind,
    bare: bool,
    linked: bool,
}

/// What a walk towards the root of the file system finds.
struct Found {
    /// Private directory: of the main repository, or `worktrees/<name>` of a linked worktree.
    git_dir: PathBuf,
    /// Directory shared by all worktrees.
    common_dir: PathBuf,
    /// Folder whose `.git` file led here; git does not record it when the git directory lies elsewhere.
    pointed_from: Option<PathBuf>,
}

/// Version of the git program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GitVersion {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
}

impl Repo {
    /// Opens the repository that `from` lies in, as its main worktree even when `from` is in a linked one. The environment
    /// (`GIT_DIR` and its like) has no say.
    pub fn discover(from: &Path) -> Result<Self, PortError> {
        let start = from
            .canonicalize()
            .map_err(|error| PortError::new(format!("cannot open {}", from.display())).because(error))?;
        let found = start.ancestors().find_map(look_at).ok_or_else(|| {
            PortError::new(format!("{} is not in a git repository", start.display()))
                .hint("run it inside a repository, or make one: git init")
        })?;
        refuse_foreign_refs(&found.common_dir)?;
        let linked = found.git_dir != found.common_dir;
        let mut opened =
            gix::open_opts(&found.common_dir, options()).map_err(|error| open_failed(&found.common_dir, error))?;
        if let Some(top) = found.pointed_from.filter(|_| !linked && opened.workdir().is_none()) {
            let failed = |error| git_error(format!("cannot use {} as work tree", top.display()), error);
            opened.set_workdir(top.clone()).map_err(failed)?;
        }
        let hash = opened.object_hash();
        let shared = opened.into_sync();
        let work_tree = shared.work_dir().map(|dir| dir.canonicalize().unwrap_or_else(|_| dir.to_owned()));
        let bare = work_tree.is_none();
        let root = work_tree.unwrap_or_else(|| found.common_dir.clone());
        Ok(Self { inner: Arc::new(Inner { shared, root, common_dir: found.common_dir, hash, bare, linked }) })
    }

    /// Top of the main worktree; of a bare repository, its directory.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// The directory shared by all worktrees, absolute.
    pub fn common_dir(&self) -> &Path {
        &self.inner.common_dir
    }

    /// Where logs, lock files and sockets lie; made on demand by whoever writes there.
    pub fn state_dir(&self) -> PathBuf {
        self.inner.common_dir.join("orchestrate")
    }

    /// A handle for this thread.
    pub fn gix(&self) -> gix::Repository {
        self.inner.shared.to_thread_local()
    }

    /// Whether there is no main work tree.
    pub fn is_bare(&self) -> bool {
        self.inner.bare
    }

    /// Whether discovery began in a linked worktree.
    pub fn invoked_from_linked_worktree(&self) -> bool {
        self.inner.linked
    }

    /// Refuses a bare repository, for commands that read or check out files.
    pub fn require_work_tree(&self) -> Result<(), PortError> {
        if !self.inner.bare {
            return Ok(());
        }
        Err(PortError::new(format!("{} is a bare repository: it has no stories to work on", self.inner.root.display()))
            .hint("run it in a clone of the repository; to have this one judge what is pushed to it: git orchestrate init --server"))
    }

    /// The hash this repository names its objects by.
    pub fn object_hash(&self) -> gix::hash::Kind {
        self.inner.hash
    }

    /// The id that git's library understands; refused when it is not one of this repository's format.
    pub fn object_id(&self, oid: &Oid) -> Result<gix::ObjectId, PortError> {
        let wrong =
            || PortError::new(format!("`{}` is not an object id of this repository", oid.as_str().escape_debug()));
        let id = gix::ObjectId::from_hex(oid.as_str().as_bytes()).map_err(|_| wrong())?;
        if id.kind() == self.object_hash() { Ok(id) } else { Err(wrong()) }
    }
}

impl std::fmt::Debug for Repo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repo").field("root", &self.inner.root).field("bare", &self.inner.bare).finish_non_exhaustive()
    }
}

/// Our spelling of an id of git's library.
pub fn oid(id: impl AsRef<gix::oid>) -> Oid {
    Oid::new(id.as_ref().to_string())
}

/// Makes an error of git's library one for a person.
pub(crate) fn git_error(what: impl Into<String>, error: gix::Error) -> PortError {
    PortError::new(what).because(error)
}

/// The git program's version, asked once per process.
pub fn git_version() -> Result<GitVersion, PortError> {
    static VERSION: OnceLock<Result<GitVersion, String>> = OnceLock::new();
    let asked = VERSION.get_or_init(|| {
        let output = spawn::command("git").arg("version").output();
        let output = output.map_err(|error| format!("git cannot be run: {error}"))?;
        if !output.status.success() {
            return Err(format!("`git version` ended with {}", output.status));
        }
        parse_version(&String::from_utf8_lossy(&output.stdout))
    });
    asked.clone().map_err(|message| {
        PortError::new(message).hint(format!("install git {MINIMUM_GIT} or newer and put it on PATH"))
    })
}

/// Refuses a missing git and one older than 2.38.
pub fn check_git_version() -> Result<GitVersion, PortError> {
    let found = git_version()?;
    if found >= MINIMUM_GIT {
        return Ok(found);
    }
    Err(PortError::new(format!("git {found} is too old: git {MINIMUM_GIT} or newer is needed"))
        .hint("upgrade git, or put a newer one first on PATH"))
}

impl std::fmt::Display for GitVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

fn parse_version(printed: &str) -> Result<GitVersion, String> {
    let parse = || {
        let mut numbers = printed.strip_prefix("git version ")?.split(|c: char| !c.is_ascii_digit());
        Some(GitVersion { major: numbers.next()?.parse().ok()?, minor: numbers.next()?.parse().ok()? })
    };
    let first = printed.lines().next().unwrap_or_default();
    parse().ok_or_else(|| format!("`git version` said `{}`, which names no version", first.escape_debug()))
}

/// User and system configuration are read; the environment moves nothing. Nobody else's repository is opened. Replace refs
/// are not followed: what is judged is what lands.
fn options() -> gix::open::Options {
    let env = Environment {
        git_prefix: Permission::Deny,
        objects: Permission::Deny,
        identity: Permission::Deny,
        http_transport: Permission::Deny,
        ssh_prefix: Permission::Deny,
        other: Permission::Deny,
        ..Environment::all()
    };
    let permissions = Permissions { env, config: Config { env: false, ..Config::all() }, ..Permissions::all() };
    // A replace ref would show another content than the one that lands.
    let overrides = ["core.useReplaceRefs=false"];
    gix::open::Options::default()
        .permissions(permissions)
        .config_overrides(overrides)
        .open_path_as_is(true)
        .bail_if_untrusted(true)
}

fn open_failed(git_dir: &Path, error: gix::Error) -> PortError {
    let failed = git_error(format!("cannot open the repository at {}", git_dir.display()), error);
    failed.hint("if it belongs to another user: git config --global --add safe.directory <its work tree>")
}

/// A repository whose work tree or git directory is `dir`.
fn look_at(dir: &Path) -> Option<Found> {
    let dot_git = dir.join(".git");
    let pointed_from = dot_git.is_file().then(|| dir.to_owned());
    let git_dir = if pointed_from.is_some() {
        let text = fs::read_to_string(&dot_git).ok()?;
        dir.join(text.strip_prefix("gitdir:")?.trim()).canonicalize().ok()?
    } else if is_git_dir(&dot_git) {
        dot_git.canonicalize().ok()?
    } else if is_git_dir(dir) {
        dir.to_owned()
    } else {
        return None;
    };
    let common_dir = match fs::read_to_string(git_dir.join("commondir")) {
        Ok(text) => git_dir.join(text.trim()).canonicalize().ok()?,
        Err(_) => git_dir.clone(),
    };
    is_git_dir(&common_dir).then_some(Found { git_dir, common_dir, pointed_from })
}

fn is_git_dir(dir: &Path) -> bool {
    let head = dir.join("HEAD").symlink_metadata().is_ok();
    head && dir.join("objects").is_dir() && dir.join("refs").exists()
}

/// Refuses what keeps its refs neither in files nor in reftables, before any ref is looked at: git's library would write
/// loose refs there that git never reads.
fn refuse_foreign_refs(common_dir: &Path) -> Result<(), PortError> {
    let path = common_dir.join("config");
    if !path.is_file() {
        return Ok(());
    }
    let config = gix::config::File::from_path_no_includes(path.clone(), gix::config::Source::Local)
        .map_err(|error| git_error(format!("cannot read {}", path.display()), error))?;
    let Some(storage) = config.string("extensions.refStorage") else { return Ok(()) };
    if storage.eq_ignore_ascii_case(b"files") || storage.eq_ignore_ascii_case(b"reftable") {
        return Ok(());
    }
    let storage = String::from_utf8_lossy(&storage).escape_debug().to_string();
    Err(PortError::new(format!(
        "this repository keeps its refs as `{storage}`; only `files` and `reftable` are supported"
    ))
    .hint("convert it: git refs migrate --ref-format=files"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_in_every_spelling_and_nonsense_is_named() {
        assert_eq!(parse_version("git version 2.47.3\n"), Ok(GitVersion { major: 2, minor: 47 }));
        assert_eq!(parse_version("git version 2.39.5 (Apple Git-154)\n"), Ok(GitVersion { major: 2, minor: 39 }));
        assert_eq!(parse_version("git version 2.55.GIT"), Ok(GitVersion { major: 2, minor: 55 }));
        assert!(parse_version("gut 1\u{1b}[2J").unwrap_err().contains("gut 1\\u{1b}[2J"));
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(GitVersion { major: 2, minor: 9 } < MINIMUM_GIT);
        assert!(GitVersion { major: 3, minor: 0 } > MINIMUM_GIT);
    }
}
