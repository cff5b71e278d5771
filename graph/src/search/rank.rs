//! BM25 over texts in memory: candidates that the database found are ordered by it.

use bm25::{Embedder, EmbedderBuilder, Scorer, Tokenizer};

use crate::text::terms_of;

/// BM25's `b`: how much a long text loses. Less than the usual 0.75, because the longer of two sentences often says more.
const LENGTH: f32 = 0.4;
/// Terms are told apart by 64 bits: with 32, two of a large graph's terms may share a hash.
type Term = u64;

/// A text's place among the given ones, and its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// Index of the text in the given order.
    pub index: usize,
    /// BM25 score; above 0 means that the text has a word of the query. Scores of one ranking compare, others do not.
    pub score: f64,
}

/// Texts that can be asked for their BM25 score (k1 = 1.2, b = 0.4). The rarity of a word is its rarity among them.
pub struct Ranking {
    embedder: Embedder<Term, Stems>,
    scorer: Scorer<usize, Term>,
    length: usize,
}

impl std::fmt::Debug for Ranking {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Ranking").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Ranking {
    /// Prepares the given texts.
    #[must_use]
    pub fn of(texts: &[&str]) -> Self {
        let embedder =
            EmbedderBuilder::<Term, Stems>::with_tokenizer_and_fit_to_corpus(Stems, texts).b(LENGTH).build();
        let mut scorer = Scorer::new();
        for (index, text) in texts.iter().enumerate() {
            scorer.upsert(&index, embedder.embed(text));
        }
        Self { embedder, scorer, length: texts.len() }
    }

    /// The score of every text for `query`, in the order the texts were given; 0 for one without a word of the query.
    #[must_use]
    pub fn scores(&self, query: &str) -> Vec<f64> {
        let query = self.embedder.embed(query);
        (0..self.length).map(|index| self.scorer.score(&index, &query).map_or(0.0, f64::from)).collect()
    }

    /// The texts with a score above 0, best first; of equal ones the earlier given first.
    #[must_use]
    pub fn best(&self, query: &str) -> Vec<Scored> {
        let scores = self.scores(query).into_iter().enumerate();
        let mut found: Vec<Scored> =
            scores.filter(|(_, score)| *score > 0.0).map(|(index, score)| Scored { index, score }).collect();
        found.sort_by(|left, right| right.score.total_cmp(&left.score).then(left.index.cmp(&right.index)));
        found
    }
}

struct Stems;

impl Tokenizer for Stems {
    fn tokenize(&self, text: &str) -> Vec<String> {
        terms_of(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 4] = [
        "A lease is an exclusive claim that ends by itself.",
        "The relay publishes what the outbox holds.",
        "Leases expire, and a sweeper looks for an expired lease.",
        "Nothing here belongs to it.",
    ];

    #[test]
    fn the_text_with_more_of_the_query_comes_first() {
        let best = Ranking::of(&TEXTS).best("expired leases");
        assert_eq!(best.iter().map(|scored| scored.index).collect::<Vec<_>>(), [2, 0]);
    }

    #[test]
    fn equal_texts_keep_their_order() {
        let best = Ranking::of(&["outbox row", "outbox row", "other", "outbox row"]).best("outbox");
        assert_eq!(best.iter().map(|scored| scored.index).collect::<Vec<_>>(), [0, 1, 3]);
    }

    #[test]
    fn a_query_without_a_hit_finds_nothing() {
        assert!(Ranking::of(&TEXTS).best("glacier").is_empty());
        assert!(Ranking::of(&[]).best("lease").is_empty());
    }
}
