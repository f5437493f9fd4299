//! Tests of adapter files and the registry.

use super::*;
use crate::adapters::agents::arguments::Placeholder;
use crate::adapters::agents::registry::Registry;
use crate::domain::settings::{AdapterText, Settings};

/// A file of the repository with the table of one adapter; `text` has its keys from line 1 on, tables as dotted keys.
fn file(path: &str, name: &str, text: &str) -> AdapterText {
    AdapterText { path: path.to_owned(), text: format!("[agents.{name}]\n{text}") }
}

/// The same with the keys in the line of the header, so that lines count from 1.
fn load(adapters: &[(&str, &str)]) -> Result<Registry, Vec<Diagnostic>> {
    load_in(adapters, SandboxKind::None)
}

fn load_in(adapters: &[(&str, &str)], sandbox: SandboxKind) -> Result<Registry, Vec<Diagnostic>> {
    let all = adapters.iter().map(|(name, text)| ((*name).to_owned(), vec![file("my.toml", name, text)]));
    Registry::load(&Settings { adapters: all.collect(), sandbox, ..Settings::default() })
}

fn only_error(adapters: &[(&str, &str)]) -> Diagnostic {
    let mut findings = load(adapters).unwrap_err();
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings.remove(0)
}

fn filled(template: &Template) -> Vec<String> {
    template.fill(&|placeholder| format!("<{placeholder:?}>"))
}

#[test]
fn the_embedded_adapters_are_complete() {
    let registry = load(&[]).unwrap();
    let first = ["claude", "codex", "gemini", "opencode", "qwen", "copilot", "goose", "aider", "claude-acp"];
    assert_eq!(registry.names()[..9], first);
    assert!(registry.names().ends_with(&["acp", "command", "demo"]));
    let claude = registry.adapter("claude").unwrap();
    assert_eq!(claude.bin, "claude");
    assert_eq!(filled(&claude.author_args), ["--dangerously-skip-permissions"]);
    assert_eq!(filled(&claude.session_args), ["--session-id", "<SessionId>"]);
    assert!(!filled(&claude.reviewer_args).iter().any(|arg| arg.contains("dangerously")));
    assert_eq!(registry.adapter("codex").unwrap().stop.signal, StopSignal::Int);
    assert_eq!(registry.adapter("gemini").unwrap().exit_codes.get(&173), Some(&ClassName::RateLimit));
}

#[test]
fn configuration_is_laid_over_key_by_key() {
    let text = "model = \"opus\"\nenv.set = { A = \"1\" }\n[agents.claude.autonomy]\nfull = [\"--careful\"]\n";
    let registry = load(&[("claude", text)]).unwrap();
    let claude = registry.adapter("claude").unwrap();
    assert_eq!(claude.model.as_deref(), Some("opus"));
    assert_eq!(filled(&claude.author_args), ["--careful"]);
    assert_eq!(claude.env_set["A"], "1");
    assert!(claude.env_pass.contains(&"ANTHROPIC_*".to_owned()), "an untouched key stays");
    assert_eq!(claude.result, ResultBy::Structured);
}

#[test]
fn any_program_is_an_agent() {
    let registry = load(&[("mine", "command = [\"./agent.sh\", \"{worktree}\", \"--plain\"]")]).unwrap();
    let mine = registry.adapter("mine").unwrap();
    assert_eq!(mine.bin, "./agent.sh");
    assert_eq!(filled(&mine.args), ["<Worktree>", "--plain"]);
    assert_eq!(mine.exit_codes.get(&75), Some(&ClassName::RateLimit));
    assert_eq!(registry.names()[0], "mine");
    assert!(registry.known("mine") && !registry.known("other"));
}

#[test]
fn an_adapter_may_be_like_a_built_in_one() {
    let registry = load(&[("fast", "like = \"claude\"\nmodel = \"haiku\"")]).unwrap();
    assert_eq!(registry.adapter("fast").unwrap().bin, "claude");
    let wrong = only_error(&[("fast", "\n\nlike = \"clod\"")]);
    assert_eq!((wrong.code, wrong.place.unwrap().line), ("unknown-adapter", 4));
}

