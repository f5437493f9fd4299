//! The only code with side effects. May use `domain` and implements the traits of `engine::ports`.

pub mod agents;
pub mod config;
pub mod git;
pub mod host;
pub mod ledger;
pub mod process;
pub mod runs;
pub mod stories;
