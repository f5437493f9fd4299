//! The `log --agent` command: what the agents of one attempt did and said. Must hold no more of a log than an entry.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::app::App;
use super::args::LogArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::item;
use super::ui::Ui;
use crate::adapters::agents::adapter::Parser;
use crate::adapters::agents::parse::{self, Transcript};
use crate::adapters::agents::price::{self, Reckoned};
use crate::adapters::agents::record::{self, Kept};
use crate::domain::diagnostic::escape;
use crate::domain::event::ItemEvent;
use crate::domain::names::ItemKey;
use crate::domain::price::PriceTable;
use crate::domain::transcript::Entry;
use crate::engine::ports::{Ended, Ledger};
use crate::report::text::Color;
use crate::report::transcript::{Account, Head, account, account_json, entry, entry_json, head};

/// Bytes of a log that are read at once.
const CHUNK: usize = 64 * 1024;

/// Runs `git orchestrate log ID --agent`.
pub(crate) fn run(app: &App, args: &LogArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let Some(typed) = args.id.as_deref() else {
        return Err(CommandError::usage(
            "name the story whose agents you want to read: git orchestrate log ID --agent",
        ));
    };
    app.show_findings(ui)?;
    let mut store = app.ledger();
    let states = store.items()?;
    let key = item::find(typed, &states)?;
    let history = store.history(&key)?;
    let attempts: Vec<String> = history.iter().filter_map(|(.., event)| started(event)).collect();
    let attempt = chosen(&key, &attempts, args.attempt)?;
    let kept = record::of_attempt(&app.repo.state_dir(), &attempt);
    if kept.is_empty() {
        return Err(CommandError::operation(format!("no output of story {key} is kept on this machine")));
    }
    let registry = app.agents().ok();
    let prices = price::table(&app.settings.prices);
    let before = states[&key].attempt.as_ref().map(|attempt| attempt.agent.clone()).unwrap_or_default();
    for kept in kept {
        // An older version wrote down nothing: then it is the adapter of the story's newest attempt.
        let parser = kept.invoked.as_ref().map(|invoked| invoked.parser);
        let parser = parser.or_else(|| Some(registry.as_ref()?.adapter(&before)?.parser)).unwrap_or(Parser::Plain);
        let told = Head {
            name: kept.name.clone(),
            phase: kept.phase.clone(),
            adapter: kept.invoked.as_ref().map(|invoked| invoked.adapter.clone()).unwrap_or_default(),
            role: kept.invoked.as_ref().map(|invoked| invoked.role.clone()).unwrap_or_default(),
            log: app.shown(&kept.log).to_string(),
        };
        match (args.raw, args.json) {
            (true, _) => {
                ui.data(&format!("== {}\n", app.shown(&kept.log)))?;
                raw(&kept.log, ui)?;
            }
            (false, json) => readable(&kept, parser, &told, &prices, json, ui)?,
        }
    }
    Ok(Exit::DONE)
}

fn started(event: &ItemEvent) -> Option<String> {
    if let ItemEvent::AttemptStarted { attempt, .. } = event { Some(attempt.to_string()) } else { None }
}

/// The attempt that is meant: the newest, or the Nth.
fn chosen(key: &ItemKey, attempts: &[String], number: Option<usize>) -> Result<String, CommandError> {
    let found = match number {
        None => attempts.last(),
        Some(number) => number.checked_sub(1).and_then(|index| attempts.get(index)),
    };
    let count = attempts.len();
    match (found, number) {
        (Some(attempt), _) => Ok(attempt.clone()),
        (None, None) => Err(CommandError::operation(format!("no agent has worked on story {key} yet"))
            .hint(format!("git orchestrate stories {key}"))),
        (None, Some(number)) => Err(CommandError::usage(format!("story {key} has no attempt {number}"))
            .hint(format!("it has {count}; the newest is shown without --attempt"))),
    }
}

/// The entries of a log as they are read, and what it came to.
fn readable(
    kept: &Kept,
    parser: Parser,
    told: &Head,
    prices: &PriceTable,
    json: bool,
    ui: &mut Ui,
) -> Result<(), CommandError> {
    let color = Color::of(ui.out_color());
    if !json {
        ui.data(&head(told, color))?;
    }
    let mut failed = None;
    let mut tell = |found: Entry| {
        if failed.is_none() {
            let text = if json { entry_json(told, &found) } else { entry(&found, color) };
            failed = ui.data(&text).err();
        }
    };
    let transcript = parse::entries(&kept.log, parser, &mut tell);
    if let Some(error) = failed {
        return Err(error);
    }
    let account_of = came_to(kept, &transcript, prices);
    ui.data(&if json { account_json(told, &account_of) } else { account(&account_of, color) })
}

fn came_to(kept: &Kept, transcript: &Transcript, prices: &PriceTable) -> Account {
    let Reckoned { usage, counting, priced } = price::reckon(transcript, None, prices);
    let session = kept.invoked.as_ref().map(|invoked| invoked.session.clone());
    Account {
        session: transcript.session.clone().or(session).unwrap_or_default(),
        model: transcript.model.clone(),
        usage,
        of_session: counting.tokens || counting.cost,
        priced,
        ended: kept.ended.as_ref().map(ended).unwrap_or_default(),
        class: transcript
            .class
            .and_then(|class| Some(serde_json::to_value(class).ok()?.as_str()?.to_owned()))
            .unwrap_or_default(),
        until: transcript.until,
        gap: transcript.gap,
    }
}

fn ended(ended: &Ended) -> String {
    match ended {
        Ended::Exit(code) => format!("exited with {code}"),
        Ended::Signal(signal) => format!("killed by signal {signal}"),
        Ended::WallTimeout => "ran into its time limit".to_owned(),
        Ended::IdleTimeout => "gave no output for too long".to_owned(),
        Ended::Cancelled => "stopped".to_owned(),
        Ended::NotStarted(reason) => format!("did not start: {reason}"),
    }
}

/// What was printed, with nothing in it that a terminal would obey.
fn raw(log: &Path, ui: &mut Ui) -> Result<(), CommandError> {
    let mut file = File::open(log)?;
    let mut bytes = Vec::new();
    loop {
        let before = bytes.len();
        bytes.resize(before + CHUNK, 0);
        let read = file.read(&mut bytes[before..]);
        bytes.truncate(before + read.as_ref().map_or(0, |count| *count));
        let end = match read {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read? == 0,
        };
        // The hole of a log whose middle was left out.
        if bytes.len() > before && bytes[before..].iter().all(|byte| *byte == 0) {
            bytes.truncate(before);
            continue;
        }
        // A character may be cut in two by the end of what was read.
        let whole = if end { bytes.len() } else { whole_characters(&bytes) };
        ui.data(&escape(&String::from_utf8_lossy(&bytes[..whole])))?;
        bytes.drain(..whole);
        if end {
            return ui.data("\n");
        }
    }
}

/// Bytes up to a character that is not complete yet.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Ok(_) | Err(_) => bytes.len(),
    }
}
