//! Reads what a client printed: session id, structured answer, and failures that its events prove. Must stream: one line
//! may be megabytes long, and unknown events are normal.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde_json::Value;

use super::adapter::Parser;
use crate::domain::budget::parse_dollars;
use crate::domain::event::FailureClass;
use crate::domain::names::Timestamp;
use crate::domain::usage::{Counting, Usage};

/// Longest line that is read as an event, in bytes; longer ones are skipped, not fatal.
const LINE: u64 = 8 * 1024 * 1024;

/// What the events say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    /// Session id as the client reports it.
    pub session: Option<String>,
    /// Structured answer of the last event that has one.
    pub structured: Option<Vec<u8>>,
    /// Failure that the events prove.
    pub class: Option<FailureClass>,
    /// What the client says the session has consumed so far, all its invocations together.
    pub usage: Usage,
    /// Which of these numbers count on over a session's invocations.
    pub counting: Counting,
    /// The model, as the client names it.
    pub model: String,
    /// When a rate limit ends.
    pub until: Option<Timestamp>,
    /// The agent's last message, escaped.
    pub said: String,
}

/// Reads a log; a plain client's is not looked at.
pub fn read(path: &Path, parser: Parser) -> Transcript {
    let mut transcript = Transcript::default();
    if parser != Parser::Plain {
        // What could be read counts; a log that breaks off holds no final event.
        let _ = File::open(path).and_then(|file| scan(BufReader::new(file), parser, &mut transcript));
    }
    transcript
}

fn scan(mut input: impl BufRead, parser: Parser, transcript: &mut Transcript) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut input).take(LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.len() as u64 == LINE && line.last() != Some(&b'\n') {
            input.skip_until(b'\n')?;
            continue;
        }
        if let (Some(b'{'), Ok(event)) = (line.first(), serde_json::from_slice(&line)) {
            take(&event, parser, transcript);
        }
    }
}

fn take(event: &Value, parser: Parser, transcript: &mut Transcript) {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    let kind = text("/type").unwrap_or_default();
    match parser {
        Parser::Plain => {}
        Parser::ClaudeStreamJson => {
            keep_session(transcript, text("/session_id"));
            match kind {
                "result" => {
                    // Only the last result counts, and a failed one gives no answer.
                    let failed = event["is_error"].as_bool().unwrap_or(false);
                    let answer = event.get("structured_output").filter(|value| !failed && value.is_object());
                    transcript.structured = answer.map(|value| value.to_string().into_bytes());
                    transcript.class = if failed { claude_class(event) } else { None };
                    transcript.usage = claude_usage(event);
                    transcript.counting = Counting { cost: true, tokens: true };
                }
                "rate_limit_event" if text("/rate_limit_info/status") == Some("rejected") => {
                    transcript.class = Some(FailureClass::RateLimited);
                }
                _ => {}
            }
        }
        Parser::CodexJsonl => {
            keep_session(transcript, text("/thread_id"));
            match kind {
                "turn.failed" => transcript.class = text("/error/message").and_then(message_class),
                "turn.completed" => {
                    transcript.class = None;
                    transcript.counting.tokens = true;
                    // Cached input is part of the input.
                    transcript.usage.tokens = sum(&event["usage"], &["input_tokens", "output_tokens"]);
                }
                _ => {}
            }
        }
        Parser::GeminiStreamJson => {
            keep_session(transcript, text("/session_id"));
            if kind == "result" {
                let stats = &event["stats"];
                let all = sum(stats, &["total_tokens"]).or_else(|| sum(stats, &["input_tokens", "output_tokens"]));
                transcript.usage.tokens = all;
                transcript.class = match text("/status") {
                    Some("error") => text("/error/message").and_then(message_class),
                    _ => None,
                };
            }
        }
    }
}

/// The sum of those fields that are there; `None` when none is.
fn sum(value: &Value, fields: &[&str]) -> Option<u64> {
    fields.iter().filter_map(|field| value[*field].as_u64()).reduce(u64::saturating_add)
}

/// Cost and tokens of Claude's final event. Its sums by model are of the whole session, as its cost is; a model whose price
/// it does not know makes the cost unknown.
fn claude_usage(event: &Value) -> Usage {
    let models: Vec<&Value> = event["modelUsage"].as_object().map(|by| by.values().collect()).unwrap_or_default();
    let priced = models.iter().all(|model| model["costBasis"].as_str() != Some("unknown"));
    let cost = event["total_cost_usd"].as_f64().filter(|cost| priced && cost.is_finite() && *cost >= 0.0);
    let fields = ["inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens"];
    let by_model = models.iter().filter_map(|model| sum(model, &fields)).reduce(u64::saturating_add);
    let here = ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];
    let tokens = by_model.or_else(|| sum(&event["usage"], &here));
    Usage { micro_usd: cost.and_then(micros), tokens, ..Usage::default() }
}

fn micros(dollars: f64) -> Option<u64> {
    let text = format!("{dollars:.6}");
    if text == "0.000000" { Some(0) } else { parse_dollars(&text) }
}

fn keep_session(transcript: &mut Transcript, session: Option<&str>) {
    let plain = |id: &&str| !id.is_empty() && id.len() <= 128 && id.bytes().all(|b| b.is_ascii_graphic());
    if let Some(session) = session.filter(plain) {
        transcript.session = Some(session.to_owned());
    }
}

