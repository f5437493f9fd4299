//! What the engine needs from the world, and nothing else. Every implementation lives in `adapters`; tests bring fakes.
//! Every effect is safe to repeat.

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use thiserror::Error;

use crate::domain::branch::{BranchEvent, BranchState, Hotfix};
use crate::domain::event::{FailureClass, ItemEvent, Landing, RunEvent};
use crate::domain::gate::MergePermit;
use crate::domain::names::{AttemptId, BranchRef, ItemKey, Oid, Principal, RunId, Timestamp};
use crate::domain::policy::Policy;
use crate::domain::pressure::Pressure;
use crate::domain::role::RoleFile;
use crate::domain::run_state::RunState;
use crate::domain::state::{ItemState, OpenSession, Rejected};
use crate::domain::statement::Signatures;
use crate::domain::tamper::{Gained, Restored, Words};
use crate::domain::usage::{Counting, Usage};
use crate::domain::workflow::Phase;

/// An error of a port, ready for a person: a lower-case sentence, its causes, and the command that helps.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct PortError {
    /// What failed and why, without a final period.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The cause, where there is one.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl PortError {
    /// An error without cause and hint.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, source: None }
    }

    /// Sets the hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// A large artefact kept in the tree of one event's commit (story text, review text, check output).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artefact {
    /// File name in the tree, `[a-z0-9.-]+`.
    pub name: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// An event on its way into the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// For the chain of an item.
    Item {
        /// The item.
        key: ItemKey,
        /// The fact.
        event: ItemEvent,
        /// When.
        at: Timestamp,
        /// Kept beside it.
        artefacts: Vec<Artefact>,
    },
    /// For the chain of a protected branch.
    Branch {
        /// The branch.
        branch: BranchRef,
        /// The fact.
        event: BranchEvent,
        /// When.
        at: Timestamp,
    },
    /// For the chain of a run.
    Run {
        /// The run.
        run: RunId,
        /// The fact.
        event: RunEvent,
        /// When.
        at: Timestamp,
    },
}

/// Why an append did not happen.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The event does not apply to the chain as it stands now.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The chain was written by a newer version, or is damaged.
    #[error("{chain}: {reason}")]
    Unreadable {
        /// Full ref name.
        chain: String,
        /// What is wrong, and which version is needed.
        reason: String,
    },
    /// The target is no longer where the permit expects it.
    #[error("{branch} moved from {expected} while landing", branch = branch.short(), expected = expected.short())]
    TargetMoved {
        /// The protected branch.
        branch: BranchRef,
        /// What the permit was for.
        expected: Oid,
    },
    /// Somebody else holds a lock that the move of a branch needs; nothing was moved and nothing written. Only from
    /// [`Ledger::land`] and [`Ledger::land_hotfix`].
    #[error(transparent)]
    Locked(PortError),
    /// What a landing or a branch brings is not there any more: somebody's gc took it. Nothing was moved and nothing written.
    #[error(transparent)]
    Gone(PortError),
    /// Git or the machine.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// The append-only record in `refs/orchestrate/`. Every method returns only when what it wrote survives a power cut.
pub trait Ledger: Send {
    /// Folded state of every item, re-reading only chains that changed since the last call.
    fn items(&mut self) -> Result<BTreeMap<ItemKey, ItemState>, LedgerError>;

    /// Folded state of one item as it stands now.
    fn item(&mut self, key: &ItemKey) -> Result<Option<ItemState>, LedgerError>;

    /// Newest commit of an item's chain.
    fn record(&mut self, key: &ItemKey) -> Result<Option<Oid>, LedgerError>;

    /// Folded state of every run.
    fn runs(&mut self) -> Result<BTreeMap<RunId, RunState>, LedgerError>;

    /// Folded state of a protected branch; the default when nothing is recorded of it.
    fn branch(&mut self, branch: &BranchRef) -> Result<BranchState, LedgerError>;

    /// Appends records in order, several of one chain allowed, in one ref transaction with one sync. Each is applied to the
    /// chain as it stands; on a lost compare-and-swap the chains are read again and the records re-applied, at most 10 times.
    /// One rejected record rejects the batch: nothing is written.
    fn append(&mut self, records: &[Record]) -> Result<(), LedgerError>;

