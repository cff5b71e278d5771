//! What the model says.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// What comes back for a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A streamed answer.
    Said(Said),
    /// A streamed answer that waits in its middle until the test gives a permit.
    Held(Arc<Semaphore>, Said),
    /// A streamed answer whose connection breaks in its middle.
    BrokenOff(Said),
    /// A streamed answer that ends in its middle as if it were whole.
    EndsEarly(Said),
    /// No answer but a status, with headers and a body.
    Status(u16, Vec<(&'static str, String)>, String),
}

/// A streamed answer.
#[derive(Clone, Debug)]
pub struct Said {
    /// Text outside of tools.
    pub text: String,
    /// Calls of tools: name and arguments as the model writes them.
    pub calls: Vec<(String, String)>,
    /// Why it will not.
    pub refusal: Option<String>,
    /// Why it ends; by itself `tool_calls` or `stop`.
    pub finish_reason: Option<&'static str>,
    /// Tokens sent, answered and cached, if they are reported.
    pub usage: Option<(u32, u32, u32)>,
}

impl Default for Said {
    fn default() -> Self {
        Self {
            text: String::new(),
            calls: Vec::new(),
            refusal: None,
            finish_reason: None,
            usage: Some((100, 10, 40)),
        }
    }
}

impl Said {
    /// A call of a tool.
    #[must_use]
    pub fn call(name: &str, arguments: &Value) -> Self {
        Self::raw_call(name, arguments.to_string())
    }

    /// A call with arguments that need not be JSON.
    #[must_use]
    pub fn raw_call(name: &str, arguments: impl Into<String>) -> Self {
        Self { calls: vec![(name.to_owned(), arguments.into())], ..Self::default() }
    }

    /// Text outside of tools.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }

    /// The text handed in.
    #[must_use]
    pub fn finish(markdown: &str) -> Self {
        Self::call("finish", &json!({ "markdown": markdown }))
    }

    /// With this many tokens reported.
    #[must_use]
    pub fn using(self, prompt: u32, completion: u32) -> Self {
        Self { usage: Some((prompt, completion, 0)), ..self }
    }

    /// The events, each a piece of the answer. A text or an argument comes in several.
    pub(crate) fn events(&self) -> Vec<String> {
        let mut deltas = vec![json!({"role": "assistant", "content": null})];
        deltas.extend(pieces(&self.text).map(|piece| json!({ "content": piece })));
        deltas.extend(
            self.refusal.iter().flat_map(|text| pieces(text)).map(|piece| json!({ "refusal": piece })),
        );
        for (index, (name, arguments)) in self.calls.iter().enumerate() {
            deltas.push(json!({"tool_calls": [
                {"index": index, "id": format!("call_{index}"), "type": "function", "function": {"name": name, "arguments": ""}},
            ]}));
            deltas
                .extend(pieces(arguments).map(
                    |piece| json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}),
                ));
        }
        let own = if self.calls.is_empty() { "stop" } else { "tool_calls" };
        let mut events: Vec<Value> = deltas.into_iter().map(|delta| chunk(&delta, None)).collect();
        events.push(chunk(&json!({}), Some(self.finish_reason.unwrap_or(own))));
        events.extend(self.usage.map(|(prompt, completion, cached)| {
            json!({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "scripted", "choices": [], "usage": {
                "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
                "prompt_tokens_details": {"cached_tokens": cached},
            }})
        }));
        events.iter().map(|event| format!("data: {event}\n\n")).collect()
    }
}

fn chunk(delta: &Value, finish_reason: Option<&str>) -> Value {
    json!({
        "id": "x", "object": "chat.completion.chunk", "created": 1, "model": "scripted", "usage": null,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": null}],
    })
}

/// Pieces of about 20 characters, as tokens come.
fn pieces(text: &str) -> impl Iterator<Item = String> {
    let characters: Vec<char> = text.chars().collect();
    let pieces: Vec<String> = characters.chunks(20).map(|piece| piece.iter().collect()).collect();
    pieces.into_iter()
}
