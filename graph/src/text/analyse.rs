//! Sentences as words with what is known of them.

use std::ops::Range;

use super::lexicon::{Lexicon, Number};
use super::words::{Gap, words};

/// One word of a sentence.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "four independent properties of a word")]
pub(super) struct Token {
    /// The word in lowercase.
    pub(super) word: Number,
    /// What it is compared by.
    pub(super) stem: Number,
    /// Its place in the sentence, in bytes.
    pub(super) start: usize,
    /// The byte behind it.
    pub(super) end: usize,
    /// Whether it may belong to one phrase with the word before it.
    pub(super) joint: bool,
    /// How it is written.
    pub(super) case: Case,
    /// Whether it is set as code.
    pub(super) code: bool,
    /// Too common to be a node.
    pub(super) common: bool,
    /// A word of grammar.
    pub(super) grammar: bool,
}

/// How a word is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    /// All lowercase, or of a script without case.
    Lower,
    /// Its first letter is a capital.
    Capital,
    /// More capitals than at the beginning, or a capital and a digit: a name wherever it stands.
    Strong,
    /// A number.
    Digits,
}

/// The words of all sentences of a document.
#[derive(Debug, Default)]
pub(super) struct Analysis {
    tokens: Vec<Token>,
    sentences: Vec<Range<usize>>,
}

impl Analysis {
    /// Adds a sentence and returns its search terms with a space between. `code` are the places of code in it, in order.
    pub(super) fn push(&mut self, sentence: &str, code: &[Range<usize>], lexicon: &mut Lexicon) -> String {
        let first = self.tokens.len();
        let mut terms: Vec<Number> = Vec::new();
        for word in words(sentence) {
            let number = lexicon.number(word.text);
            let entry = lexicon.entry(number);
            for term in entry.terms() {
                if !terms.contains(term) {
                    terms.push(*term);
                }
            }
            self.tokens.push(Token {
                word: number,
                stem: entry.stem,
                start: word.start,
                end: word.end(),
                joint: word.gap == Gap::Joint,
                case: case_of(word.text),
                code: code.iter().any(|range| range.contains(&word.start)),
                common: entry.common,
                grammar: entry.grammar,
            });
        }
        self.sentences.push(first..self.tokens.len());
        let mut line = String::with_capacity(terms.len() * 8);
        for term in terms {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(lexicon.term(term));
        }
        line
    }

    pub(super) fn sentence(&self, index: usize) -> &[Token] {
        &self.tokens[self.sentences[index].clone()]
    }

    /// All sentences in order, each with the number of its first word in the document.
    pub(super) fn sentences(&self) -> impl Iterator<Item = (usize, &[Token])> {
        self.sentences.iter().map(|range| (range.start, &self.tokens[range.clone()]))
    }

    pub(super) fn len(&self) -> usize {
        self.sentences.len()
    }

    /// Whether the document holds this word (in lowercase).
    pub(super) fn holds(&self, word: Number) -> bool {
        self.tokens.iter().any(|token| token.word == word)
    }
}

fn case_of(word: &str) -> Case {
    let mut capitals = 0;
    let mut first_is_capital = false;
    let mut digits = 0;
    let mut letters = 0;
    for (index, character) in word.chars().enumerate() {
        if character.is_uppercase() {
            capitals += 1;
            first_is_capital |= index == 0;
        }
        if character.is_numeric() {
            digits += 1;
        } else {
            letters += 1;
        }
    }
    match (capitals, first_is_capital) {
        _ if letters == 0 => Case::Digits,
        (0, _) => Case::Lower,
        (1, true) if digits == 0 || letters == 1 => Case::Capital,
        _ => Case::Strong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_seen_by_their_capitals() {
        for (word, case) in [
            ("queue", Case::Lower),
            ("Queue", Case::Capital),
            ("RabbitMQ", Case::Strong),
            ("UUIDv7", Case::Strong),
            ("iPhone", Case::Strong),
            ("AMQP", Case::Strong),
            ("2026", Case::Digits),
            ("知识", Case::Lower),
        ] {
            assert_eq!(case_of(word), case, "{word}");
        }
    }
}
