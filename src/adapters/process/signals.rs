//! Signals that ask this process to end, as a stream of rising urgency; the one that puts it to sleep, and whether its terminal
//! can be drawn on. Must not end anything itself.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use nix::libc::SIGTSTP;
use nix::sys::signal::{Signal, raise};
use nix::unistd::{Pid, getpgid, getpgrp, getsid};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::adapters::process::ancestry::parent_of;
use crate::engine::ports::{Cancel, PortError};

/// The stream, and the number of the first signal that came.
pub struct Interrupts {
    /// `Ask` for the first signal, `Kill` for every further one.
    pub stream: mpsc::UnboundedReceiver<Cancel>,
    /// The first signal's number.
    pub first: Rc<Cell<Option<u8>>>,
}

/// Listens for INT, TERM, HUP and QUIT, but for those that whoever started us had us ignore (`nohup`, the background of a
/// script). Must be called inside a `LocalSet`.
pub fn listen() -> Result<Interrupts, PortError> {
    let (sender, stream) = mpsc::unbounded_channel();
    let first = Rc::new(Cell::new(None));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (kind, number) in [
        (SignalKind::interrupt(), 2),
        (SignalKind::terminate(), 15),
        (SignalKind::hangup(), 1),
        (SignalKind::quit(), 3),
    ] {
        if number != 15 && ignores(&status, number.into()) {
            continue;
        }
        let mut signals = signal(kind).map_err(|error| PortError::new("cannot listen for signals").because(error))?;
        let (sender, first) = (sender.clone(), first.clone());
        tokio::task::spawn_local(async move {
            while signals.recv().await.is_some() {
                let urgency = if first.get().is_none() { Cancel::Ask } else { Cancel::Kill };
                first.set(first.get().or(Some(number)));
                if sender.send(urgency).is_err() {
                    // The run that listened has ended, and the process is about to.
                    return;
                }
            }
        });
    }
    Ok(Interrupts { stream, first })
}

/// From now on Ctrl-Z sets what comes back, right before it stops this process as it would have anyway. Whoever draws on the
/// terminal learns by it that a shell wrote there meanwhile; to be told of it only when going on would be too late. Where the
/// signal is ignored, or cannot be listened for, nothing changes.
pub fn stops() -> Arc<AtomicBool> {
    let stopped = Arc::new(AtomicBool::new(false));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if ignores(&status, SIGTSTP) {
        return stopped;
    }
    let set = stopped.clone();
    // A thread of its own: the signal has to work for as long as the process lives, busy or not.
    let listening = std::thread::Builder::new().name("stops".to_owned()).spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
        runtime.block_on(async {
            let Ok(mut signals) = signal(SignalKind::from_raw(SIGTSTP)) else { return };
            while signals.recv().await.is_some() {
                if has_job_control() {
                    set.store(true, Relaxed);
                    let _unstopped = raise(Signal::SIGSTOP);
                }
            }
        });
    });
    // Without the thread Ctrl-Z does what it does by itself.
    drop(listening);
    stopped
}

/// Whether `TERM` names a terminal that can move its cursor. Where it names none, whoever looks at one is believed.
pub fn terminal_obeys() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether somebody is there to let this process go on: outside of its process group, an ancestor of the same session. Without
/// one the system takes no notice of a Ctrl-Z, and neither must we.
fn has_job_control() -> bool {
    let (group, session) = (getpgrp(), getsid(None));
    let mut pid = parent_of("self");
    while let Some(ancestor) = pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0).map(Pid::from_raw) {
        if getpgid(Some(ancestor)) != Ok(group) {
            return session.is_ok() && getsid(Some(ancestor)) == session;
        }
        pid = parent_of(&ancestor.to_string());
    }
    false
}

/// Whether a signal is ignored, by the text of `/proc/self/status`; no where that says nothing.
fn ignores(status: &str, number: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (number - 1)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_counts_from_one() {
        let status = "Name:\tx\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001001\n";
        assert!(ignores(status, 1) && ignores(status, 13));
        assert!(!ignores(status, 2) && !ignores(status, 15) && !ignores("", 1));
    }
}
