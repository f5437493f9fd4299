//! The guard of a run: whether a protected branch may be built upon. Must write nothing.

use std::cell::RefCell;
use std::collections::HashMap;

use async_trait::async_trait;

use super::certify;
use super::reader::Reader;
use crate::adapters::git::repo::Repo;
use crate::adapters::git::worktree::apart;
use crate::domain::branch::BranchEvent;
use crate::domain::names::{BranchRef, Oid, Timestamp};
use crate::engine::ports::{Guard, Looked, PortError, Record};

/// Looks at the branches of one repository; remembers what it found sound as long as it lives.
pub struct GitGuard {
    repo: Repo,
    sound: RefCell<HashMap<BranchRef, Oid>>,
}

impl GitGuard {
    /// For `repo`.
    pub fn new(repo: &Repo) -> Self {
        Self { repo: repo.clone(), sound: RefCell::default() }
    }
}

#[async_trait(?Send)]
impl Guard for GitGuard {
    async fn look(&self, branch: &BranchRef, tip: &Oid, at: Timestamp) -> Result<Looked, PortError> {
        let (repo, trusted) = (self.repo.clone(), self.sound.borrow().get(branch).cloned());
        let (on, to) = (branch.clone(), tip.clone());
        let looked = apart(move || look(&repo, &on, &to, trusted, at)).await?;
        if let Looked::Sound { .. } = &looked {
            self.trust(branch, tip);
        }
        Ok(looked)
    }

    fn trust(&self, branch: &BranchRef, tip: &Oid) {
        self.sound.borrow_mut().insert(branch.clone(), tip.clone());
    }
}

fn look(repo: &Repo, branch: &BranchRef, tip: &Oid, trusted: Option<Oid>, at: Timestamp) -> Result<Looked, PortError> {
    let reader = Reader::of(repo);
    let record = reader.branch(branch)?;
    if let Some(breach) = record.breaches.first() {
        let sentence = certify::sentence(branch, breach, record.breaches.len());
        return Ok(Looked::Breached { records: Vec::new(), sentence });
    }
    // A branch that was never adopted has nothing to be compared with.
    let Some(sound) = trusted.or_else(|| record.certified.clone()) else {
        return Ok(Looked::Sound { merged: Vec::new() });
    };
    let found = certify::examine_since(&reader, branch, record, &sound, tip.clone())?;
    let Some(first) = found.breaches.first() else { return Ok(Looked::Sound { merged: found.merged }) };
    let sentence = certify::sentence(branch, first, found.breaches.len());
    let record = |breach| Record::Branch { branch: branch.clone(), event: BranchEvent::Breached { breach }, at };
    Ok(Looked::Breached { records: found.breaches.into_iter().map(record).collect(), sentence })
}
