//! `pre-push`: an early word before an uncovered protected branch is sent away. Never the gate: a server has its own.

use std::io::Read;

use super::decide::{Decision, NewValue, Undo, decide};
use super::facts::{Facts, may_be_protected};
use super::{Refused, read_all};
use crate::domain::names::Oid;
use crate::engine::ports::PortError;

pub(super) fn run(stdin: &mut dyn Read) -> Result<Option<Refused>, PortError> {
    let input = read_all(stdin)?;
    // `<local ref> <local oid> <remote ref> <remote oid>`
    let lines: Vec<Vec<&str>> = input.lines().map(|line| line.split(' ').collect()).collect();
    let asked: Vec<_> = lines.iter().filter(|fields| fields.len() == 4 && may_be_protected(fields[2])).collect();
    if asked.is_empty() {
        return Ok(None);
    }
    let facts = Facts::open()?;
    for fields in asked {
        let (new, refname, old) = (fields[1], fields[2], Oid::new(fields[3]));
        // Deleting a remote branch brings nothing in; what the remote has and we do not know counts as nothing.
        if !facts.is_protected(refname) || new.bytes().all(|byte| byte == b'0') {
            continue;
        }
        let current = Some(old).filter(|old| facts.has(old));
        let asked = facts.asked(refname, current, NewValue::Commit(Oid::new(new)), false)?;
        let decision = decide(&asked);
        if decision != Decision::Allow {
            let new = Some(Oid::new(new));
            return Ok(Some(Refused { refname: refname.to_owned(), new, decision, undo: Undo::Nothing }));
        }
    }
    Ok(None)
}
