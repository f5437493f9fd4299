//! Gemini generateContent and streamGenerateContent.

use serde_json::{Value, json};

use super::{data, pieces, text_of};
use crate::model::{Ask, Said, Tool};

pub(super) fn read(path: &str, request: &Value) -> Ask {
    let model = path.rsplit('/').next().and_then(|last| last.split(':').next()).unwrap_or_default();
    let settings = &request["generationConfig"];
    let shape = settings.get("responseJsonSchema").or_else(|| settings.get("responseSchema"));
    let mut ask = Ask {
        model: model.to_owned(),
        stream: path.contains(":streamGenerateContent"),
        shape: shape.cloned(),
        ..Ask::default()
    };
    for content in request["contents"].as_array().into_iter().flatten().filter(|content| content["role"] == "user") {
        let parts = content["parts"].as_array().map_or(&[][..], Vec::as_slice);
        let results: Vec<_> = parts.iter().filter_map(|part| part.get("functionResponse")).collect();
        if results.is_empty() {
            ask.prompts.push(text_of(&content["parts"]));
            ask.results.clear();
        }
        ask.results.extend(results.iter().map(|result| {
            let response = &result["response"];
            response["output"].as_str().map_or_else(|| response.to_string(), str::to_owned)
        }));
    }
    let declared = request["tools"].as_array().into_iter().flatten();
    let declared = declared.flat_map(|tool| tool["functionDeclarations"].as_array().into_iter().flatten());
    ask.tools = declared
        .filter_map(|tool| {
            let schema = tool.get("parametersJsonSchema").or_else(|| tool.get("parameters"));
            Some(Tool { name: tool["name"].as_str()?.to_owned(), schema: schema.cloned().unwrap_or_default() })
        })
        .collect();
    ask.aside = ask.tools.is_empty();
    ask
}

fn response(part: Value, last: bool) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": [part]}, "index": 0});
    if last {
        candidate["finishReason"] = json!("STOP");
    }
    json!({"candidates": [candidate], "modelVersion": "scripted",
           "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 100, "cachedContentTokenCount": 500,
                             "totalTokenCount": 1100}})
}

fn part(said: &Said) -> Value {
    match said {
        Said::Text(text) => json!({ "text": text }),
        Said::Call { name, arguments } => json!({"functionCall": {"name": name, "args": arguments}}),
    }
}

pub(super) fn whole(said: &Said) -> Value {
    response(part(said), true)
}

pub(super) fn events(said: &Said) -> Vec<String> {
    let Said::Text(text) = said else { return vec![data(&whole(said))] };
    let pieces = pieces(text);
    let last = pieces.len() - 1;
    let event = |(index, piece): (usize, &String)| data(&response(json!({ "text": piece }), index == last));
    pieces.iter().enumerate().map(event).collect()
}

pub(super) fn refusal(status: u16, kind: &str, message: &str, headers: &[(String, String)]) -> Value {
    let mut error = json!({"code": status, "message": message, "status": kind});
    if let Some((_, seconds)) = headers.iter().find(|(name, _)| name == "retry-after") {
        error["details"] =
            json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s")}]);
    }
    json!({ "error": error })
}
