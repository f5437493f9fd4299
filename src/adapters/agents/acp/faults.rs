//! What an error of the conversation proves: clients of the protocol name the same failure in different words. Must not guess
//! from text where a client gave a word of its own.

use regex::Regex;
use serde_json::Value;

use crate::domain::event::FailureClass;

/// JSON-RPC's code for "log in first" in this protocol.
pub(super) const AUTH_REQUIRED: i64 = -32000;

/// Longest last message that is taken for an error, in bytes: what an agent says after work is longer or has done something.
const SHORT: usize = 2000;

/// Class of an error answer.
pub(super) fn class(error: &Value) -> FailureClass {
    let data = &error["data"];
    let message = error["message"].as_str().unwrap_or_default();
    let details = ["message", "details", "additionalDetails"].map(|key| data[key].as_str().unwrap_or_default());
    let by_word = data["errorKind"].as_str().and_then(claude_kind).or_else(|| codex_info(&data["codexErrorInfo"]));
    by_word
        .or_else(|| error["code"].as_i64().and_then(by_code))
        .or_else(|| by_text(&format!("{message} {}", details.join(" "))))
        .unwrap_or(FailureClass::Agent)
}

/// Words of an error for people: the message, and its details where they say more.
pub(super) fn words(error: &Value) -> String {
    let message = error["message"].as_str().unwrap_or("an error without a message").to_owned();
    let data = &error["data"];
    let details =
        ["details", "message", "additionalDetails"].iter().find_map(|key| data[*key].as_str()).or(data.as_str());
    match details.filter(|details| !message.contains(*details)) {
        Some(details) => format!("{message}: {details}"),
        None => message,
    }
}

/// When a limit ends, in seconds since 1970, where the error has a number for it; milliseconds are taken for what they are.
pub(super) fn until(error: &Value) -> Option<u64> {
    let data = &error["data"];
    let keys = ["resetsAt", "resets_at", "resetAt"];
    let places = [data, &data["rateLimit"], &data["rateLimits"]["primary"], &data["rate_limit_info"]];
    let found = places.iter().find_map(|place| keys.iter().find_map(|key| place[*key].as_u64()));
    found.map(|at| if at > 100_000_000_000 { at / 1000 } else { at })
}

/// What a last message proves that is an error in words: some clients end a turn well with one. Only where nothing was done.
pub(super) fn of_last_message(text: &str, tools: u32) -> Option<FailureClass> {
    let text = text.trim();
    let begins = Regex::new(
        r"(?i)^(info: )?(error|api error|execution failed|request failed|failed to|(sorry, )?you('ve| have) (hit|exceeded|reached))",
    );
    if tools > 0 || text.len() > SHORT || !begins.is_ok_and(|begins| begins.is_match(text)) {
        return None;
    }
    Some(by_text(text).unwrap_or(FailureClass::Agent))
}

/// The kinds of Claude's agent.
fn claude_kind(kind: &str) -> Option<FailureClass> {
    Some(match kind {
        "rate_limit" => FailureClass::RateLimited,
        "overloaded" | "server_error" | "transport_lost" => FailureClass::Overloaded,
        "authentication_failed" | "oauth_org_not_allowed" | "verification_required" | "cloud_credential_error" => {
            FailureClass::Auth
        }
        "billing_error" | "account_on_hold" => FailureClass::Billing,
        "prompt_too_long" | "max_output_tokens" => FailureClass::ContextFull,
        _ => return None,
    })
}

/// Codex's error: a word, or an object whose one key is the word and whose value may hold an HTTP status.
fn codex_info(info: &Value) -> Option<FailureClass> {
    let object = info.as_object().and_then(|object| object.iter().next());
    let status = object.and_then(|(_, value)| value["httpStatusCode"].as_i64());
    if let Some(class) = status.and_then(by_code) {
        return Some(class);
    }
    Some(match info.as_str().or(object.map(|(key, _)| key.as_str()))? {
        "usageLimitExceeded" => FailureClass::RateLimited,
        "serverOverloaded"
        | "internalServerError"
        | "httpConnectionFailed"
        | "responseStreamConnectionFailed"
        | "responseStreamDisconnected"
        | "responseTooManyFailedAttempts" => FailureClass::Overloaded,
        "unauthorized" => FailureClass::Auth,
        "contextWindowExceeded" => FailureClass::ContextFull,
        "sandboxError" => FailureClass::Denied,
        _ => return None,
    })
}

/// HTTP statuses, which Gemini uses as codes, and the protocol's own.
fn by_code(code: i64) -> Option<FailureClass> {
    Some(match code {
        429 => FailureClass::RateLimited,
        401 | 403 | AUTH_REQUIRED => FailureClass::Auth,
        402 => FailureClass::Billing,
        408 | 500..=599 => FailureClass::Overloaded,
        413 => FailureClass::ContextFull,
        _ => return None,
    })
}

fn by_text(text: &str) -> Option<FailureClass> {
    let text = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["prompt is too long", "context window", "context length", "maximum context", "too many tokens"]) {
        Some(FailureClass::ContextFull)
    } else if has(&["credit balance", "billing", "payment required", "insufficient_quota"]) {
        Some(FailureClass::Billing)
    } else if has(&["429", "rate limit", "rate_limit", "usage limit", "quota"]) {
        Some(FailureClass::RateLimited)
    } else if has(&["401", "api key", "api_key", "unauthorized", "authenticat", "log in", "/login"]) {
        Some(FailureClass::Auth)
    } else if has(&["529", "503", "502", "overloaded", "at capacity", "connection", "econnre", "socket hang up"]) {
        Some(FailureClass::Overloaded)
    } else {
        None
    }
}

/// Class of a reason for which a turn stopped; `None` for those that are no failure.
pub(super) fn of_stop(reason: &str) -> Option<FailureClass> {
    match reason {
        "max_tokens" => Some(FailureClass::ContextFull),
        "max_turn_requests" => Some(FailureClass::MaxTurns),
        "refusal" => Some(FailureClass::Agent),
        _ => None,
    }
}

#[cfg(test)]
#[path = "faults_tests.rs"]
mod tests;
