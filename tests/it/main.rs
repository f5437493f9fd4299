//! The one integration binary: real binary, real git, scripted agents. Each file here tests one part.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stderr,
    dead_code,
    unreachable_pub,
    missing_docs
)]

mod budget;
mod corpus;
mod delivery;
mod hooks;
mod house;
mod ledger;
mod planning;
mod processes;
mod project;
mod setup;
mod stories;
mod support;
mod worktrees;
