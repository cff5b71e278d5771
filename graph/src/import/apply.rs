//! One transaction's worth of changes, written set by set.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use ackord_entities::graph::edge::{self, Change as Weight};
use ackord_entities::graph::node::Addition;
use ackord_entities::graph::{edge_source, fact, fact_source, graphs, node, node_fact, node_source, source};
use ackord_entities::ids::{FactId, GraphId, NodeId, SourceId};
use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbErr};

use super::change::{Change, Stored, between};
use super::contribution::{Contribution, Sentence};

/// What one transaction writes.
#[derive(Debug)]
pub(super) struct Write<'a> {
    pub(super) graph: GraphId,
    pub(super) now: DateTime<Utc>,
    /// Sentences that go.
    pub(super) cleared: Vec<Cleared>,
    /// Sources whose nodes and stated edges go. Their sentences are gone, or go in this transaction.
    pub(super) forgotten: Vec<SourceId>,
    /// What comes.
    pub(super) parts: Vec<Part<'a>>,
    /// Source rows to write.
    pub(super) sources: Vec<source::Model>,
    /// Source rows to remove.
    pub(super) removed: Vec<SourceId>,
}

/// A range of a source's sentences.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cleared {
    pub(super) source: SourceId,
    pub(super) from: i32,
    pub(super) to: i32,
}

impl Cleared {
    /// All of the source's sentences.
    pub(super) fn all(source: SourceId) -> Self {
        Self { source, from: 0, to: i32::MAX }
    }

    fn holds(&self, row: &fact_source::Model) -> bool {
        row.source_id == self.source && (self.from..self.to).contains(&row.position)
    }
}

/// Some of what a source gives.
#[derive(Clone, Debug)]
pub(super) struct Part<'a> {
    pub(super) contribution: &'a Contribution,
    pub(super) sentences: Range<usize>,
    /// Whether the nodes that no sentence mentions, and the edges, come too. They come once per source.
    pub(super) stated: bool,
}

impl<'a> Part<'a> {
    /// All of it.
    pub(super) fn all(contribution: &'a Contribution) -> Self {
        Self { contribution, sentences: 0..contribution.sentences.len(), stated: true }
    }

    fn sentences(&self) -> &'a [Sentence] {
        &self.contribution.sentences[self.sentences.clone()]
    }

    fn keys(&self, sentence: &Sentence) -> Vec<&'a str> {
        sentence.nodes.iter().map(|node| self.contribution.nodes[*node].key.as_str()).collect()
    }

    /// The nodes that come with this part, by their numbers.
    fn nodes(&self) -> Vec<usize> {
        if self.stated && self.sentences.len() == self.contribution.sentences.len() {
            return (0..self.contribution.nodes.len()).collect();
        }
        let mentioned: HashSet<usize> =
            self.sentences().iter().flat_map(|sentence| sentence.nodes.iter().copied()).collect();
        let ever: HashSet<usize> = if self.stated {
            self.contribution.sentences.iter().flat_map(|sentence| sentence.nodes.iter().copied()).collect()
        } else {
            HashSet::new()
        };
        let comes = |node: &usize| mentioned.contains(node) || (self.stated && !ever.contains(node));
        (0..self.contribution.nodes.len()).filter(comes).collect()
    }
}

impl<'a> Write<'a> {
    pub(super) fn new(graph: GraphId, now: DateTime<Utc>) -> Self {
        Self {
            graph,
            now,
            cleared: Vec::new(),
            forgotten: Vec::new(),
            parts: Vec::new(),
            sources: Vec::new(),
            removed: Vec::new(),
        }
    }

    /// Writes all of it. The first statement takes the graph's lock.
    pub(super) async fn apply(&self, transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        graphs::lock(transaction, self.graph).await?;
        let fresh = self.insert_facts(transaction).await?;
        let before = Before::read(self, transaction, &fresh).await?;
        let change = self.change(&before);
        self.remove_sentences(transaction, &change).await?;
        self.insert_sentences(transaction, &change).await?;
        self.write_nodes(transaction, &before, &change).await?;
        self.write_edges(transaction, &before, &change).await?;
        source::put_all(transaction, &self.sources).await?;
        source::remove_all(transaction, &self.removed).await
    }

