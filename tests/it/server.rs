//! A bare repository made a server: what may be pushed to it and what may not, on real git.

mod accepted;
mod forged;
mod refused;
mod setup;
mod signed;
mod transports;

use std::path::PathBuf;

use git_orchestrate::adapters::git::repo::Repo;
use git_orchestrate::adapters::ledger::store::Store;
use git_orchestrate::domain::event::ItemEvent;
use git_orchestrate::domain::names::{AttemptId, BranchRef, ItemKey, Oid, PolicyVersion, RunId, Timestamp};
use git_orchestrate::engine::ports::{Artefact, Ledger, Record};

use crate::project::Project;
use crate::support::{Ran, run};

/// How git tells a client that our hook said no.
const DECLINED: &str = "(pre-receive hook declined)";

/// A server, and a project without hooks that is a clone of it.
pub struct Hub {
    pub project: Project,
    pub server: PathBuf,
}

impl Hub {
    /// A server that holds main of a project with the story 1.1, and no record.
    pub fn new(policy: &str) -> Self {
        let hub = Self::empty(policy);
        hub.project.scratch.git(&["push", "-q", "origin", "main"]);
        let ran = hub.init();
        assert_eq!(ran.code, 0, "{ran:?}");
        hub
    }

    /// The same before anything was pushed and before the bare repository was made a server.
    pub fn empty(policy: &str) -> Self {
        let project = Project::new("", policy);
        project.story("1.1", "First", "None").commit();
        let server = project.scratch.outside().join("server.git");
        let hub = Self { project, server };
        hub.git(&["init", "-q", "--bare", "-b", "main", hub.url()]);
        hub.git(&["remote", "add", "origin", hub.url()]);
        hub
    }

    pub fn url(&self) -> &str {
        self.server.to_str().unwrap()
    }

    /// `git orchestrate init --server` in the bare repository.
    pub fn init(&self) -> Ran {
        run(self.project.scratch.orchestrate_command().current_dir(&self.server).args(["init", "--server"]))
    }

    /// Git in the project.
    pub fn git(&self, args: &[&str]) -> String {
        self.project.scratch.git(args)
    }

    /// Git in the server.
    pub fn there(&self, args: &[&str]) -> String {
        self.git(&[&["--git-dir", self.url()], args].concat())
    }

    /// All refs of the server with their values.
    pub fn refs(&self) -> String {
        self.there(&["for-each-ref", "--format=%(refname) %(objectname)"])
    }

    /// A push to the server, from the project.
    pub fn push(&self, args: &[&str]) -> Ran {
        self.project.scratch.try_git(&[&["push", "origin"], args].concat())
    }

    /// A push that must change nothing; returns what git said.
    pub fn refused(&self, args: &[&str], why: &str) -> String {
        let before = self.refs();
        let ran = self.push(args);
        assert_ne!(ran.code, 0, "git push {args:?} went through");
        assert_eq!(self.refs(), before, "git push {args:?}");
        assert!(ran.stderr.contains("remote: git-orchestrate: refused: "), "git push {args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("[remote rejected]"), "git push {args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(DECLINED), "git push {args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(why), "git push {args:?}: no `{why}` in {}", ran.stderr);
        ran.stderr
    }

    /// A push that must go through.
    pub fn accepted(&self, args: &[&str]) {
        let ran = self.push(args);
        assert_eq!(ran.code, 0, "git push {args:?}: {}", ran.stderr);
    }

    /// Runs all stories of the project.
    pub fn run_stories(&self) {
        let ran = self.project.stories(&[]);
        assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    }

    /// The branch `story/1.1-a`, two commits ahead of main, without a record.
    pub fn story_branch(&self) {
        self.git(&["switch", "-q", "-c", "story/1.1-a"]);
        for name in ["one", "two"] {
            self.project.scratch.write(&format!("{name}.txt"), name);
            self.project.scratch.commit(name);
        }
        self.git(&["switch", "-q", "main"]);
    }

    /// Records in the project that story 1.1 is at work on that branch since main.
    pub fn record_attempt(&self) {
        let mut store = self.store();
        let story = store.write_blob(b"# Story 1.1\n").unwrap();
        let event = ItemEvent::AttemptStarted {
            attempt: AttemptId::new("a-1"),
            continues: None,
            run: RunId::new("r-1"),
            title: "one".to_owned(),
            path: "docs/stories/1.1.first.md".to_owned(),
            agent: "demo".to_owned(),
            role: "general-developer".to_owned(),
            branch: BranchRef::new("refs/heads/story/1.1-a"),
            worktree: ".worktrees/1.1".to_owned(),
            target: BranchRef::new("refs/heads/main"),
            base: Oid::new(self.git(&["rev-parse", "main"])),
            policy: PolicyVersion::new("p"),
            story,
        };
        let artefact = Artefact { name: "story".to_owned(), bytes: b"# Story 1.1\n".to_vec() };
        let key = ItemKey::new("1.1");
        store.append(&[Record::Item { key, event, at: Timestamp(1), artefacts: vec![artefact] }]).unwrap();
    }

    /// The ledger of the project.
    pub fn store(&self) -> Store {
        Store::new(&Repo::discover(&self.project.scratch.root()).unwrap())
    }
}
