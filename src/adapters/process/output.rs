//! The log file of a child: bounded while it grows, and its last lines for people. Must not hold more of it in memory
//! than `KEPT_TAIL` bytes.
//!
//! Above the cap the middle goes: the first half of the cap stays, then a line that says how much was left out, then the
//! newest output. While the child lives the middle becomes a hole, which frees its blocks and loses nothing; once it has
//! ended the hole is closed. A reader that follows the file sees the newest output at its end all the time.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use nix::fcntl::{FallocateFlags, fallocate};

use crate::domain::diagnostic::escape;

/// Length a log may reach, in bytes.
pub const LOG_CAP: u64 = 64 * 1024 * 1024;

/// Newest output kept when the middle of a log is left out, in bytes at most. Holds the final event of every known client.
const KEPT_TAIL: u64 = 4 * 1024 * 1024;

/// Lines of a tail.
const TAIL_LINES: usize = 20;

/// Bytes that a tail is cut from.
const TAIL_BYTES: u64 = 32 * 1024;

/// Characters of one line of a tail.
const LINE_CHARS: usize = 400;

/// A log file that this process alone writes.
#[derive(Debug)]
pub(super) struct LogFile {
    file: File,
    cap: u64,
    length: u64,
    /// Bytes that could not be written, or went with the middle.
    left_out: u64,
    /// End of the hole, 0 = none.
    freed: u64,
}

impl LogFile {
    /// Opens the log of a child; `cap` in bytes.
    pub(super) fn open(path: &Path, cap: u64) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file, cap: cap.max(1024), length, left_out: 0, freed: 0 })
    }

    /// Appends output. What the disk does not take is counted as left out: a full disk must not stop the child.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        match self.file.write_all(bytes) {
            Ok(()) => self.length += bytes.len() as u64,
            Err(_) => {
                let written = self.file.metadata().map_or(self.length, |metadata| metadata.len());
                self.left_out += (bytes.len() as u64).saturating_sub(written.saturating_sub(self.length));
                self.length = written;
            }
        }
        if self.length > self.cap.max(self.freed) + self.cap / 8 && !self.punch() {
            // No holes here: the middle goes at once. A log that cannot be shortened is longer, no more.
            let _ = self.cut();
        }
    }

    /// Closes the hole.
    pub(super) fn finish(&mut self) {
        if self.length > self.cap {
            let _ = self.cut();
        }
    }

    /// Bytes left out so far.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Frees the blocks of the middle; `false` where the file system has no holes.
    fn punch(&mut self) -> bool {
        let from = self.freed.max(self.cap / 2);
        let to = self.length.saturating_sub(self.kept());
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

    /// Length of the newest output that stays.
    fn kept(&self) -> u64 {
        KEPT_TAIL.min(self.cap / 4)
    }

    /// Rewrites the file as head, mark and tail.
    fn cut(&mut self) -> io::Result<()> {
        let (head, kept) = (self.cap / 2, self.kept());
        let mut tail = Vec::new();
        self.file.seek(SeekFrom::Start(self.length.saturating_sub(kept)))?;
        (&self.file).take(kept).read_to_end(&mut tail)?;
        self.file.set_len(head)?;
        self.left_out += self.length.saturating_sub(head).saturating_sub(tail.len() as u64);
        let mark = format!("\n[git-orchestrate: about {} bytes of output left out here]\n", self.left_out);
        self.length = head;
        self.freed = 0;
        for bytes in [mark.as_bytes(), &tail] {
            self.file.write_all(bytes)?;
            self.length += bytes.len() as u64;
        }
        Ok(())
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
#[path = "output_tests.rs"]
mod tests;
