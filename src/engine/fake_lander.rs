//! The git ports on the repository in memory. Must not decide anything; every error is one that a test asked for.

use std::path::Path;

use async_trait::async_trait;

use super::fake_git::{FakeGit, Files, Repo};
use super::ports::{
    Changes, Guard, Lander, LandingPlan, Looked, Merged, PortError, Prepared, Retired, Surroundings, WorktreeSpec,
    WorktreeState, Worktrees,
};
use crate::domain::event::Landing;
use crate::domain::names::{BranchRef, ItemKey, Oid, Principal, Timestamp};
use crate::domain::policy::Policy;
use crate::domain::state::ItemState;
use crate::domain::statement::{Signatures, Unverified, Verified};
use crate::domain::tamper::{Gained, Words};

/// Marks authors that are agents.
const AGENT: &str = "<git-orchestrate-agent@localhost>";

impl FakeGit {
    fn ask(&self, call: &'static str) -> Result<(), PortError> {
        match self.repo().broken.get(call) {
            Some(message) => Err(PortError::new(message.clone())),
            None => Ok(()),
        }
    }
}

#[async_trait(?Send)]
impl Worktrees for FakeGit {
    async fn prepare(&self, spec: &WorktreeSpec) -> Result<Prepared, PortError> {
        self.ask("prepare")?;
        let mut repo = self.repo();
        let branch = spec.branch.as_str().to_owned();
        let existed = repo.refs.contains_key(&branch);
        let head = repo.refs.entry(branch).or_insert_with(|| spec.start.clone()).clone();
        let adopted = existed && repo.desks.contains_key(&spec.path);
        if !adopted {
            let files = repo.files(&head);
            let desk = super::fake_git::Desk { branch: Some(spec.branch.clone()), detached: None, files };
            repo.desks.insert(spec.path.clone(), desk);
            *repo.made.entry(spec.path.clone()).or_default() += 1;
        }
        Ok(Prepared { head, adopted, copied: Vec::new(), uv: false })
    }

    async fn inspect(&self, spec: &WorktreeSpec) -> Result<WorktreeState, PortError> {
        self.ask("inspect")?;
        let repo = self.repo();
        let gone = || PortError::new(format!("{} does not exist", spec.path.display()));
        let head = repo.head(&spec.path).ok_or_else(gone)?;
        let desk = repo.desks.get(&spec.path).ok_or_else(gone)?;
        let dirty = Repo::diff(&repo.files(&head), &desk.files).into_keys().collect();
        let tree = repo.commits[&head].tree.clone();
        Ok(WorktreeState { head, tree, on_branch: desk.detached.is_none(), dirty })
    }

    async fn commit_all(&self, spec: &WorktreeSpec, message: &str, author: &str) -> Result<Option<Oid>, PortError> {
        self.ask("commit_all")?;
        Ok(self.repo().commit_desk(&spec.path, author, message))
    }

    async fn settle(&self, _: &WorktreeSpec) -> Result<(), PortError> {
        self.ask("settle")
    }

    async fn check_out(&self, commit: &Oid, path: &Path) -> Result<(), PortError> {
        self.ask("check_out")?;
        let mut repo = self.repo();
        let files = repo.files(commit);
        let desk = super::fake_git::Desk { branch: None, detached: Some(commit.clone()), files };
        repo.desks.insert(path.to_owned(), desk);
        Ok(())
    }

    async fn discard(&self, path: &Path) -> Result<(), PortError> {
        self.ask("discard")?;
        self.repo().desks.remove(path);
        Ok(())
    }

    async fn retire(&self, spec: &WorktreeSpec, merged_into: Option<&Oid>) -> Result<Retired, PortError> {
        self.ask("retire")?;
        let mut repo = self.repo();
        let mut retired = Retired::default();
        if let (Some(head), Some(desk)) = (repo.head(&spec.path), repo.desks.get(&spec.path).cloned()) {
            if repo.files(&head) != desk.files {
                let kept = repo.commit(desk.files, vec![head], "tool <tool@localhost>", "rescue");
                let name = format!("refs/orchestrate/rescue/{}", kept.short());
                repo.refs.insert(name.clone(), kept);
                retired.rescue = Some(name);
            }
            repo.desks.remove(&spec.path);
        }
        let tip = repo.refs.get(spec.branch.as_str()).cloned();
        if let (Some(tip), Some(merged)) = (tip, merged_into)
            && repo.ancestors(merged).contains(&tip)
        {
            repo.refs.remove(spec.branch.as_str());
            retired.branch_deleted = true;
        }
        Ok(retired)
    }

    async fn keep(&self, _: &str, commit: &Oid) -> Result<String, PortError> {
        self.ask("keep")?;
        let name = format!("refs/orchestrate/rescue/{}", commit.short());
        self.repo().refs.insert(name.clone(), commit.clone());
        Ok(name)
    }
}

impl Surroundings for FakeGit {
    fn programs(&self) -> Result<Words, PortError> {
        self.ask("programs")?;
        Ok(self.repo().programs.clone())
    }

    fn ties(&self, _: &WorktreeSpec) -> Result<Words, PortError> {
        self.ask("ties")?;
        Ok(Words::new())
    }
}

/// Finds everything sound, unless the test says what it finds.
#[async_trait(?Send)]
impl Guard for FakeGit {
    async fn look(&self, _: &BranchRef, _: &Oid, _: Timestamp) -> Result<Looked, PortError> {
        Ok(match self.ask("look") {
            Ok(()) => Looked::Sound { merged: Vec::new() },
            Err(found) => Looked::Breached { records: Vec::new(), sentence: found.message },
        })
    }

    fn trust(&self, _: &BranchRef, _: &Oid) {}
}

