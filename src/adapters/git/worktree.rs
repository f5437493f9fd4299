//! Worktrees of attempts and checks: made in process under one lock, adopted, committed, retired without losing anything.
//! Must not merge, nor move any branch but the story's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use gix::ObjectId;

use super::admin::{self, Entry, Head, Registration, RegistryLock, io_error};
use super::commit::{self, Draft, Staging};
use super::pool::{self, Pooled};
use super::pruned::Pruned;
use super::refs::{self, Expected, RefError, RefUpdate, RefWriter};
use super::repo::{Repo, oid};
use super::retire::{self, Retirement};
use super::status::{self, Depth, Survey};
use super::{checkout, cli, include, landing, rescue, stale, strays, trash};
use crate::domain::names::{BranchRef, Oid};
use crate::engine::ports::{PortError, Prepared, Retired, WorktreeSpec, WorktreeState, Worktrees};

/// Most paths listed by [`Worktrees::inspect`].
const LISTED: usize = 100;

/// The repository's worktrees. Cheap to clone.
#[derive(Clone)]
pub struct GitWorktrees {
    repo: Repo,
    writer: Arc<Mutex<RefWriter>>,
    _kept: Arc<Kept>,
}

/// Worktrees are kept for reuse as long as somebody may ask for one.
struct Kept(Repo);

impl Drop for Kept {
    fn drop(&mut self) {
        // What cannot be deleted now is by the next run.
        let _ = pool::drain(&self.0);
    }
}

impl GitWorktrees {
    /// Worktrees of `repo`; refs are moved by `writer`.
    pub fn new(repo: &Repo, writer: Arc<Mutex<RefWriter>>) -> Self {
        Self { repo: repo.clone(), writer, _kept: Arc::new(Kept(repo.clone())) }
    }

    /// Takes away what a killed run left of its own: worktrees of checks, records whose directory is gone, drafts. Nothing
    /// of a story's. Returns a line for each; must not be called while a run is alive.
    pub fn sweep_up(&self) -> Result<Vec<String>, PortError> {
        let lock = RegistryLock::acquire(&self.repo)?;
        let mut done = Vec::new();
        for entry in admin::entries(&self.repo)?.into_iter().filter(Entry::is_ours) {
            let Some(path) = entry.path.clone() else { continue };
            let gone = path.symlink_metadata().is_err();
            if gone || entry.is_for_checks() {
                if entry.is_for_checks() {
                    retire::put_away(&self.repo, &lock, &entry, &path)?;
                } else {
                    retire::set_aside(&self.repo, &self.writer, &lock, &entry, &path)?;
                }
                let what = if gone { "the record of a worktree that is gone" } else { "a worktree for checks" };
                done.push(format!("removed {what}: {}", path.display()));
            }
        }
        admin::remove_drafts(&self.repo, &lock);
        Ok(done)
    }

    fn prepare_now(&self, spec: &WorktreeSpec) -> Result<Prepared, PortError> {
        let start = self.repo.object_id(&spec.start)?;
        commit::tree_of(&self.repo.gix(), start)?;
        if !spec.branch.as_str().starts_with("refs/heads/") || !refs::is_valid_name(spec.branch.as_str()) {
            return Err(PortError::new(format!("`{}` is no branch name", spec.branch.as_str().escape_debug())));
        }
        make_parent(&spec.path)?;
        let lock = RegistryLock::acquire(&self.repo)?;
        let adopted = self.adoptable(&lock, spec)?;
        if let Some(entry) = &adopted {
            // Where the branch is not what the worktree had: what only its reflog knows must not wait for the end.
            self.keep_what_moved(entry, spec)?;
        }
        let head = self.branch_at(&spec.branch, &spec.start)?;
        if adopted.is_none() {
            // An empty directory may be there; a kept worktree takes its place.
            let _ = fs::remove_dir(&spec.path);
            let pooled = pool::take(&self.repo, &lock, &spec.path);
            let entry = self.register(&lock, spec, &head)?;
            drop(lock);
            self.fill(&entry, &spec.path, &head, pooled)?;
        }
        let skip: Vec<PathBuf> =
            spec.path.parent().map(admin::real).into_iter().filter(|dir| dir != self.repo.root()).collect();
        let copied = if self.repo.is_bare() {
            Vec::new()
        } else {
            include::copy_included(&self.repo.gix(), self.repo.root(), &spec.path, &skip)?
        };
        Ok(Prepared { head, adopted: adopted.is_some(), copied, uv: is_uv_project(&spec.path) })
    }

