//! What an append leaves, and what it refuses.

use git_orchestrate::adapters::git::repo::Repo;
use git_orchestrate::adapters::ledger::store::Store;
use git_orchestrate::domain::event::{Failure, FailureClass, ItemEvent, Landing, PhaseOutcome, RunEvent, Totals};
use git_orchestrate::domain::gate::{Candidate, MergePermit, Verdict, judge};
use git_orchestrate::domain::names::{BranchRef, Oid, PolicyVersion, Principal, RunId};
use git_orchestrate::domain::policy::Policy;
use git_orchestrate::domain::statement::Signatures;
use git_orchestrate::domain::workflow::Phase;
use git_orchestrate::engine::ports::{Artefact, Ledger, LedgerError, Record};

use super::fixtures::{AT, approval, attempt, done, key, opened, record, started, stopped, store};
use crate::support::Scratch;

#[test]
fn the_log_of_an_item_reads_like_a_diary() {
    let (scratch, mut store, base, story) = opened();
    let agent = Principal::Agent { adapter: "claude".into(), session: "0f3c9a7e-1111-2222".into() };
    let tree = Oid::new(scratch.git(&["rev-parse", "HEAD^{tree}"]));
    let not_applicable = |phase, reason: &str| ItemEvent::PhaseRecorded {
        attempt: attempt(1),
        phase,
        outcome: PhaseOutcome::NotApplicable { reason: reason.into() },
    };
    let failure = Failure::new(FailureClass::Check, Phase::Readiness, "test: exit 1\nmore");
    for event in [
        done(1, Phase::Setup, "worktree .worktrees/1.1"),
        not_applicable(Phase::Issue, "no forge configured"),
        ItemEvent::SessionStarted { attempt: attempt(1), phase: Phase::Research, principal: agent },
        ItemEvent::Reviewed { attempt: None, review: approval(&base, &base, &tree, &story), more: false },
        done(1, Phase::Branch, "story/1.1-title"),
        done(1, Phase::Research, "read"),
        done(1, Phase::Implementation, "1 commit(s)"),
        ItemEvent::ReturnedTo { attempt: attempt(1), phase: Phase::Implementation, reason: "test failed".into() },
        ItemEvent::Failed { attempt: attempt(1), failure },
        ItemEvent::RetryRequested { by: Principal::Person("bob".into()), reopen: false },
        ItemEvent::Blocked { run: RunId::new("r-2"), by: vec![key("1.0"), key("0.1")] },
        started(2, None, "Title", &base, &story),
        ItemEvent::NoChange { attempt: attempt(2), reason: "already there".into() },
    ] {
        store.append(&[record("1.1", event)]).unwrap();
    }
    let log = scratch.git(&["log", "--reverse", "--format=%an <%ae> %s", "refs/orchestrate/items/1.1"]);
    let subjects: Vec<_> =
        log.lines().map(|line| line.strip_prefix("git-orchestrate <git-orchestrate@localhost> ").unwrap()).collect();
    let (base, tree) = (base.short(), tree.short());
    assert_eq!(
        subjects,
        [
            &format!("1.1: started by claude as general-developer on story/1.1-title from main at {base}"),
            "1.1: setup done by git-orchestrate: worktree .worktrees/1.1",
            "1.1: issue not applicable: no forge configured",
            "1.1: research begins, claude (session 0f3c9a7e)",
            &format!("1.1: approved by alice, merge tree {tree}"),
            "1.1: branch done by git-orchestrate: story/1.1-title",
            "1.1: research done by git-orchestrate: read",
            "1.1: implementation done by git-orchestrate: 1 commit(s)",
            "1.1: back to implementation: test failed",
            "1.1: failed in readiness: test: exit 1",
            "1.1: retry asked for by bob",
            "1.1: blocked by 1.0, 0.1",
            &format!("1.1: started by claude as general-developer on story/1.1-title from main at {base}"),
            "1.1: done with no change: already there",
        ]
    );
}

