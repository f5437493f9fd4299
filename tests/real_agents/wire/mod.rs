//! The four wire formats that clients speak: which one a request is, and both directions of each. Must not decide what is said.

mod anthropic;
mod chat;
mod gemini;
mod responses;

use serde_json::Value;

use crate::model::{Ask, Said};

/// A wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Responses.
    Responses,
    /// OpenAI Chat Completions.
    Chat,
    /// Gemini generateContent.
    Gemini,
}

impl Protocol {
    /// The one a path belongs to; `None` for everything that is no question to a model.
    pub fn of(method: &str, path: &str) -> Option<Self> {
        let path = path.split('?').next().unwrap_or_default();
        match path {
            _ if method != "POST" => None,
            path if path.ends_with("/messages") => Some(Self::Anthropic),
            path if path.ends_with("/responses") => Some(Self::Responses),
            path if path.ends_with("/chat/completions") => Some(Self::Chat),
            path if path.ends_with(":generateContent") || path.ends_with(":streamGenerateContent") => {
                Some(Self::Gemini)
            }
            _ => None,
        }
    }

    /// A request in our words.
    pub fn read(self, path: &str, request: &Value) -> Ask {
        let ask = match self {
            Self::Anthropic => anthropic::read(request),
            Self::Responses => responses::read(request),
            Self::Chat => chat::read(request),
            Self::Gemini => gemini::read(path, request),
        };
        ask.with_task()
    }

    /// An answer as server-sent events.
    pub fn events(self, ask: &Ask, said: &Said) -> Vec<String> {
        match self {
            Self::Anthropic => anthropic::events(ask, said),
            Self::Responses => responses::events(ask, said),
            Self::Chat => chat::events(ask, said),
            Self::Gemini => gemini::events(said),
        }
    }

    /// An answer in one piece.
    pub fn whole(self, ask: &Ask, said: &Said) -> Value {
        match self {
            Self::Anthropic => anthropic::whole(ask, said),
            Self::Responses => responses::whole(ask, said),
            Self::Chat => chat::whole(ask, said),
            Self::Gemini => gemini::whole(said),
        }
    }

    /// The body of an error.
    pub fn refusal(self, status: u16, kind: &str, message: &str, headers: &[(String, String)]) -> Value {
        match self {
            Self::Anthropic => anthropic::refusal(kind, message),
            Self::Responses | Self::Chat => responses::refusal(kind, message, headers),
            Self::Gemini => gemini::refusal(status, kind, message, headers),
        }
    }
}

/// A text that may be a string or a list of parts with texts.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part["text"].as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

/// One named server-sent event.
fn named(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

/// One server-sent event without a name.
fn data(data: &Value) -> String {
    format!("data: {data}\n\n")
}

/// An id that is new in this process.
fn fresh(prefix: &str) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{prefix}_{:024}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Pieces of a text, cut between characters: what streams bring.
fn pieces(text: &str) -> Vec<String> {
    const PIECE: usize = 64 * 1024;
    let half = (text.len() / 2).clamp(1, PIECE);
    let (mut all, mut piece) = (Vec::new(), String::new());
    for character in text.chars() {
        piece.push(character);
        if piece.len() >= half {
            all.push(std::mem::take(&mut piece));
        }
    }
    all.push(piece);
    all
}
