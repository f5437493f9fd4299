//! Landing, on the stage in memory: conflicts, a target that moves at the worst moments, obstacles, `--no-land`.

use super::fake::{Stage, failure_of, plan, shown};
use super::fake_ledger::Trap;
use super::ports::Ended;
use crate::domain::event::{FailureClass, ItemEvent, ReviewVerdict, RunEvent};
use crate::domain::policy::ReviewBy;
use crate::domain::state::Status;
use crate::domain::workflow::Phase;

fn carried(stage: &Stage, key: &str) -> usize {
    stage.ledger.events(key).iter().filter(|event| matches!(event, ItemEvent::ReviewCarried { .. })).count()
}

fn reviews(stage: &Stage, key: &str) -> usize {
    stage.ledger.events(key).iter().filter(|event| matches!(event, ItemEvent::Reviewed { .. })).count()
}

/// The author of 1.1 writes `shared.txt`, and somebody writes another one on the target while it works.
fn with_conflict() -> Stage {
    let stage = Stage::new();
    stage.agents.on("1.1", Phase::Implementation, async |session| {
        session.write("shared.txt", "ours\n");
        session.git.somebody_commits("main", "shared.txt", "theirs\n");
        session.exit(0)
    });
    stage
}

#[test]
fn a_conflict_goes_back_to_the_author_with_its_paths_and_lands_then() {
    let stage = Stage::new();
    stage.agents.on("1.1", Phase::Implementation, async |session| {
        if session.turn == 0 {
            session.write("shared.txt", "ours\n");
            session.git.somebody_commits("main", "shared.txt", "theirs\n");
        } else {
            session.merge_target();
        }
        session.exit(0)
    });
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1").0, Status::Landed);
    let prompt = &stage.agents.prompts_of("1.1", Phase::Implementation)[1];
    assert!(prompt.starts_with("# Task: resolve the conflicts with branch main"), "{prompt}");
    assert!(prompt.contains("shared.txt"));
    assert_eq!(stage.git.files_of("main")["shared.txt"], "theirs\nours\n");
}

#[test]
fn a_conflict_that_nobody_resolves_fails_the_story_and_keeps_its_branch() {
    let stage = with_conflict();
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    let (class, message) = failure_of(&summary, "1.1");
    assert_eq!(class, FailureClass::Conflict);
    assert!(message.contains("shared.txt") && message.contains("story/1.1-do-it"), "{message}");
    assert_eq!(stage.git.files_of("story/1.1-do-it")["shared.txt"], "ours\n");
    assert_eq!(stage.git.files_of("main")["shared.txt"], "theirs\n");
}

#[test]
fn a_conflict_noted_before_a_crash_is_shown_to_the_author_again() {
    let stage = with_conflict();
    let death = stage.death.clone();
    stage.agents.on("1.1", Phase::Implementation, move |session| {
        let death = death.clone();
        async move {
            if session.turn == 0 {
                death.notify_one();
                std::future::pending::<()>().await;
            }
            session.merge_target();
            session.exit(0)
        }
    });
    assert!(stage.play(&plan(&[("1.1", &[])])).is_none());
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
    let prompts = stage.agents.prompts_of("1.1", Phase::Implementation);
    assert_eq!(prompts.len(), 2);
    // The same task, the conflict with it; and what an earlier session left.
    assert!(prompts[1].starts_with(prompts[0].as_str()), "{}", prompts[1]);
    assert!(prompts[1].contains("Where the work stands"), "{}", prompts[1]);
}

#[test]
fn a_target_that_moved_elsewhere_carries_the_review_and_runs_the_checks_again() {
    let stage = Stage::with_check();
    stage.agents.on("1.1", Phase::Review, async |session| {
        session.git.somebody_commits("main", "other.txt", "other\n");
        session.approve()
    });
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1").0, Status::Landed);
    assert_eq!((carried(&stage, "1.1"), reviews(&stage, "1.1")), (1, 1));
    assert_eq!(stage.executor.names(), ["test in 1.1-do-it", "test in check-1.1"]);
    let files = stage.git.files_of("main");
    assert!(files.contains_key("other.txt") && files.contains_key("1.1.txt"));
    stage.assert_clean();
}

