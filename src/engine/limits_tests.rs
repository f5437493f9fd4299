//! Retries, breakers, budgets and a machine with nothing left, in whole runs on the stage in memory. Time is virtual.

use std::cell::Cell;
use std::rc::Rc;

use super::events::{Happening, Summary};
use super::fake::{Stage, failure_of, plan, shown};
use super::fake_agents::Session;
use super::ports::{AgentEnd, Cancel, Ended};
use crate::domain::budget::MICROS;
use crate::domain::event::{FailureClass, ItemEvent, RunEvent};
use crate::domain::names::ItemKey;
use crate::domain::retry::RetryPolicy;
use crate::domain::state::{Outcome, Status};
use crate::domain::usage::Usage;
use crate::domain::workflow::Phase;

/// A stage on which failures are tried again.
fn stage() -> Stage {
    let mut stage = Stage::new();
    stage.settings.retry = RetryPolicy::default();
    stage
}

fn good(session: &Session) -> AgentEnd {
    session.write(&format!("{}.txt", session.request.key), "done\n");
    session.exit(0)
}

/// An end that cost something.
fn costing(session: &Session, dollars: u64) -> AgentEnd {
    let usage = Usage { micro_usd: Some(dollars * MICROS), tokens: Some(10), ..Usage::default() };
    AgentEnd { usage, ..good(session) }
}

fn with_class(session: &Session, class: FailureClass) -> AgentEnd {
    AgentEnd { class: Some(class), ..session.exit(1) }
}

/// How often an author's session of an item was started.
fn sessions(stage: &Stage, key: &str) -> usize {
    stage.agents.phases_of(key).iter().filter(|phase| **phase == Phase::Implementation).count()
}

/// What was said of the run as a whole.
fn notices(stage: &Stage) -> Vec<String> {
    let heard = stage.reporter.heard.borrow();
    let text = |happening: &Happening| match happening {
        Happening::Notice { text } => Some(text.clone()),
        _ => None,
    };
    heard.iter().filter_map(text).collect()
}

fn landed(summary: &Summary) -> u32 {
    summary.totals.landed
}

#[test]
fn a_client_that_breaks_off_twice_lands_on_the_third_try_and_dependants_wait() {
    let stage = stage();
    stage.agents.on(
        "1.1",
        Phase::Implementation,
        async |session| {
            if session.turn < 2 { session.exit(1) } else { good(&session) }
        },
    );
    stage.agents.on("1.2", Phase::Implementation, async |session| {
        assert_eq!(session.ledger.state("1.1").status(), Status::Landed);
        good(&session)
    });
    let summary = stage.run(&plan(&[("1.1", &[]), ("1.2", &["1.1"]), ("2.1", &[])])).unwrap();
    assert_eq!((landed(&summary), sessions(&stage, "1.1")), (3, 3));
    let events = stage.ledger.events("1.1");
    let due: Vec<u32> = events
        .iter()
        .filter_map(|event| if let ItemEvent::RetryDue { number, .. } = event { Some(*number) } else { None })
        .collect();
    assert_eq!(due, [1, 2]);
    assert!(!events.iter().any(|event| matches!(event, ItemEvent::Failed { .. } | ItemEvent::Blocked { .. })));
    stage.assert_clean();
}

#[test]
fn the_slot_is_free_between_two_tries() {
    let mut stage = stage();
    stage.jobs = 1;
    stage.agents.on("1.1", Phase::Implementation, async |session| {
        if session.turn == 0 {
            return session.exit(1);
        }
        assert_eq!(session.ledger.state("2.1").status(), Status::Landed, "2.1 did not use the time");
        good(&session)
    });
    assert_eq!(landed(&stage.run(&plan(&[("1.1", &[]), ("2.1", &[])])).unwrap()), 2);
}

#[test]
fn after_the_last_try_the_item_fails_and_its_dependants_are_blocked() {
    let stage = stage();
    stage.agents.on("1.1", Phase::Implementation, async |session| session.exit(1));
    let summary = stage.run(&plan(&[("1.1", &[]), ("1.2", &["1.1"]), ("2.1", &[])])).unwrap();
    assert_eq!((summary.totals.failed, summary.totals.blocked, landed(&summary)), (1, 1, 1));
    assert_eq!(sessions(&stage, "1.1"), 3);
    assert_eq!(failure_of(&summary, "1.1").0, FailureClass::Agent);
}

