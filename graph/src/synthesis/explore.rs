//! Walking through a graph from a topic, within a budget.

use std::collections::{BTreeMap, HashMap, HashSet};

use ackord_entities::graph::{edge, fact, fact_source, node};
use ackord_entities::ids::{FactId, GraphId, NodeId, SourceId};
use sea_orm::{ConnectionTrait, DbErr};
use serde::{Deserialize, Serialize};

use super::brief::{Brief, ScoredFact, VisitedNode};
use super::coverage;
use super::material::{Fact, Node};
use crate::search::{self, topic_terms};
use crate::text::{self, terms_of};

/// Facts that the search for the topic gives, at most.
const SEARCHED: u64 = 400;
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

/// A node that may be visited next.
#[derive(Clone, Debug)]
struct Candidate {
    node: node::Model,
    relevance: f64,
    from: Option<NodeId>,
}

struct Walk<'a> {
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
    async fn begin(
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
                    self.record.unknown_starting_nodes.push(*id)
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

    async fn run(&mut self, connection: &impl ConnectionTrait) -> Result<(), DbErr> {
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

    async fn finish(mut self, connection: &impl ConnectionTrait) -> Result<Exploration, DbErr> {
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
    sums.values_mut().for_each(|sum| *sum /= most);
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

/// Adds the two sentences before each fact and the two behind it, with score 0, so that a writer can take a sentence
/// together with what it leans on. The result is ordered by source and position.
async fn beside(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    facts: Vec<ScoredFact>,
) -> Result<Vec<ScoredFact>, DbErr> {
    const REACH: i32 = 2;
    let mut wanted: BTreeMap<SourceId, Vec<i32>> = BTreeMap::new();
    for scored in &facts {
        let position = i32::try_from(scored.fact.position).unwrap_or_default();
        wanted.entry(scored.fact.source.id).or_default().push(position);
    }
    let known: HashSet<FactId> = facts.iter().map(|scored| scored.fact.id).collect();
    let mut missing: BTreeMap<FactId, (SourceId, i32)> = BTreeMap::new();
    for (source, mut positions) in wanted {
        positions.sort_unstable();
        for run in positions.chunk_by(|one, next| next - one <= 2 * REACH + 16) {
            let (from, to) = (run[0] - REACH, run[run.len() - 1] + REACH + 1);
            for place in fact_source::of_source(connection, source, from.max(0), to).await? {
                let near = run.iter().any(|position| (position - place.position).abs() <= REACH);
                if near && !known.contains(&place.fact_id) {
                    missing.entry(place.fact_id).or_insert((source, place.position));
                }
            }
        }
    }
    let models = fact::by_ids(connection, missing.keys().copied()).await?;
    let others = search::with_places(connection, graph, models).await?;
    let mut all = facts;
    // A sentence whose first place is elsewhere would be taken for a neighbour of what stands there.
    let stays = |fact: &Fact| missing.get(&fact.id).is_some_and(|(source, _)| *source == fact.source.id);
    all.extend(others.into_iter().filter(stays).map(|fact| ScoredFact { fact, score: 0.0 }));
    all.sort_by_key(|scored| (scored.fact.source.id, scored.fact.position));
    Ok(all)
}

fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use ackord_entities::testing::TestDatabase;
    use rstest::rstest;
    use sea_orm::DbBackend;
    use uuid::Uuid;

    use super::*;
    use crate::synthesis::corpus::{DOCUMENTS, import};

    fn request(graph: GraphId, topic: &str) -> Request {
        Request { graph, topic: topic.to_owned(), starting_nodes: Vec::new(), budget: 20, max_words: 300 }
    }

    fn texts(exploration: &Exploration) -> Vec<&str> {
        exploration.brief.facts.iter().map(|scored| scored.fact.text.as_str()).collect()
    }

    #[rstest]
    #[tokio::test]
    async fn the_same_data_gives_the_same_answer(
        #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
    ) {
        let (Some(one), Some(other)) = (TestDatabase::open(backend).await, TestDatabase::open(backend).await)
        else {
            return;
        };
        let reversed: Vec<(&str, &str)> = DOCUMENTS.into_iter().rev().collect();
        let graph = import(one.database(), "default", &DOCUMENTS).await;
        import(other.database(), "default", &reversed).await;
        let record = |exploration: &Exploration| format!("{:?}", exploration.record);
        let first = explore(one.database().read(), &request(graph, "leases")).await.unwrap();
        let again = explore(one.database().read(), &request(graph, "leases")).await.unwrap();
        let elsewhere = explore(other.database().read(), &request(graph, "leases")).await.unwrap();
        assert_eq!(record(&first), record(&again));
        // The sources have other addresses there, and so other ids: names and sentences compare.
        let names = |exploration: &Exploration| -> Vec<String> {
            exploration.record.visits.iter().map(|visit| visit.concept.clone()).collect()
        };
        assert_eq!(names(&first)[0], names(&elsewhere)[0]);
        let sorted = |exploration: &Exploration| {
            let mut texts: Vec<String> = texts(exploration).into_iter().map(str::to_owned).collect();
            texts.sort();
            texts
        };
        assert_eq!(sorted(&first), sorted(&elsewhere));
    }

    #[tokio::test]
    async fn a_visit_costs_one_and_searching_nothing() {
        let test = TestDatabase::sqlite().await;
        let graph = import(test.database(), "default", &DOCUMENTS).await;
        for budget in [1, 2, 5] {
            let request = Request { budget, ..request(graph, "leases") };
            let found = explore(test.database().read(), &request).await.unwrap();
            let mut visited: Vec<NodeId> = found.record.visits.iter().map(|visit| visit.node_id).collect();
            assert_eq!(visited.len(), usize::try_from(budget).unwrap());
            assert_eq!(found.brief.budget_left, 0);
            visited.sort_unstable();
            visited.dedup();
            assert_eq!(visited.len(), found.record.visits.len(), "no node is visited twice");
            assert!(texts(&found).iter().any(|text| text.contains("exclusive claim")));
        }
    }

    #[tokio::test]
    async fn starting_nodes_come_first_and_unknown_ones_are_recorded() {
        let test = TestDatabase::sqlite().await;
        let graph = import(test.database(), "default", &DOCUMENTS).await;
        let outbox = node::id_of(graph, "outbox");
        let unknown = NodeId(Uuid::from_u128(1));
        let request = Request { starting_nodes: vec![outbox, unknown, unknown], ..request(graph, "leases") };
        let found = explore(test.database().read(), &request).await.unwrap();
        assert_eq!(found.record.visits[0].node_id, outbox);
        assert_eq!(found.record.unknown_starting_nodes, [unknown]);
        assert!(texts(&found).iter().any(|text| text.starts_with("The relay moves")), "its facts are given");
    }

    #[rstest]
    #[tokio::test]
    async fn nothing_outside_the_graph_is_read(
        #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
    ) {
        let Some(test) = TestDatabase::open(backend).await else { return };
        import(test.database(), "default", &DOCUMENTS).await;
        let other =
            import(test.database(), "other", &[("a.md", "# Tulips\n\nTulips bloom early in spring.\n")])
                .await;
        let found = explore(test.database().read(), &request(other, "leases")).await.unwrap();
        assert!(found.brief.facts.is_empty() && found.record.visits.is_empty());
        let starting_nodes = vec![node::id_of(graphs_default(), "outbox")];
        let request = Request { starting_nodes: starting_nodes.clone(), ..request(other, "tulips bloom") };
        let found = explore(test.database().read(), &request).await.unwrap();
        assert_eq!(found.record.unknown_starting_nodes, starting_nodes);
        assert!(texts(&found).iter().all(|text| text.starts_with("Tulips")));
    }

    fn graphs_default() -> GraphId {
        ackord_entities::graph::graphs::id_of("default")
    }

    #[tokio::test]
    async fn a_topic_of_which_only_one_word_is_known_gives_nothing() {
        let test = TestDatabase::sqlite().await;
        let graph = import(test.database(), "default", &DOCUMENTS).await;
        let found =
            explore(test.database().read(), &request(graph, "leases of arctic glaciers")).await.unwrap();
        assert!(found.brief.facts.is_empty());
        assert_eq!((found.record.facts_found > 0, found.record.covered.len()), (true, 1));
    }
}
