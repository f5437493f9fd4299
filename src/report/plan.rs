//! Renders plans: a table for people, JSON for scripts, dot and mermaid for pictures. Must not print nor plan.

use std::collections::HashMap;

use serde::Serialize;

use crate::domain::diagnostic::{Diagnostic, Place, Severity};
use crate::domain::id::ItemId;
use crate::domain::item::ItemKind;
use crate::domain::plan::{Assignment, EdgeKind, LeftOut, OutOfScope, Plan, PlannedItem, Prerequisite};

use super::text::{Cell, Color, Fit, Table, Tone, append, escape, json_safe, wrap};

/// From this many columns on, the reason for an agent has a column of its own.
const WIDE: usize = 110;

/// Most lines of ids below one reason; the table names the agent of every story.
const ID_LINES: usize = 4;

/// Where the reasons for the choice of agents stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reasons {
    /// In the last column.
    Beside,
    /// In a list under the table.
    Below,
}

/// What the table says around the plan.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// First line: target branch, its oid, where the policy comes from.
    pub head: &'a str,
    /// Command that runs this plan; `None` where there is nothing to run, as after `stories --dry-run`.
    pub command: Option<&'a str>,
    /// Columns of the terminal; `None` = as wide as needed.
    pub width: Option<usize>,
    /// Colour.
    pub color: Color,
}

/// The first line of a plan: `target main at 1a2b3c4 · built-in policy`.
pub fn head_line(target: &str, oid: &str, policy: &str) -> String {
    format!("target {} at {} · {}", escape(target), escape(oid), escape(policy))
}

/// The plan as a table with what is left out, the critical path and what to do next.
pub fn table(plan: &Plan, frame: &Frame<'_>) -> String {
    let mut out = format!("{}\n", escape(frame.head));
    if plan.items.is_empty() && !plan.has_errors() {
        out.push_str("\nnothing to do\n");
    } else if !plan.items.is_empty() {
        append(&mut out, format_args!("{}\n\n", counts(plan)));
        let width = frame.width.unwrap_or(usize::MAX);
        let reasons = if width < WIDE { Reasons::Below } else { Reasons::Beside };
        out.push_str(&item_table(plan, reasons).render(width, &["title", "why", "after"], Fit::Wrap, frame.color));
        if reasons == Reasons::Below {
            agents(plan, width, frame.color, &mut out);
        }
    }
    left_out(plan, frame.color, &mut out);
    if plan.critical_path.len() > 1 {
        append(
            &mut out,
            format_args!("\ncritical path ({}): {}\n", plan.critical_path.len(), path(&plan.critical_path)),
        );
    }
    next_steps(plan, frame, &mut out);
    out
}

/// Agents with the reason they were chosen and their stories, in order of the first story.
fn agents(plan: &Plan, width: usize, color: Color, out: &mut String) {
    let mut groups: Vec<(&Assignment, Vec<&str>)> = Vec::new();
    let mut known: HashMap<&Assignment, usize> = HashMap::new();
    for planned in &plan.items {
        let at = *known.entry(&planned.assignment).or_insert_with(|| {
            groups.push((&planned.assignment, Vec::new()));
            groups.len() - 1
        });
        groups[at].1.push(planned.item.id.as_str());
    }
    out.push_str("\nagents:\n");
    for (assignment, ids) in groups {
        let head = escape(&format!("{}: {}", named(assignment), assignment.why));
        for line in wrap(&head, width.saturating_sub(2)) {
            append(out, format_args!("  {line}\n"));
        }
        let lines = wrap(&ids.join(" "), width.saturating_sub(4));
        for line in lines.iter().take(ID_LINES) {
            append(out, format_args!("    {}\n", color.paint(Tone::Faint, line)));
        }
        if lines.len() > ID_LINES {
            append(out, format_args!("    … {} stories in all\n", ids.len()));
        }
    }
}

fn named(assignment: &Assignment) -> String {
    format!("{} ({})", assignment.role, assignment.chain().join(", then "))
}

fn counts(plan: &Plan) -> String {
    let widest = waves(plan).map(<[PlannedItem]>::len).max();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let stories = plan.items.len();
    let stories = format!("{stories} {}", if stories == 1 { "story" } else { "stories" });
    let edges: usize = plan.items.iter().map(|item| item.planned_prerequisites().count()).sum();
    let layers = plural(plan.waves as usize, "wave");
    format!("{stories}, {}, {layers}, at most {} at the same time", plural(edges, "edge"), widest.unwrap_or(0))
}

/// The items wave by wave.
fn waves(plan: &Plan) -> impl Iterator<Item = &[PlannedItem]> {
    plan.items.chunk_by(|a, b| a.wave == b.wave)
}

