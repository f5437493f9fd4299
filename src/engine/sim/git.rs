//! Merging, worktrees and what surrounds them on the simulated machine. Must keep the contracts of the ports: whatever is
//! half done by a death is taken up by the next call.

use std::path::Path;

use async_trait::async_trait;

use super::disk::{By, Files, differences};
use super::sabotage::Sabotage;
use super::world::{Desk, Gone, Handle, MAIN, World, append};
use crate::domain::event::Landing;
use crate::domain::names::{BranchRef, ItemKey, Oid, Principal, Timestamp};
use crate::domain::policy::Policy;
use crate::domain::state::ItemState;
use crate::domain::statement::Signatures;
use crate::domain::tamper::{Gained, Words};
use crate::engine::ports::{
    Changes, Guard, Lander, LandingPlan, Looked, Merged, PortError, Prepared, Retired, Surroundings, WorktreeSpec,
    WorktreeState, Worktrees,
};

/// Git as one orchestrator uses it.
pub(super) struct SimGit(pub(super) Handle);

fn gone(path: &Path) -> PortError {
    PortError::new(format!("{} does not exist", path.display()))
}

/// The story that a message names.
fn story_in(message: &str) -> Option<ItemKey> {
    message.lines().find_map(|line| line.strip_prefix("Story: ")).map(ItemKey::new)
}

/// Files of a directory as a commit on top of its HEAD; `None` when nothing differs.
fn commit_desk(world: &mut World, path: &Path, by: By, story: Option<&ItemKey>, note: &str) -> Option<Oid> {
    let head = world.head(path)?;
    let files = world.desks.get(path)?.files.clone();
    if differences(&world.disk.files(&head), &files).is_empty() {
        return None;
    }
    let tree = world.disk.tree(files);
    Some(world.disk.commit(&tree, &[head], by, story, note))
}

/// An agent commits everything in its directory. Git syncs the objects, other programs do not, and nobody syncs the ref.
pub(super) fn commit_by_agent(world: &mut World, path: &Path) {
    let note = format!("work {}", world.number());
    let Some(made) = commit_desk(world, path, By::Agent, None, &note) else { return };
    if world.dice.chance(75) {
        world.disk.sync_commits(world.disk.find(&made));
    }
    if let Some(branch) = world.desks.get(path).and_then(|desk| desk.branch.clone()) {
        world.disk.set(&branch, Some(made));
    }
}

/// An agent merges the target into its directory and keeps both sides of a conflict.
pub(super) fn merge_by_agent(world: &mut World, path: &Path) {
    commit_by_agent(world, path);
    let (Some(head), Some(main)) = (world.head(path), world.disk.tip(MAIN).cloned()) else { return };
    if world.disk.contains(&head, &main) {
        return;
    }
    let files = match world.disk.merge(&main, &head) {
        Ok(files) => files,
        Err(conflicts) => {
            let (ours, theirs) = (world.disk.files(&head), world.disk.files(&main));
            let mut files: Files = (*theirs).clone();
            files.extend(ours.iter().map(|(path, text)| (path.clone(), text.clone())));
            for path in conflicts {
                let line = ours.get(&path).map_or(String::new(), |text| text.to_string());
                let before = theirs.get(&path).cloned().unwrap_or_else(|| "".into());
                files.insert(path.clone(), before);
                append(&mut files, &path, &line);
            }
            files
        }
    };
    let tree = world.disk.tree(files.clone());
    let made = world.disk.commit(&tree, &[head, main], By::Agent, None, "merge the target");
    let Some(desk) = world.desks.get_mut(path) else { return };
    desk.files = files;
    if let Some(branch) = desk.branch.clone() {
        world.disk.set(&branch, Some(made));
    }
}

fn rescue(world: &mut World, pid: u32, commit: &Oid) -> Result<String, Gone> {
    let name = format!("refs/orchestrate/rescue/{}", commit.as_str());
    let all: Vec<usize> = world.disk.reach(world.disk.find(commit)).iter().enumerate().filter_map(reached).collect();
    world.disk.sync_commits(all);
    world.disk.set(&name, Some(commit.clone()));
    world.disk.sync_ref(&name);
    world.point(pid, "rescue ref written")?;
    Ok(name)
}

