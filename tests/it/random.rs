//! Random choices that can be repeated.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A small generator of its own, because a seed must mean the same next year (xorshift64*).
pub(crate) struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// From `ACKORD_SEED`, or from a seed that is printed. Parts of one test draw differently from the same seed.
    pub(crate) fn from_environment(part: u64) -> Self {
        let seed = std::env::var("ACKORD_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed: u64 = seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        eprintln!("repeat with ACKORD_SEED={seed}");
        Self { seed, state: (seed ^ part.wrapping_mul(0x9E37_79B9_7F4A_7C15)) | 1 }
    }

    /// What repeats it.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }

    /// The same, for counting.
    pub(crate) fn number(&mut self, limit: u64) -> usize {
        usize::try_from(self.below(limit)).unwrap()
    }

    /// Jobs of every kind that does not kill, some kinds with none.
    pub(crate) fn jobs(&mut self) -> [(&'static str, usize); 6] {
        [
            ("count", 5 + self.number(40)),
            ("slow", 1 + self.number(8)),
            ("long", 1 + self.number(4)),
            ("chain", self.number(4)),
            ("flaky", self.number(3)),
            ("doomed", self.number(2)),
        ]
    }
}
