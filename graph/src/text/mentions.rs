//! Which sentence mentions which node.

use std::collections::HashMap;

use super::analyse::{Analysis, Case, Token};
use super::block::Section;
use super::candidates::{self, Candidate, LONGEST_PHRASE, Nouns};
use super::document::{DocumentNode, NodeKind};
use super::lexicon::{Lexicon, Number};
use super::slug::slug;
use super::stop_words::is_generic_heading;
use super::words::words;

/// Nodes that one sentence mentions at most: its heading, then the longest phrases, then those the document uses most.
const MOST_PER_SENTENCE: usize = 6;

/// A longer heading, in bytes, is a sentence and no concept.
const LONGEST_HEADING: usize = 80;

/// The nodes of a document and, for each sentence, the numbers of those it mentions.
pub(super) struct Mentions {
    pub(super) nodes: Vec<DocumentNode>,
    pub(super) of_sentences: Vec<Vec<usize>>,
}

/// What one phrase of the document turned out to be.
struct Phrase {
    kind: NodeKind,
    heading: Option<String>,
    length: usize,
    capital: bool,
    sentences: u32,
    forms: Vec<(String, u32)>,
}

/// Finds nodes and mentions. `sentences` are the texts and section numbers of the analysed sentences.
pub(super) fn find(
    analysis: &Analysis,
    sentences: &[(&str, usize)],
    sections: &[Section],
    lexicon: &mut Lexicon,
) -> Mentions {
    let nouns = Nouns::new(lexicon);
    let mut index = Index::default();
    for candidate in candidates::find(analysis, &nouns) {
        index.add(candidate);
    }
    let headings: Vec<Option<usize>> = sections
        .iter()
        .map(|section| section.path.last().and_then(|heading| index.add_heading(heading, lexicon)))
        .collect();
    let mut found: Vec<Vec<usize>> = Vec::with_capacity(analysis.len());
    for (number, (text, section)) in sentences.iter().enumerate() {
        let mut phrases = index.in_sentence(text, analysis.sentence(number));
        phrases.extend(headings[*section]);
        phrases.sort_unstable();
        phrases.dedup();
        for phrase in &phrases {
            index.phrases[*phrase].sentences += 1;
        }
        found.push(phrases);
    }
    let own: Vec<Option<usize>> = sentences.iter().map(|(_, section)| headings[*section]).collect();
    settle(&index.phrases, &found, &own, analysis, lexicon)
}

/// What a phrase is compared by, and its number.
type Entry = (Box<[Number]>, usize);

#[derive(Default)]
struct Index {
    phrases: Vec<Phrase>,
    by_first: HashMap<Number, Vec<Entry>>,
}

impl Index {
    fn add(&mut self, candidate: Candidate) {
        let length = candidate.stems.len();
        self.phrases.push(Phrase {
            kind: candidate.kind,
            heading: None,
            length,
            capital: candidate.capital,
            sentences: 0,
            forms: Vec::new(),
        });
        self.insert(candidate.stems, self.phrases.len() - 1);
    }

    fn insert(&mut self, stems: Box<[Number]>, phrase: usize) {
        let Some(first) = stems.first() else { return };
        let same_start = self.by_first.entry(*first).or_default();
        let at = same_start.partition_point(|(other, _)| other.len() >= stems.len());
        same_start.insert(at, (stems, phrase));
    }

