//! The machine: clock, ids, liveness locks, the sweep of marked processes.
