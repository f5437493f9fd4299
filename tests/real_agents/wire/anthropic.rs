//! Anthropic Messages.

use serde_json::{Value, json};

use super::{fresh, named, pieces, text_of};
use crate::model::{Ask, Said, Tool};

pub(super) fn read(request: &Value) -> Ask {
    let mut ask = Ask {
        model: request["model"].as_str().unwrap_or_default().to_owned(),
        stream: request["stream"] == true,
        shape: request["output_config"]["format"]
            .get("schema")
            .or_else(|| request["output_format"].get("schema"))
            .cloned(),
        ..Ask::default()
    };
    for message in request["messages"].as_array().into_iter().flatten().filter(|message| message["role"] == "user") {
        let parts = message["content"].as_array().map_or(&[][..], Vec::as_slice);
        let results: Vec<_> = parts.iter().filter(|part| part["type"] == "tool_result").collect();
        if results.is_empty() {
            // Reminders of the client stand beside the prompt.
            ask.prompts.push(text_of(&message["content"]));
            ask.results.clear();
        }
        ask.results.extend(results.iter().map(|result| text_of(&result["content"])));
    }
    let tools = request["tools"].as_array().into_iter().flatten();
    ask.tools = tools
        .filter_map(|tool| Some(Tool { name: tool["name"].as_str()?.to_owned(), schema: tool["input_schema"].clone() }))
        .collect();
    ask.aside = ask.tools.is_empty();
    ask
}

fn block(said: &Said) -> Value {
    match said {
        Said::Text(text) => json!({"type": "text", "text": text}),
        Said::Call { name, arguments } => {
            json!({"type": "tool_use", "id": fresh("toolu"), "name": name, "input": arguments})
        }
    }
}

fn reason(said: &Said) -> &'static str {
    match said {
        Said::Text(_) => "end_turn",
        Said::Call { .. } => "tool_use",
    }
}

fn usage(output: u64) -> Value {
    json!({"input_tokens": 1000, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 500, "output_tokens": output})
}

pub(super) fn whole(ask: &Ask, said: &Said) -> Value {
    json!({"id": fresh("msg"), "type": "message", "role": "assistant", "model": ask.model, "content": [block(said)],
           "stop_reason": reason(said), "stop_sequence": null, "usage": usage(100)})
}

pub(super) fn events(ask: &Ask, said: &Said) -> Vec<String> {
    let mut message = whole(ask, said);
    message["content"] = json!([]);
    message["stop_reason"] = Value::Null;
    message["usage"] = usage(1);
    let mut start = block(said);
    let deltas: Vec<Value> = match said {
        Said::Text(text) => {
            start["text"] = json!("");
            pieces(text).iter().map(|piece| json!({"type": "text_delta", "text": piece})).collect()
        }
        Said::Call { arguments, .. } => {
            start["input"] = json!({});
            let text = arguments.to_string();
            pieces(&text).iter().map(|piece| json!({"type": "input_json_delta", "partial_json": piece})).collect()
        }
    };
    let mut events = vec![
        named("message_start", &json!({"type": "message_start", "message": message})),
        named("content_block_start", &json!({"type": "content_block_start", "index": 0, "content_block": start})),
    ];
    events.extend(deltas.iter().map(|delta| {
        named("content_block_delta", &json!({"type": "content_block_delta", "index": 0, "delta": delta}))
    }));
    let delta = json!({"stop_reason": reason(said), "stop_sequence": null});
    events.extend([
        named("content_block_stop", &json!({"type": "content_block_stop", "index": 0})),
        named("message_delta", &json!({"type": "message_delta", "delta": delta, "usage": usage(100)})),
        named("message_stop", &json!({"type": "message_stop"})),
    ]);
    events
}

pub(super) fn refusal(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": fresh("req")})
}
