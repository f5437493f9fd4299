//! The rule for emergencies: which small change may land on a protected branch without a review. Facts in, verdict out;
//! and the proof that the verdict alone can make. Must not read anything.

use super::branch::{BranchState, Hotfix};
use super::diagnostic::escape_line;
use super::event::CheckRun;
use super::names::{Oid, Principal, Timestamp};
use super::policy::Policy;

/// What every record of a hotfix is labelled with.
pub const LABEL: &str = "emergency";

/// What the branch demands of a hotfix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// Most changed lines; 0 = there are no hotfixes.
    pub lines: u32,
    /// Names of the checks, in the order they run.
    pub checks: Vec<String>,
    /// Whether a change without any check is refused.
    pub checks_required: bool,
    /// Breaches of the branch that nobody acknowledged.
    pub breaches: usize,
}

/// What the person says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// The production emergency.
    pub emergency: String,
    /// Why it cannot wait for a review.
    pub reason: String,
    /// What has to be done afterwards: an issue or a sentence.
    pub follow_up: String,
}

/// What merging it would give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merge {
    /// This tree.
    Clean(Oid),
    /// Conflicts in these paths.
    Conflict(Vec<String>),
    /// Nothing: the two have no common history.
    Unrelated,
}

/// A change that no number of lines describes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Beyond {
    /// The file.
    pub path: String,
    /// What of it.
    pub what: BeyondLines,
}

/// Why lines say nothing of a changed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BeyondLines {
    /// It is binary.
    Binary,
    /// Another mode or type.
    Mode,
    /// It is a submodule.
    Submodule,
    /// It is too large to be compared.
    Large,
}

/// A story that comes in under another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disguise {
    /// The story's key, or the short name of its branch.
    pub story: String,
    /// How it shows.
    pub sign: Sign,
}

/// How a story shows in a hotfix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The hotfix branch is the story's.
    Branch,
    /// This commit belongs to the story.
    Commit(Oid),
    /// The message of this commit names it.
    Trailer(Oid),
    /// The change of this file is the story's.
    Content(String),
}

/// The change itself, as objects say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Changed lines, added and removed.
    pub lines: u32,
    /// Changes that lines do not count.
    pub beyond: Vec<Beyond>,
    /// Commits that an agent or the tool made.
    pub ours: Vec<Oid>,
    /// Stories in it.
    pub disguises: Vec<Disguise>,
}

/// What became of the checks on the merge tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checks {
    /// These ran.
    Ran(Vec<CheckRun>),
    /// The person wants none.
    Skipped,
}

/// The hotfix that wants to land.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotfixCandidate {
    /// Tip of the protected branch.
    pub base: Oid,
    /// Tip of the hotfix branch.
    pub head: Oid,
    /// Result of merging the two.
    pub merge: Merge,
    /// What it changes.
    pub change: Change,
    /// What is said of it.
    pub statement: Statement,
    /// Who asks.
    pub by: Principal,
    /// The attempt whose agent asks, when one does.
    pub attempt: Option<String>,
    /// Checks on the merge tree.
    pub checks: Checks,
}

/// One reason why a hotfix is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HotfixRefusal {
    /// An agent of this attempt asks.
    ByAgent(String),
    /// `[hotfix] lines = 0`.
    Forbidden,
    /// Breaches are open.
    Breached(usize),
    /// No emergency is stated.
    NoEmergency,
    /// No reason is given.
    NoReason,
    /// No follow-up is named.
    NoFollowUp,
    /// There is nothing to land.
    NothingChanged,
    /// Too many changed lines.
    TooLarge {
        /// How many.
        lines: u32,
        /// How many there may be.
        most: u32,
    },
    /// A change that lines do not count.
    Beyond(Beyond),
    /// It conflicts with the branch in these paths.
    Conflict(Vec<String>),
    /// It has no common history with the branch.
    Unrelated,
    /// It is a story, or part of one.
    Story(Disguise),
    /// A commit of it is an agent's or the tool's.
    NotAPersons(Oid),
    /// A check has not run on the merge tree.
    CheckMissing(String),
    /// A check failed on the merge tree.
    CheckFailed(String),
    /// The policy requires checks and there are none.
    NoChecks,
}

/// What the rule says of a hotfix.
#[derive(Debug, PartialEq, Eq)]
pub enum HotfixVerdict {
    /// All conditions hold.
    Granted(Emergency),
    /// What does not hold; never empty.
    Refused(Vec<HotfixRefusal>),
}

/// Proof that a hotfix meets the conditions. Only [`judge`] makes one.
///
/// ```compile_fail
/// use git_orchestrate::domain::hotfix::Emergency;
/// let forged = Emergency { merge_tree: unreachable!(), candidate: unreachable!(), skipped: unreachable!() };
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Emergency {
    merge_tree: Oid,
    candidate: Box<HotfixCandidate>,
    skipped: Vec<String>,
}

