//! Super-syntheses, so that their kinds are killed too: they are asked for, given the documents they failed for want of, written again,
//! and looked at.

mod ask;
mod audit;
mod documents;

use ackord_consumers::jobs::{
    RecombinationHandler, RegenerationHandler, SuperSynthesisHandler, SynthesisHandler,
};
use ackord_consumers::registry::Registry;

pub use ask::{SuperArgs, again, ask, learn};
pub use audit::audit;

/// The kinds of texts, as `ackord` runs them.
#[must_use]
pub fn with_texts(registry: Registry) -> Registry {
    registry
        .with(RecombinationHandler::default())
        .with(RegenerationHandler::default())
        .with(SuperSynthesisHandler::default())
        .with(SynthesisHandler::default())
}
