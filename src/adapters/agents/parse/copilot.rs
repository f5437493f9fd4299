//! Copilot CLI's events: an envelope with `type` and `data`, most of them ephemeral. Must not take its credits for money.

use serde_json::Value;

use super::event::{self, Event};
use super::{Client, Sink, Transcript, meaning, when};
use crate::domain::event::FailureClass;
use crate::domain::transcript::{Entry, Kind};
use crate::domain::usage::Usage;

/// The parser.
#[derive(Debug, Default)]
pub(super) struct Copilot {
    /// The failure of the newest error.
    error: Option<FailureClass>,
    /// Calls of models summed up.
    used: Usage,
}

impl Client for Copilot {
    fn event(&mut self, event: &Event<'_>, transcript: &mut Transcript, tell: &mut Sink<'_>) {
        let model = event.text("/data/model").or_else(|| event.text("/data/selectedModel"));
        event::model(model.or_else(|| event.text("/data/newModel")), transcript);
        event::session(event.text("/sessionId").or_else(|| event.text("/data/sessionId")), transcript, tell);
        match event.kind() {
            "assistant.message" => event::said(event.text("/data/content").unwrap_or_default(), transcript, tell),
            "assistant.reasoning" => {
                tell(Entry::new(Kind::Thought, event.text("/data/content").unwrap_or_default()));
            }
            "assistant.usage" => self.used.add(&usage(&event.value["data"])),
            "tool.execution_start" => {
                let name = event.text("/data/toolName").unwrap_or("tool");
                tell(event::tool(name, event.value.pointer("/data/arguments")));
            }
            "tool.execution_complete" if event.value["data"]["success"] == false => {
                let why = event.text("/data/error/message").unwrap_or("no reason given");
                tell(Entry::new(Kind::Notice, format!("the tool failed: {why}")));
            }
            "session.error" => self.failed(event, transcript, tell),
            "result" => self.result(event, transcript, tell),
            _ => {}
        }
    }

    fn end(&mut self, transcript: &mut Transcript, _tell: &mut Sink<'_>) {
        if !transcript.gap {
            transcript.usage = self.used;
        }
    }
}

impl Copilot {
    fn failed(&mut self, event: &Event<'_>, transcript: &mut Transcript, tell: &mut Sink<'_>) {
        let message = event.text("/data/message").unwrap_or_default();
        let by_kind = match event.text("/data/errorType").unwrap_or_default() {
            "rate_limit" => Some(FailureClass::RateLimited),
            "authentication" | "authorization" => Some(FailureClass::Auth),
            "quota" | "billing" => Some(FailureClass::Billing),
            "context_limit" | "context_overflow" => Some(FailureClass::ContextFull),
            _ => None,
        };
        let by_status = || event.number("/data/statusCode").and_then(meaning::of_status);
        let words = || meaning::of_text(message);
        let class = by_kind.or_else(by_status).or_else(words).unwrap_or(FailureClass::Agent);
        self.error = Some(class);
        transcript.class = Some(class);
        transcript.until = (class == FailureClass::RateLimited).then(|| when::reset(message, event.clock)).flatten();
        tell(Entry::new(Kind::Notice, message));
    }

    fn result(&mut self, event: &Event<'_>, transcript: &mut Transcript, tell: &mut Sink<'_>) {
        let code = event.number("/exitCode").or_else(|| event.number("/data/exitCode")).unwrap_or(0);
        transcript.class = (code != 0).then_some(self.error.unwrap_or(FailureClass::Agent));
        if transcript.class.is_none() {
            transcript.until = None;
        }
        tell(Entry::new(Kind::End, if code == 0 { "success".to_owned() } else { format!("exit code {code}") }));
    }
}

/// What was read from the cache is part of the input.
fn usage(data: &Value) -> Usage {
    let number = |field: &str| data[field].as_u64();
    let cache_read = number("cacheReadTokens");
    let cache_write = number("cacheWriteTokens");
    let cached = cache_read.unwrap_or(0).saturating_add(cache_write.unwrap_or(0));
    Usage {
        micro_usd: None,
        tokens: event::sum(data, &["inputTokens", "outputTokens"]),
        input: number("inputTokens").map(|input| input.saturating_sub(cached)),
        output: number("outputTokens"),
        cache_read,
        cache_write,
    }
}