impl Conditions {
    /// Those of a branch: its policy, and what is recorded of it.
    pub fn of(policy: &Policy, record: &BranchState) -> Self {
        Self {
            lines: policy.hotfix_lines,
            checks: policy.checks.iter().map(|check| check.name.clone()).collect(),
            checks_required: policy.checks_required,
            breaches: record.breaches.len(),
        }
    }
}

impl Emergency {
    /// Base, head and merge tree: all that a permit is good for.
    pub(super) fn into_ids(self) -> (Oid, Oid, Oid) {
        let HotfixCandidate { base, head, .. } = *self.candidate;
        (base, head, self.merge_tree)
    }

    /// The first name of the form `hotfix-20261121-1a2b3c4` (`-2`, `-3`, ...) that the branch does not know.
    pub fn free_id(&self, record: &BranchState, at: Timestamp) -> String {
        let plain = format!("hotfix-{}-{}", at.date().replace('-', ""), self.candidate.head.short());
        let numbered = (2_u64..).map(|number| format!("{plain}-{number}"));
        let mut names = std::iter::once(plain.clone()).chain(numbered);
        names.find(|name| !record.has_hotfix(name)).unwrap_or_default()
    }

    /// What the ledger keeps; `tip` is the commit of the landing, and before there is one, whatever stands in for it.
    pub fn record(&self, id: &str, tip: Oid) -> Hotfix {
        let Statement { emergency, reason, follow_up } = &self.candidate.statement;
        Hotfix {
            id: id.to_owned(),
            base: self.candidate.base.clone(),
            head: self.candidate.head.clone(),
            merge_tree: self.merge_tree.clone(),
            tip,
            lines: self.candidate.change.lines,
            emergency: one_line(emergency),
            reason: one_line(reason),
            follow_up: one_line(follow_up),
            by: self.candidate.by.clone(),
            labels: vec![LABEL.to_owned()],
            checks: match &self.candidate.checks {
                Checks::Ran(runs) => runs.clone(),
                Checks::Skipped => Vec::new(),
            },
            skipped: self.skipped.clone(),
        }
    }
}

/// Message of the merge commit of a hotfix, trailers included.
pub fn message(hotfix: &Hotfix) -> String {
    let Hotfix { id, emergency, reason, follow_up, by, .. } = hotfix;
    let who = match by {
        Principal::Person(who) => who.clone(),
        Principal::Agent { .. } | Principal::Tool => by.to_string(),
    };
    let skipped = match hotfix.skipped.as_slice() {
        [] => String::new(),
        skipped => format!("Skipped-checks: {}\n", skipped.join(", ")),
    };
    format!(
        "Merge hotfix {id}: {emergency}\n\nLanded without a review, as an emergency.\n\nHotfix: {id}\nEmergency: {emergency}\nReason: {reason}\n\
         Follow-up: {follow_up}\nHotfix-by: {who}\nLabel: {LABEL}\n{skipped}"
    )
}

