//! The whole table and the tests that hold it: what was seen is what is expected, and every row means something.

use super::document;
use super::observe::{self, Cell, Seen};
use super::row::{Outcome, Row, Setting};

/// Every operation, in the order of the document.
pub fn rows() -> Vec<Row> {
    let mut rows = super::bring::rows();
    rows.extend(super::own::rows());
    rows.extend(super::free::rows());
    rows.extend(super::records::rows());
    rows
}

fn as_expected(setting: Setting) {
    let mut wrong = Vec::new();
    for cell in observe::all(setting) {
        let Some(expected) = cell.expected() else { continue };
        if cell.seen != Seen::Outcome(expected) {
            let Cell { row, mode, seen, said, .. } = cell;
            let group = row.group;
            wrong.push(format!(
                "{group}: {}, mode {}: {seen:?}, not {expected:?}\n    {}\n{said}",
                row.name(),
                mode.word(),
                row.line
            ));
        }
    }
    assert!(wrong.is_empty(), "{} in the {}:\n{}", wrong.len(), setting.title(), wrong.join("\n"));
}

#[test]
fn every_route_in_the_main_worktree_ends_as_expected() {
    as_expected(Setting::Main);
}

#[test]
fn every_route_in_a_linked_worktree_ends_as_expected() {
    as_expected(Setting::Linked);
}

#[test]
fn every_route_in_a_bare_repository_ends_as_expected() {
    as_expected(Setting::Bare);
}

#[test]
fn without_hooks_every_operation_moves_what_its_row_says() {
    let mut wrong = Vec::new();
    for setting in Setting::ALL {
        for (name, moved, said) in observe::without_hooks(setting) {
            if moved != Some(true) {
                wrong.push(format!("{name} in the {}: {moved:?}\n{said}", setting.title()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_refusal_says_which_ref_why_and_the_ways_on() {
    let mut wrong = Vec::new();
    let refused = |cell: &&Cell| cell.seen == Seen::Outcome(Outcome::Refused) && !cell.row.mute;
    for cell in observe::all(Setting::Main).iter().filter(refused) {
        let named = ["refused: refs/heads/", "refused: refs/orchestrate/", "refused: HEAD"];
        let names_ref = named.iter().any(|start| cell.said.contains(start));
        if !names_ref || !cell.said.contains("why:") || !cell.said.contains("to undo:") {
            wrong.push(format!("{}, mode {}\n{}", cell.row.name(), cell.mode.word(), cell.said));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_no_hook_refused_is_found_by_verify() {
    let cells = Setting::ALL.into_iter().flat_map(observe::all);
    let slipped: Vec<&Cell> = cells.filter(|cell| cell.found.is_some()).collect();
    assert!(!slipped.is_empty(), "nothing slipped through");
    let missed = slipped.iter().filter(|cell| cell.found == Some(false));
    let missed: Vec<String> = missed
        .map(|cell| format!("{} in the {}, mode {}", cell.row.name(), cell.setting.title(), cell.mode.word()))
        .collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn the_table_is_large_and_its_names_are_unique() {
    let rows = rows();
    assert!(rows.iter().filter(|row| row.moves).count() >= 60, "operations that move something");
    let mut names: Vec<String> = rows.iter().map(|row| format!("{} {}", row.group, row.name())).collect();
    names.sort();
    let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn the_document_is_what_was_seen() {
    document::compare();
}
