//! The plan: items in scope, edges, waves, assignments, diagnostics. Pure data; `report` prints it, the engine runs it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::diagnostic::Diagnostic;
use super::event::PlannedKey;
use super::id::ItemId;
use super::item::{FileStatus, WorkItem};
use super::names::ItemKey;
use super::settings::{Missing, Undeclared};
use super::state::ItemState;

/// Why an edge exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EdgeKind {
    /// The story declares it.
    Declared,
    /// Foundation story 0.0 or 0.1, for a story that declares nothing.
    Foundation,
    /// The next lower story of the epic, for a story that declares nothing.
    EpicOrder,
}

/// A prerequisite of a planned item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Prerequisite {
    /// The item that must be done first.
    pub id: ItemId,
    /// Why.
    pub kind: EdgeKind,
    /// Whether it is part of this plan; otherwise it is done already or assumed so, unless it is lacking.
    pub planned: bool,
    /// Neither in the plan nor done: no such story, its file cannot be read, or it is out of scope. Only in plans with errors.
    pub lacking: bool,
}

/// Which role and adapter get an item, and why.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Assignment {
    /// Role, e.g. `python-developer`.
    pub role: String,
    /// Adapter, e.g. `claude`.
    pub adapter: String,
    /// Adapters that take its place, in order, while it is paused or left alone.
    pub fallbacks: Vec<String>,
    /// The reason, for people: `3 of 4 named files are Python`.
    pub why: String,
}

impl Assignment {
    /// Every adapter that may do it, in order.
    pub fn chain(&self) -> Vec<String> {
        std::iter::once(&self.adapter).chain(&self.fallbacks).cloned().collect()
    }
}

/// An item with its place in the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedItem {
    /// Ledger key.
    pub key: ItemKey,
    /// The item.
    pub item: WorkItem,
    /// 0-based wave: one more than the highest wave among planned prerequisites.
    pub wave: u32,
    /// Prerequisites, declared ones first, in order of appearance.
    pub prerequisites: Vec<Prerequisite>,
    /// Items on the longest chain from here to a leaf, itself included: the scheduling priority.
    pub chain: u32,
    /// Who does it.
    pub assignment: Assignment,
}

/// A finished or skipped item that the scope named or would have taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The item.
    pub id: ItemId,
    /// Why it is not planned: `landed`, `its file says "Done"`, `skipped by its status`, `prerequisite 1.2 is out of scope`.
    pub why: String,
}

/// A prerequisite outside the scope that is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutOfScope {
    /// The selected story.
    pub story: ItemId,
    /// What it needs.
    pub prerequisite: ItemId,
}

/// The plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// In order of wave, then id.
    pub items: Vec<PlannedItem>,
    /// Not planned, with the reason, in id order.
    pub left_out: Vec<LeftOut>,
    /// Number of waves.
    pub waves: u32,
    /// Ids of one longest chain.
    pub critical_path: Vec<ItemId>,
    /// Prerequisites outside the scope that are not done: what to ask a person about. Filled under `Missing::Fail` and
    /// `Missing::Ask` only; each also has an error among the diagnostics.
    pub outside: Vec<OutOfScope>,
    /// Findings of planning, errors first.
    pub diagnostics: Vec<Diagnostic>,
}

/// What a plan is made from.
#[derive(Clone, Copy)]
pub struct PlanRequest<'a> {
    /// Every item that was read, in any order, each id once.
    pub items: &'a [WorkItem],
    /// Ids in scope; ignored when `everything` is set.
    pub selected: &'a [ItemId],
    /// Whether the scope is all items.
    pub everything: bool,
    /// What a person typed after `stories`, but `--missing`: scope and options, for commands in hints.
    pub selectors: &'a [String],
    /// Done items with the reason, as [`done_items`] gives them.
    pub done: &'a BTreeMap<ItemId, String>,
    /// Ids that `--assume-done` names; stories or not.
    pub assume_done: &'a [ItemId],
    /// Ids of files that could not be read: a dependency on one is not missing. The file has an error of its own.
    pub unread: &'a [ItemId],
    /// Fallback for items that declare nothing.
    pub undeclared: Undeclared,
    /// Prerequisites outside the scope. `Ask` is treated as `Fail`: the caller asks with [`Plan::outside`] and plans again.
    pub missing: Missing,
    /// Chooses role and adapter of an item.
    pub assign: &'a dyn Fn(&WorkItem) -> Result<Assignment, Box<Diagnostic>>,
}

impl Plan {
    /// Whether a finding forbids a start.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|finding| finding.severity == super::diagnostic::Severity::Error)
    }

    /// The items as a run records them, in plan order.
    pub fn keys(&self) -> Vec<PlannedKey> {
        self.items.iter().map(PlannedItem::recorded).collect()
    }
}

impl PlannedItem {
    /// The item as a run records it.
    pub fn recorded(&self) -> PlannedKey {
        PlannedKey {
            key: self.key.clone(),
            wave: self.wave,
            after: self.planned_prerequisites().map(ItemKey::from).collect(),
        }
    }

    /// Ids of the prerequisites that are part of the plan.
    pub fn planned_prerequisites(&self) -> impl Iterator<Item = &ItemId> {
        self.prerequisites.iter().filter(|needed| needed.planned).map(|needed| &needed.id)
    }
}

/// Which items are done, and why: landed in the ledger, or, without a chain, a done word in the file. The ledger wins.
/// Landed items whose file is gone are among them, so that nothing that needs them misses them.
pub fn done_items(items: &[WorkItem], ledger: &BTreeMap<ItemKey, ItemState>) -> BTreeMap<ItemId, String> {
    let landed = ledger.iter().filter(|(_, state)| state.is_done());
    let mut done: BTreeMap<ItemId, String> =
        landed.filter_map(|(key, _)| Some((key.item_id()?, "landed".to_owned()))).collect();
    for item in items.iter().filter(|item| item.status.value == FileStatus::Done) {
        if !ledger.contains_key(&ItemKey::from(&item.id)) {
            done.insert(item.id.clone(), format!("its file says \"{}\"", item.status.raw));
        }
    }
    done
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
