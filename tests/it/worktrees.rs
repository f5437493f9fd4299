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

#[test]
fn a_new_worktree_is_what_git_would_have_made() {
    let bed = Bed::new();
    bed.scratch.write("bin/run", "#!/bin/sh\n");
    bed.scratch.git(&["update-index", "--add", "--chmod=+x", "bin/run"]);
    std::os::unix::fs::symlink("README.md", bed.scratch.root().join("link")).unwrap();
    bed.scratch.write("a b/größe.txt", "x\n");
    bed.scratch.git(&["add", "link", "a b"]);
    bed.scratch.git(&["commit", "-qm", "kinds"]);
    let spec = bed.spec("1.1-first");
    let prepared = bed.prepare(&spec).unwrap();
    assert_eq!((prepared.head.clone(), prepared.adopted, prepared.uv), (bed.head(), false, false));
    let listed = bed.scratch.git(&["worktree", "list", "--porcelain"]);
    let expected = format!(
        "worktree {}\nHEAD {}\nbranch refs/heads/story/1.1-first\nlocked git-orchestrate: 1.1 in run 7",
        spec.path.display(),
        bed.head()
    );
    assert!(listed.ends_with(&expected), "{listed}");
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain=v2", "--ignored"]), "");
    // Stat data of the index is git's own: nothing to refresh, nothing to read again.
    assert_eq!(bed.try_inside(&spec.path, &["diff-files", "--exit-code"]).code, 0);
    assert_eq!(bed.inside(&spec.path, &["ls-files", "-s"]), bed.scratch.git(&["ls-files", "-s"]));
    assert!(spec.path.join("link").is_symlink());
    assert_eq!(bed.inside(&spec.path, &["rev-parse", "--git-common-dir"]), bed.repo.common_dir().display().to_string());
    let state = bed.inspect(&spec);
    assert_eq!((state.head, state.on_branch, state.dirty), (bed.head(), true, Vec::new()));
    assert_eq!(state.tree.as_str(), bed.scratch.git(&["rev-parse", "main^{tree}"]));
    write(&spec.path, "agent.txt", "by an agent\n");
    bed.inside(&spec.path, &["add", "agent.txt"]);
    bed.inside(&spec.path, &["commit", "-qm", "by an agent"]);
    assert!(bed.inside(&spec.path, &["reflog", "show", "HEAD"]).lines().count() == 2);
    bed.fsck();
}

#[test]
fn git_can_repair_move_and_remove_our_worktrees() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    let elsewhere = bed.scratch.outside().join("moved");
    std::fs::rename(&spec.path, &elsewhere).unwrap();
    bed.scratch.git(&["worktree", "repair", elsewhere.to_str().unwrap()]);
    assert_eq!(bed.inside(&elsewhere, &["status", "--porcelain"]), "");
    bed.scratch.git(&["worktree", "unlock", elsewhere.to_str().unwrap()]);
    bed.scratch.git(&["worktree", "remove", elsewhere.to_str().unwrap()]);
    assert_eq!(bed.scratch.git(&["worktree", "list"]).lines().count(), 1);
}

#[test]
fn thirty_two_at_once_are_all_made() {
    let bed = Bed::new();
    for number in 0..40 {
        bed.scratch.write(&format!("src/{number}.txt"), format!("{number}\n"));
    }
    bed.scratch.commit("files");
    let specs: Vec<_> = (0..32).map(|number| bed.spec(&format!("2.{number}-story"))).collect();
    wait(tokio::task::LocalSet::new().run_until(async {
        let tasks: Vec<_> = specs
            .iter()
            .map(|spec| {
                let (trees, spec) = (bed.trees.clone(), spec.clone());
                tokio::task::spawn_local(async move { trees.prepare(&spec).await })
            })
            .collect();
        for task in tasks {
            assert!(!task.await.unwrap().unwrap().adopted);
        }
    }));
    let listed = bed.scratch.git(&["worktree", "list", "--porcelain"]);
    for spec in &specs {
        assert!(listed.contains(&format!("worktree {}\n", spec.path.display())), "{listed}");
        assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "");
    }
    assert_eq!(listed.matches("\nlocked ").count(), 32);
    bed.fsck();
    for spec in &specs {
        assert_eq!(bed.retire(spec, Some(&bed.head())), Retired { rescue: None, branch_deleted: true });
    }
    assert_eq!(bed.scratch.git(&["worktree", "list"]).lines().count(), 1);
    assert!(!bed.scratch.root().join(".worktrees").exists());
    assert_eq!(trash::list(&bed.repo).unwrap(), []);
}

#[test]
fn what_an_earlier_attempt_left_is_adopted_as_it_is() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    write(&spec.path, "committed.txt", "1\n");
    bed.inside(&spec.path, &["add", "."]);
    bed.inside(&spec.path, &["commit", "-qm", "one"]);
    write(&spec.path, "README.md", "edited\n");
    write(&spec.path, "new.txt", "new\n");
    let tip = Oid::new(bed.inside(&spec.path, &["rev-parse", "HEAD"]));
    bed.scratch.commit("main moves on");
    let again = WorktreeSpec { start: bed.head(), ..spec.clone() };
    let prepared = bed.prepare(&again).unwrap();
    assert_eq!((prepared.head, prepared.adopted), (tip, true));
    assert_eq!(bed.inspect(&spec).dirty, ["README.md", "new.txt"]);
    assert_eq!(read(&spec.path, "README.md"), "edited\n");
}

#[test]
fn a_branch_without_its_directory_gets_one_again() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    write(&spec.path, "kept.txt", "kept\n");
    let kept = bed.commit_all(&spec).unwrap();
    std::fs::remove_dir_all(&spec.path).unwrap();
    let prepared = bed.prepare(&spec).unwrap();
    assert_eq!((prepared.head, prepared.adopted), (kept, false));
    assert_eq!(read(&spec.path, "kept.txt"), "kept\n");
    assert_eq!(bed.scratch.git(&["worktree", "list"]).lines().count(), 2);
    // And from another place, when the folder of worktrees was changed.
    std::fs::remove_dir_all(&spec.path).unwrap();
    let moved = WorktreeSpec { path: bed.scratch.outside().join("elsewhere/1.1-first"), ..spec };
    bed.prepare(&moved).unwrap();
    assert_eq!(read(&moved.path, "kept.txt"), "kept\n");
    assert_eq!(bed.scratch.git(&["worktree", "list"]).lines().count(), 2);
}

