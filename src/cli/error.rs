//! The one error type of the command line: what failed, why, what to do, and the exit code. Must not print.

use std::error::Error;

use super::exit::Exit;
use crate::engine::ports::{LedgerError, PortError};

/// What sort of failure it is; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Arguments, configuration or stories are invalid, or this is no place to run in; nothing was started (2).
    Usage,
    /// An operation failed (1).
    Operation,
    /// The gate refused (3).
    Gate,
    /// A fault of ours (70).
    Internal,
    /// Whoever read our output went away (141, silent).
    BrokenPipe,
}

/// A failed command, ready to be shown as `error:`, `Caused by:` and `hint:` lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandError {
    /// What sort of failure.
    pub kind: Kind,
    /// Lower-case sentence without a final period.
    pub message: String,
    /// Causes, nearest first.
    pub causes: Vec<String>,
    /// The command or setting that helps.
    pub hint: Option<String>,
}

impl CommandError {
    /// An error without causes and hint.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), causes: Vec::new(), hint: None }
    }

    /// Invalid usage or input (2).
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// A failed operation (1).
    pub fn operation(message: impl Into<String>) -> Self {
        Self::new(Kind::Operation, message)
    }

    /// Invalid input that a port found: the same text, but nothing was started (2).
    pub fn invalid(error: impl Into<Self>) -> Self {
        Self { kind: Kind::Usage, ..error.into() }
    }

    /// Sets the hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds an error and everything it was caused by.
    #[must_use]
    pub fn because(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(cause) = next {
            self.causes.push(cause.to_string());
            next = cause.source();
        }
        self
    }

    /// Says what to do about a full disk, whoever met it and wherever.
    fn or_disk_hint(mut self) -> Self {
        let mut said = std::iter::once(&self.message).chain(&self.causes);
        if said.any(|text| FULL.iter().any(|full| text.contains(full))) {
            self.hint = Some("the disk is full: make room on it, then: git orchestrate resume".to_owned());
        }
        self
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self.kind {
            Kind::Usage => Exit::USAGE,
            Kind::Operation => Exit::FAILED,
            Kind::Gate => Exit::REFUSED,
            Kind::Internal => Exit::INTERNAL,
            // What a program gets that does not ignore SIGPIPE (13).
            Kind::BrokenPipe => Exit::signal(13),
        }
    }
}

impl From<PortError> for CommandError {
    fn from(error: PortError) -> Self {
        let PortError { message, hint, source } = error;
        let command_error = Self { hint, ..Self::operation(message) };
        match source {
            Some(source) => command_error.because(source.as_ref()),
            None => command_error,
        }
        .or_disk_hint()
    }
}

/// What the system and git say of a full disk.
const FULL: [&str; 2] = ["No space left on device", "Disk quota exceeded"];

impl From<LedgerError> for CommandError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Port(error) | LedgerError::Locked(error) | LedgerError::Gone(error) => error.into(),
            LedgerError::Unreadable { .. } => Self::operation(error.to_string())
                .hint("git orchestrate doctor shows what is wrong with the record, --fix goes back to what is sound"),
            LedgerError::Rejected(_) | LedgerError::TargetMoved { .. } => Self::operation(error.to_string()),
        }
    }
}

impl From<std::io::Error> for CommandError {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::new(Kind::BrokenPipe, "the reader of standard output went away");
        }
        Self::operation(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_error_keeps_message_hint_and_causes() {
        let port = PortError::new("cannot open the ledger").hint("git fsck").because(std::io::Error::other("disk"));
        let error = CommandError::from(port);
        assert_eq!(error.exit(), Exit::FAILED);
        assert_eq!(error.causes, ["disk"]);
        assert_eq!(error.hint.as_deref(), Some("git fsck"));
        assert_eq!(CommandError::invalid(error).exit(), Exit::USAGE);
    }

    #[test]
    fn a_full_disk_is_named_whatever_else_the_error_says() {
        let port = PortError::new("cannot write object 1a2b3c4")
            .hint("git fsck")
            .because(std::io::Error::from_raw_os_error(28));
        let error = CommandError::from(port);
        assert!(error.hint.is_some_and(|hint| hint.starts_with("the disk is full")));
        let by_git = CommandError::from(PortError::new("git update-ref refused: x.lock: No space left on device"));
        assert!(by_git.hint.is_some_and(|hint| hint.starts_with("the disk is full")));
    }

    #[test]
    fn a_closed_pipe_ends_like_sigpipe() {
        let error = CommandError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!((error.kind, error.exit().code()), (Kind::BrokenPipe, 141));
    }
}
