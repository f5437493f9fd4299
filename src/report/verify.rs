//! What `verify` says: counts per class, each breach in full, commits on request; and the warning of every other command.
//! Must not read anything nor print.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::text::{Color, Tone, append, escape, json_safe, pad};
use crate::domain::proof::{Class, Open, Proof, Proven};

/// Columns of a class's name.
const CLASS: usize = 28;
/// Columns of a label in a breach.
const LABEL: usize = 11;
/// Most stories named after a count.
const NAMED: usize = 8;

/// The command that lets landings go on.
pub const ACKNOWLEDGE: &str = "git orchestrate verify --acknowledge -m \"...\"";

/// Proofs as text; `commits` lists each one.
pub fn text(proofs: &[Proof], commits: bool, color: Color) -> String {
    let mut out = String::new();
    for proof in proofs {
        headline(&mut out, proof, color);
        counts(&mut out, proof);
        if commits {
            for proven in &proof.proven {
                let line = format!("  {} {} {}", proven.commit, proven.class().word(), proven.of());
                append(&mut out, format_args!("{}\n", escape(line.trim_end())));
            }
        }
        out.push_str(&breaches(proof.branch.short(), &proof.breaches, color));
    }
    out
}

fn headline(out: &mut String, proof: &Proof, color: Color) {
    let place = format!("{} at {}", proof.branch.short(), proof.tip.short());
    let line = match proof.breaches.len() {
        0 => color.paint(Tone::Good, &escape(&format!("{place}: every commit came by a way that the gate knows"))),
        count => {
            let breaches = if count == 1 { "1 breach".to_owned() } else { format!("{count} breaches") };
            color.paint(Tone::Bad, &escape(&format!("{place}: {breaches}; nothing lands until they are acknowledged")))
        }
    };
    append(out, format_args!("{line}\n"));
}

fn counts(out: &mut String, proof: &Proof) {
    let mut line = |name: &str, count: usize, of: String| {
        if count > 0 {
            append(out, format_args!("{}\n", escape(format!("  {} {count:>6}  {of}", pad(name, CLASS)).trim_end())));
        }
    };
    for class in Class::ALL {
        let of: BTreeSet<&str> = proof.proven.iter().filter(|one| one.class() == class).map(Proven::of).collect();
        let mut named: Vec<&str> = of.iter().copied().filter(|name| !name.is_empty()).take(NAMED).collect();
        if of.len() > NAMED {
            named.push("...");
        }
        line(class.word(), proof.count(class), named.join(" "));
    }
    line("before adoption", proof.before, String::new());
    line(
        "of these by record",
        proof.by_record,
        "to judge their evidence again: git orchestrate verify --full".to_owned(),
    );
}

/// Breaches in full, what and why and what to do; empty when there are none.
pub fn breaches(branch: &str, breaches: &[Open], color: Color) -> String {
    let mut out = String::new();
    for open in breaches {
        let subject = if open.subject.is_empty() { String::new() } else { format!(" \"{}\"", open.subject) };
        let title = format!("breach on {branch}: commit {}{subject}", open.breach.commit.short());
        append(&mut out, format_args!("{}\n", color.paint(Tone::Bad, &escape(&title))));
        let mut fact = |label: &str, value: &str| {
            if !value.is_empty() {
                append(&mut out, format_args!("{}\n", escape(&format!("  {} {value}", pad(label, LABEL)))));
            }
        };
        fact("why:", &open.breach.reason);
        fact("came by:", &open.breach.route);
        fact("to undo:", &open.undo);
    }
    if !out.is_empty() {
        append(&mut out, format_args!("  {} {ACKNOWLEDGE}\n", pad("then:", LABEL)));
    }
    out
}

/// Proofs as one JSON object, version 1, ended by a line feed.
pub fn json(proofs: &[Proof], commits: bool) -> String {
    let value = json!({
        "version": 1,
        "sound": proofs.iter().all(|proof| proof.breaches.is_empty()),
        "branches": proofs.iter().map(|proof| branch(proof, commits)).collect::<Vec<_>>(),
    });
    format!("{}\n", json_safe(&format!("{value:#}")))
}

fn branch(proof: &Proof, commits: bool) -> Value {
    let mut counts: serde_json::Map<String, Value> = serde_json::Map::new();
    for class in Class::ALL {
        let name = json!(class);
        counts.insert(name.as_str().unwrap_or_default().to_owned(), json!(proof.count(class)));
    }
    counts.insert("beforeAdoption".to_owned(), json!(proof.before));
    let mut value = json!({
        "branch": proof.branch.short(),
        "tip": proof.tip,
        "adopted": proof.record.adopted,
        "certified": proof.record.certified,
        "counts": counts,
        "byRecord": proof.by_record,
        "breaches": proof.breaches.iter().map(breach).collect::<Vec<_>>(),
    });
    if commits {
        let one = |one: &Proven| json!({"commit": one.commit, "class": one.class(), "of": Some(one.of()).filter(|of| !of.is_empty())});
        value["commits"] = proof.proven.iter().map(one).collect();
    }
    value
}

fn breach(open: &Open) -> Value {
    json!({
        "commit": open.breach.commit,
        "subject": open.subject,
        "reason": open.breach.reason,
        "route": open.breach.route,
        "undo": open.undo,
        "recorded": open.recorded,
    })
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
