//! The `agents` command: which clients are there, how an adapter looks in force, whether clients start.
//! Must not start a session of any.

mod prompts;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::app::{App, runtime};
use super::args::{AgentsAction, AgentsArgs};
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;
use crate::adapters::agents::Registry;
use crate::adapters::agents::check::{Checked, Look};
use crate::adapters::config;
use crate::domain::diagnostic::escape_line;

/// Runs `git orchestrate agents`.
pub(crate) fn run(args: &AgentsArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let app = App::open()?;
    app.show_findings(ui)?;
    let registry = Arc::new(app.agents()?);
    match &args.action {
        None | Some(AgentsAction::List) => list(&app, &registry, args.json, ui),
        Some(AgentsAction::Show { name }) => show(&registry, name, args.json, ui),
        Some(AgentsAction::Prompts { name }) => prompts::show(&app, name.as_deref(), args.json, ui),
        Some(AgentsAction::Roles) => prompts::roles(&app, args.json, ui),
        Some(AgentsAction::Check { names }) => check(&app, &registry, names, args.json, ui),
    }
}

fn list(app: &App, registry: &Arc<Registry>, in_json: bool, ui: &mut Ui) -> Result<Exit, CommandError> {
    let look = Look { registry: registry.clone(), place: Arc::new(app.agent_place(false)?) };
    // Whoever lists must not run what a file of the repository names.
    let (foreign, own): (Vec<&str>, Vec<&str>) =
        registry.names().into_iter().partition(|name| of_repository(registry, name));
    let mut all = runtime()?.block_on(look.check_all(&own));
    all.extend(foreign.into_iter().map(|name| {
        let mut found = look.find(name);
        if found.program.is_some() {
            let note =
                format!("not started: {} names its program; `git orchestrate agents check {name}` does", config::FILE);
            found.notes.push(note);
        }
        found
    }));
    let position = |checked: &Checked| registry.names().iter().position(|name| *name == checked.name);
    all.sort_by_key(position);
    if in_json {
        ui.data(&format!("{}\n", json!({ "version": 1, "agents": all.iter().map(described).collect::<Vec<_>>() })))?;
        return Ok(Exit::DONE);
    }
    let width = all.iter().map(|one| one.name.len()).max().unwrap_or(0);
    let version = |one: &Checked| one.version.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let wide = all.iter().map(|one| version(one).len()).max().unwrap_or(0);
    let line = |one: &Checked| {
        let installed = if one.program.is_some() { "installed" } else { "absent   " };
        let text = [one.problems.as_slice(), one.notes.as_slice()].concat().join("; ");
        let line = format!("{:width$}  {installed}  {:wide$}  {}", one.name, version(one), escape_line(&text));
        format!("{}\n", line.trim_end())
    };
    ui.data(&all.iter().map(line).collect::<String>())?;
    ui.hint("the keys of one: git orchestrate agents show NAME");
    Ok(Exit::DONE)
}

/// Whether the repository's file says what runs.
fn of_repository(registry: &Registry, name: &str) -> bool {
    registry.effective(name).is_none_or(|effective| effective.program_from(config::FILE))
}

fn show(registry: &Registry, name: &str, in_json: bool, ui: &mut Ui) -> Result<Exit, CommandError> {
    let effective = registry.effective(name).ok_or_else(|| unknown(registry, name))?;
    if in_json {
        let key = |key: &crate::adapters::agents::effective::Key| {
            let line = (key.line > 0).then_some(key.line);
            json!({ "key": key.name, "value": plain(&key.value), "from": key.path, "line": line })
        };
        let keys: Vec<Value> = effective.keys.iter().map(key).collect();
        ui.data(&format!("{}\n", json!({ "version": 1, "name": name, "keys": keys })))?;
    } else {
        ui.data(&format!("# {name}\n{}", effective.toml()))?;
    }
    Ok(Exit::DONE)
}

fn plain(value: &toml::Value) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

fn check(
    app: &App,
    registry: &Arc<Registry>,
    names: &[String],
    in_json: bool,
    ui: &mut Ui,
) -> Result<Exit, CommandError> {
    if let Some(name) = names.iter().find(|name| !registry.known(name)) {
        return Err(unknown(registry, name));
    }
    let look = Look { registry: registry.clone(), place: Arc::new(app.agent_place(false)?) };
    let used = used(app, registry);
    let wanted: Vec<&str> = if names.is_empty() {
        used.iter().map(String::as_str).collect()
    } else {
        names.iter().map(String::as_str).collect()
    };
    let all = runtime()?.block_on(look.check_all(&wanted));
    let only_demo = all.iter().all(|one| one.name == "demo" || one.program.is_none());
    let none = names.is_empty() && only_demo;
    let ok = !none && all.iter().all(|one| one.problems.is_empty());
    if in_json {
        let agents: Vec<Value> = all.iter().map(described).collect();
        ui.data(&format!("{}\n", json!({ "version": 1, "ok": ok, "agents": agents })))?;
    } else {
        ui.data(&all.iter().map(told).collect::<String>())?;
        if none {
            ui.problem("no agent is installed");
            ui.hint("which there are, and how to install one: git orchestrate agents check claude codex gemini");
        }
    }
    Ok(if ok { Exit::DONE } else { Exit::FAILED })
}

/// Adapters that are installed, and those that the settings name.
fn used(app: &App, registry: &Registry) -> Vec<String> {
    let installed = registry.installed(app.repo.root());
    let named = app.settings.agents.iter().chain(app.settings.roles.values().flatten()).map(String::as_str);
    let wanted: BTreeSet<&str> = installed.into_iter().chain(named).collect();
    registry.names().into_iter().filter(|name| wanted.contains(name)).map(str::to_owned).collect()
}

/// One client in sentences.
fn told(one: &Checked) -> String {
    let name = &one.name;
    let found = match (&one.program, &one.version) {
        (Some(program), Some(version)) => format!("version {version}, {}", program.display()),
        (Some(program), None) => program.display().to_string(),
        (None, _) => "absent".to_owned(),
    };
    let verdict = if one.problems.is_empty() { "ok" } else { "problem" };
    let mut text = format!("{name}: {verdict}: {}\n", escape_line(&found));
    let hint = one.hint.iter().map(|hint| format!("next: {hint}"));
    for line in one.problems.iter().chain(&one.notes).cloned().chain(hint) {
        text.push_str(&format!("  {}\n", escape_line(&line)));
    }
    text
}

fn described(one: &Checked) -> Value {
    json!({
        "name": one.name,
        "installed": one.program.is_some(),
        "program": one.program.as_ref().map(|program| program.display().to_string()),
        "version": one.version.as_ref().map(ToString::to_string),
        "problems": one.problems,
        "notes": one.notes,
        "next": one.hint,
    })
}

fn unknown(registry: &Registry, name: &str) -> CommandError {
    let names = registry.names();
    let near = names.iter().min_by_key(|known| strsim::levenshtein(known, name)).copied().unwrap_or_default();
    let message = format!("there is no agent `{}`", escape_line(name));
    CommandError::usage(message).hint(format!("did you mean {near}? known: {}", names.join(", ")))
}
