//! Properties of the wire form. Must not touch git.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::json;

use super::*;
use crate::domain::event::{
    CheckRun, Failure, FailureClass, Finding, Landing, PhaseOutcome, PlannedKey, Review, ReviewVerdict, Signature,
    Totals,
};
use crate::domain::names::{AttemptId, BranchRef, ItemKey, Oid, PolicyVersion, Principal, RunId};
use crate::domain::usage::Usage;
use crate::domain::workflow::Phase;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z0-9 .:\"\\\\{}-]{0,20}",
        any::<String>(),
        Just("a\u{202e}\u{9b}31m\n\nb".into())
    ]
}

fn id() -> impl Strategy<Value = Oid> {
    "[0-9a-f]{40}|[0-9a-f]{64}".prop_map(Oid::new)
}

fn attempt() -> impl Strategy<Value = AttemptId> {
    prop_oneof![Just(AttemptId::new("a-1")), Just(AttemptId::new("a-2"))]
}

fn phase() -> impl Strategy<Value = Phase> {
    proptest::sample::select(Phase::ALL.to_vec())
}

fn principal() -> impl Strategy<Value = Principal> {
    prop_oneof![
        ("[^:]{0,8}", text()).prop_map(|(adapter, session)| Principal::Agent { adapter, session }),
        text().prop_map(Principal::Person),
        Just(Principal::Tool),
    ]
}

fn branch() -> impl Strategy<Value = BranchRef> {
    text().prop_map(|name| BranchRef::new(format!("refs/heads/{name}")))
}

fn check() -> impl Strategy<Value = CheckRun> {
    (text(), id(), any::<bool>(), text(), any::<u64>()).prop_map(|(name, tree, passed, ended, millis)| CheckRun {
        name,
        tree,
        passed,
        ended,
        millis,
    })
}

fn outcome() -> impl Strategy<Value = PhaseOutcome> {
    prop_oneof![
        (principal(), text(), option::of(id()), vec(check(), 0..3))
            .prop_map(|(by, summary, head, checks)| PhaseOutcome::Done { by, summary, head, checks }),
        text().prop_map(|reason| PhaseOutcome::NotApplicable { reason }),
    ]
}

fn review() -> impl Strategy<Value = Review> {
    let verdict = prop_oneof![Just(ReviewVerdict::Approve), Just(ReviewVerdict::RequestChanges)];
    let finding = (text(), any::<u32>(), text()).prop_map(|(path, line, text)| Finding { path, line, text });
    let signature = option::of((text(), text()).prop_map(|(armored, key)| Signature { armored, key }));
    (principal(), verdict, [id(), id(), id(), id()], text(), vec(finding, 0..3), text(), any::<i64>(), signature)
        .prop_map(|(reviewer, verdict, [base, head, merge_tree, story], policy, findings, message, at, signature)| {
            Review {
                reviewer,
                verdict,
                base,
                head,
                merge_tree,
                policy: PolicyVersion::new(policy),
                story,
                findings,
                message,
                at: Timestamp(at),
                signature,
            }
        })
}

fn landing() -> impl Strategy<Value = Landing> {
    (branch(), [id(), id(), id(), id(), id()]).prop_map(|(target, [base, head, merge_tree, merge, tip])| Landing {
        target,
        base,
        head,
        merge_tree,
        merge,
        tip,
    })
}

fn started() -> impl Strategy<Value = ItemEvent> {
    let names = [text().boxed(), text().boxed(), text().boxed(), text().boxed(), text().boxed()];
    (attempt(), option::of(attempt()), text(), names, branch(), branch(), id(), id()).prop_map(
        |(attempt, continues, run, [title, path, agent, role, worktree], branch, target, base, story)| {
            ItemEvent::AttemptStarted {
                attempt,
                continues,
                run: RunId::new(run),
                title,
                path,
                agent,
                role,
                branch,
                worktree,
                target,
                base,
                policy: PolicyVersion::new("p1"),
                story,
            }
        },
    )
}

fn failure() -> impl Strategy<Value = Failure> {
    (phase(), text(), text(), text()).prop_map(|(phase, message, output, log)| Failure {
        output,
        log,
        ..Failure::new(FailureClass::WallTimeout, phase, message)
    })
}

