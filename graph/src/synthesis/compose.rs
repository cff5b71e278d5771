//! The slow half of a synthesis: have it written, and see what the text says.

use std::collections::HashSet;

use ackord_entities::database::Connection;
use ackord_entities::graph::{fact, node};
use ackord_entities::ids::{FactId, GraphId, NodeId};
use sea_orm::DbErr;

use super::brief::{NoText, Written};
use super::document::{Document, cited_facts, keep_known, linked_nodes, normalise_links};
use super::explore::{Record, Request};
use super::material::{Fact, Node};
use super::writer::{Assignment, Draft, Run, TextProducer, WriteError};
use crate::search;

/// What came of a synthesis.
#[derive(Clone, Debug, PartialEq)]
pub struct Composed {
    /// The text, or why there is none.
    pub text: Result<ComposedText, NoText>,
    /// What was looked at.
    pub record: Record,
    /// The name of the writer.
    pub producer: String,
}

/// A text with its structure.
#[derive(Clone, Debug, PartialEq)]
pub struct ComposedText {
    /// Markdown with canonical links. Never empty.
    pub markdown: String,
    /// Its structure.
    pub document: Document,
}

/// Has `producer` write what `request` asks for, and sees what the text says. Reads only.
///
/// # Errors
/// Those of the writer, and whatever the database answers.
pub async fn compose(
    connection: &Connection,
    producer: &dyn TextProducer,
    request: &Request,
    run: &Run<'_>,
) -> Result<Composed, WriteError> {
    let draft = producer.write(&Assignment { connection, request, run }).await?;
    let text = match &draft.written {
        Written::Text(markdown) => with_structure(connection, request, &draft, markdown).await?,
        Written::NoText(why) => Err(why.clone()),
    };
    Ok(Composed { text, record: draft.record, producer: producer.name().to_owned() })
}

async fn with_structure(
    connection: &Connection,
    request: &Request,
    draft: &Draft,
    markdown: &str,
) -> Result<Result<ComposedText, NoText>, DbErr> {
    let markdown = normalise_links(markdown.trim());
    if markdown.is_empty() {
        return Ok(Err(NoText::empty(&request.topic)));
    }
    let nodes = known_nodes(connection, request.graph, &draft.nodes, linked_nodes(&markdown)).await?;
    let facts = known_facts(connection, request.graph, &draft.facts, cited_facts(&markdown)).await?;
    let markdown = keep_known(&markdown, &nodes, &facts);
    if markdown.is_empty() {
        return Ok(Err(NoText::empty(&request.topic)));
    }
    let document = Document::of(&markdown, &nodes, &facts);
    Ok(Ok(ComposedText { markdown, document }))
}

/// The nodes of the draft, and those of the same graph that the text links to beyond them.
async fn known_nodes(
    connection: &Connection,
    graph: GraphId,
    given: &[Node],
    linked: Vec<NodeId>,
) -> Result<Vec<Node>, DbErr> {
    let mut nodes: Vec<Node> = given.to_vec();
    let known: HashSet<NodeId> = nodes.iter().map(|node| node.id).collect();
    let others = linked.into_iter().filter(|id| !known.contains(id));
    let mut others = node::by_ids(connection, others).await?;
    // A synthesis may be somebody's own: no text links to one that it was not given.
    others.retain(|node| node.graph_id == graph && node.node_type.comes_from_sources());
    others.sort_by_key(|node| node.id);
    nodes.extend(others.iter().map(Node::of));
    Ok(nodes)
}

/// The facts of the draft, and those of the same graph that the text cites beyond them.
async fn known_facts(
    connection: &Connection,
    graph: GraphId,
    given: &[Fact],
    cited: Vec<FactId>,
) -> Result<Vec<Fact>, DbErr> {
    let mut facts: Vec<Fact> = given.to_vec();
    let known: HashSet<FactId> = facts.iter().map(|fact| fact.id).collect();
    let mut others = fact::by_ids(connection, cited.into_iter().filter(|id| !known.contains(id))).await?;
    others.retain(|fact| fact.graph_id == graph);
    facts.extend(search::with_places(connection, graph, others).await?);
    Ok(facts)
}
