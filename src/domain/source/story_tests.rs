//! Tests of `story` and of the parts it is made of, with texts of our own.

use proptest::prelude::*;

use super::*;
use crate::domain::diagnostic::Severity;
use crate::domain::source::assemble;

const PATH: &str = "docs/stories/3.1.a.md";

fn parsed(text: &str) -> Parsed {
    parse(PATH, text.as_bytes())
}

fn item(text: &str) -> WorkItem {
    parsed(text).item.unwrap()
}

/// A story with lines below its header.
fn with(body: &str) -> WorkItem {
    item(&format!("# Story 3.1: a\n\nStatus: Ready\n\n{body}\n"))
}

fn ids(edges: &[Dependency]) -> String {
    edges.iter().map(|edge| edge.id.as_str()).collect::<Vec<_>>().join(" ")
}

fn codes(parsed: &Parsed) -> Vec<(Severity, &str)> {
    let loud = parsed.diagnostics.iter().filter(|finding| finding.severity != Severity::Info);
    loud.map(|finding| (finding.severity, finding.code)).collect()
}

fn criteria(body: &str) -> Vec<String> {
    with(&format!("## Acceptance Criteria\n\n{body}")).criteria.into_iter().map(|criterion| criterion.text).collect()
}

#[test]
fn dependency_places_and_spellings() {
    for (body, declared, expected) in [
        ("## Dependencies\n\n- Story 1.1 (x)\n- 1.2\n", Declared::List, "1.1 1.2"),
        ("## Dependencies\n\n1. Story 1.1\n2. Story 1.2\n", Declared::List, "1.1 1.2"),
        ("**Depends on:** 1.1, 1.2\n", Declared::List, "1.1 1.2"),
        ("Depends On: Story 1.1\n", Declared::List, "1.1"),
        ("- **Blocked by:** 1.1 (x), 1.2 (y)\n", Declared::List, "1.1 1.2"),
        ("> **Prerequisites:** Story 1.1,\n> Story 1.2\n", Declared::List, "1.1 1.2"),
        ("| Field | Value |\n|---|---|\n| Dependencies | 01.1, 01.2 |\n", Declared::List, "1.1 1.2"),
        ("## Dependencies\n\n| Story | Kind |\n|---|---|\n| **Story 06.3** | HARD |\n", Declared::List, "6.3"),
        ("## Dependencies\n\n| What | Id |\n|---|---|\n| Locations | 01.9 |\n", Declared::List, "1.9"),
        ("## Dependencies\n\n| Package | Version |\n|---|---|\n| react | 18.3.1 |\n", Declared::Undeclared, ""),
        ("## Dependencies: 1.1\n", Declared::List, "1.1"),
        ("## Dependencies\n\nNone\n", Declared::None, ""),
        ("**Dependencies:** None \u{2014} this is the first story of epic 2.9\n", Declared::None, ""),
        ("**Dependencies:** -\n", Declared::None, ""),
        ("**Dependencies:** \u{2014}\n", Declared::None, ""),
        ("Dependencies: \u{65e0}\n", Declared::None, ""),
        ("**Dependencias:** Ninguna\n", Declared::None, ""),
        ("## Dependencies\n\nNo specific dependencies identified\n", Declared::None, ""),
        ("## Dependencies\n\nNo external dependencies required\n", Declared::Undeclared, ""),
        ("## Dependencies\n\n- TypeScript 5.3.3\n- README\n", Declared::Undeclared, ""),
        ("## External Dependencies\n\n- 5.3.3\n", Declared::Undeclared, ""),
        ("## Dependencies\n\n### External\n\n- 5.3.3\n\n### Story\n\n- 1.1\n", Declared::List, "1.1"),
        ("## Dependencies\n\n**System Dependencies:**\n\n- 5.3.3\n\n**Internal:**\n\n- 1.1\n", Declared::List, "1.1"),
        ("## Tasks\n\n- [ ] 1. x\n  - **Dependencies**: 1.1\n", Declared::Undeclared, ""),
        ("```\nDepends on: 1.1\n```\n", Declared::Undeclared, ""),
        ("<!--\nDepends on: 1.1\n-->\n", Declared::Undeclared, ""),
        ("Depends on: 1.1\n\n## Dependencies\n\n- 1.2\n", Declared::List, "1.1"),
        ("**Dependencies**: 1.1\n\n**Dependencies**: 1.2\n", Declared::List, "1.1 1.2"),
        ("## Dependencies\n\n- Stories 1.1-1.3\n- 1.2\n", Declared::List, "1.1 1.2 1.3"),
        ("Depends on:\t1.1\u{a0},\t1.2\n", Declared::List, "1.1 1.2"),
        ("This story mentions Story 1.1.\n", Declared::Undeclared, ""),
        ("**Depends on:** C:\\x, \\\\host\\share\n", Declared::Undeclared, ""),
    ] {
        let found = with(body);
        assert_eq!((found.declared, ids(&found.dependencies).as_str()), (declared, expected), "{body}");
    }
}

