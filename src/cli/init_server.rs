//! `init --server`: makes a bare repository guard what is pushed to it: two hooks and one key of git's configuration. Must
//! not touch settings of receiving, nor another program's hook.

use std::path::Path;

use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;
use crate::adapters::gate::reader::{Reader, SERVER_KEY};
use crate::adapters::git::cli;
use crate::adapters::git::repo::Repo;
use crate::hooks::server_hooks::{self, Linked};

/// Runs `git orchestrate init --server`, or takes back what it did.
pub(super) fn run(repo: &Repo, uninstall: bool, ui: &mut Ui) -> Result<Exit, CommandError> {
    if !repo.is_bare() {
        let error =
            format!("{} is not a bare repository: --server is for one that people push to", repo.root().display());
        return Err(CommandError::usage(error).hint("to guard the repository you work in: git orchestrate init"));
    }
    let program = std::env::current_exe().and_then(|path| path.canonicalize());
    let program =
        program.map_err(|error| CommandError::operation("cannot tell where this program is").because(&error))?;
    if uninstall {
        return take_back(repo, &program, ui);
    }
    configure(repo, ui)?;
    let mut missing = Vec::new();
    for (path, linked) in server_hooks::link(repo, &program)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match linked {
            Linked::Made => ui.status(&format!("installed the hook {name}")),
            Linked::AlreadyOurs => ui.status(&format!("the hook {name} is installed already")),
            Linked::LeftAlone => missing.push((name, path)),
        }
    }
    say_what_holds(repo, ui)?;
    if missing.is_empty() {
        return Ok(Exit::DONE);
    }
    let shown = missing.iter().map(|(_, path)| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let names = missing.iter().map(|(name, _)| format!("git-orchestrate hook {name}")).collect::<Vec<_>>().join(", ");
    Err(CommandError::operation(format!(
        "the gate is not closed: another program's hook, or folder, was left alone: {shown}"
    ))
    .hint(format!("let it call ours with the same arguments and standard input, and stop when it fails: {names}")))
}

/// Removes the links and the key; what was pushed stays, records included.
fn take_back(repo: &Repo, program: &Path, ui: &mut Ui) -> Result<Exit, CommandError> {
    for path in server_hooks::unlink(repo, program)? {
        ui.status(&format!("removed {}", path.display()));
    }
    if Reader::of(repo).is_server() {
        cli::run(cli::git(repo).args(["config", "--local", "--unset-all", SERVER_KEY]))?;
        ui.status(&format!("removed git config {SERVER_KEY}"));
    }
    ui.status("nothing guards what is pushed here any more");
    Ok(Exit::DONE)
}

fn configure(repo: &Repo, ui: &mut Ui) -> Result<(), CommandError> {
    if Reader::of(repo).is_server() {
        ui.status(&format!("git config {SERVER_KEY} is set already"));
        return Ok(());
    }
    cli::run(cli::git(repo).args(["config", "--local", SERVER_KEY, "true"]))?;
    ui.status(&format!("wrote git config {SERVER_KEY}"));
    Ok(())
}

/// What is guarded from now on, and where adoption begins.
fn say_what_holds(repo: &Repo, ui: &mut Ui) -> Result<(), CommandError> {
    let reader = Reader::of(&Repo::discover(repo.root())?);
    let Some(target) = reader.target()? else {
        ui.warning("HEAD names no branch and both main and master exist: both are guarded, by the built-in policy");
        ui.hint("name the branch that stories land on: git config orchestrate.target BRANCH");
        return Ok(());
    };
    match reader.standing(target.as_str())? {
        Some(tip) => {
            ui.status(&format!(
                "guards {} from {} on; what it holds now is before adoption",
                target.short(),
                tip.short()
            ));
        }
        None => ui.status(&format!("the first push of {} is taken as it is; guarded from then on", target.short())),
    }
    Ok(())
}
