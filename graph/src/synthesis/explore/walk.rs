//! The walk from node to node.

use std::collections::{BTreeMap, HashMap, HashSet};

use ackord_entities::graph::{edge, fact, node};
use ackord_entities::ids::{FactId, NodeId};
use sea_orm::{ConnectionTrait, DbErr};

use super::beside::beside;
use super::{Exploration, Record, Request, Visit};
use crate::search::{self, topic_terms};
use crate::synthesis::brief::{Brief, ScoredFact, VisitedNode};
use crate::synthesis::coverage;
use crate::synthesis::material::{Fact, Node};
use crate::text::{self, terms_of};

/// Facts of one visited node that are looked at, at most.
const OF_NODE: u64 = 600;
/// Edges of one visited node that are looked at: the heaviest.
const EDGES: u64 = 40;
/// Nodes that the search finds, at most.
const FOUND_NODES: usize = 80;
/// Facts that a writer is given, without those that only stand beside them.
const GIVEN: usize = 400;
/// A node with less to do with the topic than this is not worth a visit.
const LEAST_INTEREST: f64 = 0.06;
/// What the names of the starting nodes count beside the topic's own words.
const STARTING_NAMES: f64 = 0.5;

/// A node that may be visited next.
#[derive(Clone, Debug)]
struct Candidate {
    node: node::Model,
    relevance: f64,
    from: Option<NodeId>,
}

/// What was visited so far, and what may be visited next.
pub(super) struct Walk<'a> {
    request: &'a Request,
    topic: Vec<String>,
    /// Share of the found facts, weighted by score, that mention a node: 1 for the node most of them mention.
    mentioned: HashMap<NodeId, f64>,
    waiting: BTreeMap<NodeId, Candidate>,
    visited: Vec<VisitedNode>,
    facts: BTreeMap<FactId, Fact>,
    record: Record,
}

impl<'a> Walk<'a> {
    pub(super) async fn begin(
        connection: &impl ConnectionTrait,
        request: &'a Request,
        found: Vec<(Fact, f64)>,
    ) -> Result<Self, DbErr> {
        let topic = topic_terms(&request.topic);
        let record = Record {
            budget: request.budget,
            searched: topic.clone(),
            facts_found: count(found.len()),
            ..Record::default()
        };
        let mut walk = Self {
            request,
            mentioned: mentioned(&found),
            topic,
            waiting: BTreeMap::new(),
            visited: Vec::new(),
            facts: found.into_iter().map(|(fact, _)| (fact.id, fact)).collect(),
            record,
        };
        walk.add_starting_nodes(connection).await?;
        walk.add_found_nodes(connection).await?;
        Ok(walk)
    }

    async fn add_starting_nodes(&mut self, connection: &impl ConnectionTrait) -> Result<(), DbErr> {
        let known = self.nodes(connection, self.request.starting_nodes.clone()).await?;
        for (order, id) in self.request.starting_nodes.iter().enumerate() {
            match known.get(id) {
                Some(node) => {
                    // Before everything else, in the given order.
                    let relevance = 2.0 + 1.0 / f64::from(count(order + 1));
                    self.waiting.insert(*id, Candidate { node: node.clone(), relevance, from: None });
                }
                None if !self.record.unknown_starting_nodes.contains(id) => {
                    self.record.unknown_starting_nodes.push(*id);
                }
                None => {}
            }
        }
        Ok(())
    }

    /// The nodes that bear the topic's words as their names, and those that the found facts mention most.
    async fn add_found_nodes(&mut self, connection: &impl ConnectionTrait) -> Result<(), DbErr> {
        let mut most: Vec<(NodeId, f64)> = self.mentioned.iter().map(|(id, share)| (*id, *share)).collect();
        most.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
        let named = phrases(&self.request.topic).into_iter().map(|key| node::id_of(self.request.graph, &key));
        let ids: Vec<NodeId> = named.chain(most.into_iter().map(|(id, _)| id).take(FOUND_NODES)).collect();
        for (_, node) in self.nodes(connection, ids).await? {
            self.offer(node, None, 0.0);
        }
        Ok(())
    }