#[test]
fn front_matter_is_the_strongest_place() {
    let text = "---\ndepends_on: [1.10, \"1.2\"]\nstatus: draft\nagent: go-developer\n---\n# Story 3.1: a\n\nDepends on: 9.9\n";
    let found = item(text);
    assert_eq!(ids(&found.dependencies), "1.10 1.2");
    assert_eq!((found.dependencies[0].place.line, found.dependencies[0].place.column), (2, 14));
    assert_eq!(found.status.value, FileStatus::Draft);
    assert_eq!(found.agent.unwrap().0, "go-developer");
    let list = item("---\ndependencies:\n  - 1.1\n  - 1.2 # why\n---\n# Story 3.1: a\n## Story\n");
    assert_eq!(ids(&list.dependencies), "1.1 1.2");
    let none = item("---\ndepends_on: []\n---\n# Story 3.1: a\n## Story\n");
    assert_eq!(none.declared, Declared::None);
}

#[test]
fn direction_and_strength() {
    let found = with(
        "## Dependencies\n\n- **Blocks:** 3.4\n- **Blocked by:** 1.1\n- Story 1.2 (optional)\n- Story 3.5 (next)\n",
    );
    assert_eq!((ids(&found.dependencies).as_str(), ids(&found.reverse).as_str()), ("1.1 1.2", "3.4 3.5"));
    assert_eq!(found.dependencies[0].strength, Strength::Hard);
    assert_eq!(found.dependencies[1].strength, Strength::Soft);
    let found =
        with("## Dependencies\n\n| Story | Kind |\n|---|---|\n| 1.1 | SOFT |\n| 1.2 | HARD, adds optional fields |\n");
    assert_eq!(found.dependencies[0].strength, Strength::Soft);
    assert_eq!(found.dependencies[1].strength, Strength::Hard);
    let found = with("## Downstream\n\n- 3.2\n\n### Provides To\n\n- Story 3.3\n");
    assert_eq!((found.declared, ids(&found.reverse).as_str()), (Declared::Undeclared, "3.2 3.3"));
}

