//! What a veto leaves half done, and that the command printed with it undoes that: the printed one is run.

use super::row::Setting;
use super::setting::{Fixture, Mode, Place};
use crate::support::Ran;

const OWN: &str = "echo own > own.txt && git add own.txt && git commit -q -m own";

/// A refused operation.
struct Case {
    line: &'static str,
    /// Done before, with hooks off.
    before: &'static str,
    /// A change that is not staged when the operation begins.
    edit: bool,
    /// How the printed command begins.
    undo: &'static str,
    /// Whether the command is to be run also where it is named with an "if".
    runs_anyway: bool,
}

const fn case(line: &'static str, before: &'static str, undo: &'static str) -> Case {
    Case { line, before, edit: true, undo, runs_anyway: false }
}

/// Everything of the work tree that the undo must bring back.
#[derive(Debug, PartialEq, Eq)]
struct State {
    head: String,
    status: String,
    edited: String,
    stash: String,
    refs: Vec<(String, String)>,
    in_progress: Vec<&'static str>,
}

impl State {
    fn of(fixture: &Fixture, place: &Place) -> Self {
        let said = |line: &str| fixture.run(place, line).stdout;
        let folder = std::path::PathBuf::from(said("git rev-parse --absolute-git-dir").trim_end());
        let marks = ["MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply", "sequencer"];
        Self {
            head: said("git symbolic-ref -q HEAD || git rev-parse HEAD"),
            status: said("git status --porcelain"),
            edited: said("cat README.md"),
            stash: said("git stash list"),
            refs: fixture.refs(place),
            in_progress: marks.into_iter().filter(|mark| folder.join(mark).exists()).collect(),
        }
    }
}

/// What is said behind "to undo:".
fn printed(ran: &Ran) -> String {
    let line = ran.stderr.lines().rev().find_map(|line| line.trim_start().strip_prefix("to undo:"));
    line.unwrap_or_else(|| panic!("no way back is named: {ran:?}")).trim().to_owned()
}

/// The command in it, without what is said before and after.
fn command(printed: &str) -> Option<&str> {
    let text = &printed[printed.find("git ")?..];
    Some(text.split(" (").next().unwrap_or(text).trim_end())
}