fn item_event() -> impl Strategy<Value = ItemEvent> {
    prop_oneof![
        4 => started(),
        1 => (attempt(), phase(), principal())
            .prop_map(|(attempt, phase, principal)| ItemEvent::SessionStarted { attempt, phase, principal }),
        6 => (attempt(), phase(), outcome())
            .prop_map(|(attempt, phase, outcome)| ItemEvent::PhaseRecorded { attempt, phase, outcome }),
        2 => (option::of(attempt()), review(), any::<bool>())
            .prop_map(|(attempt, review, more)| ItemEvent::Reviewed { attempt, review, more }),
        1 => (attempt(), id(), id(), id()).prop_map(|(attempt, from_tree, base, merge_tree)| {
            ItemEvent::ReviewCarried { attempt, from_tree, base, merge_tree }
        }),
        1 => (attempt(), phase(), text())
            .prop_map(|(attempt, phase, reason)| ItemEvent::ReturnedTo { attempt, phase, reason }),
        1 => (attempt(), text()).prop_map(|(attempt, reason)| ItemEvent::LandingWaits { attempt, reason }),
        1 => (attempt(), landing()).prop_map(|(attempt, landing)| ItemEvent::LandingIntended { attempt, landing }),
        1 => landing().prop_map(|landing| ItemEvent::Landed { landing }),
        1 => (attempt(), text()).prop_map(|(attempt, reason)| ItemEvent::NoChange { attempt, reason }),
        1 => (attempt(), text()).prop_map(|(attempt, reason)| ItemEvent::Interrupted { attempt, reason }),
        1 => (attempt(), failure()).prop_map(|(attempt, failure)| ItemEvent::Failed { attempt, failure }),
        1 => (attempt(), failure(), any::<(u32, u32)>(), any::<i64>()).prop_map(|(attempt, failure, (number, of), at)| {
            ItemEvent::RetryDue { attempt, failure, number, of, not_before: Timestamp(at) }
        }),
        1 => (attempt(), text(), principal(), any::<u64>(), any::<(Option<u64>, Option<u64>)>(), any::<bool>()).prop_map(
            |(attempt, run, principal, millis, (micro_usd, tokens), cancelled)| ItemEvent::SessionEnded {
                attempt,
                run: RunId::new(run),
                principal,
                millis,
                usage: Usage { micro_usd, tokens, ..Usage::default() },
                model: if cancelled { String::new() } else { "m-1".to_owned() },
                priced: String::new(),
                until: tokens.map(|_| Timestamp(7)),
                class: cancelled.then_some(FailureClass::Agent),
                cancelled,
            },
        ),
        1 => (text(), vec(text().prop_map(ItemKey::new), 0..9))
            .prop_map(|(run, by)| ItemEvent::Blocked { run: RunId::new(run), by }),
        1 => (attempt(), text()).prop_map(|(attempt, reason)| ItemEvent::Stopped { attempt, reason }),
        1 => (principal(), any::<bool>()).prop_map(|(by, reopen)| ItemEvent::RetryRequested { by, reopen }),
    ]
}

fn run_event() -> impl Strategy<Value = RunEvent> {
    let planned = (text(), any::<u32>(), vec(text().prop_map(ItemKey::new), 0..3))
        .prop_map(|(key, wave, after)| PlannedKey { key: ItemKey::new(key), wave, after });
    let begin = (vec(text(), 0..3), branch(), id(), vec(planned, 0..4), any::<u32>(), any::<(bool, bool)>(), text());
    prop_oneof![
        begin.prop_map(|(scope, target, base, items, jobs, (waves, land), host)| RunEvent::Started {
            scope,
            target,
            base,
            policy: PolicyVersion::new("p1"),
            items,
            jobs,
            waves,
            land,
            agent: Some(host.clone()),
            host,
        }),
        text().prop_map(|host| RunEvent::Resumed { host }),
        any::<u64>().prop_map(|micro_usd| RunEvent::Capped { micro_usd }),
        vec((text().prop_map(ItemKey::new), text()), 0..3).prop_map(|waiting| RunEvent::Paused { waiting }),
        any::<[u32; 5]>().prop_map(|[landed, failed, blocked, waiting, unfinished]| RunEvent::Finished {
            totals: Totals { landed, failed, blocked, waiting, unfinished }
        }),
        text().prop_map(|reason| RunEvent::Stopped { reason }),
    ]
}

