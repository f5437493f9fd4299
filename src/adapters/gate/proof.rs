//! The whole history of a protected branch since adoption, commit by commit: by which way each came. Reads only. Must not
//! judge: `domain::passage` does.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::certify;
use super::line::{Asked, Depth, Line};
use super::reader::Reader;
use super::recognized::Recognized;
use super::route;
use crate::adapters::git::cli;
use crate::domain::branch::{BranchState, Breach};
use crate::domain::explanation;
use crate::domain::names::{BranchRef, Oid};
use crate::domain::passage::Objected;
use crate::domain::proof::{Open, Proof, Proven};
use crate::engine::ports::PortError;

/// What to prove.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// `A..B` or one commit; everything when absent.
    pub range: Option<String>,
    /// Also what the branch held when it was adopted.
    pub all: bool,
    /// Also the evidence of what is certified. A range and `all` ask for that too.
    pub full: bool,
}

/// What a look at a branch found.
#[derive(Default)]
struct Looked {
    proven: Vec<Proven>,
    objections: Vec<Objected>,
    before: usize,
    by_record: usize,
}

/// Proves a branch; `None` when it is not there or has not been adopted.
pub fn prove(reader: &Reader, branch: &BranchRef, wanted: &Wanted) -> Result<Option<Proof>, PortError> {
    let (record, Some(tip)) = (reader.branch(branch)?, reader.standing(branch.as_str())?) else { return Ok(None) };
    let Some(adopted) = record.adopted.clone() else { return Ok(None) };
    let full = wanted.full || wanted.all || wanted.range.is_some();
    let early = if full { None } else { certified_and_new(reader, branch, &record, &tip)? };
    let looked = match early {
        Some(looked) => looked,
        None => everything(reader, branch, &record, &tip, &adopted, wanted)?,
    };
    let found = looked.objections.iter().map(|objected| breach(reader, branch, &tip, objected)).collect();
    let breaches = open(reader, branch, &tip, &record, found)?;
    let Looked { proven, before, by_record, .. } = looked;
    Ok(Some(Proof { branch: branch.clone(), tip, record, proven, before, by_record, breaches }))
}

/// Judges everything by its evidence.
fn everything(
    reader: &Reader,
    branch: &BranchRef,
    record: &BranchState,
    tip: &Oid,
    adopted: &Oid,
    wanted: &Wanted,
) -> Result<Looked, PortError> {
    let chosen = wanted.range.as_deref().map(|range| choose(reader, branch, record, tip, range)).transpose()?;
    let from = Some(adopted).filter(|adopted| !wanted.all && reader.history().has(adopted));
    let asked = Asked { branch, from, to: tip, depth: Depth::Then };
    let mut line = line(reader, &asked, record)?;
    add_lost(reader, &asked, record, &mut line, tip)?;
    let is_chosen = |commit: &Oid| chosen.as_ref().is_none_or(|chosen| chosen.contains(commit));
    let (mut looked, here) = judged(reader, &asked, record, line, &is_chosen)?;
    looked.before = match (&chosen, from) {
        (Some(chosen), _) => chosen.len().saturating_sub(looked.proven.len() + here),
        (None, Some(from)) => reader.history().count(std::slice::from_ref(from), &[])?,
        (None, None) => 0,
    };
    Ok(looked)
}

/// Believes the record of what is certified, and judges by its evidence what came after it. `None` where that cannot be: on a
/// server, which believes no record, and where the branch has lost its certified tip.
fn certified_and_new(
    reader: &Reader,
    branch: &BranchRef,
    record: &BranchState,
    tip: &Oid,
) -> Result<Option<Looked>, PortError> {
    let (Some(adopted), Some(certified)) = (&record.adopted, &record.certified) else { return Ok(None) };
    let there = !reader.is_server() && reader.history().has(adopted) && reader.history().has(certified);
    if !there || !is_on_line(reader, tip, certified)? {
        return Ok(None);
    }
    let mut looked = certified_part(reader, branch, record, (adopted, certified), tip)?;
    looked.by_record = looked.proven.len();
    if tip != certified {
        let asked = Asked { branch, from: Some(certified), to: tip, depth: Depth::Then };
        let line = line(reader, &asked, record)?;
        let (new, _) = judged(reader, &asked, record, line, &|_| true)?;
        looked.proven.extend(new.proven);
        looked.objections.extend(new.objections);
    }
    Ok(Some(looked))
}

