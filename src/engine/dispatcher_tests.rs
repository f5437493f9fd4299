//! A run as a whole, on the stage in memory: what runs side by side, what waits, what a failure or a signal does.

use std::rc::Rc;

use tokio::sync::Barrier;

use super::fake::{Stage, failure_of, plan, shown};
use super::ports::Cancel;
use crate::domain::event::{FailureClass, ItemEvent, RunEvent};
use crate::domain::state::{Outcome, Status};
use crate::domain::workflow::Phase;

#[test]
fn independent_stories_run_at_the_same_time() {
    let stage = Stage::new();
    let barrier = Rc::new(Barrier::new(2));
    stage.agents.on("*", Phase::Implementation, move |session| {
        let barrier = barrier.clone();
        async move {
            barrier.wait().await;
            session.write(&format!("{}.txt", session.request.key), "done\n");
            session.exit(0)
        }
    });
    let summary = stage.run(&plan(&[("1.1", &[]), ("1.2", &[])])).unwrap();
    assert_eq!(summary.totals.landed, 2);
}

#[test]
fn one_slot_runs_one_story_at_a_time() {
    let mut stage = Stage::new();
    stage.jobs = 1;
    let summary = stage.run(&plan(&[("1.1", &[]), ("1.2", &[]), ("1.3", &[])])).unwrap();
    assert_eq!(summary.totals.landed, 3);
    assert_eq!(stage.agents.played.borrow().most, 1);
}

#[test]
fn dependants_start_only_after_the_landing_and_see_its_files() {
    let stage = Stage::new();
    stage.agents.on("1.2", Phase::Implementation, async |session| {
        let files = session.git.repo().desks[&session.request.worktree].files.clone();
        assert!(files.contains_key("1.1.txt"), "{files:?}");
        assert_eq!(session.ledger.state("1.1").status(), Status::Landed);
        session.write("1.2.txt", "done\n");
        session.exit(0)
    });
    let summary = stage.run(&plan(&[("1.1", &[]), ("1.2", &["1.1"])])).unwrap();
    assert_eq!(summary.totals.landed, 2);
}

#[test]
fn the_barrier_keeps_a_wave_back_until_all_lower_ones_have_ended() {
    let plan = plan(&[("1.1", &[]), ("1.2", &[]), ("1.3", &["1.1"])]);
    let order = |waves: bool| {
        let mut stage = Stage::new();
        stage.waves = waves;
        stage.agents.on("1.2", Phase::Implementation, async |session| {
            // Long enough for 1.1 to land and for 1.3 to start where nothing holds it back.
            tokio::time::sleep(std::time::Duration::from_secs(60)).await;
            session.write("1.2.txt", "done\n");
            session.exit(0)
        });
        assert_eq!(stage.run(&plan).unwrap().totals.landed, 3);
        let log = stage.ledger.chains().log.clone();
        let landed =
            log.iter().position(|(key, event)| key.as_str() == "1.2" && matches!(event, ItemEvent::Landed { .. }));
        let began = log.iter().position(|(key, _)| key.as_str() == "1.3");
        began < landed
    };
    assert!(order(false), "without the barrier 1.3 starts as soon as 1.1 has landed");
    assert!(!order(true), "with it 1.3 waits for 1.2");
}

#[test]
fn a_failed_story_blocks_its_dependants_with_the_chain_and_nobody_else() {
    let stage = Stage::new();
    stage.agents.on("1.1", Phase::Implementation, async |session| session.exit(1));
    let items = plan(&[("1.1", &[]), ("1.2", &["1.1"]), ("1.3", &["1.2"]), ("2.1", &[]), ("2.2", &["2.1"])]);
    let summary = stage.run(&items).unwrap();
    assert_eq!((summary.totals.failed, summary.totals.blocked, summary.totals.landed), (1, 2, 2));
    assert_eq!(shown(&summary, "1.3"), (Status::Blocked, "needs 1.2 → 1.1".to_owned()));
    let Some(Outcome::Blocked { by }) = stage.ledger.state("1.3").outcome else { panic!("not blocked") };
    assert_eq!(by.iter().map(crate::domain::names::ItemKey::as_str).collect::<Vec<_>>(), ["1.2", "1.1"]);
    assert!(matches!(stage.ledger.chains().run_log.last(), Some(RunEvent::Finished { .. })));
}

