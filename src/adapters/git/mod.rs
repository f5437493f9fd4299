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
mod hidden;
mod index_lock;
pub mod landing;
pub mod mend;
pub mod merge;
pub mod pool;
mod pruned;
pub mod refs;
pub mod repo;
pub mod rescue;
pub mod rescued;
mod retire;
mod settle;
pub mod signing;
mod stale;
pub mod status;
mod strays;
pub mod trash;
mod trash_clock;
mod update_ref;
pub mod worktree;
