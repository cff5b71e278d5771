//! Graphs for tests, read from documents the way an import reads them.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use ackord_entities::clock::machine_now;
use ackord_entities::graph::{edge, fact, fact_source, graphs, node, node_fact, source};
use ackord_entities::ids::{FactId, GraphId, NodeId};
use sea_orm::ConnectionTrait;

use crate::text::{Document, DocumentSentence, Format, NodeKind, Reader, SentenceKind};

/// Writes the documents `(uri, markdown)` into the graph `slug`.
pub(crate) async fn write(
    connection: &impl ConnectionTrait,
    slug: &str,
    documents: &[(&str, &str)],
) -> GraphId {
    let graph = graphs::ensure(connection, slug, machine_now()).await.unwrap();
    let mut reader = Reader::new();
    for (uri, text) in documents {
        let document = reader.read(Format::Markdown, text);
        write_one(connection, graph, uri, &document).await;
    }
    graph
}

async fn write_one(connection: &impl ConnectionTrait, graph: GraphId, uri: &str, document: &Document) {
    let now = machine_now();
    let source = source::id_of(graph, uri);
    let row = source::Model {
        id: source,
        graph_id: graph,
        container_id: None,
        uri: (*uri).to_owned(),
        title: document.title.clone().unwrap_or_else(|| (*uri).to_owned()),
        content_hash: Some("0".repeat(64)),
        content_type: "text/markdown".to_owned(),
        byte_size: 0,
        fact_count: i32::try_from(document.sentences.len()).unwrap(),
        canonical_url: None,
        doi: None,
        created_at: now,
        updated_at: now,
    };
    source::put_all(connection, &[row]).await.unwrap();
    let mut facts: BTreeMap<FactId, &DocumentSentence> = BTreeMap::new();
    let mut places = Vec::new();
    let mut mentions: BTreeSet<(NodeId, FactId)> = BTreeSet::new();
    let mut edges: BTreeMap<(String, String), i64> = BTreeMap::new();
    for (position, sentence) in (0..).zip(&document.sentences) {
        let id = fact::id_of(graph, &sentence.text);
        facts.insert(id, sentence);
        let mut keys: Vec<&str> =
            sentence.nodes.iter().map(|index| document.nodes[*index].key.as_str()).collect();
        keys.sort_unstable();
        keys.dedup();
        places.push(fact_source::Model {
            source_id: source,
            position,
            fact_id: id,
            line: i32::try_from(sentence.line).unwrap(),
            start_byte: 0,
            end_byte: 0,
            heading: sentence.heading.as_deref().map(str::to_owned),
            node_keys: keys.join(" "),
        });
        mentions.extend(keys.iter().map(|key| (node::id_of(graph, key), id)));
        for (index, one) in keys.iter().enumerate() {
            for other in &keys[index + 1..] {
                *edges.entry(((*one).to_owned(), (*other).to_owned())).or_default() += 1;
            }
        }
    }
    let new: Vec<fact::New<'_>> = facts
        .iter()
        .map(|(id, sentence)| fact::New {
            id: *id,
            content: &sentence.text,
            fact_type: match sentence.kind {
                SentenceKind::Sentence => fact::FactType::Sentence,
                SentenceKind::ListItem => fact::FactType::ListItem,
                SentenceKind::TableRow => fact::FactType::TableRow,
            },
            terms: &sentence.terms,
        })
        .collect();
    let written = fact::insert_new(connection, graph, &new, now).await.unwrap();
    fact_source::insert_all(connection, &places).await.unwrap();
    let nodes: Vec<node::Addition<'_>> = document
        .nodes
        .iter()
        .map(|found| node::Addition {
            id: node::id_of(graph, &found.key),
            key: &found.key,
            concept: &found.concept,
            node_type: match found.kind {
                NodeKind::Heading => node::NodeType::Heading,
                NodeKind::Name => node::NodeType::Name,
                NodeKind::Term => node::NodeType::Term,
            },
            definition: None,
            strength: i64::from(found.sentences),
            more_facts: i32::try_from(found.sentences).unwrap(),
        })
        .collect();
    node::add_all(connection, graph, &nodes, now).await.unwrap();
    let pairs: Vec<(NodeId, FactId)> =
        mentions.into_iter().filter(|(_, fact)| written.contains(fact)).collect();
    node_fact::insert_all(connection, &pairs).await.unwrap();
    let changes: Vec<edge::Change<'_>> = edges
        .iter()
        .map(|((one, other), weight)| {
            let (from, to) = edge::ends(edge::RELATED, one, other);
            edge::Change { relationship: edge::RELATED, source_key: from, target_key: to, weight: *weight }
        })
        .collect();
    edge::raise_all(connection, graph, &changes, now).await.unwrap();
}
