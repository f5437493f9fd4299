//! Processes: the one place that spawns, time limits, bounded output.

pub mod ancestry;
pub mod signals;
pub mod spawn;
