//! The records and the policy that a judgement needs, as they stand or as a push would make them. Must write nothing.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::history::{CommitFacts, History};
use crate::adapters::config::{self, target};
use crate::adapters::git::refs;
use crate::adapters::git::repo::Repo;
use crate::adapters::ledger::codec::{self, Fact};
use crate::adapters::ledger::store::{CERTIFIED, ITEMS, branch_chain};
use crate::domain::branch::{BranchEvent, BranchState};
use crate::domain::event::ItemEvent;
use crate::domain::names::{BranchRef, ItemKey, Oid};
use crate::domain::policy::Policy;
use crate::domain::state::ItemState;
use crate::engine::ports::PortError;

/// Full names of branches begin so.
pub const BRANCHES: &str = "refs/heads/";

/// Refs that a push asks for: new values, `None` for a deletion.
pub type Pushed = BTreeMap<String, Option<Oid>>;

/// Reads one repository at one moment.
pub struct Reader {
    repo: Repo,
    git: gix::Repository,
    history: History,
    pushed: Pushed,
    items: OnceCell<BTreeMap<ItemKey, ItemState>>,
    target: OnceCell<Option<BranchRef>>,
    policy: OnceCell<Policy>,
    /// Policies of other times, by the blob they were read from.
    earlier: RefCell<HashMap<Option<Oid>, Rc<Policy>>>,
}

impl Reader {
    /// Of the repository as it stands.
    pub fn of(repo: &Repo) -> Self {
        Self::from(repo, History::of(repo), Pushed::new())
    }

    /// Of the repository as a push would make it; only inside `pre-receive`. The policy is still the one that stands.
    pub fn of_push(repo: &Repo, pushed: Pushed) -> Result<Self, PortError> {
        Ok(Self::from(repo, History::of_push(repo)?, pushed))
    }

    fn from(repo: &Repo, history: History, pushed: Pushed) -> Self {
        Self {
            repo: repo.clone(),
            git: repo.gix(),
            history,
            pushed,
            items: OnceCell::new(),
            target: OnceCell::new(),
            policy: OnceCell::new(),
            earlier: RefCell::default(),
        }
    }

    /// The repository.
    pub fn repo(&self) -> &Repo {
        &self.repo
    }

    /// A yes-or-no key of git's configuration; no when it is not set.
    pub fn flag(&self, key: &str) -> bool {
        self.git.config_snapshot().boolean(key).unwrap_or(false)
    }

    /// Objects and walks.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The branch that stories land on, a full name: what `init` wrote down, else the branch of a bare repository's HEAD, else
    /// the only one of main and master, else nothing.
    pub fn target(&self) -> Result<Option<&BranchRef>, PortError> {
        if self.target.get().is_none() {
            let found = self.find_target()?;
            return Ok(self.target.get_or_init(|| found).as_ref());
        }
        Ok(self.target.get().and_then(Option::as_ref))
    }

    fn find_target(&self) -> Result<Option<BranchRef>, PortError> {
        let full = |name: &str| BranchRef::new(format!("{BRANCHES}{}", name.strip_prefix(BRANCHES).unwrap_or(name)));
        if let Some(name) = target::configured(&self.repo) {
            return Ok(Some(full(&name)));
        }
        if self.repo.is_bare()
            && let refs::Head::Branch(branch) | refs::Head::Unborn(branch) = refs::head_branch(&self.repo)?
        {
            return Ok(Some(branch));
        }
        let mut usual = Vec::new();
        for name in ["main", "master"].map(full) {
            if self.standing(name.as_str())?.is_some() {
                usual.push(name);
            }
        }
        Ok(if usual.len() == 1 { usual.pop() } else { None })
    }

    /// The gate policy on the target's tip as it stands; the built-in one where there is none. A policy that cannot be read
    /// is an error: a gate that cannot read its rules does not open.
    pub fn policy(&self) -> Result<&Policy, PortError> {
        if let Some(policy) = self.policy.get() {
            return Ok(policy);
        }
        let tip = match self.target()? {
            Some(target) => self.standing(target.as_str())?,
            None => None,
        };
        let file = match &tip {
            Some(tip) => target::policy_file(&self.repo, tip)?,
            None => None,
        };
        let (policy, diagnostics) = config::policy(config::FILE, file.as_deref());
        if config::has_errors(&diagnostics) {
            let first = diagnostics.iter().map(|found| found.message.clone()).next().unwrap_or_default();
            return Err(PortError::new(format!("the policy on the target branch cannot be read: {first}"))
                .hint("see: git orchestrate plan"));
        }
        Ok(self.policy.get_or_init(|| policy))
    }

