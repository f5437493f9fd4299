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

/// Whether the whole battery was asked for.
pub fn full() -> bool {
    std::env::var_os("ORCHESTRATE_TEST_BATTERY").is_some()
}

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

/// The seeds of a sample: `few` with every test, `many` in the battery; one only when `ORCHESTRATE_TEST_SEED` names it.
/// They differ from day to day in the battery and stay the same elsewhere, so that a red test is red again.
pub fn seeds(few: u64, many: u64) -> Vec<u64> {
    if let Some(seed) = std::env::var("ORCHESTRATE_TEST_SEED").ok().and_then(|text| text.parse().ok()) {
        return vec![seed];
    }
    let day = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 86_400;
    if full() { (0..many).map(|n| day * 100_000 + n).collect() } else { (1..=few).collect() }
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

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

mod records;
