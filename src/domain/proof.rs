//! What a look at a protected branch proves: each commit with the way by which it came, and what has none. Values only; must
//! not judge (that is `passage`).

use serde::Serialize;

use super::branch::{BranchState, Breach};
use super::names::{BranchRef, Oid};
use super::passage::Way;

/// A commit that passed, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The commit.
    pub commit: Oid,
    /// How the step passed that it came with.
    pub way: Way,
}

/// A breach with what a person needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// What and why.
    pub breach: Breach,
    /// First line of the commit's message; empty when it is not here.
    pub subject: String,
    /// Command that takes it back; empty when there is nothing to take back any more.
    pub undo: String,
    /// Whether it was on record before.
    pub recorded: bool,
}

/// The proof of one branch.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The branch.
    pub branch: BranchRef,
    /// Its tip.
    pub tip: Oid,
    /// What is recorded of it.
    pub record: BranchState,
    /// Commits of the range that passed, oldest step first.
    pub proven: Vec<Proven>,
    /// Commits of the range that the branch held when it was adopted.
    pub before: usize,
    /// How many of those that passed are believed because the record says that they were certified.
    pub by_record: usize,
    /// Breaches of the range, and those on record.
    pub breaches: Vec<Open>,
}

/// The classes of commits, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Class {
    /// Reviewed and landed, on record.
    Landed,
    /// Approved and merged by a person; on record with the next command that may write.
    Covered,
    /// Status and review lines of a landed story.
    WrittenBack,
    /// A hotfix on record.
    Hotfix,
    /// Nobody's story.
    Own,
    /// A breach that a person acknowledged.
    Acknowledged,
}

impl Class {
    /// All of them, in order.
    pub const ALL: [Self; 6] =
        [Self::Landed, Self::Covered, Self::WrittenBack, Self::Hotfix, Self::Own, Self::Acknowledged];

    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Landed => "landed",
            Self::Covered => "merged by hand as approved",
            Self::WrittenBack => "written back",
            Self::Hotfix => "hotfix",
            Self::Own => "own",
            Self::Acknowledged => "acknowledged",
        }
    }
}

impl Proven {
    /// Its class.
    pub fn class(&self) -> Class {
        match &self.way {
            Way::Landed(_) => Class::Landed,
            Way::Covered(..) => Class::Covered,
            Way::Bookkeeping(_) => Class::WrittenBack,
            Way::Hotfix(_) => Class::Hotfix,
            Way::Own => Class::Own,
            Way::Acknowledged => Class::Acknowledged,
        }
    }

    /// The story or the hotfix it belongs to; empty where there is none.
    pub fn of(&self) -> &str {
        match &self.way {
            Way::Landed(key) | Way::Covered(key, _) | Way::Bookkeeping(key) => key.as_str(),
            Way::Hotfix(id) => id,
            Way::Own | Way::Acknowledged => "",
        }
    }
}

impl Proof {
    /// How many commits are of a class.
    pub fn count(&self, class: Class) -> usize {
        self.proven.iter().filter(|proven| proven.class() == class).count()
    }
}
