//! Tests of Claude Code's hooks: the settings, and what each hook answers.

use std::path::PathBuf;

use super::*;

fn known() -> Known {
    let facts = Facts {
        worktree: "/repo/.worktrees/1.1".to_owned(),
        root: "/repo".to_owned(),
        git_common_dir: "/repo/.git".to_owned(),
        branch: "story/1.1-first".to_owned(),
        ..Facts::default()
    };
    Known { facts, base: "1234567890abcdef1234567890abcdef12345678".to_owned() }
}

/// Calls a hook with an event; its exit code and what it said.
fn called_with(name: &str, event: &str) -> (u8, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hooks.json");
    std::fs::write(&file, serde_json::to_vec(&known()).unwrap()).unwrap();
    let mut said = Vec::new();
    let code = main(&[name.into(), file.into()], &mut event.as_bytes(), &mut said);
    (code, String::from_utf8(said).unwrap())
}

fn command(text: &str) -> (u8, String) {
    called_with("pre-tool-use", &json!({ "tool_name": "Bash", "tool_input": { "command": text } }).to_string())
}

#[test]
fn what_leaves_hooks_out_pushes_or_moves_foreign_refs_is_refused_with_a_reason() {
    for text in [
        "git commit --no-verify -m x",
        "cd src && git commit -n -m x",
        "git push origin main",
        "git update-ref refs/orchestrate/items/1.1 HEAD",
        "git update-ref refs/heads/main HEAD",
    ] {
        let (code, said) = command(text);
        assert_eq!(code, 2, "{text}");
        assert!(said.starts_with("git-orchestrate: ") && said.ends_with('\n') && said.len() > 30, "{text}: {said}");
    }
    for text in ["git commit -m 'no push here'", "git add -A && git commit -m x", "cargo test", "git log --oneline"] {
        assert_eq!(command(text), (0, String::new()), "{text}");
    }
}

#[test]
fn a_hook_that_cannot_read_its_input_lets_pass() {
    assert_eq!(called_with("pre-tool-use", "no json").0, 0);
    assert_eq!(called_with("pre-tool-use", "{}").0, 0);
    assert_eq!(called_with("other", "{}").0, 0);
    assert_eq!(main(&["pre-tool-use".into(), "/nowhere".into()], &mut &b"{}"[..], &mut Vec::new()), 0);
    assert_eq!(main(&[], &mut &b"{}"[..], &mut Vec::new()), 0);
}

#[test]
fn who_ends_without_a_commit_is_sent_back_once() {
    let known = known();
    let base = Some(known.base.clone());
    let reason = at_end(&json!({ "stop_hook_active": false }), &known, base.clone()).unwrap();
    assert!(reason.contains("no commit since 1234567890ab yet"), "{reason}");
    assert_eq!(at_end(&json!({ "stop_hook_active": true }), &known, base.clone()), None, "only once");
    assert_eq!(at_end(&json!({}), &known, Some("other".to_owned())), None, "there is a commit");
    assert_eq!(at_end(&json!({}), &known, None), None, "in doubt it may end");
}

#[test]
fn the_settings_call_this_program_whatever_its_path() {
    let program = PathBuf::from("/opt/it's $HOME/git-orchestrate");
    let settings = settings(&program, Path::new("/state/a b/hooks.json"), false);
    let command = settings.pointer("/hooks/PreToolUse/0/hooks/0/command").and_then(Value::as_str).unwrap();
    assert_eq!(command, r"'/opt/it'\''s $HOME/git-orchestrate' '__claude-hook' 'pre-tool-use' '/state/a b/hooks.json'");
    assert_eq!(settings.pointer("/hooks/PreToolUse/0/matcher"), Some(&json!("Bash")));
    assert!(settings.pointer("/hooks/Stop/0/hooks/0/command").is_some());
    let reviewer = super::settings(&program, Path::new("/k"), true);
    assert_eq!(reviewer.pointer("/hooks/Stop"), None, "a reviewer makes no commit");
    assert_eq!(called(&["x".into(), "__claude-hook".into(), "stop".into()]), Some(&["stop".into()][..]));
    assert_eq!(called(&["x".into(), "status".into()]), None);
}
