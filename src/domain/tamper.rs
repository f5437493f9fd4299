//! The rule of what counts as tampering: only what can be told from a user's own work. Pure: sights and records in,
//! findings out. Must not undo anything; whoever acts on a finding does.

use std::collections::{BTreeMap, BTreeSet};

use super::event::{Landing, ReviewVerdict};
use super::names::{BranchRef, ItemKey, Oid};
use super::state::ItemState;

/// What a thing that could run programs, or lead us elsewhere, says: by name.
pub type Words = BTreeMap<String, String>;

/// How a ref of the ledger was found not to be what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forged {
    /// It was gone.
    Deleted,
    /// It no longer led to what had been written.
    Replaced,
    /// It held no object id, or an object that is no record.
    Unreadable,
    /// It had been put there by something that is no writer of the ledger.
    Created,
}

/// A ref of the ledger that was put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Full name.
    pub name: String,
    /// What was wrong with it.
    pub how: Forged,
    /// The ref or the place that keeps what had been put there.
    pub kept: Option<String>,
}

/// A commit that a protected branch gained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gained {
    /// The commit.
    pub oid: Oid,
    /// Its tree.
    pub tree: Oid,
    /// Its parents, first one first.
    pub parents: Vec<Oid>,
    /// Whether author or committer is an agent.
    pub by_agent: bool,
    /// Whether its message names a story (`Story:`).
    pub names_story: bool,
    /// Whether a remote-tracking branch has it too: it came with a fetch.
    pub published: bool,
}

/// One thing that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// A configuration key, a hook, a file.
    pub name: String,
    /// What it said.
    pub before: Option<String>,
    /// What it says.
    pub after: Option<String>,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A ref of the ledger was forged; it is what it was again.
    Ledger(Restored),
    /// Commits came to a protected branch without a landing.
    Breach {
        /// The branch.
        branch: BranchRef,
        /// The commits, newest first; never empty.
        commits: Vec<Oid>,
    },
    /// The branch of another attempt moved while nothing of that attempt was at work.
    Sibling {
        /// Whose branch.
        victim: ItemKey,
        /// The branch.
        branch: BranchRef,
        /// Where it was.
        expected: Oid,
        /// Where it is.
        found: Option<Oid>,
    },
    /// The files that tie the attempt's own worktree to the repository changed.
    Ties(Vec<Change>),
    /// What runs programs changed. It may have been the user, so it stays.
    Programs(Vec<Change>),
}

/// What follows from a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The attempt ends, its work is rescued, its story fails.
    Quarantine(ItemKey),
    /// The attempt waits for a person.
    Pause(ItemKey),
    /// No story of this run lands any more.
    StopLandings,
}

/// What follows from a finding, given the attempts that had a process at work while it may have come about. With one suspect
/// it was that one; with several nobody is blamed, and with none it was not an agent of ours.
pub fn measures(finding: &Finding, suspects: &BTreeSet<ItemKey>) -> Vec<Measure> {
    let culprit = suspects.first().filter(|_| suspects.len() == 1).cloned();
    match finding {
        // What was written stands again, so with a known culprit the others may land.
        Finding::Ledger(_) | Finding::Ties(_) => {
            vec![culprit.map_or(Measure::StopLandings, Measure::Quarantine)]
        }
        Finding::Breach { .. } => {
            let mut all = vec![Measure::StopLandings];
            all.extend(culprit.map(Measure::Quarantine));
            all
        }
        Finding::Sibling { victim, .. } => {
            let mut all = vec![Measure::Pause(victim.clone())];
            let mut others = suspects.iter().filter(|suspect| *suspect != victim);
            all.extend(others.next().filter(|_| others.next().is_none()).cloned().map(Measure::Pause));
            all
        }
        Finding::Programs(_) => vec![Measure::StopLandings],
    }
}

/// What differs between two sights, by name.
pub fn changes(before: &Words, after: &Words) -> Vec<Change> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let change = |name: &String| Change {
        name: name.clone(),
        before: before.get(name).cloned(),
        after: after.get(name).cloned(),
    };
    names.into_iter().map(change).filter(|change| change.before != change.after).collect()
}

impl Change {
    /// Whether our own git calls in a worktree would obey it: filters cannot be switched off, and an included file may
    /// bring one.
    pub fn would_run(&self) -> bool {
        let name = self.name.to_ascii_lowercase();
        name.starts_with("filter.") || name.starts_with("include") || name == ATTRIBUTES
    }
}

/// Name of the attributes file that no commit holds.
pub const ATTRIBUTES: &str = "info/attributes";

