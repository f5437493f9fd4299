//! Hotfixes for people and scripts: what landed without a review, and whether its follow-up is done. Must not print.

use serde_json::{Value, json};

use crate::domain::branch::{Hotfix, HotfixRecord};
use crate::domain::hotfix::HotfixRefusal;
use crate::domain::names::BranchRef;

use super::text::{Color, Tone, append, escape, json_safe, rfc3339};

/// A hotfix and the branch it landed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The branch.
    pub branch: BranchRef,
    /// The hotfix.
    pub record: HotfixRecord,
}

impl Listed {
    /// Whether its follow-up is still to be done.
    pub fn is_open(&self) -> bool {
        self.record.resolved.is_none()
    }
}

/// One line for each hotfix whose follow-up is open.
pub fn open_lines(listed: &[Listed], color: Color) -> String {
    let mut out = String::new();
    for Listed { branch, record } in listed.iter().filter(|listed| listed.is_open()) {
        let Hotfix { id, emergency, follow_up, .. } = &record.hotfix;
        let text = format!("open hotfix {} on {}", escape(id), escape(branch.short()));
        append(
            &mut out,
            format_args!(
                "{}: {}; follow-up: {}\n",
                color.paint(Tone::Warn, &text),
                escape(emergency),
                escape(follow_up)
            ),
        );
    }
    out
}

/// Every hotfix, oldest first, with all that is recorded of it.
pub fn list(listed: &[Listed], color: Color) -> String {
    if listed.is_empty() {
        return "no hotfix has landed\n".to_owned();
    }
    let mut out = String::new();
    for Listed { branch, record } in listed {
        let hotfix = &record.hotfix;
        let state = match &record.resolved {
            None => color.paint(Tone::Warn, "open"),
            Some(said) => format!("{} ({})", color.paint(Tone::Good, "resolved"), escape(said)),
        };
        append(
            &mut out,
            format_args!(
                "{}  {state}\n  landed     on {} as {}, {}, {}, by {}\n",
                color.paint(Tone::Strong, &escape(&hotfix.id)),
                escape(branch.short()),
                hotfix.tip.short(),
                rfc3339(record.at),
                lines(hotfix.lines),
                escape(&hotfix.by.to_string())
            ),
        );
        for (label, text) in
            [("emergency", &hotfix.emergency), ("reason", &hotfix.reason), ("follow-up", &hotfix.follow_up)]
        {
            append(&mut out, format_args!("  {label:<10} {}\n", escape(text)));
        }
        if !hotfix.skipped.is_empty() {
            append(&mut out, format_args!("  {:<10} {}\n", "skipped", escape(&hotfix.skipped.join(", "))));
        }
    }
    out
}

/// `1 line`, `3 lines`.
pub fn lines(count: u32) -> String {
    format!("{count} {}", if count == 1 { "line" } else { "lines" })
}

/// Every hotfix as one JSON object, version 1, ended by a line feed.
pub fn list_json(listed: &[Listed]) -> String {
    object(&json!({ "version": 1, "hotfixes": listed.iter().map(value).collect::<Vec<_>>() }))
}

/// A hotfix that landed just now, version 1.
pub fn landed_json(branch: &BranchRef, hotfix: &Hotfix) -> String {
    object(&json!({ "version": 1, "landed": true, "branch": branch.short(), "hotfix": hotfix, "refusals": [] }))
}

/// A hotfix that did not land: because it was refused, or because nobody meant it to (`--dry-run`).
pub fn not_landed_json(branch: &BranchRef, count: u32, refusals: &[HotfixRefusal]) -> String {
    let said = refusals.iter().map(|refusal| json!({ "code": refusal.code(), "reason": refusal.reason() }));
    let said: Vec<Value> = said.collect();
    object(&json!({ "version": 1, "landed": false, "branch": branch.short(), "lines": count, "refusals": said }))
}

/// A hotfix as a JSON value, for whoever lists it among other things.
pub(super) fn value(listed: &Listed) -> Value {
    let mut value = json!(listed.record.hotfix);
    value["branch"] = json!(listed.branch.short());
    value["at"] = json!(rfc3339(listed.record.at));
    value["open"] = json!(listed.is_open());
    value["resolved"] = json!(listed.record.resolved);
    value
}

fn object(value: &Value) -> String {
    format!("{}\n", json_safe(&format!("{value:#}")))
}
