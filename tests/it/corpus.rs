//! The parser against the real stories of the corpus and the results checked by hand; nothing of it is copied here.

use std::path::{Path, PathBuf};

use git_orchestrate::domain::diagnostic::{Diagnostic, Severity};
use git_orchestrate::domain::item::{Declared, Dependency, FileStatus, ItemKind, WorkItem};
use git_orchestrate::domain::scope::Scope;
use git_orchestrate::domain::source::{Parsed, assemble, story};

use crate::support::corpus;

const CONNECTOR: &str = "bmad-v4/ALLiDoizCode--connector/docs/stories";
const VIBE: &str = "bmad-v6/JeiKeiLim--vibe-dash/docs/sprint-artifacts/stories";

fn parse(root: &Path, path: &str) -> Parsed {
    story::parse(path, &std::fs::read(root.join(path)).unwrap())
}

fn item(parsed: &Parsed) -> &WorkItem {
    parsed.item.as_ref().unwrap()
}

fn ids(edges: &[Dependency]) -> String {
    edges.iter().map(|edge| edge.id.as_str()).collect::<Vec<_>>().join(" ")
}

fn ids_with_lines(edges: &[Dependency]) -> String {
    let shown = edges.iter().map(|edge| format!("{}:{}", edge.id, edge.place.line));
    shown.collect::<Vec<_>>().join(" ")
}

fn files(item: &WorkItem) -> Vec<&str> {
    item.files.iter().map(|file| file.path.as_str()).collect()
}

fn codes(parsed: &Parsed, severity: Severity) -> Vec<&str> {
    parsed.diagnostics.iter().filter(|finding| finding.severity == severity).map(|finding| finding.code).collect()
}

fn finding<'a>(parsed: &'a Parsed, code: &str) -> &'a Diagnostic {
    parsed.diagnostics.iter().find(|finding| finding.code == code).unwrap()
}

fn nothing_bad(parsed: &Parsed) {
    assert_eq!(codes(parsed, Severity::Error), Vec::<&str>::new());
    assert_eq!(codes(parsed, Severity::Warning), Vec::<&str>::new());
}

/// All markdown files below a folder, paths relative to the corpus.
fn all(root: &Path, folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root.join(folder)];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn row_1(parsed: &Parsed) {
    let item = item(parsed);
    assert_eq!(item.id.as_str(), "19.4");
    assert_eq!(item.title, "Enable OrbStack for macOS Development");
    assert_eq!((item.status.value, item.status.raw.as_str()), (FileStatus::Done, "Done"));
    assert_eq!(item.status.place.as_ref().unwrap().line, 5);
    assert_eq!(item.declared, Declared::List);
    assert_eq!(ids_with_lines(&item.dependencies), "19.1:17 19.2:18");
    assert_eq!(item.dependencies[0].place.column, 9);
    assert_eq!(ids(&item.reverse), "");
    assert_eq!(item.epic.as_deref(), Some("19"));
    assert_eq!(item.epic_title.as_deref(), Some("Production Deployment Parity"));
    assert_eq!(
        files(item),
        [
            "docs/guides/local-development-macos.md",
            "scripts/install-tigerbeetle-macos.sh",
            "scripts/start-tigerbeetle-dev.sh",
            "scripts/stop-tigerbeetle-dev.sh",
            "README.md",
            "CONTRIBUTING.md",
            "package.json",
            "docker-compose-5-peer-multihop.yml",
            "scripts/deploy-5-peer-multihop.sh",
            "docs/prd/epic-19-deployment-parity.md",
        ]
    );
    assert_eq!(item.technology.as_deref(), Some("shell"));
    assert_eq!(item.criteria.len(), 6);
    assert_eq!((item.criteria[0].text.as_str(), item.criteria[0].line), ("OrbStack Installation Documentation", 44));
}

#[test]
fn row_1_connector_19_4() {
    let Some(root) = corpus() else { return };
    let parsed = parse(&root, &format!("{CONNECTOR}/19.4.story.md"));
    row_1(&parsed);
    nothing_bad(&parsed);
}

