//! Random choices that can be repeated.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A small generator of its own, because a seed must mean the same next year (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    /// From `ACKORD_SEED`, or from a seed that is printed. Parts of one test draw differently from the same seed.
    pub(crate) fn from_environment(part: u64) -> Self {
        let seed = std::env::var("ACKORD_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed: u64 = seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        eprintln!("repeat with ACKORD_SEED={seed}");
        Self((seed ^ part.wrapping_mul(0x9E37_79B9_7F4A_7C15)) | 1)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }

    /// The same, for counting.
    pub(crate) fn number(&mut self, limit: u64) -> usize {
        usize::try_from(self.below(limit)).unwrap()
    }
}
