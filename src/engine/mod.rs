//! Runs a plan. Depends on `domain` and on the traits in `ports` only; names no adapter.

pub mod attempt;
mod author;
mod board;
mod checks;
mod choosing;
mod commands;
mod continuing;
pub mod dispatcher;
mod ending;
pub mod events;
pub mod hotfix;
mod landing;
mod limits;
mod opening;
pub mod ports;
mod queue;
mod reacting;
pub mod recorder;
pub mod recovery;
mod reviewing;
mod tamper;
mod track;
pub mod world;

#[cfg(test)]
mod attempt_tests;
#[cfg(test)]
mod continuing_tests;
#[cfg(test)]
mod dispatcher_tests;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod fake_agents;
#[cfg(test)]
mod fake_git;
#[cfg(test)]
mod fake_lander;
#[cfg(test)]
mod fake_ledger;
#[cfg(test)]
mod hotfix_tests;
#[cfg(test)]
mod landing_tests;
#[cfg(test)]
mod limits_tests;
#[cfg(test)]
mod reacting_tests;
#[cfg(test)]
mod recorder_tests;
#[cfg(test)]
mod recovery_tests;
#[cfg(test)]
mod reviewing_tests;
#[cfg(test)]
mod sim;
