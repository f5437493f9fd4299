//! One item from start to end, on the stage in memory: order of phases, budget of writes, ways back, failures.

use super::fake::{Stage, failure_of, plan, shown};
use crate::domain::event::{FailureClass, ItemEvent};
use crate::domain::item::ItemKind;
use crate::domain::names::Principal;
use crate::domain::state::Status;
use crate::domain::workflow::Phase;

/// Phases in the order they were recorded; a review counts as phase 9.
fn phases(stage: &Stage, key: &str) -> Vec<Phase> {
    let recorded = |event: ItemEvent| match event {
        ItemEvent::PhaseRecorded { phase, .. } => Some(phase),
        ItemEvent::Reviewed { .. } => Some(Phase::Review),
        _ => None,
    };
    stage.ledger.events(key).into_iter().filter_map(recorded).collect()
}

#[test]
fn a_clean_story_goes_through_exactly_the_thirteen_phases_in_order() {
    let stage = Stage::new();
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1"), (Status::Landed, String::new()));
    assert_eq!(phases(&stage, "1.1"), Phase::ALL);
    assert_eq!(stage.git.merges_of("1.1"), 1);
    assert!(stage.git.files_of("main").contains_key("1.1.txt"));
    stage.assert_clean();
}

#[test]
fn a_clean_story_takes_at_most_twenty_events_and_six_awaited_writes() {
    let stage = Stage::new();
    stage.run(&plan(&[("1.1", &[])])).unwrap();
    let events = stage.ledger.events("1.1").len();
    assert!(events <= 20, "{events} events");
    // The opening and the closing of the run are writes of their own.
    let writes = stage.ledger.chains().writes - 2;
    assert!(writes <= 6, "{writes} writes");
}
