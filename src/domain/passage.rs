//! The rule for every move of a protected branch, whoever makes it: each commit that comes in needs a way that the gate
//! knows. Landing checks, hooks, the server and `verify` bring the facts; this answers. Must not read anything.
//!
//! A commit comes in on the branch's first-parent line as a step; what a step merges in belongs to it. A step passes as a
//! landing or its write-back (both on record), as a hotfix, as a change that the gate covers as it stands (a person merged
//! what was approved), as a person's own (mode `stories` only), or because a breach was acknowledged.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use super::bookkeep::Rewrite;
use super::branch::BranchState;
use super::event::Landing;
use super::gate::{self, Candidate, Refusal, Verdict};
use super::names::{BranchRef, ItemKey, Oid, Principal};
use super::policy::{Policy, ProtectMode};
use super::state::ItemState;
use super::statement::Signatures;

/// How a story is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoryName {
    /// By its key: the ledger has a record.
    Key(ItemKey),
    /// Only by its branch's short name.
    Branch(String),
    /// Only by its author, an agent of ours; a server that was not told which story it is.
    Agent,
}

/// One commit on the first-parent line, with what it brings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The commit.
    pub commit: Option<Oid>,
    /// Its parents, the first one is on the line.
    pub parents: Vec<Oid>,
    /// Its tree.
    pub tree: Option<Oid>,
    /// What came with it and with no step before it, itself left out.
    pub brought: Vec<Oid>,
    /// Stories whose commits it brings, itself included: by ancestry or by a `Story:` trailer.
    pub brings: BTreeSet<StoryName>,
    /// Those of them that the commit itself belongs to by ancestry.
    pub is_of: BTreeSet<StoryName>,
    /// Persons who authored what it brings.
    pub persons: BTreeSet<Principal>,
    /// The policy that stood when it came, where that is known and another than the present one.
    pub policy: Option<Rc<Policy>>,
    /// What it changes, when that is one file in place and whoever asks wants write-backs recomputed.
    pub rewrite: Option<Rewrite>,
}

/// A move of a protected branch, or a piece of its history.
#[derive(Clone, Debug)]
pub struct Passage<'a> {
    /// Policy of the branch as it stands.
    pub policy: &'a Policy,
    /// What is recorded of the branch.
    pub record: &'a BranchState,
    /// The branch.
    pub branch: &'a BranchRef,
    /// What is known of the signatures of reviews.
    pub signatures: &'a Signatures,
    /// States of the items that matter here.
    pub items: &'a BTreeMap<ItemKey, ItemState>,
    /// Commits that come in, oldest first.
    pub steps: Vec<Step>,
    /// Commits that the branch would lose.
    pub dropped: BTreeSet<Oid>,
    /// Whether recorded landings are judged again by their evidence, instead of being believed. A server does.
    pub again: bool,
    /// For whoever does not believe a snapshot either (a server): the state of the item, folded from its events, at the
    /// moment each landing was recorded, by the landing's merge commit. A landing that is not in here is none.
    pub evidence: Option<BTreeMap<Oid, ItemState>>,
}

/// How a step passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// A landing on record.
    Landed(ItemKey),
    /// Status and review lines of a landed story.
    Bookkeeping(ItemKey),
    /// An approved change that a person merged; not on record as landed yet.
    Covered(ItemKey, Box<Landing>),
    /// A hotfix on record.
    Hotfix(String),
    /// Nobody's story.
    Own,
    /// A breach that a person acknowledged.
    Acknowledged,
}

/// Why a move is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objection {
    /// Commits of these stories come in without a verdict that covers them; the refusals say what is missing.
    Stories(Vec<(StoryName, Vec<Refusal>)>),
    /// Mode `all`, and this commit came by no permit.
    NoPermit,
    /// A recorded write-back changes more than status and review lines.
    NotBookkeeping(ItemKey),
    /// The landing of this story would be taken back.
    TakesBack(ItemKey),
    /// Mode `all`, and the branch would lose commits.
    Rewinds,
}

/// A commit and why it may not come in; for a rewind, what would be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objected {
    /// The commit.
    pub commit: Option<Oid>,
    /// Why.
    pub objection: Objection,
}

