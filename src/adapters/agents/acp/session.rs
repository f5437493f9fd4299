//! Opens a session: handshake, login by a key that is in the environment, a new session or an earlier one, its mode and model.
//! Must not start a turn.

use serde_json::{Value, json};

use super::says::cut;
use super::spec::Spec;
use super::talk::{Stop, Talk};

/// The protocol's version.
const VERSION: i64 = 1;

/// Ways to log in that are tried.
const LOGINS: usize = 3;

/// A session to work in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Open {
    /// Its id.
    pub(super) id: String,
    /// Model, as the client names it.
    pub(super) model: String,
}

/// Opens the session that is wanted.
pub(super) fn open(talk: &mut Talk<'_>, spec: &Spec) -> Result<Open, Stop> {
    let hello = talk.call(
        "initialize",
        json!({
            "protocolVersion": VERSION,
            "clientCapabilities": { "fs": { "readTextFile": false, "writeTextFile": false }, "terminal": false },
            "clientInfo": { "name": "git-orchestrate", "title": "git-orchestrate", "version": env!("CARGO_PKG_VERSION") },
        }),
    )?;
    if hello["protocolVersion"].as_i64() != Some(VERSION) {
        let version = hello["protocolVersion"].to_string();
        return Err(Stop::Foreign(format!("it speaks version {version} of the protocol, not {VERSION}")));
    }
    let mut state = match begin(talk, spec, &hello) {
        Err(stop) if stop.wants_login() => {
            login(talk, &hello, stop)?;
            begin(talk, spec, &hello)?
        }
        begun => begun?,
    };
    let id = spec.session.clone().or_else(|| state["sessionId"].as_str().map(str::to_owned));
    let id = id.filter(|id| !id.is_empty()).ok_or_else(|| Stop::Foreign("a session without an id".to_owned()))?;
    set_mode(talk, spec, &id, &state)?;
    if let Some(after) = set_model(talk, spec, &id, &state)? {
        state["configOptions"] = after;
    }
    let model = spec.model.clone().unwrap_or_else(|| current_model(&state));
    Ok(Open { id, model })
}

/// A new session, or the one that is to be continued: without its history told again where the client can do that.
fn begin(talk: &mut Talk<'_>, spec: &Spec, hello: &Value) -> Result<Value, Stop> {
    let mut params = json!({ "cwd": spec.directory, "mcpServers": [] });
    let Some(session) = &spec.session else { return talk.call("session/new", params) };
    params["sessionId"] = json!(session);
    let able = &hello["agentCapabilities"];
    let method = if !able["sessionCapabilities"]["resume"].is_null() {
        "session/resume"
    } else if able["loadSession"] == true {
        "session/load"
    } else {
        return Err(Stop::Refused(json!({ "message": "the client cannot go on with a session" })));
    };
    talk.asking.replaying = true;
    let begun = talk.call(method, params);
    talk.asking.replaying = false;
    begun
}

/// Logs in by a method that takes a key from the environment; one that asks a person is never started.
fn login(talk: &mut Talk<'_>, hello: &Value, wanted: Stop) -> Result<(), Stop> {
    let methods = hello["authMethods"].as_array().map(Vec::as_slice).unwrap_or_default();
    let by_key = |method: &&Value| {
        let id = method["id"].as_str().unwrap_or_default();
        !method["_meta"]["api-key"].is_null()
            || method["type"] == "env_var"
            || id.replace(['-', '_'], "").contains("apikey")
    };
    for method in methods.iter().filter(by_key).take(LOGINS) {
        match talk.call("authenticate", json!({ "methodId": method["id"] })) {
            Ok(_) => return Ok(()),
            Err(Stop::Refused(_)) => {}
            Err(stop) => return Err(stop),
        }
    }
    Err(wanted)
}

/// Sets the first wanted mode that the client has. A mode is a way of asking, and the policy answers in each: none is no error.
fn set_mode(talk: &mut Talk<'_>, spec: &Spec, id: &str, state: &Value) -> Result<(), Stop> {
    let option = option(state, "mode");
    let modes = &state["modes"];
    let known = |wanted: &str| match &option {
        Some(option) => values(option).contains(&wanted),
        None => modes["availableModes"].as_array().into_iter().flatten().any(|mode| mode["id"] == wanted),
    };
    let current = option.as_ref().map_or(&modes["currentModeId"], |option| &option["currentValue"]);
    for wanted in &spec.modes {
        if current == wanted.as_str() {
            return Ok(());
        }
        if !known(wanted) {
            continue;
        }
        let set = match &option {
            Some(option) => configure(talk, id, option, wanted).map(drop),
            None => talk.call("session/set_mode", json!({ "sessionId": id, "modeId": wanted })).map(drop),
        };
        match set {
            Err(Stop::Refused(error)) => talk.says.noise(&format!("mode {wanted}: {}", super::faults::words(&error))),
            set => return set,
        }
    }
    if !spec.modes.is_empty() {
        talk.says.noise(&format!("none of the modes {} is there; it stays in {current}", spec.modes.join(", ")));
    }
    Ok(())
}

/// Sets the wanted model; the session's options after it. That a model is not there is an error, as with any other client.
fn set_model(talk: &mut Talk<'_>, spec: &Spec, id: &str, state: &Value) -> Result<Option<Value>, Stop> {
    let Some(model) = &spec.model else { return Ok(None) };
    if let Some(option) = option(state, "model") {
        return configure(talk, id, &option, model).map(Some);
    }
    talk.call("session/set_model", json!({ "sessionId": id, "modelId": model })).map(|_| None)
}

fn configure(talk: &mut Talk<'_>, id: &str, option: &Value, value: &str) -> Result<Value, Stop> {
    let params = json!({ "sessionId": id, "configId": option["id"], "value": value });
    talk.call("session/set_config_option", params).map(|mut result| result["configOptions"].take())
}

/// The session's option of a category.
fn option(state: &Value, category: &str) -> Option<Value> {
    let options = state["configOptions"].as_array()?;
    options.iter().find(|option| option["category"] == category).cloned()
}

/// Values of an option; they may lie in groups.
fn values(option: &Value) -> Vec<&str> {
    let entries = option["options"].as_array().map(Vec::as_slice).unwrap_or_default();
    let grouped = entries.iter().flat_map(|entry| entry["options"].as_array().into_iter().flatten());
    entries.iter().chain(grouped).filter_map(|entry| entry["value"].as_str()).collect()
}

fn current_model(state: &Value) -> String {
    let option = option(state, "model");
    let current = option.as_ref().map_or(&state["models"]["currentModelId"], |option| &option["currentValue"]);
    cut(current.as_str().unwrap_or_default(), 200).to_owned()
}
