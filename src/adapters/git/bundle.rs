//! Git bundles: files that hold refs and everything they lead to. Written so that they are whole or not there. Must not know
//! what the refs mean.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use super::refs::{self, sync};
use super::repo::Repo;
use super::{admin, cli};
use crate::domain::names::Oid;
use crate::engine::ports::PortError;

/// Longest line of a bundle's head that is read.
const LINE: u64 = 8_192;

/// What the head of a bundle says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Refs by full name.
    pub refs: BTreeMap<String, Oid>,
    /// Commits that must be there already for it to be of use.
    pub needs: Vec<Oid>,
}

/// Writes a bundle of these refs and all they lead to. The file appears whole and synced; one that is there is an error.
pub fn create(repo: &Repo, file: &Path, names: &[String]) -> Result<(), PortError> {
    let failed = |error: std::io::Error| admin::io_error("cannot write", file, error);
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().map_err(failed)?;
    if file.symlink_metadata().is_ok() {
        return Err(PortError::new(format!("{} exists already", file.display())).hint("choose another name"));
    }
    // The name tells whose it is, should a kill leave it.
    let draft = tempfile::Builder::new().prefix(".git-orchestrate-").suffix(".bundle").tempfile_in(&folder);
    let draft = draft.map_err(failed)?.into_temp_path();
    write(repo, &draft, names)?;
    File::open(&draft).and_then(|written| written.sync_all()).map_err(failed)?;
    draft.persist_noclobber(file).map_err(|error| failed(error.error))?;
    sync(&folder)
}

fn write(repo: &Repo, file: &Path, names: &[String]) -> Result<(), PortError> {
    let mut command = cli::git(repo);
    command.args(["bundle", "create", "--quiet"]).arg(file).arg("--stdin");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let failed = |error| PortError::new("git bundle cannot be run").because(error);
    let mut child = command.spawn().map_err(failed)?;
    let list = names.iter().fold(String::new(), |list, name| list + name + "\n");
    // It reads the whole list before it writes; when it ends early its exit code tells.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(list.as_bytes()));
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() { Ok(()) } else { Err(cli::failed(&command, &output)) }
}

/// Reads the head of a bundle.
pub fn head(file: &Path) -> Result<Head, PortError> {
    let wrong = |why: &str| {
        PortError::new(format!("{} is no git bundle: {why}", file.display()))
            .hint("name a file that `git orchestrate backup` or `git bundle create` wrote")
    };
    let open = File::open(file).map_err(|error| admin::io_error("cannot read", file, error))?;
    if !open.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(wrong("it is no file"));
    }
    let mut reader = BufReader::new(open);
    let first = line(&mut reader).ok_or_else(|| wrong("it does not begin like one"))?;
    if !["# v2 git bundle", "# v3 git bundle"].contains(&first.as_str()) {
        return Err(wrong("it does not begin like one"));
    }
    let mut head = Head::default();
    loop {
        let line = line(&mut reader).ok_or_else(|| wrong("its list of refs is cut short"))?;
        if line.is_empty() {
            return Ok(head);
        }
        if line.starts_with('@') {
            continue;
        }
        if let Some(needed) = line.strip_prefix('-') {
            let commit = needed.split(' ').next().unwrap_or_default();
            head.needs.push(Oid::new(commit));
            continue;
        }
        let (commit, name) = line.split_once(' ').ok_or_else(|| wrong("a line of its list is no ref"))?;
        let hex = commit.bytes().all(|byte| byte.is_ascii_hexdigit()) && matches!(commit.len(), 40 | 64);
        if !hex || name != "HEAD" && !refs::is_valid_name(name) {
            return Err(wrong("a line of its list is no ref"));
        }
        head.refs.insert(name.to_owned(), Oid::new(commit));
    }
}

fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut bytes = Vec::new();
    let mut limited = std::io::Read::take(reader, LINE);
    limited.read_until(b'\n', &mut bytes).ok()?;
    let line = bytes.strip_suffix(b"\n")?;
    String::from_utf8(line.to_vec()).ok()
}

/// Puts the objects of a bundle into the repository, durably. No ref moves.
pub fn unpack(repo: &Repo, file: &Path) -> Result<(), PortError> {
    let file = std::path::absolute(file).map_err(|error| admin::io_error("cannot read", file, error))?;
    let mut command = cli::git(repo);
    command.args(["-c", "core.fsync=all", "bundle", "unbundle"]).arg(&file);
    let explained = |error: PortError| error.hint("the file is damaged or was cut short; use another backup");
    cli::run(&mut command).map_err(explained)?;
    sync(&repo.common_dir().join("objects/pack"))
}

/// A bare repository of its own that sees the objects of `repo`: what is unpacked in it never was in `repo`. Goes away with
/// the folder.
pub fn quarantine(repo: &Repo) -> Result<(tempfile::TempDir, Repo), PortError> {
    let folder = tempfile::Builder::new().prefix("git-orchestrate-").tempdir();
    let folder = folder.map_err(|error| PortError::new("cannot make a temporary folder").because(error))?;
    let git_dir = folder.path().join("looked-at.git");
    let failed = |error| admin::io_error("cannot make", &git_dir, error);
    for part in ["objects/info", "objects/pack", "refs"] {
        fs::create_dir_all(git_dir.join(part)).map_err(failed)?;
    }
    let (version, extensions) = match repo.object_hash() {
        gix::hash::Kind::Sha1 => (0, ""),
        _ => (1, "[extensions]\n\tobjectFormat = sha256\n"),
    };
    let config = format!("[core]\n\trepositoryFormatVersion = {version}\n\tbare = true\n{extensions}");
    let objects = format!("{}\n", repo.common_dir().join("objects").display());
    let files = [("HEAD", "ref: refs/heads/none\n"), ("config", &config), ("objects/info/alternates", &objects)];
    for (name, text) in files {
        fs::write(git_dir.join(name), text).map_err(failed)?;
    }
    let opened = Repo::discover(&git_dir)?;
    Ok((folder, opened))
}

#[cfg(test)]
#[path = "bundle_tests.rs"]
mod tests;
