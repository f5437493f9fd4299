//! Deterministic simulation of the whole engine: dispatcher, attempts, landing and recovery on a simulated machine. One
//! number, the seed, decides the stories, what agents and persons do, how the tasks interleave, and at which effect an
//! orchestrator dies, before it or after it, alone or by a power cut that takes what was not synced. At last everything is
//! calm, and one resume per unfinished run must bring all stories to their end. The promises I3 to I6 and I13 to I19 are
//! looked at all the time. Must not start a process, read a clock or sleep.
//!
//! 2,000 seeds are part of the normal tests. More of them, beginning with a seed of one's choice:
//!
//! ```text
//! ORCHESTRATE_SIM_SEEDS=100000 cargo test --lib engine::sim -- --nocapture
//! ORCHESTRATE_SIM_FROM=2000 ORCHESTRATE_SIM_SEEDS=100000 cargo test --lib engine::sim -- --nocapture
//! ```
//!
//! A seed that fails is printed with the command that tells its story line by line:
//!
//! ```text
//! ORCHESTRATE_SIM_SEED=1234 cargo test --lib engine::sim -- --nocapture
//! ```
//!
//! It then belongs into the list of regressions in `seeds_tests`, whether or not it still fails.

mod check;
mod dice;
mod disk;
mod folk;
mod git;
mod ledger;
mod lives;
mod machine;
mod sabotage;
mod world;

mod seeds_tests;
