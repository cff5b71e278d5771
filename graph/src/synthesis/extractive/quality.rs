//! Whether a sentence can stand in a text that it was not written for.

use ackord_entities::graph::fact::FactType;

use super::wording::{
    AUXILIARIES, BEFORE_NOUNS, CLAUSES, LEANING, ORDERS, POINTING, PREPOSITIONS, PRONOUNS, VERBS,
};
use crate::synthesis::material::Fact;

/// What a sentence is good for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fitness {
    /// It can stand alone; 1 is best, 0 worst.
    Alone(f64),
    /// It can stand behind the sentence before it in its source.
    Behind(f64),
    /// It cannot be used: a fragment, code, an introduction to something that does not follow.
    Unfit,
}

/// A sentence worse than this is left out, however much it has to do with the topic.
const LEAST_FITNESS: f64 = 0.37;
const FEWEST_WORDS: usize = 4;
const MOST_WORDS: usize = 60;

/// Judges the sentence of `fact`.
pub(super) fn fitness(fact: &Fact) -> Fitness {
    let text = fact.text.trim();
    let words: Vec<&str> = text.split_whitespace().collect();
    if !(FEWEST_WORDS..=MOST_WORDS).contains(&words.len()) || is_introduction(text) || is_markup(text, &words)
    {
        return Fitness::Unfit;
    }
    let lower = text.to_lowercase();
    let score = by_kind(fact.fact_type)
        * by_length(words.len())
        * by_edges(text)
        * by_wording(&lower, &words)
        * by_shape(text, &words)
        * by_code(&words);
    if score < LEAST_FITNESS {
        Fitness::Unfit
    } else if leans(&lower) {
        Fitness::Behind(score)
    } else {
        Fitness::Alone(score)
    }
}

/// A sentence that only leads over to what comes next, and points nowhere without it.
fn is_introduction(text: &str) -> bool {
    let bare = text.trim_end_matches(['"', '\'', ')', ' ']);
    bare.ends_with([':', ',', ';', '-', '–', '…', '(']) || text.starts_with("See ") || text.contains("](")
}

/// Mostly symbols and numbers: a table row, a command, a path, a log line.
fn is_markup(text: &str, words: &[&str]) -> bool {
    let plain = |character: char| character.is_alphabetic() || character.is_whitespace();
    let length = text.chars().count();
    let odd = text
        .chars()
        .filter(|character| !plain(*character) && !matches!(character, '.' | ',' | '\'' | '-'))
        .count();
    let code = words.iter().copied().filter(|word| is_code(word)).count();
    odd * 4 > length || code * 5 > words.len() * 2
}

/// A word that belongs to a program, not to a language.
fn is_code(word: &str) -> bool {
    let bare = word.trim_matches(|character: char| {
        matches!(character, '.' | ',' | ';' | ':' | '(' | ')' | '"' | '\'' | '!' | '?' | '`')
    });
    let inside = |mark: &str| bare.contains(mark);
    ["::", "()", "->", "=>", "==", "&&", "||", "</", "://"].into_iter().any(inside)
        || bare.starts_with(['/', '$', '-', '@', '#', '<', '{', '[', '\\', '&', '='])
        || bare.contains(['_', '=', '{', '}', '|', '\\', '<', '>', '$', '#', '*'])
}

fn by_kind(fact_type: FactType) -> f64 {
    match fact_type {
        FactType::Sentence | FactType::Stated => 1.0,
        FactType::ListItem => 0.8,
        FactType::TableRow => 0.15,
    }
}

fn by_length(words: usize) -> f64 {
    match words {
        9..=32 => 1.0,
        6..=8 | 33..=45 => 0.8,
        _ => 0.5,
    }
}

fn by_edges(text: &str) -> f64 {
    let mut score = 1.0;
    let ends = text.trim_end_matches(['"', '\'', ')', '”', '’', ']']).ends_with(['.', '!']);
    if !ends {
        score *= if text.ends_with('?') { 0.2 } else { 0.45 };
    }
    let first = text.trim_start_matches(['"', '\'', '“', '(', '`']).chars().next();
    if !first.is_some_and(char::is_uppercase) {
        score *= if first.is_some_and(char::is_alphabetic) { 0.6 } else { 0.4 };
    }
    if text.starts_with('(') {
        score *= 0.5;
    }
    if !is_balanced(text) {
        score *= 0.3;
    }
    score
}

