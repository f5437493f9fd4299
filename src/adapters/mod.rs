//! The only code with side effects. May use `domain` and implements the traits of `engine::ports`.

#[allow(clippy::disallowed_methods, reason = "looks for programs on PATH; the demo agent is configured by variables")]
pub mod agents;
pub mod config;
pub mod elsewhere;
pub mod gate;
pub mod git;
pub mod guarded;
pub mod host;
pub mod ledger;
pub mod orphans;
#[allow(clippy::disallowed_methods, reason = "the one place that makes processes and filters their environment")]
pub mod process;
pub mod runs;
pub mod stories;
