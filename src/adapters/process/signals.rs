//! Signals that ask this process to end, as a stream of rising urgency. Must not end anything itself.

use std::cell::Cell;
use std::rc::Rc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

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
        if number != 15 && ignores(&status, number) {
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

/// Whether a signal is ignored, by the text of `/proc/self/status`; no where that says nothing.
fn ignores(status: &str, number: u8) -> bool {
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
