//! A refusal with everything its message says: which ref, why, the command that satisfies the gate, the command that undoes
//! what git left half done. Must not decide anything.

use super::undo::Undo;
use crate::domain::explanation;
use crate::domain::names::Oid;
use crate::domain::passage::Objected;

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

impl Refused {
    fn reason(&self) -> String {
        match &self.why {
            Why::Agent => "an agent's process may not move a protected branch".to_owned(),
            Why::Symbolic => "a protected branch may not become a name for another ref".to_owned(),
            Why::Deletion => "it is a protected branch of git-orchestrate".to_owned(),
            Why::Gate(objected) => explanation::reason(objected),
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

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let new = self.new.as_ref().map_or_else(String::new, |new| format!(" -> {}", new.short()));
        writeln!(f, "git-orchestrate: refused: {}{new}", self.refname)?;
        writeln!(f, "  why:        {}", self.reason())?;
        if let Some(remedy) = self.remedy() {
            let label = if matches!(self.why, Why::Gate(_)) { "to land it:" } else { "instead:   " };
            writeln!(f, "  {label} {remedy}")?;
        }
        writeln!(f, "  to undo:    {}", self.undo.command())
    }
}
