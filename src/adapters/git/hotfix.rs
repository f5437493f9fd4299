//! What a hotfix changes, as objects say it: its lines, and whose commits and stories are in it. Attributes, configuration
//! and replace refs have no say, and a rename is what it is made of. Must not judge.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use gix::ObjectId;
use gix::bstr::{BString, ByteSlice};

use super::admin::{self, Head};
use super::commit::{AGENT_ADDRESS, TOOL_ADDRESS, tree_of};
use super::landing::new_commits;
use super::merge::{self, FileChange, Side};
use super::refs;
use super::repo::{Repo, git_error, oid};
use crate::domain::hotfix::{Beyond, BeyondLines, Change, Disguise, Merge, Sign};
use crate::domain::names::{BranchRef, ItemKey, Oid};
use crate::domain::state::ItemState;
use crate::engine::ports::{Merged, PortError};

/// Where branches of stories lie, recorded ones and others.
const STORY_BRANCHES: &str = "refs/heads/story/";

/// Larger files are not compared line by line: 16 MiB.
const LARGE: u64 = 16 * 1024 * 1024;

/// What files of a commit or of a whole branch change.
type Patch = BTreeMap<BString, FileChange>;

/// A story that a hotfix must not carry.
struct Story {
    name: String,
    branches: BTreeSet<String>,
    /// Its commits outside the protected branch.
    own: BTreeSet<ObjectId>,
    /// What it changes: as a whole, and commit by commit.
    patches: Vec<Patch>,
}

/// A look at one hotfix.
struct Survey<'a> {
    repo: &'a Repo,
    git: gix::Repository,
    base: ObjectId,
}

/// The branch that is checked out where the command was called; `None` when HEAD is detached.
pub fn current_branch(repo: &Repo, here: &Path) -> Result<Option<BranchRef>, PortError> {
    let mut head = admin::main_head(repo);
    if repo.invoked_from_linked_worktree() {
        let entries = admin::entries(repo)?;
        let around = |path: &Path| path.canonicalize().is_ok_and(|path| here.starts_with(path));
        // Of worktrees inside one another the innermost.
        let entry = entries.into_iter().filter(|entry| entry.path.as_deref().is_some_and(around));
        let inner = entry.max_by_key(|entry| entry.path.as_ref().map_or(0, |path| path.components().count()));
        if let Some(entry) = inner {
            head = entry.head;
        }
    }
    match head {
        Head::Branch(branch) => Ok(Some(branch)),
        _ => Ok(None),
    }
}

/// What merging would give.
pub fn merge_of(repo: &Repo, base: &Oid, head: &Oid) -> Result<Merge, PortError> {
    let git = plain(repo);
    let (base, head) = (repo.object_id(base)?, repo.object_id(head)?);
    if fork(&git, base, head)?.is_none() {
        return Ok(Merge::Unrelated);
    }
    Ok(match merge::merge(&git, base, head)? {
        Merged::Clean { tree } => Merge::Clean(tree),
        Merged::Conflict { paths } => Merge::Conflict(paths),
    })
}

/// What the hotfix branch `source` at `head` would change on a branch at `base`.
pub fn change(
    repo: &Repo,
    source: &BranchRef,
    (base, head): (&Oid, &Oid),
    merge: &Merge,
    items: &BTreeMap<ItemKey, ItemState>,
) -> Result<Change, PortError> {
    let survey = Survey { repo, git: plain(repo), base: repo.object_id(base)? };
    let head = repo.object_id(head)?;
    let whole = survey.whole(head)?;
    let mut change = survey.size(&whole)?;
    if let Merge::Clean(tree) = merge {
        // What lands is what counts, also where following a rename makes more of it.
        let landing = survey.size(&merge::changes(&survey.git, survey.base, repo.object_id(tree)?)?)?;
        change.lines = change.lines.max(landing.lines);
        change.beyond.extend(landing.beyond);
        change.beyond.sort();
        change.beyond.dedup();
    }
    let commits = new_commits(&survey.git, survey.base, head)?;
    let mut patches = vec![whole];
    for commit in &commits {
        patches.extend(survey.patch(*commit)?);
        if survey.is_ours(*commit)? {
            change.ours.push(oid(commit));
        }
        let trailer = survey.story_trailer(*commit)?;
        change.disguises.extend(trailer.map(|story| Disguise { story, sign: Sign::Trailer(oid(commit)) }));
    }
    for story in survey.stories(items)? {
        let sign = survey.sign(&story, source, &commits, &patches)?;
        change.disguises.extend(sign.map(|sign| Disguise { story: story.name, sign }));
    }
    Ok(change)
}

