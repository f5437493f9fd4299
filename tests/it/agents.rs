//! The `agents` command: what is there, how an adapter looks in force, whether clients start.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::{Ran, Scratch, run};

/// A repository whose `PATH` holds git and stand-ins only.
struct Desk {
    scratch: Scratch,
}

impl Desk {
    fn new(programs: &[(&str, &str)]) -> Self {
        let desk = Self { scratch: Scratch::new() };
        let tools = desk.scratch.outside().join("tools");
        std::fs::create_dir_all(&tools).unwrap();
        for name in ["git", "sh", "env", "true"] {
            std::os::unix::fs::symlink(which::which(name).unwrap(), tools.join(name)).unwrap();
        }
        for (name, body) in programs {
            std::fs::write(tools.join(name), format!("#!/bin/sh\n{body}\n")).unwrap();
            std::fs::set_permissions(tools.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        desk
    }

    fn user(&self, text: &str) -> &Self {
        let folder = self.scratch.outside().join("config/git-orchestrate");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.toml"), text).unwrap();
        self
    }

    fn agents(&self, args: &[&str]) -> Ran {
        let mut command = self.scratch.orchestrate_command();
        command.arg("agents").args(args).env("PATH", self.scratch.outside().join("tools"));
        run(command
            .env("CLAUDE_CODE_ENTRYPOINT", "cli")
            .env("ANTHROPIC_API_KEY", "k-123456")
            .env("OPENAI_API_KEY", "k-654321"))
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.agents(&[args, &["--json"]].concat()).stdout).unwrap()
    }

    fn noted(&self, name: &str) -> String {
        std::fs::read_to_string(self.scratch.outside().join(name)).unwrap_or_default()
    }
}

fn of<'a>(value: &'a Value, name: &str) -> &'a Value {
    value["agents"].as_array().unwrap().iter().find(|agent| agent["name"] == name).unwrap()
}

