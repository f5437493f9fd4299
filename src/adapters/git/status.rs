//! What differs in a worktree, found in process: neither its `.git` file nor its private git directory is opened as a
//! repository, submodules and nested repositories are not entered, and no flag of its index hides an edit. Must not write.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::dir::entry::{Kind, Property, Status};
use gix::dir::walk::EmissionMode;
use gix::index::entry::{Flags, Mode, Stage};
use gix::progress::Discard;
use gix::status::index_worktree::{Item as Found, Options};
use gix::status::plumbing::index_as_worktree::EntryStatus;
use gix::status::plumbing::index_as_worktree::traits::{FastEq, SubmoduleStatus};
use gix::status::plumbing::index_as_worktree_with_renames::{Entry as Seen, VisitEntry};
use gix::status::tree_index::TrackRenames;

use super::admin::Entry;
use super::repo::git_error;
use crate::engine::ports::PortError;

/// Files from which on a look is worth more than one thread.
const PARALLEL: usize = 2_000;

/// How far to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What a commit would take.
    Work,
    /// Also what is ignored, directories as one.
    Everything,
}

/// What a worktree holds beyond its HEAD.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Paths that differ between HEAD, index and files, untracked ones included.
    pub dirty: BTreeSet<String>,
    /// Paths the index has in conflict.
    pub unmerged: BTreeSet<String>,
    /// Untracked directories that are repositories of their own; their content is in no commit of ours.
    pub nested: BTreeSet<String>,
    /// Ignored files and directories.
    pub ignored: BTreeSet<String>,
    /// Empty directories.
    pub empty: BTreeSet<String>,
    /// Whether index flags would have hidden an edit from git.
    pub hidden: bool,
    /// Whether the index differs from HEAD.
    pub staged: bool,
}

impl Survey {
    /// Whether there is nothing at all but the files of HEAD, as a new checkout would write them.
    pub fn is_pristine(&self) -> bool {
        self.is_clean() && self.ignored.is_empty() && self.empty.is_empty() && !self.hidden
    }

    /// Whether HEAD and files are the same, apart from what is ignored.
    pub fn is_clean(&self) -> bool {
        self.dirty.is_empty() && self.unmerged.is_empty()
    }
}

/// Surveys a worktree against the tree of its HEAD.
pub fn survey(
    main: &gix::Repository,
    entry: &Entry,
    worktree: &Path,
    head_tree: ObjectId,
    depth: Depth,
) -> Result<Survey, PortError> {
    let failed = |error| git_error(format!("cannot look at {}", worktree.display()), error);
    let mut git = main.clone();
    git.set_workdir(worktree.to_owned()).map_err(failed)?;
    let mut survey = Survey::default();
    let mut index = read_index(&git, entry, head_tree)?;
    survey.hidden = reveal(&mut index, worktree);
    git.tree_index_status(&head_tree, &index, None, TrackRenames::Disabled, |change, _, _| {
        survey.dirty.insert(change.fields().0.to_str_lossy().into_owned());
        survey.staged = true;
        Ok(std::ops::ControlFlow::Continue(()))
    })
    .map_err(failed)?;
    let options = options(&git, depth, index.entries().len()).map_err(failed)?;
    let mut found = Collected { items: Vec::new() };
    let stop = AtomicBool::new(false);
    let every = std::iter::empty::<BString>();
    git.index_worktree_status(&index, every, &mut found, FastEq, NotEntered, &mut Discard, &stop, options)
        .map_err(failed)?;
    for item in &found.items {
        survey.take(item);
    }
    Ok(survey)
}

fn options(git: &gix::Repository, depth: Depth, entries: usize) -> Result<Options, gix::Error> {
    let everything = depth == Depth::Everything;
    let walk = git.dirwalk_options()?;
    let walk = walk
        .emit_untracked(EmissionMode::Matching)
        .emit_ignored(everything.then_some(EmissionMode::CollapseDirectory))
        .emit_empty_directories(everything)
        .empty_patterns_match_prefix(false)
        .recurse_repositories(false);
    // Threads cost more than they save on trees of usual size.
    let thread_limit = (entries < PARALLEL).then_some(1);
    Ok(Options { sorting: None, dirwalk_options: Some(walk), rewrites: None, thread_limit })
}

