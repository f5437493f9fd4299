//! Signals of a supervisor as something to poll. Must not act on them.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Blocked and readable instead.
const HEARD: [Signal; 5] = [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];

/// The signals that came.
pub(super) struct Signals(SignalFd);

impl Signals {
    /// Listens from now on. A process started after this inherits the blocked signals: start it before.
    pub(super) fn listen() -> Result<Self, Errno> {
        let set = SigSet::from_iter(HEARD);
        set.thread_block()?;
        Ok(Self(SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?))
    }

    /// Takes what has come; whether one of them asks for the end. That a child ended is seen elsewhere.
    pub(super) fn asked_to_end(&self) -> bool {
        let mut asked = false;
        while let Ok(Some(signal)) = self.0.read_signal() {
            asked |= i32::try_from(signal.ssi_signo) != Ok(Signal::SIGCHLD as i32);
        }
        asked
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
