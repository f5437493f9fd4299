//! Reviews, on the stage in memory: rounds, reviews that do not count, and people.

use super::fake::{Stage, failure_of, plan, shown};
use super::ports::{Cancel, Ended};
use crate::domain::event::{FailureClass, ItemEvent, Review, ReviewVerdict, Signature};
use crate::domain::names::{Oid, Principal};
use crate::domain::plan::Assignment;
use crate::domain::policy::ReviewBy;
use crate::domain::state::Status;
use crate::domain::workflow::Phase;

#[test]
fn findings_go_to_the_author_then_tests_and_review_run_again_and_it_lands() {
    let stage = Stage::with_check();
    stage.agents.on("1.1", Phase::Review, async |session| match session.turn {
        0 => session.request_changes("name it better"),
        _ => session.approve(),
    });
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1").0, Status::Landed);
    let order = [Phase::Implementation, Phase::Review, Phase::ReviewResponse, Phase::Review];
    assert_eq!(stage.agents.phases_of("1.1"), order);
    assert!(stage.agents.prompts_of("1.1", Phase::ReviewResponse)[0].contains("name it better"));
    assert_eq!(stage.executor.names(), ["test in 1.1-do-it", "test in 1.1-do-it"]);
    let state = stage.ledger.state("1.1");
    assert_eq!((state.reviews.len(), state.rejections()), (2, 1));
}

#[test]
fn a_review_that_keeps_asking_for_changes_fails_the_story_at_the_round_limit() {
    let mut stage = Stage::new();
    stage.policy.review_rounds = 2;
    stage.agents.on("1.1", Phase::Review, async |session| session.request_changes("no"));
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(failure_of(&summary, "1.1").0, FailureClass::Review);
    assert_eq!(stage.agents.prompts_of("1.1", Phase::Review).len(), 2);
    assert_eq!(stage.agents.prompts_of("1.1", Phase::ReviewResponse).len(), 1);
    assert_eq!(stage.git.merges_of("1.1"), 0);
}

#[test]
fn prose_and_silence_are_no_review_and_never_land() {
    for answer in [Some("Looks good to me, approved!"), None] {
        let stage = Stage::new();
        stage.agents.on("1.1", Phase::Review, move |session| {
            let end = answer.map_or_else(|| session.exit(0), |text| session.result(text));
            std::future::ready(end)
        });
        let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
        assert_eq!(failure_of(&summary, "1.1").0, FailureClass::NoReview);
        assert_eq!(stage.git.merges_of("1.1"), 0);
    }
}

#[test]
fn what_a_reviewer_writes_is_rescued_and_the_review_still_counts() {
    let mut stage = Stage::new();
    stage.settings.setup = vec![vec!["make".to_owned()]];
    stage.agents.on("1.1", Phase::Review, async |session| {
        session.write("scribble.txt", "hm\n");
        session.approve()
    });
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1").0, Status::Landed);
    assert!(!stage.git.files_of("main").contains_key("scribble.txt"));
    let repo = stage.git.repo();
    let rescued = repo.refs.iter().find(|(name, _)| name.starts_with("refs/orchestrate/rescue/")).unwrap().1;
    assert!(repo.files(rescued).contains_key("scribble.txt"));
    drop(repo);
    assert_eq!(stage.executor.names().len(), 2, "a worktree made again is set up again");
}

#[test]
fn a_reviewer_who_moves_the_branch_gives_no_review() {
    let stage = Stage::new();
    stage.agents.on("1.1", Phase::Review, async |session| {
        session.write("sneaky.txt", "x\n");
        session.commit("reviewer via fake <git-orchestrate-agent@localhost>");
        session.approve()
    });
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    let (class, message) = failure_of(&summary, "1.1");
    assert_eq!(class, FailureClass::NoReview);
    assert!(message.contains("moved the story branch"), "{message}");
    assert_eq!(stage.git.merges_of("1.1"), 0);
}