fn reached((number, is): (usize, &bool)) -> Option<usize> {
    is.then_some(number)
}

/// Makes or takes up the branch and the directory of an attempt.
fn prepare(world: &mut World, pid: u32, spec: &WorktreeSpec) -> Result<Prepared, Gone> {
    let branch = spec.branch.as_str();
    let existed = world.disk.tip(branch).is_some();
    if !existed {
        world.disk.set(branch, Some(spec.start.clone()));
        world.point(pid, "branch made")?;
        world.disk.sync_ref(branch);
    }
    if world.sabotaged(Sabotage::LostWorktree) {
        world.desks.remove(&spec.path);
    }
    let head = world.disk.tip(branch).cloned().unwrap_or_else(|| spec.start.clone());
    let adopted = existed && world.desks.get(&spec.path).is_some_and(|desk| !desk.half);
    if !world.desks.contains_key(&spec.path) {
        let desk = Desk { branch: Some(branch.to_owned()), detached: None, files: Files::new(), half: true };
        world.desks.insert(spec.path.clone(), desk);
        world.point(pid, "worktree registered")?;
    }
    let files = world.disk.files(&head);
    if let Some(desk) = world.desks.get_mut(&spec.path).filter(|desk| desk.half) {
        desk.files.clone_from(&files);
        desk.half = false;
    }
    Ok(Prepared { head, adopted, copied: Vec::new(), uv: false })
}

fn retire(world: &mut World, pid: u32, spec: &WorktreeSpec, merged: Option<&Oid>) -> Result<Retired, Gone> {
    let mut retired = Retired::default();
    if let Some(desk) = world.desks.get(&spec.path).cloned() {
        if !desk.half
            && !world.sabotaged(Sabotage::NoRescue)
            && let Some(kept) = commit_desk(world, &spec.path, By::Tool, None, "rescue")
        {
            retired.rescue = Some(rescue(world, pid, &kept)?);
        }
        world.desks.remove(&spec.path);
        world.point(pid, "worktree gone")?;
    }
    let Some(tip) = world.disk.tip(spec.branch.as_str()).cloned() else { return Ok(retired) };
    if let Some(merged) = merged {
        if world.disk.contains(merged, &tip) {
            world.disk.set(spec.branch.as_str(), None);
            retired.branch_deleted = true;
        } else if retired.rescue.is_none() {
            retired.rescue = Some(rescue(world, pid, &tip)?);
        }
    }
    Ok(retired)
}

#[async_trait(?Send)]
impl Worktrees for SimGit {
    async fn prepare(&self, spec: &WorktreeSpec) -> Result<Prepared, PortError> {
        let pid = self.0.pid;
        self.0.act("prepare a worktree", |world| prepare(world, pid, spec).map(Ok)).await
    }

    async fn inspect(&self, spec: &WorktreeSpec) -> Result<WorktreeState, PortError> {
        let look = |world: &World| {
            let desk = world.desks.get(&spec.path).ok_or_else(|| gone(&spec.path))?;
            let head = world.head(&spec.path).ok_or_else(|| gone(&spec.path))?;
            let number = world.disk.find(&head).ok_or_else(|| gone(&spec.path))?;
            let dirty = differences(&world.disk.files(&head), &desk.files);
            let dirty = dirty.iter().map(ToString::to_string).collect();
            let tree = world.disk.at(number).tree.clone();
            Ok(WorktreeState { head, tree, on_branch: desk.detached.is_none(), dirty })
        };
        self.0.ask("inspecting a worktree", look).await
    }

    async fn commit_all(&self, spec: &WorktreeSpec, message: &str, _: &str) -> Result<Option<Oid>, PortError> {
        let pid = self.0.pid;
        let commit = |world: &mut World| {
            if !world.desks.contains_key(&spec.path) {
                return Ok(Err(gone(&spec.path)));
            }
            let made = commit_desk(world, &spec.path, By::Agent, story_in(message).as_ref(), message);
            if let Some(made) = &made {
                world.point(pid, "leftovers written")?;
                world.disk.set(spec.branch.as_str(), Some(made.clone()));
            }
            Ok(Ok(made))
        };
        self.0.act("commit what was left", commit).await
    }