#[test]
fn half_made_entries_are_set_aside() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    let entry = bed.repo.common_dir().join("worktrees/1.1-first");
    // As git leaves it when killed early: it stops `worktree list` in the whole repository.
    std::fs::create_dir_all(&entry).unwrap();
    std::fs::write(entry.join("commondir"), "").unwrap();
    std::fs::write(entry.join("locked"), "initializing").unwrap();
    bed.prepare(&spec).unwrap();
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "");
    // Killed while files were written: no index yet.
    std::fs::remove_file(entry.join("index")).unwrap();
    std::fs::remove_file(spec.path.join("README.md")).unwrap();
    let prepared = bed.prepare(&spec).unwrap();
    assert!(!prepared.adopted);
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "");
    // The record is gone, the directory is there, with work in it.
    write(&spec.path, "work.txt", "work\n");
    std::fs::remove_dir_all(&entry).unwrap();
    bed.prepare(&spec).unwrap();
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "");
    let kept = trash::list(&bed.repo).unwrap();
    assert!(kept.iter().any(|trashed| trashed.path.join("work.txt").is_file()), "{kept:?}");
    assert_eq!(bed.scratch.git(&["worktree", "list"]).lines().count(), 2);
    bed.fsck();
}

#[test]
fn a_lost_git_file_is_written_again() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    write(&spec.path, "work.txt", "work\n");
    std::fs::remove_file(spec.path.join(".git")).unwrap();
    assert!(bed.prepare(&spec).unwrap().adopted);
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "?? work.txt");
}

#[test]
fn a_branch_that_is_checked_out_elsewhere_and_a_place_that_is_taken_are_errors() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    bed.scratch.git(&["branch", "story/1.1-first"]);
    let elsewhere = bed.scratch.outside().join("mine");
    bed.scratch.git(&["worktree", "add", "-q", elsewhere.to_str().unwrap(), "story/1.1-first"]);
    let error = bed.prepare(&spec).unwrap_err();
    assert_eq!(error.message, format!("story/1.1-first is checked out at {}", elsewhere.display()));
    assert!(!spec.path.exists());
    let own = WorktreeSpec { branch: branch("main"), ..spec.clone() };
    assert!(bed.prepare(&own).unwrap_err().message.starts_with("main is checked out at "));
    let other = bed.spec("1.2-second");
    write(&other.path, "notes.txt", "somebody's\n");
    let error = bed.prepare(&other).unwrap_err();
    assert!(error.message.contains("is in the way"), "{}", error.message);
    assert_eq!(read(&other.path, "notes.txt"), "somebody's\n");
    let bad = WorktreeSpec { branch: BranchRef::new("refs/heads/story/..x"), ..bed.spec("1.3-x") };
    assert!(bed.prepare(&bad).unwrap_err().message.contains("is no branch name"));
}

#[test]
fn names_with_spaces_and_unicode_work_throughout() {
    let bed = Bed::new();
    bed.scratch.write("docs/ein schöner Name.md", "x\n");
    bed.scratch.commit("names");
    let mut spec = bed.spec("1.1 größe");
    spec.branch = branch("story/1.1-größe");
    bed.prepare(&spec).unwrap();
    write(&spec.path, "neu – ü.txt", "x\n");
    assert_eq!(bed.inspect(&spec).dirty, ["neu – ü.txt"]);
    assert!(bed.commit_all(&spec).is_some());
    write(&spec.path, "mehr ü.txt", "x\n");
    let retired = bed.retire(&spec, None);
    assert_eq!(retired.rescue.as_deref(), Some("refs/orchestrate/rescue/1.1-gr--e-1"));
    assert_eq!(bed.scratch.git(&["show", "refs/orchestrate/rescue/1.1-gr--e-1:mehr ü.txt"]), "x");
    bed.fsck();
}

#[test]
fn a_repository_with_converted_line_ends_stays_clean() {
    let bed = Bed::new();
    bed.scratch.git(&["config", "core.autocrlf", "true"]);
    bed.scratch.write(".gitattributes", "*.sh text eol=lf\n*.bat text eol=crlf\n");
    bed.scratch.write("a.txt", "one\r\ntwo\r\n");
    bed.scratch.write("run.sh", "one\n");
    bed.scratch.write("run.bat", "one\r\n");
    bed.scratch.commit("lines");
    let bed = Bed::of(bed.scratch);
    let spec = bed.spec("1.1-lines");
    bed.prepare(&spec).unwrap();
    assert_eq!(read(&spec.path, "a.txt"), "one\r\ntwo\r\n");
    assert_eq!(read(&spec.path, "run.sh"), "one\n");
    assert_eq!(read(&spec.path, "run.bat"), "one\r\n");
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "");
    assert_eq!(bed.inspect(&spec).dirty, Vec::<String>::new());
    write(&spec.path, "a.txt", "one\r\ntwo\r\nthree\r\n");
    let commit = bed.commit_all(&spec).unwrap();
    assert_eq!(bed.scratch.git(&["cat-file", "blob", &format!("{commit}:a.txt")]), "one\ntwo\nthree");
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "");
    let target = branch("main");
    let (from, to) = (bed.head(), commit);
    assert_eq!(wait(bed.lander.obstacle(&target, &from, &to)).unwrap(), None);
    bed.scratch.git(&["update-ref", "refs/heads/main", to.as_str(), from.as_str()]);
    wait(bed.lander.follow(&target, &from, &to)).unwrap();
    assert_eq!(bed.scratch.git(&["status", "--porcelain"]), "");
    assert_eq!(bed.scratch.read("a.txt"), "one\r\ntwo\r\nthree\r\n");
}

#[test]
fn a_submodule_does_not_break_anything() {
    let bed = Bed::new();
    let other = Scratch::new();
    let url = other.root();
    bed.scratch.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", url.to_str().unwrap(), "sub"]);
    bed.scratch.commit("submodule");
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "");
    assert_eq!(bed.inspect(&spec).dirty, Vec::<String>::new());
    write(&spec.path, "a.txt", "a\n");
    let commit = bed.commit_all(&spec).unwrap();
    let changed = bed.scratch.git(&["diff", "--name-only", "main", commit.as_str()]);
    assert_eq!(changed, "a.txt");
    assert_eq!(bed.retire(&spec, Some(&commit)), Retired { rescue: None, branch_deleted: true });
    assert_eq!(trash::list(&bed.repo).unwrap(), []);
}

