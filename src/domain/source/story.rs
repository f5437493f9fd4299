//! The tolerant story parser: bytes of one file to an item and findings. Pure and total; must not look at other files.

use super::assemble::Parsed;
use super::depends::{Walker, is_metadata};
use super::field::{Field, cells, fields, is_table_rule, marks};
use super::name::{Judgement, agree, heading_id, judge, strip_word, token};
use super::status::{Fit, KNOWN};
use super::text::{Document, cut, decode, plain};
use super::{criteria, files, front, name, status};
use crate::domain::diagnostic::{Diagnostic, Place, escape_line};
use crate::domain::id::ItemId;
use crate::domain::item::{Declared, Dependency, FileStatus, ItemKind, StatedStatus, Strength, WorkItem};

/// Names of the status field.
const STATUS: [&str; 2] = ["status", "state"];

/// Longest title kept, in characters.
const TITLE: usize = 200;

/// Parses one story file; `path` is relative to the repository root.
pub fn parse(path: &str, bytes: &[u8]) -> Parsed {
    let named = match judge(path) {
        Judgement::Candidate(id) => id,
        Judgement::Never(why) => return skipped(Diagnostic::info("skipped", format!("skipped: {why}")), path),
        Judgement::Strange(why) => return strange(path, why),
    };
    let mut found = Vec::new();
    let Some(text) = decode(path, bytes, &mut found) else {
        return Parsed { diagnostics: found, ..Parsed::default() };
    };
    if text.trim().is_empty() {
        found.push(
            Diagnostic::error("empty", "the file is empty")
                .at(Place::file(path))
                .hint("write the story, or delete the file"),
        );
        return Parsed { diagnostics: found, ..Parsed::default() };
    }
    let document = Document::new(path, &text, &mut found);
    mojibake(&document, &text, &mut found);
    Story::read(&document, named, found)
}

/// Whether a file's name allows it to be a story; any other need not be read.
pub fn is_candidate(path: &str) -> bool {
    matches!(judge(path), Judgement::Candidate(_))
}

/// The id that a file's name gives, whatever is in the file.
pub fn named_id(path: &str) -> Option<ItemId> {
    match judge(path) {
        Judgement::Candidate(id) => id,
        Judgement::Never(_) | Judgement::Strange(_) => None,
    }
}

/// The status as stated and its line, by the rules of [`parse`]; a label without a value counts.
pub(super) fn stated_status<'a>(document: &Document<'a>) -> Option<(&'a str, usize)> {
    let first = document.lines.iter().position(|line| line.heading == 1);
    let front = front::read(document, &mut Vec::new());
    let story = Story { document, front, header: header_fields(document, first), found: Vec::new() };
    let header = story.field(&STATUS);
    let section = || story.status_section().filter(|(_, _, value)| *value).map(|(text, index, _)| (text, index));
    header.filter(|(value, _)| !value.is_empty()).or_else(section).or(header)
}

/// The finding for a file whose name is too strange to be read.
pub fn strange(path: &str, why: &str) -> Parsed {
    let name = path.rsplit('/').next().unwrap_or(path);
    let message = format!("skipped {}: not <epic>.<story>.<slug>.md, {why}", escape_line(&cut(name, 120)));
    skipped(Diagnostic::warning("skipped-name", message), path)
}

fn skipped(finding: Diagnostic, path: &str) -> Parsed {
    Parsed { diagnostics: vec![finding.at(Place::file(path))], ..Parsed::default() }
}

/// Pieces of text that only a wrong decoding leaves behind: UTF-8 read as Windows 1252 or as Mac Roman.
const DAMAGE: [&str; 5] = ["\u{e2}\u{20ac}", "\u{201a}\u{c4}", "\u{c3}\u{a2}", "\u{c3}\u{a9}", "\u{e2}\u{153}"];

fn mojibake(document: &Document<'_>, text: &str, found: &mut Vec<Diagnostic>) {
    if text.is_ascii() || !DAMAGE.iter().any(|damage| text.contains(damage)) {
        return;
    }
    for (index, line) in document.lines.iter().enumerate() {
        let at = DAMAGE.iter().filter_map(|damage| line.text.find(damage).map(|at| (at, damage.len()))).min();
        if let Some((at, length)) = at {
            let place = document.place(index, &line.text[at..at + length]);
            found.push(Diagnostic::warning("damaged-text", "text looks mis-decoded").at(place));
            return;
        }
    }
}

