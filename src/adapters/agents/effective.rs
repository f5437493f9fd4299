//! The keys of an adapter as they are in force, and where each came from. Must not decide which of them wins: the layers'
//! order does, and `adapter.rs` reads them by the same rule.

use super::adapter::Adapter;
use super::form::{KEYS, Layer};

/// One key in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Its dotted name; the last part of `env.set.` and `exit_codes.` is the entry's own.
    pub name: String,
    /// Its value.
    pub value: toml::Value,
    /// File that it came from.
    pub path: String,
    /// Line there, from 1; 0 where the file as a whole says it.
    pub line: u32,
}

/// An adapter as it is in force.
#[derive(Clone, Debug, Default)]
pub struct Effective {
    /// Its keys, in the order of the documentation.
    pub keys: Vec<Key>,
}

/// Keys that say which program runs, and how.
const STARTING: [&str; 6] = ["command", "bin", "args", "version_args", "env.set.", "like"];

impl Effective {
    pub(super) fn of(layers: &[Layer<'_>], adapter: &Adapter) -> Self {
        let mut keys: Vec<Key> = Vec::new();
        for layer in layers {
            for set in &layer.sets {
                if keys.iter().all(|key| key.name != set.key) {
                    let (name, value) = (set.key.clone(), set.value.clone());
                    keys.push(Key { name, value, path: layer.source.path.to_owned(), line: set.line });
                }
            }
        }
        drop_losers(&mut keys, layers);
        if !adapter.own_sandbox {
            let kind = match adapter.sandbox.kind {
                crate::domain::settings::SandboxKind::None => "none",
                crate::domain::settings::SandboxKind::Landlock => "landlock",
                crate::domain::settings::SandboxKind::Bwrap => "bwrap",
            };
            let path = "[agents] sandbox".to_owned();
            keys.push(Key { name: "sandbox.kind".to_owned(), value: kind.into(), path, line: 0 });
        }
        keys.sort_by_key(|key| rank(&key.name));
        Self { keys }
    }

    /// A key by its name.
    pub fn key(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Whether a file says which program runs, or how.
    pub fn program_from(&self, path: &str) -> bool {
        let starting = |key: &&Key| {
            STARTING.iter().any(|name| key.name == *name || name.ends_with('.') && key.name.starts_with(name))
        };
        self.keys.iter().filter(starting).any(|key| key.path == path)
    }

    /// As TOML, with a comment behind each key where it came from. Read again it is the same adapter.
    pub fn toml(&self) -> String {
        let line = |key: &Key| {
            let from = if key.line == 0 || key.path.starts_with("built-in") {
                key.path.clone()
            } else {
                format!("{}:{}", key.path, key.line)
            };
            format!("{} = {}  # {}\n", quoted(&key.name), key.value, crate::domain::diagnostic::escape_line(&from))
        };
        self.keys.iter().map(line).collect()
    }
}

/// `command` stands for `bin` and `args` together: what lies below the one that wins is not in force.
fn drop_losers(keys: &mut Vec<Key>, layers: &[Layer<'_>]) {
    let above =
        |names: &[&str]| layers.iter().position(|layer| layer.sets.iter().any(|set| names.contains(&set.key.as_str())));
    let Some(command) = above(&["command"]) else { return };
    if above(&["bin", "args"]).is_none_or(|other| command <= other) {
        keys.retain(|key| key.name != "bin" && key.name != "args");
    } else {
        keys.retain(|key| key.name != "command");
    }
}

/// The place of a key in the documentation, then its own name.
fn rank(name: &str) -> (usize, String) {
    let of = |known: &&str| *known == name || known.ends_with('.') && name.starts_with(*known);
    (KEYS.iter().position(of).unwrap_or(KEYS.len()), name.to_owned())
}

/// A dotted name whose last part may be any text.
fn quoted(name: &str) -> String {
    match KEYS.iter().find(|known| known.ends_with('.') && name.starts_with(**known)) {
        Some(table) => format!("{table}{}", toml::Value::String(name[table.len()..].to_owned())),
        None => name.to_owned(),
    }
}
