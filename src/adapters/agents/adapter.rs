//! One adapter as data: the TOML form, its checks, and laying one file over another key by key. Must not run anything.

use std::collections::BTreeMap;
use std::ops::Range;

use regex::Regex;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::arguments::{Placeholder, Template};
use crate::adapters::process::sandbox::Sandbox;
use crate::domain::diagnostic::{Diagnostic, Place};
use crate::domain::event::FailureClass;
use crate::domain::settings::SandboxKind;

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
    /// The agent; what it leaves is committed for it.
    Agent,
    /// git-orchestrate alone.
    Orchestrator,
    /// Whoever does.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// First signal.
    pub signal: StopSignal,
    /// Seconds until it is killed; absent = as the settings say.
    #[serde(default)]
    pub grace_s: Option<u64>,
}

/// What an exit code or a line of output can prove. What git shows better (no commit, a dirty tree, tampering) and what we
/// end ourselves is not among it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassName {
    /// Login or key refused.
    Auth,
    /// Try again later.
    #[serde(alias = "rate-limited", alias = "rate_limited", alias = "rate_limit")]
    RateLimit,
    /// No room at the provider just now, or the answer broke off.
    Overloaded,
    /// No credit.
    Billing,
    /// Not allowed to do what it had to.
    Denied,
    /// The context is full.
    #[serde(alias = "context_full")]
    ContextFull,
    /// A limit of turns of the client's own.
    #[serde(alias = "max_turns")]
    MaxTurns,
    /// A limit of money or time of the client's own.
    Budget,
    /// Any other failure of the client.
    #[serde(alias = "crashed")]
    Agent,
}

impl ClassName {
    /// The class in the ledger's words.
    pub fn class(self) -> FailureClass {
        match self {
            Self::Auth => FailureClass::Auth,
            Self::RateLimit => FailureClass::RateLimited,
            Self::Overloaded => FailureClass::Overloaded,
            Self::Billing => FailureClass::Billing,
            Self::Denied => FailureClass::Denied,
            Self::ContextFull => FailureClass::ContextFull,
            Self::MaxTurns => FailureClass::MaxTurns,
            Self::Budget => FailureClass::ClientBudget,
            Self::Agent => FailureClass::Agent,
        }
    }
}

