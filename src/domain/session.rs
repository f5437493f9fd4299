//! Sessions of agents as the ledger knows them. Must not know how a client is called.

use serde::{Deserialize, Serialize};

use super::event::{FailureClass, ItemEvent};
use super::names::{AttemptId, Principal, Timestamp};
use super::usage::Usage;
use super::workflow::Phase;

/// A session of an agent and the first phase it performed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionRecord {
    /// First phase.
    pub phase: Phase,
    /// `agent:<adapter>:<session>`.
    pub principal: Principal,
    /// How it ended; absent while it runs, and for ever when it was cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<SessionEnd>,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionEnd {
    /// When.
    pub at: Timestamp,
    /// Wall time in milliseconds.
    pub millis: u64,
    /// What it consumed.
    #[serde(default)]
    pub usage: Usage,
    /// The model, as the client names it; empty = it did not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// Date of the price table by which the cost was reckoned; empty = the client said it, or it is unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub priced: String,
    /// When a rate limit ends, as far as the client says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The failure that its end proves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<FailureClass>,
    /// Whether it was asked to end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
}

impl SessionEnd {
    /// What an event says of the end of a session; nothing of any other event.
    pub(super) fn of(event: &ItemEvent, at: Timestamp) -> Self {
        let mut end = Self {
            at,
            millis: 0,
            usage: Usage::default(),
            model: String::new(),
            priced: String::new(),
            until: None,
            class: None,
            cancelled: false,
        };
        if let ItemEvent::SessionEnded { millis, usage, model, priced, until, class, cancelled, .. } = event {
            (end.millis, end.usage, end.until) = (*millis, *usage, *until);
            (end.model, end.priced) = (model.clone(), priced.clone());
            (end.class, end.cancelled) = (*class, *cancelled);
        }
        end
    }

    /// Whether it ended in the middle of its task, as far as its end says.
    pub fn is_cut(&self) -> bool {
        self.cancelled || self.class.is_some()
    }
}

/// An author's session of which nobody has recorded what it came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenSession {
    /// Attempt that started it.
    pub attempt: AttemptId,
    /// First phase.
    pub phase: Phase,
    /// `agent:<adapter>:<session>`.
    pub principal: Principal,
}

/// An author's session that its client can go on with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KnownSession {
    /// First phase of its last invocation.
    pub phase: Phase,
    /// `agent:<adapter>:<session>`: who it is for the record, whatever its client calls it.
    pub principal: Principal,
    /// The id by which its client knows it.
    pub client: String,
}

impl KnownSession {
    /// Whether it is a session of this adapter.
    pub fn is_of(&self, adapter: &str) -> bool {
        matches!(&self.principal, Principal::Agent { adapter: of, .. } if of == adapter)
    }

    /// What can be gone on with after an end; a full context cannot.
    pub(super) fn of(phase: Phase, principal: &Principal, client: &str, class: Option<FailureClass>) -> Option<Self> {
        let over = client.is_empty() || matches!(class, Some(FailureClass::ContextFull | FailureClass::Tampering));
        (!over).then(|| Self { phase, principal: principal.clone(), client: client.to_owned() })
    }
}

/// Whether a class says that something outside ended a session.
pub(super) fn is_cut_off(class: FailureClass) -> bool {
    class.is_pause() || matches!(class, FailureClass::WallTimeout | FailureClass::IdleTimeout | FailureClass::Resources)
}
