//! Parsers: file text to items and diagnostics, and the assembly of many files into one set. Must not read files.

mod assemble;
pub mod brief;
mod criteria;
mod depends;
mod field;
mod files;
mod front;
mod label;
mod name;
pub mod outline;
mod reference;
mod remark;
mod status;
pub mod story;
mod text;

pub use assemble::{Parsed, assemble};
pub use status::KNOWN as KNOWN_STATUSES;
pub use text::MAX_BYTES;
