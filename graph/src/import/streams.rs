//! JSONL files while they are written: their records come in any number of transactions.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use ackord_entities::graph::edge::{self, Change as Weight};
use ackord_entities::graph::source::{self, Known};
use ackord_entities::graph::{edge_source, graphs, node, node_source};
use ackord_entities::ids::{GraphId, NodeId, SourceId};
use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbErr};
use tokio::sync::OwnedSemaphorePermit;

use super::apply::Write;
use super::error::ImportError;
use super::record::OpenEdge;
use super::records::Line;
use super::refusal::{LineRefusal, Refusal};
use super::report::{Outcome, RefusedLine, Taken};
use super::writer::{Writer, at};

/// Edges that wait for their nodes before those that can be written are written.
const MOST_OPEN: usize = 20_000;
/// Edges in one transaction.
const EDGES_AT_ONCE: usize = 500;
/// Records looked at in one query.
const RECORDS_AT_ONCE: u64 = 500;

/// The JSONL files that are being written, by their sources.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: HashMap<SourceId, Stream>,
}

#[derive(Debug)]
struct Stream {
    path: PathBuf,
    source: source::Model,
    known: Option<Known>,
    /// Whether the file's own source is written.
    begun: bool,
    /// Sources of the lines so far: 16 bytes per record are kept.
    seen: HashSet<SourceId>,
    edges: Vec<OpenEdge>,
    lines: u64,
    taken: Taken,
}

impl Streams {
    pub(super) fn begin(&mut self, path: PathBuf, source: source::Model, known: Option<Known>) {
        let id = source.id;
        let stream = Stream {
            path,
            source,
            known,
            begun: false,
            seen: HashSet::new(),
            edges: Vec::new(),
            lines: 0,
            taken: Taken::default(),
        };
        self.open.insert(id, stream);
    }
}

impl Writer {
    pub(super) async fn take_lines(
        &mut self,
        file: SourceId,
        lines: Vec<Line>,
        permit: Arc<OwnedSemaphorePermit>,
    ) -> Result<(), ImportError> {
        let Some(mut stream) = self.streams.open.remove(&file) else { return Ok(()) };
        let records = lines.iter().filter_map(|line| Some(line.read.as_ref().ok()?.contribution.source.id));
        let known = source::known(self.database.write(), records).await?;
        for line in lines {
            self.take_line(&mut stream, line, &known, &permit).await?;
        }
        if stream.edges.len() > MOST_OPEN {
            self.flush().await?;
            self.write_open_edges(&mut stream, false).await?;
        }
        self.streams.open.insert(file, stream);
        Ok(())
    }

    async fn take_line(
        &mut self,
        stream: &mut Stream,
        line: Line,
        known: &HashMap<SourceId, Known>,
        permit: &Arc<OwnedSemaphorePermit>,
    ) -> Result<(), ImportError> {
        stream.lines += 1;
        let read = match line.read {
            Ok(read) => *read,
            Err(refusal) => {
                self.refuse_line(stream, line.number, refusal);
                return Ok(());
            }
        };
        let source = &read.contribution.source;
        if !stream.seen.insert(source.id) {
            let refusal = LineRefusal::DuplicateSource { uri: source.uri.clone() };
            self.refuse_line(stream, line.number, refusal);
            return Ok(());
        }
        // After an import that was cut off nothing says which edges were written: all records are written anew.
        let complete = stream.known.as_ref().is_some_and(|file| file.content_hash.is_some());
        let known = known.get(&source.id);
        if complete && known.is_some_and(|known| known.content_hash == source.content_hash) {
            stream.taken.unchanged_records += 1;
            return Ok(());
        }
        if !stream.begun {
            let unfinished = source::Model { content_hash: None, ..stream.source.clone() };
            self.transaction(|now| Write {
                sources: vec![at(&unfinished, now)],
                ..Write::new(self.graph, now)
            })
            .await?;
            stream.begun = true;
        }
        stream.taken.records += 1;
        stream.taken.facts += read.contribution.sentences.len() as u64;
        stream.taken.nodes += read.contribution.nodes.len() as u64;
        stream.edges.extend(read.open_edges);
        self.wait_record(read.contribution, known.is_some(), permit).await
    }

    fn refuse_line(&mut self, stream: &mut Stream, line: u64, refusal: LineRefusal) {
        stream.taken.refused_lines += 1;
        self.tell_line(RefusedLine { path: stream.path.clone(), line, refusal });
    }