#[test]
fn included_files_are_ignored_ones_that_match_and_nothing_else() {
    let bed = Bed::new();
    let outside = bed.scratch.outside().join("secret");
    std::fs::write(&outside, "outside\n").unwrap();
    bed.scratch.write(".gitignore", ".env*\nlocal/\nnode_modules/\n*.link\n.worktrees/\n");
    bed.scratch
        .write(".worktreeinclude", "# what agents need\n.env\nlocal/\n!local/big.bin\n*.link\nREADME.md\nnotes.txt\n");
    bed.scratch.git(&["add", ".gitignore", ".worktreeinclude"]);
    bed.scratch.git(&["commit", "-qm", "rules"]);
    bed.scratch.write(".env", "KEY=1\n");
    bed.scratch.write(".env.prod", "KEY=2\n");
    bed.scratch.write("app/.env", "KEY=3\n");
    bed.scratch.write("local/deep/file", "x\n");
    bed.scratch.write("local/big.bin", "x\n");
    bed.scratch.write("node_modules/m.js", "x\n");
    bed.scratch.write("notes.txt", "untracked but not ignored\n");
    std::os::unix::fs::symlink(&outside, bed.scratch.root().join("out.link")).unwrap();
    std::os::unix::fs::symlink("README.md", bed.scratch.root().join("in.link")).unwrap();
    let spec = bed.spec("1.1-first");
    let prepared = bed.prepare(&spec).unwrap();
    assert_eq!(prepared.copied, [".env", "app/.env", "in.link", "local/deep/file"]);
    assert_eq!(read(&spec.path, "app/.env"), "KEY=3\n");
    assert!(spec.path.join("out.link").symlink_metadata().is_err());
    write(&spec.path, ".env", "KEY=agent\n");
    std::fs::remove_file(spec.path.join("app/.env")).unwrap();
    assert_eq!(bed.prepare(&spec).unwrap().copied, ["app/.env"]);
    assert_eq!(read(&spec.path, ".env"), "KEY=agent\n");
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "");
    // Copies of what the main work tree has are no leftovers; what the agent changed is.
    write(&spec.path, ".env", "KEY=1\n");
    bed.retire(&spec, Some(&bed.head()));
    assert_eq!(trash::list(&bed.repo).unwrap(), []);
}

#[test]
fn inspecting_shows_everything_that_a_commit_would_take() {
    let bed = Bed::new();
    bed.scratch.write(".gitignore", "*.log\n");
    for name in ["edited", "deleted", "staged", "hidden", "mode"] {
        bed.scratch.write(name, "1\n");
    }
    bed.scratch.commit("files");
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    bed.inside(&spec.path, &["config", "status.showUntrackedFiles", "no"]);
    bed.inside(&spec.path, &["update-index", "--assume-unchanged", "hidden"]);
    for name in ["edited", "staged", "hidden", "dir/new", "noise.log"] {
        write(&spec.path, name, "2\n");
    }
    bed.inside(&spec.path, &["add", "staged"]);
    bed.inside(&spec.path, &["update-index", "--chmod=+x", "mode"]);
    std::fs::remove_file(spec.path.join("deleted")).unwrap();
    assert_eq!(bed.inspect(&spec).dirty, ["deleted", "dir/new", "edited", "hidden", "mode", "staged"]);
    let commit = bed.commit_all(&spec).unwrap();
    let changed = bed.scratch.git(&["diff", "--name-only", "main", commit.as_str()]);
    assert_eq!(changed.lines().collect::<Vec<_>>(), ["deleted", "dir/new", "edited", "hidden", "staged"]);
    assert_eq!(bed.inspect(&spec).dirty, Vec::<String>::new());
    assert_eq!(bed.commit_all(&spec), None);
    let who = bed.scratch.git(&["log", "-1", "--format=%an <%ae> %cn %s", commit.as_str()]);
    assert_eq!(who, format!("{AGENT} git-orchestrate 1.1: work"));
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain", "-uall"]), "");
    assert!(bed.inside(&spec.path, &["reflog", "show", "HEAD"]).starts_with(&commit.as_str()[..7]));
    bed.fsck();
}

#[test]
fn nothing_that_a_worktree_names_is_run() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    let trap = bed.scratch.outside().join("ran");
    let program = bed.scratch.outside().join("trap.sh");
    std::fs::write(&program, format!("#!/bin/sh\necho ran >> {}\n", trap.display())).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // A: the .git file leads to a repository of the agent's. C: a nested repository. Hooks in the shared directory.
    let evil = bed.scratch.outside().join("evil");
    for dir in [evil.clone(), spec.path.join("nested")] {
        bed.scratch.git(&["init", "-q", dir.to_str().unwrap()]);
        bed.inside(&dir, &["config", "core.fsmonitor", program.to_str().unwrap()]);
    }
    std::fs::copy(&program, bed.repo.common_dir().join("hooks/reference-transaction")).unwrap();
    write(&spec.path, ".git", &format!("gitdir: {}\n", evil.join(".git").display()));
    write(&spec.path, "work.txt", "work\n");
    assert_eq!(bed.inspect(&spec).dirty, ["nested", "work.txt"]);
    let commit = bed.commit_all(&spec).unwrap();
    assert_eq!(bed.scratch.git(&["diff", "--name-only", "main", commit.as_str()]), "work.txt");
    bed.retire(&spec, None);
    assert!(!trap.exists(), "{}", std::fs::read_to_string(&trap).unwrap_or_default());
    // The nested repository is in no commit of ours, so it stays in the trash.
    assert!(trash::list(&bed.repo).unwrap().iter().any(|trashed| trashed.path.join("nested/.git").is_dir()));
}

#[test]
fn a_merge_the_agent_left_is_committed_with_both_parents() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    write(&spec.path, "README.md", "story\n");
    let ours = bed.commit_all(&spec).unwrap();
    bed.scratch.write("README.md", "main\n");
    let theirs = bed.scratch.commit("main");
    assert_eq!(bed.try_inside(&spec.path, &["merge", "main"]).code, 1);
    let error = wait(bed.trees.commit_all(&spec, "m", AGENT)).unwrap_err();
    assert_eq!(error.message, "unresolved conflict in README.md");
    write(&spec.path, "README.md", "both\n");
    let merged = bed.commit_all(&spec).unwrap();
    let parents = bed.scratch.git(&["log", "-1", "--format=%P", merged.as_str()]);
    assert_eq!(parents, format!("{ours} {theirs}"));
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "");
    assert!(!bed.inside(&spec.path, &["status"]).contains("merging"));
}

#[test]
fn off_its_branch_a_worktree_is_shown_and_not_committed() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    bed.inside(&spec.path, &["switch", "-q", "--detach"]);
    write(&spec.path, "a.txt", "a\n");
    assert!(!bed.inspect(&spec).on_branch);
    let error = wait(bed.trees.commit_all(&spec, "m", AGENT)).unwrap_err();
    assert!(error.message.ends_with("is not on story/1.1-first"), "{}", error.message);
    std::fs::remove_dir_all(&spec.path).unwrap();
    let error = wait(bed.trees.inspect(&spec)).unwrap_err();
    assert!(error.message.ends_with("is gone"), "{}", error.message);
}