    /// The worktree an earlier attempt left, fit to go on in. What is half made, or stands where it should be, is set aside.
    fn adoptable(&self, lock: &RegistryLock, spec: &WorktreeSpec) -> Result<Option<Entry>, PortError> {
        let wanted = admin::real(&spec.path);
        let mut mine = None;
        for entry in admin::entries(&self.repo)? {
            if entry.path.as_ref() == Some(&wanted) {
                mine = Some(entry);
            } else if entry.path.is_none()
                && Some(entry.name().as_str()) == wanted.file_name().and_then(|name| name.to_str())
            {
                // git died while making it; until it is gone, git's own worktree commands fail.
                trash::put(&self.repo, &entry.dir)?;
            } else if entry.holds(&spec.branch) {
                self.release(&entry, &spec.branch)?;
            }
        }
        if !self.repo.is_bare() && admin::main_head(&self.repo) == Head::Branch(spec.branch.clone()) {
            return Err(checked_out_elsewhere(&spec.branch, self.repo.root()));
        }
        let there = spec.path.symlink_metadata().is_ok();
        let Some(entry) = mine else {
            if there {
                self.clear_the_place(&spec.path)?;
            }
            stale::clear_branch(&self.repo, &spec.branch);
            return Ok(None);
        };
        if there && admin::is_usable(&entry, &spec.path)? {
            stale::clear(&self.repo, &entry, &spec.path, Some(&spec.branch));
            let start = self.repo.object_id(&spec.start)?;
            Pruned { repo: &self.repo, writer: &self.writer, entry: &entry, branch: &spec.branch, start }.repair()?;
            return Ok(Some(entry));
        }
        retire::set_aside(&self.repo, &self.writer, lock, &entry, &spec.path)?;
        stale::clear_branch(&self.repo, &spec.branch);
        Ok(None)
    }

    /// A branch that another worktree has: ours whose directory is gone give it up, everything else keeps it.
    fn release(&self, entry: &Entry, branch: &BranchRef) -> Result<(), PortError> {
        let gone = entry.path.as_ref().is_none_or(|path| path.symlink_metadata().is_err());
        if gone && entry.is_ours() {
            return trash::put(&self.repo, &entry.dir).map(drop);
        }
        Err(checked_out_elsewhere(branch, entry.path.as_deref().unwrap_or(&entry.dir)))
    }

    /// Something unregistered at the place of a new worktree.
    fn clear_the_place(&self, path: &Path) -> Result<(), PortError> {
        let empty = fs::read_dir(path).is_ok_and(|mut listed| listed.next().is_none());
        if empty {
            return Ok(());
        }
        if admin::claims_this_repository(&self.repo, path) {
            return trash::put(&self.repo, path).map(drop);
        }
        Err(PortError::new(format!("{} is in the way: it is no worktree of this repository", path.display()))
            .hint("move it somewhere else and try again"))
    }

    /// Tip of the branch, which is made at `start` when it does not exist.
    fn branch_at(&self, branch: &BranchRef, start: &Oid) -> Result<Oid, PortError> {
        let tip = refs::tip(&self.repo, branch.as_str())?;
        let git = self.repo.gix();
        let expected = match tip {
            Some(tip) if git.find_commit(self.repo.object_id(&tip)?).is_ok() => return Ok(tip),
            // Pruned by somebody's gc, and no worktree has its files any more: there is nothing in it to keep.
            Some(tip) => Expected::Value(tip),
            None => Expected::Absent,
        };
        let update = RefUpdate { name: branch.as_str().to_owned(), expected, new: Some(start.clone()) };
        locked(&self.writer).transaction(&[update])?;
        Ok(start.clone())
    }

    fn register(&self, lock: &RegistryLock, spec: &WorktreeSpec, head: &Oid) -> Result<Entry, PortError> {
        let new = Registration {
            path: &spec.path,
            head: Head::Branch(spec.branch.clone()),
            commit: head,
            reason: &spec.reason,
            at: trash::now(),
        };
        admin::register(&self.repo, lock, &new)
    }

