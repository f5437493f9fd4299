//! Settings out of one file: the tables that are no gate keys. Must not read gate keys, they count on the target only.

use std::collections::{BTreeMap, BTreeSet};

use super::document::Document;
use super::reader::{Reader, Table};
use crate::domain::diagnostic::Diagnostic;
use crate::domain::settings::{AdapterText, Missing, PidNamespace, SandboxKind, Settings, Undeclared};
use crate::domain::workflow::Phase;

/// Tables of settings.
pub(super) const TABLES: [&str; 9] =
    ["stories", "run", "worktrees", "agents", "roles", "redact", "retry", "limits", "prices"];
/// Tables of gate keys.
pub(super) const GATE_TABLES: [&str; 6] = ["protect", "gates", "review", "checks", "workflow", "hotfix"];
/// Words of `[stories] undeclared`.
pub(super) const UNDECLARED: [(&str, Undeclared); 3] = [
    ("epic-order", Undeclared::EpicOrder),
    ("foundation", Undeclared::Foundation),
    ("independent", Undeclared::Independent),
];
/// Words of `[run] missing`.
pub(super) const MISSING: [(&str, Missing); 4] =
    [("ask", Missing::Ask), ("expand", Missing::Expand), ("skip", Missing::Skip), ("fail", Missing::Fail)];
/// Words of `[agents] sandbox`.
const SANDBOX: [(&str, SandboxKind); 3] =
    [("none", SandboxKind::None), ("landlock", SandboxKind::Landlock), ("bwrap", SandboxKind::Bwrap)];
/// Words of `[agents] pid_namespace`.
pub(super) const PID_NAMESPACE: [(&str, PidNamespace); 3] =
    [("auto", PidNamespace::Auto), ("on", PidNamespace::On), ("off", PidNamespace::Off)];
/// Thirty days in seconds: the longest limit.
pub(super) const LONGEST: u64 = 30 * 86_400;

/// Which file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    /// The user's own file: gate keys have no place there.
    User,
    /// `.orchestrate.toml` of the work tree.
    Repository,
}

/// Reads a file on top of what is there.
pub(super) fn apply(document: &Document<'_>, layer: Layer, settings: &mut Settings) -> Vec<Diagnostic> {
    let tables = match document.parse() {
        Ok(tables) => tables,
        Err(diagnostic) => return vec![*diagnostic],
    };
    let reader = Reader::new(document);
    {
        let root = reader.root(&tables);
        let known: Vec<&str> = TABLES.into_iter().chain(GATE_TABLES).chain(["agent"]).collect();
        root.warn_unknown(&known);
        if layer == Layer::User {
            for name in GATE_TABLES {
                let message = format!("`[{name}]` has no effect here: it belongs to the gate policy");
                root.warn_key(name, &message, "put it into .orchestrate.toml and commit that on the target branch");
            }
        }
        root.table("stories").iter().for_each(|table| stories(table, settings));
        root.table("run").iter().for_each(|table| run(table, settings));
        root.table("worktrees").iter().for_each(|table| worktrees(table, settings));
        root.table("redact").iter().for_each(|table| {
            table.warn_unknown(&["values_of"]);
            settings.redact_values_of.extend(table.strings("values_of").unwrap_or_default());
        });
        // Also at the top, where they can be without a table of their own: `agents = ["claude", "codex"]`.
        let short = root.is_list("agents");
        set(&mut settings.agents, if short { chain(&root, "agents") } else { None });
        let table = if short { None } else { root.table("agents") };
        if let Some(table) = table {
            agents(&table, document, settings);
        }
        set(&mut settings.agents, chain(&root, "agent"));
        root.table("roles").iter().for_each(|table| roles(table, settings));
        root.table("retry").iter().for_each(|table| retry(table, settings));
        root.table("prices").iter().for_each(|table| super::prices::prices(table, settings));
        root.table("limits").iter().for_each(|table| limits(table, settings));
    }
    reader.finish()
}

/// Sets a value when the file has one.
fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn stories(table: &Table<'_>, settings: &mut Settings) {
    table.warn_unknown(&["roots", "undeclared", "write_back"]);
    let roots = table.strings("roots").and_then(|roots| {
        let folders: Option<Vec<_>> = roots.iter().map(|root| folder(root)).collect();
        let folders = folders.filter(|folders| !folders.is_empty());
        folders.or_else(|| table.refuse("roots", "folders below the repository root, e.g. [\"docs/stories\"]"))
    });
    set(&mut settings.story_roots, roots);
    set(&mut settings.undeclared, table.choice("undeclared", &UNDECLARED));
    set(&mut settings.write_back, table.flag("write_back"));
}

fn run(table: &Table<'_>, settings: &mut Settings) {
    table.warn_unknown(&["jobs", "missing", "rework_rounds"]);
    if table.is_text("jobs", "auto") {
        settings.jobs = None;
    } else if let Some(jobs) = table.number("jobs", 1..=256) {
        settings.jobs = Some(jobs);
    }
    set(&mut settings.missing, table.choice("missing", &MISSING));
    set(&mut settings.rework_rounds, table.number("rework_rounds", 0..=20));
}

fn worktrees(table: &Table<'_>, settings: &mut Settings) {
    table.warn_unknown(&["dir", "setup", "setup_timeout"]);
    let dir = table.string("dir").and_then(|dir| {
        let expected = "a folder below the repository root, e.g. \".worktrees\"";
        folder(&dir).filter(|dir| dir != ".").or_else(|| table.refuse("dir", expected))
    });
    set(&mut settings.worktrees, dir);
    set(&mut settings.setup, table.argvs("setup"));
    set(&mut settings.setup_timeout_secs, table.seconds("setup_timeout", 1..=LONGEST));
}

