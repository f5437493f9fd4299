//! Reads story files from disk: discovery below the roots, safe opening, parsing in parallel. Must not judge their content,
//! follow a link out of the repository, wait for a pipe, or run anything.

mod briefs;
mod cache;

use std::collections::HashMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use rayon::prelude::*;

use crate::domain::diagnostic::{Diagnostic, Place, escape_line};
use crate::domain::item::WorkItem;
use crate::domain::source::{MAX_BYTES, Parsed, assemble, story};
use crate::engine::ports::PortError;

pub use briefs::briefs;

/// Folders deeper than this below a root are not entered.
const DEPTH: usize = 32;

/// All stories below the roots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Items sorted by id.
    pub items: Vec<WorkItem>,
    /// Findings of reading and parsing.
    pub diagnostics: Vec<Diagnostic>,
    /// Whether any root exists.
    pub present: bool,
}

/// What lies below the roots.
struct Found {
    /// The repository's work tree without links.
    home: PathBuf,
    /// Files that may be stories, by path relative to the repository root, sorted, each once.
    files: Vec<String>,
    /// Findings of looking.
    refused: Vec<Parsed>,
    /// Whether any root exists.
    present: bool,
}

/// Reads every story below `roots`, folders relative to the repository's work tree `root`.
pub fn load(root: &Path, roots: &[String]) -> Result<Loaded, PortError> {
    let Found { home, files, refused: mut parsed, present } = find(root, roots)?;
    let folders = real_folders(&home, &files);
    parsed.par_extend(files.par_iter().map(|path| one(&home, &folders, path).0));
    let (items, diagnostics) = assemble(parsed);
    Ok(Loaded { items, diagnostics, present })
}

fn find(root: &Path, roots: &[String]) -> Result<Found, PortError> {
    let home = root.canonicalize().map_err(|error| failed("open", root, error))?;
    let mut walk = Walk { root, home: &home, files: Vec::new(), parsed: Vec::new() };
    let mut present = false;
    for folder in roots {
        let folder = folder.trim_matches('/');
        if folder.is_empty() || folder.split('/').any(|part| part == "..") {
            let error =
                PortError::new(format!("stories root `{}` is not a folder of the repository", escape_line(folder)));
            return Err(error.hint("give a path relative to the root of the repository"));
        }
        match fs::metadata(root.join(folder)) {
            Ok(found) if found.is_dir() => {
                present = true;
                walk.folder(folder, 0);
            }
            Ok(_) => {
                let path = escape_line(folder);
                return Err(PortError::new(format!("stories root `{path}` is not a folder")));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed("open", &root.join(folder), error)),
        }
    }
    let Walk { mut files, parsed: refused, .. } = walk;
    files.sort();
    files.dedup();
    Ok(Found { home, files, refused, present })
}

/// The bytes of one story file, as `load` would see them; at most a little more than the parser accepts.
pub fn read(root: &Path, path: &str) -> Result<Vec<u8>, PortError> {
    let home = root.canonicalize().map_err(|error| failed("open", root, error))?;
    bytes(&home, path).map_err(|why| PortError::new(format!("failed to read {}: {why}", escape_line(path))))
}

fn failed(what: &str, path: &Path, error: std::io::Error) -> PortError {
    PortError::new(format!("failed to {what} {}", escape_line(&path.display().to_string()))).because(error)
}

/// Where the folders of the files really lie; those outside of the repository are left out. Asked once for a folder, because
/// resolving a path costs more than reading a story.
fn real_folders<'f>(home: &Path, files: &'f [String]) -> HashMap<&'f str, PathBuf> {
    let mut folders = HashMap::new();
    for folder in files.iter().filter_map(|path| Some(path.rsplit_once('/')?.0)) {
        if !folders.contains_key(folder) {
            let real = home.join(folder).canonicalize().ok().filter(|real| real.starts_with(home));
            folders.extend(real.map(|real| (folder, real)));
        }
    }
    folders
}

