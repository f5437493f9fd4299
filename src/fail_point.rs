//! Places at which a test can kill this process: `GIT_ORCHESTRATE_FAIL_POINT=<name>` ends it by SIGKILL when it comes there,
//! `<name>:<n>` at the n-th time. Compiled into debug builds only; must not do anything else than die.

/// Every place, in the order in which a clean story passes them. What stands behind a name has happened, nothing after it.
pub const NAMES: [&str; 17] = [
    "run-opened",
    "worktree-made",
    "record-written",
    "intent-written",
    "session-noted",
    "agent-spawned",
    "exit-written",
    "work-committed",
    "merge-written",
    "landing-intended",
    "ref-moved",
    "outcome-written",
    "checkout-followed",
    "worktree-trashed",
    "branch-deleted",
    "story-closed",
    "run-closed",
];

/// Dies here when a test asked for it.
#[cfg(debug_assertions)]
pub fn reach(name: &'static str) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static REACHED: AtomicU32 = AtomicU32::new(0);

    debug_assert!(NAMES.contains(&name), "{name} is not in the list");
    let Some((_, asked)) = variable() else { return };
    let (wanted, time) = asked.split_once(':').map_or((asked.as_str(), 1), |(at, n)| (at, n.parse().unwrap_or(1)));
    if wanted == name && REACHED.fetch_add(1, Ordering::Relaxed) + 1 == time {
        // Not abort: no handler may run and nothing may be flushed, as when the machine's owner kills it.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
    }
}

/// What a test asked for, to be handed on to a process of ours that is started without our environment.
#[cfg(debug_assertions)]
#[allow(clippy::disallowed_methods, reason = "the one variable that is no setting")]
pub fn variable() -> Option<(&'static str, String)> {
    const NAME: &str = "GIT_ORCHESTRATE_FAIL_POINT";
    Some((NAME, std::env::var(NAME).ok()?))
}

/// Nothing, in a release.
#[cfg(not(debug_assertions))]
pub fn variable() -> Option<(&'static str, String)> {
    None
}

/// Nothing, in a release.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn reach(_: &'static str) {}