/// Events that apply one after the other, each with its time.
fn legal(events: Vec<(ItemEvent, i64)>) -> Vec<(ItemEvent, Timestamp)> {
    let mut state = ItemState::default();
    let mut kept = Vec::new();
    for (event, at) in events {
        if let Ok(next) = state.apply(&event, Timestamp(at)) {
            state = next;
            kept.push((event, Timestamp(at)));
        }
    }
    kept
}

/// A message as the store would write it on top of another.
fn next<F: Fact>(previous: &[u8], event: &F, at: Timestamp) -> String {
    let old = decode::<F>(previous).unwrap().state;
    let new = event.fold(&old, at).unwrap();
    encode("1.1", event, at, &carry(&raw_snapshot(previous).unwrap(), &old, &new))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn an_item_record_survives_the_wire(event in item_event(), at: i64, before in vec((item_event(), any::<i64>()), 0..12)) {
        let legal = legal(before);
        let state = ItemState::fold(legal.iter().map(|(event, at)| (event, *at))).unwrap();
        let message = encode("1.1", &event, Timestamp(at), &to_snapshot(&state));
        let decoded = decode::<ItemEvent>(message.as_bytes()).unwrap();
        prop_assert_eq!(decoded, Decoded { event, at: Timestamp(at), state, joins: false });
        prop_assert!(!message.contains(|c| diary::is_hidden(c) && c != '\n'), "{}", message);
        prop_assert_eq!(message.matches("\n\n").count(), 1);
    }

    #[test]
    fn a_run_record_survives_the_wire(event in run_event(), at: i64) {
        let state = event.fold(&RunState::default(), Timestamp(at)).unwrap();
        let message = encode("r-1", &event, Timestamp(at), &to_snapshot(&state));
        prop_assert_eq!(decode::<RunEvent>(message.as_bytes()).unwrap(), Decoded { event, at: Timestamp(at), state, joins: false });
    }

    #[test]
    fn the_snapshot_of_the_tip_is_the_fold_of_what_the_wire_gives_back(events in vec((item_event(), any::<i64>()), 1..20)) {
        let legal = legal(events);
        let mut messages: Vec<String> = Vec::new();
        for (event, at) in &legal {
            messages.push(match messages.last() {
                Some(previous) => next(previous.as_bytes(), event, *at),
                None => encode("1.1", event, *at, &to_snapshot(&event.fold(&ItemState::default(), *at).unwrap())),
            });
        }
        let replayed: Vec<_> = messages.iter().map(|text| decode::<ItemEvent>(text.as_bytes()).unwrap()).collect();
        let folded = ItemState::fold(replayed.iter().map(|record| (&record.event, record.at))).unwrap();
        if let Some(last) = messages.last() {
            prop_assert_eq!(&raw_snapshot(last.as_bytes()).unwrap().to_string(), &to_snapshot(&folded).to_string());
            prop_assert_eq!(&replayed.last().unwrap().state, &folded);
        }
    }

    #[test]
    fn no_bytes_are_more_than_refused(bytes: Vec<u8>, cut in 0_usize..400) {
        prop_assert!(decode::<ItemEvent>(&bytes).is_err());
        let whole = encode("1.1", &stopped("x"), Timestamp(1), &json!({}));
        let cut = cut.min(whole.trim_end().len() - 1);
        prop_assert!(decode::<ItemEvent>(&whole.as_bytes()[..cut]).is_err());
    }
}

fn stopped(reason: &str) -> ItemEvent {
    ItemEvent::Stopped { attempt: AttemptId::new("a-1"), reason: reason.to_owned() }
}

fn open() -> ItemState {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let event = started().prop_filter("a fresh start", |event| {
        matches!(event, ItemEvent::AttemptStarted { continues: None, attempt, .. } if attempt.as_str() == "a-1")
    });
    let event = event.new_tree(&mut runner).unwrap().current();
    ItemState::default().apply(&event, Timestamp(1)).unwrap()
}

