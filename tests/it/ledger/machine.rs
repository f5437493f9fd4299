//! The store against a model: several stores on one repository, batches, races, packing. The model knows nothing of the
//! domain's `apply`: an attempt may write while it is the newest and has not ended.

use std::collections::{BTreeMap, BTreeSet};

use git_orchestrate::adapters::ledger::store::Store;
use git_orchestrate::domain::event::{ItemEvent, PhaseOutcome};
use git_orchestrate::domain::names::Oid;
use git_orchestrate::domain::workflow::Phase;
use git_orchestrate::engine::ports::{Ledger, LedgerError, Record};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use super::fixtures::{done, key, record, started, stopped, store};
use crate::support::Scratch;

const STORES: usize = 3;
const KEYS: [&str; 3] = ["1.1", "1.10", "2.1"];

/// What one record says.
#[derive(Clone, Copy, Debug)]
enum Fact {
    Start { attempt: u32, continues: Option<u32> },
    Work { attempt: u32 },
    Stop { attempt: u32 },
}

/// A fact for one of the keys.
type Told = (usize, Fact);

#[derive(Clone, Debug)]
enum Step {
    /// One store appends a batch.
    Append { by: usize, batch: Vec<Told> },
    /// All stores append at once, each its own events one by one, for the open attempts of these items.
    Race { keys: [usize; STORES], each: usize },
    /// A store packs.
    Pack { by: usize },
    /// A store is replaced by a new one.
    Reopen { by: usize },
    /// The user packs all refs.
    PackRefs,
}

/// One item of the model.
#[derive(Clone, Debug, Default)]
struct Item {
    attempt: Option<u32>,
    ended: bool,
    /// Labels of the events in order; what was written in a race is in any order.
    blocks: Vec<BTreeSet<u32>>,
}

#[derive(Clone, Debug, Default)]
struct Model {
    items: BTreeMap<usize, Item>,
    labels: u32,
    /// Whether the last batch was legal.
    accepted: bool,
}

impl Item {
    fn tell(&mut self, fact: Fact, label: u32) -> bool {
        let legal = match fact {
            Fact::Start { continues: Some(last), .. } => self.attempt == Some(last),
            Fact::Start { continues: None, .. } => self.attempt.is_none() || self.ended,
            Fact::Work { attempt } | Fact::Stop { attempt } => self.is_open() && self.attempt == Some(attempt),
        };
        match fact {
            Fact::Start { attempt, .. } => (self.attempt, self.ended) = (Some(attempt), false),
            Fact::Stop { .. } => self.ended = true,
            Fact::Work { .. } => {}
        }
        self.blocks.push(BTreeSet::from([label]));
        legal
    }

    fn is_open(&self) -> bool {
        self.attempt.is_some() && !self.ended
    }
}

impl Model {
    /// Batches for an item that are legal now.
    fn sensible(&self, key: usize) -> Vec<Vec<Told>> {
        let begin = Fact::Start { attempt: 1, continues: None };
        let Some(Item { attempt: Some(attempt), ended, .. }) = self.items.get(&key).cloned() else {
            return vec![vec![(key, begin)], vec![(key, begin), (key, Fact::Work { attempt: 1 })]];
        };
        let again = Fact::Start { attempt: attempt % 3 + 1, continues: Some(attempt) };
        if ended {
            return vec![vec![(key, begin), (key, Fact::Work { attempt: 1 })], vec![(key, again)]];
        }
        let work = (key, Fact::Work { attempt });
        vec![vec![work], vec![work, work], vec![work, (key, Fact::Stop { attempt })], vec![(key, again)]]
    }
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self::default()).boxed()
    }

    fn transitions(model: &Self) -> BoxedStrategy<Step> {
        let sensible: Vec<Vec<Told>> = (0..KEYS.len()).flat_map(|key| model.sensible(key)).collect();
        let attempt = 1_u32..4;
        let fact = prop_oneof![
            3 => (attempt.clone(), proptest::option::of(attempt.clone()))
                .prop_map(|(attempt, continues)| Fact::Start { attempt, continues }),
            4 => attempt.clone().prop_map(|attempt| Fact::Work { attempt }),
            1 => attempt.prop_map(|attempt| Fact::Stop { attempt }),
        ];
        let key = 0..KEYS.len();
        prop_oneof![
            8 => (0..STORES, proptest::sample::select(sensible)).prop_map(|(by, batch)| Step::Append { by, batch }),
            4 => (0..STORES, vec((key.clone(), fact), 1..4)).prop_map(|(by, batch)| Step::Append { by, batch }),
            4 => (key.clone(), 1_usize..4).prop_map(|(key, each)| Step::Race { keys: [key; STORES], each }),
            2 => ([key.clone(), key.clone(), key], 1_usize..4).prop_map(|(keys, each)| Step::Race { keys, each }),
            1 => (0..STORES).prop_map(|by| Step::Pack { by }),
            1 => (0..STORES).prop_map(|by| Step::Reopen { by }),
            1 => Just(Step::PackRefs),
        ]
        .boxed()
    }

    fn apply(mut self_: Self, step: &Step) -> Self {
        match step {
            Step::Append { batch, .. } => {
                let mut next = self_.clone();
                next.accepted = batch.iter().zip(self_.labels..).fold(true, |accepted, ((key, fact), label)| {
                    next.items.entry(*key).or_default().tell(*fact, label) && accepted
                });
                let accepted = next.accepted;
                if accepted {
                    self_ = next;
                }
                self_.accepted = accepted;
                self_.labels += u32::try_from(batch.len()).unwrap();
            }
            Step::Race { keys, each } => {
                let each = u32::try_from(*each).unwrap();
                let mut blocks: BTreeMap<usize, BTreeSet<u32>> = BTreeMap::new();
                for (writer, key) in (0_u32..).zip(keys) {
                    let first = self_.labels + writer * each;
                    blocks.entry(*key).or_default().extend(first..first + each);
                }
                for (key, block) in blocks {
                    let item = self_.items.entry(key).or_default();
                    if item.is_open() {
                        item.blocks.push(block);
                    }
                }
                self_.labels += u32::try_from(STORES).unwrap() * each;
            }
            Step::Pack { .. } | Step::Reopen { .. } | Step::PackRefs => {}
        }
        self_
    }
}

