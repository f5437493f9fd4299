//! What follows the end of an author's session, on the stage in memory: every class, and what it costs.

use std::cell::Cell;
use std::rc::Rc;

use super::events::Happening;
use super::fake::{Stage, failure_of, plan, shown};
use super::fake_agents::Session;
use super::ports::{Abilities, AgentEnd, AgentRequest, Ended};
use crate::domain::event::{FailureClass, ItemEvent, RunEvent};
use crate::domain::names::{Principal, Timestamp};
use crate::domain::plan::PlannedItem;
use crate::domain::prompt;
use crate::domain::retry::RetryPolicy;
use crate::domain::state::Status;
use crate::domain::workflow::Phase;

/// A stage on which failures are tried again and clients can go on with sessions.
fn stage() -> Stage {
    let mut stage = Stage::new();
    stage.settings.retry = RetryPolicy::default();
    stage.agents.able.set(Abilities { resumes: true, commits: true, commit_for_it: true });
    stage
}

fn committed(session: &Session) -> AgentEnd {
    session.write(&format!("{}-{}.txt", session.request.key, session.turn), "done\n");
    session.commit("general via fake <git-orchestrate-agent@localhost>");
    session.exit(0)
}

fn with_class(session: &Session, class: FailureClass) -> AgentEnd {
    AgentEnd { class: Some(class), ..session.exit(1) }
}

/// A rate limit that ends `millis` after the stage's beginning.
fn limited(session: &Session, millis: i64) -> AgentEnd {
    AgentEnd { until: Some(Timestamp(1_700_000_000_000 + millis)), ..with_class(session, FailureClass::RateLimited) }
}

/// The author's requests for an item.
fn authors(stage: &Stage, key: &str) -> Vec<AgentRequest> {
    let played = stage.agents.played.borrow();
    let of = |request: &&AgentRequest| request.key.as_str() == key && request.phase != Phase::Review;
    played.requests.iter().filter(of).cloned().collect()
}

fn notices(stage: &Stage) -> Vec<String> {
    let heard = stage.reporter.heard.borrow();
    let text = |happening: &Happening| match happening {
        Happening::Notice { text } => Some(text.clone()),
        _ => None,
    };
    heard.iter().filter_map(text).collect()
}

/// Items whose agents are a chain.
fn chained(items: &[(&str, &[&str])], chain: &[&str]) -> Vec<PlannedItem> {
    let mut items = plan(items);
    for item in &mut items {
        item.assignment.adapter = chain[0].to_owned();
        item.assignment.fallbacks = chain[1..].iter().map(|name| (*name).to_owned()).collect();
    }
    items
}

/// How often the ledger says that an attempt failed, and how many tries that came to.
fn due(stage: &Stage, key: &str) -> Vec<(FailureClass, u32)> {
    let of = |event: ItemEvent| match event {
        ItemEvent::RetryDue { failure, number, .. } => Some((failure.class, number)),
        _ => None,
    };
    stage.ledger.events(key).into_iter().filter_map(of).collect()
}

#[test]
fn a_rate_limit_ends_when_its_client_said_for_all_its_items_and_costs_no_try() {
    let mut stage = stage();
    stage.settings.retry.attempts = 1;
    let began = Rc::new(Cell::new(None));
    let start = began.clone();
    stage.agents.on("*", Phase::Implementation, move |session: Session| {
        let began = start.clone();
        async move {
            let now = tokio::time::Instant::now();
            let first = began.get().unwrap_or(now);
            began.set(Some(first));
            if session.turn == 0 {
                // What is written and what is committed before a limit stays.
                session.write(&format!("{}-half.txt", session.request.key), "half\n");
                session.commit("general via fake <git-orchestrate-agent@localhost>");
                return limited(&session, 7_200_000);
            }
            let waited = now - first;
            assert!(waited >= std::time::Duration::from_secs(7_200), "it began {waited:?} after the limit was met");
            assert!(
                waited < std::time::Duration::from_secs(7_300),
                "nobody waits for a try of somebody else: {waited:?}"
            );
            tokio::time::sleep(std::time::Duration::from_secs(1_000)).await;
            committed(&session)
        }
    });
    let summary = stage.run(&plan(&[("1.1", &[]), ("1.2", &[])])).unwrap();
    assert_eq!(summary.totals.landed, 2);
    for key in ["1.1", "1.2"] {
        let calls = authors(&stage, key);
        assert_eq!(calls.len(), 2, "{key}");
        assert!(calls[1].resume && calls[1].session == calls[0].session, "the same session goes on: {calls:?}");
        assert!(calls[1].prompt.contains("Your session was interrupted"), "{}", calls[1].prompt);
        assert_eq!((stage.ledger.state(key).tries, due(&stage, key)), (0, vec![(FailureClass::RateLimited, 0)]));
        assert!(stage.git.files_of("main").contains_key(&format!("{key}-half.txt")));
    }
    let said = notices(&stage);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("fake is paused for 7200 s, until 00:13 UTC"), "{said:?}");
    stage.assert_clean();
}

