//! The `demo` command: a throw-away repository with five stories, landed by the demo agent on the normal path; and the door
//! to the demo agent itself. Must not do anything that a person could not do with the other commands.

use std::fs;
use std::path::{Path, PathBuf};

use super::args::{DemoArgs, InitArgs, Planning, StoriesArgs};
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;
use super::{init, stories};
use crate::adapters::agents::demo as demo_agent;
use crate::adapters::git::repo::check_git_version;
use crate::adapters::process::spawn;

/// Files of the repository: path and content.
const FILES: [(&str, &str); 8] = [
    ("README.md", include_str!("demo/README.md")),
    ("check.sh", include_str!("demo/check.sh")),
    (".orchestrate.toml", include_str!("demo/orchestrate.toml")),
    ("docs/stories/1.1.note-file.md", include_str!("demo/1.1.note-file.md")),
    ("docs/stories/1.2.list-notes.md", include_str!("demo/1.2.list-notes.md")),
    ("docs/stories/1.3.search-notes.md", include_str!("demo/1.3.search-notes.md")),
    ("docs/stories/1.4.tag-notes.md", include_str!("demo/1.4.tag-notes.md")),
    ("docs/stories/1.5.export-notes.md", include_str!("demo/1.5.export-notes.md")),
];

/// Runs `git orchestrate demo`.
pub(crate) fn run(args: &DemoArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    check_git_version().map_err(CommandError::invalid)?;
    let dir = folder(args.dir.as_deref())?;
    make_repository(&dir)?;
    ui.status(&format!("made a repository with five stories in {}", dir.display()));
    std::env::set_current_dir(&dir)?;
    let answers = InitArgs { target: Some("main".to_owned()), yes: true, ..InitArgs::default() };
    let set_up = init::run(&answers, ui)?;
    if set_up != Exit::DONE {
        return Ok(set_up);
    }
    if args.no_run {
        ui.status(&format!("next:\n    cd {}\n    git orchestrate stories --agent demo", dir.display()));
        return Ok(Exit::DONE);
    }
    let planning = Planning { agent: Some("demo".to_owned()), ..Planning::default() };
    let exit = stories::run(&StoriesArgs { planning, yes: true, ..StoriesArgs::default() }, ui)?;
    if exit == Exit::DONE {
        ui.status(&what_to_look_at(&dir));
    }
    Ok(exit)
}

fn what_to_look_at(dir: &Path) -> String {
    format!(
        "\nFive stories went through 13 phases each and landed on main. Have a look:\n\
         \x20   cd {}\n\
         \x20   git log --graph --oneline            the landings, one merge per story\n\
         \x20   git orchestrate show 1.1             one story whole\n\
         \x20   git log refs/orchestrate/items/1.1   its diary\n\
         The folder is yours to delete.",
        dir.display()
    )
}

/// The folder asked for, when it is empty, or a new temporary one.
fn folder(asked: Option<&Path>) -> Result<PathBuf, CommandError> {
    let Some(dir) = asked else {
        let made = tempfile::Builder::new().prefix("git-orchestrate-demo-").tempdir();
        return made.map(tempfile::TempDir::keep).map_err(CommandError::from);
    };
    let failed = |error| CommandError::usage(format!("cannot make {}", dir.display())).because(&error);
    fs::create_dir_all(dir).map_err(failed)?;
    if fs::read_dir(dir).map_err(failed)?.next().is_some() {
        return Err(CommandError::usage(format!("{} is not empty", dir.display())).hint("name a new folder"));
    }
    dir.canonicalize().map_err(failed)
}

fn make_repository(dir: &Path) -> Result<(), CommandError> {
    git(dir, &["init", "-q", "-b", "main"])?;
    for (path, content) in FILES {
        let path = dir.join(path);
        let failed = |error| CommandError::operation(format!("cannot write {}", path.display())).because(&error);
        path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, content)).map_err(failed)?;
    }
    // Whoever has no identity yet gets one for this repository only.
    for (key, value) in [("user.name", "Demo"), ("user.email", "demo@example.org")] {
        if git(dir, &["config", key]).is_err() {
            git(dir, &["config", key, value])?;
        }
    }
    git(dir, &["add", "-A"])?;
    git(dir, &["-c", "commit.gpgSign=false", "commit", "-q", "-m", "Five stories for a note-taking tool"])
}

fn git(dir: &Path, args: &[&str]) -> Result<(), CommandError> {
    let output = spawn::command("git").arg("-C").arg(dir).args(args).output();
    let output = output.map_err(|error| CommandError::operation("git cannot be run").because(&error))?;
    if output.status.success() {
        return Ok(());
    }
    let mut error = CommandError::operation(format!("git {} failed", args.join(" ")));
    error.causes = String::from_utf8_lossy(&output.stderr).lines().take(10).map(str::to_owned).collect();
    Err(error)
}

/// Runs the demo agent with what its environment and standard input say.
pub(crate) fn agent(ui: &mut Ui) -> Result<Exit, CommandError> {
    let mut said = Vec::new();
    let code = demo_agent::main(&mut std::io::stdin(), &mut said);
    ui.bytes(&said)?;
    Ok(if code == 0 { Exit::DONE } else { Exit::FAILED })
}
