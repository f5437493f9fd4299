//! What a child prints, on its way into the log. Must keep no more of it than the log does.

use std::io;
use std::path::Path;

use super::super::output::LogFile;
use crate::domain::redact::Redactor;

/// The way of output into the log.
pub(super) struct Output {
    redactor: Redactor,
    log: LogFile,
}

impl Output {
    /// Into the log at `path`, `cap` bytes long at most, without any of `secrets`.
    pub(super) fn open(path: &Path, cap: u64, secrets: &[String]) -> io::Result<Self> {
        Ok(Self { redactor: Redactor::new(secrets.iter().cloned()), log: LogFile::open(path, cap)? })
    }

    /// Takes a piece of output.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.log.push(&self.redactor.push(bytes));
    }

    /// Takes the end of the output.
    pub(super) fn finish(&mut self) {
        self.log.push(&self.redactor.finish());
        self.log.finish();
    }

    /// Bytes left out so far.
    pub(super) fn left_out(&self) -> u64 {
        self.log.left_out()
    }
}
