//! Walking through a graph from a topic, within a budget.

mod beside;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
mod walk;

use ackord_entities::ids::{GraphId, NodeId};
use sea_orm::{ConnectionTrait, DbErr};
use serde::{Deserialize, Serialize};

use super::brief::Brief;
use crate::search;
use walk::Walk;

/// Facts that the search for the topic gives, at most.
const SEARCHED: u64 = 400;

/// What to explore.
#[derive(Clone, Debug)]
pub struct Request {
    /// The graph; nothing outside is read.
    pub graph: GraphId,
    /// The topic.
    pub topic: String,
    /// Where to begin, in this order. Ids without a node in the graph are recorded and left out.
    pub starting_nodes: Vec<NodeId>,
    /// Nodes to visit, at most. A visit costs 1, once per node; searching is free.
    pub budget: u32,
    /// For the writer, see [`Brief::max_words`].
    pub max_words: u32,
}

/// What was found, and how.
#[derive(Clone, Debug)]
pub struct Exploration {
    /// For the writer. It has no facts when the graph knows nothing about the topic.
    pub brief: Brief,
    /// For the record of the run.
    pub record: Record,
}

/// What an exploration did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Visits that were allowed.
    pub budget: u32,
    /// The visits, in order: each cost 1.
    pub visits: Vec<Visit>,
    /// Starting nodes that the graph does not have.
    pub unknown_starting_nodes: Vec<NodeId>,
    /// The words of the topic, cut back to their stems.
    pub searched: Vec<String>,
    /// Those of them that stand together in one place of the graph, at best.
    pub covered: Vec<String>,
    /// Facts that the search for the topic gave.
    pub facts_found: u32,
    /// Facts that the writer was given.
    pub facts_given: u32,
}

/// One visited node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Visit {
    /// The node.
    pub node_id: NodeId,
    /// Its name.
    pub concept: String,
    /// How much it had to do with the topic.
    pub relevance: f64,
    /// The visited node whose edge led here; none for a starting node and one that the search found.
    pub from: Option<NodeId>,
    /// Facts it gave that were not known before.
    pub new_facts: u32,
}

/// Explores: searches the topic, visits nodes best first, and gathers facts with what stands beside them.
///
/// The same data gives the same answer.
///
/// # Errors
/// Whatever the database answers.
pub async fn explore(connection: &impl ConnectionTrait, request: &Request) -> Result<Exploration, DbErr> {
    let found = search::facts(connection, request.graph, &request.topic, SEARCHED).await?;
    let mut walk = Walk::begin(connection, request, found).await?;
    walk.run(connection).await?;
    walk.finish(connection).await
}
