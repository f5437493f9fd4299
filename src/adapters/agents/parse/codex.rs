//! Codex's events. Must not take a retry that it announces for a failure.

use std::collections::VecDeque;

use serde_json::Value;

use super::event::{self, Event};
use super::{Client, Sink, Transcript, meaning, when};
use crate::domain::event::FailureClass;
use crate::domain::transcript::{Entry, Kind};
use crate::domain::usage::{Counting, Usage};

/// Items remembered as begun.
const BEGUN: usize = 64;

/// The parser.
#[derive(Debug, Default)]
pub(super) struct Codex {
    /// Items told of when they began.
    begun: VecDeque<String>,
}

impl Client for Codex {
    fn event(&mut self, event: &Event<'_>, transcript: &mut Transcript, tell: &mut Sink<'_>) {
        event::model(event.text("/model"), transcript);
        event::session(event.text("/thread_id"), transcript, tell);
        match event.kind() {
            "item.started" => self.item(event, false, transcript, tell),
            "item.completed" => self.item(event, true, transcript, tell),
            "error" => tell(Entry::new(Kind::Notice, event.text("/message").unwrap_or("an error without a message"))),
            "turn.failed" => failed(event, transcript, tell),
            "turn.completed" => {
                transcript.class = None;
                transcript.until = None;
                transcript.usage = usage(&event.value["usage"]);
                // It counts over all turns of the thread.
                transcript.counting = Counting { cost: false, tokens: true };
                tell(Entry::new(Kind::End, "success"));
            }
            _ => {}
        }
    }
}

impl Codex {
    fn item(&mut self, event: &Event<'_>, done: bool, transcript: &mut Transcript, tell: &mut Sink<'_>) {
        let item = &event.value["item"];
        let text = |field: &str| item[field].as_str().unwrap_or_default();
        match text("type") {
            "agent_message" if done => return event::said(text("text"), transcript, tell),
            "reasoning" if done => return tell(Entry::new(Kind::Thought, text("text"))),
            "error" if done => return tell(Entry::new(Kind::Notice, text("message"))),
            _ => {}
        }
        let id = text("id").to_owned();
        if self.begun.contains(&id) {
            return;
        }
        let told = tools(item);
        if !told.is_empty() && !id.is_empty() {
            self.begun.truncate(BEGUN - 1);
            self.begun.push_front(id);
        }
        told.into_iter().for_each(tell);
    }
}

fn tools(item: &Value) -> Vec<Entry> {
    let text = |field: &str| item[field].as_str().unwrap_or_default();
    match text("type") {
        "command_execution" => vec![event::tool("shell", Some(item))],
        "file_change" => {
            let changes = item["changes"].as_array().into_iter().flatten();
            changes.filter_map(|change| change["path"].as_str()).map(|path| Entry::new(Kind::File, path)).collect()
        }
        "mcp_tool_call" => vec![event::tool(&format!("{}.{}", text("server"), text("tool")), item.get("arguments"))],
        "web_search" => vec![event::tool("web_search", Some(item))],
        _ => Vec::new(),
    }
}

fn failed(event: &Event<'_>, transcript: &mut Transcript, tell: &mut Sink<'_>) {
    let message = event.text("/error/message").unwrap_or_default();
    let lower = message.to_ascii_lowercase();
    // A plan's quota is bought, a limit is waited for.
    let class = if lower.contains("quota exceeded") {
        FailureClass::Billing
    } else {
        meaning::of_text(message).unwrap_or(FailureClass::Agent)
    };
    transcript.class = Some(class);
    transcript.until = (class == FailureClass::RateLimited).then(|| when::reset(message, event.clock)).flatten();
    tell(Entry::new(Kind::End, format!("failed: {message}")));
}

/// What was read from the cache, and what was reasoned, is part of input and output.
fn usage(value: &Value) -> Usage {
    let number = |field: &str| value[field].as_u64();
    let cache_read = number("cached_input_tokens");
    let input = number("input_tokens").map(|input| input.saturating_sub(cache_read.unwrap_or(0)));
    Usage {
        micro_usd: None,
        tokens: event::sum(value, &["input_tokens", "output_tokens"]),
        input,
        output: number("output_tokens"),
        cache_read,
        cache_write: None,
    }
}