#[test]
fn a_target_that_moved_into_the_same_change_is_reviewed_again() {
    let stage = Stage::new();
    stage.agents.on("1.1", Phase::Implementation, async |session| {
        session.write("a.txt", "a\n");
        session.write("b.txt", "b\n");
        session.exit(0)
    });
    stage.agents.on("1.1", Phase::Review, async |session| {
        if session.turn == 0 {
            // Half of the story's own change, and something else.
            session.git.somebody_commits("main", "a.txt", "a\n");
            session.git.somebody_commits("main", "c.txt", "c\n");
        }
        session.approve()
    });
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1").0, Status::Landed);
    assert_eq!((carried(&stage, "1.1"), reviews(&stage, "1.1")), (0, 2));
}

#[test]
fn a_target_that_moves_after_every_review_does_not_review_for_ever() {
    let stage = Stage::new();
    stage.agents.on("1.1", Phase::Implementation, async |session| {
        (0..40).for_each(|number| session.write(&format!("{number}.txt"), "same\n"));
        session.exit(0)
    });
    stage.agents.on("1.1", Phase::Review, async |session| {
        // Each time a further part of the story's own change turns up on the target, and something else.
        session.git.somebody_commits("main", "other.txt", &format!("{}\n", session.turn));
        session.git.somebody_commits("main", &format!("{}.txt", session.turn), "same\n");
        session.approve()
    });
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(failure_of(&summary, "1.1").0, FailureClass::Review);
}

#[test]
fn a_failing_check_on_the_merge_tree_goes_to_the_author_then_tests_and_review_again() {
    let stage = Stage::with_check();
    // Fails where other.txt and 1.1.txt meet, until the author mends it.
    stage.executor.judged_by(|run| {
        let met = run.files.contains_key("other.txt") && run.files.contains_key("1.1.txt");
        Ended::Exit(i32::from(met && !run.files.contains_key("mended")))
    });
    stage.agents.on("1.1", Phase::Review, async |session| {
        if session.turn == 0 {
            session.git.somebody_commits("main", "other.txt", "other\n");
        }
        session.approve()
    });
    stage.agents.on("1.1", Phase::ReviewResponse, async |session| {
        session.write("mended", "yes\n");
        session.exit(0)
    });
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1").0, Status::Landed);
    let order = [Phase::Implementation, Phase::Review, Phase::ReviewResponse, Phase::Review];
    assert_eq!(stage.agents.phases_of("1.1"), order);
    let prompt = &stage.agents.prompts_of("1.1", Phase::ReviewResponse)[0];
    assert!(prompt.contains("The check `test` failed") && prompt.contains("output of test"), "{prompt}");
}

#[test]
fn a_check_that_keeps_failing_on_the_merge_tree_fails_the_story_in_readiness() {
    let stage = Stage::with_check();
    stage.executor.judged_by(|run| Ended::Exit(i32::from(run.files.contains_key("other.txt"))));
    stage.agents.on("1.1", Phase::Review, async |session| {
        if session.turn == 0 {
            session.git.somebody_commits("main", "other.txt", "other\n");
        }
        session.approve()
    });
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(failure_of(&summary, "1.1").0, FailureClass::Check);
    let failure = summary.items[0].failure.clone().unwrap();
    assert_eq!(failure.phase, Phase::Readiness);
    assert!(!stage.git.files_of("main").contains_key("1.1.txt"));
    assert!(!stage.git.repo().desks.keys().any(|path| path.ends_with("check-1.1")), "no scratch worktree remains");
}

#[test]
fn a_target_that_moves_during_the_landing_itself_is_tried_again() {
    let stage = Stage::with_check();
    stage.ledger.chains().traps.extend([Trap::TargetMoves("x.txt", "1\n"), Trap::TargetMoves("x.txt", "2\n")]);
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1").0, Status::Landed);
    assert_eq!((stage.git.merges_of("1.1"), carried(&stage, "1.1"), reviews(&stage, "1.1")), (1, 2, 1));
    assert_eq!(stage.git.files_of("main")["x.txt"], "2\n");
    assert_eq!(stage.executor.names().len(), 3, "once on the branch, once on each new merge tree");
}