    /// Moves the target from the permit's base to `landing.tip` and appends `Landed` to the item, in one ref transaction. With
    /// a permit for bookkeeping only the last step is made: the merge was a person's.
    fn land(&mut self, permit: MergePermit, key: &ItemKey, landing: &Landing, at: Timestamp)
    -> Result<(), LedgerError>;

    /// Moves the branch from the permit's base to `hotfix.tip` and appends `HotfixLanded` to its chain, in one ref transaction.
    fn land_hotfix(
        &mut self,
        permit: MergePermit,
        hotfix: &Hotfix,
        branch: &BranchRef,
        at: Timestamp,
    ) -> Result<(), LedgerError>;

    /// Keeps what was written small and fast to read; called between writes, cheap when there is nothing to do.
    fn maintain(&mut self) -> Result<(), LedgerError>;

    /// Content of an artefact or of any blob by id.
    fn blob(&mut self, oid: &Oid) -> Result<Vec<u8>, LedgerError>;

    /// Writes a blob (durable with the next append that references it) and returns its id.
    fn write_blob(&mut self, bytes: &[u8]) -> Result<Oid, LedgerError>;

    /// Remembers every ref of the ledger. From here on, whatever is no continuation of what is remembered is put back before
    /// it is read or written again.
    fn guard(&mut self) -> Result<(), LedgerError> {
        Ok(())
    }

    /// Remembers what a branch holds beyond `since`, as far as it is not too much: a gc beside us that did not see the branch
    /// move may take it, and whoever committed it does not write it again.
    fn hold(&mut self, _branch: &BranchRef, _since: &Oid) -> Result<(), LedgerError> {
        Ok(())
    }

    /// Writes again what a gc took of what is remembered; how many objects that were.
    fn make_good(&mut self) -> Result<usize, LedgerError> {
        Ok(0)
    }

    /// Compares every ref with what is remembered; answers with what was put back since the last call.
    fn audit(&mut self) -> Result<Vec<Restored>, LedgerError> {
        Ok(Vec::new())
    }
}

/// Where an attempt works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorktreeSpec {
    /// Absolute directory.
    pub path: PathBuf,
    /// Story branch.
    pub branch: BranchRef,
    /// Commit the branch starts from, when it does not exist.
    pub start: Oid,
    /// Lock reason for git: item and run.
    pub reason: String,
}

/// A worktree that is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Tip of the story branch.
    pub head: Oid,
    /// Whether directory and branch were there already.
    pub adopted: bool,
    /// Ignored files copied by `.worktreeinclude`, relative paths.
    pub copied: Vec<String>,
    /// Whether this is a uv project (`pyproject.toml` and `uv.lock` at the root) and uv is installed.
    pub uv: bool,
}

/// What a worktree holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorktreeState {
    /// Commit of HEAD.
    pub head: Oid,
    /// Its tree.
    pub tree: Oid,
    /// Whether HEAD is the story branch.
    pub on_branch: bool,
    /// Paths that differ from HEAD, untracked ones included, ignored ones not; at most 100.
    pub dirty: Vec<String>,
}

/// What became of a retired worktree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retired {
    /// Rescue ref that keeps what was not reachable otherwise.
    pub rescue: Option<String>,
    /// Whether the branch was deleted (only when it was merged).
    pub branch_deleted: bool,
}

/// Worktrees of attempts.
#[async_trait(?Send)]
pub trait Worktrees {
    /// Creates the worktree on its branch, or adopts what an earlier attempt left; copies `.worktreeinclude` files.
    async fn prepare(&self, spec: &WorktreeSpec) -> Result<Prepared, PortError>;

    /// Looks at a worktree without running anything that its content names.
    async fn inspect(&self, spec: &WorktreeSpec) -> Result<WorktreeState, PortError>;

    /// Commits everything that is not ignored on the story branch; `None` when there is nothing to commit.
    async fn commit_all(&self, spec: &WorktreeSpec, message: &str, author: &str) -> Result<Option<Oid>, PortError>;

    /// Makes a branch and everything it leads to beyond `since` survive a power cut. Called before something is put on record
    /// that depends on it: neither an agent's git nor another client syncs the move of a branch.
    async fn settle(&self, branch: &BranchRef, since: &Oid) -> Result<(), PortError>;

    /// Makes a detached worktree of a commit for checks; an existing one at the path is moved to that commit.
    async fn check_out(&self, commit: &Oid, path: &std::path::Path) -> Result<(), PortError>;

