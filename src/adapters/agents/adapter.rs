//! One adapter, complete: its checks, and laying one file over another key by key. Must not run anything.

use std::collections::BTreeMap;

use regex::Regex;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::arguments::{Placeholder, Template};
use super::form::{AdapterFile, Args, Layer};
use super::pattern::{ClassName, Pattern};
use super::version::Version;
use crate::adapters::process::sandbox::Sandbox;
use crate::domain::diagnostic::{Diagnostic, Place};
use crate::domain::settings::SandboxKind;
use crate::domain::usage::Counting;

/// Memory that a client is taken to need where nothing is said, in MiB.
const FOOTPRINT_MB: u32 = 250;

/// Where the prompt goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromptBy {
    /// Standard input.
    Stdin,
    /// The argument `{prompt}`; limited by the system to about 128 KiB.
    Arg,
    /// The file `{prompt_file}`.
    File,
}

/// How a client's output is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parser {
    /// Not at all.
    Plain,
    /// Claude Code's event stream, and its kin's.
    ClaudeStreamJson,
    /// Codex's events.
    CodexJsonl,
    /// Gemini CLI's events.
    GeminiStreamJson,
    /// opencode's events.
    OpencodeJsonl,
    /// Copilot CLI's events.
    CopilotJsonl,
    /// Not lines but a conversation: the Agent Client Protocol.
    Acp,
}

impl Parser {
    /// Whether clients read like this say what they cost.
    pub fn tells_cost(self) -> bool {
        self == Self::ClaudeStreamJson
    }

    /// Whether they say how many tokens they used.
    pub fn tells_tokens(self) -> bool {
        !matches!(self, Self::Plain | Self::Acp)
    }
}

/// Where a reviewer's answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResultBy {
    /// In the result file.
    File,
    /// In the structured field of the client's last event.
    Structured,
}

/// How much a client may do without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Autonomy {
    /// Everything.
    Full,
    /// Edit files and commit.
    Edit,
    /// Read.
    ReadOnly,
}

/// Who commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommitBy {
    /// The agent alone: what it leaves uncommitted is a failure.
    Agent,
    /// git-orchestrate: the agent is told not to, and what it changed is committed for it.
    Orchestrator,
    /// The agent; what it leaves is committed for it.
    Either,
}

/// The signal that asks a client to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StopSignal {
    /// SIGTERM.
    Term,
    /// SIGINT.
    Int,
}

/// How a client is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// First signal.
    pub signal: StopSignal,
    /// Seconds until it is killed; absent = as the settings say.
    pub grace_s: Option<u64>,
}

/// What the numbers of a client are of, where its parser does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UsageBy {
    /// Of one invocation.
    PerRun,
    /// Of all invocations of a session together.
    Cumulative,
}

impl UsageBy {
    /// The same for each number.
    pub fn counting(self) -> Counting {
        let on = self == Self::Cumulative;
        Counting { cost: on, tokens: on }
    }
}

/// Files and folders with keys of other programs, which bubblewrap hides from an agent.
const HIDDEN: [&str; 14] = [
    "~/.ssh",
    "~/.gnupg",
    "~/.aws",
    "~/.azure",
    "~/.kube",
    "~/.docker",
    "~/.netrc",
    "~/.git-credentials",
    "~/.password-store",
    "~/.config/gcloud",
    "~/.config/gh",
    "~/.cargo/credentials.toml",
    "/run/user",
    "/run/docker.sock",
];

