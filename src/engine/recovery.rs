//! Start-up: brings ledger, branches and worktrees into agreement before anything new is begun. Every step is safe to
//! repeat. Must not start agents, and must not touch an item that another process works on.

use super::attempt::describe;
use super::dispatcher::ledger_error;
use super::ports::{PortError, Record, WorktreeSpec};
use super::world::Ports;
use crate::domain::event::{ItemEvent, Landing, PhaseOutcome};
use crate::domain::names::{ItemKey, Oid, Principal};
use crate::domain::state::{Attempt, ItemState};
use crate::domain::workflow::Phase;

/// Reconciles items and returns a line for each thing that was mended.
pub async fn reconcile(
    ports: &Ports,
    root: &std::path::Path,
    items: &[(ItemKey, ItemState)],
) -> Result<Vec<String>, PortError> {
    let mut mended = Vec::new();
    for (key, seen) in items.iter().filter(|(_, state)| is_pending(state)) {
        let Some(attempt) = &seen.attempt else { continue };
        let Ok(_lock) = ports.host.lock(key, &attempt.id)? else { continue };
        // What was seen may be old by now; under the lock it stays as it is.
        let Some(state) = ports.recorder.item(key).await.map_err(ledger_error)?.filter(is_pending) else { continue };
        mend(ports, root, key, &state, &mut mended).await?;
    }
    Ok(mended)
}

/// The same for one item whose lock the caller holds: its process may have died since the start-up, in the middle of a landing.
/// Returns only when what it finds landed survives a power cut, which the dead one may not have waited for.
pub(super) async fn catch_up(
    ports: &Ports,
    root: &std::path::Path,
    key: &ItemKey,
    state: &ItemState,
) -> Result<Vec<String>, PortError> {
    let mut mended = Vec::new();
    if let Some(landing) = state.landings.last().filter(|_| state.is_done()) {
        ports.worktrees.settle(&landing.target, &landing.base).await?;
    }
    mend(ports, root, key, state, &mut mended).await?;
    Ok(mended)
}

async fn mend(
    ports: &Ports,
    root: &std::path::Path,
    key: &ItemKey,
    state: &ItemState,
    mended: &mut Vec<String>,
) -> Result<(), PortError> {
    let mut done = state.is_done();
    if let Some(landing) = &state.intended
        && complete(ports, key, landing).await?
    {
        mended.push(format!("{key}: its landing had happened; recorded now"));
        done = true;
    }
    if done { finish(ports, root, key, state, mended).await } else { Ok(()) }
}

/// Whether a landing is under way or has not been followed up to the end.
pub fn is_pending(state: &ItemState) -> bool {
    let unfinished = state.is_done() && !state.phases.contains_key(&Phase::Reflection);
    state.attempt.is_some() && (state.intended.is_some() || unfinished)
}

/// Records a landing that the branch's ancestry proves, and brings the checkouts along. `false` when it did not happen.
async fn complete(ports: &Ports, key: &ItemKey, landing: &Landing) -> Result<bool, PortError> {
    let Some(tip) = ports.lander.tip(&landing.target).await? else { return Ok(false) };
    if !ports.lander.contains(&tip, &landing.tip).await? {
        return Ok(false);
    }
    // Whoever moved the branch may have died before it was synced.
    ports.worktrees.settle(&landing.target, &landing.base).await?;
    append(ports, key, ItemEvent::Landed { landing: landing.clone() }).await?;
    Ok(true)
}

/// What follows a landing: checkouts, the worktree, phase 13. A checkout or a worktree that resists is mentioned and stays;
/// it holds no other item up.
async fn finish(
    ports: &Ports,
    root: &std::path::Path,
    key: &ItemKey,
    state: &ItemState,
    mended: &mut Vec<String>,
) -> Result<(), PortError> {
    let Some(attempt) = &state.attempt else { return Ok(()) };
    let landing = state.intended.as_ref().or(state.landings.last());
    if let Some(landing) = landing {
        match follow(ports, landing).await {
            Ok(None) => {}
            Ok(Some(obstacle)) => mended.push(format!("{key}: landed, but {obstacle}")),
            Err(error) => mended.push(format!("{key}: landed, but a checkout did not follow: {}", describe(&error))),
        }
    }
    let merged: &Oid = landing.map_or(&attempt.base, |landing| &landing.tip);
    ports.host.sweep(&attempt.id)?;
    if let Err(error) = ports.worktrees.retire(&spec(root, attempt), Some(merged)).await {
        mended.push(format!("{key}: the worktree stays: {}", describe(&error)));
    }
    if !state.phases.contains_key(&Phase::Reflection) {
        let outcome = PhaseOutcome::Done {
            by: Principal::Tool,
            summary: format!("{} attempt(s); recorded after an interruption", state.attempts),
            head: None,
            checks: Vec::new(),
        };
        let attempt = attempt.id.clone();
        append(ports, key, ItemEvent::PhaseRecorded { attempt, phase: Phase::Reflection, outcome }).await?;
    }
    Ok(())
}

/// Brings checkouts along, unless the branch went on since; answers with what stands in the way and what helps.
async fn follow(ports: &Ports, landing: &Landing) -> Result<Option<String>, PortError> {
    let tip = ports.lander.tip(&landing.target).await?;
    if tip.as_ref() != Some(&landing.tip) {
        return Ok(None);
    }
    // Followed first and asked about afterwards: only whoever follows learns that a killed process was in the middle of it.
    let Err(error) = ports.lander.follow(&landing.target, &landing.base, &landing.tip).await else { return Ok(None) };
    let Some(obstacle) = ports.lander.obstacle(&landing.target, &landing.base, &landing.tip).await? else {
        return Err(error);
    };
    let (base, tip) = (landing.base.short(), landing.tip.short());
    Ok(Some(format!("{obstacle} (put that aside, then: git read-tree -m -u {base} {tip})")))
}

fn spec(root: &std::path::Path, attempt: &Attempt) -> WorktreeSpec {
    WorktreeSpec {
        path: root.join(&attempt.worktree),
        branch: attempt.branch.clone(),
        start: attempt.base.clone(),
        reason: String::new(),
    }
}

async fn append(ports: &Ports, key: &ItemKey, event: ItemEvent) -> Result<(), PortError> {
    let record = Record::Item { key: key.clone(), event, at: ports.clock.now(), artefacts: Vec::new() };
    ports.recorder.append(vec![record]).await.map_err(ledger_error)
}
