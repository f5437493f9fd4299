//! The scripted agent as a server of the Agent Client Protocol, version 1, in the shape of claude-agent-acp: sessions that
//! another process can go on with, a permission request before each thing that changes something, cancel. Must refuse what a
//! real one refuses.
//!
//! Beside the script lie `<script>.acp`, one line for each message that came in (`method` and what matters of it), and
//! `<script>.sessions/<id>` with the number of turns of each session. A turn costs 0.21 dollars, 10 tokens in and 2 out.

use std::fs;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::act;
use crate::script::{Action, Call, Script, variable};

const MODES: [&str; 3] = ["default", "acceptEdits", "plan"];

pub fn serve(file: &str) -> ExitCode {
    let (tell, messages) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
            if tell.send(message).is_err() {
                return;
            }
        }
    });
    let mut server = Server { file: file.to_owned(), messages, asked: 1000, session: None };
    while let Ok(message) = server.messages.recv() {
        server.journal(&message);
        if let Some(code) = server.take(&message) {
            return ExitCode::from(code);
        }
    }
    ExitCode::SUCCESS
}

struct Server {
    file: String,
    messages: Receiver<Value>,
    /// Id of the newest request of ours.
    asked: i64,
    session: Option<String>,
}

/// How a turn went.
enum Turn {
    Ended(&'static str),
    Stopped(String),
    Failed(Value),
    Exit(u8),
}

impl Server {
    /// Handles a message; a code ends the process.
    fn take(&mut self, message: &Value) -> Option<u8> {
        let method = message["method"].as_str()?;
        let params = &message["params"];
        let answer = match method {
            "initialize" => Self::initialize(params),
            "session/new" => self.open(params, None),
            "session/load" | "session/resume" => self.open(params, params["sessionId"].as_str()),
            "session/set_mode" => match params["modeId"].as_str() {
                Some(mode) if MODES.contains(&mode) && self.is_session(params) => Ok(json!({})),
                _ => Err(json!({ "code": -32602, "message": "Invalid params" })),
            },
            "session/prompt" if self.is_session(params) => match self.turn(params) {
                Turn::Ended(reason) => Ok(self.ended(reason)),
                Turn::Stopped(reason) => Ok(self.ended(&reason)),
                Turn::Failed(error) => Err(error),
                Turn::Exit(code) => return Some(code),
            },
            _ if message.get("id").is_none() => return None,
            _ => Err(json!({ "code": -32601, "message": "Method not found" })),
        };
        match answer {
            Ok(result) => say(&json!({ "jsonrpc": "2.0", "id": message["id"], "result": result })),
            Err(error) => say(&json!({ "jsonrpc": "2.0", "id": message["id"], "error": error })),
        }
        None
    }

    fn initialize(params: &Value) -> Result<Value, Value> {
        if params["protocolVersion"] != 1 || !params["clientCapabilities"].is_object() {
            return Err(json!({ "code": -32602, "message": "Invalid params" }));
        }
        // What comes in no order and what nobody knows is normal.
        say(
            &json!({ "jsonrpc": "2.0", "method": "_auth/status_update", "params": { "authStatus": { "kind": "api_key" } } }),
        );
        Ok(json!({
            "protocolVersion": 1,
            "agentCapabilities": { "loadSession": true, "sessionCapabilities": { "resume": {} } },
            "agentInfo": { "name": "scripted", "version": "1" },
            "authMethods": [],
        }))
    }

    fn open(&mut self, params: &Value, known: Option<&str>) -> Result<Value, Value> {
        if !params["cwd"].as_str().is_some_and(|cwd| cwd.starts_with('/')) || !params["mcpServers"].is_array() {
            return Err(json!({ "code": -32602, "message": "Invalid params" }));
        }
        let id = match known {
            Some(id) if self.session_file(id).exists() => id.to_owned(),
            Some(id) => return Err(json!({ "code": -32002, "message": format!("Resource not found: {id}") })),
            None => format!("acp-{}", std::process::id()),
        };
        if known.is_none() {
            let file = self.session_file(&id);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "0").unwrap();
        }
        self.session = Some(id.clone());
        let modes = MODES.map(|mode| json!({ "id": mode, "name": mode }));
        Ok(json!({
            "sessionId": id,
            "modes": { "currentModeId": "acceptEdits", "availableModes": modes },
            "models": { "currentModelId": "scripted-1", "availableModels": [{ "modelId": "scripted-1", "name": "One" }] },
        }))
    }

    fn is_session(&self, params: &Value) -> bool {
        params["sessionId"].as_str().is_some() && params["sessionId"].as_str() == self.session.as_deref()
    }

    fn session_file(&self, id: &str) -> PathBuf {
        PathBuf::from(format!("{}.sessions", self.file)).join(id)
    }

