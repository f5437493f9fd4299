//! Git: one repository, its refs and the git program. `refs` alone touches refs and HEAD; `cli` alone names the program.

pub mod cli;
pub mod refs;
pub mod repo;

pub mod admin;
pub mod checkout;
pub mod commit;
pub mod follow;
pub mod include;
pub mod landing;
pub mod merge;
pub mod pool;
mod retire;
pub mod status;
pub mod trash;
pub mod worktree;
