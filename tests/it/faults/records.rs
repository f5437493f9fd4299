//! Faults of the record: refs that a power cut or a person broke, a record and hooks that were deleted.

use super::note;
use crate::project::Project;
use crate::sharing::{records, two_stories};
use crate::support::Ran;

const ITEM: &str = "refs/orchestrate/items/1.1";

/// A project with story 1.1 landed, and how often agents were called.
fn one_landed() -> (Project, usize) {
    let project = two_stories();
    let ran = project.stories(&["1.1"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let calls = project.journal().len();
    (project, calls)
}

fn says(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.stdout.contains(word) || ran.stderr.contains(word), "`{word}` in {ran:?}");
    }
}

/// Every command stops at the ref, names it and the way out, and starts nothing; then `doctor --fix` mends it.
fn is_named_and_mended(point: &str, problem: &str, damage: impl Fn(&Project)) {
    let (project, calls) = one_landed();
    let before = records(&project.scratch);
    damage(&project);
    for args in [&["stories"][..], &["status"], &["resume"], &["log", "1.1"], &["show", "1.1"]] {
        let ran = project.orchestrate(args);
        assert!((1..100).contains(&ran.code), "{args:?} {ran:?}");
        says(&ran, &[ITEM, "git orchestrate doctor"]);
    }
    assert_eq!(project.journal().len(), calls, "nothing was started");
    let found = project.orchestrate(&["doctor", "--json"]);
    assert!(found.code == 1 || found.code == 3, "{found:?}");
    let report: serde_json::Value = serde_json::from_str(&found.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.iter().any(|found| found["problem"] == problem && found["area"] == "ledger"), "{report}");
    let fixed = project.orchestrate(&["doctor", "--fix"]);
    assert_eq!(fixed.code, 0, "{fixed:?}");
    says(&fixed, &[ITEM, "sound records again"]);
    let now = records(&project.scratch);
    assert!(before.lines().all(|line| now.contains(line)), "{before}\n{now}");
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!((project.merges_of("1.1"), project.merges_of("1.2")), (1, 1));
    project.assert_sound();
    note("F26", point, "named by every command, mended from the checkpoint");
}

#[test]
fn an_empty_ref_of_the_record_is_named_and_mended() {
    is_named_and_mended("zero-byte ref", "unreadable-ref", |project| {
        std::fs::write(project.scratch.root().join(".git").join(ITEM), "").unwrap();
    });
}

#[test]
#[ignore = "battery"]
fn a_ref_to_a_record_that_is_gone_is_named_and_mended() {
    is_named_and_mended("dangling ref", "broken-chain", |project| {
        let tip = project.scratch.git(&["rev-parse", ITEM]);
        let object = project.scratch.root().join(".git/objects").join(&tip[..2]).join(&tip[2..]);
        std::fs::remove_file(object).unwrap();
    });
}

#[test]
#[ignore = "battery"]
fn a_ref_to_something_else_is_named_and_mended() {
    is_named_and_mended("ref to a commit that is no record", "broken-chain", |project| {
        let main = project.scratch.git(&["rev-parse", "main"]);
        std::fs::write(project.scratch.root().join(".git").join(ITEM), format!("{main}\n")).unwrap();
    });
}

#[test]
#[ignore = "battery"]
fn a_record_of_a_newer_version_is_left_alone() {
    let (project, calls) = one_landed();
    let tip = project.scratch.git(&["rev-parse", ITEM]);
    let tree = project.scratch.git(&["rev-parse", &format!("{tip}^{{tree}}")]);
    let version = git_orchestrate::adapters::ledger::codec::FORMAT + 1;
    let message = format!("1.1: something new\n\n{{\"v\": {version}}}\n");
    let newer = project.scratch.git(&["commit-tree", &tree, "-p", &tip, "-m", &message]);
    std::fs::write(project.scratch.root().join(".git").join(ITEM), format!("{newer}\n")).unwrap();
    for args in [&["stories"][..], &["status"], &["resume"]] {
        let ran = project.orchestrate(args);
        assert!((1..100).contains(&ran.code), "{ran:?}");
        says(&ran, &[&format!("format {version}"), "upgrade"]);
    }
    let fixed = project.orchestrate(&["doctor", "--fix"]);
    assert_eq!(fixed.code, 1, "{fixed:?}");
    says(&fixed, &["newer-format", "upgrade git-orchestrate"]);
    assert_eq!(project.scratch.git(&["rev-parse", ITEM]), newer, "a newer record is never set back");
    assert_eq!(project.journal().len(), calls);
    note("F26", "unknown version", "refused with the version needed, left alone");
}