    fn fill(&self, entry: &Entry, path: &Path, head: &Oid, pooled: Option<Pooled>) -> Result<(), PortError> {
        let git = self.repo.gix();
        let tree = commit::tree_of(&git, self.repo.object_id(head)?)?;
        if let Some(pooled) = pooled {
            if pooled.settle(&git, entry, path, tree)? {
                return Ok(());
            }
            trash::put(&self.repo, path)?;
            fs::create_dir(path).map_err(|error| io_error("cannot make", path, error))?;
            admin::write_link(entry, path)?;
        }
        checkout::populate(&git, tree, path, &entry.index())
    }

    /// Names the commits of a worktree whose branch was deleted or moved by somebody else; returns the ref.
    fn keep_what_moved(&self, entry: &Entry, spec: &WorktreeSpec) -> Result<Option<String>, PortError> {
        let git = self.repo.gix();
        let tip = rescue::commit_of(&self.repo, entry)?.map(|tip| self.repo.object_id(&tip)).transpose()?;
        let Some(last) = strays::last_logged(&git, entry).filter(|last| tip != Some(*last)) else { return Ok(None) };
        if let Some(tip) = tip.filter(|tip| git.find_commit(*tip).is_ok())
            && commit::contains(&git, tip, last)?
        {
            return Ok(None);
        }
        retire::keep_commits(&self.repo, &self.writer, entry, &spec.path, Some(&spec.branch))
    }

    fn inspect_now(&self, spec: &WorktreeSpec) -> Result<WorktreeState, PortError> {
        let entry = self.require(&spec.path)?;
        let git = self.repo.gix();
        let moved = self.keep_what_moved(&entry, spec)?;
        let head = self.head_of(&entry, moved.as_deref())?;
        let tree = commit::tree_of(&git, head)?;
        let survey = status::survey(&git, &entry, &spec.path, tree, Depth::Work)?;
        Ok(WorktreeState {
            head: oid(head),
            tree: oid(tree),
            on_branch: entry.head == Head::Branch(spec.branch.clone()),
            dirty: survey.dirty.into_iter().take(LISTED).collect(),
        })
    }

    fn commit_now(&self, spec: &WorktreeSpec, message: &str, author: &str) -> Result<Option<Oid>, PortError> {
        let entry = self.require(&spec.path)?;
        if entry.head != Head::Branch(spec.branch.clone()) {
            return Err(PortError::new(format!("{} is not on {}", spec.path.display(), spec.branch.short()))
                .hint(format!("look at it: git -C {} status", spec.path.display())));
        }
        stale::clear(&self.repo, &entry, &spec.path, Some(&spec.branch));
        let git = self.repo.gix();
        let head = self.commit_of(&entry)?;
        let tree = commit::tree_of(&git, head)?;
        let survey = status::survey(&git, &entry, &spec.path, tree, Depth::Work)?;
        let merging = commit::merge_heads(&git, &entry);
        if survey.is_clean() && merging.is_empty() {
            return Ok(None);
        }
        refuse_markers(&spec.path, &survey)?;
        if survey.hidden {
            show_hidden(&git, &entry, &spec.path, tree)?;
        }
        let before = (survey.staged && survey.unmerged.is_empty())
            .then(|| commit::write_tree(&self.repo, &spec.path, None))
            .transpose()?;
        let staged = commit::stage(&self.repo, &spec.path, &Staging::of(&survey), None)?;
        if let Some(before) = before
            && !commit::staged_only(&git, before, tree, staged)?.is_empty()
        {
            retire::keep_index(&self.repo, &self.writer, &entry.name(), before, head)?;
        }
        if staged == tree && merging.is_empty() {
            return Ok(None);
        }
        let parents: Vec<ObjectId> = std::iter::once(head).chain(merging).collect();
        let draft = Draft { tree: staged, parents: &parents, author, message, at: trash::now() };
        let made = oid(commit::write_commit(&git, &draft)?);
        self.advance(&entry, &spec.branch, &oid(head), &made)?;
        commit::forget_merge(&entry);
        Ok(Some(made))
    }

    fn advance(&self, entry: &Entry, branch: &BranchRef, from: &Oid, to: &Oid) -> Result<(), PortError> {
        let name = branch.as_str().to_owned();
        let update = RefUpdate { name, expected: Expected::Value(from.clone()), new: Some(to.clone()) };
        let moved = locked(&self.writer).transaction(&[update]);
        if let Err(RefError::Conflict { .. }) = moved {
            let kept = retire::keep(&self.repo, &self.writer, &entry.name(), to)?;
            let message =
                format!("{} was moved by somebody else meanwhile; the work is kept in {kept}", branch.short());
            return Err(PortError::new(message).hint(format!("compare them: git log {} {kept}", branch.short())));
        }
        moved?;
        entry.note_move(Some(from), to, trash::now(), "commit: by git-orchestrate");
        Ok(())
    }

