//! Tests of `assign`.

use super::*;
use crate::domain::id::ItemId;
use crate::domain::item::{Declared, FileStatus, NamedFile, StatedStatus};

fn item(technology: Option<&str>, files: &[&str]) -> WorkItem {
    let file = |path: &&str| NamedFile { path: (*path).to_owned(), line: 9 };
    WorkItem {
        id: ItemId::parse("1.1").unwrap(),
        display_id: "1.1".to_owned(),
        kind: ItemKind::Story,
        title: "Login".to_owned(),
        path: "1.1.md".to_owned(),
        place: Place::file("1.1.md"),
        epic: None,
        epic_title: None,
        status: StatedStatus { value: FileStatus::Ready, raw: String::new(), place: None },
        criteria: Vec::new(),
        declared: Declared::None,
        dependencies: Vec::new(),
        reverse: Vec::new(),
        references: Vec::new(),
        files: files.iter().map(file).collect(),
        technology: technology.map(str::to_owned),
        agent: None,
    }
}

/// Owned choices.
struct Given {
    settings: Settings,
    explicit: Option<String>,
    installed: Vec<String>,
    manifest: Option<(&'static str, &'static str)>,
}

fn given(installed: &[&str]) -> Given {
    let installed = installed.iter().map(|name| (*name).to_owned()).collect();
    Given { settings: Settings::default(), explicit: None, installed, manifest: None }
}

impl Given {
    fn assign(&self, item: &WorkItem) -> Result<Assignment, Box<Diagnostic>> {
        let adapters = ["claude", "codex", "gemini", "robot"].map(str::to_owned);
        assign(
            item,
            &Choices {
                settings: &self.settings,
                explicit: self.explicit.as_deref(),
                adapters: &adapters,
                installed: &self.installed,
                roles: &["poet".to_owned()],
                manifest: self.manifest,
            },
        )
    }

    fn shown(&self, item: &WorkItem) -> String {
        match self.assign(item) {
            Ok(chosen) => format!("{} via {}: {}", chosen.role, chosen.adapter, chosen.why),
            Err(finding) => format!("{}: {} ({})", finding.code, finding.message, finding.hint.unwrap_or_default()),
        }
    }
}

fn asking(agent: &str) -> WorkItem {
    let place = Place { path: "1.1.md".into(), line: 3, column: 12, text: String::new(), width: 6 };
    WorkItem { agent: Some((agent.to_owned(), place)), ..item(Some("python"), &[]) }
}

#[test]
fn technology_chooses_the_role() {
    let given = given(&["claude"]);
    let role = |technology: &str| given.assign(&item(Some(technology), &[])).unwrap().role;
    let table = ["python", "go", "typescript", "react", "nextjs", "design", "rust"].map(role);
    let expected = [
        "python-developer",
        "golang-developer",
        "react-developer",
        "react-developer",
        "nextjs-developer",
        "frontend-design",
        "general-developer",
    ];
    assert_eq!(table, expected);
}

#[test]
fn the_reason_counts_the_named_files() {
    let given = given(&["codex", "claude"]);
    let shown = given.shown(&item(Some("python"), &["a.py", "b.py", "c.py", "d.sh"]));
    assert_eq!(
        shown,
        "python-developer via claude: 3 of 4 named files are Python; claude is the first installed agent"
    );
}

#[test]
fn without_named_code_the_root_manifest_decides() {
    let mut given = given(&["gemini"]);
    let general = "general-developer via gemini: the story names no code; gemini is the first installed agent";
    assert_eq!(given.shown(&item(None, &[])), general);
    given.manifest = Some(("go.mod", "go"));
    let golang = "golang-developer via gemini: the story names no code, the repository has go.mod; \
                  gemini is the first installed agent";
    assert_eq!(given.shown(&item(None, &[])), golang);
}

#[test]
fn a_documentation_item_keeps_a_role_and_says_that_nothing_is_implemented() {
    let mut docs = item(Some("docs"), &["docs/guide.md"]);
    docs.kind = ItemKind::Documentation;
    let shown = given(&["claude"]).shown(&docs);
    assert!(shown.starts_with("general-developer via claude: no implementation: documentation item; "), "{shown}");
}

#[test]
fn a_design_title_chooses_the_designer_unless_code_is_named() {
    let mut design = item(None, &[]);
    design.title = "Design System Foundation Setup".to_owned();
    assert_eq!(given(&["claude"]).assign(&design).unwrap().role, "frontend-design");
    design.technology = Some("python".to_owned());
    assert_eq!(given(&["claude"]).assign(&design).unwrap().role, "python-developer");
}

#[test]
fn settings_override_technology_and_adapter() {
    let mut given = given(&["claude", "robot"]);
    given.settings.technologies.insert("python".into(), "snake-charmer".into());
    given.settings.agent = Some("claude".into());
    assert!(given.shown(&item(Some("python"), &[])).starts_with("snake-charmer via claude: the story names Python"));
    given.settings.roles.insert("snake-charmer".into(), "robot".into());
    assert!(given.shown(&item(Some("python"), &[])).contains("robot by agents.roles.snake-charmer in the settings"));
    given.explicit = Some("demo".into());
    assert!(given.shown(&item(Some("python"), &[])).starts_with("snake-charmer via demo"));
}

#[test]
fn a_story_may_ask_for_a_role_or_an_agent() {
    let given = given(&["claude", "codex"]);
    assert_eq!(
        given.shown(&asking("poet")),
        "poet via claude: the story asks for poet; claude is the first installed agent"
    );
    assert!(given.shown(&asking("codex")).starts_with("python-developer via codex: "));
}

#[test]
fn an_unknown_agent_is_an_error_with_the_known_ones_and_its_place() {
    let finding = given(&["claude"]).assign(&asking("nosuch-agent")).unwrap_err();
    assert_eq!(finding.message, "agent \"nosuch-agent\" is neither a role nor an agent");
    assert_eq!(finding.place.unwrap().line, 3);
    let hint = finding.hint.unwrap();
    assert!(
        hint.contains("golang-developer") && hint.contains("poet") && hint.contains("claude, codex, demo"),
        "{hint}"
    );

    let mut given = given(&["claude"]);
    given.explicit = Some("nosuch-agent".into());
    let shown = given.shown(&item(None, &[]));
    let expected = "unknown-agent: --agent names the agent \"nosuch-agent\", which does not exist \
                    (known agents: claude, codex, demo, gemini, robot)";
    assert_eq!(shown, expected);
}

#[test]
fn an_agent_that_is_not_installed_is_an_error() {
    let mut given = given(&["claude"]);
    given.settings.agent = Some("codex".into());
    let shown = given.shown(&item(None, &[]));
    assert!(shown.contains("which is not installed") && shown.contains("claude, demo"), "{shown}");
}

#[test]
fn the_demo_agent_is_never_chosen_silently() {
    let shown = given(&["robot", "demo"]).shown(&item(None, &[]));
    assert!(
        shown.starts_with("no-agent: no coding agent is installed (install one of claude, codex, gemini"),
        "{shown}"
    );
    assert!(shown.contains("--agent demo"));
}
