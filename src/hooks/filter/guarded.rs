//! Which refs are guarded: three names that always are, and those in the file that git-orchestrate keeps in the repository.
//! Must not decide what may become of them.

use std::path::PathBuf;

/// Where the names are, below the git directory that all worktrees share. Written by `adapters/guarded.rs`.
const FILE: &str = "orchestrate/guarded";

/// First line of the file.
const FORMAT: &[u8] = b"git-orchestrate guarded 1";

/// Guarded whatever the file says.
const ALWAYS: [&[u8]; 3] = [b"refs/heads/main", b"refs/heads/master", RECORDS];

const BRANCHES: &[u8] = b"refs/heads/";
const RECORDS: &[u8] = b"refs/orchestrate/";

/// What is guarded here.
pub(super) enum Guarded {
    /// Every branch and every record: there is no file, or none that can be understood.
    Everything,
    /// The lines of the file after the first: full names, and prefixes that end in `/`.
    Names(Vec<u8>),
}

impl Guarded {
    /// Reads the file in that directory.
    pub(super) fn load(common_dir: Option<PathBuf>) -> Self {
        let bytes = common_dir.and_then(|dir| std::fs::read(dir.join(FILE)).ok());
        bytes.and_then(Self::parse).unwrap_or(Self::Everything)
    }

    fn parse(bytes: Vec<u8>) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        (bytes[..end] == *FORMAT).then_some(Self::Names(bytes))
    }

    /// Whether a line of a transaction, `<old> <new> <ref>`, is about a guarded ref. One that cannot be read counts as such.
    pub(super) fn holds(&self, line: &[u8]) -> bool {
        let Some(name) = refname(line) else { return true };
        match self {
            Self::Everything => is_below(name, BRANCHES) || is_below(name, RECORDS),
            Self::Names(text) => ALWAYS.into_iter().chain(lines(text).skip(1)).any(|guarded| covers(guarded, name)),
        }
    }
}

/// Whether a line is about a branch or a record, or cannot be read; no other ref is ever guarded.
pub(super) fn may_be(line: &[u8]) -> bool {
    refname(line).is_none_or(|name| is_below(name, BRANCHES) || is_below(name, RECORDS))
}

/// Lines that are not empty.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

fn refname(line: &[u8]) -> Option<&[u8]> {
    line.splitn(3, |byte| *byte == b' ').nth(2)
}

fn covers(guarded: &[u8], name: &[u8]) -> bool {
    if guarded.ends_with(b"/") { is_below(name, guarded) } else { name.eq_ignore_ascii_case(guarded) }
}

/// Capitals are not told apart: on some file systems `refs/heads/Main` is the file of `refs/heads/main`.
fn is_below(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