/// What is certified: told by the commits themselves where they can, else by the record of every story.
fn certified_part(
    reader: &Reader,
    branch: &BranchRef,
    record: &BranchState,
    (adopted, certified): (&Oid, &Oid),
    tip: &Oid,
) -> Result<Looked, PortError> {
    // Of other branches than the target, what the target holds is left out.
    if reader.is_target(branch.as_str())?
        && let Some(Recognized { proven, before }) = reader.recognized(branch, record, adopted, certified)?
    {
        return Ok(Looked { proven, before, ..Looked::default() });
    }
    let asked = Asked { branch, from: Some(adopted), to: certified, depth: Depth::Records };
    let mut line = line(reader, &asked, record)?;
    add_lost(reader, &asked, record, &mut line, tip)?;
    let (mut looked, _) = judged(reader, &asked, record, line, &|_| true)?;
    looked.before = reader.history().count(std::slice::from_ref(adopted), &[])?;
    Ok(looked)
}

/// Whether first parents lead from the tip to a commit.
fn is_on_line(reader: &Reader, tip: &Oid, commit: &Oid) -> Result<bool, PortError> {
    let mut at = Some(tip.clone());
    while let Some(here) = at.filter(|here| here != commit) {
        at = reader.history().commit(&here)?.parents.first().cloned();
        if at.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The answer for the chosen commits of a line, and how many of them are objected to.
fn judged(
    reader: &Reader,
    asked: &Asked<'_>,
    record: &BranchState,
    line: Line,
    is_chosen: &dyn Fn(&Oid) -> bool,
) -> Result<(Looked, usize), PortError> {
    let brought: HashMap<Oid, Vec<Oid>> =
        line.steps.iter().filter_map(|step| Some((step.commit.clone()?, step.brought.clone()))).collect();
    let answer = reader.judge_line(asked, record, line)?;
    let mut looked = Looked::default();
    for (commit, way) in answer.passed {
        for one in brought.get(&commit).into_iter().flatten().chain([&commit]).filter(|one| is_chosen(one)) {
            looked.proven.push(Proven { commit: one.clone(), way: way.clone() });
        }
    }
    let mut here = 0;
    for objected in answer.objections {
        let with = objected.commit.as_ref().and_then(|commit| brought.get(commit).map(|with| (commit, with)));
        // What was taken back is in no range of what is there.
        let Some((commit, with)) = with else {
            looked.objections.push(objected);
            continue;
        };
        let count = with.iter().chain([commit]).filter(|one| is_chosen(one)).count();
        here += count;
        if count > 0 {
            looked.objections.push(objected);
        }
    }
    Ok((looked, here))
}

/// Everything that a move brought. Copies are looked for among what is not certified: what was certified came before the story
/// that resembles it.
fn line(reader: &Reader, asked: &Asked<'_>, record: &BranchState) -> Result<Line, PortError> {
    let mut line = reader.line(asked)?;
    let certified = line.steps.iter().position(|step| step.commit == record.certified);
    reader.attribute_copies(asked, &mut line, certified.map_or(0, |at| at + 1))?;
    reader.add_policies(asked, &mut line)?;
    Ok(line)
}

/// Adds what the branch has lost, unless somebody looked at it already.
fn add_lost(
    reader: &Reader,
    asked: &Asked<'_>,
    record: &BranchState,
    line: &mut Line,
    tip: &Oid,
) -> Result<(), PortError> {
    certify::add_lost(reader, asked.branch, line, tip)?;
    line.dropped.retain(|commit| !record.acknowledged.contains_key(commit));
    Ok(())
}

/// The commits that a person named.
fn choose(
    reader: &Reader,
    branch: &BranchRef,
    record: &BranchState,
    tip: &Oid,
    range: &str,
) -> Result<BTreeSet<Oid>, PortError> {
    let resolve = |name: &str| {
        let mut parse = cli::git(reader.repo());
        parse.args(["rev-parse", "--verify", "--quiet", "--end-of-options"]).arg(format!("{name}^{{commit}}"));
        let output = cli::output(&mut parse)?;
        let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status.success() && !printed.is_empty() {
            return Ok(Oid::new(printed));
        }
        Err(PortError::new(format!("`{}` names no commit", name.escape_debug())).hint("a range is COMMIT, or FROM..TO"))
    };
    let all = |tips: &Oid, hidden: &[Oid]| reader.history().between(std::slice::from_ref(tips), hidden);
    let (to, chosen): (Oid, BTreeSet<Oid>) = match range.split_once("..") {
        None => {
            let commit = resolve(range)?;
            (commit.clone(), BTreeSet::from([commit]))
        }
        Some((from, to)) => {
            let to = if to.is_empty() { tip.clone() } else { resolve(to)? };
            let from = if from.is_empty() { record.adopted.clone() } else { Some(resolve(from)?) };
            let from: Vec<Oid> = from.into_iter().collect();
            (to.clone(), all(&to, &from)?.into_keys().collect())
        }
    };
    if to == *tip || all(tip, &[])?.contains_key(&to) {
        return Ok(chosen);
    }
    Err(PortError::new(format!("commit {} is not on {}", to.short(), branch.short()))
        .hint(format!("git orchestrate verify --branch BRANCH {}", range.escape_debug())))
}

fn breach(reader: &Reader, branch: &BranchRef, tip: &Oid, objected: &Objected) -> Breach {
    let commit = objected.commit.clone().unwrap_or_else(|| tip.clone());
    let route = route::guess(reader.repo(), branch, tip, &commit);
    Breach { commit, reason: explanation::reason(objected), route }
}

/// Breaches on record and new ones, with the commands that take them back.
pub fn open(
    reader: &Reader,
    branch: &BranchRef,
    tip: &Oid,
    record: &BranchState,
    found: Vec<Breach>,
) -> Result<Vec<Open>, PortError> {
    let known: BTreeSet<Oid> = record.breaches.iter().map(|breach| breach.commit.clone()).collect();
    let new = found.into_iter().filter(|breach| !known.contains(&breach.commit));
    let all: Vec<(Breach, bool)> =
        record.breaches.iter().map(|breach| (breach.clone(), true)).chain(new.map(|breach| (breach, false))).collect();
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let commits: BTreeSet<&Oid> = all.iter().map(|(breach, _)| &breach.commit).collect();
    let there = reader.history().between(std::slice::from_ref(tip), &[])?;
    // Where nothing came on top of it, the branch goes back to where it was and nothing has to be reverted.
    let mut sound = tip;
    while commits.contains(sound)
        && let Some(parent) = there.get(sound).and_then(|parents| parents.first())
    {
        sound = parent;
    }
    let kept = reader.history().between(std::slice::from_ref(sound), &[])?;
    let landed: BTreeSet<&Oid> = reader
        .items()?
        .values()
        .flat_map(|state| &state.landings)
        .filter(|landing| landing.target == *branch)
        .map(|landing| &landing.merge)
        .collect();
    let undo = |commit: &Oid| match (there.get(commit), kept.contains_key(commit)) {
        (Some(_), false) => format!("on {}: git reset --keep {}", branch.short(), sound),
        (Some(parents), true) if parents.len() > 1 => format!("git revert -m 1 {commit}"),
        (Some(_), true) => format!("git revert {commit}"),
        (None, _) if landed.contains(commit) => format!("to bring it back, on {}: git merge {commit}", branch.short()),
        (None, _) => String::new(),
    };
    let subjects: BTreeMap<&Oid, String> = commits.iter().map(|commit| (*commit, subject(reader, commit))).collect();
    let shown = |(breach, recorded): &(Breach, bool)| Open {
        subject: subjects.get(&breach.commit).cloned().unwrap_or_default(),
        undo: undo(&breach.commit),
        breach: breach.clone(),
        recorded: *recorded,
    };
    Ok(all.iter().map(shown).collect())
}

fn subject(reader: &Reader, commit: &Oid) -> String {
    let Ok(facts) = reader.history().commit(commit) else { return String::new() };
    String::from_utf8_lossy(&facts.message).lines().next().unwrap_or_default().trim().to_owned()
}
