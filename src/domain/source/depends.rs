//! Finds what a story says of its dependencies: places, direction, strength. Must not check that the ids exist.
//!
//! Walks the lines once with a stack of heading modes and one label mode. In sections only ids that start an item, or the
//! first id cell of a table row, count.

use std::collections::HashSet;

use super::field::{Field, cells, fields, is_table_rule, marks};
use super::label::{Class, classify, is_qualifier};
use super::reference::{self, Direction, Named};
use super::remark::{is_foreign_column, is_reverse, is_soft, says_none};
use super::text::{Document, cut, plain};
use crate::domain::diagnostic::{Diagnostic, Place};
use crate::domain::id::ItemId;
use crate::domain::item::{Declared, Dependency, Strength};

/// Result.
#[derive(Default)]
pub(super) struct Found {
    pub(super) declared: Option<Declared>,
    pub(super) dependencies: Vec<Dependency>,
    pub(super) reverse: Vec<Dependency>,
    pub(super) references: Vec<String>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// Where a list stands; the strongest place that says something wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Front,
    Header,
    Section,
    Record,
}

const SOURCES: [(Source, &str); 4] = [
    (Source::Front, "the front matter"),
    (Source::Header, "the header"),
    (Source::Section, "the sections"),
    (Source::Record, "the agent record"),
];

#[derive(Clone, Copy, PartialEq, Eq)]
struct Reading {
    direction: Direction,
    strength: Strength,
}

/// How lines are read at the moment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    On(Reading),
    Off,
}

#[derive(Clone, Copy)]
struct Label {
    mode: Mode,
    indent: usize,
    item: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Zone {
    /// What the agent wrote: believed only when nothing else is said.
    Record,
    /// Tasks, reviews, logs: labels there speak of other things.
    Ignored,
}

#[derive(Default)]
struct Level {
    list: Vec<(Direction, Dependency)>,
    none: Option<Place>,
}

/// Walks one document.
pub(super) struct Walker<'d, 'a> {
    document: &'d Document<'a>,
    own: &'d ItemId,
    levels: [Level; 4],
    found: Found,
    stack: Vec<(u8, Mode)>,
    label: Option<Label>,
    zone: Option<(u8, Zone)>,
    header: bool,
    blank: bool,
    table: Option<Mode>,
}

impl<'d, 'a> Walker<'d, 'a> {
    pub(super) fn new(document: &'d Document<'a>, own: &'d ItemId) -> Self {
        Self {
            document,
            own,
            levels: Default::default(),
            found: Found::default(),
            stack: Vec::new(),
            label: None,
            zone: None,
            header: true,
            blank: false,
            table: None,
        }
    }

    /// Takes a value of the front matter.
    pub(super) fn front(&mut self, index: usize, value: &'a str) {
        if value.is_empty() {
            self.levels[Source::Front as usize].none = Some(self.document.line_place(index));
            return;
        }
        let reading = Reading { direction: Direction::Forward, strength: Strength::Hard };
        self.item(index, value.trim_matches(['"', '\'', '[', ']', ' ']), "", reading, Source::Front);
    }

    /// Reads all lines and decides.
    pub(super) fn walk(mut self) -> Found {
        for index in 0..self.document.lines.len() {
            let line = &self.document.lines[index];
            if line.heading > 0 {
                self.heading(index, line.heading);
            } else if line.code {
            } else if line.text.trim().is_empty() {
                self.blank = true;
                self.table = None;
            } else {
                self.line(index, line.text);
                self.blank = false;
            }
        }
        self.decide()
    }

    fn mode(&self) -> Option<Mode> {
        self.label.map(|label| label.mode).or_else(|| self.stack.last().map(|(_, mode)| *mode))
    }

    fn source(&self) -> Source {
        match self.zone {
            Some((_, Zone::Record)) => Source::Record,
            Some((_, Zone::Ignored)) | None if self.header => Source::Header,
            Some((_, Zone::Ignored)) | None => Source::Section,
        }
    }

