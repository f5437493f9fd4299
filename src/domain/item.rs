//! The work item: what a source says about one unit of work. Must not hold run state; that is `state`.

use serde::{Deserialize, Serialize};

use super::diagnostic::Place;
use super::id::ItemId;

/// What kind of work an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemKind {
    /// A story file.
    Story,
    /// A story whose work is documents only: it may land with no change.
    Documentation,
}

/// The canonical status words of story files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileStatus {
    /// Not ready to be worked on, by its author's word; scheduled like `Ready`.
    Draft,
    /// Ready to be worked on.
    Ready,
    /// Somebody works on it.
    InProgress,
    /// Waits for a review.
    Review,
    /// Finished.
    Done,
    /// Waits for something else.
    Blocked,
    /// Skipped, deferred, split, archived or cancelled: never scheduled.
    Skipped,
    /// No status, or a word outside the vocabulary.
    Unknown,
}

/// A status as written in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatedStatus {
    /// Canonical value.
    pub value: FileStatus,
    /// The text in the file, trimmed; empty when there is none.
    pub raw: String,
    /// Where; `None` when there is none.
    pub place: Option<Place>,
}

/// How strong an edge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Strength {
    /// Must be done first.
    Hard,
    /// Said to be optional, parallel or an integration point: shown, never waited for.
    Soft,
}

/// A dependency of an item on another story.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// The prerequisite.
    pub id: ItemId,
    /// Hard or soft.
    pub strength: Strength,
    /// Where it is declared.
    pub place: Place,
}

/// What a file says of its dependencies. Undeclared is not the same as none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Declared {
    /// A list was given.
    List,
    /// "None" was written.
    None,
    /// Nothing was written: the fallback setting decides.
    Undeclared,
}

/// A path that the item says it will write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamedFile {
    /// Path relative to the repository root.
    pub path: String,
    /// 1-based line of the mention.
    pub line: u32,
}

/// An acceptance criterion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Criterion {
    /// First line of the criterion, markup stripped.
    pub text: String,
    /// 1-based line.
    pub line: u32,
}

/// A unit of work as its source describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkItem {
    /// Canonical id.
    pub id: ItemId,
    /// The id as the file spells it, for people.
    pub display_id: String,
    /// Story or documentation.
    pub kind: ItemKind,
    /// Title without the id.
    pub title: String,
    /// Path of the source file relative to the repository root.
    pub path: String,
    /// Where the id was read (the heading, or line 1).
    pub place: Place,
    /// Epic: explicit field, else the id without its last part.
    pub epic: Option<String>,
    /// Further text of an explicit epic field ("19 - Production Deployment Parity"), for `epic:<name>` scopes.
    pub epic_title: Option<String>,
    /// Status as stated in the file.
    pub status: StatedStatus,
    /// Acceptance criteria in order.
    pub criteria: Vec<Criterion>,
    /// State of the dependency declaration.
    pub declared: Declared,
    /// Dependencies in order of first appearance, each id once.
    pub dependencies: Vec<Dependency>,
    /// Stories that this one says depend on it, with places; never edges by themselves.
    pub reverse: Vec<Dependency>,
    /// Epic-level, external and task-level references kept as text.
    pub references: Vec<String>,
    /// Write set the item itself declares.
    pub files: Vec<NamedFile>,
    /// Dominant technology of the named files (`python`, `go`, `typescript`, `react`, `nextjs`, `rust`, `shell`, `docs`, ...).
    pub technology: Option<String>,
    /// Agent or role the file asks for (`**Agent:** python-developer`), with its place.
    pub agent: Option<(String, Place)>,
}
