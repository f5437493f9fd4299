//! Confines what an agent may write to: by Landlock, applied by this program in a process of its own between the supervisor
//! and the agent, or by bubblewrap. Must never confine the supervisor, and must not start what it cannot confine.
//!
//! Everything may be read and run (bubblewrap hides some places); written may be what the story needs: its worktree, the
//! object store, the branches of stories and their logs, its own entry below `worktrees/`, the folder for its answer, a folder
//! for temporary files, and what the adapter names. Not confined: the network, and sockets of other programs.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError,
    Scope, path_beneath_rules,
};
use serde::{Deserialize, Serialize};

use super::spawn::{self, Launch};
use crate::domain::settings::SandboxKind;

/// Argument that makes this program confine itself and become another one.
const CONFINE: &str = "__confine";

/// What the kernel must know, 6.2: before that a file could be emptied that cannot be written to.
const NEEDED: ABI = ABI::V3;

/// What is used where the kernel knows it, 6.12: no signal leaves the sandbox.
const WANTED: ABI = ABI::V6;

/// Exit code when the program cannot be confined or run.
const FAILED: u8 = 126;

/// Devices that every program may write to.
const DEVICES: [&str; 9] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
    "/dev/shm",
];

/// A sandbox as the configuration says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// How.
    pub kind: SandboxKind,
    /// Further files and folders that may be written to; `~/` is the home folder. What does not exist is left out.
    pub write: Vec<String>,
    /// Files and folders that bubblewrap hides.
    pub hide: Vec<String>,
}

/// What the story needs.
#[derive(Clone, Debug)]
pub struct Places<'a> {
    /// The story's worktree.
    pub worktree: &'a Path,
    /// Common git directory.
    pub git_common_dir: &'a Path,
    /// Full name of the story's branch; the branches beside it may be written to as well.
    pub branch: &'a str,
    /// Folder for the agent's answer.
    pub answer: &'a Path,
    /// Folder for temporary files.
    pub tmp: &'a Path,
    /// File, not there yet, for what the confining process has to know; not the agent's to write.
    pub spec: &'a Path,
}

/// What the confining process has to know.
#[derive(Debug, Serialize, Deserialize)]
struct Spec {
    write: Vec<PathBuf>,
}

/// The launch inside a sandbox, or one sentence why there can be none; nothing is started then.
pub fn confine(launch: Launch, sandbox: &Sandbox, places: &Places<'_>) -> Result<Launch, String> {
    let name = match sandbox.kind {
        SandboxKind::None => return Ok(launch),
        SandboxKind::Landlock => "landlock",
        SandboxKind::Bwrap => "bwrap",
    };
    let confined = writable(&launch, sandbox, places).and_then(|write| match sandbox.kind {
        SandboxKind::Landlock => by_landlock(launch, write, places),
        SandboxKind::Bwrap | SandboxKind::None => by_bwrap(launch, sandbox, &write, places),
    });
    confined
        .map(|launch| with_tmp(launch, places))
        .map_err(|why| format!("sandbox = \"{name}\" is not possible: {why}"))
}

fn with_tmp(mut launch: Launch, places: &Places<'_>) -> Launch {
    for name in ["TMPDIR", "TMP", "TEMP"] {
        launch.environment.set(name, places.tmp);
    }
    launch
}

/// Everything that may be written to; all of it is there.
fn writable(launch: &Launch, sandbox: &Sandbox, places: &Places<'_>) -> Result<Vec<PathBuf>, String> {
    let common = places.git_common_dir;
    if common.join("reftable").exists() {
        return Err(
            "all refs of this repository are in one place (reftable), so none can be kept from an agent".to_owned()
        );
    }
    let (folder, _) = places.branch.rsplit_once('/').unwrap_or_default();
    if !folder.starts_with("refs/heads/") {
        return Err(format!("the branch {} is in no folder of its own", places.branch));
    }
    let entry = entry(places.worktree, common)?;
    let git = [common.join(folder), common.join("logs").join(folder)];
    for made in git.iter().map(PathBuf::as_path).chain([places.answer, places.tmp]) {
        fs::create_dir_all(made).map_err(|error| format!("cannot make {}: {error}", made.display()))?;
    }
    let home = launch.environment.value("HOME").map(PathBuf::from);
    let own = sandbox.write.iter().map(|path| expanded(path, home.as_deref()));
    let needed = [places.worktree.to_owned(), common.join("objects"), entry, places.answer.into(), places.tmp.into()];
    let all = needed.into_iter().chain(git).chain(own);
    Ok(all.filter_map(|path| path.canonicalize().ok()).collect())
}

/// The worktree's entry below `worktrees/`. Its pointer is the agent's to write, so it is believed only where the entry
/// points back.
pub(in crate::adapters) fn entry(worktree: &Path, common: &Path) -> Result<PathBuf, String> {
    let strange = || format!("{} is no worktree of this repository", worktree.display());
    let pointer = fs::read_to_string(worktree.join(".git")).map_err(|_| strange())?;
    let entry = pointer.trim_end().strip_prefix("gitdir: ").ok_or_else(strange)?;
    let entry = worktree.join(entry).canonicalize().map_err(|_| strange())?;
    let entries = common.join("worktrees").canonicalize().map_err(|_| strange())?;
    let back = fs::read_to_string(entry.join("gitdir")).map_err(|_| strange())?;
    let back = entry.join(back.trim_end()).canonicalize().map_err(|_| strange())?;
    let own = worktree.join(".git").canonicalize().map_err(|_| strange())?;
    if entry.parent() == Some(&entries) && back == own { Ok(entry) } else { Err(strange()) }
}

