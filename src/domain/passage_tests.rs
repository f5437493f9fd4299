//! The rule for moves, case by case. One letter is one object; main is at `m`.

use super::*;
use crate::domain::bookkeep::{DONE, bookkeep, review_lines};
use crate::domain::branch::{Breach, Hotfix, HotfixRecord};
use crate::domain::event::{ItemEvent, PhaseOutcome, Review, ReviewVerdict};
use crate::domain::names::{AttemptId, PolicyVersion, RunId, Timestamp};
use crate::domain::workflow::Phase;

fn oid(letter: &str) -> Oid {
    Oid::new(letter)
}

fn key(text: &str) -> StoryName {
    StoryName::Key(ItemKey::new(text))
}

fn policy(mode: ProtectMode) -> Policy {
    Policy { mode, ..Policy::built_in(PolicyVersion::new("p")) }
}

fn branch() -> BranchRef {
    BranchRef::new("refs/heads/main")
}

/// A story whose head `h` on base `m` was approved with merge tree `t`, everything before the landing recorded.
fn approved() -> ItemState {
    let attempt = AttemptId::new("a1");
    let tool = Principal::Tool;
    let mut events = vec![ItemEvent::AttemptStarted {
        attempt: attempt.clone(),
        continues: None,
        run: RunId::new("r"),
        title: "t".to_owned(),
        path: "docs/1.1.md".to_owned(),
        agent: "demo".to_owned(),
        role: "dev".to_owned(),
        branch: BranchRef::new("refs/heads/story/1.1-x"),
        worktree: "/w".to_owned(),
        target: branch(),
        base: oid("m"),
        policy: PolicyVersion::new("p"),
        story: oid("story"),
    }];
    for phase in Phase::ALL.into_iter().filter(|phase| phase.needed_for_landing() && *phase != Phase::Review) {
        let outcome = PhaseOutcome::Done { by: tool.clone(), summary: String::new(), head: None, checks: Vec::new() };
        events.push(ItemEvent::PhaseRecorded { attempt: attempt.clone(), phase, outcome });
    }
    let review = Review {
        reviewer: Principal::Person("bob".to_owned()),
        verdict: ReviewVerdict::Approve,
        base: oid("m"),
        head: oid("h"),
        merge_tree: oid("t"),
        policy: PolicyVersion::new("p"),
        story: oid("story"),
        findings: Vec::new(),
        message: String::new(),
        at: Timestamp(0),
        signature: None,
    };
    events.push(ItemEvent::Reviewed { attempt: Some(attempt), review, more: false });
    ItemState::fold(events.iter().map(|event| (event, Timestamp(1)))).unwrap()
}

fn landing() -> Landing {
    Landing { target: branch(), base: oid("m"), head: oid("h"), merge_tree: oid("t"), merge: oid("M"), tip: oid("B") }
}

fn landed() -> ItemState {
    let mut state = approved();
    let attempt = AttemptId::new("a1");
    for event in [ItemEvent::LandingIntended { attempt, landing: landing() }, ItemEvent::Landed { landing: landing() }]
    {
        state = state.apply(&event, Timestamp(2)).unwrap();
    }
    state
}

fn step(commit: &str, parents: &[&str], tree: &str) -> Step {
    Step {
        commit: Some(oid(commit)),
        parents: parents.iter().map(|parent| oid(parent)).collect(),
        tree: Some(oid(tree)),
        ..Step::default()
    }
}

/// A step that merges story 1.1 in.
fn merging(commit: &str, head: &str, tree: &str) -> Step {
    Step { brings: BTreeSet::from([key("1.1")]), ..step(commit, &["m", head], tree) }
}

/// A commit of story 1.1 on the line.
fn of_story(commit: &str, parent: &str, tree: &str) -> Step {
    let story = BTreeSet::from([key("1.1")]);
    Step { brings: story.clone(), is_of: story, ..step(commit, &[parent], tree) }
}

