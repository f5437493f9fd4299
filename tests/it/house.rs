//! The house rules that a compiler does not check, read off the source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use git_orchestrate::adapters::config;

use super::support::{Scratch, run};

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder with its content; paths relative to the package.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut open = vec![top().join(folder)];
    let mut found = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let name = path.strip_prefix(top()).unwrap().to_str().unwrap().to_owned();
                found.push((name, std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty());
    found
}

/// The code of a file without comments and without its inline tests; string literals stay.
fn code(text: &str) -> String {
    let body = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    body.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

/// Files of `src` that are no tests.
fn production() -> Vec<(String, String)> {
    let all = sources("src").into_iter().filter(|(name, _)| !name.ends_with("_tests.rs"));
    all.map(|(name, text)| (name, code(&text))).collect()
}

/// The two first segments of every `crate::a::b` in a text.
fn uses(text: &str) -> BTreeSet<(String, String)> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for (at, marker) in text.match_indices("crate::") {
        if text[..at].ends_with('_') || text[..at].ends_with('$') {
            continue;
        }
        let rest = &text[at + marker.len()..];
        let first = word(rest);
        let second = rest[first.len()..].strip_prefix("::").map(word).unwrap_or_default();
        found.insert((first, second));
    }
    found
}

#[test]
fn dependencies_point_down_only() {
    let mut wrong = Vec::new();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, text) in production() {
        let Some((layer, _)) = name.strip_prefix("src/").and_then(|name| name.split_once('/')) else { continue };
        for (to, part) in uses(&text) {
            let allowed = to == layer
                // Places to die in, which do nothing in a release.
                || to == "fail_point" && layer != "domain"
                || match layer {
                    "engine" => to == "domain",
                    "adapters" => to == "domain" || to == "engine" && part == "ports",
                    "report" => to == "domain" || to == "engine" && part == "events",
                    "hooks" => to == "domain" || to == "adapters" || to == "engine" && part == "ports",
                    "cli" => true,
                    _ => false,
                };
            if !allowed {
                wrong.push(format!("{name} uses crate::{to}::{part}"));
            }
            if to != layer {
                edges.entry(layer.to_owned()).or_default().insert(to);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(edges["adapters"].contains("domain"), "the scan finds nothing: {edges:?}");
    // Layers without outgoing edges are taken away until none is left; a circle would stay.
    let mut left: BTreeSet<String> = edges.keys().cloned().collect();
    while let Some(free) = left.iter().find(|layer| edges[*layer].is_disjoint(&left)).cloned() {
        left.remove(&free);
    }
    assert!(left.is_empty(), "a circle among {left:?}");
}

#[test]
fn every_place_to_die_in_is_on_the_list_and_in_the_code() {
    let known: BTreeSet<String> = git_orchestrate::fail_point::NAMES.iter().map(|name| (*name).to_owned()).collect();
    let mut reached = BTreeSet::new();
    for (_, text) in production() {
        for (at, call) in text.match_indices("fail_point::reach(") {
            let argument = text[at + call.len()..].split_once(");").unwrap().0;
            // Every second piece between quotes is a name: a call may choose between two.
            reached.extend(argument.split('"').skip(1).step_by(2).map(str::to_owned));
        }
    }
    assert_eq!(reached, known);
}

#[test]
fn paths_into_the_crate_are_spelled_out() {
    for (name, text) in production() {
        assert!(
            !text.contains("use crate::{"),
            "{name}: one `use crate::<layer>::...` per layer, so that the layer rule sees it"
        );
    }
}

#[test]
fn every_test_file_is_part_of_the_test_binary() {
    let main = std::fs::read_to_string(top().join("tests/it/main.rs")).unwrap();
    for (name, _) in sources("tests/it") {
        let module = Path::new(&name).file_stem().unwrap().to_str().unwrap().to_owned();
        let direct = Path::new(&name).parent().unwrap() == Path::new("tests/it");
        if direct && module != "main" {
            assert!(
                main.lines().any(|line| line == format!("mod {module};")),
                "{name} is not listed in tests/it/main.rs"
            );
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for (name, text) in sources("src").into_iter().chain(sources("tests")) {
        assert!(text.starts_with("//! "), "{name} does not open with `//! `");
    }
}

#[test]
fn files_stay_readable() {
    for (name, text) in sources("src").into_iter().chain(sources("tests")) {
        let lines = text.lines().count();
        let limit = 700;
        assert!(lines <= limit, "{name} has {lines} lines: split it by noun");
    }
}

#[test]
fn git_is_never_forced() {
    for (name, text) in production().into_iter().filter(|(name, _)| !name.starts_with("src/cli/")) {
        // A lease names what is there: it is how a ref is pushed or not at all.
        let text = text.replace("\"--force-with-lease={name}:", "");
        assert!(!text.contains("\"--force"), "{name}");
    }
}

#[test]
fn one_file_asks_git_s_library_for_refs_and_head() {
    const ASKED: [&str; 16] = [
        "git.head()",
        "gix().head()",
        "repo.head()",
        ".head_id(",
        ".head_name(",
        ".head_ref(",
        ".head_commit(",
        ".head_tree_id(",
        ".references()",
        ".find_reference(",
        ".try_find_reference(",
        ".edit_reference(",
        ".edit_references",
        ".tag_reference(",
        ".branch_names(",
        ".ref_transaction(",
    ];
    let mut home = false;
    for (name, text) in production() {
        let asked = ASKED.iter().find(|function| text.contains(*function));
        if name == "src/adapters/git/refs.rs" {
            home = asked.is_some();
        } else {
            assert_eq!(asked, None, "{name}");
        }
    }
    assert!(home, "the scan finds nothing");
}

#[test]
fn one_file_of_each_program_makes_processes() {
    for (name, text) in production() {
        let makes = text.contains("Command::new(");
        let may = ["src/adapters/process/spawn.rs", "src/hooks/filter/ask.rs"].contains(&name.as_str());
        assert_eq!(makes, may, "{name}");
    }
}

#[test]
fn nothing_is_left_open() {
    // Spelled in two parts, so that this file is not found itself.
    let words = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["unimple", "mented!"].concat()];
    for (name, text) in sources("src").into_iter().chain(sources("tests")) {
        assert!(words.iter().all(|word| !text.contains(word)), "{name}");
    }
}

#[test]
fn man_pages_are_fresh() {
    let scratch = Scratch::empty();
    assert_eq!(scratch.orchestrate(&["man", "--dir", "pages"]).code, 0);
    let read = |dir: PathBuf| -> BTreeMap<String, String> {
        let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
        entries
            .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap()))
            .collect()
    };
    let (fresh, kept) = (read(scratch.root().join("pages")), read(top().join("man")));
    assert!(fresh.contains_key("git-orchestrate.1") && fresh.contains_key("git-orchestrate-stories.1"));
    assert_eq!(fresh.keys().collect::<Vec<_>>(), kept.keys().collect::<Vec<_>>());
    for (name, page) in fresh {
        assert!(kept[&name] == page, "man/{name} is stale; run: cargo run -- man --dir man");
    }
}

#[test]
fn completions_know_every_command_and_both_spellings() {
    let scratch = Scratch::empty();
    let help = scratch.orchestrate(&["-h"]).stdout;
    let commands: Vec<&str> = help
        .lines()
        .filter(|line| line.starts_with("  ") && !line.trim().starts_with('-'))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains(&"stories") && commands.contains(&"cleanup"), "{help}");
    for (shell, hook) in [("bash", "_git_orchestrate()"), ("zsh", "#description "), ("fish", "complete -c git ")] {
        let script = scratch.orchestrate(&["completions", shell]).stdout;
        assert!(script.contains(hook), "{shell}");
        for word in commands.iter().chain(&["policy-from-target", "assume-done", "request-changes"]) {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn bash_completes_git_orchestrate() {
    let scratch = Scratch::empty();
    let script = scratch.orchestrate(&["completions", "bash"]).stdout;
    scratch.write("completion.bash", script);
    for (typed, offered) in [
        ("git -C x orchestrate sto", "stories stop"),
        ("git orchestrate dem", "demo"),
        ("git orchestrate stories --mi", "--missing"),
        ("git orchestrate plan --format ''", "table json dot mermaid"),
    ] {
        let asked = format!(
            "source completion.bash; COMP_WORDS=({typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _git_orchestrate; \
             echo \"${{COMPREPLY[@]}}\""
        );
        let ran = run(scratch.command("bash").args(["--norc", "-c", &asked]));
        assert_eq!((ran.code, ran.stdout.trim()), (0, offered), "{typed}: {}", ran.stderr);
    }
}

#[test]
fn fish_completes_git_orchestrate() {
    let scratch = Scratch::empty();
    // install.sh has fish load it with each interactive shell.
    let asked = "source $SCRIPT; complete -C 'git orchestrate sto'; complete -C 'git orchestrate stories --miss'";
    let data = scratch.outside().join("share");
    let place = data.join("fish/vendor_completions.d");
    std::fs::create_dir_all(&place).unwrap();
    let script = scratch.orchestrate(&["completions", "fish"]).stdout;
    std::fs::write(place.join("git-orchestrate.fish"), script).unwrap();
    let folder = Path::new(env!("CARGO_BIN_EXE_git-orchestrate")).parent().unwrap().to_owned();
    let path = std::env::join_paths(
        std::iter::once(folder).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let mut fish = scratch.command("fish");
    fish.env("PATH", path.unwrap()).env("SCRIPT", place.join("git-orchestrate.fish"));
    let Ok(output) = fish.args(["-c", asked]).output() else {
        eprintln!("skipped: no fish");
        return;
    };
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("stories") && shown.contains("--missing"), "{shown}");
}

#[test]
fn zsh_loads_its_completion() {
    let scratch = Scratch::empty();
    let script = scratch.orchestrate(&["completions", "zsh"]).stdout;
    scratch.write("_git-orchestrate", script);
    let asked = "fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -d $HOME/dump; print $_comps[git-orchestrate]; \
                 autoload +X _git-orchestrate && print loaded";
    let Ok(output) = scratch.command("zsh").args(["-f", "-c", asked]).output() else {
        eprintln!("skipped: no zsh");
        return;
    };
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(shown.trim(), "_git-orchestrate\nloaded", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_readme_names_every_variable_key_and_command() {
    let readme = std::fs::read_to_string(top().join("README.md")).unwrap();
    for variable in config::VARIABLES {
        assert!(readme.contains(&format!("`GIT_ORCHESTRATE_{variable}`")), "{variable}");
    }
    let keys =
        config::DEFAULT_FILE.lines().filter_map(|line| line.strip_prefix("# ")?.split_once(" = ").map(|(key, _)| key));
    for key in keys.filter(|key| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')) {
        assert!(readme.contains(&format!("`{key}`")) || readme.contains(&format!("{key} =")), "{key}");
    }
    let commands = readme.lines().filter_map(|line| line.strip_prefix("    ")).collect::<Vec<_>>();
    assert_eq!(commands[..2], ["./install.sh --demo", "cargo test --locked"]);
}