#[test]
fn the_list_says_what_is_installed_in_which_version_and_why_not() {
    let desk = Desk::new(&[("codex", "echo codex-cli 0.169.0"), ("gemini", "echo 0.50.1")]);
    let ran = desk.agents(&[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let line = |name: &str| ran.stdout.lines().find(|line| line.split(' ').next() == Some(name)).unwrap().to_owned();
    assert!(line("codex").contains("installed") && line("codex").ends_with("0.169.0"), "{}", ran.stdout);
    assert!(line("gemini").contains("version 0.50.1 is older than 0.61.0"), "{}", ran.stdout);
    assert!(line("claude").contains("there is no program claude on PATH"), "{}", ran.stdout);
    assert!(line("demo").contains("part of this program"), "{}", ran.stdout);
    let json = desk.json(&["list"]);
    assert_eq!((&json["version"], &of(&json, "codex")["version"]), (&1.into(), &"0.169.0".into()));
    assert_eq!(of(&json, "claude")["installed"], false);
}

#[test]
fn a_list_starts_nothing_that_the_repository_names() {
    let desk = Desk::new(&[("claude", "echo run >> \"$HOME/started\"; echo 2.1.329")]);
    desk.scratch.write("tool.sh", "#!/bin/sh\necho run >> \"$HOME/started\"\necho 1.0\n");
    let path = desk.scratch.root().join("tool.sh");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let text = "[agents.mine]\ncommand = [\"./tool.sh\"]\nversion_args = [\"--version\"]\n\
                [agents.claude]\nenv.set = { LD_PRELOAD = \"x\" }\n";
    desk.scratch.write(".orchestrate.toml", text);
    let ran = desk.agents(&["list"]);
    assert!(ran.stdout.contains("not started: .orchestrate.toml names its program"), "{}", ran.stdout);
    assert_eq!(desk.noted("started"), "");
    let ran = desk.agents(&["check", "mine"]);
    assert_eq!((ran.code, desk.noted("started").as_str()), (0, "run\n"), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("mine: ok: version 1.0, "), "{}", ran.stdout);
}

#[test]
fn an_adapter_is_shown_with_the_file_and_line_of_each_key() {
    let desk = Desk::new(&[]);
    desk.user("[agents.claude]\nmodel = \"haiku\"\nmax_turns = 9\n");
    desk.scratch.write(".orchestrate.toml", "# mine\n[agents.claude]\nmodel = \"opus\"\n");
    let shown = desk.agents(&["show", "claude"]).stdout;
    assert!(shown.contains("model = \"opus\"  # .orchestrate.toml:3\n"), "{shown}");
    let user = desk.scratch.outside().join("config/git-orchestrate/config.toml");
    assert!(shown.contains(&format!("max_turns = 9  # {}:3\n", user.display())), "{shown}");
    assert!(shown.contains("bin = \"claude\"  # built-in claude.toml\n"), "{shown}");
    let json = desk.json(&["show", "claude"]);
    let model = json["keys"].as_array().unwrap().iter().find(|key| key["key"] == "model").unwrap().clone();
    assert_eq!(model, serde_json::json!({ "key": "model", "value": "opus", "from": ".orchestrate.toml", "line": 3 }));
    let ran = desk.agents(&["show", "clod"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("there is no agent `clod`") && ran.stderr.contains("claude"), "{}", ran.stderr);
}

#[test]
fn a_wrong_adapter_starts_nothing_and_is_shown_where_it_is_wrong() {
    let desk = Desk::new(&[]);
    desk.user("[agents.claude]\nmodel = \"haiku\"\n  modle = \"x\"\n");
    let ran = desk.agents(&["list"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("unknown key `modle`") && ran.stderr.contains("config.toml:3:3"), "{}", ran.stderr);
    desk.user("");
    desk.scratch.write(".orchestrate.toml", "[agents.mine]\ncommand = [\"x\", \"{worktre}\"]\n");
    let ran = run(desk.scratch.orchestrate_command().arg("plan"));
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains(".orchestrate.toml:2:17"), "{}", ran.stderr);
    assert!(ran.stderr.contains("did you mean {worktree}?"), "{}", ran.stderr);
}

#[test]
fn a_check_starts_the_client_once_in_the_environment_of_a_session() {
    let claude = "env > \"$HOME/environment\"\n[ \"$*\" = --version ] || exit 1\necho '2.1.329 (Claude Code)'";
    let desk = Desk::new(&[("claude", claude)]);
    let ran = desk.agents(&["check"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("claude: ok: version 2.1.329, "), "{}", ran.stdout);
    assert!(!ran.stdout.contains("codex"), "only what is installed or named: {}", ran.stdout);
    let seen = desk.noted("environment");
    assert!(seen.contains("ANTHROPIC_API_KEY=") && seen.contains("ORCHESTRATE_ATTEMPT="), "{seen}");
    assert!(!seen.contains("CLAUDE_CODE_ENTRYPOINT") && !seen.contains("OPENAI_API_KEY"), "{seen}");
}

#[test]
fn a_check_names_what_is_wrong_and_the_next_command() {
    let desk = Desk::new(&[
        ("claude", "echo '2.1.197 (Claude Code)'"),
        ("node", "echo v20.20.2"),
        ("codex", "echo 'cannot open shared object file' >&2; exit 127"),
        ("goose", "echo hello"),
    ]);
    let told = |name: &str| {
        let ran = desk.agents(&["check", name]);
        assert_eq!(ran.code, 1, "{}", ran.stdout);
        ran.stdout
    };
    let claude = told("claude");
    assert!(claude.contains("version 2.1.197 is older than 2.1.329"), "{claude}");
    assert!(claude.contains("node 20.20.2 is why"), "{claude}");
    assert!(
        claude.contains("next: install node 22 or newer, then: npm install -g @anthropic-ai/claude-code"),
        "{claude}"
    );
    assert!(told("codex").contains("it does not start: exit code 127: cannot open shared object file"));
    assert!(told("goose").contains("it starts, but says no version"));
    assert!(told("qwen").contains("next: npm install -g @qwen-code/qwen-code"));
    let ran = desk.agents(&["check", "claude", "codex", "--json"]);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &json["ok"]), (1, &false.into()));
    desk.scratch.write(".orchestrate.toml", "[agents]\ndefault = \"copilot\"\n");
    let ran = desk.agents(&["check"]);
    assert!(ran.stdout.contains("there is no program copilot on PATH"), "what the settings name: {}", ran.stdout);
    assert_eq!(Desk::new(&[]).agents(&["check"]).code, 1, "without any client nothing can be done");
}
