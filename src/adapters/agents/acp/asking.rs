//! What a client tells of its work and asks to be allowed: keeps what is needed of each tool call, prints what happens, answers
//! requests by the policy. Must not keep contents of files or output.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::places::Facts;
use super::policy::{self, Asked};
use super::says::{Says, Tokens, cut};

/// Tool calls that are remembered.
const CALLS: usize = 256;

/// Longest last message that is kept, in bytes.
const MESSAGE: usize = 4 * 1024 * 1024;

/// Longest title of a tool that is shown, in bytes.
const TITLE: usize = 300;

/// State of a turn.
pub(super) struct Asking<'a> {
    facts: &'a Facts,
    calls: VecDeque<(String, Asked)>,
    /// Whether what comes was said earlier.
    pub(super) replaying: bool,
    /// Whether the turn was cancelled.
    pub(super) cancelled: bool,
    /// The agent's last message.
    pub(super) message: String,
    /// Whether the message may go on.
    open: bool,
    /// Tool calls of this turn.
    pub(super) tools: u32,
    /// Requests refused in this turn, with the newest reason.
    pub(super) refused: Option<String>,
    /// Cost of the session so far, in dollars.
    pub(super) cost: Option<f64>,
}

impl<'a> Asking<'a> {
    pub(super) fn new(facts: &'a Facts) -> Self {
        Self {
            facts,
            calls: VecDeque::new(),
            replaying: false,
            cancelled: false,
            message: String::new(),
            open: false,
            tools: 0,
            refused: None,
            cost: None,
        }
    }

    /// A `session/update`.
    pub(super) fn update(&mut self, update: &Value, says: &mut Says<'_>) {
        if update["sessionUpdate"] == "usage_update" {
            self.cost(update);
        }
        if self.replaying {
            return;
        }
        match update["sessionUpdate"].as_str().unwrap_or_default() {
            "agent_message_chunk" => self.message(update["content"]["text"].as_str().unwrap_or_default(), says),
            "agent_thought_chunk" => says.piece("thought", update["content"]["text"].as_str().unwrap_or_default()),
            "tool_call" => {
                self.open = false;
                self.tools = self.tools.saturating_add(1);
                let call = self.call(update);
                says.update("tool", &shown(&call));
                if let Some(path) =
                    call.paths.first().filter(|_| ["edit", "delete", "move"].contains(&call.kind.as_str()))
                {
                    says.update("file", path);
                }
            }
            "tool_call_update" => {
                self.open = false;
                let before = self.known(update).map(shown);
                let call = shown(&self.call(update));
                if update["status"] == "failed" {
                    says.update("tool", &format!("failed: {call}"));
                } else if before.is_some_and(|before| before != call) {
                    // Some clients say what it is only after they said that it is.
                    says.update("tool", &call);
                }
            }
            "plan" => {
                self.open = false;
                let entries = update["entries"].as_array().map(Vec::as_slice).unwrap_or_default();
                let at_work = entries.iter().find(|entry| entry["status"] == "in_progress");
                if let Some(text) = at_work.and_then(|entry| entry["content"].as_str()) {
                    says.update("plan", cut(text, TITLE));
                }
            }
            // Whatever else there is or will be.
            _ => {}
        }
    }

    fn message(&mut self, text: &str, says: &mut Says<'_>) {
        if !self.open {
            self.message.clear();
            self.open = true;
        }
        let room = MESSAGE.saturating_sub(self.message.len());
        self.message.push_str(cut(text, room));
        says.piece("message", text);
    }

    fn cost(&mut self, update: &Value) {
        let dollars = update["cost"]["amount"].as_f64().filter(|amount| amount.is_finite() && *amount >= 0.0);
        if update["cost"]["currency"] == "USD" {
            self.cost = dollars.or(self.cost);
        }
    }

    fn known(&self, fields: &Value) -> Option<&Asked> {
        self.calls.iter().find(|(id, _)| fields["toolCallId"] == id.as_str()).map(|(_, asked)| asked)
    }

    /// What is known of a tool call, this message included: later ones may leave out what earlier ones said.
    fn call(&mut self, fields: &Value) -> Asked {
        let id = fields["toolCallId"].as_str().unwrap_or_default().to_owned();
        let known = self.calls.iter().position(|(known, _)| *known == id).and_then(|at| self.calls.remove(at));
        let mut asked = known.map(|(_, asked)| asked).unwrap_or_default();
        learn(&mut asked, fields);
        if self.calls.len() >= CALLS {
            self.calls.pop_front();
        }
        self.calls.push_back((id, asked.clone()));
        asked
    }

