//! The ledger on real repositories: refs, chains, compare-and-swap, packing.

use git_orchestrate::adapters::git::cli;
use git_orchestrate::adapters::git::refs::{self, Expected, Head, RefError, RefUpdate, RefWriter};
use git_orchestrate::adapters::git::repo::Repo;
use git_orchestrate::domain::names::{BranchRef, Oid};

use crate::support::Scratch;

mod fixtures;
mod joining;
mod machine;
mod packing;
mod store;

/// A move of one ref.
fn update(name: &str, expected: Expected, new: &Oid) -> RefUpdate {
    RefUpdate { name: name.to_owned(), expected, new: Some(new.clone()) }
}

/// An id printed by git.
fn oid(text: &str) -> Oid {
    Oid::new(text)
}

#[test]
fn the_main_worktree_is_found_from_everywhere() {
    let scratch = Scratch::new();
    scratch.write("deep/er/file", "x");
    scratch.git(&["worktree", "add", "-q", "--detach", "../home/linked"]);
    let root = scratch.root();
    for from in [root.clone(), root.join("deep/er"), root.join(".git"), scratch.outside().join("linked")] {
        let repo = Repo::discover(&from).unwrap();
        assert_eq!(repo.root(), root, "{}", from.display());
        assert_eq!(repo.common_dir(), root.join(".git"));
        assert_eq!(repo.state_dir(), root.join(".git/orchestrate"));
        assert_eq!(repo.invoked_from_linked_worktree(), from.ends_with("linked"));
        assert!(!repo.is_bare());
    }
}

#[test]
fn a_git_directory_that_lies_elsewhere_is_followed() {
    let scratch = Scratch::empty();
    scratch.git(&["init", "-q", "-b", "main", "--separate-git-dir=../home/git"]);
    let repo = Repo::discover(&scratch.root()).unwrap();
    assert_eq!(repo.root(), scratch.root());
    assert_eq!(repo.common_dir(), scratch.outside().join("git"));
    assert_eq!(repo.gix().workdir(), Some(scratch.root().as_path()));
    assert!(!repo.is_bare() && !repo.invoked_from_linked_worktree());
}

#[test]
fn the_environment_cannot_move_the_program_or_its_worktree() {
    let scratch = Scratch::new();
    scratch.git(&["worktree", "add", "-q", "-b", "story/1.1", ".worktrees/1.1"]);
    let repo = Repo::discover(&scratch.root()).unwrap();
    let worktree = scratch.root().join(".worktrees/1.1");
    // The agent points its worktree at a repository of its own, with a program to run.
    scratch.git(&["init", "-q", "../home/evil"]);
    let program = format!("touch {}", scratch.outside().join("ran").display());
    scratch.git(&["-C", "../home/evil", "config", "core.fsmonitor", &program]);
    let evil = format!("gitdir: {}\n", scratch.outside().join("evil/.git").display());
    std::fs::write(worktree.join(".git"), evil).unwrap();
    scratch.git(&["config", "core.fsmonitor", &program]);
    let said = cli::run(cli::git_in(&repo, &worktree).unwrap().args(["status", "--porcelain=v2", "--branch"])).unwrap();
    assert!(String::from_utf8(said).unwrap().contains("# branch.head story/1.1"));
    let said = cli::run(cli::git(&repo).args(["symbolic-ref", "HEAD"])).unwrap();
    assert_eq!(said, b"refs/heads/main\n");
    assert!(!scratch.outside().join("ran").exists());
    assert!(cli::git_in(&repo, &scratch.outside()).is_err());
}