    fn heading(&mut self, index: usize, level: u8) {
        let text = self.document.heading_text(index);
        self.label = None;
        self.table = None;
        if level > 1 {
            self.header = is_metadata(text);
        }
        while self.stack.last().is_some_and(|(open, _)| *open >= level) {
            self.stack.pop();
        }
        if self.zone.is_some_and(|(open, _)| open >= level) {
            self.zone = None;
        }
        if level == 1 {
            return;
        }
        if self.zone.is_none() {
            self.zone = zone(text).map(|zone| (level, zone));
        }
        let field = fields(text).into_iter().next();
        let name = field.as_ref().map_or(text, |field| field.name);
        let inside = self.stack.last().map(|(_, mode)| *mode);
        match (classify(name), inside) {
            (class @ (Class::Forward(_) | Class::Reverse), _) if self.zone != Some((level, Zone::Ignored)) => {
                let reading = reading(class);
                self.stack.push((level, Mode::On(reading)));
                if let Some(value) = field.map(|field| field.value).filter(|value| !value.is_empty()) {
                    self.item(index, value, "", reading, self.source());
                }
            }
            (Class::Other, Some(Mode::On(reading))) if reference::starts_with_story(text, self.own) => {
                self.item(index, text, "", reading, self.source());
            }
            (Class::Other, Some(Mode::On(reading))) if is_qualifier(text) => {
                self.stack.push((level, Mode::On(softened(reading, text))));
            }
            (Class::Off, _) | (Class::Other, Some(_)) => self.stack.push((level, Mode::Off)),
            (Class::Forward(_) | Class::Reverse | Class::Other, _) => {}
        }
    }

    fn line(&mut self, index: usize, text: &'a str) {
        if self.stack.is_empty() && matches!(self.zone, Some((_, Zone::Ignored))) {
            return;
        }
        if text.trim_start_matches(['>', ' ', '\t']).starts_with('|') {
            self.row(index, text);
            return;
        }
        let marks = marks(text);
        if let Some(label) = self.label {
            let ended = if marks.item { label.item && marks.indent <= label.indent } else { self.blank };
            if ended {
                self.label = None;
            }
        }
        if marks.body.contains([':', '\u{ff1a}']) && self.labelled(index, marks.body, marks.indent, marks.item) {
            return;
        }
        if let Some(Mode::On(reading)) = self.mode() {
            self.item(index, marks.body, "", reading, self.source());
        }
    }

    /// Handles a line with labels; `false` when it is an ordinary item.
    fn labelled(&mut self, index: usize, body: &'a str, indent: usize, item: bool) -> bool {
        let all = fields(body);
        let Some(first) = all.first() else { return false };
        let listed = matches!(self.mode(), Some(Mode::On(_)));
        if listed
            && (reference::starts_with_story(first.name, self.own) || reference::names_other(first.name, self.own))
        {
            return false;
        }
        let mut handled = false;
        for field in &all {
            handled |= self.field(index, field, indent, item);
        }
        handled
    }

    fn field(&mut self, index: usize, field: &Field<'a>, indent: usize, item: bool) -> bool {
        match classify(field.name) {
            class @ (Class::Forward(_) | Class::Reverse) => {
                let reading = reading(class);
                self.label = Some(Label { mode: Mode::On(reading), indent, item });
                if !field.value.is_empty() {
                    self.item(index, field.value, "", reading, self.source());
                }
                true
            }
            Class::Off => {
                if !item || field.value.is_empty() {
                    self.label = Some(Label { mode: Mode::Off, indent, item });
                }
                true
            }
            Class::Other => self.foreign_label(index, field, indent, item),
        }
    }

    /// A label that says nothing of dependencies: inside a dependency list it ends the list, unless it only qualifies it.
    fn foreign_label(&mut self, index: usize, field: &Field<'a>, indent: usize, item: bool) -> bool {
        let Some(mode) = self.stack.last().map(|(_, mode)| *mode).or(self.label.map(|label| label.mode)) else {
            return false;
        };
        let opens = field.value.is_empty() || !item;
        match mode {
            Mode::On(reading) if is_qualifier(field.name) => {
                let reading = softened(reading, field.name);
                if opens {
                    self.label = Some(Label { mode: Mode::On(reading), indent, item });
                }
                self.item(index, field.value, "", reading, self.source());
            }
            Mode::On(_) | Mode::Off if opens && field.bold => {
                self.label = Some(Label { mode: Mode::Off, indent, item });
            }
            Mode::On(_) | Mode::Off => {}
        }
        field.bold || item
    }