#[test]
fn mistakes_name_file_line_and_column_of_the_users_own_file() {
    let cases = [
        ("command = [\"a\"]\nmodle = \"x\"\n", "unknown-key", 2, 1),
        ("command = [\"a\"]\n  env.sett = { A = \"b\" }\n", "unknown-key", 2, 7),
        ("command = [\n  \"a\",\n  \"{worktre}\",\n]\n", "unknown-placeholder", 3, 3),
        ("command = [\"a\", \"--dir={worktree}\"]\n", "partial-placeholder", 1, 17),
        ("command = [\"a\"]\nprompt = \"pigeon\"\n", "bad-adapter", 2, 10),
        ("command = [\"a\"]\nstop = { signal = \"TERM\", wait = 1 }\n", "unknown-key", 2, 27),
        ("command = [\"a\"]\nenv = 3\n", "bad-adapter", 2, 7),
        ("command = [\"a\"]\npatterns = [{ regex = \"(\", class = \"auth\" }]\n", "bad-pattern", 2, 23),
        ("command = [\"a\"]\npatterns = [{ regex = \"a\", class = \"x\" }]\n", "bad-adapter", 2, 36),
        ("command = [\"a\"]\npatterns = [{ regex = \"a\", class = \"auth\", x = 1 }]\n", "unknown-key", 2, 44),
        (
            "command = [\"a\"]\npatterns = [{ regex = \"a\", class = \"auth\", reset = \"clock\" }]\n",
            "bad-pattern",
            2,
            23,
        ),
        ("command = [\"a\"]\nexit_codes = { 256 = \"auth\" }\n", "bad-exit-code", 2, 16),
        ("command = [\"a\"]\nexit_codes = { 5 = \"no-commit\" }\n", "bad-adapter", 2, 20),
        ("command = [\"a\"]\nmin_version = \"new\"\n", "bad-version", 2, 15),
        ("command = [\"a\"]\nleaves = [\"a*\", \"*\"]\n", "bad-leaves", 2, 11),
    ];
    for (text, code, line, column) in cases {
        let finding = load(&[("mine", text)]).unwrap_err().remove(0);
        let place = finding.place.clone().unwrap();
        let found = (finding.code, place.line - 1, place.column, place.path.as_str());
        assert_eq!(found, (code, line, column, "my.toml"), "{text}: {finding:?}");
    }
    let finding = only_error(&[("mine", "command = [\"a\", \"{worktre}\"]")]);
    assert!(finding.hint.unwrap().starts_with("did you mean {worktree}?"));
    let finding = only_error(&[("mine", "command = [\"a\"]\nmodle = \"x\"")]);
    assert_eq!(finding.message, "unknown key `modle`");
    assert!(finding.hint.unwrap().starts_with("did you mean `model`?"));
    assert_eq!(load(&[("mine", "comand = []\nmodle = 1")]).unwrap_err().len(), 2, "all of them at once");
}

#[test]
fn an_agent_without_program_or_prompt_is_refused() {
    assert_eq!(only_error(&[("mine", "model = \"x\"")]).code, "no-program");
    assert_eq!(only_error(&[("mine", "command = []")]).code, "empty-command");
    assert_eq!(only_error(&[("mine", "command = [\"a\"]\nprompt = \"arg\"")]).code, "prompt-nowhere");
    assert_eq!(only_error(&[("mine", "command = [\"a\", \"{prompt}\"]")]).code, "prompt-twice");
    assert_eq!(only_error(&[("my:agent", "command = [\"a\"]")]).code, "bad-adapter-name");
}

#[test]
fn one_bad_adapter_does_not_hide_another() {
    assert_eq!(load(&[("a", "x = 1"), ("b", "y = 1")]).unwrap_err().len(), 2);
}

#[test]
fn each_client_gets_its_own_keys_only() {
    use crate::adapters::process::environment::Environment;
    let keys = ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY"];
    let parent = || keys.iter().map(|key| ((*key).into(), "value".into()));
    let registry = load(&[]).unwrap();
    for name in registry.names() {
        let expected: &[&str] = match name.trim_end_matches("-acp") {
            "claude" => &keys[..1],
            "codex" | "qwen" => &keys[1..2],
            "gemini" => &keys[2..3],
            "copilot" => &keys[3..4],
            // They talk to any provider.
            "opencode" | "goose" | "aider" => &keys[..3],
            _ => &[],
        };
        let environment = Environment::filtered(parent(), &registry.adapter(name).unwrap().env_pass);
        for key in keys {
            let passed = environment.value(key).is_some();
            assert!(!passed || expected.contains(&key), "{name}: {key}");
            assert!(passed || expected.len() > 1 || !expected.contains(&key), "{name}: {key}");
        }
    }
}

#[test]
fn a_sandbox_is_a_word_or_a_table_and_its_kind_may_come_from_the_settings() {
    let of = |text: &str, kind| {
        let registry = load_in(&[("claude", text)], kind).unwrap();
        let sandbox = registry.adapter("claude").unwrap().sandbox.clone();
        (sandbox.kind, sandbox.write.len(), sandbox.hide.contains(&"~/.ssh".to_owned()))
    };
    let (none, landlock, bwrap) = (SandboxKind::None, SandboxKind::Landlock, SandboxKind::Bwrap);
    assert_eq!(of("", landlock), (landlock, 4, true));
    assert_eq!(of("sandbox = \"none\"", landlock), (none, 4, true));
    assert_eq!(of("sandbox = { kind = \"bwrap\", write = [\"/a\"], hide = [] }", none), (bwrap, 1, false));
    assert_eq!(of("sandbox.write = []", none), (none, 0, true));
    assert_eq!(only_error(&[("claude", "sandbox = \"jail\"")]).place.unwrap().line, 2);
}

