//! Worktrees, merges and landings on real git.

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex};

use git_orchestrate::adapters::git::admin::RegistryLock;
use git_orchestrate::adapters::git::landing::GitLander;
use git_orchestrate::adapters::git::refs::RefWriter;
use git_orchestrate::adapters::git::repo::Repo;
use git_orchestrate::adapters::git::trash;
use git_orchestrate::adapters::git::worktree::GitWorktrees;
use git_orchestrate::domain::names::{BranchRef, Oid, Principal, Timestamp};
use git_orchestrate::engine::ports::{
    Bookkeeping, Lander, LandingPlan, Merged, PortError, Prepared, Retired, WorktreeSpec, WorktreeState, Worktrees,
};

use crate::support::{Ran, Scratch, run};

mod attempts;
mod landing;
mod leaving;
mod merging;

/// Author of commits made for agents.
const AGENT: &str = "python-developer via demo <git-orchestrate-agent@localhost>";

/// A scratch repository with the adapters on it.
struct Bed {
    scratch: Scratch,
    trees: GitWorktrees,
    lander: GitLander,
    repo: Repo,
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

impl Bed {
    fn new() -> Self {
        Self::of(Scratch::new())
    }

    fn of(scratch: Scratch) -> Self {
        let repo = Repo::discover(&scratch.root()).unwrap();
        std::fs::write(repo.common_dir().join("info/exclude"), ".worktrees/\n").unwrap();
        let writer = Arc::new(Mutex::new(RefWriter::new(&repo)));
        Self { trees: GitWorktrees::new(&repo, writer), lander: GitLander::new(&repo), scratch, repo }
    }

    fn head(&self) -> Oid {
        Oid::new(self.scratch.git(&["rev-parse", "main"]))
    }

    fn spec(&self, name: &str) -> WorktreeSpec {
        WorktreeSpec {
            path: self.scratch.root().join(".worktrees").join(name),
            branch: BranchRef::new(format!("refs/heads/story/{}", name.replace(' ', "-"))),
            start: self.head(),
            reason: "1.1 in run 7".to_owned(),
        }
    }

    fn prepare(&self, spec: &WorktreeSpec) -> Result<Prepared, PortError> {
        wait(self.trees.prepare(spec))
    }

    fn inspect(&self, spec: &WorktreeSpec) -> WorktreeState {
        wait(self.trees.inspect(spec)).unwrap()
    }

    fn commit_all(&self, spec: &WorktreeSpec) -> Option<Oid> {
        wait(self.trees.commit_all(spec, "1.1: work", AGENT)).unwrap()
    }

    fn retire(&self, spec: &WorktreeSpec, merged_into: Option<&Oid>) -> Retired {
        wait(self.trees.retire(spec, merged_into)).unwrap()
    }

    /// git in a worktree, as an agent would run it.
    fn inside(&self, dir: &Path, args: &[&str]) -> String {
        let ran = self.try_inside(dir, args);
        assert_eq!(ran.code, 0, "git {args:?}: {}{}", ran.stdout, ran.stderr);
        ran.stdout.trim_end().to_owned()
    }

    fn try_inside(&self, dir: &Path, args: &[&str]) -> Ran {
        run(self.scratch.command("git").current_dir(dir).args(args))
    }

    fn merge(&self, base: &str, head: &str) -> Merged {
        let id = |name: &str| Oid::new(self.scratch.git(&["rev-parse", name]));
        wait(self.lander.merge(&id(base), &id(head))).unwrap()
    }

    fn rescued(&self) -> String {
        self.scratch.git(&["for-each-ref", "--format=%(refname)", "refs/orchestrate/rescue"])
    }

    fn fsck(&self) {
        let ran = self.scratch.try_git(&["fsck", "--strict", "--no-dangling", "--no-progress"]);
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""));
    }
}

fn write(dir: &Path, name: &str, content: &str) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn read(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join(name)).unwrap()
}

fn branch(name: &str) -> BranchRef {
    BranchRef::new(format!("refs/heads/{name}"))
}