/// Text as one line: no text of a person's can add a trailer or break the terminal.
fn one_line(text: &str) -> String {
    escape_line(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Judges a hotfix. Everything that is wrong with it is said at once.
pub fn judge(conditions: &Conditions, candidate: &HotfixCandidate) -> HotfixVerdict {
    let mut refusals = Vec::new();
    refusals.extend(candidate.attempt.clone().map(HotfixRefusal::ByAgent));
    refusals.extend((conditions.lines == 0).then_some(HotfixRefusal::Forbidden));
    refusals.extend((conditions.breaches > 0).then_some(HotfixRefusal::Breached(conditions.breaches)));
    refusals.extend(judge_statement(&candidate.statement));
    refusals.extend(judge_size(conditions, &candidate.change));
    refusals.extend(candidate.change.disguises.iter().cloned().map(HotfixRefusal::Story));
    refusals.extend(candidate.change.ours.iter().cloned().map(HotfixRefusal::NotAPersons));
    let merge_tree = match &candidate.merge {
        Merge::Clean(tree) => {
            refusals.extend(judge_checks(conditions, &candidate.checks, tree));
            Some(tree.clone())
        }
        Merge::Conflict(paths) => {
            refusals.push(HotfixRefusal::Conflict(paths.clone()));
            None
        }
        Merge::Unrelated => {
            refusals.push(HotfixRefusal::Unrelated);
            None
        }
    };
    let skipped = match candidate.checks {
        Checks::Ran(_) => Vec::new(),
        Checks::Skipped => conditions.checks.clone(),
    };
    match merge_tree.filter(|_| refusals.is_empty()) {
        Some(merge_tree) => {
            HotfixVerdict::Granted(Emergency { merge_tree, candidate: Box::new(candidate.clone()), skipped })
        }
        None => HotfixVerdict::Refused(refusals),
    }
}

fn judge_statement(statement: &Statement) -> impl Iterator<Item = HotfixRefusal> {
    let missing = |text: &str, refusal: HotfixRefusal| text.trim().is_empty().then_some(refusal);
    [
        missing(&statement.emergency, HotfixRefusal::NoEmergency),
        missing(&statement.reason, HotfixRefusal::NoReason),
        missing(&statement.follow_up, HotfixRefusal::NoFollowUp),
    ]
    .into_iter()
    .flatten()
}

fn judge_size(conditions: &Conditions, change: &Change) -> impl Iterator<Item = HotfixRefusal> {
    let Change { lines, beyond, .. } = change;
    let size = if *lines == 0 && beyond.is_empty() {
        Some(HotfixRefusal::NothingChanged)
    } else {
        let (lines, most) = (*lines, conditions.lines);
        (lines > most && most > 0).then_some(HotfixRefusal::TooLarge { lines, most })
    };
    size.into_iter().chain(beyond.iter().cloned().map(HotfixRefusal::Beyond))
}

fn judge_checks(conditions: &Conditions, checks: &Checks, tree: &Oid) -> Vec<HotfixRefusal> {
    let Checks::Ran(runs) = checks else { return Vec::new() };
    if conditions.checks_required && conditions.checks.is_empty() {
        return vec![HotfixRefusal::NoChecks];
    }
    let judged = conditions.checks.iter().filter_map(|name| {
        match runs.iter().rev().find(|run| run.name == *name && run.tree == *tree) {
            None => Some(HotfixRefusal::CheckMissing(name.clone())),
            Some(run) if !run.passed => Some(HotfixRefusal::CheckFailed(name.clone())),
            Some(_) => None,
        }
    });
    judged.collect()
}

impl HotfixRefusal {
    /// Whether running the checks would answer it.
    pub fn is_open_check(&self) -> bool {
        matches!(self, Self::CheckMissing(_))
    }

    /// Its name in JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ByAgent(_) => "by-agent",
            Self::Forbidden => "forbidden",
            Self::Breached(_) => "breached",
            Self::NoEmergency => "no-emergency",
            Self::NoReason => "no-reason",
            Self::NoFollowUp => "no-follow-up",
            Self::NothingChanged => "nothing-changed",
            Self::TooLarge { .. } => "too-large",
            Self::Beyond(_) => "not-lines",
            Self::Conflict(_) => "conflict",
            Self::Unrelated => "unrelated",
            Self::Story(_) => "story",
            Self::NotAPersons(_) => "not-a-persons",
            Self::CheckMissing(_) => "check-missing",
            Self::CheckFailed(_) => "check-failed",
            Self::NoChecks => "no-checks",
        }
    }

    /// What is wrong and what would help, for people: completes "refused: ".
    pub fn reason(&self) -> String {
        match self {
            Self::ByAgent(attempt) => format!("this process belongs to an agent's attempt ({attempt})"),
            Self::Forbidden => "the policy allows no hotfixes ([hotfix] lines = 0)".to_owned(),
            Self::Breached(count) => format!(
                "{count} breach(es) of the branch are open; look at them, then: git orchestrate verify --acknowledge -m \"...\""
            ),
            Self::NoEmergency => "no production emergency is stated: --emergency \"production down: ...\"".to_owned(),
            Self::NoReason => "no reason is given why it cannot wait for a review: --reason \"...\"".to_owned(),
            Self::NoFollowUp => "no follow-up is named: --follow-up \"#123, or a sentence\"".to_owned(),
            Self::NothingChanged => "it changes nothing".to_owned(),
            Self::TooLarge { lines, most } => {
                format!("it changes {lines} lines (added and removed); a hotfix changes at most {most}")
            }
            Self::Beyond(Beyond { path, what }) => {
                let path = escape_line(path);
                match what {
                    BeyondLines::Binary => format!("{path} is binary; a hotfix changes lines"),
                    BeyondLines::Mode => format!("{path} changes its mode or type; a hotfix changes lines"),
                    BeyondLines::Submodule => format!("{path} is a submodule; a hotfix changes lines"),
                    BeyondLines::Large => format!("{path} is too large to count its lines"),
                }
            }
            Self::Conflict(paths) => {
                let paths: Vec<String> = paths.iter().map(|path| escape_line(path)).collect();
                format!("it conflicts in {}; merge or rebase it first", paths.join(", "))
            }
            Self::Unrelated => "it has no common history with the branch".to_owned(),
            Self::Story(Disguise { story, sign }) => in_disguise(&escape_line(story), sign),
            Self::NotAPersons(commit) => {
                format!("commit {} was made by an agent or by git-orchestrate, not by a person", commit.short())
            }
            Self::CheckMissing(name) => format!("check `{name}` has not run on the merge tree"),
            Self::CheckFailed(name) => format!("check `{name}` failed on the merge tree"),
            Self::NoChecks => "the policy requires checks and none is configured".to_owned(),
        }
    }
}

fn in_disguise(story: &str, sign: &Sign) -> String {
    match sign {
        Sign::Branch => format!("it is the branch of story {story}; a story lands by review"),
        Sign::Commit(commit) => format!("commit {} belongs to story {story}; a story lands by review", commit.short()),
        Sign::Trailer(commit) => format!("commit {} names story {story} in a `Story:` trailer", commit.short()),
        Sign::Content(path) => {
            format!("the change of {} is the one of story {story}; a story lands by review", escape_line(path))
        }
    }
}

#[cfg(test)]
#[path = "hotfix_tests.rs"]
mod tests;
