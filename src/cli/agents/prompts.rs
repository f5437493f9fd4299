//! `agents prompts` and `agents roles`: what agents are told, and where it comes from. Must not fill a prompt.

use serde_json::{Value, json};

use crate::adapters::agents::roles;
use crate::adapters::config::prompts::FOLDER;
use crate::cli::app::{App, show as show_findings};
use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::cli::ui::Ui;
use crate::domain::assign::ROLES;
use crate::domain::diagnostic::escape_line;
use crate::domain::prompt::template::{Field, Name};
use crate::domain::role::{FOLDERS, RoleFile};

/// Lists the texts, or prints one.
pub(super) fn show(app: &App, name: Option<&str>, in_json: bool, ui: &mut Ui) -> Result<Exit, CommandError> {
    let target = app.target(None)?;
    let texts = app.prompts(&target).map_err(|wrong| {
        show_findings(&wrong, ui);
        CommandError::usage("a prompt is not in order")
    })?;
    let wanted = name.map(find).transpose()?;
    let all = texts.sources.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == **name));
    if in_json {
        let all: Vec<Value> = all.map(|(name, (source, text))| described(*name, source, text)).collect();
        ui.data(&format!("{}\n", json!({ "version": 1, "prompts": all })))?;
        return Ok(Exit::DONE);
    }
    if wanted.is_some() {
        let text: String = all.map(|(_, (_, text))| text.as_str()).collect();
        ui.data(&text)?;
        return Ok(Exit::DONE);
    }
    let line = |(name, (source, _)): (&Name, &(String, String))| {
        format!("{:16}  {:10}  {}\n", name.as_str(), escape_line(source), name.purpose())
    };
    ui.data(&all.map(line).collect::<String>())?;
    ui.hint(&format!(
        "one of your own: git orchestrate agents prompts review > {FOLDER}/review.md, edit and commit it on {}",
        target.branch.short()
    ));
    Ok(Exit::DONE)
}

fn find(name: &str) -> Result<Name, CommandError> {
    let known = || Name::ALL.map(Name::as_str).join(", ");
    Name::ALL.into_iter().find(|known| known.as_str() == name).ok_or_else(|| {
        CommandError::usage(format!("there is no prompt `{}`", escape_line(name))).hint(format!("one of {}", known()))
    })
}

fn described(name: Name, source: &str, text: &str) -> Value {
    let needs: Vec<&str> = name.needs().iter().copied().map(Field::as_str).collect();
    json!({ "name": name.as_str(), "from": source, "purpose": name.purpose(), "needs": needs, "text": text })
}

/// Lists the roles.
pub(super) fn roles(app: &App, in_json: bool, ui: &mut Ui) -> Result<Exit, CommandError> {
    let target = app.target(None)?;
    let defined = roles::committed(&app.repo, &target.tip)?;
    let described = |role: &RoleFile| (role.name.clone(), role.path.clone(), role.description.clone());
    let mut all: Vec<_> = defined.iter().map(described).collect();
    let built_in = ROLES.into_iter().filter(|name| defined.iter().all(|role| role.name != *name));
    all.extend(built_in.map(|name| (name.to_owned(), "built in".to_owned(), String::new())));
    let named = app.settings.roles.keys().filter(|name| all.iter().all(|(known, ..)| known != *name));
    let named: Vec<_> = named.map(|name| (name.clone(), "[roles]".to_owned(), String::new())).collect();
    all.extend(named);
    all.sort();
    if in_json {
        let role = |(name, from, description): &(String, String, String)| json!({ "name": name, "from": from, "description": description });
        ui.data(&format!("{}\n", json!({ "version": 1, "roles": all.iter().map(role).collect::<Vec<_>>() })))?;
        return Ok(Exit::DONE);
    }
    let width = all.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
    let wide = all.iter().map(|(_, from, _)| from.len()).max().unwrap_or(0);
    let line = |(name, from, description): &(String, String, String)| {
        let line = format!("{:width$}  {:wide$}  {}", escape_line(name), escape_line(from), escape_line(description));
        format!("{}\n", line.trim_end())
    };
    ui.data(&all.iter().map(line).collect::<String>())?;
    ui.hint(&format!("one of your own: commit {}/NAME.md on {}", FOLDERS[0], target.branch.short()));
    Ok(Exit::DONE)
}
