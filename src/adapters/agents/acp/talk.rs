//! JSON-RPC over the pipes: calls and their answers, requests of the client, what may be ignored. Must not know sessions.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::asking::Asking;
use super::faults;
use super::link::{Heard, Link};
use super::says::Says;

/// Lines that are no messages of the protocol, after which it is taken that the client does not speak it.
const NONSENSE: u32 = 200;

/// Of them, how many are shown.
const SHOWN: u32 = 20;

/// JSON-RPC's code for a method that is not known.
const NO_METHOD: i64 = -32601;

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stop {
    /// The client answered with an error.
    Refused(Value),
    /// The client ended, or closed its output.
    Died,
    /// This process was asked to end; the signal's number.
    Asked(i32),
    /// It does not speak the protocol.
    Foreign(String),
}

impl Stop {
    /// Whether it is an answer that the client wants a login first.
    pub(super) fn wants_login(&self) -> bool {
        matches!(self, Self::Refused(error) if error["code"].as_i64() == Some(faults::AUTH_REQUIRED))
    }
}

/// The conversation.
pub(super) struct Talk<'a> {
    pub(super) link: Link,
    pub(super) says: Says<'a>,
    pub(super) asking: Asking<'a>,
    /// Session that a cancel is sent for; set while a turn runs.
    pub(super) turn: Option<String>,
    grace: Duration,
    asked: Option<i32>,
    next: i64,
    nonsense: u32,
}

impl<'a> Talk<'a> {
    pub(super) fn new(link: Link, says: Says<'a>, asking: Asking<'a>, grace: Duration) -> Self {
        Self { link, says, asking, turn: None, grace, asked: None, next: 0, nonsense: 0 }
    }

    /// Sends a request and hears until its answer. While a turn runs, being asked to end cancels it, and its answer is still
    /// waited for.
    pub(super) fn call(&mut self, method: &str, params: Value) -> Result<Value, Stop> {
        let id = self.next;
        self.next += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        let mut until = None;
        loop {
            if self.says.lost && self.asked.is_none() {
                // Whoever watched over this is gone.
                self.asked(15, &mut until)?;
            }
            match self.link.hear(until) {
                Heard::Line(line) => {
                    if let Some(answer) = self.take(&line, id)? {
                        return answer.map_err(Stop::Refused);
                    }
                }
                Heard::TooLong => self.nonsense("a line that is too long")?,
                Heard::Noise(text) => self.says.noise(&text),
                Heard::Closed => return Err(self.asked.map_or(Stop::Died, Stop::Asked)),
                Heard::Asked(signal) => self.asked(signal, &mut until)?,
                Heard::Late => return Err(Stop::Asked(self.asked.unwrap_or(15))),
            }
        }
    }

    /// Whether this process was asked to end.
    pub(super) fn was_asked(&self) -> Option<i32> {
        self.asked
    }

    fn asked(&mut self, signal: i32, until: &mut Option<Instant>) -> Result<(), Stop> {
        let again = self.asked.replace(signal).is_some();
        let Some(session) = self.turn.clone().filter(|_| !again) else { return Err(Stop::Asked(signal)) };
        self.notify("session/cancel", &json!({ "sessionId": session }));
        self.asking.cancelled = true;
        // What is left of the grace is for the client's end.
        *until = Some(Instant::now() + self.grace * 3 / 5);
        Ok(())
    }

    fn notify(&self, method: &str, params: &Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    fn send(&self, message: &Value) {
        self.link.send(message.to_string().into_bytes());
    }

    /// Takes one line; the answer to `id` when it is that.
    fn take(&mut self, line: &[u8], id: i64) -> Result<Option<Result<Value, Value>>, Stop> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let Some(mut message) = serde_json::from_slice::<Value>(line).ok().filter(Value::is_object) else {
            let shown = String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned();
            self.nonsense(&shown)?;
            return Ok(None);
        };
        match (message["method"].as_str().map(str::to_owned), message.get("id").cloned()) {
            (Some(method), Some(asker)) if !asker.is_null() => self.answer(&method, &asker, &message["params"]),
            (Some(method), _) => {
                if method == "session/update" {
                    self.asking.update(&message["params"]["update"], &mut self.says);
                }
            }
            (None, Some(answered)) if answered.as_i64() == Some(id) => {
                let error = message.get("error").filter(|error| !error.is_null()).cloned();
                return Ok(Some(error.map_or_else(|| Ok(message["result"].take()), Err)));
            }
            // The answer to a call that was given up, or nothing of the protocol.
            (None, _) => {}
        }
        Ok(None)
    }

    fn answer(&mut self, method: &str, id: &Value, params: &Value) {
        let answer = if method == "session/request_permission" {
            let outcome = self.asking.decide(params, &mut self.says);
            json!({ "jsonrpc": "2.0", "id": id, "result": { "outcome": outcome } })
        } else {
            // Files and terminals were not offered: a client has its own.
            let message = format!("{method} is not offered");
            json!({ "jsonrpc": "2.0", "id": id, "error": { "code": NO_METHOD, "message": message } })
        };
        self.send(&answer);
    }

    fn nonsense(&mut self, shown: &str) -> Result<(), Stop> {
        self.nonsense += 1;
        if self.nonsense <= SHOWN {
            self.says.noise(shown);
        }
        if self.nonsense < NONSENSE {
            return Ok(());
        }
        Err(Stop::Foreign(format!("{NONSENSE} lines that are no messages of the protocol; the last one: {shown}")))
    }
}
