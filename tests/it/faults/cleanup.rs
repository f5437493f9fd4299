//! Clean-up after agents that leave their work in every way there is: every token must be found again, in a ref or in the
//! trash. Must not assert durations.

use std::path::{Path, PathBuf};

use super::note;
use crate::project::Project;
use crate::support::Ran;

fn said(ran: &Ran) -> String {
    format!("{}\n{}\n{}", ran.code, ran.stdout, ran.stderr)
}

fn shell(line: &str) -> String {
    format!("[\"sh\", \"-c\", {}]", toml::Value::String(line.to_owned()))
}

/// How an agent leaves a token behind: what the row of the matrix says, and the shell line with `TOKEN`.
const WAYS: [(&str, &str, &str); 14] = [
    ("F38", "uncommitted", "echo TOKEN > uncommitted.txt"),
    ("F38", "staged and changed again", "echo TOKEN > staged.txt; git add staged.txt; echo other > staged.txt"),
    ("F39", "ignored by the project", "mkdir -p target; echo TOKEN > target/out"),
    ("F39", "ignored by a rule of its own", "mkdir new; echo '*' > new/.gitignore; echo TOKEN > new/source.txt"),
    ("F40", "assume-unchanged", "git update-index --assume-unchanged README.md; echo TOKEN > README.md"),
    ("F40", "skip-worktree", "git update-index --skip-worktree kept.txt; echo TOKEN > kept.txt"),
    (
        "F41",
        "amended away",
        "echo TOKEN > a; git add a; git commit -qm a; git rm -qf a; git commit -q --amend --allow-empty -m b",
    ),
    ("F41", "reset", "echo TOKEN > r; git add r; git commit -qm r; git reset -q --hard HEAD~1"),
    ("F41", "detached", "git switch -q --detach; echo TOKEN > d; git add d; git commit -qm d"),
    ("F42", "stashed", "echo TOKEN > README.md; git stash -q"),
    ("F42", "stashed untracked", "echo TOKEN > u; git stash -q -u"),
    ("F42", "on a branch of its own", "git switch -q -c mine-ITEM; echo TOKEN > m; git add m; git commit -qm m"),
    (
        "F42",
        "nested repository",
        "git init -q n; cd n; echo TOKEN > f; git add f; git -c user.name=a -c user.email=a@b commit -qm f",
    ),
    (
        "F35",
        "beside links outward and upward",
        "ln -s OUTSIDE out; ln -s ../.. up; ln -s / root; echo TOKEN > beside.txt",
    ),
];

/// All that is below a folder, links not followed.
fn contents(folder: &Path, found: &mut String) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path: PathBuf = entry.path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            contents(&path, found);
        } else if path.is_file() {
            found.push_str(&String::from_utf8_lossy(&std::fs::read(&path).unwrap()));
        }
    }
}

/// Everything that can still be got at: the patches of all commits that a ref reaches, and the trash.
fn reachable(project: &Project) -> String {
    // What has no ref is gone now.
    project.scratch.git(&["stash", "clear"]);
    project.scratch.git(&["reflog", "expire", "--expire=now", "--all"]);
    project.scratch.git(&["gc", "-q", "--prune=now"]);
    let mut found = project.scratch.git(&["log", "--all", "-p", "-m", "--format=%s", "--text"]);
    contents(&project.scratch.root().join(".git/orchestrate/trash"), &mut found);
    found
}

/// Runs one story per way, ended as `last` says, then `cleanup --force`.
fn left_behind(ways: &[(&str, &str, &str)], last: &str) -> Project {
    let project = Project::new("", "");
    let outside = project.meeting("outside");
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::write(outside.join("precious.txt"), "precious").unwrap();
    project.scratch.write(".gitignore", "/.worktrees\ntarget/\n");
    project.scratch.write("kept.txt", "kept\n");
    let mut script = String::new();
    for (number, (_, _, line)) in ways.iter().enumerate() {
        let item = format!("1.{}", number + 1);
        let line = line.replace("TOKEN", &format!("token-{number}-")).replace("ITEM", &item);
        let line = shell(&line.replace("OUTSIDE", outside.to_str().unwrap()));
        script.push_str(&format!(
            "[[step]]\nitem = \"{item}\"\nphase = \"implementation\"\ndo = [{{ run = {line} }}, {last}]\n"
        ));
        project.story(&item, &format!("Way {number}"), "None");
    }
    project.script(&script);
    project.commit();
    let ran = project.stories(&["-j", "4"]);
    assert_eq!(ran.code, 4, "{}", said(&ran));
    let ran = project.orchestrate(&["cleanup", "--force"]);
    assert_eq!(ran.code, 0, "{}", said(&ran));
    let worktrees = project.scratch.git(&["worktree", "list", "--porcelain"]);
    assert_eq!(worktrees.matches("worktree ").count(), 1, "{worktrees}");
    assert_eq!(std::fs::read_to_string(outside.join("precious.txt")).unwrap(), "precious");
    project
}

