//! Branches that travel with the ledger: those of stories, so that somebody else can go on with them. Must not rewind one, nor
//! move one that is checked out.

use std::collections::BTreeMap;

use super::bring::{Change, How};
use super::store::{Store, expected};
use crate::adapters::git::refs::{self, RefUpdate};
use crate::adapters::git::{admin, commit};
use crate::domain::names::{BranchRef, Oid};
use crate::engine::ports::PortError;

/// Where branches of stories lie.
pub const STORY_BRANCHES: &str = "refs/heads/story/";

impl Store {
    /// Compares branches of another copy with ours. `git` sees the objects of both.
    pub fn weigh_branches(
        &self,
        git: &gix::Repository,
        offered: &BTreeMap<String, Oid>,
    ) -> Result<Vec<Change>, PortError> {
        let mut changes = Vec::new();
        for (name, theirs) in offered {
            let ours = refs::tip_in(&self.git, name)?;
            let how = match &ours {
                None => How::Created,
                Some(ours) if ours == theirs => How::Same,
                Some(ours) => self.follow(git, name, ours, theirs)?,
            };
            changes.push(Change { name: name.clone(), ours, theirs: theirs.clone(), how });
        }
        Ok(changes)
    }

    /// Makes and forwards branches; their objects are in the repository.
    pub fn bring_branches(&mut self, offered: &BTreeMap<String, Oid>) -> Result<Vec<Change>, PortError> {
        let changes = self.weigh_branches(&self.repo.gix(), offered)?;
        let moved = changes.iter().filter(|change| change.how.moves());
        let updates: Vec<RefUpdate> = moved
            .map(|change| RefUpdate {
                name: change.name.clone(),
                expected: expected(change.ours.clone()),
                new: Some(change.theirs.clone()),
            })
            .collect();
        if !updates.is_empty() {
            self.writer().transaction(&updates)?;
        }
        Ok(changes)
    }

    fn follow(&self, git: &gix::Repository, name: &str, ours: &Oid, theirs: &Oid) -> Result<How, PortError> {
        let (our, their) = (self.repo.object_id(ours)?, self.repo.object_id(theirs)?);
        if commit::contains(git, our, their)? {
            return Ok(How::Newer);
        }
        if !commit::contains(git, their, our)? {
            return Ok(How::Contradicts("each has commits that the other lacks".to_owned()));
        }
        let branch = BranchRef::new(name);
        let here = matches!(admin::main_head(&self.repo), admin::Head::Branch(head) if head == branch);
        let elsewhere = admin::entries(&self.repo)?.iter().any(|entry| entry.holds(&branch));
        Ok(if here || elsewhere { How::Held } else { How::Forwarded })
    }
}
