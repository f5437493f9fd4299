//! OpenAI Responses.

use serde_json::{Value, json};

use super::{fresh, named, pieces, text_of};
use crate::model::{Ask, Said, Tool};

pub(super) fn read(request: &Value) -> Ask {
    let mut ask = Ask {
        model: request["model"].as_str().unwrap_or_default().to_owned(),
        stream: request["stream"] == true,
        shape: request["text"]["format"].get("schema").cloned(),
        ..Ask::default()
    };
    for item in request["input"].as_array().into_iter().flatten() {
        let kind = item["type"].as_str().unwrap_or("message");
        if kind == "message" && item["role"] == "user" {
            ask.prompts.push(text_of(&item["content"]));
            ask.results.clear();
        } else if kind.ends_with("_output") {
            ask.results.push(text_of(&item["output"]));
        }
    }
    let tools = request["tools"].as_array().into_iter().flatten();
    ask.tools = tools
        .filter_map(|tool| Some(Tool { name: tool["name"].as_str()?.to_owned(), schema: tool["parameters"].clone() }))
        .collect();
    ask.aside = ask.tools.is_empty();
    ask
}

fn item(said: &Said) -> Value {
    match said {
        Said::Text(text) => json!({"type": "message", "id": fresh("msg"), "role": "assistant", "status": "completed",
                                   "content": [{"type": "output_text", "text": text, "annotations": []}]}),
        Said::Call { name, arguments } => json!({"type": "function_call", "id": fresh("fc"), "call_id": fresh("call"),
                                                 "status": "completed", "name": name, "arguments": arguments.to_string()}),
    }
}

fn response(ask: &Ask, output: &[Value], status: &str) -> Value {
    json!({"id": fresh("resp"), "object": "response", "created_at": 0, "status": status, "model": ask.model, "output": output,
           "usage": {"input_tokens": 1000, "input_tokens_details": {"cached_tokens": 500}, "output_tokens": 100,
                     "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 1100}})
}

pub(super) fn whole(ask: &Ask, said: &Said) -> Value {
    response(ask, &[item(said)], "completed")
}

pub(super) fn events(ask: &Ask, said: &Said) -> Vec<String> {
    let done = item(said);
    let mut added = done.clone();
    let mut begun = response(ask, &[], "in_progress");
    begun["usage"] = Value::Null;
    let deltas: Vec<Value> = match said {
        Said::Text(text) => {
            added["content"] = json!([]);
            let delta = |piece: &String| {
                json!({"type": "response.output_text.delta", "item_id": done["id"], "output_index": 0,
                       "content_index": 0, "delta": piece})
            };
            pieces(text).iter().map(delta).collect()
        }
        Said::Call { arguments, .. } => {
            added["arguments"] = json!("");
            let delta = |piece: &String| {
                json!({"type": "response.function_call_arguments.delta", "item_id": done["id"], "output_index": 0,
                       "delta": piece})
            };
            pieces(&arguments.to_string()).iter().map(delta).collect()
        }
    };
    let mut all = vec![
        json!({"type": "response.created", "response": begun}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": added}),
    ];
    all.extend(deltas);
    all.push(json!({"type": "response.output_item.done", "output_index": 0, "item": done}));
    all.push(json!({"type": "response.completed", "response": response(ask, &[done], "completed")}));
    all.iter().map(|event| named(event["type"].as_str().unwrap_or_default(), event)).collect()
}

/// A reset time goes into the body too, as it does for plan limits.
pub(super) fn refusal(kind: &str, message: &str, headers: &[(String, String)]) -> Value {
    let mut error = json!({"type": kind, "code": kind, "message": message, "param": null});
    if let Some((_, at)) = headers.iter().find(|(name, _)| name == "x-resets-at") {
        error["resets_at"] = json!(at.parse::<u64>().unwrap_or(0));
        error["plan_type"] = json!("plus");
    }
    json!({ "error": error })
}