#[test]
fn table_of_findings() {
    let head = "# Story 3.1: a\n\nStatus: Ready\n\n";
    for (body, expected) in [
        ("Depends on: 1.1\n", vec![]),
        ("Depends on: 1.5-1.2\n", vec![(Severity::Error, "bad-range")]),
        ("Depends on: 18.1-18.5.2\n", vec![(Severity::Error, "bad-range")]),
        ("Depends on: 1.1,,; DROP TABLE\n", vec![(Severity::Warning, "not-an-id")]),
        ("Depends on: 1.1, 1.2,;\n", vec![]),
        ("Depends on: 1.1, React 18\n", vec![]),
        ("Depends on: 01.X\n", vec![(Severity::Warning, "placeholder-dependency")]),
        ("Depends on: 1.1 (soft)\n", vec![(Severity::Warning, "soft-dependency")]),
        ("Depends on: 3.2\n", vec![]),
        ("Depends on: None, 1.1\n", vec![(Severity::Warning, "contradictory-dependencies")]),
        ("```\nx\n", vec![(Severity::Warning, "unbalanced-fence")]),
        ("a \u{e2}\u{20ac}\u{201d} b\n", vec![(Severity::Warning, "damaged-text")]),
        ("## Dev Agent Record\n\n- Prerequisite: Story 1.1\n", vec![(Severity::Warning, "agent-record-dependency")]),
        ("## Status\n\nDone\n", vec![(Severity::Warning, "status-conflict")]),
    ] {
        assert_eq!(codes(&parsed(&format!("{head}{body}"))), expected, "{body}");
    }
    let both = item(&format!("{head}Depends on: None, 1.1\n"));
    assert_eq!((both.declared, ids(&both.dependencies).as_str()), (Declared::List, "1.1"));
}

#[test]
fn unknown_status_lists_the_known_ones() {
    let parsed = parsed("# Story 3.1: a\n\nStatus: Banana\n");
    assert_eq!(codes(&parsed), [(Severity::Warning, "unknown-status")]);
    let finding = &parsed.diagnostics.iter().find(|finding| finding.code == "unknown-status").unwrap();
    assert_eq!(finding.message, "unknown status `Banana`, treated as not started");
    assert!(finding.hint.as_ref().unwrap().contains("In Progress"));
    let place = finding.place.as_ref().unwrap();
    assert_eq!((place.line, place.column, place.width, place.text.as_str()), (3, 9, 6, "Status: Banana"));
}

#[test]
fn status_places() {
    for (body, raw) in [
        ("Status: Done\n", "Done"),
        ("**State:** Done\n", "Done"),
        ("**Epic:** 2.5 and more **Status:** done (with x)\n", "done (with x)"),
        ("## Story\n\nx\n\n## Status\n\nDone\n", "Done"),
        ("## Status: Done\n", "Done"),
        ("> **Status:** Done\n", "Done"),
        ("## Story Information\n\n- **Status**: Done\n", "Done"),
        ("## Story\n\n**Status: PASS**\n", ""),
        ("## Story\n\n| Status | Color |\n", ""),
    ] {
        assert_eq!(
            item(&format!("# Story 3.1: a\n\n## Tasks\n{body}").replace("## Tasks\n", "")).status.raw,
            raw,
            "{body}"
        );
    }
}

#[test]
fn criteria_in_every_form() {
    assert_eq!(criteria("1. one\n   - detail\n2. two\n"), ["one", "two"]);
    assert_eq!(criteria("- [ ] AC1: one\n- [x] **two**\n"), ["AC1: one", "two"]);
    assert_eq!(criteria("AC1: one\nmore\n\nAC2: two\n"), ["AC1: one", "AC2: two"]);
    assert_eq!(criteria("### AC1: one\n\n- detail\n\n### AC2: two\n"), ["AC1: one", "AC2: two"]);
    assert_eq!(criteria("| AC | Text |\n|---|---|\n| AC1 | one |\n| 2 | two |\n"), ["one", "two"]);
    assert_eq!(criteria("**Given** a\n**When** b\n**Then** c\n\n**Given** d\n**Then** e\n"), ["Given a", "Given d"]);
    assert_eq!(
        criteria("Scenario: one\nGiven a\nThen b\n\nScenario: two\nGiven c\n"),
        ["Scenario: one", "Scenario: two"]
    );
    assert_eq!(criteria("```gherkin\nGiven a\nThen b\n\nGiven c\n```\n"), ["Given a", "Given c"]);
    assert_eq!(criteria("It works.\n\nIt is fast.\n"), ["It works.", "It is fast."]);
    assert_eq!(criteria("- one\n\n## Acceptance Criteria Verification\n\n- no\n"), ["one"]);
}

