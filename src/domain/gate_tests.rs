//! The gate: what it never covers, whatever else is in order, and what it covers.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::domain::event::{CheckRun, Landing, PhaseOutcome, Signature};
use crate::domain::names::{AttemptId, BranchRef, PolicyVersion, RunId, Timestamp};
use crate::domain::policy::CheckSpec;
use crate::domain::state::{Attempt, Carried, SessionRecord};
use crate::domain::statement::{Unverified, Verified};

fn oid(text: &str) -> Oid {
    Oid::new(text)
}

fn agent(session: &str) -> Principal {
    Principal::Agent { adapter: "fake".to_owned(), session: session.to_owned() }
}

fn person(who: &str) -> Principal {
    Principal::Person(who.to_owned())
}

fn policy() -> Policy {
    let mut policy = Policy::built_in(PolicyVersion::new("p1"));
    let check = |name: &str| CheckSpec { name: name.to_owned(), command: vec!["true".to_owned()], timeout_secs: 1 };
    policy.checks = vec![check("test"), check("lint")];
    policy
}

fn candidate() -> Candidate {
    Candidate { base: oid("b1"), head: oid("h1"), merge_tree: oid("t1"), person_authors: Vec::new() }
}

fn check_run(name: &str, tree: &str, passed: bool) -> CheckRun {
    CheckRun { name: name.to_owned(), tree: oid(tree), passed, ended: "exit".to_owned(), millis: 1 }
}

/// Everything the policy asks of [`candidate`].
fn in_order() -> ItemState {
    let outcome = PhaseOutcome::NotApplicable { reason: "a test".to_owned() };
    let phases = Phase::ALL.into_iter().filter(|phase| phase.needed_for_landing());
    ItemState {
        phases: phases.map(|phase| (phase, outcome.clone())).collect(),
        sessions: vec![SessionRecord { phase: Phase::Research, principal: agent("author"), end: None }],
        checks: vec![check_run("test", "t1", true), check_run("lint", "t1", true)],
        reviews: vec![Review {
            reviewer: agent("reviewer"),
            verdict: ReviewVerdict::Approve,
            base: oid("b1"),
            head: oid("h1"),
            merge_tree: oid("t1"),
            policy: PolicyVersion::new("p1"),
            story: oid("s1"),
            findings: Vec::new(),
            message: String::new(),
            at: Timestamp(0),
            signature: None,
        }],
        attempt: Some(Attempt {
            id: AttemptId::new("attempt-1"),
            run: RunId::new("run-1"),
            agent: "fake".to_owned(),
            role: "general-developer".to_owned(),
            branch: BranchRef::new("refs/heads/story/1.1"),
            worktree: ".worktrees/1.1".to_owned(),
            target: BranchRef::new("refs/heads/main"),
            base: oid("b1"),
            policy: PolicyVersion::new("p1"),
            story: oid("s1"),
            started: Timestamp(0),
        }),
        ..ItemState::default()
    }
}

fn refusals(policy: &Policy, state: &ItemState, candidate: &Candidate) -> Vec<Refusal> {
    match judge(policy, state, candidate, &Signatures::unknown()) {
        Verdict::Covered(_) => Vec::new(),
        Verdict::Refused(refusals) => refusals,
    }
}

#[test]
fn what_is_in_order_is_covered_and_the_permit_names_exactly_it() {
    let Verdict::Covered(covered) = judge(&policy(), &in_order(), &candidate(), &Signatures::unknown()) else {
        panic!("refused")
    };
    let permit = MergePermit::reviewed(covered);
    assert_eq!((permit.base(), permit.head(), permit.merge_tree()), (&oid("b1"), &oid("h1"), &oid("t1")));
}

