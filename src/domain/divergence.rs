//! What two machines recorded of the same thing without knowing of each other: what of it adds nothing, and what cannot both
//! be so. Must not choose between the two: what contradicts is shown to a person.

use super::branch::{BranchEvent, BranchState};
use super::event::{ItemEvent, Landing};
use super::state::ItemState;

/// Whether an event of one machine adds nothing to what the other's led to: the end of an attempt that has ended already.
pub fn is_moot(event: &ItemEvent, state: &ItemState) -> bool {
    match event {
        ItemEvent::Interrupted { attempt, .. } | ItemEvent::Stopped { attempt, .. } => {
            state.open_attempt().is_none_or(|open| open.id != *attempt)
        }
        ItemEvent::Landed { landing } => state.landings.contains(landing),
        ItemEvent::SessionStarted { .. }
        | ItemEvent::PhaseRecorded { .. }
        | ItemEvent::Reviewed { .. }
        | ItemEvent::ReviewCarried { .. }
        | ItemEvent::ReturnedTo { .. }
        | ItemEvent::LandingWaits { .. }
        | ItemEvent::LandingIntended { .. }
        | ItemEvent::NoChange { .. }
        | ItemEvent::AttemptStarted { .. }
        | ItemEvent::Failed { .. }
        | ItemEvent::Blocked { .. }
        | ItemEvent::RetryRequested { .. } => false,
    }
}

/// The same for a protected branch. Each machine adopts it for itself, and none certifies over a breach that another found.
pub fn is_moot_for_branch(event: &BranchEvent, state: &BranchState) -> bool {
    match event {
        BranchEvent::Adopted { .. } => state.adopted.is_some(),
        BranchEvent::Certified { .. } => !state.breaches.is_empty(),
        BranchEvent::HotfixLanded { hotfix } => state.has_hotfix(&hotfix.id),
        BranchEvent::Breached { .. }
        | BranchEvent::Acknowledged { .. }
        | BranchEvent::HotfixIntended { .. }
        | BranchEvent::HotfixSettled { .. }
        | BranchEvent::HotfixResolved { .. } => false,
    }
}

/// Why what two machines recorded of an item since they parted cannot both be so.
pub fn contradiction(ours: (&[ItemEvent], &ItemState), theirs: (&[ItemEvent], &ItemState)) -> Option<String> {
    if let (Some(our), Some(their)) = (ours.1.open_attempt(), theirs.1.open_attempt())
        && our.id != their.id
    {
        return Some(format!(
            "two attempts are open: {} of run {} and {} of run {}",
            our.id, our.run, their.id, their.run
        ));
    }
    let landed = |events: &[ItemEvent]| -> Vec<Landing> {
        let landings = events.iter().filter_map(|event| match event {
            ItemEvent::Landed { landing } => Some(landing.clone()),
            _ => None,
        });
        landings.collect()
    };
    let (our, their) = (landed(ours.0), landed(theirs.0));
    let (our, their) = (our.last()?, their.last()?);
    (our != their).then(|| format!("it landed twice: as {} and as {}", our.merge.short(), their.merge.short()))
}

#[cfg(test)]
#[path = "divergence_tests.rs"]
mod tests;