/// The answer for a whole move.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Steps that pass, oldest first, and how.
    pub passed: Vec<(Oid, Way)>,
    /// Everything that does not.
    pub objections: Vec<Objected>,
}

impl Passage<'_> {
    /// The policy that a step had to meet.
    fn policy_of<'a>(&'a self, step: &'a Step) -> &'a Policy {
        step.policy.as_deref().unwrap_or(self.policy)
    }
}

impl Answer {
    /// Whether nothing stands against the move.
    pub fn allows(&self) -> bool {
        self.objections.is_empty()
    }
}

/// Judges a move.
pub fn judge(passage: &Passage<'_>) -> Answer {
    let mut answer = Answer::default();
    answer.objections.extend(judge_loss(passage));
    let records = Records::of(passage);
    let mut at = 0;
    while at < passage.steps.len() {
        let rest = &passage.steps[at..];
        let length = match records.landed_at_once(passage, rest) {
            Some((length, judged)) => {
                rest[..length].iter().for_each(|step| take(&mut answer, step, judged.clone()));
                length
            }
            None => {
                let length = run_length(rest);
                judge_run(passage, &records, &rest[..length], &mut answer);
                length
            }
        };
        at += length;
    }
    answer
}

/// What the branch would lose: never a landed story; in mode `all` nothing.
fn judge_loss(passage: &Passage<'_>) -> Vec<Objected> {
    let mut lost = Vec::new();
    if passage.dropped.is_empty() {
        return lost;
    }
    for (key, state) in passage.items {
        let here = state.landings.iter().filter(|landing| landing.target == *passage.branch);
        for landing in here.filter(|landing| passage.dropped.contains(&landing.merge)) {
            let objection = Objection::TakesBack(key.clone());
            lost.push(Objected { commit: Some(landing.merge.clone()), objection });
        }
    }
    if lost.is_empty() && passage.policy.mode == ProtectMode::All {
        lost.push(Objected { commit: passage.dropped.first().cloned(), objection: Objection::Rewinds });
    }
    lost
}

/// How many steps belong together: the commits of one story that came one after the other (fast-forward, cherry-picks).
fn run_length(steps: &[Step]) -> usize {
    let Some(first) = steps.first() else { return 0 };
    let single = |step: &Step| step.brings.len() == 1 && (step.parents.len() == 1 || step.is_of == step.brings);
    if !single(first) {
        return 1;
    }
    steps.iter().take_while(|step| single(step) && step.brings == first.brings).count()
}

fn judge_run(passage: &Passage<'_>, records: &Records<'_>, run: &[Step], answer: &mut Answer) {
    // Commits with a way of their own stand alone, also between commits of one story.
    let known: Vec<Option<Result<Way, Objection>>> = run.iter().map(|step| records.judge(passage, step)).collect();
    if known.iter().any(Option::is_some) || run.len() == 1 {
        for (step, known) in run.iter().zip(known) {
            let judged = known.unwrap_or_else(|| judge_new(passage, std::slice::from_ref(step)));
            take(answer, step, judged);
        }
        return;
    }
    match judge_new(passage, run) {
        Ok(Way::Covered(key, landing)) => {
            let (last, before) = run.split_last().expect("a run has a step");
            let part = |step: &Step| step.commit.clone().map(|commit| (commit, Way::Landed(key.clone())));
            answer.passed.extend(before.iter().filter_map(part));
            take(answer, last, Ok(Way::Covered(key, landing)));
        }
        judged => run.iter().for_each(|step| take(answer, step, judged.clone())),
    }
}

fn take(answer: &mut Answer, step: &Step, judged: Result<Way, Objection>) {
    match (judged, &step.commit) {
        (Ok(way), Some(commit)) => answer.passed.push((commit.clone(), way)),
        (Ok(_), None) => {}
        (Err(objection), commit) => answer.objections.push(Objected { commit: commit.clone(), objection }),
    }
}

/// What is recorded of commits on the branch's line, found by commit.
struct Records<'a> {
    landings: HashMap<&'a Oid, (&'a ItemKey, &'a ItemState, &'a Landing)>,
    /// Landings that a person made of several commits, by the commit they began on.
    by_hand: HashMap<&'a Oid, (&'a ItemKey, &'a ItemState, &'a Landing)>,
    hotfixes: HashMap<&'a Oid, &'a str>,
}

