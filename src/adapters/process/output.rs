//! The log file of a child: bounded while it grows, and its last lines for people. Must not hold more of it in memory
//! than `KEPT_TAIL` bytes.
//!
//! The child appends to the file by itself, so that it outlives us. We look at the length; above the cap the middle goes:
//! the first half of the cap stays, then a line that says how much was left out, then the newest output. While the child
//! lives the middle becomes a hole, which frees its blocks and loses nothing the child writes meanwhile; once it has ended
//! the hole is closed. Between two looks the file may take more room than the cap.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::SystemTime;

use nix::fcntl::{FallocateFlags, fallocate};

use crate::domain::diagnostic::escape;

/// Length a log may reach, in bytes.
pub const LOG_CAP: u64 = 64 * 1024 * 1024;

/// Newest output kept when the middle of a log is left out, in bytes at most. Holds the final event of every known client.
const KEPT_TAIL: u64 = 4 * 1024 * 1024;

/// How often a child that writes on is caught up with before the cut.
const CATCH_UP: usize = 256;

/// Lines of a tail.
const TAIL_LINES: usize = 20;

/// Bytes that a tail is cut from.
const TAIL_BYTES: u64 = 32 * 1024;

/// Characters of one line of a tail.
const LINE_CHARS: usize = 400;

/// What a look at the log found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether something was written since the last look.
    pub changed: bool,
    /// Whether it grows fast enough to be looked at more often.
    pub floods: bool,
}

/// Watches one log file.
#[derive(Debug)]
pub struct LogWatch {
    file: File,
    cap: u64,
    seen: (u64, Option<SystemTime>),
    left_out: u64,
    /// End of the hole, 0 = none.
    freed: u64,
}

impl LogWatch {
    /// Opens the log of a child; `cap` in bytes.
    pub fn open(path: &Path, cap: u64) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        Ok(Self { file, cap: cap.max(1024), seen: (0, None), left_out: 0, freed: 0 })
    }

    /// Looks at the log and shortens it where it is above the cap.
    pub fn look(&mut self) -> io::Result<Look> {
        let now = self.state()?;
        let changed = now != self.seen;
        let floods = now.0.saturating_sub(self.seen.0) > self.cap / 8;
        self.seen = now;
        if now.0 > self.cap {
            if !self.punch(now.0) {
                self.cut(now.0)?;
            }
            self.seen = self.state()?;
        }
        Ok(Look { changed, floods })
    }

    /// Closes the hole. Nobody may write to the log any more.
    pub fn finish(&mut self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        if length > self.cap { self.cut(length) } else { Ok(()) }
    }

    /// Frees the blocks of the middle; `false` where the file system has no holes.
    fn punch(&mut self, length: u64) -> bool {
        let from = self.freed.max(self.cap / 2);
        let to = length.saturating_sub(KEPT_TAIL.min(self.cap / 4));
        if to <= from {
            return true;
        }
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let (Ok(offset), Ok(count)) = (i64::try_from(from), i64::try_from(to - from)) else { return false };
        let freed = fallocate(&self.file, flags, offset, count).is_ok();
        if freed {
            self.freed = to;
        }
        freed
    }

    /// Bytes left out so far.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    fn state(&self) -> io::Result<(u64, Option<SystemTime>)> {
        let metadata = self.file.metadata()?;
        Ok((metadata.len(), metadata.modified().ok()))
    }

    /// Rewrites the file as head, mark and tail. What is appended between the last look here and the cut is lost and counted.
    fn cut(&mut self, length: u64) -> io::Result<()> {
        let head = self.cap / 2;
        let kept = KEPT_TAIL.min(self.cap / 4);
        let mut tail = Vec::new();
        let mut read = length - kept;
        // Up to the very end, so that next to nothing comes between the last look and the cut.
        for _ in 0..CATCH_UP {
            self.file.seek(SeekFrom::Start(read))?;
            read += (&self.file).take(KEPT_TAIL).read_to_end(&mut tail)? as u64;
            let surplus = tail.len().saturating_sub(usize::try_from(kept).unwrap_or(usize::MAX));
            tail.drain(..surplus);
            if self.file.metadata()?.len() <= read {
                break;
            }
        }
        let length = self.file.metadata()?.len();
        self.file.set_len(head)?;
        self.left_out += length.saturating_sub(head).saturating_sub(tail.len() as u64);
        let mark = format!("\n[git-orchestrate: about {} bytes of output left out here]\n", self.left_out);
        let mut end = mark.into_bytes();
        end.append(&mut tail);
        self.file.write_all(&end)
    }
}

/// The last lines of a log, escaped for a terminal; empty when there is no log.
pub fn tail(path: &Path) -> String {
    let Ok(bytes) = last_bytes(path, TAIL_BYTES) else { return String::new() };
    let text = escape(&String::from_utf8_lossy(&bytes).replace('\r', ""));
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    last.iter().map(|line| shortened(line)).collect::<Vec<_>>().join("\n")
}

/// The last `limit` bytes of a file.
pub fn last_bytes(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(limit)))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(LINE_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_log_above_the_cap_keeps_its_head_its_newest_lines_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut child = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        let mut watch = LogWatch::open(&path, 64 * 1024).unwrap();
        child.write_all(b"first line\n").unwrap();
        for round in 0..10 {
            for line in 0..2000 {
                writeln!(child, "round {round} line {line}").unwrap();
            }
            assert!(watch.look().unwrap().changed);
            let room = std::fs::metadata(&path).unwrap().blocks() * 512;
            assert!(room <= 128 * 1024, "{room}");
        }
        assert!(!watch.look().unwrap().changed);
        watch.finish().unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() <= 64 * 1024);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("first line\n"));
        assert!(text.ends_with("round 9 line 1999\n"));
        assert_eq!(text.matches("bytes of output left out here").count(), 1);
        assert!(watch.left_out() > 100_000);
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
}
