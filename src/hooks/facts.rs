//! What the hooks read from the repository: protected branches, commits, stories and landings. Must write nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::adapters::config::target;
use crate::adapters::git::refs;
use crate::adapters::git::repo::{Repo, oid};
use crate::adapters::ledger::codec;
use crate::adapters::ledger::store::{ITEMS, LANDINGS};
use crate::domain::event::{ItemEvent, Landing};
use crate::domain::names::Oid;
use crate::domain::state::ItemState;
use crate::engine::ports::PortError;

use super::decide::{Move, NewValue, StoryCommits, StoryName};

/// Most first parents that are searched for landings on record.
const CHAIN: usize = 10_000;

const BRANCHES: &str = "refs/heads/";
const STORY_BRANCHES: &str = "refs/heads/story/";

/// The open repository and what is protected in it.
pub(super) struct Facts {
    repo: Repo,
    git: gix::Repository,
    target: Option<String>,
}

/// Whether a ref could be protected at all; saves opening the repository for story branches, tags and our own records.
pub(super) fn may_be_protected(refname: &str) -> bool {
    refname.starts_with(BRANCHES) && !refname.starts_with(STORY_BRANCHES)
}

impl Facts {
    /// Opens the repository that the hook was called in.
    pub(super) fn open() -> Result<Self, PortError> {
        let repo = Repo::discover(Path::new("."))?;
        let target = target::configured(&repo);
        let target = target.map(|name| name.strip_prefix(BRANCHES).unwrap_or(&name).to_owned());
        Ok(Self { git: repo.gix(), repo, target })
    }

    /// Whether this is the target that `init` wrote down, or, without one, main or master.
    pub(super) fn is_target(&self, refname: &str) -> bool {
        let name = refname.strip_prefix(BRANCHES).unwrap_or(refname);
        match &self.target {
            Some(target) => target == name,
            None => is_usual(name),
        }
    }

    /// The target, main and master.
    pub(super) fn is_protected(&self, refname: &str) -> bool {
        self.is_target(refname) || is_usual(refname.strip_prefix(BRANCHES).unwrap_or(refname))
    }

    /// Current value of a ref; the transaction holds its lock, so it stays while we read.
    pub(super) fn current(&self, refname: &str) -> Result<Option<Oid>, PortError> {
        // A symbolic ref has no value of its own that could be kept.
        if refs::symbolic_target(&self.repo, refname)?.is_some() {
            return Ok(None);
        }
        refs::tip_in(&self.git, refname)
    }

    /// The branch that is checked out here, as a full name.
    pub(super) fn checked_out(&self) -> Result<Option<String>, PortError> {
        match refs::head_branch(&self.repo)? {
            refs::Head::Branch(branch) | refs::Head::Unborn(branch) => Ok(Some(branch.as_str().to_owned())),
            refs::Head::Detached(_) => Ok(None),
        }
    }

    /// Whether git only removes the loose copy of a ref that packed-refs holds with the same value.
    pub(super) fn prunes(&self, refname: &str, old: &str) -> bool {
        let packed = self.repo.common_dir().join("packed-refs");
        if packed.with_extension("lock").exists() || old.bytes().all(|byte| byte == b'0') {
            return false;
        }
        let line = format!("{old} {refname}");
        std::fs::read_to_string(packed).is_ok_and(|text| text.lines().any(|found| found == line))
    }

    /// Whether a commit has several parents.
    pub(super) fn is_merge(&self, commit: &Oid) -> bool {
        self.commit(commit).is_ok_and(|commit| commit.parent_ids().count() > 1)
    }

    /// Whether the commit is here at all.
    pub(super) fn has(&self, commit: &Oid) -> bool {
        self.commit(commit).is_ok()
    }

    /// Everything the decision needs to know about moving a branch.
    pub(super) fn asked(
        &self,
        refname: &str,
        current: Option<Oid>,
        new: NewValue,
        prunes: bool,
    ) -> Result<Move, PortError> {
        let mut asked = Move {
            marked: std::env::var_os("ORCHESTRATE_ATTEMPT").is_some(),
            is_target: self.is_target(refname),
            gained: BTreeSet::new(),
            covered: BTreeSet::new(),
            stories: Vec::new(),
            current,
            new,
            prunes,
        };
        let NewValue::Commit(new) = &asked.new else { return Ok(asked) };
        if asked.current.as_ref() == Some(new) {
            return Ok(asked);
        }
        let new = new.clone();
        asked.gained = self.reachable(&new, asked.current.as_ref().into_iter())?;
        asked.stories = self.stories(asked.current.as_ref())?;
        let comes_in = |story: &StoryCommits| !story.own.is_disjoint(&asked.gained);
        if asked.stories.iter().any(comes_in) {
            asked.covered = self.covered(&new, asked.current.as_ref(), &asked.gained)?;
        }
        Ok(asked)
    }

