//! Follows the log of an agent at work, for people. Must not wait for it, and must not tell more often than anybody reads.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{CHUNK, Reader};
use crate::adapters::agents::adapter::Parser;
use crate::domain::diagnostic::escape_line;
use crate::domain::names::Timestamp;
use crate::domain::redact::Redactor;
use crate::domain::transcript::{Entry, Kind};
use crate::engine::ports::Activity;

/// Between two looks: what an agent does is told at most four times a second.
pub const LOOK: Duration = Duration::from_millis(250);

/// Bytes read in one look; of a log that grows faster only the newest are looked at.
const AT_ONCE: u64 = 2 * 1024 * 1024;

/// Longest text that is told, in characters.
pub const WIDTH: usize = 200;

/// Lets `work` run to its end and tells what the log at `path` says meanwhile, the newest thing of each look.
pub async fn while_running<T>(
    work: impl Future<Output = T>,
    path: PathBuf,
    parser: Parser,
    redactor: &Redactor,
    tell: impl Fn(Activity),
) -> T {
    tokio::pin!(work);
    let mut log = Followed::new(path, parser);
    let mut looks = interval_at(Instant::now() + LOOK, LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = looks.tick() => if let Some(activity) = log.look(redactor) {
                tell(activity);
            },
        }
    }
}

/// A log and how far it was read.
struct Followed {
    path: PathBuf,
    read: u64,
    reader: Reader,
}

impl Followed {
    fn new(path: PathBuf, parser: Parser) -> Self {
        // No time of its entries is of interest.
        Self { path, read: 0, reader: Reader::new(parser, Timestamp(0)) }
    }

    /// Reads what was added; the newest entry that is worth telling.
    fn look(&mut self, redactor: &Redactor) -> Option<Activity> {
        let mut file = File::open(&self.path).ok()?;
        let length = file.metadata().ok()?.len();
        // One that was shortened is at its end, and was read before.
        let new = length.checked_sub(self.read).filter(|new| *new > 0)?;
        if new > AT_ONCE {
            self.read = length - AT_ONCE;
            self.reader.skip();
        }
        file.seek(SeekFrom::Start(self.read)).ok()?;
        let mut newest = None;
        let mut chunk = vec![0; CHUNK];
        let mut left = length - self.read;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let count = file.read(&mut chunk[..wanted]).ok().filter(|count| *count > 0)?;
            self.reader.push(&chunk[..count], &mut |entry| newest = activity(entry).or(newest.take()));
            self.read += count as u64;
            left -= count as u64;
        }
        newest.map(|activity| shown(activity, redactor))
    }
}

/// What an entry is told as; `None` for what a line of progress has no room for.
fn activity(entry: Entry) -> Option<Activity> {
    match entry.kind {
        Kind::Tool | Kind::Permission => Some(Activity::Tool(entry.text)),
        Kind::File => Some(Activity::File(entry.text)),
        Kind::Message | Kind::Notice | Kind::Output => Some(Activity::Message(entry.text)),
        Kind::Thought | Kind::Session | Kind::End => None,
    }
}

fn shown(activity: Activity, redactor: &Redactor) -> Activity {
    let one = |text: String| line(&redactor.redact(&text));
    match activity {
        Activity::Tool(text) => Activity::Tool(one(text)),
        Activity::File(text) => Activity::File(one(text)),
        Activity::Message(text) => Activity::Message(one(text)),
    }
}

/// One line, escaped, of at most [`WIDTH`] characters: the beginning.
pub fn line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().take(WIDTH).collect();
    let escaped = escape_line(&words.join(" "));
    match escaped.char_indices().nth(WIDTH) {
        None => escaped,
        Some(_) => escaped.chars().take(WIDTH - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
