//! Runs a plan. Depends on `domain` and on the traits in `ports` only; names no adapter.

pub mod events;
pub mod ports;