    /// Nodes of this graph by id; texts that were written from it tell nothing new.
    async fn nodes(
        &self,
        connection: &impl ConnectionTrait,
        ids: Vec<NodeId>,
    ) -> Result<BTreeMap<NodeId, node::Model>, DbErr> {
        let distinct: HashSet<NodeId> = ids.into_iter().collect();
        let found = node::by_ids(connection, distinct).await?;
        let usable =
            |node: &node::Model| node.graph_id == self.request.graph && node.node_type.comes_from_sources();
        Ok(found.into_iter().filter(usable).map(|node| (node.id, node)).collect())
    }

    /// Adds a node to those that may be visited, or makes it more relevant if it waits already.
    fn offer(&mut self, node: node::Model, from: Option<NodeId>, by_edge: f64) {
        if self.visited.iter().any(|visited| visited.node.id == node.id) {
            return;
        }
        let share = self.mentioned.get(&node.id).copied().unwrap_or_default();
        let relevance = 0.5 * name_likeness(&node.concept, &self.topic) + 0.3 * share + 0.2 * by_edge;
        match self.waiting.get_mut(&node.id) {
            Some(known) if known.relevance >= relevance => {}
            Some(known) => (known.relevance, known.from) = (relevance, from),
            None => {
                self.waiting.insert(node.id, Candidate { node, relevance, from });
            }
        }
    }

    pub(super) async fn run(&mut self, connection: &impl ConnectionTrait) -> Result<(), DbErr> {
        while self.visited.len() < usize::try_from(self.request.budget).unwrap_or(usize::MAX)
            && let Some(next) = self.take_best()
        {
            self.visit(connection, next).await?;
        }
        Ok(())
    }

    fn take_best(&mut self) -> Option<Candidate> {
        let better = |left: &&Candidate, right: &&Candidate| {
            left.relevance.total_cmp(&right.relevance).then(right.node.id.cmp(&left.node.id))
        };
        let id = self
            .waiting
            .values()
            .filter(|waiting| waiting.relevance >= LEAST_INTEREST)
            .max_by(better)?
            .node
            .id;
        self.waiting.remove(&id)
    }

    async fn visit(&mut self, connection: &impl ConnectionTrait, next: Candidate) -> Result<(), DbErr> {
        let Candidate { node, relevance, from } = next;
        let relevance = relevance.min(1.0);
        let facts = fact::of_node(connection, node.id, OF_NODE).await?;
        let new: Vec<fact::Model> =
            facts.into_iter().filter(|fact| !self.facts.contains_key(&fact.id)).collect();
        let new = search::with_places(connection, self.request.graph, new).await?;
        self.record.visits.push(Visit {
            node_id: node.id,
            concept: node.concept.clone(),
            relevance: rounded(relevance),
            from,
            new_facts: count(new.len()),
        });
        self.facts.extend(new.into_iter().map(|fact| (fact.id, fact)));
        self.visited.push(VisitedNode { node: Node::of(&node), relevance });
        self.offer_neighbours(connection, &node, relevance).await
    }

    async fn offer_neighbours(
        &mut self,
        connection: &impl ConnectionTrait,
        node: &node::Model,
        relevance: f64,
    ) -> Result<(), DbErr> {
        let edges = edge::at_node(connection, self.request.graph, &node.key, EDGES).await?;
        let heaviest = edges.iter().map(|edge| edge.weight).max().unwrap_or(1).max(1);
        let mut weights: BTreeMap<NodeId, i64> = BTreeMap::new();
        for edge in edges {
            let other = if edge.source_key == node.key { &edge.target_key } else { &edge.source_key };
            let weight = weights.entry(node::id_of(self.request.graph, other)).or_default();
            *weight = (*weight).max(edge.weight);
        }
        for (id, neighbour) in self.nodes(connection, weights.keys().copied().collect()).await? {
            #[allow(clippy::cast_precision_loss, reason = "weights count facts")]
            let share = weights[&id] as f64 / heaviest as f64;
            self.offer(neighbour, Some(node.id), relevance * share);
        }
        Ok(())
    }

