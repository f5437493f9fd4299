//! Planning through the library: from stories to a plan, a board that runs it, and what is shown of both.

use std::collections::BTreeMap;

use git_orchestrate::domain::assign::{Choices, assign};
use git_orchestrate::domain::diagnostic::Place;
use git_orchestrate::domain::graph;
use git_orchestrate::domain::id::ItemId;
use git_orchestrate::domain::item::{
    Declared, Dependency, FileStatus, ItemKind, NamedFile, StatedStatus, Strength, WorkItem,
};
use git_orchestrate::domain::names::ItemKey;
use git_orchestrate::domain::plan::{Plan, PlanRequest, done_items};
use git_orchestrate::domain::schedule::{Action, Board, Progress, next};
use git_orchestrate::domain::settings::{Missing, Settings, Undeclared};
use git_orchestrate::report::plan as shown;

fn story(id: &str, technology: &str, needs: &[&str], done: bool) -> WorkItem {
    let path = format!("docs/stories/{id}.story.md");
    let place = |line| Place { path: path.clone(), line, column: 1, text: String::new(), width: 3 };
    let dependency =
        |needed: &&str| Dependency { id: ItemId::parse(needed).unwrap(), strength: Strength::Hard, place: place(5) };
    let status = if done { (FileStatus::Done, "Done") } else { (FileStatus::Ready, "Ready") };
    WorkItem {
        id: ItemId::parse(id).unwrap(),
        display_id: id.to_owned(),
        kind: ItemKind::Story,
        title: format!("Story {id}"),
        place: place(1),
        epic: id.split_once('.').map(|(epic, _)| epic.to_owned()),
        epic_title: None,
        status: StatedStatus { value: status.0, raw: status.1.to_owned(), place: None },
        criteria: Vec::new(),
        declared: if needs.is_empty() { Declared::Undeclared } else { Declared::List },
        dependencies: needs.iter().map(dependency).collect(),
        reverse: Vec::new(),
        references: Vec::new(),
        files: vec![NamedFile { path: "src/app.py".to_owned(), line: 9 }],
        technology: Some(technology.to_owned()),
        agent: None,
        path,
    }
}

fn plan(items: &[WorkItem], missing: Missing, selected: &[&str]) -> Plan {
    let settings = Settings::default();
    let adapters = ["claude".to_owned(), "codex".to_owned()];
    let choices = Choices {
        settings: &settings,
        explicit: None,
        adapters: &adapters,
        installed: &adapters[1..],
        roles: &[],
        manifest: None,
    };
    let selectors: Vec<String> = selected.iter().map(|id| (*id).to_owned()).collect();
    let selected: Vec<ItemId> = selected.iter().filter_map(|id| ItemId::parse(id)).collect();
    graph::build(&PlanRequest {
        items,
        everything: selected.is_empty(),
        selected: &selected,
        selectors: &selectors,
        done: &done_items(items, &BTreeMap::new()),
        assume_done: &[],
        unread: &[],
        undeclared: Undeclared::EpicOrder,
        missing,
        assign: &|item| assign(item, &choices),
    })
}

fn stories() -> Vec<WorkItem> {
    vec![
        story("0.0", "shell", &[], true),
        story("0.1", "python", &[], false),
        story("1.1", "python", &[], false),
        story("1.2", "go", &["1.1"], false),
        story("2.1", "nextjs", &["0.1"], false),
    ]
}

/// Runs a plan on one slot; `failing` items fail. The order of starts, and the items that were blocked.
fn run(plan: &Plan, failing: &str) -> (Vec<String>, Vec<String>) {
    let mut board = Board::new(&plan.keys());
    let (mut starts, mut blocked) = (Vec::new(), Vec::new());
    loop {
        board.free = 1;
        let actions = next(&board);
        if actions.is_empty() {
            return (starts, blocked);
        }
        for action in actions {
            match action {
                Action::Start(key) => {
                    let failed = key.as_str() == failing;
                    board.set(&key, if failed { Progress::Failed } else { Progress::Done });
                    starts.push(key.to_string());
                }
                Action::Block { key, by } => {
                    board.set(&key, Progress::Blocked);
                    blocked.push(format!("{key} by {}", by.iter().map(ItemKey::as_str).collect::<Vec<_>>().join(" ")));
                }
            }
        }
    }
}

#[test]
fn a_plan_runs_in_an_order_that_keeps_every_edge() {
    let plan = plan(&stories(), Missing::Fail, &[]);
    assert!(!plan.has_errors(), "{:?}", plan.diagnostics);
    assert_eq!(run(&plan, "").0, ["0.1", "1.1", "1.2", "2.1"]);
    let (starts, blocked) = run(&plan, "1.1");
    assert_eq!(starts, ["0.1", "1.1", "2.1"]);
    assert_eq!(blocked, ["1.2 by 1.1"]);
}