#[async_trait(?Send)]
impl Lander for FakeGit {
    async fn tip(&self, branch: &BranchRef) -> Result<Option<Oid>, PortError> {
        self.ask("tip")?;
        Ok(self.repo().refs.get(branch.as_str()).cloned())
    }

    async fn tree(&self, commit: &Oid) -> Result<Oid, PortError> {
        self.ask("tree")?;
        Ok(self.repo().commits[commit].tree.clone())
    }

    async fn merge(&self, base: &Oid, head: &Oid) -> Result<Merged, PortError> {
        self.ask("merge")?;
        let mut repo = self.repo();
        Ok(match repo.merge(base, head) {
            Ok(files) => Merged::Clean { tree: repo.tree(files) },
            Err(paths) => Merged::Conflict { paths },
        })
    }

    async fn same_change(&self, from: (&Oid, &Oid), to: (&Oid, &Oid)) -> Result<bool, PortError> {
        self.ask("same_change")?;
        let repo = self.repo();
        let change = |(base, tree): (&Oid, &Oid)| Repo::diff(&repo.files(base), &repo.trees[tree]);
        Ok(change(from) == change(to))
    }

    async fn person_authors(&self, base: &Oid, head: &Oid) -> Result<Vec<Principal>, PortError> {
        self.ask("person_authors")?;
        let repo = self.repo();
        let persons = repo.range(base, head).into_iter().filter(|commit| !commit.author.ends_with(AGENT));
        let email = |author: &str| author.rsplit('<').next().unwrap_or(author).trim_end_matches('>').to_owned();
        Ok(persons.map(|commit| Principal::Person(email(&commit.author))).collect())
    }

    async fn signatures(
        &self,
        _: &Oid,
        policy: &Policy,
        _: &ItemKey,
        state: &ItemState,
    ) -> Result<Signatures, PortError> {
        self.ask("signatures")?;
        let Some(review) = state.reviews.last().filter(|_| policy.signatures_required) else {
            return Ok(Signatures::unknown());
        };
        let Some(signature) = &review.signature else { return Ok(Signatures::unknown()) };
        let signer = review.reviewer.to_string().replace("person:", "");
        let found = match signature.armored.as_str() {
            "good" => Ok(Verified { principal: signer, fingerprint: signature.key.clone() }),
            _ => Err(Unverified::Altered),
        };
        Ok(Signatures::unknown().with(review, found))
    }

    async fn changes(&self, base: &Oid, head: &Oid) -> Result<Changes, PortError> {
        self.ask("changes")?;
        let repo = self.repo();
        let files = Repo::diff(&repo.merge_base(base, head), &repo.files(head)).len();
        Ok(Changes { commits: repo.range(base, head).len(), files })
    }

    async fn build(&self, plan: &LandingPlan) -> Result<Landing, PortError> {
        self.ask("build")?;
        let mut repo = self.repo();
        let parents = vec![plan.base.clone(), plan.head.clone()];
        let merge = repo.commit_tree(plan.merge_tree.clone(), parents, "tool <tool@localhost>", &plan.message);
        let tip = match &plan.bookkeeping {
            None => merge.clone(),
            Some(bookkeeping) => {
                let mut files: Files = repo.trees[&plan.merge_tree].clone();
                let story = files.entry(bookkeeping.path.clone()).or_default();
                story.push_str(&bookkeeping.review_lines.join("\n"));
                repo.commit(files, vec![merge.clone()], "tool <tool@localhost>", &bookkeeping.message)
            }
        };
        Ok(Landing {
            target: plan.target.clone(),
            base: plan.base.clone(),
            head: plan.head.clone(),
            merge_tree: plan.merge_tree.clone(),
            merge,
            tip,
        })
    }

    async fn candidate(&self, base: &Oid, head: &Oid, tree: &Oid) -> Result<Oid, PortError> {
        self.ask("candidate")?;
        let parents = vec![base.clone(), head.clone()];
        Ok(self.repo().commit_tree(tree.clone(), parents, "tool <tool@localhost>", "candidate"))
    }

    async fn obstacle(&self, _: &BranchRef, _: &Oid, _: &Oid) -> Result<Option<String>, PortError> {
        self.ask("obstacle")?;
        Ok(self.repo().obstacle.clone())
    }

    async fn follow(&self, _: &BranchRef, from: &Oid, to: &Oid) -> Result<(), PortError> {
        self.ask("follow")?;
        self.repo().followed.push((from.clone(), to.clone()));
        Ok(())
    }

    async fn gained(&self, from: &Oid, to: &Oid) -> Result<Vec<Gained>, PortError> {
        self.ask("gained")?;
        let repo = self.repo();
        let old = repo.ancestors(from);
        let gained = |oid: &Oid| {
            let commit = &repo.commits[oid];
            Gained {
                oid: oid.clone(),
                tree: commit.tree.clone(),
                parents: commit.parents.clone(),
                by_agent: commit.author.ends_with(AGENT),
                names_story: commit.message.contains("\nStory: "),
                published: false,
            }
        };
        Ok(repo.ancestors(to).iter().filter(|oid| !old.contains(*oid)).map(gained).collect())
    }

    async fn same_policy(&self, one: &Oid, other: &Oid) -> Result<bool, PortError> {
        self.ask("same_policy")?;
        let repo = self.repo();
        let policy = |commit: &Oid| repo.files(commit).get(".orchestrate.toml").cloned();
        Ok(policy(one) == policy(other))
    }

    async fn contains(&self, commit: &Oid, ancestor: &Oid) -> Result<bool, PortError> {
        self.ask("contains")?;
        Ok(self.repo().ancestors(commit).contains(ancestor))
    }
}
