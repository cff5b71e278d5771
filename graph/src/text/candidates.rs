//! What a document may be about: proper names, identifiers and recurring terms.

use std::collections::HashMap;

use super::analyse::{Analysis, Case, Token};
use super::document::NodeKind;
use super::lexicon::Number;

/// The longest phrase, in words.
pub(super) const LONGEST_PHRASE: usize = 5;

/// A phrase that may become a node.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) kind: NodeKind,
    /// What its words are compared by.
    pub(super) stems: Box<[Number]>,
    /// It counts only where it begins with a capital, because its word is also an everyday one.
    pub(super) capital: bool,
    /// In how many sentences it stands.
    pub(super) sentences: u32,
    /// The number of the first word of its first place.
    first: usize,
}

#[derive(Debug, Default)]
struct Count {
    sentences: u32,
    last: usize,
    first: usize,
    /// Places that make it a noun: behind an article or a preposition.
    noun: u32,
    capital: u32,
    lower: u32,
    code: u32,
    strong: bool,
}

impl Count {
    fn add(&mut self, sentence: usize, first: usize) {
        if self.sentences == 0 {
            self.first = first;
        }
        if self.sentences == 0 || self.last != sentence {
            self.sentences += 1;
            self.last = sentence;
        }
    }
}

type Counts = HashMap<Box<[Number]>, Count>;

/// Finds the candidates of a document, best first, at most as many as a document of its length can carry.
pub(super) fn find(analysis: &Analysis, nouns: &Nouns) -> Vec<Candidate> {
    let singles = single_words(analysis, nouns);
    let mut candidates = names(analysis, &singles);
    candidates.extend(terms(analysis, nouns, &singles));
    let most = (analysis.len() / 2).clamp(12, 250);
    candidates.sort_by(|left, right| {
        let weight = |candidate: &Candidate| candidate.sentences as usize * (candidate.stems.len() + 1);
        weight(right)
            .cmp(&weight(left))
            .then(left.first.cmp(&right.first))
            .then(right.stems.len().cmp(&left.stems.len()))
    });
    let mut seen = std::collections::HashSet::new();
    // A name that is also a recurring term is a name: names come first among equals, since the sort is stable.
    candidates.retain(|candidate| seen.insert(candidate.stems.clone()));
    candidates.truncate(most);
    candidates
}

/// Words behind which a noun follows.
#[derive(Debug)]
pub(super) struct Nouns(std::collections::HashSet<Number>);

const BEFORE_NOUNS: [&str; 24] = [
    "a", "an", "any", "by", "each", "every", "from", "her", "his", "in", "into", "its", "my", "no", "of",
    "our", "per", "some", "that", "the", "their", "this", "with", "your",
];

impl Nouns {
    pub(super) fn new(lexicon: &super::lexicon::Lexicon) -> Self {
        Self(BEFORE_NOUNS.iter().filter_map(|word| lexicon.find(word)).collect())
    }
}

fn single_words(analysis: &Analysis, nouns: &Nouns) -> HashMap<Number, Count> {
    let mut counts: HashMap<Number, Count> = HashMap::new();
    for (sentence, (offset, tokens)) in analysis.sentences().enumerate() {
        for (index, token) in tokens.iter().enumerate() {
            if token.grammar || token.case == Case::Digits || token.end - token.start < 2 {
                continue;
            }
            let count = counts.entry(token.stem).or_default();
            count.add(sentence, offset + index);
            count.code += u32::from(token.code);
            count.strong |= token.case == Case::Strong;
            count.lower += u32::from(token.case == Case::Lower);
            count.capital += u32::from(token.case != Case::Lower && index > 0);
            let before = index.checked_sub(1).map(|before| &tokens[before]);
            count.noun += u32::from(before.is_some_and(|before| nouns.0.contains(&before.word)));
        }
    }
    counts
}

/// Proper names and identifiers.
fn names(analysis: &Analysis, singles: &HashMap<Number, Count>) -> Vec<Candidate> {
    let mut counts = Counts::new();
    for (sentence, (offset, tokens)) in analysis.sentences().enumerate() {
        if is_shouted(tokens) {
            continue;
        }
        for (from, to) in runs_of_capitals(tokens, singles) {
            let stems: Box<[Number]> = tokens[from..to].iter().map(|token| token.stem).collect();
            let count = counts.entry(stems).or_default();
            count.add(sentence, offset + from);
            count.strong |= tokens[from..to].iter().any(|token| token.case == Case::Strong);
        }
        for (from, to) in runs_of_code(tokens) {
            let stems: Box<[Number]> = tokens[from..to].iter().map(|token| token.stem).collect();
            let count = counts.entry(stems).or_default();
            count.add(sentence, offset + from);
            count.code += 1;
        }
    }
    counts.into_iter().filter_map(|(stems, count)| name(stems, &count, singles)).collect()
}

fn name(stems: Box<[Number]>, count: &Count, singles: &HashMap<Number, Count>) -> Option<Candidate> {
    let mut capital = false;
    if let [stem] = *stems {
        let single = singles.get(&stem)?;
        let everyday = single.lower > single.code;
        if everyday && !count.strong && (single.lower > single.capital || count.sentences < 2) {
            return None;
        }
        // Set as code once, or a capital once in mid-sentence, is too little to go by.
        if !count.strong && count.sentences < 2 {
            return None;
        }
        capital = everyday;
    } else if count.code > 0 && count.sentences < 2 {
        return None;
    }
    Some(Candidate { kind: NodeKind::Name, stems, capital, sentences: count.sentences, first: count.first })
}

