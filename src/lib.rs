//! git-orchestrate: runs coding agents over story files, gated by reviews and git hooks.
//!
//! The map of the code, the dependency rule and the invariants:
#![doc = include_str!("ARCHITECTURE.md")]

pub mod adapters;
pub mod cli;
pub mod domain;
pub mod engine;
pub mod fail_point;
#[allow(clippy::disallowed_methods, reason = "git speaks to hooks through variables")]
pub mod hooks;
pub mod report;
