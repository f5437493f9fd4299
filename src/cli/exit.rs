//! Exit codes and their precedence. Must not know which command ends with which code.

use std::process::ExitCode;

/// How the program ends: 0 to 5, 70, or 128 plus a signal's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Exit(u8);

impl Exit {
    /// Everything asked for was done.
    pub const DONE: Self = Self(0);
    /// An operation failed.
    pub const FAILED: Self = Self(1);
    /// Usage or input was invalid; nothing was started.
    pub const USAGE: Self = Self(2);
    /// The gate refused.
    pub const REFUSED: Self = Self(3);
    /// The run ended with failed or blocked items.
    pub const INCOMPLETE: Self = Self(4);
    /// The run is paused: it waits for a person or for budget.
    pub const PAUSED: Self = Self(5);
    /// A fault in git-orchestrate itself.
    pub const INTERNAL: Self = Self(70);

    /// Ended by a signal, 1 to 64.
    pub fn signal(number: u8) -> Self {
        Self(128_u8.saturating_add(number.clamp(1, 64)))
    }

    /// The number the operating system gets.
    pub fn code(self) -> u8 {
        self.0
    }

    /// The one of two codes that must be reported: 128+n > 70 > 2 > 1 > 3 > 4 > 5 > 0.
    pub fn or_worse(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }

    fn rank(self) -> u8 {
        match self.0 {
            0 => 0,
            5 => 1,
            4 => 2,
            3 => 3,
            1 => 4,
            2 => 5,
            70 => 6,
            _ => 7,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn precedence_is_signal_internal_usage_failed_refused_incomplete_paused_done() {
        let order = [
            Exit::signal(2),
            Exit::INTERNAL,
            Exit::USAGE,
            Exit::FAILED,
            Exit::REFUSED,
            Exit::INCOMPLETE,
            Exit::PAUSED,
            Exit::DONE,
        ];
        for (index, worse) in order.iter().enumerate() {
            for better in &order[index..] {
                assert_eq!(worse.or_worse(*better), *worse);
                assert_eq!(better.or_worse(*worse), *worse);
            }
        }
        assert_eq!(order.map(Exit::code), [130, 70, 2, 1, 3, 4, 5, 0]);
    }
}
