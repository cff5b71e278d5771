//! What a synthesis is made of: facts with their sources, and nodes.

use std::sync::Arc;

use ackord_entities::graph::fact::FactType;
use ackord_entities::graph::node::{self, NodeType};
use ackord_entities::ids::{FactId, NodeId, SourceId};

/// Where facts come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its id.
    pub id: SourceId,
    /// Its title; never empty.
    pub title: String,
    /// Its address: a path or a URL.
    pub uri: String,
}

/// One sentence of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// Its id.
    pub id: FactId,
    /// The sentence in plain text, without markup.
    pub text: String,
    /// What it was in its source.
    pub fact_type: FactType,
    /// The source that it is quoted from.
    pub source: Arc<Source>,
    /// Its place in the source: the next sentence of the source has the next number.
    pub position: u32,
    /// The headings above it, outermost first.
    pub headings: Vec<String>,
    /// The nodes that it tells about.
    pub nodes: Vec<NodeId>,
}

/// A thing that facts tell about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// Its first name.
    pub name: String,
    /// Its other names.
    pub aliases: Vec<String>,
    /// What it is.
    pub node_type: NodeType,
}

impl Node {
    /// The node of a row.
    #[must_use]
    pub fn of(row: &node::Model) -> Self {
        Self { id: row.id, name: row.concept.clone(), aliases: Vec::new(), node_type: row.node_type }
    }
}