#[test]
fn a_rate_limit_is_known_to_the_next_run_and_is_not_asked_about_again() {
    let stage = stage();
    let interrupts = stage.interrupts.clone();
    stage.agents.on("1.1", Phase::Implementation, move |session: Session| {
        let interrupts = interrupts.clone();
        async move {
            if session.turn == 0 {
                interrupts.send(super::ports::Cancel::Ask).unwrap();
                return limited(&session, 3_600_000);
            }
            committed(&session)
        }
    });
    let items = plan(&[("1.1", &[]), ("1.2", &[])]);
    assert!(stage.run(&items).unwrap().stopped);
    let before = stage.agents.played.borrow().requests.len();
    stage.clock.advance(60_000);
    stage.agents.on("*", Phase::Implementation, async |session| committed(&session));
    assert_eq!(stage.run(&items).unwrap().totals.landed, 2);
    assert!(notices(&stage).iter().any(|text| text.starts_with("fake is paused for 3540 s")), "{:?}", notices(&stage));
    let calls = authors(&stage, "1.1");
    assert!(calls.last().unwrap().resume, "the session goes on over the end of a run");
    assert!(stage.agents.played.borrow().requests.len() > before);
}

#[test]
fn a_limit_that_never_ends_is_a_failure_at_last() {
    let mut stage = stage();
    stage.settings.retry.attempts = 1;
    stage.agents.on("1.1", Phase::Implementation, async |session| with_class(&session, FailureClass::RateLimited));
    let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(failure_of(&summary, "1.1").0, FailureClass::RateLimited);
    assert_eq!(authors(&stage, "1.1").len(), 21, "twenty in a row cost nothing");
}

#[test]
fn overload_crash_and_silence_go_on_with_the_same_session_after_a_while() {
    for (class, ended, counted) in [
        (Some(FailureClass::Overloaded), Ended::Exit(1), 0),
        (None, Ended::Exit(1), 1),
        (None, Ended::Signal(11), 1),
        (None, Ended::IdleTimeout, 1),
        (None, Ended::WallTimeout, 1),
    ] {
        let stage = stage();
        let end = ended.clone();
        stage.agents.on("1.1", Phase::Implementation, move |session: Session| {
            let end = end.clone();
            async move {
                if session.turn == 0 {
                    session.write("half.txt", "half\n");
                    return AgentEnd { class, ..session.end(end, None) };
                }
                committed(&session)
            }
        });
        assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1, "{ended:?}");
        let calls = authors(&stage, "1.1");
        assert!(calls.len() == 2 && calls[1].resume && calls[1].session == calls[0].session, "{ended:?}: {calls:?}");
        assert_eq!(stage.ledger.state("1.1").tries, counted, "{ended:?}");
        assert!(stage.git.files_of("main").contains_key("half.txt"), "{ended:?}");
    }
}

#[test]
fn no_commit_is_asked_for_once_in_the_same_session() {
    let stage = stage();
    stage.agents.on("1.1", Phase::Implementation, async |session| {
        if session.turn == 0 { session.exit(0) } else { committed(&session) }
    });
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
    let calls = authors(&stage, "1.1");
    assert_eq!(calls.len(), 2);
    assert!(calls[1].resume && calls[1].session == calls[0].session && calls[1].attempt == calls[0].attempt);
    assert!(prompt::is_nudge(&calls[1].prompt) && calls[1].prompt.len() < 1_000, "{}", calls[1].prompt);

    let never = self::stage();
    never.agents.on("1.1", Phase::Implementation, async |session| session.exit(0));
    let summary = never.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(failure_of(&summary, "1.1").0, FailureClass::NoCommit);
    let nudges = authors(&never, "1.1").iter().filter(|call| prompt::is_nudge(&call.prompt)).count();
    assert_eq!((nudges, authors(&never, "1.1").len()), (2, 4), "once in each of the two tries that it is worth");
}