fn is_balanced(text: &str) -> bool {
    let count = |mark: char| text.chars().filter(|character| *character == mark).count();
    count('(') == count(')') && count('[') == count(']') && count('"') % 2 == 0 && count('`') % 2 == 0
}

fn by_wording(lower: &str, words: &[&str]) -> f64 {
    let bare: Vec<String> = words.iter().map(|word| bare(word).replace('’', "'")).collect();
    let mut score = 1.0;
    if POINTING.iter().any(|phrase| has_phrase(lower, phrase))
        || points_at_a_number(&bare)
        || lower.trim_end_matches(['.', '!']).ends_with(" here")
    {
        score *= 0.3;
    }
    if ORDERS.has(&bare[0]) || VERBS.has(&bare[0]) {
        score *= 0.45;
    } else if !has_finite_verb(&bare) {
        score *= 0.25;
    }
    let speaks = |word: &String| {
        matches!(
            word.as_str(),
            "i" | "my"
                | "me"
                | "we"
                | "we'd"
                | "we've"
                | "we'll"
                | "our"
                | "us"
                | "i'm"
                | "we're"
                | "i'd"
                | "i've"
                | "let's"
        )
    };
    if bare.iter().any(speaks) {
        score *= 0.5;
    } else if bare.iter().any(|word| matches!(word.as_str(), "you" | "your" | "you're" | "yours")) {
        score *= 0.8;
    }
    if bare[0] == "note" || bare[0] == "please" || lower.ends_with('!') {
        score *= 0.7;
    }
    score
}

/// `Listing 13-8`, `chapter 4`: a place in the document that it comes from.
fn points_at_a_number(words: &[String]) -> bool {
    let places = ["appendix", "chapter", "example", "figure", "listing", "section", "step", "table"];
    let starts_with_digit = |word: &String| word.starts_with(|first: char| first.is_ascii_digit());
    words.windows(2).any(|pair| places.contains(&pair[0].as_str()) && starts_with_digit(&pair[1]))
}

/// Whether the words, bare and in lower case, make a sentence rather than a title. A guess by the neighbours of each word.
fn has_finite_verb(words: &[String]) -> bool {
    let is_verb = |index: usize| {
        let (word, before) = (words[index].as_str(), words[index - 1].as_str());
        if AUXILIARIES.has(word) {
            return true;
        }
        if BEFORE_NOUNS.has(before) {
            return false;
        }
        let plural = before.ends_with('s')
            || matches!(before, "they" | "we" | "you" | "i" | "who" | "which" | "that" | "not");
        third_person(word) || (plural && VERBS.has(word)) || (word.ends_with("ed") && index < 4 && !plural)
    };
    (1..words.len()).any(is_verb)
}

/// Whether the word is a known verb with its `s`: `runs`, `passes`, `relies`.
fn third_person(word: &str) -> bool {
    let Some(stem) = word.strip_suffix('s') else { return false };
    let known = |base: &str| VERBS.has(base);
    known(stem)
        || stem.strip_suffix('e').is_some_and(known)
        || stem.strip_suffix("ie").is_some_and(|start| known(&format!("{start}y")))
}

/// Notes in the form of a sentence: a label in front, a list in the middle, remarks in brackets.
fn by_shape(text: &str, words: &[&str]) -> f64 {
    let mut score = 1.0;
    if words[0].chars().any(|character| character.is_ascii_digit()) {
        score *= 0.5;
    }
    if words.iter().take(4).any(|word| word.ends_with(':')) {
        score *= 0.7;
    }
    let count = |mark: char| text.chars().filter(|character| *character == mark).count();
    for (mark, most, factor) in
        [(';', 1, 0.7), ('(', 1, 0.7), (',', 5, 0.7), (':', 1, 0.7), ('/', 2, 0.7), ('"', 4, 0.8)]
    {
        if count(mark) > most {
            score *= factor;
        }
    }
    if words.iter().any(|word| matches!(*word, "->" | "=>" | "=" | "+" | "<-" | "..." | "etc." | "vs")) {
        score *= 0.5;
    }
    score
}

#[allow(clippy::cast_precision_loss, reason = "a sentence has few words")]
fn by_code(words: &[&str]) -> f64 {
    let code = words.iter().copied().filter(|word| is_code(word)).count() as f64;
    (1.0 - 1.5 * code / words.len() as f64).max(0.0)
}