fn is_shouted(tokens: &[Token]) -> bool {
    let words = tokens.iter().filter(|token| token.case != Case::Digits).count();
    let strong = tokens.iter().filter(|token| token.case == Case::Strong).count();
    words >= 4 && strong * 2 > words
}

/// Sequences of words with capitals. A single word at the beginning of a sentence counts only when it is seen with a
/// capital elsewhere too.
fn runs_of_capitals(tokens: &[Token], singles: &HashMap<Number, Count>) -> Vec<(usize, usize)> {
    let is_capital = |token: &Token| matches!(token.case, Case::Capital | Case::Strong) && !token.code;
    let mut runs = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        if !is_capital(&tokens[index]) || tokens[index].end - tokens[index].start < 2 {
            index += 1;
            continue;
        }
        let mut from = index;
        let mut to = index + 1;
        while to < tokens.len() && tokens[to].joint {
            let follows_number = tokens[to].case == Case::Digits && tokens[to - 1].case != Case::Digits;
            if !is_capital(&tokens[to]) && !follows_number {
                break;
            }
            to += 1;
        }
        index = to;
        // `The Worker`, `When Alice`: the everyday word is no part of the name.
        while from < to && tokens[from].common && tokens[from].case != Case::Strong {
            from += 1;
        }
        while from < to && tokens[to - 1].common && tokens[to - 1].case != Case::Strong {
            to -= 1;
        }
        if from == to || to - from > LONGEST_PHRASE {
            continue;
        }
        let weak = from == 0 && to == 1 && tokens[0].case != Case::Strong;
        if !weak || singles.get(&tokens[0].stem).is_some_and(|count| count.capital > 0) {
            runs.push((from, to));
        }
    }
    runs
}

/// Identifiers set as code: `enqueue_all`, `dead-letters`.
fn runs_of_code(tokens: &[Token]) -> Vec<(usize, usize)> {
    let mut runs = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        let from = index;
        index += 1;
        if !tokens[from].code {
            continue;
        }
        while index < tokens.len() && tokens[index].code && tokens[index].joint {
            index += 1;
        }
        let whole = tokens.get(index).is_none_or(|next| !next.code || next.joint)
            && (from == 0 || !tokens[from - 1].code);
        let letters = tokens[from..index].iter().any(|token| !token.common && token.case != Case::Digits);
        let long = tokens[index - 1].end - tokens[from].start >= 3;
        if whole && letters && long && index - from <= LONGEST_PHRASE {
            runs.push((from, index));
        }
    }
    runs
}

/// Phrases of up to three words that recur, and single nouns that recur more often.
fn terms(analysis: &Analysis, nouns: &Nouns, singles: &HashMap<Number, Count>) -> Vec<Candidate> {
    let phrases = phrases(analysis, nouns, singles);
    let mut shadows: HashMap<&[Number], u32> = HashMap::new();
    for (stems, count) in phrases.iter().filter(|(_, count)| count.sentences >= 2) {
        for part in parts(stems) {
            let shadow = shadows.entry(part).or_default();
            *shadow = (*shadow).max(count.sentences);
        }
    }
    // A part that hardly stands without its phrase is no node beside it.
    let shadowed = |stems: &[Number], sentences: u32| {
        shadows.get(stems).is_some_and(|shadow| shadow * 5 >= sentences * 4)
    };
    let mut terms: Vec<Candidate> = phrases
        .iter()
        .filter(|(stems, count)| count.sentences >= 2 && count.noun >= 1 && !shadowed(stems, count.sentences))
        .map(|(stems, count)| term(stems.clone(), count))
        .collect();
    let content = content_stems(analysis);
    terms.extend(
        singles
            .iter()
            .filter(|(stem, count)| count.sentences >= 3 && count.noun >= 2 && content.contains(stem))
            .filter(|(stem, count)| !shadowed(std::slice::from_ref(*stem), count.sentences))
            .map(|(stem, count)| term(Box::new([*stem]), count)),
    );
    terms
}

fn term(stems: Box<[Number]>, count: &Count) -> Candidate {
    Candidate { kind: NodeKind::Term, stems, capital: false, sentences: count.sentences, first: count.first }
}

fn is_content(token: &Token) -> bool {
    !token.common && token.case != Case::Digits && token.end - token.start >= 3
}

fn content_stems(analysis: &Analysis) -> std::collections::HashSet<Number> {
    analysis
        .sentences()
        .flat_map(|(_, tokens)| tokens)
        .filter(|token| is_content(token))
        .map(|token| token.stem)
        .collect()
}

fn phrases(analysis: &Analysis, nouns: &Nouns, singles: &HashMap<Number, Count>) -> Counts {
    let recurs = |token: &Token| {
        is_content(token) && singles.get(&token.stem).is_some_and(|count| count.sentences >= 2)
    };
    let mut counts = Counts::new();
    let mut stems: Vec<Number> = Vec::new();
    for (sentence, (offset, tokens)) in analysis.sentences().enumerate() {
        for from in 0..tokens.len() {
            stems.clear();
            let noun = from > 0 && nouns.0.contains(&tokens[from - 1].word);
            for token in tokens[from..].iter().take(3) {
                if !recurs(token) || (!stems.is_empty() && !token.joint) {
                    break;
                }
                stems.push(token.stem);
                if stems.len() < 2 {
                    continue;
                }
                let count = match counts.get_mut(stems.as_slice()) {
                    Some(count) => count,
                    None => counts.entry(stems.as_slice().into()).or_default(),
                };
                count.add(sentence, offset + from);
                count.noun += u32::from(noun);
            }
        }
    }
    counts
}

/// The shorter phrases in a phrase.
fn parts(stems: &[Number]) -> impl Iterator<Item = &[Number]> {
    (1..stems.len()).flat_map(move |length| stems.windows(length))
}
