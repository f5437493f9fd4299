//! The line of a branch: the commits that a move brings in along first parents, and which stories they belong to. Must
//! write nothing, and must not judge.

use std::collections::{BTreeMap, BTreeSet};

use super::history::CommitFacts;
use super::reader::{BRANCHES, Reader};
use crate::adapters::git::commit::{AGENT_ADDRESS, TOOL_ADDRESS};
use crate::adapters::git::signing;
use crate::domain::bookkeep::Rewrite;
use crate::domain::branch::BranchState;
use crate::domain::names::{BranchRef, ItemKey, Oid, Principal};
use crate::domain::passage::{self, Answer, Passage, Step, StoryName};
use crate::domain::policy::Policy;
use crate::domain::state::ItemState;
use crate::domain::statement::{self, Signatures};
use crate::engine::ports::PortError;

/// Branches of stories begin so.
pub const STORY_BRANCHES: &str = "refs/heads/story/";

/// The line of a message that says which story a commit belongs to.
const TRAILER: &str = "story:";

/// A move that somebody asks for.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// The branch.
    pub branch: &'a BranchRef,
    /// Where it is; `None` when it is being made.
    pub from: Option<&'a Oid>,
    /// Where it is to go.
    pub to: &'a Oid,
    /// How far recorded landings are looked into.
    pub depth: Depth,
}

/// How far recorded landings are looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What the records say is believed: nobody but the tool writes them here.
    Records,
    /// Evidence is judged again and write-backs are recomputed, by the policy and the signers that stand: for a server,
    /// where records arrive from elsewhere.
    Now,
    /// The same by the policy and the signers that stood just before each landing: for history.
    Then,
}

/// Commits of one story that the branch does not have.
struct Story {
    name: StoryName,
    own: BTreeSet<Oid>,
}

/// Everything that a move brings and takes.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// Oldest first.
    pub steps: Vec<Step>,
    /// What the branch would lose.
    pub dropped: BTreeSet<Oid>,
}

impl Reader {
    /// The gate's answer to a move.
    pub fn judge(&self, asked: &Asked<'_>) -> Result<Answer, PortError> {
        let line = self.line(asked)?;
        self.judge_line(asked, &self.branch(asked.branch)?, line)
    }

    /// The gate's answer to a line that is there already.
    pub fn judge_line(&self, asked: &Asked<'_>, record: &BranchState, line: Line) -> Result<Answer, PortError> {
        let evidence = if self.is_server() {
            Some(self.evidence_of(&line.steps.iter().filter_map(|step| step.commit.as_ref()).collect())?)
        } else {
            None
        };
        let signatures = if asked.depth == Depth::Records {
            Signatures::unknown()
        } else {
            self.signatures(asked, &line, evidence.as_ref())?
        };
        Ok(passage::judge(&Passage {
            policy: self.policy()?,
            record,
            signatures: &signatures,
            branch: asked.branch,
            items: self.items()?,
            steps: line.steps,
            dropped: line.dropped,
            again: asked.depth != Depth::Records,
            evidence,
        }))
    }

    /// What a move brings and takes.
    pub fn line(&self, asked: &Asked<'_>) -> Result<Line, PortError> {
        let record = self.branch(asked.branch)?;
        // What was there before adoption nobody has to prove; whoever looks at history says where it begins. A server has its
        // own beginning: what it holds.
        let counts = asked.depth != Depth::Then && !self.is_server();
        let adopted = record.adopted.filter(|adopted| counts && self.history().has(adopted));
        let mut hidden: Vec<Oid> = asked.from.cloned().into_iter().chain(adopted).collect();
        if !self.is_target(asked.branch.as_str())?
            && let Some(target) = self.target()?
        {
            // What the target has passed its gate, or does so in the same move: all of a push is refused, or nothing.
            hidden.extend(self.tip(target.as_str())?);
        }
        let gained = self.history().between(std::slice::from_ref(asked.to), &hidden)?;
        let dropped = match asked.from {
            Some(from) => self.history().between(std::slice::from_ref(from), std::slice::from_ref(asked.to))?,
            None => BTreeMap::new(),
        };
        let stories = if gained.is_empty() { Vec::new() } else { self.stories(&hidden, &gained)? };
        let steps = self.steps(asked, &gained, &stories)?;
        Ok(Line { steps, dropped: dropped.into_keys().collect() })
    }

