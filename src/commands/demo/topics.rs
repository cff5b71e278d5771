//! What the demo writes about.

use ackord_entities::graph::node::{self, NodeType};
use ackord_entities::ids::{GraphId, NodeId};
use sea_orm::{ConnectionTrait, DbErr};

/// Parts beside the one that fails.
const TEXTS: usize = 4;
/// Nodes that are looked at for topics.
const LOOKED_AT: u64 = 40;
/// A node that fewer facts mention makes a thin text.
const LEAST_FACTS: i32 = 3;

/// Something to write about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topic {
    pub(super) text: String,
    /// Where to begin in the graph.
    pub(super) nodes: Vec<NodeId>,
}

impl Topic {
    pub(super) fn about(text: impl Into<String>) -> Self {
        Self { text: text.into(), nodes: Vec::new() }
    }
}

/// Topics of ackord's own documents; the first text is the one that is shown in full.
pub(super) fn own() -> Vec<Topic> {
    ["Dead letters and replay", "The outbox and the relay", "What happens when a worker dies", "Group commit"]
        .map(Topic::about)
        .into()
}

/// What the documents speak of most, each with its node to begin with.
///
/// # Errors
/// Whatever the database answers.
pub(super) async fn strongest(
    connection: &impl ConnectionTrait,
    graph: GraphId,
) -> Result<Vec<Topic>, DbErr> {
    let nodes = node::most_mentioned(connection, graph, LOOKED_AT).await?;
    Ok(pick(&nodes))
}

/// The strongest that do not say the same: `lease` beside `run lease` would make two texts alike.
fn pick(nodes: &[node::Model]) -> Vec<Topic> {
    let mut picked: Vec<&node::Model> = Vec::new();
    let good = nodes.iter().filter(|node| suits(node));
    for node in good.clone().filter(|node| node.fact_count >= LEAST_FACTS).chain(good) {
        let known = picked.iter().any(|other| node.key.contains(&other.key) || other.key.contains(&node.key));
        if !known && picked.len() < TEXTS {
            picked.push(node);
        }
    }
    picked.into_iter().map(|node| Topic { text: node.concept.clone(), nodes: vec![node.id] }).collect()
}

fn suits(node: &node::Model) -> bool {
    let comes_from_sources =
        matches!(node.node_type, NodeType::Concept | NodeType::Heading | NodeType::Name | NodeType::Term);
    comes_from_sources && node.concept.chars().filter(|character| character.is_alphabetic()).count() >= 3
}

/// What a job is about, for people: the topic of its payload, else its kind.
pub(super) fn of_job(kind: &str, payload: &str) -> String {
    let payload: Option<serde_json::Value> = serde_json::from_str(payload).ok();
    payload.and_then(|payload| Some(payload["topic"].as_str()?.to_owned())).unwrap_or_else(|| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Utc};

    fn node(key: &str, node_type: NodeType, fact_count: i32) -> node::Model {
        let at = DateTime::<Utc>::UNIX_EPOCH;
        node::Model {
            id: NodeId::new(),
            graph_id: GraphId::new(),
            key: key.to_owned(),
            concept: key.replace('-', " "),
            node_type,
            definition: None,
            visibility: node::Visibility::Public,
            creator_id: None,
            fact_count,
            strength: 1,
            created_at: at,
            updated_at: at,
        }
    }

    fn picked(nodes: &[node::Model]) -> Vec<String> {
        pick(nodes).into_iter().map(|topic| topic.text).collect()
    }

    #[test]
    fn topics_are_the_strongest_nodes_that_are_not_alike() {
        let nodes = [
            node("lease", NodeType::Term, 30),
            node("run-lease", NodeType::Term, 25),
            node("synthesis-lease", NodeType::Synthesis, 20),
            node("42", NodeType::Name, 18),
            node("outbox", NodeType::Heading, 12),
        ];
        assert_eq!(picked(&nodes), ["lease", "outbox"]);
    }

    #[test]
    fn a_small_graph_gives_what_it_has() {
        assert_eq!(picked(&[node("tea", NodeType::Term, 1)]), ["tea"]);
        assert!(picked(&[]).is_empty());
    }
}