#[test]
fn a_write_back_gets_a_permit_only_for_an_intended_landing_and_the_recomputed_lines() {
    let mut state = in_order();
    state.path = "docs/1.1.md".to_owned();
    let before = b"# Story\n\nStatus: Approved\n".to_vec();
    let after = bookkeep(&before, DONE, &review_lines(&state.reviews));
    let candidate = |path: &str, after: &[u8]| WriteBack {
        base: oid("m1"),
        tree: oid("t2"),
        rewrite: Rewrite { path: path.to_owned(), before: before.clone(), after: after.to_vec() },
    };
    assert_eq!(judge_write_back(&state, &candidate("docs/1.1.md", &after)), None, "no landing is intended");
    state.intended = Some(Landing {
        target: BranchRef::new("refs/heads/main"),
        base: oid("b1"),
        head: oid("h1"),
        merge_tree: oid("t1"),
        merge: oid("m1"),
        tip: oid("m2"),
    });
    let proof = judge_write_back(&state, &candidate("docs/1.1.md", &after)).unwrap();
    let permit = MergePermit::bookkeeping(proof);
    assert!(permit.is_bookkeeping());
    assert_eq!((permit.base(), permit.merge_tree()), (&oid("m1"), &oid("t2")));
    assert_eq!(judge_write_back(&state, &candidate("docs/1.2.md", &after)), None);
    assert_eq!(judge_write_back(&state, &candidate("docs/1.1.md", &[&after[..], b"x"].concat())), None);
}

#[test]
fn every_missing_phase_is_refused() {
    for phase in Phase::ALL.into_iter().filter(|phase| phase.needed_for_landing() && *phase != Phase::Review) {
        let mut state = in_order();
        state.phases.remove(&phase);
        assert_eq!(refusals(&policy(), &state, &candidate()), [Refusal::PhaseMissing(phase)]);
    }
}

#[test]
fn each_staleness_is_named() {
    type Change = fn(&mut Review);
    let cases: [(Change, Stale); 4] = [
        (|review| review.head = oid("h2"), Stale::Head),
        (|review| review.merge_tree = oid("t2"), Stale::MergeTree),
        (|review| review.policy = PolicyVersion::new("p2"), Stale::Policy),
        (|review| review.story = oid("s2"), Stale::Story),
    ];
    for (change, stale) in cases {
        let mut state = in_order();
        change(&mut state.reviews[0]);
        assert_eq!(refusals(&policy(), &state, &candidate()), [Refusal::ReviewStale(stale)]);
    }
}

#[test]
fn only_the_newest_review_counts() {
    let mut state = in_order();
    let mut rejection = state.reviews[0].clone();
    rejection.verdict = ReviewVerdict::RequestChanges;
    state.reviews.push(rejection);
    assert_eq!(refusals(&policy(), &state, &candidate()), [Refusal::ChangesRequested]);
    state.reviews.clear();
    assert_eq!(refusals(&policy(), &state, &candidate()), [Refusal::NoReview]);
}

#[test]
fn authors_do_not_review_under_any_name() {
    let mut state = in_order();
    state.reviews[0].reviewer = agent("author");
    assert_eq!(refusals(&policy(), &state, &candidate()), [Refusal::SelfReview(agent("author"))]);
    let disguised = Principal::Agent { adapter: "other".to_owned(), session: "author".to_owned() };
    state.reviews[0].reviewer = disguised;
    assert_eq!(refusals(&policy(), &state, &candidate()), [Refusal::SelfReview(agent("author"))]);
    state.reviews[0].reviewer = person("ada");
    let mut own = candidate();
    own.person_authors = vec![person("bob"), person("ada")];
    assert_eq!(refusals(&policy(), &state, &own), [Refusal::SelfReview(person("ada"))]);
}

#[test]
fn only_a_person_reviews_where_the_policy_says_so() {
    let mut policy = policy();
    policy.review_by = ReviewBy::Human;
    let mut state = in_order();
    assert_eq!(refusals(&policy, &state, &candidate()), [Refusal::NotAPerson(agent("reviewer"))]);
    state.reviews[0].reviewer = person("ada");
    assert_eq!(refusals(&policy, &state, &candidate()), []);
}

#[test]
fn required_checks_that_are_not_configured_are_refused() {
    let mut policy = policy();
    policy.checks.clear();
    assert_eq!(refusals(&policy, &in_order(), &candidate()), []);
    policy.checks_required = true;
    assert_eq!(refusals(&policy, &in_order(), &candidate()), [Refusal::NoChecks]);
}

/// [`in_order`], approved by a person with a signature.
fn signed() -> ItemState {
    let mut state = in_order();
    state.reviews[0].reviewer = person("ada");
    state.reviews[0].signature = Some(Signature { armored: "s".to_owned(), key: "SHA256:k".to_owned() });
    state
}

