//! A text that is handed in: what is asked of it.

use std::collections::HashSet;

use ackord_entities::ids::FactId;
use serde::Deserialize;
use serde_json::json;

use super::talk::{Reply, no_text};
use super::tools::parse;
use super::wire::Tool;
use crate::synthesis::brief::NoText;
use crate::synthesis::document::{cited_facts, normalise_links};

/// The tool that takes texts.
pub(super) const FINISH: &str = "finish";
/// Ids that are named to the model at most.
const NAMED: usize = 10;

/// Judges texts. A model may correct a text once; then it is taken as it is, without the citations that are none.
#[derive(Debug, Default)]
pub(super) struct Finish {
    was_corrected: bool,
}

/// What is handed in.
#[derive(Debug, Deserialize)]
pub(super) struct Handed {
    pub(super) markdown: String,
}

pub(super) fn tool() -> Tool {
    Tool {
        name: FINISH,
        description: "Hands in the text and ends the work. The only way to hand it in.",
        parameters: json!({
            "type": "object",
            "properties": {"markdown": {
                "type": "string",
                "description": "The full text in Markdown. Each sentence cites the facts it rests on as [1](/facts/<fact id>).",
            }},
            "required": ["markdown"],
            "additionalProperties": false,
        }),
    }
}

/// The text of a call of `finish`, with canonical links.
pub(super) fn handed(arguments: &str) -> Result<String, String> {
    parse::<Handed>(arguments).map(|handed| normalise_links(handed.markdown.trim()))
}

impl Finish {
    /// Takes the text, has it corrected, or sees that there is none. `known` are those of the cited facts that are there.
    pub(super) fn judge(
        &mut self,
        topic: &str,
        markdown: String,
        known: &HashSet<FactId>,
    ) -> Result<Reply<String>, NoText> {
        if markdown.is_empty() {
            return Err(no_text(topic, "`finish` was called with an empty text"));
        }
        let cited = cited_facts(&markdown);
        let unknown: Vec<String> =
            cited.iter().filter(|id| !known.contains(id)).map(ToString::to_string).collect();
        let cites_nothing = unknown.len() == cited.len();
        if !self.was_corrected && (cites_nothing || !unknown.is_empty()) {
            self.was_corrected = true;
            return Ok(Reply::Mistake(correction(&unknown)));
        }
        if cites_nothing {
            return Err(NoText {
                code: "no_citations",
                reason: format!(
                    "the model's text cites no fact of the graph, and {} that are not there",
                    unknown.len()
                ),
                public: format!("No text about “{topic}” came of it that rests on the graph's facts."),
            });
        }
        Ok(Reply::Work(markdown))
    }
}

fn correction(unknown: &[String]) -> String {
    if unknown.is_empty() {
        return "the text cites no fact: cite the facts behind each sentence as [1](/facts/<fact id>) and call `finish` again \
                with the full text"
            .to_owned();
    }
    let named = unknown.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    format!(
        "there are no facts with these ids: {named}. Cite only ids that the tools gave you, and call `finish` again with the full text"
    )
}
