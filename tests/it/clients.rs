//! Adapters of real clients, end to end: programs of their names that check how they are called, as the real ones do, and
//! answer in their form.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::project::Project;
use crate::support::run;

/// The author of every stand-in, after its flags were checked and `prompt` was read: one commit.
const AUTHOR: &str = r#"
case "$prompt" in *"Story $ORCHESTRATE_ITEM"*) ;; *) echo "no story in the prompt" >&2; exit 9 ;; esac
commit() {
    echo work > "$ORCHESTRATE_ITEM.txt"
    git add -A && git commit -q -m "work" || exit 8
}
approve() { echo '{"version":1,"verdict":"approve","findings":[]}' > "$1"; }
"#;

/// Refuses a flag that the real client does not know, with its exit code: `$flags` take no value, `$values` take one.
const CHECK: &str = r#"
echo "$*" >> "$HOME/calls"
check() {
    while [ $# -gt 0 ]; do
        case " $flags " in *" $1 "*) shift; continue ;; esac
        case " $values " in *" $1 "*)
            [ $# -gt 1 ] || { echo "error: $1 needs a value" >&2; exit "$usage"; }
            name=$(printf %s "$1" | tr -c 'a-z\n' _); eval "v_$name=\$2"
            shift 2; continue ;;
        esac
        echo "error: unexpected argument '$1'" >&2; exit "$usage"
    done
}
"#;

/// A project with a stand-in for a client.
struct Stand {
    project: Project,
    tools: PathBuf,
}

impl Stand {
    /// `body` is shell: its flags, then what it does.
    fn new(client: &str, config: &str, body: &str) -> Self {
        let project = Project::new("", "");
        let tools = project.scratch.outside().join("tools");
        std::fs::create_dir_all(&tools).unwrap();
        let stand = Self { project, tools };
        stand.program(client, &format!("{CHECK}{body}"));
        let config = format!("[agents]\ndefault = \"{client}\"\n{config}");
        stand.project.scratch.write(".orchestrate.toml", config);
        stand.project.story("1.1", "First", "None").commit();
        stand
    }

