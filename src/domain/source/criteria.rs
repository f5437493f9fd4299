//! Acceptance criteria: numbered, bulleted, checked, labelled, in tables, as Given/When/Then. Must not judge their content.

use super::field::{cells, is_table_rule, marks};
use super::name::strip_word;
use super::text::{Document, cut, small};
use crate::domain::item::Criterion;

const LIMIT: usize = 500;

/// All criteria in order.
pub(super) fn read(document: &Document<'_>) -> Vec<Criterion> {
    let mut reader = Reader::default();
    for (index, line) in document.lines.iter().enumerate() {
        if line.heading > 0 {
            reader.heading(index, line.heading, document.heading_text(index));
        } else if reader.open.is_some() {
            if line.code {
                reader.code(index, line.text);
            } else {
                let head = document.lines.get(index + 1).is_some_and(|next| is_table_rule(next.text));
                reader.line(index, line.text, head);
            }
        }
    }
    if reader.all.is_empty() { reader.paragraphs } else { reader.all }
}

#[derive(Default)]
struct Reader {
    all: Vec<Criterion>,
    /// Used when the section holds no list.
    paragraphs: Vec<Criterion>,
    open: Option<u8>,
    /// The criterion is a heading; what stands below are its details.
    detail: bool,
    indent: Option<usize>,
    scenario: bool,
    blank: bool,
}

impl Reader {
    fn heading(&mut self, index: usize, level: u8, text: &str) {
        self.detail = false;
        self.indent = None;
        self.scenario = false;
        self.blank = true;
        if self.open.is_some_and(|open| level > open) {
            if is_labelled(text) {
                self.push(index, text);
                self.detail = true;
            }
            return;
        }
        // A later section of that name verifies the criteria of the first.
        self.open = (self.all.is_empty() && is_section(text)).then_some(level);
    }

    fn line(&mut self, index: usize, text: &str, head: bool) {
        if text.trim().is_empty() {
            self.blank = true;
            return;
        }
        if self.detail {
            return;
        }
        if let Some(cells) = cells(text) {
            self.row(index, &cells, head || is_table_rule(text));
            return;
        }
        let marks = marks(text);
        let step = step(marks.body);
        if marks.item {
            let top = self.indent.is_none_or(|indent| marks.indent <= indent);
            if top && !matches!(step, Step::More) && !(self.scenario && step == Step::Given) {
                self.indent = Some(marks.indent);
                self.push(index, marks.body);
            }
        } else {
            let outer = self.indent.is_none() || marks.indent == 0 && self.blank;
            match step {
                Step::Scenario => {
                    self.push(index, marks.body);
                    self.scenario = true;
                }
                Step::Given if outer && !self.scenario => self.push(index, marks.body),
                Step::Other if is_labelled(marks.body) => {
                    self.indent = None;
                    self.push(index, marks.body);
                    self.scenario = true;
                }
                Step::Other if self.blank => self.paragraph(index, marks.body),
                Step::Given | Step::More | Step::Other => {}
            }
        }
        self.blank = false;
    }

    fn code(&mut self, index: usize, text: &str) {
        match step(text.trim()) {
            Step::Scenario => {
                self.push(index, text.trim());
                self.scenario = true;
            }
            Step::Given if !self.scenario && self.indent.is_none() && !self.detail => self.push(index, text.trim()),
            Step::Other if is_labelled(text) && self.indent.is_none() && !self.detail => self.push(index, text.trim()),
            Step::Given | Step::More | Step::Other => {}
        }
    }

    fn row(&mut self, index: usize, cells: &[&str], head: bool) {
        if head {
            return;
        }
        let name = |cell: &str| is_labelled(cell) || cell.trim_matches(['*', '#']).parse::<u32>().is_ok();
        let kept: Vec<&str> = match cells {
            [first, rest @ ..] if name(first) && !rest.is_empty() => rest.to_vec(),
            _ => cells.to_vec(),
        };
        self.push(index, &kept.join(" \u{2014} "));
    }

    fn push(&mut self, index: usize, text: &str) {
        if let Some(criterion) = criterion(index, text) {
            self.all.push(criterion);
        }
    }

    fn paragraph(&mut self, index: usize, text: &str) {
        if let Some(criterion) = criterion(index, text) {
            self.paragraphs.push(criterion);
        }
    }
}

fn criterion(index: usize, text: &str) -> Option<Criterion> {
    let text = cut(text, LIMIT).replace("**", "").replace("__", "");
    let text = text.trim().trim_end_matches(':').trim();
    let rule = text.chars().all(|c| matches!(c, '-' | '*' | '_' | ' '));
    (!rule).then(|| Criterion { text: text.to_owned(), line: small(index + 1) })
}

fn is_section(heading: &str) -> bool {
    let text = cut(heading, 80).to_lowercase();
    let names = ["acceptance criteria", "acceptance criterion", "crit\u{e9}rios de aceita", "criterios de acepta"];
    let foreign =
        ["\u{9a8c}\u{6536}\u{6807}\u{51c6}", "\u{53d7}\u{3051}\u{5165}\u{308c}", "crit\u{e8}res d'acceptation"];
    names.iter().chain(&foreign).any(|name| text.contains(name))
}

/// `AC1`, `AC-2:`, `AC #3`, `Criterion 4`.
fn is_labelled(text: &str) -> bool {
    let text = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    let lower = cut(text, 16).to_lowercase();
    let rest = lower.strip_prefix("criterion").or_else(|| lower.strip_prefix("ac"));
    rest.is_some_and(|rest| {
        rest.trim_start_matches([' ', '-', '#', '_', '.']).starts_with(|c: char| c.is_ascii_digit())
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Scenario,
    Given,
    More,
    Other,
}

fn step(text: &str) -> Step {
    let text = text.trim_start_matches(['*', '_', '`', ' ']);
    let starts = |words: &[&str]| words.iter().any(|word| strip_word(text, word).is_some());
    if starts(&["scenario outline", "scenario", "example"]) && text.contains(':') {
        Step::Scenario
    } else if starts(&["given"]) {
        Step::Given
    } else if starts(&["when", "then", "and", "but"]) {
        Step::More
    } else {
        Step::Other
    }
}
