//! A graph as a model sees it: what it may search, visit and read, of one graph only and without other people's texts.

use std::collections::{BTreeMap, HashMap, HashSet};

use ackord_entities::database::Connection;
use ackord_entities::graph::node::Filter;
use ackord_entities::graph::synthesis::Seen;
use ackord_entities::graph::{edge, fact, node};
use ackord_entities::ids::{FactId, NodeId};
use sea_orm::{ActiveEnum as _, DbErr};
use serde_json::{Value, json};

use super::tools::About;
use crate::search::{self, topic_terms};
use crate::synthesis::explore::{Record, Request, Visit};
use crate::synthesis::material::{Fact, Node};
use crate::text::slug;

/// Facts that a search gives.
const FOUND_FACTS: u64 = 20;
/// Nodes that a search gives.
const FOUND_NODES: usize = 15;
/// Nodes whose name is looked at for a search.
const NAMED_NODES: u64 = 60;
/// Facts of one node that are looked at, and that are shown at a visit and of a node's facts.
const OF_NODE: u64 = 600;
const AT_VISIT: usize = 12;
const MORE: usize = 40;
/// Neighbours that are shown at a visit, and of a node's edges.
const NEIGHBOURS: usize = 12;
const EDGES: u64 = 40;
/// Nodes that are named with a fact.
const NODES_OF_FACT: usize = 4;

/// The open graph.
#[derive(Debug)]
pub(super) struct Library<'a> {
    connection: &'a Connection,
    request: &'a Request,
    visited: Vec<Node>,
    shown: BTreeMap<FactId, Fact>,
    record: Record,
}

/// What came of a question about a node.
pub(super) enum Found {
    /// An answer.
    Answer(Value),
    /// There is no such node.
    NoNode(NodeId),
    /// It would be one visit too many.
    Spent,
}

impl<'a> Library<'a> {
    pub(super) fn open(connection: &'a Connection, request: &'a Request) -> Self {
        let record =
            Record { budget: request.budget, searched: topic_terms(&request.topic), ..Record::default() };
        Self { connection, request, visited: Vec::new(), shown: BTreeMap::new(), record }
    }

    /// Whether there is anything to read at all.
    pub(super) async fn is_empty(&self) -> Result<bool, DbErr> {
        let nodes = node::most_mentioned(self.connection, self.request.graph, 1).await?;
        Ok(nodes.first().is_none_or(|node| node.fact_count == 0))
    }

    /// The nodes to begin with, as far as they are there. Visits none of them.
    pub(super) async fn starting_nodes(&mut self) -> Result<Vec<Node>, DbErr> {
        let mut found = self.nodes(self.request.starting_nodes.iter().copied()).await?;
        let mut starting = Vec::new();
        for id in &self.request.starting_nodes {
            match found.remove(id) {
                Some(node) => starting.push(Node::of(&node)),
                None if starting.iter().any(|node| node.id == *id) => {}
                None => self.record.unknown_starting_nodes.push(*id),
            }
        }
        Ok(starting)
    }

    /// Whether every allowed visit was made.
    pub(super) fn is_spent(&self) -> bool {
        self.visited.len() >= usize::try_from(self.request.budget).unwrap_or(usize::MAX)
    }

    pub(super) async fn search_facts(&mut self, query: &str) -> Result<Value, DbErr> {
        let found = search::facts(self.connection, self.request.graph, query, FOUND_FACTS).await?;
        let facts: Vec<Fact> = found.into_iter().map(|(fact, _)| fact).collect();
        Ok(json!({ "facts": self.show(facts).await? }))
    }