    fn program(&self, name: &str, body: &str) {
        let program = self.tools.join(name);
        std::fs::write(&program, format!("#!/bin/sh\n{body}")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = self.project.scratch.orchestrate_command();
        let path = format!("{}:{}", self.tools.display(), std::env::var("PATH").unwrap());
        // What a surrounding Claude Code and its container set.
        command.args(args).env("PATH", path).env("CLAUDE_CODE_ENTRYPOINT", "cli").env_remove("IS_SANDBOX");
        command
    }

    /// Runs the story until it has landed; how the client was called, one line each.
    fn lands(&self) -> Vec<String> {
        let ran = run(&mut self.command(&["stories"]));
        assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
        assert_eq!(self.project.merges_of("1.1"), 1);
        self.project.assert_tidy();
        self.noted("calls")
    }

    /// Lines of a file that the client wrote to its home.
    fn noted(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.project.scratch.outside().join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Fails unless author and committer of the work are the client's.
    fn assert_author(&self, client: &str) {
        let names = self.project.scratch.git(&["log", "-1", "--format=%an%n%cn", "main", "--", "1.1.txt"]);
        assert!(names.lines().all(|name| name.ends_with(&format!(" via {client}"))), "{names}");
    }
}

/// Claude Code: it refuses full autonomy as root without IS_SANDBOX, runs its hooks by a shell, and minds their exit codes.
fn claude() -> String {
    let flags = r#"
usage=1
flags="-p --verbose --dangerously-skip-permissions"
values="--output-format --session-id --resume --settings --json-schema --permission-mode --allowedTools --append-system-prompt --agent --model"
check "$@"
prompt=$(cat)
case "$*" in *--dangerously*)
    if [ "$(id -u)" = 0 ] && [ "$IS_SANDBOX" != 1 ]; then
        echo "--dangerously-skip-permissions cannot be used with root/sudo privileges" >&2; exit 1
    fi ;;
esac
hook() {
    called=$(sed -n 's/.*"command": "\(.*\)",*$/\1/p' "$v___settings" | grep "'$1'")
    [ -n "$called" ] || return 99
    printf '%s' "$2" | sh -c "$called" 2>> "$HOME/hooks"
}
tool() { hook pre-tool-use "{\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"$1\"}}"; }
echo '{"type":"system","subtype":"init","session_id":"s-1"}'
echo '{"type":"something-new"}'
"#;
    format!("{flags}{AUTHOR}")
}

#[test]
fn claude_is_driven_by_its_stream_held_back_by_hooks_and_reviews_in_its_structured_field() {
    let body = r#"
if [ "$ORCHESTRATE_PHASE" = review ]; then
    [ -z "$IS_SANDBOX" ] || exit 20
    hook stop '{}'; [ $? = 99 ] || exit 20
    echo '{"type":"result","subtype":"success","is_error":false,"session_id":"s-1","result":"ok","structured_output":{"version":1,"verdict":"approve","findings":[]}}'
    exit 0
fi
[ -z "$CLAUDE_CODE_ENTRYPOINT" ] || exit 30
tool "git commit --no-verify -m x"; [ $? = 2 ] || exit 21
tool "git push origin HEAD"; [ $? = 2 ] || exit 22
tool "git update-ref refs/orchestrate/forged HEAD"; [ $? = 2 ] || exit 23
tool "git commit -m x"; [ $? = 0 ] || exit 24
hook stop '{"stop_hook_active":false}'; [ $? = 2 ] || exit 25
hook stop '{"stop_hook_active":true}'; [ $? = 0 ] || exit 26
commit
hook stop '{"stop_hook_active":false}'; [ $? = 0 ] || exit 27
echo '{"type":"result","subtype":"success","is_error":false,"session_id":"s-1","result":"done"}'
"#;
    let stand = Stand::new("claude", "", &(claude() + body));
    let calls = stand.lands();
    assert_eq!(calls.len(), 2);
    assert!(
        calls[0].contains("-p --output-format stream-json --verbose") && calls[0].contains("--session-id"),
        "{calls:?}"
    );
    assert!(calls[0].contains("--dangerously-skip-permissions"), "{calls:?}");
    assert!(calls[1].contains("--json-schema") && !calls[1].contains("--dangerously"), "a reviewer is not autonomous");
    let said = stand.noted("hooks").join("\n");
    assert!(said.contains("git-orchestrate: ") && said.contains("no commit since"), "a hook gives its reason: {said}");
}

/// Codex: its sandbox is the kernel's, so that what it does not leave open is denied in fact.
fn codex() -> String {
    let flags = r#"
usage=2
flags="exec --json --dangerously-bypass-approvals-and-sandbox resume -"
values="-m -s -c --output-schema -o"
open=
for arg in "$@"; do
    [ "$last" = --add-dir ] && { [ -d "$arg" ] || exit 11; open="$open,\"$arg\""; }
    last=$arg
done
values="$values --add-dir"
check "$@"
prompt=$(cat)
echo '{"type":"thread.started","thread_id":"t-1"}'
confined() {
    echo "{\"write\":[\"$PWD\",\"/dev/null\"$open]}" > "$HOME/spec-$$.json"
    "PROGRAM" __confine "$HOME/spec-$$.json" -- true 2> /dev/null || { echo unconfined >> "$HOME/calls"; "$@"; return; }
    "PROGRAM" __confine "$HOME/spec-$$.json" -- "$@"
}
"#;
    format!("{}{AUTHOR}", flags.replace("PROGRAM", env!("CARGO_BIN_EXE_git-orchestrate")))
}

/// What a reviewer of Codex does, and how each of its turns ends.
const CODEX_END: &str = r#"
if [ "$ORCHESTRATE_PHASE" = review ]; then
    [ "$v__s" = read-only ] || exit 12
    approve "$v__o"
fi
echo '{"type":"turn.completed","usage":{"input_tokens":1,"output_tokens":1}}'
"#;

#[test]
fn codex_commits_out_of_its_sandbox_through_four_narrow_folders_and_can_forge_nothing() {
    let body = r#"
if [ "$ORCHESTRATE_PHASE" != review ]; then
    case "$*" in *exclude_slash_tmp=true*) ;; *) exit 13 ;; esac
    cat > "$HOME/work.sh" <<'END'
