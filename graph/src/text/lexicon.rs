//! Words as numbers: what is known of a word is worked out once, however often it comes.

use std::collections::HashMap;

use rust_stemmers::{Algorithm, Stemmer};

use super::stop_words::{is_common, is_grammar};
use super::words::is_unspaced;

/// The number of a word (in lowercase) or of a search term.
pub(super) type Number = u32;

/// Words that are kept before the lexicon is emptied: enough for any language, too few to matter for memory.
const MOST_WORDS: usize = 200_000;

/// Longer words, in bytes, are no search terms: hashes and keys.
const LONGEST_TERM: usize = 64;

/// What is known of a word.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The search term it stands for, which is its number for comparing.
    pub(super) stem: Number,
    /// The search terms, when they are more or fewer than that one.
    terms: Option<Box<[Number]>>,
    /// Whether it only holds sentences together.
    pub(super) grammar: bool,
    /// Whether it is too common to be a node.
    pub(super) common: bool,
}

impl Entry {
    /// The search terms of the word.
    pub(super) fn terms(&self) -> &[Number] {
        self.terms.as_deref().unwrap_or(std::slice::from_ref(&self.stem))
    }
}

/// All words seen so far.
pub(super) struct Lexicon {
    stemmer: Stemmer,
    words: HashMap<Box<str>, Number>,
    entries: Vec<Entry>,
    stems: HashMap<Box<str>, Number>,
    stem_texts: Vec<Box<str>>,
    lowercase: String,
}

impl Lexicon {
    pub(super) fn new() -> Self {
        Self {
            stemmer: Stemmer::create(Algorithm::English),
            words: HashMap::new(),
            entries: Vec::new(),
            stems: HashMap::new(),
            stem_texts: Vec::new(),
            lowercase: String::new(),
        }
    }

    /// Empties the lexicon when it has grown too large. Numbers given out before then mean nothing any more.
    pub(super) fn trim(&mut self) {
        if self.words.len() > MOST_WORDS {
            *self = Self::new();
        }
    }

    /// The number of a word in any case.
    pub(super) fn number(&mut self, word: &str) -> Number {
        let mut lowercase = std::mem::take(&mut self.lowercase);
        lowercase.clear();
        if word.is_ascii() {
            lowercase.push_str(word);
            lowercase.make_ascii_lowercase();
        } else {
            lowercase.extend(word.chars().flat_map(char::to_lowercase));
        }
        let number = match self.words.get(lowercase.as_str()) {
            Some(number) => *number,
            None => self.add(&lowercase),
        };
        self.lowercase = lowercase;
        number
    }

    /// The number of a word in lowercase, if it was seen.
    pub(super) fn find(&self, lowercase: &str) -> Option<Number> {
        self.words.get(lowercase).copied()
    }

    pub(super) fn entry(&self, word: Number) -> &Entry {
        &self.entries[word as usize]
    }

    /// The text of a search term.
    pub(super) fn term(&self, term: Number) -> &str {
        &self.stem_texts[term as usize]
    }

    fn add(&mut self, lowercase: &str) -> Number {
        let stem = self.stem(lowercase);
        let grammar = is_grammar(lowercase);
        let terms = if grammar || lowercase.len() > LONGEST_TERM && !lowercase.contains(is_unspaced) {
            Some(Box::default())
        } else if lowercase.contains(is_unspaced) {
            Some(self.pairs(lowercase))
        } else {
            None
        };
        let number = number_of(self.entries.len());
        self.entries.push(Entry { stem, terms, grammar, common: is_common(lowercase) });
        self.words.insert(lowercase.into(), number);
        number
    }

    fn stem(&mut self, lowercase: &str) -> Number {
        let stemmed = if lowercase.bytes().all(|byte| byte.is_ascii_lowercase()) {
            self.stemmer.stem(lowercase).into_owned()
        } else {
            lowercase.to_owned()
        };
        self.intern(&stemmed)
    }

    fn intern(&mut self, stem: &str) -> Number {
        if let Some(number) = self.stems.get(stem) {
            return *number;
        }
        let number = number_of(self.stem_texts.len());
        self.stem_texts.push(stem.into());
        self.stems.insert(stem.into(), number);
        number
    }

    /// Text without spaces is searched by pairs of neighbouring characters; what stands in it of other scripts by itself.
    fn pairs(&mut self, lowercase: &str) -> Box<[Number]> {
        let mut terms = Vec::new();
        let characters: Vec<(usize, char)> = lowercase.char_indices().collect();
        let end = |index: usize| characters.get(index).map_or(lowercase.len(), |(at, _)| *at);
        for run in characters.chunk_by(|(_, left), (_, right)| is_unspaced(*left) == is_unspaced(*right)) {
            let first = characters.partition_point(|(at, _)| *at < run[0].0);
            if !is_unspaced(run[0].1) {
                terms.push(self.stem(&lowercase[end(first)..end(first + run.len())]));
                continue;
            }
            for index in first..first + (run.len() - 1).max(1) {
                let last = (index + 2).min(first + run.len());
                terms.push(self.intern(&lowercase[end(index)..end(last)]));
            }
        }
        terms.into()
    }
}

/// A lexicon is emptied long before it holds more than a `u32` can count.
#[allow(clippy::cast_possible_truncation, reason = "bounded by the memory that so many words would take")]
fn number_of(length: usize) -> Number {
    length as Number
}
