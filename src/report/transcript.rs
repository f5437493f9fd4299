//! What an agent did and said, for people and for scripts. Must not read a log.

use serde_json::{Value, json};

use super::text::{Color, Tone, json_safe, pad, rfc3339_seconds};
use super::words::cost;
use crate::domain::diagnostic::{escape, escape_line};
use crate::domain::names::Timestamp;
use crate::domain::transcript::{Entry, Kind};
use crate::domain::usage::Usage;

/// Columns of the word in front.
const WORD: usize = 8;

/// Whose log is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// `<number>-<phase>`.
    pub name: String,
    /// Phase.
    pub phase: String,
    /// Adapter; empty when it is not known any more.
    pub adapter: String,
    /// Role; empty likewise.
    pub role: String,
    /// The log, for people.
    pub log: String,
}

/// How an invocation ended, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The client's session.
    pub session: String,
    /// The model.
    pub model: String,
    /// What the client counted.
    pub usage: Usage,
    /// Whether that is what the session has come to so far, its earlier invocations included.
    pub of_session: bool,
    /// Date of the prices that the cost was reckoned by.
    pub priced: String,
    /// How the process ended; empty when it is not known.
    pub ended: String,
    /// Failure that its events prove.
    pub class: String,
    /// When a limit ends.
    pub until: Option<Timestamp>,
    /// Whether a part of the log is missing.
    pub gap: bool,
}

/// The line above an invocation.
pub fn head(head: &Head, color: Color) -> String {
    let role = if head.role.is_empty() { "agent" } else { &head.role };
    let via = if head.adapter.is_empty() { String::new() } else { format!(" via {}", head.adapter) };
    let text = format!("== {}: {role}{via} ({})", head.name, head.log);
    format!("{}\n", color.paint(Tone::Strong, &escape_line(&text)))
}

/// One entry: a word for its kind, and the text; its further lines are indented.
pub fn entry(entry: &Entry, color: Color) -> String {
    let (word, tone) = match entry.kind {
        Kind::Session => ("session", Tone::Faint),
        Kind::Tool => ("uses", Tone::Hint),
        Kind::File => ("changes", Tone::Hint),
        Kind::Message => ("says", Tone::Strong),
        Kind::Thought => ("thinks", Tone::Faint),
        Kind::Permission => ("asks", Tone::Warn),
        Kind::Notice => ("client", Tone::Warn),
        Kind::Output => ("|", Tone::Faint),
        Kind::End => ("ends", Tone::Strong),
    };
    let text = escape(&entry.text.replace('\r', ""));
    let indent = format!("\n{}", " ".repeat(WORD + 1));
    format!("{} {}\n", color.paint(tone, &pad(word, WORD)), text.trim_end().replace('\n', &indent))
}

/// The lines below an invocation.
pub fn account(account: &Account, color: Color) -> String {
    let so_far = if account.of_session { " in the session so far" } else { "" };
    let mut parts = vec![if account.ended.is_empty() { "its end is not known" } else { &account.ended }.to_owned()];
    parts.extend((!account.class.is_empty()).then(|| account.class.clone()));
    parts.extend(account.until.map(|until| format!("limited until {}", rfc3339_seconds(until))));
    parts.push(match account.usage.tokens {
        Some(tokens) => format!("{tokens} tokens{so_far}"),
        None => "tokens unknown".to_owned(),
    });
    parts.push(cost(&account.usage, &account.priced));
    parts.extend(account.gap.then(|| "a part of its output was left out".to_owned()));
    let text = format!("== {}", parts.join(", "));
    format!("{}\n\n", color.paint(Tone::Faint, &escape_line(&text)))
}

/// One entry for scripts: an object on a line.
pub fn entry_json(head: &Head, entry: &Entry) -> String {
    line(head, json!({"kind": entry.kind, "text": entry.text}))
}

/// The end of an invocation for scripts: an object of kind `account`.
pub fn account_json(head: &Head, account: &Account) -> String {
    let some = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
    line(
        head,
        json!({
            "kind": "account",
            "session": some(&account.session),
            "model": some(&account.model),
            "usage": account.usage,
            "ofSession": account.of_session,
            "priced": some(&account.priced),
            "ended": some(&account.ended),
            "class": some(&account.class),
            "until": account.until.map(rfc3339_seconds),
            "gap": account.gap,
        }),
    )
}

fn line(head: &Head, more: Value) -> String {
    let mut value = json!({
        "version": 1, "invocation": head.name, "phase": head.phase, "adapter": head.adapter, "role": head.role,
    });
    if let (Some(all), Value::Object(more)) = (value.as_object_mut(), more) {
        all.extend(more);
    }
    format!("{}\n", json_safe(&value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_indented_and_can_make_a_terminal_do_nothing() {
        let text = entry(&Entry::new(Kind::Message, "one\u{1b}[2J\r\ntwo\u{202e}\n"), Color::Off);
        assert_eq!(text, "says     one\\x1b[2J\n         two\\u202e\n");
        let head = Head {
            name: "1-review".into(),
            phase: "review".into(),
            adapter: "claude\n==".into(),
            role: String::new(),
            log: "x\u{7}".into(),
        };
        assert_eq!(super::head(&head, Color::Off), "== 1-review: agent via claude\\x0a== (x\\x07)\n");
        let json = entry_json(&head, &Entry::new(Kind::Tool, "a\u{1b}\n"));
        assert_eq!(json.lines().count(), 1);
        assert!(!json.contains('\u{1b}'), "{json}");
    }

    #[test]
    fn an_account_tells_what_is_not_known() {
        let text = account(&Account::default(), Color::Off);
        assert_eq!(text, "== its end is not known, tokens unknown, cost unknown\n\n");
        let usage = Usage { tokens: Some(57), micro_usd: Some(250_000), ..Usage::default() };
        let known = Account {
            usage,
            of_session: true,
            priced: "2026-11-21".into(),
            ended: "exited with 1".into(),
            class: "rate limited".into(),
            until: Some(Timestamp(0)),
            gap: true,
            ..Account::default()
        };
        assert_eq!(
            account(&known, Color::Off),
            "== exited with 1, rate limited, limited until 1970-01-01T00:00:00Z, 57 tokens in the session so far, \
             0.25 USD by the prices of 2026-11-21, a part of its output was left out\n\n"
        );
    }
}