echo work > "$ORCHESTRATE_ITEM.txt"
git add -A && git commit -q -m work || exit 8
git update-ref refs/orchestrate/forged HEAD && echo forged >> "$HOME/forged"
exit 0
END
    confined sh "$HOME/work.sh" || exit 8
    git for-each-ref refs/orchestrate/forged >> "$HOME/seen"
fi
"#;
    let stand = Stand::new("codex", "", &(codex() + body + CODEX_END));
    let calls = stand.lands();
    assert!(calls[0].starts_with("exec --json") && calls[0].contains("-s workspace-write"), "{calls:?}");
    let shared = stand.project.scratch.root().join(".git");
    let open: Vec<&str> = calls[0].split(" --add-dir ").skip(1).map(|rest| rest.split(' ').next().unwrap()).collect();
    let of = |path: &str| shared.join(path).display().to_string();
    assert!(open[0].starts_with(&of("worktrees/")), "{open:?}");
    assert_eq!(open[1..], [of("objects"), of("refs/heads/story"), of("logs/refs/heads/story")], "no more than these");
    assert!(calls.last().unwrap().contains("--output-schema"), "{calls:?}");
    if calls.contains(&"unconfined".to_owned()) {
        eprintln!("skipped: no Landlock here, so the sandbox was not tried");
        return;
    }
    assert_eq!(stand.noted("seen"), [""; 0], "the kernel denied it");
    stand.assert_author("codex");
}

#[test]
fn the_work_of_an_agent_that_must_not_commit_is_committed_for_it() {
    let body = r#"
if [ "$ORCHESTRATE_PHASE" != review ]; then
    case "$prompt" in *"Do not commit"*) ;; *) exit 14 ;; esac
    confined sh -c 'echo work > "$ORCHESTRATE_ITEM.txt"; git add -A && git commit -q -m own && echo own >> "$HOME/own"'
fi
"#;
    let config = "[agents.codex]\ncommit = \"orchestrator\"\nautonomy.edit = [\"-s\", \"workspace-write\"]\n";
    let stand = Stand::new("codex", config, &(codex() + body + CODEX_END));
    let calls = stand.lands();
    assert!(!calls[0].contains("--add-dir"), "{calls:?}");
    if !calls.contains(&"unconfined".to_owned()) {
        let subjects = stand.project.scratch.git(&["log", "--format=%s", "main", "--", "1.1.txt"]);
        assert!(subjects.contains("(story 1.1)") && !subjects.contains("own"), "{subjects}");
    }
}

/// Gemini's shell tool: no hooks, no global configuration.
#[test]
fn gemini_commits_without_the_users_git_configuration_and_reviews_into_the_result_file() {
    let body = r#"
usage=1
flags="--skip-trust"
values="-o --approval-mode -m --session-id --resume"
check "$@"
prompt=$(cat)
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.hooksPath GIT_CONFIG_VALUE_0=
echo '{"type":"init","session_id":"g-1"}'
"#;
    let end = r#"
if [ "$ORCHESTRATE_PHASE" = review ]; then approve "$ORCHESTRATE_RESULT"; else commit; fi
echo '{"type":"result","status":"success"}'
"#;
    let stand = Stand::new("gemini", "", &format!("{body}{AUTHOR}{end}"));
    let calls = stand.lands();
    assert!(calls[0].contains("-o stream-json --skip-trust") && calls[0].contains("yolo"), "{calls:?}");
    stand.assert_author("gemini");
}

/// aider commits past the hooks unless told otherwise, and keeps its history in the worktree.
#[test]
fn aider_gets_its_prompt_as_a_file_and_what_it_keeps_for_itself_is_never_committed() {
    let body = r#"
usage=2
flags="--yes-always --git-commit-verify --no-gitignore --no-check-update --no-show-release-notes --analytics-disable --no-pretty --no-stream --no-suggest-shell-commands --no-detect-urls"
values="--message-file --model"
check "$@"
prompt=$(cat "$v___message_file")
"#;
    let end = r#"
[ -e .aider.chat.history.md ] && exit 15
echo talk > .aider.chat.history.md
mkdir -p .aider.tags.cache.v4 && echo tags > .aider.tags.cache.v4/cache.db
[ "$ORCHESTRATE_PHASE" = review ] && { approve "$ORCHESTRATE_RESULT"; exit 0; }
verify=-n; case "$*" in *--git-commit-verify*) verify=--verify ;; esac
echo work > "$ORCHESTRATE_ITEM.txt"
git add "$ORCHESTRATE_ITEM.txt" && git commit -q $verify -m work || exit 8
echo more > more.txt
"#;
    let stand = Stand::new("aider", "", &format!("{body}{AUTHOR}{end}"));
    let hook = stand.project.scratch.root().join(".git/hooks/pre-commit");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\necho asked >> \"$HOME/hook\"\n").unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    stand.lands();
    assert!(!stand.noted("hook").is_empty(), "the project's hook ran");
    let landed = stand.project.scratch.git(&["ls-tree", "-r", "--name-only", "main"]);
    assert!(landed.contains("1.1.txt") && landed.contains("more.txt") && !landed.contains("aider"), "{landed}");
}

