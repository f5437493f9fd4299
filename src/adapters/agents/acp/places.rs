//! Where an agent may write, and where a command stands. Must not look at the disk: paths are taken as they are written, and
//! what only a shell would know is unseen.

use serde::{Deserialize, Serialize};

use super::words::UNKNOWN;

/// What the policy is judged by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Facts {
    /// Whether the agent reviews: it then changes nothing.
    pub reviewer: bool,
    /// The worktree, absolute.
    pub worktree: String,
    /// Main worktree of the repository, absolute.
    pub root: String,
    /// Common git directory, absolute.
    pub git_common_dir: String,
    /// Short name of the story's branch.
    pub branch: String,
    /// Short names of the repository's branches.
    pub branches: Vec<String>,
    /// The result file; empty when none is wanted.
    pub result: String,
    /// Folders for temporary files.
    pub scratch: Vec<String>,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Into the worktree; the absolute path.
    Worktree(String),
    /// To temporary files.
    Scratch,
    /// To anything else.
    Elsewhere,
    /// It cannot be seen.
    Unseen,
}

impl Place {
    /// Where `cd path` leads from here.
    pub(super) fn go(&self, path: &str, facts: &Facts) -> Self {
        match self {
            Self::Worktree(here) => facts.place(here, path),
            Self::Scratch | Self::Elsewhere | Self::Unseen if path.starts_with('/') || path.starts_with('$') => {
                facts.place("/", path)
            }
            Self::Scratch => {
                if path.contains("..") {
                    Self::Elsewhere
                } else {
                    Self::Scratch
                }
            }
            other => other.clone(),
        }
    }
}

impl Facts {
    /// Where a path leads that is written by a command that stands at `here`.
    pub(super) fn place(&self, here: &str, path: &str) -> Place {
        let path = self.known_variables(path);
        if path.starts_with('~') || path.starts_with("$HOME") || path.starts_with("${HOME}") {
            return Place::Elsewhere;
        }
        if path.contains(['$', UNKNOWN]) {
            return Place::Unseen;
        }
        let path = plain(here, &path);
        if within(&path, &self.worktree) || (!self.result.is_empty() && path == self.result) {
            return Place::Worktree(path);
        }
        // The repository may lie among temporary files itself.
        let ours = [&self.root, &self.git_common_dir].iter().any(|folder| !folder.is_empty() && within(&path, folder));
        let scratch = self.scratch.iter().any(|folder| within(&path, folder));
        if scratch && !ours { Place::Scratch } else { Place::Elsewhere }
    }

    /// Whether an agent may write there. A reviewer only its answer and temporary files.
    pub(super) fn may_write(&self, here: &Place, path: &str) -> bool {
        if ["/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty"].contains(&path) {
            return true;
        }
        match here.go(path, self) {
            Place::Worktree(path) => !self.reviewer || path == self.result,
            Place::Scratch => true,
            // A loop's variable is no mistake.
            Place::Unseen => !self.reviewer,
            Place::Elsewhere => false,
        }
    }

    fn known_variables(&self, path: &str) -> String {
        let known = [
            ("ORCHESTRATE_RESULT", self.result.as_str()),
            ("ORCHESTRATE_WORKTREE", &self.worktree),
            ("PWD", &self.worktree),
        ];
        let mut path = path.to_owned();
        for (name, value) in known.into_iter().filter(|(_, value)| !value.is_empty()) {
            path = path.replace(&format!("${{{name}}}"), value);
            if let Some(rest) =
                path.strip_prefix(&format!("${name}")).filter(|rest| rest.is_empty() || rest.starts_with('/'))
            {
                path = format!("{value}{rest}");
            }
        }
        path
    }
}

/// An absolute path without `.` and `..`.
fn plain(here: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{here}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn within(path: &str, folder: &str) -> bool {
    !folder.is_empty() && path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
