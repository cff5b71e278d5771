//! One text from the parts of a super-synthesis.

mod compose;
mod conflicts;
mod gather;
mod merge;
mod statements;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
mod themes;

use std::fmt;

use ackord_entities::ids::SynthesisId;

pub use gather::{CombinationRecord, Gathered, combine, gather};

use super::brief::{NoText, Written};
use super::document::Document;
use super::material::Fact;
use super::writer::{Run, WriteError};
use crate::search::topic_terms;

/// What is to be combined.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The topic of the whole.
    pub topic: String,
    /// The parts that have a text, in their order.
    pub texts: Vec<PartText>,
    /// Those that have none.
    pub missing: Vec<MissingPart>,
    /// The facts that the texts cite, as far as the graph still holds them.
    pub facts: Vec<Fact>,
}

/// A part and its text.
#[derive(Clone, Debug)]
pub struct PartText {
    /// The part.
    pub id: SynthesisId,
    /// What it is about.
    pub topic: String,
    /// Its text: Markdown with canonical links.
    pub markdown: String,
    /// The structure of the text.
    pub document: Document,
}

/// A part without a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingPart {
    /// The part.
    pub id: SynthesisId,
    /// What it is about.
    pub topic: String,
    /// Why it has none, for programs.
    pub code: String,
    /// The same for operators.
    pub operator: String,
    /// The same for everybody.
    pub public: String,
}

/// Makes one text of parts. The default needs no model; others may ask one.
#[async_trait::async_trait]
pub trait Combiner: fmt::Debug + Send + Sync {
    /// Its name, stored with each version of a text that it wrote.
    fn name(&self) -> &str;

    /// Writes the text, or says why there is none. At least one part has a text. No transaction is open.
    async fn combine(&self, parts: &Parts, run: &Run<'_>) -> Result<Written, WriteError>;
}

/// Combines by choosing and sorting sentences. Deterministic: the same parts give the same text.
///
/// It takes the sentences of all parts, says once what several say, with the citations of all, puts each where it belongs, which need not
/// be where its part had it, begins with what answers the topic, names where sources contradict each other, and what is missing. A sentence without a fact behind it is left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExtractiveCombiner;

#[async_trait::async_trait]
impl Combiner for ExtractiveCombiner {
    fn name(&self) -> &'static str {
        "extractive"
    }

    async fn combine(&self, parts: &Parts, _run: &Run<'_>) -> Result<Written, WriteError> {
        Ok(write(parts))
    }
}

fn write(parts: &Parts) -> Written {
    let topic = topic_terms(&parts.topic);
    let mut runs = merge::merged(statements::statements(parts));
    if runs.is_empty() {
        let reason = format!("{} texts, and no sentence whose fact the graph still holds", parts.texts.len());
        return Written::NoText(NoText::no_usable_facts(&parts.topic, reason));
    }
    let conflicts = conflicts::take(&mut runs, parts);
    let lead = themes::take_lead(&mut runs, parts, &topic);
    let themes = themes::themes(runs, parts, &topic);
    Written::Text(compose::compose(parts, &lead, themes, &conflicts))
}
