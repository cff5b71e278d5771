//! The kinds that ackord itself runs, one folder each.
//!
//! A new kind adds its folder, and one line in [`registry`].

mod replay;
mod synthesis;

pub use replay::ReplayHandler;
pub use synthesis::SynthesisHandler;

use crate::registry::Registry;

/// The handlers of every kind in the catalogue: one line per kind.
#[must_use]
pub fn registry() -> Registry {
    Registry::new().with(ReplayHandler::default()).with(SynthesisHandler::default())
}
