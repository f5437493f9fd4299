//! Tests of `report::status`, over folded events.

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;
use crate::domain::event::{
    CheckRun, Failure, FailureClass, Finding, ItemEvent, Landing, PhaseOutcome, PlannedKey, Review, ReviewVerdict,
    Totals,
};
use crate::domain::names::{AttemptId, BranchRef, ItemKey, Oid, PolicyVersion, Principal};
use crate::domain::state::ItemState;
use crate::domain::usage::Usage;
use crate::domain::workflow::Phase;

const T0: i64 = 1_736_692_222_000;

fn oid(digit: char) -> Oid {
    Oid::new(digit.to_string().repeat(40))
}

fn attempt_id() -> AttemptId {
    AttemptId::new("a1")
}

fn started(name: &str) -> ItemEvent {
    ItemEvent::AttemptStarted {
        attempt: attempt_id(),
        continues: None,
        run: RunId::new("r1"),
        title: format!("Title {name}"),
        path: format!("docs/stories/{name}.md"),
        agent: "claude".into(),
        role: "python-developer".into(),
        branch: BranchRef::new(format!("refs/heads/story/{name}-title")),
        worktree: format!(".worktrees/{name}-title"),
        target: BranchRef::new("refs/heads/main"),
        base: oid('a'),
        policy: PolicyVersion::new("p1"),
        story: oid('b'),
    }
}

fn done(phase: Phase, checks: Vec<CheckRun>) -> ItemEvent {
    let by = Principal::Agent { adapter: "claude".into(), session: "s1".into() };
    let outcome = PhaseOutcome::Done { by, summary: format!("{phase} done"), head: None, checks };
    ItemEvent::PhaseRecorded { attempt: attempt_id(), phase, outcome }
}

fn failed(message: &str) -> ItemEvent {
    let failure = Failure::new(FailureClass::Check, Phase::Testing, message);
    ItemEvent::Failed { attempt: attempt_id(), failure }
}

/// Folds events one second apart.
fn fold(events: &[ItemEvent]) -> ItemState {
    let times = (0..).map(|second| Timestamp(T0 + second * 1000));
    ItemState::fold(events.iter().zip(times)).unwrap()
}

fn landed() -> ItemState {
    let review = Review {
        reviewer: Principal::Person("ada@example.org".into()),
        verdict: ReviewVerdict::Approve,
        base: oid('a'),
        head: oid('c'),
        merge_tree: oid('d'),
        policy: PolicyVersion::new("p1"),
        story: oid('b'),
        findings: vec![Finding { path: "src/a.py".into(), line: 7, text: "fine\u{1b}[31m".into() }],
        message: "good".into(),
        at: Timestamp(T0 + 5000),
        signature: None,
    };
    let landing = Landing {
        target: BranchRef::new("refs/heads/main"),
        base: oid('a'),
        head: oid('c'),
        merge_tree: oid('d'),
        merge: oid('e'),
        tip: oid('f'),
    };
    let check = CheckRun { name: "test".into(), tree: oid('d'), passed: true, ended: "exit 0".into(), millis: 1500 };
    let not = PhaseOutcome::NotApplicable { reason: "no forge".into() };
    fold(&[
        started("1.1"),
        ItemEvent::PhaseRecorded { attempt: attempt_id(), phase: Phase::Issue, outcome: not },
        done(Phase::Testing, vec![check]),
        ItemEvent::Reviewed { attempt: None, review, more: false },
        ItemEvent::LandingIntended { attempt: attempt_id(), landing: landing.clone() },
        ItemEvent::Landed { landing },
    ])
}

fn states() -> BTreeMap<ItemKey, ItemState> {
    let blocked = ItemEvent::Blocked { run: RunId::new("r1"), by: vec![ItemKey::new("1.2"), ItemKey::new("1.9")] };
    BTreeMap::from([
        (ItemKey::new("1.1"), landed()),
        (ItemKey::new("1.9"), fold(&[started("1.9"), failed("check `test` kept failing")])),
        (ItemKey::new("1.10"), fold(&[started("1.10"), done(Phase::Setup, Vec::new())])),
        (ItemKey::new("2.1"), fold(&[blocked])),
    ])
}

