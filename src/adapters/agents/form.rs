//! The TOML form of an adapter: its keys, and one file of it with the place of each. Must not know what keys mean together.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::adapter::{Autonomy, CommitBy, Parser, PromptBy, ResultBy, StopSignal, UsageBy};
use super::pattern::{ClassName, Reset, Stream};
use crate::domain::diagnostic::{Diagnostic, Place};
use crate::domain::settings::SandboxKind;

/// All keys, in the order in which they are shown; a table whose entries are named freely ends in `.`.
pub(super) const KEYS: [&str; 46] = [
    "like",
    "command",
    "bin",
    "args",
    "version_args",
    "min_version",
    "install",
    "node",
    "prompt",
    "parser",
    "usage",
    "prices",
    "model",
    "model_args",
    "max_turns",
    "limit_args",
    "session_args",
    "resume_args",
    "role_args",
    "role_dirs",
    "system_args",
    "settings_args",
    "result",
    "result_args",
    "author",
    "reviewer",
    "autonomy.full",
    "autonomy.edit",
    "autonomy.read-only",
    "confined.author",
    "confined.reviewer",
    "tmp_args",
    "commit",
    "leaves",
    "env.pass",
    "env.forbid",
    "env.set.",
    "env.set_as_root.",
    "sandbox.kind",
    "sandbox.write",
    "sandbox.hide",
    "footprint_mb",
    "stop.signal",
    "stop.grace_s",
    "exit_codes.",
    "patterns",
];

/// Lists of arguments as written.
pub(super) type Args = Option<Vec<Spanned<String>>>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EnvFile {
    #[serde(default)]
    pub(super) set: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) set_as_root: BTreeMap<String, String>,
    pub(super) pass: Option<Vec<String>>,
    pub(super) forbid: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct AutonomyFile {
    pub(super) full: Args,
    pub(super) edit: Args,
    #[serde(alias = "read_only")]
    pub(super) read_only: Args,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfinedFile {
    pub(super) author: Option<Autonomy>,
    pub(super) reviewer: Option<Autonomy>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StopFile {
    pub(super) signal: Option<StopSignal>,
    pub(super) grace_s: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PatternFile {
    #[serde(default)]
    pub(super) stream: Stream,
    pub(super) regex: Spanned<String>,
    pub(super) class: ClassName,
    pub(super) reset: Option<Reset>,
    #[serde(default)]
    pub(super) always: bool,
}

/// `sandbox = "landlock"`, or a table.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum SandboxFile {
    Kind(SandboxKind),
    Table(SandboxTable),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SandboxTable {
    pub(super) kind: Option<SandboxKind>,
    pub(super) write: Option<Vec<String>>,
    pub(super) hide: Option<Vec<String>>,
}

/// An adapter's TOML; every key may be absent, so that one file can be laid over another.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdapterFile {
    pub(super) like: Option<Spanned<String>>,
    pub(super) command: Args,
    pub(super) bin: Option<String>,
    pub(super) args: Args,
    pub(super) version_args: Args,
    pub(super) min_version: Option<Spanned<String>>,
    pub(super) install: Option<String>,
    pub(super) node: Option<u32>,
    pub(super) prompt: Option<PromptBy>,
    pub(super) parser: Option<Parser>,
    pub(super) usage: Option<UsageBy>,
    pub(super) prices: Option<String>,
    pub(super) footprint_mb: Option<u32>,
    pub(super) result: Option<ResultBy>,
    #[serde(alias = "schema_args")]
    pub(super) result_args: Args,
    pub(super) model: Option<String>,
    pub(super) model_args: Args,
    pub(super) max_turns: Option<u32>,
    pub(super) limit_args: Args,
    pub(super) session_args: Args,
    pub(super) resume_args: Args,
    pub(super) role_args: Args,
    pub(super) role_dirs: Option<Vec<String>>,
    pub(super) system_args: Args,
    pub(super) settings_args: Args,
    pub(super) tmp_args: Args,
    #[serde(default)]
    pub(super) autonomy: AutonomyFile,
    pub(super) author: Option<Autonomy>,
    pub(super) reviewer: Option<Autonomy>,
    #[serde(default)]
    pub(super) confined: ConfinedFile,
    #[serde(default)]
    pub(super) env: EnvFile,
    sandbox: Option<SandboxFile>,
    #[serde(default)]
    pub(super) stop: StopFile,
    pub(super) commit: Option<CommitBy>,
    pub(super) leaves: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    pub(super) exit_codes: BTreeMap<String, ClassName>,
    pub(super) patterns: Option<Vec<PatternFile>>,
}

impl AdapterFile {
    pub(super) fn sandbox(&self) -> SandboxTable {
        match &self.sandbox {
            Some(SandboxFile::Kind(kind)) => SandboxTable { kind: Some(*kind), ..SandboxTable::default() },
            Some(SandboxFile::Table(table)) => table.clone(),
            None => SandboxTable::default(),
        }
    }
}

/// A TOML text with the path that findings name.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Shown in findings.
    pub path: &'a str,
    /// The text of the whole file.
    pub text: &'a str,
    /// The adapter is the table of this name in `[agents]`; `None`: it is the whole file.
    pub table: Option<&'a str>,
}

/// A key that a file sets.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Set {
    /// Its dotted name.
    pub(super) key: String,
    /// Its value.
    pub(super) value: toml::Value,
    /// Its line, from 1.
    pub(super) line: u32,
}

/// A parsed file and where it came from.
pub struct Layer<'a> {
    pub(super) source: Source<'a>,
    pub(super) file: AdapterFile,
    pub(super) sets: Vec<Set>,
}

