//! Scope and plan through the real binary: selectors, prerequisites outside the scope, edges, agents, formats.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::bad_input::{assert_nothing_started, assert_refused, guarded, rows};
use crate::project::Project;
use crate::support::{Ran, run};

fn project() -> Project {
    let project = Project::new("", "");
    project.story("1.1", "Login", "None").story("1.2", "Logout", "1.1").story("1.9", "Avatar", "None");
    project.story("1.10", "Profile", "1.2").story("2.1", "Billing", "1.1");
    let text = project.scratch.read("docs/stories/2.1.billing.md");
    let text = text.replace("**Status:**", "**Epic:** 2 - Money and auth\n**Status:**");
    project.scratch.write("docs/stories/2.1.billing.md", text);
    project.commit();
    project
}

fn json(project: &Project, args: &[&str]) -> Value {
    let ran = project.orchestrate(&[&["plan", "--format", "json"], args].concat());
    assert_eq!(ran.code, 0, "{args:?}: {}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

fn ids(plan: &Value) -> Vec<&str> {
    plan["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[test]
fn every_selector_selects_what_it_says_in_natural_order() {
    let project = project();
    for (scope, expected) in [
        (&[] as &[&str], &["1.1", "1.9", "1.2", "2.1", "1.10"] as &[&str]),
        (&["1.1"], &["1.1"]),
        (&["01.1"], &["1.1"]),
        (&["1.1-1.9"], &["1.1", "1.9", "1.2"]),
        (&["1.2-1.10", "1.1"], &["1.1", "1.9", "1.2", "1.10"]),
        (&["1.*"], &["1.1", "1.9", "1.2", "1.10"]),
        (&["epic:1"], &["1.1", "1.9", "1.2", "1.10"]),
        (&["epic:auth", "1.1"], &["1.1", "2.1"]),
        (&["1.1,1.9", "2.*"], &["1.1", "1.9", "2.1"]),
        (&["1.1", "1.1", "1.1-1.1"], &["1.1"]),
    ] {
        assert_eq!(ids(&json(&project, scope)), expected, "{scope:?}");
    }
}

#[test]
fn a_prerequisite_outside_the_scope_fails_with_commands_that_work() {
    let project = project();
    let expected = ["docs/stories/1.2.logout.md:4:19", "1.2 depends on 1.1, which is not done and not in the scope"];
    let ran = assert_refused(&project, &["stories", "1.2", "1.10", "--agent", "scripted"], &expected);
    let commands: Vec<&str> =
        ran.stderr.split('`').filter(|text| text.starts_with("git orchestrate stories")).collect();
    let typed = "git orchestrate stories 1.2 1.10 --agent scripted";
    assert_eq!(commands, [format!("{typed} --missing expand"), format!("{typed} --missing skip")]);
    assert_refused(&project, &["stories", "1.2", "--missing", "fail"], &expected);
    let planned = |command: &str| {
        let words = command.split(' ').skip(2).chain(["--dry-run"]).collect::<Vec<_>>();
        let ran = project.orchestrate(&words);
        assert_eq!(ran.code, 0, "{command}: {}", ran.stderr);
        ran
    };
    assert_eq!(rows(&planned(commands[0])), ["0 1.1", "1 1.2", "2 1.10"]);
    let skipped = planned(commands[1]);
    assert!(
        rows(&skipped).is_empty() && skipped.stdout.contains("1.2  prerequisite 1.1 is out of scope"),
        "{}",
        skipped.stdout
    );
    assert!(skipped.stdout.contains("1.10  prerequisite 1.2 is left out"), "{}", skipped.stdout);
    let ran = project.orchestrate(&commands[0].split(' ').skip(2).collect::<Vec<_>>());
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!([project.merges_of("1.1"), project.merges_of("1.2"), project.merges_of("1.10")], [1, 1, 1]);
}

/// `stories 1.2 --dry-run` on a pseudo terminal, answered with `answer`; `None` without the program for it.
fn on_a_terminal(project: &Project, answer: &str) -> Option<Ran> {
    if run(project.scratch.command("sh").args(["-c", "script --version"])).code != 0 {
        eprintln!("skipped: no script(1)");
        return None;
    }
    let command = format!("'{}' stories 1.2 --dry-run", env!("CARGO_BIN_EXE_git-orchestrate"));
    let mut script = project.scratch.command("timeout");
    script.args(["300", "script", "-qec", &command, "/dev/null"]).env("TERM", "dumb");
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(answer.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).replace('\r', "");
    Some(Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) })
}

#[test]
fn a_terminal_is_asked_and_each_of_the_three_answers_counts() {
    let project = project();
    let Some(expanded) = on_a_terminal(&project, "1\n") else { return };
    for text in
        ["story 1.2 depends on story 1.1", "1) expand the scope to include 1.1", "2) skip story 1.2", "3) cancel"]
    {
        assert!(expanded.stdout.contains(text), "{text}: {}", expanded.stdout);
    }
    assert_eq!(
        (expanded.code, rows(&expanded)),
        (0, vec!["0 1.1".to_owned(), "1 1.2".to_owned()]),
        "{}",
        expanded.stdout
    );
    let skipped = on_a_terminal(&project, "7\n2\n").unwrap();
    assert!(skipped.stdout.contains("a number from 1 to 3"), "{}", skipped.stdout);
    assert!(
        skipped.code == 0 && skipped.stdout.contains("1.2  prerequisite 1.1 is out of scope"),
        "{}",
        skipped.stdout
    );
    let cancelled = on_a_terminal(&project, "3\n").unwrap();
    assert!(cancelled.code == 2 && cancelled.stdout.contains("cancelled; nothing was started"), "{}", cancelled.stdout);
    assert_nothing_started(&project);
}

#[test]
fn the_table_is_the_dry_run_and_says_what_a_person_decides_by() {
    let project = project();
    project.story("1.3", "Later", "1.9");
    let ran = guarded(&project, &["plan"]);
    assert!(ran.stdout.starts_with("target main at ") && ran.stdout.contains(" from main:.orchestrate.toml\n"));
    insta::assert_snapshot!(without_head(&ran.stdout), @r"
    6 stories, 4 edges, 3 waves, at most 3 at the same time

    wave  id    title    agent                         after  warnings  why
    0     1.1   Login    general-developer (scripted)                   the story names no code; scripted by agents.default in the settings
    0     1.9   Avatar   general-developer (scripted)                   the story names no code; scripted by agents.default in the settings
    1     1.2   Logout   general-developer (scripted)  1.1              the story names no code; scripted by agents.default in the settings
    1     1.3   Later    general-developer (scripted)  1.9    1         the story names no code; scripted by agents.default in the settings
    1     2.1   Billing  general-developer (scripted)  1.1              the story names no code; scripted by agents.default in the settings
    2     1.10  Profile  general-developer (scripted)  1.2              the story names no code; scripted by agents.default in the settings

    critical path (3): 1.1 → 1.2 → 1.10

    next: git orchestrate stories
    ");
    assert!(
        ran.stderr.contains("later-dependency") && ran.stderr.contains("docs/stories/1.3.later.md:4:19"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stderr.matches("1.9").count(), 2, "said once, with its line: {}", ran.stderr);
    let dry = guarded(&project, &["stories", "--dry-run"]);
    let next = "\nnext: git orchestrate stories\n";
    assert_eq!((dry.code, ran.stdout.replace(next, "")), (0, dry.stdout));
    assert_nothing_started(&project);
}

/// The first line names object ids, which differ from run to run.
fn without_head(text: &str) -> &str {
    text.split_once('\n').unwrap().1
}

#[test]
fn json_dot_and_mermaid_show_the_same_edges() {
    let project = project();
    project.story("1.3", "Later", "1.9");
    let plan = json(&project, &["1.1", "1.3", "1.9"]);
    assert_eq!((&plan["version"], ids(&plan)), (&json!(1), vec!["1.1", "1.9", "1.3"]));
    let last = &plan["items"][2];
    let shown = [&last["title"], &last["wave"], &last["agent"], &last["adapter"], &last["dependencies"]];
    assert_eq!(shown, [&json!("Later"), &json!(1), &json!("general-developer"), &json!("scripted"), &json!(["1.9"])]);
    let finding =
        plan["diagnostics"].as_array().unwrap().iter().find(|found| found["code"] == "later-dependency").unwrap();
    let place = (&finding["severity"], &finding["path"], &finding["line"], &finding["column"]);
    assert_eq!(place, (&json!("warning"), &json!("docs/stories/1.3.later.md"), &json!(4), &json!(19)));
    let dot = project.orchestrate(&["plan", "--format", "dot"]).stdout;
    let mermaid = project.orchestrate(&["plan", "--format", "mermaid"]).stdout;
    assert!(dot.starts_with("digraph ") && dot.contains("\"1.9\" -> \"1.3\";"), "{dot}");
    assert!(mermaid.starts_with("flowchart ") && mermaid.contains("n1_9 --> n1_3"), "{mermaid}");
    assert_eq!((dot.matches("->").count(), mermaid.matches("-->").count()), (4, 4));
}

#[test]
fn a_plan_with_errors_is_still_json_with_every_finding() {
    let project = project();
    project.story("3.1", "Broken", "9.9");
    project.scratch.write("docs/stories/3.2.x.md", "");
    let ran = assert_refused(&project, &["plan", "--json"], &["9.9", "3.2.x.md"]);
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    let errors = plan["diagnostics"].as_array().unwrap().iter().filter(|found| found["severity"] == "error");
    assert_eq!(
        errors.map(|found| found["code"].as_str().unwrap()).collect::<Vec<_>>(),
        ["empty", "missing-dependency"]
    );
    let broken = plan["items"].as_array().unwrap().iter().find(|item| item["id"] == "3.1").unwrap();
    assert_eq!((&broken["lacking"], &broken["satisfied"]), (&json!(["9.9"]), &json!([])));
}

#[test]
fn stories_that_declare_nothing_follow_the_foundation_and_the_setting() {
    let project = Project::new("", "");
    for id in ["0.0", "0.1", "1.1", "1.2"] {
        project
            .scratch
            .write(&format!("docs/stories/{id}.a.md"), format!("# Story {id}: a\n\nStatus: Ready\n\n## Story\n"));
    }
    project.story("2.1", "Free", "None").commit();
    let edges = |setting: &str| {
        let mut command = project.scratch.orchestrate_command();
        let ran = run(command.args(["plan", "--json"]).env("GIT_ORCHESTRATE_UNDECLARED", setting));
        let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
        let edge = |item: &Value| {
            let needs = item["edges"].as_array().unwrap().iter();
            let needs =
                needs.map(|edge| format!("{} {}", edge["id"].as_str().unwrap(), edge["kind"].as_str().unwrap()));
            format!("{}: {}", item["id"].as_str().unwrap(), needs.collect::<Vec<_>>().join(", "))
        };
        let mut edges: Vec<String> = plan["items"].as_array().unwrap().iter().map(edge).collect();
        edges.sort();
        edges
    };
    let foundation = "0.0 foundation, 0.1 foundation";
    let order = format!("1.2: {foundation}, 1.1 epic-order");
    let first = format!("1.1: {foundation}");
    assert_eq!(edges("epic-order"), ["0.0: ", "0.1: 0.0 epic-order", &first, &order, "2.1: "]);
    assert_eq!(edges("foundation"), ["0.0: ", "0.1: ", &first, &format!("1.2: {foundation}"), "2.1: "]);
    assert_eq!(edges("independent"), ["0.0: ", "0.1: ", "1.1: ", "1.2: ", "2.1: "]);
    let ran = project.orchestrate(&["plan", "-v"]);
    assert!(ran.stderr.contains("1.2 declares no dependencies; order assumed: after 0.0, 0.1, 1.1"), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("no dependency declaration").count(), 0, "said once: {}", ran.stderr);
}

#[test]
fn agents_are_chosen_by_technology_and_the_plan_says_why() {
    let project = Project::new("", "");
    let story = |id: &str, title: &str, head: &str, files: &[&str]| {
        let files: String = files.iter().map(|file| format!("- `{file}`\n")).collect();
        let text = format!(
            "# Story {id}: {title}\n\n**Status:** Ready\n{head}**Dependencies**: None\n\n## Story\n\nx\n\n## Files to Create/Modify\n\n{files}"
        );
        project.scratch.write(&format!("docs/stories/{id}.x.md"), text);
    };
    story("1.1", "Parser", "", &["src/a.py", "src/b.py"]);
    story("1.2", "Server", "", &["cmd/main.go"]);
    story("1.3", "Button", "", &["src/button.tsx"]);
    story("1.4", "Page", "", &["next.config.js", "app/page.tsx"]);
    story("1.5", "Design spec of the login page", "", &["docs/login.md"]);
    story("1.6", "Architecture", "", &["docs/architecture.md"]);
    story("1.7", "Something", "", &[]);
    story("1.8", "Invoices", "**Agent:** billing\n", &["src/a.py"]);
    project.scratch.write(".claude/agents/billing.md", "---\nname: billing\ndescription: x\n---\nYou bill.\n");
    project.commit();
    let plan = json(&project, &[]);
    let chosen = plan["items"].as_array().unwrap().iter().map(|item| {
        let text = |name: &str| item[name].as_str().unwrap().replace("; scripted by agents.default in the settings", "");
        format!("{} {} {}: {}", text("id"), text("kind"), text("agent"), text("why"))
    });
    insta::assert_snapshot!(chosen.collect::<Vec<_>>().join("\n"), @r"
    1.1 story python-developer: all 2 named files are Python
    1.2 story golang-developer: the named file is Go
    1.3 story react-developer: the named file is React
    1.4 story nextjs-developer: all 2 named files are Next.js
    1.5 documentation frontend-design: no implementation: documentation item; a design specification by its title
    1.6 documentation general-developer: no implementation: documentation item; the named file is documentation
    1.7 story general-developer: the story names no code
    1.8 story billing: the story asks for billing
    ");
}

#[test]
fn ten_thousand_stories_are_planned() {
    let project = Project::new("", "");
    for number in 0..10_000 {
        let (epic, story) = (number / 100 + 1, number % 100 + 1);
        let needs = if story == 1 { "None".to_owned() } else { format!("{epic}.{}", story - 1) };
        project.story(&format!("{epic}.{story}"), "A", &needs);
    }
    let ran = guarded(&project, &["plan"]);
    assert!(ran.code == 0 && ran.stderr.is_empty(), "{}", ran.stderr);
    assert!(ran.stdout.contains("10000 stories, 9900 edges, 100 waves, at most 100 at the same time"));
}