#[test]
fn what_cannot_be_worked_in_is_named() {
    let nothing = Scratch::empty();
    let error = Repo::discover(&nothing.root()).unwrap_err();
    assert!(error.message.contains("is not in a git repository"), "{}", error.message);

    let bare = Scratch::empty();
    bare.git(&["init", "-q", "--bare"]);
    let repo = Repo::discover(&bare.root()).unwrap();
    assert!(repo.is_bare());
    assert!(repo.require_work_tree().unwrap_err().message.contains("bare repository"));

    let foreign = Scratch::unborn();
    let config = "[core]\n\trepositoryformatversion = 1\n[extensions]\n\trefStorage = cards\n";
    foreign.write(".git/config", config);
    let error = Repo::discover(&foreign.root()).unwrap_err();
    assert_eq!(error.message, "this repository keeps its refs as `cards`; only `files` and `reftable` are supported");
}

#[test]
fn a_sha256_repository_is_read_and_written() {
    let scratch = Scratch::empty();
    scratch.git(&["init", "-q", "-b", "main", "--object-format=sha256"]);
    let first = oid(&scratch.commit("first"));
    assert_eq!(first.as_str().len(), 64);
    let repo = Repo::discover(&scratch.root()).unwrap();
    assert_eq!(refs::tip(&repo, "refs/heads/main").unwrap(), Some(first.clone()));
    let mut writer = RefWriter::new(&repo);
    writer.transaction(&[update("refs/orchestrate/items/1.1", Expected::Absent, &first)]).unwrap();
    assert_eq!(scratch.git(&["rev-parse", "refs/orchestrate/items/1.1"]), first.as_str());
    assert!(repo.object_id(&oid(&"0".repeat(40))).is_err());
}

#[test]
fn head_is_a_branch_unborn_or_detached() {
    let unborn = Scratch::unborn();
    let repo = Repo::discover(&unborn.root()).unwrap();
    assert_eq!(refs::head_branch(&repo).unwrap(), Head::Unborn(BranchRef::new("refs/heads/main")));
    let first = unborn.commit("first");
    assert_eq!(refs::head_branch(&repo).unwrap(), Head::Branch(BranchRef::new("refs/heads/main")));
    unborn.git(&["checkout", "-q", "--detach"]);
    assert_eq!(refs::head_branch(&repo).unwrap(), Head::Detached(oid(&first)));
}

#[test]
fn refs_are_read_loose_and_packed_and_never_through_a_symbolic_one() {
    let scratch = Scratch::new();
    let first = scratch.git(&["rev-parse", "HEAD"]);
    let repo = Repo::discover(&scratch.root()).unwrap();
    scratch.git(&["update-ref", "refs/orchestrate/items/1.1", &first]);
    scratch.git(&["pack-refs", "--all"]);
    scratch.git(&["update-ref", "refs/orchestrate/items/1.2", &first]);
    scratch.git(&["update-ref", "refs/heads/refs/orchestrate/items/1.3", &first]);
    scratch.git(&["symbolic-ref", "refs/orchestrate/items/1.4", "refs/heads/main"]);
    let names: Vec<_> =
        refs::list(&repo, "refs/orchestrate/items/").unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["refs/orchestrate/items/1.1", "refs/orchestrate/items/1.2"]);
    assert_eq!(refs::tip(&repo, "refs/orchestrate/items/1.3").unwrap(), None);
    assert!(refs::tip(&repo, "refs/orchestrate/items/1.4").unwrap_err().message.contains("symbolic ref"));
    assert!(refs::tip(&repo, "main").is_err());
    let mut writer = RefWriter::new(&repo);
    let moved = update("refs/orchestrate/items/1.4", Expected::Absent, &oid(&first));
    assert!(writer.transaction(&[moved]).is_err());
    assert_eq!(scratch.git(&["symbolic-ref", "refs/orchestrate/items/1.4"]), "refs/heads/main");
}

