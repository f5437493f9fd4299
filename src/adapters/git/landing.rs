//! What landing needs from git: merges in memory, the commits of a landing, and checkouts that follow. Must not move a
//! protected branch: that takes a permit and the ledger.

use std::collections::BTreeSet;

use async_trait::async_trait;
use gix::ObjectId;
use gix::objs::tree::EntryKind;

use super::commit::{self, AGENT_ADDRESS, Draft, TOOL, TOOL_ADDRESS};
use super::repo::{Repo, git_error, oid};
use super::worktree::apart;
use super::{content, follow, leak, merge, refs, settle, signing};
use crate::adapters::config;
use crate::domain::bookkeep::{DONE, bookkeep};
use crate::domain::diagnostic::Severity;
use crate::domain::event::Landing;
use crate::domain::names::{BranchRef, ItemKey, Oid, Principal, Timestamp};
use crate::domain::policy::Policy;
use crate::domain::redact::Redactor;
use crate::domain::state::ItemState;
use crate::domain::statement::Signatures;
use crate::domain::tamper::Gained;
use crate::engine::ports::{Bookkeeping, Changes, Lander, LandingPlan, Leak, Merged, PortError};

/// From this many objects on, one sync of the file system is cheaper than one per object.
const MANY: usize = 64;

/// Merges and moves for one repository. Cheap to clone.
#[derive(Clone, Debug)]
pub struct GitLander {
    repo: Repo,
    redactor: Redactor,
}

impl GitLander {
    /// For `repo`.
    pub fn new(repo: &Repo) -> Self {
        Self { repo: repo.clone(), redactor: Redactor::default() }
    }

    /// The same with values that no commit may bring.
    pub fn hiding(self, redactor: Redactor) -> Self {
        Self { redactor, ..self }
    }

    /// Persons who authored commits in base..head.
    pub fn persons(&self, base: &Oid, head: &Oid) -> Result<Vec<Principal>, PortError> {
        let git = self.repo.gix();
        let failed = |error| git_error(format!("cannot read the authors of {}..{}", base.short(), head.short()), error);
        let mut persons = BTreeSet::new();
        for id in new_commits(&git, self.repo.object_id(base)?, self.repo.object_id(head)?)? {
            let commit = git.find_commit(id).map_err(failed)?;
            let author = commit.author().map_err(failed)?;
            let address = if author.email.trim_ascii().is_empty() { author.name } else { author.email };
            let address = String::from_utf8_lossy(address).trim().to_owned();
            if address != AGENT_ADDRESS && address != TOOL_ADDRESS {
                persons.insert(Principal::Person(address));
            }
        }
        Ok(persons.into_iter().collect())
    }

    fn build_now(&self, plan: &LandingPlan) -> Result<Landing, PortError> {
        let git = self.repo.gix();
        let (base, head) = (self.repo.object_id(&plan.base)?, self.repo.object_id(&plan.head)?);
        let tree = self.repo.object_id(&plan.merge_tree)?;
        let draft = Draft { tree, parents: &[base, head], author: TOOL, message: &plan.message, at: plan.at };
        let merge = commit::write_commit(&git, &draft)?;
        let kept =
            plan.bookkeeping.as_ref().map(|kept| bookkeeping_commit(&git, merge, tree, kept, plan.at)).transpose()?;
        let tip = kept.flatten().unwrap_or(merge);
        self.make_durable(&git, base, head, merge, tip)?;
        Ok(Landing {
            target: plan.target.clone(),
            base: plan.base.clone(),
            head: plan.head.clone(),
            merge_tree: plan.merge_tree.clone(),
            merge: oid(merge),
            tip: oid(tip),
        })
    }

    /// Syncs everything the landing brings: neither git nor an agent's client synced the story's own objects.
    fn make_durable(
        &self,
        git: &gix::Repository,
        base: ObjectId,
        head: ObjectId,
        merge: ObjectId,
        tip: ObjectId,
    ) -> Result<(), PortError> {
        sync_all(&self.repo, &brought(git, base, head, [merge, tip], MANY)?)
    }
}

