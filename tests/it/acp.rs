//! Clients of the Agent Client Protocol: the hidden `acp-client` alone, and whole runs with the scripted agent as a server of
//! the protocol. Must not assert durations.

use std::path::PathBuf;

use git_orchestrate::adapters::agents::acp::{Facts, Spec};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::project::{LIMITS, Project, until};
use crate::support::{Ran, run, scripted_agent};

/// A project whose agent is asked by the protocol.
fn project(script: &str, policy: &str) -> Project {
    let project = Project::new(script, "");
    let command = [scripted_agent(), "--acp".into(), "--script".into(), project.script_path()];
    let config = format!(
        "{LIMITS}[agents]\ndefault = \"mine\"\n[agents.mine]\nlike = \"acp\"\ncommand = {}\nautonomy.full = [\"nosuch\", \"default\"]\n\
         autonomy.read-only = [\"plan\"]\n{policy}\n",
        json!(command)
    );
    project.scratch.write(".orchestrate.toml", config);
    project
}

/// What the scripted server was told, one value for each message.
fn told(project: &Project) -> Vec<Value> {
    let text = std::fs::read_to_string(format!("{}.acp", project.script_path().display())).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn methods(project: &Project) -> Vec<String> {
    told(project).iter().filter_map(|line| line["method"].as_str().map(str::to_owned)).collect()
}

/// The options chosen for requests, in order.
fn outcomes(project: &Project) -> Vec<String> {
    let chosen = |line: &Value| Some(line["outcome"].as_object()?.get("optionId")?.as_str()?.to_owned());
    told(project).iter().filter_map(chosen).collect()
}

/// A process is there and not only waited for.
fn alive(pid: &Value) -> bool {
    std::fs::read(format!("/proc/{}/environ", pid.as_i64().unwrap())).is_ok_and(|text| !text.is_empty())
}

/// One conversation without a run around it; what was printed.
fn talk(project: &Project, tweak: impl FnOnce(&mut Spec)) -> (Ran, Vec<Value>) {
    let path = project.meeting("conversation.json");
    let _ = std::fs::remove_file(&path);
    let ran = run(project.scratch.orchestrate_command().arg("acp-client").arg(spec(project, tweak)));
    let events = ran.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    (ran, events)
}

fn spec(project: &Project, tweak: impl FnOnce(&mut Spec)) -> PathBuf {
    let prompt = project.meeting("prompt.md");
    std::fs::write(&prompt, "Do it.\n").unwrap();
    let root = project.scratch.root().display().to_string();
    let command = [scripted_agent(), "--acp".into(), "--script".into(), project.script_path()];
    let mut spec = Spec {
        command: command.map(|word| word.display().to_string()).into(),
        directory: project.scratch.root(),
        prompt,
        grace_millis: 5000,
        facts: Facts { worktree: root, branch: "story".to_owned(), ..Facts::default() },
        ..Spec::default()
    };
    tweak(&mut spec);
    let path = project.meeting("conversation.json");
    spec.write(&path).unwrap();
    path
}

fn of_type<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == kind).collect()
}

#[test]
fn three_stories_land_and_what_they_cost_is_known() {
    let script = "[[step]]\nitem = \"1.2\"\nphase = \"implementation\"\n\
                  do = [{ big-update = 5 }, { print = \"no message\" }, { ask = [\"touch\", \"1.2.txt\"] }, { commit = \"it\" }]\n\
                  [[step]]\nitem = \"1.2\"\nphase = \"research\"\n\
                  do = [{ big-update = 5 }, { print = \"no message\" }, { ask = [\"touch\", \"1.2.txt\"] }, { commit = \"it\" }]\n\
                  [[step]]\nitem = \"1.3\"\nphase = \"review\"\n\
                  do = [{ say = \"```json\\n{\\\"version\\\":1,\\\"verdict\\\":\\\"approve\\\",\\\"findings\\\":[]}\\n```\" }]\n";
    let project = project(script, "");
    project.story("1.1", "First", "None").story("1.2", "Second", "None").story("1.3", "Third", "1.1, 1.2").commit();
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 0, "{}\n{}\n{:?}", ran.stdout, ran.stderr, told(&project));
    for id in ["1.1", "1.2", "1.3"] {
        assert_eq!((project.merges_of(id), project.status_of(id)), (1, "Landed".to_owned()));
    }
    let told = told(&project);
    let modes: Vec<&str> = told.iter().filter_map(|line| line["mode"].as_str()).collect();
    assert_eq!(modes.iter().filter(|mode| **mode == "default").count(), 3, "{modes:?}");
    assert_eq!(modes.iter().filter(|mode| **mode == "plan").count(), 3, "{modes:?}");
    assert!(told.iter().any(|line| line["prompt"].as_u64() > Some(100)));
    // Six sessions of one turn each.
    let status = project.orchestrate(&["status", "--json"]).stdout;
    assert!(status.contains("1260000") || status.contains("1.26"), "{status}");
    project.assert_tidy();
}