    fn steps(
        &self,
        asked: &Asked<'_>,
        gained: &BTreeMap<Oid, Vec<Oid>>,
        stories: &[Story],
    ) -> Result<Vec<Step>, PortError> {
        let mut line = Vec::new();
        let mut next = Some(asked.to);
        while let Some((commit, parents)) = next.and_then(|commit| gained.get_key_value(commit)) {
            line.push(commit);
            next = parents.first();
        }
        line.reverse();
        let mut taken = BTreeSet::new();
        let mut steps = Vec::with_capacity(line.len());
        for commit in line {
            let step = self.step(commit, gained, &mut taken, stories, asked.depth)?;
            self.tell(step.brought.len() + 1);
            steps.push(step);
        }
        Ok(steps)
    }

    /// One commit of the line with everything that came with it and with none before it.
    fn step<'a>(
        &self,
        commit: &'a Oid,
        gained: &'a BTreeMap<Oid, Vec<Oid>>,
        taken: &mut BTreeSet<&'a Oid>,
        stories: &[Story],
        depth: Depth,
    ) -> Result<Step, PortError> {
        let facts = self.history().commit(commit)?;
        let mut step = Step {
            commit: Some(commit.clone()),
            parents: facts.parents.clone(),
            tree: Some(facts.tree.clone()),
            ..Step::default()
        };
        let of_commit = stories.iter().filter(|story| story.own.contains(commit));
        step.is_of = of_commit.map(|story| story.name.clone()).collect();
        let mut waiting = vec![commit];
        while let Some(brought) = waiting.pop() {
            let Some((brought, parents)) = gained.get_key_value(brought) else { continue };
            if taken.insert(brought) {
                if brought != commit {
                    step.brought.push(brought.clone());
                }
                self.bring(&mut step, brought, stories)?;
                waiting.extend(parents);
            }
        }
        if step.brings.len() > 1 {
            // What else comes in tells whose work it is.
            step.brings.remove(&StoryName::Agent);
        }
        if depth != Depth::Records {
            step.rewrite = self.rewrite(&facts)?;
        }
        Ok(step)
    }

    fn bring(&self, step: &mut Step, commit: &Oid, stories: &[Story]) -> Result<(), PortError> {
        let facts = self.history().commit(commit)?;
        let own = stories.iter().filter(|story| story.own.contains(commit));
        step.brings.extend(own.map(|story| story.name.clone()));
        let named = trailers(&facts.message);
        let made_here = matches!(facts.author.as_str(), AGENT_ADDRESS | TOOL_ADDRESS);
        for key in &named {
            if self.items()?.contains_key(key) || self.is_server() && made_here {
                step.brings.insert(StoryName::Key(key.clone()));
            }
        }
        // A server may not have been told of a story at all: then its commits speak for themselves.
        let nameless = named.is_empty() && !stories.iter().any(|story| story.own.contains(commit));
        if self.is_server() && made_here && nameless {
            step.brings.insert(StoryName::Agent);
        }
        // Whoever merges a story, or copies it, adds nothing of their own: the tree says so.
        let wrote = step.commit.as_ref() != Some(commit) || !step.is_of.is_empty();
        if wrote && facts.author != AGENT_ADDRESS && facts.author != TOOL_ADDRESS {
            step.persons.insert(Principal::Person(facts.author.clone()));
        }
        Ok(())
    }

    /// Commits of every story that lie outside the branch: of its branch, and of what was reviewed, since its recorded base.
    /// Of a story branch without a record the tip alone counts: nobody knows where it began.
    fn stories(&self, hidden: &[Oid], gained: &BTreeMap<Oid, Vec<Oid>>) -> Result<Vec<Story>, PortError> {
        let mut branches = self.list(STORY_BRANCHES)?;
        let mut stories = Vec::new();
        for (key, state) in self.items()? {
            let Some(attempt) = &state.attempt else { continue };
            let listed = branches.remove(attempt.branch.as_str());
            let tip = match listed {
                None if !attempt.branch.as_str().starts_with(STORY_BRANCHES) => self.tip(attempt.branch.as_str())?,
                listed => listed,
            };
            let reviewed = state.reviews.last().filter(|_| !state.is_done()).map(|review| review.head.clone());
            let tips: Vec<Oid> = tip.into_iter().chain(reviewed).filter(|tip| self.history().has(tip)).collect();
            let base = Some(&attempt.base).filter(|base| self.history().has(base));
            let own = self.own(&tips, &hidden.iter().chain(base).cloned().collect::<Vec<_>>(), gained)?;
            stories.push(Story { name: StoryName::Key(key.clone()), own });
        }
        for (branch, tip) in branches {
            let name = branch.strip_prefix(BRANCHES).unwrap_or(&branch).to_owned();
            stories.push(Story { name: StoryName::Branch(name), own: BTreeSet::from([tip]) });
        }
        stories.retain(|story| !story.own.is_empty());
        Ok(stories)
    }

    fn own(&self, tips: &[Oid], hidden: &[Oid], gained: &BTreeMap<Oid, Vec<Oid>>) -> Result<BTreeSet<Oid>, PortError> {
        if tips.is_empty() {
            return Ok(BTreeSet::new());
        }
        let own = self.history().between(tips, hidden)?;
        Ok(own.into_keys().filter(|commit| gained.contains_key(commit)).collect())
    }

    /// What is known of the signatures of those reviews that a line rests on. Signers are those of the branch as it stands, or
    /// as it stood before each landing; never those that the line itself brings.
    fn signatures(
        &self,
        asked: &Asked<'_>,
        line: &Line,
        evidence: Option<&BTreeMap<Oid, ItemState>>,
    ) -> Result<Signatures, PortError> {
        let mut known = Signatures::unknown();
        for step in &line.steps {
            let policy = step.policy.as_deref().map_or_else(|| self.policy(), Ok)?;
            if !policy.signatures_required {
                continue;
            }
            let base = match asked.depth {
                Depth::Then => step.parents.first().cloned(),
                // A branch that is being made answers to the target.
                Depth::Records | Depth::Now => match (asked.from, self.target()?) {
                    (Some(from), _) => Some(from.clone()),
                    (None, Some(target)) => self.standing(target.as_str())?,
                    (None, None) => None,
                },
            };
            let then = evidence.zip(step.commit.as_ref()).and_then(|(evidence, commit)| evidence.get(commit));
            for (key, state) in self.items()?.iter().filter(|(key, state)| rests_on(step, key, state)) {
                for state in then.into_iter().chain([state]) {
                    let Some(review) = state.reviews.last().filter(|review| known.of(review).is_none()) else {
                        continue;
                    };
                    let Some(signature) = &review.signature else { continue };
                    let allowed = self.signers(base.as_ref(), policy)?;
                    let statement = statement::bytes(key, state.round, review);
                    let found = signing::verify(&statement, &signature.armored, &review.reviewer, &allowed);
                    known = known.with(review, found);
                }
            }
        }
        Ok(known)
    }

    fn signers(&self, base: Option<&Oid>, policy: &Policy) -> Result<Vec<u8>, PortError> {
        let Some(base) = base else { return Ok(Vec::new()) };
        let tree = self.history().commit(base)?.tree.clone();
        let file = self.history().file(&tree, &policy.allowed_signers)?;
        Ok(file.map(|file| file.bytes).unwrap_or_default())
    }

    /// What a commit changes against its only parent, when that is one file in place.
    fn rewrite(&self, facts: &CommitFacts) -> Result<Option<Rewrite>, PortError> {
        let [parent] = facts.parents.as_slice() else { return Ok(None) };
        let before = self.history().commit(parent)?.tree.clone();
        let Some(path) = self.history().only_change(&before, &facts.tree)? else { return Ok(None) };
        let content = |tree: &Oid| self.history().file(tree, &path);
        let (Some(before), Some(after)) = (content(&before)?, content(&facts.tree)?) else { return Ok(None) };
        Ok(Some(Rewrite { path, before: before.bytes, after: after.bytes }))
    }
}