/// The real thing.
struct Real {
    scratch: Scratch,
    stores: Vec<Store>,
    base: Oid,
    story: Oid,
    labels: u32,
}

impl Real {
    fn record(&self, (key, fact): Told, label: u32) -> Record {
        let label = label.to_string();
        let event = match fact {
            Fact::Start { attempt, continues } => started(attempt, continues, &label, &self.base, &self.story),
            Fact::Work { attempt } => done(attempt, Phase::Setup, &label),
            Fact::Stop { attempt } => stopped(attempt, &label),
        };
        record(KEYS[key], event)
    }

    fn append(&mut self, by: usize, batch: &[Told], accepted: bool) {
        let labels = self.labels..;
        self.labels += u32::try_from(batch.len()).unwrap();
        let records: Vec<Record> = batch.iter().zip(labels).map(|(told, label)| self.record(*told, label)).collect();
        let transactions = self.stores[by].transactions();
        let result = self.stores[by].append(&records);
        match result {
            Ok(()) => assert!(accepted, "an illegal batch was written"),
            Err(LedgerError::Rejected(why)) => assert!(!accepted, "a legal batch was rejected: {why}"),
            Err(error) => panic!("{error}"),
        }
        assert_eq!(self.stores[by].transactions() - transactions, u64::from(accepted));
    }

    /// `open` has the open attempt of each writer's item, if there is one.
    fn race(&mut self, keys: [usize; STORES], each: usize, open: &[Option<u32>]) {
        let mut plans = Vec::new();
        for (key, attempt) in keys.iter().zip(open) {
            let labels = self.labels..;
            self.labels += u32::try_from(each).unwrap();
            let fact = Fact::Work { attempt: attempt.unwrap_or(1) };
            let records: Vec<Record> = labels.take(each).map(|label| self.record((*key, fact), label)).collect();
            plans.push((records, attempt.is_some()));
        }
        let barrier = std::sync::Barrier::new(STORES);
        std::thread::scope(|scope| {
            for (store, (records, accepted)) in self.stores.iter_mut().zip(plans) {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    for record in records {
                        let result = store.append(&[record]);
                        assert_eq!(result.is_ok(), accepted, "{result:?}");
                    }
                });
            }
        });
    }
}

fn label(event: &ItemEvent) -> u32 {
    match event {
        ItemEvent::AttemptStarted { title: text, .. } | ItemEvent::Stopped { reason: text, .. } => {
            text.parse().unwrap()
        }
        ItemEvent::PhaseRecorded { outcome: PhaseOutcome::Done { summary, .. }, .. } => summary.parse().unwrap(),
        other => panic!("{other:?} was never written"),
    }
}

struct Machine;

impl StateMachineTest for Machine {
    type SystemUnderTest = Real;
    type Reference = Model;

    fn init_test(_: &Model) -> Real {
        let scratch = Scratch::new();
        let base = Oid::new(scratch.git(&["rev-parse", "HEAD"]));
        let story = Oid::new(scratch.git(&["rev-parse", "HEAD:README.md"]));
        let stores = (0..STORES).map(|_| store(&scratch)).collect();
        Real { scratch, stores, base, story, labels: 0 }
    }

    fn apply(mut real: Real, model: &Model, step: Step) -> Real {
        match step {
            Step::Append { by, batch } => real.append(by, &batch, model.accepted),
            Step::Race { keys, each } => {
                // A race opens and ends nothing, so the model after it knows what was open before.
                let open =
                    keys.map(|key| model.items.get(&key).filter(|item| item.is_open()).and_then(|item| item.attempt));
                real.race(keys, each, &open);
            }
            Step::Pack { by } => {
                real.stores[by].pack().unwrap();
            }
            Step::Reopen { by } => real.stores[by] = store(&real.scratch),
            Step::PackRefs => {
                real.scratch.git(&["pack-refs", "--all"]);
            }
        }
        assert_eq!(real.labels, model.labels);
        // Every store, whatever it remembers, sees the same: no event lost, none twice, and the fold is the replay.
        let mut seen = Vec::new();
        for store in &mut real.stores {
            for (index, item) in &model.items {
                let key = key(KEYS[*index]);
                let labels: Vec<u32> = store.history(&key).unwrap().iter().map(|(_, _, event)| label(event)).collect();
                let mut rest = labels.as_slice();
                for block in &item.blocks {
                    let (now, later) = rest.split_at(block.len());
                    assert_eq!(now.iter().copied().collect::<BTreeSet<_>>(), *block, "{labels:?}");
                    rest = later;
                }
                assert!(rest.is_empty(), "{rest:?} were never accepted");
                assert_eq!(store.item(&key).unwrap().unwrap_or_default(), store.refold(&key).unwrap());
            }
            seen.push(store.items().unwrap());
        }
        assert!(seen.iter().all(|items| *items == seen[0]));
        real
    }

    fn teardown(real: Real, _: Model) {
        assert_eq!(real.scratch.try_git(&["fsck", "--strict", "--no-dangling"]).stderr, "");
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn several_stores_on_one_repository_behave_as_one(sequential 1..16 => Machine);
}
