//! A refusal with everything its message says: which ref, why, the command that satisfies the gate, the command that undoes
//! what git left half done. Must not decide anything.

use super::undo::Undo;
use crate::domain::explanation;
use crate::domain::names::{BranchRef, Oid};
use crate::domain::passage::{Objected, Objection, StoryName};

/// Why a hook says no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// An agent's process.
    Agent,
    /// The branch would become a name for another ref.
    Symbolic,
    /// A protected branch would go away.
    Deletion,
    /// The gate objects.
    Gate(Objected),
    /// The gate of a server objects, to a push of this branch.
    Push(Objected, BranchRef),
    /// On a server a protected branch only grows.
    TakenBack,
    /// The records are written by git-orchestrate alone.
    Ledger,
    /// On a server the records only grow.
    LedgerRewind,
    /// On a server the records must make sense.
    LedgerNonsense(String),
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) refname: String,
    pub(super) new: Option<Oid>,
    pub(super) why: Why,
    pub(super) undo: Undo,
}

/// How every refusal begins.
const MARK: &str = "git-orchestrate: refused";

/// Most records that a command names one by one.
const MOST_NAMED: usize = 8;

/// The command that pushes a branch together with the records that cover it. Where the records are here and say no, what
/// they ask for comes first.
fn push_remedy(objected: &Objected, branch: &BranchRef) -> Option<String> {
    let Objection::Stories(stories) = &objected.objection else { return explanation::remedy(objected) };
    let keys: Option<Vec<String>> = stories
        .iter()
        .map(|(name, _)| match name {
            StoryName::Key(key) => Some(format!("refs/orchestrate/items/{key}")),
            StoryName::Branch(_) | StoryName::Agent => None,
        })
        .collect();
    let records = match keys.filter(|keys| keys.len() <= MOST_NAMED) {
        Some(keys) => keys.join(" "),
        None => "'refs/orchestrate/items/*:refs/orchestrate/items/*'".to_owned(),
    };
    let push = format!("git push --atomic origin {} {records}", branch.short());
    if stories.iter().all(|(_, refusals)| refusals.is_empty()) {
        return Some(push);
    }
    Some(explanation::remedy(objected).map_or(push.clone(), |first| format!("{first} && {push}")))
}

impl Refused {
    fn reason(&self) -> String {
        match &self.why {
            Why::Agent => "an agent's process may not move a protected branch".to_owned(),
            Why::Symbolic => "a protected branch may not become a name for another ref".to_owned(),
            Why::Deletion => "it is a protected branch of git-orchestrate".to_owned(),
            Why::Gate(objected) | Why::Push(objected, _) => explanation::reason(objected),
            Why::TakenBack => "a protected branch of a server is never deleted, and loses no commit".to_owned(),
            Why::Ledger => "these records are written by git-orchestrate alone".to_owned(),
            Why::LedgerRewind => "the records of reviews only grow; they are never deleted or taken back".to_owned(),
            Why::LedgerNonsense(what) => {
                format!("what is pushed there is no record that follows the ones here: {what}")
            }
        }
    }

    fn remedy(&self) -> Option<String> {
        match &self.why {
            Why::Gate(objected) => explanation::remedy(objected),
            Why::Push(objected, branch) => push_remedy(objected, branch),
            Why::TakenBack => Some("fetch first; to take a change back: git revert COMMIT, and push that".to_owned()),
            Why::Deletion => Some("if it is meant: git config orchestrate.target OTHER-BRANCH".to_owned()),
            Why::Ledger => Some("git orchestrate cleanup removes what is finished".to_owned()),
            Why::LedgerRewind | Why::LedgerNonsense(_) => Some(
                "fetch the records first: git fetch REMOTE 'refs/orchestrate/*:refs/orchestrate-remote/REMOTE/*'"
                    .to_owned(),
            ),
            Why::Agent | Why::Symbolic => None,
        }
    }
}

/// Most refusals that are told in full.
const MOST_TOLD: usize = 20;

/// All of them: many in full, the others by name.
pub(super) fn all(refused: &[Refused]) -> String {
    let told: String = refused.iter().take(MOST_TOLD).map(ToString::to_string).collect();
    let named = refused.iter().skip(MOST_TOLD).map(|refused| format!("{MARK}: {}\n", refused.refname));
    told + &named.collect::<String>()
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let new = self.new.as_ref().map_or_else(String::new, |new| format!(" -> {}", new.short()));
        writeln!(f, "{MARK}: {}{new}", self.refname)?;
        writeln!(f, "  why:        {}", self.reason())?;
        if let Some(remedy) = self.remedy() {
            let label = if matches!(self.why, Why::Gate(_) | Why::Push(..)) { "to land it:" } else { "instead:   " };
            writeln!(f, "  {label} {remedy}")?;
        }
        let short = self.refname.strip_prefix("refs/heads/").unwrap_or(&self.refname);
        writeln!(f, "  to undo:    {}", self.undo.command(short))
    }
}