fn refused_and_undone(mode: Mode, cases: &[Case]) {
    let mut wrong = Vec::new();
    for setting in [Setting::Main, Setting::Linked] {
        let fixture = Fixture::new(setting, mode);
        for case in cases {
            if let Err(said) = tried(&fixture, case) {
                wrong.push(format!("{} in the {}:\n{said}", case.line, setting.title()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn tried(fixture: &Fixture, case: &Case) -> Result<(), String> {
    let place = fixture.copy(case.line.contains("../clone"));
    fixture.prepare(&place, if case.before.is_empty() { "true" } else { case.before })?;
    if case.edit {
        let readme = place.here().join("README.md");
        let text = std::fs::read_to_string(&readme).unwrap();
        std::fs::write(readme, text + "not staged\n").unwrap();
    }
    let before = State::of(fixture, &place);
    let ran = fixture.run(&place, case.line);
    if ran.code == 0 || !ran.stderr.contains("git-orchestrate: refused") {
        return Err(format!("not refused: {ran:?}"));
    }
    let undo = printed(&ran);
    if !undo.starts_with(case.undo) {
        return Err(format!("the way back is `{undo}`, not `{}`", case.undo));
    }
    // Said with an "if", it is for a person to judge whether anything is there to undo.
    if let Some(command) = command(&undo).filter(|_| undo.starts_with("git ") || case.runs_anyway) {
        let undone = fixture.run(&place, command);
        if undone.code != 0 {
            return Err(format!("`{undo}` failed: {undone:?}"));
        }
    }
    let after = State::of(fixture, &place);
    if after == before { Ok(()) } else { Err(format!("after `{undo}`\n  is  {after:?}\n  was {before:?}")) }
}

#[test]
fn a_fast_forward_reset_or_checkout_is_undone() {
    let files = "git reset --merge";
    let topic = "git switch -q topic";
    let mut hard = case("git reset --hard story/1.1-one", "", files);
    // That command itself throws away what is not staged.
    hard.edit = false;
    refused_and_undone(
        Mode::Stories,
        &[
            case("git merge --ff-only story/1.1-one", "", files),
            case("git merge --no-verify story/1.1-one", "", files),
            case("git pull --ff-only . story/1.1-one", "", files),
            case("git cherry-pick --ff story/1.1-one~1", "", files),
            case("git reset --keep story/1.1-one", "", files),
            case("git checkout -B main story/1.1-one", topic, files),
            case("git switch -C main story/1.1-one", topic, files),
            hard,
        ],
    );
}

#[test]
fn a_merge_that_was_stopped_is_aborted() {
    let abort = "git merge --abort";
    refused_and_undone(
        Mode::Stories,
        &[
            case("git merge --no-ff -m m story/1.1-one", "", abort),
            case("git merge --no-ff --no-verify -m m story/1.1-one", "", abort),
            case("git merge -m m story/1.1-one", OWN, abort),
            case("git merge -m m topic story/1.1-one", "", abort),
            case("git pull --no-rebase . story/1.1-one", OWN, abort),
            case("git pull --no-rebase --no-verify . story/1.1-one", OWN, abort),
        ],
    );
}

#[test]
fn a_rebase_that_was_stopped_is_aborted() {
    let abort = "git rebase --abort";
    refused_and_undone(
        Mode::Stories,
        &[
            case("git rebase --autostash story/1.1-one", OWN, abort),
            case("git rebase --autostash --no-verify story/1.1-one", OWN, abort),
            case("git rebase --autostash -i story/1.1-one", OWN, abort),
            case("git pull --rebase --autostash . story/1.1-one", OWN, abort),
        ],
    );
}

#[test]
fn a_rebase_that_only_forwards_main_is_undone() {
    refused_and_undone(Mode::Stories, &[case("git rebase --autostash story/1.1-one", "", "git rebase --abort")]);
}

#[test]
fn a_cherry_pick_that_was_stopped_is_aborted() {
    let abort = "git cherry-pick --abort";
    refused_and_undone(
        Mode::Stories,
        &[
            case("git cherry-pick story/1.1-one~1", OWN, abort),
            case("git cherry-pick main..story/1.1-one", OWN, abort),
            case("git cherry-pick -x topic story/1.1-one~1", "", abort),
        ],
    );
}

#[test]
fn an_am_that_was_stopped_is_aborted() {
    let patch = "echo own > own.txt && git add own.txt && git commit -q -m own && \
                 git format-patch --stdout main..story/1.1-one > ../p";
    refused_and_undone(
        Mode::Stories,
        &[case("git am ../p", patch, "git am --abort"), case("git am --no-verify ../p", patch, "git am --abort")],
    );
}

#[test]
fn a_rebase_by_patches_that_was_stopped_is_left() {
    let mut by_patches = case("git rebase --apply story/1.1-one", OWN, "git rebase --quit && git switch main");
    by_patches.edit = false;
    refused_and_undone(Mode::Stories, &[by_patches]);
}

#[test]
fn a_revert_that_was_stopped_leaves_only_switched_files() {
    let mut revert = case("git revert --no-edit HEAD", "", "if files were switched already: git reset --merge");
    revert.runs_anyway = true;
    refused_and_undone(Mode::All, &[revert]);
}

#[test]
fn a_revert_of_several_that_was_stopped_is_aborted() {
    refused_and_undone(Mode::All, &[case("git revert --no-edit HEAD HEAD~1", OWN, "git revert --abort")]);
}

#[test]
fn a_commit_that_was_refused_keeps_what_was_staged() {
    // Never a plain command: `git reset --merge` would drop what is staged.
    let (none, stage) = ("nothing to undo", "echo mine > mine.txt && git add mine.txt");
    refused_and_undone(
        Mode::All,
        &[
            case("git commit -m mine", stage, none),
            case("git commit --no-verify -m mine", stage, none),
            case("git commit --amend -m mine", stage, none),
            case("git reset --soft HEAD~1", stage, none),
        ],
    );
}

#[test]
fn what_changes_nothing_here_needs_no_undo() {
    let away = "git switch -q --detach";
    refused_and_undone(
        Mode::Stories,
        &[
            case("git update-ref refs/heads/main story/1.1-one", away, "nothing"),
            case("git branch -f main story/1.1-one", away, "nothing"),
            case("git fetch . story/1.1-one:main", away, "nothing"),
            case("git push . story/1.1-one:main", away, "nothing"),
            case("git update-ref -d refs/orchestrate/items/1.1", "", "nothing"),
        ],
    );
}
