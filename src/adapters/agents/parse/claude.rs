//! The event stream of Claude Code and of its kin (Qwen Code). Must not trust `subtype`: an API error comes as `success`.

use serde_json::Value;

use super::event::{self, Event};
use super::{Client, Sink, Transcript, meaning, when};
use crate::domain::event::FailureClass;
use crate::domain::names::Timestamp;
use crate::domain::transcript::{Entry, Kind};
use crate::domain::usage::{Counting, Usage};

/// The parser.
#[derive(Debug, Default)]
pub(super) struct Claude {
    /// When the plan's limit ends that an event told of.
    limited_until: Option<Timestamp>,
    /// Whether the plan's limit is reached.
    limited: bool,
}

impl Client for Claude {
    fn event(&mut self, event: &Event<'_>, transcript: &mut Transcript, tell: &mut Sink<'_>) {
        event::model(event.text("/model").or_else(|| event.text("/message/model")), transcript);
        event::session(event.text("/session_id"), transcript, tell);
        match event.kind() {
            "assistant" => message(event, transcript, tell),
            "user" => results(event, tell),
            "system" if event.text("/subtype") == Some("api_retry") => retry(event, tell),
            "rate_limit_event" => self.limit(event, transcript, tell),
            "result" => self.result(event, transcript, tell),
            _ => {}
        }
    }
}

impl Claude {
    fn limit(&mut self, event: &Event<'_>, transcript: &mut Transcript, tell: &mut Sink<'_>) {
        if event.text("/rate_limit_info/status") != Some("rejected") {
            return;
        }
        self.limited = true;
        let seconds = event.number("/rate_limit_info/resetsAt");
        self.limited_until = seconds.and_then(|seconds| when::at_epoch(seconds, event.clock));
        transcript.class = Some(FailureClass::RateLimited);
        transcript.until = self.limited_until.or(transcript.until);
        tell(Entry::new(Kind::Notice, "the plan's limit is reached"));
    }

    /// Only the last result counts, and a failed one gives no answer.
    fn result(&mut self, event: &Event<'_>, transcript: &mut Transcript, tell: &mut Sink<'_>) {
        let failed = event.value["is_error"].as_bool().unwrap_or(false);
        let text = event.text("/result").or_else(|| event.text("/error/message"));
        transcript.structured = if failed { None } else { event.whole("structured_output") };
        transcript.class = class(event, text, failed);
        transcript.denied = u32::try_from(event.list("/permission_denials").count()).unwrap_or(u32::MAX);
        if transcript.class == Some(FailureClass::RateLimited) || failed && self.limited {
            transcript.class = Some(FailureClass::RateLimited);
            let told = text.and_then(|text| when::reset(text, event.clock));
            transcript.until = self.limited_until.or(told);
        } else {
            transcript.until = None;
        }
        if let (Some(text), false) = (text, failed) {
            text.clone_into(&mut transcript.said);
        }
        consumed(event, transcript);
        let how = event.text("/terminal_reason").or_else(|| event.text("/subtype")).unwrap_or("ended");
        let why = text.filter(|_| failed).map_or_else(String::new, |text| format!(": {text}"));
        let turns = event.number("/num_turns").map_or_else(String::new, |turns| format!(" after {turns} turns"));
        tell(Entry::new(Kind::End, format!("{}{turns}{why}", if failed { how } else { "success" })));
    }
}

fn message(event: &Event<'_>, transcript: &mut Transcript, tell: &mut Sink<'_>) {
    for part in event.list("/message/content") {
        match part["type"].as_str().unwrap_or_default() {
            "text" => event::said(part["text"].as_str().unwrap_or_default(), transcript, tell),
            "thinking" => match part["thinking"].as_str() {
                Some(text) if !text.trim().is_empty() => tell(Entry::new(Kind::Thought, text)),
                Some(_) | None => {}
            },
            "tool_use" => tell(event::tool(part["name"].as_str().unwrap_or("tool"), part.get("input"))),
            _ => {}
        }
    }
}

