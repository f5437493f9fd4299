//! The `git update-ref --stdin -z` child: how it is started and spoken to. Must not know which refs are moved, or why.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Stdio};

use super::cli;
use super::repo::Repo;
use crate::engine::ports::PortError;

/// Milliseconds that a write waits for the lock of one ref, of packed-refs, or of a reftable stack.
const LOCK_TIMEOUT: u32 = 10_000;

/// A running child.
pub(super) struct Session {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    stderr: ChildStderr,
}

/// How a transaction ended in the child.
pub(super) enum Exchange {
    /// Done; the child goes on.
    Committed(Session),
    /// Git said no and ended.
    Refused(String),
    /// The child ended after it was told to commit.
    Unknown(String),
    /// The child was gone before it was asked for anything.
    Died(String),
}

impl Session {
    /// Starts one.
    pub(super) fn spawn(repo: &Repo) -> Result<Self, PortError> {
        let mut command = cli::git(repo);
        command
            .args(["-c", &format!("core.filesRefLockTimeout={LOCK_TIMEOUT}")])
            .args(["-c", &format!("core.packedRefsTimeout={LOCK_TIMEOUT}")])
            .args(["-c", &format!("reftable.lockTimeout={LOCK_TIMEOUT}")])
            // Synced before the rename: a ref file is never seen empty after a power cut.
            .args(["-c", "core.fsync=reference"])
            .args(["update-ref", "-m", "git-orchestrate", "--stdin", "-z"])
            .envs([("GIT_COMMITTER_NAME", "git-orchestrate"), ("GIT_COMMITTER_EMAIL", "git-orchestrate@localhost")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C at the terminal is for us: the child ends with its input, after what it was told is done.
            .process_group(0);
        let mut child =
            command.spawn().map_err(|error| PortError::new("git update-ref cannot be started").because(error))?;
        let missing = || PortError::new("git update-ref has no pipe");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = BufReader::new(child.stdout.take().ok_or_else(missing)?);
        let stderr = child.stderr.take().ok_or_else(missing)?;
        Ok(Self { child, stdin, stdout, stderr })
    }

    /// Process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends `start` and the updates with `prepare`, and only when git holds all locks `commit`.
    pub(super) fn exchange(mut self, request: &[u8]) -> Exchange {
        if !(self.send(b"start\0") && self.hears("start: ok")) {
            return Exchange::Died(self.last_words());
        }
        if !(self.send(request) && self.send(b"prepare\0") && self.hears("prepare: ok")) {
            return Exchange::Refused(self.last_words());
        }
        if self.send(b"commit\0") && self.hears("commit: ok") {
            return Exchange::Committed(self);
        }
        Exchange::Unknown(self.last_words())
    }

    fn send(&mut self, bytes: &[u8]) -> bool {
        self.stdin.write_all(bytes).and_then(|()| self.stdin.flush()).is_ok()
    }

    fn hears(&mut self, expected: &str) -> bool {
        let mut line = String::new();
        self.stdout.read_line(&mut line).is_ok() && line.trim_end() == expected
    }

    /// End of input is how the child learns that nothing more comes; it holds no lock between transactions.
    pub(super) fn end(self) {
        let Self { mut child, stdin, .. } = self;
        drop(stdin);
        let _ = child.wait();
    }

    fn last_words(mut self) -> String {
        drop(self.stdin);
        let mut said = Vec::new();
        // What cannot be read is not said; the exit is what counts.
        let _ = self.stderr.by_ref().take(8_192).read_to_end(&mut said);
        let _ = self.child.wait();
        cli::shown(&said)
    }
}
