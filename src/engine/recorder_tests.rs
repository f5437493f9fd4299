//! The ledger's writer: order, joined writes, and what a refusal or a failure means for the others.

use super::fake::Stage;
use super::ports::{LedgerError, Record};
use crate::domain::event::{ItemEvent, RunEvent};
use crate::domain::names::{AttemptId, ItemKey, RunId, Timestamp};

fn note(run: &str) -> Record {
    Record::Run { run: RunId::new(run), event: RunEvent::Resumed { host: "h".to_owned() }, at: Timestamp(0) }
}

fn fenced(key: &str) -> Record {
    let event = ItemEvent::Stopped { attempt: AttemptId::new("gone"), reason: "late".to_owned() };
    Record::Item { key: ItemKey::new(key), event, at: Timestamp(0), artefacts: Vec::new() }
}

#[test]
fn writes_asked_for_together_are_one_write() {
    let stage = Stage::new();
    stage.within(async |ports| {
        let all: Vec<_> = (0..10).map(|number| ports.recorder.submit(vec![note(&format!("run-{number}"))])).collect();
        for submitted in all {
            submitted.settled().await.unwrap();
        }
    });
    let chains = stage.ledger.chains();
    assert_eq!((chains.writes, chains.runs.len()), (1, 10));
}

#[test]
fn a_refused_record_harms_no_other_attempt() {
    let stage = Stage::new();
    stage.within(async |ports| {
        let (good, bad) = (ports.recorder.submit(vec![note("run-1")]), ports.recorder.submit(vec![fenced("1.1")]));
        good.settled().await.unwrap();
        assert!(matches!(bad.settled().await, Err(LedgerError::Rejected(_))));
    });
    assert!(stage.ledger.events("1.1").is_empty());
}

#[test]
fn a_failed_write_is_told_to_all_and_never_repeated() {
    let stage = Stage::new();
    stage.ledger.chains().fails_after = Some(0);
    stage.within(async |ports| {
        let both = [ports.recorder.submit(vec![note("run-1")]), ports.recorder.submit(vec![note("run-2")])];
        for submitted in both {
            assert!(matches!(submitted.settled().await, Err(LedgerError::Port(_))));
        }
    });
    assert_eq!(stage.ledger.chains().tries, 1);
}