fn item_table(plan: &Plan, reasons: Reasons) -> Table {
    let heads = ["wave", "id", "title", "agent", "after", "warnings", "why"];
    let shown = match reasons {
        Reasons::Beside => heads.len(),
        Reasons::Below => heads.len() - 1,
    };
    let mut table = Table::new(&heads[..shown]);
    let mut findings: HashMap<&str, usize> = HashMap::new();
    for finding in plan.diagnostics.iter().filter(|finding| finding.severity != Severity::Info) {
        if let Some(place) = &finding.place {
            *findings.entry(&place.path).or_default() += 1;
        }
    }
    for planned in &plan.items {
        let warnings = match findings.get(planned.item.path.as_str()) {
            None => Cell::new(""),
            Some(count) => Cell::toned(&count.to_string(), Tone::Warn),
        };
        let assignment = &planned.assignment;
        let mut cells = vec![
            Cell::new(&planned.wave.to_string()),
            Cell::toned(&planned.item.display_id, Tone::Strong),
            Cell::new(&planned.item.title),
            Cell::new(&named(assignment)),
            Cell::new(&after(planned)),
            warnings,
            Cell::toned(&assignment.why, Tone::Faint),
        ];
        cells.truncate(shown);
        table.row(cells);
    }
    table
}

/// Prerequisites; those that are done already in parentheses, those that nothing is known of with a question mark.
fn after(planned: &PlannedItem) -> String {
    let shown = |needed: &Prerequisite| match (needed.planned, needed.lacking) {
        (true, _) => needed.id.to_string(),
        (false, true) => format!("{}?", needed.id),
        (false, false) => format!("({})", needed.id),
    };
    let ids: Vec<String> = planned.prerequisites.iter().map(shown).collect();
    ids.join(" ")
}

/// Ids along a path, the middle cut out of long ones.
fn path(ids: &[ItemId]) -> String {
    let joined = |ids: &[ItemId]| ids.iter().map(ItemId::as_str).collect::<Vec<_>>().join(" → ");
    if ids.len() <= 12 {
        return joined(ids);
    }
    format!("{} → … → {}", joined(&ids[..8]), joined(&ids[ids.len() - 3..]))
}

fn left_out(plan: &Plan, color: Color, out: &mut String) {
    if plan.left_out.is_empty() {
        return;
    }
    append(out, format_args!("\nleft out ({}):\n", plan.left_out.len()));
    for left in &plan.left_out {
        let why = color.paint(Tone::Faint, &escape(&left.why));
        append(out, format_args!("  {}  {why}\n", left.id));
    }
}

fn next_steps(plan: &Plan, frame: &Frame<'_>, out: &mut String) {
    let count = |severity| plan.diagnostics.iter().filter(|finding| finding.severity == severity).count();
    if plan.has_errors() {
        let text = format!("{} to mend before anything can start", errors(count(Severity::Error)));
        append(out, format_args!("\n{}\n", frame.color.paint(Tone::Bad, &text)));
    } else if let (Some(command), false) = (frame.command, plan.items.is_empty()) {
        append(out, format_args!("\nnext: {}\n", frame.color.paint(Tone::Hint, &escape(command))));
    }
}

fn errors(count: usize) -> String {
    if count == 1 { "1 error".to_owned() } else { format!("{count} errors") }
}

/// The plan as one JSON object, version 1, ended by a line feed.
pub fn json(plan: &Plan) -> String {
    let value = PlanJson {
        version: 1,
        items: plan.items.iter().map(ItemJson::new).collect(),
        diagnostics: plan.diagnostics.iter().map(FindingJson::new).collect(),
        left_out: &plan.left_out,
        waves: plan.waves,
        critical_path: &plan.critical_path,
        out_of_scope: &plan.outside,
    };
    let text = serde_json::to_string_pretty(&value).expect("plain structs with string keys always serialise");
    format!("{}\n", json_safe(&text))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanJson<'a> {
    version: u32,
    items: Vec<ItemJson<'a>>,
    diagnostics: Vec<FindingJson<'a>>,
    left_out: &'a [LeftOut],
    waves: u32,
    critical_path: &'a [ItemId],
    out_of_scope: &'a [OutOfScope],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemJson<'a> {
    id: &'a str,
    title: &'a str,
    wave: u32,
    agent: &'a str,
    adapter: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    fallbacks: &'a [String],
    why: &'a str,
    dependencies: Vec<&'a str>,
    satisfied: Vec<&'a str>,
    lacking: Vec<&'a str>,
    edges: Vec<EdgeJson<'a>>,
    chain: u32,
    kind: ItemKind,
    path: &'a str,
    key: &'a str,
}

#[derive(Serialize)]
struct EdgeJson<'a> {
    id: &'a str,
    kind: EdgeKind,
}

