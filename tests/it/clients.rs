//! Adapters of real clients, end to end: programs of their names that check how they are called and answer in their form.

use std::os::unix::fs::PermissionsExt;

use crate::project::Project;
use crate::support::run;

/// The author of every stand-in: prompt from stdin, one commit.
const AUTHOR: &str = r#"
prompt=$(cat)
case "$prompt" in *"Story $ORCHESTRATE_ITEM"*) ;; *) echo "no story in the prompt" >&2; exit 9 ;; esac
echo "$*" >> "$HOME/calls"
if [ "$ORCHESTRATE_PHASE" != review ]; then
    echo work > "$ORCHESTRATE_ITEM.txt"
    git add -A && git commit -q -m "work" || exit 8
fi
"#;

/// Runs one story with a stand-in for `client` whose answers are `answers` (shell), and returns how it was called.
fn run_with(client: &str, answers: &str) -> Vec<String> {
    let project = Project::new("", "");
    let tools = project.scratch.outside().join("tools");
    std::fs::create_dir_all(&tools).unwrap();
    let program = tools.join(client);
    std::fs::write(&program, format!("#!/bin/sh\n{AUTHOR}{answers}")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    project.scratch.write(".orchestrate.toml", "");
    project.story("1.1", "First", "None").commit();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let ran = run(project.scratch.orchestrate_command().arg("stories").env("PATH", path));
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(&format!("({client})")), "it is the first installed agent: {}", ran.stderr);
    assert_eq!(project.merges_of("1.1"), 1);
    project.assert_tidy();
    let calls = std::fs::read_to_string(project.scratch.outside().join("calls")).unwrap();
    calls.lines().map(str::to_owned).collect()
}

#[test]
fn claude_is_driven_by_its_stream_and_reviews_in_its_structured_field() {
    let calls = run_with(
        "claude",
        r#"
echo '{"type":"system","subtype":"init","session_id":"s-1"}'
echo '{"type":"something-new"}'
if [ "$ORCHESTRATE_PHASE" = review ]; then
    echo '{"type":"result","subtype":"success","is_error":false,"session_id":"s-1","result":"ok","structured_output":{"version":1,"verdict":"approve","findings":[]}}'
else
    echo '{"type":"result","subtype":"success","is_error":false,"session_id":"s-1","result":"done"}'
fi
"#,
    );
    assert_eq!(calls.len(), 2);
    assert!(
        calls[0].contains("-p --output-format stream-json --verbose") && calls[0].contains("--session-id"),
        "{calls:?}"
    );
    assert!(calls[0].contains("--dangerously-skip-permissions"), "{calls:?}");
    assert!(calls[1].contains("--json-schema") && !calls[1].contains("--dangerously"), "a reviewer is not autonomous");
}

#[test]
fn codex_is_driven_by_exec_and_reviews_into_a_file() {
    let calls = run_with(
        "codex",
        r#"
echo '{"type":"thread.started","thread_id":"t-1"}'
if [ "$ORCHESTRATE_PHASE" = review ]; then
    while [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done
    echo '{"version":1,"verdict":"approve","findings":[]}' > "$out"
fi
echo '{"type":"turn.completed","usage":{"input_tokens":1,"output_tokens":1}}'
"#,
    );
    assert!(calls[0].starts_with("exec --json"), "{calls:?}");
    assert!(calls[1].contains("-s read-only") && calls[1].contains("--output-schema"), "{calls:?}");
}

#[test]
fn gemini_is_driven_by_its_stream_and_reviews_into_the_result_file() {
    let calls = run_with(
        "gemini",
        r#"
echo '{"type":"init","session_id":"g-1"}'
[ "$ORCHESTRATE_PHASE" = review ] && echo '{"version":1,"verdict":"approve","findings":[]}' > "$ORCHESTRATE_RESULT"
echo '{"type":"result","status":"success"}'
"#,
    );
    assert!(calls[0].contains("-o stream-json --skip-trust") && calls[0].contains("yolo"), "{calls:?}");
}

#[test]
fn an_error_in_claudes_result_fails_the_story_although_it_exits_with_0_and_committed() {
    let project = Project::new("", "");
    let tools = project.scratch.outside().join("tools");
    std::fs::create_dir_all(&tools).unwrap();
    let program = tools.join("claude");
    let answer = "echo '{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"result\":\"API Error: 401 invalid key\",\"api_error_status\":401}'\n";
    std::fs::write(&program, format!("#!/bin/sh\n{AUTHOR}{answer}")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    project.scratch.write(".orchestrate.toml", "");
    project.story("1.1", "First", "None").commit();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let ran = run(project.scratch.orchestrate_command().arg("stories").env("PATH", path));
    assert_eq!(ran.code, 4, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(project.status_of("1.1"), "Failed");
    assert_eq!(project.scratch.git(&["show", "story/1.1-first:1.1.txt"]), "work", "its work is kept");
}
