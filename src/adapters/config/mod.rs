//! Configuration: settings in layers (built-in < user file < `.orchestrate.toml` < environment; flags are the caller's), and the
//! gate policy, which is read only from the target's tip. Must not print; wrong input is returned as diagnostics.

mod document;
mod environment;
mod policy;
pub mod prompts;
mod reader;
mod settings;
pub mod target;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use document::Document;
use settings::Layer;

use crate::domain::diagnostic::{Diagnostic, Place};
use crate::domain::settings::Settings;

pub use environment::VARIABLES;
pub use policy::{differences, has_errors, policy};

/// Name of the repository's configuration file, at the root.
pub const FILE: &str = ".orchestrate.toml";

/// The commented configuration file that `init` writes.
pub const DEFAULT_FILE: &str = include_str!("default.toml");

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The user's file, whether it exists or not.
    pub user: Option<PathBuf>,
    /// `.orchestrate.toml` of the work tree, whether it exists or not.
    pub repository: PathBuf,
    /// The folder of the user's own prompts.
    pub prompts: Option<PathBuf>,
    /// Variables that begin with `GIT_ORCHESTRATE_`.
    pub variables: BTreeMap<String, String>,
}

/// Settings and what was wrong with their sources.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The resolved settings, without flags.
    pub settings: Settings,
    /// Errors start nothing.
    pub diagnostics: Vec<Diagnostic>,
    /// Content of the work tree's `.orchestrate.toml`; `None` when there is none.
    pub repository_file: Option<Vec<u8>>,
}

impl Sources {
    /// The real ones of this process, for a repository root.
    #[expect(clippy::disallowed_methods, reason = "GIT_ORCHESTRATE_* variables are a layer of the settings")]
    pub fn of(root: &Path) -> Self {
        let user = directories::ProjectDirs::from("", "", "git-orchestrate");
        let text = |name: std::ffi::OsString, value: std::ffi::OsString| {
            let name = name.into_string().ok().filter(|name| name.starts_with(environment::PREFIX))?;
            Some((name, value.to_string_lossy().into_owned()))
        };
        Self {
            prompts: user.as_ref().map(|dirs| dirs.config_dir().join("prompts")),
            user: user.map(|dirs| dirs.config_dir().join("config.toml")),
            repository: root.join(FILE),
            variables: std::env::vars_os().filter_map(|(name, value)| text(name, value)).collect(),
        }
    }
}

/// Resolves the settings from their sources. A missing file is no error; an unreadable one is.
pub fn load(sources: &Sources) -> Loaded {
    let mut settings = Settings::default();
    let mut diagnostics = Vec::new();
    if let Some(user) = &sources.user {
        let name = user.display().to_string();
        let bytes = read(user, &name, &mut diagnostics);
        apply(&name, bytes.as_deref(), Layer::User, &mut settings, &mut diagnostics);
    }
    let repository_file = read(&sources.repository, FILE, &mut diagnostics);
    apply(FILE, repository_file.as_deref(), Layer::Repository, &mut settings, &mut diagnostics);
    diagnostics.extend(environment::apply(&sources.variables, &mut settings));
    Loaded { settings, diagnostics, repository_file }
}

fn apply(name: &str, bytes: Option<&[u8]>, layer: Layer, settings: &mut Settings, diagnostics: &mut Vec<Diagnostic>) {
    match bytes.map(|bytes| Document::open(name, bytes)) {
        None => {}
        Some(Ok(document)) => diagnostics.extend(settings::apply(&document, layer, settings)),
        Some(Err(diagnostic)) => diagnostics.push(*diagnostic),
    }
}

fn read(path: &Path, name: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Vec<u8>> {
    let refuse = |message: String| Some(Diagnostic::error("config", message).at(Place::file(name)));
    let refused = match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => refuse(format!("cannot read: {error}")),
        // A fifo would block for ever.
        Ok(found) if !found.is_file() => refuse("not a regular file".to_owned()),
        Ok(_) => match std::fs::read(path) {
            Ok(bytes) => return Some(bytes),
            Err(error) => refuse(format!("cannot read: {error}")),
        },
    };
    diagnostics.extend(refused);
    None
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
