//! What an error of a client means, by the status of its provider or by its words. Must not look at anything but the error.

use crate::domain::event::FailureClass;

/// Words of a class, in lower case; a number counts only where no other digit touches it.
type Words = (FailureClass, &'static [&'static str]);

/// The first that fits counts: what is narrow comes before what is broad.
const WORDS: [Words; 5] = [
    (
        FailureClass::ContextFull,
        &[
            "context window",
            "context length",
            "context_length",
            "context overflow",
            "maximum context",
            "prompt is too long",
            "prompt_too_long",
            "input is too long",
            "input token count",
            "maximum number of tokens",
        ],
    ),
    (
        FailureClass::Billing,
        &["insufficient_quota", "credit balance", "billing", "payment required", "out of credit", "no credit", "402"],
    ),
    (
        FailureClass::RateLimited,
        &[
            "429",
            "too many requests",
            "rate limit",
            "rate_limit",
            "ratelimit",
            "usage limit",
            "session limit",
            "weekly limit",
            "quota",
            "resource_exhausted",
        ],
    ),
    (
        FailureClass::Auth,
        &[
            "401",
            "403",
            "api key",
            "api_key",
            "apikey",
            "unauthorized",
            "authenticat",
            "/login",
            "not logged in",
            "permission_denied",
        ],
    ),
    (
        FailureClass::Overloaded,
        &[
            "overloaded",
            "at capacity",
            "unavailable",
            "500",
            "502",
            "503",
            "504",
            "529",
            "internal server error",
            "bad gateway",
            "gateway timeout",
            "stream disconnected",
            "stream closed",
            "stream ended",
            "connection",
            "econnreset",
            "econnrefused",
            "socket hang up",
            "fetch failed",
            "premature",
            "incomplete json",
            "terminated",
            "timed out",
        ],
    ),
];

/// The class of a status of HTTP.
pub(super) fn of_status(status: u64) -> Option<FailureClass> {
    match status {
        401 | 403 => Some(FailureClass::Auth),
        402 => Some(FailureClass::Billing),
        413 => Some(FailureClass::ContextFull),
        429 => Some(FailureClass::RateLimited),
        408 | 500..=599 => Some(FailureClass::Overloaded),
        _ => None,
    }
}

/// The class that an error's own words prove.
pub(super) fn of_text(text: &str) -> Option<FailureClass> {
    let text = text.to_ascii_lowercase();
    WORDS.iter().find(|(_, words)| words.iter().any(|word| holds(&text, word))).map(|(class, _)| *class)
}

fn holds(text: &str, word: &str) -> bool {
    if !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.contains(word);
    }
    let digit = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'.');
    let bytes = text.as_bytes();
    text.match_indices(word).any(|(at, _)| {
        !digit(at.checked_sub(1).and_then(|before| bytes.get(before)))
            && !bytes.get(at + word.len()).is_some_and(u8::is_ascii_alphanumeric)
    })
}