    /// Removes a worktree made by [`Worktrees::check_out`]; what checks left in it goes to the trash.
    async fn discard(&self, path: &std::path::Path) -> Result<(), PortError>;

    /// Removes a worktree after making everything in it reachable; deletes the branch when it is merged into `merged_into`.
    async fn retire(&self, spec: &WorktreeSpec, merged_into: Option<&Oid>) -> Result<Retired, PortError>;

    /// Names a commit by a rescue ref, made from `name`, and returns it; the one it has already, when there is one.
    async fn keep(&self, name: &str, commit: &Oid) -> Result<String, PortError>;
}

/// What an agent could change so that git runs programs of its choice, or goes elsewhere. Reads only, runs nothing of it.
pub trait Surroundings {
    /// Settings that run programs, hooks, attributes outside of commits: what each says.
    fn programs(&self) -> Result<Words, PortError>;

    /// The files that tie a worktree to the repository, and its own settings that run programs; empty where there is none.
    fn ties(&self, spec: &WorktreeSpec) -> Result<Words, PortError>;
}

/// Result of a merge in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged {
    /// No conflict.
    Clean {
        /// The result.
        tree: Oid,
    },
    /// Conflict.
    Conflict {
        /// Conflicting paths, sorted.
        paths: Vec<String>,
    },
}

/// The size of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Commits in base..head.
    pub commits: usize,
    /// Files that differ between the merge base and head.
    pub files: usize,
}

/// A secret in a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// The commit that brings it.
    pub commit: Oid,
    /// Name of the variable that it is the value of.
    pub name: String,
    /// The file; empty for the commit's message.
    pub path: String,
}

/// What a landing is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LandingPlan {
    /// Protected branch.
    pub target: BranchRef,
    /// First parent.
    pub base: Oid,
    /// Second parent.
    pub head: Oid,
    /// Tree of the merge commit.
    pub merge_tree: Oid,
    /// Message of the merge commit, trailers included.
    pub message: String,
    /// Status and review lines to write into this story file on top, in a commit of their own.
    pub bookkeeping: Option<Bookkeeping>,
    /// Time of both commits.
    pub at: Timestamp,
}

/// What the tool writes into a story file at landing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bookkeeping {
    /// Story file, relative to the repository root.
    pub path: String,
    /// Message of the commit.
    pub message: String,
    /// Lines of the review section.
    pub review_lines: Vec<String>,
}

/// Merging and moving branches; never in a worktree.
#[async_trait(?Send)]
pub trait Lander {
    /// Current tip of a branch.
    async fn tip(&self, branch: &BranchRef) -> Result<Option<Oid>, PortError>;

    /// Tree of a commit.
    async fn tree(&self, commit: &Oid) -> Result<Oid, PortError>;

    /// Merges two commits in memory.
    async fn merge(&self, base: &Oid, head: &Oid) -> Result<Merged, PortError>;

    /// Whether diff(base, tree) and diff(base', tree') agree in paths, modes and stable patch id.
    async fn same_change(&self, from: (&Oid, &Oid), to: (&Oid, &Oid)) -> Result<bool, PortError>;

    /// Persons who authored commits in base..head that the tool's agents did not.
    async fn person_authors(&self, base: &Oid, head: &Oid) -> Result<Vec<Principal>, PortError>;

    /// What is known of the signature of the item's newest review, by the signers that `base` allows; nothing, at no cost,
    /// where the policy asks for none.
    async fn signatures(
        &self,
        base: &Oid,
        policy: &Policy,
        key: &ItemKey,
        state: &ItemState,
    ) -> Result<Signatures, PortError>;

    /// How much changed between two commits.
    async fn changes(&self, base: &Oid, head: &Oid) -> Result<Changes, PortError>;

    /// A secret of ours that the commits of base..head would bring into the history, as far as its value is known.
    async fn leak(&self, _base: &Oid, _head: &Oid) -> Result<Option<Leak>, PortError> {
        Ok(None)
    }

    /// Writes merge and bookkeeping commits durably; moves nothing.
    async fn build(&self, plan: &LandingPlan) -> Result<Landing, PortError>;

    /// A commit of `tree` on top of `base` and `head`, for checks; not durable.
    async fn candidate(&self, base: &Oid, head: &Oid, tree: &Oid) -> Result<Oid, PortError>;

    /// Why a checkout of the branch could not follow the move, or `None` when all can.
    async fn obstacle(&self, branch: &BranchRef, from: &Oid, to: &Oid) -> Result<Option<String>, PortError>;