#[test]
fn a_dirty_tree_is_asked_about_once_and_then_committed_where_that_may_be() {
    for (commit_for_it, obeys) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut stage = stage();
        stage.settings.retry.attempts = 1;
        stage.agents.able.set(Abilities { resumes: true, commits: true, commit_for_it });
        stage.agents.on("1.1", Phase::Implementation, move |session: Session| async move {
            if session.turn == 0 {
                session.write("left.txt", "left\n");
            } else if obeys {
                session.commit("general via fake <git-orchestrate-agent@localhost>");
            }
            session.exit(0)
        });
        let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
        let calls = authors(&stage, "1.1");
        assert!(calls.len() == 2 && calls[1].prompt.contains("left.txt"), "{calls:?}");
        if commit_for_it || obeys {
            assert_eq!(summary.totals.landed, 1);
            assert!(stage.git.files_of("main").contains_key("left.txt"));
        } else {
            let (class, message) = failure_of(&summary, "1.1");
            assert_eq!(class, FailureClass::Dirty);
            assert!(message.contains("1 path(s)") && message.contains("fake has to commit itself"), "{message}");
            let kept = stage.git.repo().desks.values().any(|desk| desk.files.contains_key("left.txt"));
            assert!(kept, "what it left stays where it is");
        }
    }
}

#[test]
fn a_client_without_sessions_is_not_asked_and_its_work_is_committed_for_it() {
    let stage = Stage::new();
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
    assert_eq!(authors(&stage, "1.1").len(), 1);
}

#[test]
fn a_client_that_does_not_commit_is_not_asked_for_it() {
    let mut stage = stage();
    stage.settings.retry.attempts = 1;
    stage.agents.able.set(Abilities { resumes: true, commits: false, commit_for_it: true });
    stage.agents.on("1.1", Phase::Implementation, async |session| {
        session.write("left.txt", "left\n");
        session.exit(0)
    });
    stage.agents.on("1.2", Phase::Implementation, async |session| session.exit(0));
    let summary = stage.run(&plan(&[("1.1", &[]), ("1.2", &[])])).unwrap();
    assert!(stage.git.files_of("main").contains_key("left.txt"), "what it left was committed for it");
    assert_eq!(failure_of(&summary, "1.2").0, FailureClass::NoCommit, "nothing is still nothing");
    assert_eq!((authors(&stage, "1.1").len(), authors(&stage, "1.2").len()), (1, 1));
}

#[test]
fn what_is_committed_for_a_session_bears_the_name_of_its_agent() {
    let mut stage = stage();
    stage.agents.able.set(Abilities { resumes: false, commits: true, commit_for_it: true });
    stage.settings.rework_rounds = 2;
    let leave = async |session: Session| {
        session.write(&format!("by-{}.txt", session.request.adapter), "left\n");
        session.exit(0)
    };
    stage.agents.on("1.1", Phase::Implementation, leave);
    stage.agents.on("1.1", Phase::ReviewResponse, leave);
    // While the first review goes on, another story finds out that the author's client is refused.
    stage.agents.on("1.1", Phase::Review, async |session| match session.turn {
        0 => {
            tokio::time::sleep(std::time::Duration::from_secs(100)).await;
            session.request_changes("more")
        }
        _ => session.approve(),
    });
    stage.agents.on("1.2", Phase::Implementation, async |session| {
        if session.request.adapter == "fake" {
            tokio::time::sleep(std::time::Duration::from_secs(10)).await;
            return with_class(&session, FailureClass::Auth);
        }
        committed(&session)
    });
    let items = chained(&[("1.1", &[]), ("1.2", &[])], &["fake", "second"]);
    assert_eq!(run_reviewed_by(&stage, &items, &["third"]).totals.landed, 2);
    let by: Vec<String> = authors(&stage, "1.1").into_iter().map(|call| call.adapter).collect();
    assert_eq!(by, ["fake", "second"]);
    let repo = stage.git.repo();
    let names: Vec<&str> = repo.commits.values().map(|commit| commit.author.as_str()).collect();
    for agent in by {
        let name = format!("general-developer via {agent} <git-orchestrate-agent@localhost>");
        assert!(names.contains(&name.as_str()), "{agent} is not among {names:?}");
    }
}

