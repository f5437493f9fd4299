//! Records without secrets: nothing else is handed to the codec. Must not write.

use crate::domain::event::ItemEvent;
use crate::domain::redact::Redactor;
use crate::engine::ports::{Artefact, Record};

/// The records as they may be written.
pub(super) fn clean(records: &[Record], redactor: &Redactor) -> Vec<Record> {
    records.iter().map(|record| clean_one(record, redactor)).collect()
}

fn clean_one(record: &Record, redactor: &Redactor) -> Record {
    match record {
        Record::Item { key, event, at, artefacts } => {
            // A story's text is evidence: reviews are bound to its id, and the file is committed as it is.
            let exact = matches!(event, ItemEvent::AttemptStarted { .. });
            let bytes = |of: &Artefact| if exact { of.bytes.clone() } else { redactor.redact_bytes(&of.bytes) };
            let artefact = |of: &Artefact| Artefact { name: of.name.clone(), bytes: bytes(of) };
            Record::Item {
                key: key.clone(),
                event: redactor.item_event(event),
                at: *at,
                artefacts: artefacts.iter().map(artefact).collect(),
            }
        }
        Record::Run { run, event, at } => Record::Run { run: run.clone(), event: redactor.run_event(event), at: *at },
        Record::Branch { branch, event, at } => {
            Record::Branch { branch: branch.clone(), event: redactor.branch_event(event), at: *at }
        }
    }
}