    async fn settle(&self, spec: &WorktreeSpec) -> Result<(), PortError> {
        let sync = |world: &mut World| {
            if !world.sabotaged(Sabotage::Unsettled)
                && let Some(tip) = world.disk.tip(spec.branch.as_str()).cloned()
            {
                let new = world.disk.range(&spec.start, &tip);
                world.disk.sync_commits(new);
                world.disk.sync_ref(spec.branch.as_str());
            }
            Ok(Ok(()))
        };
        self.0.act("settle a branch", sync).await
    }

    async fn check_out(&self, commit: &Oid, path: &Path) -> Result<(), PortError> {
        let make = |world: &mut World| {
            let files = (*world.disk.files(commit)).clone();
            let desk = Desk { branch: None, detached: Some(commit.clone()), files, half: false };
            world.desks.insert(path.to_owned(), desk);
            Ok(Ok(()))
        };
        self.0.act("check out a candidate", make).await
    }

    async fn discard(&self, path: &Path) -> Result<(), PortError> {
        self.0.act("discard a candidate", |world| Ok(Ok(drop(world.desks.remove(path))))).await
    }

    async fn retire(&self, spec: &WorktreeSpec, merged_into: Option<&Oid>) -> Result<Retired, PortError> {
        let pid = self.0.pid;
        self.0.act("retire a worktree", |world| retire(world, pid, spec, merged_into).map(Ok)).await
    }

    async fn keep(&self, _: &str, commit: &Oid) -> Result<String, PortError> {
        let pid = self.0.pid;
        self.0.act("keep a commit", |world| rescue(world, pid, commit).map(Ok)).await
    }
}

impl Surroundings for SimGit {
    fn programs(&self) -> Result<Words, PortError> {
        Ok(Words::new())
    }

    fn ties(&self, _: &WorktreeSpec) -> Result<Words, PortError> {
        Ok(Words::new())
    }
}

#[async_trait(?Send)]
impl Guard for SimGit {
    async fn look(&self, _: &BranchRef, _: &Oid, _: Timestamp) -> Result<Looked, PortError> {
        self.0.ask("looking at the target", |_| Ok(Looked::Sound { merged: Vec::new() })).await
    }

    fn trust(&self, _: &BranchRef, _: &Oid) {}
}

fn build(world: &mut World, pid: u32, plan: &LandingPlan) -> Result<Landing, Gone> {
    let mut tree = plan.merge_tree.clone();
    if world.sabotaged(Sabotage::OtherTree) {
        let mut files = (*world.disk.files_of(&tree)).clone();
        files.insert("smuggled".into(), "1\n".into());
        tree = world.disk.tree(files);
    }
    let story = story_in(&plan.message);
    let parents = [plan.base.clone(), plan.head.clone()];
    let merge = world.disk.commit(&tree, &parents, By::Tool, story.as_ref(), "merge");
    let mut tip = merge.clone();
    if let Some(bookkeeping) = &plan.bookkeeping {
        let mut files = (*world.disk.files_of(&tree)).clone();
        append(&mut files, &bookkeeping.path, "done\n");
        let tree = world.disk.tree(files);
        tip = world.disk.commit(&tree, std::slice::from_ref(&merge), By::Tool, story.as_ref(), "bookkeeping");
    }
    world.point(pid, "landing written")?;
    if !world.sabotaged(Sabotage::UnsyncedLanding) {
        let all = world.disk.range(&plan.base, &tip);
        world.disk.sync_commits(all);
    }
    Ok(Landing {
        target: plan.target.clone(),
        base: plan.base.clone(),
        head: plan.head.clone(),
        merge_tree: plan.merge_tree.clone(),
        merge,
        tip,
    })
}

#[async_trait(?Send)]
impl Lander for SimGit {
    async fn tip(&self, branch: &BranchRef) -> Result<Option<Oid>, PortError> {
        self.0.ask("reading a branch", |world| Ok(world.disk.tip(branch.as_str()).cloned())).await
    }

    async fn tree(&self, commit: &Oid) -> Result<Oid, PortError> {
        let tree = |world: &World| world.disk.find(commit).map(|number| world.disk.at(number).tree.clone());
        let none = || PortError::new(format!("no commit {commit}"));
        self.0.ask("reading a commit", |world| tree(world).ok_or_else(none)).await
    }