fn claude_class(event: &Value) -> Option<FailureClass> {
    match event["api_error_status"].as_u64() {
        Some(429) => return Some(FailureClass::RateLimited),
        Some(401 | 403) => return Some(FailureClass::Auth),
        Some(_) | None => {}
    }
    match event["api_error_type"].as_str() {
        Some("rate_limit_error") => Some(FailureClass::RateLimited),
        Some("authentication_error" | "permission_error") => Some(FailureClass::Auth),
        Some(_) | None => event["result"].as_str().and_then(message_class),
    }
}

fn message_class(message: &str) -> Option<FailureClass> {
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if has(&["429", "usage limit", "rate limit", "Quota exceeded", "quota"]) {
        Some(FailureClass::RateLimited)
    } else if has(&["401", "403", "API key", "api key", "/login", "Unauthorized"]) {
        Some(FailureClass::Auth)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(parser: Parser, lines: &str) -> Transcript {
        let mut transcript = Transcript::default();
        scan(lines.as_bytes(), parser, &mut transcript).unwrap();
        transcript
    }

    #[test]
    fn claude_gives_session_answer_and_failures() {
        let good = scanned(
            Parser::ClaudeStreamJson,
            "{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"s-1\"}\nnoise\n{broken\n\
             {\"type\":\"rate_limit_event\",\"rate_limit_info\":{\"status\":\"allowed\"}}\n\
             {\"type\":\"result\",\"is_error\":false,\"structured_output\":{\"version\":1}}\n",
        );
        assert_eq!(good.session.as_deref(), Some("s-1"));
        assert_eq!(good.structured.as_deref(), Some(&b"{\"version\":1}"[..]));
        assert_eq!(good.class, None);
        let limited = "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"api_error_status\":429,\
                       \"structured_output\":{\"version\":1}}\n";
        let limited = scanned(Parser::ClaudeStreamJson, limited);
        assert_eq!((limited.class, limited.structured), (Some(FailureClass::RateLimited), None));
        let prose = scanned(Parser::ClaudeStreamJson, "{\"type\":\"result\",\"is_error\":false,\"result\":\"LGTM\"}\n");
        assert_eq!(prose.structured, None);
    }

    #[test]
    fn codex_gives_thread_and_failures() {
        let lines = "{\"type\":\"thread.started\",\"thread_id\":\"t-9\"}\n\
                     {\"type\":\"turn.failed\",\"error\":{\"message\":\"exceeded retry limit, last status: 429 Too Many\"}}\n";
        let transcript = scanned(Parser::CodexJsonl, lines);
        assert_eq!(transcript.session.as_deref(), Some("t-9"));
        assert_eq!(transcript.class, Some(FailureClass::RateLimited));
    }

    #[test]
    fn clients_say_what_they_consumed_and_nothing_is_guessed() {
        let claude = |fields: &str| {
            let line = format!("{{\"type\":\"result\",\"is_error\":false{fields}}}\n");
            scanned(Parser::ClaudeStreamJson, &line).usage
        };
        let all = claude(
            ",\"total_cost_usd\":0.2104567,\"usage\":{\"input_tokens\":1},\"modelUsage\":{\"m\":{\"inputTokens\":10,\
             \"outputTokens\":5,\"cacheReadInputTokens\":100},\"n\":{\"inputTokens\":1}}",
        );
        assert_eq!(all, Usage { micro_usd: Some(210_457), tokens: Some(116), ..Usage::default() });
        let plain = claude(",\"total_cost_usd\":0,\"usage\":{\"input_tokens\":3,\"output_tokens\":4}");
        assert_eq!(plain, Usage { micro_usd: Some(0), tokens: Some(7), ..Usage::default() });
        let foreign = claude(",\"total_cost_usd\":0.5,\"modelUsage\":{\"m\":{\"costBasis\":\"unknown\"}}");
        assert_eq!(foreign, Usage::default());
        assert_eq!(claude(",\"total_cost_usd\":-1e300"), Usage::default());
        let codex = "{\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":50,\"cached_input_tokens\":40,\"output_tokens\":7}}\n";
        assert_eq!(
            scanned(Parser::CodexJsonl, codex).usage,
            Usage { micro_usd: None, tokens: Some(57), ..Usage::default() }
        );
        let gemini = "{\"type\":\"result\",\"status\":\"success\",\"stats\":{\"total_tokens\":9,\"input_tokens\":4}}\n";
        assert_eq!(
            scanned(Parser::GeminiStreamJson, gemini).usage,
            Usage { micro_usd: None, tokens: Some(9), ..Usage::default() }
        );
    }

    #[test]
    fn a_line_of_many_megabytes_is_passed_over() {
        let mut lines = b"{\"type\":\"".to_vec();
        lines.resize(20 * 1024 * 1024, b'x');
        lines.extend(b"\n{\"type\":\"result\",\"session_id\":\"after\",\"is_error\":false}\n");
        let mut transcript = Transcript::default();
        scan(&lines[..], Parser::ClaudeStreamJson, &mut transcript).unwrap();
        assert_eq!(transcript.session.as_deref(), Some("after"));
    }
}
