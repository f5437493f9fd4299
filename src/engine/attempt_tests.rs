//! One item from start to end, on the stage in memory: order of phases, budget of writes, ways back, failures.

use super::fake::{Stage, check, failure_of, plan, shown};
use super::ports::Ended;
use crate::domain::event::{FailureClass, ItemEvent};
use crate::domain::item::ItemKind;
use crate::domain::names::Principal;
use crate::domain::policy::PhaseSpec;
use crate::domain::state::Status;
use crate::domain::workflow::{Performer, Phase};

/// Phases in the order they were recorded; a review counts as phase 9.
fn phases(stage: &Stage, key: &str) -> Vec<Phase> {
    let recorded = |event: ItemEvent| match event {
        ItemEvent::PhaseRecorded { phase, .. } => Some(phase),
        ItemEvent::Reviewed { .. } => Some(Phase::Review),
        _ => None,
    };
    stage.ledger.events(key).into_iter().filter_map(recorded).collect()
}

#[test]
fn a_clean_story_goes_through_exactly_the_thirteen_phases_in_order() {
    let stage = Stage::new();
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1"), (Status::Landed, String::new()));
    assert_eq!(phases(&stage, "1.1"), Phase::ALL);
    assert_eq!(stage.git.merges_of("1.1"), 1);
    assert!(stage.git.files_of("main").contains_key("1.1.txt"));
    stage.assert_clean();
}

#[test]
fn a_clean_story_takes_at_most_twenty_events_and_six_awaited_writes() {
    let stage = Stage::new();
    stage.run(&plan(&[("1.1", &[])])).unwrap();
    let events = stage.ledger.events("1.1").len();
    assert!(events <= 20, "{events} events");
    // The opening and the closing of the run are writes of their own.
    let writes = stage.ledger.chains().writes - 2;
    assert!(writes <= 6, "{writes} writes");
}

#[test]
fn every_session_is_noted_before_its_agent_starts() {
    let stage = Stage::new();
    stage.agents.on("1.1", Phase::Review, async |session| match session.turn {
        0 => session.request_changes("name it better"),
        _ => session.approve(),
    });
    stage.run(&plan(&[("1.1", &[]), ("1.2", &[])])).unwrap();
    let played = stage.agents.played.borrow();
    assert_eq!(played.requests.len(), 6);
    assert_eq!(played.unnoted, Vec::<String>::new());
}

#[test]
fn an_agent_without_a_commit_or_a_change_fails_its_story() {
    let stage = Stage::new();
    stage.agents.on("1.1", Phase::Implementation, async |session| session.exit(0));
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(failure_of(&summary, "1.1").0, FailureClass::NoCommit);
    assert_eq!(stage.git.merges_of("1.1"), 0);
}

#[test]
fn a_documentation_item_without_a_change_is_done_and_its_dependants_go_on() {
    let stage = Stage::new();
    stage.agents.on("1.1", Phase::Implementation, async |session| session.exit(0));
    let mut items = plan(&[("1.1", &[]), ("1.2", &["1.1"])]);
    items[0].item.kind = ItemKind::Documentation;
    let summary = stage.run(&items).unwrap();
    assert_eq!(summary.totals.landed, 2);
    assert_eq!(stage.git.merges_of("1.1"), 0);
    assert!(matches!(stage.ledger.events("1.1").iter().rev().nth(1), Some(ItemEvent::NoChange { .. })));
    assert_eq!(phases(&stage, "1.1").len(), 13);
    stage.assert_clean();
}

#[test]
fn an_agent_that_ends_in_error_fails_its_story_and_its_work_is_kept() {
    let stage = Stage::new();
    stage.agents.on("1.1", Phase::Implementation, async |session| {
        session.write("half.txt", "half\n");
        session.exit(3)
    });
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(failure_of(&summary, "1.1").0, FailureClass::Agent);
    assert!(stage.git.files_of("story/1.1-do-it").contains_key("half.txt"));
}

#[test]
fn a_failed_check_goes_back_to_the_author_with_its_output_and_passes_then() {
    let stage = Stage::with_check();
    stage.executor.judged_by(|run| Ended::Exit(i32::from(!run.files.contains_key("mended"))));
    stage.agents.on("1.1", Phase::Implementation, async |session| {
        session.write(if session.turn == 0 { "broken" } else { "mended" }, "yes\n");
        session.exit(0)
    });
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1").0, Status::Landed);
    assert_eq!(stage.agents.phases_of("1.1"), [Phase::Implementation, Phase::Implementation, Phase::Review]);
    let prompt = &stage.agents.prompts_of("1.1", Phase::Implementation)[1];
    assert!(prompt.contains("output of test") && prompt.contains("The check `test` failed"), "{prompt}");
    assert_eq!(stage.executor.names(), ["test in 1.1-do-it", "test in 1.1-do-it"], "the merge tree was tested already");
}

#[test]
fn a_check_that_keeps_failing_fails_the_story() {
    let stage = Stage::with_check();
    stage.executor.judged_by(|_| Ended::Exit(1));
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(failure_of(&summary, "1.1").0, FailureClass::Check);
    assert_eq!(stage.agents.phases_of("1.1").len(), 3, "one session and two rounds of rework");
    assert_eq!(stage.git.merges_of("1.1"), 0);
}