#[test]
fn what_an_agent_may_not_it_is_refused_and_goes_on() {
    let actions = "do = [{ write = { path = \"1.1.txt\", text = \"x\" } }, { ask = [\"git\", \"add\", \"-A\"] }, \
                   { ask = [\"git\", \"commit\", \"--no-verify\", \"-qm\", \"unseen\"] }, \
                   { ask = [\"git\", \"push\", \"elsewhere\", \"HEAD:main\"] }, \
                   { ask = [\"git\", \"branch\", \"-f\", \"other\"] }, { ask = [\"touch\", \"../../outside\"] }, \
                   { ask = [\"git\", \"commit\", \"-qm\", \"seen\"] }]\n";
    let review = "[[step]]\nphase = \"review\"\ndo = [{ ask = [\"touch\", \"by-reviewer\"] }, \"approve\"]\n";
    let project = project(&format!("{review}[[step]]\n{actions}"), "");
    let bare = project.meeting("elsewhere.git");
    project.scratch.git(&["init", "-q", "--bare", bare.to_str().unwrap()]);
    project.scratch.git(&["remote", "add", "elsewhere", bare.to_str().unwrap()]);
    project.scratch.git(&["branch", "other"]);
    let other = project.scratch.git(&["rev-parse", "other"]);
    project.story("1.1", "First", "None").commit();
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(outcomes(&project), ["once", "no", "no", "no", "no", "once", "no", "once"]);
    assert_eq!(project.scratch.git(&["ls-remote", "elsewhere"]), "");
    assert_eq!(project.scratch.git(&["rev-parse", "other"]), other);
    let subjects = project.scratch.git(&["log", "--format=%s", "main"]);
    assert!(subjects.contains("seen") && !subjects.contains("unseen"), "{subjects}");
    assert_eq!(project.scratch.try_git(&["cat-file", "-e", "main:by-reviewer"]).code, 128);
}

