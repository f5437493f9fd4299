//! The phases of the `delivery` workflow, their order, and the legal ways back. Must not know how a phase is performed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The 13 phases, in order. All are mandatory and all are recorded; 13 follows the landing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// 1: worktree, copied files, setup commands.
    Setup,
    /// 2: an issue on a forge.
    Issue,
    /// 3: the story branch.
    Branch,
    /// 4: reading and planning.
    Research,
    /// 5: writing the code.
    Implementation,
    /// 6: the checks of the policy.
    Testing,
    /// 7: documents.
    Documentation,
    /// 8: a pull request on a forge.
    PullRequest,
    /// 9: review by somebody who did not write it.
    Review,
    /// 10: the author's answer to the review's findings.
    ReviewResponse,
    /// 11: settings update.
    Settings,
    /// 12: all checks on the merge tree.
    Readiness,
    /// 13: the run's facts, after landing.
    Reflection,
}

impl Phase {
    /// All phases in order.
    pub const ALL: [Self; 13] = [
        Self::Setup,
        Self::Issue,
        Self::Branch,
        Self::Research,
        Self::Implementation,
        Self::Testing,
        Self::Documentation,
        Self::PullRequest,
        Self::Review,
        Self::ReviewResponse,
        Self::Settings,
        Self::Readiness,
        Self::Reflection,
    ];

    /// 1 to 13.
    pub fn number(self) -> usize {
        Self::ALL.iter().position(|phase| *phase == self).map_or(0, |index| index + 1)
    }

    /// The name used in files, events and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Issue => "issue",
            Self::Branch => "branch",
            Self::Research => "research",
            Self::Implementation => "implementation",
            Self::Testing => "testing",
            Self::Documentation => "documentation",
            Self::PullRequest => "pull-request",
            Self::Review => "review",
            Self::ReviewResponse => "review-response",
            Self::Settings => "settings",
            Self::Readiness => "readiness",
            Self::Reflection => "reflection",
        }
    }

    /// The phase of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name() == name)
    }

    /// Whether a person may perform the phase: those that work on the change or say something of it.
    pub fn may_be_a_persons(self) -> bool {
        match self {
            Self::Issue
            | Self::Research
            | Self::Implementation
            | Self::Documentation
            | Self::PullRequest
            | Self::Review
            | Self::ReviewResponse
            | Self::Settings => true,
            Self::Setup | Self::Branch | Self::Testing | Self::Readiness | Self::Reflection => false,
        }
    }

    /// Whether a landing needs the phase to be recorded.
    pub fn needed_for_landing(self) -> bool {
        self != Self::Reflection
    }

    /// Whether work may go back from this phase to `to`: review-response → testing (and on to review), testing and
    /// readiness → implementation or review-response with a failed check, any phase before landing → implementation after
    /// a conflict, readiness → review when a moved base made the review stale.
    pub fn may_return_to(self, to: Self) -> bool {
        match to {
            Self::Implementation => self >= Self::Testing && self <= Self::Readiness,
            Self::Testing => matches!(self, Self::ReviewResponse),
            Self::Review => self > Self::Review && self <= Self::Readiness,
            Self::ReviewResponse => matches!(self, Self::Readiness),
            Self::Readiness => matches!(self, Self::Readiness),
            Self::Setup
            | Self::Issue
            | Self::Branch
            | Self::Research
            | Self::Documentation
            | Self::PullRequest
            | Self::Settings
            | Self::Reflection => false,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Who performs a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Performer {
    /// git-orchestrate itself.
    Tool,
    /// A session of the author's role (phases 4, 5 and 7 share one invocation, 10 has its own) or, for 9, of the reviewer's.
    Agent,
    /// The commands configured for the phase.
    Command,
    /// A person.
    Person,
}

#[cfg(test)]
#[path = "workflow_tests.rs"]
mod tests;
