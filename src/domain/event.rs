//! The closed set of facts that the ledger records. Facts only: status is derived in `state`.
//! The wire form (versions, unknown fields) is `adapters::ledger::codec`'s; a change of a variant here is a change of that format.

use serde::{Deserialize, Serialize};

use super::names::{AttemptId, BranchRef, ItemKey, Oid, PolicyVersion, Principal, RunId, Timestamp};
use super::usage::Usage;
use super::workflow::Phase;

/// A check that ran: evidence bound to a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckRun {
    /// Name in the policy.
    pub name: String,
    /// The tree it ran on.
    pub tree: Oid,
    /// Whether it succeeded.
    pub passed: bool,
    /// How it ended, for people: `exit 0`, `signal 9`, `timed out after 600 s`.
    pub ended: String,
    /// Wall time in milliseconds.
    pub millis: u64,
}

/// The reviewer's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReviewVerdict {
    /// The change may land.
    Approve,
    /// The findings must be answered first.
    RequestChanges,
}

/// One remark of a reviewer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Path relative to the repository root; empty for the change as a whole.
    #[serde(default)]
    pub path: String,
    /// 1-based line, 0 for the whole file.
    #[serde(default)]
    pub line: u32,
    /// What is wrong.
    pub text: String,
}

/// A review: evidence bound to story, base, head, merge tree and policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// Who reviewed.
    pub reviewer: Principal,
    /// The answer.
    pub verdict: ReviewVerdict,
    /// Tip of the target that the change was merged with.
    pub base: Oid,
    /// Tip of the story branch.
    pub head: Oid,
    /// The reviewed merge result.
    pub merge_tree: Oid,
    /// Policy in force.
    pub policy: PolicyVersion,
    /// Blob of the story text that was reviewed against.
    pub story: Oid,
    /// Remarks.
    pub findings: Vec<Finding>,
    /// One line for people.
    #[serde(default)]
    pub message: String,
    /// When.
    pub at: Timestamp,
    /// The reviewer's signature over `statement::bytes` of this review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

/// A signature as it was made; it proves nothing before it is verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Signature {
    /// Armored SSH signature in namespace `git`.
    pub armored: String,
    /// Fingerprint of the key, `SHA256:...`.
    pub key: String,
}

/// The intent to move a protected branch, written before it moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Landing {
    /// The protected branch.
    pub target: BranchRef,
    /// Its value before.
    pub base: Oid,
    /// Tip of the story branch.
    pub head: Oid,
    /// The reviewed and tested merge result.
    pub merge_tree: Oid,
    /// The merge commit M.
    pub merge: Oid,
    /// The value after: M, or the bookkeeping commit on top of it.
    pub tip: Oid,
}

/// How a phase ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum PhaseOutcome {
    /// It was performed.
    Done {
        /// By whom.
        by: Principal,
        /// What was done, one line.
        summary: String,
        /// Tip of the story branch afterwards, where the phase has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        head: Option<Oid>,
        /// Checks that ran in it, passed and failed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        checks: Vec<CheckRun>,
    },
    /// It has nothing to do here.
    NotApplicable {
        /// Why.
        reason: String,
    },
}

/// Why an item failed: the closed set of classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureClass {
    /// The agent ended without a commit and without a change.
    NoCommit,
    /// A check kept failing.
    Check,
    /// The review kept asking for changes, up to the round limit.
    Review,
    /// The reviewer gave no valid review.
    NoReview,
    /// The merge kept conflicting.
    Conflict,
    /// Setup of the worktree failed.
    Setup,
    /// A configured phase command failed.
    Command,
    /// The agent could not be started, or ended in error without usable work.
    Agent,
    /// Wall-clock limit.
    WallTimeout,
    /// No output for too long.
    IdleTimeout,
    /// The agent's login or key was refused.
    Auth,
    /// The agent was rate limited.
    RateLimited,
    /// The agent's provider had no room just then, or its answer broke off.
    Overloaded,
    /// The account behind the agent has no credit.
    Billing,
    /// The agent left changes uncommitted, and may not have them committed for it.
    Dirty,
    /// The agent was not allowed to do what it had to (its own permissions or sandbox).
    Denied,
    /// The agent's context was full.
    ContextFull,
    /// The agent reached a limit of turns of its own.
    MaxTurns,
    /// The agent reached a limit of money or time of its own.
    ClientBudget,
    /// The gate refused for a reason that another round cannot mend.
    Gate,
    /// An agent's process reached for what is not its own; its work is quarantined.
    Tampering,
    /// The machine lacked memory, processes or disk.
    Resources,
    /// Our own fault or the machine's: git, permissions.
    Internal,
}