    pub(super) async fn end_stream(
        &mut self,
        file: SourceId,
        failed: Option<Refusal>,
    ) -> Result<(), ImportError> {
        self.flush().await?;
        let Some(mut stream) = self.streams.open.remove(&file) else { return Ok(()) };
        self.write_open_edges(&mut stream, true).await?;
        let bytes = u64::try_from(stream.source.byte_size).unwrap_or_default();
        let none = stream.seen.is_empty();
        let nothing = match stream.lines {
            0 => Refusal::Empty,
            lines => Refusal::NoLine { lines },
        };
        let refusal = failed.or(none.then_some(nothing));
        let emptied = refusal == Some(Refusal::Empty);
        if emptied || refusal.is_none() {
            stream.taken.removed_records = self.remove_records(file, &stream.seen).await?;
        }
        if let Some(refusal) = refusal {
            if emptied && stream.known.is_some() {
                self.remove(file).await?;
            }
            self.tell(&stream.path, &Outcome::Refused(refusal), bytes);
            return Ok(());
        }
        // With a refused line the file stays unfinished, so that the next import tries it again and says so again.
        let hash = stream.source.content_hash.clone().filter(|_| stream.taken.refused_lines == 0);
        let finished = source::Model { content_hash: hash, ..stream.source.clone() };
        self.transaction(|now| Write { sources: vec![at(&finished, now)], ..Write::new(self.graph, now) })
            .await?;
        let outcome = if stream.known.is_some() {
            Outcome::Updated(stream.taken)
        } else {
            Outcome::Taken(stream.taken)
        };
        self.tell(&stream.path, &outcome, bytes);
        Ok(())
    }

    /// Removes the file's records that are not in `seen`.
    pub(super) async fn remove_records(
        &mut self,
        file: SourceId,
        seen: &HashSet<SourceId>,
    ) -> Result<u64, ImportError> {
        let mut removed = 0;
        let mut after = None;
        loop {
            let records = source::records_of(self.database.write(), file, after, RECORDS_AT_ONCE).await?;
            let Some(last) = records.last() else { return Ok(removed) };
            after = Some(last.id);
            for record in records.iter().filter(|record| !seen.contains(&record.id)) {
                self.remove(record.id).await?;
                removed += 1;
            }
        }
    }

    /// Writes the open edges whose nodes are there. The others wait, or are refused by name when this is the `last` chance.
    async fn write_open_edges(&mut self, stream: &mut Stream, last: bool) -> Result<(), ImportError> {
        let edges = std::mem::take(&mut stream.edges);
        for chunk in edges.chunks(EDGES_AT_ONCE) {
            let transaction = self.database.begin().await?;
            let now = self.database.clock().now(&transaction).await?;
            let found = write_edges(&transaction, self.graph, chunk, now).await?;
            transaction.commit().await?;
            for edge in chunk {
                let ends = [("source", 0), ("target", 1)];
                let missing =
                    ends.into_iter().find(|(_, end)| !found.contains(&node_of(self.graph, edge, *end)));
                match missing {
                    Some(_) if !last && stream.edges.len() < MOST_OPEN / 2 => stream.edges.push(edge.clone()),
                    Some((end, index)) => {
                        let node = edge.names[index].clone();
                        self.refuse_line(
                            stream,
                            edge.line,
                            LineRefusal::MissingNode { edge: edge.number, end, node },
                        );
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }
}

/// The node that the line names at this end, 0 for its source and 1 for its target.
fn node_of(graph: GraphId, edge: &OpenEdge, end: usize) -> NodeId {
    node::id_of(graph, &crate::text::slug(&edge.names[end]))
}

/// Writes those of `edges` whose both nodes exist, and returns the nodes that do.
///
/// A record that states an edge also keeps the edge's nodes there: no edge can lose its end.
async fn write_edges(
    transaction: &DatabaseTransaction,
    graph: GraphId,
    edges: &[OpenEdge],
    now: DateTime<Utc>,
) -> Result<HashSet<NodeId>, DbErr> {
    graphs::lock(transaction, graph).await?;
    let ids: HashSet<NodeId> =
        edges.iter().flat_map(|edge| [0, 1].map(|end| node_of(graph, edge, end))).collect();
    let nodes: HashMap<NodeId, node::Model> =
        node::by_ids(transaction, ids).await?.into_iter().map(|node| (node.id, node)).collect();
    let mut weights: HashMap<String, (&OpenEdge, i64)> = HashMap::new();
    let mut stated = Vec::new();
    let mut kept = Vec::new();
    for edge in edges {
        let ends = [0, 1].map(|end| nodes.get(&node_of(graph, edge, end)));
        let [Some(one), Some(other)] = ends else { continue };
        weights.entry(edge.edge.key()).or_insert((edge, 0)).1 += edge.edge.weight;
        stated.push(edge_source::Model {
            source_id: edge.record,
            edge_key: edge.edge.key(),
            weight: edge.edge.weight,
            justification: edge.edge.justification.clone(),
        });
        kept.extend([one, other].map(|node| node_source::Model {
            source_id: edge.record,
            node_id: node.id,
            concept: node.concept.clone(),
            node_type: node.node_type,
            definition: None,
            strength: 0,
        }));
    }
    kept.sort_unstable_by_key(|row| (row.source_id, row.node_id));
    let mut keys: Vec<&String> = weights.keys().collect();
    keys.sort_unstable();
    let changes: Vec<Weight<'_>> = keys
        .iter()
        .map(|key| {
            let (OpenEdge { edge, .. }, weight) = weights[*key];
            Weight {
                relationship: &edge.relationship,
                source_key: &edge.source_key,
                target_key: &edge.target_key,
                weight,
            }
        })
        .collect();
    edge::raise_all(transaction, graph, &changes, now).await?;
    edge_source::insert_all(transaction, &stated).await?;
    node_source::insert_all(transaction, &kept).await?;
    edge::settle_stated(transaction, graph, &keys.into_iter().cloned().collect::<Vec<_>>()).await?;
    Ok(nodes.into_keys().collect())
}