#[test]
fn the_first_signal_asks_and_the_next_run_goes_on_on_the_same_branch() {
    let stage = Stage::with_check();
    let interrupts = stage.interrupts.clone();
    stage.agents.on("1.1", Phase::Review, move |mut session| {
        let interrupts = interrupts.clone();
        async move {
            if session.turn > 0 {
                return session.approve();
            }
            interrupts.send(Cancel::Ask).unwrap();
            session.hang_until(Cancel::Ask).await
        }
    });
    let items = plan(&[("1.1", &[]), ("1.2", &["1.1"])]);
    let summary = stage.run(&items).unwrap();
    assert!(summary.stopped);
    assert_eq!(shown(&summary, "1.1").0, Status::Stopped);
    assert_eq!(shown(&summary, "1.2").0, Status::NotStarted);
    assert_eq!(stage.status("1.1"), Status::Stopped);
    assert!(matches!(stage.ledger.chains().run_log.last(), Some(RunEvent::Stopped { .. })));
    let branch = stage.ledger.state("1.1").attempt.unwrap().branch;

    let summary = stage.run(&items).unwrap();
    assert_eq!(summary.totals.landed, 2);
    assert_eq!(stage.ledger.state("1.1").attempt.unwrap().branch, branch);
    let sessions = stage.agents.phases_of("1.1");
    assert_eq!(sessions, [Phase::Implementation, Phase::Review, Phase::Review], "the author's session is not repeated");
    stage.assert_clean();
}

#[test]
fn the_second_signal_kills_what_did_not_listen() {
    let stage = Stage::new();
    let interrupts = stage.interrupts.clone();
    stage.agents.on("1.1", Phase::Implementation, move |mut session| {
        let interrupts = interrupts.clone();
        async move {
            interrupts.send(Cancel::Ask).unwrap();
            session.cancel.wait_for(|urgency| *urgency == Cancel::Ask).await.unwrap();
            interrupts.send(Cancel::Kill).unwrap();
            session.hang_until(Cancel::Kill).await
        }
    });
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1").0, Status::Stopped);
}

#[test]
fn what_a_stopped_agent_left_uncommitted_is_taken_up_by_the_next_run() {
    let stage = Stage::new();
    let interrupts = stage.interrupts.clone();
    stage.agents.on("1.1", Phase::Implementation, move |mut session| {
        let interrupts = interrupts.clone();
        async move {
            if session.turn > 0 {
                session.write("second.txt", "2\n");
                return session.exit(0);
            }
            session.write("first.txt", "1\n");
            interrupts.send(Cancel::Ask).unwrap();
            session.hang_until(Cancel::Ask).await
        }
    });
    stage.run(&plan(&[("1.1", &[])])).unwrap();
    stage.run(&plan(&[("1.1", &[])])).unwrap();
    let files = stage.git.files_of("main");
    assert!(files.contains_key("first.txt") && files.contains_key("second.txt"), "{files:?}");
}

#[test]
fn a_signal_while_a_check_runs_on_the_merge_tree_stops_and_leaves_no_scratch_worktree() {
    let stage = Stage::with_check();
    let (interrupts, git) = (stage.interrupts.clone(), stage.git.clone());
    stage.agents.on("1.1", Phase::Review, async |session| {
        session.git.somebody_commits("main", "other.txt", "other\n");
        session.approve()
    });
    stage.executor.judged_by(move |run| {
        if run.request.directory.ends_with("check-1.1") && run.turn == 1 {
            assert!(git.repo().desks.contains_key(&run.request.directory));
            interrupts.send(Cancel::Ask).unwrap();
            return super::ports::Ended::Cancelled;
        }
        super::ports::Ended::Exit(0)
    });
    // The approval was given before the target moved, so it is the carried one that readiness checks.
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1").0, Status::Stopped);
    assert!(!stage.git.repo().desks.keys().any(|path| path.ends_with("check-1.1")));
    assert_eq!(stage.git.merges_of("1.1"), 0);
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
    stage.assert_clean();
}