#[test]
fn a_stopped_reviewer_is_followed_by_a_new_one() {
    let stage = Stage::new();
    let interrupts = stage.interrupts.clone();
    stage.agents.on("1.1", Phase::Review, move |mut session| {
        let interrupts = interrupts.clone();
        async move {
            if session.turn > 0 {
                return session.approve();
            }
            session.write("scribble.txt", "hm\n");
            interrupts.send(Cancel::Ask).unwrap();
            session.hang_until(Cancel::Ask).await
        }
    });
    assert_eq!(shown(&stage.run(&plan(&[("1.1", &[])])).unwrap(), "1.1").0, Status::Stopped);
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
    assert!(!stage.git.files_of("main").contains_key("scribble.txt"), "a reviewer's scribble never lands");
}

/// What `git orchestrate review` writes for a person.
fn review_by(stage: &Stage, key: &str, who: &str, verdict: ReviewVerdict) -> ItemEvent {
    let state = stage.ledger.state(key);
    let attempt = state.attempt.unwrap();
    let head = stage.git.tip_of(attempt.branch.short()).unwrap();
    let base = stage.git.tip_of("main").unwrap();
    let mut repo = stage.git.repo();
    let files = repo.merge(&base, &head).unwrap();
    let merge_tree: Oid = repo.tree(files);
    let findings = Vec::new();
    let (policy, story) = (attempt.policy, attempt.story);
    let (message, at) = ("read it".to_owned(), crate::domain::names::Timestamp(0));
    let reviewer = Principal::Person(who.to_owned());
    let review =
        Review { reviewer, verdict, base, head, merge_tree, policy, story, findings, message, at, signature: None };
    ItemEvent::Reviewed { attempt: None, review, more: false }
}

fn for_people() -> Stage {
    let mut stage = Stage::with_check();
    stage.policy.review_by = ReviewBy::Human;
    stage
}

#[test]
fn a_story_for_a_person_waits_and_the_next_run_lands_what_the_person_approved() {
    let stage = for_people();
    let items = plan(&[("1.1", &[]), ("1.2", &["1.1"])]);
    let summary = stage.run(&items).unwrap();
    let (status, reason) = shown(&summary, "1.1");
    assert_eq!(status, Status::ReadyForReview);
    assert!(reason.contains("git orchestrate review 1.1 --approve"), "{reason}");
    assert_eq!((summary.totals.waiting, summary.totals.unfinished), (1, 1));
    let mut review = review_by(&stage, "1.1", "ada@example.org", ReviewVerdict::Approve);
    stage.ledger.somebody_writes("1.1", review);

    let summary = stage.run(&items).unwrap();
    assert_eq!((summary.totals.landed, summary.totals.waiting), (1, 1));
    review = review_by(&stage, "1.2", "ada@example.org", ReviewVerdict::Approve);
    stage.ledger.somebody_writes("1.2", review);
    assert_eq!(stage.run(&items).unwrap().totals.landed, 2);
    assert_eq!(stage.agents.phases_of("1.1"), [Phase::Implementation]);
    let interrupted = stage.ledger.events("1.1").iter().any(|event| matches!(event, ItemEvent::Interrupted { .. }));
    assert!(!interrupted, "waiting for a person is no interruption");
    stage.assert_clean();
}

