//! One line of a JSONL file.
//!
//! ```json
//! {"source": {"uri": "https://example.org/a", "title": "On leases", "canonical_url": null, "doi": null},
//!  "facts": ["A lease is a claim.", {"content": "It has a term.", "type": "stated"}],
//!  "nodes": ["Lease", {"concept": "Term", "type": "concept", "definition": "A fencing number.", "facts": [1]}],
//!  "edges": [{"source": "Lease", "target": "Term", "type": "related", "weight": 2, "justification": "It counts them."}]}
//! ```
//!
//! - `source` is required: the record's own source, as an object with `uri`, or as the URI alone.
//! - `facts` are sentences. The record's order is theirs.
//! - `nodes` belong to the facts whose words hold the concept's words, and to those that `facts` names (from 0).
//!   `type` is `concept` (the default), `heading`, `name` or `term`. The key of a node is the slug of its concept.
//! - `edges` join nodes by concept or key: nodes of this record, of the rest of the file, or of the graph. `type` is `related`
//!   (without direction) unless told otherwise, `weight` is 1. What an edge states is added to what shared facts weigh.
//!
//! What is not read from a disk may name no address of a file.
//!
//! A field that is not named here is refused, and so is a NUL character in any text.

use std::collections::{HashMap, HashSet};

use ackord_entities::graph::edge;
use ackord_entities::graph::fact::{self, FactType};
use ackord_entities::graph::node::{self, NodeType, STATED};
use ackord_entities::graph::source;
use ackord_entities::ids::{GraphId, SourceId};
use serde::Deserialize;

use super::contribution::{Contribution, FileFacts, LONGEST_TITLE, Node, Sentence, StatedEdge};
use super::refusal::LineRefusal;
use super::uri::Addresses;
use crate::text::{Reader, slug};

const LONGEST_URI: usize = 2_048;
const LONGEST_CONCEPT: usize = 200;
const LONGEST_FACT: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    source: SourceField,
    #[serde(default)]
    facts: Vec<FactField>,
    #[serde(default)]
    nodes: Vec<NodeField>,
    #[serde(default)]
    edges: Vec<EdgeField>,
}

#[derive(Debug, Deserialize)]
#[serde(from = "TextOr<SourceObject>")]
struct SourceField(SourceObject);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceObject {
    uri: String,
    title: Option<String>,
    canonical_url: Option<String>,
    doi: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(from = "TextOr<FactObject>")]
struct FactField(FactObject);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FactObject {
    content: String,
    #[serde(default, rename = "type")]
    fact_type: FactTypeField,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FactTypeField {
    Sentence,
    ListItem,
    TableRow,
    #[default]
    Stated,
}

#[derive(Debug, Deserialize)]
#[serde(from = "TextOr<NodeObject>")]
struct NodeField(NodeObject);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeObject {
    concept: String,
    #[serde(default, rename = "type")]
    node_type: NodeTypeField,
    definition: Option<String>,
    #[serde(default)]
    facts: Vec<usize>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NodeTypeField {
    #[default]
    Concept,
    Heading,
    Name,
    Term,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EdgeField {
    source: String,
    target: String,
    #[serde(default = "related", rename = "type")]
    relationship: String,
    #[serde(default = "one")]
    weight: i64,
    justification: Option<String>,
}

fn related() -> String {
    edge::RELATED.to_owned()
}

fn one() -> i64 {
    1
}

/// A text alone, or the object that it is short for.
#[derive(Debug)]
enum TextOr<T> {
    Text(String),
    Object(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for TextOr<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Visitor<T> {
            type Value = TextOr<T>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a text or an object")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<TextOr<T>, E> {
                Ok(TextOr::Text(text.to_owned()))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<TextOr<T>, A::Error> {
                T::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(TextOr::Object)
            }
        }
        // Not an untagged enum: that would answer every mistake with "did not match any variant".
        deserializer.deserialize_any(Visitor(std::marker::PhantomData))
    }
}

impl From<TextOr<SourceObject>> for SourceField {
    fn from(field: TextOr<SourceObject>) -> Self {
        Self(match field {
            TextOr::Text(uri) => SourceObject { uri, title: None, canonical_url: None, doi: None },
            TextOr::Object(object) => object,
        })
    }
}

impl From<TextOr<FactObject>> for FactField {
    fn from(field: TextOr<FactObject>) -> Self {
        Self(match field {
            TextOr::Text(content) => FactObject { content, fact_type: FactTypeField::Stated },
            TextOr::Object(object) => object,
        })
    }
}

impl From<TextOr<NodeObject>> for NodeField {
    fn from(field: TextOr<NodeObject>) -> Self {
        Self(match field {
            TextOr::Text(concept) => {
                NodeObject { concept, node_type: NodeTypeField::Concept, definition: None, facts: Vec::new() }
            }
            TextOr::Object(object) => object,
        })
    }
}

/// A line that was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) contribution: Contribution,
    /// Edges with an end that is no node of the record itself.
    pub(super) open_edges: Vec<OpenEdge>,
}

/// An edge whose ends must be looked for outside its record.
#[derive(Clone, Debug)]
pub(super) struct OpenEdge {
    /// The record's source.
    pub(super) record: SourceId,
    /// The line, from 1.
    pub(super) line: u64,
    /// Which of the record's edges, from 0.
    pub(super) number: usize,
    /// The ends as the line names them, source and target.
    pub(super) names: [String; 2],
    pub(super) edge: StatedEdge,
}

/// Where the line stands in its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// From 1.
    pub(super) line: u64,
    /// In bytes.
    pub(super) start: u64,
    pub(super) end: u64,
}

/// Reads a line of the file whose source is `container`.
pub(super) fn read(
    reader: &mut Reader,
    graph: GraphId,
    container: SourceId,
    addresses: Addresses,
    line: &str,
    place: Place,
) -> Result<Read, LineRefusal> {
    let mut deserializer = serde_json::Deserializer::from_str(line);
    let record: Record = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let message = error.inner().to_string();
        // The line within the record is always 1; the column is told.
        LineRefusal::Shape { field: path, message: message.replace(" at line 1 column ", " at column ") }
    })?;
    deserializer.end().map_err(|error| shape(".", error.to_string()))?;
    let SourceField(source) = &record.source;
    let named = [("source.uri", Some(&source.uri)), ("source.canonical_url", source.canonical_url.as_ref())];
    if let Some((field, _)) = named.iter().find(|(_, uri)| uri.is_some_and(|uri| !addresses.allow(uri))) {
        return Err(shape(*field, "is the address of a file: give another one, such as upload:notes.md"));
    }
    build(reader, graph, container, line, record, place)
}

