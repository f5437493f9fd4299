//! Landing a hotfix: its checks, then write-ahead like a story's landing: intended → moved (with `HotfixLanded`, in one ref
//! transaction) → checkouts follow → settled. Must not judge: it takes the proof that the rule made.

use std::path::PathBuf;

use super::attempt::{describe, ended};
use super::dispatcher::ledger_error;
use super::ports::{
    CancelSignal, CommandRequest, Ended, Executor, Lander, LandingPlan, Ledger, LedgerError, PortError, Record,
    Worktrees,
};
use crate::domain::branch::{BranchEvent, Hotfix};
use crate::domain::event::CheckRun;
use crate::domain::gate::MergePermit;
use crate::domain::hotfix::{Emergency, message};
use crate::domain::names::{AttemptId, BranchRef, Oid, Timestamp};
use crate::domain::policy::CheckSpec;

/// What the checks of a hotfix need.
pub struct Bench<'a> {
    /// Makes the commit that is checked out.
    pub lander: &'a dyn Lander,
    /// Makes and removes the worktree.
    pub worktrees: &'a dyn Worktrees,
    /// Runs the commands.
    pub executor: &'a dyn Executor,
    /// Where the worktree lies, absolute.
    pub directory: PathBuf,
    /// Mark of everything that runs.
    pub attempt: AttemptId,
    /// Short name of the hotfix branch, told to the commands.
    pub branch: String,
    /// Seconds between asking a command to end and killing it.
    pub grace_secs: u64,
}

/// A check that ran, and the end of its output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The evidence.
    pub run: CheckRun,
    /// Last lines of output, escaped.
    pub tail: String,
}

/// How a landing ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Landed {
    /// The branch moved; with what a checkout that did not follow needs.
    Done(Box<Hotfix>, Option<String>),
    /// A checkout could not follow: nothing moved.
    Obstacle(String),
    /// Somebody holds the branch's lock: nothing moved.
    Locked(String),
    /// The branch moved meanwhile: nothing of this landed, and it has to be judged again.
    BranchMoved,
}

/// Runs every check on the merge of `base` and `head` in a worktree of its own; after an interruption no further one.
pub async fn run_checks(
    bench: &Bench<'_>,
    checks: &[CheckSpec],
    (base, head, tree): (&Oid, &Oid, &Oid),
    cancel: CancelSignal,
) -> Result<Vec<Checked>, PortError> {
    let commit = bench.lander.candidate(base, head, tree).await?;
    bench.worktrees.check_out(&commit, &bench.directory).await?;
    let mut results = Vec::new();
    for check in checks {
        let request = CommandRequest {
            argv: check.command.clone(),
            directory: bench.directory.clone(),
            env: vec![("ORCHESTRATE_BRANCH".to_owned(), bench.branch.clone())],
            attempt: bench.attempt.clone(),
            log_name: check.name.clone(),
            timeout_secs: check.timeout_secs,
            grace_secs: bench.grace_secs,
        };
        let end = bench.executor.run(request, cancel.clone()).await;
        let run = CheckRun {
            name: check.name.clone(),
            tree: tree.clone(),
            passed: end.ended == Ended::Exit(0),
            ended: ended(&end.ended),
            millis: end.millis,
        };
        results.push(Checked { run, tail: end.tail });
        if end.ended == Ended::Cancelled {
            break;
        }
    }
    // The next hotfix takes the place over when it cannot be removed; what the checks said stands.
    drop(bench.worktrees.discard(&bench.directory).await);
    Ok(results)
}

/// Lands what was granted.
pub async fn land(
    ledger: &mut dyn Ledger,
    lander: &dyn Lander,
    branch: &BranchRef,
    emergency: Emergency,
    at: Timestamp,
) -> Result<Landed, PortError> {
    let id = emergency.free_id(&ledger.branch(branch).map_err(ledger_error)?, at);
    // The commit is not known before its message is, which comes from the record.
    let draft = emergency.record(&id, Oid::new(""));
    let message = message(&draft);
    let Hotfix { base, head, merge_tree, .. } = draft;
    let plan = LandingPlan { target: branch.clone(), base, head, merge_tree, message, bookkeeping: None, at };
    let landing = lander.build(&plan).await?;
    if let Some(obstacle) = lander.obstacle(branch, &landing.base, &landing.tip).await? {
        return Ok(Landed::Obstacle(obstacle));
    }
    let hotfix = emergency.record(&id, landing.tip);
    append(ledger, branch, BranchEvent::HotfixIntended { hotfix: hotfix.clone() }, at)?;
    match ledger.land_hotfix(MergePermit::hotfix(emergency), &hotfix, branch, at) {
        Ok(()) => {}
        Err(LedgerError::TargetMoved { .. }) => {
            append(ledger, branch, BranchEvent::HotfixSettled { id }, at)?;
            return Ok(Landed::BranchMoved);
        }
        Err(LedgerError::Locked(error)) => {
            append(ledger, branch, BranchEvent::HotfixSettled { id }, at)?;
            return Ok(Landed::Locked(describe(&error)));
        }
        Err(error) => return Err(ledger_error(error)),
    }
    let stays = lander.follow(branch, &hotfix.base, &hotfix.tip).await.err().map(|error| describe(&error));
    append(ledger, branch, BranchEvent::HotfixSettled { id }, at)?;
    Ok(Landed::Done(Box::new(hotfix), stays))
}

/// Finishes what a killed process left half done: a landing without its record, checkouts that did not follow. Answers with
/// a line for people when there was something. Safe to repeat; whoever calls holds the lock of hotfixes.
pub async fn finish(
    ledger: &mut dyn Ledger,
    lander: &dyn Lander,
    branch: &BranchRef,
    at: Timestamp,
) -> Result<Option<String>, PortError> {
    let record = ledger.branch(branch).map_err(ledger_error)?;
    let Some(hotfix) = record.landing.clone() else { return Ok(None) };
    let id = hotfix.id.clone();
    let tip = lander.tip(branch).await?;
    let moved = match &tip {
        Some(tip) => lander.contains(tip, &hotfix.tip).await?,
        None => false,
    };
    let mut said = None;
    if moved {
        let mut line = format!("hotfix {id}: its landing was interrupted; finished now");
        if !record.has_hotfix(&id) {
            append(ledger, branch, BranchEvent::HotfixLanded { hotfix: hotfix.clone() }, at)?;
        }
        // A branch that went on took its checkouts along.
        if tip.as_ref() == Some(&hotfix.tip)
            && let Err(error) = lander.follow(branch, &hotfix.base, &hotfix.tip).await
        {
            let (base, tip) = (hotfix.base.short(), hotfix.tip.short());
            line = format!(
                "hotfix {id} landed, but a checkout did not follow: {} (put that aside, then: git read-tree -m -u {base} {tip})",
                describe(&error)
            );
        }
        said = Some(line);
    }
    append(ledger, branch, BranchEvent::HotfixSettled { id }, at)?;
    Ok(said)
}

fn append(ledger: &mut dyn Ledger, branch: &BranchRef, event: BranchEvent, at: Timestamp) -> Result<(), PortError> {
    ledger.append(&[Record::Branch { branch: branch.clone(), event, at }]).map_err(ledger_error)
}
