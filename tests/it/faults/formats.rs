//! F25: kinds of repositories. Each works, shown by two stories that land, or is refused in one sentence. Must not use the
//! network.

use git_orchestrate::adapters::git::refs::{Expected, RefUpdate, RefWriter};
use git_orchestrate::adapters::git::repo::Repo;
use git_orchestrate::adapters::process::environment::Environment;
use git_orchestrate::domain::names::Oid;

use super::note;
use crate::project::{Project, until};
use crate::support::Scratch;

const FAULT: &str = "F25";

/// Two stories, the second after the first, not committed yet.
fn two_stories(script: &str) -> Project {
    let project = Project::new(script, "");
    project.story("1.1", "First", "None").story("1.2", "Second", "1.1");
    project
}

/// Makes the repository again, with other options of `git init`, and commits everything.
fn again(project: &Project, options: &[&str]) {
    std::fs::remove_dir_all(project.scratch.root().join(".git")).unwrap();
    let init = ["init", "-q", "-b", "main"];
    project.scratch.git(&init.iter().chain(options).copied().collect::<Vec<_>>());
    project.scratch.commit("stories");
}

/// Puts a clone of the repository, made with the options, in its place. What it was cloned from is gone afterwards.
fn cloned(project: &Project, options: &[&str]) {
    let git = |args: &[&str]| project.scratch.git(args);
    git(&["config", "uploadpack.allowFilter", "true"]);
    let (from, to) = (project.scratch.root(), project.scratch.outside().join("clone"));
    let url = format!("file://{}", from.display());
    let clone = ["clone", "-q"].iter().chain(options).copied();
    git(&clone.chain([url.as_str(), to.to_str().unwrap()]).collect::<Vec<_>>());
    std::fs::rename(from.join(".git"), project.scratch.outside().join("gone.git")).unwrap();
    std::fs::rename(to.join(".git"), from.join(".git")).unwrap();
    git(&["reset", "-q"]);
    assert_eq!(git(&["status", "--porcelain"]), "");
}

/// Both stories land, once each, and everything that shows or checks something agrees.
fn lands(project: &Project, point: &str) {
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 0, "{point}: {}\n{}", ran.stdout, ran.stderr);
    landed(project, point);
}

fn landed(project: &Project, point: &str) {
    for id in ["1.1", "1.2"] {
        assert_eq!(project.merges_of(id), 1, "{point}, {id}: {:?}", project.mainline());
        assert_eq!(project.status_of(id), "Landed", "{point}");
    }
    for command in ["verify", "cleanup"] {
        let ran = project.orchestrate(&[command]);
        assert_eq!(ran.code, 0, "{point}: {command}: {}\n{}", ran.stdout, ran.stderr);
    }
    project.assert_tidy();
    note(FAULT, point, "two stories landed");
}