fn assert_found(ways: &[(&str, &str, &str)], last: &str) {
    let project = left_behind(ways, last);
    let found = reachable(&project);
    for (number, (fault, point, _)) in ways.iter().enumerate() {
        assert!(found.contains(&format!("token-{number}-")), "{point} is lost");
        note(fault, &format!("{point}, agent ends by {last}, then cleanup --force"), "found");
    }
    assert_eq!(project.scratch.git(&["status", "--porcelain"]), "");
    project.assert_sound();
}

#[test]
fn f38_to_f42_every_token_is_found_after_a_forced_cleanup() {
    assert_found(&WAYS, "{ exit = 1 }");
}

#[test]
#[ignore = "battery"]
fn f38_to_f42_after_crashed_agents() {
    assert_found(&WAYS, "{ run = [\"sh\", \"-c\", \"kill -9 $PPID\"] }");
}

#[test]
fn rescued_work_is_listed_shown_and_put_on_a_branch_and_nothing_is_overwritten() {
    let project = left_behind(&WAYS[..1], "{ exit = 1 }");
    let json = |args: &[&str]| -> serde_json::Value {
        let ran = project.orchestrate(&[&["rescue", "--json"], args].concat());
        assert_eq!(ran.code, 0, "{}", said(&ran));
        serde_json::from_str(&ran.stdout).unwrap()
    };
    let listed = json(&[]);
    let name = listed["rescued"][0]["name"].as_str().unwrap().to_owned();
    assert_eq!(name, "1.1-way-0-1");
    let commit = listed["rescued"][0]["commit"].as_str().unwrap().to_owned();
    assert_eq!(project.scratch.git(&["rev-parse", &format!("refs/orchestrate/rescue/{name}")]), commit);
    let shown = project.orchestrate(&["rescue", "show", &name]);
    assert!(shown.stdout.contains("uncommitted.txt"), "{}", said(&shown));
    let changed = json(&["show", &name]);
    assert_eq!(changed["changes"][0]["path"], "uncommitted.txt", "{changed}");
    let status = project.orchestrate(&["status"]);
    assert!(status.stderr.contains("rescued: 1 kept; see: git orchestrate rescue"), "{}", said(&status));
    let list = project.orchestrate(&["rescue"]);
    assert!(list.stdout.contains(&name), "{}", said(&list));
    let ran = project.orchestrate(&["rescue", "restore", &name]);
    assert_eq!(ran.code, 0, "{}", said(&ran));
    assert_eq!(project.scratch.git(&["rev-parse", &format!("rescued/{name}")]), commit);
    let main = project.scratch.git(&["rev-parse", "main"]);
    for (args, code) in [
        (vec!["rescue", "restore", &name], 1),
        (vec!["rescue", "restore", &name, "--branch", "main"], 3),
        (vec!["rescue", "restore", &name, "--branch", "a..b"], 1),
        (vec!["rescue", "restore", "nothing-1"], 1),
        (vec!["rescue", "show", "../../heads/main"], 1),
    ] {
        let ran = project.orchestrate(&args);
        assert_eq!(ran.code, code, "{args:?}: {}", said(&ran));
    }
    assert_eq!(project.scratch.git(&["rev-parse", "main"]), main);
    assert_eq!(project.orchestrate(&["rescue", "restore", &name, "--branch", "other"]).code, 0);
    assert_eq!(project.scratch.git(&["rev-parse", "other"]), commit);
}

#[test]
fn the_trash_is_shown_and_only_what_is_old_enough_goes() {
    let project = left_behind(&WAYS[2..3], "{ exit = 1 }");
    let trash = project.scratch.root().join(".git/orchestrate/trash");
    let count = || std::fs::read_dir(&trash).unwrap().count();
    let before = count();
    assert!(before > 0);
    let status = project.orchestrate(&["status"]);
    assert!(status.stderr.contains(&format!("trash: {before} kept, ")), "{}", said(&status));
    let ran = project.orchestrate(&["cleanup", "--trash"]);
    assert_eq!((ran.code, ran.stdout.lines().count(), count()), (0, before, before), "{}", said(&ran));
    assert!(ran.stdout.contains("0 of 14 days counted"), "{}", said(&ran));
    // As if fourteen days had been counted since.
    let clock = project.scratch.root().join(".git/orchestrate/counted-time");
    let text = std::fs::read_to_string(&clock).unwrap();
    let (counted, rest) = text.split_once(' ').unwrap();
    let later = counted.parse::<i64>().unwrap() + 14 * 24 * 60 * 60 * 1000;
    std::fs::write(&clock, format!("{later} {rest}")).unwrap();
    let ran = project.orchestrate(&["cleanup", "--trash", "--dry-run"]);
    assert!(ran.stdout.contains("goes now") && count() == before, "{}", said(&ran));
    let ran = project.orchestrate(&["cleanup", "--trash"]);
    assert_eq!((ran.code, count()), (0, 0), "{}", said(&ran));
    let ran = project.orchestrate(&["cleanup", "--trash"]);
    assert!(ran.stdout.contains("the trash is empty"), "{}", said(&ran));
}