/// An adapter, checked and complete.
#[derive(Clone, Debug)]
pub struct Adapter {
    /// Name in the configuration.
    pub name: String,
    /// Program: a name, a path, or `{self}`; empty when none is given.
    pub bin: String,
    /// Fixed arguments.
    pub args: Template,
    /// Arguments that make it say its version; empty = it cannot be asked.
    pub version_args: Template,
    /// Oldest version that is known to take these arguments.
    pub min_version: Option<Version>,
    /// How it is installed, for people.
    pub install: String,
    /// Major version of node that its newest releases need; 0 = none.
    pub node: u32,
    /// Where the prompt goes.
    pub prompt: PromptBy,
    /// How output is read.
    pub parser: Parser,
    /// What its numbers are of, where that is said.
    pub usage: Option<UsageBy>,
    /// Name under which its models are priced, where that is said.
    pub prices: Option<String>,
    /// Memory that a session takes at work, in MiB; rough, what it starts is not in it.
    pub footprint_mb: u32,
    /// Where a review is.
    pub result: ResultBy,
    /// Arguments when a review is wanted.
    pub result_args: Template,
    /// Model, when one is asked for.
    pub model: Option<String>,
    /// Arguments that name the model.
    pub model_args: Template,
    /// Most turns of a session, when that is limited.
    pub max_turns: Option<u32>,
    /// Arguments that limit them.
    pub limit_args: Template,
    /// Arguments of a new session with an id of ours.
    pub session_args: Template,
    /// Arguments that continue a session; empty = the client cannot.
    pub resume_args: Template,
    /// Arguments that choose a role with a file of its own.
    pub role_args: Template,
    /// Folders of role files, relative to the worktree, in order.
    pub role_dirs: Vec<String>,
    /// Arguments that add to the client's system text.
    pub system_args: Template,
    /// Arguments that name a settings file in Claude Code's form.
    pub settings_args: Template,
    /// How much an author may do.
    pub author: Autonomy,
    /// Arguments of an author.
    pub author_args: Template,
    /// Arguments of a reviewer.
    pub reviewer_args: Template,
    /// Arguments of an author whose repository lies in a folder for temporary files.
    pub tmp_args: Template,
    /// Variables set.
    pub env_set: BTreeMap<String, String>,
    /// Variables set for an author with full autonomy when we are root.
    pub env_set_as_root: BTreeMap<String, String>,
    /// Variables passed on, with trailing `*`.
    pub env_pass: Vec<String>,
    /// Variables never passed on, with trailing `*`; goes before everything that passes.
    pub env_forbid: Vec<String>,
    /// What it may write to. Without a kind of its own it is as the settings say.
    pub sandbox: Sandbox,
    /// Whether the kind is its own.
    pub own_sandbox: bool,
    /// How it is ended.
    pub stop: Stop,
    /// Who commits.
    pub commit: CommitBy,
    /// Names of files at the worktree's top that are the client's own and no work, with trailing `*`.
    pub leaves: Vec<String>,
    /// What exit codes prove.
    pub exit_codes: BTreeMap<i32, ClassName>,
    /// What output proves, first match first.
    pub patterns: Vec<Pattern>,
}

