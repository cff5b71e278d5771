//! Sentences that belong together: one that stands alone, with those behind it that lean on it.

use std::collections::{HashMap, HashSet};

use ackord_entities::ids::{FactId, SourceId};

use super::compose::defines;
use super::quality::{Fitness, fitness};
use crate::synthesis::brief::{Brief, ScoredFact};
use crate::synthesis::document::Bag;
use crate::synthesis::material::Fact;

/// Sentences that are looked at, at most: those with the highest scores.
const MOST_SENTENCES: usize = 600;
/// Sentences in one unit, at most.
const LONGEST: usize = 3;
/// Two sentences with this likeness say the same.
const SAME: f64 = 0.8;
/// So does one of at least [`TELLING`] words of which the other has this share.
const CONTAINED: f64 = 0.9;
const TELLING: usize = 5;
/// Other sources that are cited for a sentence, at most.
const MOST_ECHOES: usize = 2;

/// A sentence that may be used.
#[derive(Debug)]
pub(super) struct Sentence<'a> {
    pub(super) fact: &'a Fact,
    /// Relevance times fitness: 1 for the best.
    pub(super) value: f64,
    pub(super) fitness: Fitness,
    pub(super) words: usize,
    /// Its words without those of the topic, which tell nothing apart.
    pub(super) bag: Bag,
    /// Facts that say the same and are cited with it.
    pub(super) echoes: Vec<(SourceId, FactId)>,
}

/// Sentences of one source in their order, the first of which stands alone.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// Indices of the sentences.
    pub(super) members: Vec<usize>,
    pub(super) value: f64,
    pub(super) words: usize,
}

/// The sentences of `brief` that may be used, without those that say what a better one says.
pub(super) fn sentences<'a>(brief: &'a Brief, topic: &[String]) -> Vec<Sentence<'a>> {
    let usable = most_relevant(&brief.facts).into_iter().filter_map(|scored| {
        let fitness = fitness(&scored.fact);
        let (Fitness::Alone(share) | Fitness::Behind(share)) = fitness else { return None };
        let text = &scored.fact.text;
        Some(Sentence {
            fact: &scored.fact,
            // What the topic is must not be crowded out by what is told about it.
            value: scored.score * share * (1.0 + defines(text, topic)),
            fitness,
            words: text.split_whitespace().count(),
            bag: Bag::without(text, topic),
            echoes: Vec::new(),
        })
    });
    let mut usable: Vec<Sentence<'_>> = usable.collect();
    let best = usable.iter().map(|sentence| sentence.value).fold(f64::MIN_POSITIVE, f64::max);
    for sentence in &mut usable {
        sentence.value /= best;
    }
    without_echoes(usable)
}

/// The facts with the highest scores, and what stands beside them.
fn most_relevant(facts: &[ScoredFact]) -> Vec<&ScoredFact> {
    let mut sorted: Vec<&ScoredFact> = facts.iter().collect();
    sorted.sort_by(|left, right| right.score.total_cmp(&left.score).then(left.fact.id.cmp(&right.fact.id)));
    sorted.truncate(MOST_SENTENCES);
    sorted
}

