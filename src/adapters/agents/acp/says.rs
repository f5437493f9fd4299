//! What this side prints: one JSON object in a line, the form that the reader of logs knows. Must not hold back what shows
//! that the agent is alive, and must not print tool output.

use std::io::Write;

use serde_json::{Map, Value, json};

use crate::domain::event::FailureClass;

/// Longest text of one line, in bytes; what an agent says goes on in the next one.
const TEXT: usize = 16 * 1024;

/// Longest line that the client prints beside the conversation, in bytes.
const NOISE: usize = 4096;

/// Consumption that a client reports.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tokens {
    pub(super) input: Option<u64>,
    pub(super) output: Option<u64>,
    pub(super) cache_read: Option<u64>,
    pub(super) cache_write: Option<u64>,
}

/// The output.
pub(super) struct Says<'a> {
    out: &'a mut dyn Write,
    /// Kind and beginning of a text that comes in pieces.
    open: Option<(&'static str, String)>,
    /// The newest line that the client printed beside the conversation.
    last: String,
    /// Whether nobody reads any more.
    pub(super) lost: bool,
}

impl<'a> Says<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self { out, open: None, last: String::new(), lost: false }
    }

    fn line(&mut self, value: &Value) {
        let mut line = value.to_string();
        line.push('\n');
        self.lost |= self.out.write_all(line.as_bytes()).and_then(|()| self.out.flush()).is_err();
    }

    pub(super) fn session(&mut self, id: &str, model: &str) {
        self.line(&json!({ "type": "session", "id": id, "model": model }));
    }

    /// Something that happened, whole.
    pub(super) fn update(&mut self, kind: &str, text: &str) {
        self.close();
        self.line(&json!({ "type": "update", "kind": kind, "text": cut(text, TEXT) }));
    }

    /// A piece of a message or thought; printed by lines.
    pub(super) fn piece(&mut self, kind: &'static str, text: &str) {
        if self.open.as_ref().is_some_and(|(open, _)| *open != kind) {
            self.close();
        }
        let (_, open) = self.open.get_or_insert_with(|| (kind, String::new()));
        open.push_str(text);
        if open.len() >= TEXT || text.contains('\n') {
            self.close();
        }
    }

    /// Prints what is open.
    pub(super) fn close(&mut self) {
        let Some((kind, text)) = self.open.take() else { return };
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let part = cut(rest, TEXT);
            self.line(&json!({ "type": "update", "kind": kind, "text": part, "delta": kind == "message" }));
            rest = &rest[part.len()..];
        }
    }

    /// What one turn consumed.
    pub(super) fn tokens(&mut self, tokens: &Tokens) {
        let fields = [
            ("input", tokens.input),
            ("output", tokens.output),
            ("cacheRead", tokens.cache_read),
            ("cacheWrite", tokens.cache_write),
        ];
        if fields.iter().all(|(_, value)| value.is_none()) {
            return;
        }
        let mut line = Map::from_iter([("type".to_owned(), json!("usage"))]);
        line.extend(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))));
        line.insert("cumulative".to_owned(), json!(false));
        self.line(&Value::Object(line));
    }

    /// What the session has cost so far.
    pub(super) fn cost(&mut self, dollars: f64) {
        self.line(&json!({ "type": "usage", "costUsd": dollars, "cumulative": true }));
    }

    pub(super) fn permission(&mut self, tool: &str, refused: Option<&str>) {
        self.close();
        let decision = if refused.is_some() { "refuse" } else { "allow" };
        self.line(&json!({ "type": "permission", "tool": cut(tool, NOISE), "decision": decision, "why": refused.unwrap_or_default() }));
    }

    pub(super) fn answer(&mut self, text: &str) {
        self.line(&json!({ "type": "answer", "text": text }));
    }

    pub(super) fn end(&mut self, stop: &str, class: Option<FailureClass>, message: &str, until: Option<u64>) {
        self.close();
        let mut line = Map::new();
        line.insert("type".to_owned(), json!("end"));
        line.insert("stopReason".to_owned(), json!(stop));
        if let Some(class) = class {
            line.insert("class".to_owned(), json!(class));
        }
        line.insert("message".to_owned(), json!(cut(message, TEXT)));
        if let Some(until) = until {
            line.insert("until".to_owned(), json!(until));
        }
        self.line(&Value::Object(line));
    }

    /// What the client prints beside the conversation; no reader takes it for an event.
    pub(super) fn noise(&mut self, text: &str) {
        self.close();
        cut(text, NOISE).clone_into(&mut self.last);
        let written = writeln!(self.out, "client: {}", cut(text, NOISE)).and_then(|()| self.out.flush());
        self.lost |= written.is_err();
    }

    /// The newest of these lines; empty when there was none.
    pub(super) fn last_noise(&self) -> &str {
        &self.last
    }
}

/// The beginning of a text, whole characters.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}