/// Lists of arguments as written.
type Args = Option<Vec<Spanned<String>>>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvFile {
    #[serde(default)]
    set: BTreeMap<String, String>,
    pass: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct AutonomyFile {
    full: Args,
    edit: Args,
    #[serde(alias = "read_only")]
    read_only: Args,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PatternFile {
    regex: Spanned<String>,
    class: ClassName,
}

/// `sandbox = "landlock"`, or a table.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum SandboxFile {
    Kind(SandboxKind),
    Table(SandboxTable),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SandboxTable {
    kind: Option<SandboxKind>,
    write: Option<Vec<String>>,
    hide: Option<Vec<String>>,
}

impl AdapterFile {
    fn sandbox(&self) -> SandboxTable {
        match &self.sandbox {
            Some(SandboxFile::Kind(kind)) => SandboxTable { kind: Some(*kind), ..SandboxTable::default() },
            Some(SandboxFile::Table(table)) => table.clone(),
            None => SandboxTable::default(),
        }
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

/// An adapter's TOML; every key may be absent, so that one file can be laid over another.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AdapterFile {
    like: Option<Spanned<String>>,
    command: Args,
    bin: Option<String>,
    args: Args,
    prompt: Option<PromptBy>,
    parser: Option<Parser>,
    footprint_mb: Option<u32>,
    result: Option<ResultBy>,
    result_args: Args,
    model: Option<String>,
    model_args: Args,
    session_args: Args,
    resume_args: Args,
    role_args: Args,
    role_dirs: Option<Vec<String>>,
    #[serde(default)]
    autonomy: AutonomyFile,
    author: Option<Autonomy>,
    reviewer: Option<Autonomy>,
    #[serde(default)]
    env: EnvFile,
    sandbox: Option<SandboxFile>,
    stop: Option<Stop>,
    commit: Option<CommitBy>,
    exit_codes: Option<BTreeMap<String, ClassName>>,
    patterns: Option<Vec<PatternFile>>,
}

/// An adapter, checked and complete.
#[derive(Clone, Debug)]
pub struct Adapter {
    /// Name in the configuration.
    pub name: String,
    /// Program: a name, a path, or `{self}`; empty when none is given.
    pub bin: String,
    /// Fixed arguments.
    pub args: Template,
    /// Where the prompt goes.
    pub prompt: PromptBy,
    /// How output is read.
    pub parser: Parser,
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
    /// Arguments of a new session with an id of ours.
    pub session_args: Template,
    /// Arguments that continue a session; empty = the client cannot.
    pub resume_args: Template,
    /// Arguments that choose a role with a file of its own.
    pub role_args: Template,
    /// Folders of role files, relative to the worktree, in order.
    pub role_dirs: Vec<String>,
    /// Arguments of an author.
    pub author_args: Template,
    /// Arguments of a reviewer.
    pub reviewer_args: Template,
    /// Variables set.
    pub env_set: BTreeMap<String, String>,
    /// Variables passed on, with trailing `*`.
    pub env_pass: Vec<String>,
    /// What it may write to. Without a kind of its own it is as the settings say.
    pub sandbox: Sandbox,
    /// Whether the kind is its own.
    pub own_sandbox: bool,
    /// How it is ended.
    pub stop: Stop,
    /// Who commits.
    pub commit: CommitBy,
    /// What exit codes prove.
    pub exit_codes: BTreeMap<i32, ClassName>,
    /// What output of a failed invocation proves, first match first.
    pub patterns: Vec<(Regex, ClassName)>,
}

/// A TOML text with the path that findings name.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Shown in findings.
    pub path: &'a str,
    /// The text.
    pub text: &'a str,
}

/// A parsed file and where it came from.
pub struct Layer<'a> {
    source: Source<'a>,
    file: AdapterFile,
}

impl<'a> Layer<'a> {
    /// Parses one file; an unknown key or a wrong type is a finding with its line.
    pub fn parse(source: Source<'a>) -> Result<Self, Vec<Diagnostic>> {
        match toml::from_str::<AdapterFile>(source.text) {
            Ok(file) => Ok(Self { source, file }),
            Err(error) => {
                let span = error.span().unwrap_or(0..0);
                let message = error.message().lines().next().unwrap_or("not valid TOML").to_owned();
                let known = error.message().contains("unknown field");
                let finding = Diagnostic::error(if known { "unknown-key" } else { "bad-adapter" }, message)
                    .at(place(&source, &span));
                Err(vec![finding.hint("see `git help orchestrate` for the keys of an adapter")])
            }
        }
    }

    /// Adapter that this one is like, with its place.
    pub fn like(&self) -> Option<(&str, Place)> {
        self.file.like.as_ref().map(|name| (name.get_ref().as_str(), place(&self.source, &name.span())))
    }

    /// Whether it names a program of its own.
    pub fn has_program(&self) -> bool {
        self.file.command.is_some() || self.file.bin.is_some()
    }
}

/// Makes an adapter of layers, the first one winning key by key.
pub fn assemble(name: &str, layers: &[Layer<'_>]) -> Result<Adapter, Vec<Diagnostic>> {
    let mut findings = Vec::new();
    let (bin, args) = program(layers, &mut findings);
    let mut list = |of: fn(&AdapterFile) -> &Args| template(layers, of, &mut findings);
    let (full, edit) = (list(|file| &file.autonomy.full), list(|file| &file.autonomy.edit));
    let read_only = list(|file| &file.autonomy.read_only);
    let [result_args, model_args, session_args, resume_args, role_args] = [
        list(|file| &file.result_args),
        list(|file| &file.model_args),
        list(|file| &file.session_args),
        list(|file| &file.resume_args),
        list(|file| &file.role_args),
    ];
    let level = |autonomy| match autonomy {
        Autonomy::Full => full.clone(),
        Autonomy::Edit => edit.clone(),
        Autonomy::ReadOnly => read_only.clone(),
    };
    let adapter = Adapter {
        name: name.to_owned(),
        bin,
        args,
        prompt: first(layers, |file| file.prompt).unwrap_or(PromptBy::Stdin),
        parser: first(layers, |file| file.parser).unwrap_or(Parser::Plain),
        footprint_mb: first(layers, |file| file.footprint_mb).unwrap_or(FOOTPRINT_MB),
        result: first(layers, |file| file.result).unwrap_or(ResultBy::File),
        result_args,
        model: first(layers, |file| file.model.clone()),
        model_args,
        session_args,
        resume_args,
        role_args,
        role_dirs: first(layers, |file| file.role_dirs.clone()).unwrap_or_default(),
        author_args: level(first(layers, |file| file.author).unwrap_or(Autonomy::Full)),
        reviewer_args: level(first(layers, |file| file.reviewer).unwrap_or(Autonomy::ReadOnly)),
        env_set: env_set(layers),
        env_pass: first(layers, |file| file.env.pass.clone()).unwrap_or_default(),
        sandbox: sandbox(layers),
        own_sandbox: first(layers, |file| file.sandbox().kind).is_some(),
        stop: first(layers, |file| file.stop).unwrap_or(Stop { signal: StopSignal::Term, grace_s: None }),
        commit: first(layers, |file| file.commit).unwrap_or(CommitBy::Either),
        exit_codes: exit_codes(layers, &mut findings),
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
            findings.push(Diagnostic::error(code, message).at(place(&layer.source, &arg.span())).hint(hint));
        }
    }
    template
}

fn env_set(layers: &[Layer<'_>]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for layer in layers.iter().rev() {
        all.extend(layer.file.env.set.clone());
    }
    all
}

fn sandbox(layers: &[Layer<'_>]) -> Sandbox {
    Sandbox {
        kind: first(layers, |file| file.sandbox().kind).unwrap_or_default(),
        write: first(layers, |file| file.sandbox().write).unwrap_or_default(),
        hide: first(layers, |file| file.sandbox().hide).unwrap_or_else(|| HIDDEN.map(str::to_owned).into()),
    }
}

fn exit_codes(layers: &[Layer<'_>], findings: &mut Vec<Diagnostic>) -> BTreeMap<i32, ClassName> {
    let Some(layer) = layers.iter().find(|layer| layer.file.exit_codes.is_some()) else { return BTreeMap::new() };
    let mut codes = BTreeMap::new();
    for (text, class) in layer.file.exit_codes.iter().flatten() {
        match text.parse::<u8>() {
            Ok(code) => {
                codes.insert(i32::from(code), *class);
            }
            Err(_) => findings.push(
                Diagnostic::error("bad-exit-code", format!("`{text}` is not an exit code between 0 and 255"))
                    .at(Place::file(layer.source.path)),
            ),
        }
    }
    codes
}

fn patterns(layers: &[Layer<'_>], findings: &mut Vec<Diagnostic>) -> Vec<(Regex, ClassName)> {
    let Some(layer) = layers.iter().find(|layer| layer.file.patterns.is_some()) else { return Vec::new() };
    let mut compiled = Vec::new();
    for pattern in layer.file.patterns.iter().flatten() {
        match Regex::new(pattern.regex.get_ref()) {
            Ok(regex) => compiled.push((regex, pattern.class)),
            Err(error) => {
                let message = error.to_string().lines().last().unwrap_or("not valid").to_owned();
                let at = place(&layer.source, &pattern.regex.span());
                findings.push(Diagnostic::error("bad-pattern", message).at(at));
            }
        }
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

/// The place of a byte range.
fn place(source: &Source<'_>, span: &Range<usize>) -> Place {
    let start = span.start.min(source.text.len());
    let before = source.text.get(..start).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |index| index + 1);
    let line = source.text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
    let marked = source.text.get(span.clone()).and_then(|text| text.lines().next()).unwrap_or_default();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Place {
        path: source.path.to_owned(),
        line: number(before.matches('\n').count() + 1),
        column: number(before[line_start..].chars().count() + 1),
        text: line.chars().take(200).collect(),
        width: number(marked.chars().count().max(1)),
    }
}

#[cfg(test)]
#[path = "adapter_tests.rs"]
mod tests;
