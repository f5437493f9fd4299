//! What follows at once, in the same attempt, when an author's session ends without having done its task. Must not know
//! clients: what they can do is an argument. What follows later is `retry`'s.

use super::event::FailureClass;

/// What was done already about the session of one phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    nudged: bool,
    went_on: bool,
    anew: bool,
}

/// What follows at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// The same session is asked for the commit.
    Nudge,
    /// The same session goes on with its task.
    GoOn,
    /// A new session goes on, told what git holds.
    Anew,
    /// Nothing: what there is, is judged.
    Judge,
}

/// What follows a class, each at most once in a phase. `resumes`: the client can go on with the session.
pub fn react(class: FailureClass, resumes: bool, before: &mut Tally) -> Reaction {
    let once = |done: &mut bool, reaction| if std::mem::replace(done, true) { Reaction::Judge } else { reaction };
    match class {
        FailureClass::NoCommit | FailureClass::Dirty if resumes => once(&mut before.nudged, Reaction::Nudge),
        FailureClass::MaxTurns if resumes => once(&mut before.went_on, Reaction::GoOn),
        FailureClass::MaxTurns | FailureClass::ContextFull => once(&mut before.anew, Reaction::Anew),
        _ => Reaction::Judge,
    }
}

#[cfg(test)]
#[path = "reaction_tests.rs"]
mod tests;
