//! What is accepted on the command line and what is not.

use clap::{CommandFactory, Parser};

use super::*;

fn stories(args: &[&str]) -> StoriesArgs {
    let argv = ["git-orchestrate", "stories"].into_iter().chain(args.iter().copied());
    match Cli::try_parse_from(argv).unwrap().command {
        Command::Stories(args) => args,
        other => panic!("{other:?}"),
    }
}

fn refusal(args: &[&str]) -> String {
    let argv = ["git-orchestrate"].into_iter().chain(args.iter().copied());
    let error = Cli::try_parse_from(argv).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    error.to_string()
}

#[test]
fn definitions_hold_clap_s_own_checks() {
    Cli::command().debug_assert();
}

#[test]
fn everything_of_the_main_job_can_be_said() {
    let args = stories(&[
        "1.1-1.5",
        "epic:auth",
        "-j",
        "4",
        "--agent",
        "codex",
        "--missing",
        "expand",
        "--assume-done",
        "0.1",
        "--assume-done",
        "0.2",
        "--waves",
        "--no-land",
        "--json",
        "--strict",
        "--target",
        "dev",
        "--yes",
        "--dry-run",
        "--policy-from-target",
    ]);
    assert_eq!(args.planning.scope, ["1.1-1.5", "epic:auth"]);
    assert_eq!(args.planning.assume_done, ["0.1", "0.2"]);
    assert_eq!((args.jobs, args.planning.missing), (Some(Jobs::Count(4)), Some(Missing::Expand)));
}

#[test]
fn a_selector_after_two_dashes_is_only_a_selector() {
    assert_eq!(stories(&["--", "--force"]).planning.scope, ["--force"]);
}

#[test]
fn jobs_are_a_number_from_1_to_256() {
    for bad in ["0", "257", "banana", "-1", "1.5", ""] {
        let argument = format!("--jobs={bad}");
        assert!(refusal(&["stories", &argument]).contains("expected a number from 1 to 256"), "{bad}");
    }
    assert_eq!(stories(&["-j256"]).jobs, Some(Jobs::Count(256)));
    assert_eq!(stories(&["-j", "auto"]).jobs, Some(Jobs::Auto));
}

#[test]
fn a_review_needs_exactly_one_verdict_and_a_message() {
    refusal(&["review", "1.1", "-m", "fine"]);
    refusal(&["review", "1.1", "--approve", "--request-changes", "-m", "fine"]);
    refusal(&["review", "1.1", "--approve"]);
}

#[test]
fn a_finding_is_path_line_text_and_the_text_may_hold_colons() {
    let finding = parse_finding("src/a.rs:4: std::env is read here").unwrap();
    assert_eq!((finding.path.as_str(), finding.line, finding.text.as_str()), ("src/a.rs", 4, "std::env is read here"));
    for bad in ["src/a.rs", "src/a.rs:x:text", "src/a.rs:1:", ""] {
        assert!(parse_finding(bad).is_err(), "{bad}");
    }
}