#[test]
fn reftable_kill_resume_hooks_and_a_detached_check() {
    let touched = "[[step]]\nphase = \"implementation\"\nitem = \"1.2\"\nnth = 1\ndo = [{ write = { path = \"left.txt\", \
                   text = \"left\" } }, { touch = AT }, \"hang\"]\n";
    let project = two_stories("");
    project.script(&touched.replace("AT", &format!("{:?}", project.meeting("there").to_str().unwrap())));
    let policy = project.scratch.read(".orchestrate.toml") + "[checks]\nthere = [\"test\", \"-f\", \"README.md\"]\n";
    project.scratch.write(".orchestrate.toml", policy);
    again(&project, &["--ref-format=reftable"]);
    assert_eq!(project.orchestrate(&["init"]).code, 0);

    let live = project.start(&["stories"]);
    until("the second story", || project.meeting("there").exists());
    // Git and we agree on what the worktree of the story has checked out, and its commits get their trailer.
    let worktree = project.scratch.root().join(".worktrees/1.2-second");
    let at = worktree.to_str().unwrap();
    assert_eq!(project.scratch.git(&["-C", at, "symbolic-ref", "HEAD"]), "refs/heads/story/1.2-second");
    let committed = project.scratch.git(&["-C", at, "commit", "-q", "--allow-empty", "-m", "by hand"]);
    assert_eq!(committed, "");
    let trailers = "--format=%(trailers:key=Story,valueonly)";
    assert_eq!(project.scratch.git(&["-C", at, "log", "-1", trailers]).trim(), "1.2");
    live.kill();

    // No way to the branch past the gate, here as elsewhere.
    let merged = project.scratch.try_git(&["merge", "--no-edit", "story/1.2-second"]);
    assert!(merged.code != 0 && merged.stderr.contains("git-orchestrate"), "{merged:?}");
    project.scratch.try_git(&["merge", "--abort"]);

    let ran = project.orchestrate(&["resume"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    landed(&project, "reftable, killed and resumed");
    assert_eq!(project.scratch.git(&["show", "main:left.txt"]), "left");
    let loose = std::fs::read_dir(project.scratch.root().join(".git/refs")).unwrap().flatten();
    assert_eq!(loose.map(|entry| entry.file_name()).collect::<Vec<_>>(), ["heads"], "a ref that git does not see");
}

#[test]
fn sha256_shallow_and_partial() {
    let project = two_stories("");
    again(&project, &["--object-format=sha256"]);
    project.scratch.write("later.txt", "later\n");
    project.scratch.commit("later");
    cloned(&project, &["--depth", "1", "--filter=blob:none"]);
    assert_eq!(project.scratch.git(&["rev-parse", "--is-shallow-repository"]), "true");
    lands(&project, "sha256, shallow, partial");
}

#[test]
fn submodules_sparse_checkout_configuration_per_worktree_and_a_bare_copy() {
    // The story writes into the submodule's folder's neighbour and beyond the cone.
    let step = "[[step]]\nphase = \"implementation\"\nitem = \"1.1\"\nnth = 1\ndo = [{ write = { path = \"far/new.txt\", \
                text = \"new\" } }, { write = { path = \"near.txt\", text = \"near\" } }, { commit = \"both\" }]\n";
    let project = two_stories(step);
    let library = Scratch::new();
    project.scratch.write("far/old.txt", "old\n");
    let url = library.root();
    project.scratch.git(&["-c", "protocol.file.allow=always", "submodule", "-q", "add", url.to_str().unwrap(), "lib"]);
    project.scratch.commit("stories");
    project.scratch.git(&["config", "extensions.worktreeConfig", "true"]);
    project.scratch.git(&["config", "core.repositoryFormatVersion", "1"]);
    project.scratch.git(&["config", "extensions.preciousObjects", "true"]);
    project.scratch.git(&["sparse-checkout", "set", "--skip-checks", "docs", "lib"]);
    assert!(!project.scratch.root().join("far").exists());
    lands(&project, "submodule, sparse checkout, worktreeConfig, preciousObjects");
    assert_eq!(project.scratch.read("near.txt"), "near");
    assert!(!project.scratch.root().join("far").exists(), "a landing widened the sparse checkout");
    assert_eq!(project.scratch.git(&["show", "main:far/new.txt"]), "new");
    assert!(project.scratch.root().join("lib/README.md").is_file());
    assert_bare_copy_shows(&project);
}

#[test]
#[ignore = "battery"]
fn sixty_four_agents_commit_at_once_in_a_reftable_repository() {
    let project = two_stories("");
    again(&project, &["--ref-format=reftable"]);
    let places: Vec<_> = (0..64).map(|number| project.scratch.outside().join(format!("w{number}"))).collect();
    for place in &places {
        project.scratch.git(&["worktree", "add", "-q", "--no-checkout", place.to_str().unwrap()]);
    }
    let commit = |place: &std::path::Path| {
        let mut git = project.scratch.command("git");
        // What agents get of us, git's configuration among it.
        git.envs(Environment::filtered([], &[]).iter());
        git.arg("-C").arg(place).args(["commit", "-q", "--allow-empty", "-m", "work"]).spawn().unwrap()
    };
    for _ in 0..3 {
        let children: Vec<_> = places.iter().map(|place| commit(place)).collect();
        let codes: Vec<_> = children.into_iter().map(|mut child| child.wait().unwrap().code()).collect();
        assert!(codes.iter().all(|code| *code == Some(0)), "{codes:?}");
    }
    assert_eq!(project.scratch.git(&["rev-list", "--all", "--count", "--grep=^work$"]), "192");
    note(FAULT, "64 agents commit at once, reftable", "192 of 192 commits");
}

#[test]
#[ignore = "battery"]
fn the_one_lock_of_all_reftables_is_waited_for_and_taken_over_from_the_dead() {
    let project = two_stories("");
    again(&project, &["--ref-format=reftable"]);
    let repo = Repo::discover(&project.scratch.root()).unwrap();
    let tip = Oid::new(project.scratch.git(&["rev-parse", "main"]));
    let make = |name: &str| RefUpdate { name: name.to_owned(), expected: Expected::Absent, new: Some(tip.clone()) };
    let lock = project.scratch.root().join(".git/reftable/tables.list.lock");

    let held = std::fs::File::create(&lock).unwrap();
    let gone = lock.clone();
    let holder = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_secs(3));
        std::fs::remove_file(gone).unwrap();
        drop(held);
    });
    RefWriter::new(&repo).transaction(&[make("refs/orchestrate/items/1.1")]).unwrap();
    holder.join().unwrap();
    note("F14", "tables.list.lock held by a live process for 3 s", "waited for");

    let held = std::fs::File::create(&lock).unwrap();
    let error = RefWriter::new(&repo).transaction(&[make("refs/orchestrate/items/1.2")]).unwrap_err();
    assert!(error.to_string().contains("locked"), "{error}");
    assert!(lock.exists(), "a live lock was taken away");
    note("F14", "tables.list.lock held by a live process for ever", "named, not touched");

    drop(held);
    RefWriter::new(&repo).transaction(&[make("refs/orchestrate/items/1.3")]).unwrap();
    assert!(!lock.exists());
    note("F13", "tables.list.lock of a dead process", "taken over");
}