    fn check_out_now(&self, commit: &Oid, path: &Path) -> Result<(), PortError> {
        let id = self.repo.object_id(commit)?;
        let git = self.repo.gix();
        let tree = commit::tree_of(&git, id)?;
        make_parent(path)?;
        let lock = RegistryLock::acquire(&self.repo)?;
        if let Some(entry) = admin::entry_of(&self.repo, path)? {
            if admin::is_usable(&entry, path)? {
                drop(lock);
                stale::clear(&self.repo, &entry, path, None);
                return self.move_to(&git, &entry, path, commit, tree);
            }
            retire::set_aside(&self.repo, &self.writer, &lock, &entry, path)?;
        } else if path.symlink_metadata().is_ok() {
            self.clear_the_place(path)?;
        }
        let head = Head::Detached(commit.clone());
        let new = Registration { path, head, commit, reason: "checks", at: trash::now() };
        let entry = admin::register(&self.repo, &lock, &new)?;
        drop(lock);
        checkout::populate(&git, tree, path, &entry.index())
    }

    /// Brings a worktree for checks to another commit. What earlier checks changed or left goes into the trash; what is
    /// ignored (build results) stays.
    fn move_to(
        &self,
        git: &gix::Repository,
        entry: &Entry,
        path: &Path,
        commit: &Oid,
        tree: ObjectId,
    ) -> Result<(), PortError> {
        let before = self.commit_of(entry)?;
        let old = commit::tree_of(git, before)?;
        let survey = status::survey(git, entry, path, old, Depth::Work)?;
        if !survey.is_clean() {
            self.sweep(entry, path, &survey)?;
        }
        if old != tree || !survey.is_clean() {
            let mut read = cli::git_in(&self.repo, path)?;
            read.args(["read-tree", "--reset", "-u", commit.as_str()]);
            cli::run(&mut read)?;
        }
        if oid(before) != *commit || !matches!(entry.head, Head::Detached(_)) {
            entry.detach(commit)?;
            entry.note_move(Some(&oid(before)), commit, trash::now(), "checkout: for checks");
        }
        Ok(())
    }

    fn sweep(&self, entry: &Entry, path: &Path, survey: &Survey) -> Result<(), PortError> {
        let aside = trash::new_directory(&self.repo, &entry.name())?;
        for dirty in &survey.dirty {
            let (from, to) = (path.join(dirty), aside.join(dirty));
            if from.symlink_metadata().is_err() {
                continue;
            }
            let moved = to.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::rename(&from, &to));
            moved.map_err(|error| io_error("cannot set aside", &from, error))?;
        }
        Ok(())
    }

    fn require(&self, path: &Path) -> Result<Entry, PortError> {
        let entry = admin::entry_of(&self.repo, path)?.filter(|_| path.is_dir());
        entry.ok_or_else(|| {
            PortError::new(format!("the worktree {} is gone", path.display())).hint("see: git worktree list")
        })
    }

    fn commit_of(&self, entry: &Entry) -> Result<ObjectId, PortError> {
        self.head_of(entry, None)
    }

    /// The commit HEAD names; `kept` is the ref with the commits of a branch that is gone.
    fn head_of(&self, entry: &Entry, kept: Option<&str>) -> Result<ObjectId, PortError> {
        if let Some(head) = rescue::commit_of(&self.repo, entry)? {
            return self.repo.object_id(&head);
        }
        let what = match &entry.head {
            Head::Branch(branch) => format!("branch {} of the worktree {} is gone", branch.short(), entry.name()),
            Head::Detached(_) | Head::Unreadable => format!("HEAD of the worktree {} names no commit", entry.name()),
        };
        Err(match kept.and_then(|kept| kept.strip_prefix(rescue::RESCUE)) {
            Some(name) => PortError::new(format!("{what}; its commits are kept in {}{name}", rescue::RESCUE))
                .hint(format!("look at them: git orchestrate rescue show {name}")),
            None => PortError::new(what),
        })
    }

    /// Runs blocking work where it may block.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, PortError> + Send + 'static,
    ) -> Result<T, PortError> {
        let this = self.clone();
        apart(move || work(&this)).await
    }
}

