//! The kinds that ackord itself runs, one folder each.
//!
//! A new kind adds its folder, and one line in [`registry`].

mod recombination;
mod regeneration;
mod replay;
mod super_synthesis;
mod synthesis;
#[cfg(test)]
mod trials;
#[cfg(test)]
mod unheard;
#[cfg(test)]
mod world;
mod writing;

pub use recombination::RecombinationHandler;
pub use regeneration::RegenerationHandler;
pub use replay::ReplayHandler;
pub use super_synthesis::SuperSynthesisHandler;
pub use synthesis::SynthesisHandler;

use crate::registry::Registry;

/// The handlers of every kind in the catalogue: one line per kind.
#[must_use]
pub fn registry() -> Registry {
    Registry::new()
        .with(RecombinationHandler::default())
        .with(RegenerationHandler::default())
        .with(ReplayHandler::default())
        .with(SuperSynthesisHandler::default())
        .with(SynthesisHandler::default())
}