    /// Commits of every story that lie outside the branch: of its branch since its recorded base; without a record of the
    /// base, the tip alone.
    fn stories(&self, current: Option<&Oid>) -> Result<Vec<StoryCommits>, PortError> {
        let mut bases = BTreeMap::new();
        for (name, record) in refs::list_in(&self.git, ITEMS)? {
            let state: ItemState = self.record(&record)?.1;
            if let Some(attempt) = state.attempt {
                let key = name.strip_prefix(ITEMS).unwrap_or(&name).to_owned();
                bases.insert(attempt.branch.as_str().to_owned(), (key, attempt.base));
            }
        }
        let mut tips: BTreeMap<_, _> = refs::list_in(&self.git, STORY_BRANCHES)?.into_iter().collect();
        for branch in bases.keys().filter(|branch| !branch.starts_with(STORY_BRANCHES)) {
            tips.extend(refs::tip_in(&self.git, branch)?.map(|tip| (branch.clone(), tip)));
        }
        let mut stories = Vec::new();
        for (branch, tip) in tips {
            let story = match bases.get(&branch).filter(|(_, base)| self.has(base)) {
                Some((key, base)) => {
                    let own = self.reachable(&tip, current.into_iter().chain([base]))?;
                    StoryCommits { name: StoryName::Id(key.clone()), own }
                }
                None => StoryCommits {
                    name: StoryName::Branch(branch.strip_prefix(BRANCHES).unwrap_or(&branch).to_owned()),
                    own: self.reachable(&tip, current.into_iter())?.into_iter().filter(|oid| *oid == tip).collect(),
                },
            };
            stories.push(story);
        }
        Ok(stories)
    }

    /// Commits that came with landings on record, found along the first parents of the new value.
    fn covered(&self, new: &Oid, current: Option<&Oid>, gained: &BTreeSet<Oid>) -> Result<BTreeSet<Oid>, PortError> {
        let mut covered = BTreeSet::new();
        let mut next = Some(new.clone());
        for _ in 0..CHAIN {
            let Some(at) = next.filter(|at| gained.contains(at)) else { break };
            let commit = self.commit(&at)?;
            if let Some(landing) = self.landing(&commit)?
                && (landing.tip == at || landing.merge == at)
            {
                covered.extend(self.reachable(&landing.head, current.into_iter())?);
            }
            next = commit.parent_ids().next().map(oid);
        }
        Ok(covered)
    }

    /// The landing on record whose result tree is this commit's.
    fn landing(&self, commit: &gix::Commit<'_>) -> Result<Option<Landing>, PortError> {
        let tree = commit.tree_id().map_err(|error| PortError::new("cannot read a commit").because(error))?;
        let Some(record) = refs::tip_in(&self.git, &format!("{LANDINGS}{tree}"))? else { return Ok(None) };
        match self.record(&record)?.0 {
            ItemEvent::Landed { landing } => Ok(Some(landing)),
            ItemEvent::AttemptStarted { .. }
            | ItemEvent::SessionStarted { .. }
            | ItemEvent::PhaseRecorded { .. }
            | ItemEvent::Reviewed { .. }
            | ItemEvent::ReviewCarried { .. }
            | ItemEvent::ReturnedTo { .. }
            | ItemEvent::LandingWaits { .. }
            | ItemEvent::LandingIntended { .. }
            | ItemEvent::NoChange { .. }
            | ItemEvent::Interrupted { .. }
            | ItemEvent::Failed { .. }
            | ItemEvent::Blocked { .. }
            | ItemEvent::Stopped { .. }
            | ItemEvent::RetryRequested { .. } => Ok(None),
        }
    }

    /// A record of an item's chain: the fact and the state after it.
    fn record(&self, record: &Oid) -> Result<(ItemEvent, ItemState), PortError> {
        let commit = self.commit(record)?;
        let failed = || PortError::new(format!("record {} is damaged", record.short()));
        let message = commit.message_raw().map_err(|error| failed().because(error))?;
        let decoded = codec::decode::<ItemEvent>(message).map_err(|error| failed().because(error))?;
        Ok((decoded.event, decoded.state))
    }

    /// Commits reachable from one and from none of the others.
    fn reachable<'a>(&self, from: &Oid, hidden: impl Iterator<Item = &'a Oid>) -> Result<BTreeSet<Oid>, PortError> {
        let failed = |error: gix::Error| PortError::new("cannot walk the history").because(error);
        let hidden: Vec<gix::ObjectId> = hidden.map(|oid| self.repo.object_id(oid)).collect::<Result<_, _>>()?;
        let walk = self.git.rev_walk([self.repo.object_id(from)?]).with_hidden(hidden).all().map_err(failed)?;
        walk.map(|info| {
            info.map(|info| oid(info.id)).map_err(|error| PortError::new("cannot walk the history").because(error))
        })
        .collect()
    }

    fn commit(&self, commit: &Oid) -> Result<gix::Commit<'_>, PortError> {
        let found = self.git.find_commit(self.repo.object_id(commit)?);
        found.map_err(|error| PortError::new(format!("cannot read commit {}", commit.short())).because(error))
    }
}

fn is_usual(name: &str) -> bool {
    matches!(name, "main" | "master")
}
