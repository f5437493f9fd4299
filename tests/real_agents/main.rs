//! Real agents, offline: claude, codex and gemini as they are published, driven by the real `git orchestrate`, against a
//! scripted model on loopback. Opt-in, because it fetches about 1 GB from the npm registry once:
//!
//!     cargo test --test real_agents -- --ignored --test-threads=1
//!
//! The clients are installed into `$GIT_ORCHESTRATE_REAL_AGENTS`, else below `target/`, and kept there. Each test says that it
//! is skipped where npm or the client is not to be had. Keys are dummies; homes and configurations are private to each test,
//! and every proxy points to a closed port, so that nothing leaves the machine. `$GIT_ORCHESTRATE_REAL_STREAMS` names a folder
//! that keeps what the clients printed and asked. Must not use, look for or need a real key.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stderr,
    dead_code,
    unreachable_pub,
    missing_docs
)]

mod clients;
mod failures;
mod fallback;
mod landing;
mod leftovers;
mod limits;
mod model;
#[path = "../it/project.rs"]
mod project;
mod server;
#[path = "../it/support.rs"]
mod support;
mod wire;
mod world;
