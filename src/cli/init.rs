//! The `init` command: configuration, exclude line, hooks, target branch, example. Must never overwrite what it finds.

pub(super) mod hooks;

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use super::args::InitArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;
use crate::adapters::config::target::{self, Target};
use crate::adapters::config::{self, DEFAULT_FILE, FILE, Sources};
use crate::adapters::git::repo::{Repo, check_git_version};
use crate::adapters::git::room;
use crate::adapters::guarded;
use crate::adapters::ledger::store::Store;
use crate::adapters::process::spawn;
use crate::domain::diagnostic::{Diagnostic, Severity};
use crate::domain::settings::Settings;

/// Coding agents that are looked for.
const AGENTS: [&str; 3] = ["claude", "codex", "gemini"];
/// The example story, below the first stories folder.
const EXAMPLE: (&str, &str) = ("1.1.example.md", include_str!("example.md"));
/// Message of the commit that makes the policy count.
const COMMIT_MESSAGE: &str = "Set up git-orchestrate";

/// Runs `git orchestrate init`.
pub(crate) fn run(args: &InitArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    check_git_version().map_err(CommandError::invalid)?;
    let repo = Repo::discover(Path::new(".")).map_err(CommandError::invalid)?;
    if args.server {
        return super::init_server::run(&repo, args.uninstall, ui);
    }
    repo.require_work_tree().map_err(CommandError::invalid)?;
    if args.uninstall {
        hooks::uninstall(&repo, args.dry_run, ui)?;
        return Ok(Exit::DONE);
    }
    let target = target::find(&repo, args.target.as_deref()).map_err(CommandError::invalid)?;
    if !args.dry_run {
        room::require_writable(&repo).map_err(CommandError::invalid)?;
    }
    let settings = checked_settings(&repo, ui)?;
    let plan = hooks::preview(&repo, ui)?;
    if args.dry_run {
        preview(&repo, &settings, &target, ui);
        return Ok(Exit::DONE);
    }
    let wanted = args.yes || plan.changes.is_empty() || !ui.is_interactive() || ui.confirm("Install the hooks so?");
    write_config(&repo, ui)?;
    exclude(&repo, &settings.worktrees, ui)?;
    let record = hooks::record(&repo)?;
    if wanted {
        hooks::install(&repo, &plan, ui)?;
    } else {
        ui.warning("no hook was installed: nothing guards the target branch on this machine");
    }
    remember_target(&repo, &target, ui)?;
    record.finish(&repo)?;
    list_agents(&settings, ui);
    let example = offer_example(&repo, &settings.story_roots, args, ui)?;
    offer_commit(&repo, &target, example.as_deref(), args, ui)?;
    // Opened again: git has written configuration since.
    let repo = Repo::discover(Path::new("."))?;
    guarded::refresh(&repo, true)?;
    for branch in super::certify::adopt(&repo, &mut Store::new(&repo), Some(&target.branch))? {
        ui.status(&format!("watches {} from now on; see: git orchestrate verify", branch.short()));
    }
    Ok(Exit::DONE)
}

/// The settings as they stand; a wrong configuration file is better known before anything is set up.
fn checked_settings(repo: &Repo, ui: &mut Ui) -> Result<Settings, CommandError> {
    let loaded = config::load(&Sources::of(repo.root()));
    let (_, of_policy) = config::policy(FILE, loaded.repository_file.as_deref());
    let mut diagnostics = loaded.diagnostics;
    diagnostics.extend(of_policy.into_iter().filter(|found| !diagnostics.contains(found)).collect::<Vec<_>>());
    let errors = config::has_errors(&diagnostics);
    for diagnostic in &diagnostics {
        let line = format!("{}{}", shown_place(diagnostic), diagnostic.message);
        match diagnostic.severity {
            Severity::Error => ui.problem(&line),
            Severity::Warning | Severity::Info => ui.warning(&line),
        }
        diagnostic.hint.iter().for_each(|hint| ui.hint(hint));
    }
    if errors {
        return Err(CommandError::usage("the configuration is invalid; nothing was set up"));
    }
    Ok(loaded.settings)
}

