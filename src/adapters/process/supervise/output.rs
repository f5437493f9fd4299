//! What a child prints, on its way into the log. Must keep no more of it than the log does.

use std::io;
use std::path::Path;

use super::super::output::LogFile;

/// The way of output into the log.
pub(super) struct Output {
    filter: Filter,
    log: LogFile,
}

impl Output {
    /// Into the log at `path`, `cap` bytes long at most, without any of `secrets`.
    pub(super) fn open(path: &Path, cap: u64, secrets: &[String]) -> io::Result<Self> {
        Ok(Self { filter: Filter::new(secrets), log: LogFile::open(path, cap)? })
    }

    /// Takes a piece of output.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.log.push(&self.filter.push(bytes));
    }

    /// Takes the end of the output.
    pub(super) fn finish(&mut self) {
        self.log.push(&self.filter.finish());
        self.log.finish();
    }

    /// Bytes left out so far.
    pub(super) fn left_out(&self) -> u64 {
        self.log.left_out()
    }
}

/// What output goes through before it is written. Lets everything pass as it is.
struct Filter;

impl Filter {
    fn new(_secrets: &[String]) -> Self {
        Self
    }

    /// What of it can be written by now; a secret may be cut in two by the border of a piece.
    fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }

    /// What was held back.
    fn finish(&mut self) -> Vec<u8> {
        Vec::new()
    }
}
