//! Seeds of the simulation: those of every test run, those that once failed, and those that must fail because a rule is
//! broken on purpose.

use std::fmt::Write as _;
use std::str::FromStr;

use super::lives::{Tally, Verdict, simulate};
use super::sabotage::Sabotage;

/// Seeds that once failed, with what they found. None is ever taken away.
const REGRESSIONS: [(u64, &str); 0] = [];

/// Seeds of a normal test run.
const SEEDS: u64 = 2_000;

/// Seeds within which a broken rule must be noticed.
const PATIENCE: u64 = 400;

#[allow(clippy::disallowed_methods, reason = "a person asks for seeds of their choice")]
fn asked<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// What a failing seed did wrong, and how to see it again.
fn failure(seed: u64, verdict: &Verdict) -> Option<String> {
    if verdict.wrongs.is_empty() {
        return None;
    }
    let mut text = format!("seed {seed}:\n");
    for wrong in &verdict.wrongs {
        writeln!(text, "  {wrong}").expect("a String takes everything");
    }
    let command = format!("ORCHESTRATE_SIM_SEED={seed} cargo test --lib engine::sim -- --nocapture");
    writeln!(text, "  see it: {command}").expect("a String takes everything");
    Some(text)
}

#[test]
fn every_seed_keeps_the_promises() {
    if let Some(seed) = asked("ORCHESTRATE_SIM_SEED") {
        let verdict = simulate(seed, None, true);
        println!("{}", verdict.diary);
        assert!(verdict.wrongs.is_empty(), "{}", failure(seed, &verdict).unwrap_or_default());
        return;
    }
    let from: u64 = asked("ORCHESTRATE_SIM_FROM").unwrap_or(0);
    let count: u64 = asked("ORCHESTRATE_SIM_SEEDS").unwrap_or(SEEDS);
    let mut failures = Vec::new();
    let (mut total, mut points) = (Tally::default(), 0);
    for seed in from..from + count {
        let verdict = simulate(seed, None, false);
        total = total + verdict.tally;
        points += verdict.points;
        failures.extend(failure(seed, &verdict));
    }
    if count >= SEEDS {
        // What the simulation is for does happen in it.
        assert!(total.crashes > count / 4 && total.power_cuts > count / 8 && total.doubles > count / 8, "{total:?}");
        assert!(total.faults > 50 && total.failed > 50 && total.landed > 2 * count, "{total:?}");
    }
    println!("{count} seeds from {from}: {points} points, {total:?}, {} failed", failures.len());
    let shown = failures.iter().take(10).cloned().collect::<String>();
    assert!(failures.is_empty(), "{} of {count} seeds fail\n{shown}", failures.len());
}

#[test]
fn seeds_that_once_failed_keep_the_promises() {
    for (seed, what) in REGRESSIONS {
        let verdict = simulate(seed, None, false);
        assert!(verdict.wrongs.is_empty(), "{what}\n{}", failure(seed, &verdict).unwrap_or_default());
    }
}

#[test]
fn a_seed_tells_the_same_story_every_time() {
    for seed in 0..20 {
        let (once, again) = (simulate(seed, None, false), simulate(seed, None, true));
        assert_eq!((once.trace, once.points, once.wrongs), (again.trace, again.points, again.wrongs), "seed {seed}");
    }
}

#[test]
fn every_broken_rule_is_noticed() {
    let mut unnoticed = Vec::new();
    for sabotage in Sabotage::ALL {
        let noticed = (0..PATIENCE).find_map(|seed| {
            let verdict = simulate(seed, Some(sabotage), false);
            verdict.wrongs.first().map(|wrong| (seed, wrong.clone()))
        });
        match noticed {
            Some((seed, wrong)) => println!("{sabotage:?}: seed {seed}: {wrong}"),
            None => unnoticed.push(sabotage),
        }
    }
    assert!(unnoticed.is_empty(), "within {PATIENCE} seeds nobody noticed {unnoticed:?}");
}
