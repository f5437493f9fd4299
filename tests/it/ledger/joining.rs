//! Two ends of one chain: joined the same way wherever it is done, with both histories reachable, or left as they are.

use std::collections::BTreeMap;

use git_orchestrate::adapters::git::repo::Repo;
use git_orchestrate::adapters::ledger::bring::{How, Wish};
use git_orchestrate::adapters::ledger::join::Keep;
use git_orchestrate::adapters::ledger::lineage;
use git_orchestrate::adapters::ledger::store::Store;
use git_orchestrate::domain::event::{ItemEvent, PhaseOutcome};
use git_orchestrate::domain::names::Oid;
use git_orchestrate::domain::workflow::Phase;
use git_orchestrate::engine::ports::Ledger;

use super::fixtures::{attempt, done, key, opened, record, started};
use crate::support::Scratch;

const NAME: &str = "refs/orchestrate/items/1.1";

/// Two copies of a repository with an open attempt of item 1.1.
struct Pair {
    left: Scratch,
    right: Scratch,
    base: Oid,
    story: Oid,
}

impl Pair {
    fn new() -> Self {
        let (left, store, base, story) = opened();
        drop(store);
        let right = Scratch::empty();
        let copied =
            std::process::Command::new("cp").arg("-a").arg(left.root().join(".git")).arg(right.root()).status();
        assert!(copied.unwrap().success());
        Self { left, right, base, story }
    }

    fn append(&self, scratch: &Scratch, events: &[ItemEvent]) {
        for event in events {
            store(scratch).append(&[record("1.1", event.clone())]).unwrap();
        }
    }

    /// What each side makes of the other's chain.
    fn meet(&self, wish: &Wish) -> (How, How) {
        let tips = [&self.left, &self.right].map(|side| tip(side));
        for (here, there) in [(&self.left, &self.right), (&self.right, &self.left)] {
            let from = there.root();
            here.git(&["fetch", "-q", from.to_str().unwrap(), "+refs/orchestrate/*:refs/orchestrate-remote/other/*"]);
        }
        let bring = |scratch: &Scratch, theirs: &Oid| {
            let changes = store(scratch).bring(&BTreeMap::from([(NAME.to_owned(), theirs.clone())]), wish).unwrap();
            changes[0].how.clone()
        };
        let met = (bring(&self.left, &tips[1]), bring(&self.right, &tips[0]));
        for side in [&self.left, &self.right] {
            side.git(&["fsck", "--strict", "--no-dangling"]);
            let repo = Repo::discover(&side.root()).unwrap();
            let now = repo.object_id(&tip(side)).unwrap();
            lineage::check(&repo.gix(), NAME, now).unwrap();
        }
        met
    }
}

fn store(scratch: &Scratch) -> Store {
    Store::new(&Repo::discover(&scratch.root()).unwrap())
}

fn tip(scratch: &Scratch) -> Oid {
    Oid::new(scratch.git(&["rev-parse", NAME]))
}

fn interrupted(number: u32) -> ItemEvent {
    ItemEvent::Interrupted { attempt: attempt(number), reason: "found dead".to_owned() }
}

fn not_applicable(phase: Phase) -> ItemEvent {
    let outcome = PhaseOutcome::NotApplicable { reason: "nothing to do".to_owned() };
    ItemEvent::PhaseRecorded { attempt: attempt(1), phase, outcome }
}

#[test]
fn both_sides_join_to_the_same_commit_and_go_on_from_it() {
    let pair = Pair::new();
    pair.append(&pair.left, &[done(1, Phase::Setup, "made"), not_applicable(Phase::Issue)]);
    pair.append(&pair.right, &[not_applicable(Phase::Issue), done(1, Phase::Branch, "branched"), interrupted(1)]);
    let (ours, theirs) = (tip(&pair.left), tip(&pair.right));
    let (left, right) = pair.meet(&Wish::default());
    assert!(matches!(left, How::Joined(_)), "{left:?}");
    assert_eq!(left, right);
    assert_eq!(tip(&pair.left), tip(&pair.right));
    for old in [&ours, &theirs] {
        pair.left.git(&["merge-base", "--is-ancestor", old.as_str(), NAME]);
    }
    let state = store(&pair.left).item(&key("1.1")).unwrap().unwrap();
    assert_eq!(state, store(&pair.left).refold(&key("1.1")).unwrap());
    assert!(state.open_attempt().is_none());
    assert_eq!(state.phases.keys().copied().collect::<Vec<_>>(), [Phase::Setup, Phase::Issue, Phase::Branch]);
    let told = store(&pair.left).history(&key("1.1")).unwrap();
    assert_eq!(told.iter().filter(|(_, _, event)| *event == not_applicable(Phase::Issue)).count(), 1, "told once");

    // A third copy that has one of the ends follows, and everybody can append.
    pair.append(&pair.left, &[started(2, Some(1), "Title", &pair.base, &pair.story)]);
    assert_eq!(pair.meet(&Wish::default()), (How::Newer, How::Forwarded));
    assert_eq!(tip(&pair.left), tip(&pair.right));
}