fn shown_place(diagnostic: &Diagnostic) -> String {
    match &diagnostic.place {
        None => String::new(),
        Some(place) if place.line == 0 => format!("{}: ", place.path),
        Some(place) => format!("{}:{}:{}: ", place.path, place.line, place.column),
    }
}

/// Makes a new file; `false` when something of that name is there.
fn create(path: &Path, text: &str) -> Result<bool, CommandError> {
    let failed = |error| CommandError::operation(format!("cannot write {}", path.display())).because(&error);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    match fs::OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map(|()| true).map_err(failed),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

fn write_config(repo: &Repo, ui: &mut Ui) -> Result<(), CommandError> {
    let made = create(&repo.root().join(FILE), DEFAULT_FILE)?;
    ui.status(&if made { format!("wrote {FILE}") } else { format!("{FILE} is there already: left as it is") });
    Ok(())
}

/// The same for a run in a repository without `init`: says something only when there was something to do.
pub(super) fn exclude_for_run(repo: &Repo, worktrees: &str, ui: &mut Ui) -> Result<(), CommandError> {
    let ignored = fs::read_to_string(repo.root().join(".gitignore")).unwrap_or_default();
    let excluded = fs::read_to_string(repo.common_dir().join("info").join("exclude")).unwrap_or_default();
    let names = |line: &str| line.trim().trim_matches('/') == worktrees;
    if ignored.lines().chain(excluded.lines()).any(names) {
        return Ok(());
    }
    exclude(repo, worktrees, ui)
}

/// Keeps the worktrees out of `git status` without touching a tracked file.
fn exclude(repo: &Repo, worktrees: &str, ui: &mut Ui) -> Result<(), CommandError> {
    let path = repo.common_dir().join("info").join("exclude");
    let failed = |error| CommandError::operation(format!("cannot write {}", path.display())).because(&error);
    let line = format!("{worktrees}/");
    let text = match fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    if text.lines().any(|found| found.trim().trim_start_matches('/') == line) {
        ui.status(&format!("{line} is excluded already"));
        return Ok(());
    }
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    fs::create_dir_all(repo.common_dir().join("info")).map_err(failed)?;
    let mut file = fs::OpenOptions::new().append(true).create(true).open(&path).map_err(failed)?;
    file.write_all(format!("{gap}{line}\n").as_bytes()).map_err(failed)?;
    ui.status(&format!("added {line} to .git/info/exclude"));
    Ok(())
}

/// What `init` would do besides the hooks.
fn preview(repo: &Repo, settings: &Settings, target: &Target, ui: &mut Ui) {
    if !repo.root().join(FILE).exists() {
        ui.status(&format!("would write {FILE}"));
    }
    ui.status(&format!("would have git ignore {}/ by .git/info/exclude", settings.worktrees));
    let name = target.branch.short();
    if target::configured(repo).as_deref() != Some(name) {
        ui.status(&format!("would set {} = {name} in git's configuration ({})", target::CONFIG_KEY, target.why));
    }
}

fn remember_target(repo: &Repo, target: &Target, ui: &mut Ui) -> Result<(), CommandError> {
    let name = target.branch.short();
    if target::configured(repo).as_deref() == Some(name) {
        ui.status(&format!("stories land on {name}, as configured already"));
        return Ok(());
    }
    git(repo, &["config", target::CONFIG_KEY, name])?;
    ui.status(&format!("stories land on {name} ({}); wrote git config {}", target.why, target::CONFIG_KEY));
    Ok(())
}

fn list_agents(settings: &Settings, ui: &mut Ui) {
    if !settings.agents.is_empty() {
        ui.status(&format!("the agent is {}, as configured already", settings.agents.join(", then ")));
        return;
    }
    let found: Vec<&str> = AGENTS.into_iter().filter(|name| which::which(name).is_ok()).collect();
    if found.is_empty() {
        ui.warning(&format!("no coding agent on PATH; looked for {}", AGENTS.join(", ")));
        ui.hint("install one, name a program of your own in .orchestrate.toml, or try: git orchestrate demo");
    } else {
        ui.status(&format!("agents found: {}", found.join(", ")));
    }
}

/// Offers an example where there is no folder with stories; returns its path when one was written.
fn offer_example(repo: &Repo, roots: &[String], args: &InitArgs, ui: &mut Ui) -> Result<Option<String>, CommandError> {
    let Some(first) = roots.first() else { return Ok(None) };
    if roots.iter().any(|root| repo.root().join(root).exists()) {
        return Ok(None);
    }
    let path = format!("{first}/{}", EXAMPLE.0);
    if args.yes || ui.confirm(&format!("There is no {first}/. Write an example story, {path}?")) {
        if create(&repo.root().join(&path), EXAMPLE.1)? {
            ui.status(&format!("wrote {path}: replace it by a story of yours"));
            return Ok(Some(path));
        }
    } else {
        ui.status(&format!(
            "there is no {first}/ yet: put stories there, or get an example with: git orchestrate init --yes"
        ));
    }
    Ok(None)
}

/// Gate keys count only as they stand on the target: names the commit that brings them there, and offers to make it.
fn offer_commit(
    repo: &Repo,
    target: &Target,
    example: Option<&str>,
    args: &InitArgs,
    ui: &mut Ui,
) -> Result<(), CommandError> {
    let branch = target.branch.short();
    let here = fs::read(repo.root().join(FILE)).unwrap_or_default();
    let there = target::policy_file(repo, &target.tip)?;
    if there.as_deref() == Some(here.as_slice()) && example.is_none() {
        ui.status(&format!("{FILE} stands on {branch} already; next: git orchestrate plan"));
        return Ok(());
    }
    let paths: Vec<&str> = std::iter::once(FILE).chain(example).collect();
    let files = paths.iter().map(|path| quoted(path)).collect::<Vec<_>>().join(" ");
    let command = format!("git add {files} && git commit -m \"{COMMIT_MESSAGE}\" -- {files}");
    let on_target = current_branch(repo)?.as_deref() == Some(branch);
    if !on_target {
        ui.status(&format!("to make the configuration count, run on {branch}:\n    {command}"));
    } else if args.yes || ui.confirm(&format!("Make the configuration count with this commit?\n    {command}\n")) {
        git(repo, &[&["add", "--"], paths.as_slice()].concat())?;
        git(repo, &[&["commit", "-q", "-m", COMMIT_MESSAGE, "--"], paths.as_slice()].concat())?;
        ui.status(&format!("committed {} on {branch}; next: git orchestrate plan", paths.join(" and ")));
    } else {
        ui.status(&format!("to make the configuration count, run:\n    {command}"));
    }
    Ok(())
}

fn current_branch(repo: &Repo) -> Result<Option<String>, CommandError> {
    use crate::adapters::git::refs::{Head, head_branch};
    Ok(match head_branch(repo)? {
        Head::Branch(branch) | Head::Unborn(branch) => Some(branch.short().to_owned()),
        Head::Detached(_) => None,
    })
}

/// A path as it can be pasted into a shell.
pub(super) fn quoted(path: &str) -> String {
    let plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
    if plain { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

/// Runs git in the main work tree as the user would, the user's hooks included.
fn git(repo: &Repo, args: &[&str]) -> Result<(), CommandError> {
    let output = spawn::command("git").arg("-C").arg(repo.root()).args(args).output();
    let output = output.map_err(|error| CommandError::operation("git cannot be run").because(&error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let mut error = CommandError::operation(format!("git {} failed", args.first().unwrap_or(&"")));
    error.causes = said.lines().take(10).map(str::to_owned).collect();
    Err(error)
}