#[test]
#[ignore = "battery"]
fn every_kind_by_itself() {
    let kinds: [(&str, &[&str]); 3] = [
        ("reftable", &["--ref-format=reftable"]),
        ("sha256", &["--object-format=sha256"]),
        ("reftable and sha256", &["--ref-format=reftable", "--object-format=sha256"]),
    ];
    for (point, options) in kinds {
        let project = two_stories("");
        again(&project, options);
        lands(&project, point);
    }
    let clones: [(&str, &[&str]); 4] = [
        ("shallow", &["--depth", "1"]),
        ("partial", &["--filter=blob:none"]),
        ("reftable, shallow", &["--depth", "1", "--ref-format=reftable"]),
        ("single branch, no tags", &["--single-branch", "--no-tags"]),
    ];
    for (point, options) in clones {
        let project = two_stories("");
        project.commit();
        project.scratch.write("later.txt", "later\n");
        project.scratch.commit("later");
        cloned(&project, options);
        lands(&project, point);
    }
}

#[test]
#[ignore = "battery"]
fn every_setting_by_itself() {
    let settings: [(&str, &[&[&str]]); 7] = [
        (
            "preciousObjects",
            &[&["config", "core.repositoryFormatVersion", "1"], &["config", "extensions.preciousObjects", "true"]],
        ),
        (
            "worktreeConfig",
            &[&["config", "extensions.worktreeConfig", "true"], &["config", "--worktree", "core.pager", "cat"]],
        ),
        ("split index", &[&["update-index", "--split-index"]]),
        ("sparse index", &[&["sparse-checkout", "set", "--sparse-index", "docs"]]),
        (
            "index version 4, untracked cache",
            &[&["config", "feature.manyFiles", "true"], &["update-index", "--index-version", "4"]],
        ),
        ("no hash in the index", &[&["config", "index.skipHash", "true"], &["reset", "-q", "--hard"]]),
        ("all refs and objects packed", &[&["gc", "-q"], &["commit-graph", "write", "--reachable"]]),
    ];
    for (point, commands) in settings {
        let project = two_stories("");
        project.scratch.write("far/old.txt", "old\n");
        project.commit();
        for command in commands {
            project.scratch.git(command);
        }
        lands(&project, point);
    }
}

#[test]
#[ignore = "battery"]
fn git_directories_that_lie_elsewhere() {
    let project = two_stories("");
    project.commit();
    let elsewhere = project.scratch.outside().join("elsewhere.git");
    project.scratch.git(&["init", "-q", "--separate-git-dir", elsewhere.to_str().unwrap()]);
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!((project.merges_of("1.1"), project.merges_of("1.2")), (1, 1));
    assert_eq!(project.scratch.git(&["status", "--porcelain"]), "");
    note(FAULT, "git directory elsewhere", "two stories landed");

    let project = two_stories("");
    project.commit();
    let objects = project.scratch.outside().join("objects.git");
    project.scratch.git(&["clone", "-q", "--bare", ".", objects.to_str().unwrap()]);
    let alternates = format!("{}/objects\n", objects.display());
    project.scratch.write(".git/objects/info/alternates", alternates);
    project.scratch.git(&["repack", "-q", "-a", "-d", "-l"]);
    project.scratch.git(&["prune-packed"]);
    lands(&project, "objects of another repository (alternates)");
}

/// What a bare copy with the records can do, and what it says of the rest.
fn assert_bare_copy_shows(project: &Project) {
    let bare = Scratch::empty();
    bare.git(&["clone", "-q", "--mirror", project.scratch.root().to_str().unwrap(), "."]);
    for command in [&["status"][..], &["verify"], &["log", "1.1"]] {
        let ran = bare.orchestrate(command);
        assert_eq!(ran.code, 0, "{command:?}: {ran:?}");
        assert!(ran.stdout.contains("1.1"), "{command:?}: {ran:?}");
    }
    for command in [&["stories"][..], &["resume"], &["retry", "1.1"], &["cleanup"]] {
        let ran = bare.orchestrate(command);
        assert_eq!(ran.code, 2, "{command:?}: {ran:?}");
        assert_eq!(ran.stderr.matches("is a bare repository").count(), 1, "{command:?}: {ran:?}");
    }
    note(FAULT, "bare", "status, verify and log work; what needs files says so in one sentence");
}

#[test]
fn another_storage_of_refs_is_one_sentence() {
    let project = two_stories("");
    project.commit();
    let config =
        project.scratch.read(".git/config").replace("repositoryformatversion = 0", "repositoryformatversion = 1");
    project.scratch.write(".git/config", config + "[extensions]\n\trefStorage = cards\n");
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("keeps its refs as `cards`"), "{ran:?}");
    note(FAULT, "unknown storage of refs", "refused in one sentence");
}