fn shape(field: impl Into<String>, message: impl Into<String>) -> LineRefusal {
    LineRefusal::Shape { field: field.into(), message: message.into() }
}

/// A text as it may be stored: on one line if it is to be one, not empty, not too long, without NUL.
fn checked(field: &str, text: &str, longest: usize) -> Result<String, LineRefusal> {
    if text.contains('\0') {
        return Err(shape(field, "holds a NUL character"));
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let characters = text.chars().count();
    if text.is_empty() {
        return Err(shape(field, "is empty"));
    }
    if characters > longest {
        return Err(shape(field, format!("has {characters} characters, the limit is {longest}")));
    }
    Ok(text)
}

fn checked_option(field: &str, text: Option<&String>, longest: usize) -> Result<Option<String>, LineRefusal> {
    text.filter(|text| !text.trim().is_empty()).map(|text| checked(field, text, longest)).transpose()
}

fn build(
    reader: &mut Reader,
    graph: GraphId,
    container: SourceId,
    line: &str,
    record: Record,
    place: Place,
) -> Result<Read, LineRefusal> {
    let source = build_source(graph, container, line, &record)?;
    let mut sentences = build_facts(reader, graph, &record.facts, place)?;
    let (nodes, numbers) = build_nodes(reader, graph, &record.nodes, &mut sentences)?;
    let mut edges = Vec::new();
    let mut open_edges = Vec::new();
    let mut keys = HashSet::new();
    for (number, field) in record.edges.into_iter().enumerate() {
        let names = [field.source.clone(), field.target.clone()];
        let edge = build_edge(number, &field)?;
        if !keys.insert(edge.key()) {
            return Err(shape(
                format!("edges[{number}]"),
                format!("`{}` is an earlier edge too", edge.key()),
            ));
        }
        let inside = numbers.contains_key(&edge.source_key) && numbers.contains_key(&edge.target_key);
        if inside {
            edges.push(edge);
        } else {
            open_edges.push(OpenEdge { record: source.id, line: place.line, number, names, edge });
        }
    }
    Ok(Read { contribution: Contribution { source, sentences, nodes, edges }, open_edges })
}

fn build_source(
    graph: GraphId,
    container: SourceId,
    line: &str,
    record: &Record,
) -> Result<source::Model, LineRefusal> {
    let SourceField(field) = &record.source;
    let uri = checked("source.uri", &field.uri, LONGEST_URI)?;
    let id = source::id_of(graph, &uri);
    let file = FileFacts { graph, id, uri: uri.clone(), content_type: "application/json" };
    let title = checked_option("source.title", field.title.as_ref(), LONGEST_TITLE)?.unwrap_or(uri);
    let hash = super::content::hash(line.as_bytes());
    Ok(source::Model {
        container_id: Some(container),
        fact_count: i32::try_from(record.facts.len()).unwrap_or(i32::MAX),
        canonical_url: checked_option("source.canonical_url", field.canonical_url.as_ref(), LONGEST_URI)?,
        doi: checked_option("source.doi", field.doi.as_ref(), LONGEST_URI)?,
        ..file.source(title, Some(hash), line.len() as u64)
    })
}

fn build_facts(
    reader: &mut Reader,
    graph: GraphId,
    facts: &[FactField],
    place: Place,
) -> Result<Vec<Sentence>, LineRefusal> {
    let fact = |(number, FactField(field)): (usize, &FactField)| {
        let content = checked(&format!("facts[{number}].content"), &field.content, LONGEST_FACT)?;
        Ok(Sentence {
            fact: fact::id_of(graph, &content),
            terms: reader.terms(&content),
            content,
            fact_type: match field.fact_type {
                FactTypeField::Sentence => FactType::Sentence,
                FactTypeField::ListItem => FactType::ListItem,
                FactTypeField::TableRow => FactType::TableRow,
                FactTypeField::Stated => FactType::Stated,
            },
            line: i32::try_from(place.line).unwrap_or(i32::MAX),
            start_byte: i64::try_from(place.start).unwrap_or(i64::MAX),
            end_byte: i64::try_from(place.end).unwrap_or(i64::MAX),
            heading: None,
            nodes: Vec::new(),
        })
    };
    facts.iter().enumerate().map(fact).collect()
}

/// The nodes, and their numbers by key. Marks in the sentences which of them they mention.
fn build_nodes(
    reader: &mut Reader,
    graph: GraphId,
    fields: &[NodeField],
    sentences: &mut [Sentence],
) -> Result<(Vec<Node>, HashMap<String, usize>), LineRefusal> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut numbers = HashMap::new();
    for (index, NodeField(field)) in fields.iter().enumerate() {
        let concept = checked(&format!("nodes[{index}].concept"), &field.concept, LONGEST_CONCEPT)?;
        let key = slug(&concept);
        if key.is_empty() {
            return Err(shape(
                format!("nodes[{index}].concept"),
                "has no letter and no digit to make a key of",
            ));
        }
        if numbers.contains_key(&key) {
            return Err(shape(
                format!("nodes[{index}].concept"),
                format!("the key `{key}` is an earlier node's too"),
            ));
        }
        if let Some(number) = field.facts.iter().find(|number| **number >= sentences.len()) {
            return Err(shape(format!("nodes[{index}].facts"), format!("there is no fact {number}")));
        }
        let terms = reader.terms(&concept);
        let mut mentions = 0;
        for (number, sentence) in sentences.iter_mut().enumerate() {
            if field.facts.contains(&number) || holds(&sentence.terms, &terms) {
                sentence.nodes.push(nodes.len());
                mentions += 1;
            }
        }
        numbers.insert(key.clone(), nodes.len());
        nodes.push(Node {
            id: node::id_of(graph, &key),
            key,
            concept,
            node_type: match field.node_type {
                NodeTypeField::Concept => NodeType::Concept,
                NodeTypeField::Heading => NodeType::Heading,
                NodeTypeField::Name => NodeType::Name,
                NodeTypeField::Term => NodeType::Term,
            },
            definition: checked_option(
                &format!("nodes[{index}].definition"),
                field.definition.as_ref(),
                LONGEST_FACT,
            )?,
            strength: STATED + mentions,
        });
    }
    Ok((nodes, numbers))
}