#[test]
fn retiring_keeps_what_git_worktree_remove_destroys() {
    let bed = Bed::new();
    bed.scratch.write("hidden.txt", "1\n");
    bed.scratch.commit("files");
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    bed.inside(&spec.path, &["config", "status.showUntrackedFiles", "no"]);
    bed.inside(&spec.path, &["switch", "-q", "--detach"]);
    write(&spec.path, "detached.txt", "on no branch\n");
    bed.inside(&spec.path, &["add", "detached.txt"]);
    bed.inside(&spec.path, &["commit", "-qm", "on a detached HEAD"]);
    bed.inside(&spec.path, &["update-index", "--assume-unchanged", "hidden.txt"]);
    write(&spec.path, "hidden.txt", "edited\n");
    write(&spec.path, "README.md", "modified\n");
    write(&spec.path, "untracked.txt", "untracked\n");
    write(&spec.path, "staged.txt", "staged\n");
    bed.inside(&spec.path, &["add", "staged.txt"]);
    write(&spec.path, "staged.txt", "edited after staging\n");
    write(&spec.path, "out/.gitignore", "*\n");
    write(&spec.path, "out/source.txt", "ignored source\n");
    let retired = bed.retire(&spec, Some(&bed.head()));
    let rescue = retired.rescue.unwrap();
    assert_eq!(rescue, "refs/orchestrate/rescue/1.1-first-1");
    let kept = |path: &str| bed.scratch.git(&["show", &format!("{rescue}:{path}")]);
    assert_eq!(kept("detached.txt"), "on no branch");
    assert_eq!(kept("hidden.txt"), "edited");
    assert_eq!(kept("README.md"), "modified");
    assert_eq!(kept("untracked.txt"), "untracked");
    assert_eq!(kept("staged.txt"), "edited after staging");
    assert_eq!(bed.scratch.git(&["show", &format!("{rescue}^2:staged.txt")]), "staged");
    assert_eq!(bed.scratch.git(&["log", "-1", "--format=%s", &format!("{rescue}^1")]), "on a detached HEAD");
    let trashed = trash::list(&bed.repo).unwrap();
    assert!(trashed.iter().any(|trashed| trashed.path.join("out/source.txt").is_file()), "{trashed:?}");
    assert!(!spec.path.exists());
    assert_eq!(bed.scratch.git(&["worktree", "list"]).lines().count(), 1);
    assert_eq!(bed.retire(&spec, Some(&bed.head())), Retired::default());
    assert_eq!(bed.rescued(), rescue);
    bed.fsck();
    assert_eq!(trash::purge(&bed.repo, Timestamp(0)).unwrap(), []);
    assert_eq!(trash::purge(&bed.repo, Timestamp(i64::MAX)).unwrap(), trashed);
    assert_eq!(trash::list(&bed.repo).unwrap(), []);
}

#[test]
fn a_merge_in_progress_is_rescued_with_both_sides() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    write(&spec.path, "README.md", "story\n");
    let ours = bed.commit_all(&spec).unwrap();
    bed.scratch.write("README.md", "main\n");
    let theirs = bed.scratch.commit("main");
    assert_eq!(bed.try_inside(&spec.path, &["merge", "main"]).code, 1);
    assert_eq!(bed.inspect(&spec).dirty, ["README.md"]);
    let rescue = bed.retire(&spec, Some(&bed.head())).rescue.unwrap();
    assert_eq!(bed.scratch.git(&["log", "-1", "--format=%P", &rescue]), format!("{ours} {theirs}"));
    assert!(bed.scratch.git(&["show", &format!("{rescue}:README.md")]).contains("<<<<<<<"));
    assert_eq!(bed.scratch.git(&["rev-parse", "story/1.1-first"]), ours.as_str());
    bed.fsck();
}

#[test]
fn an_unmerged_branch_stays_and_is_rescued_once() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    write(&spec.path, "a.txt", "a\n");
    let tip = bed.commit_all(&spec).unwrap();
    let expected = Retired { rescue: Some("refs/orchestrate/rescue/1.1-first-1".to_owned()), branch_deleted: false };
    assert_eq!(bed.retire(&spec, Some(&bed.head())), expected);
    assert_eq!(bed.retire(&spec, Some(&bed.head())), expected);
    assert_eq!(bed.scratch.git(&["rev-parse", "story/1.1-first"]), tip.as_str());
    assert_eq!(bed.rescued(), "refs/orchestrate/rescue/1.1-first-1");
    bed.scratch.git(&["merge", "-q", "story/1.1-first"]);
    assert_eq!(bed.retire(&spec, Some(&bed.head())), Retired { rescue: None, branch_deleted: true });
}

#[test]
fn a_worktree_for_checks_moves_from_commit_to_commit() {
    let bed = Bed::new();
    bed.scratch.write(".gitignore", "target/\n");
    bed.scratch.write("old.txt", "old\n");
    let one = Oid::new(bed.scratch.commit("one"));
    std::fs::remove_file(bed.scratch.root().join("old.txt")).unwrap();
    bed.scratch.write("new/a.txt", "new\n");
    bed.scratch.write("README.md", "two\n");
    let two = Oid::new(bed.scratch.commit("two"));
    let path = bed.scratch.root().join(".worktrees/checks-1");
    wait(bed.trees.check_out(&one, &path)).unwrap();
    assert_eq!(bed.inside(&path, &["rev-parse", "--abbrev-ref", "HEAD"]), "HEAD");
    write(&path, "target/cache", "warm\n");
    write(&path, "left/over.txt", "by a check\n");
    write(&path, "README.md", "edited by a check\n");
    for commit in [&two, &two, &one] {
        wait(bed.trees.check_out(commit, &path)).unwrap();
        assert_eq!(bed.inside(&path, &["rev-parse", "HEAD"]), commit.as_str());
        assert_eq!(bed.inside(&path, &["status", "--porcelain"]), "");
        assert_eq!(read(&path, "target/cache"), "warm\n");
        assert!(!path.join("left").exists() || path.join("left").read_dir().unwrap().next().is_none());
    }
    assert_eq!(read(&path, "old.txt"), "old\n");
    assert!(!path.join("new").exists());
    let kept = trash::list(&bed.repo).unwrap();
    assert_eq!(read(&kept[0].path, "left/over.txt"), "by a check\n");
    assert_eq!(read(&kept[0].path, "README.md"), "edited by a check\n");
}

