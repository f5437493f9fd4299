//! Tests of counted time.

use super::*;

const DAY: i64 = 24 * 60 * 60 * 1000;

fn reading(wall_days: i64, boot: &str, up_days: i64) -> Reading {
    Reading { wall: wall_days * DAY, boot: Some((boot.to_owned(), up_days * DAY)) }
}

#[test]
fn a_clock_that_jumps_counts_nothing_that_did_not_pass() {
    let start = reading(100, "a", 1);
    for (now, days) in [
        (reading(103, "a", 4), 3),
        // +20 and +400 days while the machine ran for one hour or none.
        (reading(120, "a", 1), 0),
        (reading(500, "a", 2), 1),
        // Set back.
        (reading(99, "a", 4), 0),
        // After another start only the time since that counts, even when the clock says that years went by.
        (reading(500, "b", 2), 2),
        (reading(101, "b", 30), 1),
    ] {
        assert_eq!(passed(&start, &now), days * DAY, "{now:?}");
    }
    let blind = Reading { wall: 500 * DAY, boot: None };
    assert_eq!(passed(&start, &blind), BLIND);
}

#[test]
fn counted_time_goes_on_from_what_was_noted_and_survives_rubbish() {
    let dir = tempfile::tempdir().unwrap();
    let now = Reading::now();
    let noted = Counted { millis: 5 * DAY, at: now };
    std::fs::write(path(dir.path()), noted.encode()).unwrap();
    assert_eq!(load(dir.path()), Some(noted));
    let counted = counted(dir.path());
    assert!((5 * DAY..6 * DAY).contains(&counted), "{counted}");
    assert!(advance(dir.path()) >= counted);
    for rubbish in ["", "\0\0\0", "-5 0 a 0", "1 2"] {
        std::fs::write(path(dir.path()), rubbish).unwrap();
        assert_eq!(super::counted(dir.path()), 0, "{rubbish:?}");
    }
}