fn expanded(path: &str, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

fn by_landlock(mut launch: Launch, mut write: Vec<PathBuf>, places: &Places<'_>) -> Result<Launch, String> {
    prepared().map_err(|_| "it takes Landlock of Linux 6.2 or newer, and switched on".to_owned())?;
    write.extend(DEVICES.map(PathBuf::from));
    let spec = serde_json::to_vec(&Spec { write }).map_err(|error| error.to_string())?;
    let written = fs::OpenOptions::new().write(true).create_new(true).open(places.spec);
    let written = written.and_then(|mut file| file.write_all(&spec));
    written.map_err(|error| format!("cannot write {}: {error}", places.spec.display()))?;
    let program = std::mem::replace(&mut launch.program, spawn::this_program().to_owned());
    let (program, spec) = (text(&program)?, text(places.spec)?);
    launch.args.splice(0..0, [CONFINE.to_owned(), spec, "--".to_owned(), program]);
    Ok(launch)
}

fn text(path: &Path) -> Result<String, String> {
    path.to_str().map(str::to_owned).ok_or_else(|| format!("{} is not UTF-8", path.display()))
}

/// A set of rules that allows nothing yet; an error where the kernel lacks what is needed.
fn prepared() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_write(NEEDED))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_write(WANTED))?
        .scope(Scope::Signal)?
        .create()
}

/// The arguments of the confining process, when this is one.
pub fn called(argv: &[OsString]) -> Option<&[OsString]> {
    argv.get(1).is_some_and(|arg| arg == CONFINE).then(|| &argv[2..])
}

/// Confines this process by `<spec> -- <program> <arguments>` and becomes the program; answers with an exit code where it
/// cannot. The process must have one thread only: others would stay free.
pub fn become_confined(args: &[OsString], err: &mut dyn Write) -> u8 {
    let why = match args {
        [spec, dashes, program, args @ ..] if dashes == "--" => match restrict(Path::new(spec)) {
            Ok(()) => format!("cannot start {}: {}", program.display(), spawn::become_program(program, args)),
            Err(why) => why,
        },
        _ => "called without a program".to_owned(),
    };
    // Without a place to say it the exit code has to do.
    drop(writeln!(err, "git-orchestrate: sandbox: {why}"));
    FAILED
}

fn restrict(spec: &Path) -> Result<(), String> {
    let spec: Spec = fs::read(spec)
        .map_err(|error| error.to_string())
        .and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()))
        .map_err(|error| format!("cannot read {}: {error}", spec.display()))?;
    let rules = path_beneath_rules(&spec.write, AccessFs::from_write(WANTED));
    let restricted = prepared().and_then(|set| set.add_rules(rules)).and_then(RulesetCreated::restrict_self);
    restricted.map(drop).map_err(|error| format!("the kernel refuses: {error}"))
}

fn by_bwrap(mut launch: Launch, sandbox: &Sandbox, write: &[PathBuf], places: &Places<'_>) -> Result<Launch, String> {
    let bwrap = which::which("bwrap").map_err(|_| "there is no program bwrap; install bubblewrap".to_owned())?;
    let common: Vec<String> =
        ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-pid", "--die-with-parent"]
            .map(str::to_owned)
            .into();
    spawn::probe(&bwrap, common.iter().map(String::as_str).chain(["true"]))?;
    let mut args = common;
    let home = launch.environment.value("HOME").map(PathBuf::from);
    let below_tmp = |path: &Path| path.starts_with("/tmp");
    let kept = [places.worktree, places.git_common_dir, launch.program.as_path()];
    if !kept.into_iter().chain(home.as_deref()).chain(write.iter().map(PathBuf::as_path)).any(below_tmp) {
        args.extend(["--tmpfs", "/tmp"].map(str::to_owned));
    }
    for path in write {
        let path = text(path)?;
        args.extend(["--bind".to_owned(), path.clone(), path]);
    }
    for path in sandbox.hide.iter().map(|path| expanded(path, home.as_deref())) {
        // Nothing can be hidden where nothing is; a link is hidden where it leads.
        let Ok(path) = path.canonicalize() else { continue };
        let at = text(&path)?;
        if path.is_dir() {
            args.extend(["--tmpfs".to_owned(), at]);
        } else {
            args.extend(["--ro-bind".to_owned(), "/dev/null".to_owned(), at]);
        }
    }
    args.extend(["--chdir".to_owned(), text(&launch.directory)?, "--".to_owned(), text(&launch.program)?]);
    launch.args.splice(0..0, args);
    launch.program = bwrap;
    Ok(launch)
}

#[cfg(test)]
#[path = "sandbox_tests.rs"]
mod tests;
