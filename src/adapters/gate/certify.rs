//! What came onto a protected branch since it was last found sound: what passes, what a person landed by hand, what nothing
//! explains. Reads only; whoever may write records what is found. Must not judge: `domain::passage` does.

use std::collections::BTreeSet;

use super::line::{Asked, Depth, Line, STORY_BRANCHES};
use super::reader::{BRANCHES, Reader};
use super::route;
use crate::adapters::ledger::store::{CERTIFIED, branch_chain};
use crate::domain::branch::{BranchState, Breach};
use crate::domain::event::Landing;
use crate::domain::explanation;
use crate::domain::names::{BranchRef, ItemKey, Oid};
use crate::domain::passage::{Objected, Way};
use crate::engine::ports::PortError;

/// A protected branch as it stands.
#[derive(Clone, Debug)]
pub struct Found {
    /// The branch.
    pub branch: BranchRef,
    /// Its tip.
    pub tip: Oid,
    /// What is recorded of it.
    pub record: BranchState,
    /// Commits on its first-parent line that were not certified before.
    pub new: usize,
    /// Approved changes that a person merged and that are not recorded as landed, oldest first.
    pub merged: Vec<(ItemKey, Landing)>,
    /// Breaches that are not on record.
    pub breaches: Vec<Breach>,
}

impl Found {
    /// Whether nothing stands against it, nor did before.
    pub fn is_sound(&self) -> bool {
        self.breaches.is_empty() && self.record.breaches.is_empty()
    }
}

/// Protected branches that exist, the target first; those without a chain have not been adopted.
pub fn protected(reader: &Reader) -> Result<Vec<BranchRef>, PortError> {
    let heads = reader.list(BRANCHES)?;
    let mut found = Vec::new();
    for name in heads.into_keys().filter(|name| !name.starts_with(STORY_BRANCHES)) {
        if reader.is_protected(&name)? {
            let place = usize::from(!reader.is_target(&name)?);
            found.push((place, BranchRef::new(name)));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, branch)| branch).collect())
}

/// Those of them with a chain. Needs no policy: what was adopted stays watched.
pub fn adopted(reader: &Reader) -> Result<Vec<BranchRef>, PortError> {
    let chains: BTreeSet<String> = reader.list(CERTIFIED)?.into_keys().collect();
    if chains.is_empty() {
        return Ok(Vec::new());
    }
    let has = |branch: &BranchRef| chains.contains(&format!("{CERTIFIED}{}", branch_chain(branch)));
    let heads = reader.list(BRANCHES)?.into_keys().filter(|name| !name.starts_with(STORY_BRANCHES));
    Ok(heads.map(BranchRef::new).filter(has).collect())
}

/// Looks at everything that is not certified. `None` when the branch is not there or has not been adopted.
pub fn examine(reader: &Reader, branch: &BranchRef) -> Result<Option<Found>, PortError> {
    let (record, Some(tip)) = (reader.branch(branch)?, reader.standing(branch.as_str())?) else { return Ok(None) };
    let Some(certified) = record.certified.clone() else { return Ok(None) };
    examine_since(reader, branch, record, &certified, tip).map(Some)
}

/// The same from a commit that is known to be sound.
pub fn examine_since(
    reader: &Reader,
    branch: &BranchRef,
    record: BranchState,
    sound: &Oid,
    tip: Oid,
) -> Result<Found, PortError> {
    let mut found = Found { branch: branch.clone(), tip, record, new: 0, merged: Vec::new(), breaches: Vec::new() };
    if found.tip == *sound {
        return Ok(found);
    }
    // A certified commit that is gone altogether was taken back: everything since adoption is looked at again.
    let known = [Some(sound), found.record.adopted.as_ref()];
    let from = known.into_iter().flatten().find(|oid| reader.history().has(oid)).cloned();
    let asked = Asked { branch, from: from.as_ref(), to: &found.tip, depth: Depth::Records };
    let mut line = reader.line(&asked)?;
    reader.attribute_copies(&asked, &mut line, 0)?;
    reader.add_policies(&asked, &mut line)?;
    found.new = line.steps.len();
    if from.as_ref() != Some(sound) {
        add_lost(reader, branch, &mut line, &found.tip)?;
    }
    let answer = reader.judge_line(&asked, &found.record, line)?;
    found.merged = merged(reader, answer.passed)?;
    for objected in answer.objections.iter().filter(|objected| !is_known(&found.record, objected)) {
        let commit = objected.commit.clone().unwrap_or_else(|| found.tip.clone());
        let route = route::guess(reader.repo(), branch, &found.tip, &commit);
        found.breaches.push(Breach { commit, reason: explanation::reason(objected), route });
    }
    Ok(found)
}

/// Adds recorded landings that the branch does not have any more to what it lost.
pub fn add_lost(reader: &Reader, branch: &BranchRef, line: &mut Line, tip: &Oid) -> Result<(), PortError> {
    let here: BTreeSet<&Oid> = line.steps.iter().flat_map(|step| step.commit.iter().chain(&step.brought)).collect();
    let landings = reader.items()?.values().flat_map(|state| &state.landings);
    let missing: Vec<Oid> = landings
        .filter(|landing| landing.target == *branch && !here.contains(&landing.merge))
        .map(|landing| landing.merge.clone())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let all = reader.history().between(std::slice::from_ref(tip), &[])?;
    line.dropped.extend(missing.into_iter().filter(|merge| !all.contains_key(merge)));
    Ok(())
}

/// Whether the objection is on record already, open or acknowledged.
pub fn is_known(record: &BranchState, objected: &Objected) -> bool {
    let Some(commit) = &objected.commit else { return false };
    record.acknowledged.contains_key(commit) || record.breaches.iter().any(|breach| breach.commit == *commit)
}

/// Landings by hand that nobody recorded; one that was intended with its write-back and then interrupted is one of them.
fn merged(reader: &Reader, passed: Vec<(Oid, Way)>) -> Result<Vec<(ItemKey, Landing)>, PortError> {
    let items = reader.items()?;
    let mut found = Vec::new();
    for (commit, way) in passed {
        match way {
            Way::Covered(key, landing) => found.push((key, *landing)),
            Way::Landed(key) => {
                let intended =
                    items.get(&key).filter(|state| !state.is_done()).and_then(|state| state.intended.clone());
                if let Some(landing) = intended.filter(|landing| landing.merge == commit) {
                    found.push((key, landing));
                }
            }
            Way::Bookkeeping(_) | Way::Hotfix(_) | Way::Own | Way::Acknowledged => {}
        }
    }
    Ok(found)
}

/// One line on why nothing lands.
pub fn sentence(branch: &BranchRef, first: &Breach, count: usize) -> String {
    let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
    format!(
        "nothing lands on {} because of commit {}{more}: {}; see: git orchestrate verify",
        branch.short(),
        first.commit.short(),
        first.reason
    )
}
