//! F43: keys that an agent prints, writes into its review or commits, and text that a terminal would obey, from every place
//! that foreign text comes from.

use crate::faults;
use crate::project::Project;
use crate::support::{Ran, run};

const KEY: &str = "Zk7\"q/9+wT!x2 Lm4";
const BASE64: &str = "Wms3InEvOSt3VCF4MiBMbTQ=";
const NASTY: &str = "\u{1b}]0;pwn\u{7}\u{1b}[2J\u{9b}1m\u{202e}\u{200b}";

/// `git orchestrate ARGS` with the key in the environment.
fn with_key(project: &Project, args: &[&str]) -> Ran {
    run(project.scratch.orchestrate_command().args(args).env("MY_API_KEY", KEY))
}

/// As a shell's `printf` takes it: every byte in octal.
fn octal(text: &str) -> String {
    text.bytes().map(|byte| format!("\\{byte:03o}")).collect()
}

/// Steps of the scripted agent; what a shell does stands in files.
fn project() -> Project {
    let project = Project::new("", "[checks]\nkeys = [\"sh\", \"-c\", \"printenv MY_API_KEY; true\"]\n");
    let (path, author) = (octal("odd\u{1b}[31m\u{202e}.txt"), octal("Eve\u{9b}1m\u{202e}"));
    let print = format!("printenv MY_API_KEY; printenv MY_API_KEY >&2; printf '{}'; printf {BASE64}\n", octal(NASTY));
    let work = format!(
        "{print}printf x > \"$(printf '{path}')\"\ngit add -A\n\
         git commit -q -m work --author \"$(printf '{author}') <eve@example.org>\"\n"
    );
    let leak = "printf 'key = %s' \"$MY_API_KEY\" > settings.ini; git add -A; git commit -q -m settings\n";
    let mut steps = String::new();
    for (item, text) in [("1.1", work.as_str()), ("1.2", leak), ("1.3", &format!("{print}exit 3\n"))] {
        let file = project.meeting(&format!("{item}.sh"));
        std::fs::write(&file, text).unwrap();
        let phase = "phase = \"implementation\"";
        steps +=
            &format!("[[step]]\nitem = \"{item}\"\n{phase}\ndo = [{{ run = [\"sh\", \"{}\"] }}]\n", file.display());
    }
    let nasty = "\\u001B]0;pwn\\u0007\\u009B1m\\u202E\\u200B";
    let finding = format!("{} is in it {nasty}", KEY.replace('"', "\\\""));
    steps += &format!(
        "[[step]]\nitem = \"1.1\"\nphase = \"review\"\nnth = 1\n\
         do = [{{ request-changes = {{ path = \"a{nasty}b\", text = \"{finding}\" }} }}]\n"
    );
    project.script(&steps);
    project.set("agents.scripted", "env.pass = [\"MY_API_KEY\"]");
    project.story("1.1", "Print", "None").story("1.2", "Leak", "None").story("1.3", "Fail", "None");
    let story =
        format!("# Story 1.4: Nasty {NASTY} title\n\n**Dependencies**: 1.3\n\n## Acceptance Criteria\n\n1. {NASTY}\n");
    project.scratch.write("docs/stories/1.4.nasty.md", story);
    project.commit();
    project
}

/// Everything that the target and the records reach, as one text.
fn reachable(project: &Project) -> String {
    let refs = project.scratch.git(&["for-each-ref", "--format=%(refname)", "refs/orchestrate/"]);
    let mut args = vec!["rev-list", "--objects", "main"];
    args.extend(refs.lines().filter(|name| !name.contains("/rescue/")));
    let objects = project.scratch.git(&args);
    let ids: Vec<&str> = objects.lines().filter_map(|line| line.split(' ').next()).collect();
    std::fs::write(project.meeting("ids"), ids.join("\n") + "\n").unwrap();
    let stdin = std::fs::File::open(project.meeting("ids")).unwrap();
    run(project.scratch.command("git").args(["cat-file", "--batch"]).stdin(stdin)).stdout
}

fn files_below(folder: &std::path::Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files_below(&path, found);
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}

fn assert_no_key(place: &str, text: &str) {
    let json = KEY.replace('"', "\\\"");
    for spelling in [KEY, &json, BASE64.trim_end_matches("TQ=")] {
        assert!(!text.contains(spelling), "{place} holds the key: {text}");
    }
}

/// What a person reads after the run; none of it has the key in its environment: what is kept is clean, not only what is shown.
fn read_commands(project: &Project) -> Vec<(String, Ran)> {
    let commands = "status|status --json|show 1.1|show 1.1 --json|show 1.2|show 1.3|show 1.4|log|log --json|log 1.1 --agent|\
                    log 1.3 --agent|plan|plan --format json|plan --format dot|plan --format mermaid|verify|verify --json|\
                    doctor|doctor --json|cleanup --dry-run|stories 1.9";
    let mut texts = Vec::new();
    for command in commands.split('|') {
        let ran = project.orchestrate(&command.split(' ').collect::<Vec<_>>());
        if command.ends_with("json") {
            let mut values = serde_json::Deserializer::from_str(&ran.stdout).into_iter::<serde_json::Value>();
            assert!(values.all(|value| value.is_ok()) && !ran.stdout.is_empty(), "{command}: {ran:?}");
        }
        texts.push((command.to_owned(), ran));
    }
    texts
}

#[test]
fn a_key_reaches_no_log_record_or_terminal_and_no_text_moves_a_terminal() {
    let project = project();
    let ran = with_key(&project, &["stories", "-j", "2"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    let mut texts = read_commands(&project);
    texts.push(("stories".to_owned(), ran));
    let obeyed = |text: &str| text.chars().find(|c| git_orchestrate::domain::diagnostic::is_unsafe(*c));
    for (command, ran) in &texts {
        for text in [&ran.stdout, &ran.stderr] {
            assert_no_key(command, text);
            assert_eq!(obeyed(text), None, "{command}: {text:?}");
        }
    }
    let output = |command: &str| &texts.iter().find(|(name, _)| name == command).unwrap().1.stdout;
    for (command, said) in [
        ("log 1.1 --agent", "[redacted]"),
        ("log 1.1 --agent", "\\x1b]0;pwn\\x07"),
        ("plan", "\\u202e"),
        ("show 1.2", "the value of MY_API_KEY in settings.ini"),
    ] {
        assert!(output(command).contains(said), "{command}: {}", output(command));
    }

    let mut files = Vec::new();
    files_below(&project.scratch.root().join(".git/orchestrate"), &mut files);
    for (name, text) in &files {
        // The reviewer's own answer lies where it wrote it; what is made of it is clean.
        if !name.ends_with("answer/result.json") {
            assert_no_key(name, text);
        }
    }
    let objects = reachable(&project);
    assert_no_key("an object", &objects);
    assert!(objects.contains("[redacted:MY_API_KEY] is in it"), "the finding is not recorded");
    faults::note("F43", "key printed, in a review; OSC, CSI, bidi in title, output, path, author", "redacted, escaped");

    assert_eq!(project.status_of("1.1"), "Landed");
    assert_eq!((project.status_of("1.2").as_str(), project.merges_of("1.2")), ("Failed", 0));
    faults::note("F43", "key committed to a file", "attempt failed, nothing landed, commit kept");
    project.assert_sound();
}