    /// Brings every checkout of the branch along as a fast-forward would.
    async fn follow(&self, branch: &BranchRef, from: &Oid, to: &Oid) -> Result<(), PortError>;

    /// Whether `ancestor` is reachable from `commit`.
    async fn contains(&self, commit: &Oid, ancestor: &Oid) -> Result<bool, PortError>;

    /// Commits reachable from `to` and not from `from`, newest first.
    async fn gained(&self, from: &Oid, to: &Oid) -> Result<Vec<Gained>, PortError>;

    /// Whether two commits hold the same gate policy. A policy that cannot be read is like no other.
    async fn same_policy(&self, one: &Oid, other: &Oid) -> Result<bool, PortError>;
}

/// What a look at a protected branch found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// It may be built upon.
    Sound {
        /// Approved changes that a person merged meanwhile and that are not recorded as landed.
        merged: Vec<(ItemKey, Landing)>,
    },
    /// It holds something, or has lost something, that nothing explains: nothing lands.
    Breached {
        /// To be written down; empty when it is on record already.
        records: Vec<Record>,
        /// Why and what helps, one line.
        sentence: String,
    },
}

/// Whether a protected branch may be built upon.
#[async_trait(?Send)]
pub trait Guard {
    /// Judges what came onto the branch up to `tip` since it was last found sound.
    async fn look(&self, branch: &BranchRef, tip: &Oid, at: Timestamp) -> Result<Looked, PortError>;

    /// Takes note that our own landing moved the branch to `tip`.
    fn trust(&self, branch: &BranchRef, tip: &Oid);
}

/// How urgently something must end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cancel {
    /// Go on.
    #[default]
    No,
    /// Ask it to end, wait for the grace period, then kill.
    Ask,
    /// Kill now.
    Kill,
}

/// A receiver on which the urgency can rise while something runs.
pub type CancelSignal = tokio::sync::watch::Receiver<Cancel>;

/// One invocation of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRequest {
    /// Item.
    pub key: ItemKey,
    /// Attempt: the mark in the environment of everything the agent starts.
    pub attempt: AttemptId,
    /// Run.
    pub run: RunId,
    /// First phase performed.
    pub phase: Phase,
    /// Adapter.
    pub adapter: String,
    /// Role.
    pub role: String,
    /// The repository's description of the role, as the target had it.
    pub role_file: Option<RoleFile>,
    /// Client session id, chosen by us where the client allows.
    pub session: String,
    /// Whether the session exists and is to be continued.
    pub resume: bool,
    /// The prompt.
    pub prompt: String,
    /// Working directory.
    pub worktree: PathBuf,
    /// Story branch.
    pub branch: BranchRef,
    /// Commit the change is measured from.
    pub base: Oid,
    /// Exact bytes of the story.
    pub story: Vec<u8>,
    /// File name of the story.
    pub story_name: String,
    /// Whether a result file is expected (reviews).
    pub wants_result: bool,
    /// Wall-clock limit in seconds.
    pub timeout_secs: u64,
    /// Limit without output in seconds, 0 = none.
    pub idle_secs: u64,
    /// Seconds between asking and killing.
    pub grace_secs: u64,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Exit code.
    Exit(i32),
    /// Killed by a signal that was not ours.
    Signal(i32),
    /// Wall-clock limit.
    WallTimeout,
    /// No output for too long.
    IdleTimeout,
    /// We were asked to end it.
    Cancelled,
    /// It never started.
    NotStarted(String),
}

/// What an agent's invocation left, apart from what git holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentEnd {
    /// How the process ended.
    pub ended: Ended,
    /// Session id as the client reports it, else the one we chose.
    pub session: String,
    /// The result file, when one was written.
    pub result: Option<Vec<u8>>,
    /// A class that the client's output proves (rate limit, login refused).
    pub class: Option<FailureClass>,
    /// Last lines of output, escaped, for people.
    pub tail: String,
    /// Log file.
    pub log: PathBuf,
    /// Wall time in milliseconds.
    pub millis: u64,
    /// What the client says it consumed.
    pub usage: Usage,
    /// Which of these numbers count on over a session's invocations.
    pub counting: Counting,
    /// The model, as the client names it; empty = it did not say.
    pub model: String,
    /// Date of the price table by which the cost was reckoned; empty = the client said it, or it is unknown.
    pub priced: String,
    /// Tools that the agent asked for and its client refused; by itself no failure.
    pub denied: u32,
    /// When a rate limit ends, as far as the client says.
    pub until: Option<Timestamp>,
    /// The agent's last message, escaped, for people; empty = none is known.
    pub said: String,
}

