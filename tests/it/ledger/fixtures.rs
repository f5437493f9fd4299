//! Facts with little in them.

use git_orchestrate::adapters::git::repo::Repo;
use git_orchestrate::adapters::ledger::store::Store;
use git_orchestrate::domain::event::{CheckRun, ItemEvent, PhaseOutcome, Review, ReviewVerdict};
use git_orchestrate::domain::names::{AttemptId, BranchRef, ItemKey, Oid, PolicyVersion, Principal, RunId, Timestamp};
use git_orchestrate::domain::workflow::Phase;
use git_orchestrate::engine::ports::{Ledger, Record};

use crate::support::Scratch;

/// Some time in 2026.
pub const AT: Timestamp = Timestamp(1_795_000_000_000);

pub fn store(scratch: &Scratch) -> Store {
    Store::new(&Repo::discover(&scratch.root()).unwrap())
}

pub fn key(text: &str) -> ItemKey {
    ItemKey::new(text)
}

pub fn attempt(number: u32) -> AttemptId {
    AttemptId::new(format!("a-{number}"))
}

/// A record of an item.
pub fn record(item: &str, event: ItemEvent) -> Record {
    Record::Item { key: key(item), event, at: AT, artefacts: Vec::new() }
}

/// The first event of an attempt.
pub fn started(number: u32, continues: Option<u32>, title: &str, base: &Oid, story: &Oid) -> ItemEvent {
    ItemEvent::AttemptStarted {
        attempt: attempt(number),
        continues: continues.map(attempt),
        run: RunId::new("r-1"),
        title: title.to_owned(),
        path: "docs/stories/1.1.md".to_owned(),
        agent: "claude".to_owned(),
        role: "general-developer".to_owned(),
        branch: BranchRef::new("refs/heads/story/1.1-title"),
        worktree: ".worktrees/1.1".to_owned(),
        target: BranchRef::new("refs/heads/main"),
        base: base.clone(),
        policy: PolicyVersion::new("p-1"),
        story: story.clone(),
    }
}

/// A phase done by the tool.
pub fn done(number: u32, phase: Phase, summary: &str) -> ItemEvent {
    let outcome = PhaseOutcome::Done {
        by: Principal::Tool,
        summary: summary.to_owned(),
        head: None,
        checks: Vec::<CheckRun>::new(),
    };
    ItemEvent::PhaseRecorded { attempt: attempt(number), phase, outcome }
}

pub fn stopped(number: u32, reason: &str) -> ItemEvent {
    ItemEvent::Stopped { attempt: attempt(number), reason: reason.to_owned() }
}

/// An approval by a person.
pub fn approval(base: &Oid, head: &Oid, merge_tree: &Oid, story: &Oid) -> Review {
    Review {
        reviewer: Principal::Person("alice".to_owned()),
        verdict: ReviewVerdict::Approve,
        base: base.clone(),
        head: head.clone(),
        merge_tree: merge_tree.clone(),
        policy: PolicyVersion::new("p-1"),
        story: story.clone(),
        findings: Vec::new(),
        message: String::new(),
        at: AT,
        signature: None,
    }
}

/// A store, its repository, and an item `1.1` with an open attempt 1.
pub fn opened() -> (Scratch, Store, Oid, Oid) {
    let scratch = Scratch::new();
    let base = Oid::new(scratch.git(&["rev-parse", "HEAD"]));
    let mut store = store(&scratch);
    let story = store.write_blob(b"# Story 1.1: Title\n").unwrap();
    store.append(&[record("1.1", started(1, None, "Title", &base, &story))]).unwrap();
    (scratch, store, base, story)
}