#[test]
fn files_and_technology() {
    let found = with(
        "## File List\n\n- `src/a.rs` - x\n- [b](../b) no\n- ./src/b.rs:12-40 (y)\n- src/\n- https://a.b/c.rs\n- /etc/passwd.conf\n- ../up.rs\n  - `x.rs`\n",
    );
    let paths: Vec<_> = found.files.iter().map(|file| (file.path.as_str(), file.line)).collect();
    assert_eq!(paths[..2], [("src/a.rs", 7), ("src/b.rs", 9)]);
    assert_eq!(found.technology.as_deref(), Some("rust"));
    for (body, technology, kind) in [
        ("**Files to modify:** `a.py`, `b.py`\n", Some("python"), ItemKind::Story),
        ("## Files to Create\n\n- src/app/page.tsx\n- a.ts\n", Some("nextjs"), ItemKind::Story),
        ("## Files to Create\n\n- next.config.js\n- src/app/page.tsx\n", Some("nextjs"), ItemKind::Story),
        ("## Files to Create\n\n- src/x.tsx\n- a.ts\n", Some("react"), ItemKind::Story),
        ("## Files to Create\n\n- docs/architecture.md\n", Some("docs"), ItemKind::Documentation),
        ("## Files to Create\n\n- docs/design/login.md\n", Some("design"), ItemKind::Story),
        ("Look at `main.go` there.\n", Some("go"), ItemKind::Story),
        ("Type: Documentation\n", None, ItemKind::Documentation),
        ("nothing\n", None, ItemKind::Story),
    ] {
        let found = with(body);
        assert_eq!((found.technology.as_deref(), found.kind), (technology, kind), "{body}");
    }
}

#[test]
fn epics() {
    let epic = |line: &str| {
        let found = item(&format!("# Story 3.1: a\n\n{line}\nStatus: Ready\n"));
        (found.epic.unwrap(), found.epic_title.unwrap_or_default())
    };
    assert_eq!(epic("x"), ("3".to_owned(), String::new()));
    assert_eq!(epic("**Epic:** 19 - Deployment Parity"), ("19".to_owned(), "Deployment Parity".to_owned()));
    assert_eq!(epic("Epic: Epic 9.5: Polish"), ("9.5".to_owned(), "Polish".to_owned()));
    assert_eq!(epic("Epic: Authentication"), ("Authentication".to_owned(), String::new()));
}

#[test]
fn what_cannot_be_read_is_named() {
    let error = |bytes: &[u8]| {
        let parsed = parse(PATH, bytes);
        assert_eq!(parsed.diagnostics[0].severity, Severity::Error);
        assert_eq!(parsed.diagnostics[0].place.as_ref().unwrap().path, PATH);
        (parsed.diagnostics[0].message.clone(), parsed.item.is_some())
    };
    assert_eq!(error(b""), ("the file is empty".to_owned(), false));
    assert_eq!(error(b" \n\n"), ("the file is empty".to_owned(), false));
    assert_eq!(error(b"# Story 3.1\xff\xfe\n## Story\n"), ("not UTF-8 at byte 11".to_owned(), true));
    assert_eq!(error(b"# Story\0"), ("NUL at byte 7".to_owned(), false));
    assert_eq!(error(&vec![b'a'; MAX_PLUS_ONE]), ("larger than 1 MiB".to_owned(), false));
    assert_eq!(error(b"---\nstatus: x\n# Story 3.1: a\n## Story\n").0, "front matter is not closed");
    let bomb = b"---\na: &a [x,x]\nb: [*a,*a]\n---\n# Story 3.1: a\n## Story\n";
    assert_eq!(error(bomb), ("front matter uses aliases, which are refused".to_owned(), true));
    let broken = parse(PATH, b"---\nok: 1\nx: [1,\n---\n# Story 3.1: a\n## Story\n");
    assert!(broken.diagnostics[0].message.starts_with("front matter is malformed"));
    assert!(broken.diagnostics[0].place.as_ref().unwrap().line > 1);
}

