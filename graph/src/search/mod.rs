//! Finding facts and nodes of one graph for a topic.

mod facts;
mod rank;
mod topic;

pub use facts::{facts, scores, with_places};
pub use rank::{Ranking, Scored};
pub use topic::topic_terms;