/// Makes an adapter of layers, the first one winning key by key; `kind` is the sandbox of adapters that name none.
pub fn assemble(name: &str, layers: &[Layer<'_>], kind: SandboxKind) -> Result<Adapter, Vec<Diagnostic>> {
    let mut findings = Vec::new();
    let (bin, args) = program(layers, &mut findings);
    let sandbox = sandbox(layers, kind);
    let confined = sandbox.kind != SandboxKind::None;
    let author = first(layers, |file| file.confined.author.filter(|_| confined));
    let author = author.or_else(|| first(layers, |file| file.author)).unwrap_or(Autonomy::Full);
    let reviewer = first(layers, |file| file.confined.reviewer.filter(|_| confined));
    let reviewer = reviewer.or_else(|| first(layers, |file| file.reviewer)).unwrap_or(Autonomy::ReadOnly);
    let mut list = |of: fn(&AdapterFile) -> &Args| template(layers, of, &mut findings);
    let (full, edit) = (list(|file| &file.autonomy.full), list(|file| &file.autonomy.edit));
    let read_only = list(|file| &file.autonomy.read_only);
    let level = |autonomy| match autonomy {
        Autonomy::Full => full.clone(),
        Autonomy::Edit => edit.clone(),
        Autonomy::ReadOnly => read_only.clone(),
    };
    let adapter = Adapter {
        name: name.to_owned(),
        bin,
        args,
        version_args: list(|file| &file.version_args),
        result_args: list(|file| &file.result_args),
        model_args: list(|file| &file.model_args),
        limit_args: list(|file| &file.limit_args),
        session_args: list(|file| &file.session_args),
        resume_args: list(|file| &file.resume_args),
        role_args: list(|file| &file.role_args),
        system_args: list(|file| &file.system_args),
        settings_args: list(|file| &file.settings_args),
        tmp_args: list(|file| &file.tmp_args),
        min_version: min_version(layers, &mut findings),
        install: first(layers, |file| file.install.clone()).unwrap_or_default(),
        node: first(layers, |file| file.node).unwrap_or(0),
        prompt: first(layers, |file| file.prompt).unwrap_or(PromptBy::Stdin),
        parser: first(layers, |file| file.parser).unwrap_or(Parser::Plain),
        usage: first(layers, |file| file.usage),
        prices: first(layers, |file| file.prices.clone()),
        footprint_mb: first(layers, |file| file.footprint_mb).unwrap_or(FOOTPRINT_MB),
        result: first(layers, |file| file.result).unwrap_or(ResultBy::File),
        model: first(layers, |file| file.model.clone()),
        max_turns: first(layers, |file| file.max_turns),
        role_dirs: first(layers, |file| file.role_dirs.clone()).unwrap_or_default(),
        author,
        author_args: level(author),
        reviewer_args: level(reviewer),
        env_set: merged(layers, |file| &file.env.set),
        env_set_as_root: merged(layers, |file| &file.env.set_as_root),
        env_pass: first(layers, |file| file.env.pass.clone()).unwrap_or_default(),
        env_forbid: first(layers, |file| file.env.forbid.clone()).unwrap_or_default(),
        own_sandbox: first(layers, |file| file.sandbox().kind).is_some(),
        sandbox,
        stop: Stop {
            signal: first(layers, |file| file.stop.signal).unwrap_or(StopSignal::Term),
            grace_s: first(layers, |file| file.stop.grace_s),
        },
        commit: first(layers, |file| file.commit).unwrap_or(CommitBy::Either),
        leaves: leaves(layers, &mut findings),
        exit_codes: exit_codes(layers),
        patterns: patterns(layers, &mut findings),
    };
    check_prompt(&adapter, layers, &mut findings);
    if findings.is_empty() { Ok(adapter) } else { Err(findings) }
}

fn first<T>(layers: &[Layer<'_>], of: impl Fn(&AdapterFile) -> Option<T>) -> Option<T> {
    layers.iter().find_map(|layer| of(&layer.file))
}

/// Program and fixed arguments: `command` of the uppermost layer that has one, unless a layer above it has `bin` or `args`.
fn program(layers: &[Layer<'_>], findings: &mut Vec<Diagnostic>) -> (String, Template) {
    let bin = layers.iter().position(|layer| layer.file.bin.is_some() || layer.file.args.is_some());
    let command = layers.iter().position(|layer| layer.file.command.is_some());
    let whole = match (command, bin) {
        (Some(command), Some(bin)) if command <= bin => Some(command),
        (Some(command), None) => Some(command),
        (Some(_) | None, _) => None,
    };
    let Some(index) = whole else {
        let bin = first(layers, |file| file.bin.clone()).unwrap_or_default();
        return (bin, template(layers, |file| &file.args, findings));
    };
    let layer = &layers[index];
    let argv = layer.file.command.as_deref().unwrap_or_default();
    if let Some((program, args)) = argv.split_first().filter(|(program, _)| !program.get_ref().is_empty()) {
        return (program.get_ref().clone(), checked(layer, args, findings));
    }
    findings.push(Diagnostic::error("empty-command", "`command` needs a program").at(Place::file(layer.source.path)));
    (String::new(), Template::default())
}

fn template(layers: &[Layer<'_>], of: impl Fn(&AdapterFile) -> &Args, findings: &mut Vec<Diagnostic>) -> Template {
    let found = layers.iter().find_map(|layer| of(&layer.file).as_deref().map(|args| (layer, args)));
    found.map(|(layer, args)| checked(layer, args, findings)).unwrap_or_default()
}

fn checked(layer: &Layer<'_>, args: &[Spanned<String>], findings: &mut Vec<Diagnostic>) -> Template {
    let mut template = Template::default();
    for arg in args {
        if let Err((code, message, hint)) = template.push(arg.get_ref()) {
            findings.push(Diagnostic::error(code, message).at(layer.source.place(&arg.span())).hint(hint));
        }
    }
    template
}

/// A table of all layers, entry by entry.
fn merged<V: Clone>(layers: &[Layer<'_>], of: impl Fn(&AdapterFile) -> &BTreeMap<String, V>) -> BTreeMap<String, V> {
    let mut all = BTreeMap::new();
    for layer in layers.iter().rev() {
        all.extend(of(&layer.file).clone());
    }
    all
}

fn sandbox(layers: &[Layer<'_>], kind: SandboxKind) -> Sandbox {
    Sandbox {
        kind: first(layers, |file| file.sandbox().kind).unwrap_or(kind),
        write: first(layers, |file| file.sandbox().write).unwrap_or_default(),
        hide: first(layers, |file| file.sandbox().hide).unwrap_or_else(|| HIDDEN.map(str::to_owned).into()),
    }
}

fn min_version(layers: &[Layer<'_>], findings: &mut Vec<Diagnostic>) -> Option<Version> {
    let of = |layer: &Layer<'_>| layer.file.min_version.clone().map(|text| (layer.source.place(&text.span()), text));
    let (place, text) = layers.iter().find_map(of)?;
    let version = Version::find(text.get_ref());
    if version.is_none() {
        let message = format!("`{}` is no version, such as \"2.1.0\"", text.get_ref().escape_debug());
        findings.push(Diagnostic::error("bad-version", message).at(place));
    }
    version
}

/// Only names at the top: with a `/` it could be a file of the project.
fn leaves(layers: &[Layer<'_>], findings: &mut Vec<Diagnostic>) -> Vec<String> {
    let Some(layer) = layers.iter().find(|layer| layer.file.leaves.is_some()) else { return Vec::new() };
    let all = layer.file.leaves.iter().flatten();
    for name in all.clone() {
        let stem = name.get_ref().trim_end_matches('*');
        if stem.len() < 2 || stem.contains(['/', '*']) || stem == ".git" || stem == ".." {
            let message = format!("`{}` could be work of the project", name.get_ref().escape_debug());
            let finding = Diagnostic::error("bad-leaves", message).at(layer.source.place(&name.span()));
            findings.push(finding.hint("names at the top of the worktree, such as \".aider*\""));
        }
    }
    all.map(|name| name.get_ref().clone()).collect()
}

fn exit_codes(layers: &[Layer<'_>]) -> BTreeMap<i32, ClassName> {
    let codes = merged(layers, |file| &file.exit_codes);
    codes.iter().filter_map(|(text, class)| Some((i32::from(text.parse::<u8>().ok()?), *class))).collect()
}

fn patterns(layers: &[Layer<'_>], findings: &mut Vec<Diagnostic>) -> Vec<Pattern> {
    let Some(layer) = layers.iter().find(|layer| layer.file.patterns.is_some()) else { return Vec::new() };
    let mut compiled = Vec::new();
    for pattern in layer.file.patterns.iter().flatten() {
        let wrong = match Regex::new(pattern.regex.get_ref()) {
            Ok(regex) if pattern.reset.is_some() && regex.captures_len() < 2 => {
                "`reset` needs a group in the pattern that holds the time".to_owned()
            }
            Ok(regex) => {
                let (stream, class, reset) = (pattern.stream, pattern.class, pattern.reset);
                compiled.push(Pattern { stream, regex, class, reset, always: pattern.always });
                continue;
            }
            Err(error) => error.to_string().lines().last().unwrap_or("not valid").to_owned(),
        };
        let at = layer.source.place(&pattern.regex.span());
        findings.push(Diagnostic::error("bad-pattern", wrong).at(at));
    }
    compiled
}

/// A prompt that is handed over nowhere, or twice, is a mistake that a client would answer with silence.
fn check_prompt(adapter: &Adapter, layers: &[Layer<'_>], findings: &mut Vec<Diagnostic>) {
    let path = layers.first().map_or("", |layer| layer.source.path);
    let (wanted, name) = match adapter.prompt {
        PromptBy::Stdin if adapter.args.uses(Placeholder::Prompt) => {
            let message = "`{prompt}` is used, but `prompt` is \"stdin\"";
            findings
                .push(Diagnostic::error("prompt-twice", message).at(Place::file(path)).hint("set `prompt = \"arg\"`"));
            return;
        }
        PromptBy::Stdin => return,
        PromptBy::Arg => (Placeholder::Prompt, "{prompt}"),
        PromptBy::File => (Placeholder::PromptFile, "{prompt_file}"),
    };
    if !adapter.args.uses(wanted) {
        findings.push(
            Diagnostic::error("prompt-nowhere", format!("no argument is `{name}`, so the agent would get no prompt"))
                .at(Place::file(path))
                .hint(format!("add \"{name}\" to the arguments, or set `prompt = \"stdin\"`")),
        );
    }
}

#[cfg(test)]
#[path = "adapter_tests.rs"]
mod tests;
