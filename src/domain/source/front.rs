//! Front matter: validates the YAML and reads the few keys that matter with their places. Must not expand aliases.

use serde::de::IgnoredAny;

use super::text::{Document, small};
use crate::domain::diagnostic::Diagnostic;

/// One value of a key; lists give one entry each.
pub(super) struct Entry<'a> {
    /// Lower-case key.
    pub(super) key: String,
    /// Scalar without quotes and comment; empty for an empty list.
    pub(super) value: &'a str,
    /// 0-based line.
    pub(super) index: usize,
}

/// Reads the top-level scalars and lists; pushes an error when the YAML is malformed or uses aliases.
pub(super) fn read<'a>(document: &Document<'a>, found: &mut Vec<Diagnostic>) -> Vec<Entry<'a>> {
    if document.front.is_empty() {
        return Vec::new();
    }
    if let Err(finding) = validate(document) {
        found.push(*finding);
        return Vec::new();
    }
    let mut entries: Vec<Entry<'a>> = Vec::new();
    let mut key = String::new();
    for index in document.front.clone() {
        let text = document.lines[index].text;
        let body = text.trim();
        if body.is_empty() || body.starts_with('#') {
            continue;
        }
        if let Some(item) = body.strip_prefix('-').filter(|item| item.starts_with([' ', '\t'])) {
            if !key.is_empty() {
                entries.push(Entry { key: key.clone(), value: scalar(item), index });
            }
        } else if !text.starts_with([' ', '\t']) {
            let Some((name, value)) = body.split_once(':') else { continue };
            key = name.trim().trim_matches(['"', '\'']).to_ascii_lowercase().replace('-', "_");
            let value = value.trim();
            if value.is_empty() || value.starts_with('#') {
                continue;
            }
            match value.strip_prefix('[') {
                Some(list) => entries.extend(flow(list, &key, index)),
                None => entries.push(Entry { key: key.clone(), value: scalar(value), index }),
            }
        }
    }
    entries
}

fn flow<'a>(list: &'a str, key: &str, index: usize) -> Vec<Entry<'a>> {
    let inner = list.split(']').next().unwrap_or(list).trim();
    let values = inner.split(',').map(scalar).filter(|value| !value.is_empty());
    let mut all: Vec<_> = values.map(|value| Entry { key: key.to_owned(), value, index }).collect();
    if all.is_empty() {
        all.push(Entry { key: key.to_owned(), value: "", index });
    }
    all
}

fn scalar(text: &str) -> &str {
    let text = text.trim();
    let text = text.split(" #").next().unwrap_or(text).trim();
    text.trim_matches(['"', '\''])
}

/// Boxed, because the finding is large and rare.
fn validate(document: &Document<'_>) -> Result<(), Box<Diagnostic>> {
    let lines: Vec<&str> = document.lines[document.front.clone()].iter().map(|line| line.text).collect();
    // For YAML a lone carriage return ends a line; for us, and for whoever reads the place of a mistake, it does not.
    let yaml = lines.join("\n").replace('\r', " ");
    // No alias is ever needed to describe a story, and none is ever expanded.
    let options = serde_saphyr::options! { budget: serde_saphyr::budget! { max_aliases: 0 } };
    let Err(error) = serde_saphyr::from_str_with_options::<IgnoredAny>(&yaml, options) else { return Ok(()) };
    let aliases = lines.iter().any(|line| line.contains('*'));
    let reason = error.without_snippet().to_string();
    let reason = reason.lines().next().unwrap_or("malformed YAML").to_owned();
    let message = if aliases && reason.contains("alias") {
        "front matter uses aliases, which are refused".to_owned()
    } else {
        format!("front matter is malformed: {reason}")
    };
    let location = error.location();
    let line = location.map_or(0, |at| usize::try_from(at.line()).unwrap_or(1).saturating_sub(1));
    let index = (document.front.start + line).min(document.front.end - 1);
    let mut place = document.line_place(index);
    if let Some(at) = location {
        let end = document.lines[index].text.chars().count() + 1;
        place.column = small(usize::try_from(at.column()).unwrap_or(1).clamp(1, end));
        place.width = 1;
    }
    Err(Box::new(Diagnostic::error("front-matter", message).at(place)))
}
