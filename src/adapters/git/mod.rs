//! Git: one repository, its refs and the git program. `refs` alone touches refs and HEAD; `cli` alone names the program.

pub mod cli;
pub mod refs;
pub mod repo;
mod update_ref;
