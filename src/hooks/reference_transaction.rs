//! `reference-transaction`: every local way to move a branch passes here. Decides in the state "prepared" only.

use std::ffi::OsString;
use std::io::Read;

use super::decide::{Decision, NewValue, Undo, decide};
use super::facts::{Facts, may_be_protected};
use super::{Refused, read_all};
use crate::domain::names::Oid;
use crate::engine::ports::PortError;

/// One line of stdin: `<old> <new> <ref>`.
struct Line<'a> {
    /// What the caller passed; all zeroes when it passed nothing, so never the current value.
    old: &'a str,
    new: &'a str,
    refname: &'a str,
}

pub(super) fn run(args: &[OsString], stdin: &mut dyn Read) -> Result<Option<Refused>, PortError> {
    if args.first().is_none_or(|state| state != "prepared") {
        return Ok(None);
    }
    let input = read_all(stdin)?;
    let lines: Vec<Line<'_>> = input.lines().filter_map(parse).filter(|line| may_be_protected(line.refname)).collect();
    if lines.is_empty() {
        return Ok(None);
    }
    let facts = Facts::open()?;
    for line in lines.iter().filter(|line| facts.is_protected(line.refname)) {
        if let Some(refused) = judge(&facts, line)? {
            return Ok(Some(refused));
        }
    }
    Ok(None)
}

fn parse(line: &str) -> Option<Line<'_>> {
    let mut fields = line.splitn(3, ' ');
    Some(Line { old: fields.next()?, new: fields.next()?, refname: fields.next()? })
}

fn judge(facts: &Facts, line: &Line<'_>) -> Result<Option<Refused>, PortError> {
    let new = if line.new.starts_with("ref:") {
        NewValue::Symbolic
    } else if line.new.bytes().all(|byte| byte == b'0') {
        NewValue::Deleted
    } else {
        NewValue::Commit(Oid::new(line.new))
    };
    let commit = match &new {
        NewValue::Commit(oid) => Some(oid.clone()),
        NewValue::Deleted | NewValue::Symbolic => None,
    };
    let prunes = new == NewValue::Deleted && facts.prunes(line.refname, line.old);
    let asked = facts.asked(line.refname, facts.current(line.refname)?, new, prunes)?;
    Ok(match decide(&asked) {
        Decision::Allow => None,
        decision => {
            let action = std::env::var("GIT_REFLOG_ACTION").unwrap_or_default();
            let undo = Undo::guess(&action, commit.as_ref().is_some_and(|commit| facts.is_merge(commit)));
            Some(Refused { refname: line.refname.to_owned(), new: commit, decision, undo })
        }
    })
}
