//! The one integration binary: real binary, real git, scripted agents. Each file here tests one part.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::unnecessary_debug_formatting,
    dead_code,
    unreachable_pub,
    missing_docs
)]

mod bad_input;
mod bad_usage;
mod budget;
mod clients;
mod corpus;
mod delivery;
mod doctoring;
mod durability;
mod everyday;
mod faults;
mod hook_filter;
mod hook_install;
mod hooks;
mod hotfix;
mod house;
mod interactive;
mod ledger;
mod permit;
mod plan_view;
mod planning;
mod policy;
mod processes;
mod project;
mod pty;
mod real_stories;
mod routes;
mod server;
mod setup;
mod sharing;
mod signing;
mod stories;
mod supervisor;
mod support;
mod survival;
mod tampering;
mod verify;
mod worktrees;