#[test]
fn the_other_clients_take_what_their_adapters_give_them() {
    let stdin = "check \"$@\"\nprompt=$(cat)\n";
    let by_result = "if [ \"$ORCHESTRATE_PHASE\" = review ]; then approve \"$ORCHESTRATE_RESULT\"; else commit; fi\n";
    let clients = [
        (
            "opencode",
            format!("usage=1\nflags=\"run --auto\"\nvalues=\"--format -m --session\"\n{stdin}"),
            format!("{by_result}echo '{{\"type\":\"text\",\"sessionID\":\"ses_1\",\"part\":{{\"text\":\"done\"}}}}'\n"),
        ),
        (
            "qwen",
            format!(
                "usage=1\nvalues=\"-o -m --approval-mode --session-id --resume --json-schema --append-system-prompt --max-session-turns\"\n{stdin}"
            ),
            "echo '{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"q-1\"}'\n\
             [ \"$ORCHESTRATE_PHASE\" = review ] || commit\n\
             echo '{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"structured_output\":{\"version\":1,\"verdict\":\"approve\",\"findings\":[]}}'\n"
                .to_owned(),
        ),
        (
            "copilot",
            format!(
                "usage=1\nflags=\"--no-color --no-auto-update --no-ask-user --allow-all\"\nvalues=\"--output-format --usage-output-file --model --session-id --agent\"\n{stdin}"
            ),
            format!("{by_result}echo '{{}}' > \"$v___usage_output_file\" || exit 16\necho '{{\"type\":\"result\",\"sessionId\":\"c-1\",\"exitCode\":0}}'\n"),
        ),
        (
            "goose",
            "usage=2\nflags=\"run --quiet\"\nvalues=\"-i --model --max-turns --system\"\ncheck \"$@\"\nprompt=$(cat \"$v__i\")\n[ \"$GOOSE_MODE\" = auto ] || exit 17\n"
                .to_owned(),
            by_result.to_owned(),
        ),
    ];
    std::thread::scope(|scope| {
        for (client, flags, end) in &clients {
            scope.spawn(move || {
                let stand = Stand::new(client, "", &format!("{flags}{AUTHOR}{end}"));
                assert_eq!(stand.lands().len(), 2, "{client}");
                stand.assert_author(client);
            });
        }
    });
}

#[test]
fn an_error_in_claudes_result_fails_the_story_although_it_exits_with_0_and_committed() {
    let body = "commit\necho '{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"result\":\"API Error: 401 invalid key\",\"api_error_status\":401}'\n";
    let stand = Stand::new("claude", "", &(claude() + body));
    let ran = run(&mut stand.command(&["stories"]));
    assert_eq!(ran.code, 4, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(stand.project.status_of("1.1"), "Failed");
    assert_eq!(stand.project.scratch.git(&["show", "story/1.1-first:1.1.txt"]), "work", "its work is kept");
}

#[test]
fn an_error_that_is_only_text_counts_although_the_exit_code_is_0() {
    let body = "usage=2\nflags=\"run --quiet\"\nvalues=\"-i\"\ncheck \"$@\"\necho 'Ran into this error: Authentication error: 401 Unauthorized.'\n";
    let stand = Stand::new("goose", "", body);
    let ran = run(&mut stand.command(&["stories"]));
    assert_eq!(ran.code, 4, "{}\n{}", ran.stdout, ran.stderr);
    let shown = run(&mut stand.command(&["show", "1.1", "--json"]));
    assert!(shown.stdout.contains("\"auth\""), "{}", shown.stdout);
}