#[test]
fn a_run_has_a_chain_of_its_own() {
    let (scratch, mut store, base, _) = opened();
    let run = RunId::new("20261121-0800-x");
    let begin = RunEvent::Started {
        scope: vec!["1.*".into()],
        target: BranchRef::new("refs/heads/main"),
        base: base.clone(),
        policy: PolicyVersion::new("p-1"),
        items: Vec::new(),
        jobs: 4,
        waves: false,
        land: true,
        agent: None,
        host: "box".into(),
    };
    let totals = Totals { landed: 3, failed: 1, ..Totals::default() };
    let events = [begin, RunEvent::Finished { totals }];
    let records: Vec<_> =
        events.iter().map(|event| Record::Run { run: run.clone(), event: event.clone(), at: AT }).collect();
    store.append(&records).unwrap();
    assert_eq!(store.runs().unwrap()[&run].totals, Some(totals));
    let read: Vec<_> = store.run_history(&run).unwrap().into_iter().map(|(_, _, event)| event).collect();
    assert_eq!(read, events);
    let log = scratch.git(&["log", "--reverse", "--format=%s", "refs/orchestrate/runs/20261121-0800-x"]);
    let expected = format!("started with 0 items on main at {}, 4 at a time", base.short());
    assert_eq!(log, format!("run {run}: {expected}\nrun {run}: finished: 3 landed, 1 failed, 0 blocked"));
}

#[test]
fn everything_survives_a_collection_with_no_grace_and_the_repository_is_sound() {
    let (scratch, mut store, _, story) = opened();
    let review = Artefact { name: "review.txt".into(), bytes: b"looks good".to_vec() };
    let event = done(1, Phase::Setup, "made");
    store.append(&[Record::Item { key: key("1.1"), event, at: AT, artefacts: vec![review] }]).unwrap();
    let before = store.items().unwrap();
    scratch.git(&["gc", "-q", "--prune=now"]);
    assert_eq!(scratch.try_git(&["fsck", "--strict", "--no-dangling"]).stderr, "");
    let mut fresh = super::fixtures::store(&scratch);
    assert_eq!(fresh.items().unwrap(), before);
    assert_eq!(fresh.blob(&story).unwrap(), b"# Story 1.1: Title\n");
    let (last, _, _) = fresh.history(&key("1.1")).unwrap().pop().unwrap();
    let (name, blob) = fresh.artefacts(&last).unwrap().pop().unwrap();
    assert_eq!((name.as_str(), fresh.blob(&blob).unwrap().as_slice()), ("review.txt", b"looks good".as_slice()));
    fresh.append(&[record("1.1", stopped(1, "enough"))]).unwrap();
    assert_eq!(store.item(&key("1.1")).unwrap(), fresh.item(&key("1.1")).unwrap());
}

#[test]
fn one_append_is_one_transaction_and_one_object_per_record() {
    let (_scratch, mut store, base, story) = opened();
    let (transactions, objects) = (store.transactions(), store.written());
    let records: Vec<Record> = Phase::ALL[..5].iter().map(|phase| record("1.1", done(1, *phase, "x"))).collect();
    store.append(&records).unwrap();
    store.append(&[]).unwrap();
    assert_eq!((store.transactions() - transactions, store.written() - objects), (1, 5));
    // A new attempt keeps the story: a tree more, and the blob is there already.
    store.append(&[record("1.2", started(1, None, "Title", &base, &story)), record("1.1", stopped(1, "x"))]).unwrap();
    assert_eq!((store.transactions() - transactions, store.written() - objects), (2, 5 + 3));
}

#[test]
fn one_rejected_record_rejects_the_batch() {
    let (scratch, mut store, base, story) = opened();
    let before = scratch.git(&["for-each-ref"]);
    let batch = [
        record("1.2", started(1, None, "Title", &base, &story)),
        record("1.1", stopped(1, "enough")),
        record("1.1", done(1, Phase::Setup, "too late")),
    ];
    assert!(matches!(store.append(&batch), Err(LedgerError::Rejected(_))));
    assert_eq!(scratch.git(&["for-each-ref"]), before);
    assert_eq!(store.items().unwrap().len(), 1);
}

#[test]
fn an_attempt_that_was_replaced_writes_nothing_more() {
    let (scratch, mut first, base, story) = opened();
    let mut second = store(&scratch);
    second.append(&[record("1.1", started(2, Some(1), "Title", &base, &story))]).unwrap();
    let fenced = first.append(&[record("1.1", done(1, Phase::Setup, "late"))]);
    assert!(matches!(fenced, Err(LedgerError::Rejected(_))), "{fenced:?}");
    assert_eq!(first.history(&key("1.1")).unwrap().len(), 2);
}