#[test]
fn a_lost_compare_and_swap_moves_nothing_and_the_writer_goes_on() {
    let scratch = Scratch::new();
    let first = oid(&scratch.git(&["rev-parse", "HEAD"]));
    let second = oid(&scratch.commit("second"));
    let repo = Repo::discover(&scratch.root()).unwrap();
    let mut writer = RefWriter::new(&repo);
    writer.transaction(&[update("refs/orchestrate/items/1.1", Expected::Absent, &first)]).unwrap();
    let lost = writer.transaction(&[
        update("refs/orchestrate/items/1.2", Expected::Absent, &first),
        update("refs/orchestrate/items/1.1", Expected::Value(second.clone()), &second),
    ]);
    assert!(matches!(lost, Err(RefError::Conflict { ref name }) if name == "refs/orchestrate/items/1.1"), "{lost:?}");
    assert_eq!(refs::tip(&repo, "refs/orchestrate/items/1.2").unwrap(), None);
    assert_eq!(refs::tip(&repo, "refs/orchestrate/items/1.1").unwrap(), Some(first.clone()));
    writer.transaction(&[update("refs/orchestrate/items/1.1", Expected::Value(first), &second)]).unwrap();
    assert_eq!(refs::tip(&repo, "refs/orchestrate/items/1.1").unwrap(), Some(second));
    assert_eq!(writer.transactions(), 2);
}

#[test]
fn a_writer_whose_child_was_killed_starts_another() {
    let scratch = Scratch::new();
    let first = oid(&scratch.git(&["rev-parse", "HEAD"]));
    let repo = Repo::discover(&scratch.root()).unwrap();
    let mut writer = RefWriter::new(&repo);
    writer.transaction(&[update("refs/orchestrate/items/1.1", Expected::Absent, &first)]).unwrap();
    let child = writer.child_id().unwrap();
    scratch.command("kill").args(["-9", &child.to_string()]).status().unwrap();
    writer.transaction(&[update("refs/orchestrate/items/1.2", Expected::Absent, &first)]).unwrap();
    assert_ne!(writer.child_id(), Some(child));
    let removed = RefUpdate { name: "refs/orchestrate/items/1.2".into(), expected: Expected::Value(first), new: None };
    writer.transaction(&[removed]).unwrap();
    assert_eq!(refs::tip(&repo, "refs/orchestrate/items/1.2").unwrap(), None);
}

#[test]
fn no_hook_of_the_repository_runs_when_we_write_a_ref() {
    let scratch = Scratch::new();
    let first = oid(&scratch.git(&["rev-parse", "HEAD"]));
    let hook = scratch.root().join(".git/hooks/reference-transaction");
    scratch.write(".git/hooks/reference-transaction", "#!/bin/sh\necho ran >>\"$GIT_DIR/ran\"\nexit 1\n");
    scratch.command("chmod").arg("+x").arg(&hook).status().unwrap();
    assert_ne!(scratch.try_git(&["update-ref", "refs/heads/other", first.as_str()]).code, 0, "the hook works");
    let repo = Repo::discover(&scratch.root()).unwrap();
    RefWriter::new(&repo).transaction(&[update("refs/orchestrate/items/1.1", Expected::Absent, &first)]).unwrap();
    assert_eq!(refs::tip(&repo, "refs/orchestrate/items/1.1").unwrap(), Some(first));
}

#[test]
fn only_the_refs_module_calls_ref_functions_of_the_library() {
    const FORBIDDEN: [&str; 14] = [
        ".find_reference(",
        ".try_find_reference(",
        ".references()",
        ".head()",
        ".head_id()",
        ".head_name()",
        ".head_ref()",
        ".head_commit()",
        ".head_tree",
        ".edit_reference",
        ".set_head",
        ".tag_reference(",
        ".rev_parse",
        "gix::refs",
    ];
    let mut offenders = Vec::new();
    let mut folders = vec![std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("adapters/git/refs.rs") {
                // The permit's head is an id, not HEAD; status compares with a tree that it is given.
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text.replace("permit.head()", "").replace(".head_tree(head_tree)", "");
                let found = FORBIDDEN.iter().filter(|call| text.contains(*call));
                offenders.extend(found.map(|call| format!("{}: {call}", path.display())));
            }
        }
    }
    assert_eq!(offenders, Vec::<String>::new());
}
