//! One event and the ways to look at it. Must not know any client.

use serde_json::Value;

use super::when::Clock;
use super::{Sink, Transcript};
use crate::domain::transcript::{Entry, Kind, cut};

/// Tools that change a file, in the words of all clients, without signs and case.
const WRITERS: [&str; 14] = [
    "edit",
    "write",
    "multiedit",
    "notebookedit",
    "writefile",
    "replace",
    "create",
    "strreplace",
    "strreplaceeditor",
    "strreplacebasededittool",
    "applypatch",
    "patch",
    "createfile",
    "editfile",
];

/// Arguments that say what a tool is used on, the best first.
const ON: [&str; 16] = [
    "command",
    "cmd",
    "file_path",
    "filePath",
    "absolute_path",
    "path",
    "notebook_path",
    "pattern",
    "query",
    "url",
    "dir_path",
    "description",
    "prompt",
    "name",
    "skill",
    "title",
];

/// Arguments that name a file.
const PATHS: [&str; 6] = ["file_path", "filePath", "absolute_path", "path", "notebook_path", "fileName"];

/// Length of what a tool is used on, in bytes.
const WIDTH: usize = 400;

/// An event.
pub(super) struct Event<'a> {
    /// What is kept of it.
    pub(super) value: &'a Value,
    /// Fields on top of which something was left out.
    pub(super) cut: &'a [String],
    /// What times in it are counted from.
    pub(super) clock: &'a Clock,
}

impl<'a> Event<'a> {
    /// Its type.
    pub(super) fn kind(&self) -> &'a str {
        self.text("/type").unwrap_or_default()
    }

    /// A text.
    pub(super) fn text(&self, pointer: &str) -> Option<&'a str> {
        self.value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// A number that is not negative.
    pub(super) fn number(&self, pointer: &str) -> Option<u64> {
        self.value.pointer(pointer).and_then(Value::as_u64)
    }

    /// Elements of a list; none where there is no list.
    pub(super) fn list(&self, pointer: &str) -> impl Iterator<Item = &'a Value> {
        self.value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
    }

    /// An object of which nothing was left out, as its client may have printed it.
    pub(super) fn whole(&self, field: &str) -> Option<Vec<u8>> {
        let value = self.value.get(field).filter(|value| value.is_object())?;
        (!self.cut.iter().any(|cut| cut == field)).then(|| value.to_string().into_bytes())
    }
}

/// Reads an event; `None` when it is broken.
pub(super) fn parse(json: &[u8]) -> Option<Value> {
    let text = String::from_utf8_lossy(json);
    if let Ok(value) = serde_json::from_str(&text) {
        return Some(value);
    }
    // A client that cut a text in the middle of an emoji prints half of it, which no parser but its own takes.
    let mended = mended(&text)?;
    serde_json::from_str(&mended).ok()
}

/// The text with every half of a surrogate pair replaced; `None` when there is none.
fn mended(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut found) = (text, false);
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let length = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                found = true;
                out.push_str("\\ufffd");
                rest = &escape[6..];
                continue;
            }
            (Some(_), _) => 6,
            (None, _) => 1 + escape[1..].chars().next().map_or(0, char::len_utf8),
        };
        out.push_str(&escape[..length]);
        rest = &escape[length..];
    }
    out.push_str(rest);
    found.then_some(out)
}

/// The UTF-16 unit of an escape `\uXXXX` at the front.
fn unit(text: &str) -> Option<u16> {
    text.strip_prefix("\\u").and_then(|rest| rest.get(..4)).and_then(|hex| u16::from_str_radix(hex, 16).ok())
}

/// The use of a tool as an entry.
pub(super) fn tool(name: &str, arguments: Option<&Value>) -> Entry {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let of = |keys: &[&str]| {
        let found = keys.iter().find_map(|key| arguments?.get(*key)).filter(|value| !value.is_null())?;
        Some(match found {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    };
    if let (true, Some(path)) = (WRITERS.contains(&plain.as_str()), of(&PATHS)) {
        return Entry::new(Kind::File, path);
    }
    match of(&ON) {
        Some(mut on) => {
            cut(&mut on, WIDTH);
            Entry::new(Kind::Tool, format!("{name}: {on}"))
        }
        None => Entry::new(Kind::Tool, name),
    }
}

/// The agent said something.
pub(super) fn said(text: &str, transcript: &mut Transcript, tell: &mut Sink<'_>) {
    if !text.trim().is_empty() {
        text.clone_into(&mut transcript.said);
        tell(Entry::new(Kind::Message, text));
    }
}

/// Takes a session's id, when it is one that can be an argument.
pub(super) fn session(id: Option<&str>, transcript: &mut Transcript, tell: &mut Sink<'_>) {
    let plain = |id: &&str| !id.is_empty() && id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic());
    let Some(id) = id.filter(plain) else { return };
    if transcript.session.as_deref() != Some(id) {
        let model = if transcript.model.is_empty() { String::new() } else { format!(", model {}", transcript.model) };
        tell(Entry::new(Kind::Session, format!("{id}{model}")));
        transcript.session = Some(id.to_owned());
    }
}

/// Takes a model's name.
pub(super) fn model(name: Option<&str>, transcript: &mut Transcript) {
    if let Some(name) = name.filter(|name| name.len() <= 128) {
        name.clone_into(&mut transcript.model);
    }
}

/// The sum of those fields that are there; `None` when none is.
pub(super) fn sum(value: &Value, fields: &[&str]) -> Option<u64> {
    fields.iter().filter_map(|field| value[*field].as_u64()).reduce(u64::saturating_add)
}

/// Millionths of dollars; `None` for what is no amount.
pub(in crate::adapters::agents) fn micros(dollars: f64) -> Option<u64> {
    if !dollars.is_finite() || dollars < 0.0 {
        return None;
    }
    let text = format!("{dollars:.6}");
    if text == "0.000000" { Some(0) } else { crate::domain::budget::parse_dollars(&text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_an_emoji_breaks_no_event() {
        let value = parse(br#"{"a":"x\ud83d","b":"\ud83d\ude00","c":"\\ud83d"}"#).unwrap();
        assert_eq!((value["a"].as_str(), value["b"].as_str()), (Some("x\u{fffd}"), Some("😀")));
        assert_eq!(value["c"].as_str(), Some("\\ud83d"), "an escaped backslash is no escape of what follows");
        assert_eq!(parse(b"{\"a\":1"), None);
        assert_eq!(parse(br#"{"a":"\u12"#), None);
    }

    #[test]
    fn a_tool_is_told_with_what_it_is_used_on() {
        let arguments = serde_json::json!({"description": "lists", "command": "git log"});
        assert_eq!(tool("Bash", Some(&arguments)), Entry::new(Kind::Tool, "Bash: git log"));
        let arguments = serde_json::json!({"file_path": "src/a.rs", "content": "x"});
        assert_eq!(tool("write_file", Some(&arguments)), Entry::new(Kind::File, "src/a.rs"));
        assert_eq!(tool("Read", Some(&arguments)), Entry::new(Kind::Tool, "Read: src/a.rs"));
        assert_eq!(tool("Think", None), Entry::new(Kind::Tool, "Think"));
    }
}