#[test]
fn a_full_context_goes_on_in_a_new_session_that_is_told_what_git_holds() {
    let stage = stage();
    stage.agents.on("1.1", Phase::Implementation, async |session| {
        if session.turn == 0 {
            session.write("half.txt", "half\n");
            return with_class(&session, FailureClass::ContextFull);
        }
        committed(&session)
    });
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
    let calls = authors(&stage, "1.1");
    assert!(calls.len() == 2 && !calls[1].resume && calls[1].session != calls[0].session, "{calls:?}");
    assert_eq!(calls[1].attempt, calls[0].attempt, "it costs no try");
    assert!(calls[1].prompt.contains("An earlier session of another agent was interrupted"), "{}", calls[1].prompt);
    assert!(calls[1].prompt.contains("half.txt"));
}

#[test]
fn a_limit_of_turns_goes_on_once_in_the_same_session() {
    let stage = stage();
    stage.agents.on("1.1", Phase::Implementation, async |session| {
        if session.turn == 0 { with_class(&session, FailureClass::MaxTurns) } else { committed(&session) }
    });
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
    let calls = authors(&stage, "1.1");
    assert!(calls.len() == 2 && calls[1].resume && calls[1].attempt == calls[0].attempt, "{calls:?}");
    assert!(calls[1].prompt.contains("# Task: implement story 1.1"));
}

#[test]
fn what_a_person_has_to_change_is_no_use_trying_again() {
    for class in [FailureClass::Denied, FailureClass::ClientBudget, FailureClass::Auth, FailureClass::Billing] {
        let stage = stage();
        stage.agents.on(
            "1.1",
            Phase::Implementation,
            move |session: Session| async move { with_class(&session, class) },
        );
        let summary = stage.run(&plan(&[("1.1", &[])])).unwrap();
        assert_eq!((failure_of(&summary, "1.1").0, authors(&stage, "1.1").len()), (class, 1));
    }
}

#[test]
fn a_refused_login_stops_its_client_once_and_other_agents_go_on() {
    for class in [FailureClass::Auth, FailureClass::Billing] {
        let mut stage = stage();
        stage.jobs = 1;
        stage.agents.on("*", Phase::Implementation, move |session: Session| async move {
            if session.request.adapter == "fake" { with_class(&session, class) } else { committed(&session) }
        });
        stage.agents.on("*", Phase::Review, async |session| session.approve());
        let mut items = plan(&[("1.1", &[]), ("1.2", &[]), ("2.1", &[])]);
        items[2].assignment.adapter = "other".to_owned();
        // The reviewer is another client too.
        let summary = run_reviewed_by(&stage, &items, &["other"]);
        assert_eq!(shown(&summary, "2.1").0, Status::Landed);
        assert_eq!(failure_of(&summary, "1.1").0, class);
        let (status, reason) = shown(&summary, "1.2");
        assert_eq!(status, Status::NotStarted, "nothing was started in vain: {reason}");
        assert!(reason.starts_with("fake is left alone") && reason.contains("git orchestrate resume"), "{reason}");
        assert_eq!((summary.totals.failed, summary.totals.waiting), (1, 1));
        let said = notices(&stage);
        assert_eq!(said.iter().filter(|text| text.starts_with("fake gets nothing more")).count(), 1, "{said:?}");
        assert!(matches!(stage.ledger.chains().run_log.last(), Some(RunEvent::Paused { .. })));
        // The next run tries once, and by now somebody logged in.
        stage.agents.on("*", Phase::Implementation, async |session| committed(&session));
        assert_eq!(shown(&run_reviewed_by(&stage, &items[1..2], &["other"]), "1.2").0, Status::Landed);
    }
}

/// Runs with these reviewers.
fn run_reviewed_by(stage: &Stage, items: &[PlannedItem], chain: &[&str]) -> super::events::Summary {
    stage.reviewers.replace(chain.iter().map(|name| (*name).to_owned()).collect());
    stage.run(items).unwrap()
}

