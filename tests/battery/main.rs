//! Runs the whole fault battery and writes the page of what it saw, `tests/FAULTS.md`: `cargo test --test battery`.
//! Not part of plain `cargo test`. Must not judge: the tests do, and one red test makes no page.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    // `cargo test --all-targets` and `cargo nextest` look for tests here: there are none.
    if std::env::args().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let rows = std::env::temp_dir().join(format!("git-orchestrate-battery-{}", std::process::id()));
    let started = std::time::Instant::now();
    let status = Command::new(env!("CARGO"))
        .args(["test", "--locked", "--test", "it", "--", "--include-ignored", "faults::", "supervisor::", "sharing::"])
        .env("ORCHESTRATE_TEST_BATTERY", &rows)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    let noted = std::fs::read_to_string(&rows).unwrap_or_default();
    drop(std::fs::remove_file(&rows));
    if !status.success() {
        eprintln!("the battery is red: no page was written");
        return ExitCode::FAILURE;
    }
    let page = page(&noted, started.elapsed().as_secs());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/FAULTS.md");
    std::fs::write(&path, page).unwrap();
    println!("wrote {}", path.display());
    ExitCode::SUCCESS
}

/// One section per fault, one line per point and outcome, equal ones counted.
fn page(noted: &str, seconds: u64) -> String {
    let mut faults: BTreeMap<&str, BTreeMap<(&str, &str), u32>> = BTreeMap::new();
    for row in noted.lines() {
        let mut cells = row.splitn(3, '\t');
        let (Some(fault), Some(point), Some(outcome)) = (cells.next(), cells.next(), cells.next()) else { continue };
        *faults.entry(fault).or_default().entry((point, outcome)).or_default() += 1;
    }
    let mut text = format!(
        "# Fault battery\n\nWritten by `cargo test --test battery`; every line is a fault that was injected, and what was \
         found after one `resume`.\n\n- commit {}\n- date {}\n- git {}\n- kernel {}\n- {} points in {seconds} s\n",
        said("git", &["describe", "--always", "--dirty"]),
        said("date", &["-u", "+%Y-%m-%d"]),
        said("git", &["--version"]).trim_start_matches("git version "),
        said("uname", &["-r"]),
        noted.lines().count(),
    );
    for (fault, points) in faults {
        text.push_str(&format!("\n## {fault}\n\n| point | outcome | times |\n| --- | --- | --- |\n"));
        for ((point, outcome), times) in points {
            text.push_str(&format!("| {} | {} | {times} |\n", cell(point), cell(outcome)));
        }
    }
    text
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    output.map_or_else(|_| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