    fn row(&mut self, index: usize, text: &'a str) {
        if is_table_rule(text) {
            return;
        }
        let Some(cells) = cells(text) else { return };
        let head = self.document.lines.get(index + 1).is_some_and(|next| is_table_rule(next.text));
        if head {
            let foreign = cells.iter().any(|cell| is_foreign_column(plain(cell)));
            self.table = Some(if foreign { Mode::Off } else { self.mode().unwrap_or(Mode::Off) });
            return;
        }
        if let [name, value, ..] = cells.as_slice() {
            let class = if name.len() <= 80 { classify(plain(name)) } else { Class::Other };
            if matches!(class, Class::Forward(_) | Class::Reverse) {
                self.item(index, value, "", reading(class), self.source());
                return;
            }
        }
        let mode = self.table.or_else(|| self.mode());
        let Some(Mode::On(reading)) = mode else { return };
        let own = self.own;
        if let Some(cell) = cells.iter().find(|cell| reference::starts_with_story(cell, own)) {
            self.item(index, cell, text, reading, self.source());
        } else if cells.first().is_some_and(|cell| says_none(cell).is_some()) {
            self.item(index, cells[0], "", reading, self.source());
        }
    }

    /// One item: `row` is the whole table row it stands in, for its remarks.
    fn item(&mut self, index: usize, text: &'a str, row: &'a str, mode: Reading, source: Source) {
        if let Some(behind) = says_none(text) {
            let again = behind.trim_start_matches([' ', '*']).strip_prefix([',', ';', '/']);
            let listed = again.filter(|rest| !reference::read(rest, self.own).entries.is_empty());
            if mode.direction == Direction::Forward {
                self.levels[source as usize].none = Some(self.document.place(index, text));
            }
            let Some(rest) = listed else { return };
            let finding = Diagnostic::warning("contradictory-dependencies", "says none and names stories");
            self.found.diagnostics.push(finding.at(self.document.place(index, text)));
            self.entries(index, rest, row, mode, source);
            return;
        }
        self.entries(index, text, row, mode, source);
    }

    fn entries(&mut self, index: usize, text: &'a str, row: &'a str, mode: Reading, source: Source) {
        let reading = reference::read(text, self.own);
        let direction = reading.verb.unwrap_or(mode.direction);
        if reading.other && source != Source::Record {
            self.reference(index, text);
        }
        if reading.entries.is_empty() {
            return;
        }
        if source != Source::Record {
            self.broken(index, reading.tail);
        }
        let (tail, row) = (reading.tail.to_lowercase(), row.to_lowercase());
        let all_soft = mode.strength == Strength::Soft || is_soft(&tail) || row.split('|').any(is_soft);
        let all_reverse = is_reverse(&tail) || is_reverse(&row);
        for entry in reading.entries {
            let note = entry.note.to_lowercase();
            let soft = all_soft || is_soft(&note);
            let reverse = all_reverse || is_reverse(&note) || note.starts_with("next") || note.starts_with("future");
            let direction = if reverse { Direction::Reverse } else { direction };
            let place = self.document.place(index, entry.text);
            match entry.named {
                Named::Stories(ids) => {
                    let strength = if soft { Strength::Soft } else { Strength::Hard };
                    let edges =
                        ids.into_iter().map(|id| (direction, Dependency { id, strength, place: place.clone() }));
                    self.levels[source as usize].list.extend(edges);
                }
                Named::BadRange(why) => {
                    let message = format!("bad range `{}`: {why}", cut(entry.text, 80));
                    self.found.diagnostics.push(Diagnostic::error("bad-range", message).at(place));
                }
                Named::Placeholder => {
                    let message = format!("`{}` is a placeholder, not a story", cut(entry.text, 80));
                    self.found.diagnostics.push(Diagnostic::warning("placeholder-dependency", message).at(place));
                    self.found.references.push(cut(entry.text, 80));
                }
            }
        }
    }

