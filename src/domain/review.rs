//! Reads a reviewer's result file. Anything but the exact form is no review. Must not guess from prose.

use serde::Deserialize;

use super::event::{Finding, ReviewVerdict};

/// A reviewer's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Approve or request changes.
    pub verdict: ReviewVerdict,
    /// Remarks; never empty when changes are requested.
    pub findings: Vec<Finding>,
    /// One line for people; may be empty.
    pub message: String,
}

/// The wire form, version 1.
#[derive(Deserialize)]
struct Wire {
    version: u64,
    verdict: ReviewVerdict,
    #[serde(default)]
    findings: Vec<Finding>,
    #[serde(default)]
    message: String,
}

/// Most findings of one review.
const MOST_FINDINGS: usize = 500;

/// Parses `{"version":1,"verdict":"approve"|"request-changes","findings":[{"path","line","text"}]}`.
/// The error completes "no valid review: the reviewer exited with 0, ...".
pub fn parse(bytes: &[u8]) -> Result<Answer, String> {
    let wire: Wire = serde_json::from_slice(bytes).map_err(|error| format!("its result is not a review: {error}"))?;
    if wire.version != 1 {
        return Err(format!("its result has version {}, only 1 is known", wire.version));
    }
    if wire.findings.len() > MOST_FINDINGS {
        return Err(format!("its result has {} findings, at most {MOST_FINDINGS} are taken", wire.findings.len()));
    }
    if wire.verdict == ReviewVerdict::RequestChanges && wire.findings.is_empty() {
        return Err("it asks for changes without a finding".to_owned());
    }
    Ok(Answer { verdict: wire.verdict, findings: wire.findings, message: wire.message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_no_review() {
        assert!(parse(b"APPROVED").is_err());
        assert!(parse(br#"{"verdict":"approve"}"#).is_err(), "the version is missing");
        assert!(parse(br#"{"version":2,"verdict":"approve"}"#).is_err());
        assert!(parse(br#"{"version":1,"verdict":"lgtm"}"#).is_err());
    }

    #[test]
    fn changes_need_a_finding() {
        assert!(parse(br#"{"version":1,"verdict":"request-changes","findings":[]}"#).is_err());
        let answer = parse(br#"{"version":1,"verdict":"request-changes","findings":[{"path":"a","line":3,"text":"no"}]}"#);
        assert_eq!(answer.unwrap().findings[0].line, 3);
    }

    #[test]
    fn an_approval_may_have_remarks() {
        let answer = parse(br#"{"version":1,"verdict":"approve","findings":[{"text":"nit"}]}"#).unwrap();
        assert_eq!(answer.verdict, ReviewVerdict::Approve);
        assert_eq!(answer.findings[0].path, "");
    }
}