/// Whether the sentence, in lower case, means nothing without the one before it.
pub(in crate::synthesis) fn leans(lower: &str) -> bool {
    let text = lower.trim_start_matches(['"', '\'', '“', '(', '`', '*', ' ']);
    if LEANING.iter().any(|start| begins_with(text, start)) {
        return true;
    }
    let mut words = text.split_whitespace().map(bare);
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let leaning_clause = CLAUSES.has(&first) && PRONOUNS.has(&second);
    let early = || text.split_whitespace().map(bare).skip(1).take(4);
    let refers =
        |word: String| matches!(word.as_str(), "this" | "these" | "those" | "it" | "they" | "that" | "such");
    leaning_clause || (PREPOSITIONS.has(&first) && early().any(refers))
}

fn begins_with(text: &str, start: &str) -> bool {
    let rest = text.strip_prefix(start);
    rest.is_some_and(|rest| {
        !rest.starts_with(|next: char| next.is_alphanumeric() || matches!(next, '-' | '_' | '\''))
    })
}

fn has_phrase(lower: &str, phrase: &str) -> bool {
    lower.match_indices(phrase).any(|(start, _)| {
        let before = lower[..start].chars().next_back();
        let behind = lower[start + phrase.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !behind.is_some_and(char::is_alphanumeric)
    })
}

fn bare(word: &str) -> String {
    word.trim_matches(|character: char| !character.is_alphanumeric()).to_lowercase()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::sync::Arc;

    use ackord_entities::ids::{FactId, SourceId};
    use rstest::rstest;
    use uuid::Uuid;

    use super::*;
    use crate::synthesis::material::Source;

    fn judged(text: &str) -> Fitness {
        let source = Source { id: SourceId(Uuid::nil()), title: "t".to_owned(), uri: "u".to_owned() };
        fitness(&Fact {
            id: FactId(Uuid::nil()),
            text: text.to_owned(),
            fact_type: FactType::Sentence,
            source: Arc::new(source),
            position: 0,
            headings: vec![],
            nodes: vec![],
        })
    }

    #[rstest]
    #[case("A lease is an exclusive claim on a key that ends by itself.")]
    #[case("Workers renew their leases while a job runs.")]
    #[case("The relay publishes messages and deletes what the broker has confirmed.")]
    #[case("If a worker dies, another one takes the job over.")]
    #[case("No order between jobs is promised by the engine.")]
    fn a_whole_sentence_stands_alone(#[case] text: &str) {
        assert!(matches!(judged(text), Fitness::Alone(share) if share > 0.75), "{:?}", judged(text));
    }

    #[rstest]
    #[case("It ends by itself when nobody renews it.")]
    #[case("However, the broker may give the message again.")]
    #[case("When it fails, the job is tried again later.")]
    #[case("By default, this happens once in a second.")]
    #[case("For example, a worker may be killed while it writes.")]
    #[case("This means that the effect happens once.")]
    fn a_sentence_that_leans_does_not(#[case] text: &str) {
        assert!(matches!(judged(text), Fitness::Behind(_)), "{:?}", judged(text));
    }

    #[rstest]
    #[case("There are three ways to do it:")]
    #[case("cargo run --release -- demo --path=/tmp/x | tee log.txt")]
    #[case("let lease = Lease::take(key).await?;")]
    #[case("Too short, this.")]
    #[case("id, key, 12, 0x3f, 99.5, 17, 2026-11-20, 4711")]
    #[case("See the chapter on leases for the reasons behind all of this.")]
    fn what_is_no_sentence_is_unfit(#[case] text: &str) {
        assert_eq!(judged(text), Fitness::Unfit);
    }

    #[rstest]
    #[case(
        "Asynchronous TCP and UDP sockets for all common platforms.",
        "The crate has asynchronous TCP and UDP sockets."
    )]
    #[case("You can find a complete example of it here.", "The guide contains a complete example of it.")]
    #[case(
        "In contrast to Listing 13-8, the closure implements one trait.",
        "In contrast to other languages, the closure implements one trait."
    )]
    #[case(
        "As we’ve seen, the closure implements one trait.",
        "As is known, the closure implements one trait."
    )]
    #[case(
        "Drop all tables from the database, then start again.",
        "The command drops all tables from the database."
    )]
    #[case(
        "We will stop making new releases once it is done.",
        "The project stops making releases once it is done."
    )]
    fn titles_orders_and_asides_are_worth_less(#[case] worse: &str, #[case] better: &str) {
        let share = |text: &str| match judged(text) {
            Fitness::Alone(share) | Fitness::Behind(share) => share,
            Fitness::Unfit => 0.0,
        };
        assert!(share(worse) < 0.7 * share(better), "{} and {}", share(worse), share(better));
    }
}
