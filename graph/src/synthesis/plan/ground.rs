//! What a planner is given: the topic's neighbourhood in the graph, and what is covered already.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::RangeInclusive;

use ackord_entities::graph::{edge, node, synthesis, synthesis_version};
use ackord_entities::ids::{NodeId, SynthesisId};
use sea_orm::{ConnectionTrait, DbErr};

use super::{FEWEST, MOST, Request};
use crate::search;
use crate::synthesis::document::Document;
use crate::synthesis::material::{Fact, Node};

/// Facts that the search for the topic gives, at most.
const SEARCHED: u64 = 400;
/// Nodes that a planner is shown, at most: those that the found facts speak of most.
const NODES: usize = 50;
/// Edges of one node that are looked at: the heaviest.
const EDGES: u64 = 40;

/// The ground that is to be divided.
#[derive(Clone, Debug)]
pub struct Ground {
    /// The topic of the whole.
    pub topic: String,
    /// How many parts are wanted.
    pub wanted: RangeInclusive<usize>,
    /// The facts about the topic, best first, with their scores.
    pub facts: Vec<(Fact, f64)>,
    /// The nodes that they speak of, heaviest first, without those that are covered.
    pub nodes: Vec<GroundNode>,
    /// The weights of the edges between these nodes, each pair once and the smaller id first; 1 for the heaviest.
    pub edges: BTreeMap<(NodeId, NodeId), f64>,
    /// What other parts are about already.
    pub covered: Vec<Covered>,
}

/// A node of the ground.
#[derive(Clone, Debug, PartialEq)]
pub struct GroundNode {
    /// The node.
    pub node: Node,
    /// The share of the facts, weighted by their scores, that mention it, less for what is mentioned everywhere else too; 1 for the
    /// heaviest.
    pub weight: f64,
    /// How many of the facts mention it.
    pub facts: usize,
}

/// A part that is there already.
#[derive(Clone, Debug, PartialEq)]
pub struct Covered {
    /// What it is about.
    pub topic: String,
    /// The nodes that its text refers to.
    pub nodes: Vec<NodeId>,
}

pub(super) async fn read(connection: &impl ConnectionTrait, request: &Request<'_>) -> Result<Ground, DbErr> {
    let facts = search::facts(connection, request.graph, request.topic, SEARCHED).await?;
    let covered = covered(connection, request.existing).await?;
    let taken: HashSet<NodeId> = covered.iter().flat_map(|part| part.nodes.iter().copied()).collect();
    let nodes = nodes(connection, request, &facts, &taken).await?;
    let edges = edges(connection, request, &nodes).await?;
    let nodes = nodes.into_iter().map(|(_, node)| node).collect();
    let asked = usize::try_from(request.scope_count).unwrap_or(usize::MAX);
    let wanted = if asked == 0 { FEWEST..=MOST } else { asked..=asked };
    Ok(Ground { topic: request.topic.to_owned(), wanted, facts, nodes, edges, covered })
}

async fn covered(connection: &impl ConnectionTrait, existing: &[SynthesisId]) -> Result<Vec<Covered>, DbErr> {
    let mut covered = Vec::new();
    for id in existing {
        let Some(row) = synthesis::by_id(connection, *id).await? else { continue };
        let version = match row.current_version {
            Some(number) => synthesis_version::of(connection, *id, number).await?,
            None => None,
        };
        // One that cannot be read any more covers nothing.
        let document: Option<Document> =
            version.and_then(|version| serde_json::from_str(&version.document).ok());
        let nodes = document.map(|document| document.referenced_nodes).unwrap_or_default();
        covered
            .push(Covered { topic: row.topic, nodes: nodes.into_iter().map(|node| node.node_id).collect() });
    }
    Ok(covered)
}

/// The nodes with their keys.
async fn nodes(
    connection: &impl ConnectionTrait,
    request: &Request<'_>,
    facts: &[(Fact, f64)],
    taken: &HashSet<NodeId>,
) -> Result<Vec<(String, GroundNode)>, DbErr> {
    let mut weights: HashMap<NodeId, (f64, usize)> = HashMap::new();
    for (fact, score) in facts {
        for id in fact.nodes.iter().filter(|id| !taken.contains(id)) {
            let (weight, count) = weights.entry(*id).or_default();
            *weight += score;
            *count += 1;
        }
    }
    let found = node::by_ids(connection, weights.keys().copied()).await?;
    let mut found: Vec<(node::Model, f64, usize)> = found
        .into_iter()
        .filter(|node| node.graph_id == request.graph && node.node_type.comes_from_sources())
        .filter_map(|node| {
            let (weight, count) = weights.get(&node.id)?;
            let weight = *weight * specificity(*count, &node);
            Some((node, weight, *count))
        })
        .collect();
    found.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.id.cmp(&right.0.id)));
    found.truncate(NODES);
    let heaviest = found.first().map_or(f64::MIN_POSITIVE, |(_, weight, _)| *weight);
    Ok(found
        .into_iter()
        .map(|(row, weight, facts)| {
            (row.key.clone(), GroundNode { node: Node::of(&row), weight: weight / heaviest, facts })
        })
        .collect())
}

/// How much of what is told about the node has to do with the topic: 1 if all of it.
fn specificity(count: usize, node: &node::Model) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "counts of facts")]
    let share = count as f64 / f64::from(node.fact_count.max(1));
    share.clamp(0.0, 1.0).sqrt()
}

async fn edges(
    connection: &impl ConnectionTrait,
    request: &Request<'_>,
    nodes: &[(String, GroundNode)],
) -> Result<BTreeMap<(NodeId, NodeId), f64>, DbErr> {
    let ids: HashMap<&str, NodeId> = nodes.iter().map(|(key, node)| (key.as_str(), node.node.id)).collect();
    let mut weights: BTreeMap<(NodeId, NodeId), i64> = BTreeMap::new();
    for (key, _) in nodes {
        for edge in edge::at_node(connection, request.graph, key, EDGES).await? {
            let ends = (ids.get(edge.source_key.as_str()), ids.get(edge.target_key.as_str()));
            let (Some(one), Some(other)) = ends else { continue };
            let weight = weights.entry((*one.min(other), *one.max(other))).or_default();
            *weight = (*weight).max(edge.weight);
        }
    }
    let heaviest = weights.values().copied().max().unwrap_or(1).max(1);
    #[allow(clippy::cast_precision_loss, reason = "weights count facts")]
    let share = |weight: i64| weight as f64 / heaviest as f64;
    Ok(weights.into_iter().map(|(ends, weight)| (ends, share(weight))).collect())
}