    fn new_sentences(&self) -> impl Iterator<Item = &'a Sentence> {
        self.parts.iter().flat_map(Part::sentences)
    }

    async fn insert_facts(&self, transaction: &DatabaseTransaction) -> Result<HashSet<FactId>, DbErr> {
        let mut seen = HashSet::new();
        let new: Vec<fact::New<'_>> = self
            .new_sentences()
            .filter(|sentence| seen.insert(sentence.fact))
            .map(|sentence| fact::New {
                id: sentence.fact,
                content: &sentence.content,
                fact_type: sentence.fact_type,
                terms: &sentence.terms,
            })
            .collect();
        fact::insert_new(transaction, self.graph, &new, self.now).await
    }

    fn change<'b>(&'b self, before: &'b Before) -> Change<'b> {
        let stored = before.sentences.iter().map(|row| Stored {
            fact: row.fact_id,
            node_keys: &row.node_keys,
            stays: !self.cleared.iter().any(|cleared| cleared.holds(row)),
        });
        let new = self
            .parts
            .iter()
            .flat_map(|part| part.sentences().iter().map(|sentence| (sentence.fact, part.keys(sentence))));
        let mut change = between(stored, new);
        for row in &before.stated_edges {
            if let Some(edge) = edge::parts_of(&row.edge_key) {
                *change.edges.entry(edge).or_default() -= row.weight;
            }
        }
        for part in self.parts.iter().filter(|part| part.stated) {
            for edge in &part.contribution.edges {
                let of = (edge.relationship.as_str(), edge.source_key.as_str(), edge.target_key.as_str());
                *change.edges.entry(of).or_default() += edge.weight;
            }
        }
        change
    }

    fn node_of(&self, key: &str) -> NodeId {
        node::id_of(self.graph, key)
    }

    /// The pairs with node ids instead of keys; each key's id is made once.
    fn with_ids<'k>(
        &self,
        pairs: &[(&'k str, FactId)],
        ids: &mut HashMap<&'k str, NodeId>,
    ) -> Vec<(NodeId, FactId)> {
        let mut pairs: Vec<(NodeId, FactId)> = pairs
            .iter()
            .map(|(key, fact)| (*ids.entry(key).or_insert_with(|| self.node_of(key)), *fact))
            .collect();
        // In the order of the table: neighbours land on the same page.
        pairs.sort_unstable();
        pairs
    }

    async fn remove_sentences(
        &self,
        transaction: &DatabaseTransaction,
        change: &Change<'_>,
    ) -> Result<(), DbErr> {
        for Cleared { source, from, to } in &self.cleared {
            fact_source::remove(transaction, *source, *from, *to).await?;
        }
        let mut ids = HashMap::new();
        node_fact::remove_all(transaction, &self.with_ids(&change.old_pairs, &mut ids)).await?;
        fact::remove_all(transaction, &change.old_facts).await
    }

    async fn insert_sentences(
        &self,
        transaction: &DatabaseTransaction,
        change: &Change<'_>,
    ) -> Result<(), DbErr> {
        let rows = self.parts.iter().flat_map(|part| {
            let first = part.sentences.start;
            part.sentences().iter().enumerate().map(move |(index, sentence)| fact_source::Model {
                source_id: part.contribution.source.id,
                position: i32::try_from(first + index).unwrap_or(i32::MAX),
                fact_id: sentence.fact,
                line: sentence.line,
                start_byte: sentence.start_byte,
                end_byte: sentence.end_byte,
                heading: sentence.heading.as_deref().map(str::to_owned),
                node_keys: part.keys(sentence).join(" "),
            })
        });
        fact_source::insert_all(transaction, &rows.collect::<Vec<_>>()).await?;
        let mut ids = self.ids();
        node_fact::insert_all(transaction, &self.with_ids(&change.new_pairs, &mut ids)).await
    }

    /// The ids of the nodes that come.
    fn ids(&self) -> HashMap<&str, NodeId> {
        self.parts
            .iter()
            .flat_map(|part| &part.contribution.nodes)
            .map(|node| (node.key.as_str(), node.id))
            .collect()
    }

    async fn write_nodes(
        &self,
        transaction: &DatabaseTransaction,
        before: &Before,
        change: &Change<'_>,
    ) -> Result<(), DbErr> {
        node_source::remove_of_sources(transaction, &self.forgotten).await?;
        let mut additions: BTreeMap<NodeId, Addition<'_>> = BTreeMap::new();
        let mut spoken = Vec::new();
        for part in &self.parts {
            for number in part.nodes() {
                let node = &part.contribution.nodes[number];
                spoken.push(node_source::Model {
                    source_id: part.contribution.source.id,
                    node_id: node.id,
                    concept: node.concept.clone(),
                    node_type: node.node_type,
                    definition: node.definition.clone(),
                    strength: node.strength,
                });
                let new = Addition {
                    id: node.id,
                    key: &node.key,
                    concept: &node.concept,
                    node_type: node.node_type,
                    definition: node.definition.as_deref(),
                    strength: node.strength,
                    more_facts: 0,
                };
                additions
                    .entry(node.id)
                    .and_modify(|known| {
                        if new.speaks_louder_than(known) {
                            *known = new.clone();
                        }
                    })
                    .or_insert(new);
            }
        }
        let ids = self.ids();
        for (key, _) in &change.new_pairs {
            if let Some(addition) = ids.get(key).and_then(|id| additions.get_mut(id)) {
                addition.more_facts += 1;
            }
        }
        node_source::insert_all(transaction, &spoken).await?;
        let additions: Vec<Addition<'_>> = additions.into_values().collect();
        node::add_all(transaction, self.graph, &additions, self.now).await?;
        let mut lost: HashSet<NodeId> = before.spoken_nodes.iter().copied().collect();
        lost.extend(change.old_pairs.iter().map(|(key, _)| self.node_of(key)));
        let mut lost: Vec<NodeId> = lost.into_iter().collect();
        lost.sort_unstable();
        node::settle(transaction, &lost, self.now).await
    }

    async fn write_edges(
        &self,
        transaction: &DatabaseTransaction,
        before: &Before,
        change: &Change<'_>,
    ) -> Result<(), DbErr> {
        let weights = |sign: i64| -> Vec<Weight<'_>> {
            let edges = change.edges.iter().filter(|(_, weight)| **weight * sign > 0);
            edges
                .map(|((relationship, source_key, target_key), weight)| Weight {
                    relationship,
                    source_key,
                    target_key,
                    weight: weight * sign,
                })
                .collect()
        };
        edge::raise_all(transaction, self.graph, &weights(1), self.now).await?;
        edge::lower_all(transaction, self.graph, &weights(-1), self.now).await?;
        edge_source::remove_of_sources(transaction, &self.forgotten).await?;
        let stated: Vec<edge_source::Model> = self
            .parts
            .iter()
            .filter(|part| part.stated)
            .flat_map(|part| part.contribution.edges.iter().map(|edge| (part.contribution.source.id, edge)))
            .map(|(source_id, edge)| edge_source::Model {
                source_id,
                edge_key: edge.key(),
                weight: edge.weight,
                justification: edge.justification.clone(),
            })
            .collect();
        edge_source::insert_all(transaction, &stated).await?;
        let rows = before.stated_edges.iter().chain(&stated);
        let mut keys: Vec<String> = rows.map(|row| row.edge_key.clone()).collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() {
            return Ok(());
        }
        // What a record states counts by its source's graph, so the source must be there first.
        source::put_all(transaction, &self.sources).await?;
        edge::settle_stated(transaction, self.graph, &keys).await
    }
}

