//! Real stories of other projects, from where they lie, run end to end with the scripted agent. Must not copy any of their
//! text into this repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::project::{Project, until};
use crate::support::corpus;

/// Stories of one epic and where a scratch repository has them.
struct Set {
    project: Project,
    /// Path in the repository → text as committed.
    texts: BTreeMap<String, String>,
}

/// Copies the stories of a folder whose names begin with `prefix`; `None` where there is no corpus.
fn set(folder: &str, prefix: &str, into: &str, policy: &str, status: Option<&str>) -> Option<Set> {
    let folder = corpus()?.join(folder);
    let project = Project::new("", policy);
    let mut texts = BTreeMap::new();
    for path in files(&folder) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with(prefix) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let text = match status {
            // A companion of a story, which is none itself, stays as it is.
            Some(word) if !name.ends_with("-remediation.md") => with_status(&text, word),
            Some(_) | None => text,
        };
        let path = format!("{into}/{name}");
        project.scratch.write(&path, &text);
        if !name.ends_with("-remediation.md") {
            texts.insert(path, text);
        }
    }
    assert!(!texts.is_empty(), "no story in {}", folder.display());
    project.commit();
    Some(Set { project, texts })
}

fn connector(epic: &str, status: Option<&str>) -> Option<Set> {
    set("bmad-v4/ALLiDoizCode--connector/docs/stories", &format!("{epic}."), "docs/stories", "", status)
}

fn vibe_dash(status: Option<&str>) -> Option<Set> {
    let into = "docs/sprint-artifacts/stories";
    let from = format!("bmad-v6/JeiKeiLim--vibe-dash/{into}/epic-15");
    set(&from, "15-", into, &format!("[stories]\nroots = [\"{into}\"]\n"), status)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// The line of the status: the first in the head that gives one, or the first below a heading of that name.
fn status_line(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    if let Some(heading) = lines.iter().position(|line| *line == "## Status") {
        return (heading + 1..lines.len()).find(|line| !lines[*line].is_empty()).unwrap();
    }
    let gives = |line: &&str| line.starts_with("Status:") || line.starts_with("**Status:**");
    lines.iter().position(gives).expect("every story of these sets has a status")
}

fn with_status(text: &str, word: &str) -> String {
    let at = status_line(text);
    let change = |(number, line): (usize, &str)| match line.rfind(": ").or_else(|| line.rfind(":** ").map(|at| at + 2))
    {
        _ if number != at => line.to_owned(),
        Some(colon) if line.starts_with("Status:") => format!("{}: {word}", &line[..colon]),
        _ if line.starts_with("**Status:**") => format!("**Status:** {word}"),
        _ => word.to_owned(),
    };
    let mut out = text.lines().enumerate().map(change).collect::<Vec<_>>().join("\n");
    if text.ends_with('\n') {
        out.push('\n');
    }
    out
}

impl Set {
    /// Prerequisites by story, as the plan says before the run.
    fn dependencies(&self, args: &[&str]) -> BTreeMap<String, Vec<String>> {
        let all: Vec<&str> = ["plan", "--format", "json"].into_iter().chain(args.iter().copied()).collect();
        let ran = self.project.orchestrate(&all);
        assert_eq!(ran.code, 0, "{ran:?}");
        let plan: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let entry = |item: &serde_json::Value| {
            (text(&item["id"]), item["dependencies"].as_array().unwrap().iter().map(text).collect())
        };
        plan["items"].as_array().unwrap().iter().map(entry).collect()
    }

    /// Stories in the order they were merged.
    fn landed(&self) -> Vec<String> {
        let format = "--format=%(trailers:key=Story,valueonly,separator=%x2C)";
        let log = self.project.scratch.git(&["log", "--first-parent", "--merges", "--reverse", format, "main"]);
        log.lines().map(str::to_owned).collect()
    }

    /// Every story of the plan landed once, after its prerequisites; nothing is left behind.
    fn assert_landed(&self, dependencies: &BTreeMap<String, Vec<String>>) {
        let landed = self.landed();
        let mut sorted = landed.clone();
        sorted.sort();
        let mut expected: Vec<String> = dependencies.keys().cloned().collect();
        expected.sort();
        assert_eq!(sorted, expected, "each story once");
        for (at, id) in landed.iter().enumerate() {
            for before in &dependencies[id] {
                assert!(landed[..at].contains(before), "{id} before {before}: {landed:?}");
            }
        }
        self.project.assert_tidy();
        self.project.assert_one_at_a_time();
        assert_eq!(self.project.own_locks(), Vec::<PathBuf>::new());
        for (path, before) in &self.texts {
            assert_recorded(path, before, &self.project.scratch.read(path));
        }
    }
}

/// The status line says done, a review section is there, and everything else is as it was, byte for byte.
fn assert_recorded(path: &str, before: &str, after: &str) {
    assert_ne!(before, after, "{path} was not written to");
    let line = after.lines().nth(status_line(after)).unwrap();
    assert!(line.to_lowercase().ends_with("done"), "{path}: {line}");
    let mut rest = after.lines();
    for (number, line) in before.lines().enumerate() {
        let kept = rest.next().unwrap_or_else(|| panic!("{path}:{number}: a line is gone: {line}"));
        assert!(number == status_line(before) || kept == line, "{path}:{number}: `{line}` became `{kept}`");
    }
    let added: Vec<&str> = rest.filter(|line| !line.is_empty()).collect();
    assert_eq!(added[0], "## Review", "{path}: {added:?}");
    assert!(added.len() > 1 && added[1..].iter().all(|line| line.contains("approved by agent:scripted:")), "{added:?}");
}

fn lands(set: &Set, args: &[&str]) {
    let dependencies = set.dependencies(args);
    assert_eq!(dependencies.len(), set.texts.len(), "every copied file is a story: {dependencies:?}");
    let ran = set.project.stories(args);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    set.assert_landed(&dependencies);
    assert_nothing_to_do(set, args);
}

fn assert_nothing_to_do(set: &Set, args: &[&str]) {
    let main = set.project.scratch.git(&["rev-parse", "main"]);
    let ran = set.project.stories(args);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("nothing to do"), "{}", ran.stdout);
    assert_eq!(set.project.scratch.git(&["rev-parse", "main"]), main);
    set.project.assert_tidy();
}

