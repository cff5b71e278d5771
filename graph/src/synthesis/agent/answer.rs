//! A streamed answer, put together from its parts.

use super::wire::{Call, CallDelta, Chunk, Function, Usage};

/// An answer of more text than this is none: something repeats itself.
const MOST_BYTES: usize = 4 << 20;

/// What a model has said, as far as it came.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Text outside of any tool.
    pub(super) text: String,
    /// The tools that it calls, in order.
    pub(super) calls: Vec<Call>,
    /// Why it will not.
    pub(super) refusal: String,
    /// Why it ended. None: it has not.
    pub(super) finish_reason: Option<String>,
    /// What the server says it used.
    pub(super) usage: Option<Usage>,
    bytes: usize,
}

impl Answer {
    /// Adds a part.
    ///
    /// # Errors
    /// The answer is broken off with this reason.
    pub(super) fn add(&mut self, chunk: Chunk) -> Result<(), String> {
        if let Some(error) = chunk.error {
            let text = error.get("message").and_then(|text| text.as_str().map(str::to_owned));
            return Err(text.unwrap_or_else(|| error.to_string()));
        }
        self.usage = chunk.usage.or(self.usage);
        // Only one was asked for.
        let Some(choice) = chunk.choices.into_iter().next() else { return Ok(()) };
        let delta = choice.delta;
        self.take(delta.content, |answer| &mut answer.text);
        self.take(delta.refusal, |answer| &mut answer.refusal);
        for call in delta.tool_calls {
            self.add_call(call);
        }
        self.finish_reason =
            choice.finish_reason.filter(|reason| !reason.is_empty()).or(self.finish_reason.take());
        if self.bytes > MOST_BYTES {
            return Err(format!("it is longer than {MOST_BYTES} bytes"));
        }
        Ok(())
    }

    fn take(&mut self, more: Option<String>, into: impl FnOnce(&mut Self) -> &mut String) {
        if let Some(more) = more {
            self.bytes += more.len();
            into(self).push_str(&more);
        }
    }

    /// Parts of one call have the same index; servers that give none send each call whole, or say its id first.
    fn add_call(&mut self, part: CallDelta) {
        let begins = part.id.as_ref().is_some_and(|id| self.calls.iter().all(|call| call.id != *id));
        let index = match part.index {
            Some(index) if index < self.calls.len() => index,
            None if !begins && !self.calls.is_empty() => self.calls.len() - 1,
            _ => {
                let function = Function { name: String::new(), arguments: String::new() };
                self.calls.push(Call { id: String::new(), r#type: "function", function });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[index];
        if let Some(id) = part.id.filter(|_| call.id.is_empty()) {
            call.id = id;
        }
        if let Some(name) = part.function.name {
            self.bytes += name.len();
            call.function.name.push_str(&name);
        }
        if let Some(arguments) = part.function.arguments {
            self.bytes += arguments.len();
            call.function.arguments.push_str(&arguments);
        }
    }

    /// Whether the model or its server would not.
    pub(super) fn is_refused(&self) -> bool {
        !self.refusal.trim().is_empty() || self.finish_reason.as_deref() == Some("content_filter")
    }

    /// The bytes that came.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Every call has an id of its own: it is answered under it.
    pub(super) fn name_calls(&mut self) {
        for (index, call) in self.calls.iter_mut().enumerate() {
            if call.id.is_empty() {
                call.id = format!("call_{index}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use serde_json::{Value, json};

    use super::*;

    fn put_together(chunks: &[Value]) -> Answer {
        let mut answer = Answer::default();
        for chunk in chunks {
            answer.add(serde_json::from_value(chunk.clone()).unwrap()).unwrap();
        }
        answer.name_calls();
        answer
    }

    fn calls(answer: &Answer) -> Vec<(&str, &str, &str)> {
        answer.calls.iter().map(|call| (&*call.id, &*call.function.name, &*call.function.arguments)).collect()
    }

    #[allow(clippy::needless_pass_by_value, reason = "it reads better where it is called")]
    fn part(call: Value) -> Value {
        json!({"choices": [{"delta": {"tool_calls": [call]}}]})
    }

    #[test]
    fn a_call_is_put_together_by_its_index() {
        let answer = put_together(&[
            part(
                json!({"index": 0, "id": "a", "type": "function", "function": {"name": "node", "arguments": ""}}),
            ),
            part(json!({"index": 0, "function": {"arguments": "{\"id\":"}})),
            part(json!({"index": 1, "id": "b", "function": {"name": "finish", "arguments": "{}"}})),
            part(json!({"index": 0, "id": null, "function": {"name": null, "arguments": "1}"}})),
            json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}], "usage": null}),
            json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": null}}),
        ]);
        assert_eq!(calls(&answer), [("a", "node", "{\"id\":1}"), ("b", "finish", "{}")]);
        assert_eq!(answer.finish_reason.as_deref(), Some("tool_calls"));
        assert_eq!(answer.usage.unwrap().prompt_tokens, 7);
    }

    #[test]
    fn servers_without_indexes_or_ids_are_understood() {
        let answer = put_together(&[
            part(json!({"id": "a", "function": {"name": "node", "arguments": "{}"}})),
            part(json!({"id": "b", "function": {"name": "edges", "arguments": "{"}})),
            part(json!({"function": {"arguments": "}"}})),
        ]);
        assert_eq!(calls(&answer), [("a", "node", "{}"), ("b", "edges", "{}")]);
        let unnamed = put_together(&[part(json!({"index": 0, "function": {"name": "node"}}))]);
        assert_eq!(calls(&unnamed), [("call_0", "node", "")]);
    }

    #[test]
    fn refusals_and_withheld_answers_are_told_apart_from_texts() {
        assert!(put_together(&[json!({"choices": [{"delta": {"refusal": "I will not."}}]})]).is_refused());
        let withheld = json!({"choices": [{"delta": {"content": "x"}, "finish_reason": "content_filter"}]});
        assert!(put_together(&[withheld]).is_refused());
        let text =
            put_together(&[json!({"choices": [{"delta": {"content": "Fine"}, "finish_reason": "stop"}]})]);
        assert!(!text.is_refused() && text.text == "Fine" && text.bytes() == 4);
    }

    #[test]
    fn an_error_in_the_middle_breaks_the_answer_off() {
        let mut answer = Answer::default();
        let chunk = serde_json::from_value(json!({"error": {"message": "overloaded"}})).unwrap();
        assert_eq!(answer.add(chunk).unwrap_err(), "overloaded");
    }
}
