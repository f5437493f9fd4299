//! What the engine says over stdin. Must not act on it.

use std::io::{Stdin, stdin};
use std::os::fd::{AsFd, BorrowedFd};

use super::wire::{ASK, KILL, Spec};

/// One thing the engine says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// End it in good time.
    Ask,
    /// End it now.
    Kill,
    /// The engine is no more.
    Gone,
}

/// The engine's end of the line.
pub(super) struct Control {
    stdin: Stdin,
    /// Bytes that came with the specification.
    early: Vec<u8>,
    gone: bool,
}

impl Control {
    pub(super) fn stdin() -> Self {
        Self { stdin: stdin(), early: Vec::new(), gone: false }
    }

    /// The specification; `None` when the engine died before it had said it all.
    pub(super) fn spec(&mut self) -> Option<Spec> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 64 * 1024];
        loop {
            let length = rustix::io::read(&self.stdin, &mut chunk).ok().filter(|length| *length > 0)?;
            bytes.extend_from_slice(&chunk[..length]);
            if let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
                self.early = bytes.split_off(end + 1);
                return serde_json::from_slice(&bytes).ok();
            }
        }
    }

    /// To be polled; `None` when nothing can come any more.
    pub(super) fn open(&self) -> Option<BorrowedFd<'_>> {
        (!self.gone).then(|| self.stdin.as_fd())
    }

    /// What was said together with the specification; to be asked for once.
    pub(super) fn early(&mut self) -> Vec<Word> {
        std::mem::take(&mut self.early).iter().filter_map(word).collect()
    }

    /// What was said meanwhile. Must be called when there is something, or it waits.
    pub(super) fn words(&mut self) -> Vec<Word> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 64];
        match rustix::io::read(&self.stdin, &mut chunk) {
            Ok(0) => self.gone = true,
            Ok(length) => bytes.extend_from_slice(&chunk[..length]),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => self.gone = true,
        }
        bytes.iter().filter_map(word).chain(self.gone.then_some(Word::Gone)).collect()
    }
}

fn word(byte: &u8) -> Option<Word> {
    match *byte {
        ASK => Some(Word::Ask),
        KILL => Some(Word::Kill),
        _ => None,
    }
}