/// Whether each of the concept's terms is one of the sentence's.
fn holds(sentence: &str, concept: &str) -> bool {
    !concept.is_empty() && concept.split(' ').all(|term| sentence.split(' ').any(|other| other == term))
}

fn build_edge(number: usize, field: &EdgeField) -> Result<StatedEdge, LineRefusal> {
    let name = |end: &str| format!("edges[{number}].{end}");
    let key = |end: &str, text: &str| {
        let key = slug(&checked(&name(end), text, LONGEST_CONCEPT)?);
        if key.is_empty() { Err(shape(name(end), "has no letter and no digit")) } else { Ok(key) }
    };
    let (source, target) = (key("source", &field.source)?, key("target", &field.target)?);
    if source == target {
        return Err(shape(name("target"), format!("`{target}` is the source too")));
    }
    let relationship = checked(&name("type"), &field.relationship, 64)?;
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !relationship.chars().all(is_name) {
        return Err(shape(name("type"), "is no name: lowercase letters, digits and `_` make one"));
    }
    if !(1..=1_000_000).contains(&field.weight) {
        return Err(shape(
            name("weight"),
            format!("is {}, between 1 and 1,000,000 are weights", field.weight),
        ));
    }
    let (source_key, target_key) = edge::ends(&relationship, &source, &target);
    Ok(StatedEdge {
        source_key: source_key.to_owned(),
        target_key: target_key.to_owned(),
        weight: field.weight,
        justification: checked_option(&name("justification"), field.justification.as_ref(), LONGEST_FACT)?,
        relationship,
    })
}