#[test]
fn row_2_connector_29_1() {
    let Some(root) = corpus() else { return };
    let parsed = parse(&root, &format!("{CONNECTOR}/29.1.story.md"));
    nothing_bad(&parsed);
    let item = item(&parsed);
    assert_eq!((item.id.as_str(), item.declared), ("29.1", Declared::None));
    assert_eq!(item.title, "Extend ConnectorConfig with Settlement Infrastructure Types");
    assert_eq!((item.status.value, item.status.place.as_ref().unwrap().line), (FileStatus::Done, 5));
    assert!(item.dependencies.is_empty() && item.reverse.is_empty());
    let epics: Vec<&str> = item.references.iter().filter_map(|text| text.split(" (").next()).collect();
    assert_eq!(epics, ["Epic 28", "Epic 6", "Epic 12"]);
    let lines: Vec<u32> = parsed
        .diagnostics
        .iter()
        .filter(|finding| finding.code == "reference-kept")
        .map(|finding| finding.place.as_ref().unwrap().line)
        .collect();
    assert_eq!(lines, [21, 22, 23]);
    assert_eq!(
        files(item),
        [
            "packages/connector/src/config/types.ts",
            "packages/connector/src/config/config-loader.ts",
            "packages/connector/src/lib.ts"
        ]
    );
    assert_eq!(item.technology.as_deref(), Some("typescript"));
    assert_eq!(item.criteria.len(), 6);
}

#[test]
fn row_3_connector_17_3() {
    let Some(root) = corpus() else { return };
    let parsed = parse(&root, &format!("{CONNECTOR}/17.3.story.md"));
    nothing_bad(&parsed);
    let item = item(&parsed);
    assert_eq!((item.id.as_str(), item.title.as_str()), ("17.3", "Claim Receiver and Verification"));
    assert_eq!((item.status.value, item.status.place.as_ref().unwrap().line), (FileStatus::Done, 5));
    assert_eq!(ids_with_lines(&item.dependencies), "17.1:17 17.2:18");
    let epics: Vec<&str> = item.references.iter().filter_map(|text| text.split(" (").next()).collect();
    assert_eq!(epics, ["Epic 2", "Epic 8", "Epic 9", "Epic 13"]);
    let names: Vec<&str> = files(item).into_iter().map(|path| path.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["claim-receiver.ts", "claim-receiver.test.ts", "claim-receiver-db-schema.ts", "telemetry.ts"]);
    assert_eq!(item.technology.as_deref(), Some("typescript"));
    assert_eq!(item.criteria.len(), 10);
}

#[test]
fn row_4_contradicting_ids_name_both_and_the_other_file() {
    let Some(root) = corpus() else { return };
    let parsed = parse(&root, &format!("{CONNECTOR}/3.8.story.md"));
    let conflict = finding(&parsed, "id-conflict");
    assert_eq!(conflict.severity, Severity::Error);
    assert!(conflict.message.contains("3.3") && conflict.message.contains("3.8"));
    let place = conflict.place.as_ref().unwrap();
    assert_eq!((place.line, place.column, place.width), (1, 9, 3));
    let story = item(&parsed);
    assert_eq!(story.title, "Dashboard Telemetry Verification and Bug Fixes");
    assert_eq!((story.status.value, story.declared), (FileStatus::Done, Declared::Undeclared));
    assert_eq!(files(story).len(), 2);
    assert_eq!(story.technology.as_deref(), Some("typescript"));
    let other = parse(&root, &format!("{CONNECTOR}/3.3.story.md"));
    let (items, found) = assemble(vec![parsed, other]);
    assert_eq!(items.len(), 1);
    assert!(items[0].path.ends_with("/3.3.story.md"));
    let conflict = found.iter().find(|finding| finding.code == "id-conflict").unwrap();
    assert!(conflict.related[0].0.path.ends_with("/3.3.story.md"));
}

