//! Brings the facts of a move of a protected branch to the gate: commits, trees, item states, policy. For hooks, the server
//! and `verify`. Must write nothing, and must not judge: `domain::passage` does.

pub mod certify;
pub mod guard;
pub mod history;
pub mod line;
pub mod past;
pub mod patch;
pub mod proof;
pub mod reader;
mod recognized;
pub mod route;
mod shallow;
