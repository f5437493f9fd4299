//! The policy that stood when a commit came onto the target: a change of the policy does not make breaches of what came
//! before it, and does not excuse what came before it either. Must not judge.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::line::{Asked, Depth, Line};
use super::reader::Reader;
use crate::adapters::config;
use crate::domain::names::{ItemKey, Oid};
use crate::domain::passage::Step;
use crate::domain::policy::Policy;
use crate::domain::state::ItemState;
use crate::engine::ports::PortError;

/// Reads policies of earlier commits, each version once.
struct Past<'a> {
    reader: &'a Reader,
    standing: &'a Policy,
    /// By the blob of the policy file; `None` for the standing one.
    known: HashMap<Option<Oid>, Option<Rc<Policy>>>,
}

impl Reader {
    /// Gives each step that a policy decides about the one that stood then.
    pub fn add_policies(&self, asked: &Asked<'_>, line: &mut Line) -> Result<(), PortError> {
        // Other branches go by the target's policy; where the target was then, nobody knows.
        if line.steps.is_empty() || !self.is_target(asked.branch.as_str())? {
            return Ok(());
        }
        let mut past = Past { reader: self, standing: self.policy()?, known: HashMap::new() };
        let landed = landed(self.items()?);
        for step in &mut line.steps {
            let needed = match step.commit.as_ref().and_then(|commit| landed.get(commit)) {
                Some(state) => {
                    asked.depth == Depth::Then
                        && state.reviews.last().is_some_and(|last| last.policy != past.standing.version)
                }
                None => true,
            };
            if needed {
                step.policy = past.policy_of(step)?;
            }
        }
        Ok(())
    }
}

/// States by the commits that their landings made.
fn landed(items: &BTreeMap<ItemKey, ItemState>) -> HashMap<&Oid, &ItemState> {
    let mut found = HashMap::new();
    for state in items.values() {
        for landing in state.landings.iter().chain(&state.intended) {
            found.insert(&landing.merge, state);
            found.insert(&landing.tip, state);
        }
    }
    found
}

impl Past<'_> {
    fn policy_of(&mut self, step: &Step) -> Result<Option<Rc<Policy>>, PortError> {
        let Some(parent) = step.parents.first() else { return Ok(None) };
        let tree = &self.reader.history().commit(parent)?.tree;
        let file = self.reader.history().file_id(tree, config::FILE)?;
        if let Some(known) = self.known.get(&file) {
            return Ok(known.clone());
        }
        let bytes = file.as_ref().map(|blob| self.reader.history().blob(blob)).transpose()?;
        let (policy, diagnostics) = config::policy(config::FILE, bytes.as_deref());
        // One that could not be read then refused everything; nobody can say what it wanted.
        let other = !config::has_errors(&diagnostics) && policy != *self.standing;
        let found = other.then(|| Rc::new(policy));
        self.known.insert(file, found.clone());
        Ok(found)
    }
}