    /// Makes a heading a phrase, or marks the phrase that it is. `None` when it says nothing of its own.
    fn add_heading(&mut self, heading: &str, lexicon: &mut Lexicon) -> Option<usize> {
        let concept = without_number(heading).trim_end_matches([':', '.', '!', '?', ' ']);
        let key = slug(concept);
        let letters = concept.chars().filter(|character| character.is_alphabetic()).count();
        if letters < 2 || concept.len() > LONGEST_HEADING || is_generic_heading(&key) {
            return None;
        }
        let stems: Box<[Number]> = words(without_article(concept))
            .map(|word| {
                let number = lexicon.number(word.text);
                lexicon.entry(number).stem
            })
            .collect();
        let known = stems.first().and_then(|first| self.by_first.get(first));
        let known =
            known.and_then(|same| same.iter().find(|(other, _)| *other == stems)).map(|(_, phrase)| *phrase);
        if let Some(phrase) = known {
            let phrase_row = &mut self.phrases[phrase];
            phrase_row.kind = NodeKind::Heading;
            phrase_row.heading.get_or_insert_with(|| concept.to_owned());
            return Some(phrase);
        }
        self.phrases.push(Phrase {
            kind: NodeKind::Heading,
            heading: Some(concept.to_owned()),
            length: stems.len(),
            capital: false,
            sentences: 0,
            forms: Vec::new(),
        });
        let phrase = self.phrases.len() - 1;
        let says_something = words(concept).any(|word| {
            let number = lexicon.number(word.text);
            !lexicon.entry(number).common
        });
        // A heading of everyday words (`How to begin`) holds its own section only.
        if stems.len() <= LONGEST_PHRASE && says_something {
            self.insert(stems, phrase);
        }
        Some(phrase)
    }

    /// The phrases in a sentence, the longest at each place.
    fn in_sentence(&mut self, text: &str, tokens: &[Token]) -> Vec<usize> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            let Some(phrase) = self.at(&tokens[at..]) else {
                at += 1;
                continue;
            };
            let row = &mut self.phrases[phrase];
            let last = at + row.length;
            row.count_form(&text[tokens[at].start..tokens[last - 1].end], &tokens[at..last]);
            found.push(phrase);
            at = last;
        }
        found
    }

    fn at(&self, tokens: &[Token]) -> Option<usize> {
        let same_start = self.by_first.get(&tokens[0].stem)?;
        same_start
            .iter()
            .find(|(stems, phrase)| self.matches(stems, *phrase, tokens))
            .map(|(_, phrase)| *phrase)
    }

    fn matches(&self, stems: &[Number], phrase: usize, tokens: &[Token]) -> bool {
        stems.len() <= tokens.len()
            && stems
                .iter()
                .zip(tokens)
                .enumerate()
                .all(|(index, (stem, token))| *stem == token.stem && (index == 0 || token.joint))
            && !(self.phrases[phrase].capital && tokens[0].case == Case::Lower)
    }
}

impl Phrase {
    fn count_form(&mut self, form: &str, tokens: &[Token]) {
        let keeps_case = self.kind == NodeKind::Name || tokens.iter().any(|token| token.case == Case::Strong);
        let same = |known: &str| if keeps_case { known == form } else { known.eq_ignore_ascii_case(form) };
        if let Some((_, count)) = self.forms.iter_mut().find(|(known, _)| same(known)) {
            *count += 1;
            return;
        }
        self.forms.push((if keeps_case { form.to_owned() } else { form.to_lowercase() }, 1));
    }

    /// The form that the document uses most; of equals the shortest, then the first in the alphabet.
    fn concept(&self) -> Option<&str> {
        if let Some(heading) = &self.heading {
            return Some(heading);
        }
        let better = |left: &&(String, u32), right: &&(String, u32)| {
            left.1.cmp(&right.1).then(right.0.len().cmp(&left.0.len())).then(right.0.cmp(&left.0))
        };
        self.forms.iter().max_by(better).map(|(form, _)| form.as_str())
    }
}

/// `3.2 Leases` is called `Leases`.
fn without_number(heading: &str) -> &str {
    let rest = heading.trim_start_matches(|c: char| c.is_numeric() || c == '.' || c == ')');
    if rest.starts_with(' ') && rest.len() < heading.len() { rest.trim_start() } else { heading }
}

