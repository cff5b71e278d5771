//! Writing about a topic from the facts of a graph.

mod brief;
mod compose;
#[cfg(test)]
mod corpus;
mod coverage;
pub mod document;
mod explore;
mod extractive;
pub mod material;
pub mod render;
mod store;
mod stored;

pub use brief::{Brief, NoText, ScoredFact, TextProducer, VisitedNode, Written};
pub use compose::{Composed, ComposedText, compose};
pub use explore::{Exploration, Record, Request, Visit, explore};
pub use extractive::ExtractiveProducer;
use extractive::escape_markdown;
pub use store::{Wish, begin, complete, fail, id_of, node_key, request};
pub use stored::{Found, Stored, StoredText, find, load};
