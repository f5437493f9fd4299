//! F50 and F53: agents that the system kills, and budgets that are used up in the middle of a wave. Must not wait for real
//! delays: the first one is set to nothing.

use serde_json::Value;

use super::note;
use crate::project::Project;

/// Three tries without a delay.
fn retrying(script: &str, policy: &str) -> Project {
    let project = Project::new(script, policy);
    let text = project.scratch.read(".orchestrate.toml");
    project.scratch.write(
        ".orchestrate.toml",
        text.replace("attempts = 1\nbreaker_failures = 0\n", "attempts = 3\nfirst_delay = 0\n"),
    );
    project
}

fn status(project: &Project) -> Value {
    let ran = project.orchestrate(&["status", "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

fn item<'a>(status: &'a Value, id: &str) -> &'a Value {
    status["items"].as_array().unwrap().iter().find(|item| item["storyId"] == id).unwrap()
}

/// Sessions of authors, by item or in all.
fn authors(project: &Project, id: Option<&str>) -> usize {
    let of = |line: &&Value| line["phase"] == "implementation" && id.is_none_or(|id| line["item"] == id);
    project.journal().iter().filter(of).count()
}

#[test]
fn f50_a_killed_agent_is_tried_again_and_one_that_always_fails_is_reported_whole() {
    let script = "[[step]]\nitem = \"1.1\"\nphase = \"implementation\"\nnth = 1\n\
                  do = [{ run = [\"sh\", \"-c\", \"kill -9 $PPID\"] }]\n\
                  [[step]]\nitem = \"1.2\"\nphase = \"implementation\"\n\
                  do = [{ print = \"cannot open the box\" }, { print = \"giving up\" }, { exit = 3 }]\n";
    let project = retrying(script, "");
    project.story("1.1", "Killed", "None").story("1.2", "Hopeless", "None").story("1.3", "Waits", "1.2").commit();
    let ran = project.stories(&["-j", "2"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    let status = status(&project);
    let (killed, hopeless) = (item(&status, "1.1"), item(&status, "1.2"));
    assert_eq!(
        (&killed["status"], &killed["attempts"], &killed["failedTries"]),
        (&"Landed".into(), &2.into(), &0.into())
    );
    assert_eq!((&hopeless["status"], &hopeless["failedTries"]), (&"Failed".into(), &3.into()));
    assert_eq!(item(&status, "1.3")["reason"], "needs 1.2");
    assert_eq!((authors(&project, Some("1.1")), authors(&project, Some("1.2"))), (2, 3));
    let diary = project.scratch.git(&["log", "--format=%s", "refs/orchestrate/items/1.1"]);
    assert!(diary.contains("another try is due (0 of 3 failed): the agent was killed: by the system"), "{diary}");
    for text in [ran.stdout, project.orchestrate(&["show", "1.2"]).stdout] {
        for part in ["cannot open the box", "output.log", "story/1.2-hopeless", "git orchestrate retry 1.2"] {
            assert!(text.contains(part), "no `{part}` in:\n{text}");
        }
    }
    project.assert_sound();
    note("F50", "agent killed by signal 9", "tried again, landed, not counted as a failed try");
}

/// A script in which each author's session costs 0.40 and each review 0.10, by what the client reports.
fn costing() -> String {
    let cost = |amount: &str| {
        format!(
            "{{ print = '{{\"type\":\"result\",\"is_error\":false,\"total_cost_usd\":{amount},\"usage\":{{\"input_tokens\":100}}}}' }}"
        )
    };
    let work = "{ run = [\"sh\", \"-c\", \"echo done > $ORCHESTRATE_ITEM.txt\"] }, { commit = \"work\" }";
    format!(
        "[[step]]\nphase = \"implementation\"\ndo = [{work}, {}]\n[[step]]\nphase = \"review\"\ndo = [\"approve\", {}]\n",
        cost("0.4"),
        cost("0.1")
    )
}

const READS_COST: &str = "parser = \"claude-stream-json\"\n";

#[test]
fn f53_a_cap_on_cost_holds_in_the_middle_of_a_wave_and_a_resume_goes_on_under_a_higher_one() {
    let project = Project::new(&costing(), READS_COST);
    project.set("limits", "session_cost = \"0.40\"");
    for n in 1..=5 {
        project.story(&format!("{n}.1"), &format!("Part {n}"), "None");
    }
    project.commit();
    let scope = ["1.1", "2.1", "3.1", "4.1", "5.1"];
    let args: Vec<&str> = scope.into_iter().chain(["--missing", "skip", "-j", "5", "--max-cost", "2.00"]).collect();
    let ran = project.stories(&args);
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.stdout.contains("--max-cost") && ran.stdout.contains("2.00 of 2.00 USD"), "{ran:?}");
    let shown = status(&project);
    assert_eq!((&shown["spent"]["costUsd"], &shown["spent"]["tokens"]), (&2.0.into(), &800.into()), "{shown}");
    assert_eq!((authors(&project, None), item(&shown, "1.1")["costUsd"].as_f64()), (4, Some(0.5)));
    let ran = project.orchestrate(&["resume", "--max-cost", "3"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!((authors(&project, None), status(&project)["spent"]["costUsd"].as_f64()), (5, Some(2.5)));
    project.assert_tidy();
    note("F53", "cap reached in the middle of a wave", "no session started above it; resume counts what was spent");
}

#[test]
fn f53_an_agent_that_reports_no_cost_is_said_so_and_reckoned_with_an_estimate() {
    let project = Project::new("", "");
    project.set("limits", "session_cost = \"0.40\"");
    project.story("1.1", "One", "None").story("2.1", "Two", "None").commit();
    let dry = project.stories(&["1.1", "2.1", "--max-cost", "1", "--dry-run"]);
    let ran = project.stories(&["1.1", "2.1", "-j", "1", "--max-cost", "1"]);
    for said in [&dry, &ran] {
        assert!(said.stderr.contains("scripted does not report what it costs"), "{said:?}");
    }
    assert_eq!((dry.code, ran.code), (0, 5), "{ran:?}");
    let shown = status(&project);
    assert_eq!((&shown["spent"]["costUsd"], &shown["spent"]["unpricedSessions"]), (&Value::Null, &2.into()));
    assert_eq!(authors(&project, None), 1);
    project.assert_sound();
    note("F53", "agent reports no cost", "said at the start, counted by estimate, shown as unknown");
}

#[test]
fn a_client_that_keeps_failing_is_shown_as_paused_and_a_full_disk_starts_nothing() {
    let project = Project::new("[[step]]\nphase = \"implementation\"\ndo = [{ exit = 1 }]\n", "");
    for n in 1..=5 {
        project.story(&format!("{n}.1"), &format!("Part {n}"), "None");
    }
    let config = project.scratch.read(".orchestrate.toml").replace("breaker_failures = 0\n", "");
    project.scratch.write(".orchestrate.toml", config);
    project.commit();
    let ran = project.stories(&["1.1", "2.1", "3.1", "4.1", "5.1", "-j", "5"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.stderr.contains("scripted is paused for 600 s"), "{ran:?}");
    let paused = status(&project)["guards"]["pausedAgents"].clone();
    assert_eq!((&paused[0]["agent"], &paused[0]["failures"]), (&"scripted".into(), &5.into()), "{paused}");

    let text = project.scratch.read(".orchestrate.toml");
    project.scratch.write(".orchestrate.toml", text.replace("min_disk = 0", "min_disk = \"4096T\""));
    project.commit();
    let before = authors(&project, None);
    let ran = project.stories(&["1.1"]);
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.stdout.contains("of disk are free, less than"), "{ran:?}");
    assert_eq!(authors(&project, None), before);
    assert!(status(&project)["guards"]["held"].as_str().is_some_and(|why| why.contains("disk")));
}

#[test]
#[ignore = "battery"]
fn f53_a_cap_counts_what_was_spent_before_a_kill() {
    let project = Project::new("", READS_COST);
    project.set("limits", "session_cost = \"0.40\"");
    let meeting = project.meeting("reviewing");
    let script = costing().replace(
        "[\"approve\"",
        &format!("[{{ touch = {meeting:?} }}, {{ wait-for = {:?} }}, \"approve\"", project.meeting("go")),
    );
    project.script(&script);
    project.story("1.1", "One", "None").story("2.1", "Two", "None").commit();
    let live = project.start(&["stories", "1.1", "2.1", "-j", "1", "--max-cost", "0.90"]);
    crate::project::until("a review", || meeting.exists());
    live.kill();
    std::fs::write(project.meeting("go"), "").unwrap();
    let ran = project.orchestrate(&["resume"]);
    // 0.40 before the kill, 0.40 for the review that was cut off, and no room for another one.
    assert_eq!(ran.code, 5, "{ran:?}");
    let ran = project.orchestrate(&["resume", "--max-cost", "5"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    project.assert_tidy();
    note(
        "F53",
        "orchestrator killed below the cap",
        "what was spent before counts, the session that was cut off by estimate",
    );
}