/// Whether a step is a landing of the item, or brings commits of it.
fn rests_on(step: &Step, key: &ItemKey, state: &ItemState) -> bool {
    let landed =
        state.landings.iter().chain(&state.intended).any(|landing| step.commit.as_ref() == Some(&landing.merge));
    landed || step.brings.contains(&StoryName::Key(key.clone()))
}

/// Keys of the stories that a message's last paragraph names.
pub fn trailers(message: &[u8]) -> Vec<ItemKey> {
    let text = String::from_utf8_lossy(message);
    let last = text.trim_end().rsplit("\n\n").next().unwrap_or_default();
    let value = |line: &str| {
        let (name, value) = line.split_at_checked(TRAILER.len())?;
        name.eq_ignore_ascii_case(TRAILER).then(|| value.trim().to_owned())
    };
    last.lines().filter_map(value).filter(|value| !value.is_empty()).map(|value| ItemKey::escaped(&value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_is_named_by_a_trailer_and_by_nothing_else() {
        let keys = |message: &str| trailers(message.as_bytes()).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(keys("Add login\n\nStory: 1.2\nSigned-off-by: x\n"), ["1.2"]);
        assert_eq!(keys("Add login\n\nstory:1.2\r\nStory: 1.3\n"), ["1.2", "1.3"]);
        assert_eq!(keys("Story: 1.2 is hard\n\nIt is.\n"), Vec::<String>::new());
        assert_eq!(keys("Add login\n\nHistory: 1.2\nStory:\n"), Vec::<String>::new());
    }
}