#[test]
fn a_story_that_is_nowhere_and_a_bad_name_are_refused() {
    let (scratch, mut store, base, _) = opened();
    let before = scratch.git(&["for-each-ref"]);
    let nowhere = Oid::new("1".repeat(40));
    let error = store.append(&[record("1.2", started(1, None, "T", &base, &nowhere))]).unwrap_err();
    assert!(error.to_string().contains("is not in the repository"), "{error}");
    for name in ["", "..", ".git", "a/b", "Ünï"] {
        let artefacts = vec![Artefact { name: name.into(), bytes: Vec::new() }];
        let record = Record::Item { key: key("1.1"), event: done(1, Phase::Setup, "x"), at: AT, artefacts };
        assert!(store.append(&[record]).is_err(), "{name}");
    }
    assert!(store.append(&[record("../../heads/main", stopped(1, "x"))]).is_err());
    assert_eq!(scratch.git(&["for-each-ref"]), before);
}

#[test]
fn newer_and_damaged_ledgers_are_refused_by_name() {
    let (scratch, _, _, _) = opened();
    let empty = scratch.git(&["hash-object", "-t", "tree", "/dev/null"]);
    let newer = scratch.git(&["commit-tree", "-m", "new times", "-m", "{\"v\": 9}", &empty]);
    scratch.git(&["update-ref", "refs/orchestrate/items/2.1", &newer]);
    let error = store(&scratch).items().unwrap_err();
    let LedgerError::Unreadable { chain, reason } = error else { panic!("{error}") };
    assert_eq!(chain, "refs/orchestrate/items/2.1");
    assert!(reason.contains("ledger format 9"), "{reason}");
    assert!(store(&scratch).item(&key("1.1")).unwrap().is_some(), "another chain is readable");

    scratch.git(&["update-ref", "refs/orchestrate/meta", &newer]);
    let error = store(&scratch).append(&[record("1.1", stopped(1, "x"))]).unwrap_err();
    assert!(matches!(&error, LedgerError::Unreadable { chain, .. } if chain == "refs/orchestrate/meta"), "{error}");
}

#[test]
fn what_a_newer_minor_version_wrote_into_the_snapshot_stays() {
    let (scratch, mut store, _, _) = opened();
    let message = scratch.git(&["log", "-1", "--format=%B", "refs/orchestrate/items/1.1"]);
    let message = message.replacen("\"state\": {", "\"state\": {\"weather\":\"clear\",", 1);
    let empty = scratch.git(&["hash-object", "-t", "tree", "/dev/null"]);
    let newer = scratch.git(&["commit-tree", "-p", "refs/orchestrate/items/1.1", "-m", &message, &empty]);
    scratch.git(&["update-ref", "refs/orchestrate/items/1.1", &newer]);
    store.append(&[record("1.1", done(1, Phase::Setup, "x")), record("1.1", done(1, Phase::Issue, "x"))]).unwrap();
    store.append(&[record("1.1", stopped(1, "enough"))]).unwrap();
    let body = scratch.git(&["log", "-1", "--format=%b", "refs/orchestrate/items/1.1"]);
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["state"]["weather"], "clear");
    assert_eq!(body["event"]["kind"], "stopped");
}

/// A repository in which item 1.1 is ready to land: base, head, merge, permit, and the landing.
fn ready(bookkeeping: bool) -> (Scratch, Store, MergePermit, Landing) {
    let (scratch, mut store, base, story) = opened();
    scratch.git(&["checkout", "-q", "-b", "story/1.1-title"]);
    scratch.write("work", "done\n");
    let head = Oid::new(scratch.commit("work"));
    scratch.git(&["checkout", "-q", "main"]);
    let merge_tree = Oid::new(scratch.git(&["rev-parse", "story/1.1-title^{tree}"]));
    let parents = ["-p", base.as_str(), "-p", head.as_str()];
    let merge = scratch.git(&[&["commit-tree", "-m", "merge"][..], &parents, &[merge_tree.as_str()]].concat());
    let mut tip = merge.clone();
    if bookkeeping {
        let tree = scratch.git(&["rev-parse", "HEAD^{tree}"]);
        tip = scratch.git(&["commit-tree", "-m", "status", "-p", &merge, &tree]);
    }
    let target = BranchRef::new("refs/heads/main");
    let landing = Landing { target, base, head, merge_tree, merge: Oid::new(merge), tip: Oid::new(tip) };
    let mut records: Vec<Record> = Phase::ALL[..12]
        .iter()
        .filter(|phase| **phase != Phase::Review)
        .map(|phase| record("1.1", done(1, *phase, "x")))
        .collect();
    let review = approval(&landing.base, &landing.head, &landing.merge_tree, &story);
    records.push(record("1.1", ItemEvent::Reviewed { attempt: None, review, more: false }));
    records.push(record("1.1", ItemEvent::LandingIntended { attempt: attempt(1), landing: landing.clone() }));
    store.append(&records).unwrap();
    let permit = permit(&mut store, &landing);
    (scratch, store, permit, landing)
}

