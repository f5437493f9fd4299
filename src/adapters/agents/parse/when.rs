//! When a limit ends, out of the words of a client. Pure: now and the zone are arguments. Must not guess: what is not
//! understood, or lies further away than a month, is unknown.

use std::sync::LazyLock;

use jiff::Zoned;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use regex::{Captures, Regex};

use crate::domain::names::Timestamp;

/// Nothing waits longer, in milliseconds: 32 days.
const FURTHEST: i64 = 32 * 86_400_000;

/// Clock times are said in whole minutes, in milliseconds.
const MINUTE: i64 = 60_000;

/// So long after a clock time it still means now, and not the same time tomorrow, in milliseconds.
const JUST_PAST: i64 = 2 * MINUTE;

/// How soon something is tried again whose limit is over, in milliseconds.
const AT_ONCE: i64 = 1000;

/// What relative and clock times are counted from.
#[derive(Clone, Debug)]
pub struct Clock {
    /// When the text was said.
    pub now: Timestamp,
    /// The zone that clock times are in.
    pub zone: TimeZone,
}

/// `in 2 hours 5 minutes`, `after 3600s`.
static SPAN: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r"(?i-u)(?:retry|again|resets?|wait|available)[a-z \-_]{0,20}?[\s:=~]+((?:\d+(?:\.\d+)?\s*[a-z]+[\s,]*(?:and\s+)?)+)",
    )
});

/// `retry-after: 30`, without a unit.
static BARE: LazyLock<Regex> =
    LazyLock::new(|| compiled(r#"(?i-u)retry[-_ ]?after"?[\s:=]+"?(\d+(?:\.\d+)?)(?:[\s.,;)"]|$)"#));

/// One part of a span.
static PART: LazyLock<Regex> = LazyLock::new(|| compiled(r"(?i-u)(\d+(?:\.\d+)?)\s*([a-z]*)"));

/// `2026-11-21T19:05:00Z`.
static STAMP: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"(?-u)\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)"));

/// Seconds or milliseconds since 1970.
static EPOCH: LazyLock<Regex> = LazyLock::new(|| compiled(r"(?-u)\b([12]\d{9})(\d{3})?\b"));

/// `at 7:05 AM`, `resets 7pm (Europe/Berlin)`, `at Nov 25th, 2026 7:05 AM`, `at 19:05`.
static WALL: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r"(?i-u)(?:\bat|\bresets?|\buntil|\bafter)\s+(?:(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?\s+(?P<day>\d{1,2})(?:st|nd|rd|th)?,?\s*(?:(?P<year>\d{4}),?\s*)?(?:at\s+)?)?(?:(?P<h12>\d{1,2})(?::(?P<m12>\d\d))?\s*(?P<half>am|pm)\b|(?P<h24>\d{1,2}):(?P<m24>\d\d)\b)(?:\s*\((?P<zone>[A-Za-z_]+(?:/[A-Za-z_+\-0-9]+)*)\))?",
    )
});

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant that the tests compile")
}

/// The time at which a limit ends, as far as the text says.
pub fn reset(text: &str, clock: &Clock) -> Option<Timestamp> {
    let found = stamp(text).or_else(|| epoch(text)).or_else(|| wall(text, clock)).or_else(|| span(text, clock));
    found.and_then(|at| ahead(at, clock))
}

/// The time that a number of seconds since 1970 names.
pub fn at_epoch(seconds: u64, clock: &Clock) -> Option<Timestamp> {
    let seconds = i64::try_from(seconds).ok()?;
    ahead(Timestamp(seconds.checked_mul(1000)?), clock)
}

/// The time so many seconds from now.
pub fn in_seconds(seconds: f64, clock: &Clock) -> Option<Timestamp> {
    let millis = format!("{:.0}", seconds * 1000.0).parse::<i64>().ok()?;
    ahead(Timestamp(clock.now.0.checked_add(millis)?), clock)
}

fn ahead(at: Timestamp, clock: &Clock) -> Option<Timestamp> {
    (at > clock.now && at.0 - clock.now.0 <= FURTHEST).then_some(at)
}

fn stamp(text: &str) -> Option<Timestamp> {
    let found = STAMP.find(text)?.as_str().replacen(' ', "T", 1);
    found.parse::<jiff::Timestamp>().ok().map(|at| Timestamp(at.as_millisecond()))
}

