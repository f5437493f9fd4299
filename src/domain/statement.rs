//! What a signed review states, as canonical bytes, and what is known of signatures. Must not verify one: that takes a program.

use thiserror::Error;

use super::event::{Review, ReviewVerdict};
use super::names::ItemKey;

/// The first line of every statement; another form of it gets another number.
const FORM: &str = "git-orchestrate review 1";

/// The bytes that a signature of `review` is made over: one `name value` line for each field, in a fixed order, the signature
/// itself left out. `round` is the item's round (1 for the first). Two reviews that differ in any field have different bytes.
pub fn bytes(key: &ItemKey, round: u32, review: &Review) -> Vec<u8> {
    let Review { reviewer, verdict, base, head, merge_tree, policy, story, findings, message, at, signature: _ } =
        review;
    let verdict = match verdict {
        ReviewVerdict::Approve => "approve",
        ReviewVerdict::RequestChanges => "request-changes",
    };
    let mut text = format!("{FORM}\n");
    let mut line = |name: &str, value: &str| text.push_str(&format!("{name} {}\n", escaped(value)));
    line("story", key.as_str());
    line("round", &round.to_string());
    line("base", base.as_str());
    line("head", head.as_str());
    line("merge-tree", merge_tree.as_str());
    line("reviewer", &reviewer.to_string());
    line("verdict", verdict);
    line("policy", policy.as_str());
    line("story-blob", story.as_str());
    line("at", &at.0.to_string());
    line("message", message);
    for finding in findings {
        line("finding-path", &finding.path);
        line("finding-line", &finding.line.to_string());
        line("finding-text", &finding.text);
    }
    text.into_bytes()
}

/// The value on one line; no two values give the same text.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\n")
}

/// The command that gives a story the signed approval it lacks.
pub fn remedy(key: &ItemKey) -> String {
    format!("git orchestrate review {key} --approve --sign -m \"...\"")
}

/// A signature that is good, made by a key that is allowed to speak for the principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The signer as the allowed signers name them: an e-mail address.
    pub principal: String,
    /// Fingerprint of the key, `SHA256:...`.
    pub fingerprint: String,
}

/// Why a signature proves nothing. Completes "the signature does not count: ".
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unverified {
    /// Not an armored SSH signature.
    #[error("only SSH signatures are understood")]
    NotSsh,
    /// Agents and the tool do not sign.
    #[error("{0} is no person")]
    NotAPerson(String),
    /// Another statement was signed, or the signature is damaged.
    #[error("it was made over something else than this review")]
    Altered,
    /// The key is good, and not allowed to speak for this reviewer.
    #[error("key {fingerprint} is not allowed to sign for {reviewer}{detail}")]
    NotAllowed {
        /// The key, `SHA256:...`.
        fingerprint: String,
        /// Whom it was to speak for.
        reviewer: String,
        /// What is known beyond that, `: ` before it; empty when nothing is.
        detail: String,
    },
    /// The check itself failed; nothing is known of the signature.
    #[error("it cannot be checked: {0}")]
    Unable(String),
}

/// What was found out about signatures of reviews, each bound to the very review it was found out about, so that what is known
/// of one review never speaks for another. Empty = nothing is known, and nothing signed counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signatures(Vec<(Review, Result<Verified, Unverified>)>);

impl Signatures {
    /// Nothing is known: right where the policy asks for no signature.
    pub fn unknown() -> Self {
        Self::default()
    }

    /// Adds what the verification of a review's signature said.
    #[must_use]
    pub fn with(mut self, review: &Review, found: Result<Verified, Unverified>) -> Self {
        self.0.push((review.clone(), found));
        self
    }

    /// What is known of the signature of exactly this review.
    pub fn of(&self, review: &Review) -> Option<&Result<Verified, Unverified>> {
        self.0.iter().find(|(known, _)| known == review).map(|(_, found)| found)
    }
}

#[cfg(test)]
#[path = "statement_tests.rs"]
mod tests;
