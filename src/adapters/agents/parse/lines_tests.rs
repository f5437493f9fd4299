//! Lines of any length out of any pieces.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn cut_up(pieces: &[&[u8]]) -> Vec<Line> {
    let (mut lines, mut found) = (Lines::default(), Vec::new());
    for piece in pieces {
        lines.push(piece, &mut |line| found.push(line));
    }
    lines.end(&mut |line| found.push(line));
    found
}

fn event(bytes: &[u8]) -> (Value, Vec<String>) {
    match cut_up(&[bytes]).as_slice() {
        [Line::Event { json, cut }] => (serde_json::from_slice(json).unwrap(), cut.clone()),
        other => panic!("no single event: {}", other.len()),
    }
}

#[test]
fn short_lines_are_kept_whole() {
    let given = br#"  {"a":{"b":[1,"x\"}{",{"c":null}]},"d":"\u00e9\\"} "#;
    let (value, cut) = event(given);
    assert_eq!(value, serde_json::from_slice::<Value>(given).unwrap());
    assert!(cut.is_empty());
    assert_eq!(
        cut_up(&[b"one\r\n\n  two\0{\"x\":1}\n"]),
        [
            Line::Text("one".to_owned()),
            Line::Text("two".to_owned()),
            Line::Event { json: b"{\"x\":1}".to_vec(), cut: vec![] }
        ]
    );
}

#[test]
fn what_follows_a_text_of_many_megabytes_is_found() {
    let mut line = br#"{"type":"result","message":{"content":[{"text":""#.to_vec();
    line.resize(20 * 1024 * 1024, b'x');
    line.extend(br#""}],"role":"r"},"is_error":true,"session_id":"after"}"#);
    let (value, cut) = event(&line);
    assert_eq!((value["is_error"].as_bool(), value["session_id"].as_str()), (Some(true), Some("after")));
    assert_eq!((value["message"]["role"].as_str(), cut), (Some("r"), vec!["message".to_owned()]));
    assert_eq!(value["message"]["content"][0]["text"].as_str().map(str::len), Some(STRING));
}

#[test]
fn of_very_many_small_things_those_on_top_are_found() {
    let many: Vec<Value> = (0..200_000).map(|n| json!({"n": n, "s": "a,]}\"b"})).collect();
    let line = format!("{{\"type\":\"t\",\"big\":{{\"k\":1,\"list\":{}}},\"after\":[1,2]}}", json!(many));
    assert!(line.len() > 3 * LINE, "{}", line.len());
    let (value, cut) = event(line.as_bytes());
    assert_eq!((value["type"].as_str(), &value["after"]), (Some("t"), &json!([1, 2])));
    assert_eq!((value["big"]["k"].as_u64(), cut), (Some(1), vec!["big".to_owned()]));
}

#[test]
fn a_text_that_is_cut_in_an_escape_stays_a_text() {
    for escape in ["\\n", "\\u00e9", "\\\\", "\\\""] {
        for before in STRING - 8..=STRING {
            let line = format!("{{\"a\":\"{}{escape}{}\",\"b\":7}}", "x".repeat(before), "y".repeat(100));
            let (value, cut) = event(line.as_bytes());
            assert_eq!((value["b"].as_u64(), cut), (Some(7), vec!["a".to_owned()]), "{escape} at {before}");
        }
    }
}

#[test]
fn no_line_is_held_that_is_longer_than_the_bound() {
    let deep = "{\"a\":".repeat(3_000_000);
    let keys: String = (0..300_000).map(|n| format!("\"key{n}\":{n},")).collect();
    let brackets = format!("{{{}", "[".repeat(5_000_000));
    let text = "x".repeat(5_000_000);
    for given in [deep, format!("{{{keys}"), brackets, text] {
        let mut lines = Lines::default();
        for piece in given.as_bytes().chunks(1000) {
            lines.push(piece, &mut |_| {});
            assert!(lines.kept.capacity() <= 2 * LINE + 2000, "{}", lines.kept.capacity());
            assert!(lines.open.capacity() <= 2 * DEPTH);
        }
        let mut after = Vec::new();
        lines.push(b"\n{\"next\":1}\n", &mut |line| after.push(line));
        assert_eq!(after.pop(), Some(Line::Event { json: b"{\"next\":1}".to_vec(), cut: vec![] }));
    }
}

#[test]
fn the_rest_of_a_line_whose_beginning_is_missing_is_passed_over() {
    let (mut lines, mut found) = (Lines::default(), Vec::new());
    lines.push(b"{\"a\":", &mut |line| found.push(line));
    lines.forget();
    lines.push(b"1}\n{\"b\":2}\n", &mut |line| found.push(line));
    assert_eq!(found, [Line::Event { json: b"{\"b\":2}".to_vec(), cut: vec![] }]);
}

proptest! {
    #[test]
    fn pieces_make_no_difference(
        bytes in prop::collection::vec(prop_oneof![
            8 => prop::sample::select(b"{}[]\":,\\\n\0 ua1x".to_vec()),
            1 => any::<u8>(),
        ], 0..400),
        cuts in prop::collection::vec(0usize..400, 0..10),
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(cut_up(&pieces), cut_up(&[&bytes]));
    }

    #[test]
    fn whatever_is_an_event_says_the_same_afterwards(value in object()) {
        let (read, cut) = event(serde_json::to_string_pretty(&value).unwrap().replace('\n', " ").as_bytes());
        prop_assert_eq!(read, value);
        prop_assert!(cut.is_empty());
    }
}

fn object() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<i32>().prop_map(Value::from), ".{0,12}".prop_map(Value::from)];
    let inner = leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-z\"\\\\]{1,4}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("[a-z]{1,4}", inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect()))
}
