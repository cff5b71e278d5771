//! From the texts of the parts to statements: sentences that know what they cite and where they stood.

use std::collections::{HashMap, HashSet};

use ackord_entities::ids::{FactId, NodeId};

use super::{PartText, Parts};
use crate::synthesis::document::{Bag, Sentence, Target, links, split, visible};
use crate::synthesis::extractive::leans;

/// A sentence of a part.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    /// The parts that say it, the first one first.
    pub(super) parts: Vec<usize>,
    /// Its place in the first part.
    pub(super) order: usize,
    /// The paragraph it stood in: sentences of one paragraph may lean on each other.
    pub(super) block: usize,
    /// The heading above it.
    pub(super) heading: Option<String>,
    /// Markdown without citations.
    pub(super) markdown: String,
    /// What a reader sees.
    pub(super) visible: String,
    pub(super) bag: Bag,
    /// The facts behind it: never empty.
    pub(super) facts: Vec<FactId>,
    pub(super) nodes: Vec<NodeId>,
    /// Whether it means nothing without the one before.
    pub(super) leans: bool,
}

/// The statements of all parts that have a fact behind them, part by part.
pub(super) fn statements(parts: &Parts) -> Vec<Statement> {
    let known: HashSet<FactId> = parts.facts.iter().map(|fact| fact.id).collect();
    parts.texts.iter().enumerate().flat_map(|(index, text)| of_part(index, text, &known)).collect()
}

fn of_part(part: usize, text: &PartText, known: &HashSet<FactId>) -> Vec<Statement> {
    let structure: HashMap<&str, &Sentence> =
        text.document.sentences.iter().map(|sentence| (sentence.text.as_str(), sentence)).collect();
    let mut found = Vec::new();
    let mut heading = None;
    let mut order = 0;
    for (block, lines) in blocks(&text.markdown).into_iter().enumerate() {
        if is_heading(&lines) {
            heading = Some(visible(lines.trim_start_matches('#').trim()));
            continue;
        }
        for sentence in split(&lines) {
            let structure = structure.get(sentence.as_str()).copied();
            let facts = facts_behind(structure, known);
            order += 1;
            if facts.is_empty() {
                continue;
            }
            let seen = visible(&sentence);
            found.push(Statement {
                parts: vec![part],
                order,
                block,
                heading: heading.clone(),
                markdown: without_citations(&sentence),
                bag: Bag::of(&seen),
                leans: leans(&seen.to_lowercase()),
                visible: seen,
                facts,
                nodes: structure.map(|sentence| sentence.node_ids.clone()).unwrap_or_default(),
            });
        }
    }
    found
}

/// Paragraphs, lists and headings: what blank lines set apart, and a heading from what stands right below it.
fn blocks(markdown: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in markdown.lines() {
        let is_heading = is_heading(line);
        match blocks.last_mut() {
            _ if line.trim().is_empty() => goes_on = false,
            Some(block) if goes_on && !is_heading => {
                block.push('\n');
                block.push_str(line);
            }
            _ => {
                blocks.push(line.to_owned());
                goes_on = !is_heading;
            }
        }
    }
    blocks
}

fn is_heading(line: &str) -> bool {
    line.starts_with('#') && line.trim_start_matches('#').starts_with(' ')
}

/// The facts that a sentence cites, or that are most like it, as far as the graph holds them still.
fn facts_behind(sentence: Option<&Sentence>, known: &HashSet<FactId>) -> Vec<FactId> {
    let linked = sentence.into_iter().flat_map(|sentence| &sentence.fact_links);
    linked.map(|link| link.fact_id).filter(|id| known.contains(id)).take(MOST_FACTS).collect()
}

/// Facts that are cited for one statement, at most.
pub(super) const MOST_FACTS: usize = 3;

/// The sentence without marks of citations. Links to nodes stay; of a link to a fact that is part of the sentence, its words.
fn without_citations(sentence: &str) -> String {
    let mut out = String::with_capacity(sentence.len());
    let mut copied = 0;
    for link in links(sentence) {
        out.push_str(&sentence[copied..link.start]);
        if link.is_mark() {
            out.truncate(out.trim_end_matches([' ', '\u{a0}']).len());
        } else if matches!(link.target, Target::Node(_)) {
            out.push_str(&sentence[link.start..link.end]);
        } else {
            out.push_str(link.label);
        }
        copied = link.end;
    }
    out.push_str(&sentence[copied..]);
    out
}
