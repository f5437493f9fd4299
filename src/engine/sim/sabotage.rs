//! Rules that the simulation can be told to break, so that a test sees it notice. Must not be used elsewhere.

/// One broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// What a dead orchestrator left running is not ended.
    NoSweep,
    /// Locks are given to everybody.
    NoLock,
    /// A landing moves the target wherever it stands.
    NoSwap,
    /// `Landed` is recorded before the target moves.
    LandedFirst,
    /// The intent to land is not written down.
    NoIntent,
    /// A worktree goes away with what is in it.
    NoRescue,
    /// Appends are answered before they are synced.
    LateSync,
    /// The story's own commits are not synced before they land.
    UnsyncedLanding,
    /// Another tree lands than was approved.
    OtherTree,
    /// Work is put on record before its branch is synced.
    Unsettled,
    /// A snapshot is not what its events give.
    StaleSnapshot,
    /// Somebody else's worktree is given out.
    LostWorktree,
}

impl Sabotage {
    /// Every one.
    pub(super) const ALL: [Self; 12] = [
        Self::NoSweep,
        Self::NoLock,
        Self::NoSwap,
        Self::LandedFirst,
        Self::NoIntent,
        Self::NoRescue,
        Self::LateSync,
        Self::UnsyncedLanding,
        Self::OtherTree,
        Self::Unsettled,
        Self::StaleSnapshot,
        Self::LostWorktree,
    ];
}