/// What the gate says of the landing's candidate.
fn permit(store: &mut Store, landing: &Landing) -> MergePermit {
    let state = store.item(&key("1.1")).unwrap().unwrap();
    let candidate = Candidate {
        base: landing.base.clone(),
        head: landing.head.clone(),
        merge_tree: landing.merge_tree.clone(),
        person_authors: Vec::new(),
    };
    let policy = Policy::built_in(PolicyVersion::new("p-1"));
    match judge(&policy, &state, &candidate, &Signatures::unknown()) {
        Verdict::Covered(covered) => MergePermit::reviewed(covered),
        Verdict::Refused(refusals) => panic!("{refusals:?}"),
    }
}

#[test]
fn a_landing_moves_branch_item_and_index_together() {
    for bookkeeping in [false, true] {
        let (scratch, mut store, permit, landing) = ready(bookkeeping);
        let transactions = store.transactions();
        store.land(permit, &key("1.1"), &landing, AT).unwrap();
        assert_eq!(store.transactions() - transactions, 1);
        assert_eq!(scratch.git(&["rev-parse", "main"]), landing.tip.as_str());
        assert!(store.item(&key("1.1")).unwrap().unwrap().is_done());
        let record = scratch.git(&["rev-parse", "refs/orchestrate/items/1.1"]);
        for tree in [landing.merge_tree.as_str(), &scratch.git(&["rev-parse", "main^{tree}"])] {
            assert_eq!(scratch.git(&["rev-parse", &format!("refs/orchestrate/landings/{tree}")]), record);
        }
    }
}

#[test]
fn a_landing_that_the_permit_does_not_cover_moves_nothing() {
    let spoil: [fn(&mut Landing); 5] = [
        |landing| landing.base = landing.head.clone(),
        |landing| landing.head = landing.base.clone(),
        |landing| landing.merge_tree = landing.tip.clone(),
        |landing| landing.tip = landing.head.clone(),
        |landing| landing.merge = landing.head.clone(),
    ];
    for spoil in spoil {
        let (scratch, mut store, permit, mut landing) = ready(false);
        let before = scratch.git(&["for-each-ref"]);
        spoil(&mut landing);
        let error = store.land(permit, &key("1.1"), &landing, AT).unwrap_err();
        assert!(error.to_string().starts_with("the landing is not permitted"), "{error}");
        assert_eq!(scratch.git(&["for-each-ref"]), before);
    }
}

#[test]
fn a_landing_whose_target_moved_moves_nothing() {
    let (scratch, mut store, permit, landing) = ready(false);
    scratch.commit("somebody else");
    let before = scratch.git(&["for-each-ref"]);
    let error = store.land(permit, &key("1.1"), &landing, AT).unwrap_err();
    assert!(matches!(error, LedgerError::TargetMoved { .. }), "{error}");
    assert_eq!(scratch.git(&["for-each-ref"]), before);
}

#[test]
#[ignore = "battery"]
fn a_landing_that_meets_a_foreign_lock_says_so_and_moves_nothing() {
    for lock in ["HEAD.lock", "refs/heads/main.lock"] {
        let (scratch, mut store, permit, landing) = ready(false);
        let before = scratch.git(&["for-each-ref"]);
        let file = scratch.root().join(".git").join(lock);
        std::fs::write(&file, "").unwrap();
        let error = store.land(permit, &key("1.1"), &landing, AT).unwrap_err();
        assert!(matches!(&error, LedgerError::Locked(said) if said.hint.is_some()), "{lock}: {error:?}");
        assert!(error.to_string().contains(lock), "{error}");
        assert_eq!(scratch.git(&["for-each-ref"]), before);
        assert!(file.exists(), "{lock} is somebody's");
    }
}

#[test]
fn a_ledger_works_with_sha256() {
    let scratch = Scratch::empty();
    scratch.git(&["init", "-q", "-b", "main", "--object-format=sha256"]);
    let base = Oid::new(scratch.commit("first"));
    let mut store = Store::new(&Repo::discover(&scratch.root()).unwrap());
    let story = store.write_blob(b"story").unwrap();
    store.append(&[record("1.1", started(1, None, "Title", &base, &story))]).unwrap();
    assert_eq!(scratch.try_git(&["fsck", "--strict"]).code, 0);
    assert_eq!(super::fixtures::store(&scratch).item(&key("1.1")).unwrap().unwrap().title, "Title");
}