/// A failure with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Class.
    pub class: FailureClass,
    /// Phase it happened in.
    pub phase: Phase,
    /// Reason for people, one line.
    pub message: String,
    /// Last lines of output of what failed, escaped; empty where nothing ran.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
    /// The whole output: a file on the machine that ran it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub log: String,
}

/// Most lines of output that a failure keeps.
const OUTPUT_LINES: usize = 12;
/// Most characters of each.
const OUTPUT_WIDTH: usize = 400;

impl Failure {
    /// A failure of something that left no output.
    pub fn new(class: FailureClass, phase: Phase, message: impl Into<String>) -> Self {
        Self { class, phase, message: message.into(), output: String::new(), log: String::new() }
    }

    /// Keeps the last lines of `tail` and the place of the whole.
    #[must_use]
    pub fn with_output(mut self, tail: &str, log: impl Into<String>) -> Self {
        let lines: Vec<&str> = tail.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let last = lines[lines.len().saturating_sub(OUTPUT_LINES)..].iter();
        let cut: Vec<String> = last.map(|line| line.chars().take(OUTPUT_WIDTH).collect()).collect();
        self.output = cut.join("\n");
        self.log = log.into();
        self
    }
}

/// A fact about one item; each is one commit of `refs/orchestrate/items/<key>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum ItemEvent {
    /// An attempt begins: the intent, written before anything is made.
    AttemptStarted {
        /// The new attempt; fences all earlier ones.
        attempt: AttemptId,
        /// The attempt whose work and evidence this one goes on with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        continues: Option<AttemptId>,
        /// The run it belongs to.
        run: RunId,
        /// Title of the item.
        title: String,
        /// Source file, relative to the repository root.
        path: String,
        /// Adapter.
        agent: String,
        /// Role.
        role: String,
        /// Story branch.
        branch: BranchRef,
        /// Worktree directory, relative to the repository root where it lies inside.
        worktree: String,
        /// Target branch.
        target: BranchRef,
        /// Tip of the target that the branch starts from.
        base: Oid,
        /// Policy in force.
        policy: PolicyVersion,
        /// Blob with the exact bytes of the story file, kept in this commit's tree.
        story: Oid,
    },
    /// A session of an agent is about to start; written before the process exists.
    SessionStarted {
        /// Fencing token.
        attempt: AttemptId,
        /// First phase the session performs.
        phase: Phase,
        /// `agent:<adapter>:<session>`.
        principal: Principal,
    },
    /// A session ended. It states what was consumed, which no newer attempt makes undone: it is taken from a fenced one too.
    SessionEnded {
        /// The attempt it belonged to.
        attempt: AttemptId,
        /// The run that it is charged to.
        run: RunId,
        /// `agent:<adapter>:<session>`.
        principal: Principal,
        /// Wall time in milliseconds.
        millis: u64,
        /// What its client says it consumed, without what the same session consumed before.
        #[serde(default)]
        usage: Usage,
        /// The model, as the client names it; empty = it did not say.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        model: String,
        /// Date of the price table by which the cost was reckoned; empty = the client said it, or it is unknown.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        priced: String,
        /// When a rate limit ends, as far as the client says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// The failure that its end proves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        class: Option<FailureClass>,
        /// Whether it was asked to end: then it proves nothing.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cancelled: bool,
    },
    /// A phase ended.
    PhaseRecorded {
        /// Fencing token.
        attempt: AttemptId,
        /// Phase.
        phase: Phase,
        /// How it ended.
        outcome: PhaseOutcome,
    },
    /// A review was given; an approval completes phase 9 unless the policy asks for more of them. `attempt` is absent for a
    /// person's review from outside a run.
    Reviewed {
        /// Fencing token of a reviewing session.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<AttemptId>,
        /// The review.
        review: Review,
        /// Whether the policy asked for more approvals when this one was given.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        more: bool,
    },
    /// A review was carried over a moved base by the written rule: the new merge is clean and changes the same content.
    ReviewCarried {
        /// Fencing token.
        attempt: AttemptId,
        /// Merge tree of the review as given.
        from_tree: Oid,
        /// New base.
        base: Oid,
        /// New merge tree.
        merge_tree: Oid,
    },
    /// Work goes back to an earlier phase.
    ReturnedTo {
        /// Fencing token.
        attempt: AttemptId,
        /// The earlier phase; it and all later ones are to be performed again.
        phase: Phase,
        /// Why, one line.
        reason: String,
    },
    /// The landing waits: for a person, or for a checkout that is in the way.
    LandingWaits {
        /// Fencing token.
        attempt: AttemptId,
        /// Why and what helps, one line.
        reason: String,
    },
    /// The branch is about to move.
    LandingIntended {
        /// Fencing token.
        attempt: AttemptId,
        /// What will move.
        landing: Landing,
    },
    /// The branch moved. Derived from the branch's ancestry after a crash.
    Landed {
        /// The landing that happened.
        landing: Landing,
    },
    /// A documentation item without a change is done.
    NoChange {
        /// Fencing token.
        attempt: AttemptId,
        /// Why nothing had to change.
        reason: String,
    },
    /// The attempt ended with its orchestrator; its work is kept and another attempt goes on with it.
    Interrupted {
        /// The attempt that ended.
        attempt: AttemptId,
        /// How it was found.
        reason: String,
    },
    /// The item failed.
    Failed {
        /// Fencing token.
        attempt: AttemptId,
        /// Why.
        failure: Failure,
    },
    /// The attempt failed and another one is due: the item has not failed yet.
    RetryDue {
        /// The attempt that failed.
        attempt: AttemptId,
        /// Why.
        failure: Failure,
        /// Tries that count by now.
        number: u32,
        /// Tries at most.
        of: u32,
        /// Not before this time.
        not_before: Timestamp,
    },
    /// The item cannot start because prerequisites failed; nearest first.
    Blocked {
        /// The run that decided it.
        run: RunId,
        /// Chain from the nearest prerequisite to the one that failed.
        by: Vec<ItemKey>,
    },
    /// A person stopped the attempt.
    Stopped {
        /// Fencing token.
        attempt: AttemptId,
        /// Why.
        reason: String,
    },
    /// A person asked for another try; failure and block are lifted.
    RetryRequested {
        /// Who asked.
        by: Principal,
        /// Whether a landed item begins a new round.
        reopen: bool,
    },
}

