//! The structure of a text: its sentences, and the facts and nodes behind each of them.

mod build;
mod links;
mod names;
mod normalise;
mod similarity;
mod split;
mod token;

pub use build::{CitedSource, Document, FactLink, FactLinkKind, ReferencedNode, Sentence, Stats};
pub use links::{cited_facts, keep_known, linked_nodes, visible};
pub(crate) use links::{is_mark, links, target_of, visible_with};
pub use names::NodeLink;
pub use normalise::normalise_links;
pub(crate) use similarity::Bag;
pub(crate) use split::breaks;
pub use split::split;
pub use token::Target;
