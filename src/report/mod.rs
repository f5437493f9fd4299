//! What a person or a script sees: fed by engine events and snapshots; knows nothing of git and never prints by itself.

pub mod diagnostics;
mod failure;
pub mod hotfix;
pub mod plan;
pub mod progress;
pub mod status;
pub mod summary;
pub mod text;
pub mod transcript;
pub mod verify;
mod words;