struct Case {
    policy: Policy,
    record: BranchState,
    items: BTreeMap<ItemKey, ItemState>,
}

fn case(mode: ProtectMode, state: ItemState) -> Case {
    let items = BTreeMap::from([(ItemKey::new("1.1"), state)]);
    Case { policy: policy(mode), record: BranchState::default(), items }
}

impl Case {
    fn judge(&self, steps: Vec<Step>) -> Answer {
        self.judge_all(steps, &[], false)
    }

    fn judge_all(&self, steps: Vec<Step>, dropped: &[&str], again: bool) -> Answer {
        judge(&Passage {
            policy: &self.policy,
            record: &self.record,
            signatures: &Signatures::unknown(),
            branch: &branch(),
            items: &self.items,
            steps,
            dropped: dropped.iter().map(|commit| oid(commit)).collect(),
            again,
            evidence: None,
        })
    }
}

fn refused_story(answer: &Answer) -> Vec<Refusal> {
    match answer.objections.as_slice() {
        [Objected { objection: Objection::Stories(stories), .. }] if stories.len() == 1 => stories[0].1.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn people_s_own_commits_pass_in_mode_stories_and_not_in_mode_all() {
    let own = vec![step("o", &["m"], "x"), step("p", &["o", "f"], "y")];
    let stories = case(ProtectMode::Stories, approved()).judge(own.clone());
    assert_eq!(stories.passed, [(oid("o"), Way::Own), (oid("p"), Way::Own)]);
    assert!(stories.allows());
    let all = case(ProtectMode::All, approved()).judge(own);
    assert_eq!(all.objections.len(), 2);
    assert!(all.objections.iter().all(|objected| objected.objection == Objection::NoPermit));
}

#[test]
fn a_person_may_merge_what_was_approved_and_only_that() {
    for mode in [ProtectMode::Stories, ProtectMode::All] {
        let case = case(mode, approved());
        let answer = case.judge(vec![merging("X", "h", "t")]);
        let landing = Landing { merge: oid("X"), tip: oid("X"), ..landing() };
        assert_eq!(answer.passed, [(oid("X"), Way::Covered(ItemKey::new("1.1"), Box::new(landing)))]);
        assert!(answer.allows());
        assert!(!case.judge(vec![merging("X", "h", "other")]).allows());
        assert!(!case.judge(vec![merging("X", "later", "t")]).allows());
    }
}

#[test]
fn an_unreviewed_story_is_refused_with_what_is_missing() {
    let mut state = approved();
    state.reviews.clear();
    let answer = case(ProtectMode::Stories, state).judge(vec![merging("X", "h", "t")]);
    assert_eq!(refused_story(&answer), [Refusal::NoReview]);
}

#[test]
fn a_fast_forward_is_judged_as_one_change_by_its_last_commit() {
    let mut state = approved();
    state.reviews[0].head = oid("s2");
    let case = case(ProtectMode::Stories, state);
    let answer = case.judge(vec![of_story("s1", "m", "half"), of_story("s2", "s1", "t")]);
    assert!(answer.allows(), "{answer:?}");
    assert_eq!(answer.passed.len(), 2);
    assert!(!case.judge(vec![of_story("s1", "m", "half")]).allows(), "half of a story is not the story");
    let more = vec![of_story("s1", "m", "half"), of_story("s2", "s1", "t"), of_story("s3", "s2", "u")];
    assert!(!case.judge(more).allows(), "a commit after the approval");
}

#[test]
fn a_squash_passes_by_its_content() {
    let squash = |tree: &str| Step { brings: BTreeSet::from([key("1.1")]), ..step("q", &["m"], tree) };
    let case = case(ProtectMode::Stories, approved());
    assert!(case.judge(vec![squash("t")]).allows());
    assert!(!case.judge(vec![squash("u")]).allows());
}

#[test]
fn a_landing_on_record_passes_with_its_write_back() {
    for mode in [ProtectMode::Stories, ProtectMode::All] {
        let case = case(mode, landed());
        let line = vec![merging("M", "h", "t"), step("B", &["M"], "b")];
        let answer = case.judge(line);
        let key = ItemKey::new("1.1");
        assert_eq!(answer.passed, [(oid("M"), Way::Landed(key.clone())), (oid("B"), Way::Bookkeeping(key))]);
    }
}

#[test]
fn what_a_person_landed_commit_by_commit_passes_as_the_one_landing_on_record() {
    let mut state = approved();
    let by_hand = Landing { merge: oid("h"), tip: oid("B"), ..landing() };
    let attempt = AttemptId::new("a1");
    for event in
        [ItemEvent::LandingIntended { attempt, landing: by_hand.clone() }, ItemEvent::Landed { landing: by_hand }]
    {
        state = state.apply(&event, Timestamp(2)).unwrap();
    }
    // Something of somebody else lies between the landing and its write-back.
    let line =
        || vec![of_story("g", "m", "g"), of_story("h", "g", "t"), step("o", &["h"], "o"), step("B", &["o"], "b")];
    let key = ItemKey::new("1.1");
    let landed = |commit: &str| (oid(commit), Way::Landed(key.clone()));
    let expected = [landed("g"), landed("h"), (oid("o"), Way::Own), (oid("B"), Way::Bookkeeping(key.clone()))];
    assert_eq!(case(ProtectMode::Stories, state.clone()).judge(line()).passed, expected);
    // The record says nothing of a line that ends elsewhere.
    assert!(!case(ProtectMode::Stories, state.clone()).judge(line()[..1].to_vec()).allows());
    // Believed or judged again: a server looks at the evidence.
    state.reviews.clear();
    let answer = case(ProtectMode::Stories, state).judge_all(line()[..2].to_vec(), &[], true);
    let missing = vec![(StoryName::Key(key.clone()), vec![Refusal::NoReview])];
    assert_eq!(answer.objections.len(), 2, "both commits");
    assert!(answer.objections.iter().all(|one| one.objection == Objection::Stories(missing.clone())));
}

#[test]
fn each_step_meets_the_policy_that_stood_when_it_came() {
    let with = |mode: ProtectMode| Some(Rc::new(policy(mode)));
    let strict = case(ProtectMode::All, approved());
    assert!(!strict.judge(vec![step("o", &["m"], "o")]).allows());
    let before = Step { policy: with(ProtectMode::Stories), ..step("o", &["m"], "o") };
    assert!(strict.judge(vec![before]).allows());
    let after = Step { policy: with(ProtectMode::All), ..step("o", &["m"], "o") };
    assert!(!case(ProtectMode::Stories, approved()).judge(vec![after]).allows());
    let other = Policy::built_in(PolicyVersion::new("q"));
    let stale = Step { policy: Some(Rc::new(other)), ..merging("M", "h", "t") };
    let answer = case(ProtectMode::Stories, approved()).judge(vec![stale]);
    assert_eq!(refused_story(&answer), [Refusal::ReviewStale(gate::Stale::Policy)]);
}

#[test]
fn every_landing_that_is_lost_is_named() {
    let mut case = case(ProtectMode::Stories, landed());
    let mut other = landed();
    other.landings[0].merge = oid("N");
    case.items.insert(ItemKey::new("1.2"), other);
    let commits: Vec<_> = case.judge_all(Vec::new(), &["M", "N", "x"], false).objections;
    let commits: Vec<_> = commits.into_iter().filter_map(|objected| objected.commit).collect();
    assert_eq!(commits, [oid("M"), oid("N")]);
}

#[test]
fn a_server_believes_evidence_and_not_the_word_landed() {
    let mut forged = landed();
    forged.reviews[0].reviewer = Principal::Agent { adapter: "x".to_owned(), session: "s".to_owned() };
    forged.sessions.push(crate::domain::state::SessionRecord {
        phase: Phase::Implementation,
        principal: Principal::Agent { adapter: "y".to_owned(), session: "s".to_owned() },
        end: None,
    });
    let case = case(ProtectMode::Stories, forged);
    assert!(case.judge(vec![merging("M", "h", "t")]).allows());
    let answer = case.judge_all(vec![merging("M", "h", "t")], &[], true);
    assert!(matches!(refused_story(&answer).as_slice(), [Refusal::SelfReview(_)]));
}

#[test]
fn a_write_back_that_is_recomputed_may_change_status_and_review_lines_only() {
    let state = landed();
    let before = b"# Story\n\nStatus: Approved\n".to_vec();
    let after = bookkeep(&before, DONE, &review_lines(&state.reviews));
    let case = case(ProtectMode::Stories, state);
    let with = |path: &str, after: &[u8]| {
        let rewrite = Rewrite { path: path.to_owned(), before: before.clone(), after: after.to_vec() };
        let back = Step { rewrite: Some(rewrite), ..step("B", &["M"], "b") };
        case.judge_all(vec![back], &[], true).allows()
    };
    assert!(with("docs/1.1.md", &after));
    assert!(!with("docs/1.2.md", &after));
    assert!(!with("docs/1.1.md", &[after.as_slice(), b"more"].concat()));
    assert!(!case.judge_all(vec![step("B", &["M"], "b")], &[], true).allows(), "it changes something else");
}

#[test]
fn a_landed_story_brings_nothing_more_without_another_round() {
    let answer = case(ProtectMode::Stories, landed()).judge(vec![merging("X", "h2", "t2")]);
    assert_eq!(refused_story(&answer), []);
}

#[test]
fn a_step_with_two_stories_is_refused_even_when_one_is_covered() {
    let mut both = merging("X", "h", "t");
    both.brings.insert(StoryName::Branch("story/9.9".to_owned()));
    assert!(!case(ProtectMode::Stories, approved()).judge(vec![both]).allows());
}

#[test]
fn hotfixes_and_acknowledged_breaches_pass_in_both_modes() {
    for mode in [ProtectMode::Stories, ProtectMode::All] {
        let mut case = case(mode, approved());
        let hotfix = Hotfix {
            id: "h1".to_owned(),
            base: oid("m"),
            head: oid("f"),
            merge_tree: oid("x"),
            tip: oid("H"),
            lines: 1,
            emergency: String::new(),
            reason: String::new(),
            follow_up: String::new(),
            by: Principal::Tool,
            labels: Vec::new(),
            checks: Vec::new(),
            skipped: Vec::new(),
        };
        case.record.hotfixes.push(HotfixRecord { hotfix, at: Timestamp(0), resolved: None });
        case.record.acknowledged.insert(oid("X"), "seen".to_owned());
        let answer = case.judge(vec![step("H", &["m", "f"], "x"), merging("X", "h", "other")]);
        assert_eq!(answer.passed, [(oid("H"), Way::Hotfix("h1".to_owned())), (oid("X"), Way::Acknowledged)]);
    }
}

#[test]
fn a_landed_story_is_not_taken_back_and_mode_all_loses_nothing() {
    let stories = case(ProtectMode::Stories, landed());
    let back = stories.judge_all(Vec::new(), &["M", "B"], false);
    assert_eq!(back.objections[0].objection, Objection::TakesBack(ItemKey::new("1.1")));
    assert!(stories.judge_all(Vec::new(), &["own"], false).allows());
    let all = case(ProtectMode::All, approved()).judge_all(Vec::new(), &["own"], false);
    assert_eq!(all.objections[0].objection, Objection::Rewinds);
}

#[test]
fn an_open_breach_is_not_acknowledged() {
    let mut case = case(ProtectMode::Stories, approved());
    let breach = Breach { commit: oid("X"), reason: String::new(), route: String::new() };
    case.record.breaches.push(breach);
    assert!(!case.judge(vec![merging("X", "h", "other")]).allows());
}
