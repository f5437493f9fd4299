//! What agents did, said and cost, end to end: programs in the place of real clients that print in their form.

use std::os::unix::fs::PermissionsExt;

use crate::project::{Project, until};
use crate::support::{Ran, run};

/// A project of one story whose only installed client prints what `answers` (shell) says.
struct Client {
    project: Project,
    path: String,
}

impl Client {
    fn new(client: &str, config: &str, answers: &str) -> Self {
        let project = Project::new("", "");
        let tools = project.scratch.outside().join("tools");
        std::fs::create_dir_all(&tools).unwrap();
        let program = tools.join(client);
        let work = "cat > /dev/null\nif [ \"$ORCHESTRATE_PHASE\" != review ]; then\n\
                    echo \"$ORCHESTRATE_PHASE\" >> \"$ORCHESTRATE_ITEM.txt\"\ngit add -A && git commit -q -m work || exit 8\nfi\n";
        std::fs::write(&program, format!("#!/bin/sh\n{work}{answers}")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        project.scratch.write(".orchestrate.toml", config);
        project.story("1.1", "First", "None").commit();
        let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
        Self { project, path }
    }

    fn run(&self, args: &[&str]) -> Ran {
        run(self.project.scratch.orchestrate_command().args(args).env("PATH", &self.path))
    }

    fn json(&self, args: &[&str]) -> serde_json::Value {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{ran:?}");
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stdout))
    }
}

