//! What one source gives to its graph, ready to be written.

use std::path::Path;
use std::sync::Arc;

use ackord_entities::clock::machine_now;
use ackord_entities::graph::edge;
use ackord_entities::graph::fact::{self, FactType};
use ackord_entities::graph::node::{self, NodeType};
use ackord_entities::graph::source;
use ackord_entities::ids::{FactId, GraphId, NodeId, SourceId};

use super::refusal::Refusal;
use crate::text::{Document, DocumentSentence, NodeKind, SentenceKind};

/// The longest title, in characters.
pub(super) const LONGEST_TITLE: usize = 512;

/// A source with everything it gives.
#[derive(Clone, Debug)]
pub(super) struct Contribution {
    /// Its row; the times are set when it is written.
    pub(super) source: source::Model,
    pub(super) sentences: Vec<Sentence>,
    pub(super) nodes: Vec<Node>,
    /// Edges that it states between its own nodes.
    pub(super) edges: Vec<StatedEdge>,
}

/// A sentence of the source.
#[derive(Clone, Debug)]
pub(super) struct Sentence {
    pub(super) fact: FactId,
    pub(super) content: String,
    pub(super) fact_type: FactType,
    pub(super) terms: String,
    pub(super) line: i32,
    pub(super) start_byte: i64,
    pub(super) end_byte: i64,
    pub(super) heading: Option<Arc<str>>,
    /// By their numbers in [`Contribution::nodes`].
    pub(super) nodes: Vec<usize>,
}

/// A node that the source speaks of.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) key: String,
    pub(super) concept: String,
    pub(super) node_type: NodeType,
    pub(super) definition: Option<String>,
    pub(super) strength: i64,
}

/// An edge that a record states.
#[derive(Clone, Debug)]
pub(super) struct StatedEdge {
    pub(super) relationship: String,
    /// Node keys, in the order in which the edge stores them.
    pub(super) source_key: String,
    pub(super) target_key: String,
    pub(super) weight: i64,
    pub(super) justification: Option<String>,
}

impl StatedEdge {
    pub(super) fn key(&self) -> String {
        edge::key_of(&self.relationship, &self.source_key, &self.target_key)
    }
}

/// What is known of a file before it is read.
#[derive(Clone, Debug)]
pub(super) struct FileFacts {
    pub(super) graph: GraphId,
    pub(super) id: SourceId,
    pub(super) uri: String,
    pub(super) content_type: &'static str,
}

impl FileFacts {
    /// The row of the file's source, without what its content says.
    pub(super) fn source(&self, title: String, hash: Option<String>, bytes: u64) -> source::Model {
        let now = machine_now();
        source::Model {
            id: self.id,
            graph_id: self.graph,
            container_id: None,
            uri: self.uri.clone(),
            title,
            content_hash: hash,
            content_type: self.content_type.to_owned(),
            byte_size: i64::try_from(bytes).unwrap_or(i64::MAX),
            fact_count: 0,
            canonical_url: None,
            doi: None,
            created_at: now,
            updated_at: now,
        }
    }
}

/// The file's name as a title.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// What a document gives.
pub(super) fn of_document(
    file: &FileFacts,
    path: &Path,
    document: Document,
    hash: String,
    bytes: u64,
) -> Result<Contribution, Refusal> {
    let title = document.title.unwrap_or_else(|| name_of(path));
    let characters = title.chars().count();
    if characters > LONGEST_TITLE {
        return Err(Refusal::TitleTooLong { characters, limit: LONGEST_TITLE });
    }
    let mut source = file.source(title, Some(hash), bytes);
    source.fact_count = i32::try_from(document.sentences.len()).unwrap_or(i32::MAX);
    source.canonical_url = document.canonical_url;
    source.doi = document.doi;
    let nodes = document.nodes.into_iter().map(|node| Node {
        id: node::id_of(file.graph, &node.key),
        key: node.key,
        concept: node.concept,
        node_type: match node.kind {
            NodeKind::Heading => NodeType::Heading,
            NodeKind::Name => NodeType::Name,
            NodeKind::Term => NodeType::Term,
        },
        definition: None,
        strength: i64::from(node.sentences),
    });
    let sentences = document.sentences.into_iter().map(|sentence| of_sentence(file.graph, sentence));
    Ok(Contribution { source, nodes: nodes.collect(), sentences: sentences.collect(), edges: Vec::new() })
}

fn of_sentence(graph: GraphId, sentence: DocumentSentence) -> Sentence {
    let byte = |at: usize| i64::try_from(at).unwrap_or(i64::MAX);
    Sentence {
        fact: fact::id_of(graph, &sentence.text),
        content: sentence.text,
        fact_type: match sentence.kind {
            SentenceKind::Sentence => FactType::Sentence,
            SentenceKind::ListItem => FactType::ListItem,
            SentenceKind::TableRow => FactType::TableRow,
        },
        terms: sentence.terms,
        line: i32::try_from(sentence.line).unwrap_or(i32::MAX),
        start_byte: byte(sentence.span.start),
        end_byte: byte(sentence.span.end),
        heading: sentence.heading,
        nodes: sentence.nodes,
    }
}
