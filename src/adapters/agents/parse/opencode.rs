//! opencode's events. It has no final one: what was consumed is summed up over its steps. Must not take a sum over a log with
//! a gap for one.

use super::event::{self, Event};
use super::{Client, Sink, Transcript, meaning, when};
use crate::domain::event::FailureClass;
use crate::domain::transcript::{Entry, Kind};
use crate::domain::usage::{Counting, Usage};

/// The parser.
#[derive(Debug, Default)]
pub(super) struct Opencode {
    used: Usage,
    steps: u32,
    /// How the last step ended.
    how: String,
}

impl Client for Opencode {
    fn event(&mut self, event: &Event<'_>, transcript: &mut Transcript, tell: &mut Sink<'_>) {
        event::model(event.text("/part/modelID").or_else(|| event.text("/modelID")), transcript);
        event::session(event.text("/sessionID"), transcript, tell);
        match event.kind() {
            "text" => event::said(event.text("/part/text").unwrap_or_default(), transcript, tell),
            "reasoning" => tell(Entry::new(Kind::Thought, event.text("/part/text").unwrap_or_default())),
            "tool_use" => tool(event, tell),
            "step_finish" => self.step(event, transcript),
            "error" => failed(event, transcript, tell),
            _ => {}
        }
    }

    fn end(&mut self, transcript: &mut Transcript, tell: &mut Sink<'_>) {
        if !transcript.gap {
            transcript.usage = self.used;
        }
        if transcript.class.is_none() && self.steps > 0 {
            tell(Entry::new(Kind::End, format!("{} after {} steps", self.how, self.steps)));
        }
    }
}

impl Opencode {
    fn step(&mut self, event: &Event<'_>, transcript: &mut Transcript) {
        // It got on after an error that it could do something about.
        transcript.class = None;
        transcript.until = None;
        transcript.counting = Counting::default();
        self.steps += 1;
        event.text("/part/reason").unwrap_or("ended").clone_into(&mut self.how);
        let number = |field: &str| event.number(&format!("/part/tokens/{field}"));
        let (input, cache_read, cache_write) = (number("input"), number("cache/read"), number("cache/write"));
        let output = [number("output"), number("reasoning")].into_iter().flatten().reduce(u64::saturating_add);
        let tokens = [input, output, cache_read, cache_write].into_iter().flatten().reduce(u64::saturating_add);
        let cost = event.value.pointer("/part/cost").and_then(serde_json::Value::as_f64).and_then(event::micros);
        // A model whose price it does not know costs nothing in its eyes.
        let micro_usd = cost.filter(|cost| *cost > 0 || tokens.is_none_or(|tokens| tokens == 0));
        let step = Usage { micro_usd, tokens, input, output, cache_read, cache_write };
        let unknown = self.steps > 1 && (self.used.micro_usd.is_none() || step.micro_usd.is_none());
        self.used.add(&step);
        if unknown {
            self.used.micro_usd = None;
        }
    }
}

fn tool(event: &Event<'_>, tell: &mut Sink<'_>) {
    let arguments = event.value.pointer("/part/state/input");
    tell(event::tool(event.text("/part/tool").unwrap_or("tool"), arguments));
    if event.text("/part/state/status") == Some("error") {
        let why = event.text("/part/state/error").unwrap_or("no reason given");
        tell(Entry::new(Kind::Notice, format!("the tool failed: {why}")));
    }
}

fn failed(event: &Event<'_>, transcript: &mut Transcript, tell: &mut Sink<'_>) {
    let name = event.text("/error/name").unwrap_or_default();
    let message = event.text("/error/data/message").or_else(|| event.text("/error/message")).unwrap_or(name);
    let by_name = match name {
        "ProviderAuthError" => Some(FailureClass::Auth),
        "ContextOverflowError" => Some(FailureClass::ContextFull),
        _ => None,
    };
    let by_status = || event.number("/error/data/statusCode").and_then(meaning::of_status);
    let words = || meaning::of_text(message).or_else(|| meaning::of_text(event.text("/error/data/responseBody")?));
    // A full context comes as a bad request, which only its words tell from others.
    let narrow = words().filter(|class| matches!(class, FailureClass::ContextFull | FailureClass::Billing));
    let class = by_name.or(narrow).or_else(by_status).or_else(words).unwrap_or(FailureClass::Agent);
    transcript.class = Some(class);
    if class == FailureClass::RateLimited {
        let header = event.text("/error/data/responseHeaders/retry-after").and_then(|text| text.parse().ok());
        let told = || when::reset(message, event.clock);
        transcript.until = header.and_then(|seconds| when::in_seconds(seconds, event.clock)).or_else(told);
    }
    tell(Entry::new(Kind::End, format!("failed: {message}")));
}