/// The commits that no landing and no approval covers and that are not a person's own: an agent's, those that name a story,
/// and merges of a story. Commits that a fetch brought are `verify`'s to judge.
///
/// `gained` is everything the branch gained, newest first; `lines` are the stories' own commits.
pub fn uncovered<'a>(
    gained: &[Gained],
    items: impl IntoIterator<Item = &'a ItemState>,
    lines: &BTreeSet<Oid>,
) -> Vec<Oid> {
    let by_oid: BTreeMap<&Oid, &Gained> = gained.iter().map(|commit| (&commit.oid, commit)).collect();
    let mut covered = BTreeSet::new();
    for state in items {
        for landing in state.landings.iter().chain(&state.intended) {
            cover_landing(landing, &by_oid, &mut covered);
        }
        cover_approved(state, gained, &by_oid, &mut covered);
    }
    let open = gained.iter().filter(|commit| !commit.published && !covered.contains(&commit.oid));
    let merges = |commit: &Gained| commit.parents.iter().skip(1).any(|parent| lines.contains(parent));
    open.filter(|commit| commit.by_agent || commit.names_story || merges(commit))
        .map(|commit| commit.oid.clone())
        .collect()
}

fn cover_landing<'a>(landing: &'a Landing, gained: &BTreeMap<&'a Oid, &'a Gained>, covered: &mut BTreeSet<Oid>) {
    if gained.contains_key(&landing.merge) {
        covered.extend([landing.merge.clone(), landing.tip.clone()]);
        reach(&landing.head, gained, covered);
    }
}

/// A person's own merge of exactly what was approved.
fn cover_approved<'a>(
    state: &'a ItemState,
    gained: &'a [Gained],
    by_oid: &BTreeMap<&'a Oid, &'a Gained>,
    covered: &mut BTreeSet<Oid>,
) {
    let Some(review) = state.reviews.last().filter(|review| review.verdict == ReviewVerdict::Approve) else { return };
    let carried = state.carried.as_ref().filter(|carried| carried.from_tree == review.merge_tree);
    let tree = carried.map_or(&review.merge_tree, |carried| &carried.merge_tree);
    for commit in gained.iter().filter(|commit| commit.tree == *tree) {
        if commit.oid == review.head || commit.parents.contains(&review.head) {
            covered.insert(commit.oid.clone());
            reach(&review.head, by_oid, covered);
        }
    }
}

/// Covers everything that `from` leads to within what was gained.
fn reach<'a>(from: &'a Oid, gained: &BTreeMap<&'a Oid, &'a Gained>, covered: &mut BTreeSet<Oid>) {
    let (mut open, mut seen) = (vec![from], BTreeSet::new());
    while let Some(at) = open.pop() {
        if let Some(commit) = gained.get(at).filter(|_| seen.insert(at)) {
            covered.insert(at.clone());
            open.extend(&commit.parents);
        }
    }
}

/// The first parents of `tip` within `commits`, up to `base`: what a story added itself. What it merged in is not its own.
pub fn line(commits: &[Gained], tip: &Oid, base: &Oid) -> BTreeSet<Oid> {
    let by_oid: BTreeMap<&Oid, &Gained> = commits.iter().map(|commit| (&commit.oid, commit)).collect();
    let mut line = BTreeSet::new();
    let mut next = Some(tip);
    while let Some(at) = next.filter(|at| *at != base) {
        let Some(commit) = by_oid.get(at) else { break };
        if !line.insert(at.clone()) {
            break;
        }
        next = commit.parents.first();
    }
    line
}

/// Longest value of a difference that is shown.
const SHOWN: usize = 120;

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let said = |value: &Option<String>| match value {
            None => "absent".to_owned(),
            Some(text) => {
                let cut: String = text.chars().take(SHOWN).collect();
                format!("`{}`", cut.escape_debug())
            }
        };
        write!(f, "{}: {} -> {}", self.name.escape_debug(), said(&self.before), said(&self.after))
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ledger(Restored { name, how, kept }) => {
                let what = match how {
                    Forged::Deleted => "was deleted",
                    Forged::Replaced => "was moved off what is recorded",
                    Forged::Unreadable => "was overwritten with something that is no record",
                    Forged::Created => "was made by something that is no writer of the record",
                };
                let name = name.escape_debug();
                let now = if *how == Forged::Created { "taken away" } else { "put back" };
                write!(f, "{name} {what}; it is {now}")?;
                kept.as_ref().map_or(Ok(()), |kept| write!(f, ", and what was there is kept in {kept}"))
            }
            Self::Breach { branch, commits } => {
                let shown = commits.iter().take(5).map(Oid::short).collect::<Vec<_>>().join(" ");
                let more = commits.len().saturating_sub(5);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let branch = branch.short();
                write!(f, "breach: {branch} has {} commit(s) that no landing brought: {shown}{more}", commits.len())
            }
            Self::Sibling { victim, branch, expected, found } => {
                let found = found.as_ref().map_or("nothing", Oid::short);
                let (branch, expected) = (branch.short(), expected.short());
                write!(
                    f,
                    "{branch} of story {victim} moved from {expected} to {found} while nothing of {victim} worked"
                )
            }
            Self::Ties(changes) => write!(f, "the worktree was tied to another place: {}", list(changes)),
            Self::Programs(changes) => write!(f, "what git runs here changed: {}", list(changes)),
        }
    }
}

fn list(changes: &[Change]) -> String {
    changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
#[path = "tamper_tests.rs"]
mod tests;