fn agents(table: &Table<'_>, document: &Document<'_>, settings: &mut Settings) {
    const KNOWN: [&str; 10] = [
        "default",
        "timeout",
        "timeouts",
        "idle_timeout",
        "idle_timeouts",
        "grace",
        "pid_namespace",
        "sandbox",
        "roles",
        "technologies",
    ];
    let adapters: Vec<&str> = table.table_names().into_iter().filter(|name| !KNOWN.contains(name)).collect();
    let known: Vec<&str> = KNOWN.into_iter().chain(adapters.iter().copied()).collect();
    table.warn_unknown(&known);
    set(&mut settings.agents, chain(table, "default"));
    set(&mut settings.agent_timeout_secs, table.seconds("timeout", 1..=LONGEST));
    set(&mut settings.idle_timeout_secs, table.seconds("idle_timeout", 0..=LONGEST));
    for (name, low, limits) in
        [("timeouts", 1, &mut settings.timeouts), ("idle_timeouts", 0, &mut settings.idle_timeouts)]
    {
        table.table(name).iter().for_each(|table| by_phase(table, low, limits));
    }
    set(&mut settings.grace_secs, table.seconds("grace", 0..=3600));
    set(&mut settings.sandbox, table.choice("sandbox", &SANDBOX));
    set(&mut settings.pid_namespace, table.choice("pid_namespace", &PID_NAMESPACE));
    table.table("roles").iter().for_each(|table| roles(table, settings));
    settings.technologies.extend(table.string_map("technologies"));
    for name in adapters {
        if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
            table.refuse::<()>(name, "named with a-z, 0-9 and `-` only");
            continue;
        }
        let file = AdapterText { path: document.name.to_owned(), text: document.text.to_owned() };
        settings.adapters.entry(name.to_owned()).or_default().push(file);
    }
}

/// One agent, or several of which the next takes the place of one that is missing or paused.
fn chain(table: &Table<'_>, key: &str) -> Option<Vec<String>> {
    if !table.is_list(key) {
        return table.string(key).map(|name| vec![name]);
    }
    let names = table.strings(key)?;
    let distinct = names.iter().collect::<BTreeSet<_>>().len() == names.len();
    let good = distinct && !names.is_empty() && names.iter().all(|name| !name.trim().is_empty());
    if good {
        Some(names)
    } else {
        table.refuse(key, "an agent, or different agents in order: [\"claude\", \"codex\"]")
    }
}

fn roles(table: &Table<'_>, settings: &mut Settings) {
    for role in table.keys() {
        if let Some(chain) = chain(table, role) {
            settings.roles.insert(role.to_owned(), chain);
        }
    }
}

/// Phases that a session of an agent can begin with.
const SESSIONS: [Phase; 6] =
    [Phase::Issue, Phase::Implementation, Phase::PullRequest, Phase::Review, Phase::ReviewResponse, Phase::Settings];

fn by_phase(table: &Table<'_>, low: u64, limits: &mut BTreeMap<Phase, u64>) {
    table.warn_unknown(&SESSIONS.map(Phase::name));
    for phase in SESSIONS {
        if let Some(seconds) = table.seconds(phase.name(), low..=LONGEST) {
            limits.insert(phase, seconds);
        }
    }
}

fn retry(table: &Table<'_>, settings: &mut Settings) {
    table.warn_unknown(&["attempts", "first_delay", "max_delay", "breaker_failures", "breaker_pause"]);
    set(&mut settings.retry.attempts, table.number("attempts", 1..=20));
    set(&mut settings.retry.first_delay_secs, table.seconds("first_delay", 0..=LONGEST));
    set(&mut settings.retry.max_delay_secs, table.seconds("max_delay", 0..=LONGEST));
    set(&mut settings.breaker.failures, table.number("breaker_failures", 0..=1000));
    let pause = table.seconds("breaker_pause", 1..=LONGEST).and_then(|seconds| i64::try_from(seconds).ok());
    set(&mut settings.breaker.open_millis, pause.map(|seconds| seconds * 1000));
}

fn limits(table: &Table<'_>, settings: &mut Settings) {
    table.warn_unknown(&[
        "max_cost",
        "max_tokens",
        "max_agent_minutes",
        "session_cost",
        "min_disk",
        "min_memory",
        "max_memory_stall",
        "max_load",
    ]);
    let limits = &mut settings.limits;
    limits.caps.micro_usd = table.money("max_cost").or(limits.caps.micro_usd);
    limits.caps.tokens = table.number("max_tokens", 1..=u32::MAX).map(u64::from).or(limits.caps.tokens);
    let minutes = table.number("max_agent_minutes", 1..=10_000_000);
    limits.caps.millis = minutes.map(|minutes| u64::from(minutes) * 60_000).or(limits.caps.millis);
    limits.session_cost = table.money("session_cost").or(limits.session_cost);
    set(&mut limits.floors.disk, table.bytes("min_disk"));
    set(&mut limits.floors.memory, table.bytes("min_memory"));
    set(&mut limits.floors.memory_stall, table.number("max_memory_stall", 0..=100));
    set(&mut limits.floors.load, table.number("max_load", 0..=10_000));
}

/// A relative folder that lies below the repository root and outside `.git`, without `./` in front and `/` behind.
pub(super) fn folder(path: &str) -> Option<String> {
    use std::path::{Component, Path};
    let names = Path::new(path).components().filter(|part| *part != Component::CurDir).map(|part| match part {
        Component::Normal(name) => name.to_str(),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
    });
    let names: Vec<&str> = names.collect::<Option<_>>()?;
    match names.first() {
        Some(first) if first.eq_ignore_ascii_case(".git") => None,
        Some(_) => Some(names.join("/")),
        None => (!path.is_empty()).then(|| ".".to_owned()),
    }
}