/// Results of tools that failed.
fn results(event: &Event<'_>, tell: &mut Sink<'_>) {
    for part in event.list("/message/content") {
        if part["type"] != "tool_result" || part["is_error"] != true {
            continue;
        }
        let text =
            part["content"].as_str().or_else(|| part["content"][0]["text"].as_str()).unwrap_or("no reason given");
        tell(Entry::new(Kind::Notice, format!("the tool failed: {text}")));
    }
}

fn retry(event: &Event<'_>, tell: &mut Sink<'_>) {
    let number = |field: &str| event.number(field).unwrap_or(0);
    let status = event.number("/error_status").map_or_else(String::new, |status| format!(" (status {status})"));
    let (attempt, of) = (number("/attempt"), number("/max_retries"));
    let seconds = number("/retry_delay_ms").div_ceil(1000);
    tell(Entry::new(Kind::Notice, format!("the client tries again, {attempt} of {of}, in {seconds} s{status}")));
}

fn class(event: &Event<'_>, text: Option<&str>, failed: bool) -> Option<FailureClass> {
    match event.text("/subtype") {
        Some("error_max_turns") => return Some(FailureClass::MaxTurns),
        Some("error_max_budget_usd") => return Some(FailureClass::ClientBudget),
        _ if !failed => return None,
        _ => {}
    }
    if event.text("/terminal_reason") == Some("prompt_too_long") {
        return Some(FailureClass::ContextFull);
    }
    let error = event.text("/error").or_else(|| event.text("/api_error")).unwrap_or_default();
    let kind = event.text("/api_error_type").or_else(|| event.text("/error/type")).unwrap_or(error);
    let by_kind = match kind {
        "rate_limit_error" | "rate_limit" => Some(FailureClass::RateLimited),
        "authentication_error" | "permission_error" | "authentication_failed" => Some(FailureClass::Auth),
        "billing_error" => Some(FailureClass::Billing),
        "overloaded_error" | "api_error" | "timeout_error" | "connection_failed" | "server_error" => {
            Some(FailureClass::Overloaded)
        }
        _ => None,
    };
    let billing = (error == "billing_error").then_some(FailureClass::Billing);
    let by_status = event.number("/api_error_status").and_then(meaning::of_status);
    let words = || text.and_then(meaning::of_text);
    Some(billing.or(by_status).or(by_kind).or_else(words).unwrap_or(FailureClass::Agent))
}

/// Cost and tokens of the final event. Claude's sums by model are of the whole session, as its cost is; Qwen has neither,
/// and its `usage` is of this run. A model whose price it does not know makes the cost unknown.
fn consumed(event: &Event<'_>, transcript: &mut Transcript) {
    const SESSION: [&str; 4] = ["inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens"];
    const RUN: [&str; 4] = ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];
    let models = event.value["modelUsage"].as_object();
    let by_model = models.into_iter().flatten().map(|(name, value)| (name.clone(), usage(value, SESSION)));
    transcript.by_model = by_model.filter(|(_, usage)| usage.tokens.is_some()).collect();
    let priced = models.into_iter().flatten().all(|(_, model)| model["costBasis"].as_str() != Some("unknown"));
    let cost = event.value["total_cost_usd"].as_f64().filter(|_| priced).and_then(event::micros);
    let mut all = Usage::default();
    transcript.by_model.iter().for_each(|(_, usage)| all.add(usage));
    let by_session = all.tokens.is_some();
    if !by_session {
        all = usage(&event.value["usage"], RUN);
    }
    transcript.usage = Usage { micro_usd: cost, ..all };
    transcript.counting = Counting { cost: cost.is_some(), tokens: by_session };
}

fn usage(value: &Value, fields: [&str; 4]) -> Usage {
    let [input, output, cache_read, cache_write] = fields.map(|field| value[field].as_u64());
    Usage { micro_usd: None, tokens: event::sum(value, &fields), input, output, cache_read, cache_write }
}
