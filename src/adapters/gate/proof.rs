//! The whole history of a protected branch since adoption, commit by commit: by which way each came. Reads only. Must not
//! judge: `domain::passage` does.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::certify;
use super::line::{Asked, Depth, Line};
use super::reader::Reader;
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
}

/// Proves a branch; `None` when it is not there or has not been adopted.
pub fn prove(reader: &Reader, branch: &BranchRef, wanted: &Wanted) -> Result<Option<Proof>, PortError> {
    let (record, Some(tip)) = (reader.branch(branch)?, reader.standing(branch.as_str())?) else { return Ok(None) };
    let Some(adopted) = record.adopted.clone() else { return Ok(None) };
    let chosen = wanted.range.as_deref().map(|range| choose(reader, branch, &record, &tip, range)).transpose()?;
    let from = (!wanted.all && reader.history().has(&adopted)).then_some(adopted);
    let asked = Asked { branch, from: from.as_ref(), to: &tip, depth: Depth::Then };
    let line = line(reader, &asked, &record)?;
    let brought: HashMap<Oid, Vec<Oid>> =
        line.steps.iter().filter_map(|step| Some((step.commit.clone()?, step.brought.clone()))).collect();
    let answer = reader.judge_line(&asked, &record, line)?;
    let is_chosen = |commit: &Oid| chosen.as_ref().is_none_or(|chosen| chosen.contains(commit));
    let mut proven = Vec::new();
    let mut here = 0;
    for (commit, way) in answer.passed {
        for one in brought.get(&commit).into_iter().flatten().chain([&commit]).filter(|one| is_chosen(one)) {
            proven.push(Proven { commit: one.clone(), way: way.clone() });
        }
    }
    let mut objections = answer.objections;
    for objected in &objections {
        let commit = objected.commit.as_ref();
        let with = commit.and_then(|commit| brought.get(commit).map(|with| (commit, with)));
        here += with.map_or(0, |(commit, with)| with.iter().chain([commit]).filter(|one| is_chosen(one)).count());
    }
    let touched = |objected: &Objected| {
        let Some(commit) = &objected.commit else { return true };
        // What was taken back is in no range of what is there.
        brought.get(commit).is_none_or(|with| with.iter().chain([commit]).any(&is_chosen))
    };
    objections.retain(touched);
    let before = match (&chosen, &from) {
        (Some(chosen), _) => chosen.len().saturating_sub(proven.len() + here),
        (None, Some(from)) => reader.history().count(std::slice::from_ref(from), &[])?,
        (None, None) => 0,
    };
    let found = objections.iter().map(|objected| breach(reader, branch, &tip, objected)).collect();
    let breaches = open(reader, branch, &tip, &record, found)?;
    Ok(Some(Proof { branch: branch.clone(), tip, record, proven, before, breaches }))
}

/// Everything that came since adoption, with what the branch has lost. Copies are looked for among what is not certified:
/// what was certified came before the story that resembles it.
fn line(reader: &Reader, asked: &Asked<'_>, record: &BranchState) -> Result<Line, PortError> {
    let mut line = reader.line(asked)?;
    let certified = line.steps.iter().position(|step| step.commit == record.certified);
    reader.attribute_copies(asked, &mut line, certified.map_or(0, |at| at + 1))?;
    reader.add_policies(asked, &mut line)?;
    certify::add_lost(reader, asked.branch, &mut line, asked.to)?;
    line.dropped.retain(|commit| !record.acknowledged.contains_key(commit));
    Ok(line)
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
        Err(PortError::new(format!("`{}` names no commit", name.escape_debug())))
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