/// Ids of what a landing brings: its commits, the story's, and every tree and blob that is new in them; when there are more
/// than `most`, some of them.
pub fn brought(
    git: &gix::Repository,
    base: ObjectId,
    head: ObjectId,
    commits: [ObjectId; 2],
    most: usize,
) -> Result<BTreeSet<ObjectId>, PortError> {
    let mut ids = BTreeSet::from(commits);
    for commit in commits {
        ids.extend(merge::new_objects(git, base, commit)?);
    }
    with_line(git, ids, base, head, most)
}

/// Ids of a story's own commits from `base` to `tip` with everything in them; when there are more than `most`, some of them.
pub fn line(
    git: &gix::Repository,
    base: ObjectId,
    tip: ObjectId,
    most: usize,
) -> Result<BTreeSet<ObjectId>, PortError> {
    with_line(git, BTreeSet::from([tip]), base, tip, most)
}

/// Adds a story's own commits from `base` to `head` with everything in them; ends early beyond `most`.
fn with_line(
    git: &gix::Repository,
    mut ids: BTreeSet<ObjectId>,
    base: ObjectId,
    head: ObjectId,
    most: usize,
) -> Result<BTreeSet<ObjectId>, PortError> {
    for id in new_commits(git, base, head)? {
        if ids.len() > most {
            break;
        }
        ids.insert(id);
        let parent = git.find_commit(id).ok().and_then(|commit| commit.parent_ids().next().map(gix::Id::detach));
        ids.extend(merge::new_objects(git, parent.unwrap_or(base), id)?);
    }
    Ok(ids)
}

/// Syncs a story's own commits from `base` to `tip` with everything in them.
pub(super) fn sync_line(repo: &Repo, git: &gix::Repository, base: ObjectId, tip: ObjectId) -> Result<(), PortError> {
    sync_all(repo, &line(git, base, tip, MANY)?)
}

/// Syncs objects one by one, or everything where they are many.
fn sync_all(repo: &Repo, ids: &BTreeSet<ObjectId>) -> Result<(), PortError> {
    if ids.len() > MANY {
        return settle::sync_all_around(&repo.common_dir().join("objects"));
    }
    commit::sync_objects(repo, ids)
}

#[async_trait(?Send)]
impl Lander for GitLander {
    async fn tip(&self, branch: &BranchRef) -> Result<Option<Oid>, PortError> {
        refs::tip(&self.repo, branch.as_str())
    }

    async fn tree(&self, commit: &Oid) -> Result<Oid, PortError> {
        Ok(oid(commit::tree_of(&self.repo.gix(), self.repo.object_id(commit)?)?))
    }

    async fn merge(&self, base: &Oid, head: &Oid) -> Result<Merged, PortError> {
        let (repo, base, head) = (self.repo.clone(), self.repo.object_id(base)?, self.repo.object_id(head)?);
        apart(move || merge::merge(&repo.gix(), base, head)).await
    }

    async fn same_change(&self, from: (&Oid, &Oid), to: (&Oid, &Oid)) -> Result<bool, PortError> {
        let id = |oid: &Oid| self.repo.object_id(oid);
        let (from, to) = ((id(from.0)?, id(from.1)?), (id(to.0)?, id(to.1)?));
        let repo = self.repo.clone();
        apart(move || merge::same_change(&repo.gix(), from, to)).await
    }

    async fn person_authors(&self, base: &Oid, head: &Oid) -> Result<Vec<Principal>, PortError> {
        let (this, base, head) = (self.clone(), base.clone(), head.clone());
        apart(move || this.persons(&base, &head)).await
    }

    async fn signatures(
        &self,
        base: &Oid,
        policy: &Policy,
        key: &ItemKey,
        state: &ItemState,
    ) -> Result<Signatures, PortError> {
        let (repo, base, policy, key) = (self.repo.clone(), base.clone(), policy.clone(), key.clone());
        let state = state.clone();
        apart(move || signing::known(&repo, &base, &policy, &key, &state)).await
    }