#[test]
fn the_registry_lock_excludes_others() {
    use nix::fcntl::{Flock, FlockArg};
    let bed = Bed::new();
    let held = RegistryLock::acquire(&bed.repo).unwrap();
    let open = || std::fs::File::open(bed.repo.state_dir().join("worktrees.lock")).unwrap();
    assert!(Flock::lock(open(), FlockArg::LockSharedNonblock).is_err());
    drop(held);
    assert!(Flock::lock(open(), FlockArg::LockSharedNonblock).is_ok());
}

/// Something done to the main checkout.
type Edit = fn(&Bed);

/// A history in which `ours` and `theirs` change the same start.
struct Shape {
    name: &'static str,
    ours: Edit,
    theirs: Edit,
}

fn text(from: usize, to: usize) -> String {
    (from..to).fold(String::new(), |text, number| text + "line " + &number.to_string() + "\n")
}

fn put(bed: &Bed, path: &str, content: &str) {
    bed.scratch.write(path, content);
}

fn shapes() -> Vec<Shape> {
    let edit_top: Edit = |bed| put(bed, "a.txt", &text(0, 30).replace("line 2\n", "two\n"));
    let edit_end: Edit = |bed| put(bed, "a.txt", &text(0, 30).replace("line 27\n", "x\n"));
    let edit_top_otherwise: Edit = |bed| put(bed, "a.txt", &text(0, 30).replace("line 2\n", "deux\n"));
    let rename: Edit = |bed| _ = bed.scratch.git(&["mv", "a.txt", "dir/renamed.txt"]);
    let rename_otherwise: Edit = |bed| _ = bed.scratch.git(&["mv", "a.txt", "dir/other.txt"]);
    let delete: Edit = |bed| _ = bed.scratch.git(&["rm", "-q", "a.txt"]);
    let executable: Edit = |bed| _ = bed.scratch.git(&["update-index", "--chmod=+x", "a.txt"]);
    let binary: Edit = |bed| put(bed, "bin", "a\0b");
    let binary_otherwise: Edit = |bed| put(bed, "bin", "a\0c");
    let add: Edit = |bed| put(bed, "dir/new.txt", "new\n");
    let add_otherwise: Edit = |bed| put(bed, "dir/new.txt", "other\n");
    let rename_directory: Edit = |bed| _ = bed.scratch.git(&["mv", "dir", "folder"]);
    let edit_in_directory: Edit = |bed| put(bed, "dir/b.txt", &text(50, 80).replace("line 60\n", "sixty\n"));
    let file_to_directory: Edit = |bed| {
        bed.scratch.git(&["rm", "-q", "a.txt"]);
        put(bed, "a.txt/inner.txt", "x\n");
    };
    let shape = |name, ours, theirs| Shape { name, ours, theirs };
    vec![
        shape("both ends of one file", edit_top, edit_end),
        shape("the same line", edit_top, edit_top_otherwise),
        shape("the same edit", edit_top, edit_top),
        shape("rename and edit", rename, edit_end),
        shape("edit and rename", edit_end, rename),
        shape("rename and the same rename", rename, rename),
        shape("rename and another rename", rename, rename_otherwise),
        shape("rename and delete", rename, delete),
        shape("delete and edit", delete, edit_end),
        shape("edit and delete", edit_end, delete),
        shape("delete and delete", delete, delete),
        shape("add and add the same", add, add),
        shape("add and add another", add, add_otherwise),
        shape("mode and edit", executable, edit_end),
        shape("edit and mode", edit_top, executable),
        shape("mode and mode", executable, executable),
        shape("binary and binary", binary, binary_otherwise),
        shape("directory renamed, file in it edited", rename_directory, edit_in_directory),
        shape("directory renamed, file added to it", rename_directory, add),
        shape("file added, its directory renamed", add, rename_directory),
        shape("file becomes a directory, file edited", file_to_directory, edit_end),
        shape("file becomes a directory, another edited", file_to_directory, edit_in_directory),
        shape("nothing and an edit", |_| {}, edit_end),
    ]
}

#[test]
fn merges_in_memory_are_git_s() {
    for shape in shapes() {
        let bed = Bed::new();
        put(&bed, "a.txt", &text(0, 30));
        put(&bed, "dir/b.txt", &text(50, 80));
        put(&bed, "bin", "a\0a");
        bed.scratch.commit("start");
        for (name, change) in [("ours", shape.ours), ("theirs", shape.theirs)] {
            bed.scratch.git(&["switch", "-q", "-c", name, "main"]);
            change(&bed);
            let staged_mode = bed.scratch.git(&["diff", "--cached", "--summary"]).contains("mode change");
            if !staged_mode {
                bed.scratch.git(&["add", "-A"]);
            }
            bed.scratch.git(&["commit", "-q", "--allow-empty", "-m", name]);
            bed.scratch.git(&["reset", "-q", "--hard"]);
        }
        let git =
            bed.scratch.try_git(&["merge-tree", "--write-tree", "--name-only", "--no-messages", "ours", "theirs"]);
        let mut lines = git.stdout.lines();
        let tree = lines.next().unwrap_or_default().to_owned();
        match bed.merge("ours", "theirs") {
            Merged::Clean { tree: ours } => {
                assert_eq!((git.code, ours.as_str()), (0, tree.as_str()), "{}: {git:?}", shape.name);
            }
            Merged::Conflict { paths } => {
                assert_eq!(git.code, 1, "{}: {paths:?} {git:?}", shape.name);
                assert!(
                    lines.any(|path| paths.iter().any(|ours| ours == path.trim_end_matches("~theirs"))),
                    "{}: {paths:?} {git:?}",
                    shape.name
                );
                assert!(paths.is_sorted());
            }
        }
    }
}

#[test]
fn no_driver_of_the_configuration_is_run_in_a_merge() {
    let bed = Bed::new();
    let trap = bed.scratch.outside().join("ran");
    let script = format!("touch {}", trap.display());
    for key in
        ["merge.evil.driver", "filter.evil.clean", "filter.evil.smudge", "diff.evil.command", "diff.evil.textconv"]
    {
        bed.scratch.git(&["config", key, &script]);
    }
    bed.scratch.git(&["config", "merge.renormalize", "true"]);
    bed.scratch.git(&["config", "merge.default", "evil"]);
    put(&bed, "a.txt", &text(0, 30));
    let start = bed.scratch.commit("start");
    // Written without a work tree, so that only the merge could run the driver.
    let attributes = bed.scratch.outside().join("attributes");
    std::fs::write(&attributes, "* merge=evil filter=evil diff=evil\n").unwrap();
    let blob = bed.scratch.git(&["hash-object", "-w", "--no-filters", attributes.to_str().unwrap()]);
    for (name, edit) in [("ours", ("line 2\n", "two\n")), ("theirs", ("line 27\n", "x\n"))] {
        std::fs::write(&attributes, text(0, 30).replace(edit.0, edit.1)).unwrap();
        let file = bed.scratch.git(&["hash-object", "-w", "--no-filters", attributes.to_str().unwrap()]);
        bed.scratch.git(&["read-tree", &start]);
        bed.scratch.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},.gitattributes")]);
        bed.scratch.git(&["update-index", "--cacheinfo", &format!("100644,{file},a.txt")]);
        let tree = bed.scratch.git(&["write-tree"]);
        let commit = bed.scratch.git(&["commit-tree", "-p", &start, "-m", name, &tree]);
        bed.scratch.git(&["update-ref", &format!("refs/heads/{name}"), &commit]);
    }
    let bed = Bed::of(bed.scratch);
    let Merged::Clean { tree } = bed.merge("ours", "theirs") else { panic!("a conflict") };
    let merged = bed.scratch.git(&["cat-file", "blob", &format!("{tree}:a.txt")]);
    assert!(merged.contains("two\n") && merged.contains("\nx\n"), "{merged}");
    assert!(!trap.exists());
}