impl<'a> Layer<'a> {
    /// Parses one file; unknown keys or a wrong type are findings with their places.
    pub fn parse(source: Source<'a>) -> Result<Self, Vec<Diagnostic>> {
        let bad = |error: &toml::de::Error| {
            let message = error.message().lines().next().unwrap_or("not valid TOML").to_owned();
            let code = if message.starts_with("unknown field") { "unknown-key" } else { "bad-adapter" };
            let span = error.span().unwrap_or(0..0);
            vec![Diagnostic::error(code, message).at(source.place(&span)).hint(SEE)]
        };
        let root = DeTable::parse(source.text).map_err(|error| bad(&error))?;
        let adapter = adapter_table(root, source.table);
        let DeValue::Table(entries) = adapter.get_ref() else {
            let message = format!("`agents.{}` is no table", source.table.unwrap_or_default());
            return Err(vec![Diagnostic::error("bad-adapter", message).at(source.place(&adapter.span()))]);
        };
        let mut walk = Walk { source, sets: Vec::new(), findings: Vec::new() };
        walk.table(entries, "");
        if !walk.findings.is_empty() {
            return Err(walk.findings);
        }
        let sets = walk.sets;
        let file = AdapterFile::deserialize(ValueDeserializer::from(adapter)).map_err(|error| bad(&error))?;
        Ok(Self { source, file, sets })
    }

    /// Adapter that this one is like, with its place.
    pub fn like(&self) -> Option<(&str, Place)> {
        self.file.like.as_ref().map(|name| (name.get_ref().as_str(), self.source.place(&name.span())))
    }

    /// Whether it names a program of its own.
    pub fn has_program(&self) -> bool {
        self.file.command.is_some() || self.file.bin.is_some()
    }
}

/// Where the keys are explained.
const SEE: &str = "see `git orchestrate agents --help` for the keys of an adapter";

fn adapter_table<'a>(root: Spanned<DeTable<'a>>, name: Option<&str>) -> Spanned<DeValue<'a>> {
    let span = root.span();
    let whole = Spanned::new(span.clone(), DeValue::Table(root.into_inner()));
    let Some(name) = name else { return whole };
    let empty = || Spanned::new(span.clone(), DeValue::Table(DeTable::new()));
    ["agents", name].into_iter().fold(whole, |table, wanted| match table.into_inner() {
        DeValue::Table(entries) => {
            let found = entries.into_iter().find(|(key, _)| key.get_ref() == wanted);
            found.map_or_else(empty, |(_, value)| value)
        }
        _ => empty(),
    })
}

/// Goes through the keys of one file.
struct Walk<'a> {
    source: Source<'a>,
    sets: Vec<Set>,
    findings: Vec<Diagnostic>,
}

impl Walk<'_> {
    fn table(&mut self, entries: &DeTable<'_>, prefix: &str) {
        for (key, value) in entries {
            let name = canonical(prefix, key.get_ref());
            let inner = format!("{name}.");
            let is_table = KEYS.iter().any(|known| known.starts_with(&inner));
            match value.get_ref() {
                DeValue::Table(entries) if is_table => self.table(entries, &inner),
                _ if name == "sandbox" => self.add("sandbox.kind".to_owned(), key.span(), value),
                // A value in a table's place: serde says so.
                _ if is_table => {}
                _ if KEYS.contains(&name.as_str()) => self.add(name, key.span(), value),
                _ if KEYS.contains(&prefix) => {
                    self.exit_code(prefix, key);
                    self.add(name, key.span(), value);
                }
                _ => self.unknown(&name, &key.span()),
            }
        }
    }

    fn add(&mut self, key: String, span: Range<usize>, value: &Spanned<DeValue<'_>>) {
        let line = self.source.place(&span).line;
        // What is no value of ours is told of when the file is read as a whole.
        if let Ok(value) = toml::Value::deserialize(ValueDeserializer::from(value.clone())) {
            self.sets.push(Set { key, value, line });
        }
    }

    fn exit_code(&mut self, prefix: &str, key: &Spanned<std::borrow::Cow<'_, str>>) {
        if prefix == "exit_codes." && key.get_ref().parse::<u8>().is_err() {
            let message = format!("`{}` is not an exit code between 0 and 255", key.get_ref().escape_debug());
            let finding = Diagnostic::error("bad-exit-code", message).at(self.source.place(&key.span()));
            self.findings.push(finding);
        }
    }

    fn unknown(&mut self, name: &str, span: &Range<usize>) {
        let near = KEYS.iter().map(|known| known.trim_end_matches('.'));
        let near = near.min_by_key(|known| strsim::damerau_levenshtein(known, name)).unwrap_or_default();
        let message = format!("unknown key `{}`", name.escape_debug());
        let finding = Diagnostic::error("unknown-key", message).at(self.source.place(span));
        self.findings.push(finding.hint(format!("did you mean `{near}`? {SEE}")));
    }
}

/// The dotted name of a key, aliases resolved.
fn canonical(prefix: &str, key: &str) -> String {
    match (prefix, key) {
        ("", "schema_args") => "result_args".to_owned(),
        ("autonomy.", "read_only") => "autonomy.read-only".to_owned(),
        _ => format!("{prefix}{key}"),
    }
}

impl Source<'_> {
    /// The place of a byte range.
    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        let start = (0..=span.start.min(self.text.len())).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0);
        let before = self.text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |index| index + 1);
        let line = self.text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
        let marked = self.text.get(span.clone()).and_then(|text| text.lines().next()).unwrap_or_default();
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Place {
            path: self.path.to_owned(),
            line: number(before.matches('\n').count() + 1),
            column: number(before[line_start..].chars().count() + 1),
            text: line.chars().take(200).collect(),
            width: number(marked.chars().count().max(1)),
        }
    }
}