#[test]
fn what_is_rejected_one_way_round_is_joined_the_other() {
    let pair = Pair::new();
    // By time it would come first, and then the other's phase would be of an attempt that has ended.
    pair.append(&pair.left, &[interrupted(1), started(2, Some(1), "Title", &pair.base, &pair.story)]);
    pair.append(&pair.right, &[done(1, Phase::Setup, "made"), interrupted(1)]);
    let (left, right) = pair.meet(&Wish::default());
    assert!(matches!(left, How::Joined(_)), "{left:?}");
    assert_eq!(left, right);
    let state = store(&pair.right).item(&key("1.1")).unwrap().unwrap();
    assert_eq!(state.open_attempt().map(|open| open.id.clone()), Some(attempt(2)));
    assert!(state.phases.contains_key(&Phase::Setup));
}

#[test]
fn two_open_attempts_stay_apart_until_a_person_decides() {
    let pair = Pair::new();
    pair.append(&pair.left, &[started(2, Some(1), "Title", &pair.base, &pair.story)]);
    pair.append(&pair.right, &[started(3, Some(1), "Title", &pair.base, &pair.story)]);
    let (ours, theirs) = (tip(&pair.left), tip(&pair.right));
    let (left, right) = pair.meet(&Wish::default());
    assert!(matches!((&left, &right), (How::Contradicts(_), How::Contradicts(_))), "{left:?} {right:?}");
    assert_eq!((tip(&pair.left), tip(&pair.right)), (ours.clone(), theirs.clone()), "nothing moves");
    let keep = |keep| Wish { keep: BTreeMap::from([(NAME.to_owned(), keep)]), ..Wish::default() };
    let change = store(&pair.left).bring(&BTreeMap::from([(NAME.to_owned(), theirs.clone())]), &keep(Keep::Theirs));
    assert!(matches!(change.unwrap()[0].how, How::Joined(_)));
    let state = store(&pair.left).item(&key("1.1")).unwrap().unwrap();
    assert_eq!(state.open_attempt().map(|open| open.id.clone()), Some(attempt(3)));
    for old in [&ours, &theirs] {
        pair.left.git(&["merge-base", "--is-ancestor", old.as_str(), NAME]);
    }
    assert!(matches!(pair.meet(&Wish::default()), (How::Newer, How::Forwarded)));
}

#[test]
fn a_chain_that_does_not_prove_itself_is_not_taken() {
    let pair = Pair::new();
    pair.append(&pair.right, &[done(1, Phase::Setup, "made")]);
    let message = pair.right.git(&["log", "-1", "--format=%B", NAME]).replace("\"attempts\":1", "\"attempts\":0");
    let tree = pair.right.git(&["rev-parse", &format!("{NAME}^{{tree}}")]);
    let forged = pair.right.git(&["commit-tree", &tree, "-p", &format!("{NAME}~1"), "-m", &message]);
    std::fs::write(pair.right.root().join(".git").join(NAME), format!("{forged}\n")).unwrap();
    let from = pair.right.root();
    pair.left.git(&["fetch", "-q", from.to_str().unwrap(), "+refs/orchestrate/*:refs/orchestrate-remote/other/*"]);
    let before = tip(&pair.left);
    let changes = store(&pair.left).bring(&BTreeMap::from([(NAME.to_owned(), Oid::new(forged))]), &Wish::default());
    let how = changes.unwrap()[0].how.clone();
    assert!(matches!(&how, How::Unreadable(why) if why.contains("does not follow from the events")), "{how:?}");
    assert_eq!(tip(&pair.left), before);
}