    fn turn(&mut self, params: &Value) -> Turn {
        let text = params["prompt"][0]["text"].as_str().unwrap_or_default().to_owned();
        let script = Script::read(&self.file);
        let call = Call::record(&text, script.journal.as_deref());
        for action in script.actions(&call) {
            let turn = match &action {
                Action::Ask(argv) => {
                    self.ask("execute", &argv.join(" "), json!({ "command": argv.join(" ") }), &[]).map(|may| {
                        if may {
                            act::perform(&Action::Try(argv.clone()), &call, &text);
                        }
                    })
                }
                Action::Approve | Action::RequestChanges { .. } | Action::Prose => {
                    let path = variable("ORCHESTRATE_RESULT");
                    self.ask("edit", "Write the answer", json!({ "file_path": path }), &[&path]).map(|may| {
                        if may {
                            act::perform(&action, &call, &text);
                        }
                    })
                }
                Action::Say(text) => {
                    // In pieces, as models talk.
                    for piece in text.as_bytes().chunks(7) {
                        self.update(&json!({
                            "sessionUpdate": "agent_message_chunk",
                            "content": { "type": "text", "text": String::from_utf8_lossy(piece) },
                        }));
                    }
                    Ok(())
                }
                Action::BigUpdate(megabytes) => {
                    let text = "x".repeat(megabytes * 1024 * 1024);
                    self.update(&json!({
                        "sessionUpdate": "tool_call_update", "toolCallId": "big", "status": "completed", "rawOutput": text,
                    }));
                    Ok(())
                }
                Action::RpcError(error) => Err(Turn::Failed(serde_json::from_str(error).unwrap())),
                Action::Stop(reason) => Err(Turn::Stopped(reason.clone())),
                Action::Hang => Err(self.until_cancelled()),
                action => {
                    let title = format!("{action:?}");
                    self.update(&json!({
                        "sessionUpdate": "tool_call", "toolCallId": format!("t{}", self.asked), "title": title,
                        "kind": "execute", "status": "in_progress",
                    }));
                    act::perform(action, &call, &text).map_or(Ok(()), |code| Err(Turn::Exit(code)))
                }
            };
            if let Err(turn) = turn {
                return turn;
            }
        }
        Turn::Ended("end_turn")
    }

    /// Asks to be allowed; an error is a cancelled turn.
    fn ask(&mut self, kind: &str, title: &str, input: Value, paths: &[&str]) -> Result<bool, Turn> {
        self.asked += 1;
        let (id, call) = (self.asked, format!("call-{}", self.asked));
        let locations: Vec<Value> = paths.iter().map(|path| json!({ "path": path })).collect();
        // The call is told first, and the request names it only: what is left out was said before.
        self.update(&json!({
            "sessionUpdate": "tool_call", "toolCallId": call, "title": title, "kind": kind, "status": "pending",
            "rawInput": input, "locations": locations,
        }));
        let options = json!([
            { "optionId": "always", "name": "Always allow", "kind": "allow_always" },
            { "optionId": "once", "name": "Allow", "kind": "allow_once" },
            { "optionId": "no", "name": "Reject", "kind": "reject_once" },
        ]);
        let params = json!({ "sessionId": self.session, "toolCall": { "toolCallId": call }, "options": options });
        say(&json!({ "jsonrpc": "2.0", "id": id, "method": "session/request_permission", "params": params }));
        loop {
            let Ok(message) = self.messages.recv() else { return Err(Turn::Exit(0)) };
            self.journal(&message);
            if message["method"] == "session/cancel" {
                return Err(Turn::Ended("cancelled"));
            }
            if message["id"] == id {
                let outcome = &message["result"]["outcome"];
                return Ok(outcome["outcome"] == "selected" && outcome["optionId"] != "no");
            }
        }
    }

    fn until_cancelled(&mut self) -> Turn {
        loop {
            match self.messages.recv() {
                Ok(message) => {
                    self.journal(&message);
                    if message["method"] == "session/cancel" {
                        return Turn::Ended("cancelled");
                    }
                }
                Err(_) => return Turn::Exit(0),
            }
        }
    }

    /// What a turn's answer holds; the session's cost is told before it.
    fn ended(&self, reason: &str) -> Value {
        let file = self.session_file(self.session.as_deref().unwrap_or_default());
        let turns = fs::read_to_string(&file).unwrap().parse::<u32>().unwrap() + 1;
        fs::write(file, turns.to_string()).unwrap();
        let cost = f64::from(turns) * 0.21;
        self.update(&json!({
            "sessionUpdate": "usage_update", "used": 12, "size": 1000, "cost": { "amount": cost, "currency": "USD" },
        }));
        json!({ "stopReason": reason, "usage": { "totalTokens": 12, "inputTokens": 10, "outputTokens": 2 } })
    }

    fn update(&self, update: &Value) {
        let params = json!({ "sessionId": self.session, "update": update });
        say(&json!({ "jsonrpc": "2.0", "method": "session/update", "params": params }));
    }

    fn journal(&self, message: &Value) {
        let prompt = message["params"]["prompt"][0]["text"].as_str().map(str::len);
        let line = json!({
            "pid": std::process::id(), "item": variable("ORCHESTRATE_ITEM"), "phase": variable("ORCHESTRATE_PHASE"),
            "method": message["method"], "session": message["params"]["sessionId"], "mode": message["params"]["modeId"],
            "outcome": message["result"]["outcome"], "prompt": prompt, "parent": std::os::unix::process::parent_id(),
        });
        let mut file = fs::OpenOptions::new().create(true).append(true).open(format!("{}.acp", self.file)).unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

/// One message in one line.
fn say(message: &Value) {
    let mut out = std::io::stdout().lock();
    // Whoever asked may be gone; then this ends by itself.
    let _ = out.write_all(format!("{message}\n").as_bytes()).and_then(|()| out.flush());
}