    /// By name, then by the facts that speak of them.
    pub(super) async fn search_nodes(&self, query: &str) -> Result<Value, DbErr> {
        let graph = self.request.graph;
        let key = slug(query);
        let mut ids: Vec<NodeId> = Vec::new();
        if !key.is_empty() {
            ids.push(node::id_of(graph, &key));
            let filter = Filter { key_part: Some(&key), node_type: None, seen: Seen::By(None), after: None };
            let mut named = node::list(self.connection, graph, &filter, NAMED_NODES).await?;
            named
                .sort_by(|left, right| right.fact_count.cmp(&left.fact_count).then(left.key.cmp(&right.key)));
            ids.extend(named.into_iter().map(|node| node.id));
        }
        let mut weights: HashMap<NodeId, f64> = HashMap::new();
        for (fact, score) in search::facts(self.connection, graph, query, FOUND_FACTS * 5).await? {
            for id in fact.nodes {
                *weights.entry(id).or_default() += score;
            }
        }
        let mut spoken_of: Vec<(NodeId, f64)> = weights.into_iter().collect();
        spoken_of.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
        ids.extend(spoken_of.into_iter().map(|(id, _)| id));
        let mut found = self.nodes(ids.iter().copied()).await?;
        let nodes: Vec<Value> =
            ids.iter().filter_map(|id| found.remove(id)).take(FOUND_NODES).map(|node| brief(&node)).collect();
        Ok(json!({ "nodes": nodes }))
    }

    /// A visit: what the node is, its best facts and its nearest neighbours.
    pub(super) async fn node(&mut self, about: &About) -> Result<Found, DbErr> {
        let node = match self.visit(about.id).await? {
            Ok(node) => node,
            Err(found) => return Ok(found),
        };
        let (all, facts) = self.facts_about(&node, about, AT_VISIT).await?;
        let neighbours = self.neighbours(&node, NEIGHBOURS).await?;
        let mut answer = brief(&node);
        answer["definition"] = json!(node.definition);
        answer["facts"] = json!(facts);
        answer["facts_in_all"] = json!(all);
        answer["neighbours"] = json!(neighbours);
        Ok(Found::Answer(self.with_budget(answer)))
    }

    pub(super) async fn facts_of_node(&mut self, about: &About) -> Result<Found, DbErr> {
        let node = match self.visit(about.id).await? {
            Ok(node) => node,
            Err(found) => return Ok(found),
        };
        let (all, facts) = self.facts_about(&node, about, MORE).await?;
        Ok(Found::Answer(self.with_budget(json!({ "facts": facts, "facts_in_all": all }))))
    }

    pub(super) async fn edges(&mut self, about: &About) -> Result<Found, DbErr> {
        let node = match self.visit(about.id).await? {
            Ok(node) => node,
            Err(found) => return Ok(found),
        };
        let neighbours = self.neighbours(&node, usize::MAX).await?;
        Ok(Found::Answer(self.with_budget(json!({ "neighbours": neighbours }))))
    }

    /// Those of `cited` that the graph has.
    pub(super) async fn known(&self, cited: Vec<FactId>) -> Result<HashSet<FactId>, DbErr> {
        let found = fact::by_ids(self.connection, cited).await?;
        Ok(found.into_iter().filter(|fact| fact.graph_id == self.request.graph).map(|fact| fact.id).collect())
    }

    /// What was looked at, and the material of the text.
    pub(super) fn close(mut self) -> (Record, Vec<Node>, Vec<Fact>) {
        self.record.facts_found = u32::try_from(self.shown.len()).unwrap_or(u32::MAX);
        self.record.facts_given = self.record.facts_found;
        (self.record, self.visited, self.shown.into_values().collect())
    }

    /// The node, for one of the visits unless it was visited before.
    async fn visit(&mut self, id: NodeId) -> Result<Result<node::Model, Found>, DbErr> {
        let Some(node) = self.nodes([id]).await?.remove(&id) else { return Ok(Err(Found::NoNode(id))) };
        if self.visited.iter().any(|visited| visited.id == id) {
            return Ok(Ok(node));
        }
        if self.is_spent() {
            return Ok(Err(Found::Spent));
        }
        self.visited.push(Node::of(&node));
        let is_start = self.request.starting_nodes.contains(&id);
        self.record.visits.push(Visit {
            node_id: id,
            concept: node.concept.clone(),
            relevance: if is_start { 1.0 } else { 0.5 },
            from: None,
            new_facts: 0,
        });
        Ok(Ok(node))
    }