#[test]
fn an_obstacle_makes_the_landing_wait_with_the_reason_and_moves_nothing() {
    let stage = Stage::new();
    stage.git.repo().obstacle = Some("README.md is edited in the checkout".to_owned());
    let before = stage.git.tip_of("main");
    let summary = stage.run(&plan(&[("1.1", &[]), ("1.2", &["1.1"])])).unwrap();
    assert_eq!(shown(&summary, "1.1"), (Status::Approved, "README.md is edited in the checkout".to_owned()));
    assert_eq!((summary.totals.waiting, summary.totals.blocked, summary.totals.unfinished), (1, 0, 1));
    assert_eq!(stage.git.tip_of("main"), before);
    assert!(matches!(stage.ledger.chains().run_log.last(), Some(RunEvent::Paused { .. })));

    stage.git.repo().obstacle = None;
    assert_eq!(stage.run(&plan(&[("1.1", &[]), ("1.2", &["1.1"])])).unwrap().totals.landed, 2);
    let interrupted = stage.ledger.events("1.1").iter().any(|event| matches!(event, ItemEvent::Interrupted { .. }));
    assert!(!interrupted, "waiting in order is no interruption");
    assert_eq!(reviews(&stage, "1.1"), 1);
    stage.assert_clean();
}

#[test]
fn a_landing_that_meets_somebodys_lock_waits_alone_and_the_next_run_lands_it() {
    let stage = Stage::new();
    stage.ledger.chains().traps.push_back(Trap::Locked);
    let items = plan(&[("1.1", &[]), ("1.2", &[])]);
    let summary = stage.run(&items).unwrap();
    let waits = summary.items.iter().filter(|item| item.status == Status::Approved).collect::<Vec<_>>();
    let [one] = waits.as_slice() else { panic!("{summary:?}") };
    let reason = "a ref is locked: HEAD.lock (wait for it or end it); then: git orchestrate resume";
    assert_eq!(one.reason, reason);
    assert_eq!((summary.totals.landed, summary.totals.waiting, summary.totals.unfinished), (1, 1, 0));
    assert!(matches!(stage.ledger.chains().run_log.last(), Some(RunEvent::Paused { .. })));

    assert_eq!(stage.run(&items).unwrap().totals.landed, 2);
    for id in ["1.1", "1.2"] {
        assert_eq!((stage.git.merges_of(id), reviews(&stage, id)), (1, 1), "{id}");
    }
    stage.assert_clean();
}

#[test]
fn a_merge_that_a_gc_took_is_made_again_and_lands_once() {
    let stage = Stage::with_check();
    stage.ledger.chains().traps.extend([Trap::Gone, Trap::Gone]);
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1").0, Status::Landed, "{summary:?}");
    assert_eq!((stage.git.merges_of("1.1"), reviews(&stage, "1.1")), (1, 1));
    stage.assert_clean();
}

#[test]
fn a_merge_that_is_always_gone_fails_its_story_only() {
    let stage = Stage::new();
    stage.ledger.chains().traps.extend([Trap::Gone, Trap::Gone, Trap::Gone, Trap::Gone]);
    let summary = stage.run(&plan(&[("1.1", &[]), ("1.2", &["1.1"]), ("1.3", &[])])).unwrap();
    let first = shown(&summary, "1.1");
    let third = shown(&summary, "1.3");
    let mut both = [first.0, third.0];
    both.sort();
    assert_eq!(both, [Status::Landed, Status::Failed], "{summary:?}");
    assert!([first.1, third.1].contains(&"cannot read commit 1a2b3c4".to_owned()), "{summary:?}");
}

#[test]
fn a_run_that_does_not_land_ends_approved_and_the_next_one_lands_without_new_sessions() {
    let mut stage = Stage::with_check();
    stage.land = false;
    // 1.2 works for a while: an approved item must rest meanwhile.
    stage.agents.on("1.2", Phase::Implementation, async |session| {
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        session.write("1.2.txt", "done\n");
        session.exit(0)
    });
    let before = stage.git.tip_of("main");
    let items = plan(&[("1.1", &[]), ("1.2", &[])]);
    let summary = stage.run(&items).unwrap();
    assert_eq!(shown(&summary, "1.1").0, Status::Approved);
    assert_eq!((summary.totals.waiting, stage.git.tip_of("main")), (2, before));
    assert_eq!(stage.ledger.state("1.1").attempts, 1);
    assert_eq!(stage.status("1.1"), Status::Approved);

    stage.land = true;
    assert_eq!(stage.run(&items).unwrap().totals.landed, 2);
    assert_eq!(stage.agents.phases_of("1.1"), [Phase::Implementation, Phase::Review]);
    let interrupted = stage.ledger.events("1.1").iter().any(|event| matches!(event, ItemEvent::Interrupted { .. }));
    assert!(!interrupted);
    stage.assert_clean();
}

