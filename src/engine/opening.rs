//! How an attempt begins: the lock, the fence around what an earlier process left, and the note of the start.
//! Must not perform phases.

use super::attempt::{Attempt, End, Halt, Task, landed_tip};
use super::choosing;
use super::events::Happening;
use super::ports::{Artefact, WorktreeSpec};
use super::recovery;
use super::track::Track;
use crate::domain::event::{FailureClass, ItemEvent};
use crate::domain::names::{AttemptId, BranchRef, slug};
use crate::domain::plan::PlannedItem;
use crate::domain::state::{ItemState, Outcome};
use crate::domain::workflow::Phase;

impl Attempt {
    /// Takes the lock, fences what an earlier process left, and notes the start.
    pub(crate) async fn begin(task: Task) -> Result<Result<Attempt, End>, Halt> {
        let Task { world, planned, story, cancel } = task;
        let id = world.ports.host.attempt_id();
        let lock = match world.ports.host.lock(&planned.key, &id).map_err(Halt::internal(Phase::Setup))? {
            Ok(lock) => lock,
            Err(holder) => return Ok(Err(End::Held(format!("another process works on it: {holder}")))),
        };
        let mut state = world.ports.recorder.item(&planned.key).await?.unwrap_or_default();
        if recovery::is_pending(&state) {
            let mended = recovery::catch_up(&world.ports, &world.decisions.root, &planned.key, &state).await;
            for text in mended.map_err(Halt::internal(Phase::Setup))? {
                world.tell(Happening::Notice { text });
            }
            state = world.ports.recorder.item(&planned.key).await?.unwrap_or_default();
        }
        if state.is_done() {
            return Ok(Err(End::Done(landed_tip(&state))));
        }
        let continues = continued(&state);
        let mut track = Track::new(world, planned.key.clone(), id, state);
        fence(&mut track)?;
        let start = start_event(&track, &planned, continues.clone(), &story).await?;
        track.note_with(start, vec![Artefact { name: "story".to_owned(), bytes: story.clone() }])?;
        track.world.tell(Happening::ItemStarted { story_id: planned.key.clone(), continued: continues.is_some() });
        let spec = worktree_spec(&track);
        Ok(Ok(Attempt {
            track,
            planned,
            story,
            cancel,
            spec,
            prepared: None,
            rework: None,
            reviews_while_writing: 0,
            _lock: lock,
        }))
    }
}

/// The attempt whose evidence a new one goes on with: any that did not fail.
fn continued(state: &ItemState) -> Option<AttemptId> {
    let last = state.attempt.as_ref()?;
    match &state.outcome {
        None | Some(Outcome::Stopped { .. } | Outcome::Interrupted { .. } | Outcome::Due { .. }) => {
            Some(last.id.clone())
        }
        Some(Outcome::Landed | Outcome::NoChange { .. } | Outcome::Failed { .. } | Outcome::Blocked { .. }) => None,
    }
}

/// Ends what an earlier process of ours left running. We hold the lock, so nobody else works on the item.
fn fence(track: &mut Track) -> Result<(), Halt> {
    let Some(open) = track.state.open_attempt().map(|attempt| attempt.id.clone()) else { return Ok(()) };
    let swept = track.world.ports.host.sweep(&open).map_err(Halt::internal(Phase::Setup))?;
    if !track.state.parked {
        let reason = match swept {
            0 => "its orchestrator went away".to_owned(),
            count => format!("its orchestrator went away; ended {count} process(es) it had left"),
        };
        track.note(ItemEvent::Interrupted { attempt: open, reason })?;
    }
    Ok(())
}

async fn start_event(
    track: &Track,
    planned: &PlannedItem,
    continues: Option<AttemptId>,
    story: &[u8],
) -> Result<ItemEvent, Halt> {
    let ports = &track.world.ports;
    let decisions = &track.world.decisions;
    let tip = ports.lander.tip(&decisions.target).await.map_err(Halt::internal(Phase::Setup))?.ok_or_else(|| {
        Halt::fail(FailureClass::Internal, Phase::Setup, format!("{} does not exist", decisions.target.short()))
    })?;
    let story = ports.recorder.write_blob(story.to_vec()).await?;
    let name = format!("{}-{}", planned.item.id, slug(&planned.item.title));
    let last = continues.as_ref().and(track.state.attempt.as_ref());
    let (branch, worktree, base) = if let Some(last) = last {
        (last.branch.clone(), last.worktree.clone(), last.base.clone())
    } else {
        let branch = BranchRef::new(format!("refs/heads/story/{name}"));
        (branch, format!("{}/{name}", decisions.settings.worktrees), tip)
    };
    Ok(ItemEvent::AttemptStarted {
        attempt: track.attempt.clone(),
        continues,
        run: decisions.run.clone(),
        title: planned.item.title.clone(),
        path: planned.item.path.clone(),
        agent: choosing::author(&track.world, &track.key, &planned.assignment, &track.state).adapter,
        role: planned.assignment.role.clone(),
        branch,
        worktree,
        target: decisions.target.clone(),
        base,
        policy: decisions.policy.version.clone(),
        story,
    })
}

fn worktree_spec(track: &Track) -> WorktreeSpec {
    let attempt = track.state.attempt.as_ref().expect("an attempt was started just now");
    WorktreeSpec {
        path: track.world.decisions.root.join(&attempt.worktree),
        branch: attempt.branch.clone(),
        start: attempt.base.clone(),
        reason: format!("git-orchestrate: {} in run {}", track.key, attempt.run),
    }
}