#[test]
fn a_review_carries_over_a_base_that_moved_elsewhere_only() {
    let bed = Bed::new();
    put(&bed, "a.txt", &text(0, 60));
    bed.scratch.commit("start");
    bed.scratch.git(&["switch", "-q", "-c", "story"]);
    put(&bed, "a.txt", &text(0, 60).replace("line 10\n", "ten\n"));
    put(&bed, "new.txt", "new\n");
    bed.scratch.commit("story");
    bed.scratch.git(&["switch", "-q", "main"]);
    let id = |name: &str| Oid::new(bed.scratch.git(&["rev-parse", name]));
    let tree = |base: &Oid| match wait(bed.lander.merge(base, &id("story"))).unwrap() {
        Merged::Clean { tree } => tree,
        Merged::Conflict { paths } => panic!("{paths:?}"),
    };
    let base = id("main");
    let seen = (base.clone(), tree(&base));
    let carries = |path: &str, content: &str| {
        put(&bed, path, content);
        let moved = Oid::new(bed.scratch.commit("moved"));
        let now = (moved.clone(), tree(&moved));
        let carried = wait(bed.lander.same_change((&seen.0, &seen.1), (&now.0, &now.1))).unwrap();
        let by_git = |(base, tree): &(Oid, Oid)| {
            let diff = bed.scratch.outside().join("diff");
            let text = bed.scratch.git(&["diff", "--full-index", base.as_str(), tree.as_str()]) + "\n";
            std::fs::write(&diff, text).unwrap();
            let mut command = bed.scratch.command("git");
            command.args(["patch-id", "--stable"]).stdin(std::fs::File::open(&diff).unwrap());
            run(&mut command).stdout.split(' ').next().unwrap_or_default().to_owned()
        };
        assert_eq!(carried, by_git(&seen) == by_git(&now), "{path}");
        bed.scratch.git(&["reset", "-q", "--hard", base.as_str()]);
        carried
    };
    assert!(carries("other.txt", "x\n"));
    assert!(carries("a.txt", &text(0, 60).replace("line 50\n", "fifty\n")));
    assert!(carries("a.txt", &format!("0\n0\n{}", text(0, 60))));
    assert!(!carries("a.txt", &text(0, 60).replace("line 13\n", "thirteen\n")));
    assert!(!carries("new.txt", "new\n"));
}

#[test]
fn authors_are_persons_unless_the_address_is_the_agents() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    write(&spec.path, "a.txt", "a\n");
    bed.commit_all(&spec);
    let persons =
        || wait(bed.lander.person_authors(&bed.head(), &Oid::new(bed.inside(&spec.path, &["rev-parse", "HEAD"]))));
    assert_eq!(persons().unwrap(), []);
    bed.inside(&spec.path, &["commit", "-q", "--allow-empty", "-m", "by hand", "--author", "Bob <bob@example.org>"]);
    bed.inside(&spec.path, &["commit", "-q", "--allow-empty", "-m", "by hand"]);
    let person = |address: &str| Principal::Person(address.to_owned());
    assert_eq!(persons().unwrap(), [person("ada@example.org"), person("bob@example.org")]);
}

#[test]
fn a_landing_is_a_merge_commit_and_what_the_tool_writes_on_top() {
    let bed = Bed::new();
    bed.scratch.write("docs/stories/1.1.md", "# Story 1.1: A\n\nStatus: Ready\n");
    bed.scratch.commit("story");
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    write(&spec.path, "a.txt", "a\n");
    let head = bed.commit_all(&spec).unwrap();
    let base = bed.head();
    let Merged::Clean { tree } = wait(bed.lander.merge(&base, &head)).unwrap() else { panic!("a conflict") };
    let plan = LandingPlan {
        target: branch("main"),
        base: base.clone(),
        head: head.clone(),
        merge_tree: tree.clone(),
        message: "Land 1.1: A\n\nStory: 1.1".to_owned(),
        bookkeeping: Some(Bookkeeping {
            path: "docs/stories/1.1.md".to_owned(),
            message: "1.1: done".to_owned(),
            review_lines: vec!["Approved by agent:demo:1".to_owned()],
        }),
        at: Timestamp(1_700_000_000_000),
    };
    let landing = wait(bed.lander.build(&plan)).unwrap();
    let shown = bed.scratch.git(&["log", "-1", "--format=%P|%T|%an <%ae>|%ct|%B", landing.merge.as_str()]);
    let expected = format!(
        "{base} {head}|{tree}|git-orchestrate <git-orchestrate@localhost>|1700000000|Land 1.1: A\n\nStory: 1.1"
    );
    assert_eq!(shown, expected);
    assert_eq!(bed.head(), base, "nothing moved");
    assert_eq!(wait(bed.lander.build(&plan)).unwrap(), landing, "the same plan is the same commit");
    let on_top = bed.scratch.git(&["log", "-1", "--format=%P|%an|%s", landing.tip.as_str()]);
    assert_eq!(on_top, format!("{}|git-orchestrate|1.1: done", landing.merge));
    let changed = bed.scratch.git(&["diff", "--name-only", landing.merge.as_str(), landing.tip.as_str()]);
    assert_eq!(changed, "docs/stories/1.1.md");
    let story = bed.scratch.git(&["show", &format!("{}:docs/stories/1.1.md", landing.tip)]);
    assert!(story.contains("Status: Done") && story.contains("Approved by agent:demo:1"), "{story}");
    assert!(wait(bed.lander.contains(&landing.tip, &head)).unwrap());
    assert!(!wait(bed.lander.contains(&head, &landing.tip)).unwrap());
    assert_eq!(wait(bed.lander.tree(&landing.merge)).unwrap(), tree);
    assert_eq!(wait(bed.lander.tip(&branch("main"))).unwrap(), Some(base.clone()));
    assert_eq!(wait(bed.lander.tip(&branch("none"))).unwrap(), None);
    let candidate = wait(bed.lander.candidate(&base, &head, &tree)).unwrap();
    assert_eq!(wait(bed.lander.tree(&candidate)).unwrap(), tree);
    assert_eq!(wait(bed.lander.candidate(&base, &head, &tree)).unwrap(), candidate);
    let no_story = LandingPlan { bookkeeping: None, ..plan };
    let landing = wait(bed.lander.build(&no_story)).unwrap();
    assert_eq!(landing.merge, landing.tip);
    bed.fsck();
}

