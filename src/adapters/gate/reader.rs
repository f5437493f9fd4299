//! The records and the policy that a judgement needs, as they stand or as a push would make them. Must write nothing.

use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::history::History;
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

/// Key of git's configuration that `init --server` sets.
pub const SERVER_KEY: &str = "orchestrate.server";

/// Most symbolic refs that are followed one after the other, as in git.
const MOST_LEADS: usize = 5;

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
    server: bool,
    decoded: Cell<usize>,
    told: Option<Box<dyn Fn(u64)>>,
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

    /// Of the repository as a transaction would make it whose objects are here already.
    pub fn of_transaction(repo: &Repo, pushed: Pushed) -> Self {
        Self::from(repo, History::of(repo), pushed)
    }

    fn from(repo: &Repo, history: History, pushed: Pushed) -> Self {
        let git = repo.gix();
        let server = repo.is_bare() && git.config_snapshot().boolean(SERVER_KEY).unwrap_or(false);
        Self {
            repo: repo.clone(),
            server,
            git,
            history,
            pushed,
            items: OnceCell::new(),
            target: OnceCell::new(),
            policy: OnceCell::new(),
            decoded: Cell::new(0),
            told: None,
        }
    }

    /// Tells `told` how many more commits were looked at, as it goes on. Who waits for a long history wants to know.
    pub fn telling(self, told: impl Fn(u64) + 'static) -> Self {
        Self { told: Some(Box::new(told)), ..self }
    }

    /// `count` more commits were looked at.
    pub(super) fn tell(&self, count: usize) {
        if let Some(told) = &self.told {
            told(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }

    /// The repository.
    pub fn repo(&self) -> &Repo {
        &self.repo
    }

    /// Whether this repository takes records by push: a bare one that `init --server` made a server. It believes nothing
    /// but events: evidence is judged again, and what people acknowledged elsewhere does not count.
    pub fn is_server(&self) -> bool {
        self.server
    }

    /// The folder that git runs this repository's hooks from.
    pub fn hooks_dir(&self) -> PathBuf {
        let configured = self.git.config_snapshot().trusted_path("core.hooksPath").ok().flatten();
        match configured {
            Some(configured) => self.repo.root().join(configured),
            None => self.repo.common_dir().join("hooks"),
        }
    }

    /// Objects and walks.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The branch that stories land on, a full name: what `init` wrote down, else the branch of a bare repository's HEAD, else
    /// the only one of main and master, else nothing. A HEAD without a commit names the target only where there is neither.
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
        let head = if self.repo.is_bare() { Some(refs::head_branch(&self.repo)?) } else { None };
        if let Some(refs::Head::Branch(branch)) = head {
            return Ok(Some(branch));
        }
        let mut usual = Vec::new();
        for name in ["main", "master"].map(full) {
            if self.standing(name.as_str())?.is_some() {
                usual.push(name);
            }
        }
        match (usual.len(), head) {
            (1, _) => Ok(usual.pop()),
            (0, Some(refs::Head::Unborn(branch))) => Ok(Some(branch)),
            _ => Ok(None),
        }
    }

    /// Whether nothing was adopted on this server yet: its target has no commit. The first push of it is taken as it is.
    pub fn is_empty_server(&self) -> Result<bool, PortError> {
        if !self.server {
            return Ok(false);
        }
        Ok(match self.target()? {
            Some(target) => self.standing(target.as_str())?.is_none(),
            None => false,
        })
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

    /// Whether the gate watches a ref: the target, main, master, what `[protect] branches` names, and on a server the branch
    /// of HEAD.
    pub fn is_protected(&self, refname: &str) -> Result<bool, PortError> {
        let Some(name) = refname.strip_prefix(BRANCHES) else { return Ok(false) };
        if matches!(name, "main" | "master") || self.is_target(refname)? || self.is_server_head(refname)? {
            return Ok(true);
        }
        Ok(self.policy()?.protects(name))
    }

    fn is_server_head(&self, refname: &str) -> Result<bool, PortError> {
        if !self.server {
            return Ok(false);
        }
        Ok(match refs::head_branch(&self.repo)? {
            refs::Head::Branch(branch) | refs::Head::Unborn(branch) => branch.as_str() == refname,
            refs::Head::Detached(_) => false,
        })
    }

    /// The ref that is written when this one is: what it leads to when it is symbolic.
    pub fn resolved(&self, refname: &str) -> Result<String, PortError> {
        let mut name = refname.to_owned();
        for _ in 0..MOST_LEADS {
            match refs::symbolic_target(&self.repo, &name)? {
                Some(target) => name = target,
                None => return Ok(name),
            }
        }
        Err(PortError::new(format!("{refname} leads nowhere: too many symbolic refs")))
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

    /// State of one item by the snapshot in its chain.
    pub fn item(&self, key: &ItemKey) -> Result<Option<ItemState>, PortError> {
        if let Some(items) = self.items.get() {
            return Ok(items.get(key).cloned());
        }
        let Some(record) = self.tip(&format!("{ITEMS}{key}"))? else { return Ok(None) };
        Ok(Some(self.decoded::<ItemEvent>(&record)?.state))
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

    /// The states of an item, folded again from its events: as each of its landings was recorded, by merge commit. A
    /// landing that is only intended counts as it stands now.
    pub fn evidence(&self, key: &ItemKey) -> Result<BTreeMap<Oid, ItemState>, PortError> {
        let mut events = Vec::new();
        let mut next = self.tip(&format!("{ITEMS}{key}"))?;
        while let Some(record) = next {
            let decoded = self.decoded::<ItemEvent>(&record)?;
            if !decoded.joins {
                events.push((decoded.event, decoded.at));
            }
            next = self.history.commit(&record)?.parents.first().cloned();
        }
        let mut state = ItemState::default();
        let mut found = BTreeMap::new();
        for (event, at) in events.into_iter().rev() {
            let rejected = |error| PortError::new(format!("the record of story {key} makes no sense")).because(error);
            state = state.apply(&event, at).map_err(rejected)?;
            if let ItemEvent::Landed { landing } = &event {
                found.insert(landing.merge.clone(), state.clone());
            }
        }
        if let Some(intended) = &state.intended {
            found.insert(intended.merge.clone(), state.clone());
        }
        Ok(found)
    }

    /// [`evidence`](Self::evidence) of everything that landed as one of these commits.
    pub(super) fn evidence_of(&self, commits: &BTreeSet<&Oid>) -> Result<BTreeMap<Oid, ItemState>, PortError> {
        let mut found = BTreeMap::new();
        for (key, state) in self.items()? {
            let mut landings = state.landings.iter().chain(&state.intended);
            if landings.any(|landing| commits.contains(&landing.merge) || commits.contains(&landing.tip)) {
                found.extend(self.evidence(key)?);
            }
        }
        Ok(found)
    }

    /// How many records were decoded so far: what most of the work is spent on.
    pub fn records_decoded(&self) -> usize {
        self.decoded.get()
    }

    /// A record of a chain.
    pub fn decoded<F: Fact>(&self, record: &Oid) -> Result<codec::Decoded<F>, PortError> {
        let damaged = || PortError::new(format!("record {} is damaged", record.short()));
        let commit = self.history.commit(record)?;
        self.decoded.set(self.decoded.get() + 1);
        codec::decode::<F>(&commit.message).map_err(|error| damaged().because(error))
    }
}
