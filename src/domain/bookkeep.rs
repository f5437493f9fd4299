//! What the tool writes into a story file at landing: the status value in place and a review section at the end. A pure
//! function that a hook recomputes byte for byte; must not change anything else.

use std::ops::Range;

use super::event::{Review, ReviewVerdict};
use super::source::outline::{Outline, outline};

/// The status that a landing writes.
pub const DONE: &str = "Done";

/// One file before and after a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// Path from the root.
    pub path: String,
    /// Content before.
    pub before: Vec<u8>,
    /// Content after.
    pub after: Vec<u8>,
}

const MARK: &[u8] = b"\xef\xbb\xbf";

/// The file with its status set and the review lines recorded. Line ends, byte order mark, comments and remarks stay; a text
/// that is not UTF-8 stays as it is. Applying it twice changes nothing more.
pub fn bookkeep(text: &[u8], status: &str, review_lines: &[String]) -> Vec<u8> {
    let body = text.strip_prefix(MARK).unwrap_or(text);
    let Ok(body) = std::str::from_utf8(body) else { return text.to_vec() };
    let mark = &text[..text.len() - body.len()];
    let body = set_status(body, &one_line(status));
    let body = add_review(&body, review_lines);
    [mark, body.as_bytes()].concat()
}

/// What the story file says of its reviews: one line each, from nothing but what was recorded.
pub fn review_lines(reviews: &[Review]) -> Vec<String> {
    let line = |review: &Review| {
        let word = match review.verdict {
            ReviewVerdict::Approve => "approved",
            ReviewVerdict::RequestChanges => "changes requested",
        };
        let date = review.at.date();
        format!("- {date}: {word} by {}, merge tree {}", review.reviewer, review.merge_tree.short())
    };
    reviews.iter().map(line).collect()
}

fn set_status(text: &str, status: &str) -> String {
    let Outline { status: stated, below_title, titled, .. } = outline(text);
    let Some(stated) = stated else { return insert_status(text, status, below_title, titled) };
    let range = word(text, stated.clone());
    let old = &text[range.clone()];
    let lower = old.chars().any(char::is_lowercase) && !old.chars().any(char::is_uppercase);
    let new = if lower { status.to_lowercase().replace(' ', "-") } else { status.to_owned() };
    let gap = if stated.is_empty() && !text[..range.start].ends_with([' ', '\t', '\n']) { " " } else { "" };
    [&text[..range.start], gap, &new, &text[range.end..]].concat()
}

/// The part of a stated status that is the value: without marks before it and remarks behind it.
fn word(text: &str, stated: Range<usize>) -> Range<usize> {
    let raw = &text[stated.clone()];
    let raw = raw.split("<!--").next().unwrap_or(raw);
    let start = raw.find(char::is_alphanumeric).unwrap_or(0);
    // Of "review → done" everything up to the last word is the value.
    let arrow =
        ["\u{2192}", "\u{21d2}", "->"].iter().filter_map(|arrow| raw.rfind(arrow).map(|at| at + arrow.len())).max();
    let from =
        arrow.map_or(start, |behind| behind + raw[behind..].find(char::is_alphanumeric).unwrap_or(raw.len() - behind));
    let from = from.max(start);
    let stop =
        ['(', '\u{2013}', '\u{2014}', '|', '*', ',', ';', ':', '.', '/', '!', '[', ']', '<', '`', '#', '"', '\''];
    let rest = &raw[from..];
    let end = rest.find(stop).unwrap_or(rest.len());
    let end = rest[..end].find(" - ").unwrap_or(end);
    let length = rest[..end].trim_end().len();
    if length == 0 {
        return stated;
    }
    stated.start + start..stated.start + from + length
}

fn insert_status(text: &str, status: &str, at: usize, titled: bool) -> String {
    let end = line_end(text);
    let (before, after) = text.split_at(at);
    let mut out = with_final_end(before, end);
    if titled {
        out.push_str(end);
    }
    out.push_str("Status: ");
    out.push_str(status);
    out.push_str(end);
    if !after.is_empty() && !after.starts_with(['\n', '\r']) {
        out.push_str(end);
    }
    out.push_str(after);
    out
}

fn add_review(text: &str, lines: &[String]) -> String {
    let lines: Vec<String> =
        lines.iter().map(|line| harmless(&one_line(line))).filter(|line| !line.is_empty()).collect();
    let section = outline(text).review;
    let present: Vec<&str> =
        section.clone().map_or_else(Vec::new, |range| text[range].lines().map(str::trim_end).collect());
    let mut missing: Vec<&str> = Vec::new();
    for line in &lines {
        if !present.contains(&line.as_str()) && !missing.contains(&line.as_str()) {
            missing.push(line);
        }
    }
    if missing.is_empty() {
        return text.to_owned();
    }
    let end = line_end(text);
    let Some(section) = section else {
        let mut out = with_final_end(text, end);
        if !out.is_empty() {
            out.push_str(end);
        }
        out.push_str("## Review");
        out.push_str(end);
        out.push_str(end);
        append(&mut out, &missing, end);
        return out;
    };
    let used = text[section.clone()].trim_end();
    let at = section.start + used.len();
    let at = at + text[at..section.end].find('\n').map_or(section.end - at, |newline| newline + 1);
    let at = if used.is_empty() { section.start } else { at };
    let mut out = with_final_end(&text[..at], end);
    if used.trim().is_empty() {
        out.push_str(end);
    }
    append(&mut out, &missing, end);
    if used.trim().is_empty() && !text[at..].is_empty() && !text[at..].starts_with(['\n', '\r']) {
        out.push_str(end);
    }
    out.push_str(&text[at..]);
    out
}

fn append(out: &mut String, lines: &[&str], end: &str) {
    for line in lines {
        out.push_str(line);
        out.push_str(end);
    }
}

fn with_final_end(text: &str, end: &str) -> String {
    let mut out = text.to_owned();
    if !out.is_empty() && !out.ends_with('\n') {
        out.push_str(end);
    }
    out
}

/// The line end of the first line.
fn line_end(text: &str) -> &'static str {
    let first = text.find('\n').map_or("", |at| &text[..at]);
    if first.ends_with('\r') { "\r\n" } else { "\n" }
}

fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_control()).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// A line that would open a heading, a fence or a comment is kept as text.
fn harmless(line: &str) -> String {
    let line = line.replace("-->", "--\\>");
    if line.starts_with(['#', '`', '~', '<']) { format!("\\{line}") } else { line }
}

#[cfg(test)]
#[path = "bookkeep_tests.rs"]
mod tests;