    async fn merge(&self, base: &Oid, head: &Oid) -> Result<Merged, PortError> {
        let merge = |world: &mut World| {
            Ok(Ok(match world.disk.merge(base, head) {
                Ok(files) => Merged::Clean { tree: world.disk.tree(files) },
                Err(paths) => Merged::Conflict { paths: paths.iter().map(ToString::to_string).collect() },
            }))
        };
        self.0.act("merge in memory", merge).await
    }

    async fn same_change(&self, from: (&Oid, &Oid), to: (&Oid, &Oid)) -> Result<bool, PortError> {
        let look = |world: &World| {
            let change = |(base, tree): (&Oid, &Oid)| {
                let (old, new) = (world.disk.files(base), world.disk.files_of(tree));
                let side = |path| (old.get(&path).cloned(), new.get(&path).cloned(), path);
                differences(&old, &new).into_iter().map(side).collect::<std::collections::BTreeSet<_>>()
            };
            Ok(change(from) == change(to))
        };
        self.0.ask("comparing changes", look).await
    }

    async fn person_authors(&self, base: &Oid, head: &Oid) -> Result<Vec<Principal>, PortError> {
        let look = |world: &World| {
            let commits = world.disk.range(base, head).into_iter();
            let persons = commits.filter(|number| world.disk.at(*number).by == By::Person);
            Ok(persons.map(|_| Principal::Person("ada@example.org".to_owned())).collect())
        };
        self.0.ask("reading authors", look).await
    }

    async fn signatures(&self, _: &Oid, _: &Policy, _: &ItemKey, _: &ItemState) -> Result<Signatures, PortError> {
        Ok(Signatures::unknown())
    }

    async fn changes(&self, base: &Oid, head: &Oid) -> Result<Changes, PortError> {
        let look = |world: &World| {
            let commits = world.disk.range(base, head).len();
            Ok(Changes { commits, files: world.disk.change(base, head) })
        };
        self.0.ask("counting changes", look).await
    }

    async fn build(&self, plan: &LandingPlan) -> Result<Landing, PortError> {
        let pid = self.0.pid;
        self.0.act("build a landing", |world| build(world, pid, plan).map(Ok)).await
    }

    async fn candidate(&self, base: &Oid, head: &Oid, tree: &Oid) -> Result<Oid, PortError> {
        let parents = [base.clone(), head.clone()];
        self.0
            .act("make a candidate", |world| Ok(Ok(world.disk.commit(tree, &parents, By::Tool, None, "candidate"))))
            .await
    }

    async fn obstacle(&self, _: &BranchRef, _: &Oid, _: &Oid) -> Result<Option<String>, PortError> {
        let look = |world: &World| Ok(world.obstacle.then(|| "a file is edited".to_owned()));
        self.0.ask("looking for obstacles", look).await
    }

    async fn follow(&self, _: &BranchRef, _: &Oid, _: &Oid) -> Result<(), PortError> {
        self.0.act("bring checkouts along", |_| Ok(Ok(()))).await
    }

    async fn contains(&self, commit: &Oid, ancestor: &Oid) -> Result<bool, PortError> {
        self.0.ask("asking for ancestry", |world| Ok(world.disk.contains(commit, ancestor))).await
    }

    async fn gained(&self, from: &Oid, to: &Oid) -> Result<Vec<Gained>, PortError> {
        let look = |world: &World| {
            let gained = |number: usize| {
                let commit = world.disk.at(number);
                let parents = commit.parents.iter().map(|parent| world.disk.at(*parent).oid.clone()).collect();
                let (oid, tree) = (commit.oid.clone(), commit.tree.clone());
                let by_agent = commit.by == By::Agent;
                Gained { oid, tree, parents, by_agent, names_story: commit.story.is_some(), published: false }
            };
            Ok(world.disk.range(from, to).into_iter().map(gained).collect())
        };
        self.0.ask("reading what a branch gained", look).await
    }

    async fn same_policy(&self, _: &Oid, _: &Oid) -> Result<bool, PortError> {
        self.0.ask("comparing policies", |_| Ok(true)).await
    }
}
