//! Death and what follows, on the stage in memory: every start ends what the last one left and does nothing twice.

use super::fake::{Stage, plan, shown};
use super::fake_ledger::Trap;
use super::ports::Cancel;
use crate::domain::event::{ItemEvent, Review, ReviewVerdict};
use crate::domain::names::{AttemptId, Oid, Principal, Timestamp};
use crate::domain::state::{Outcome, Status};
use crate::domain::workflow::Phase;

fn count(stage: &Stage, key: &str, of: impl Fn(&ItemEvent) -> bool) -> usize {
    stage.ledger.events(key).iter().filter(|event| of(event)).count()
}

/// Dies in the first session of a phase of 1.1.
fn dies_in(phase: Phase) -> Stage {
    let stage = Stage::with_check();
    let death = stage.death.clone();
    stage.agents.on("1.1", phase, move |session| {
        let death = death.clone();
        async move {
            if session.turn == 0 {
                death.notify_one();
                std::future::pending::<()>().await;
            }
            if session.request.phase == Phase::Review {
                return session.approve();
            }
            session.write("1.1.txt", "done\n");
            session.exit(0)
        }
    });
    stage
}

#[test]
fn an_attempt_left_open_by_a_dead_process_is_fenced_swept_and_continued() {
    let stage = dies_in(Phase::Review);
    assert!(stage.play(&plan(&[("1.1", &[])])).is_none());
    assert!(!stage.host.holds("1.1"), "the lock dies with its process");
    let dead = stage.ledger.state("1.1").attempt.unwrap().id;
    assert_eq!(stage.status("1.1"), Status::ReadyForReview);

    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
    assert_eq!(*stage.host.swept.borrow(), std::slice::from_ref(&dead));
    let fenced = |event: &ItemEvent| matches!(event, ItemEvent::Interrupted { attempt, .. } if *attempt == dead);
    assert_eq!(count(&stage, "1.1", fenced), 1);
    assert_eq!(stage.agents.phases_of("1.1"), [Phase::Implementation, Phase::Review, Phase::Review]);
    stage.assert_clean();
}

#[test]
fn a_death_in_the_authors_session_costs_that_session_and_no_file() {
    let stage = dies_in(Phase::Implementation);
    assert!(stage.play(&plan(&[("1.1", &[])])).is_none());
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
    assert_eq!(stage.git.repo().made.values().sum::<u32>(), 1, "the worktree is adopted");
    stage.assert_clean();
}

#[test]
fn a_landing_that_happened_without_its_record_is_recorded_once() {
    let stage = Stage::new();
    stage.ledger.chains().traps.push_back(Trap::MovesThenFails);
    stage.run(&plan(&[("1.1", &[])])).unwrap_err();
    let landed = |event: &ItemEvent| matches!(event, ItemEvent::Landed { .. });
    assert_eq!((stage.git.merges_of("1.1"), count(&stage, "1.1", landed)), (1, 0));

    assert_eq!(stage.reconcile().unwrap().len(), 1);
    assert_eq!((stage.git.merges_of("1.1"), count(&stage, "1.1", landed)), (1, 1));
    assert_eq!(stage.status("1.1"), Status::Landed);
    assert!(stage.ledger.state("1.1").phases.contains_key(&Phase::Reflection));
    assert_eq!(stage.git.repo().followed.len(), 1);
    stage.assert_clean();

    let events = stage.ledger.events("1.1").len();
    for _ in 0..3 {
        assert_eq!(stage.reconcile().unwrap(), Vec::<String>::new());
    }
    assert_eq!(stage.ledger.events("1.1").len(), events);
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
    assert_eq!(stage.git.merges_of("1.1"), 1);
}

