//! What an agent could change so that git runs programs of its choice, or goes elsewhere: settings that name programs, hooks,
//! attributes outside of commits, the files that tie a worktree to the repository. Must not run or change any of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use super::repo::Repo;
use super::{admin, cli};
use crate::domain::tamper::{ATTRIBUTES, Words};
use crate::engine::ports::{PortError, Surroundings, WorktreeSpec};

/// Settings whose value git runs, or that bring in others. A pattern is matched part by part: `*` stands for any middle part
/// (which may have dots), and at the end for any last part.
const PROGRAMS: [&str; 34] = [
    "core.hookspath",
    "core.fsmonitor",
    "core.sshcommand",
    "core.editor",
    "core.pager",
    "core.askpass",
    "core.gitproxy",
    "core.attributesfile",
    "core.alternaterefscommand",
    "core.worktree",
    "sequence.editor",
    "interactive.difffilter",
    "init.templatedir",
    "extensions.worktreeconfig",
    "pager.*",
    "alias.*",
    "hook.*",
    "filter.*",
    "include.path",
    "includeif.*.path",
    "diff.external",
    "diff.*.command",
    "diff.*.textconv",
    "merge.*.driver",
    "gpg.program",
    "gpg.*.program",
    "credential.helper",
    "credential.*.helper",
    "remote.*.uploadpack",
    "remote.*.receivepack",
    "submodule.*.update",
    "trailer.*.command",
    "trailer.*.cmd",
    "protocol.ext.allow",
];

/// Larger files are told apart by their size.
const LARGE: u64 = 16 * 1024 * 1024;

/// The repository's surroundings.
#[derive(Clone, Debug)]
pub struct GitSurroundings {
    repo: Repo,
}

impl GitSurroundings {
    /// Of `repo`.
    pub fn new(repo: &Repo) -> Self {
        Self { repo: repo.clone() }
    }

    /// Folders inside the repository that git reads hooks from, or would with another setting.
    fn hook_folders(&self, settings: &Words) -> Vec<PathBuf> {
        let common = self.repo.common_dir();
        let mut folders = vec![common.join("hooks"), self.repo.state_dir().join("hooks")];
        let named = settings.get("core.hookspath").into_iter().flat_map(|text| text.split('\n'));
        // A folder in the work tree belongs to the branch that is checked out, and changes with it.
        folders.extend(named.map(PathBuf::from).filter(|path| path.starts_with(common)));
        folders.sort();
        folders.dedup();
        folders
    }
}

impl Surroundings for GitSurroundings {
    fn programs(&self) -> Result<Words, PortError> {
        let mut command = cli::git(&self.repo);
        command.args(["config", "--list", "-z", "--show-scope"]);
        let mut words = settings(&mut command, true)?;
        for folder in self.hook_folders(&words) {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if !name.ends_with(".sample") {
                    let place = folder.strip_prefix(self.repo.common_dir()).unwrap_or(&folder).join(name);
                    words.insert(place.display().to_string(), describe(&entry.path()));
                }
            }
        }
        // A graft hides commits from whoever compares.
        for name in [ATTRIBUTES, "info/grafts"] {
            let path = self.repo.common_dir().join(name);
            if path.symlink_metadata().is_ok() {
                words.insert(name.to_owned(), describe(&path));
            }
        }
        Ok(words)
    }

    fn ties(&self, spec: &WorktreeSpec) -> Result<Words, PortError> {
        let mut words = Words::new();
        if !spec.path.is_dir() {
            return Ok(words);
        }
        words.insert(".git".to_owned(), text_of(&spec.path.join(".git")));
        let Some(entry) = admin::entry_of(&self.repo, &spec.path)? else { return Ok(words) };
        for name in ["gitdir", "commondir"] {
            words.insert(name.to_owned(), text_of(&entry.dir.join(name)));
        }
        let own = entry.dir.join("config.worktree");
        if own.is_file() {
            let mut command = cli::git(&self.repo);
            command.args(["config", "--list", "-z", "--no-includes", "--file"]).arg(&own);
            words.extend(settings(&mut command, false)?);
        }
        Ok(words)
    }
}

/// The settings that name programs; several values of one key are put on a line each. What git cannot read is a word too.
fn settings(command: &mut Command, scoped: bool) -> Result<Words, PortError> {
    let output = cli::output(command)?;
    let mut words = Words::new();
    if !output.status.success() {
        words.insert("include".to_owned(), format!("unreadable: {}", cli::shown(&output.stderr)));
        return Ok(words);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut parts = text.split('\0').filter(|part| !part.is_empty());
    loop {
        let scope = if scoped { parts.next() } else { Some("file") };
        let (Some(scope), Some(entry)) = (scope, parts.next()) else { break };
        let (key, value) = entry.split_once('\n').unwrap_or((entry, "true"));
        // Our own `-c`.
        if scope == "command" || !names_program(key) {
            continue;
        }
        let known = words.entry(key.to_owned()).or_default();
        known.push_str(if known.is_empty() { "" } else { "\n" });
        known.push_str(value);
    }
    Ok(words)
}

/// Whether git runs the value of a key.
fn names_program(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    PROGRAMS.iter().any(|pattern| match pattern.split_once('*') {
        None => key == *pattern,
        Some((start, end)) => key.len() > start.len() + end.len() && key.starts_with(start) && key.ends_with(end),
    })
}

fn text_of(path: &Path) -> String {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() && found.len() < 4_096 => fs::read(path)
            .map_or_else(|error| error.to_string(), |text| String::from_utf8_lossy(&text).trim().to_owned()),
        Ok(_) | Err(_) => describe(path),
    }
}

/// What a file is, without its content.
fn describe(path: &Path) -> String {
    let Ok(found) = fs::symlink_metadata(path) else { return "absent".to_owned() };
    if found.is_symlink() {
        return fs::read_link(path).map_or_else(|error| error.to_string(), |to| format!("link to {}", to.display()));
    }
    if !found.is_file() {
        return if found.is_dir() { "folder".to_owned() } else { "special file".to_owned() };
    }
    let kind = if found.permissions().mode() & 0o111 == 0 { "file" } else { "program" };
    if found.len() > LARGE {
        return format!("{kind} of {} bytes", found.len());
    }
    match fs::read(path) {
        Ok(bytes) => {
            let digest =
                Sha256::digest(&bytes).iter().take(6).fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
            format!("{kind} {digest}")
        }
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_run_programs_are_told_from_the_others() {
        for key in ["core.hooksPath", "filter.a.b.clean", "alias.co", "includeIf.gitdir:/x.path", "diff.x.textconv"] {
            assert!(names_program(key), "{key}");
        }
        for key in ["user.name", "remote.origin.url", "branch.main.remote", "core.bare", "diff.renames", "diff.command"]
        {
            assert!(!names_program(key), "{key}");
        }
    }
}