#[test]
fn what_another_try_cannot_mend_is_tried_once() {
    for class in [FailureClass::Auth, FailureClass::Command] {
        let stage = stage();
        stage.agents.on(
            "1.1",
            Phase::Implementation,
            move |session: Session| async move { with_class(&session, class) },
        );
        let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
        assert_eq!((summary.totals.failed, sessions(&stage, "1.1")), (1, 1), "{class:?}");
    }
}

#[test]
fn a_reviewer_that_says_nothing_is_asked_again_and_the_author_is_not() {
    let stage = stage();
    stage.agents.on(
        "1.1",
        Phase::Review,
        async |session| {
            if session.turn == 0 { session.exit(0) } else { session.approve() }
        },
    );
    assert_eq!(landed(&stage.run(&plan(&[("1.1", &[])])).unwrap()), 1);
    assert_eq!(stage.agents.phases_of("1.1"), [Phase::Implementation, Phase::Review, Phase::Review]);
}

#[test]
fn tries_are_counted_across_restarts_and_a_retry_counts_anew() {
    let stage = stage();
    stage.agents.on("1.1", Phase::Implementation, async |session| session.exit(1));
    let items = plan(&[("1.1", &[])]);
    for tries in 1..=2 {
        // A signal in the moment in which the next try is due.
        let (interrupts, seen) = (stage.interrupts.clone(), Rc::new(Cell::new(false)));
        if tries == 1 {
            stage.agents.on("1.1", Phase::Implementation, move |session: Session| {
                if !seen.replace(true) {
                    interrupts.send(Cancel::Ask).unwrap();
                }
                async move { session.exit(1) }
            });
        }
        let summary = stage.run(&items).unwrap();
        assert_eq!(summary.stopped, tries == 1, "run {tries}");
        let state = stage.ledger.state("1.1");
        assert_eq!(state.tries, if tries == 1 { 1 } else { 3 });
    }
    assert_eq!((sessions(&stage, "1.1"), stage.status("1.1")), (3, Status::Failed));
    let by = crate::domain::names::Principal::Person("p".to_owned());
    stage.ledger.somebody_writes("1.1", ItemEvent::RetryRequested { by, reopen: false });
    assert_eq!(stage.ledger.state("1.1").tries, 0);
    stage.agents.on("1.1", Phase::Implementation, async |session| good(&session));
    assert_eq!(landed(&stage.run(&items).unwrap()), 1);
}

#[test]
fn a_death_between_two_tries_forgets_nothing() {
    let stage = stage();
    let death = stage.death.clone();
    stage.agents.on(
        "1.1",
        Phase::Implementation,
        async |session| {
            if session.turn == 0 { session.exit(1) } else { good(&session) }
        },
    );
    stage.agents.on("2.1", Phase::Implementation, move |session: Session| {
        let death = death.clone();
        async move {
            if session.turn == 0 {
                // Long after 1.1 failed and before its next try is due.
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                death.notify_one();
                std::future::pending::<()>().await;
            }
            good(&session)
        }
    });
    let items = plan(&[("1.1", &[]), ("2.1", &[])]);
    assert!(stage.play(&items).is_none());
    let state = stage.ledger.state("1.1");
    assert!(matches!(state.outcome, Some(Outcome::Due { number: 1, of: 3, .. })), "{:?}", state.outcome);
    assert_eq!(state.status(), Status::InProgress);
    assert_eq!(landed(&stage.run(&items).unwrap()), 2);
    assert_eq!(sessions(&stage, "1.1"), 2);
    stage.assert_clean();
}

#[test]
fn a_killed_agent_is_the_machines_fault_and_slots_shrink() {
    let stage = stage();
    stage.agents.on("1.1", Phase::Implementation, async |session| {
        // Four times what would be too often for a fault of the client.
        if session.turn < 4 { session.end(Ended::Signal(9), None) } else { good(&session) }
    });
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(landed(&summary), 1);
    let state = stage.ledger.state("1.1");
    assert_eq!((state.tries, state.lacks), (0, 4));
    let said = notices(&stage);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("2 stories at a time") && said[1].contains("one story at a time"), "{said:?}");
}

