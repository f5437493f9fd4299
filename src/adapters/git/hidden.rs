//! Files that only an agent's own ignore rules hide: a `.gitignore` of `*` beside new sources takes them out of every commit.
//! What the rules of the base ignore too (build results, local settings) is left out. Must not follow links, nor write.

use std::fs;
use std::path::{Path, PathBuf};

use gix::ObjectId;
use gix::index::entry::Mode;
use gix::worktree::stack::state::ignore::Source;

use super::repo::git_error;
use super::status::Survey;
use crate::engine::ports::PortError;

/// Most files below one ignored path: more are no sources somebody hid, but what a package manager fetched.
const FILES: usize = 1_000;

/// Most bytes below one ignored path.
const BYTES: u64 = 16 << 20;

/// What is hidden below one ignored path.
#[derive(Default)]
struct Found {
    files: Vec<String>,
    bytes: u64,
}

/// Paths of ignored files that the rules in `base`, a tree, do not ignore. A path with too much below it is left out whole;
/// it stays in the trash with the worktree.
pub(super) fn files(
    git: &gix::Repository,
    base: ObjectId,
    worktree: &Path,
    survey: &Survey,
) -> Result<Vec<String>, PortError> {
    if survey.ignored.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |error| git_error("cannot read what git ignores", error);
    let index = git.index_from_tree(&base).map_err(failed)?;
    let excludes = git.excludes(&index, None, Source::IdMapping).map_err(failed)?;
    let mut walk = Walk { worktree, excludes };
    let mut hidden = Vec::new();
    for path in &survey.ignored {
        let path = Path::new(path.trim_end_matches('/'));
        let mut found = Found::default();
        if walk.look(path, &mut found) {
            hidden.append(&mut found.files);
        }
    }
    Ok(hidden)
}

struct Walk<'a> {
    worktree: &'a Path,
    excludes: gix::AttributeStack<'a>,
}

impl Walk<'_> {
    /// Takes what is hidden at `path` and below; `false` when it is too much.
    fn look(&mut self, path: &Path, found: &mut Found) -> bool {
        let mut open: Vec<PathBuf> = vec![path.to_owned()];
        while let Some(path) = open.pop() {
            let there = self.worktree.join(&path);
            let Ok(about) = there.symlink_metadata() else { continue };
            let mode = if about.is_dir() { Mode::DIR } else { Mode::FILE };
            if self.is_ignored(&path, mode) {
                continue;
            }
            if about.is_dir() {
                // A repository inside stays in the trash: its objects are its own.
                if there.join(".git").symlink_metadata().is_err() {
                    open.extend(
                        fs::read_dir(&there).into_iter().flatten().flatten().map(|file| path.join(file.file_name())),
                    );
                }
                continue;
            }
            let plain = about.is_file() && fs::File::open(&there).is_ok() || about.is_symlink();
            if let Some(name) = path.to_str().filter(|_| plain) {
                found.files.push(name.to_owned());
                found.bytes = found.bytes.saturating_add(about.len());
            }
            if found.files.len() > FILES || found.bytes > BYTES {
                return false;
            }
        }
        true
    }

    fn is_ignored(&mut self, path: &Path, mode: Mode) -> bool {
        // In doubt it is somebody's work.
        self.excludes.at_path(path, Some(mode)).is_ok_and(|platform| platform.is_excluded())
    }
}
