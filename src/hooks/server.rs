//! The verdict of a server on one ref, the same for `pre-receive` and for `reference-transaction` behind it: protected
//! branches only grow, and only by what the gate covers; records only grow, and only by records that follow. Must write
//! nothing.

use std::collections::BTreeSet;

use super::records::{self, LEDGER};
use super::refused::{Refused, Why};
use super::undo::Undo;
use crate::adapters::gate::line::{Asked, Depth, Line};
use crate::adapters::gate::reader::Reader;
use crate::adapters::process::ancestry;
use crate::domain::branch::{BranchState, Hotfix};
use crate::domain::names::{BranchRef, Oid};
use crate::domain::passage::{Objected, Objection, Step};
use crate::engine::ports::PortError;

/// Where a ref is asked to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum New {
    Deleted,
    Symbolic,
    Commit(Oid),
}

impl New {
    /// From git's third word for it.
    pub(super) fn read(text: &str) -> Self {
        if is_zero(text) {
            Self::Deleted
        } else if text.starts_with("ref:") {
            Self::Symbolic
        } else {
            Self::Commit(Oid::new(text))
        }
    }

    /// The commit, when it is one.
    pub(super) fn commit(&self) -> Option<Oid> {
        if let Self::Commit(commit) = self { Some(commit.clone()) } else { None }
    }
}

/// Whether git stands for "no value" with this.
pub(super) fn is_zero(id: &str) -> bool {
    id.bytes().all(|byte| byte == b'0')
}

/// Everything that stands against this move of a ref; empty when it is free.
pub(super) fn judge(reader: &Reader, refname: &str, new: &New) -> Result<Vec<Refused>, PortError> {
    let whys = if refname.starts_with(LEDGER) {
        judge_record(reader, refname, new)?
    } else {
        judge_branch(reader, refname, new)?
    };
    let refuse = |why| Refused { refname: refname.to_owned(), new: new.commit(), why, undo: Undo::Nothing };
    Ok(whys.into_iter().map(refuse).collect())
}

fn judge_record(reader: &Reader, refname: &str, new: &New) -> Result<Vec<Why>, PortError> {
    Ok(match new {
        New::Deleted if reader.standing(refname)?.is_none() => Vec::new(),
        New::Deleted | New::Symbolic => vec![Why::LedgerRewind],
        New::Commit(commit) => records::judge_push(reader, refname, commit)?.into_iter().collect(),
    })
}

fn judge_branch(reader: &Reader, refname: &str, new: &New) -> Result<Vec<Why>, PortError> {
    // Who pushes to an alias of a branch moves the branch.
    let refname = reader.resolved(refname)?;
    if !reader.is_protected(&refname)? {
        return Ok(Vec::new());
    }
    let current = reader.standing(&refname)?;
    let to = match new {
        New::Symbolic => return Ok(vec![Why::Symbolic]),
        New::Deleted => return Ok(current.map(|_| Why::TakenBack).into_iter().collect()),
        New::Commit(commit) if current.as_ref() == Some(commit) => return Ok(Vec::new()),
        New::Commit(commit) => commit,
    };
    if ancestry::marked_attempt().is_some() {
        return Ok(vec![Why::Agent]);
    }
    if current.is_none() && reader.is_empty_server()? {
        return Ok(Vec::new());
    }
    let branch = BranchRef::new(refname);
    let asked = Asked { branch: &branch, from: current.as_ref(), to, depth: Depth::Now };
    let line = reader.line(&asked)?;
    if !line.dropped.is_empty() {
        return Ok(vec![Why::TakenBack]);
    }
    let record = believed(reader, reader.branch(&branch)?, &line)?;
    let answer = reader.judge_line(&asked, &record, line)?;
    Ok(gathered(answer.objections).into_iter().map(|objected| Why::Push(objected, branch.clone())).collect())
}

/// What a server believes of the record of a branch. A breach that somebody acknowledged in a clone is none of the ways that
/// lead here, and a hotfix is one only when it is as small as it says, gives its reasons, and brings no story.
fn believed(reader: &Reader, mut record: BranchState, line: &Line) -> Result<BranchState, PortError> {
    record.acknowledged.clear();
    let mut proven = BTreeSet::new();
    for hotfix in record.hotfixes.iter().map(|known| &known.hotfix).chain(&record.landing) {
        let step = line.steps.iter().find(|step| step.commit.as_ref() == Some(&hotfix.tip));
        if let Some(step) = step
            && is_hotfix(reader, hotfix, step)?
        {
            proven.insert(hotfix.tip.clone());
        }
    }
    record.hotfixes.retain(|known| proven.contains(&known.hotfix.tip));
    record.landing = record.landing.filter(|hotfix| proven.contains(&hotfix.tip));
    Ok(record)
}

fn is_hotfix(reader: &Reader, hotfix: &Hotfix, step: &Step) -> Result<bool, PortError> {
    let merged = step.parents == [hotfix.base.clone(), hotfix.head.clone()];
    let shaped = (merged || step.parents == [hotfix.base.clone()]) && step.tree.as_ref() == Some(&hotfix.merge_tree);
    let stated = [&hotfix.emergency, &hotfix.reason, &hotfix.follow_up].iter().all(|text| !text.trim().is_empty());
    if !shaped || !stated || !step.brings.is_empty() {
        return Ok(false);
    }
    let lines = reader.history().changed_lines(&hotfix.base, &hotfix.tip)?;
    Ok(lines.is_some_and(|lines| lines <= reader.policy().map_or(0, |policy| policy.hotfix_lines)))
}

/// One objection of each kind; all stories in one, so that one command can name all of them.
fn gathered(objections: Vec<Objected>) -> Vec<Objected> {
    let mut gathered: Vec<Objected> = Vec::new();
    for objected in objections {
        let same = |known: &&mut Objected| {
            std::mem::discriminant(&known.objection) == std::mem::discriminant(&objected.objection)
        };
        match (gathered.iter_mut().find(same), objected.objection.clone()) {
            (Some(Objected { objection: Objection::Stories(known), .. }), Objection::Stories(more)) => {
                let names: BTreeSet<_> = known.iter().map(|(name, _)| name.clone()).collect();
                known.extend(more.into_iter().filter(|(name, _)| !names.contains(name)));
            }
            (Some(_), _) => {}
            (None, _) => gathered.push(objected),
        }
    }
    gathered
}
