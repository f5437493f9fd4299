//! What an invocation was: written beside its log, so that the log can be read when nobody knows the adapter any more. Must
//! not hold anything that the log must not.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::adapter::{Adapter, Parser};
use crate::adapters::process::past;
use crate::engine::ports::{AgentRequest, Ended};

/// Name of the file.
const FILE: &str = "invocation.json";

/// An invocation of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invoked {
    /// Adapter.
    pub adapter: String,
    /// How its output is read.
    pub parser: Parser,
    /// Role.
    pub role: String,
    /// The session it was started with.
    pub session: String,
}

impl Invoked {
    /// What is to be done for a request.
    pub fn of(adapter: &Adapter, request: &AgentRequest) -> Self {
        Self {
            adapter: adapter.name.clone(),
            parser: adapter.parser,
            role: request.role.clone(),
            session: request.session.clone(),
        }
    }
}

/// Writes it into the folder of an invocation.
pub fn write(folder: &Path, invoked: &Invoked) -> io::Result<()> {
    let text = serde_json::to_vec(invoked).map_err(io::Error::other)?;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(FILE))?.write_all(&text)
}

/// An invocation whose files are kept on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Name of its folder: `<number>-<phase>`.
    pub name: String,
    /// Name of the phase.
    pub phase: String,
    /// What it was; `None` for one of an older version.
    pub invoked: Option<Invoked>,
    /// What was printed.
    pub log: PathBuf,
    /// How it ended, where that is known.
    pub ended: Option<Ended>,
}

/// Invocations of an attempt that have a log, oldest first; `state_dir` is `<git common dir>/orchestrate`.
pub fn of_attempt(state_dir: &Path, attempt: &str) -> Vec<Kept> {
    let all = past::invocations(state_dir, attempt).into_iter().map(|found| Kept {
        name: found.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        phase: found.phase,
        invoked: fs::read(found.folder.join(FILE)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()),
        log: found.folder.join("output.log"),
        ended: found.ended,
    });
    all.filter(|kept| kept.log.is_file()).collect()
}
