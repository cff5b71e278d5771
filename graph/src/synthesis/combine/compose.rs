//! From sorted runs to the text.

use std::collections::{BTreeSet, HashMap};

use ackord_entities::ids::{FactId, NodeId, SourceId};

use super::conflicts::Conflict;
use super::merge::Run;
use super::statements::Statement;
use super::themes::Theme;
use super::{MissingPart, Parts};
use crate::synthesis::document::Target;
use crate::synthesis::extractive::{Citation, cite_markdown, escape_markdown};

/// Sentences in one paragraph, about.
const PARAGRAPH: usize = 5;
/// Words of the whole, about; what is worth least is left out beyond them.
const MOST_WORDS: usize = 4_000;
/// The headings of what the text says about its sources and itself.
const DIFFER: &str = "Where the sources differ";
const MISSING: &str = "What is missing";
/// A part with fewer statements says too little for its one source to be remarkable.
const TELLING: usize = 3;

/// The text: the lead, the themes, the contradictions, and what is missing.
pub(super) fn compose(parts: &Parts, lead: &[Run], mut themes: Vec<Theme>, conflicts: &[Conflict]) -> String {
    shorten(lead, &mut themes);
    let mut text = Text::of(parts);
    text.paragraphs(lead);
    for theme in themes.iter().filter(|theme| !theme.runs.is_empty()) {
        if !theme.heading.is_empty() {
            text.heading(&theme.heading);
        }
        text.paragraphs(&theme.runs);
    }
    if !conflicts.is_empty() {
        text.heading(DIFFER);
        let items: Vec<String> = conflicts.iter().map(|conflict| text.conflict(conflict)).collect();
        text.blocks.push(items.join("\n"));
    }
    let mut missing: Vec<String> = parts.missing.iter().map(missing_part).collect();
    missing.extend(text.single_sources(parts));
    if !missing.is_empty() {
        text.heading(MISSING);
        text.blocks.push(missing.join("\n"));
    }
    text.blocks.join("\n\n")
}

/// Leaves out what is worth least until the text is short enough.
fn shorten(lead: &[Run], themes: &mut [Theme]) {
    let fixed: usize = lead.iter().map(Run::words).sum();
    let mut words: usize = themes.iter().flat_map(|theme| &theme.runs).map(Run::words).sum();
    let mut all: Vec<(f64, usize, usize)> = themes
        .iter()
        .enumerate()
        .flat_map(|(theme, held)| {
            held.runs.iter().enumerate().map(move |(run, held)| (held.value(), theme, run))
        })
        .collect();
    all.sort_by(|left, right| left.0.total_cmp(&right.0).then((right.1, right.2).cmp(&(left.1, left.2))));
    let mut dropped = BTreeSet::new();
    for (_, theme, run) in all {
        if fixed + words <= MOST_WORDS {
            break;
        }
        words -= themes[theme].runs[run].words();
        dropped.insert((theme, run));
    }
    for (theme, held) in themes.iter_mut().enumerate() {
        let mut run = 0;
        held.runs.retain(|_| {
            run += 1;
            !dropped.contains(&(theme, run - 1))
        });
    }
}

/// The part is linked to instead of cited: its text would stand there.
fn missing_part(part: &MissingPart) -> String {
    let address = Target::Node(NodeId(part.id.0)).address();
    // One line whatever was stored.
    let why = part.public.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("- [{}]({address}): {}", label(&part.topic), escape_markdown(&why))
}

/// A label ends at its first bracket, escaped or not.
fn label(topic: &str) -> String {
    escape_markdown(&topic.replace('[', "(").replace(']', ")"))
}

struct Text {
    blocks: Vec<String>,
    source_of: HashMap<FactId, SourceId>,
    /// The sources in the order of their first citation: their numbers less one.
    sources: Vec<SourceId>,
}

impl Text {
    fn of(parts: &Parts) -> Self {
        let source_of = parts.facts.iter().map(|fact| (fact.id, fact.source.id)).collect();
        Self { blocks: Vec::new(), source_of, sources: Vec::new() }
    }

    fn heading(&mut self, heading: &str) {
        self.blocks.push(format!("## {heading}"));
    }

    /// Paragraphs of about five sentences; one ends rather where the next comes from another part.
    fn paragraphs(&mut self, runs: &[Run]) {
        let mut paragraph: Vec<String> = Vec::new();
        let mut part = None;
        for (index, run) in runs.iter().enumerate() {
            let is_last = index + 1 == runs.len();
            let most = if is_last { PARAGRAPH + 1 } else { PARAGRAPH };
            let elsewhere =
                part.is_some_and(|part| part != run.first().parts[0]) && paragraph.len() * 2 > PARAGRAPH;
            if !paragraph.is_empty()
                && (paragraph.len() + run.statements.len() > most || (elsewhere && !is_last))
            {
                self.blocks.push(std::mem::take(&mut paragraph).join(" "));
            }
            part = Some(run.first().parts[0]);
            for statement in &run.statements {
                let written = self.sentence(statement);
                paragraph.push(written);
            }
        }
        if !paragraph.is_empty() {
            self.blocks.push(paragraph.join(" "));
        }
    }

    fn sentence(&mut self, statement: &Statement) -> String {
        let mut citations: Vec<Citation> = Vec::new();
        for fact in &statement.facts {
            let number = self.number(*fact);
            // A source that says it twice is one witness.
            if !citations.iter().any(|(known, _)| *known == number) {
                citations.push((number, *fact));
            }
        }
        cite_markdown(&statement.markdown, &citations)
    }

    fn conflict(&mut self, conflict: &Conflict) -> String {
        let (one, other) = (self.sentence(&conflict.one), self.sentence(&conflict.other));
        format!("- {one} Against it: {other}")
    }

    /// The parts that rest on one source, where there are several.
    fn single_sources(&mut self, parts: &Parts) -> Vec<String> {
        if self.sources.len() < 2 {
            return Vec::new();
        }
        let mut found = Vec::new();
        for part in &parts.texts {
            let sentences: Vec<_> =
                part.document.sentences.iter().filter(|sentence| !sentence.fact_links.is_empty()).collect();
            let facts: Vec<FactId> = sentences
                .iter()
                .flat_map(|sentence| &sentence.fact_links)
                .map(|link| link.fact_id)
                .filter(|fact| self.source_of.contains_key(fact))
                .collect();
            let sources: BTreeSet<SourceId> = facts.iter().map(|fact| self.source_of[fact]).collect();
            if let (1, Some(fact)) = (sources.len(), facts.first())
                && sentences.len() >= TELLING
            {
                let text = format!("Only one source tells about “{}”", escape_markdown(&part.topic));
                let number = self.number(*fact);
                found.push(format!("- {}", cite_markdown(&text, &[(number, *fact)])));
            }
        }
        found
    }

    fn number(&mut self, fact: FactId) -> u32 {
        let Some(source) = self.source_of.get(&fact) else { return 0 };
        let index = self.sources.iter().position(|known| known == source).unwrap_or_else(|| {
            self.sources.push(*source);
            self.sources.len() - 1
        });
        u32::try_from(index + 1).unwrap_or(u32::MAX)
    }
}