/// What the graph holds of what is about to change.
#[derive(Debug)]
struct Before {
    sentences: Vec<fact_source::Model>,
    spoken_nodes: Vec<NodeId>,
    stated_edges: Vec<edge_source::Model>,
}

impl Before {
    async fn read(
        write: &Write<'_>,
        transaction: &DatabaseTransaction,
        fresh: &HashSet<FactId>,
    ) -> Result<Self, DbErr> {
        let mut touched: HashSet<FactId> = HashSet::new();
        for Cleared { source, from, to } in &write.cleared {
            let old = fact_source::of_source(transaction, *source, *from, *to).await?;
            touched.extend(old.iter().map(|row| row.fact_id));
        }
        touched
            .extend(write.new_sentences().map(|sentence| sentence.fact).filter(|fact| !fresh.contains(fact)));
        let mut spoken_nodes = Vec::new();
        for source in &write.forgotten {
            let rows = node_source::of_source(transaction, *source).await?;
            spoken_nodes.extend(rows.into_iter().map(|row| row.node_id));
        }
        let stated_edges = if write.forgotten.is_empty() {
            Vec::new()
        } else {
            edge_source::of_sources(transaction, &write.forgotten).await?
        };
        Ok(Self { sentences: fact_source::of_facts(transaction, touched).await?, spoken_nodes, stated_edges })
    }
}