#[test]
fn what_the_machine_always_lacks_fails_within_the_cap() {
    let stage = stage();
    stage.agents.on("1.1", Phase::Implementation, async |session| {
        session.end(Ended::NotStarted("Cannot allocate memory (os error 12)".to_owned()), None)
    });
    let summary = stage.run(&plan(&[("1.1", &[]), ("1.2", &[])])).unwrap();
    assert_eq!(failure_of(&summary, "1.1").0, FailureClass::Resources);
    assert_eq!((sessions(&stage, "1.1"), landed(&summary)), (8, 1), "five that do not count and three that do");
}

#[test]
fn after_five_failures_in_a_row_a_client_is_left_alone_and_the_others_go_on() {
    let mut stage = stage();
    stage.jobs = 1;
    stage.settings.retry.attempts = 1;
    let well = Rc::new(Cell::new(0));
    let count = well.clone();
    stage.agents.on("*", Phase::Implementation, move |session: Session| {
        let count = count.clone();
        async move {
            if session.request.adapter == "other" {
                count.set(count.get() + 1);
                return good(&session);
            }
            session.exit(1)
        }
    });
    let names: Vec<String> = (1..=7).map(|n| format!("1.{n}")).collect();
    let rows: Vec<(&str, &[&str])> =
        names.iter().map(|name| (name.as_str(), &[] as &[&str])).chain([("2.1", &[] as &[&str])]).collect();
    let mut items = plan(&rows);
    items[7].assignment.adapter = "other".to_owned();
    let summary = stage.run(&items).unwrap();
    assert_eq!((summary.totals.failed, landed(&summary), well.get()), (7, 1, 1));
    let said = notices(&stage);
    // The review of 2.1 is the one try that is let through; it succeeds, and the last two begin to count anew.
    assert_eq!(said.iter().filter(|text| text.starts_with("fake is paused for 600 s")).count(), 1, "{said:?}");
    let order: Vec<String> = stage.agents.played.borrow().requests.iter().map(|r| r.key.to_string()).collect();
    let place = |key: &str| order.iter().position(|other| other == key).unwrap();
    assert!(place("2.1") < place("1.6"), "the other agent's story did not wait: {order:?}");
}

#[test]
fn a_client_that_never_recovers_gets_one_try_in_ten_minutes() {
    let mut stage = stage();
    stage.settings.retry.attempts = 1;
    stage.agents.on("*", Phase::Implementation, async |session| {
        // Long enough for all that are let through at the same time to begin.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        session.exit(1)
    });
    let names: Vec<String> = (1..=12).map(|n| format!("1.{n}")).collect();
    let rows: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &[] as &[&str])).collect();
    let summary = stage.run(&plan(&rows)).unwrap();
    assert_eq!(summary.totals.failed, 12);
    // Four at a time: eight had begun when the fifth failure came, and each of the other four was alone.
    let said = notices(&stage);
    assert_eq!(said.iter().filter(|text| text.contains("paused for 600 s")).count(), 5, "{said:?}");
}

#[test]
fn a_rate_limit_pauses_its_client_for_all_and_the_run_goes_on_afterwards() {
    let mut stage = stage();
    stage.jobs = 1;
    stage.agents.on("1.1", Phase::Implementation, async |session| {
        if session.turn == 0 { with_class(&session, FailureClass::RateLimited) } else { good(&session) }
    });
    let summary = stage.run(&plan(&[("1.1", &[]), ("1.2", &[])])).unwrap();
    assert_eq!(landed(&summary), 2);
    let said = notices(&stage);
    assert!(said.len() == 1 && said[0].contains("rate limited"), "{said:?}");
}

