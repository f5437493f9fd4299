//! Processes: the one place that spawns, time limits, bounded output.

pub mod spawn;