    async fn changes(&self, base: &Oid, head: &Oid) -> Result<Changes, PortError> {
        let (repo, base, head) = (self.repo.clone(), self.repo.object_id(base)?, self.repo.object_id(head)?);
        apart(move || {
            let git = repo.gix();
            let commits = new_commits(&git, base, head)?.len();
            let failed = |error| git_error(format!("{base} and {head} have no common history"), error);
            let fork = git.merge_base(base, head).map_err(failed)?.map_or(base, gix::Id::detach);
            Ok(Changes { commits, files: merge::changes(&git, fork, head)?.len() })
        })
        .await
    }

    async fn leak(&self, base: &Oid, head: &Oid) -> Result<Option<Leak>, PortError> {
        let (this, base, head) = (self.clone(), self.repo.object_id(base)?, self.repo.object_id(head)?);
        apart(move || leak::find(&this.repo, base, head, &this.redactor)).await
    }

    async fn build(&self, plan: &LandingPlan) -> Result<Landing, PortError> {
        let (this, plan) = (self.clone(), plan.clone());
        apart(move || this.build_now(&plan)).await
    }

    async fn candidate(&self, base: &Oid, head: &Oid, tree: &Oid) -> Result<Oid, PortError> {
        let parents = [self.repo.object_id(base)?, self.repo.object_id(head)?];
        let tree = self.repo.object_id(tree)?;
        let message = "Candidate for checks";
        // A fixed time: the same candidate is the same commit.
        let draft = Draft { tree, parents: &parents, author: TOOL, message, at: Timestamp(0) };
        Ok(oid(commit::write_commit(&self.repo.gix(), &draft)?))
    }

    async fn obstacle(&self, branch: &BranchRef, from: &Oid, to: &Oid) -> Result<Option<String>, PortError> {
        let (repo, branch, from, to) = (self.repo.clone(), branch.clone(), from.clone(), to.clone());
        apart(move || follow::obstacle(&repo, &branch, &from, &to)).await
    }

    async fn follow(&self, branch: &BranchRef, from: &Oid, to: &Oid) -> Result<(), PortError> {
        let (repo, branch, from, to) = (self.repo.clone(), branch.clone(), from.clone(), to.clone());
        apart(move || follow::follow(&repo, &branch, &from, &to)).await
    }

    async fn gained(&self, from: &Oid, to: &Oid) -> Result<Vec<Gained>, PortError> {
        let (repo, from, to) = (self.repo.clone(), self.repo.object_id(from)?, self.repo.object_id(to)?);
        apart(move || gained(&repo, from, to)).await
    }

    async fn same_policy(&self, one: &Oid, other: &Oid) -> Result<bool, PortError> {
        let version = |commit: &Oid| -> Result<_, PortError> {
            let file = content::file_at(&self.repo, commit, config::FILE)?;
            let (policy, findings) = config::policy(config::FILE, file.as_deref());
            let readable = findings.iter().all(|finding| finding.severity != Severity::Error);
            Ok(readable.then_some(policy.version))
        };
        let (one, other) = (version(one)?, version(other)?);
        Ok(one.is_some() && one == other)
    }

    async fn contains(&self, commit: &Oid, ancestor: &Oid) -> Result<bool, PortError> {
        let (repo, commit, ancestor) =
            (self.repo.clone(), self.repo.object_id(commit)?, self.repo.object_id(ancestor)?);
        apart(move || commit::contains(&repo.gix(), commit, ancestor)).await
    }
}

/// Commits reachable from `head` and not from `base`.
pub(super) fn new_commits(git: &gix::Repository, base: ObjectId, head: ObjectId) -> Result<Vec<ObjectId>, PortError> {
    let failed = |error| git_error(format!("cannot walk from {head}"), error);
    let walk = git.rev_walk([head]).with_hidden([base]).all().map_err(failed)?;
    walk.map(|info| info.map(|info| info.id).map_err(|error| PortError::new("cannot walk the history").because(error)))
        .collect()
}

