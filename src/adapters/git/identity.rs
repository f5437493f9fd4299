//! Who the person at the keyboard is, as git knows them. Must not be used for agents: their identity is recorded at spawn.

use super::repo::Repo;
use crate::engine::ports::PortError;

/// The e-mail address a commit by this person would carry.
#[expect(clippy::disallowed_methods, reason = "git's own variable for the author")]
pub fn email(repo: &Repo) -> Result<String, PortError> {
    let from_variable = std::env::var("GIT_AUTHOR_EMAIL").ok();
    let from_config = || repo.gix().config_snapshot().string("user.email").map(|value| value.to_string());
    from_variable
        .or_else(from_config)
        .filter(|email| !email.trim().is_empty())
        .ok_or_else(|| PortError::new("git does not know who you are").hint("git config user.email you@example.org"))
}
