//! Which items an item waits for: declared edges, and the assumed ones of items that declare nothing.
//! Must not decide what is planned; `members` does.

use std::collections::HashMap;

use crate::domain::diagnostic::Place;
use crate::domain::id::ItemId;
use crate::domain::item::{Declared, Dependency, FileStatus, Strength, WorkItem};
use crate::domain::plan::{EdgeKind, PlanRequest};
use crate::domain::settings::Undeclared;

/// Why an item needs no work, or that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing<'a> {
    /// To be worked on.
    Open,
    /// Done, with the reason.
    Done(&'a str),
    /// `--assume-done` names it.
    Assumed,
    /// Its own status takes it out.
    Skipped,
    /// Its file cannot be read.
    Unread,
}

/// One item that another waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need<'a> {
    /// Id as declared.
    pub(super) id: &'a ItemId,
    /// Position of the item; `None` when there is no such story.
    pub(super) index: Option<usize>,
    /// Why the edge exists.
    pub(super) kind: EdgeKind,
    /// Where it is declared; the item's own place for assumed edges.
    pub(super) place: &'a Place,
}

/// All items that were read, indexed for planning.
pub(super) struct Survey<'a> {
    /// What is asked for.
    pub(super) request: PlanRequest<'a>,
    /// Standing of each item.
    pub(super) standing: Vec<Standing<'a>>,
    index: HashMap<&'a str, usize>,
    gone: HashMap<&'a str, Standing<'a>>,
    previous: Vec<Option<usize>>,
    foundation: Vec<usize>,
    needs: Vec<Vec<Need<'a>>>,
    /// Positions in id order.
    pub(super) order: Vec<usize>,
}

impl<'a> Survey<'a> {
    /// Indexes the items of a request.
    pub(super) fn new(request: &PlanRequest<'a>) -> Self {
        let items = request.items;
        let mut index = HashMap::with_capacity(items.len());
        for (position, item) in items.iter().enumerate() {
            index.entry(item.id.as_str()).or_insert(position);
        }
        let mut survey = Self {
            request: *request,
            standing: items.iter().map(|item| stated(item)).collect(),
            index,
            gone: HashMap::new(),
            previous: Vec::new(),
            foundation: Vec::new(),
            needs: Vec::new(),
            order: (0..items.len()).collect(),
        };
        survey.order.sort_by(|a, b| items[*a].id.cmp(&items[*b].id));
        for id in request.unread {
            // The same id may have a second file, which can be read.
            if survey.position(id).is_none() {
                survey.stand(id, Standing::Unread);
            }
        }
        for id in request.assume_done {
            survey.stand(id, Standing::Assumed);
        }
        for (id, why) in request.done {
            survey.stand(id, Standing::Done(why));
        }
        survey.previous = survey.previous_in_epic();
        let foundation = ["0.0", "0.1"].iter().filter_map(|id| survey.index.get(id).copied());
        survey.foundation = foundation.filter(|index| survey.standing[*index] != Standing::Skipped).collect();
        survey.needs = (0..items.len()).map(|position| survey.find_needs(position)).collect();
        survey
    }

    /// Position of the item of that id.
    pub(super) fn position(&self, id: &ItemId) -> Option<usize> {
        self.index.get(id.as_str()).copied()
    }

    /// The item at a position.
    pub(super) fn item(&self, position: usize) -> &'a WorkItem {
        &self.request.items[position]
    }

    /// Standing of an id that has no file: landed once, or assumed done.
    pub(super) fn standing_without_file(&self, id: &ItemId) -> Option<Standing<'a>> {
        self.gone.get(id.as_str()).copied()
    }

    /// Everything that the item at a position waits for, each id once, declared ones first.
    pub(super) fn needs(&self, position: usize) -> &[Need<'a>] {
        &self.needs[position]
    }

    fn find_needs(&self, position: usize) -> Vec<Need<'a>> {
        let item = self.item(position);
        let hard = item.dependencies.iter().filter(|needed| needed.strength == Strength::Hard && needed.id != item.id);
        let mut needs: Vec<Need<'a>> = hard.map(|needed| self.declared(needed)).collect();
        if item.declared != Declared::Undeclared {
            return needs;
        }
        let mut assume = |index: Option<usize>, kind| {
            let Some(index) = index.filter(|index| *index != position) else { return };
            if !needs.iter().any(|known| known.index == Some(index)) {
                needs.push(Need { id: &self.item(index).id, index: Some(index), kind, place: &item.place });
            }
        };
        let order = match self.request.undeclared {
            Undeclared::EpicOrder => self.previous[position],
            Undeclared::Foundation | Undeclared::Independent => None,
        };
        let foundation = match self.request.undeclared {
            Undeclared::EpicOrder | Undeclared::Foundation if !in_epic_zero(item) => self.foundation.as_slice(),
            Undeclared::EpicOrder | Undeclared::Foundation | Undeclared::Independent => &[],
        };
        for index in foundation {
            assume(Some(*index), EdgeKind::Foundation);
        }
        assume(order, EdgeKind::EpicOrder);
        needs
    }

    fn declared(&self, needed: &'a Dependency) -> Need<'a> {
        Need { id: &needed.id, index: self.position(&needed.id), kind: EdgeKind::Declared, place: &needed.place }
    }

    fn stand(&mut self, id: &'a ItemId, standing: Standing<'a>) {
        match self.position(id) {
            Some(position) => self.standing[position] = standing,
            None => {
                self.gone.insert(id.as_str(), standing);
            }
        }
    }

    /// The next lower story of the same epic. Stories taken out by their status are stepped over, else the order would
    /// break at them.
    fn previous_in_epic(&self) -> Vec<Option<usize>> {
        let mut last: HashMap<&str, usize> = HashMap::new();
        let mut previous = vec![None; self.request.items.len()];
        for position in self.order.iter().copied().filter(|position| self.standing[*position] != Standing::Skipped) {
            if let Some(epic) = &self.item(position).epic {
                previous[position] = last.insert(epic, position);
            }
        }
        previous
    }
}

fn stated(item: &WorkItem) -> Standing<'static> {
    match item.status.value {
        FileStatus::Skipped => Standing::Skipped,
        // Whether a done word counts is the ledger's to say: it comes with the request.
        FileStatus::Done
        | FileStatus::Draft
        | FileStatus::Ready
        | FileStatus::InProgress
        | FileStatus::Review
        | FileStatus::Blocked
        | FileStatus::Unknown => Standing::Open,
    }
}

fn in_epic_zero(item: &WorkItem) -> bool {
    let zero = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit == b'0');
    let id = item.id.as_str();
    // Epic 0.5 is not epic 0: its stories (0.5.1) follow the foundation like any other.
    item.epic.as_deref().is_some_and(zero) || id.starts_with("0.") && id.matches('.').count() == 1
}
