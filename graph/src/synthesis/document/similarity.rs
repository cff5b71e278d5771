//! How close two texts are by their words.

use std::collections::BTreeSet;

use crate::text::terms_of;

/// The different words of a text, cut back to their stems, ready to be compared.
#[derive(Clone, Debug)]
pub(crate) struct Bag(BTreeSet<String>);

impl Bag {
    /// The words of `text` that carry meaning.
    pub(crate) fn of(text: &str) -> Self {
        Self(terms_of(text).into_iter().collect())
    }

    /// The words of `text` but for those in `left_out`.
    pub(crate) fn without(text: &str, left_out: &[String]) -> Self {
        Self(terms_of(text).into_iter().filter(|term| !left_out.contains(term)).collect())
    }

    /// Cosine of the angle between the two: 1 for the same words, 0 for none in common. Rounded to 4 decimals.
    #[allow(clippy::cast_precision_loss, reason = "a sentence has few words")]
    pub(crate) fn similarity(&self, other: &Self) -> f64 {
        let size = ((self.0.len() * other.0.len()) as f64).sqrt();
        if size == 0.0 { 0.0 } else { (self.shared(other) as f64 / size * 10_000.0).round() / 10_000.0 }
    }

    /// The share of the smaller one's words that the other has too.
    #[allow(clippy::cast_precision_loss, reason = "a sentence has few words")]
    pub(crate) fn containment(&self, other: &Self) -> f64 {
        let smaller = self.0.len().min(other.0.len());
        if smaller == 0 { 0.0 } else { self.shared(other) as f64 / smaller as f64 }
    }

    /// The number of different words.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    fn shared(&self, other: &Self) -> usize {
        self.0.intersection(&other.0).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::float_cmp, reason = "rounded values")]
    fn the_same_words_are_1_and_none_in_common_is_0() {
        let bag = Bag::of("A lease expires.");
        assert_eq!(bag.similarity(&Bag::of("Expired leases")), 1.0);
        assert_eq!(bag.similarity(&Bag::of("The outbox")), 0.0);
        assert_eq!(bag.similarity(&Bag::of("")), 0.0);
        assert_eq!(bag.similarity(&Bag::of("The lease of a flat")), 0.5);
        assert_eq!(bag.containment(&Bag::of("A lease of a flat expires.")), 1.0);
    }
}
