//! What our own client of the Agent Client Protocol prints: one JSON object per line. Must stay the only reader of that
//! form, which is this:
//!
//! ```json
//! {"type":"session","id":"…","model":"…"}
//! {"type":"update","kind":"tool|file|message|thought|plan","text":"…"}
//! {"type":"usage","input":1,"output":2,"cacheRead":3,"cacheWrite":4,"costUsd":0.5,"cumulative":true}
//! {"type":"permission","tool":"…","decision":"allow|refuse","why":"…"}
//! {"type":"answer","text":"…"}
//! {"type":"end","stopReason":"end_turn","class":"rate-limited","message":"…","until":1795294800}
//! ```
//!
//! Every field but `type` may be absent. `input` is without what came from a cache. With `cumulative` the numbers are of the
//! session as a whole and the last line counts; without, of one turn, and they are added up. `class` is a name of
//! [`FailureClass`], `until` seconds since 1970. A `message` may come in pieces with `"delta":true`. `answer` is the text of
//! a structured answer: a JSON object and nothing else.

use serde::Deserialize;

use super::event::{self, Event};
use super::{Client, Sink, Transcript, meaning, when};
use crate::domain::event::FailureClass;
use crate::domain::transcript::{Entry, Kind, LONGEST};
use crate::domain::usage::{Counting, Usage};

/// The parser.
#[derive(Debug, Default)]
pub(super) struct Acp {
    /// Pieces of the message that is being said.
    message: String,
    /// Turns added up.
    used: Usage,
}

impl Client for Acp {
    fn event(&mut self, event: &Event<'_>, transcript: &mut Transcript, tell: &mut Sink<'_>) {
        let text = event.text("/text").unwrap_or_default();
        if event.kind() == "update" && event.text("/kind") == Some("message") && event.value["delta"] == true {
            let room = LONGEST.saturating_sub(self.message.len());
            self.message.extend(text.chars().take(room));
            return;
        }
        // Numbers may come in the middle of a message.
        if event.kind() == "usage" {
            return self.consumed(event, transcript);
        }
        self.end(transcript, tell);
        match event.kind() {
            "session" => {
                event::model(event.text("/model"), transcript);
                event::session(event.text("/id"), transcript, tell);
            }
            "update" => match event.text("/kind") {
                Some("tool") => tell(Entry::new(Kind::Tool, text)),
                Some("file") => tell(Entry::new(Kind::File, text)),
                Some("message") => event::said(text, transcript, tell),
                Some("thought" | "plan") => tell(Entry::new(Kind::Thought, text)),
                Some(_) | None => {}
            },
            "permission" => permission(event, transcript, tell),
            "answer" if event.cut.is_empty() => transcript.structured = answer(text),
            "end" => ended(event, transcript, tell),
            _ => {}
        }
    }

    fn end(&mut self, transcript: &mut Transcript, tell: &mut Sink<'_>) {
        if !self.message.is_empty() {
            event::said(&std::mem::take(&mut self.message), transcript, tell);
        }
        if transcript.gap && transcript.counting == Counting::default() {
            transcript.usage = Usage::default();
        }
    }
}

impl Acp {
    fn consumed(&mut self, event: &Event<'_>, transcript: &mut Transcript) {
        const FIELDS: [&str; 4] = ["input", "output", "cacheRead", "cacheWrite"];
        let [input, output, cache_read, cache_write] = FIELDS.map(|field| event.value[field].as_u64());
        let micro_usd = event.value["costUsd"].as_f64().and_then(event::micros);
        let tokens = event::sum(event.value, &FIELDS);
        let now = Usage { micro_usd, tokens, input, output, cache_read, cache_write };
        let cumulative = event.value["cumulative"] == true;
        if cumulative {
            // A line may bring the cost alone, another one the tokens.
            self.used = Usage {
                micro_usd: now.micro_usd.or(self.used.micro_usd),
                tokens: now.tokens.or(self.used.tokens),
                input: now.input.or(self.used.input),
                output: now.output.or(self.used.output),
                cache_read: now.cache_read.or(self.used.cache_read),
                cache_write: now.cache_write.or(self.used.cache_write),
            };
        } else {
            self.used.add(&now);
        }
        transcript.usage = self.used;
        // A client may count its cost on and its tokens anew: each number counts as the line said that brought it.
        if micro_usd.is_some() {
            transcript.counting.cost = cumulative;
        }
        if tokens.is_some() {
            transcript.counting.tokens = cumulative;
        }
    }
}

fn permission(event: &Event<'_>, transcript: &mut Transcript, tell: &mut Sink<'_>) {
    let refused = event.text("/decision") == Some("refuse");
    let tool = event.text("/tool").unwrap_or("a tool");
    let why = event.text("/why").map_or_else(String::new, |why| format!(": {why}"));
    if refused {
        transcript.denied = transcript.denied.saturating_add(1);
    }
    let verb = if refused { "refused" } else { "allowed" };
    tell(Entry::new(Kind::Permission, format!("{verb} {tool}{why}")));
}

/// An answer is a JSON object and nothing else.
fn answer(text: &str) -> Option<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_str(text.trim()).ok()?;
    value.is_object().then(|| text.trim().as_bytes().to_vec())
}

fn ended(event: &Event<'_>, transcript: &mut Transcript, tell: &mut Sink<'_>) {
    let message = event.text("/message").unwrap_or_default();
    let named = event.value.get("class").filter(|class| class.is_string());
    let reason = event.text("/stopReason").unwrap_or_default();
    let class = named.and_then(|name| FailureClass::deserialize(name).ok()).or_else(|| match reason {
        "max_turn_requests" => Some(FailureClass::MaxTurns),
        "max_tokens" => Some(FailureClass::ContextFull),
        "refusal" => Some(FailureClass::Agent),
        "error" => Some(meaning::of_text(message).unwrap_or(FailureClass::Agent)),
        _ => None,
    });
    transcript.class = class;
    if class.is_some() {
        transcript.structured = None;
    }
    let told = event.number("/until").and_then(|seconds| when::at_epoch(seconds, event.clock));
    transcript.until = (class == Some(FailureClass::RateLimited))
        .then(|| told.or_else(|| when::reset(message, event.clock)))
        .flatten();
    let message = if message.is_empty() { String::new() } else { format!(": {message}") };
    tell(Entry::new(Kind::End, format!("{reason}{message}")));
}