/// A field of the story's own header.
struct HeaderField<'a> {
    name: &'a str,
    value: &'a str,
    index: usize,
}

struct Story<'d, 'a> {
    document: &'d Document<'a>,
    front: Vec<front::Entry<'a>>,
    header: Vec<HeaderField<'a>>,
    found: Vec<Diagnostic>,
}

impl<'d, 'a> Story<'d, 'a> {
    fn read(document: &'d Document<'a>, named: Option<ItemId>, mut found: Vec<Diagnostic>) -> Parsed {
        let first = document.lines.iter().position(|line| line.heading == 1);
        let front = front::read(document, &mut found);
        let header = header_fields(document, first);
        let mut story = Story { document, front, header, found };
        let sections = has_sections(document);
        let status = story.status();
        let heading = first.and_then(|index| heading_id(document.heading_text(index)).map(|id| (index, id)));
        let Some(id) = heading.as_ref().map(|(_, heading)| heading.id.clone()).or_else(|| named.clone()) else {
            return story.without_id(sections);
        };
        if !sections && status.place.is_none() {
            let finding = Diagnostic::info(
                "skipped",
                "skipped: no story section (Story, Acceptance Criteria, Tasks) and no status",
            );
            story.found.push(finding.at(Place::file(document.path())));
            return Parsed { item: None, sections, diagnostics: story.found };
        }
        let (place, display_id, title) = if let Some((index, heading)) = &heading {
            let place = document.place(*index, heading.token);
            if let Some(named) = named.filter(|named| !agree(&heading.id, named)) {
                story.conflict(&heading.id, &named, &place);
            }
            (place, cut(heading.token, 64), cut(heading.title, TITLE))
        } else {
            let title = first.map_or("", |index| document.heading_text(index));
            (document.line_place(first.unwrap_or(0)), id.as_str().to_owned(), cut(title, TITLE))
        };
        let item = story.item(id, display_id, title, place, status);
        Parsed { item: Some(item), sections, diagnostics: story.found }
    }

    fn without_id(mut self, sections: bool) -> Parsed {
        let place = Place::file(self.document.path());
        let finding = if sections {
            let name = self.document.path().rsplit('/').next().unwrap_or_default();
            let message = format!(
                "skipped {}: not <epic>.<story>.<slug>.md, and its heading has no id",
                escape_line(&cut(name, 120))
            );
            Diagnostic::warning("no-id", message).hint("start the file with `# Story <id>: <title>`")
        } else {
            Diagnostic::info("skipped", "skipped: no story id in heading or file name")
        };
        self.found.push(finding.at(place));
        Parsed { item: None, sections, diagnostics: self.found }
    }

    fn conflict(&mut self, heading: &ItemId, named: &ItemId, place: &Place) {
        let message = format!("id in heading ({heading}) differs from id in file name ({named})");
        let finding = Diagnostic::error("id-conflict", message).at(place.clone());
        self.found.push(finding.hint("correct the heading or rename the file"));
    }

    fn item(&mut self, id: ItemId, display_id: String, title: String, place: Place, status: StatedStatus) -> WorkItem {
        let mut walker = Walker::new(self.document, &id);
        for entry in &self.front {
            if matches!(entry.key.as_str(), "depends_on" | "dependencies" | "blocked_by") {
                walker.front(entry.index, entry.value);
            }
        }
        let depends = walker.walk();
        self.found.extend(depends.diagnostics);
        let declared = depends.declared.unwrap_or(Declared::Undeclared);
        let (epic, epic_title) = self.epic(&id);
        self.judge_edges(declared, &depends.dependencies);
        let files = files::read(self.document);
        let explicit = self.field(&["kind", "type"]).map(|(value, _)| value);
        let documentation = explicit.is_some_and(|kind| strip_word(kind, "documentation").is_some())
            || files.documents && files.technology.as_deref() == Some("docs");
        WorkItem {
            kind: if documentation { ItemKind::Documentation } else { ItemKind::Story },
            path: self.document.path().to_owned(),
            criteria: criteria::read(self.document),
            agent: self.agent(),
            declared,
            dependencies: depends.dependencies,
            reverse: depends.reverse,
            references: depends.references,
            files: files.write,
            technology: files.technology,
            id,
            display_id,
            title,
            place,
            epic,
            epic_title,
            status,
        }
    }