#[test]
fn a_record_that_was_deleted_comes_back_from_outside_the_repository() {
    let (project, calls) = one_landed();
    let before = records(&project.scratch);
    let git = project.scratch.root().join(".git");
    std::fs::remove_dir_all(git.join("refs/orchestrate")).unwrap();
    std::fs::remove_dir_all(git.join("orchestrate/checkpoints")).unwrap();
    for entry in std::fs::read_dir(git.join("hooks")).unwrap().flatten() {
        std::fs::remove_file(entry.path()).unwrap();
    }
    project.scratch.git(&["reflog", "expire", "--expire=now", "--all"]);
    project.scratch.git(&["gc", "-q", "--prune=now"]);
    // Without its record the story would be done again.
    let ran = project.stories(&["1.1"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    says(&ran, &["refs of the record were gone; they are back from checkpoint", "nothing to do"]);
    assert_eq!(records(&project.scratch), before);
    assert_eq!(project.journal().len(), calls, "nothing was done again");
    let doctor = project.orchestrate(&["doctor"]);
    assert_eq!(doctor.code, 3, "{doctor:?}");
    assert_eq!(project.orchestrate(&["doctor", "--fix"]).code, 0);
    assert_eq!(project.orchestrate(&["verify"]).code, 0);
    project.assert_sound();
    note("F33", "hooks deleted between runs", "found and installed again by doctor --fix");
    note("F34", "refs, objects and checkpoints in the repository deleted", "brought back from the copy outside");
}

#[test]
#[ignore = "battery"]
fn a_record_that_was_deleted_by_an_agent_whose_work_is_refused_comes_back() {
    let project = two_stories();
    let git = project.scratch.root().join(".git");
    let delete = format!("rm -rf '{0}/refs/orchestrate' '{0}/orchestrate/checkpoints' '{0}/hooks'", git.display());
    project.script(&format!(
        "[[step]]\nphase = \"implementation\"\nitem = \"1.1\"\n\
         do = [{{ write = {{ path = \"first.txt\", text = \"first\" }} }}, {{ commit = \"first\" }}, {{ run = [\"sh\", \"-c\", {delete:?}] }}]\n"
    ));
    let main = project.scratch.git(&["rev-parse", "main"]);
    let ran = project.stories(&["1.1"]);
    assert_ne!(ran.code, 0, "{ran:?}");
    assert_eq!(project.scratch.git(&["rev-parse", "main"]), main, "nothing landed");
    assert!(records(&project.scratch).contains(ITEM), "the record is there");
    assert_eq!(project.orchestrate(&["doctor", "--fix"]).code, 0);
    note("F33", "hooks and record deleted by an agent", "nothing landed, attempt quarantined, record put back");
}

#[test]
#[ignore = "battery"]
fn a_chain_that_was_rewound_is_found_and_brought_forward() {
    let (project, _) = one_landed();
    let tip = project.scratch.git(&["rev-parse", ITEM]);
    let older = project.scratch.git(&["rev-parse", &format!("{ITEM}~3")]);
    std::fs::write(project.scratch.root().join(".git").join(ITEM), format!("{older}\n")).unwrap();
    let found = project.orchestrate(&["doctor"]);
    says(&found, &["rewound-chain: ", ITEM]);
    let fixed = project.orchestrate(&["doctor", "--fix"]);
    assert_eq!(fixed.code, 0, "{fixed:?}");
    assert_eq!(project.scratch.git(&["rev-parse", ITEM]), tip);
    note("F34", "one chain rewound", "found by doctor, brought forward from the checkpoint");
}