impl<'a> Records<'a> {
    fn of(passage: &'a Passage<'_>) -> Self {
        let (mut landings, mut by_hand) = (HashMap::new(), HashMap::new());
        for (key, state) in passage.items {
            // A landing that was intended had its permit; recovery records it as landed.
            for landing in state.landings.iter().chain(&state.intended) {
                landings.insert(&landing.tip, (key, state, landing));
                landings.insert(&landing.merge, (key, state, landing));
                if landing.target == *passage.branch {
                    by_hand.insert(&landing.base, (key, state, landing));
                }
            }
        }
        // As with a landing, one that was intended had its permit.
        let known = passage.record.hotfixes.iter().map(|known| &known.hotfix).chain(&passage.record.landing);
        let hotfixes = known.map(|hotfix| (&hotfix.tip, hotfix.id.as_str())).collect();
        Self { landings, by_hand, hotfixes }
    }

    /// How many of the next steps are one landing on record that a person made commit by commit: fast-forward, cherry-picks.
    fn landed_at_once(&self, passage: &Passage<'_>, steps: &[Step]) -> Option<(usize, Result<Way, Objection>)> {
        let base = steps.first()?.parents.first()?;
        let (key, state, landing) = *self.by_hand.get(base)?;
        let last = steps.iter().position(|step| step.commit.as_ref() == Some(&landing.merge))?;
        (last > 0).then(|| (last + 1, landed(passage, (key, state), landing, &steps[..=last])))
    }

    /// What the records say of a step; `None` when they say nothing.
    fn judge(&self, passage: &Passage<'_>, step: &Step) -> Option<Result<Way, Objection>> {
        let commit = step.commit.as_ref()?;
        if passage.record.acknowledged.contains_key(commit) {
            return Some(Ok(Way::Acknowledged));
        }
        if let Some(id) = self.hotfixes.get(commit) {
            return Some(Ok(Way::Hotfix((*id).to_owned())));
        }
        let (key, state, landing) = *self.landings.get(commit)?;
        if landing.merge == *commit {
            return Some(landed(passage, (key, state), landing, std::slice::from_ref(step)));
        }
        Some(written_back(passage, (key, state), landing, step))
    }
}

fn landed(
    passage: &Passage<'_>,
    (key, state): (&ItemKey, &ItemState),
    landing: &Landing,
    steps: &[Step],
) -> Result<Way, Objection> {
    let evidence = match &passage.evidence {
        Some(evidence) => evidence.get(&landing.merge).filter(|_| is_landing(passage.branch, landing, steps)).map(Some),
        // Evidence of earlier rounds is gone from the state; of the newest one it is there.
        None => Some(Some(state).filter(|_| passage.again && is_newest(state, landing))),
    };
    let objection = |refusals| Objection::Stories(vec![(StoryName::Key(key.clone()), refusals)]);
    let evidence = evidence.ok_or_else(|| objection(Vec::new()))?;
    // The first step's: what the story itself changes of the policy does not judge it.
    if let Some((state, first)) = evidence.zip(steps.first()) {
        let candidate = Candidate {
            base: landing.base.clone(),
            head: landing.head.clone(),
            merge_tree: landing.merge_tree.clone(),
            person_authors: persons(steps),
        };
        if let Verdict::Refused(refusals) = gate::judge(passage.policy_of(first), state, &candidate, passage.signatures)
        {
            return Err(objection(refusals));
        }
    }
    Ok(Way::Landed(key.clone()))
}

fn is_newest(state: &ItemState, landing: &Landing) -> bool {
    state.landings.last().or(state.intended.as_ref()) == Some(landing) && state.is_done()
}

/// Whether commits are what a record says of them: the reviewed tree, from the reviewed base, with nothing merged in but the
/// reviewed head.
fn is_landing(branch: &BranchRef, landing: &Landing, steps: &[Step]) -> bool {
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return false };
    let merged = [landing.base.clone(), landing.head.clone()];
    let plain = |step: &Step| step.parents.len() == 1 || step.parents == merged;
    landing.target == *branch
        && last.tree.as_ref() == Some(&landing.merge_tree)
        && first.parents.first() == Some(&landing.base)
        && (last.commit.as_ref() == Some(&landing.head) || steps.iter().all(plain))
}