    fn judge_edges(&mut self, declared: Declared, edges: &[Dependency]) {
        if declared == Declared::Undeclared {
            let finding = Diagnostic::info("undeclared-dependencies", "no dependency declaration");
            self.found.push(finding.at(Place::file(self.document.path())));
        }
        for edge in edges {
            // What a hard edge leads to is the planner's to judge: it knows the other story and what is done.
            if edge.strength == Strength::Soft {
                let message = format!("{} is a soft dependency: shown, not waited for", edge.id);
                self.found.push(Diagnostic::warning("soft-dependency", message).at(edge.place.clone()));
            }
        }
    }

    /// The value of the first field with one of these names, front matter first, with its line.
    fn field(&self, names: &[&str]) -> Option<(&'a str, usize)> {
        let front = self.front.iter().find(|entry| names.contains(&entry.key.as_str()));
        let front = front.map(|entry| (entry.value, entry.index));
        front.or_else(|| {
            let named = |field: &&HeaderField<'a>| names.iter().any(|name| field.name.eq_ignore_ascii_case(name));
            self.header.iter().find(named).map(|field| (field.value, field.index))
        })
    }

    fn agent(&self) -> Option<(String, Place)> {
        let (value, index) = self.field(&["agent", "assigned agent"])?;
        let value = plain(value);
        let end = value.find(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '_' | '.')).unwrap_or(value.len());
        let word = &value[..end];
        (!word.is_empty()).then(|| (cut(word, 64), self.document.place(index, word)))
    }

    fn epic(&self, id: &ItemId) -> (Option<String>, Option<String>) {
        let Some((value, _)) = self.field(&["epic", "epic id", "parent epic"]) else { return (id.parent(), None) };
        let value = value.trim_start_matches(['[', '*', '`', ' ']);
        let value = strip_word(value, "epic").unwrap_or(value).trim_start_matches([' ', '-', ':', '#']);
        let value = value.split("](").next().unwrap_or(value);
        let number = token(value, name::Lead::Upper).unwrap_or("");
        let Some(epic) = ItemId::parse(number) else {
            let text = plain(value);
            return (if text.is_empty() { id.parent() } else { Some(cut(text, TITLE)) }, None);
        };
        let separator =
            |c: char| c.is_whitespace() || matches!(c, ':' | '-' | '\u{2013}' | '\u{2014}' | '|' | '(' | '*');
        let title = value[number.len()..].trim_matches(separator).trim_end_matches([')', ']', '*']);
        (Some(epic.as_str().to_owned()), (!title.is_empty()).then(|| cut(title, TITLE)))
    }

    /// The status: front matter, then header block, then a `## Status` section.
    fn status(&mut self) -> StatedStatus {
        let header = self.field(&STATUS).filter(|(value, _)| !value.is_empty());
        let section = self.status_section();
        if let (Some((value, _)), Some((other, index, is_value))) = (header, section) {
            let place = self.document.place(index, other);
            if !is_value {
                let finding =
                    Diagnostic::warning("status-conflict", "a second status: this section holds a list, not a value");
                self.found.push(finding.at(place));
            } else if status::read(value).0 != status::read(other).0 {
                let message =
                    format!("a second status: `{}` above, `{}` here", cut(plain(value), 40), cut(plain(other), 40));
                self.found.push(Diagnostic::warning("status-conflict", message).at(place));
            }
        }
        let stated = header.or_else(|| section.filter(|(_, _, value)| *value).map(|(text, index, _)| (text, index)));
        let Some((raw, index)) = stated else {
            return StatedStatus { value: FileStatus::Unknown, raw: String::new(), place: None };
        };
        let (value, fit) = status::read(raw);
        let place = self.document.place(index, raw);
        if fit == Fit::Foreign {
            let finding = Diagnostic::warning("unknown-status", unknown_status(raw, value)).at(place.clone());
            self.found.push(finding.hint(format!("known: {KNOWN}")));
        }
        StatedStatus { value, raw: cut(raw, TITLE), place: Some(place) }
    }

    /// The text of a `## Status` section, its line, and whether it is a value rather than a list.
    fn status_section(&self) -> Option<(&'a str, usize, bool)> {
        let lines = &self.document.lines;
        for index in (0..lines.len()).filter(|index| (2..4).contains(&lines[*index].heading)) {
            let text = self.document.heading_text(index);
            let Some(rest) = strip_word(plain(text), "status").or_else(|| strip_word(plain(text), "story status"))
            else {
                continue;
            };
            if rest.is_empty() {
                let below = lines.iter().enumerate().skip(index + 1).find(|(_, line)| !line.text.trim().is_empty());
                let (below, line) = below.filter(|(_, line)| line.heading == 0 && !line.code)?;
                let text = line.text.trim();
                let marks = marks(text);
                let named = |field: &Field<'_>| STATUS.iter().any(|name| field.name.eq_ignore_ascii_case(name));
                let value = fields(text).into_iter().next().filter(named).map_or(text, |field| field.value);
                return Some((value, below, !marks.item && cells(text).is_none()));
            }
            if let Some(value) = rest.trim_start().strip_prefix(':') {
                return Some((value.trim(), index, true));
            }
        }
        None
    }
}

