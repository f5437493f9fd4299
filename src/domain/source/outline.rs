//! Where the tool writes into a story: byte ranges of the status value, the title and the review section. Must not write.

use std::ops::Range;

use super::story::stated_status;
use super::text::Document;

/// Byte positions in a text without its byte order mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// The status as stated, remarks included; empty where a label has no value.
    pub status: Option<Range<usize>>,
    /// Behind the title's line, its line end included; else behind the front matter.
    pub below_title: usize,
    /// Whether there is a title.
    pub titled: bool,
    /// The lines of the `## Review` section below its heading, up to the next heading of that level.
    pub review: Option<Range<usize>>,
}

/// Finds the places by the same rules as the parser.
pub fn outline(text: &str) -> Outline {
    let document = Document::new("", text, &mut Vec::new());
    let mut starts = Vec::with_capacity(document.lines.len() + 1);
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        starts.push(at);
        at += line.len();
    }
    starts.resize(document.lines.len() + 1, text.len());
    let status = stated_status(&document).map(|(value, index)| {
        let start = starts[index] + super::text::offset(document.lines[index].text, value);
        start..start + value.len()
    });
    let title = document.lines.iter().position(|line| line.heading == 1);
    let front = if document.front.is_empty() { 0 } else { starts[document.front.end + 1] };
    Outline {
        status,
        below_title: title.map_or(front, |title| starts[title + 1]),
        titled: title.is_some(),
        review: review(&document).map(|lines| starts[lines.start]..starts[lines.end]),
    }
}

fn review(document: &Document<'_>) -> Option<Range<usize>> {
    let is_review = |index: &usize| {
        document.lines[*index].heading == 2 && document.heading_text(*index).eq_ignore_ascii_case("review")
    };
    let start = (0..document.lines.len()).find(is_review)? + 1;
    let is_next = |index: &usize| (1..=2).contains(&document.lines[*index].heading);
    let end = (start..document.lines.len()).find(is_next).unwrap_or(document.lines.len());
    Some(start..end)
}
