//! The gate policy out of `.orchestrate.toml` as it stands on the target. Must not look at the work tree or the environment.

use std::path::{Component, Path};

use sha2::{Digest, Sha256};

use super::document::Document;
use super::reader::{Reader, Table};
use super::settings::LONGEST;
use crate::domain::diagnostic::{Diagnostic, Severity};
use crate::domain::names::PolicyVersion;
use crate::domain::policy::{CheckSpec, MOST_HOTFIX_LINES, MOST_REVIEWERS, PhaseSpec, Policy, ProtectMode, ReviewBy};
use crate::domain::workflow::{Performer, Phase};

/// Seconds a check may take when it says nothing.
const CHECK_TIMEOUT: u64 = 1800;

const PERFORMERS: [(&str, Performer); 4] = [
    ("agent", Performer::Agent),
    ("command", Performer::Command),
    ("person", Performer::Person),
    ("tool", Performer::Tool),
];

/// The policy in the bytes of a file (`None`: there is no file), and what is wrong with it. Where a key is wrong its built-in
/// value stands, so nothing may be started while an error is among the diagnostics.
pub fn policy(name: &str, bytes: Option<&[u8]>) -> (Policy, Vec<Diagnostic>) {
    let mut policy = Policy::built_in(PolicyVersion::new(""));
    let diagnostics = match bytes.map(|bytes| Document::open(name, bytes)) {
        None => Vec::new(),
        Some(Err(diagnostic)) => vec![*diagnostic],
        Some(Ok(document)) => read(&document, &mut policy),
    };
    policy.version = digest(&policy);
    (policy, diagnostics)
}

/// Gate keys whose resolved values differ, e.g. `[checks] test`; empty when both policies demand the same.
pub fn differences(worktree: &Policy, target: &Policy) -> Vec<String> {
    let mut keys = Vec::new();
    let mut note = |differs: bool, key: &str| {
        if differs {
            keys.push(key.to_owned());
        }
    };
    note(worktree.protected != target.protected, "[protect] branches");
    note(worktree.mode != target.mode, "[protect] mode");
    note(worktree.checks_required != target.checks_required, "[gates] checks");
    note(worktree.signatures_required != target.signatures_required, "[gates] signatures");
    note(worktree.allowed_signers != target.allowed_signers, "[gates] allowed_signers");
    note(worktree.review_by != target.review_by, "[review] by");
    note(worktree.reviewers != target.reviewers, "[review] reviewers");
    note(worktree.review_rounds != target.review_rounds, "[review] rounds");
    note(worktree.reviewer_role != target.reviewer_role, "[review] role");
    note(worktree.hotfix_lines != target.hotfix_lines, "[hotfix] lines");
    for check in
        worktree.checks.iter().chain(target.checks.iter().filter(|check| named(worktree, &check.name).is_none()))
    {
        let differs = named(worktree, &check.name) != named(target, &check.name);
        note(differs, &format!("[checks] {}", check.name));
    }
    let order = |policy: &Policy| policy.checks.iter().map(|check| check.name.clone()).collect::<Vec<_>>();
    let (mut ours, mut theirs) = (order(worktree), order(target));
    if ours != theirs {
        ours.sort();
        theirs.sort();
        note(ours == theirs, "[checks] order");
    }
    for phase in Phase::ALL {
        // [review] by says the same and is named already.
        let said = phase == Phase::Review && worktree.review_by != target.review_by;
        note(worktree.phase(phase) != target.phase(phase) && !said, &format!("[workflow.{phase}]"));
    }
    keys
}

fn named<'a>(policy: &'a Policy, name: &str) -> Option<&'a CheckSpec> {
    policy.checks.iter().find(|check| check.name == name)
}

/// The first 16 hexadecimal digits of the SHA-256 of the resolved gate keys.
fn digest(policy: &Policy) -> PolicyVersion {
    let canonical = serde_json::to_vec(policy).expect("a policy holds only strings, numbers and lists");
    let hash = Sha256::digest(canonical);
    PolicyVersion::new(format!("{:016x}", hash.iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))))
}