/// What one file says; with it what the file system said of the file before it was read, if it is no link.
fn one(home: &Path, folders: &HashMap<&str, PathBuf>, path: &str) -> (Parsed, Option<Metadata>) {
    if !story::is_candidate(path) {
        return (story::parse(path, b""), None);
    }
    if let Some((bytes, about)) = real_place(folders, path).and_then(|real| plain_bytes(&real)) {
        return (story::parse(path, &bytes), Some(about));
    }
    match bytes(home, path) {
        Ok(bytes) => (story::parse(path, &bytes), None),
        Err(why) => (refused(path, why), None),
    }
}

/// Where a file lies when its folder is resolved; `None` when that is outside of the repository.
fn real_place(folders: &HashMap<&str, PathBuf>, path: &str) -> Option<PathBuf> {
    let (folder, name) = path.rsplit_once('/')?;
    Some(folders.get(folder)?.join(name))
}

fn refused(path: &str, why: String) -> Parsed {
    let finding = Diagnostic::error("unreadable", why).at(Place::file(path));
    Parsed { diagnostics: vec![finding], ..Parsed::default() }
}

/// Opens without waiting, then looks at what was opened: a name may change between the two.
fn bytes(home: &Path, path: &str) -> Result<Vec<u8>, String> {
    let full = home.join(path);
    let real = full.canonicalize().map_err(|error| reason(&error))?;
    if !real.starts_with(home) {
        return Err("symlink leaves the repository".to_owned());
    }
    let nonblocking = OFlag::O_NONBLOCK.bits();
    let file: File =
        OpenOptions::new().read(true).custom_flags(nonblocking).open(&real).map_err(|error| reason(&error))?;
    let about = file.metadata().map_err(|error| reason(&error))?;
    if !about.is_file() {
        return Err("not a regular file".to_owned());
    }
    content(file, about.len()).map_err(|error| reason(&error))
}

/// The bytes of a file that is no link; `None` leaves it to [`bytes`] to say what is wrong.
fn plain_bytes(real: &Path) -> Option<(Vec<u8>, Metadata)> {
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(real).ok()?;
    let about = file.metadata().ok().filter(Metadata::is_file)?;
    Some((content(file, about.len()).ok()?, about))
}

/// At most a little more than the parser accepts; `length` is what to expect.
fn content(file: File, length: u64) -> std::io::Result<Vec<u8>> {
    let most = MAX_BYTES + 1;
    let expected = usize::try_from(length).unwrap_or(most).min(most);
    // One more, so that the end is met without growing.
    let mut bytes = Vec::with_capacity(expected + 1);
    file.take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::NotFound => "the file is gone, or a symlink points nowhere".to_owned(),
        _ => error.to_string(),
    }
}

struct Walk<'r> {
    root: &'r Path,
    home: &'r Path,
    files: Vec<String>,
    parsed: Vec<Parsed>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &str, depth: usize) {
        let entries = match fs::read_dir(self.root.join(folder)) {
            Ok(entries) => entries,
            Err(error) => {
                self.parsed.push(refused(folder, reason(&error)));
                return;
            }
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                let path = format!("{folder}/{}", name.to_string_lossy());
                if Path::new(&path).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("md")) {
                    self.parsed.push(story::strange(&path, "its name is not UTF-8"));
                }
                continue;
            };
            let path = format!("{folder}/{name}");
            let Ok(kind) = entry.file_type() else { continue };
            let story = Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("md"));
            if kind.is_dir() && !story {
                self.enter(name, &path, depth);
            } else if story {
                self.files.push(path);
            } else if kind.is_symlink() && self.leads_inside(&path) {
                self.enter(name, &path, depth);
            }
        }
    }

    /// Hidden folders hold no stories, but copies of them (worktrees) and other tools' data.
    fn enter(&mut self, name: &str, path: &str, depth: usize) {
        if !name.starts_with('.') && depth < DEPTH {
            self.folder(path, depth + 1);
        }
    }

    /// Whether a linked folder lies in the repository, outside of the folder that links to it.
    fn leads_inside(&self, path: &str) -> bool {
        let full = self.root.join(path);
        let Ok(real) = full.canonicalize() else { return false };
        let own = full.parent().and_then(|parent| parent.canonicalize().ok());
        real.is_dir() && real.starts_with(self.home) && own.is_some_and(|own| !own.starts_with(&real))
    }
}