fn epoch(text: &str) -> Option<Timestamp> {
    let found = EPOCH.captures(text)?;
    let seconds: i64 = found[1].parse().ok()?;
    let millis: i64 = found.get(2).map_or(Ok(0), |part| part.as_str().parse()).ok()?;
    Some(Timestamp(seconds.checked_mul(1000)?.checked_add(millis)?))
}

fn span(text: &str, clock: &Clock) -> Option<Timestamp> {
    let Some(found) = SPAN.captures(text) else {
        let found = BARE.captures(text)?;
        return in_seconds(found[1].parse().ok()?, clock);
    };
    let mut millis = None;
    for part in PART.captures_iter(&found[1]) {
        // What has no unit is about something else.
        let Some(unit) = unit(&part[2]) else { break };
        millis = Some(millis.unwrap_or(0.0) + part[1].parse::<f64>().ok()? * unit);
    }
    in_seconds(millis? / 1000.0, clock)
}

/// Milliseconds in a unit.
fn unit(name: &str) -> Option<f64> {
    match name.to_ascii_lowercase().as_str() {
        "ms" | "millisecond" | "milliseconds" => Some(1.0),
        "s" | "sec" | "secs" | "second" | "seconds" => Some(1000.0),
        "m" | "min" | "mins" | "minute" | "minutes" => Some(60_000.0),
        "h" | "hr" | "hrs" | "hour" | "hours" => Some(3_600_000.0),
        "d" | "day" | "days" => Some(86_400_000.0),
        _ => None,
    }
}

fn wall(text: &str, clock: &Clock) -> Option<Timestamp> {
    let found = WALL.captures(text)?;
    let zone = found.name("zone").and_then(|name| TimeZone::get(name.as_str()).ok());
    let now = jiff::Timestamp::from_millisecond(clock.now.0).ok()?.to_zoned(zone.unwrap_or_else(|| clock.zone.clone()));
    let time = time_of(&found)?;
    if found.name("month").is_some() { end_of(date_of(&found, &now)?, time, &now) } else { next(time, &now) }
}

/// The end of a limit that ends when a clock shows this time of day, in the zone of `now`.
pub fn next(time: Time, now: &Zoned) -> Option<Timestamp> {
    // Yesterday's last minute may be just past.
    let days = [now.date().yesterday(), Ok(now.date()), now.date().tomorrow()];
    days.into_iter().flatten().find_map(|day| end_of(day, time, now))
}

/// The end of a limit that ends when a clock shows this; `None` when that is past. Clients cut seconds off: it is the end of
/// the minute, or one would ask again in the middle of it, be told the same time, and take that for tomorrow.
fn end_of(day: Date, time: Time, now: &Zoned) -> Option<Timestamp> {
    let shown = day.to_datetime(time).to_zoned(now.time_zone().clone()).ok()?.timestamp().as_millisecond();
    let now = now.timestamp().as_millisecond();
    (shown + JUST_PAST >= now).then(|| Timestamp((shown + MINUTE).max(now + AT_ONCE)))
}

fn time_of(found: &Captures<'_>) -> Option<Time> {
    let number = |name: &str| found.name(name).and_then(|part| part.as_str().parse::<i8>().ok());
    if let (Some(hour), Some(minute)) = (number("h24"), number("m24")) {
        return Time::new(hour, minute, 0, 0).ok();
    }
    let hour = number("h12").filter(|hour| (1..=12).contains(hour))? % 12;
    let afternoon = found["half"].eq_ignore_ascii_case("pm");
    Time::new(hour + if afternoon { 12 } else { 0 }, number("m12").unwrap_or(0), 0, 0).ok()
}

