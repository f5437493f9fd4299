//! Tests of the bounded log.

use std::os::unix::fs::MetadataExt;

use super::*;

#[test]
fn a_log_above_the_cap_keeps_its_head_its_newest_lines_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut log = LogFile::open(&path, 64 * 1024).unwrap();
    log.push(b"first line\n");
    for round in 0..10 {
        for line in 0..2000 {
            log.push(format!("round {round} line {line}\n").as_bytes());
        }
        let room = std::fs::metadata(&path).unwrap().blocks() * 512;
        assert!(room <= 128 * 1024, "{room}");
        assert!(tail(&path).ends_with(&format!("round {round} line 1999")), "who follows sees the newest");
    }
    log.finish();
    assert!(std::fs::metadata(&path).unwrap().len() <= 64 * 1024);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("first line\n"));
    assert!(text.ends_with("round 9 line 1999\n"));
    assert_eq!(text.matches("bytes of output left out here").count(), 1);
    let written: usize = text.lines().map(|line| line.len() + 1).sum();
    let mark = text.lines().find(|line| line.contains("left out here")).unwrap().len() + 2;
    let all = 11
        + (0..10)
            .map(|round| (0..2000).map(|line| format!("round {round} line {line}\n").len()).sum::<usize>())
            .sum::<usize>();
    assert_eq!(log.left_out(), (all - (written - mark)) as u64, "every byte is kept or counted");
}

#[test]
fn a_log_as_long_as_its_cap_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut log = LogFile::open(&path, 1024).unwrap();
    log.push(&[b'x'; 1024]);
    log.finish();
    assert_eq!((log.left_out(), std::fs::metadata(&path).unwrap().len()), (0, 1024));
}

#[test]
fn output_that_the_disk_does_not_take_is_counted() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let mut log = LogFile::open(Path::new("/dev/full"), 1024).unwrap();
    log.push(b"lost");
    log.finish();
    assert_eq!(log.left_out(), 4);
}

#[test]
fn a_tail_is_the_last_lines_without_terminal_control() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut bytes = b"early\n".repeat(100);
    bytes.extend(b"\x1b]0;title\x07 \xff\xfe \xe2\x80\xae end\r\n");
    std::fs::write(&path, bytes).unwrap();
    let tail = tail(&path);
    assert_eq!(tail.lines().count(), TAIL_LINES);
    assert_eq!(tail.lines().last(), Some("\\x1b]0;title\\x07 \u{fffd}\u{fffd} \\u202e end"));
}

#[test]
fn no_log_is_an_empty_tail() {
    assert_eq!(tail(Path::new("/nonexistent/log")), "");
}
