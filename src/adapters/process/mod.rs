//! Processes: the one place that spawns, limits of time and output, the sweep of what is left. Must not know agents or git.

pub mod ancestry;
pub mod environment;
pub mod executor;
pub mod output;
pub mod run;
pub mod secrets;
pub mod signals;
pub mod spawn;
pub mod sweep;