/// A fact about one run; each is one commit of `refs/orchestrate/runs/<id>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum RunEvent {
    /// The run begins.
    Started {
        /// Selectors as given.
        scope: Vec<String>,
        /// Target branch.
        target: BranchRef,
        /// Its tip.
        base: Oid,
        /// Policy in force.
        policy: PolicyVersion,
        /// Items in plan order with their waves.
        items: Vec<PlannedKey>,
        /// Slots.
        jobs: u32,
        /// Wave barrier.
        waves: bool,
        /// Whether approved items land.
        land: bool,
        /// Explicit `--agent`, to be used again by `resume`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
        /// Process, for people.
        host: String,
    },
    /// The command line set an upper limit on what the run may cost.
    Capped {
        /// Millionths of a US dollar.
        micro_usd: u64,
    },
    /// Another process goes on with the run.
    Resumed {
        /// Process, for people.
        host: String,
    },
    /// The run ended with items that wait for a person.
    Paused {
        /// Items and what they wait for.
        waiting: Vec<(ItemKey, String)>,
    },
    /// The run ended.
    Finished {
        /// Counts.
        totals: Totals,
    },
    /// The run was ended by a signal or `stop`.
    Stopped {
        /// Why.
        reason: String,
    },
}

/// An item of a run with its place in the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedKey {
    /// Item.
    pub key: ItemKey,
    /// 0-based wave.
    pub wave: u32,
    /// Prerequisites inside the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<ItemKey>,
}

/// How many items of a run ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Landed, or done with no change.
    pub landed: u32,
    /// Failed.
    pub failed: u32,
    /// Blocked by a failed prerequisite.
    pub blocked: u32,
    /// Waiting for a person.
    pub waiting: u32,
    /// Stopped, or not started before the end.
    pub unfinished: u32,
}

impl ItemEvent {
    /// The fencing token, where the event belongs to an attempt.
    pub fn attempt(&self) -> Option<&AttemptId> {
        match self {
            Self::SessionStarted { attempt, .. }
            | Self::PhaseRecorded { attempt, .. }
            | Self::ReviewCarried { attempt, .. }
            | Self::ReturnedTo { attempt, .. }
            | Self::LandingWaits { attempt, .. }
            | Self::LandingIntended { attempt, .. }
            | Self::NoChange { attempt, .. }
            | Self::Interrupted { attempt, .. }
            | Self::Failed { attempt, .. }
            | Self::RetryDue { attempt, .. }
            | Self::Stopped { attempt, .. } => Some(attempt),
            Self::Reviewed { attempt, .. } => attempt.as_ref(),
            Self::AttemptStarted { .. }
            | Self::SessionEnded { .. }
            | Self::Landed { .. }
            | Self::Blocked { .. }
            | Self::RetryRequested { .. } => None,
        }
    }
}