fn run() -> RunState {
    let planned = |name: &str, wave, after: &[&str]| PlannedKey {
        key: ItemKey::new(name),
        wave,
        after: after.iter().map(|name| ItemKey::new(*name)).collect(),
    };
    RunState {
        target: Some(BranchRef::new("refs/heads/main")),
        items: vec![
            planned("1.1", 0, &[]),
            planned("1.9", 0, &[]),
            planned("1.10", 1, &["1.1"]),
            planned("2.1", 2, &["1.9"]),
        ],
        started: Some(Timestamp(T0)),
        host: "box, process 7".into(),
        ..RunState::default()
    }
}

fn known() -> BTreeMap<ItemKey, Known> {
    let known = |title: &str, done| Known { title: title.into(), dependencies: vec!["1.1".into()], wave: None, done };
    BTreeMap::from([(ItemKey::new("3.1"), known("Next\u{202e}", false)), (ItemKey::new("0.1"), known("Base", true))])
}

/// Calls `show` with the whole example.
fn with_view<T>(live: &[&str], show: impl FnOnce(&View<'_>) -> T) -> T {
    let (items, known, run, id) = (states(), known(), run(), RunId::new("r1"));
    let live = live.iter().map(|name| ItemKey::new(*name)).collect();
    let now = Timestamp(T0 + 60_000);
    show(&View {
        items: &items,
        run: Some((&id, &run)),
        known: &known,
        live: Some(&live),
        hotfixes: &[],
        branches: &[],
        guards: &Guards::default(),
        now,
    })
}

#[test]
fn the_table_shows_every_item_in_natural_order() {
    insta::assert_snapshot!(with_view(&["1.10"], |view| table(view, None, Color::Off)), @r"
    run r1 onto main: not finished, last worked on by box, process 7
    6 in all: 2 completed, 1 in progress, 1 pending, 1 failed, 1 blocked

    id    status       phase         wave  agent                      elapsed   title       note
    0.1   Landed                                                                Base        done by its file
    1.1   Landed                     0     python-developer (claude)  5.0 s     Title 1.1
    1.9   Failed       6/13 testing  0     python-developer (claude)  1.0 s     Title 1.9   check `test` kept failing
    1.10  In Progress  2/13 issue    1     python-developer (claude)  1 m 00 s  Title 1.10
    2.1   Blocked                    2                                                      needs 1.2 → 1.9
    3.1   Not Started                                                           Next\u202e
    ");
}

#[test]
fn json_uses_the_field_names_of_the_users_guide() {
    let text = with_view(&["1.10"], json);
    assert!(!text.contains('\u{202e}'));
    let value: Value = serde_json::from_str(&text).unwrap();
    let counts = ["version", "totalStories", "completed", "inProgress", "pending", "failed", "blocked", "currentWave"];
    assert_eq!(counts.map(|name| value[name].as_u64().unwrap()), [1, 6, 2, 1, 1, 1, 1, 1]);
    assert_eq!(value["startTime"], "2025-01-12T14:30:22Z");
    let item = value["items"].as_array().unwrap().iter().find(|item| item["storyId"] == "1.10").unwrap();
    let expected = json!({
        "storyId": "1.10",
        "title": "Title 1.10",
        "status": "In Progress",
        "phase": "issue",
        "agent": "python-developer",
        "adapter": "claude",
        "worktree": ".worktrees/1.10-title",
        "branch": "story/1.10-title",
        "dependencies": ["1.1"],
        "wave": 1,
        "startTime": "2025-01-12T14:30:22Z",
        "lastUpdate": "2025-01-12T14:30:23Z",
        "attempts": 1,
        "failedTries": 0,
        "costUsd": null,
        "tokens": null,
        "agentMillis": 0,
        "reason": null,
    });
    assert_eq!(*item, expected);
}

#[test]
fn an_open_attempt_whose_lock_is_free_is_not_running() {
    let value: Value = serde_json::from_str(&with_view(&[], json)).unwrap();
    assert_eq!((&value["inProgress"], &value["pending"]), (&json!(0), &json!(2)));
    let shown = |live| rows::status(states().get(&ItemKey::new("1.10")), None, live);
    assert_eq!(
        [shown(None), shown(Some(true)), shown(Some(false))],
        [Status::InProgress, Status::InProgress, Status::Stopped]
    );
}

#[test]
fn show_tells_one_item_whole() {
    let (key, state) = (ItemKey::new("1.1"), landed());
    let shown = Shown { key: &key, state: Some(&state), known: None, live: None, gate: None };
    insta::assert_snapshot!(show(&shown, Color::Off), @r"
    1.1 Title 1.1
    Landed

      file          docs/stories/1.1.md
      attempt       a1 (number 1 of round 1)
      run           r1
      agent         python-developer via claude
      branch        story/1.1-title from aaaaaaa
      target        main
      worktree      .worktrees/1.1-title
      started       2025-01-12T14:30:22Z
      updated       2025-01-12T14:30:27Z

    phases
       1 setup            -
       2 issue            not applicable: no forge
       3 branch           -
       4 research         -
       5 implementation   -
       6 testing          testing done (agent:claude:s1)
       7 documentation    -
       8 pull-request     -
       9 review           approved (person:ada@example.org)
      10 review-response  -
      11 settings         -
      12 readiness        -
      13 reflection       -

    checks
      passed test on tree ddddddd (exit 0, 1.5 s)

    reviews
      2025-01-12T14:30:27Z approved by person:ada@example.org, merge tree ddddddd: good
        src/a.py:7: fine\x1b[31m

    landed
      main aaaaaaa..fffffff, merge eeeeeee

    next
      git show eeeeeee
    ");
}

#[test]
fn show_json_holds_all_phases_and_the_evidence() {
    let (key, state) = (ItemKey::new("1.1"), landed());
    let text = show_json(&Shown { key: &key, state: Some(&state), known: None, live: None, gate: None });
    assert!(!text.contains('\u{1b}'));
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&value["version"], &value["status"]), (&json!(1), &json!("Landed")));
    let phases = value["phases"].as_array().unwrap();
    assert_eq!(phases.len(), 13);
    assert_eq!((&phases[0]["outcome"], &phases[0]["number"]), (&json!("pending"), &json!(1)));
    assert_eq!((&phases[1]["outcome"], &phases[1]["reason"]), (&json!("not-applicable"), &json!("no forge")));
    assert_eq!((&phases[5]["outcome"], &phases[5]["name"]), (&json!("done"), &json!("testing")));
    assert_eq!(value["reviews"][0]["at"], "2025-01-12T14:30:27Z");
    assert_eq!(value["checks"][0]["passed"], true);
    assert_eq!(value["landings"][0]["tip"], oid('f').as_str());
}

#[test]
fn the_next_command_fits_the_status() {
    let states = states();
    let next = |name: &str| {
        let key = ItemKey::new(name);
        let text =
            show(&Shown { key: &key, state: states.get(&key), known: None, live: Some(false), gate: None }, Color::Off);
        text.lines().last().unwrap().trim().to_owned()
    };
    let expected = [
        ("1.9", "git orchestrate retry 1.9"),
        ("1.10", "git orchestrate resume"),
        ("2.1", "git orchestrate retry 1.9"),
        ("7.7", "git orchestrate stories 7.7"),
    ];
    assert_eq!(expected.map(|(name, _)| next(name)), expected.map(|(_, command)| command.to_owned()));
}

#[test]
fn a_thousand_items_are_shown() {
    let items: BTreeMap<ItemKey, ItemState> = (0..1000).map(|n| (ItemKey::new(format!("1.{n}")), landed())).collect();
    let view = View {
        items: &items,
        run: None,
        known: &BTreeMap::new(),
        live: None,
        hotfixes: &[],
        branches: &[],
        guards: &Guards::default(),
        now: Timestamp(T0),
    };
    assert_eq!(table(&view, Some(100), Color::On).lines().count(), 1003);
    let value: Value = serde_json::from_str(&json(&view)).unwrap();
    assert_eq!((&value["completed"], &value["currentWave"]), (&json!(1000), &Value::Null));
}

#[test]
fn an_ended_run_says_how_it_ended() {
    let said = |run: &RunState| run_line(&RunId::new("r1"), run);
    let mut run = run();
    assert_eq!(said(&run), "run r1 onto main: not finished, last worked on by box, process 7");
    run.waiting = vec![(ItemKey::new("1.1"), "a review".into())];
    assert_eq!(said(&run), "run r1 onto main: paused, 1 waiting");
    run.totals = Some(Totals::default());
    assert_eq!(said(&run), "run r1 onto main: finished");
    run.stopped = Some("Ctrl-C".into());
    assert_eq!(said(&run), "run r1 onto main: stopped: Ctrl-C");
}

#[test]
fn what_holds_starts_back_is_shown_with_what_the_run_consumed() {
    let mut items = states();
    let mut spent = crate::domain::usage::Spent::default();
    for usage in [Usage { micro_usd: Some(1_250_000), tokens: Some(7), ..Usage::default() }, Usage::default()] {
        spent.start();
        spent.end(&usage, 60_000);
    }
    items.get_mut(&ItemKey::new("1.1")).unwrap().spent.insert(RunId::new("r1"), spent);
    let paused = PausedAgent {
        agent: "claude".into(),
        failures: 5,
        why: "it keeps failing".into(),
        until: Some(Timestamp(T0 + 600_000)),
    };
    let guards = Guards { paused: vec![paused], held: Some("5 MiB of disk are free".into()), ..Guards::default() };
    let (known, run, id) = (known(), run(), RunId::new("r1"));
    let view = View {
        items: &items,
        run: Some((&id, &run)),
        known: &known,
        live: None,
        hotfixes: &[],
        branches: &[],
        guards: &guards,
        now: Timestamp(T0),
    };
    let text = table(&view, None, Color::Off);
    for line in [
        "claude is paused until 2025-01-12T14:40:22Z: it keeps failing (5 failure(s) in a row)",
        "starts are held back: 5 MiB of disk are free",
        "2 session(s), agent time 2 m 00 s, 7 tokens, 1.25 USD and 1 session(s) of unknown cost",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let value: Value = serde_json::from_str(&json(&view)).unwrap();
    assert_eq!(value["spent"]["costUsd"], json!(1.25));
    assert_eq!(
        (&value["spent"]["unpricedSessions"], &value["guards"]["held"]),
        (&json!(1), &json!("5 MiB of disk are free"))
    );
    assert_eq!(value["guards"]["pausedAgents"][0]["agent"], "claude");
}

#[test]
fn an_item_between_two_tries_says_which_comes_when_and_why() {
    let failure = Failure::new(FailureClass::Agent, Phase::Implementation, "the agent exited with 1: oops")
        .with_output("first\nlast words\n", "/tmp/output.log");
    let due =
        ItemEvent::RetryDue { attempt: attempt_id(), failure, number: 1, of: 3, not_before: Timestamp(T0 + 60_000) };
    let state = fold(&[started("1.1"), due]);
    assert_eq!(state.status(), Status::InProgress);
    assert_eq!(rows::reason(&state), "try 2 of 3 at 2025-01-12T14:31:22Z: the agent exited with 1: oops");
    let key = ItemKey::new("1.1");
    let shown = Shown { key: &key, state: Some(&state), known: None, live: Some(true), gate: None };
    let text = show(&shown, Color::Off);
    for part in ["class         agent", "| last words", "whole output: /tmp/output.log", "story/1.1-title", "retry 1.1"]
    {
        assert!(text.contains(part), "no `{part}` in {text}");
    }
    let value: Value = serde_json::from_str(&show_json(&shown)).unwrap();
    assert_eq!(value["failure"]["failure"]["class"], "agent");
}
