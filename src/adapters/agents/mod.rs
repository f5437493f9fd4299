//! Coding agents: adapters as data, the registry of them, and the one way to run an invocation. Must not judge the work:
//! git does that first, and the engine decides.

pub mod acp;
pub mod adapter;
pub mod arguments;
mod calling;
pub mod check;
pub mod claude_hooks;
pub mod demo;
pub mod effective;
pub mod form;
mod ground;
pub mod invoke;
mod leaves;
mod leftover;
pub mod parse;
pub mod pattern;
pub mod price;
pub mod record;
pub mod registry;
pub mod roles;
pub mod version;

pub use invoke::{AgentPlace, RealAgents};
pub use registry::Registry;
