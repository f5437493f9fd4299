//! What git's configuration says about hooks in one worktree. Must not change it.

use std::path::{Path, PathBuf};

use crate::adapters::git::admin;
use crate::adapters::git::cli::{failed, output};
use crate::adapters::git::repo::Repo;
use crate::adapters::process::spawn;
use crate::engine::ports::PortError;

/// Key that says where git looks for hooks, as git spells it in its answers.
pub(super) const HOOKS_PATH: &str = "core.hookspath";
/// Key that keeps a `core.hooksPath` of the worktree's own that ours took the place of.
pub(super) const PREVIOUS: &str = "orchestrate.previoushookspath";

/// A worktree, the main one included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its private git directory.
    pub(super) git_dir: PathBuf,
    /// Its top, which relative hooks paths begin at.
    pub(super) top: PathBuf,
}

/// One line of configuration that is in effect there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// `system`, `global`, `local`, `worktree` or `command` (the environment or `git -c`).
    pub(super) scope: String,
    /// The file, or `command line`.
    pub(super) origin: String,
    /// Lower case but for the middle part.
    pub(super) key: String,
    /// Its value; `true` where none is written.
    pub(super) value: String,
}

impl Place {
    /// The main worktree and all linked ones that git can use.
    pub(super) fn all(repo: &Repo) -> Result<Vec<Self>, PortError> {
        let main = Self { git_dir: repo.common_dir().to_owned(), top: repo.root().to_owned() };
        let linked = admin::entries(repo)?.into_iter().filter(|entry| entry.whole);
        let linked = linked.filter_map(|entry| Some(Self { top: entry.path?, git_dir: entry.dir }));
        Ok(std::iter::once(main).chain(linked).collect())
    }

    /// Its configuration file, which is read with `extensions.worktreeConfig` only.
    pub(super) fn config(&self) -> PathBuf {
        self.git_dir.join("config.worktree")
    }

    /// Every value of the keys that match, the strongest last. Paths have `~` resolved.
    pub(super) fn settings(&self, repo: &Repo, keys: &str, paths: bool) -> Result<Vec<Setting>, PortError> {
        let mut git = spawn::command("git");
        git.current_dir(&self.git_dir).env("GIT_DIR", &self.git_dir).env("GIT_COMMON_DIR", repo.common_dir());
        for name in ["GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"] {
            // What the caller put over the files decides whether its hooks run: it is shown, not hidden.
            std::env::var_os(name).map(|value| git.env(name, value));
        }
        git.args(["config", "-z", "--show-scope", "--show-origin"]);
        git.args(paths.then_some("--type=path")).args(["--get-regexp", keys]);
        let answer = output(&mut git)?;
        match answer.status.code() {
            Some(0) => Ok(parse(&answer.stdout)),
            Some(1) => Ok(Vec::new()),
            _ => Err(failed(&git, &answer)),
        }
    }

    /// Values of `core.hooksPath` and of the key that keeps an earlier one.
    pub(super) fn hook_paths(&self, repo: &Repo) -> Result<Vec<Setting>, PortError> {
        self.settings(repo, r"^(core\.hookspath|orchestrate\.previoushookspath)$", true)
    }

    /// The folder that git reads hooks from.
    pub(super) fn folder_in_effect(&self, repo: &Repo, paths: &[Setting]) -> PathBuf {
        let last = paths.iter().rfind(|found| found.key == HOOKS_PATH);
        self.resolved(repo, last.map(|found| found.value.as_str()))
    }

    /// The folder that git would read them from without our setting, `ours`.
    pub(super) fn folder_without(&self, repo: &Repo, paths: &[Setting], ours: &Path) -> PathBuf {
        let mut others = paths.iter().filter(|found| found.scope != "command" && !is_ours(&found.value, ours));
        self.resolved(repo, others.next_back().map(|found| found.value.as_str()))
    }

    /// A hooks path as git understands it here: `None` is the repository's own folder.
    fn resolved(&self, repo: &Repo, path: Option<&str>) -> PathBuf {
        match path.filter(|path| !path.is_empty()) {
            None => repo.common_dir().join("hooks"),
            Some(path) => admin::real(self.top.join(path)),
        }
    }
}

/// Whether a hooks path is the folder of dispatchers, here or where the repository lay before it was moved.
pub(super) fn is_ours(path: &str, ours: &Path) -> bool {
    let path = Path::new(path);
    path == ours || path.ends_with("orchestrate/hooks") && !path.is_dir()
}

/// Reads `scope NUL origin NUL key LF value NUL` triples.
fn parse(bytes: &[u8]) -> Vec<Setting> {
    let text = String::from_utf8_lossy(bytes);
    let fields: Vec<&str> = text.split('\0').collect();
    let settings = fields.chunks_exact(3).map(|triple| {
        let (key, value) = triple[2].split_once('\n').unwrap_or((triple[2], "true"));
        let origin = triple[1].strip_prefix("file:").unwrap_or(triple[1]);
        Setting {
            scope: triple[0].to_owned(),
            origin: origin.trim_end_matches(':').to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
        }
    });
    settings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_with_line_ends_in_values_and_keys_without_one() {
        let found = parse(b"local\0file:.git/config\0hook.a.command\na\nb\0command\0command line:\0hook.a.enabled\0");
        let seen: Vec<_> =
            found.iter().map(|one| (one.scope.as_str(), one.origin.as_str(), one.value.as_str())).collect();
        assert_eq!(seen, [("local", ".git/config", "a\nb"), ("command", "command line", "true")]);
    }
}
