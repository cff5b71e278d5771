//! What a topic asks for.

use crate::text::terms_of;

/// Words that a topic uses to ask with, which say nothing about what it asks for.
const ASKING: &[&str] = &[
    "concept",
    "concepts",
    "describe",
    "explain",
    "explained",
    "explanation",
    "guide",
    "introduction",
    "mean",
    "meaning",
    "means",
    "overview",
    "summary",
    "topic",
    "understanding",
];

/// The search terms of `topic` without those of asking; a topic that only asks keeps them. Empty for one of nothing but
/// words of grammar and signs.
#[must_use]
pub fn topic_terms(topic: &str) -> Vec<String> {
    let asks = |word: &&str| {
        let bare = word.trim_matches(|character: char| !character.is_alphanumeric()).to_lowercase();
        ASKING.contains(&bare.as_str())
    };
    let telling: Vec<&str> = topic.split_whitespace().filter(|word| !asks(word)).collect();
    let terms = terms_of(&telling.join(" "));
    if terms.is_empty() { terms_of(topic) } else { terms }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_what_it_asks_for() {
        assert_eq!(topic_terms("What is a lease, and how do leases expire?"), ["leas", "expir"]);
        assert_eq!(topic_terms("Explain: an overview of the outbox"), ["outbox"]);
        assert_eq!(topic_terms("Overview"), ["overview"]);
        assert!(topic_terms("?! the").is_empty());
    }
}
