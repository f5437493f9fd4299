//! What an invocation left whose orchestrator went away, read from its files. Must not believe that a client knows a session
//! which it had not begun.

use std::fs;
use std::path::Path;

use super::adapter::{Adapter, Parser};
use super::parse;
use crate::adapters::process::past;
use crate::domain::names::Principal;
use crate::domain::state::OpenSession;
use crate::engine::ports::LeftSession;

/// Looks at the files of the newest invocation of a session's attempt and phase.
pub(super) fn of(state_dir: &Path, adapter: &Adapter, open: &OpenSession) -> LeftSession {
    let all = past::invocations(state_dir, open.attempt.as_str());
    let Some(newest) = all.into_iter().rfind(|invocation| invocation.phase == open.phase.name()) else {
        return LeftSession::default();
    };
    LeftSession { session: known_session(adapter, open, &newest.folder.join("output.log")), ended: newest.ended }
}

/// The id by which the client goes on; `None` when it cannot, or may not have begun the session at all.
fn known_session(adapter: &Adapter, open: &OpenSession, log: &Path) -> Option<String> {
    let Principal::Agent { session, .. } = &open.principal else { return None };
    if adapter.resume_args.is_empty() {
        return None;
    }
    if adapter.parser == Parser::Plain {
        // It says nothing of its sessions: once it has said anything, it had begun.
        return fs::metadata(log).is_ok_and(|file| file.len() > 0).then(|| session.clone());
    }
    // It becomes an argument: what an agent may have printed must not be taken for an option.
    parse::read(log, adapter.parser).session.filter(|id| !id.starts_with('-'))
}

#[cfg(test)]
#[path = "leftover_tests.rs"]
mod tests;