fn persons(steps: &[Step]) -> Vec<Principal> {
    let all: BTreeSet<Principal> = steps.iter().flat_map(|step| step.persons.iter().cloned()).collect();
    all.into_iter().collect()
}

fn written_back(
    passage: &Passage<'_>,
    (key, state): (&ItemKey, &ItemState),
    landing: &Landing,
    step: &Step,
) -> Result<Way, Objection> {
    // After a landing by hand other commits may lie between the two.
    let on_top = step.parents.len() == 1;
    let recomputed =
        |state: &ItemState| step.rewrite.as_ref().is_some_and(|rewrite| gate::is_write_back(state, rewrite));
    let right = match &passage.evidence {
        Some(evidence) => evidence.get(&landing.merge).is_some_and(recomputed),
        None => !(passage.again && state.landings.last() == Some(landing) && state.is_done()) || recomputed(state),
    };
    if on_top && right { Ok(Way::Bookkeeping(key.clone())) } else { Err(Objection::NotBookkeeping(key.clone())) }
}

/// Judges steps that no record names.
fn judge_new(passage: &Passage<'_>, run: &[Step]) -> Result<Way, Objection> {
    let brings: BTreeSet<&StoryName> = run.iter().flat_map(|step| &step.brings).collect();
    if brings.is_empty() {
        let strictest = run.iter().map(|step| passage.policy_of(step).mode).find(|mode| *mode == ProtectMode::All);
        return match strictest.unwrap_or(ProtectMode::Stories) {
            ProtectMode::Stories => Ok(Way::Own),
            ProtectMode::All => Err(Objection::NoPermit),
        };
    }
    let mut missing = Vec::new();
    for name in &brings {
        match judge_story(passage, run, name) {
            // Two stories in one step: one tree cannot be the result of merging either alone.
            Ok(landing) if brings.len() == 1 => return Ok(landing),
            Ok(_) => {}
            Err(refusals) => missing.push(((*name).clone(), refusals)),
        }
    }
    if missing.is_empty() {
        missing.extend(brings.iter().map(|name| ((*name).clone(), Vec::new())));
    }
    Err(Objection::Stories(missing))
}

/// Whether the gate covers these steps as the landing of one story.
fn judge_story(passage: &Passage<'_>, run: &[Step], name: &StoryName) -> Result<Way, Vec<Refusal>> {
    let StoryName::Key(key) = name else { return Err(Vec::new()) };
    let state = passage.items.get(key).ok_or_else(Vec::new)?;
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return Err(Vec::new()) };
    let (Some(base), Some(tip), Some(tree)) = (first.parents.first(), &last.commit, &last.tree) else {
        return Err(Vec::new());
    };
    // A landed story has had its landing: another change of it needs another round.
    if state.is_done() || last.parents.len() > 2 {
        return Err(Vec::new());
    }
    let reviewed = state.reviews.last().map(|review| review.head.clone());
    let head = match last.parents.get(1) {
        Some(merged) if run.len() == 1 && !last.is_of.contains(name) => merged.clone(),
        _ if last.is_of.contains(name) => tip.clone(),
        // A squash or a copy: the content decides.
        _ => reviewed.ok_or_else(|| vec![Refusal::NoReview])?,
    };
    let candidate =
        Candidate { base: base.clone(), head: head.clone(), merge_tree: tree.clone(), person_authors: persons(run) };
    match gate::judge(passage.policy_of(first), state, &candidate, passage.signatures) {
        Verdict::Covered(_) => {
            let landing = Landing {
                target: passage.branch.clone(),
                base: base.clone(),
                head,
                merge_tree: tree.clone(),
                merge: tip.clone(),
                tip: tip.clone(),
            };
            Ok(Way::Covered(key.clone(), Box::new(landing)))
        }
        Verdict::Refused(refusals) => Err(refusals),
    }
}

#[cfg(test)]
#[path = "passage_tests.rs"]
mod tests;