    /// How many facts speak of the node, and the best of them.
    async fn facts_about(
        &mut self,
        node: &node::Model,
        about: &About,
        shown: usize,
    ) -> Result<(i32, Vec<Value>), DbErr> {
        let facts = fact::of_node(self.connection, node.id, OF_NODE).await?;
        let facts = search::with_places(self.connection, self.request.graph, facts).await?;
        let query = about.query.as_deref().unwrap_or(&self.request.topic);
        let mut ranked: Vec<(f64, Fact)> = search::scores(&facts, query).into_iter().zip(facts).collect();
        ranked.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.id.cmp(&right.1.id)));
        ranked.truncate(shown);
        let before = self.shown.len();
        let facts = self.show(ranked.into_iter().map(|(_, fact)| fact).collect()).await?;
        let new = u32::try_from(self.shown.len() - before).unwrap_or(u32::MAX);
        if let Some(visit) = self.record.visits.iter_mut().find(|visit| visit.node_id == node.id) {
            visit.new_facts += new;
        }
        Ok((node.fact_count, facts))
    }

    async fn neighbours(&self, node: &node::Model, most: usize) -> Result<Vec<Value>, DbErr> {
        let edges = edge::at_node(self.connection, self.request.graph, &node.key, EDGES).await?;
        let other = |edge: &edge::Model| {
            let key = if edge.source_key == node.key { &edge.target_key } else { &edge.source_key };
            node::id_of(self.request.graph, key)
        };
        let found = self.nodes(edges.iter().map(other)).await?;
        let shown = edges.iter().filter_map(|edge| {
            let mut neighbour = brief(found.get(&other(edge))?);
            neighbour["relationship"] = json!(edge.relationship_type);
            neighbour["weight"] = json!(edge.weight);
            neighbour["why"] = json!(edge.justification);
            Some(neighbour)
        });
        Ok(shown.take(most).collect())
    }

    /// The facts as the model reads them. From here on a text may cite them.
    async fn show(&mut self, facts: Vec<Fact>) -> Result<Vec<Value>, DbErr> {
        let mentioned = facts.iter().flat_map(|fact| fact.nodes.iter().take(NODES_OF_FACT).copied());
        let nodes = self.nodes(mentioned).await?;
        let shown = facts.iter().map(|fact| {
            let about = fact.nodes.iter().take(NODES_OF_FACT).filter_map(|id| nodes.get(id));
            let about: Vec<Value> = about.map(|node| json!({"id": node.id, "name": node.concept})).collect();
            json!({
                "id": fact.id,
                "text": fact.text,
                "source": fact.source.title,
                "heading": fact.headings.join(" > "),
                "nodes": about,
            })
        });
        let shown = shown.collect();
        self.shown.extend(facts.into_iter().map(|fact| (fact.id, fact)));
        Ok(shown)
    }

    /// The nodes of this graph that come from sources. Syntheses are texts of somebody, and no sources.
    async fn nodes(
        &self,
        ids: impl IntoIterator<Item = NodeId>,
    ) -> Result<HashMap<NodeId, node::Model>, DbErr> {
        let ids: HashSet<NodeId> = ids.into_iter().collect();
        let mut found = node::by_ids(self.connection, ids).await?;
        found.retain(|node| node.graph_id == self.request.graph && node.node_type.comes_from_sources());
        Ok(found.into_iter().map(|node| (node.id, node)).collect())
    }

    fn with_budget(&self, mut answer: Value) -> Value {
        let visited = u32::try_from(self.visited.len()).unwrap_or(u32::MAX);
        answer["visits_left"] = json!(self.request.budget.saturating_sub(visited));
        answer
    }
}

fn brief(node: &node::Model) -> Value {
    json!({"id": node.id, "name": node.concept, "type": node.node_type.to_value(), "facts_in_all": node.fact_count})
}
