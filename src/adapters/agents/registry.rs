//! All adapters: the embedded ones, and what the configuration lays over them or adds. Must not run anything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::adapter::{Adapter, assemble};
use super::effective::Effective;
use super::form::{Layer, Source};
use crate::domain::diagnostic::{Diagnostic, Place};
use crate::domain::settings::{AdapterText, SandboxKind, Settings};

/// Embedded adapters, in the order in which a default is chosen among installed ones. `command` is what a program of the
/// user's own is built on; `demo` is last because it only shows how things work.
const EMBEDDED: [(&str, &str, &str); 17] = [
    ("claude", "built-in claude.toml", include_str!("claude.toml")),
    ("codex", "built-in codex.toml", include_str!("codex.toml")),
    ("gemini", "built-in gemini.toml", include_str!("gemini.toml")),
    ("opencode", "built-in opencode.toml", include_str!("opencode.toml")),
    ("qwen", "built-in qwen.toml", include_str!("qwen.toml")),
    ("copilot", "built-in copilot.toml", include_str!("copilot.toml")),
    ("goose", "built-in goose.toml", include_str!("goose.toml")),
    ("aider", "built-in aider.toml", include_str!("aider.toml")),
    ("claude-acp", "built-in claude-acp.toml", include_str!("claude-acp.toml")),
    ("codex-acp", "built-in codex-acp.toml", include_str!("codex-acp.toml")),
    ("gemini-acp", "built-in gemini-acp.toml", include_str!("gemini-acp.toml")),
    ("opencode-acp", "built-in opencode-acp.toml", include_str!("opencode-acp.toml")),
    ("copilot-acp", "built-in copilot-acp.toml", include_str!("copilot-acp.toml")),
    ("qwen-acp", "built-in qwen-acp.toml", include_str!("qwen-acp.toml")),
    ("acp", "built-in acp.toml", include_str!("acp.toml")),
    (COMMAND, "built-in command.toml", include_str!("command.toml")),
    ("demo", "built-in demo.toml", include_str!("demo.toml")),
];

/// The adapter that a program of the user's own is built on.
const COMMAND: &str = "command";

/// `bin` of an adapter that is this program itself.
pub(super) const SELF: &str = "{self}";

/// The adapters of one invocation.
#[derive(Clone, Debug)]
pub struct Registry {
    adapters: BTreeMap<String, (Adapter, Effective)>,
    order: Vec<String>,
}

impl Registry {
    /// Builds all adapters. Findings name file, line and column of the user's own file.
    pub fn load(settings: &Settings) -> Result<Self, Vec<Diagnostic>> {
        let mut registry = Self { adapters: BTreeMap::new(), order: Vec::new() };
        let mut findings = Vec::new();
        let own = settings.adapters.keys().filter(|name| embedded(name).is_none());
        let order = own.map(String::as_str).chain(EMBEDDED.map(|(name, ..)| name));
        for name in order {
            let texts = settings.adapters.get(name).map(Vec::as_slice).unwrap_or_default();
            match build(name, texts, settings.sandbox) {
                Ok(built) => {
                    registry.order.push(name.to_owned());
                    registry.adapters.insert(name.to_owned(), built);
                }
                Err(wrong) => findings.extend(wrong),
            }
        }
        if findings.is_empty() { Ok(registry) } else { Err(findings) }
    }

    /// Names of all adapters: the user's own first, then the embedded ones.
    pub fn names(&self) -> Vec<&str> {
        self.order.iter().map(String::as_str).collect()
    }

    /// Whether there is an adapter of that name.
    pub fn known(&self, name: &str) -> bool {
        self.adapters.contains_key(name)
    }

    /// The adapter of that name.
    pub fn adapter(&self, name: &str) -> Option<&Adapter> {
        self.adapters.get(name).map(|(adapter, _)| adapter)
    }

    /// Where each key of that adapter came from.
    pub fn effective(&self, name: &str) -> Option<&Effective> {
        self.adapters.get(name).map(|(_, effective)| effective)
    }

    /// Names of adapters whose program is there, in the order of `names`; `demo` always is. A path with a `/` is taken from
    /// `root`, the main worktree: a program in the worktree of a story could be changed by the story.
    pub fn installed(&self, root: &Path) -> Vec<&str> {
        self.names().into_iter().filter(|name| self.program(name, root, Path::new("/")).is_some()).collect()
    }

    /// Absolute path of an adapter's program; `program` is this program itself.
    pub fn program(&self, name: &str, root: &Path, program: &Path) -> Option<PathBuf> {
        let bin = self.adapter(name)?.bin.as_str();
        match bin {
            "" => None,
            SELF => Some(program.to_owned()),
            bin => which::which_in(bin, std::env::var_os("PATH"), root).ok(),
        }
    }
}

fn embedded(name: &str) -> Option<Source<'static>> {
    EMBEDDED.iter().find(|(known, ..)| *known == name).map(|(_, path, text)| Source { path, text, table: None })
}

/// An adapter of the files that describe it, the lowest first.
fn build(name: &str, texts: &[AdapterText], kind: SandboxKind) -> Result<(Adapter, Effective), Vec<Diagnostic>> {
    if name.is_empty() || name.contains([':', '/']) || name.chars().any(char::is_control) {
        let message = format!("`{}` is no name for an agent", name.escape_debug());
        return Err(vec![Diagnostic::error("bad-adapter-name", message)]);
    }
    let mut layers = Vec::new();
    for text in texts.iter().rev() {
        layers.push(Layer::parse(Source { path: &text.path, text: &text.text, table: Some(name) })?);
    }
    let like = layers.iter().find_map(Layer::like).map(|(name, place)| (name.to_owned(), place));
    let below = match &like {
        Some((like, place)) => embedded(like).ok_or_else(|| {
            let known = EMBEDDED.map(|(name, ..)| name).join(", ");
            let message = format!("`like` names `{like}`, which is no built-in adapter");
            vec![Diagnostic::error("unknown-adapter", message).at(place.clone()).hint(format!("one of {known}"))]
        })?,
        None => embedded(name).or_else(|| embedded(COMMAND)).expect("the adapter `command` is embedded"),
    };
    if like.is_none() && embedded(name).is_none() && !layers.iter().any(Layer::has_program) {
        let hint = "give it `command = [\"program\", \"argument\"]`, or `like = \"claude\"`";
        let path = texts.last().map_or("", |text| text.path.as_str());
        let message = format!("agent `{name}` has no program: `[agents.{name}]`");
        return Err(vec![Diagnostic::error("no-program", message).at(Place::file(path)).hint(hint)]);
    }
    layers.push(Layer::parse(below)?);
    let adapter = assemble(name, &layers, kind)?;
    let effective = Effective::of(&layers, &adapter);
    Ok((adapter, effective))
}
