//! The rules. Pure: no input or output, no clock, no environment, no randomness, no async.
//! Time, ids and limits are arguments. Nothing here may use another layer of the crate.

pub mod assign;
pub mod bookkeep;
pub mod branch;
pub mod breaker;
pub mod budget;
pub mod diagnostic;
pub mod divergence;
pub mod event;
pub mod explanation;
pub mod gate;
pub mod graph;
pub mod hotfix;
pub mod id;
pub mod item;
pub mod names;
pub mod passage;
pub mod plan;
pub mod policy;
pub mod pressure;
pub mod prompt;
pub mod proof;
pub mod redact;
pub mod retry;
pub mod role;
pub mod run_state;
pub mod schedule;
pub mod scope;
pub mod settings;
pub mod source;
pub mod state;
pub mod statement;
pub mod tamper;
pub mod usage;
pub mod workflow;
