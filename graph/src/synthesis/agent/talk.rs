//! A talk: the model calls tools until it hands in its work.
//!
//! It always ends. A talk has a number of rounds, a number of mistakes that the model may make, and is told once that it is time to
//! finish; what is handed in is taken from the tool `finish` only.

use ackord_entities::queue::model_call::Purpose;

use super::client::{Client, Question};
use super::failure::Failure;
use super::rejection::one_line;
use super::wire::{Call, Message, Tool};
use crate::synthesis::brief::NoText;
use crate::synthesis::writer::Run;

/// Calls that cannot be understood, or name what is not there.
const MISTAKES: u32 = 6;
/// Rounds that are left when nothing but finishing is.
const LAST_ROUNDS: u32 = 4;
/// What the model is told, once.
const NUDGE: &str = "It is time to hand in your work. Call `finish` now with all of it: what you write outside of `finish` is discarded.";

/// The other side of the talk.
#[async_trait::async_trait]
pub(super) trait Desk: Send {
    /// What is handed in.
    type Work: Send;

    /// What the talk is for.
    fn purpose(&self) -> Purpose;
    /// What it is about.
    fn topic(&self) -> &str;
    /// What can be called.
    fn tools(&self) -> Vec<Tool>;
    /// Answers of the model, at most.
    fn rounds(&self) -> u32;
    /// Whether there is nothing left to do but to finish.
    fn is_spent(&self) -> bool;
    /// Does what is asked. `arguments` is what the model wrote.
    async fn call(&mut self, name: &str, arguments: &str) -> Result<Reply<Self::Work>, Failure>;
}

/// What a call of a tool brings.
#[derive(Debug)]
pub(super) enum Reply<W> {
    /// An answer.
    Answer(String),
    /// What is wrong with the call, so that the model can do better.
    Mistake(String),
    /// The work was handed in.
    Work(W),
}

/// Talks until the work is handed in.
pub(super) async fn talk<D: Desk>(
    client: &Client,
    run: &Run<'_>,
    mut messages: Vec<Message>,
    desk: &mut D,
) -> Result<D::Work, Failure> {
    let (tools, mut patience) = (desk.tools(), Patience::of(desk));
    while patience.lasts(desk) {
        let question =
            Question { purpose: desk.purpose(), topic: desk.topic(), messages: &messages, tools: &tools };
        let answer = client.ask(&question, run).await?;
        let calls = answer.calls;
        messages.push(Message::Assistant {
            content: answer.text,
            tool_calls: calls.iter().map(repeatable).collect(),
        });
        if calls.is_empty() && patience.was_told {
            return Err(no_text(desk.topic(), "it ended without calling `finish`").into());
        }
        for call in &calls {
            let content = match desk.call(&call.function.name, &call.function.arguments).await? {
                Reply::Work(work) => return Ok(work),
                Reply::Answer(text) => text,
                Reply::Mistake(text) => patience.mistake(desk.topic(), &text)?,
            };
            messages.push(Message::Tool { tool_call_id: call.id.clone(), content });
        }
        if (calls.is_empty() || desk.is_spent()) && !patience.was_told {
            patience.was_told = true;
            messages.push(Message::User { content: NUDGE.to_owned() });
        }
    }
    Err(no_text(desk.topic(), &format!("it did not call `finish` within {} answers", patience.rounds)).into())
}

/// How much longer the model is listened to.
struct Patience {
    rounds: u32,
    most: u32,
    last_rounds: u32,
    mistakes: u32,
    was_told: bool,
}

impl Patience {
    fn of(desk: &impl Desk) -> Self {
        Self { rounds: 0, most: desk.rounds(), last_rounds: 0, mistakes: 0, was_told: false }
    }

    /// Whether the model is asked once more.
    fn lasts(&mut self, desk: &impl Desk) -> bool {
        if desk.is_spent() && self.was_told {
            self.last_rounds += 1;
        }
        let lasts = self.rounds < self.most && self.last_rounds <= LAST_ROUNDS;
        self.rounds += u32::from(lasts);
        lasts
    }

    /// What the model is told of a mistake.
    fn mistake(&mut self, topic: &str, text: &str) -> Result<String, NoText> {
        self.mistakes += 1;
        if self.mistakes <= MISTAKES {
            return Ok(serde_json::json!({ "error": text }).to_string());
        }
        let reason = format!(
            "the model's calls could not be used {} times, the last one: {}",
            self.mistakes,
            one_line(text)
        );
        let public = format!("The model got lost before there was a text about “{topic}”.");
        Err(NoText { code: "malformed_calls", reason, public })
    }
}

/// A call as it is told back: some servers refuse a talk with arguments that are no JSON, though their model wrote them.
fn repeatable(call: &Call) -> Call {
    let mut call = call.clone();
    if !matches!(serde_json::from_str(&call.function.arguments), Ok(serde_json::Value::Object(_))) {
        "{}".clone_into(&mut call.function.arguments);
    }
    call
}

/// There is no text: the model did not hand one in.
pub(super) fn no_text(topic: &str, how: &str) -> NoText {
    NoText {
        code: "no_text",
        reason: format!("the model handed in no text: {how}"),
        public: format!("No text about “{topic}” came of it."),
    }
}