/// Moves main as a landing does and lets the checkouts follow.
fn land(bed: &Bed, from: &Oid, to: &Oid) -> Result<(), String> {
    let target = branch("main");
    if let Some(reason) = wait(bed.lander.obstacle(&target, from, to)).unwrap() {
        return Err(reason);
    }
    bed.scratch.git(&["update-ref", "refs/heads/main", to.as_str(), from.as_str()]);
    wait(bed.lander.follow(&target, from, to)).map_err(|error| error.message)
}

/// A commit on top of main that changes, adds, removes and makes executable, made without touching the checkout.
fn next(bed: &Bed) -> (Oid, Oid) {
    for name in ["changed.txt", "removed/only.txt", "script", "untouched.txt"] {
        bed.scratch.write(name, "1\n");
    }
    bed.scratch.commit("files");
    let from = bed.head();
    bed.scratch.git(&["switch", "-q", "-c", "next"]);
    bed.scratch.write("changed.txt", "2\n");
    bed.scratch.write("added/deep/new.txt", "new\n");
    std::os::unix::fs::symlink("changed.txt", bed.scratch.root().join("link")).unwrap();
    bed.scratch.git(&["rm", "-q", "removed/only.txt"]);
    bed.scratch.git(&["add", "-A"]);
    bed.scratch.git(&["update-index", "--chmod=+x", "script"]);
    bed.scratch.git(&["commit", "-qm", "next"]);
    let to = Oid::new(bed.scratch.git(&["rev-parse", "HEAD"]));
    bed.scratch.git(&["reset", "-q", "--hard"]);
    bed.scratch.git(&["switch", "-q", "main"]);
    bed.scratch.git(&["branch", "-q", "-D", "next"]);
    (from, to)
}

#[test]
fn a_clean_checkout_follows_file_by_file() {
    let bed = Bed::new();
    let (from, to) = next(&bed);
    // Edits, staged and not, that have nothing to do with the landing stay.
    bed.scratch.write("untouched.txt", "edited\n");
    bed.scratch.write("mine.txt", "staged\n");
    bed.scratch.git(&["add", "mine.txt"]);
    bed.scratch.write("draft.txt", "untracked\n");
    land(&bed, &from, &to).unwrap();
    assert_eq!(bed.scratch.git(&["status", "--porcelain"]), "A  mine.txt\n M untouched.txt\n?? draft.txt");
    assert_eq!(bed.scratch.read("changed.txt"), "2\n");
    assert_eq!(bed.scratch.read("added/deep/new.txt"), "new\n");
    assert!(!bed.scratch.root().join("removed").exists());
    assert!(bed.scratch.root().join("link").is_symlink());
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&bed.scratch.root().join("script").metadata().unwrap().permissions());
    assert_eq!(mode & 0o111, 0o111);
    assert!(bed.scratch.git(&["reflog", "show", "HEAD"]).starts_with(&to.as_str()[..7]));
    // Again, as after a crash between the two: nothing changes.
    wait(bed.lander.follow(&branch("main"), &from, &to)).unwrap();
    assert_eq!(bed.scratch.git(&["status", "--porcelain"]), "A  mine.txt\n M untouched.txt\n?? draft.txt");
    bed.scratch.git(&["stash", "-q"]);
    assert_eq!(bed.scratch.git(&["write-tree"]), bed.scratch.git(&["rev-parse", "main^{tree}"]));
    bed.fsck();
}

#[test]
fn edits_of_what_lands_make_the_landing_wait() {
    let cases: [(&str, Edit); 7] = [
        ("edited", |bed| bed.scratch.write("changed.txt", "mine\n")),
        ("staged", |bed| {
            bed.scratch.write("changed.txt", "mine\n");
            bed.scratch.git(&["add", "changed.txt"]);
        }),
        ("edited and removed by the landing", |bed| bed.scratch.write("removed/only.txt", "mine\n")),
        ("untracked in the way", |bed| bed.scratch.write("added/deep/new.txt", "mine\n")),
        ("a file where a directory comes", |bed| bed.scratch.write("added", "mine\n")),
        ("untracked link in the way", |bed| {
            std::os::unix::fs::symlink("nowhere", bed.scratch.root().join("link")).unwrap();
        }),
        ("ignored file in the way", |bed| {
            std::fs::write(bed.repo.common_dir().join("info/exclude"), "new.txt\n").unwrap();
            bed.scratch.write("added/deep/new.txt", "mine\n");
        }),
    ];
    for (name, edit) in cases {
        let bed = Bed::new();
        let (from, to) = next(&bed);
        edit(&bed);
        let before = bed.scratch.git(&["status", "--porcelain", "-uall"]);
        let reason = land(&bed, &from, &to).expect_err(name);
        assert!(reason.contains(" cannot follow: "), "{name}: {reason}");
        assert_eq!(bed.head(), from, "{name}");
        assert_eq!(bed.scratch.git(&["status", "--porcelain", "-uall"]), before, "{name}");
    }
}

#[test]
fn an_edit_between_look_and_move_is_kept_and_told() {
    let bed = Bed::new();
    let (from, to) = next(&bed);
    bed.scratch.git(&["update-ref", "refs/heads/main", to.as_str(), from.as_str()]);
    bed.scratch.write("changed.txt", "mine\n");
    wait(bed.lander.follow(&branch("main"), &from, &to)).unwrap_err();
    assert_eq!(bed.scratch.read("changed.txt"), "mine\n");
    // The person puts it aside; the landing is completed.
    bed.scratch.write("changed.txt", "1\n");
    wait(bed.lander.follow(&branch("main"), &from, &to)).unwrap();
    assert_eq!(bed.scratch.git(&["status", "--porcelain"]), "");
}