const MAX_PLUS_ONE: usize = crate::domain::source::MAX_BYTES + 1;

#[test]
fn ids_of_heading_and_name() {
    let id = |path: &str, text: &str| parse(path, text.as_bytes()).item.map(|item| item.id.to_string());
    assert_eq!(id("a/1.1.x.md", "# Story 01.1: t\n## Story\n").as_deref(), Some("1.1"));
    assert_eq!(id("a/1.1.x.md", "text\n\n## Acceptance Criteria\n").as_deref(), Some("1.1"));
    assert_eq!(id("a/x.md", "# Story 1.1.1.1.1.1: t\n## Story\n").as_deref(), Some("1.1.1.1.1.1"));
    assert_eq!(id("a/1.1.x.md", "# Notes\n\ntext\n"), None);
    assert_eq!(id("a/notes.md", "# Notes\n\ntext\n"), None);
    for text in ["# Story \u{661}.\u{661}: t\n## Story\n", "# Story \u{ff11}\u{ff0e}1: t\n## Story\n"] {
        let parsed = parse("a/notes.md", text.as_bytes());
        assert_eq!(codes(&parsed), [(Severity::Warning, "no-id")]);
    }
    let parsed = parse("a/3.8.x.md", b"# Story 3.3: t\n## Story\n");
    assert_eq!(codes(&parsed), [(Severity::Error, "id-conflict")]);
}

#[test]
fn strange_names_are_shown_escaped() {
    let parsed = parse("docs/stories/3.1\u{1b}]0;x.md", b"# Story 3.1: a\n## Story\n");
    assert!(parsed.item.is_none());
    assert_eq!(codes(&parsed), [(Severity::Warning, "skipped-name")]);
    assert!(parsed.diagnostics[0].message.starts_with("skipped 3.1\\x1b]0;x.md: not <epic>.<story>.<slug>.md"));
}

#[test]
fn windows_line_ends_and_mark_are_accepted() {
    let text = "\u{feff}# Story 3.1: a\r\n\r\nStatus: Ready\r\nDepends on: 1.1\r\n";
    let found = parsed(text);
    assert_eq!(codes(&found), []);
    let found = found.item.unwrap();
    assert_eq!((found.title.as_str(), found.status.raw.as_str()), ("a", "Ready"));
    assert_eq!((found.place.line, found.place.column), (1, 9));
    assert_eq!((found.dependencies[0].place.line, found.dependencies[0].place.text.as_str()), (4, "Depends on: 1.1"));
}

#[test]
fn digits_of_other_scripts_are_no_ids() {
    for id in ["\u{661}.\u{661}", "1\u{ff0e}1", "\u{ff11}.1", "99999999999999999999.1", "3.-1"] {
        let dependency = with(&format!("Dependencies: {id}"));
        assert_eq!(ids(&dependency.dependencies), "", "{id}");
    }
}

#[test]
fn separators_and_doubled_fields_lose_no_dependency() {
    for body in ["Dependencies: 1.1\u{a0}, 1.2", "Dependencies:\t1.1,\t1.2", "Dependencies: 1.1\u{3001}1.2"] {
        assert_eq!(ids(&with(body).dependencies), "1.1 1.2", "{body:?}");
    }
    let twice = parsed("# Story 3.1: a\n\nStatus: Ready\n\n**Dependencies**: 1.1\n**Dependencies**: 1.2\n");
    assert_eq!(ids(&twice.item.unwrap().dependencies), "1.1 1.2");
    // "None" beside an id: the id counts, for waiting too long does less harm than starting too early.
    assert_eq!(ids(&with("Dependencies: None, 1.1").dependencies), "1.1");
}

#[test]
fn markup_of_templates_and_huge_cells_are_text() {
    let body = "## Acceptance Criteria\n\n1. ]]> {{system}} <script>alert(1)</script> C:\\x \\\\host\\share\n";
    assert!(with(body).criteria[0].text.contains("]]> {{system}} <script>"));
    let cell = "x".repeat(900_000);
    let table = format!("## Dependencies\n\n| Story | Note |\n|---|---|\n| 1.1 | {cell} |\n");
    assert_eq!(ids(&with(&table).dependencies), "1.1");
}