    /// The outcome of a `session/request_permission`.
    pub(super) fn decide(&mut self, params: &Value, says: &mut Says<'_>) -> Value {
        let cancelled = json!({ "outcome": "cancelled" });
        if self.cancelled {
            return cancelled;
        }
        let mut asked = self.call(&params["toolCall"]);
        if asked.command.is_none() && asked.kind == "execute" {
            // Some clients say the command in the title only, in back quotes or with a description behind it.
            asked.command = Some(asked.title.trim_matches('`').to_owned());
        }
        let options = params["options"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of_kind = |kinds: &[&str]| {
            let fits = |kind: &&str| options.iter().find(|option| option["kind"] == **kind)?["optionId"].as_str();
            kinds.iter().find_map(fits)
        };
        // What is allowed for ever is not asked again, and then nobody looks.
        let once = of_kind(&["allow_once"]);
        let reason = policy::refused(&asked, self.facts)
            .or_else(|| once.is_none().then(|| "the client offers no way to allow it once".to_owned()));
        let option = if reason.is_some() { of_kind(&["reject_once", "reject_always"]) } else { once };
        says.permission(&shown(&asked), reason.as_deref());
        self.refused = reason.or(self.refused.take());
        option.map_or(cancelled, |option| json!({ "outcome": "selected", "optionId": option }))
    }
}

fn shown(asked: &Asked) -> String {
    let named = if asked.title.is_empty() { &asked.kind } else { &asked.title };
    let text = asked.command.as_ref().unwrap_or(named);
    cut(text, TITLE).to_owned()
}

/// Adds what a message says of a tool call.
fn learn(asked: &mut Asked, fields: &Value) {
    if let Some(kind) = fields["kind"].as_str() {
        kind.clone_into(&mut asked.kind);
    }
    if let Some(title) = fields["title"].as_str() {
        title.clone_into(&mut asked.title);
    }
    let input = &fields["rawInput"];
    if let Some(command) =
        ["command", "cmd", "commandLine", "fullCommandText"].iter().find_map(|key| command(&input[*key]))
    {
        asked.command = Some(command);
    }
    let mut paths = Vec::new();
    let mut add = |path: &Value| paths.extend(path.as_str().map(str::to_owned));
    for key in ["file_path", "filePath", "path", "abs_path", "notebook_path", "fileName"] {
        add(&input[key]);
    }
    for location in fields["locations"].as_array().into_iter().flatten() {
        add(&location["path"]);
    }
    for part in fields["content"].as_array().into_iter().flatten().filter(|part| part["type"] == "diff") {
        add(&part["path"]);
    }
    paths.extend(input["changes"].as_object().into_iter().flatten().map(|(path, _)| path.clone()));
    for path in paths {
        if !asked.paths.contains(&path) && asked.paths.len() < CALLS {
            asked.paths.push(path);
        }
    }
}

/// A command as a text, or as an array of arguments, which is quoted again.
fn command(value: &Value) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(text.to_owned());
    }
    let words: Vec<&str> = value.as_array()?.iter().filter_map(Value::as_str).collect();
    let quoted = words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''")));
    (!words.is_empty()).then(|| quoted.collect::<Vec<_>>().join(" "))
}

/// What a turn consumed: the protocol's own field, or the one that Gemini has for it. The model where it is named beside.
pub(super) fn consumed(result: &Value) -> (Tokens, Option<String>) {
    let (usage, quota) = (&result["usage"], &result["_meta"]["quota"]);
    let number = |key: &str, other: &str| usage[key].as_u64().or_else(|| quota["token_count"][other].as_u64());
    let tokens = Tokens {
        input: number("inputTokens", "input_tokens"),
        output: number("outputTokens", "output_tokens"),
        cache_read: number("cachedReadTokens", "cached_read_tokens"),
        cache_write: number("cachedWriteTokens", "cached_write_tokens"),
    };
    (tokens, quota["model_usage"][0]["model"].as_str().map(str::to_owned))
}

#[cfg(test)]
#[path = "asking_tests.rs"]
mod tests;