/// Says of every submodule that nothing is to be said: they are not opened, and no HEAD is read to find them.
#[derive(Clone)]
struct NotEntered;

impl SubmoduleStatus for NotEntered {
    type Output = gix::submodule::Status;

    fn status(&mut self, _: &gix::index::Entry, _: &BStr) -> Result<Option<Self::Output>, gix::Error> {
        Ok(None)
    }
}

/// What differs between index and files.
struct Collected {
    items: Vec<Found>,
}

impl<'index> VisitEntry<'index> for Collected {
    type ContentChange = ();
    type SubmoduleStatus = gix::submodule::Status;

    fn visit_entry(&mut self, entry: Seen<'index, Self::ContentChange, Self::SubmoduleStatus>) {
        self.items.push(entry.into());
    }
}

/// The index of a worktree; the tree of HEAD stands in for one that is missing or unreadable, so that everything on disk shows.
pub(super) fn read_index(
    git: &gix::Repository,
    entry: &Entry,
    head_tree: ObjectId,
) -> Result<gix::index::File, PortError> {
    let options = gix::index::decode::Options::default();
    if let Ok(index) = gix::index::File::at(entry.index(), git.object_hash(), false, options) {
        return Ok(index);
    }
    let mut index = git
        .index_from_tree(&head_tree)
        .map_err(|error| git_error(format!("cannot read the tree {head_tree}"), error))?;
    index.set_path(entry.index());
    Ok(index)
}

/// Clears the flags by which git does not look at a file: assume-unchanged always, skip-worktree where the file exists.
pub(super) fn reveal(index: &mut gix::index::File, worktree: &Path) -> bool {
    let mut revealed = false;
    for (entry, path) in index.entries_mut_with_paths() {
        let skipped = entry.flags.contains(Flags::SKIP_WORKTREE) && exists(worktree, path);
        if skipped || entry.flags.contains(Flags::ASSUME_VALID) {
            entry.flags.remove(Flags::SKIP_WORKTREE | Flags::ASSUME_VALID);
            // Without stat data the content is compared.
            entry.stat = gix::index::entry::Stat::default();
            revealed = true;
        }
    }
    revealed
}

/// Whether the index has entries for directories or paths that are left out on purpose.
pub(super) fn is_sparse(index: &gix::index::File) -> bool {
    index.is_sparse() || index.entries().iter().any(|entry| entry.flags.contains(Flags::SKIP_WORKTREE))
}

/// The entries of an index at stage 0, as a lookup by path.
pub(super) fn staged<'a>(index: &'a gix::index::File, path: &BStr) -> Option<(&'a gix::index::Entry, Mode)> {
    index.entry_by_path_and_stage(path, Stage::Unconflicted).map(|entry| (entry, entry.mode))
}

impl Survey {
    fn take(&mut self, item: &Found) {
        let path = item.rela_path().to_str_lossy().into_owned();
        match item {
            Found::Modification { status, .. } => match status {
                EntryStatus::Conflict { .. } => {
                    self.dirty.insert(path.clone());
                    self.unmerged.insert(path);
                }
                EntryStatus::Change(_) | EntryStatus::IntentToAdd => _ = self.dirty.insert(path),
                EntryStatus::NeedsUpdate(_) => {}
            },
            Found::DirectoryContents { entry, .. } => match entry.status {
                Status::Untracked if entry.property == Some(Property::EmptyDirectory) => _ = self.empty.insert(path),
                Status::Untracked => {
                    if entry.disk_kind == Some(Kind::Repository) {
                        self.nested.insert(path.clone());
                    }
                    self.dirty.insert(path);
                }
                Status::Ignored(_) => _ = self.ignored.insert(path),
                Status::Pruned | Status::Tracked => {}
            },
            Found::Rewrite { .. } => _ = self.dirty.insert(path),
        }
    }
}

fn exists(worktree: &Path, path: &BStr) -> bool {
    path.to_path().is_ok_and(|path| worktree.join(path).symlink_metadata().is_ok())
}
