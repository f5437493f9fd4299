//! CPU time and medians. Must not know what is measured.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// Runs of each figure; odd, so that the median is one of them.
pub const RUNS: usize = 5;

/// What something cost.
#[derive(Clone, Copy)]
pub struct Cost {
    /// User and system time, of this process and of every descendant that was waited for.
    pub cpu: Duration,
    pub wall: Duration,
}

/// CPU time so far of this process or of its children that were waited for.
pub fn cpu(who: UsageWho) -> Duration {
    let usage = getrusage(who).unwrap();
    let part = |time: nix::sys::time::TimeVal| {
        Duration::from_secs(u64::try_from(time.tv_sec()).unwrap())
            + Duration::from_micros(u64::try_from(time.tv_usec()).unwrap())
    };
    part(usage.user_time()) + part(usage.system_time())
}

/// CPU time so far of this process and of its children.
pub fn cpu_of_all() -> Duration {
    cpu(UsageWho::RUSAGE_SELF) + cpu(UsageWho::RUSAGE_CHILDREN)
}

/// Costs of work in this process.
pub fn here(work: impl FnOnce()) -> Cost {
    let (before, start) = (cpu_of_all(), Instant::now());
    work();
    Cost { cpu: cpu_of_all().saturating_sub(before), wall: start.elapsed() }
}

/// Costs of a program that must succeed, its output thrown away.
pub fn program(command: &mut Command) -> Cost {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let (before, start) = (cpu(UsageWho::RUSAGE_CHILDREN), Instant::now());
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
    Cost { cpu: cpu(UsageWho::RUSAGE_CHILDREN).saturating_sub(before), wall: start.elapsed() }
}

/// The middle one by CPU time.
pub fn median(costs: &[Cost]) -> Cost {
    let mut sorted = costs.to_vec();
    sorted.sort_by_key(|cost| cost.cpu);
    sorted[sorted.len() / 2]
}

/// Takes every figure in turn, `runs` times, so that a busy moment hits all alike, and returns the medians.
pub fn interleaved<const N: usize>(runs: usize, figures: [Box<dyn FnMut() -> Cost + '_>; N]) -> [Cost; N] {
    let medians = in_turn(runs, figures.into());
    std::array::from_fn(|index| medians[index])
}

/// The same for any number of figures.
pub fn in_turn(runs: usize, mut figures: Vec<Box<dyn FnMut() -> Cost + '_>>) -> Vec<Cost> {
    let mut costs = vec![Vec::new(); figures.len()];
    for _ in 0..runs {
        for (figure, costs) in figures.iter_mut().zip(&mut costs) {
            costs.push(figure());
        }
    }
    costs.iter().map(|costs| median(costs)).collect()
}

/// Milliseconds.
pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// One line of the report.
pub fn line(name: &str, cost: Cost) {
    println!("  {name:<58} {:>10.2} ms CPU {:>10.2} ms wall", ms(cost.cpu), ms(cost.wall));
}

/// One line with a quotient of CPU times.
pub fn ratio(name: &str, ours: Duration, theirs: Duration) {
    println!("  {name:<58} {:>10.2} x", ours.as_secs_f64() / theirs.as_secs_f64());
}