#[test]
fn a_landing_that_was_only_intended_is_not_recorded_and_the_next_run_lands_it() {
    let stage = Stage::new();
    {
        let mut chains = stage.ledger.chains();
        // The opening of the run, author, reviewer, approval, intent: the next write is the landing.
        chains.fails_after = Some(5);
    }
    stage.run(&plan(&[("1.1", &[])])).unwrap_err();
    assert!(stage.ledger.state("1.1").intended.is_some());
    assert_eq!(stage.git.merges_of("1.1"), 0);
    stage.ledger.chains().fails_after = None;
    assert_eq!(stage.reconcile().unwrap(), Vec::<String>::new());
    assert_eq!(stage.status("1.1"), Status::Approved);
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
    assert_eq!(stage.git.merges_of("1.1"), 1);
}

#[test]
fn a_death_after_any_write_ends_with_each_story_landed_once() {
    for most in 1.. {
        let stage = Stage::with_check();
        stage.ledger.chains().fails_after = Some(most);
        let items = plan(&[("1.1", &[]), ("1.2", &["1.1"])]);
        let whole = stage.run(&items).is_ok();
        stage.ledger.chains().fails_after = None;
        stage.reconcile().unwrap();
        assert_eq!(stage.run(&items).unwrap().totals.landed, 2, "after {most} writes");
        assert_eq!((stage.git.merges_of("1.1"), stage.git.merges_of("1.2")), (1, 1), "after {most} writes");
        stage.assert_clean();
        if whole {
            assert!(most > 10, "only {most} writes");
            break;
        }
    }
}

#[test]
fn a_worktree_that_stayed_after_the_landing_is_cleared_away_at_the_next_start() {
    let stage = Stage::new();
    // Everything up to and including the landing is written, reflection is not.
    stage.ledger.chains().fails_after = Some(6);
    stage.run(&plan(&[("1.1", &[])])).unwrap_err();
    assert_eq!(stage.status("1.1"), Status::Landed);
    stage.ledger.chains().fails_after = None;
    stage.git.repo().broken.insert("retire", "busy".to_owned());
    assert_eq!(stage.reconcile().unwrap().len(), 1, "a worktree that resists is mentioned and holds nothing up");
    assert!(stage.ledger.state("1.1").phases.contains_key(&Phase::Reflection));
}

#[test]
fn an_item_that_another_process_works_on_is_not_reconciled() {
    let stage = Stage::new();
    stage.ledger.chains().traps.push_back(Trap::MovesThenFails);
    stage.run(&plan(&[("1.1", &[])])).unwrap_err();
    stage.host.foreign.borrow_mut().insert(crate::domain::names::ItemKey::new("1.1"));
    assert_eq!(stage.reconcile().unwrap(), Vec::<String>::new());
    assert_ne!(stage.status("1.1"), Status::Landed);
}

