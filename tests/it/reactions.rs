//! How sessions of real clients end, end to end: stand-ins that check their flags and sessions as the clients do, and fail as
//! they do. What was committed is never lost, and nothing of theirs stays alive.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::project::Project;
use crate::support::{Ran, run};

/// A client of Claude's shape: it refuses a session id that it has and one that it does not have, reads its prompt on stdin,
/// reviews in its structured field. `$n` is how often an item came to a phase; `STORY` is replaced by what authors do.
const CLIENT: &str = r##"#!/bin/sh
prompt=$(cat)
session= resume=new
while [ $# -gt 0 ]; do
    case "$1" in
    -p|--verbose|--dangerously-skip-permissions) ;;
    --session-id) session=$2; shift ;;
    --resume) session=$2; resume=resumed; shift ;;
    --output-format|--json-schema|--permission-mode|--allowedTools|--disallowedTools|--settings|--model|--agent|--tools|--append-system-prompt|--max-turns) shift ;;
    *) echo "error: unknown option '$1'" >&2; exit 1 ;;
    esac
    shift
done
me=$(basename "$0")
known="$HOME/$me-sessions"
touch "$known"
if [ $resume = resumed ]; then
    grep -qx -e "$session" "$known" || { echo "No conversation found with session ID: $session" >&2; exit 1; }
else
    grep -qx -e "$session" "$known" && { echo "Error: Session ID $session is already in use." >&2; exit 1; }
    echo "$session" >> "$known"
fi
kind=task
case "$prompt" in "# Task: commit"*) kind=nudge ;; esac
touch "$HOME/calls"
n=$(($(grep -c "^$ORCHESTRATE_ITEM $ORCHESTRATE_PHASE " "$HOME/calls") + 1))
echo "$ORCHESTRATE_ITEM $ORCHESTRATE_PHASE $me $resume $kind $session" >> "$HOME/calls"
echo "{\"attempt\":\"$ORCHESTRATE_ATTEMPT\",\"live\":[]}" >> "$HOME/journal.jsonl"
# Every client leaves something behind.
setsid sleep 300 > /dev/null 2>&1 < /dev/null &
echo "{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"$session\"}"
say() { echo "{\"type\":\"result\",\"subtype\":\"success\",\"session_id\":\"$session\",$1}"; }
fail() { say "\"is_error\":true,\"api_error_status\":$1,\"result\":\"API Error: $1 $2\""; exit 1; }
work() { echo "$ORCHESTRATE_ITEM $n" > "$ORCHESTRATE_ITEM-$n.txt"; }
commit() { work; git add -A && git commit -q -m "work" || exit 8; }
if [ "$ORCHESTRATE_PHASE" = review ]; then
    say '"is_error":false,"structured_output":{"version":1,"verdict":"approve","findings":[]}'
    exit 0
fi
case "$ORCHESTRATE_ITEM $n" in
STORY
*) commit ;;
esac
say '"is_error":false,"result":"DONE"'
"##;

/// A project whose agents are these stand-ins.
struct Stage {
    project: Project,
    tools: PathBuf,
}

impl Stage {
    /// Stand-ins of these names, whose authors do what `story` says (branches of `case "<item> <nth>"`).
    fn new(names: &[&str], story: &str, config: &str) -> Self {
        let project = Project::new("", "");
        let tools = project.scratch.outside().join("tools");
        std::fs::create_dir_all(&tools).unwrap();
        for name in names {
            let program = tools.join(name);
            std::fs::write(&program, CLIENT.replace("STORY", story)).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        project.scratch.write(
            ".orchestrate.toml",
            format!(
                "[retry]\nfirst_delay = 0\nmax_delay = 1\nbreaker_failures = 0\nbreaker_pause = 2\n\
                 [limits]\nmin_disk = 0\nmin_memory = 0\nmax_memory_stall = 0\nmax_load = 0\n{config}"
            ),
        );
        Self { project, tools }
    }

    fn stories(&self, args: &[&str]) -> Ran {
        let path = format!("{}:{}", self.tools.display(), std::env::var("PATH").unwrap());
        run(self.project.scratch.orchestrate_command().arg("stories").args(args).env("PATH", path))
    }

    /// `<client> <new|resumed> <task|nudge> <session>` of the author's sessions of an item, in order.
    fn calls(&self, item: &str) -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(self.project.scratch.outside().join("calls")).unwrap_or_default();
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let all = text.lines().map(words).filter(|words| words[0] == item && words[1] != "review");
        all.map(|words| words[2..].to_vec()).collect()
    }
}