#[test]
fn a_persons_review_during_the_run_lets_the_item_go_on_however_busy_the_run_is() {
    let stage = std::rc::Rc::new(for_people());
    let person = stage.clone();
    stage.agents.on("1.2", Phase::Implementation, move |session| {
        let stage = person.clone();
        async move {
            // The first look finds nothing, then the person answers.
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            let review = review_by(&stage, "1.1", "ada@example.org", ReviewVerdict::Approve);
            stage.ledger.somebody_writes("1.1", review);
            let mut most = 1_000;
            while stage.status("1.1") != Status::Landed && most > 0 {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                most -= 1;
            }
            session.exit(1)
        }
    });
    let summary = stage.run(&plan(&[("1.1", &[]), ("1.2", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1").0, Status::Landed);
    stage.agents.on("1.2", Phase::Implementation, async |session| session.exit(1));
}

#[test]
fn a_person_who_asks_for_changes_sends_it_to_the_author_and_is_asked_again() {
    let stage = for_people();
    let items = plan(&[("1.1", &[])]);
    stage.run(&items).unwrap();
    let mut review = review_by(&stage, "1.1", "ada@example.org", ReviewVerdict::RequestChanges);
    stage.ledger.somebody_writes("1.1", review);
    let summary = stage.run(&items).unwrap();
    assert_eq!(shown(&summary, "1.1").0, Status::ReadyForReview);
    assert_eq!(stage.agents.phases_of("1.1"), [Phase::Implementation, Phase::ReviewResponse]);
    review = review_by(&stage, "1.1", "ada@example.org", ReviewVerdict::Approve);
    stage.ledger.somebody_writes("1.1", review);
    assert_eq!(stage.run(&items).unwrap().totals.landed, 1);
}

#[test]
fn a_person_who_wrote_part_of_the_change_cannot_approve_it() {
    let stage = for_people();
    stage.agents.on("1.1", Phase::Implementation, async |session| {
        session.write("1.1.txt", "done\n");
        session.commit("Bob <bob@example.org>");
        session.exit(0)
    });
    let items = plan(&[("1.1", &[])]);
    stage.run(&items).unwrap();
    let review = review_by(&stage, "1.1", "bob@example.org", ReviewVerdict::Approve);
    stage.ledger.somebody_writes("1.1", review);
    let summary = stage.run(&items).unwrap();
    let (class, message) = failure_of(&summary, "1.1");
    assert_eq!(class, FailureClass::Gate);
    assert!(message.contains("person:bob@example.org reviewed a change of their own"), "{message}");
    assert_eq!(stage.git.merges_of("1.1"), 0);
}

#[test]
fn a_commit_after_a_persons_approval_waits_for_another_approval() {
    let stage = for_people();
    let items = plan(&[("1.1", &[])]);
    stage.run(&items).unwrap();
    let mut review = review_by(&stage, "1.1", "ada@example.org", ReviewVerdict::Approve);
    stage.ledger.somebody_writes("1.1", review);
    stage.git.somebody_commits("story/1.1-do-it", "late.txt", "late\n");
    assert_eq!(shown(&stage.run(&items).unwrap(), "1.1").0, Status::ReadyForReview);
    assert_eq!(stage.git.merges_of("1.1"), 0);
    review = review_by(&stage, "1.1", "cleo@example.org", ReviewVerdict::Approve);
    stage.ledger.somebody_writes("1.1", review);
    assert_eq!(stage.run(&items).unwrap().totals.landed, 1);
}

#[test]
fn an_approval_that_arrives_while_the_checks_still_run_is_seen() {
    let stage = std::rc::Rc::new(for_people());
    let person = stage.clone();
    stage.executor.judged_by(move |run| {
        if run.turn == 0 {
            let review = review_by(&person, "1.1", "ada@example.org", ReviewVerdict::Approve);
            person.ledger.somebody_writes("1.1", review);
        }
        Ended::Exit(0)
    });
    assert_eq!(shown(&stage.run(&plan(&[("1.1", &[])])).unwrap(), "1.1").0, Status::Landed);
    stage.executor.judged_by(|_| Ended::Exit(0));
}

/// A person's approval with a signature that the stage takes for good or not.
fn signed_by(stage: &Stage, who: &str, armored: &str) -> ItemEvent {
    let mut event = review_by(stage, "1.1", who, ReviewVerdict::Approve);
    if let ItemEvent::Reviewed { review, .. } = &mut event {
        review.signature = Some(Signature { armored: armored.to_owned(), key: "SHA256:k".to_owned() });
    }
    event
}

#[test]
fn where_signatures_are_required_an_agents_approval_waits_for_a_good_one() {
    let mut stage = Stage::with_check();
    stage.policy.signatures_required = true;
    let items = plan(&[("1.1", &[])]);
    let waits = |stage: &Stage, why: &str| {
        let summary = stage.run(&items).unwrap();
        let (_, reason) = shown(&summary, "1.1");
        assert!(reason.contains(why) && reason.contains("git orchestrate review 1.1 --approve --sign"), "{reason}");
        assert_eq!((summary.totals.waiting, stage.git.merges_of("1.1")), (1, 0));
    };
    waits(&stage, "did not sign");
    stage.ledger.somebody_writes("1.1", signed_by(&stage, "bob@example.org", "forged"));
    waits(&stage, "made over something else");
    stage.ledger.somebody_writes("1.1", signed_by(&stage, "bob@example.org", "good"));
    assert_eq!(stage.run(&items).unwrap().totals.landed, 1);
    assert_eq!(stage.agents.phases_of("1.1"), [Phase::Implementation, Phase::Review], "no session was wasted");
    stage.assert_clean();
}

#[test]
fn a_signature_that_comes_during_the_run_lands_the_story_in_it() {
    let mut stage = Stage::with_check();
    stage.policy.signatures_required = true;
    let stage = std::rc::Rc::new(stage);
    let person = stage.clone();
    stage.agents.on("1.2", Phase::Implementation, move |session| {
        let stage = person.clone();
        async move {
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            stage.ledger.somebody_writes("1.1", signed_by(&stage, "bob@example.org", "good"));
            let mut most = 1_000;
            while stage.status("1.1") != Status::Landed && most > 0 {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                most -= 1;
            }
            session.exit(1)
        }
    });
    let summary = stage.run(&plan(&[("1.1", &[]), ("1.2", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1").0, Status::Landed);
    // The stage and its script hold each other.
    stage.agents.on("1.2", Phase::Implementation, async |session| session.exit(1));
}

/// Two agents review, of two adapters.
fn for_two(review_by: ReviewBy) -> Stage {
    let mut stage = Stage::with_check();
    stage.policy.reviewers = 2;
    stage.policy.review_by = review_by;
    let second = Assignment { role: "code-reviewer".to_owned(), adapter: "second".to_owned(), why: String::new() };
    stage.more_reviewers = vec![second];
    stage
}

#[test]
fn two_reviewers_of_different_adapters_see_the_same_merge_and_then_it_lands() {
    let stage = for_two(ReviewBy::Agent);
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1").0, Status::Landed);
    let reviews = stage.ledger.state("1.1").reviews;
    let adapter = |review: &Review| match &review.reviewer {
        Principal::Agent { adapter, .. } => adapter.clone(),
        other => other.to_string(),
    };
    assert_eq!(reviews.iter().map(adapter).collect::<Vec<_>>(), ["fake", "second"]);
    assert_eq!(reviews[0].merge_tree, reviews[1].merge_tree);
}

#[test]
fn changes_asked_for_by_the_second_reviewer_ask_both_again() {
    let stage = for_two(ReviewBy::Agent);
    let asked = std::rc::Rc::new(std::cell::Cell::new(false));
    stage.agents.on("1.1", Phase::Review, move |session| {
        let first =
            session.request.adapter == "second" && !asked.replace(session.request.adapter == "second" || asked.get());
        async move { if first { session.request_changes("no") } else { session.approve() } }
    });
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1").0, Status::Landed);
    let verdicts: Vec<_> = stage.ledger.state("1.1").reviews.iter().map(|review| review.verdict).collect();
    let (yes, no) = (ReviewVerdict::Approve, ReviewVerdict::RequestChanges);
    assert_eq!(verdicts, [yes, no, yes, yes]);
}

#[test]
fn agents_review_first_where_a_person_is_wanted_too() {
    let mut stage = for_two(ReviewBy::Both);
    stage.policy.reviewers = 1;
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    let (status, reason) = shown(&summary, "1.1");
    assert_eq!(status, Status::ReadyForReview, "{reason}");
    assert!(reason.contains("a person's review"), "{reason}");
    assert_eq!(stage.ledger.state("1.1").reviews.len(), 1);
    let review = review_by(&stage, "1.1", "ada@example.org", ReviewVerdict::Approve);
    stage.ledger.somebody_writes("1.1", review);
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
}