#[test]
fn touched_files_and_moves_that_git_must_make_follow_too() {
    let bed = Bed::new();
    bed.scratch.write("thing", "a file\n");
    let from = Oid::new(bed.scratch.commit("file"));
    bed.scratch.git(&["switch", "-q", "-c", "next"]);
    bed.scratch.git(&["rm", "-q", "thing"]);
    bed.scratch.write("thing/inner.txt", "now a directory\n");
    bed.scratch.write(".gitattributes", "*.txt text\n");
    let to = Oid::new(bed.scratch.commit("directory"));
    bed.scratch.git(&["switch", "-q", "main"]);
    // Same bytes, new stat data.
    std::fs::remove_file(bed.scratch.root().join("thing")).unwrap();
    bed.scratch.write("thing", "a file\n");
    land(&bed, &from, &to).unwrap();
    assert_eq!(bed.scratch.git(&["status", "--porcelain"]), "");
    assert_eq!(bed.scratch.read("thing/inner.txt"), "now a directory\n");
}

#[test]
fn every_checkout_of_the_branch_follows_and_others_do_not() {
    let bed = Bed::new();
    let (from, to) = next(&bed);
    bed.scratch.git(&["switch", "-q", "-c", "elsewhere"]);
    let linked = bed.scratch.outside().join("linked main");
    bed.scratch.git(&["worktree", "add", "-q", linked.to_str().unwrap(), "main"]);
    let target = branch("main");
    write(&linked, "changed.txt", "mine\n");
    let reason = wait(bed.lander.obstacle(&target, &from, &to)).unwrap().unwrap();
    assert!(reason.starts_with(linked.to_str().unwrap()), "{reason}");
    write(&linked, "changed.txt", "1\n");
    land(&bed, &from, &to).unwrap();
    assert_eq!(bed.inside(&linked, &["status", "--porcelain"]), "");
    assert_eq!(read(&linked, "changed.txt"), "2\n");
    assert!(bed.inside(&linked, &["reflog", "show", "HEAD"]).starts_with(&to.as_str()[..7]));
    assert_eq!(bed.scratch.read("changed.txt"), "1\n");
    assert_eq!(bed.scratch.git(&["status", "--porcelain"]), "");
}

#[test]
fn the_hooks_path_of_a_worktree_configuration_is_handed_on() {
    let bed = Bed::new();
    bed.scratch.git(&["config", "extensions.worktreeConfig", "true"]);
    bed.scratch.git(&["config", "--worktree", "core.hooksPath", "/somewhere/hooks"]);
    bed.scratch.git(&["config", "--worktree", "core.bare", "false"]);
    let bed = Bed::of(bed.scratch);
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    assert_eq!(bed.inside(&spec.path, &["config", "core.hooksPath"]), "/somewhere/hooks");
    assert_eq!(bed.try_inside(&spec.path, &["config", "--worktree", "core.bare"]).code, 1);
    assert_eq!(bed.inside(&spec.path, &["status", "--porcelain"]), "");
}

#[test]
fn a_clean_worktree_is_used_again_and_a_touched_one_is_not() {
    use std::os::unix::fs::MetadataExt;
    let bed = Bed::new();
    bed.scratch.write("stays.txt", "1\n");
    bed.scratch.write("goes.txt", "1\n");
    bed.scratch.commit("files");
    let inode = |spec: &WorktreeSpec| spec.path.join("stays.txt").metadata().unwrap().ino();
    let (first, second) = (bed.spec("1.1-first"), bed.spec("1.2-second"));
    bed.prepare(&first).unwrap();
    let made = inode(&first);
    bed.retire(&first, Some(&bed.head()));
    bed.scratch.git(&["rm", "-q", "goes.txt"]);
    bed.scratch.write("comes/new.txt", "new\n");
    bed.scratch.write("README.md", "other\n");
    bed.scratch.commit("moved");
    let second = WorktreeSpec { start: bed.head(), ..second };
    bed.prepare(&second).unwrap();
    assert_eq!(inode(&second), made);
    assert_eq!(bed.inside(&second.path, &["status", "--porcelain=v2", "--ignored"]), "");
    assert_eq!(bed.inside(&second.path, &["rev-parse", "HEAD"]), bed.head().as_str());
    assert_eq!(bed.inside(&second.path, &["write-tree"]), bed.scratch.git(&["rev-parse", "main^{tree}"]));
    assert_eq!((read(&second.path, "README.md"), second.path.join("goes.txt").exists()), ("other\n".to_owned(), false));
    bed.retire(&second, Some(&bed.head()));
    // A process that outlived its attempt writes into it.
    let slot = bed.repo.state_dir().join("pool").read_dir().unwrap().next().unwrap().unwrap().path();
    write(&slot.join("files"), "stays.txt", "smuggled\n");
    write(&slot.join("files"), "extra.txt", "smuggled\n");
    bed.prepare(&second).unwrap();
    assert_eq!(read(&second.path, "stays.txt"), "1\n");
    assert_eq!(bed.inside(&second.path, &["status", "--porcelain=v2", "--ignored"]), "");
    // An empty directory or an ignored file is not handed on either.
    std::fs::create_dir(second.path.join("empty")).unwrap();
    bed.retire(&second, Some(&bed.head()));
    let pool = bed.repo.state_dir().join("pool");
    assert!(pool.read_dir().map_or(0, Iterator::count) == 0);
    let pool_of = || pool.exists();
    bed.prepare(&second).unwrap();
    bed.retire(&second, Some(&bed.head()));
    assert!(pool_of());
    drop(bed.trees);
    assert!(!pool.exists());
}

#[test]
fn many_stories_take_kept_worktrees_at_the_same_time() {
    let bed = Bed::new();
    let specs = || -> Vec<WorktreeSpec> { (0..8).map(|number| bed.spec(&format!("1.{number}-story"))).collect() };
    for spec in &specs() {
        bed.prepare(spec).unwrap();
    }
    for spec in &specs() {
        bed.retire(spec, Some(&bed.head()));
    }
    for round in 0..10 {
        // The kept ones have files to change.
        bed.scratch.write("round.txt", round.to_string());
        bed.scratch.commit("round");
        let specs = specs();
        // Each thread takes one out of the pool while the others look into it.
        let barrier = std::sync::Barrier::new(specs.len());
        std::thread::scope(|scope| {
            let one = |spec: &WorktreeSpec| {
                let trees = bed.trees.clone();
                let (spec, barrier) = (spec.clone(), &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    wait(trees.prepare(&spec)).map(drop).map_err(|error| format!("{error:?}"))
                })
            };
            let all: Vec<_> = specs.iter().map(one).collect();
            for ended in all {
                assert_eq!(ended.join().unwrap(), Ok(()));
            }
        });
        for spec in &specs {
            assert_eq!(bed.inside(&spec.path, &["status", "--porcelain=v2", "--ignored"]), "");
            bed.retire(spec, Some(&bed.head()));
        }
    }
}