fn unknown_status(raw: &str, value: FileStatus) -> String {
    let word = escape_line(&cut(plain(raw), 60));
    match value {
        FileStatus::Unknown => format!("unknown status `{word}`, treated as not started"),
        FileStatus::Draft | FileStatus::Ready | FileStatus::InProgress | FileStatus::Review => {
            format!("status `{word}` is not in the vocabulary, read as {}", name_of(value))
        }
        FileStatus::Done | FileStatus::Blocked | FileStatus::Skipped => {
            format!("status `{word}` is not in the vocabulary, read as {}", name_of(value))
        }
    }
}

fn name_of(value: FileStatus) -> &'static str {
    match value {
        FileStatus::Draft => "draft",
        FileStatus::Ready => "ready",
        FileStatus::InProgress => "in progress",
        FileStatus::Review => "review",
        FileStatus::Done => "done",
        FileStatus::Blocked => "blocked",
        FileStatus::Skipped => "skipped",
        FileStatus::Unknown => "unknown",
    }
}

/// Fields between the title and the first section, and in a metadata section.
fn header_fields<'a>(document: &Document<'a>, first: Option<usize>) -> Vec<HeaderField<'a>> {
    let mut all = Vec::new();
    let mut open = true;
    for (index, line) in document.lines.iter().enumerate().skip(first.map_or(0, |first| first + 1)) {
        if line.heading > 0 {
            open = is_metadata(document.heading_text(index));
        }
        if !open || line.code || line.heading > 0 {
            continue;
        }
        if let Some(cells) = cells(line.text) {
            if let ([name, value, ..], false) = (cells.as_slice(), is_table_rule(line.text)) {
                all.push(HeaderField { name: plain(name), value, index });
            }
            continue;
        }
        let found = fields(marks(line.text).body).into_iter();
        all.extend(found.map(|field| HeaderField { name: field.name, value: field.value, index }));
    }
    all
}

/// Whether the file has a section that only stories have.
fn has_sections(document: &Document<'_>) -> bool {
    let names =
        ["story", "story statement", "story narrative", "story description", "user story", "tasks", "tasks / subtasks"];
    let more =
        ["tasks/subtasks", "subtasks", "acceptance criteria", "hist\u{f3}ria", "crit\u{e9}rios de aceita\u{e7}\u{e3}o"];
    document.lines.iter().enumerate().filter(|(_, line)| line.heading > 1).any(|(index, _)| {
        let text = document.heading_text(index);
        let text = plain(text).trim_start_matches(|c: char| !c.is_alphanumeric());
        let lower = cut(text, 40).to_lowercase();
        names.iter().chain(&more).any(|name| lower == *name) || lower.starts_with("acceptance criteria")
    })
}

#[cfg(test)]
#[path = "story_tests.rs"]
mod tests;