#[test]
fn row_5_a_companion_without_story_sections_is_passed_over() {
    let Some(root) = corpus() else { return };
    let companion = parse(&root, &format!("{CONNECTOR}/17.4-validation-remediation.md"));
    assert!(!companion.sections);
    let (items, found) = assemble(vec![companion, parse(&root, &format!("{CONNECTOR}/17.4.story.md"))]);
    assert_eq!(items.len(), 1);
    assert!(items[0].path.ends_with("/17.4.story.md"));
    let about = |finding: &&Diagnostic| finding.place.as_ref().unwrap().path.contains("remediation");
    let about: Vec<_> = found.iter().filter(about).collect();
    assert_eq!(about.len(), 1);
    assert_eq!((about[0].severity, about[0].code), (Severity::Info, "skipped"));
    assert!(about[0].message.contains("17.4.story.md"));
}

#[test]
fn row_6_connector_5_1_is_documentation() {
    let Some(root) = corpus() else { return };
    let parsed = parse(&root, &format!("{CONNECTOR}/5.1.ilp-routing-documentation.md"));
    nothing_bad(&parsed);
    let item = item(&parsed);
    assert_eq!((item.id.as_str(), item.declared, item.kind), ("5.1", Declared::Undeclared, ItemKind::Documentation));
    assert_eq!(item.title, "ILP Routing and Packet Structure Documentation");
    assert_eq!(files(item), ["docs/guides/ilp-routing.md"]);
    assert_eq!(item.technology.as_deref(), Some("docs"));
    assert!(codes(&parsed, Severity::Info).contains(&"undeclared-dependencies"));
}

#[test]
fn row_7_vibe_3_5_1_only_enables_others() {
    let Some(root) = corpus() else { return };
    let parsed = parse(&root, &format!("{VIBE}/epic-3.5/3-5-1-directory-manager.md"));
    nothing_bad(&parsed);
    let item = item(&parsed);
    assert_eq!((item.id.as_str(), item.epic.as_deref()), ("3.5.1", Some("3.5")));
    assert_eq!(item.title, "Directory Manager with Collision Handling");
    assert_eq!((item.status.raw.as_str(), item.status.place.as_ref().unwrap().line), ("done", 3));
    assert!(item.dependencies.is_empty());
    assert_eq!(ids_with_lines(&item.reverse), "3.5.2:223 3.5.3:224 3.5.5:225 3.5.6:226");
    assert_eq!(files(item).len(), 5);
    assert_eq!(item.technology.as_deref(), Some("go"));
}

#[test]
fn row_8_vibe_3_5_is_a_story_beside_epic_3_5() {
    let Some(root) = corpus() else { return };
    let parsed = parse(&root, &format!("{VIBE}/epic-3/3-5-help-overlay.md"));
    assert_eq!(codes(&parsed, Severity::Warning), ["unknown-status"]);
    let story = item(&parsed);
    assert_eq!((story.id.as_str(), story.epic.as_deref()), ("3.5", Some("3")));
    assert_eq!((story.status.value, story.status.raw.as_str()), (FileStatus::Review, "dev-complete"));
    assert_eq!(story.declared, Declared::Undeclared);
    assert_eq!(files(story).len(), 6);
    assert_eq!(story.technology.as_deref(), Some("go"));
    let other = parse(&root, &format!("{VIBE}/epic-3.5/3-5-1-directory-manager.md"));
    let (items, found) = assemble(vec![parsed, other]);
    assert_eq!(items.len(), 2);
    let clash = found.iter().find(|finding| finding.code == "epic-name").unwrap();
    assert_eq!(clash.severity, Severity::Warning);
}

#[test]
fn row_9_vibe_14_3_reads_the_relationship_column() {
    let Some(root) = corpus() else { return };
    let parsed = parse(&root, &format!("{VIBE}/epic-14/14-3-implement-most-recent-artifact-wins-selection.md"));
    nothing_bad(&parsed);
    let item = item(&parsed);
    assert_eq!(ids_with_lines(&item.dependencies), "14.1:370 14.2:371");
    assert_eq!(ids_with_lines(&item.reverse), "14.4:372 14.5:373");
    assert_eq!(files(item).len(), 8);
    assert_eq!(item.technology.as_deref(), Some("go"));
    assert_eq!(item.title, "Implement Most-Recent-Artifact-Wins Selection");
}

