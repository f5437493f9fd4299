//! The fault battery: each fault of the promises, injected into real runs. A representative point of each and a seeded
//! sample run with every test; tests marked `#[ignore = "battery"]` hold the rest, run by `cargo test --test battery`,
//! which makes a page of what is noted here. Must not assert durations.

mod clock;
mod disk;
mod formats;
mod interrupts;
mod resume;
mod sandbox;
mod secrets;
mod syscalls;
mod together;

use std::io::Write;

mod cleanup;
mod limits;
mod power;
mod processes;
mod worktrees;

/// A row of the kill matrix: fault (`F13`), point (`index.lock, owner dead`), outcome (`removed, one merge`). Goes to the file
/// that the battery names, else nowhere.
pub fn note(fault: &str, point: &str, outcome: &str) {
    let Some(path) = std::env::var_os("ORCHESTRATE_TEST_BATTERY") else { return };
    let row = format!("{fault}\t{}\t{}\n", point.replace(['\t', '\n'], " "), outcome.replace(['\t', '\n'], " "));
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(row.as_bytes()).unwrap();
}

/// A row that says why a point was not tried on this machine; also said on stderr.
pub fn skip(fault: &str, point: &str, why: &str) {
    eprintln!("skipped: {fault} {point}: {why}");
    note(fault, point, &format!("skipped: {why}"));
}

/// A seed that is new each time, or the one that `ORCHESTRATE_TEST_SEED` names; said on stderr, so that a red test can be
/// tried again.
pub fn seed() -> u64 {
    let given = std::env::var("ORCHESTRATE_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = given.unwrap_or_else(|| u64::from(now.subsec_nanos()) << 20 | u64::from(std::process::id()));
    eprintln!("ORCHESTRATE_TEST_SEED={seed}");
    seed
}

/// Numbers from a seed (splitmix64): the same seed, the same faults.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
