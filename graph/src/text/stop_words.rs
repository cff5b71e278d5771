//! Words that say nothing about what a text is about.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Words of grammar. They are not searched for.
const GRAMMAR: &[&str] = &[
    "a", "about", "after", "again", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be",
    "because", "been", "before", "being", "both", "but", "by", "can", "cannot", "could", "did", "do", "does",
    "doing", "don", "each", "for", "from", "had", "has", "have", "having", "he", "her", "here", "hers",
    "him", "his", "how", "i", "if", "in", "into", "is", "isn", "it", "its", "just", "may", "me", "might",
    "more", "most", "must", "my", "no", "nor", "not", "of", "off", "on", "one", "only", "or", "other", "our",
    "out", "over", "own", "shall", "she", "should", "so", "some", "such", "than", "that", "the", "their",
    "them", "then", "there", "these", "they", "this", "those", "through", "to", "too", "under", "until",
    "up", "us", "very", "was", "we", "were", "what", "when", "where", "which", "while", "who", "whom",
    "whose", "why", "will", "with", "would", "yet", "you", "your",
];

static GRAMMAR_SET: LazyLock<HashSet<&'static str>> = LazyLock::new(|| GRAMMAR.iter().copied().collect());

/// The long list of common English words, which make no node on their own.
static COMMON_SET: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| stop_words::lookup("en").unwrap_or_default().iter().copied().collect());

/// Headings that stand in every other document.
const GENERIC_HEADINGS: &[&str] = &[
    "about",
    "abstract",
    "acknowledgements",
    "added",
    "appendix",
    "background",
    "changed",
    "changelog",
    "conclusion",
    "contents",
    "contributing",
    "deprecated",
    "details",
    "development",
    "documentation",
    "example",
    "examples",
    "faq",
    "features",
    "fixed",
    "getting-started",
    "index",
    "installation",
    "introduction",
    "licence",
    "license",
    "motivation",
    "notes",
    "other",
    "overview",
    "preface",
    "quick-start",
    "readme",
    "references",
    "related-work",
    "removed",
    "requirements",
    "see-also",
    "summary",
    "table-of-contents",
    "todo",
    "unreleased",
    "usage",
    "what-s-new",
];

/// Whether this word (in lowercase) only holds sentences together.
pub(super) fn is_grammar(word: &str) -> bool {
    GRAMMAR_SET.contains(word)
}

/// Whether this word (in lowercase) is too common to be a node on its own.
pub(super) fn is_common(word: &str) -> bool {
    COMMON_SET.contains(word) || is_grammar(word)
}

/// Whether a heading with this slug says nothing about the document it stands in.
pub(super) fn is_generic_heading(slug: &str) -> bool {
    GENERIC_HEADINGS.contains(&slug)
}
