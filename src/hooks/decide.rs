//! The rule of the hooks: may this branch take this value? Pure: sets of commits in, decision out.

use std::collections::BTreeSet;

use crate::domain::names::Oid;

/// Where a ref is asked to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NewValue {
    /// Away.
    Deleted,
    /// To another ref.
    Symbolic,
    /// To a commit.
    Commit(Oid),
}

/// How a story is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoryName {
    /// By its id: the ledger has a record.
    Id(String),
    /// Only by its branch.
    Branch(String),
}

/// Commits that belong to a story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoryCommits {
    /// Which story.
    pub(super) name: StoryName,
    /// Its commits that the branch in question does not have yet.
    pub(super) own: BTreeSet<Oid>,
}

/// What is known about one asked move of a protected branch.
#[derive(Clone, Debug)]
pub(super) struct Move {
    pub(super) current: Option<Oid>,
    pub(super) new: NewValue,
    /// Whether git only drops the loose copy of a packed ref.
    pub(super) prunes: bool,
    /// Whether the process carries the mark of an attempt.
    pub(super) marked: bool,
    /// Whether this is the target that `init` wrote down.
    pub(super) is_target: bool,
    /// Commits that the branch would gain.
    pub(super) gained: BTreeSet<Oid>,
    /// Those of them that came with a landing on record.
    pub(super) covered: BTreeSet<Oid>,
    /// Commits of the stories.
    pub(super) stories: Vec<StoryCommits>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Git goes on.
    Allow,
    /// An agent tried to move a protected branch.
    RefuseMarked,
    /// The branch would become a name for another one.
    RefuseSymbolic,
    /// The target would go away.
    RefuseDeletion,
    /// Commits of these stories would come in without a landing; never empty.
    RefuseStories(Vec<StoryName>),
}

/// Decides one move.
pub(super) fn decide(asked: &Move) -> Decision {
    let stays = matches!(&asked.new, NewValue::Commit(new) if asked.current.as_ref() == Some(new));
    if stays || asked.prunes {
        return Decision::Allow;
    }
    if asked.marked {
        return Decision::RefuseMarked;
    }
    match asked.new {
        NewValue::Symbolic => Decision::RefuseSymbolic,
        NewValue::Deleted if asked.is_target && asked.current.is_some() => Decision::RefuseDeletion,
        NewValue::Deleted => Decision::Allow,
        NewValue::Commit(_) => {
            let open = |oid: &Oid| asked.gained.contains(oid) && !asked.covered.contains(oid);
            let stories = asked.stories.iter().filter(|story| story.own.iter().any(open));
            let names: Vec<StoryName> = stories.map(|story| story.name.clone()).collect();
            if names.is_empty() { Decision::Allow } else { Decision::RefuseStories(names) }
        }
    }
}

impl StoryName {
    fn shown(&self) -> String {
        match self {
            Self::Id(id) => format!("story {id}"),
            Self::Branch(branch) => format!("the story branch {branch}"),
        }
    }
}

impl Decision {
    /// Why, in one sentence.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Allow => String::new(),
            Self::RefuseMarked => "an agent's process may not move a protected branch".to_owned(),
            Self::RefuseSymbolic => "a protected branch may not become a name for another ref".to_owned(),
            Self::RefuseDeletion => "it is the target branch of git-orchestrate".to_owned(),
            Self::RefuseStories(names) => {
                let names = names.iter().map(StoryName::shown).collect::<Vec<_>>().join(", ");
                format!("it brings in commits of {names} that have no reviewed landing on record")
            }
        }
    }

    /// The command that gets there by the gate.
    pub(super) fn remedy(&self) -> Option<String> {
        match self {
            Self::RefuseStories(names) => names.first().map(|name| match name {
                StoryName::Id(id) => {
                    format!("git orchestrate review {id} --approve -m \"...\" && git orchestrate land {id}")
                }
                StoryName::Branch(branch) => {
                    format!("git orchestrate stories; if the branch is no story: git branch -m {branch} OTHER-NAME")
                }
            }),
            Self::RefuseDeletion => Some("if it is meant: git config orchestrate.target OTHER-BRANCH".to_owned()),
            Self::Allow | Self::RefuseMarked | Self::RefuseSymbolic => None,
        }
    }
}

/// What git leaves half done when a hook stops it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undo {
    /// A merge commit that was about to be made.
    Merge,
    /// A rebase.
    Rebase,
    /// A cherry-pick.
    CherryPick,
    /// Files that were switched before the branch was to move, or nothing.
    Files,
    /// Nothing was changed here.
    Nothing,
}

impl Undo {
    /// From git's own note of what it is doing and whether a merge commit is being made.
    pub(super) fn guess(action: &str, makes_merge: bool) -> Self {
        let first = action.split_whitespace().next().unwrap_or_default();
        match first {
            _ if action.contains("rebase") => Self::Rebase,
            "cherry-pick" => Self::CherryPick,
            _ if makes_merge => Self::Merge,
            _ => Self::Files,
        }
    }

    /// The command.
    pub(super) fn command(self) -> &'static str {
        match self {
            Self::Merge => "git merge --abort",
            Self::Rebase => "git rebase --abort",
            Self::CherryPick => "git cherry-pick --abort",
            Self::Files => "git reset --merge   (only needed if files were switched already)",
            Self::Nothing => "nothing was changed",
        }
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