#[test]
fn the_next_agent_of_the_chain_takes_over_and_the_ledger_says_why() {
    for (class, why) in [
        (FailureClass::Auth, "its login is refused"),
        (FailureClass::Billing, "its account has no credit"),
        (FailureClass::RateLimited, "it is rate limited"),
    ] {
        let mut stage = stage();
        stage.jobs = 1;
        stage.settings.retry.attempts = 1;
        stage.agents.on("*", Phase::Implementation, move |session: Session| async move {
            if session.request.adapter == "fake" {
                session.write("half.txt", "half\n");
                return AgentEnd { until: Some(Timestamp(1_700_003_600_000)), ..with_class(&session, class) };
            }
            committed(&session)
        });
        let items = chained(&[("1.1", &[]), ("1.2", &[])], &["fake", "second"]);
        let summary = run_reviewed_by(&stage, &items, &["second"]);
        assert_eq!(summary.totals.landed, 2, "{class:?}");
        let calls = authors(&stage, "1.1");
        let by: Vec<&str> = calls.iter().map(|call| call.adapter.as_str()).collect();
        assert_eq!(by, ["fake", "second"]);
        assert!(!calls[1].resume && calls[1].prompt.contains("An earlier session of another agent"), "{class:?}");
        assert_eq!(authors(&stage, "1.2").len(), 1, "the stopped client is not asked again");
        assert_eq!(stage.ledger.state("1.1").tries, 0, "{class:?}");
        let instead = stage.ledger.events("1.2").into_iter().find_map(|event| match event {
            ItemEvent::SessionStarted { principal: Principal::Agent { adapter, .. }, instead, .. } => {
                Some((adapter, instead))
            }
            _ => None,
        });
        let (adapter, instead) = instead.unwrap();
        assert!(adapter == "second" && instead.starts_with("fake is") && instead.contains(why), "{instead}");
        assert_eq!(stage.ledger.state("1.2").attempt.unwrap().agent, "second");
        let said = notices(&stage);
        assert_eq!(said.iter().filter(|text| text.starts_with("second takes its place")).count(), 1, "{said:?}");
    }
}

#[test]
fn phases_of_an_item_go_on_with_one_session_of_the_author_and_the_reviewer_never_has_it() {
    let mut stage = Stage::with_check();
    stage.agents.able.set(Abilities { resumes: true, commits: true, commit_for_it: true });
    stage.executor.judged_by(|run| Ended::Exit(i32::from(!run.files.contains_key("1.1-1.txt"))));
    stage.agents.on("1.1", Phase::Implementation, async |session| AgentEnd {
        session: format!("theirs-{}", session.turn),
        ..committed(&session)
    });
    stage.agents.on("1.1", Phase::ReviewResponse, async |session| {
        session.write("answer.txt", "answered\n");
        session.commit("general via fake <git-orchestrate-agent@localhost>");
        session.exit(0)
    });
    stage.agents.on("1.1", Phase::Review, async |session| match session.turn {
        0 => session.request_changes("more"),
        _ => session.approve(),
    });
    stage.settings.rework_rounds = 2;
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
    let calls = authors(&stage, "1.1");
    let how: Vec<(bool, &str)> = calls.iter().map(|call| (call.resume, call.session.as_str())).collect();
    assert_eq!(how[1..], [(true, "theirs-0"), (true, "theirs-1")], "its client's newest name of it");
    assert!(!how[0].0 && !calls[1].prompt.contains("interrupted"));
    let state = stage.ledger.state("1.1");
    let principals: std::collections::BTreeSet<_> = state.authors().cloned().collect();
    assert_eq!(principals.len(), 1, "one session for the record: {principals:?}");
    assert!(state.reviews.iter().all(|review| !principals.contains(&review.reviewer)));
    let reviews: Vec<bool> = {
        let played = stage.agents.played.borrow();
        let of = |request: &&AgentRequest| request.phase == Phase::Review;
        played.requests.iter().filter(of).map(|request| request.resume).collect()
    };
    assert_eq!(reviews, [false, false]);
}

#[test]
fn what_a_session_counts_on_over_its_invocations_is_charged_once() {
    use crate::domain::usage::{Counting, Usage};
    let stage = stage();
    stage.agents.on("1.1", Phase::Implementation, async |session| {
        let usage = Usage { tokens: Some(100 * (session.turn as u64 + 1)), ..Usage::default() };
        let counting = Counting { cost: false, tokens: true };
        let end = if session.turn == 0 { session.exit(0) } else { committed(&session) };
        AgentEnd { usage, counting, session: "thread-1".to_owned(), ..end }
    });
    stage.run(&plan(&[("1.1", &[])])).unwrap();
    assert_eq!(stage.ledger.state("1.1").spent_in_all().tokens, 200, "100, and 100 more by the same thread");
}

