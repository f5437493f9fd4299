//! Coding agents: adapters as data, the registry of them, and the one way to run an invocation. Must not judge the work:
//! git does that first, and the engine decides.

pub mod acp;
pub mod adapter;
pub mod arguments;
pub mod demo;
pub mod invoke;
mod leftover;
pub mod parse;
pub mod price;
pub mod record;
pub mod registry;
pub mod roles;

pub use invoke::{AgentPlace, RealAgents};
pub use registry::Registry;
