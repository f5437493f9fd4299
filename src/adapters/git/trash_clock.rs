//! How old things in the trash are, in time that really passed: a clock that was set wrong, or set right, must not delete
//! anything early. Must not count time that nobody can vouch for.
//!
//! Counted time grows by what the machine's clock *and* the time since its start agree on; while the machine is off it stands
//! still. So fourteen counted days are never less than fourteen days.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::domain::names::Timestamp;

/// Most milliseconds that one look counts where the system does not say when it was started.
const BLIND: i64 = 24 * 60 * 60 * 1000;

/// A reading of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reading {
    /// Wall clock.
    wall: i64,
    /// This start of the machine, and milliseconds since it; `None` where the system does not say.
    boot: Option<(String, i64)>,
}

/// What was counted, and the reading it was counted at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counted {
    millis: i64,
    at: Reading,
}

/// Milliseconds counted in this repository up to now; changes nothing.
pub(super) fn counted(state_dir: &Path) -> i64 {
    advanced(load(state_dir), &Reading::now()).millis
}

/// [`counted`], and notes it, so that what passed until here is known after the next start of the machine. Where it cannot be
/// noted, less is counted: nothing goes early.
pub(super) fn advance(state_dir: &Path) -> i64 {
    let now = advanced(load(state_dir), &Reading::now());
    let file = path(state_dir);
    let new = file.with_extension(format!("new-{}", std::process::id()));
    let _ = fs::write(&new, now.encode()).and_then(|()| fs::rename(&new, &file));
    now.millis
}

/// Now, by the wall clock.
pub(super) fn now() -> Timestamp {
    Timestamp(wall())
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("counted-time")
}

fn load(state_dir: &Path) -> Option<Counted> {
    Counted::decode(&fs::read_to_string(path(state_dir)).ok()?)
}

fn advanced(before: Option<Counted>, now: &Reading) -> Counted {
    let millis = before.map_or(0, |before| before.millis.saturating_add(passed(&before.at, now)));
    Counted { millis, at: now.clone() }
}

/// What wall clock and machine agree on: never negative, never more than the machine was up.
fn passed(from: &Reading, to: &Reading) -> i64 {
    let up = match (&from.boot, &to.boot) {
        (Some((a, from)), Some((b, to))) if a == b => to - from,
        (_, Some((_, to))) => *to,
        (_, None) => BLIND,
    };
    up.min(to.wall.saturating_sub(from.wall)).max(0)
}

impl Reading {
    fn now() -> Self {
        Self { wall: wall(), boot: boot() }
    }
}

impl Counted {
    fn encode(&self) -> String {
        let (boot, up) = self.at.boot.clone().unwrap_or_else(|| ("-".to_owned(), 0));
        format!("{} {} {boot} {up}\n", self.millis, self.at.wall)
    }

    fn decode(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let millis = words.next()?.parse().ok().filter(|millis| *millis >= 0)?;
        let wall = words.next()?.parse().ok()?;
        let (boot, up) = (words.next()?, words.next()?.parse().ok()?);
        let boot = (boot != "-").then(|| (boot.to_owned(), up));
        Some(Self { millis, at: Reading { wall, boot } })
    }
}

fn wall() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Read from files, because a library that shifts the clocks of a process does not shift these.
fn boot() -> Option<(String, i64)> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let up = fs::read_to_string("/proc/uptime").ok()?;
    let (seconds, hundredths) = up.split_whitespace().next()?.split_once('.')?;
    let up = seconds.parse::<i64>().ok()?.checked_mul(1_000)? + hundredths.parse::<i64>().ok()? * 10;
    Some((id.trim().to_owned(), up))
}

#[cfg(test)]
#[path = "trash_clock_tests.rs"]
mod tests;