#[test]
fn row_10_vibe_7_12() {
    let Some(root) = corpus() else { return };
    let parsed = parse(&root, &format!("{VIBE}/epic-7/7-12-dry-refactor-findprojectbyidentifier.md"));
    nothing_bad(&parsed);
    let item = item(&parsed);
    assert_eq!(item.title, "DRY Refactor - findProjectByIdentifier Reuse");
    assert_eq!(ids_with_lines(&item.dependencies), "6.2:285");
    let names: Vec<&str> = files(item).into_iter().map(|path| path.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["favorite.go", "note.go", "favorite_test.go", "note_test.go"]);
    assert_eq!(item.technology.as_deref(), Some("go"));
}

#[test]
fn row_11_vibe_15_2_is_warned_about() {
    let Some(root) = corpus() else { return };
    let parsed = parse(&root, &format!("{VIBE}/epic-15/15-2-implement-claude-code-project-path-matcher.md"));
    let item = item(&parsed);
    assert_eq!(ids_with_lines(&item.dependencies), "15.1:315");
    assert_eq!(codes(&parsed, Severity::Warning), ["agent-record-dependency"]);
    assert_eq!(finding(&parsed, "agent-record-dependency").place.as_ref().unwrap().line, 315);
    assert_eq!(files(item).len(), 3);
    assert!(files(item).iter().all(|path| path.starts_with("internal/adapters/agentdetectors/")));
    assert_eq!(item.technology.as_deref(), Some("go"));
}

#[test]
fn row_12_vibe_4_5_only_names_what_follows() {
    let Some(root) = corpus() else { return };
    let parsed = parse(&root, &format!("{VIBE}/epic-4/4-5-waiting-indicator-display.md"));
    let item = item(&parsed);
    assert_eq!((item.status.value, item.status.raw.as_str()), (FileStatus::Done, "complete"));
    assert!(item.dependencies.is_empty());
    assert_eq!(ids_with_lines(&item.reverse), "4.6:546");
    assert!(item.references.iter().any(|text| text.contains("Epic 5")));
    assert_eq!(item.technology.as_deref(), Some("go"));
    assert_eq!(item.criteria[0].text, "AC1: WAITING Indicator in Project List Row");
}

#[test]
fn row_13_a_validation_report_is_no_story() {
    let Some(root) = corpus() else { return };
    let parsed = parse(&root, &format!("{VIBE}/epic-9.5/validation-report-9-5-4-20260101.md"));
    assert!(parsed.item.is_none());
    assert_eq!(codes(&parsed, Severity::Info), ["skipped"]);
    assert!(parsed.diagnostics[0].message.contains("validation-report"));
    nothing_bad(&parsed);
}

#[test]
fn row_14_aiox_124_3() {
    let Some(root) = corpus() else { return };
    let parsed = parse(&root, "bmad-variants/SynkraAI--aiox-core/STORY-124.3-publish-aiox-squads-core.md");
    assert_eq!(codes(&parsed, Severity::Error), Vec::<&str>::new());
    assert_eq!(codes(&parsed, Severity::Warning), ["status-conflict"]);
    let item = item(&parsed);
    assert_eq!((item.id.as_str(), item.title.as_str()), ("124.3", "Publish `@aiox-squads/core` v5.1.0"));
    assert_eq!((item.status.value, item.status.place.as_ref().unwrap().line), (FileStatus::InProgress, 7));
    assert_eq!(ids(&item.dependencies), "124.1 124.2");
    assert_eq!(ids(&item.reverse), "124.6 124.10");
    assert_eq!(item.epic.as_deref(), Some("124"));
    assert_eq!(item.epic_title.as_deref(), Some("aiox-squads scope migration"));
    assert_eq!(files(item).len(), 5);
    assert_eq!(files(item)[1], "package.json");
    assert_eq!(item.technology.as_deref(), Some("javascript"));
    assert_eq!(item.criteria.len(), 2);
}

#[test]
fn encodings_of_19_4_read_alike() {
    let Some(root) = corpus() else { return };
    for variant in ["bom", "bom-crlf", "crlf", "mixed-eol", "no-final-newline"] {
        let parsed = parse(&root, &format!("encodings/19.4.{variant}.md"));
        row_1(&parsed);
        nothing_bad(&parsed);
    }
}