    /// Two separators in a row are never prose: the list goes on with something that is no id.
    fn broken(&mut self, index: usize, tail: &'a str) {
        let rest = tail.trim_start_matches([',', ' ']);
        if tail.starts_with([',', ';']) && rest.contains(char::is_alphanumeric) {
            let message = format!("`{}` is not a story id", cut(rest, 80));
            let finding = Diagnostic::warning("not-an-id", message).at(self.document.place(index, rest));
            self.found.diagnostics.push(finding.hint("separate ids by one comma: `1.1, 1.2`"));
        }
    }

    fn reference(&mut self, index: usize, text: &'a str) {
        let kept = cut(text.trim(), 120);
        if self.found.references.contains(&kept) || self.found.references.len() >= 100 {
            return;
        }
        let finding = Diagnostic::info("reference-kept", "epic or task dependency kept as text, not checked");
        self.found.diagnostics.push(finding.at(self.document.place(index, text.trim())));
        self.found.references.push(kept);
    }

    fn decide(mut self) -> Found {
        let forward = |level: &Level| level.list.iter().any(|(direction, _)| *direction == Direction::Forward);
        let chosen = SOURCES.into_iter().find(|(source, _)| {
            let level = &self.levels[*source as usize];
            forward(level) || level.none.is_some()
        });
        let mut seen: HashSet<ItemId> = HashSet::new();
        let mut declared = Declared::Undeclared;
        if let Some((source, name)) = chosen {
            let level = &mut self.levels[source as usize];
            declared = if forward(level) { Declared::List } else { Declared::None };
            for (direction, edge) in std::mem::take(&mut level.list) {
                if direction == Direction::Reverse {
                    level.list.push((direction, edge));
                } else if seen.insert(edge.id.clone()) {
                    self.found.dependencies.push(edge);
                }
            }
            if let Some(first) = self.found.dependencies.first() {
                let finding = if source == Source::Record {
                    Diagnostic::warning("agent-record-dependency", "dependency found only in the agent record")
                } else {
                    Diagnostic::info("dependency-source", format!("dependencies read from {name}"))
                };
                self.found.diagnostics.push(finding.at(first.place.clone()));
            }
        }
        for (direction, edge) in self.levels.into_iter().flat_map(|level| level.list) {
            if direction == Direction::Reverse && edge.id != *self.own && seen.insert(edge.id.clone()) {
                self.found.reverse.push(edge);
            }
        }
        self.found.declared = Some(declared);
        self.found
    }
}

fn reading(class: Class) -> Reading {
    match class {
        Class::Forward(strength) => Reading { direction: Direction::Forward, strength },
        Class::Reverse => Reading { direction: Direction::Reverse, strength: Strength::Hard },
        Class::Off | Class::Other => Reading { direction: Direction::Forward, strength: Strength::Soft },
    }
}

fn softened(mut reading: Reading, name: &str) -> Reading {
    let name = name.to_lowercase();
    if name.contains("soft") || name.contains("optional") {
        reading.strength = Strength::Soft;
    }
    reading
}

/// Whether a heading opens a list of the story's own fields.
pub(super) fn is_metadata(heading: &str) -> bool {
    let words = ["story information", "story info", "story details", "story metadata", "metadata", "story meta"];
    words.iter().any(|word| plain(heading).eq_ignore_ascii_case(word))
}

fn zone(heading: &str) -> Option<Zone> {
    let text = cut(heading, 80).to_lowercase();
    if text.contains("agent record") {
        return Some(Zone::Record);
    }
    let ignored =
        ["qa results", "change log", "changelog", "developer review", "code review", "definition of done", "subtasks"];
    let text = text.trim_start_matches(|c: char| !c.is_alphabetic());
    (text.starts_with("task") || ignored.iter().any(|word| text.contains(word))).then_some(Zone::Ignored)
}
