//! Runs a plan. Depends on `domain` and on the traits in `ports` only; names no adapter.

pub mod attempt;
mod author;
mod board;
mod checks;
pub mod dispatcher;
pub mod events;
mod landing;
pub mod ports;
pub mod recorder;
pub mod recovery;
mod reviewing;
mod track;
pub mod world;