#[test]
fn unreadable_encodings_are_named() {
    let Some(root) = corpus() else { return };
    for name in ["19.4.utf16le-bom.md", "nul-byte.md"] {
        let parsed = parse(&root, &format!("encodings/{name}"));
        assert_eq!(codes(&parsed, Severity::Error), ["unreadable"], "{name}");
        assert!(parsed.diagnostics[0].place.as_ref().unwrap().path.ends_with(name));
        assert!(parsed.item.is_none());
    }
    for name in ["empty.md", "whitespace.md"] {
        assert_eq!(codes(&parse(&root, &format!("encodings/{name}")), Severity::Error), ["empty"], "{name}");
    }
}

#[test]
fn damaged_29_1_is_still_read() {
    let Some(root) = corpus() else { return };
    for name in ["mojibake-cp1252", "mojibake-macroman"] {
        let parsed = parse(&root, &format!("encodings/29.1.{name}.md"));
        assert_eq!(codes(&parsed, Severity::Error), Vec::<&str>::new());
        assert_eq!(codes(&parsed, Severity::Warning), ["damaged-text"], "{name}");
        assert_eq!(finding(&parsed, "damaged-text").place.as_ref().unwrap().line, 17);
        assert_eq!((item(&parsed).id.as_str(), item(&parsed).declared), ("29.1", Declared::None));
        assert_eq!(item(&parsed).status.value, FileStatus::Done);
    }
    let parsed = parse(&root, "encodings/29.1.latin1-bytes.md");
    assert_eq!(codes(&parsed, Severity::Error), ["unreadable"]);
    assert!(parsed.diagnostics[0].message.starts_with("not UTF-8 at byte "));
    assert_eq!((item(&parsed).id.as_str(), item(&parsed).declared), ("29.1", Declared::None));
}

#[test]
fn a_stray_fence_is_named_and_does_not_hide_the_rest() {
    let Some(root) = corpus() else { return };
    let path = "prompts/rysweet--gadugi/prompts/fix-types-misc-files-workflow.md";
    let bytes = std::fs::read(root.join(path)).unwrap();
    let parsed = story::parse("1.1.fence.md", &[b"# Story 1.1: x\n## Story\n".as_slice(), &bytes].concat());
    let place = finding(&parsed, "unbalanced-fence").place.clone().unwrap();
    assert_eq!((place.line, place.column), (17, 1));
    assert_eq!(item(&parsed).declared, Declared::None);
}

#[test]
fn whole_sets_hold_no_surprise() {
    let Some(root) = corpus() else { return };
    for folder in [CONNECTOR, VIBE] {
        let parsed: Vec<_> = all(&root, folder).iter().map(|path| parse(&root, path)).collect();
        let (items, found) = assemble(parsed);
        let errors: Vec<_> = found.iter().filter(|finding| finding.severity == Severity::Error).collect();
        let expected = usize::from(folder == CONNECTOR);
        assert_eq!(errors.len(), expected, "{errors:#?}");
        assert!(items.len() > 30);
        assert!(items.iter().all(|item| !item.title.is_empty() && item.status.place.is_some()));
        let bare: Vec<_> = items.iter().filter(|item| item.criteria.is_empty()).map(|item| &item.path).collect();
        assert_eq!(bare, Vec::<&String>::new());
    }
}

#[test]
fn scopes_over_vibe_keep_story_3_5_and_epic_3_5_apart() {
    let Some(root) = corpus() else { return };
    let parsed: Vec<_> = all(&root, VIBE).iter().map(|path| parse(&root, path)).collect();
    let (items, _) = assemble(parsed);
    let select = |text: &str| {
        let selection = Scope::parse(&[text.to_owned()]).unwrap().select(&items).unwrap();
        selection.ids.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(select("3.5"), ["3.5"]);
    let epic: Vec<String> = (0..10).map(|number| format!("3.5.{number}")).collect();
    assert_eq!(select("epic:3.5"), epic);
    assert_eq!(select("3.5.*"), epic);
    assert_eq!(select("3.1-3.10").len(), 10);
}
