//! Tests of requests: what is learnt from several messages, which option is chosen, what is kept.

use serde_json::json;

use super::*;

fn facts() -> Facts {
    Facts { worktree: "/w".to_owned(), branch: "story/1".to_owned(), ..Facts::default() }
}

fn options(kinds: &[&str]) -> Value {
    kinds.iter().map(|kind| json!({ "optionId": format!("id-{kind}"), "name": kind, "kind": kind })).collect()
}

/// The chosen option after these updates, `-` for a cancelled request.
fn chosen(updates: &[Value], call: Value, kinds: &[&str]) -> String {
    let (facts, mut out) = (facts(), Vec::new());
    let mut asking = Asking::new(&facts);
    let mut says = Says::new(&mut out);
    for update in updates {
        asking.update(update, &mut says);
    }
    let outcome = asking.decide(&json!({ "toolCall": call, "options": options(kinds) }), &mut says);
    outcome["optionId"].as_str().unwrap_or("-").to_owned()
}

const ALL: [&str; 4] = ["allow_always", "allow_once", "reject_once", "reject_always"];

#[test]
fn a_request_is_judged_by_all_that_was_said_of_its_call() {
    let push = json!({"toolCallId": "1", "kind": "execute", "title": "x", "rawInput": {"command": "git push"}});
    assert_eq!(chosen(&[], push.clone(), &ALL), "id-reject_once");
    let mut told = push.clone();
    told["sessionUpdate"] = json!("tool_call");
    assert_eq!(chosen(&[told.clone()], json!({"toolCallId": "1"}), &ALL), "id-reject_once");
    assert_eq!(chosen(&[told], json!({"toolCallId": "2", "kind": "execute", "title": "ls"}), &ALL), "id-allow_once");
    let array = json!({"toolCallId": "1", "rawInput": {"command": ["bash", "-lc", "git push 'a b'"]}});
    assert_eq!(chosen(&[], array, &ALL), "id-reject_once");
    let title = json!({"toolCallId": "1", "kind": "execute", "title": "`git commit --no-verify -m x`"});
    assert_eq!(chosen(&[], title, &ALL), "id-reject_once");
    let described = json!({"toolCallId": "1", "kind": "execute", "title": "git push [in /w] (Sends it)"});
    assert_eq!(chosen(&[], described, &ALL), "id-reject_once");
    let edit = json!({"toolCallId": "1", "kind": "edit", "content": [{"type": "diff", "path": "/x/a", "newText": ""}]});
    assert_eq!(chosen(&[], edit, &ALL), "id-reject_once");
    let changes = json!({"toolCallId": "1", "kind": "edit", "rawInput": {"changes": {"/x/a": {}}}});
    assert_eq!(chosen(&[], changes, &ALL), "id-reject_once");
    let inside = json!({"toolCallId": "1", "kind": "edit", "locations": [{"path": "/w/a"}]});
    assert_eq!(chosen(&[], inside, &ALL), "id-allow_once");
}

#[test]
fn options_are_chosen_by_their_kind_and_never_for_ever() {
    let fine = json!({"toolCallId": "1", "kind": "execute", "rawInput": {"command": "ls"}});
    let push = json!({"toolCallId": "1", "kind": "execute", "rawInput": {"command": "git push"}});
    assert_eq!(chosen(&[], fine.clone(), &["allow_always", "reject_once"]), "id-reject_once");
    assert_eq!(chosen(&[], push.clone(), &["allow_once", "reject_always"]), "id-reject_always");
    assert_eq!(chosen(&[], push, &["allow_once"]), "-");
    assert_eq!(chosen(&[], fine, &[]), "-");
}

#[test]
fn after_a_cancel_every_request_is_cancelled() {
    let (facts, mut out) = (facts(), Vec::new());
    let mut asking = Asking::new(&facts);
    asking.cancelled = true;
    let params = json!({ "toolCall": {"toolCallId": "1", "kind": "read"}, "options": options(&ALL) });
    assert_eq!(asking.decide(&params, &mut Says::new(&mut out)), json!({ "outcome": "cancelled" }));
}

#[test]
fn the_last_message_is_the_one_after_the_last_tool() {
    let (facts, mut out) = (facts(), Vec::new());
    let mut asking = Asking::new(&facts);
    let mut says = Says::new(&mut out);
    let chunk = |text: &str| json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}});
    asking.update(&chunk("first"), &mut says);
    asking.update(&json!({"sessionUpdate": "tool_call", "toolCallId": "1", "title": "t"}), &mut says);
    asking.update(&chunk("sec"), &mut says);
    asking.update(&json!({"sessionUpdate": "something_new", "x": 1}), &mut says);
    asking.update(&chunk("ond"), &mut says);
    asking.replaying = true;
    asking.update(&chunk("old"), &mut says);
    assert_eq!((asking.message.as_str(), asking.tools), ("second", 1));
}

#[test]
fn cost_is_the_sessions_newest_and_tokens_are_the_turns() {
    let (facts, mut out) = (facts(), Vec::new());
    let mut asking = Asking::new(&facts);
    let mut says = Says::new(&mut out);
    let cost = |amount: Value, currency: &str| json!({"sessionUpdate": "usage_update", "used": 1, "size": 2, "cost": {"amount": amount, "currency": currency}});
    asking.replaying = true;
    asking.update(&cost(json!(0.21), "USD"), &mut says);
    asking.update(&cost(json!(0.47), "USD"), &mut says);
    asking.update(&cost(json!(9), "EUR"), &mut says);
    asking.update(&json!({"sessionUpdate": "usage_update", "used": 1, "size": 2}), &mut says);
    asking.update(&cost(json!(-1), "USD"), &mut says);
    assert_eq!(asking.cost, Some(0.47));
    let own = json!({"stopReason": "end_turn", "usage": {"inputTokens": 1, "outputTokens": 2, "cachedReadTokens": 3}});
    let tokens = Tokens { input: Some(1), output: Some(2), cache_read: Some(3), cache_write: None };
    assert_eq!(consumed(&own), (tokens, None));
    let gemini = json!({"_meta": {"quota": {"token_count": {"input_tokens": 4, "output_tokens": 5}, "model_usage": [{"model": "m"}]}}});
    let tokens = Tokens { input: Some(4), output: Some(5), ..Tokens::default() };
    assert_eq!(consumed(&gemini), (tokens, Some("m".to_owned())));
}

#[test]
fn a_tool_is_told_again_when_it_is_known_what_it_does() {
    let (facts, mut out) = (facts(), Vec::new());
    let mut asking = Asking::new(&facts);
    let mut says = Says::new(&mut out);
    for update in [
        json!({"sessionUpdate": "tool_call", "toolCallId": "1", "title": "Terminal", "kind": "execute"}),
        json!({"sessionUpdate": "tool_call_update", "toolCallId": "1", "rawInput": {"command": "ls"}}),
        json!({"sessionUpdate": "tool_call_update", "toolCallId": "1", "status": "completed"}),
        json!({"sessionUpdate": "tool_call_update", "toolCallId": "1", "status": "failed"}),
    ] {
        asking.update(&update, &mut says);
    }
    let texts: Vec<Value> =
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let texts: Vec<&str> = texts.iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["Terminal", "ls", "failed: ls"]);
}