impl AgentEnd {
    /// An end of which nothing but these is known.
    pub fn of(ended: Ended, session: impl Into<String>) -> Self {
        Self {
            ended,
            session: session.into(),
            result: None,
            class: None,
            tail: String::new(),
            log: PathBuf::new(),
            millis: 0,
            usage: Usage::default(),
            counting: Counting::default(),
            model: String::new(),
            priced: String::new(),
            denied: 0,
            until: None,
            said: String::new(),
        }
    }
}

/// What an agent is doing just now, for people; control characters escaped, one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It uses a tool: name and what on.
    Tool(String),
    /// It changes a file: path.
    File(String),
    /// It says something.
    Message(String),
}

/// Takes what an agent is doing; called often, must be cheap.
pub type Watcher = std::rc::Rc<dyn Fn(Activity)>;

/// What an adapter's client is able and allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// It can go on with a session of its own.
    pub resumes: bool,
    /// It commits by itself, so that it can be asked for a commit.
    pub commits: bool,
    /// What it leaves uncommitted may be committed for it.
    pub commit_for_it: bool,
}

/// What is left of a session whose orchestrator went away. The default: nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftSession {
    /// The client's session id, where the client can go on with it and had begun it.
    pub session: Option<String>,
    /// How the process ended, where that was written down before anybody ended it.
    pub ended: Option<Ended>,
}

/// Coding agents.
#[async_trait(?Send)]
pub trait Agents {
    /// Looks at what is left of a session of an earlier attempt, none of whose processes is alive any more.
    fn left(&self, _open: &OpenSession) -> LeftSession {
        LeftSession::default()
    }

    /// What the client of an adapter can do.
    fn abilities(&self, _adapter: &str) -> Abilities {
        Abilities { resumes: true, commits: true, commit_for_it: true }
    }

    /// Runs one invocation to its end; nothing it started in its process group outlives the call.
    async fn invoke(&self, request: AgentRequest, cancel: CancelSignal, watcher: Watcher) -> AgentEnd;
}

/// A command of the policy or the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRequest {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Working directory.
    pub directory: PathBuf,
    /// Variables on top of the allowed environment.
    pub env: Vec<(String, String)>,
    /// Attempt mark.
    pub attempt: AttemptId,
    /// Name of the log file.
    pub log_name: String,
    /// Limit in seconds.
    pub timeout_secs: u64,
    /// Seconds between asking and killing.
    pub grace_secs: u64,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandEnd {
    /// How the process ended.
    pub ended: Ended,
    /// Last lines of output, escaped.
    pub tail: String,
    /// Log file.
    pub log: PathBuf,
    /// Wall time in milliseconds.
    pub millis: u64,
}

/// Where processes run.
#[async_trait(?Send)]
pub trait Executor {
    /// Runs one command to its end in a process group of its own.
    async fn run(&self, request: CommandRequest, cancel: CancelSignal) -> CommandEnd;
}

/// Clock.
pub trait Clock {
    /// Wall clock.
    fn now(&self) -> Timestamp;
}

/// Proof that this process is the one that works on an item; released on drop and by the death of the process.
pub trait AttemptLock {}

/// The machine.
pub trait Host {
    /// A new run id; sorts by time.
    fn run_id(&self) -> RunId;

    /// A new attempt id.
    fn attempt_id(&self) -> AttemptId;

    /// A new UUID for a client session.
    fn session_id(&self) -> String;

    /// This process for people: host, pid.
    fn describe(&self) -> String;

    /// Takes the item's liveness lock; `None` when another process holds it, with what is known of the holder.
    fn lock(&self, key: &ItemKey, attempt: &AttemptId) -> Result<Result<Box<dyn AttemptLock>, String>, PortError>;

    /// Ends every process that carries the mark of an attempt; returns how many there were.
    fn sweep(&self, attempt: &AttemptId) -> Result<usize, PortError>;

    /// Any number, for the jitter of delays.
    fn dice(&self) -> u32 {
        0
    }

    /// What the machine has left; cheap enough to be asked at every start.
    fn pressure(&self) -> Pressure {
        Pressure::default()
    }
}
