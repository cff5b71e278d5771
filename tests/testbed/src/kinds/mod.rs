//! The kinds, one file each. Their effect is a row in `testbed_effects`.
//!
//! Kinds that do nothing wrong have so many attempts that being killed never uses them up: one that dies is a mistake of the
//! engine.

mod chain;
mod count;
mod doomed;
mod flaky;
mod long;
mod poison;
mod slow;

pub use chain::{Chain, ChainHandler};
pub use count::{Count, CountHandler};
pub use doomed::{Doomed, DoomedHandler};
pub use flaky::{Flaky, FlakyHandler};
pub use long::{Long, LongHandler};
pub use poison::{Poison, PoisonCommit, PoisonCommitHandler, PoisonHandler, PoisonLong, PoisonLongHandler};
pub use slow::{Slow, SlowHandler};

use ackord_consumers::registry::Registry;
use ackord_entities::jobs::Backoff;

/// More than any test kills.
const UNLIMITED: u32 = 100_000;

/// Retries come soon, or the tests would wait for them.
const SOON: Backoff = Backoff {
    initial: std::time::Duration::from_millis(20),
    factor: 1.0,
    longest: std::time::Duration::from_millis(20),
    jitter: 0.5,
};

/// All handlers.
#[must_use]
pub fn registry() -> Registry {
    Registry::new()
        .with(CountHandler)
        .with(SlowHandler)
        .with(LongHandler)
        .with(ChainHandler)
        .with(FlakyHandler)
        .with(DoomedHandler)
        .with(PoisonHandler)
        .with(PoisonCommitHandler)
        .with(PoisonLongHandler)
}
