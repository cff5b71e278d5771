//! From chosen units to the text.

use ackord_entities::ids::SourceId;

use super::inline::{Citation, cite};
use super::themes::Theme;
use super::units::{Sentence, Unit, place};
use super::wording::CLAUSES;
use crate::text::terms_of;

/// Units in the paragraph that answers the topic.
const LEAD_UNITS: usize = 3;
/// Sentences in one paragraph, about.
const PARAGRAPH: usize = 5;
/// Words that a definition puts between a thing and what it is.
const DEFINING: &[&str] = &["is", "are", "means", "denotes", "describes", "provides", "was", "consists"];
/// The verb of a definition is one of the first words.
const DEFINES_EARLY: usize = 7;

/// Takes the units that answer the topic out of `chosen` (best first), a definition first.
pub(super) fn take_lead(chosen: &mut Vec<Unit>, sentences: &[Sentence<'_>], topic: &[String]) -> Vec<Unit> {
    let mut lead = Vec::new();
    let definition = |unit: &Unit| unit.value * (1.0 + defines(&sentences[unit.members[0]].fact.text, topic));
    let first = (0..chosen.len()).max_by(|left, right| {
        definition(&chosen[*left]).total_cmp(&definition(&chosen[*right])).then(right.cmp(left))
    });
    if let Some(first) = first {
        lead.push(chosen.remove(first));
    }
    while lead.len() < LEAD_UNITS && lead.len() * 2 < chosen.len() + lead.len() {
        lead.push(chosen.remove(0));
    }
    lead
}

/// How much a sentence looks like a definition of the topic: 0 not at all, 1 of all of it.
pub(in crate::synthesis) fn defines(text: &str, topic: &[String]) -> f64 {
    let all: Vec<&str> = text.split_whitespace().take(DEFINES_EARLY).collect();
    // `If the stream is a file, ..` says when, not what.
    if all.first().is_some_and(|first| CLAUSES.has(&first.to_lowercase())) {
        return 0.0;
    }
    let Some(verb) = all.iter().position(|word| DEFINING.contains(word)) else { return 0.0 };
    let subject = terms_of(&all[..verb].join(" "));
    let of_topic = subject.iter().filter(|stem| topic.contains(stem)).count();
    if of_topic == 0 || subject.len() > of_topic + 1 {
        return 0.0;
    }
    #[allow(clippy::cast_precision_loss, reason = "few words")]
    let share = of_topic as f64 / topic.len() as f64;
    let share = if subject.len() > of_topic { share * 0.5 } else { share };
    if all.get(verb + 1).is_some_and(|word| tells_a_deed(word)) { share * 0.25 } else { share }
}

/// Behind `is`: what is done to a thing (`is moved out`, `is not freed`), not what it is.
fn tells_a_deed(word: &str) -> bool {
    let word = word.to_lowercase();
    matches!(
        word.as_str(),
        "not" | "never" | "also" | "then" | "done" | "made" | "written" | "given" | "taken"
    ) || (word.len() > 4 && (word.ends_with("ed") || word.ends_with("ing")))
}

/// The text: the lead, what belongs under no heading, and the themes.
pub(super) fn compose(
    lead: &[Unit],
    themes: Vec<Theme>,
    rest: Vec<Unit>,
    sentences: &[Sentence<'_>],
    topic: &[String],
) -> String {
    let mut text = Text::default();
    text.paragraph(lead.iter().flat_map(|unit| &unit.members).map(|member| &sentences[*member]));
    text.paragraphs(rest, sentences, topic);
    for theme in themes {
        text.blocks.push(format!("## {}", theme.heading));
        let about = terms_of(&theme.heading);
        text.paragraphs(theme.units, sentences, &about);
    }
    text.blocks.join("\n\n")
}

#[derive(Default)]
struct Text {
    blocks: Vec<String>,
    /// The sources in the order of their first citation: their numbers less one.
    sources: Vec<SourceId>,
}

impl Text {
    /// Writes `units` as they read best: those of one source together and in its order, definitions of `about` first.
    fn paragraphs(&mut self, units: Vec<Unit>, sentences: &[Sentence<'_>], about: &[String]) {
        let mut paragraph: Vec<&Sentence<'_>> = Vec::new();
        let mut passages = passages(units, sentences, about).into_iter().peekable();
        while let Some(passage) = passages.next() {
            // A last sentence rather makes a paragraph longer than stands on a line of its own.
            let most = if passages.peek().is_none() { PARAGRAPH + 1 } else { PARAGRAPH };
            let fits = paragraph.len() + passage.len() <= most;
            let continues = passage.len() == 1 || paragraph.len() <= 1;
            let joins = fits && continues;
            if !paragraph.is_empty() && !joins {
                self.paragraph(std::mem::take(&mut paragraph));
            }
            paragraph.extend(passage);
        }
        self.paragraph(paragraph);
    }

    fn paragraph<'a>(&mut self, sentences: impl IntoIterator<Item = &'a Sentence<'a>>) {
        let written: Vec<String> = sentences.into_iter().map(|sentence| self.sentence(sentence)).collect();
        if !written.is_empty() {
            self.blocks.push(written.join(" "));
        }
    }

    fn sentence(&mut self, sentence: &Sentence<'_>) -> String {
        let facts =
            [(sentence.fact.source.id, sentence.fact.id)].into_iter().chain(sentence.echoes.iter().copied());
        let citations: Vec<Citation> = facts.map(|(source, fact)| (self.number(source), fact)).collect();
        cite(&sentence.fact.text, &citations)
    }

    fn number(&mut self, source: SourceId) -> u32 {
        let index = self.sources.iter().position(|known| *known == source).unwrap_or_else(|| {
            self.sources.push(source);
            self.sources.len() - 1
        });
        u32::try_from(index + 1).unwrap_or(u32::MAX)
    }
}

/// The sentences of each source that stand close together, in its order; the passage that matters most first.
fn passages<'a>(
    mut units: Vec<Unit>,
    sentences: &'a [Sentence<'a>],
    about: &[String],
) -> Vec<Vec<&'a Sentence<'a>>> {
    units.sort_by_key(|unit| place(sentences[unit.members[0]].fact));
    let mut passages: Vec<(f64, Vec<&Sentence<'_>>)> = Vec::new();
    for unit in units {
        let first = &sentences[unit.members[0]];
        let rank = unit.value + 2.0 * defines(&first.fact.text, about);
        let members = unit.members.iter().map(|member| &sentences[*member]);
        match passages.last_mut() {
            Some((best, passage)) if passage.last().is_some_and(|last| stand_close(last, first)) => {
                *best = best.max(rank);
                passage.extend(members);
            }
            _ => passages.push((rank, members.collect())),
        }
    }
    passages.sort_by(|left, right| right.0.total_cmp(&left.0));
    passages.into_iter().map(|(_, passage)| passage).collect()
}

fn stand_close(before: &Sentence<'_>, behind: &Sentence<'_>) -> bool {
    before.fact.source.id == behind.fact.source.id && before.fact.headings == behind.fact.headings
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::search::topic_terms;

    #[rstest]
    #[case::of_all_of_it("A stream is a row of events.", 1.0)]
    #[case::of_more("A byte stream is a row of bytes.", 0.5)]
    #[case::what_is_done("The stream is paused by its reader.", 0.25)]
    #[case::when("If the stream is a file, it is read at once.", 0.0)]
    #[case::of_something_else("A file is a row of bytes.", 0.0)]
    fn a_definition_says_what_a_thing_is(#[case] text: &str, #[case] share: f64) {
        assert!(
            (defines(text, &topic_terms("streams")) - share).abs() < f64::EPSILON,
            "{}",
            defines(text, &topic_terms("streams"))
        );
    }
}
