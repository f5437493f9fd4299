//! What git leaves half done when a hook stops it, and the command that undoes that. Guesses from git's own state files and
//! from the git command that is running; must not change anything.

use std::fs;
use std::path::Path;

use crate::adapters::process::ancestry;

/// What there is to undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undo {
    /// A merge that waits for its commit.
    Merge,
    /// A rebase.
    Rebase,
    /// A rebase by patches: git has forgotten the branch's name already and cannot abort it.
    RebaseByPatches,
    /// Patches from a mailbox.
    Am,
    /// A cherry-pick.
    CherryPick,
    /// A revert.
    Revert,
    /// Files and index were switched before the branch was to move.
    Files,
    /// Only the index was.
    Index,
    /// A commit: what was to be committed is still staged.
    Staged,
    /// Nothing was changed here.
    Nothing,
    /// Nobody knows.
    Unknown,
}

/// Most processes above this one that are asked for their command.
const MOST_PARENTS: usize = 4;

/// What git has still to do of several reverts or cherry-picks.
const REVERTS: &str = "sequencer/todo";

impl Undo {
    /// From the private git directory of this worktree and the git command above us. `checked_out`: the branch is HEAD's.
    pub(super) fn guess(git_dir: Option<&Path>, checked_out: bool) -> Self {
        let command = running_git();
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let here = |name: &str| {
            git_dir.is_some_and(|dir| match name {
                REVERTS => fs::read(dir.join(REVERTS)).is_ok_and(|todo| todo.starts_with(b"revert")),
                name => dir.join(name).symlink_metadata().is_ok(),
            })
        };
        Self::decide(&command, &here, checked_out)
    }

    /// The pure half: git's arguments from the subcommand on, and which state files exist.
    fn decide(command: &[&str], here: &dyn Fn(&str) -> bool, checked_out: bool) -> Self {
        // A fetch or a push that runs while a merge waits has nothing to do with it.
        const ELSEWHERE: [&str; 7] =
            ["fetch", "push", "receive-pack", "update-ref", "symbolic-ref", "branch", "fast-import"];
        if command.first().is_some_and(|name| ELSEWHERE.contains(name)) {
            return Self::Nothing;
        }
        let states = [
            ("rebase-apply/applying", Self::Am),
            ("rebase-merge", Self::Rebase),
            ("rebase-apply", Self::Rebase),
            ("MERGE_HEAD", Self::Merge),
            ("CHERRY_PICK_HEAD", Self::CherryPick),
            ("REVERT_HEAD", Self::Revert),
            (REVERTS, Self::Revert),
        ];
        if here("rebase-apply") && !["rebase-apply/applying", "rebase-apply/head-name"].into_iter().any(here) {
            return Self::RebaseByPatches;
        }
        if let Some((_, undo)) = states.into_iter().find(|(name, _)| here(name)) {
            return undo;
        }
        if !checked_out && !matches!(command.first(), Some(&("checkout" | "switch" | "rebase"))) {
            return Self::Nothing;
        }
        let has = |option: &str| command.contains(&option);
        match command.first().copied() {
            Some("commit") => Self::Staged,
            Some("reset") if has("--soft") => Self::Nothing,
            Some("reset") if has("--hard") || has("--merge") || has("--keep") => Self::Files,
            Some("reset") => Self::Index,
            Some("worktree" | "replay" | "stash") => Self::Nothing,
            Some("merge" | "pull" | "checkout" | "switch" | "cherry-pick" | "rebase") => Self::Files,
            Some(_) | None => Self::Unknown,
        }
    }

    /// For the line "to undo:"; `branch` is the short name of what was to move.
    pub(super) fn command(self, branch: &str) -> String {
        let fixed = match self {
            Self::RebaseByPatches => return format!("git rebase --quit && git switch {branch}"),
            Self::Merge => "git merge --abort",
            Self::Rebase => "git rebase --abort",
            Self::Am => "git am --abort",
            Self::CherryPick => "git cherry-pick --abort",
            Self::Revert => "git revert --abort",
            Self::Files => "git reset --merge",
            Self::Index => "git reset",
            Self::Staged => "nothing to undo: nothing was committed, your changes are still staged",
            Self::Nothing => "nothing to undo: nothing was changed",
            Self::Unknown => "if files were switched already: git reset --merge (it drops what is staged)",
        };
        fixed.to_owned()
    }
}