#[test]
fn the_plan_names_agents_edges_and_what_is_done() {
    let json = shown::json(&plan(&stories(), Missing::Fail, &[]));
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let row = |item: &serde_json::Value| {
        let edges = item["dependencies"].as_array().unwrap().iter().map(|id| id.as_str().unwrap());
        let edges = edges.collect::<Vec<_>>().join(" ");
        format!("{} {} {} [{edges}]", item["wave"], item["id"].as_str().unwrap(), item["agent"].as_str().unwrap())
    };
    let rows: Vec<String> = value["items"].as_array().unwrap().iter().map(row).collect();
    let expected = [
        "0 0.1 python-developer []",
        "1 1.1 python-developer [0.1]",
        "1 2.1 nextjs-developer [0.1]",
        "2 1.2 golang-developer [1.1]",
    ];
    assert_eq!(rows, expected);
    assert_eq!(value["leftOut"][0]["why"], "its file says \"Done\"");
    assert_eq!(value["items"][0]["adapter"], "codex");
}

#[test]
fn a_question_about_the_scope_can_be_asked_and_answered() {
    let asked = plan(&stories(), Missing::Ask, &["1.2"]);
    let pairs: Vec<String> =
        asked.outside.iter().map(|pair| format!("{} needs {}", pair.story, pair.prerequisite)).collect();
    assert_eq!(pairs, ["1.2 needs 1.1"]);
    let expanded = plan(&stories(), Missing::Expand, &["1.2"]);
    assert_eq!(run(&expanded, "").0, ["0.1", "1.1", "1.2"]);
    let skipped = plan(&stories(), Missing::Skip, &["1.2"]);
    assert!(skipped.items.is_empty() && !skipped.has_errors());
}

/// The ids of each wave, `0: 1.1 1.2 | 1: 2.1`, and the number of edges.
fn waves(plan: &Plan) -> (String, usize) {
    let wave = |wave: u32| {
        let ids = plan.items.iter().filter(|planned| planned.wave == wave).map(|planned| planned.item.id.as_str());
        format!("{wave}: {}", ids.collect::<Vec<_>>().join(" "))
    };
    let edges = plan.items.iter().map(|planned| planned.planned_prerequisites().count()).sum();
    ((0..plan.waves).map(wave).collect::<Vec<_>>().join(" | "), edges)
}

#[test]
fn waves_of_a_real_task_list_match_the_hand_checked_ones() {
    let Some(corpus) = super::support::corpus() else { return };
    let folder = "openspec/jankneumann--agentic-coding-tools/openspec/changes/archive";
    let text =
        std::fs::read_to_string(corpus.join(folder).join("2026-03-05-adopt-opsx-1.0-workflow/tasks.md")).unwrap();
    let mut items = Vec::new();
    let mut id = "";
    for line in text.lines() {
        if let Some(task) = line.strip_prefix("- [x] ") {
            id = task.split(' ').next().unwrap();
        } else if let Some(list) = line.trim().strip_prefix("**Dependencies**: ") {
            let needs: Vec<&str> = list.split(", ").filter(|needed| *needed != "None").collect();
            items.push(WorkItem { declared: Declared::List, ..story(id, "docs", &needs, false) });
        }
    }
    let expected = "0: 1.1 1.2 | 1: 2.1 | 2: 2.2 3.1 | 3: 3.2 4.0 4.1 4.2 4.3 4.4 4.5 4.6 4.7 4.8 5.1 | 4: 5.2 5.3 5.4 \
                    | 5: 6.1 6.2 6.3";
    assert_eq!(waves(&plan(&items, Missing::Fail, &[])), (expected.to_owned(), 59));
}

#[test]
fn waves_of_a_task_master_file_match_the_hand_checked_ones() {
    let Some(corpus) = super::support::corpus() else { return };
    let text = std::fs::read(corpus.join("taskmaster/54corbin--offer-hunter/tasks.json")).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let item = |task: &serde_json::Value| {
        let needs: Vec<String> = task["dependencies"].as_array().unwrap().iter().map(ToString::to_string).collect();
        let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
        WorkItem { declared: Declared::List, ..story(&task["id"].to_string(), "docs", &needs, false) }
    };
    let items: Vec<WorkItem> = value["master"]["tasks"].as_array().unwrap().iter().map(item).collect();
    let expected = "0: 1 | 1: 2 5 8 12 | 2: 3 6 9 | 3: 4 7 10 11 13 | 4: 14";
    assert_eq!(waves(&plan(&items, Missing::Fail, &[])), (expected.to_owned(), 22));
}
