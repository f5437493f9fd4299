//! Tests of patterns and of the times they name.

use super::*;

/// 2026-11-21 10:00:00 UTC.
const NOW: Timestamp = Timestamp(1_795_255_200_000);

fn zone(hours: i8) -> TimeZone {
    TimeZone::fixed(jiff::tz::offset(hours))
}

fn pattern(regex: &str, stream: Stream, reset: Option<Reset>) -> Pattern {
    Pattern { stream, regex: Regex::new(regex).unwrap(), class: ClassName::RateLimit, reset, always: false }
}

fn at(text: &str) -> Timestamp {
    Timestamp(text.parse::<Instant>().unwrap().as_millisecond())
}

#[test]
fn the_time_of_a_limit_is_read_in_three_forms() {
    assert_eq!(NOW, at("2026-11-21T10:00:00Z"));
    let cases = [
        (Reset::Epoch, "1795258800", 0, Some("2026-11-21T11:00:00Z")),
        (Reset::Epoch, "1", 0, None),
        (Reset::Epoch, "99999999999999999", 0, None),
        (Reset::Seconds, "3600", 0, Some("2026-11-21T11:00:00Z")),
        (Reset::Seconds, "1.5", 0, Some("2026-11-21T10:00:01.5Z")),
        (Reset::Seconds, "-3", 0, None),
        (Reset::Seconds, "NaN", 0, None),
        (Reset::Clock, "7:05 AM", 0, Some("2026-11-22T07:06:00Z")),
        (Reset::Clock, "7:05 PM", 0, Some("2026-11-21T19:06:00Z")),
        (Reset::Clock, "7:05 AM", -5, Some("2026-11-21T12:06:00Z")),
        (Reset::Clock, "12:30 am", 0, Some("2026-11-22T00:31:00Z")),
        (Reset::Clock, "12:30 p.m.", 0, Some("2026-11-21T12:31:00Z")),
        (Reset::Clock, "10:00", 0, Some("2026-11-21T10:01:00Z")),
        (Reset::Clock, "9:59 am", 0, Some("2026-11-21T10:00:01Z")),
        (Reset::Clock, "9:57 am", 0, Some("2026-11-22T09:58:00Z")),
        (Reset::Clock, "3pm", 0, Some("2026-11-21T15:01:00Z")),
        (Reset::Clock, "13:05 PM", 0, None),
        (Reset::Clock, "24:00", 0, None),
        (Reset::Clock, "soon", 0, None),
    ];
    for (form, text, hours, expected) in cases {
        assert_eq!(form.time(text, NOW, &zone(hours)), expected.map(at), "{form:?} {text}");
    }
}

#[test]
fn the_newest_match_names_the_time() {
    let text = "Suggested retry after 5s\nSuggested retry after 3600s.\n";
    let found = pattern("retry after ([0-9]+)s", Stream::Any, Some(Reset::Seconds)).find(text, true, NOW, &zone(0));
    assert_eq!(found, Some(Some(at("2026-11-21T11:00:00Z"))));
    let named = pattern("(x)?after (?<reset>[0-9]+)s", Stream::Any, Some(Reset::Seconds));
    assert_eq!(named.find(text, true, NOW, &zone(0)), found);
    let silent = pattern("retry after [0-9]+s", Stream::Any, None);
    assert_eq!(silent.find(text, true, NOW, &zone(0)), Some(None));
}

#[test]
fn an_event_is_told_from_other_output_only_where_there_are_events() {
    let text = "{\"text\":\"429 Too Many Requests\"}\nall is well\n";
    let find = |stream, events| pattern("429", stream, None).find(text, events, NOW, &zone(0)).is_some();
    assert!(find(Stream::Any, true) && find(Stream::Stdout, true) && !find(Stream::Stderr, true));
    assert!(find(Stream::Stderr, false), "a plain client's streams are one");
}