#[test]
fn an_attempt_that_another_process_fences_ends_as_held_and_changes_nothing_more() {
    let stage = Stage::new();
    stage.agents.on("1.1", Phase::Review, async |session| {
        let state = session.ledger.state("1.1");
        let ours = state.attempt.clone().unwrap();
        session.ledger.somebody_writes(
            "1.1",
            ItemEvent::Interrupted { attempt: ours.id.clone(), reason: "taken over".to_owned() },
        );
        let started = session.ledger.events("1.1").into_iter().find_map(|event| match event {
            ItemEvent::AttemptStarted {
                run,
                title,
                path,
                agent,
                role,
                branch,
                worktree,
                target,
                base,
                policy,
                story,
                ..
            } => {
                let (attempt, continues) = (AttemptId::new("theirs"), Some(ours.id.clone()));
                Some(ItemEvent::AttemptStarted {
                    attempt,
                    continues,
                    run,
                    title,
                    path,
                    agent,
                    role,
                    branch,
                    worktree,
                    target,
                    base,
                    policy,
                    story,
                })
            }
            _ => None,
        });
        session.ledger.somebody_writes("1.1", started.unwrap());
        session.approve()
    });
    let summary = stage.run(&plan(&[("1.1", &[]), ("1.2", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1"), (Status::Stopped, "another process took over".to_owned()));
    assert_eq!(shown(&summary, "1.2").0, Status::Landed);
    // What its session consumed is on record all the same.
    let mut events = stage.ledger.events("1.1");
    let last = events.pop().unwrap();
    assert!(matches!(last, ItemEvent::SessionEnded { .. }), "{last:?}");
    let last = events.pop().unwrap();
    assert!(matches!(last, ItemEvent::AttemptStarted { .. }), "{last:?}");
    assert_eq!(stage.git.merges_of("1.1"), 0);
}

#[test]
fn an_attempt_that_a_person_stopped_from_outside_ends_as_stopped() {
    let stage = Stage::new();
    stage.agents.on("1.1", Phase::Review, async |session| {
        let attempt = session.ledger.state("1.1").attempt.unwrap().id;
        session.ledger.somebody_writes("1.1", ItemEvent::Stopped { attempt, reason: "stopped by ada".to_owned() });
        session.approve()
    });
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1"), (Status::Stopped, "stopped by ada".to_owned()));
    assert!(matches!(stage.ledger.state("1.1").outcome, Some(Outcome::Stopped { .. })));
}

#[test]
fn a_signal_during_the_landing_of_one_story_lets_it_finish_or_leaves_it_whole() {
    let stage = Stage::new();
    let interrupts = stage.interrupts.clone();
    stage.agents.on("1.1", Phase::Review, move |session| {
        interrupts.send(Cancel::Ask).unwrap();
        std::future::ready(session.approve())
    });
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    let merged = stage.git.merges_of("1.1");
    assert_eq!(merged == 1, shown(&summary, "1.1").0 == Status::Landed);
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
    assert_eq!(stage.git.merges_of("1.1"), 1);
    stage.assert_clean();
}

#[test]
fn a_lost_compare_and_swap_is_decided_anew() {
    let stage = Stage::new();
    stage.agents.on("1.1", Phase::Review, async |session| {
        if session.turn == 0 {
            // A person asks for changes between the agent's approval and the intent to land.
            let (key, mut chains) = (session.request.key.clone(), session.ledger.chains());
            let attempt = chains.items[&key].attempt.clone().unwrap();
            let oid = Oid::new("0".repeat(40));
            let review = Review {
                reviewer: Principal::Person("ada@example.org".to_owned()),
                verdict: ReviewVerdict::RequestChanges,
                base: oid.clone(),
                head: oid.clone(),
                merge_tree: oid,
                policy: attempt.policy,
                story: attempt.story,
                findings: Vec::new(),
                message: "wait".to_owned(),
                at: Timestamp(0),
                signature: None,
            };
            let after = chains.writes + 1;
            chains.intruders.push_back((after, key, ItemEvent::Reviewed { attempt: None, review, more: false }));
        }
        session.approve()
    });
    let summary = stage.run(&plan(&[("1.1", &[]), ("1.2", &["1.1"])])).unwrap();
    assert_eq!(summary.totals.landed, 2);
    let order = [Phase::Implementation, Phase::Review, Phase::ReviewResponse, Phase::Review];
    assert_eq!(stage.agents.phases_of("1.1"), order, "the person was heard");
}

#[test]
fn a_run_with_a_story_that_another_process_holds_is_not_finished_and_resume_goes_on_with_it() {
    let stage = Stage::new();
    let held = crate::domain::names::ItemKey::new("1.1");
    stage.host.foreign.borrow_mut().insert(held.clone());
    let stories = plan(&[("1.1", &[]), ("1.2", &["1.1"])]);
    let summary = stage.run(&stories).unwrap();
    assert_eq!((summary.totals.unfinished, summary.totals.landed), (2, 0));
    let unfinished = stage.ledger.chains().runs.values().filter(|run| run.is_unfinished()).count();
    assert_eq!(unfinished, 1, "a finished run would not be gone on with");
    stage.host.foreign.borrow_mut().clear();
    assert_eq!(stage.run(&stories).unwrap().totals.landed, 2);
}
