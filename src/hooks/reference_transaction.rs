//! `reference-transaction`: every local way to move a branch passes here. Decides in the state "prepared" only. The rule and
//! its traps (zero old values, packing, symbolic refs) are those measured with git 2.47: never trust the old value, read the
//! current one, which the transaction has locked.

use std::ffi::OsString;
use std::io::Read;

use super::records::LEDGER;
use super::refused::{Refused, Why};
use super::server::{self, New, is_zero};
use super::undo::Undo;
use super::{pre_receive, read_all};
use crate::adapters::gate::line::{Asked, Depth, STORY_BRANCHES};
use crate::adapters::gate::reader::{BRANCHES, Pushed, Reader};
use crate::adapters::process::ancestry;
use crate::domain::names::{BranchRef, Oid};
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
    let lines: Vec<Line<'_>> = input.lines().filter_map(parse).filter(|line| may_be_guarded(line.refname)).collect();
    if lines.is_empty() {
        return Ok(None);
    }
    let repo = super::repository()?;
    let reader = Reader::of(&repo);
    if reader.is_server() {
        return judge_on_server(&Reader::of_transaction(&repo, brought(&lines)), &lines);
    }
    for line in &lines {
        if let Some(refused) = judge(&reader, line)? {
            return Ok(Some(refused));
        }
    }
    Ok(None)
}

/// New values that a judgement may count on: a transaction moves all of its refs or none.
fn brought(lines: &[Line<'_>]) -> Pushed {
    lines.iter().filter_map(|line| Some((line.refname.to_owned(), Some(line.new().commit()?)))).collect()
}

/// What `pre-receive` says of a push, for every other way a ref can move on a server and for a server that lost that hook.
fn judge_on_server(reader: &Reader, lines: &[Line<'_>]) -> Result<Option<Refused>, PortError> {
    for line in lines {
        let new = line.new();
        if new == New::Deleted && prunes(reader, line) {
            continue;
        }
        if let Some(refused) = server::judge(reader, line.refname, &new)?.into_iter().next() {
            return Ok(if pre_receive::has_judged(reader) { None } else { Some(refused) });
        }
    }
    Ok(None)
}

/// Saves opening the repository for story branches, tags and the like.
fn may_be_guarded(refname: &str) -> bool {
    refname.starts_with(LEDGER) || refname.starts_with(BRANCHES) && !refname.starts_with(STORY_BRANCHES)
}

fn parse(line: &str) -> Option<Line<'_>> {
    let mut fields = line.splitn(3, ' ');
    Some(Line { old: fields.next()?, new: fields.next()?, refname: fields.next()? })
}

impl Line<'_> {
    fn new(&self) -> New {
        New::read(self.new)
    }
}

fn judge(reader: &Reader, line: &Line<'_>) -> Result<Option<Refused>, PortError> {
    let ledger = line.refname.starts_with(LEDGER);
    if !ledger && !reader.is_protected(line.refname)? {
        return Ok(None);
    }
    let current = reader.standing(line.refname)?;
    let new = line.new();
    let stays = matches!(&new, New::Commit(new) if current.as_ref() == Some(new));
    if stays || matches!(new, New::Deleted) && prunes(reader, line) {
        return Ok(None);
    }
    let why = if ledger { Some(Why::Ledger) } else { judge_branch(reader, line, current, &new)? };
    Ok(why.map(|why| Refused {
        refname: line.refname.to_owned(),
        new: new.commit(),
        why,
        undo: Undo::guess(super::git_dir().as_deref(), super::is_checked_out(reader, line.refname)),
    }))
}

fn judge_branch(reader: &Reader, line: &Line<'_>, current: Option<Oid>, new: &New) -> Result<Option<Why>, PortError> {
    if ancestry::marked_attempt().is_some() {
        return Ok(Some(Why::Agent));
    }
    let commit = match new {
        New::Symbolic => return Ok(Some(Why::Symbolic)),
        New::Deleted => return Ok(current.map(|_| Why::Deletion)),
        New::Commit(commit) => commit,
    };
    // Making the first branch of a repository that has no records yet.
    if current.is_none() && !reader.has_ledger()? {
        return Ok(None);
    }
    let branch = BranchRef::new(line.refname);
    let asked = Asked { branch: &branch, from: current.as_ref(), to: commit, depth: Depth::Records };
    Ok(reader.judge(&asked)?.objections.into_iter().next().map(Why::Gate))
}

/// Whether git only removes the loose copy of a ref that packed-refs holds with the same value. While git rewrites
/// packed-refs to delete a ref for good it holds its lock.
fn prunes(reader: &Reader, line: &Line<'_>) -> bool {
    let packed = reader.repo().common_dir().join("packed-refs");
    if packed.with_extension("lock").exists() || is_zero(line.old) {
        return false;
    }
    let wanted = format!("{} {}", line.old, line.refname);
    std::fs::read_to_string(packed).is_ok_and(|text| text.lines().any(|found| found == wanted))
}
