//! OpenAI Chat Completions.

use serde_json::{Value, json};

use super::{data, fresh, pieces, text_of};
use crate::model::{Ask, Said, Tool};

pub(super) fn read(request: &Value) -> Ask {
    let mut ask = Ask {
        model: request["model"].as_str().unwrap_or_default().to_owned(),
        stream: request["stream"] == true,
        shape: request["response_format"]["json_schema"].get("schema").cloned(),
        ..Ask::default()
    };
    for message in request["messages"].as_array().into_iter().flatten() {
        if message["role"] == "user" {
            ask.prompts.push(text_of(&message["content"]));
            ask.results.clear();
        } else if message["role"] == "tool" {
            ask.results.push(text_of(&message["content"]));
        }
    }
    let tools = request["tools"].as_array().into_iter().flatten().map(|tool| &tool["function"]);
    ask.tools = tools
        .filter_map(|tool| Some(Tool { name: tool["name"].as_str()?.to_owned(), schema: tool["parameters"].clone() }))
        .collect();
    ask.aside = ask.tools.is_empty();
    ask
}

fn usage() -> Value {
    json!({"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100,
           "prompt_tokens_details": {"cached_tokens": 500}})
}

fn call(name: &str, arguments: &Value) -> Value {
    json!({"index": 0, "id": fresh("call"), "type": "function",
           "function": {"name": name, "arguments": arguments.to_string()}})
}

pub(super) fn whole(ask: &Ask, said: &Said) -> Value {
    let (message, reason) = match said {
        Said::Text(text) => (json!({"role": "assistant", "content": text}), "stop"),
        Said::Call { name, arguments } => {
            (json!({"role": "assistant", "content": null, "tool_calls": [call(name, arguments)]}), "tool_calls")
        }
    };
    json!({"id": fresh("chatcmpl"), "object": "chat.completion", "created": 0, "model": ask.model, "usage": usage(),
           "choices": [{"index": 0, "message": message, "finish_reason": reason}]})
}

pub(super) fn events(ask: &Ask, said: &Said) -> Vec<String> {
    let id = fresh("chatcmpl");
    let chunk = |choices: Value| json!({"id": id, "object": "chat.completion.chunk", "created": 0, "model": ask.model, "choices": choices});
    let delta = |delta: Value| data(&chunk(json!([{"index": 0, "delta": delta, "finish_reason": null}])));
    let mut events = vec![delta(json!({"role": "assistant", "content": ""}))];
    let reason = match said {
        Said::Text(text) => {
            events.extend(pieces(text).into_iter().map(|piece| delta(json!({"content": piece}))));
            "stop"
        }
        Said::Call { name, arguments } => {
            events.push(delta(json!({"tool_calls": [call(name, arguments)]})));
            "tool_calls"
        }
    };
    events.push(data(&chunk(json!([{"index": 0, "delta": {}, "finish_reason": reason}]))));
    let mut last = chunk(json!([]));
    last["usage"] = usage();
    events.extend([data(&last), "data: [DONE]\n\n".to_owned()]);
    events
}
