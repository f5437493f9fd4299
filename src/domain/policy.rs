//! The gate policy: what the protected branch demands of a change. Must hold values only; `adapters::config` reads them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::names::PolicyVersion;
use super::workflow::{Performer, Phase};

/// A hotfix has fewer than ten changed lines.
pub const MOST_HOTFIX_LINES: u32 = 9;

/// A command that must succeed on a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckSpec {
    /// Name in `[checks]`.
    pub name: String,
    /// Program and arguments; never a shell string.
    pub command: Vec<String>,
    /// Time limit in seconds, at least 1.
    pub timeout_secs: u64,
}

/// What a policy says of one phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PhaseSpec {
    /// Who performs it.
    pub by: Performer,
    /// Commands for `Performer::Command`; empty otherwise.
    pub commands: Vec<CheckSpec>,
}

/// Who reviews.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReviewBy {
    /// Another agent session.
    Agent,
    /// A person, by `git orchestrate review`.
    Human,
    /// Agent sessions and one person.
    Both,
}

/// Reviewers that a policy can ask for, at most.
pub const MOST_REVIEWERS: u32 = 5;

/// Which moves of a protected branch need a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProtectMode {
    /// Commits that belong to a story need its verdict; people's own commits pass.
    Stories,
    /// Only permits, hotfixes and bookkeeping.
    All,
}

/// Where the allowed signers are listed when the policy says nothing.
pub const ALLOWED_SIGNERS: &str = ".orchestrate.signers";

/// The resolved gate keys (`[protect] [gates] [review] [checks] [workflow] [hotfix]`) as they stand on the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// Digest of everything below.
    #[serde(skip)]
    pub version: PolicyVersion,
    /// Short names of further protected branches besides the target; globs allowed.
    pub protected: Vec<String>,
    /// Which moves need a verdict.
    pub mode: ProtectMode,
    /// `[gates] checks = "required"`: a story without any check is refused.
    pub checks_required: bool,
    /// `[gates] signatures = "required"`: only an approval signed by an allowed signer counts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub signatures_required: bool,
    /// Path of the allowed signers, relative to the repository root; read from the target's tip.
    #[serde(skip_serializing_if = "is_default_signers")]
    pub allowed_signers: String,
    /// Who reviews.
    pub review_by: ReviewBy,
    /// How many approve, 1 to [`MOST_REVIEWERS`]: agents of different adapters, different persons. With `ReviewBy::Both` one
    /// person comes on top.
    #[serde(skip_serializing_if = "is_one")]
    pub reviewers: u32,
    /// Review rounds per attempt before the item fails, at least 1.
    pub review_rounds: u32,
    /// Role of the reviewing session.
    pub reviewer_role: String,
    /// Checks in the order they run.
    pub checks: Vec<CheckSpec>,
    /// Most changed lines of a hotfix, at most [`MOST_HOTFIX_LINES`]; 0 = there are no hotfixes.
    pub hotfix_lines: u32,
    /// Who performs each phase; every phase present.
    pub phases: BTreeMap<Phase, PhaseSpec>,
}

impl Policy {
    /// The built-in policy, used when the target has no policy file.
    pub fn built_in(version: PolicyVersion) -> Self {
        let by = |phase| match phase {
            Phase::Research | Phase::Implementation | Phase::Documentation | Phase::Review | Phase::ReviewResponse => {
                Performer::Agent
            }
            Phase::Testing
            | Phase::Setup
            | Phase::Issue
            | Phase::Branch
            | Phase::PullRequest
            | Phase::Settings
            | Phase::Readiness
            | Phase::Reflection => Performer::Tool,
        };
        let phases = Phase::ALL.into_iter().map(|phase| (phase, PhaseSpec { by: by(phase), commands: Vec::new() }));
        Self {
            version,
            protected: Vec::new(),
            mode: ProtectMode::Stories,
            checks_required: false,
            signatures_required: false,
            allowed_signers: ALLOWED_SIGNERS.to_owned(),
            review_by: ReviewBy::Agent,
            reviewers: 1,
            review_rounds: 3,
            reviewer_role: "code-reviewer".to_owned(),
            checks: Vec::new(),
            hotfix_lines: MOST_HOTFIX_LINES,
            phases: phases.collect(),
        }
    }

    /// Whether one approval is enough.
    pub fn one_review(&self) -> bool {
        self.reviewers <= 1 && self.review_by != ReviewBy::Both
    }

    /// Whether `[protect] branches` names a branch, by its short name.
    pub fn protects(&self, branch: &str) -> bool {
        self.protected.iter().any(|pattern| matches(pattern.strip_prefix("refs/heads/").unwrap_or(pattern), branch))
    }

    /// What the policy says of a phase.
    pub fn phase(&self, phase: Phase) -> &PhaseSpec {
        self.phases.get(&phase).expect("every phase is present by construction")
    }
}

/// Values that say nothing stay out of the digest, so that reviews given before these keys existed stay good.
fn is_default_signers(path: &str) -> bool {
    path == ALLOWED_SIGNERS
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn is_one(reviewers: &u32) -> bool {
    *reviewers == 1
}

/// Whether a name fits a pattern in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(head) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, fits) in [
            ("release", "release", true),
            ("release", "release/1", false),
            ("release/*", "release/1.0", true),
            ("release/*", "release/", true),
            ("*-stable", "1-stable", true),
            ("v*.*", "v1.2", true),
            ("v*.*", "v12", false),
            ("a*a", "a", false),
            ("*", "anything/at/all", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