#[test]
fn a_newer_format_is_refused_with_the_version_needed_whatever_else_it_says() {
    let refused =
        decode::<ItemEvent>(b"1.1: levitated\n\n{\"v\": 7, \"event\": {\"kind\": \"levitated\"}}\n").unwrap_err();
    assert_eq!(refused, DecodeError::Newer { found: 7 });
    assert!(
        refused.to_string().contains("ledger format 7") && refused.to_string().contains("reads up to 3"),
        "{refused}"
    );
    assert_eq!(check_format(b"x\n\n{\"v\": 4}"), Err(DecodeError::Newer { found: 4 }));
    assert_eq!(check_format(b"x\n\n{\"v\": 1}"), Ok(()));
    assert_eq!(check_format(encode_format().as_bytes()), Ok(()));
}

#[test]
fn an_unknown_event_of_our_format_is_refused_not_guessed() {
    let message = b"1.1: levitated\n\n{\"v\": 3, \"at\": 1, \"event\": {\"kind\": \"levitated\"}, \"state\": {}}\n";
    assert!(decode::<ItemEvent>(message).unwrap_err().to_string().contains("levitated"));
}

#[test]
fn unknown_fields_stay_in_the_snapshots_we_write() {
    let done = |phase, summary: &str| ItemEvent::PhaseRecorded {
        attempt: AttemptId::new("a-1"),
        phase,
        outcome: PhaseOutcome::Done {
            by: Principal::Tool,
            summary: summary.to_owned(),
            head: None,
            checks: Vec::new(),
        },
    };
    let state = open().apply(&done(Phase::Setup, "made"), Timestamp(2)).unwrap();
    let state = state.apply(&done(Phase::Issue, "opened"), Timestamp(3)).unwrap();
    let mut snapshot = to_snapshot(&state);
    snapshot["weather"] = json!({"sky": "clear"});
    snapshot["attempt"]["sandbox"] = json!("bwrap");
    snapshot["phases"]["setup"]["cost"] = json!(3);
    snapshot["phases"]["issue"]["cost"] = json!(4);
    let tip = encode("1.1", &done(Phase::Issue, "opened"), Timestamp(3), &snapshot);

    let tip = next(tip.as_bytes(), &done(Phase::Issue, "opened again"), Timestamp(4));
    let tip = next(tip.as_bytes(), &stopped("enough"), Timestamp(5));
    let written = raw_snapshot(tip.as_bytes()).unwrap();
    assert_eq!(written["weather"], json!({"sky": "clear"}));
    assert_eq!(written["attempt"]["sandbox"], json!("bwrap"));
    assert_eq!(written["phases"]["setup"]["cost"], json!(3));
    assert_eq!(written["phases"]["issue"].get("cost"), None, "it belonged to what was replaced");
    assert_eq!(written["outcome"], json!({"ended": "stopped", "reason": "enough"}));
}

#[test]
fn a_record_of_format_1_reads_as_it_did() {
    let sample = "1.1: stopped: enough\n\n{\n\"v\": 1,\n\"at\": 1795000000000,\n\"event\": {\n  \"kind\": \"stopped\",\n  \
                  \"attempt\": \"a-1\",\n  \"reason\": \"enough\"\n},\n\"state\": {\"title\":\"T\",\"path\":\"p.md\",\
                  \"round\":1,\"attempts\":1,\"outcome\":{\"ended\":\"stopped\",\"reason\":\"enough\"},\
                  \"updated\":1795000000000}\n}\n";
    let decoded = decode::<ItemEvent>(sample.as_bytes()).unwrap();
    assert_eq!(decoded.event, stopped("enough"));
    assert_eq!(decoded.state.title, "T");
    let written = encode("1.1", &decoded.event, decoded.at, &raw_snapshot(sample.as_bytes()).unwrap());
    assert_eq!(written, sample.replace("\"v\": 1,", "\"v\": 3,"));
}

#[test]
fn a_review_from_before_signatures_decodes_as_unsigned() {
    let old = json!({
        "reviewer": "person:bob@example.org", "verdict": "approve", "base": "b", "head": "c", "mergeTree": "d",
        "policy": "p", "story": "e", "findings": [], "message": "", "at": 1
    });
    let review: Review = serde_json::from_value(old.clone()).unwrap();
    assert_eq!(review.signature, None);
    assert_eq!(json!(review), old, "and is written as it was");
}
