//! A writer without a model: it chooses, sorts and quotes sentences, and says of each where it stands.

mod compose;
mod inline;
mod quality;
mod themes;
mod units;
mod wording;

pub(super) use compose::defines;
pub(super) use inline::{Citation, cite_markdown, escape as escape_markdown};
pub(super) use quality::leans;
pub(super) use themes::{heading_of as presentable, is_plain_word};

use super::brief::{Brief, NoText, Written};
use super::explore::{Exploration, Record, explore};
use super::writer::{Assignment, Draft, TextProducer, WriteError};
use crate::search::topic_terms;

/// Writes a text of sentences that the sources say. Deterministic: the same graph gives the same text.
///
/// It ranks sentences by their relevance to the topic and by how well they stand alone, takes a sentence that leans on the
/// one before together with it, leaves out what is said already, puts the rest under headings that are the names of nodes,
/// and begins with what answers the topic. Each sentence cites the facts behind it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExtractiveProducer;

#[async_trait::async_trait]
impl TextProducer for ExtractiveProducer {
    fn name(&self) -> &'static str {
        "extractive"
    }

    async fn write(&self, assignment: &Assignment<'_>) -> Result<Draft, WriteError> {
        let Exploration { brief, record } = explore(assignment.connection, assignment.request).await?;
        let written = if brief.facts.is_empty() {
            Written::NoText(NoText::no_facts(&brief.topic, reason(&record)))
        } else {
            write(&brief)
        };
        let nodes = brief.nodes.into_iter().map(|visited| visited.node).collect();
        let facts = brief.facts.into_iter().map(|scored| scored.fact).collect();
        Ok(Draft { written, record, nodes, facts })
    }
}

fn reason(record: &Record) -> String {
    if record.facts_found == 0 {
        return format!("no fact of the graph holds any of the terms {:?}", record.searched);
    }
    format!(
        "of the terms {:?} only {:?} stand together in one place of the graph; {} facts hold one of them",
        record.searched, record.covered, record.facts_found
    )
}

fn write(brief: &Brief) -> Written {
    let topic = topic_terms(&brief.topic);
    if !brief.facts.iter().any(|fact| fact.score > 0.0) {
        return Written::NoText(NoText::no_facts(&brief.topic, "no fact has anything to do with the topic"));
    }
    let sentences = units::sentences(brief, &topic);
    let max_words = usize::try_from(brief.max_words).unwrap_or(usize::MAX);
    let mut chosen = units::choose(units::units(&sentences), &sentences, max_words);
    if chosen.is_empty() {
        let reason = format!("{} facts, all of them fragments, tables or code", brief.facts.len());
        return Written::NoText(NoText::no_usable_facts(&brief.topic, reason));
    }
    let lead = compose::take_lead(&mut chosen, &sentences, &topic);
    let (themes, rest) = themes::themes(chosen, &sentences, brief, &topic);
    Written::Text(compose::compose(&lead, themes, rest, &sentences, &topic))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
