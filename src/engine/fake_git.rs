//! A repository in memory for tests: commits, trees as path → content, branches, worktrees, merges file by file.
//! Must stay deterministic: the same calls give the same object ids.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use sha2::{Digest, Sha256};

use crate::domain::names::{BranchRef, Oid};

/// Content of a tree or of a directory.
pub(crate) type Files = BTreeMap<String, String>;

/// Author of commits that no agent made.
pub(crate) const SOMEBODY: &str = "Ada <ada@example.org>";

/// A commit.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub(crate) parents: Vec<Oid>,
    pub(crate) tree: Oid,
    pub(crate) author: String,
    pub(crate) message: String,
}

/// A directory with files, on a branch or detached.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) branch: Option<BranchRef>,
    /// HEAD, when it is on no branch.
    pub(crate) detached: Option<Oid>,
    pub(crate) files: Files,
}

/// Everything the repository holds.
#[derive(Default)]
pub(crate) struct Repo {
    pub(crate) commits: BTreeMap<Oid, Commit>,
    pub(crate) trees: BTreeMap<Oid, Files>,
    pub(crate) refs: BTreeMap<String, Oid>,
    pub(crate) desks: BTreeMap<PathBuf, Desk>,
    /// Why a checkout of the target cannot follow.
    pub(crate) obstacle: Option<String>,
    /// Moves of the target that checkouts followed.
    pub(crate) followed: Vec<(Oid, Oid)>,
    /// Errors that the next calls answer with, by the name of the call.
    pub(crate) broken: BTreeMap<&'static str, String>,
    /// How often each directory was made.
    pub(crate) made: BTreeMap<PathBuf, u32>,
    /// Settings that run programs.
    pub(crate) programs: BTreeMap<String, String>,
}

/// A handle; clones share the repository.
#[derive(Clone)]
pub(crate) struct FakeGit {
    repo: Arc<Mutex<Repo>>,
}

/// An object id made from content.
pub(crate) fn digest(bytes: &[u8]) -> Oid {
    let mut hex = String::new();
    for byte in Sha256::digest(bytes).iter().take(20) {
        write!(hex, "{byte:02x}").expect("a String takes everything");
    }
    Oid::new(hex)
}

/// Name of the target branch in tests.
pub(crate) fn main_branch() -> BranchRef {
    BranchRef::new("refs/heads/main")
}

impl FakeGit {
    /// A repository with one commit on `main`.
    pub(crate) fn new() -> Self {
        let git = Self { repo: Arc::default() };
        let files = Files::from([("README.md".to_owned(), "# Scratch\n".to_owned())]);
        let first = git.repo().commit(files, Vec::new(), SOMEBODY, "first");
        git.repo().refs.insert(main_branch().as_str().to_owned(), first);
        git
    }

    /// The repository.
    pub(crate) fn repo(&self) -> MutexGuard<'_, Repo> {
        self.repo.lock().unwrap()
    }

    /// Tip of a branch by its short name.
    pub(crate) fn tip_of(&self, short: &str) -> Option<Oid> {
        self.repo().refs.get(&format!("refs/heads/{short}")).cloned()
    }

    /// Files on a branch.
    pub(crate) fn files_of(&self, short: &str) -> Files {
        let repo = self.repo();
        repo.files(&repo.refs[&format!("refs/heads/{short}")])
    }

    /// Somebody else commits a file on a branch.
    pub(crate) fn somebody_commits(&self, short: &str, path: &str, content: &str) -> Oid {
        let mut repo = self.repo();
        let name = format!("refs/heads/{short}");
        let tip = repo.refs[&name].clone();
        let mut files = repo.files(&tip);
        files.insert(path.to_owned(), content.to_owned());
        let made = repo.commit(files, vec![tip], SOMEBODY, &format!("change {path}"));
        repo.refs.insert(name, made.clone());
        made
    }

    /// Merge commits on the first-parent chain of `main` whose message names the story.
    pub(crate) fn merges_of(&self, key: &str) -> usize {
        let repo = self.repo();
        let mut at = repo.refs.get(main_branch().as_str()).cloned();
        let mut count = 0;
        while let Some(commit) = at.and_then(|oid| repo.commits.get(&oid)) {
            let named = commit.message.lines().any(|line| line == format!("Story: {key}"));
            count += usize::from(named && commit.parents.len() == 2);
            at = commit.parents.first().cloned();
        }
        count
    }
}

impl Repo {
    /// Stores a tree.
    pub(crate) fn tree(&mut self, files: Files) -> Oid {
        let id = digest(format!("tree {files:?}").as_bytes());
        self.trees.insert(id.clone(), files);
        id
    }

    /// Stores a commit.
    pub(crate) fn commit(&mut self, files: Files, parents: Vec<Oid>, author: &str, message: &str) -> Oid {
        let tree = self.tree(files);
        self.commit_tree(tree, parents, author, message)
    }

    /// Stores a commit of a tree.
    pub(crate) fn commit_tree(&mut self, tree: Oid, parents: Vec<Oid>, author: &str, message: &str) -> Oid {
        let id = digest(format!("commit {tree} {parents:?} {author} {message}").as_bytes());
        self.commits
            .insert(id.clone(), Commit { parents, tree, author: author.to_owned(), message: message.to_owned() });
        id
    }

