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

/// Listens for INT, TERM, HUP and QUIT. Must be called inside a `LocalSet`.
pub fn listen() -> Result<Interrupts, PortError> {
    let (sender, stream) = mpsc::unbounded_channel();
    let first = Rc::new(Cell::new(None));
    for (kind, number) in [
        (SignalKind::interrupt(), 2),
        (SignalKind::terminate(), 15),
        (SignalKind::hangup(), 1),
        (SignalKind::quit(), 3),
    ] {
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