/// Keeps the most valuable of those that say the same; it remembers the others.
fn without_echoes(mut sentences: Vec<Sentence<'_>>) -> Vec<Sentence<'_>> {
    sentences
        .sort_by(|left, right| right.value.total_cmp(&left.value).then(left.fact.id.cmp(&right.fact.id)));
    let bags: Vec<Bag> = sentences.iter().map(|sentence| Bag::of(&sentence.fact.text)).collect();
    let mut kept: Vec<(Sentence<'_>, &Bag)> = Vec::new();
    for (sentence, bag) in sentences.into_iter().zip(&bags) {
        match kept.iter_mut().find(|(_, other)| say_the_same(bag, other)) {
            Some((other, _)) if is_new_witness(other, &sentence) => {
                other.echoes.push((sentence.fact.source.id, sentence.fact.id));
            }
            Some(_) => {}
            None => kept.push((sentence, bag)),
        }
    }
    let mut kept: Vec<Sentence<'_>> = kept.into_iter().map(|(sentence, _)| sentence).collect();
    kept.sort_by_key(|sentence| place(sentence.fact));
    kept
}

/// A source that says the same counts once, and two are enough.
fn is_new_witness(kept: &Sentence<'_>, echo: &Sentence<'_>) -> bool {
    let source = echo.fact.source.id;
    let known = kept.fact.source.id == source || kept.echoes.iter().any(|(other, _)| *other == source);
    echo.value > 0.0 && kept.echoes.len() < MOST_ECHOES && !known
}

fn say_the_same(one: &Bag, other: &Bag) -> bool {
    one.similarity(other) >= SAME
        || (one.len().min(other.len()) >= TELLING && one.containment(other) >= CONTAINED)
}

pub(super) fn place(fact: &Fact) -> (SourceId, u32) {
    (fact.source.id, fact.position)
}

/// Every unit that `sentences`, in the order of their places, allow.
pub(super) fn units(sentences: &[Sentence<'_>]) -> Vec<Unit> {
    let at: HashMap<(SourceId, u32), usize> =
        sentences.iter().enumerate().map(|(index, sentence)| (place(sentence.fact), index)).collect();
    let mut units = Vec::new();
    for (index, sentence) in sentences.iter().enumerate() {
        if !matches!(sentence.fitness, Fitness::Alone(_)) {
            continue;
        }
        let mut members = vec![index];
        units.push(Unit::of(members.clone(), sentences));
        while members.len() < LONGEST
            && let Some(next) = leaning_next(sentences, &at, members[members.len() - 1])
        {
            members.push(next);
            units.push(Unit::of(members.clone(), sentences));
        }
    }
    units.retain(|unit| unit.value > 0.0);
    units
}

/// The sentence right behind the given one, if it leans on it.
fn leaning_next(
    sentences: &[Sentence<'_>],
    at: &HashMap<(SourceId, u32), usize>,
    index: usize,
) -> Option<usize> {
    let fact = sentences[index].fact;
    let next = *at.get(&(fact.source.id, fact.position + 1))?;
    let leans = matches!(sentences[next].fitness, Fitness::Behind(_));
    (leans && sentences[next].fact.headings == fact.headings).then_some(next)
}

impl Unit {
    fn of(members: Vec<usize>, sentences: &[Sentence<'_>]) -> Self {
        let sum: f64 = members.iter().map(|index| sentences[*index].value).sum();
        #[allow(clippy::cast_precision_loss, reason = "at most three members")]
        let length = members.len() as f64;
        Self {
            // A second sentence has to be worth more than half of the first to raise the value.
            value: sum / length.powf(0.7),
            words: members.iter().map(|index| sentences[*index].words).sum(),
            members,
        }
    }
}

/// Chooses units, the best first: each adds as much as it can that the ones before do not say, up to about `max_words`.
pub(super) fn choose(mut units: Vec<Unit>, sentences: &[Sentence<'_>], max_words: usize) -> Vec<Unit> {
    const LEAST_GAIN: f64 = 0.1;
    let mut chosen: Vec<Unit> = Vec::new();
    let mut used = HashSet::new();
    let mut words = 0;
    let mut nearness = vec![0.0_f64; units.len()];
    loop {
        let gain = |index: usize| units[index].value * (1.0 - 0.8 * nearness[index]);
        let fits = |unit: &Unit| words + unit.words <= max_words || chosen.is_empty();
        let free = |unit: &Unit| unit.members.iter().all(|member| !used.contains(member));
        let best = (0..units.len())
            .filter(|index| fits(&units[*index]) && free(&units[*index]) && gain(*index) >= LEAST_GAIN)
            .max_by(|left, right| gain(*left).total_cmp(&gain(*right)).then(right.cmp(left)));
        let Some(best) = best else { return chosen };
        nearness.swap_remove(best);
        let unit = units.swap_remove(best);
        for (index, other) in units.iter().enumerate() {
            nearness[index] = nearness[index].max(likeness(&unit, other, sentences));
        }
        used.extend(unit.members.iter().copied());
        words += unit.words;
        chosen.push(unit);
    }
}

/// The likeness of the two sentences, one of each unit, that are most alike.
pub(super) fn likeness(one: &Unit, other: &Unit, sentences: &[Sentence<'_>]) -> f64 {
    let pairs = one.members.iter().flat_map(|left| other.members.iter().map(move |right| (left, right)));
    pairs.map(|(left, right)| sentences[*left].bag.similarity(&sentences[*right].bag)).fold(0.0, f64::max)
}
