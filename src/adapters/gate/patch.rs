//! Finds copies: a commit without a trace of a story that changes exactly what a story's commit or its whole branch changes
//! (squash, cherry-pick under another message). Must not judge: it only says whose the commit is, the rule is the same then.

use std::collections::BTreeSet;

use gix::ObjectId;
use gix::bstr::BString;

use super::line::{Asked, Line, STORY_BRANCHES};
use super::reader::{BRANCHES, Reader};
use crate::adapters::git::merge;
use crate::adapters::git::repo::git_error;
use crate::domain::names::Oid;
use crate::domain::passage::{Answer, Step, StoryName};
use crate::engine::ports::PortError;

/// A story that has not landed, with what its commits change.
struct Original {
    name: StoryName,
    tip: ObjectId,
    /// Its commits outside the branch, each with its parent.
    commits: Vec<(ObjectId, ObjectId)>,
    /// Everything that any of them touches.
    paths: BTreeSet<BString>,
}

impl Reader {
    /// The gate's answer to a move, copies of stories found out. For `pre-push` and `verify`: too slow for every hook.
    pub fn judge_with_copies(&self, asked: &Asked<'_>) -> Result<Answer, PortError> {
        let mut line = self.line(asked)?;
        self.attribute_copies(asked, &mut line, 0)?;
        self.judge_line(asked, &self.branch(asked.branch)?, line)
    }

    /// Says of each step from the given one on that belongs to no story whether it copies one.
    pub fn attribute_copies(&self, asked: &Asked<'_>, line: &mut Line, from: usize) -> Result<(), PortError> {
        let known = self.known_commits(asked)?;
        let open = |step: &Step| step.brings.is_empty() && step.commit.as_ref().is_some_and(|at| !known.contains(at));
        let steps = line.steps.get_mut(from..).unwrap_or_default();
        if !steps.iter().any(open) {
            return Ok(());
        }
        let git = self.repo().gix();
        let originals = self.originals(&git, asked.to)?;
        if originals.is_empty() {
            return Ok(());
        }
        for step in steps.iter_mut().filter(|step| open(step)) {
            for commit in step.commit.clone().iter().chain(&step.brought.clone()) {
                step.brings.extend(self.copied(&git, commit, &originals)?);
            }
        }
        Ok(())
    }

    /// Commits that the records name: nobody asks whose they are.
    fn known_commits(&self, asked: &Asked<'_>) -> Result<BTreeSet<Oid>, PortError> {
        let record = self.branch(asked.branch)?;
        let mut known: BTreeSet<Oid> = record.acknowledged.into_keys().collect();
        known.extend(record.hotfixes.into_iter().map(|known| known.hotfix.tip));
        for state in self.items()?.values() {
            for landing in state.landings.iter().chain(&state.intended) {
                known.extend([landing.merge.clone(), landing.tip.clone()]);
            }
        }
        Ok(known)
    }

    /// Stories that have not landed. What the branch has by ancestry counts as the branch's own.
    fn originals(&self, git: &gix::Repository, to: &Oid) -> Result<Vec<Original>, PortError> {
        let mut branches = self.list(STORY_BRANCHES)?;
        let mut found = Vec::new();
        for (key, state) in self.items()? {
            let Some(attempt) = &state.attempt else { continue };
            let tip = match branches.remove(attempt.branch.as_str()) {
                Some(tip) => Some(tip),
                None => self.tip(attempt.branch.as_str())?,
            };
            if state.is_done() {
                continue;
            }
            let reviewed = state.reviews.last().map(|review| review.head.clone());
            let tips: BTreeSet<Oid> = tip.into_iter().chain(reviewed).collect();
            for tip in tips.into_iter().filter(|tip| self.history().has(tip)) {
                found.extend(self.original(git, StoryName::Key(key.clone()), &tip, &[to, &attempt.base])?);
            }
        }
        for (branch, tip) in branches {
            let name = branch.strip_prefix(BRANCHES).unwrap_or(&branch).to_owned();
            found.extend(self.original(git, StoryName::Branch(name), &tip, &[to])?);
        }
        Ok(found)
    }

    fn original(
        &self,
        git: &gix::Repository,
        name: StoryName,
        tip: &Oid,
        hidden: &[&Oid],
    ) -> Result<Option<Original>, PortError> {
        let hidden: Vec<Oid> = hidden.iter().filter(|oid| self.history().has(oid)).map(|oid| (*oid).clone()).collect();
        let own = self.history().between(std::slice::from_ref(tip), &hidden)?;
        let (mut commits, mut paths) = (Vec::new(), BTreeSet::new());
        for (commit, parents) in &own {
            let Some(parent) = parents.first() else { continue };
            let pair = (self.repo().object_id(parent)?, self.repo().object_id(commit)?);
            paths.extend(merge::changes(git, pair.0, pair.1)?.into_keys());
            // A merge repeats what its other side brought.
            if parents.len() == 1 {
                commits.push(pair);
            }
        }
        let tip = self.repo().object_id(tip)?;
        Ok((!paths.is_empty()).then_some(Original { name, tip, commits, paths }))
    }

    /// The stories that a commit copies, against its first parent.
    fn copied(
        &self,
        git: &gix::Repository,
        commit: &Oid,
        originals: &[Original],
    ) -> Result<BTreeSet<StoryName>, PortError> {
        let mut found = BTreeSet::new();
        let Some(parent) = self.history().commit(commit)?.parents.first().cloned() else { return Ok(found) };
        let (parent, commit) = (self.repo().object_id(&parent)?, self.repo().object_id(commit)?);
        let changed = merge::changes(git, parent, commit)?;
        for original in originals {
            if !changed.keys().any(|path| original.paths.contains(path)) {
                continue;
            }
            let failed = |error| git_error(format!("cannot compare {commit} with a story"), error);
            let fork = git.merge_base(parent, original.tip).map_err(failed)?.map(gix::Id::detach);
            let whole = fork.map(|fork| (fork, original.tip));
            let mut pairs = original.commits.iter().copied().chain(whole);
            let same = pairs.try_fold(false, |same, pair| {
                Ok::<_, PortError>(same || merge::same_change(git, pair, (parent, commit))?)
            })?;
            if same {
                found.insert(original.name.clone());
            }
        }
        Ok(found)
    }
}