#[test]
fn connector_epic_17_lands() {
    let Some(set) = connector("17", Some("Not Started")) else { return };
    lands(&set, &["epic:17"]);
}

#[test]
fn connector_epic_19_lands() {
    let Some(set) = connector("19", Some("Not Started")) else { return };
    lands(&set, &["19.1-19.4"]);
}

#[test]
fn vibe_dash_epic_15_lands() {
    let Some(set) = vibe_dash(Some("ready-for-dev")) else { return };
    lands(&set, &[]);
}

#[test]
fn stories_that_are_done_leave_nothing_to_do() {
    for set in [connector("17", None), connector("19", None)].into_iter().flatten() {
        assert_nothing_to_do(&set, &[]);
        assert!(set.project.journal().is_empty(), "no agent was called");
    }
    // The last story of this epic says `review`.
    let Some(set) = vibe_dash(None) else { return };
    assert_nothing_to_do(&set, &["15.1-15.6"]);
    assert!(set.project.journal().is_empty(), "no agent was called");
}

#[test]
fn prerequisites_that_were_not_copied_are_named_and_can_be_taken_for_done() {
    let Some(set) = set("bmad-v4/ALLiDoizCode--connector/docs/stories", "17.5.", "docs/stories", "", Some("Ready"))
    else {
        return;
    };
    let ran = set.project.stories(&[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    for id in ["17.1", "17.2", "17.3", "17.4", "17.7"] {
        assert!(ran.stderr.contains(id), "{id} is named: {}", ran.stderr);
    }
    assert!(ran.stderr.contains("--assume-done"), "the way out is named: {}", ran.stderr);
    assert!(set.project.journal().is_empty(), "nothing was started");
    let known = ["17.1", "17.2", "17.3", "17.4", "17.7"];
    let args: Vec<&str> = known.iter().flat_map(|id| ["--assume-done", id]).collect();
    let ran = set.project.stories(&args);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(set.landed(), ["17.5"]);
    set.project.assert_tidy();
}

#[test]
fn a_prerequisite_outside_the_scope_is_taken_in_only_when_asked() {
    let Some(set) = connector("17", Some("Not Started")) else { return };
    let ran = set.project.stories(&["17.2"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("17.1") && ran.stderr.contains("--missing expand"), "{}", ran.stderr);
    let ran = set.project.stories(&["17.2", "--missing", "expand"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(set.landed(), ["17.1", "17.2"]);
    set.project.assert_tidy();
}

#[test]
fn a_killed_run_of_real_stories_is_gone_on_with() {
    let Some(set) = vibe_dash(Some("Not Started")) else { return };
    let dependencies = set.dependencies(&[]);
    let live = set.project.start(&["stories"]);
    until("three landings", || set.landed().len() >= 3);
    live.kill();
    let ran = set.project.orchestrate(&["resume"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    set.assert_landed(&dependencies);
}