#[test]
fn a_failed_setup_command_fails_the_story_before_any_agent() {
    let mut stage = Stage::new();
    stage.settings.setup = vec![vec!["make".to_owned(), "deps".to_owned()]];
    stage.executor.judged_by(|_| Ended::Exit(2));
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(failure_of(&summary, "1.1").0, FailureClass::Setup);
    assert_eq!(stage.agents.phases_of("1.1"), []);
}

#[test]
fn an_attempt_is_in_the_ledger_before_its_first_command_runs() {
    let mut stage = Stage::new();
    stage.settings.setup = vec![vec!["make".to_owned()]];
    let ledger = stage.ledger.clone();
    stage.executor.judged_by(move |run| {
        let open = ledger.state("1.1").attempt.map(|attempt| attempt.id);
        Ended::Exit(i32::from(open.as_ref() != Some(&run.request.attempt)))
    });
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1").0, Status::Landed);
}

#[test]
fn work_of_the_author_is_in_the_ledger_before_the_checks_are_through() {
    let stage = Stage::with_check();
    let (ledger, seen) = (stage.ledger.clone(), std::rc::Rc::new(std::cell::Cell::new(false)));
    let see = seen.clone();
    let death = stage.death.clone();
    stage.agents.on("1.1", Phase::Review, move |_| {
        death.notify_one();
        std::future::pending()
    });
    stage.executor.judged_by(move |_| {
        see.set(ledger.state("1.1").phases.contains_key(&Phase::Implementation));
        Ended::Exit(0)
    });
    assert!(stage.play(&plan(&[("1.1", &[])])).is_none());
    assert!(seen.get());
}

#[test]
fn a_phase_by_commands_commits_what_they_left_and_a_failing_one_fails_the_story() {
    let mut stage = Stage::new();
    let documentation = stage.policy.phases.get_mut(&Phase::Documentation).unwrap();
    *documentation = PhaseSpec { by: Performer::Command, commands: vec![check("docs")] };
    let git = stage.git.clone();
    stage.executor.judged_by(move |run| {
        let mut repo = git.repo();
        repo.desks.get_mut(&run.request.directory).unwrap().files.insert("doc.md".to_owned(), "doc\n".to_owned());
        Ended::Exit(0)
    });
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
    assert!(stage.git.files_of("main").contains_key("doc.md"));
    stage.executor.judged_by(|_| Ended::Exit(1));
    let summary = stage.run(&plan(&[("1.2", &[])])).unwrap();
    assert_eq!(failure_of(&summary, "1.2").0, FailureClass::Command);
}

#[test]
fn an_implementation_by_commands_that_change_nothing_fails_the_story() {
    let mut stage = Stage::new();
    let implementation = stage.policy.phases.get_mut(&Phase::Implementation).unwrap();
    *implementation = PhaseSpec { by: Performer::Command, commands: vec![check("generate")] };
    let research = stage.policy.phases.get_mut(&Phase::Research).unwrap();
    *research = PhaseSpec { by: Performer::Command, commands: Vec::new() };
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(failure_of(&summary, "1.1").0, FailureClass::NoCommit);
}

#[test]
fn a_phase_before_the_implementation_given_to_an_agent_needs_no_commit() {
    let mut stage = Stage::new();
    stage.policy.phases.get_mut(&Phase::Issue).unwrap().by = Performer::Agent;
    stage.agents.on("1.1", Phase::Issue, async |session| session.exit(0));
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1").0, Status::Landed);
}

#[test]
fn a_failed_reflection_changes_nothing_about_the_landing() {
    let mut stage = Stage::new();
    let reflection = stage.policy.phases.get_mut(&Phase::Reflection).unwrap();
    *reflection = PhaseSpec { by: Performer::Command, commands: vec![check("notify")] };
    stage.executor.judged_by(|_| Ended::Exit(1));
    let summary = stage.run(&plan(&[("1.1", &[]), ("1.2", &["1.1"])])).unwrap();
    assert_eq!(summary.totals.landed, 2);
    assert_eq!(phases(&stage, "1.1"), Phase::ALL);
    stage.assert_clean();
}

#[test]
fn a_worktree_that_cannot_be_removed_changes_nothing_about_the_landing() {
    let stage = Stage::new();
    stage.git.repo().broken.insert("retire", "device busy".to_owned());
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(shown(&summary, "1.1").0, Status::Landed);
}

#[test]
fn a_panic_in_an_attempt_ends_the_run_with_an_error_instead_of_a_hang() {
    let stage = Stage::new();
    stage.agents.on("1.1", Phase::Implementation, async |_| panic!("a bug"));
    let error = stage.run(&plan(&[("1.1", &[])])).unwrap_err();
    assert!(error.message.contains("internal"), "{error}");
}

#[test]
fn a_retry_after_a_failure_begins_anew_on_the_kept_branch() {
    let stage = Stage::with_check();
    stage.executor.judged_by(|_| Ended::Exit(1));
    stage.run(&plan(&[("1.1", &[])])).unwrap();
    let by = Principal::Person("ada@example.org".to_owned());
    stage.ledger.somebody_writes("1.1", ItemEvent::RetryRequested { by, reopen: false });
    stage.executor.judged_by(|_| Ended::Exit(0));
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
    assert_eq!(stage.ledger.state("1.1").attempts, 1, "attempts count from the retry on");
    stage.assert_clean();
}
