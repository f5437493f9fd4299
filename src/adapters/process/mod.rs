//! Processes: the one place that spawns, supervisors with their limits of time and output, the sweep of what is left. Must not know agents or git.

pub mod ancestry;
pub mod environment;
pub mod executor;
pub mod fence;
mod identity;
pub mod output;
pub mod past;
pub mod run;
pub mod sandbox;
pub mod secrets;
pub mod signals;
pub mod spawn;
pub mod supervise;
pub mod supervisor;
pub mod sweep;
