//! What one conversation is about, as a file: written by the invocation, read by this program's `acp-client`. Must not hold
//! the prompt itself.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::places::Facts;

/// One conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Spec {
    /// Program and arguments of the client.
    pub command: Vec<String>,
    /// Working directory of client and session.
    pub directory: PathBuf,
    /// File with the prompt.
    pub prompt: PathBuf,
    /// Session to go on with.
    pub session: Option<String>,
    /// Modes wanted, the first one that the client has; empty = as it comes.
    pub modes: Vec<String>,
    /// Model wanted.
    pub model: Option<String>,
    /// Whether an answer is expected: the result file, or a last message that is one JSON object.
    pub wants_result: bool,
    /// Milliseconds between being asked to end and being killed.
    pub grace_millis: u64,
    /// What requests are judged by.
    pub facts: Facts,
}

impl Spec {
    /// Writes it where nothing is yet, readable by the user only.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(self)?;
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(&bytes)
    }

    /// Reads one.
    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }
}
