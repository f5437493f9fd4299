//! The `rescue` command: work that was kept when a worktree went away.
//! Must not lose anything that is newer.

use serde_json::json;

use super::app::App;
use super::args::{RescueAction, RescueArgs};
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;
use crate::adapters::git::rescued::{self, Changed, Rescued};
use crate::domain::diagnostic::{escape, escape_line};
use crate::domain::names::BranchRef;
use crate::report::text::rfc3339_seconds;

/// Most changed files that are shown to a person.
const SHOWN: usize = 200;

/// Runs `git orchestrate rescue`.
pub(crate) fn run(args: &RescueArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    match &args.action {
        None | Some(RescueAction::List) => list(args.json, ui)?,
        Some(RescueAction::Show { name }) => show(name, args.json, ui)?,
        Some(RescueAction::Restore { name, branch }) => restore(name, branch.as_deref(), args.json, ui)?,
    }
    Ok(Exit::DONE)
}

fn list(in_json: bool, ui: &mut Ui) -> Result<(), CommandError> {
    let app = App::open()?;
    let all = rescued::list(&app.repo)?;
    if in_json {
        let all: Vec<_> = all.iter().map(described).collect();
        return ui.data(&format!("{}\n", json!({ "version": 1, "rescued": all })));
    }
    if all.is_empty() {
        ui.status("nothing is kept: no worktree went away with work that is not merged");
        return Ok(());
    }
    let width = all.iter().map(|one| one.name.len()).max().unwrap_or(0);
    let line = |one: &Rescued| {
        let (at, subject) = (rfc3339_seconds(one.at), escape_line(one.subject()));
        format!("{:width$}  {at}  {} {subject}\n", escape_line(&one.name), one.commit.short())
    };
    ui.data(&all.iter().map(line).collect::<String>())?;
    ui.hint("look at one: git orchestrate rescue show NAME");
    Ok(())
}

fn show(name: &str, in_json: bool, ui: &mut Ui) -> Result<(), CommandError> {
    let app = App::open()?;
    let one = rescued::find(&app.repo, name)?;
    let changes = rescued::changes(&app.repo, &one)?;
    if in_json {
        let mut value = described(&one);
        value["version"] = json!(1);
        value["message"] = json!(one.message);
        value["changes"] = changes.iter().map(changed_json).collect();
        return ui.data(&format!("{value}\n"));
    }
    ui.data(&shown(&one, &changes))
}

/// Branch, then the command that looks at it.
fn restore(name: &str, branch: Option<&str>, in_json: bool, ui: &mut Ui) -> Result<(), CommandError> {
    let app = App::open_to_change()?;
    let one = rescued::find(&app.repo, name)?;
    let short = branch.map_or_else(|| format!("rescued/{}", one.name), str::to_owned);
    let branch = BranchRef::new(format!("refs/heads/{}", short.strip_prefix("refs/heads/").unwrap_or(&short)));
    let target = app.target(None)?;
    if branch == target.branch || target.policy.protects(branch.short()) {
        let message = format!("{} is protected: rescued work goes to a branch of its own", branch.short());
        return Err(CommandError::new(super::error::Kind::Gate, message).hint("choose another name with --branch"));
    }
    rescued::restore(&app.repo, &one, &branch)?;
    if in_json {
        let value = json!({ "version": 1, "name": one.name, "branch": branch.short(), "commit": one.commit.as_str() });
        return ui.data(&format!("{value}\n"));
    }
    ui.data(&format!("{} is at {} now\n", escape_line(branch.short()), one.commit.short()))?;
    ui.hint(&format!("look at it: git log -p -1 {}", escape_line(branch.short())));
    Ok(())
}

fn shown(one: &Rescued, changes: &[Changed]) -> String {
    let mut text =
        format!("{}\ncommit  {}\nkept    {}\n\n", escape_line(&one.reference), one.commit, rfc3339_seconds(one.at));
    for line in one.message.lines() {
        text.push_str(&format!("    {}\n", escape(line)));
    }
    if let Some((base, _)) = one.parents.first() {
        text.push_str(&format!("\n{} file(s) differ from {}\n", changes.len(), base.short()));
    }
    for change in changes.iter().take(SHOWN) {
        let lines = change.lines.map_or_else(|| "binary".to_owned(), |(plus, minus)| format!("+{plus} -{minus}"));
        text.push_str(&format!("  {lines:>12}  {}\n", escape_line(&change.path)));
    }
    if changes.len() > SHOWN {
        text.push_str(&format!("  and {} more\n", changes.len() - SHOWN));
    }
    for (parent, subject) in one.parents.iter().skip(1) {
        text.push_str(&format!("also keeps {} {}\n", parent.short(), escape_line(subject)));
    }
    text.push_str(&format!("\nput it on a branch: git orchestrate rescue restore {}\n", escape_line(&one.name)));
    text
}

fn described(one: &Rescued) -> serde_json::Value {
    let parents: Vec<_> =
        one.parents.iter().map(|(id, subject)| json!({ "commit": id.as_str(), "subject": subject })).collect();
    json!({
        "name": one.name,
        "ref": one.reference,
        "commit": one.commit.as_str(),
        "time": rfc3339_seconds(one.at),
        "subject": one.subject(),
        "parents": parents,
    })
}

fn changed_json(change: &Changed) -> serde_json::Value {
    let (added, removed) = change.lines.map_or((None, None), |(plus, minus)| (Some(plus), Some(minus)));
    json!({ "path": change.path, "added": added, "removed": removed })
}