#[test]
fn a_client_that_does_not_know_its_session_any_more_gets_a_new_one_in_a_later_phase() {
    let stage = stage();
    stage.agents.on("1.1", Phase::Implementation, async |session| committed(&session));
    stage.agents.on("1.1", Phase::ReviewResponse, async |session| {
        if session.request.resume { session.exit(1) } else { committed(&session) }
    });
    stage.agents.on("1.1", Phase::Review, async |session| match session.turn {
        0 => session.request_changes("more"),
        _ => session.approve(),
    });
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
    let calls = authors(&stage, "1.1");
    assert_eq!(calls.iter().map(|call| call.resume).collect::<Vec<_>>(), [false, true, false]);
    assert!(calls[2].prompt.contains("An earlier session of another agent did the work so far"), "{}", calls[2].prompt);
}

#[test]
fn a_reviewer_is_another_client_than_the_author_where_the_chain_has_one() {
    let stage = stage();
    stage.agents.on("*", Phase::Implementation, async |session| committed(&session));
    let by = |stage: &Stage| {
        let played = stage.agents.played.borrow();
        played.requests.iter().rfind(|request| request.phase == Phase::Review).unwrap().adapter.clone()
    };
    run_reviewed_by(&stage, &plan(&[("1.1", &[])]), &["fake", "second"]);
    assert_eq!(by(&stage), "second");
    run_reviewed_by(&stage, &chained(&[("1.2", &[])], &["second"]), &["fake", "second"]);
    assert_eq!(by(&stage), "fake");
    run_reviewed_by(&stage, &plan(&[("1.3", &[])]), &["fake"]);
    assert_eq!(by(&stage), "fake", "better by the same client than not at all");
}

#[test]
fn a_limited_reviewer_is_waited_for_without_a_slot_and_the_author_is_not_asked_again() {
    let mut stage = stage();
    stage.jobs = 1;
    stage.settings.retry.attempts = 1;
    stage.agents.on("*", Phase::Implementation, async |session| committed(&session));
    stage.agents.on("1.1", Phase::Review, async |session| {
        if session.turn == 0 { limited(&session, 3_600_000) } else { session.approve() }
    });
    let mut items = plan(&[("1.1", &[]), ("2.1", &[])]);
    for item in &mut items {
        item.assignment.adapter = "writer".to_owned();
    }
    let summary = run_reviewed_by(&stage, &items, &["fake"]);
    assert_eq!(summary.totals.landed, 2);
    assert_eq!((authors(&stage, "1.1").len(), authors(&stage, "2.1").len()), (1, 1));
    let order: Vec<String> = stage.agents.played.borrow().requests.iter().map(|r| r.key.to_string()).collect();
    assert_eq!(order[2], "2.1", "its author worked while the reviewer was paused: {order:?}");
}

#[test]
fn a_paused_client_is_waited_for_only_where_nothing_can_be_done_without_it() {
    for dirty in [true, false] {
        let mut stage = stage();
        stage.settings.retry.attempts = 1;
        stage.agents.on("1.1", Phase::Implementation, async |session| {
            if session.turn == 0 { limited(&session, 60_000) } else { committed(&session) }
        });
        stage.agents.on("1.2", Phase::Implementation, move |session: Session| async move {
            if session.turn > 0 {
                return committed(&session);
            }
            // The other story has met the limit by now.
            tokio::time::sleep(std::time::Duration::from_secs(10)).await;
            if dirty {
                session.write("left.txt", "left\n");
            }
            session.exit(0)
        });
        assert_eq!(stage.run(&plan(&[("1.1", &[]), ("1.2", &[])])).unwrap().totals.landed, 2, "dirty: {dirty}");
        let asked = authors(&stage, "1.2").iter().filter(|call| prompt::is_nudge(&call.prompt)).count();
        assert_eq!(asked, usize::from(!dirty));
        assert_eq!(stage.ledger.state("1.2").tries, 0);
    }
}
