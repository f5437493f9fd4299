//! The plan: items in scope, edges, waves, assignments, diagnostics. Pure data; `report` prints it, the engine runs it.

use serde::Serialize;

use super::diagnostic::Diagnostic;
use super::id::ItemId;
use super::item::WorkItem;
use super::names::ItemKey;

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
    /// Whether it is part of this plan; otherwise it is done already or assumed so.
    pub planned: bool,
}

/// Which role and adapter get an item, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Assignment {
    /// Role, e.g. `python-developer`.
    pub role: String,
    /// Adapter, e.g. `claude`.
    pub adapter: String,
    /// The reason, for people: `3 of 4 named files are Python`.
    pub why: String,
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
    /// Findings of reading and planning.
    pub diagnostics: Vec<Diagnostic>,
}