#[test]
fn every_way_to_break_off_is_gone_on_with_in_the_same_session_and_nothing_is_lost() {
    let stage = Stage::new(
        &["claude"],
        r#"
"1.1 1"|"1.2 1")
    commit
    # A paused client is not asked for a commit that can be made for it.
    until [ "$(grep -c '^1[.][56] impl' "$HOME/calls")" -ge 4 ]; do sleep 0.1; done
    echo "{\"type\":\"rate_limit_event\",\"rate_limit_info\":{\"status\":\"rejected\",\"resetsAt\":$(($(date +%s) + 2))}}"
    fail 429 rate_limit_error ;;
"1.3 1") work; fail 529 overloaded_error ;;
"1.4 1") work; say '"is_error":true,"api_error_type":"connection_failed","result":"API Error: Connection error."'; exit 1 ;;
"1.5 1") ;;
"1.6 1") work ;;
"1.7 1") commit; sleep 600 ;;
"#,
        "[agents]\ndefault = \"claude\"\n[agents.idle_timeouts]\nimplementation = \"8s\"\n",
    );
    for number in 1..=7 {
        stage.project.story(&format!("1.{number}"), "Thing", "None");
    }
    stage.project.commit();
    let ran = stage.stories(&["-j", "7"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    stage.project.assert_tidy();
    for number in 1..=7 {
        let item = format!("1.{number}");
        let calls = stage.calls(&item);
        assert_eq!(calls.len(), 2, "{item}: {calls:?}\n{}", ran.stderr);
        assert_eq!((calls[1][1].as_str(), &calls[1][3]), ("resumed", &calls[0][3]), "{item}: {calls:?}");
        let nudged = matches!(number, 5 | 6);
        assert_eq!(calls[1][2] == "nudge", nudged, "{item}: {calls:?}");
        assert_eq!(stage.project.merges_of(&item), 1);
        if number != 5 {
            // What was there before it broke off.
            assert_eq!(stage.project.scratch.read(&format!("{item}-1.txt")), format!("{item} 1\n"));
        }
    }
    assert_eq!(ran.stderr.matches("claude is paused for").count(), 1, "{}", ran.stderr);
}

#[test]
fn a_refused_login_stops_its_client_and_the_next_of_the_chain_takes_the_stories() {
    let stage = Stage::new(
        &["claude", "second"],
        "\"1.1 1\"|\"1.2 1\") [ \"$me\" = claude ] && fail 401 authentication_error; commit ;;",
        "[agents]\ndefault = [\"claude\", \"second\"]\n[agents.second]\nbin = \"second\"\nargs = [\"-p\"]\n\
         prompt = \"stdin\"\nparser = \"claude-stream-json\"\nsession_args = [\"--session-id\", \"{session_id}\"]\n\
         resume_args = [\"--resume\", \"{session_id}\"]\nresult = \"structured\"\n",
    );
    stage.project.story("1.1", "First", "None").story("1.2", "Second", "None").commit();
    let ran = stage.stories(&["-j", "1"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    stage.project.assert_tidy();
    let by = |item: &str| stage.calls(item).into_iter().map(|call| call[0].clone()).collect::<Vec<_>>();
    assert_eq!((by("1.1"), by("1.2")), (vec!["claude".to_owned(), "second".to_owned()], vec!["second".to_owned()]));
    assert_eq!(ran.stderr.matches("claude gets nothing more in this run").count(), 1, "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("second takes its place").count(), 1, "{}", ran.stderr);
    let log = stage.project.orchestrate(&["log", "1.2"]).stdout;
    assert!(log.contains("instead: claude is left alone: its login is refused"), "{log}");
    let plan = stage.project.scratch.orchestrate(&["plan"]);
    assert!(plan.code != 70, "{plan:?}");
}

#[test]
fn an_agent_that_moves_the_target_itself_lands_nothing_and_leaves_nothing_alive() {
    let stage = Stage::new(
        &["claude"],
        "\"1.1 1\") commit; git -c core.hooksPath=/dev/null push -q . HEAD:main || git update-ref refs/heads/main HEAD ;;",
        "[agents]\ndefault = \"claude\"\n",
    );
    stage.project.story("1.1", "First", "None").commit();
    let before = stage.project.scratch.git(&["rev-parse", "main"]);
    let ran = stage.stories(&[]);
    assert!(matches!(ran.code, 3..=5), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("tampering"), "{}", ran.stderr);
    assert_eq!(stage.project.merges_of("1.1"), 0, "nothing of it was landed by us");
    assert_ne!(stage.project.scratch.git(&["rev-parse", "main"]), before, "and nothing is moved back");
    let log = std::fs::read_to_string(stage.project.journal_path()).unwrap();
    assert!(log.contains("attempt"));
    stage.project.assert_no_agents();
}
