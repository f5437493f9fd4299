//! The document hooks/ROUTES.md: written from what was seen, compared with what is kept.

use std::path::{Path, PathBuf};

use super::observe::{self, Cell, Seen};
use super::row::{Expected, Outcome, Row, Setting, Watch};
use super::setting::Mode;
use super::table;

/// Set to write the document instead of comparing it.
const WRITE: &str = "GIT_ORCHESTRATE_WRITE_ROUTES";

const HEAD: &str = "# Routes to a protected branch and to the ledger

Generated: what was seen when each operation was tried on real repositories, never what we hope. `cargo test --test it routes`
tries all of them and fails when this page is not what it saw; `GIT_ORCHESTRATE_WRITE_ROUTES=1 cargo test --test it routes`
writes it anew, and `GIT_ORCHESTRATE_TEST_GIT=DIR` tries another git, the one in that folder.

- **refused**: a hook stopped it; neither main nor the ledger moved.
- **allowed**: it went through; where main or the ledger moved, a hook had been asked about it.
- **not seen**: main or the ledger moved and no hook was asked. Hooks cannot refuse it.
- **found by verify**: `git orchestrate verify`, run afterwards, exits with 3. Tried where work of a story came to main and no
  hook refused it.
- **–**: the operation does not exist there, with a word why.

`stories` and `all` are the values of `[protect] mode`. Story 1.1 is a story nobody has reviewed, with the branch
`story/1.1-one`; story 1.2 is approved and not landed yet; `topic` is a person's own branch. In the columns *main worktree* and
*linked worktree* main is checked out there; *bare* is a bare repository after `git orchestrate init --server`.
";

pub fn compare() {
    let seen = render();
    let path = path();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &seen).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differences = differences(&kept, &seen);
    if version_line(&kept) != version_line(&seen) {
        // Another git: held to the expectations by the other tests; here it is only told.
        eprintln!("this is another git than the document's:\n{differences}");
        return;
    }
    assert!(kept == seen, "hooks/ROUTES.md is not what was seen (write it with {WRITE}=1):\n{differences}");
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("hooks/ROUTES.md")
}

fn version_line(text: &str) -> Option<&str> {
    text.lines().find(|line| line.starts_with("Tried with git "))
}

fn differences(kept: &str, seen: &str) -> String {
    let missing = |from: &str, of: &str, sign: char| -> String {
        let others: Vec<&str> = of.lines().collect();
        from.lines().filter(|line| !others.contains(line)).map(|line| format!("{sign} {line}\n")).collect()
    };
    missing(kept, seen, '-') + &missing(seen, kept, '+')
}

fn render() -> String {
    let cells: Vec<&Cell> = Setting::ALL.into_iter().flat_map(observe::all).collect();
    let rows = table::rows();
    let mut text = HEAD.to_owned();
    text.push_str(&format!("\nTried with git 2.{}, refs as files: {} operations.\n", observe::git_minor(), rows.len()));
    text.push_str(&summary(&cells));
    let mut heading = "";
    for row in &rows {
        if row.group != heading {
            heading = row.group;
            text.push_str(&format!("\n## {heading}\n\n"));
            let columns = Setting::ALL.map(|setting| format!("{0}: stories | {0}: all", setting.title())).join(" | ");
            text.push_str(&format!("| operation | {columns} |\n|---|---|---|---|---|---|---|\n"));
        }
        text.push_str(&line(row, &cells));
    }
    text.push_str("\n## What exactly was run\n\n");
    text.push_str("In the repository, with its path in `$HERE`; `before` is done with hooks off.\n");
    let mut heading = "";
    for row in rows.iter().filter(|row| row.title.is_some() || row.setup != "true") {
        if row.group != heading {
            heading = row.group;
            text.push_str(&format!("\n{heading}:\n\n"));
        }
        let before = if row.setup == "true" { String::new() } else { format!("; before: `{}`", row.setup) };
        text.push_str(&format!("- {}: `{}`{before}\n", row.name(), row.line));
    }
    text
}

/// The honest list first: what no hook sees, and what hooks let pass though it holds a story's content.
fn summary(cells: &[&Cell]) -> String {
    let names = |wanted: &dyn Fn(&Cell) -> bool| {
        let mut names: Vec<String> = Vec::new();
        for cell in cells.iter().filter(|cell| wanted(cell)) {
            let name = cell.row.name();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.iter().map(|name| format!("- {name}\n")).collect::<String>()
    };
    let unseen = |cell: &Cell| cell.seen == Seen::Outcome(Outcome::NotSeen);
    let main = names(&|cell| unseen(cell) && cell.row.watch == Watch::Main);
    let ledger = names(&|cell| unseen(cell) && cell.row.watch != Watch::Main);
    let copied = names(&|cell| cell.row.copies && cell.seen == Seen::Outcome(Outcome::Allowed));
    format!(
        "\n## What the hooks do not stop\n\nMain moves and no hook is asked; only `git orchestrate verify` can find it afterwards:\n\n{main}\n\
         The ledger changes and no hook is asked; `verify` was not tried on these:\n\n{ledger}\n\
         Let through by the hook in mode `stories`, because the commits are a person's own and name no story; mode `all`\n\
         refuses them:\n\n{copied}"
    )
}

fn line(row: &Row, cells: &[&Cell]) -> String {
    let mut line = format!("| {} |", escaped(&row.name()));
    for setting in Setting::ALL {
        for mode in Mode::BOTH {
            let same = |cell: &&&Cell| {
                cell.setting == setting
                    && cell.mode == mode
                    && cell.row.group == row.group
                    && cell.row.name() == row.name()
            };
            let shown = match (row.expected[setting as usize], cells.iter().find(same)) {
                (Expected::Absent(why), _) => format!("– {why}"),
                (_, None) => format!("– git 2.{} and later", row.since),
                (_, Some(cell)) => word(&cell.seen) + after(cell.found),
            };
            line.push_str(&format!(" {shown} |"));
        }
    }
    line.push('\n');
    line
}

/// What `verify` said afterwards.
fn after(found: Option<bool>) -> &'static str {
    match found {
        None => "",
        Some(true) => ", found by verify",
        Some(false) => ", **not found by verify**",
    }
}

fn word(seen: &Seen) -> String {
    match seen {
        Seen::Outcome(outcome) => outcome.word().to_owned(),
        Seen::Failed(code) => format!("failed with {code}"),
        Seen::NoEffect => "no effect".to_owned(),
        Seen::Moved => "moved".to_owned(),
        Seen::Unready => "not tried".to_owned(),
    }
}

/// A bar would end the column.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}