fn read(document: &Document<'_>, policy: &mut Policy) -> Vec<Diagnostic> {
    let tables = match document.parse() {
        Ok(tables) => tables,
        Err(diagnostic) => return vec![*diagnostic],
    };
    let reader = Reader::new(document);
    {
        // Unknown tables are reported once, by the settings of the same file.
        let root = reader.root(&tables);
        root.table("protect").iter().for_each(|table| protect(table, policy));
        root.table("gates").iter().for_each(|table| gates(table, policy));
        root.table("checks").iter().for_each(|table| checks(table, policy));
        root.table("review").iter().for_each(|table| review(table, policy));
        root.table("workflow").iter().for_each(|table| workflow(table, policy));
        agree_on_review(&root, policy);
        root.table("hotfix").iter().for_each(|table| hotfix(table, policy));
    }
    reader.finish()
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn protect(table: &Table<'_>, policy: &mut Policy) {
    table.warn_unknown(&["branches", "mode"]);
    set(&mut policy.protected, table.strings("branches"));
    set(&mut policy.mode, table.choice("mode", &[("stories", ProtectMode::Stories), ("all", ProtectMode::All)]));
}

fn gates(table: &Table<'_>, policy: &mut Policy) {
    table.warn_unknown(&["checks", "signatures", "allowed_signers"]);
    let words = [("optional", false), ("required", true)];
    set(&mut policy.checks_required, table.choice("checks", &words));
    set(&mut policy.signatures_required, table.choice("signatures", &words));
    if let Some(path) = table.string("allowed_signers") {
        let inside = Path::new(&path).components().all(|part| matches!(part, Component::Normal(_)));
        let path = if inside { Some(path) } else { table.refuse("allowed_signers", "a path inside the repository") };
        set(&mut policy.allowed_signers, path);
    }
}

fn review(table: &Table<'_>, policy: &mut Policy) {
    table.warn_unknown(&["by", "reviewers", "rounds", "role"]);
    let words = [("agent", ReviewBy::Agent), ("human", ReviewBy::Human), ("both", ReviewBy::Both)];
    set(&mut policy.review_by, table.choice("by", &words));
    set(&mut policy.reviewers, table.number("reviewers", 1..=MOST_REVIEWERS));
    set(&mut policy.review_rounds, table.number("rounds", 1..=20));
    set(&mut policy.reviewer_role, table.string("role"));
}

/// The limit is the tool's; a repository may only be stricter.
fn hotfix(table: &Table<'_>, policy: &mut Policy) {
    table.warn_unknown(&["lines"]);
    set(&mut policy.hotfix_lines, table.number("lines", 0..=MOST_HOTFIX_LINES));
}

fn checks(table: &Table<'_>, policy: &mut Policy) {
    policy.checks = table.keys().into_iter().filter_map(|name| check(table, name, name)).collect();
}

/// `["cargo", "test"]` or `{ command = [...], timeout = 600 }`.
fn check(table: &Table<'_>, key: &str, name: &str) -> Option<CheckSpec> {
    if table.is_list(key) {
        return Some(CheckSpec { name: name.to_owned(), command: table.argv(key)?, timeout_secs: CHECK_TIMEOUT });
    }
    if !table.table_names().contains(&key) {
        return table.refuse(key, "a command: [\"cargo\", \"test\"] or { command = [...], timeout = \"10m\" }");
    }
    let spec = table.table(key)?;
    spec.warn_unknown(&["command", "timeout"]);
    if !spec.has("command") {
        return table.refuse(key, "a table with `command = [...]`");
    }
    let timeout_secs = spec.seconds("timeout", 1..=LONGEST).unwrap_or(CHECK_TIMEOUT);
    Some(CheckSpec { name: name.to_owned(), command: spec.argv("command")?, timeout_secs })
}

fn workflow(table: &Table<'_>, policy: &mut Policy) {
    table.warn_unknown(&Phase::ALL.map(Phase::name));
    for phase in Phase::ALL {
        let Some(spec) = table.table(phase.name()) else { continue };
        spec.warn_unknown(&["by", "commands"]);
        let by = spec.choice("by", &PERFORMERS).or_else(|| spec.has("commands").then_some(Performer::Command));
        let by = by.unwrap_or(policy.phase(phase).by);
        let commands = spec.argvs("commands").unwrap_or_default();
        match impossible(phase, by, commands.is_empty()) {
            Some(expected) => {
                let key = if spec.has("by") { "by" } else { "commands" };
                spec.refuse::<()>(key, expected);
            }
            None => drop(policy.phases.insert(phase, PhaseSpec { by, commands: numbered(phase, commands) })),
        }
    }
}

fn numbered(phase: Phase, commands: Vec<Vec<String>>) -> Vec<CheckSpec> {
    let numbered = commands.into_iter().enumerate();
    let spec =
        |(index, command)| CheckSpec { name: format!("{phase}-{}", index + 1), command, timeout_secs: CHECK_TIMEOUT };
    numbered.map(spec).collect()
}

/// What a phase needs that this performer cannot give.
fn impossible(phase: Phase, by: Performer, no_commands: bool) -> Option<&'static str> {
    match by {
        Performer::Command if no_commands => Some("given with `commands = [[...]]`"),
        Performer::Command | Performer::Tool if phase == Phase::Review => {
            Some("one of `agent`, `person`: a review needs somebody")
        }
        Performer::Tool
            if matches!(
                phase,
                Phase::Research | Phase::Implementation | Phase::Documentation | Phase::ReviewResponse
            ) =>
        {
            Some("one of `agent`, `command`, `person`: the tool writes no code")
        }
        Performer::Person if !phase.may_be_a_persons() => Some("one of `tool`, `command`: no person can do it here"),
        Performer::Agent if matches!(phase, Phase::Setup | Phase::Branch | Phase::Testing | Phase::Reflection) => {
            Some("one of `tool`, `command`: there is nothing for an agent to do")
        }
        Performer::Agent | Performer::Command | Performer::Person | Performer::Tool => None,
    }
}

/// `[review] by` and `[workflow.review] by` are two spellings of one thing.
fn agree_on_review(root: &Table<'_>, policy: &mut Policy) {
    let table = root.table("workflow").and_then(|workflow| workflow.table("review"));
    let by_workflow = match policy.phase(Phase::Review).by {
        Performer::Person => ReviewBy::Human,
        Performer::Agent | Performer::Command | Performer::Tool => ReviewBy::Agent,
    };
    if let Some(table) = table.filter(|table| table.has("by")) {
        let said = root.table("review").is_some_and(|review| review.has("by"));
        // `both` says more than a phase can, and contradicts neither word.
        if said && by_workflow != policy.review_by && policy.review_by != ReviewBy::Both {
            table.refuse::<()>("by", "the same reviewer as `[review] by`");
        }
        if policy.review_by != ReviewBy::Both {
            policy.review_by = by_workflow;
        }
    }
    let by = match policy.review_by {
        ReviewBy::Human => Performer::Person,
        ReviewBy::Agent | ReviewBy::Both => Performer::Agent,
    };
    policy.phases.insert(Phase::Review, PhaseSpec { by, commands: Vec::new() });
}

/// Whether something among the diagnostics forbids a start.
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}