#[test]
fn a_run_that_does_not_land_asks_the_gate_all_the_same() {
    let mut stage = Stage::new();
    stage.land = false;
    stage.policy.checks_required = true;
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(failure_of(&summary, "1.1").0, FailureClass::Gate);
}

#[test]
fn a_policy_that_requires_checks_lets_no_story_land_without_any() {
    let mut stage = Stage::new();
    stage.policy.checks_required = true;
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(failure_of(&summary, "1.1").0, FailureClass::Gate);
    assert_eq!(stage.git.merges_of("1.1"), 0);
}

#[test]
fn nothing_lands_on_a_branch_that_the_guard_does_not_vouch_for() {
    let stage = Stage::new();
    stage.git.repo().broken.insert("look", "somebody was here".to_owned());
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!((summary.totals.waiting, stage.git.merges_of("1.1")), (1, 0));
    assert_eq!(summary.items[0].reason, "somebody was here");
    stage.git.repo().broken.remove("look");
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
}

#[test]
fn a_checkout_that_does_not_follow_changes_nothing_about_the_landing() {
    let stage = Stage::new();
    stage.git.repo().broken.insert("follow", "locked".to_owned());
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
}

#[test]
fn a_scratch_worktree_that_stays_changes_nothing_about_the_checks() {
    let stage = Stage::with_check();
    stage.git.repo().broken.insert("discard", "busy".to_owned());
    stage.agents.on("1.1", Phase::Review, async |session| {
        session.git.somebody_commits("main", "other.txt", "other\n");
        session.approve()
    });
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
}

#[test]
fn an_approval_under_another_policy_is_given_anew() {
    let mut stage = Stage::new();
    stage.git.repo().obstacle = Some("in the way".to_owned());
    stage.run(&plan(&[("1.1", &[])])).unwrap();
    stage.git.repo().obstacle = None;
    stage.policy.version = crate::domain::names::PolicyVersion::new("p2");
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
    assert_eq!(reviews(&stage, "1.1"), 2);
}

#[test]
fn an_approval_of_another_story_text_is_given_anew() {
    let stage = Stage::new();
    stage.git.repo().obstacle = Some("in the way".to_owned());
    let items = plan(&[("1.1", &[])]);
    stage.run(&items).unwrap();
    stage.git.repo().obstacle = None;
    let stories = [(items[0].key.clone(), b"another story".to_vec())].into();
    assert_eq!(stage.play_with(&items, stories).unwrap().unwrap().totals.landed, 1);
    assert_eq!(reviews(&stage, "1.1"), 2);
}

#[test]
fn an_agents_approval_does_not_land_where_the_policy_wants_a_person() {
    let mut stage = Stage::new();
    stage.git.repo().obstacle = Some("in the way".to_owned());
    stage.run(&plan(&[("1.1", &[])])).unwrap();
    stage.git.repo().obstacle = None;
    stage.policy.review_by = ReviewBy::Human;
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1").0, Status::ReadyForReview);
    assert_eq!(stage.git.merges_of("1.1"), 0);
}

#[test]
fn a_person_who_asks_for_changes_during_the_landing_is_heard() {
    let stage = Stage::with_check();
    let ledger = stage.ledger.clone();
    stage.agents.on("1.1", Phase::Review, async |session| {
        if session.turn == 0 {
            session.git.somebody_commits("main", "other.txt", "other\n");
        }
        session.approve()
    });
    stage.executor.judged_by(move |run| {
        if run.request.directory.ends_with("check-1.1") && ledger.state("1.1").rejections() == 0 {
            let mut review = ledger.state("1.1").reviews.last().unwrap().clone();
            review.reviewer = crate::domain::names::Principal::Person("ada@example.org".to_owned());
            review.verdict = ReviewVerdict::RequestChanges;
            ledger.somebody_writes("1.1", ItemEvent::Reviewed { attempt: None, review, more: false });
        }
        Ended::Exit(0)
    });
    let summary = stage.run(&plan(&[("1.1", &[]), ("1.2", &[])])).unwrap();
    assert_eq!(summary.totals.landed, 2);
    let order = [Phase::Implementation, Phase::Review, Phase::ReviewResponse, Phase::Review];
    assert_eq!(stage.agents.phases_of("1.1"), order);
}
