//! The `log` command: what happened, oldest first; or what the agents printed. Must stay thin: read, render, exit code.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::app::App;
use super::args::LogArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::item;
use super::ui::Ui;
use crate::adapters::ledger::diary;
use crate::adapters::ledger::store::Store;
use crate::adapters::process::executor::attempt_folder;
use crate::adapters::runs;
use crate::domain::diagnostic::{escape, escape_line};
use crate::domain::event::ItemEvent;
use crate::domain::names::{ItemKey, Oid, Timestamp};
use crate::engine::ports::Ledger;
use crate::report::text::json_safe;

/// How often `-f` looks for more.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);

/// One record of one item.
type Entry = (Timestamp, ItemKey, Oid, ItemEvent);

/// Runs `git orchestrate log`.
pub(crate) fn run(args: &LogArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let app = App::open()?;
    if args.agent {
        return agent_output(&app, args, ui);
    }
    let mut store = app.ledger();
    // By name, not by number: what another story recorded at the same time may come to stand before what was shown.
    let mut shown = HashSet::new();
    loop {
        let live = !runs::live(&app.repo.state_dir()).is_empty();
        let entries = entries(&mut store, args.id.as_deref())?;
        for entry in &entries {
            if shown.insert(entry.2.clone()) {
                ui.data(&line(entry, args.json))?;
            }
        }
        if !args.follow || !live {
            if shown.is_empty() {
                ui.status("nothing is recorded yet: no story has been worked on");
            }
            return Ok(Exit::DONE);
        }
        std::thread::sleep(FOLLOW_EVERY);
    }
}

/// Records of one item or of all, by time.
fn entries(store: &mut Store, id: Option<&str>) -> Result<Vec<Entry>, CommandError> {
    let states = store.items()?;
    let keys = match id {
        Some(typed) => vec![item::find(typed, &states)?],
        None => states.into_keys().collect(),
    };
    let mut entries = Vec::new();
    for key in keys {
        let history = store.history(&key)?;
        // A chain is in order whatever its clocks said.
        let mut latest = Timestamp(i64::MIN);
        entries.extend(history.into_iter().map(|(oid, at, event)| {
            latest = latest.max(at);
            (latest, key.clone(), oid, event)
        }));
    }
    entries.sort_by_key(|(at, ..)| *at);
    Ok(entries)
}

fn line((at, key, oid, event): &Entry, as_json: bool) -> String {
    if as_json {
        let value = json!({"version": 1, "at": at.rfc3339(), "storyId": key, "record": oid, "event": event});
        return format!("{}\n", json_safe(&value.to_string()));
    }
    format!("{}  {}  {}\n", at.rfc3339(), oid.short(), escape_line(&diary::of_item(key.as_str(), event)))
}

/// What the sessions of an item's newest attempt printed, oldest session first.
fn agent_output(app: &App, args: &LogArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let Some(typed) = args.id.as_deref() else {
        return Err(CommandError::usage(
            "name the story whose agents you want to read: git orchestrate log ID --agent",
        ));
    };
    let states = app.ledger().items()?;
    let key = item::find(typed, &states)?;
    let attempt = states[&key].attempt.as_ref().map(|attempt| attempt.id.to_string()).unwrap_or_default();
    let logs = logs_below(&attempt_folder(&app.repo.state_dir(), &attempt));
    if logs.is_empty() {
        return Err(CommandError::operation(format!("no output of story {key} is kept on this machine")));
    }
    for log in logs {
        let bytes = std::fs::read(&log)?;
        ui.data(&format!("== {}\n{}\n", app.shown(&log), escape(&String::from_utf8_lossy(&bytes))))?;
    }
    Ok(Exit::DONE)
}

/// `output.log` files below an attempt's folder, in the order of the folders' numbers.
fn logs_below(folder: &std::path::Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let number = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.split('-').next().and_then(|number| number.parse::<u32>().ok()).unwrap_or(0)
    };
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort_by_key(number);
    folders.into_iter().map(|folder| folder.join("output.log")).filter(|log| log.is_file()).collect()
}
