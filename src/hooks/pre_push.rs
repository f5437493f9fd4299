//! `pre-push`: an early word before an uncovered protected branch is sent away. Never the gate: a server has its own.

use std::io::Read;

use super::read_all;
use super::refused::{Refused, Why};
use super::undo::Undo;
use crate::adapters::gate::line::{Asked, Depth};
use crate::adapters::gate::reader::{BRANCHES, Reader};
use crate::domain::names::{BranchRef, Oid};
use crate::domain::passage::Objection;
use crate::engine::ports::PortError;

pub(super) fn run(stdin: &mut dyn Read) -> Result<Option<Refused>, PortError> {
    let input = read_all(stdin)?;
    // `<local ref> <local oid> <remote ref> <remote oid>`
    let lines: Vec<Vec<&str>> = input.lines().map(|line| line.split(' ').collect()).collect();
    let asked: Vec<_> = lines.iter().filter(|line| line.len() == 4 && line[2].starts_with(BRANCHES)).collect();
    if asked.is_empty() {
        return Ok(None);
    }
    let reader = Reader::of(&super::repository()?);
    for line in asked {
        let (new, refname, old) = (Oid::new(line[1]), line[2], Oid::new(line[3]));
        // Deleting a remote branch brings nothing in.
        if !reader.is_protected(refname)? || new.as_str().bytes().all(|byte| byte == b'0') {
            continue;
        }
        // What the remote has and we do not know counts as nothing.
        let from = Some(old).filter(|old| reader.history().has(old));
        let branch = BranchRef::new(refname);
        let unadopted = reader.branch(&branch)?.adopted.is_none();
        let answer = reader.judge_with_copies(&Asked {
            branch: &branch,
            from: from.as_ref(),
            to: &new,
            depth: Depth::Records,
        })?;
        // Taking back is the remote's business; before adoption there were no permits.
        let ours = |objection: &Objection| match objection {
            Objection::TakesBack(_) | Objection::Rewinds => false,
            Objection::NoPermit => !unadopted,
            Objection::Stories(_) | Objection::NotBookkeeping(_) => true,
        };
        if let Some(objected) = answer.objections.into_iter().find(|objected| ours(&objected.objection)) {
            let refname = refname.to_owned();
            return Ok(Some(Refused { refname, new: Some(new), why: Why::Gate(objected), undo: Undo::Nothing }));
        }
    }
    Ok(None)
}
