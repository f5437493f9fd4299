//! The append-only record in `refs/orchestrate/`. Nothing outside this folder knows how a fact is written down.

mod audit;
pub mod branches;
pub mod bring;
mod chain;
pub mod checkpoint;
mod clean;
pub mod codec;
pub mod damage;
pub mod diary;
pub mod join;
pub mod key;
mod landing;
pub mod lineage;
pub mod memory;
mod objects;
pub mod pack;
pub mod store;