/// `The outbox` speaks of the same as `outbox`.
fn without_article(concept: &str) -> &str {
    ["The ", "A ", "An "].iter().find_map(|article| concept.strip_prefix(article)).unwrap_or(concept)
}

/// Gives phrases their keys, joins those with the same one, and keeps the best few of each sentence.
fn settle(
    phrases: &[Phrase],
    found: &[Vec<usize>],
    own_heading: &[Option<usize>],
    analysis: &Analysis,
    lexicon: &Lexicon,
) -> Mentions {
    let mut nodes: Vec<DocumentNode> = Vec::new();
    let mut by_key: HashMap<String, usize> = HashMap::new();
    let mut node_of: Vec<Option<usize>> = vec![None; phrases.len()];
    let mut order: Vec<usize> = (0..phrases.len()).filter(|phrase| phrases[*phrase].sentences > 0).collect();
    order.sort_by_key(|phrase| (phrases[*phrase].kind, std::cmp::Reverse(phrases[*phrase].sentences)));
    for phrase in order {
        let Some(concept) = phrases[phrase].concept() else { continue };
        let key = slug(&singular(without_article(concept), analysis, lexicon));
        if key.is_empty() {
            continue;
        }
        let node = *by_key.entry(key.clone()).or_insert_with(|| {
            nodes.push(DocumentNode {
                key,
                concept: concept.to_owned(),
                kind: phrases[phrase].kind,
                sentences: 0,
            });
            nodes.len() - 1
        });
        node_of[phrase] = Some(node);
    }
    let mut of_sentences: Vec<Vec<usize>> = Vec::with_capacity(found.len());
    for (mentioned, own) in found.iter().zip(own_heading) {
        let mut ranked: Vec<usize> = mentioned.clone();
        ranked.sort_by_key(|phrase| {
            let row = &phrases[*phrase];
            (Some(*phrase) != *own, std::cmp::Reverse(row.length), std::cmp::Reverse(row.sentences), *phrase)
        });
        let mut kept: Vec<usize> = Vec::new();
        for node in ranked.into_iter().filter_map(|phrase| node_of[phrase]) {
            if !kept.contains(&node) && kept.len() < MOST_PER_SENTENCE {
                kept.push(node);
                nodes[node].sentences += 1;
            }
        }
        of_sentences.push(kept);
    }
    drop_unused(nodes, of_sentences)
}

fn drop_unused(nodes: Vec<DocumentNode>, mut of_sentences: Vec<Vec<usize>>) -> Mentions {
    let mut numbers = vec![0; nodes.len()];
    let mut used = Vec::new();
    for (old, node) in nodes.into_iter().enumerate() {
        numbers[old] = used.len();
        if node.sentences > 0 {
            used.push(node);
        }
    }
    for sentence in &mut of_sentences {
        for node in sentence {
            *node = numbers[*node];
        }
    }
    Mentions { nodes: used, of_sentences }
}

/// `concept` with its last word in the singular, when the document uses that singular too: `jobs` and `job` are one node, `Kubernetes`
/// stays what it is.
fn singular(concept: &str, analysis: &Analysis, lexicon: &Lexicon) -> String {
    let lowercase = concept.to_lowercase();
    let start = lowercase
        .rfind(|c: char| !c.is_alphanumeric())
        .map_or(0, |at| at + lowercase[at..].chars().next().map_or(1, char::len_utf8));
    let (head, word) = lowercase.split_at(start);
    let endings: [(&str, &str); 3] = [("ies", "y"), ("es", ""), ("s", "")];
    for (ending, replacement) in endings {
        let Some(stem) = word
            .strip_suffix(ending)
            .filter(|stem| stem.len() >= 2 && (!stem.ends_with('s') || ending == "es"))
        else {
            continue;
        };
        let singular = format!("{stem}{replacement}");
        if lexicon.find(&singular).is_some_and(|number| analysis.holds(number)) {
            return format!("{head}{singular}");
        }
    }
    lowercase
}