fn verified(principal: &str, fingerprint: &str) -> Verified {
    Verified { principal: principal.to_owned(), fingerprint: fingerprint.to_owned() }
}

#[test]
fn only_a_verified_signature_of_the_reviewer_counts_where_signatures_are_required() {
    let mut policy = policy();
    policy.signatures_required = true;
    let judged = |state: &ItemState, known: &Signatures| match judge(&policy, state, &candidate(), known) {
        Verdict::Covered(_) => Vec::new(),
        Verdict::Refused(refusals) => refusals,
    };
    let unknown = Signatures::unknown();
    assert_eq!(judged(&in_order(), &unknown), [Refusal::NotSigned(agent("reviewer"))]);
    let state = signed();
    let with = |found| unknown.clone().with(&state.reviews[0], found);
    assert_eq!(judged(&state, &with(Ok(verified("ada", "SHA256:k")))), []);
    let refused = [
        ("nothing is known", unknown.clone()),
        ("it is bad", with(Err(Unverified::Altered))),
        ("another person's", with(Ok(verified("bob", "SHA256:k")))),
        ("another key's", with(Ok(verified("ada", "SHA256:other")))),
    ];
    for (what, known) in refused {
        assert!(matches!(judged(&state, &known).as_slice(), [Refusal::BadSignature(_)]), "{what}");
    }
    // What was found out about one review does not speak for the next.
    let mut newer = state.clone();
    newer.reviews[0].message = "other".to_owned();
    assert!(matches!(judged(&newer, &with(Ok(verified("ada", "SHA256:k")))).as_slice(), [Refusal::BadSignature(_)]));
}

#[test]
fn an_address_is_one_in_whatever_case() {
    let mut state = in_order();
    state.reviews[0].reviewer = person("Ada@Example.org");
    let own = Candidate { person_authors: vec![person("ada@example.org")], ..candidate() };
    assert_eq!(refusals(&policy(), &state, &own), [Refusal::SelfReview(person("ada@example.org"))]);
}