/// A codex with a thread for each of the two roles, whose counters go on over the thread.
const CODEX: &str = r#"
count() { cat "$HOME/$1" 2> /dev/null || echo 0; }
if [ "$ORCHESTRATE_PHASE" = review ]; then thread=review; else thread=author; fi
used=$(($(count $thread) + 1000000)); echo $used > "$HOME/$thread"
printf '{"type":"thread.started","thread_id":"%s-thread"}\n' "$thread"
echo '{"type":"item.started","item":{"id":"1","type":"command_execution","command":"git commit"}}'
printf '{"type":"item.completed","item":{"id":"2","type":"agent_message","text":"Done \\u001b[2J %s"}}\n' "$ORCHESTRATE_PHASE"
if [ "$ORCHESTRATE_PHASE" = review ]; then
    while [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done
    echo '{"version":1,"verdict":"approve","findings":[]}' > "$out"
fi
printf '{"type":"turn.completed","usage":{"input_tokens":%s,"cached_input_tokens":0,"output_tokens":0}}\n' $used
"#;

#[test]
fn tokens_are_priced_by_the_table_and_told_by_session_phase_and_run() {
    let model = "[agents.codex]\nmodel = \"gpt-5-codex\"\n";
    let client = Client::new("codex", model, CODEX);
    let ran = client.run(&["stories"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    for part in ["2.50 USD", "consumed:", "implementation: 1 session(s)", "all reviewers: 1 session(s)"] {
        assert!(ran.stdout.contains(part), "no `{part}` in {}", ran.stdout);
    }
    let status = client.json(&["status", "--json"]);
    assert_eq!(status["spent"]["costUsd"], 2.5);
    let item = &status["stories"].as_array().or_else(|| status["items"].as_array()).unwrap()[0];
    assert_eq!((&item["costUsd"], &item["unpricedSessions"]), (&2.5.into(), &0.into()));
    assert_eq!(item["spentApart"]["byPhase"]["implementation"]["costUsd"], 1.25);
    assert_eq!(item["spentApart"]["reviewers"]["costUsd"], 1.25);
    let show = client.run(&["show", "1.1"]).stdout;
    assert!(show.contains("model gpt-5-codex, 1000000 tokens, 1.25 USD by the prices of 2026-11-21"), "{show}");
    let diary = client.run(&["log", "1.1"]).stdout;
    assert!(diary.contains("1.25 USD by the prices of 2026-11-21"), "{diary}");
}

#[test]
fn a_model_without_a_price_costs_an_unknown_amount_until_the_configuration_gives_one() {
    let client = Client::new("codex", "[agents.codex]\nmodel = \"gpt-odd\"\n", CODEX);
    let ran = client.run(&["stories"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("cost unknown") && !ran.stdout.contains("USD"), "{}", ran.stdout);
    assert_eq!(client.json(&["status", "--json"])["spent"]["costUsd"], serde_json::Value::Null);
    let own = "[agents.codex]\nmodel = \"gpt-odd\"\n[prices]\ndate = \"last week\"\n\
               [prices.\"gpt-odd\"]\ninput = 2\noutput = 0\n";
    let client = Client::new("codex", own, CODEX);
    let ran = client.run(&["stories"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("4.00 USD"), "{}", ran.stdout);
    assert!(client.run(&["show", "1.1"]).stdout.contains("2.00 USD by the prices of last week"));
}

#[test]
fn what_an_agent_did_and_said_can_be_read_per_attempt() {
    let client = Client::new("codex", "", CODEX);
    assert_eq!(client.run(&["stories"]).code, 0);
    let ran = client.run(&["log", "1.1", "--agent"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for part in [
        "== 1-implementation: ",
        " via codex (.git/orchestrate/attempts/",
        "session  author-thread\n",
        "uses     shell: git commit\n",
        "says     Done \\x1b[2J implementation\n",
        "ends     success\n== exited with 0, 1000000 tokens in the session so far, cost unknown\n",
        "== 2-review: ",
    ] {
        assert!(ran.stdout.contains(part), "no `{part}` in {}", ran.stdout);
    }
    let json = client.run(&["log", "1.1", "--agent", "--json"]).stdout;
    let lines: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let tools: Vec<_> = lines.iter().filter(|line| line["kind"] == "tool").collect();
    assert_eq!((tools.len(), &tools[0]["text"]), (2, &"shell: git commit".into()));
    let account = lines.iter().find(|line| line["kind"] == "account").unwrap();
    assert_eq!((&account["usage"]["tokens"], &account["adapter"]), (&1_000_000.into(), &"codex".into()));
    let raw = client.run(&["log", "1.1", "--agent", "--raw"]).stdout;
    assert!(raw.contains("{\"type\":\"thread.started\",\"thread_id\":\"author-thread\"}"), "{raw}");
    let none = client.run(&["log", "1.1", "--agent", "--attempt", "2"]);
    assert_eq!(none.code, 2, "{none:?}");
    assert!(none.stderr.contains("story 1.1 has no attempt 2") && none.stderr.contains("it has 1"), "{}", none.stderr);
    assert_eq!(client.run(&["log", "1.1", "--raw"]).code, 2, "only of agents");
}

/// The author waits, prints a line of 24 MiB, and is reviewed by one that waits.
const LONG: &str = r#"
touch "$HOME/at-$ORCHESTRATE_PHASE"
while [ ! -e "$HOME/go-$ORCHESTRATE_PHASE" ]; do sleep 0.05; done
printf '{"type":"system","subtype":"init","session_id":"s-1","model":"m"}\n'
if [ "$ORCHESTRATE_PHASE" = implementation ]; then
    printf '{"type":"user","message":{"content":[{"type":"tool_result","content":"'
    head -c 25165824 /dev/zero | tr '\0' x
    printf '"}]}}\n'
fi
echo '{"type":"result","subtype":"success","is_error":false,"session_id":"s-1","result":"after","total_cost_usd":0.25,"structured_output":{"version":1,"verdict":"approve","findings":[]}}'
"#;

/// The most memory that a process has had, in KiB.
fn peak(pid: nix::unistd::Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_line_of_many_megabytes_takes_no_memory_and_what_follows_it_counts() {
    let client = Client::new("claude", "", LONG);
    let run = client.project.start_with(&["stories"], &[("PATH", &client.path)]);
    let meet = |name: &str| client.project.meeting(name);
    until("the author's start", || meet("at-implementation").exists());
    let before = peak(run.pid());
    std::fs::write(meet("go-implementation"), "").unwrap();
    until("the reviewer's start", || meet("at-review").exists());
    let after = peak(run.pid());
    std::fs::write(meet("go-review"), "").unwrap();
    let ran = run.finish();
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert!(after < before + 8 * 1024, "{before} KiB before a line of 24 MiB was read, {after} KiB afterwards");
    assert_eq!(client.json(&["status", "--json"])["spent"]["costUsd"], 0.5);
    let said = client.run(&["log", "1.1", "--agent"]).stdout;
    assert!(said.contains("ends     success") && said.len() < 10_000, "{} bytes", said.len());
}