/// A handle that sees objects as they are, whatever refs/replace/ says.
fn plain(repo: &Repo) -> gix::Repository {
    let mut git = repo.gix();
    git.objects.ignore_replacements = true;
    git
}

fn fork(git: &gix::Repository, base: ObjectId, head: ObjectId) -> Result<Option<ObjectId>, PortError> {
    let bases = git.merge_bases_many(base, &[head]);
    let bases = bases.map_err(|error| git_error(format!("cannot compare {base} and {head}"), error))?;
    Ok(bases.first().map(|base| base.detach()))
}

impl Survey<'_> {
    /// What a branch changes as a whole.
    fn whole(&self, head: ObjectId) -> Result<Patch, PortError> {
        match fork(&self.git, self.base, head)? {
            Some(fork) => merge::changes(&self.git, fork, head),
            None => self.against_nothing(head),
        }
    }

    /// What a commit changes; nothing for a merge, whose sides have patches of their own.
    fn patch(&self, commit: ObjectId) -> Result<Option<Patch>, PortError> {
        let parents: Vec<ObjectId> = self.commit(commit)?.parent_ids().map(gix::Id::detach).collect();
        match parents.as_slice() {
            [] => self.against_nothing(commit).map(Some),
            [parent] if self.git.has_object(*parent) => merge::changes(&self.git, *parent, commit).map(Some),
            _ => Ok(None),
        }
    }

    fn against_nothing(&self, commit: ObjectId) -> Result<Patch, PortError> {
        let empty = ObjectId::empty_tree(self.git.object_hash());
        merge::changes(&self.git, empty, tree_of(&self.git, commit)?)
    }

    fn size(&self, patch: &Patch) -> Result<Change, PortError> {
        let mut size = Change::default();
        for (path, change) in patch {
            match self.lines(change)? {
                Ok(lines) => size.lines = size.lines.saturating_add(lines),
                Err(what) => size.beyond.push(Beyond { path: path.to_string(), what }),
            }
        }
        Ok(size)
    }

    /// Added and removed lines of a file; one for an empty file that comes or goes.
    fn lines(&self, change: &FileChange) -> Result<Result<u32, BeyondLines>, PortError> {
        let sides = [change.old, change.new];
        if sides.iter().flatten().any(|(mode, _)| mode.is_commit()) {
            return Ok(Err(BeyondLines::Submodule));
        }
        if let [Some((old, _)), Some((new, _))] = sides
            && old != new
        {
            return Ok(Err(BeyondLines::Mode));
        }
        for (_, id) in sides.into_iter().flatten() {
            let header = self.git.find_header(id).map_err(|error| git_error(format!("cannot read {id}"), error))?;
            if header.size() > LARGE {
                return Ok(Err(BeyondLines::Large));
            }
        }
        let counted = merge::changed_lines(&self.git, change)?;
        Ok(counted.map(|lines| lines.max(1)).ok_or(BeyondLines::Binary))
    }

    /// Whether an agent or the tool made a commit.
    fn is_ours(&self, commit: ObjectId) -> Result<bool, PortError> {
        let failed = |error| git_error(format!("cannot read commit {commit}"), error);
        let found = self.commit(commit)?;
        let addresses = [found.author().map_err(failed)?.email, found.committer().map_err(failed)?.email];
        let ours = |address: &&gix::bstr::BStr| {
            let address = address.trim_ascii();
            address.eq_ignore_ascii_case(AGENT_ADDRESS.as_bytes())
                || address.eq_ignore_ascii_case(TOOL_ADDRESS.as_bytes())
        };
        Ok(addresses.iter().any(ours))
    }

    /// The story that the last paragraph of a commit's message names.
    fn story_trailer(&self, commit: ObjectId) -> Result<Option<String>, PortError> {
        let found = self.commit(commit)?;
        let message = found.message_raw().map_err(|error| git_error(format!("cannot read commit {commit}"), error))?;
        let text = message.to_str_lossy();
        let lines: Vec<&str> = text.trim_end().lines().collect();
        let mut last = lines.iter().rev().take_while(|line| !line.trim().is_empty());
        let value = |line: &&str| {
            let (name, value) = line.split_once(':')?;
            (name.trim().eq_ignore_ascii_case("story") && !value.trim().is_empty()).then(|| value.trim().to_owned())
        };
        Ok(last.find_map(value))
    }

    /// Every story with commits outside the branch: those on record, and branches that look like one.
    fn stories(&self, items: &BTreeMap<ItemKey, ItemState>) -> Result<Vec<Story>, PortError> {
        let mut stories = Vec::new();
        let mut known = BTreeSet::new();
        for (key, state) in items {
            let Some(attempt) = &state.attempt else { continue };
            let branch = attempt.branch.as_str().to_owned();
            known.insert(branch.clone());
            let tip = refs::tip_in(&self.git, &branch)?;
            let tips = tip.into_iter().chain(state.reviews.iter().map(|review| review.head.clone()));
            stories.push(self.story(key.to_string(), branch, tips, Some(&attempt.base))?);
        }
        for (branch, tip) in refs::list_in(&self.git, STORY_BRANCHES)? {
            if !known.contains(&branch) {
                let name = branch.strip_prefix("refs/heads/").unwrap_or(&branch).to_owned();
                stories.push(self.story(name, branch, std::iter::once(tip), None)?);
            }
        }
        Ok(stories)
    }

    fn story(
        &self,
        name: String,
        branch: String,
        tips: impl Iterator<Item = Oid>,
        start: Option<&Oid>,
    ) -> Result<Story, PortError> {
        let start = start.map(|start| self.repo.object_id(start)).transpose()?;
        let start = start.filter(|start| self.git.has_object(*start));
        let mut story = Story { name, branches: BTreeSet::from([branch]), own: BTreeSet::new(), patches: Vec::new() };
        for tip in tips.collect::<BTreeSet<Oid>>() {
            let tip = self.repo.object_id(&tip)?;
            if !self.git.has_object(tip) {
                continue;
            }
            let since = new_commits(&self.git, start.unwrap_or(self.base), tip)?;
            let open: BTreeSet<ObjectId> = new_commits(&self.git, self.base, tip)?.into_iter().collect();
            let own: Vec<ObjectId> = since.into_iter().filter(|commit| open.contains(commit)).collect();
            if own.is_empty() {
                continue;
            }
            story.patches.push(self.whole(tip)?);
            for commit in own {
                if story.own.insert(commit) {
                    story.patches.extend(self.patch(commit)?);
                }
            }
        }
        Ok(story)
    }

    /// How a story shows in the hotfix, if it does.
    fn sign(
        &self,
        story: &Story,
        source: &BranchRef,
        commits: &[ObjectId],
        patches: &[Patch],
    ) -> Result<Option<Sign>, PortError> {
        if story.branches.contains(source.as_str()) {
            return Ok(Some(Sign::Branch));
        }
        if let Some(commit) = commits.iter().find(|commit| story.own.contains(*commit)) {
            return Ok(Some(Sign::Commit(oid(commit))));
        }
        for (path, change) in patches.iter().flatten() {
            for theirs in story.patches.iter().filter_map(|patch| patch.get(path)) {
                if self.is_same(change, theirs)? {
                    return Ok(Some(Sign::Content(path.to_string())));
                }
            }
        }
        Ok(None)
    }

    /// Whether two changes of a file come to the same: the same content after, or the same lines with their context.
    fn is_same(&self, one: &FileChange, two: &FileChange) -> Result<bool, PortError> {
        let blob = |side: Side| side.map(|(_, id)| id);
        let after = blob(one.new).is_some() && blob(one.new) == blob(two.new) && blob(one.old) != blob(one.new);
        Ok(after || one == two || merge::same_text(&self.git, one, two)?)
    }

    fn commit(&self, commit: ObjectId) -> Result<gix::Commit<'_>, PortError> {
        self.git.find_commit(commit).map_err(|error| git_error(format!("cannot read commit {commit}"), error))
    }
}