impl<'a> ItemJson<'a> {
    fn new(planned: &'a PlannedItem) -> Self {
        let ids = |wanted: fn(&Prerequisite) -> bool| {
            planned.prerequisites.iter().filter(|needed| wanted(needed)).map(|needed| needed.id.as_str()).collect()
        };
        let edge = |needed: &'a Prerequisite| EdgeJson { id: needed.id.as_str(), kind: needed.kind };
        Self {
            id: planned.item.id.as_str(),
            title: &planned.item.title,
            wave: planned.wave,
            agent: &planned.assignment.role,
            adapter: &planned.assignment.adapter,
            fallbacks: &planned.assignment.fallbacks,
            why: &planned.assignment.why,
            dependencies: ids(|needed| needed.planned),
            satisfied: ids(|needed| !needed.planned && !needed.lacking),
            lacking: ids(|needed| needed.lacking),
            edges: planned.prerequisites.iter().map(edge).collect(),
            chain: planned.chain,
            kind: planned.item.kind,
            path: &planned.item.path,
            key: planned.key.as_str(),
        }
    }
}

/// A finding as scripts see it.
#[derive(Serialize)]
pub struct FindingJson<'a> {
    severity: Severity,
    code: &'a str,
    message: &'a str,
    path: Option<&'a str>,
    line: Option<u32>,
    column: Option<u32>,
    related: Vec<RelatedJson<'a>>,
    hint: Option<&'a str>,
}

#[derive(Serialize)]
struct RelatedJson<'a> {
    path: &'a str,
    line: u32,
    column: u32,
    label: &'a str,
}

impl<'a> FindingJson<'a> {
    /// The finding without the texts of its lines.
    pub fn new(finding: &'a Diagnostic) -> Self {
        let place = finding.place.as_ref();
        let related = |(place, label): &'a (Place, String)| RelatedJson {
            path: &place.path,
            line: place.line,
            column: place.column,
            label,
        };
        Self {
            severity: finding.severity,
            code: finding.code,
            message: &finding.message,
            path: place.map(|place| place.path.as_str()),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            related: finding.related.iter().map(related).collect(),
            hint: finding.hint.as_deref(),
        }
    }
}

/// The plan for Graphviz.
pub fn dot(plan: &Plan) -> String {
    let quoted = |text: &str| format!("\"{}\"", escape(text).replace('\\', "\\\\").replace('"', "\\\""));
    let mut out = String::from("digraph plan {\n  rankdir=LR;\n  node [shape=box];\n");
    for wave in waves(plan) {
        let ids: Vec<String> = wave.iter().map(|planned| quoted(planned.item.id.as_str())).collect();
        append(&mut out, format_args!("  {{ rank=same; {}; }}\n", ids.join("; ")));
    }
    for planned in &plan.items {
        let id = quoted(planned.item.id.as_str());
        let label = quoted(&format!("{} {}", planned.item.display_id, planned.item.title));
        append(&mut out, format_args!("  {id} [label={label}];\n"));
        for needed in planned.planned_prerequisites() {
            append(&mut out, format_args!("  {} -> {id};\n", quoted(needed.as_str())));
        }
    }
    out.push_str("}\n");
    out
}

/// The plan as a Mermaid flow chart.
pub fn mermaid(plan: &Plan) -> String {
    let mut out = String::from("flowchart LR\n");
    // Ids may be words that Mermaid reserves (`end`), so nodes get names of our own.
    let node = |id: &ItemId| {
        let safe = id.as_str().chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '_' });
        format!("n{}", safe.collect::<String>())
    };
    for planned in &plan.items {
        let label = mermaid_text(&format!("{} {}", planned.item.display_id, planned.item.title));
        append(&mut out, format_args!("  {}[\"{label}\"]\n", node(&planned.item.id)));
    }
    for planned in &plan.items {
        for needed in planned.planned_prerequisites() {
            append(&mut out, format_args!("  {} --> {}\n", node(needed), node(&planned.item.id)));
        }
    }
    out
}

/// Text inside a quoted Mermaid label: what markup or a quote could be read from is written as entities.
fn mermaid_text(text: &str) -> String {
    let mut out = String::new();
    for char in escape(text).chars() {
        match char {
            '"' | '#' | '<' | '>' | '&' | '`' | ';' | '\\' | '[' | ']' | '{' | '}' | '*' | '_' => {
                append(&mut out, format_args!("#{};", u32::from(char)));
            }
            _ => out.push(char),
        }
    }
    out
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