/// What a branch gained, commit by commit.
fn gained(repo: &Repo, from: ObjectId, to: ObjectId) -> Result<Vec<Gained>, PortError> {
    let git = repo.gix();
    let failed = |error| git_error(format!("cannot read what came with {to}"), error);
    // A remote-tracking name that leads nowhere hides nothing.
    let remote = refs::list_in(&git, "refs/remotes/")?.into_iter().filter_map(|(_, tip)| repo.object_id(&tip).ok());
    let mut known: Vec<ObjectId> = remote.filter(|tip| git.find_commit(*tip).is_ok()).collect();
    known.push(from);
    let walk = git.rev_walk([to]).with_hidden(known).all().map_err(failed)?;
    let fresh = walk.map(|info| info.map(|info| info.id)).collect::<Result<BTreeSet<_>, _>>();
    let fresh = fresh.map_err(|error| PortError::new("cannot walk the history").because(error))?;
    let mut all = Vec::new();
    for id in new_commits(&git, from, to)? {
        let commit = git.find_commit(id).map_err(failed)?;
        let agent = |who: Result<gix::actor::SignatureRef<'_>, gix::Error>| {
            who.is_ok_and(|who| who.email.trim_ascii() == AGENT_ADDRESS.as_bytes())
        };
        all.push(Gained {
            oid: oid(id),
            tree: oid(commit.tree_id().map_err(failed)?),
            parents: commit.parent_ids().map(oid).collect(),
            by_agent: agent(commit.author()) || agent(commit.committer()),
            names_story: names_story(commit.message_raw().map_err(failed)?),
            published: !fresh.contains(&id),
        });
    }
    Ok(all)
}

/// Whether the last paragraph of a message has a `Story:` line.
fn names_story(message: &[u8]) -> bool {
    let text = String::from_utf8_lossy(message);
    let last = text.trim_end().rsplit("\n\n").next().unwrap_or_default();
    text.trim_end().contains("\n\n") && last.lines().any(|line| line.starts_with("Story: "))
}

/// The commit that writes status and review into a story file on top of `on`, durable; `None` when there is no such file or
/// nothing to change. Moves nothing.
pub fn write_back(repo: &Repo, on: &Oid, kept: &Bookkeeping, at: Timestamp) -> Result<Option<Oid>, PortError> {
    let git = repo.gix();
    let on = repo.object_id(on)?;
    let Some(made) = bookkeeping_commit(&git, on, commit::tree_of(&git, on)?, kept, at)? else { return Ok(None) };
    let mut ids = merge::new_objects(&git, on, made)?;
    ids.insert(made);
    commit::sync_objects(repo, &ids)?;
    Ok(Some(oid(made)))
}

/// The commit that writes status and review into the story file; `None` when there is no such file or nothing to change.
fn bookkeeping_commit(
    git: &gix::Repository,
    merge: ObjectId,
    tree: ObjectId,
    kept: &Bookkeeping,
    at: Timestamp,
) -> Result<Option<ObjectId>, PortError> {
    let failed = |error| git_error(format!("cannot write {}", kept.path.escape_debug()), error);
    let root = git.find_tree(tree).map_err(failed)?;
    let Some(entry) = root.lookup_entry_by_path(&kept.path).map_err(failed)? else { return Ok(None) };
    let kind = entry.mode().kind();
    if !matches!(kind, EntryKind::Blob | EntryKind::BlobExecutable) {
        return Ok(None);
    }
    let before = git.find_blob(entry.object_id()).map_err(failed)?;
    let after = bookkeep(&before.data, DONE, &kept.review_lines);
    if after == before.data {
        return Ok(None);
    }
    let blob = git.write_blob(&after).map_err(failed)?;
    let mut editor = git.edit_tree(tree).map_err(failed)?;
    editor.upsert(kept.path.as_str(), kind, blob).map_err(failed)?;
    let written = editor.write().map_err(failed)?.detach();
    let draft = Draft { tree: written, parents: &[merge], author: TOOL, message: &kept.message, at };
    commit::write_commit(git, &draft).map(Some)
}