#[test]
fn ctrl_c_cancels_the_turn_and_leaves_nothing() {
    let project = project("[[step]]\ndo = [{ write = { path = \"a\", text = \"x\" } }, \"hang\"]\n", "");
    project.story("1.1", "First", "None").commit();
    let live = project.start(&["stories"]);
    until("the turn", || methods(&project).contains(&"session/prompt".to_owned()));
    live.signal(Signal::SIGINT);
    let ran = live.finish();
    assert_eq!(ran.code, 130, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(methods(&project).last().unwrap(), "session/cancel");
    assert!(told(&project).iter().all(|line| !alive(&line["pid"]) && !alive(&line["parent"])));
    project.assert_sound();
}

#[test]
fn a_killed_go_between_leaves_no_client() {
    let project = project("[[step]]\ndo = [\"hang-ignoring-term\"]\n", "");
    project.story("1.1", "First", "None").commit();
    let live = project.start(&["stories"]);
    until("the turn", || methods(&project).contains(&"session/prompt".to_owned()));
    let parent = told(&project)[0]["parent"].as_i64().unwrap();
    kill(Pid::from_raw(i32::try_from(parent).unwrap()), Signal::SIGKILL).unwrap();
    let ran = live.finish();
    assert_eq!(ran.code, 4, "{}\n{}", ran.stdout, ran.stderr);
    assert!(told(&project).iter().all(|line| !alive(&line["pid"])));
    project.assert_sound();
}

#[test]
fn after_a_crash_the_same_session_goes_on() {
    let project =
        project("[[step]]\nnth = 1\nitem = \"1.1\"\ndo = [{ write = { path = \"a\", text = \"x\" } }, \"hang\"]\n", "");
    project.story("1.1", "First", "None").commit();
    let live = project.start(&["stories"]);
    until("the turn", || methods(&project).contains(&"session/prompt".to_owned()));
    // The session is in the log before the turn begins; what it wrote shows that the turn is at work.
    until("its work", || {
        project
            .scratch
            .root()
            .join(".worktrees")
            .read_dir()
            .is_ok_and(|mut all| all.any(|entry| entry.unwrap().path().join("a").exists()))
    });
    live.kill();
    project.script("");
    let ran = project.orchestrate(&["resume"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(project.status_of("1.1"), "Landed");
    let told = told(&project);
    let sessions = |method: &str| -> Vec<Value> {
        told.iter().filter(|line| line["method"] == method).map(|line| line["session"].clone()).collect()
    };
    let first = &sessions("session/prompt")[0];
    assert_eq!(sessions("session/resume"), std::slice::from_ref(first), "{told:?}");
    project.assert_tidy();
}

#[test]
fn errors_of_a_turn_become_classes() {
    for (steps, class, code) in [
        ("{ rpc-error = '{\"code\":429,\"message\":\"slow down\"}' }", json!("rate-limited"), 1),
        (
            "{ rpc-error = '{\"code\":-32603,\"message\":\"x\",\"data\":{\"errorKind\":\"overloaded\"}}' }",
            json!("overloaded"),
            1,
        ),
        ("{ say = \"Execution failed: Error: 401 Unauthorized\" }", json!("auth"), 1),
        ("{ stop = \"max_turn_requests\" }", json!("max-turns"), 1),
        ("{ stop = \"max_tokens\" }", json!("context-full"), 1),
        ("{ print = \"noise\" }, { exit = 41 }", Value::Null, 41),
        ("{ say = \"done\" }", Value::Null, 0),
    ] {
        let project = Project::new(&format!("[[step]]\ndo = [{steps}]\n"), "");
        let (ran, events) = talk(&project, |_| ());
        let end = of_type(&events, "end");
        assert_eq!((ran.code, end.len()), (code, 1), "{steps}: {ran:?}");
        assert_eq!(end[0]["class"], class, "{steps}: {end:?}");
    }
}

#[test]
fn a_client_that_does_not_speak_it_ends_with_a_reason() {
    let project = Project::new("", "");
    let shell = |script: &str| {
        let (ran, events) = talk(&project, |spec| spec.command = ["sh", "-c", script].map(str::to_owned).into());
        let end = of_type(&events, "end").first().map(|end| end["message"].as_str().unwrap().to_owned());
        (ran.code, end.unwrap_or_default())
    };
    let (code, message) = shell("echo 'no key is set' >&2; exit 41");
    assert!(code == 41 && message.contains("no key is set"), "{code} {message}");
    let (code, message) = shell("yes 'hello'");
    assert!(code == 1 && message.contains("no messages of the protocol"), "{code} {message}");
    let (code, message) =
        shell("read x; echo '{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocolVersion\":2}}'; cat");
    assert!(code == 1 && message.contains("version 2"), "{code} {message}");
    let (code, message) = shell("exec 1>&-; sleep 1000");
    assert!(code != 0 && message.contains("ended in the middle"), "{code} {message}");
    let (ran, events) = talk(&project, |spec| spec.command = vec!["/nosuch/client".to_owned()]);
    assert!(ran.code == 127 && of_type(&events, "end")[0]["message"].as_str().unwrap().contains("/nosuch/client"));
    let unknown = talk(&project, |spec| spec.session = Some("acp-unknown".to_owned()));
    assert!(unknown.0.code == 1 && of_type(&unknown.1, "end")[0]["message"].as_str().unwrap().contains("acp-unknown"));
    let alone = project.orchestrate(&["acp-client"]);
    assert!(alone.code == 2 && alone.stderr.contains("needs one file"), "{alone:?}");
}

#[test]
fn what_happens_is_printed_as_it_happens() {
    let steps = "{ say = \"I \\\"write\\\" it.\\nThen more.\" }, { ask = [\"touch\", \"a\"] }, { big-update = 5 }, \
                 { say = \"{\\\"version\\\":1}\" }";
    let project = Project::new(&format!("[[step]]\ndo = [{steps}]\n"), "");
    let (ran, events) = talk(&project, |spec| spec.wants_result = true);
    assert_eq!(ran.code, 0, "{ran:?}");
    let said: String = of_type(&events, "update")
        .iter()
        .filter(|event| event["kind"] == "message")
        .map(|event| event["text"].as_str().unwrap())
        .collect();
    assert_eq!(said, "I \"write\" it.\nThen more.{\"version\":1}");
    assert_eq!(of_type(&events, "session")[0]["model"], "scripted-1");
    assert_eq!(of_type(&events, "permission")[0]["decision"], "allow");
    assert_eq!(of_type(&events, "answer")[0]["text"], "{\"version\":1}");
    let usage = of_type(&events, "usage");
    assert_eq!((&usage[0]["costUsd"], &usage[0]["cumulative"]), (&json!(0.21), &json!(true)));
    assert_eq!(
        (&usage[1]["input"], &usage[1]["output"], &usage[1]["cumulative"]),
        (&json!(10), &json!(2), &json!(false))
    );
    assert!(ran.stdout.len() < 64 * 1024, "the output of a tool is not printed");
}

#[test]
fn asked_to_end_it_cancels_and_the_client_is_gone() {
    let project = Project::new("[[step]]\ndo = [\"hang\"]\n", "");
    let path = spec(&project, |_| ());
    let live = project.start(&["acp-client", path.to_str().unwrap()]);
    until("the turn", || methods(&project).contains(&"session/prompt".to_owned()));
    live.signal(Signal::SIGTERM);
    let ran = live.finish();
    assert!(ran.code == 143 && ran.stdout.contains("\"stopReason\":\"cancelled\""), "{ran:?}");
    assert_eq!(methods(&project).last().unwrap(), "session/cancel");
    assert!(!alive(&told(&project)[0]["pid"]));
}