#[async_trait(?Send)]
impl Worktrees for GitWorktrees {
    async fn prepare(&self, spec: &WorktreeSpec) -> Result<Prepared, PortError> {
        let spec = spec.clone();
        self.apart(move |this| this.prepare_now(&spec)).await
    }

    async fn inspect(&self, spec: &WorktreeSpec) -> Result<WorktreeState, PortError> {
        let spec = spec.clone();
        self.apart(move |this| this.inspect_now(&spec)).await
    }

    async fn commit_all(&self, spec: &WorktreeSpec, message: &str, author: &str) -> Result<Option<Oid>, PortError> {
        let (spec, message, author) = (spec.clone(), message.to_owned(), author.to_owned());
        self.apart(move |this| this.commit_now(&spec, &message, &author)).await
    }

    async fn settle(&self, spec: &WorktreeSpec) -> Result<(), PortError> {
        let spec = spec.clone();
        self.apart(move |this| {
            let Some(tip) = refs::tip(&this.repo, spec.branch.as_str())? else { return Ok(()) };
            let (base, tip) = (this.repo.object_id(&spec.start)?, this.repo.object_id(&tip)?);
            landing::sync_line(&this.repo, &this.repo.gix(), base, tip)?;
            locked(&this.writer).settle_ref(spec.branch.as_str())
        })
        .await
    }

    async fn check_out(&self, commit: &Oid, path: &Path) -> Result<(), PortError> {
        let (commit, path) = (commit.clone(), path.to_owned());
        self.apart(move |this| this.check_out_now(&commit, &path)).await
    }

    async fn discard(&self, path: &Path) -> Result<(), PortError> {
        let path = path.to_owned();
        self.apart(move |this| retire::discard(&this.repo, &path)).await
    }

    async fn retire(&self, spec: &WorktreeSpec, merged_into: Option<&Oid>) -> Result<Retired, PortError> {
        let (spec, merged_into) = (spec.clone(), merged_into.cloned());
        self.apart(move |this| {
            Retirement { repo: &this.repo, writer: &this.writer, spec: &spec, merged_into: merged_into.as_ref() }.run()
        })
        .await
    }

    async fn keep(&self, name: &str, commit: &Oid) -> Result<String, PortError> {
        let (name, commit) = (name.to_owned(), commit.clone());
        self.apart(move |this| retire::keep(&this.repo, &this.writer, &name, &commit)).await
    }
}

/// Runs blocking work on a thread of its own.
pub(crate) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PortError> + Send + 'static,
) -> Result<T, PortError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(PortError::new("work on the repository was cut short").because(error)))
}

/// The writer, also after a panic elsewhere: its child is asked anew then.
pub(super) fn locked(writer: &Mutex<RefWriter>) -> std::sync::MutexGuard<'_, RefWriter> {
    writer.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn make_parent(path: &Path) -> Result<(), PortError> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(|error| io_error("cannot make", parent, error))
}

fn checked_out_elsewhere(branch: &BranchRef, place: &Path) -> PortError {
    PortError::new(format!("{} is checked out at {}", branch.short(), place.display()))
        .hint(format!("switch that checkout to another branch: git -C {} switch --detach", place.display()))
}

fn is_uv_project(worktree: &Path) -> bool {
    let there = |name: &str| worktree.join(name).is_file();
    there("pyproject.toml") && there("uv.lock") && which::which("uv").is_ok()
}

/// Takes flags that hide edits out of the worktree's index.
fn show_hidden(git: &gix::Repository, entry: &Entry, worktree: &Path, tree: ObjectId) -> Result<(), PortError> {
    let mut index = status::read_index(git, entry, tree)?;
    status::reveal(&mut index, worktree);
    let written = index.write(gix::index::write::Options::default());
    written.map_err(|error| super::repo::git_error("cannot write the index", error))
}

/// Refuses to commit conflict markers.
fn refuse_markers(worktree: &Path, survey: &Survey) -> Result<(), PortError> {
    let marked = |path: &&String| {
        let content = fs::read(worktree.join(path)).unwrap_or_default();
        content.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"<<<<<<< ") || line.starts_with(b">>>>>>> "))
    };
    let bad: Vec<_> = survey.unmerged.iter().filter(marked).map(|path| path.escape_debug().to_string()).collect();
    if bad.is_empty() {
        return Ok(());
    }
    Err(PortError::new(format!("unresolved conflict in {}", bad.join(", "))).hint("resolve it in the worktree"))
}
