//! Many parsed files to one set of items: duplicates, companions, names of stories and epics. Must not parse.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::diagnostic::{Diagnostic, Place, Severity};
use crate::domain::id::ItemId;
use crate::domain::item::WorkItem;

/// What one file gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The item; `None` when the file is no story or cannot be read.
    pub item: Option<WorkItem>,
    /// Whether it has a section that only stories have (Story, Acceptance Criteria, Tasks).
    pub sections: bool,
    /// Findings.
    pub diagnostics: Vec<Diagnostic>,
}

impl Parsed {
    /// Whether one of its findings is an error.
    pub(super) fn has_error(&self) -> bool {
        self.diagnostics.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// The items sorted by id, each id once, and all findings in order of path and line.
pub fn assemble(mut parsed: Vec<Parsed>) -> (Vec<WorkItem>, Vec<Diagnostic>) {
    let mut found: Vec<Diagnostic> = Vec::new();
    // Files come in order of path and most ids are claimed once: findings that stay in the order of files are sorted already.
    let mut in_order: Vec<Vec<Diagnostic>> =
        parsed.iter_mut().map(|file| std::mem::take(&mut file.diagnostics)).collect();
    let mut by_id: BTreeMap<ItemId, Vec<(usize, Parsed)>> = BTreeMap::new();
    for (at, file) in parsed.drain(..).enumerate() {
        if let Some(item) = &file.item {
            by_id.entry(item.id.clone()).or_default().push((at, file));
        }
    }
    let mut items = Vec::with_capacity(by_id.len());
    for (id, mut files) in by_id {
        if files.len() == 1 {
            items.extend(files.pop().and_then(|(_, file)| file.item));
            continue;
        }
        let whole = |(at, file): (usize, Parsed)| Parsed { diagnostics: std::mem::take(&mut in_order[at]), ..file };
        for file in settle(&id, files.into_iter().map(whole).collect(), &mut found) {
            found.extend(file.diagnostics);
            items.extend(file.item);
        }
    }
    found.splice(0..0, in_order.into_iter().flatten());
    name_clashes(&items, &mut found);
    found.sort_by(|a, b| standing(a).cmp(&standing(b)));
    (items, found)
}

/// Where a finding belongs among all.
fn standing(finding: &Diagnostic) -> Option<(&str, u32, u32)> {
    finding.place.as_ref().map(|place| (place.path.as_str(), place.line, place.column))
}

/// Files that claim one id: companions are passed over, a file whose heading and name contradict gives way.
fn settle(id: &ItemId, mut files: Vec<Parsed>, found: &mut Vec<Diagnostic>) -> Vec<Parsed> {
    files.sort_by(|a, b| path(a).cmp(path(b)));
    let main = files.iter().find(|file| file.sections).map(|file| path(file).to_owned());
    if let Some(main) = main {
        let (stories, companions): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.sections);
        for companion in companions {
            let message =
                format!("skipped: same id as {main} and no story section (Story, Acceptance Criteria, Tasks)");
            found.push(Diagnostic::info("skipped", message).at(Place::file(path(&companion))));
        }
        files = stories;
    }
    let (mut doubtful, mut sound): (Vec<_>, Vec<_>) = files.into_iter().partition(Parsed::has_error);
    if sound.is_empty() {
        sound.append(&mut doubtful);
    }
    let first = sound.remove(0);
    for mut other in doubtful {
        if let Some(finding) = other.diagnostics.iter_mut().find(|finding| finding.code == "id-conflict") {
            finding.related.extend(place(&first).map(|place| (place, format!("{id} is also this file"))));
            found.append(&mut other.diagnostics);
        } else {
            sound.push(other);
        }
    }
    for mut other in sound {
        found.append(&mut other.diagnostics);
        let mut finding = Diagnostic::error("duplicate-id", format!("two stories with id {id}"));
        finding.place = place(&other);
        finding.related.extend(place(&first).map(|place| (place, "the other one".to_owned())));
        found.push(finding.hint("give one of them another id"));
    }
    vec![first]
}

fn path(file: &Parsed) -> &str {
    file.item.as_ref().map_or("", |item| item.path.as_str())
}

fn place(file: &Parsed) -> Option<Place> {
    file.item.as_ref().map(|item| item.place.clone())
}

/// Stories and epics have separate names; equal ones confuse people, not the program.
fn name_clashes(items: &[WorkItem], found: &mut Vec<Diagnostic>) {
    let epics: BTreeSet<&str> = items.iter().filter_map(|item| item.epic.as_deref()).collect();
    for item in items.iter().filter(|item| item.id.depth() > 1 && epics.contains(item.id.as_str())) {
        let message = format!("story id {id} equals the name of epic {id}", id = item.id);
        let hint = format!("`{id}` selects the story, `epic:{id}` the epic", id = item.id);
        found.push(Diagnostic::warning("epic-name", message).at(item.place.clone()).hint(hint));
    }
}