fn date_of(found: &Captures<'_>, now: &Zoned) -> Option<Date> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let month = found["month"].to_ascii_lowercase();
    let month = i8::try_from(MONTHS.iter().position(|name| *name == month)? + 1).ok()?;
    let day = found["day"].parse().ok()?;
    if let Some(year) = found.name("year") {
        return Date::new(year.as_str().parse().ok()?, month, day).ok();
    }
    let date = Date::new(now.year(), month, day).ok()?;
    if date < now.date() { Date::new(now.year() + 1, month, day).ok() } else { Some(date) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Saturday 2026-11-21, 20:00 in UTC.
    const NOW: i64 = 1_795_291_200_000;

    fn clock(zone: TimeZone) -> Clock {
        Clock { now: Timestamp(NOW), zone }
    }

    fn seconds(text: &str) -> Option<i64> {
        reset(text, &clock(TimeZone::UTC)).map(|at| (at.0 - NOW) / 1000)
    }

    #[test]
    fn spans_are_counted_from_now() {
        for (text, expected) in [
            ("Suggested retry after 3600s.", 3600),
            ("Retry-After: 30", 30),
            ("please try again in 1m30s", 90),
            ("Please try again in 2 days 3 hours 5 minutes.", 183_900),
            ("Rate limit reached. Please try again in 1.5s.", 1),
            ("retry after 20 seconds", 20),
            ("resets in 2 hours", 7200),
            ("Please retry in 12.5s", 12),
            ("wait 2500 ms and try", 2),
            ("\"retry-after\": \"17\"", 17),
            ("try again in 20s or 3 times", 20),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn clock_times_are_the_next_ones_in_the_zone_to_the_end_of_the_minute() {
        assert_eq!(seconds("You've hit your usage limit. Try again at 7:05 AM."), Some((11 * 60 + 6) * 60));
        assert_eq!(seconds("try again at 9:30 PM"), Some(91 * 60));
        assert_eq!(seconds("try again at 23:15"), Some((3 * 60 + 16) * 60));
        assert_eq!(seconds("try again at 12:30 am"), Some((4 * 60 + 31) * 60));
        assert_eq!(seconds("try again at Nov 25th, 2026 7:05 AM"), Some(3 * 86_400 + (11 * 60 + 6) * 60));
        assert_eq!(seconds("try again at Dec 2 at 8:00 PM"), Some(11 * 86_400 + 60));
        let berlin = reset("try again at 10:30 PM", &clock(TimeZone::fixed(jiff::tz::offset(1)))).unwrap();
        assert_eq!((berlin.0 - NOW) / 60_000, 91, "in the machine's zone");
    }

    #[test]
    fn a_clock_time_of_this_minute_or_just_past_is_not_tomorrow() {
        // A client cuts the seconds off: at 20:00:40 it says 8:00 PM for what ends at 20:00:50.
        for (second, said, expected) in [
            (0, "limit reached, resets 8pm", Some(60)),
            (40, "try again at 8:00 PM", Some(60)),
            (61, "try again at 8:00 PM", Some(62)),
            (120, "try again at 20:00", Some(121)),
            (40, "try again at Nov 21st, 2026 8:00 PM", Some(60)),
            (121, "try again at 8:00 PM", Some(86_400 + 60)),
            (600, "try again at Nov 21st, 2026 8:00 PM", None),
            // 00:00:30, and 00:10.
            (4 * 3600 + 30, "try again at 11:59 PM", Some(4 * 3600 + 31)),
            (4 * 3600 + 600, "try again at 11:59 PM", Some(28 * 3600)),
        ] {
            let clock = Clock { now: Timestamp(NOW + second * 1000), zone: TimeZone::UTC };
            assert_eq!(reset(said, &clock).map(|at| (at.0 - NOW) / 1000), expected, "{said} after {second} s");
        }
    }

    #[test]
    fn absolute_times_are_taken_as_they_are() {
        assert_eq!(seconds("usage limit reached|1795294800"), Some(3600));
        assert_eq!(seconds("resets at 2026-11-21T21:00:00Z"), Some(3600));
        assert_eq!(at_epoch(1_795_294_800, &clock(TimeZone::UTC)), Some(Timestamp(NOW + 3_600_000)));
    }

    #[test]
    fn what_says_nothing_and_what_is_absurd_is_unknown() {
        for text in [
            "429 Too Many Requests",
            "exceeded retry limit, last status: 429 Too Many Requests",
            "try again later",
            "retry after 99999999999999999999s",
            "try again at 25:99",
            "try again at 13:05 PM?",
            "resets at 2020-01-01T00:00:00Z",
            "retry after 0s",
            "",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
        assert_eq!(at_epoch(u64::MAX, &clock(TimeZone::UTC)), None);
    }
}
