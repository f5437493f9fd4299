//! What story files said when they were last read, in one file of the state folder: those whose stamp is the same need not be
//! read again. Must not read a story, and is never needed: without it, or with one that is damaged, foreign or of another
//! version, everything is read.
//!
//! It may not make anybody believe what is no longer so. A stamp is all that a file system tells without reading, the
//! time of the last change of status (`ctime`, which no program can set) included; and a file that changed shortly before it was
//! read is not kept at all, because it may change again without a new time, as coarse as clocks of file systems are.

use std::fs::{self, File, Metadata};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::names::Timestamp;
use crate::domain::source::brief::Brief;

/// Name of the file in the state folder.
const FILE: &str = "stories.cache";

/// How the file begins; anything else is ignored.
const FORMAT: &[u8] = b"git-orchestrate stories 1\n";

/// Bytes of the digest that follows.
const DIGEST: usize = 32;

/// A file that is larger is none of ours.
const LARGEST: u64 = 64 << 20;

/// A file whose last change is not longer ago than this when it is read, in milliseconds, is not kept. The coarsest clocks of
/// file systems in use tick every two seconds.
const SETTLED: i64 = 3_000;

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp(u64, u64, u64, i64, i64, i64, i64);

/// One file as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Path relative to the repository root.
    #[serde(rename = "p")]
    pub(super) path: String,
    /// Stamp before it was read.
    #[serde(rename = "s")]
    pub(super) stamp: Stamp,
    /// What it said; `None` when it holds no story.
    #[serde(rename = "b")]
    pub(super) brief: Option<Brief>,
}

/// What is written. `maker` is the program that parsed: another one may read the same file differently.
#[derive(Deserialize)]
struct Body {
    maker: String,
    files: Vec<Kept>,
}

#[derive(Serialize)]
struct Written<'k> {
    maker: &'k str,
    files: &'k [Kept],
}

impl Stamp {
    pub(super) fn of(about: &Metadata) -> Self {
        let (changed, status) = ((about.mtime(), about.mtime_nsec()), (about.ctime(), about.ctime_nsec()));
        Self(about.dev(), about.ino(), about.size(), changed.0, changed.1, status.0, status.1)
    }

    /// Whether every later change of the file gives it another stamp, when reading it began at `now`.
    pub(super) fn is_settled(&self, now: Timestamp) -> bool {
        let last = self.3.max(self.5);
        last.saturating_mul(1_000).saturating_add(1_000 + SETTLED) < now.0
    }
}

/// What is kept in `state_dir`, in the order it was written in; empty when there is nothing of use.
pub(super) fn read(state_dir: &Path) -> Vec<Kept> {
    bytes(state_dir).and_then(|bytes| decode(&bytes, &maker())).unwrap_or_default()
}

/// Keeps `files`, where the state folder is there and can be written to; that it cannot be is nobody's business. Not synced: the
/// digest tells what a power cut left.
pub(super) fn write(state_dir: &Path, files: &[Kept]) {
    // Always the same name, so that no kill leaves more than one behind. Two writers at once spoil each other's file, and the
    // digest tells.
    let new = state_dir.join("stories.cache.new");
    // For its owner only: whoever may not read a story is not to find its title here.
    let Ok(mut file) = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new) else { return };
    let written = file.write_all(&encode(files, &maker())).and_then(|()| fs::rename(&new, state_dir.join(FILE)));
    if written.is_err() {
        drop(fs::remove_file(&new));
    }
}

fn bytes(state_dir: &Path) -> Option<Vec<u8>> {
    let file = File::open(state_dir.join(FILE)).ok()?;
    let about = file.metadata().ok().filter(|about| about.is_file() && about.len() <= LARGEST)?;
    let mut bytes = Vec::with_capacity(usize::try_from(about.len()).ok()? + 1);
    file.take(LARGEST).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn encode(files: &[Kept], maker: &str) -> Vec<u8> {
    let body = serde_json::to_vec(&Written { maker, files }).expect("briefs have only string keys");
    [FORMAT, Sha256::digest(&body).as_slice(), &body].concat()
}

fn decode(bytes: &[u8], maker: &str) -> Option<Vec<Kept>> {
    let (digest, body) = bytes.strip_prefix(FORMAT)?.split_at_checked(DIGEST)?;
    if Sha256::digest(body).as_slice() != digest {
        return None;
    }
    let body: Body = serde_json::from_slice(body).ok()?;
    (body.maker == maker).then_some(body.files)
}

/// This program: its version, and the very file it is, since two builds of one version may parse differently.
fn maker() -> String {
    let program = std::env::current_exe().ok();
    let stamp = program.as_ref().and_then(|program| fs::metadata(program).ok()).map(|about| Stamp::of(&about));
    format!("{} {program:?} {stamp:?}", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