    /// The policy as it stood just before a commit; one that cannot be read then had no landing under it.
    pub(super) fn policy_before(&self, commit: &CommitFacts) -> Result<Option<Rc<Policy>>, PortError> {
        let Some(parent) = commit.parents.first() else { return Ok(None) };
        let tree = self.history.commit(parent)?.tree.clone();
        let file = self.history.file(&tree, config::FILE)?;
        let id = file.as_ref().map(|file| file.id.clone());
        if let Some(known) = self.earlier.borrow().get(&id) {
            return Ok(Some(known.clone()));
        }
        let (policy, _) = config::policy(config::FILE, file.as_ref().map(|file| file.bytes.as_slice()));
        let policy = Rc::new(policy);
        self.earlier.borrow_mut().insert(id, policy.clone());
        Ok(Some(policy))
    }

    /// Whether the gate watches a ref: the target, main, master, and what `[protect] branches` names.
    pub fn is_protected(&self, refname: &str) -> Result<bool, PortError> {
        let Some(name) = refname.strip_prefix(BRANCHES) else { return Ok(false) };
        if matches!(name, "main" | "master") || self.is_target(refname)? {
            return Ok(true);
        }
        Ok(self.policy()?.protects(name))
    }

    /// Whether stories land on this ref.
    pub fn is_target(&self, refname: &str) -> Result<bool, PortError> {
        Ok(match self.target()? {
            Some(target) => target.as_str() == refname,
            None => matches!(refname.strip_prefix(BRANCHES), Some("main" | "master")),
        })
    }

    /// Value of a ref as it stands, whatever is being pushed; `None` for a symbolic one too: it has none of its own.
    pub fn standing(&self, refname: &str) -> Result<Option<Oid>, PortError> {
        if refs::symbolic_target(&self.repo, refname)?.is_some() {
            return Ok(None);
        }
        refs::tip_in(&self.git, refname)
    }

    /// Value of a ref as the push would make it.
    pub fn tip(&self, refname: &str) -> Result<Option<Oid>, PortError> {
        match self.pushed.get(refname) {
            Some(asked) => Ok(asked.clone()),
            None => self.standing(refname),
        }
    }

    /// Refs below a prefix as the push would make them.
    pub fn list(&self, prefix: &str) -> Result<BTreeMap<String, Oid>, PortError> {
        let mut found: BTreeMap<String, Oid> = refs::list_in(&self.git, prefix)?.into_iter().collect();
        for (name, asked) in self.pushed.iter().filter(|(name, _)| name.starts_with(prefix)) {
            match asked {
                Some(oid) => drop(found.insert(name.clone(), oid.clone())),
                None => drop(found.remove(name)),
            }
        }
        Ok(found)
    }

    /// States of all items by the snapshots in their chains.
    pub fn items(&self) -> Result<&BTreeMap<ItemKey, ItemState>, PortError> {
        if let Some(items) = self.items.get() {
            return Ok(items);
        }
        let mut items = BTreeMap::new();
        for (name, record) in self.list(ITEMS)? {
            let key = ItemKey::new(name.strip_prefix(ITEMS).unwrap_or(&name));
            items.insert(key, self.decoded::<ItemEvent>(&record)?.state);
        }
        Ok(self.items.get_or_init(|| items))
    }

    /// What is recorded of a branch.
    pub fn branch(&self, branch: &BranchRef) -> Result<BranchState, PortError> {
        let chain = format!("{CERTIFIED}{}", branch_chain(branch));
        Ok(match self.tip(&chain)? {
            Some(record) => self.decoded::<BranchEvent>(&record)?.state,
            None => BranchState::default(),
        })
    }

    /// Whether anything is recorded here at all: before that, nothing has been adopted.
    pub fn has_ledger(&self) -> Result<bool, PortError> {
        Ok(!self.list("refs/orchestrate/")?.is_empty())
    }

    /// A record of a chain.
    pub fn decoded<F: Fact>(&self, record: &Oid) -> Result<codec::Decoded<F>, PortError> {
        let damaged = || PortError::new(format!("record {} is damaged", record.short()));
        let commit = self.history.commit(record)?;
        codec::decode::<F>(&commit.message).map_err(|error| damaged().because(error))
    }
}
