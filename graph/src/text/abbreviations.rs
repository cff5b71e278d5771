//! Words behind whose full stop a sentence usually goes on.

/// Never the end of a sentence, whatever follows. In lowercase, without the last full stop.
const NEVER_LAST: &[&str] = &[
    "adm", "approx", "aug", "bros", "capt", "cf", "cmdr", "col", "cpl", "dec", "dr", "e.g", "eg", "ed",
    "eds", "esp", "feb", "gen", "gov", "hon", "hr", "i.e", "ie", "incl", "jan", "lt", "maj", "mr", "mrs",
    "ms", "mt", "msgr", "nov", "oct", "p.s", "pres", "prof", "rep", "resp", "rev", "sen", "sept", "sgt",
    "st", "viz", "vs",
];

/// The end of a sentence only where the next word begins one by the look of it.
const SELDOM_LAST: &[&str] = &[
    "a.m", "al", "apr", "assn", "ave", "b.c", "blvd", "co", "corp", "dept", "est", "etc", "inc", "jr", "jul",
    "jun", "ltd", "min", "mph", "p.m", "ph.d", "sep", "sq", "sr", "univ", "u.k", "u.n", "u.s",
];

/// Not the end of a sentence where a number follows.
const BEFORE_NUMBERS: &[&str] = &[
    "art", "ch", "chap", "col", "eq", "eqs", "ex", "fig", "figs", "l", "ll", "no", "nos", "nr", "p", "para",
    "pg", "pp", "pt", "sec", "sect", "v", "ver", "vol", "vols",
];

/// Words that begin a sentence far more often than they go on with a name.
const STARTERS: &[&str] = &[
    "a",
    "after",
    "all",
    "although",
    "an",
    "and",
    "another",
    "as",
    "at",
    "because",
    "before",
    "both",
    "but",
    "by",
    "each",
    "even",
    "every",
    "finally",
    "first",
    "for",
    "from",
    "he",
    "hence",
    "her",
    "here",
    "his",
    "how",
    "however",
    "i",
    "if",
    "in",
    "instead",
    "it",
    "its",
    "later",
    "many",
    "meanwhile",
    "most",
    "my",
    "no",
    "not",
    "now",
    "on",
    "once",
    "one",
    "only",
    "or",
    "our",
    "she",
    "since",
    "so",
    "some",
    "such",
    "that",
    "the",
    "their",
    "then",
    "there",
    "therefore",
    "these",
    "they",
    "this",
    "those",
    "though",
    "thus",
    "to",
    "until",
    "we",
    "what",
    "when",
    "where",
    "which",
    "while",
    "who",
    "why",
    "with",
    "without",
    "yet",
    "you",
    "your",
];

/// Whether the full stop behind `word` ends no sentence when `next` is the word behind it.
pub(super) fn goes_on(word: &str, next: &str) -> bool {
    let word = word.to_lowercase();
    let word = word.as_str();
    let next_is_number = next.starts_with(|first: char| first.is_numeric());
    if NEVER_LAST.contains(&word) || (next_is_number && BEFORE_NUMBERS.contains(&word)) {
        return true;
    }
    (SELDOM_LAST.contains(&word) || is_dotted(word)) && !begins_sentence(next)
}

/// Whether `word` is a word that begins sentences.
pub(super) fn begins_sentence(word: &str) -> bool {
    STARTERS.contains(&word.to_lowercase().as_str())
}

/// `u.s`, `m.sc`: single letters or short pieces with full stops between.
fn is_dotted(word: &str) -> bool {
    word.contains('.')
        && word
            .split('.')
            .all(|piece| (1..=2).contains(&piece.chars().count()) && piece.chars().all(char::is_alphabetic))
}
