//! Tests of adapter files and the registry.

use super::*;
use crate::adapters::agents::registry::Registry;
use crate::domain::settings::Settings;

fn load(adapters: &[(&str, &str)]) -> Result<Registry, Vec<Diagnostic>> {
    let adapters = adapters.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Registry::load(&Settings { adapters, ..Settings::default() })
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
    assert_eq!(registry.names(), ["claude", "codex", "gemini", "command", "demo"]);
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
    let text = "model = \"opus\"\nenv.set = { A = \"1\" }\n[autonomy]\nfull = [\"--careful\"]\n";
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
    assert_eq!((wrong.code, wrong.place.unwrap().line), ("unknown-adapter", 3));
}

#[test]
fn mistakes_name_their_line() {
    let cases = [
        ("command = [\"a\"]\nmodle = \"x\"\n", "unknown-key", 2),
        ("command = [\n  \"a\",\n  \"{worktre}\",\n]\n", "unknown-placeholder", 3),
        ("command = [\"a\", \"--dir={worktree}\"]\n", "partial-placeholder", 1),
        ("command = [\"a\"]\nprompt = \"pigeon\"\n", "bad-adapter", 2),
        ("command = [\"a\"]\nstop = { signal = \"TERM\", wait = 1 }\n", "unknown-key", 2),
        ("command = [\n", "bad-adapter", 1),
        ("command = [\"a\"]\npatterns = [{ regex = \"(\", class = \"auth\" }]\n", "bad-pattern", 2),
    ];
    for (text, code, line) in cases {
        let finding = only_error(&[("mine", text)]);
        let place = finding.place.clone().unwrap();
        assert_eq!(
            (finding.code, place.line, place.path.as_str()),
            (code, line, "[agents.mine]"),
            "{text}: {finding:?}"
        );
    }
    let finding = only_error(&[("mine", "command = [\"a\", \"{worktre}\"]")]);
    assert!(finding.hint.unwrap().starts_with("did you mean {worktree}?"));
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
    let keys = [("claude", "ANTHROPIC_API_KEY"), ("codex", "OPENAI_API_KEY"), ("gemini", "GEMINI_API_KEY")];
    let parent = || keys.iter().map(|(_, key)| ((*key).into(), "value".into()));
    let registry = load(&[]).unwrap();
    for name in registry.names() {
        let environment = Environment::filtered(parent(), &registry.adapter(name).unwrap().env_pass);
        for (owner, key) in keys {
            assert_eq!(environment.value(key).is_some(), owner == name, "{name}: {key}");
        }
    }
}

#[test]
fn a_sandbox_is_a_word_or_a_table_and_its_kind_may_come_from_the_settings() {
    let of = |text: &str, kind| {
        let adapters = [("claude".to_owned(), text.to_owned())].into();
        let registry = Registry::load(&Settings { adapters, sandbox: kind, ..Settings::default() }).unwrap();
        let sandbox = registry.adapter("claude").unwrap().sandbox.clone();
        (sandbox.kind, sandbox.write.len(), sandbox.hide.contains(&"~/.ssh".to_owned()))
    };
    let (none, landlock, bwrap) = (SandboxKind::None, SandboxKind::Landlock, SandboxKind::Bwrap);
    assert_eq!(of("", landlock), (landlock, 4, true));
    assert_eq!(of("sandbox = \"none\"", landlock), (none, 4, true));
    assert_eq!(of("sandbox = { kind = \"bwrap\", write = [\"/a\"], hide = [] }", none), (bwrap, 1, false));
    assert_eq!(of("sandbox.write = []", none), (none, 0, true));
    assert_eq!(only_error(&[("claude", "sandbox = \"jail\"")]).place.unwrap().line, 1);
}
