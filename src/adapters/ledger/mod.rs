//! The append-only record in `refs/orchestrate/`. Nothing outside this folder knows how a fact is written down.

mod audit;
mod chain;
mod clean;
pub mod codec;
pub mod diary;
pub mod key;
mod landing;
mod objects;
pub mod pack;
pub mod store;