/// The arguments of the nearest git above this process, from its subcommand on.
pub(super) fn running_git() -> Vec<String> {
    let mut pid = std::os::unix::process::parent_id();
    for _ in 0..MOST_PARENTS {
        let Ok(raw) = fs::read(format!("/proc/{pid}/cmdline")) else { return Vec::new() };
        let words: Vec<String> =
            raw.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        if let Some(found) = subcommand(&words) {
            return found;
        }
        let Some(parent) = ancestry::parent_of(&pid.to_string()) else { return Vec::new() };
        pid = parent;
    }
    Vec::new()
}

fn subcommand(words: &[String]) -> Option<Vec<String>> {
    let program = Path::new(words.first()?).file_name()?.to_str()?;
    if let Some(name) = program.strip_prefix("git-").filter(|name| !name.starts_with("orchestrate")) {
        return Some([name.to_owned()].into_iter().chain(words[1..].iter().cloned()).collect());
    }
    if program != "git" {
        return None;
    }
    let mut at = 1;
    while at < words.len() {
        match words[at].as_str() {
            "-c" | "-C" | "--git-dir" | "--work-tree" | "--namespace" | "--exec-path" => at += 2,
            word if word.starts_with('-') => at += 1,
            _ => return Some(words[at..].to_vec()),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(command: &str, state: &[&str], checked_out: bool) -> Undo {
        let words: Vec<&str> = command.split_whitespace().collect();
        Undo::decide(&words, &|name| state.contains(&name), checked_out)
    }

    #[test]
    fn git_s_own_state_says_what_waits() {
        assert_eq!(decide("merge --no-ff x", &["MERGE_HEAD"], true), Undo::Merge);
        assert_eq!(decide("rebase x", &["rebase-merge"], false), Undo::Rebase);
        assert_eq!(decide("am x", &["rebase-apply", "rebase-apply/applying"], true), Undo::Am);
        assert_eq!(decide("cherry-pick x", &["CHERRY_PICK_HEAD"], true), Undo::CherryPick);
        assert_eq!(decide("revert x", &["REVERT_HEAD"], true), Undo::Revert);
        assert_eq!(decide("revert x y", &[REVERTS], true), Undo::Revert);
        assert_eq!(decide("rebase --apply x", &["rebase-apply", "rebase-apply/head-name"], false), Undo::Rebase);
        assert_eq!(decide("rebase --apply x", &["rebase-apply"], false), Undo::RebaseByPatches);
    }

    #[test]
    fn a_merge_that_waits_is_not_the_business_of_a_fetch() {
        assert_eq!(decide("fetch . x:main", &["MERGE_HEAD"], true), Undo::Nothing);
    }

    #[test]
    fn staged_work_is_never_told_to_be_reset() {
        assert_eq!(decide("commit -m x", &[], true), Undo::Staged);
        assert_eq!(decide("reset --soft x", &[], true), Undo::Nothing);
    }

    #[test]
    fn switched_files_come_back_by_reset() {
        for command in ["merge x", "reset --hard x", "checkout -B main x", "switch -C main x", "cherry-pick --ff x"] {
            assert_eq!(decide(command, &[], true), Undo::Files, "{command}");
        }
        assert_eq!(decide("reset x", &[], true), Undo::Index);
        assert_eq!(decide("worktree add -B main d x", &[], false), Undo::Nothing);
    }

    #[test]
    fn the_subcommand_stands_behind_options() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(subcommand(&words("/usr/bin/git -c a=b -C d --no-pager merge x")), Some(words("merge x")));
        assert_eq!(subcommand(&words("git-receive-pack /r")), Some(words("receive-pack /r")));
        assert_eq!(subcommand(&words("sh -c git")), None);
        assert_eq!(subcommand(&words("git-orchestrate land")), None);
    }
}