    /// Files of a commit.
    pub(crate) fn files(&self, commit: &Oid) -> Files {
        self.trees[&self.commits[commit].tree].clone()
    }

    /// A commit and everything it descends from.
    pub(crate) fn ancestors(&self, commit: &Oid) -> BTreeSet<Oid> {
        let mut seen = BTreeSet::new();
        let mut queue = VecDeque::from([commit.clone()]);
        while let Some(next) = queue.pop_front() {
            if seen.insert(next.clone())
                && let Some(commit) = self.commits.get(&next)
            {
                queue.extend(commit.parents.iter().cloned());
            }
        }
        seen
    }

    /// Commits in base..head.
    pub(crate) fn range(&self, base: &Oid, head: &Oid) -> Vec<&Commit> {
        let known = self.ancestors(base);
        self.ancestors(head).iter().filter(|oid| !known.contains(oid)).map(|oid| &self.commits[oid]).collect()
    }

    /// The files of one best common ancestor; none when the histories are unrelated.
    pub(crate) fn merge_base(&self, one: &Oid, other: &Oid) -> Files {
        let theirs = self.ancestors(other);
        let common: Vec<Oid> = self.ancestors(one).into_iter().filter(|oid| theirs.contains(oid)).collect();
        let best = common.iter().find(|oid| {
            let newer = |candidate: &&Oid| *candidate != *oid && self.ancestors(candidate).contains(*oid);
            !common.iter().any(|candidate| newer(&candidate))
        });
        best.map(|oid| self.files(oid)).unwrap_or_default()
    }

    /// Merges file by file: the result, or the paths that both sides changed differently.
    pub(crate) fn merge(&self, one: &Oid, other: &Oid) -> Result<Files, Vec<String>> {
        let (base, ours, theirs) = (self.merge_base(one, other), self.files(one), self.files(other));
        let paths: BTreeSet<&String> = base.keys().chain(ours.keys()).chain(theirs.keys()).collect();
        let mut merged = Files::new();
        let mut conflicts = Vec::new();
        for path in paths {
            let (was, our, their) = (base.get(path), ours.get(path), theirs.get(path));
            let taken = if our == their || their == was {
                our
            } else if our == was {
                their
            } else {
                conflicts.push(path.clone());
                continue;
            };
            if let Some(content) = taken {
                merged.insert(path.clone(), content.clone());
            }
        }
        if conflicts.is_empty() { Ok(merged) } else { Err(conflicts) }
    }

    /// What changed between two sets of files: path → before and after.
    pub(crate) fn diff(from: &Files, to: &Files) -> BTreeMap<String, (Option<String>, Option<String>)> {
        let paths: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
        let pairs = paths.into_iter().map(|path| (path.clone(), (from.get(path).cloned(), to.get(path).cloned())));
        pairs.filter(|(_, (before, after))| before != after).collect()
    }

    /// HEAD of a directory.
    pub(crate) fn head(&self, path: &Path) -> Option<Oid> {
        let desk = self.desks.get(path)?;
        desk.detached.clone().or_else(|| self.refs.get(desk.branch.as_ref()?.as_str()).cloned())
    }

    /// Commits everything in a directory and moves its branch, or its detached HEAD; `None` when nothing differs.
    pub(crate) fn commit_desk(&mut self, path: &Path, author: &str, message: &str) -> Option<Oid> {
        let head = self.head(path)?;
        let desk = self.desks.get(path)?.clone();
        if desk.files == self.files(&head) {
            return None;
        }
        let made = self.commit(desk.files, vec![head], author, message);
        self.move_head(path, made.clone());
        Some(made)
    }

    /// Moves HEAD of a directory.
    pub(crate) fn move_head(&mut self, path: &Path, to: Oid) {
        let Some(desk) = self.desks.get_mut(path) else { return };
        match (&desk.detached, &desk.branch) {
            (None, Some(branch)) => drop(self.refs.insert(branch.as_str().to_owned(), to)),
            (Some(_), _) | (None, None) => desk.detached = Some(to),
        }
    }

    /// Merges a branch into a directory, taking `theirs` for a conflicting path and adding `ours` behind it.
    pub(crate) fn merge_into_desk(&mut self, path: &Path, branch: &str, author: &str) {
        let head = self.head(path).unwrap();
        let other = self.refs[branch].clone();
        let mut files = match self.merge(&head, &other) {
            Ok(files) => files,
            Err(conflicts) => {
                let (ours, theirs) = (self.files(&head), self.files(&other));
                let mut files = theirs.clone();
                files.extend(ours.clone());
                for path in conflicts {
                    let text = |side: &Files| side.get(&path).cloned().unwrap_or_default();
                    files.insert(path.clone(), format!("{}{}", text(&theirs), text(&ours)));
                }
                files
            }
        };
        std::mem::swap(&mut files, &mut self.desks.get_mut(path).unwrap().files);
        let files = self.desks[path].files.clone();
        let made = self.commit(files, vec![head, other], author, "merge the target");
        self.move_head(path, made);
    }
}
