//! Renders plans: a table for people, JSON for scripts, dot and mermaid for pictures. Must not print nor plan.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::domain::diagnostic::{Diagnostic, Severity};
use crate::domain::id::ItemId;
use crate::domain::plan::{Plan, PlannedItem};

use super::text::{Cell, Color, Table, Tone, append, escape, json_safe};

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
    if plan.items.is_empty() {
        out.push_str("\nnothing to do\n");
    } else {
        append(&mut out, format_args!("{}\n\n", counts(plan)));
        out.push_str(&item_table(plan).render(
            frame.width.unwrap_or(usize::MAX),
            &["title", "why", "after"],
            frame.color,
        ));
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

fn item_table(plan: &Plan) -> Table {
    let mut table = Table::new(&["wave", "id", "title", "agent", "after", "warnings", "why"]);
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
        table.row(vec![
            Cell::new(&planned.wave.to_string()),
            Cell::toned(&planned.item.display_id, Tone::Strong),
            Cell::new(&planned.item.title),
            Cell::new(&format!("{} ({})", assignment.role, assignment.adapter)),
            Cell::new(&after(planned)),
            warnings,
            Cell::toned(&assignment.why, Tone::Faint),
        ]);
    }
    table
}

/// Prerequisites; those that are done already in parentheses.
fn after(planned: &PlannedItem) -> String {
    let shown = |id: &ItemId, planned: bool| if planned { id.to_string() } else { format!("({id})") };
    let ids: Vec<String> = planned.prerequisites.iter().map(|needed| shown(&needed.id, needed.planned)).collect();
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
    let left = plan.left_out.iter().map(|left| json!({"id": left.id, "why": left.why}));
    let value = json!({
        "version": 1,
        "items": plan.items.iter().map(item).collect::<Vec<_>>(),
        "diagnostics": plan.diagnostics.iter().map(diagnostic).collect::<Vec<_>>(),
        "leftOut": left.collect::<Vec<_>>(),
        "waves": plan.waves,
        "criticalPath": plan.critical_path,
        "outOfScope": plan.outside,
    });
    format!("{}\n", json_safe(&format!("{value:#}")))
}

fn item(planned: &PlannedItem) -> Value {
    let done = planned.prerequisites.iter().filter(|needed| !needed.planned).map(|needed| &needed.id);
    let edge = |(id, kind)| json!({"id": id, "kind": kind});
    let edges = planned.prerequisites.iter().map(|needed| (&needed.id, needed.kind)).map(edge);
    json!({
        "id": planned.item.id,
        "title": planned.item.title,
        "wave": planned.wave,
        "agent": planned.assignment.role,
        "adapter": planned.assignment.adapter,
        "why": planned.assignment.why,
        "dependencies": planned.planned_prerequisites().collect::<Vec<_>>(),
        "satisfied": done.collect::<Vec<_>>(),
        "edges": edges.collect::<Vec<_>>(),
        "chain": planned.chain,
        "kind": planned.item.kind,
        "path": planned.item.path,
        "key": planned.key,
    })
}

/// A finding as plans and lints show it to scripts.
pub fn diagnostic(finding: &Diagnostic) -> Value {
    let related = finding
        .related
        .iter()
        .map(|(place, label)| json!({"path": place.path, "line": place.line, "column": place.column, "label": label}));
    let place = finding.place.as_ref();
    json!({
        "severity": finding.severity,
        "code": finding.code,
        "message": finding.message,
        "path": place.map(|place| &place.path),
        "line": place.map(|place| place.line),
        "column": place.map(|place| place.column),
        "related": related.collect::<Vec<_>>(),
        "hint": finding.hint,
    })
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