#[test]
fn a_cap_on_cost_is_held_before_a_wave_starts_and_counts_across_resumes() {
    let mut stage = stage();
    stage.settings.limits.asked = Some(10 * MICROS);
    stage.settings.limits.session_cost = Some(4 * MICROS);
    stage.agents.on("*", Phase::Implementation, async |session| {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        costing(&session, 3)
    });
    stage.agents.on("*", Phase::Review, async |session| AgentEnd {
        usage: Usage { micro_usd: Some(1), ..Usage::default() },
        ..session.approve()
    });
    let items = plan(&[("1.1", &[]), ("1.2", &[]), ("1.3", &[]), ("1.4", &[]), ("1.5", &[])]);
    let summary = stage.run(&items).unwrap();
    assert!(summary.spent.micro_usd <= 10 * MICROS, "{:?}", summary.spent);
    assert!(summary.paused.as_deref().is_some_and(|why| why.contains("--max-cost")), "{:?}", summary.paused);
    assert_eq!((summary.totals.failed, summary.totals.blocked), (0, 0));
    // The first alone, for it may come to 4 and its review to 4; then two at a time; the fourth would make it 12.
    assert_eq!((landed(&summary), summary.totals.waiting), (3, 2), "{:?}", summary.totals);
    assert_eq!(stage.agents.played.borrow().most, 2);
    let log = stage.ledger.chains().run_log.clone();
    assert!(log.iter().any(|event| matches!(event, RunEvent::Capped { micro_usd } if *micro_usd == 10 * MICROS)));
    assert!(matches!(log.last(), Some(RunEvent::Paused { .. })), "{log:?}");
}

#[test]
fn a_story_that_is_approved_lands_although_the_budget_is_used_up() {
    let mut stage = stage();
    stage.land = false;
    stage.agents.on("*", Phase::Implementation, async |session| costing(&session, 3));
    let items = plan(&[("1.1", &[])]);
    assert_eq!(shown(&stage.run(&items).unwrap(), "1.1").0, Status::Approved);
    stage.land = true;
    stage.settings.limits.asked = Some(1);
    stage.settings.limits.session_cost = Some(2);
    assert_eq!(landed(&stage.run(&items).unwrap()), 1);
}

#[test]
fn consumption_is_recorded_per_session_and_unknown_stays_unknown() {
    let stage = stage();
    stage.agents.on("1.1", Phase::Implementation, async |session| costing(&session, 3));
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    let spent = stage.ledger.state("1.1").spent_in_all();
    assert_eq!((spent.sessions, spent.ended, spent.priced, spent.unpriced()), (2, 2, 1, 1));
    assert_eq!((spent.cost(), spent.token_count(), spent.millis), (Some(3 * MICROS), Some(10), 2));
    assert_eq!(summary.spent, spent);
}

#[test]
fn time_limits_follow_the_phase() {
    let mut stage = stage();
    stage.settings.timeouts.insert(Phase::Review, 60);
    stage.settings.idle_timeouts.insert(Phase::Implementation, 5);
    stage.run(&plan(&[("1.1", &[])])).unwrap();
    let played = stage.agents.played.borrow();
    let limits: Vec<_> = played.requests.iter().map(|r| (r.phase, r.timeout_secs, r.idle_secs)).collect();
    assert_eq!(limits, [(Phase::Implementation, 3600, 5), (Phase::Review, 60, 0)]);
}

#[test]
fn one_items_failures_never_stop_an_independent_one() {
    let stage = stage();
    for (key, end) in [
        ("1.1", Ended::Signal(9)),
        ("1.2", Ended::IdleTimeout),
        ("1.3", Ended::WallTimeout),
        ("1.4", Ended::NotStarted("No such file or directory (os error 2)".to_owned())),
    ] {
        stage.agents.on(key, Phase::Implementation, move |session: Session| {
            let end = end.clone();
            async move { session.end(end, None) }
        });
    }
    let summary = stage.run(&plan(&[("1.1", &[]), ("1.2", &[]), ("1.3", &[]), ("1.4", &[]), ("2.1", &[])])).unwrap();
    assert_eq!(shown(&summary, "2.1").0, Status::Landed);
    assert_eq!((summary.totals.failed, landed(&summary)), (4, 1));
    assert!(stage.ledger.state(ItemKey::new("2.1").as_str()).is_done());
}
