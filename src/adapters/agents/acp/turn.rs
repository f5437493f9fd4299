//! One conversation from the client's start to its end: a session, one turn, what it proves. Must leave no client behind.

use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::{Value, json};

use super::asking::{Asking, consumed};
use super::link::Link;
use super::says::Says;
use super::spec::Spec;
use super::talk::{Stop, Talk};
use super::{faults, session};
use crate::domain::event::FailureClass;

/// Exit code of a turn that did not end well.
const FAILED: u8 = 1;

/// Exit code of a client that could not be started.
const NOT_STARTED: u8 = 127;

/// Longest time that a client gets to end after its turn.
const LEAVING: Duration = Duration::from_secs(10);

/// Runs it; returns the exit code.
pub(super) fn run(spec: &Spec, out: &mut dyn Write) -> u8 {
    let mut says = Says::new(out);
    let prompt = match fs::read_to_string(&spec.prompt) {
        Ok(prompt) => prompt,
        Err(error) => return not_started(&mut says, &format!("{}: {error}", spec.prompt.display())),
    };
    let link = match Link::start(&spec.command, &spec.directory) {
        Ok(link) => link,
        Err(reason) => return not_started(&mut says, &reason),
    };
    let grace = Duration::from_millis(spec.grace_millis);
    let mut talk = Talk::new(link, says, Asking::new(&spec.facts), grace);
    let ended = turn(&mut talk, spec, &prompt);
    let asked = talk.was_asked();
    let Talk { link, mut says, .. } = talk;
    // What the client says while it goes is shown, and it goes before the last word is said.
    let patience = if asked.is_some() { grace * 2 / 5 } else { LEAVING };
    says.close();
    let status = link.end(patience, |text| says.noise(text));
    match (ended, asked) {
        // A turn that was cancelled ends well; that it was asked to is what counts.
        (Ok((stop, ..)), Some(signal)) if stop == "cancelled" => conclude(Err(Stop::Asked(signal)), status, &mut says),
        (ended, _) => conclude(ended, status, &mut says),
    }
}

fn not_started(says: &mut Says<'_>, reason: &str) -> u8 {
    says.end("error", Some(FailureClass::Agent), reason, None);
    NOT_STARTED
}

/// Opens the session and has one turn in it; the reason for which it stopped.
fn turn(talk: &mut Talk<'_>, spec: &Spec, prompt: &str) -> Result<(String, Option<FailureClass>, String), Stop> {
    let open = session::open(talk, spec)?;
    talk.says.session(&open.id, &open.model);
    talk.turn = Some(open.id.clone());
    let content = json!([{ "type": "text", "text": prompt }]);
    let result = talk.call("session/prompt", json!({ "sessionId": open.id, "prompt": content }));
    talk.turn = None;
    talk.says.close();
    if let Some(cost) = talk.asking.cost {
        talk.says.cost(cost);
    }
    let result = result?;
    let (tokens, model) = consumed(&result);
    if let Some(model) = model.filter(|model| *model != open.model) {
        talk.says.session(&open.id, &model);
    }
    talk.says.tokens(&tokens);
    Ok(ended(talk, spec, &result))
}

/// What the answer to a turn says.
fn ended(talk: &mut Talk<'_>, spec: &Spec, result: &Value) -> (String, Option<FailureClass>, String) {
    let stop = result["stopReason"].as_str().unwrap_or("unknown").to_owned();
    let asking = &talk.asking;
    let mut class = faults::of_stop(&stop);
    let mut message = String::new();
    if stop == "end_turn" {
        class = faults::of_last_message(&asking.message, asking.tools);
        if class.is_some() {
            message.clone_from(&asking.message);
        }
    }
    if let (true, Some(reason)) = (message.is_empty(), &asking.refused) {
        message = format!("refused: {reason}");
    }
    let there = Path::new(&spec.facts.result).symlink_metadata().is_ok();
    if let Some(answer) = answer(&asking.message).filter(|_| spec.wants_result && class.is_none() && !there) {
        let answer = answer.to_owned();
        talk.says.answer(&answer);
    }
    (stop, class, message)
}

/// A message that is one JSON object, alone or in one fenced block and nothing but it.
fn answer(message: &str) -> Option<&str> {
    let text = message.trim();
    let text = match text.strip_prefix("```").and_then(|text| text.strip_suffix("```")) {
        Some(block) => block.split_once('\n').filter(|(info, _)| ["", "json"].contains(&info.trim()))?.1.trim(),
        None => text,
    };
    serde_json::from_str::<Value>(text).ok().filter(Value::is_object).map(|_| text)
}

/// Says how it ended; returns the exit code.
fn conclude(
    ended: Result<(String, Option<FailureClass>, String), Stop>,
    status: Option<ExitStatus>,
    says: &mut Says<'_>,
) -> u8 {
    match ended {
        Ok((stop, class, message)) => {
            says.end(&stop, class, &message, None);
            if class.is_some() || stop != "end_turn" { FAILED } else { 0 }
        }
        Err(Stop::Refused(error)) => {
            says.end("error", Some(faults::class(&error)), &faults::words(&error), faults::until(&error));
            FAILED
        }
        Err(Stop::Foreign(reason)) => {
            says.end("error", Some(FailureClass::Agent), &reason, None);
            FAILED
        }
        Err(Stop::Asked(signal)) => {
            says.end("cancelled", None, "asked to end", None);
            u8::try_from(128 + signal).unwrap_or(FAILED)
        }
        Err(Stop::Died) => {
            let how = status.map_or("it closed its output".to_owned(), |status| status.to_string());
            let last = says.last_noise();
            let said = if last.is_empty() { String::new() } else { format!(": {last}") };
            // What its exit code or its last words prove is known to the adapter.
            says.end("died", None, &format!("the client ended in the middle, {how}{said}"), None);
            died(status)
        }
    }
}

/// The client's exit code, as a shell would give it; never 0.
fn died(status: Option<ExitStatus>) -> u8 {
    let code = status.and_then(|status| status.code().or_else(|| status.signal().map(|signal| 128 + signal)));
    code.and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0).unwrap_or(FAILED)
}

#[cfg(test)]
#[path = "turn_tests.rs"]
mod tests;