#[test]
fn long_inputs_are_cut_or_stay_linear() {
    let title = "x".repeat(1_000_000);
    assert_eq!(item(&format!("# Story 3.1: {title}\n## Story\n")).title.len(), TITLE);
    let many: Vec<String> = (1..=100_000).map(|number| format!("7.{number}")).collect();
    let found = item(&format!("# Story 3.1: \u{e9}\n\n\u{e9} \nDepends on: {}\n## Story\n", many.join(", ")));
    assert_eq!(found.dependencies.len(), 100_000);
    let last = found.dependencies.last().unwrap();
    assert_eq!(last.place.text.chars().count(), 200);
    let cell = "1.1 ".repeat(200_000);
    assert_eq!(ids(&with(&format!("## Dependencies\n\n| a | b |\n|---|---|\n| {cell} | 1.2 |\n")).dependencies), "1.1");
    let broken =
        ["(".repeat(900_000), "**".repeat(400_000), "[".repeat(900_000), "`".repeat(900_000), "> ".repeat(400_000)];
    for text in broken {
        with(&format!("Depends on: 1.1 {text}\n\n{text}\n").chars().take(1_000_000).collect::<String>());
    }
}

#[test]
fn sets_of_files() {
    let file = |path: &str, text: &str| parse(path, text.as_bytes());
    let story = "# Story 1.1: a\n## Story\n";
    let (items, found) = assemble(vec![
        file("s/1.10.a.md", "# Story 1.10: a\n## Story\n"),
        file("s/1.1.a.md", story),
        file("s/1.1.b.md", story),
        file("s/1.9.a.md", "# Story 1.9: a\n\nStatus: Skipped\n"),
        file("s/2.1.a.md", "# Story 2.1: a\n\nDepends on: 1.9\n\n## Story\n"),
        file("s/empty.md", ""),
    ]);
    let order: Vec<_> = items.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(order, ["1.1", "1.9", "1.10", "2.1"]);
    let finding = |code: &str| found.iter().find(|finding| finding.code == code).unwrap();
    let duplicate = finding("duplicate-id");
    assert_eq!(duplicate.severity, Severity::Error);
    assert_eq!(duplicate.place.as_ref().unwrap().path, "s/1.1.b.md");
    assert_eq!(duplicate.related[0].0.path, "s/1.1.a.md");
    assert_eq!(finding("empty").severity, Severity::Error);
}

const LINE: &str = "(# Story [0-9.a-]{0,5}: x|## (Dependencies|Story|Status|Acceptance Criteria|File List|Dev Agent Record|Tasks)|[*]{0,2}(Depends on|Blocks|Status|Epic|Files|Agent)[:*]{1,3} [0-9a-z., ()-]{0,12}|[|] [0-9.a-z]{0,4} [|] x [|]|[|]--[|]--[|]|```[a-z]?|<!--|-->|---|- [*`\\[(]{0,3}[0-9.XxS-]{0,6}|Given x|.{0,20}|)";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn any_bytes_are_parsed(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        parse(PATH, &bytes);
    }

    #[test]
    fn any_story_is_parsed_and_its_places_lie_in_the_file(lines in proptest::collection::vec(LINE, 0..25), path in ".{0,20}") {
        let text = lines.join("\n");
        parse(&path, text.as_bytes());
        let found = parsed(&text);
        let count = text.lines().count().max(1);
        let places = found.diagnostics.iter().filter_map(|finding| finding.place.as_ref());
        for place in places.chain(found.item.iter().flat_map(|item| item.dependencies.iter().map(|edge| &edge.place))) {
            prop_assert!(place.line as usize <= count);
            prop_assert!(place.column as usize <= place.text.chars().count() + 1 || place.text.chars().count() == 200);
        }
    }
}