#[test]
fn codex_keeps_its_own_sandbox_where_ours_does_not_confine_it() {
    let of = |kind| {
        let registry = load_in(&[], kind).unwrap();
        let codex = registry.adapter("codex").unwrap().clone();
        (filled(&codex.author_args), filled(&codex.reviewer_args))
    };
    let full = ["--dangerously-bypass-approvals-and-sandbox".to_owned()];
    assert_eq!(of(SandboxKind::Landlock), (full.to_vec(), full.to_vec()));
    let (author, reviewer) = of(SandboxKind::None);
    let open: Vec<&str> = author.iter().filter(|arg| arg.starts_with('<')).map(String::as_str).collect();
    assert_eq!(open, ["<GitDir>", "<GitObjects>", "<StoryRefs>", "<StoryLogs>"], "no more than these: {author:?}");
    assert_eq!(reviewer, ["-s", "read-only"]);
}

/// The user's file below the repository's, and the repository's below the built-in one.
fn layered(user: &str, repository: &str) -> Registry {
    let files = vec![file("user.toml", "claude", user), file(".orchestrate.toml", "claude", repository)];
    Registry::load(&Settings { adapters: [("claude".to_owned(), files)].into(), ..Settings::default() }).unwrap()
}

#[test]
fn the_repository_goes_before_the_user_key_by_key_also_inside_tables() {
    let registry = layered(
        "model = \"haiku\"\nmax_turns = 7\nenv.set = { A = \"1\", B = \"1\" }\nexit_codes = { 5 = \"auth\", 6 = \"auth\" }\nstop.grace_s = 3",
        "model = \"opus\"\nenv.set = { B = \"2\" }\nexit_codes = { 6 = \"billing\" }\nstop.signal = \"INT\"",
    );
    let claude = registry.adapter("claude").unwrap();
    assert_eq!((claude.model.as_deref(), claude.max_turns), (Some("opus"), Some(7)));
    assert_eq!((claude.env_set["A"].as_str(), claude.env_set["B"].as_str()), ("1", "2"));
    assert_eq!((claude.exit_codes[&5], claude.exit_codes[&6]), (ClassName::Auth, ClassName::Billing));
    assert_eq!(claude.stop, Stop { signal: StopSignal::Int, grace_s: Some(3) });
    let effective = registry.effective("claude").unwrap();
    let from = |key: &str| effective.key(key).map(|key| (key.path.as_str(), key.line)).unwrap();
    assert_eq!(from("model"), (".orchestrate.toml", 2));
    assert_eq!(from("max_turns"), ("user.toml", 3));
    assert_eq!(from("env.set.A"), ("user.toml", 4));
    assert_eq!(from("env.set.B"), (".orchestrate.toml", 3));
    assert_eq!(from("exit_codes.5"), ("user.toml", 5));
    assert_eq!(from("stop.signal"), (".orchestrate.toml", 5));
    assert!(from("bin").0.starts_with("built-in"));
    assert_eq!(from("sandbox.kind"), ("[agents] sandbox", 0));
    let toml = effective.toml();
    assert!(toml.contains("model = \"opus\"  # .orchestrate.toml:2\n"), "{toml}");
    assert!(effective.program_from(".orchestrate.toml"), "variables can change what runs");
    assert!(!layered("", "model = \"opus\"").effective("claude").unwrap().program_from(".orchestrate.toml"));
}

#[test]
fn what_is_shown_of_an_adapter_is_that_adapter() {
    let user = "command = [\"./x\", \"{worktree}\"]\nautonomy.read_only = [\"a\"]\nschema_args = [\"{schema}\"]";
    let odd = "env.set = { \"A \\\"b\" = \"1\\n2\" }\nsandbox = \"landlock\"";
    for registry in
        [load(&[]).unwrap(), layered(user, odd), layered("bin = \"b\"", user), layered(user, "args = [\"-x\"]")]
    {
        for name in registry.names() {
            let shown = registry.effective(name).unwrap().toml();
            if registry.adapter(name).unwrap().bin.is_empty() {
                continue;
            }
            // Laid over `command`, whose exit codes show through.
            let again = load(&[("again", &shown)]).unwrap_or_else(|findings| panic!("{shown}\n{findings:?}"));
            let text = |adapter: &Adapter| {
                let mut adapter = adapter.clone();
                (adapter.name, adapter.own_sandbox) = (String::new(), false);
                for code in [75, 77] {
                    adapter.exit_codes.remove(&code);
                }
                format!("{adapter:?}")
            };
            let (was, is) = (registry.adapter(name).unwrap(), again.adapter("again").unwrap());
            assert_eq!(text(is), text(was), "{shown}");
        }
    }
}

#[test]
fn the_help_explains_every_key_class_and_placeholder() {
    let help = include_str!("../../cli/help.rs");
    let (_, help) = help.split_once("const AGENTS").unwrap();
    let (help, _) = help.split_once("/// Below").unwrap();
    for key in super::super::form::KEYS {
        let key = key.trim_end_matches('.');
        assert!(help.contains(key), "{key}");
    }
    for (name, _) in Placeholder::ALL {
        assert!(help.contains(&format!("{{{name}}}")), "{name}");
    }
}
