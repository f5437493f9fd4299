//! Git: one repository, its refs, its worktrees and the git program. `refs` alone touches refs and HEAD; `cli` alone names
//! the program.

pub mod admin;
pub mod checkout;
pub mod cli;
pub mod commit;
pub mod content;
pub mod fingerprint;
pub mod follow;
pub mod hotfix;
pub mod identity;
pub mod include;
mod index_lock;
pub mod landing;
mod leak;
pub mod merge;
pub mod pool;
pub mod refs;
pub mod repo;
mod retire;
mod settle;
pub mod signing;
mod stale;
pub mod status;
pub mod trash;
mod update_ref;
pub mod worktree;
