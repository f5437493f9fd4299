//! Gemini CLI's event stream: messages in pieces, one account at the end. Must not trust its success alone: an error in the
//! middle of an answer ends with it.

use serde_json::Value;

use super::event::{self, Event};
use super::{Client, Sink, Transcript, meaning, when};
use crate::domain::event::FailureClass;
use crate::domain::transcript::{Entry, Kind, LONGEST};
use crate::domain::usage::{Counting, Usage};

/// The parser.
#[derive(Debug, Default)]
pub(super) struct Gemini {
    /// Pieces of the message that is being said.
    message: String,
    /// What its last error said: a final account may give none.
    error: String,
}

impl Client for Gemini {
    fn event(&mut self, event: &Event<'_>, transcript: &mut Transcript, tell: &mut Sink<'_>) {
        if event.kind() == "message" && event.text("/role") == Some("assistant") {
            let whole = event.value["delta"] != true;
            if whole {
                self.end(transcript, tell);
            }
            let room = LONGEST.saturating_sub(self.message.len());
            self.message.extend(event.text("/content").unwrap_or_default().chars().take(room));
            return;
        }
        self.end(transcript, tell);
        event::model(event.text("/model"), transcript);
        event::session(event.text("/session_id"), transcript, tell);
        match event.kind() {
            "tool_use" => {
                tell(event::tool(event.text("/tool_name").unwrap_or("tool"), event.value.get("parameters")));
            }
            "tool_result" if event.text("/status") == Some("error") => {
                let why = event.text("/error/message").or_else(|| event.text("/output")).unwrap_or("no reason given");
                tell(Entry::new(Kind::Notice, format!("the tool failed: {why}")));
            }
            "error" => {
                let said = event.text("/message");
                // What it only warns of explains no failure.
                if event.text("/severity") != Some("warning") {
                    said.unwrap_or_default().clone_into(&mut self.error);
                }
                tell(Entry::new(Kind::Notice, said.unwrap_or("an error without a message")));
            }
            "result" => self.result(event, transcript, tell),
            _ => {}
        }
    }

    fn end(&mut self, transcript: &mut Transcript, tell: &mut Sink<'_>) {
        if !self.message.is_empty() {
            event::said(&std::mem::take(&mut self.message), transcript, tell);
        }
    }
}

impl Gemini {
    /// The final account.
    fn result(&self, event: &Event<'_>, transcript: &mut Transcript, tell: &mut Sink<'_>) {
        let message = event.text("/error/message").unwrap_or(&self.error);
        let failed = event.text("/status") == Some("error");
        transcript.class = failed.then(|| class(event.text("/error/type").unwrap_or_default(), message));
        if transcript.class == Some(FailureClass::RateLimited) {
            transcript.until = when::reset(message, event.clock).or(transcript.until);
        }
        let stats = &event.value["stats"];
        transcript.usage = usage(stats);
        transcript.counting = Counting::default();
        let models = stats["models"].as_object().into_iter().flatten();
        transcript.by_model = models.map(|(name, value)| (name.clone(), usage(value))).collect();
        let end = if failed { format!("failed: {message}") } else { "success".to_owned() };
        tell(Entry::new(Kind::End, end));
    }
}

fn class(kind: &str, message: &str) -> FailureClass {
    match kind {
        "FatalAuthenticationError" => FailureClass::Auth,
        "FatalTurnLimitedError" => FailureClass::MaxTurns,
        _ => meaning::of_text(message).unwrap_or(FailureClass::Agent),
    }
}

/// Of this run. What was read from the cache is part of the input; what was thought is part of the sum only.
fn usage(stats: &Value) -> Usage {
    let number = |field: &str| stats[field].as_u64();
    let all_input = number("input_tokens");
    let cache_read = number("cached");
    let total = number("total_tokens").or_else(|| event::sum(stats, &["input_tokens", "output_tokens"]));
    Usage {
        micro_usd: None,
        tokens: total,
        input: all_input.map(|input| input.saturating_sub(cache_read.unwrap_or(0))),
        output: match (total, all_input) {
            (Some(total), Some(input)) if total > input => Some(total - input),
            _ => number("output_tokens"),
        },
        cache_read,
        cache_write: None,
    }
}