/// Two values of each kind, so that agreement and difference are both frequent.
fn one_of(kind: &'static str) -> impl Strategy<Value = Oid> {
    prop_oneof![3 => Just(1), 1 => Just(2)].prop_map(move |number| oid(&format!("{kind}{number}")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_covered_was_approved_and_checked_exactly_so(
        (head, tree, story) in (one_of("h"), one_of("t"), one_of("s")),
        version in select(vec!["p1", "p1", "p1", "p2"]),
        reviewer in select(vec![agent("author"), agent("reviewer"), person("ada"), person("bob")]),
        person_authors in proptest::collection::vec(select(vec![person("ada"), person("cleo")]), 0..2),
        carried in proptest::option::of((one_of("t"), one_of("b"), one_of("t"))),
        checks in proptest::collection::vec(
            (select(vec!["test", "lint"]), select(vec!["t1", "t1", "t2"]), proptest::bool::weighted(0.8)), 0..6),
        to in (one_of("b"), one_of("h"), one_of("t")),
    ) {
        let mut state = in_order();
        let review = &mut state.reviews[0];
        (review.head, review.merge_tree, review.story) = (head, tree, story);
        review.policy = PolicyVersion::new(version);
        review.reviewer = reviewer;
        let review = review.clone();
        state.carried = carried.map(|(from_tree, base, merge_tree)| Carried { from_tree, base, merge_tree });
        state.checks = checks.iter().map(|(name, tree, passed)| check_run(name, tree, *passed)).collect();
        let candidate = Candidate { base: to.0, head: to.1, merge_tree: to.2, person_authors };
        let carries = state.carried.as_ref().is_some_and(|carried| {
            (&carried.from_tree, &carried.base, &carried.merge_tree)
                == (&review.merge_tree, &candidate.base, &candidate.merge_tree)
        });
        // The newest run of each check on that very tree.
        let passed = |name: &str| {
            let on_tree = |check: &&CheckRun| check.name == name && check.tree == candidate.merge_tree;
            state.checks.iter().rfind(on_tree).is_some_and(|check| check.passed)
        };
        let wanted = review.head == candidate.head
            && (review.merge_tree == candidate.merge_tree || carries)
            && review.policy == policy().version
            && review.story == oid("s1")
            && review.reviewer != agent("author")
            && !candidate.person_authors.contains(&review.reviewer)
            && passed("test")
            && passed("lint");
        let covered = matches!(judge(&policy(), &state, &candidate, &Signatures::unknown()), Verdict::Covered(_));
        prop_assert_eq!(covered, wanted);
    }
}

fn by(adapter: &str, session: &str) -> Principal {
    Principal::Agent { adapter: adapter.to_owned(), session: session.to_owned() }
}

/// [`in_order`], approved by these in this order.
fn approved_by(reviewers: &[Principal]) -> ItemState {
    let mut state = in_order();
    let approval = state.reviews.remove(0);
    state.reviews = reviewers.iter().map(|who| Review { reviewer: who.clone(), ..approval.clone() }).collect();
    state
}

fn wants(reviewers: u32, review_by: ReviewBy) -> Policy {
    Policy { review_by, reviewers, ..policy() }
}

fn lacks(agents: u32, persons: u32) -> Vec<Refusal> {
    vec![Refusal::ReviewersMissing(Missing { agents, persons })]
}

#[test]
fn several_approvals_come_from_different_adapters_or_persons() {
    let two = wants(2, ReviewBy::Agent);
    let (claude, codex) = (by("claude", "r1"), by("codex", "r2"));
    assert_eq!(refusals(&two, &approved_by(std::slice::from_ref(&claude)), &candidate()), lacks(1, 0));
    assert_eq!(refusals(&two, &approved_by(&[claude.clone(), by("claude", "r9")]), &candidate()), lacks(1, 0));
    assert_eq!(refusals(&two, &approved_by(&[claude.clone(), codex.clone()]), &candidate()), []);
    assert_eq!(refusals(&two, &approved_by(&[claude.clone(), person("ada")]), &candidate()), []);
    let people = wants(2, ReviewBy::Human);
    assert_eq!(refusals(&people, &approved_by(&[person("ada"), person("ADA")]), &candidate()), lacks(0, 1));
    assert_eq!(refusals(&people, &approved_by(&[person("ada"), person("bob")]), &candidate()), []);
}

#[test]
fn agents_and_a_person_are_both_needed_in_any_order() {
    let both = wants(1, ReviewBy::Both);
    let claude = by("claude", "r1");
    assert_eq!(refusals(&both, &approved_by(std::slice::from_ref(&claude)), &candidate()), lacks(0, 1));
    assert_eq!(refusals(&both, &approved_by(&[person("ada")]), &candidate()), lacks(1, 0));
    assert_eq!(refusals(&both, &approved_by(&[person("ada"), claude.clone()]), &candidate()), []);
    assert_eq!(refusals(&both, &approved_by(&[claude, person("ada")]), &candidate()), []);
}

#[test]
fn what_does_not_count_alone_does_not_count_among_several() {
    let two = wants(2, ReviewBy::Agent);
    let mut state = approved_by(&[by("claude", "r1"), by("codex", "r2")]);
    state.reviews[0].head = oid("older");
    assert_eq!(refusals(&two, &state, &candidate()), lacks(1, 0), "a stale one");
    let mut state = approved_by(&[by("claude", "author"), by("codex", "r2")]);
    assert_eq!(refusals(&two, &state, &candidate()), lacks(1, 0), "the author's own");
    state = approved_by(&[by("claude", "r1"), by("codex", "r2"), by("gemini", "r3")]);
    state.reviews[1].verdict = ReviewVerdict::RequestChanges;
    assert_eq!(refusals(&two, &state, &candidate()), lacks(1, 0), "one from before changes were asked for");
}

#[test]
fn where_agents_and_a_person_review_the_person_signs() {
    let mut both = wants(1, ReviewBy::Both);
    both.signatures_required = true;
    let state = approved_by(&[by("claude", "r1"), person("ada")]);
    assert_eq!(refusals(&both, &state, &candidate()), [Refusal::NotSigned(person("ada"))]);
    let state = approved_by(&[person("ada"), by("claude", "r1")]);
    assert_eq!(refusals(&both, &state, &candidate()), lacks(0, 1), "an unsigned one counts for nothing");
}