    pub(super) async fn finish(mut self, connection: &impl ConnectionTrait) -> Result<Exploration, DbErr> {
        let facts: Vec<Fact> = std::mem::take(&mut self.facts).into_values().collect();
        let coverage = coverage::of(&self.topic, &facts);
        self.record.covered = coverage.stems;
        let facts = if coverage.enough { self.choose(facts) } else { Vec::new() };
        let facts = beside(connection, self.request.graph, facts).await?;
        self.record.facts_given = count(facts.len());
        let brief = Brief {
            topic: self.request.topic.clone(),
            budget_left: self.request.budget.saturating_sub(count(self.visited.len())),
            nodes: self.visited,
            facts,
            max_words: self.request.max_words,
        };
        Ok(Exploration { brief, record: self.record })
    }

    /// The facts with the highest scores, which lie between 0 and 1.
    fn choose(&self, facts: Vec<Fact>) -> Vec<ScoredFact> {
        let of_topic = search::scores(&facts, &self.request.topic);
        let starting =
            self.visited.iter().filter(|visited| self.request.starting_nodes.contains(&visited.node.id));
        let focus = coverage::focus(&self.topic, &facts);
        let names: Vec<&str> = starting.map(|visited| visited.node.name.as_str()).collect();
        let of_names = search::scores(&facts, &names.join(" "));
        let relevance: HashMap<NodeId, f64> =
            self.visited.iter().map(|visited| (visited.node.id, visited.relevance)).collect();
        let best = of_topic.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let mut scored: Vec<ScoredFact> = facts
            .into_iter()
            .zip(focus.into_iter().zip(of_topic.iter().zip(of_names)))
            .map(|(fact, (focus, (topic, names)))| {
                let nodes = fact.nodes.iter().filter_map(|id| relevance.get(id)).copied().fold(0.0, f64::max);
                let score = focus * topic / best + STARTING_NAMES * names / best + 0.05 * nodes;
                ScoredFact { fact, score: rounded(score) }
            })
            .filter(|scored| scored.score > 0.0)
            .collect();
        scored
            .sort_by(|left, right| right.score.total_cmp(&left.score).then(left.fact.id.cmp(&right.fact.id)));
        scored.truncate(GIVEN);
        scored
    }
}

/// How much of the found facts, weighted by their scores, mention each node; 1 for the node that has most.
fn mentioned(found: &[(Fact, f64)]) -> HashMap<NodeId, f64> {
    let mut sums: HashMap<NodeId, f64> = HashMap::new();
    for (fact, score) in found {
        for id in &fact.nodes {
            *sums.entry(*id).or_default() += score;
        }
    }
    let most = sums.values().copied().fold(f64::MIN_POSITIVE, f64::max);
    for sum in sums.values_mut() {
        *sum /= most;
    }
    sums
}

/// The keys of the nodes that runs of up to four words of the topic would name.
fn phrases(topic: &str) -> Vec<String> {
    let all: Vec<&str> = topic.split_whitespace().collect();
    let runs = (1..=4).rev().flat_map(|length| all.windows(length));
    runs.map(|run| text::slug(&run.join(" "))).filter(|key| !key.is_empty()).collect()
}

/// Shared words of a name and the topic, out of all their words: 1 for the same ones.
fn name_likeness(name: &str, topic: &[String]) -> f64 {
    let stems: HashSet<String> = terms_of(name).into_iter().collect();
    let shared = stems.iter().filter(|stem| topic.contains(stem)).count();
    let all = stems.len() + topic.len() - shared;
    if all == 0 { 0.0 } else { f64::from(count(shared)) / f64::from(count(all)) }
}

fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