#[test]
fn a_ledger_that_fails_ends_the_run_with_an_error_and_stops_the_others() {
    let stage = Stage::new();
    let ledger = stage.ledger.clone();
    stage.agents.on("1.1", Phase::Implementation, move |session| {
        let ledger = ledger.clone();
        async move {
            let mut chains = ledger.chains();
            chains.fails_after = (session.turn == 0).then_some(chains.writes);
            session.write("1.1.txt", "done\n");
            session.exit(0)
        }
    });
    stage.agents.on("1.2", Phase::Implementation, async |mut session| session.hang_until(Cancel::Ask).await);
    let error = stage.run(&plan(&[("1.1", &[]), ("1.2", &[])])).unwrap_err();
    assert!(error.message.contains("disk is full"), "{error}");

    stage.ledger.chains().fails_after = None;
    stage.agents.on("1.2", Phase::Implementation, async |session| {
        session.write("1.2.txt", "done\n");
        session.exit(0)
    });
    assert_eq!(stage.run(&plan(&[("1.1", &[]), ("1.2", &[])])).unwrap().totals.landed, 2);
    stage.assert_clean();
}

#[test]
fn an_item_that_another_process_works_on_is_left_alone() {
    let stage = Stage::new();
    stage.host.foreign.borrow_mut().insert(crate::domain::names::ItemKey::new("1.1"));
    let summary = stage.run(&plan(&[("1.1", &[]), ("1.2", &["1.1"]), ("1.3", &[])])).unwrap();
    assert_eq!((summary.totals.landed, summary.totals.unfinished), (1, 2));
    assert!(stage.ledger.events("1.1").is_empty());
}

#[test]
fn an_item_that_landed_before_is_not_done_again() {
    let stage = Stage::new();
    stage.run(&plan(&[("1.1", &[])])).unwrap();
    let summary = stage.run(&plan(&[("1.1", &[]), ("1.2", &["1.1"])])).unwrap();
    assert_eq!(summary.totals.landed, 2);
    assert_eq!((stage.git.merges_of("1.1"), stage.agents.phases_of("1.1").len()), (1, 2));
}

#[test]
fn twenty_stories_of_two_chains_all_land_once() {
    let stage = Stage::new();
    let ids: Vec<String> = (1..=10).flat_map(|n| [format!("1.{n}"), format!("2.{n}")]).collect();
    let after: Vec<Vec<&str>> = (0..20).map(|n| if n < 2 { Vec::new() } else { vec![ids[n - 2].as_str()] }).collect();
    let items: Vec<(&str, &[&str])> =
        ids.iter().zip(&after).map(|(id, after)| (id.as_str(), after.as_slice())).collect();
    assert_eq!(stage.run(&plan(&items)).unwrap().totals.landed, 20);
    assert!(ids.iter().all(|id| stage.git.merges_of(id) == 1));
    stage.assert_clean();
}

#[test]
fn one_story_that_git_fails_for_stops_no_other() {
    let stage = Stage::new();
    stage.agents.on("1.1", Phase::Implementation, async |session| {
        session.git.repo().desks.remove(&session.request.worktree);
        session.exit(0)
    });
    let summary = stage.run(&plan(&[("1.1", &[]), ("1.2", &[])])).unwrap();
    assert_eq!(failure_of(&summary, "1.1").0, FailureClass::Internal);
    assert_eq!(shown(&summary, "1.2").0, Status::Landed);
}
