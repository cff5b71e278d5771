//! The slow half of a synthesis: explore, write, and see what the text says.

use std::collections::HashSet;

use ackord_entities::graph::{fact, node};
use ackord_entities::ids::{FactId, GraphId, NodeId};
use sea_orm::{ConnectionTrait, DbErr};

use super::brief::{Brief, NoText, TextProducer, Written};
use super::document::{Document, cited_facts, linked_nodes, normalise_links};
use super::explore::{Record, Request, explore};
use super::material::{Fact, Node};
use crate::search;

/// What came of a synthesis.
#[derive(Clone, Debug, PartialEq)]
pub struct Composed {
    /// The text, or why there is none.
    pub text: Result<ComposedText, NoText>,
    /// What was looked at.
    pub record: Record,
    /// The name of the writer.
    pub producer: &'static str,
}

/// A text with its structure.
#[derive(Clone, Debug, PartialEq)]
pub struct ComposedText {
    /// Markdown with canonical links. Never empty.
    pub markdown: String,
    /// Its structure.
    pub document: Document,
}

/// Explores the graph for `request` and has `producer` write about what was found. Reads only.
///
/// # Errors
/// Whatever the database answers.
pub async fn compose(
    connection: &impl ConnectionTrait,
    producer: &dyn TextProducer,
    request: &Request,
) -> Result<Composed, DbErr> {
    let exploration = explore(connection, request).await?;
    let brief = exploration.brief;
    let text = if brief.facts.is_empty() {
        Err(NoText::no_facts(&request.topic, reason(&exploration.record)))
    } else {
        match producer.write(&brief).await {
            Written::Text(markdown) => with_structure(connection, request, &brief, &markdown).await?,
            Written::NoText(why) => Err(why),
        }
    };
    Ok(Composed { text, record: exploration.record, producer: producer.name() })
}

fn reason(record: &Record) -> String {
    if record.facts_found == 0 {
        return format!("no fact of the graph holds any of the terms {:?}", record.searched);
    }
    format!(
        "of the terms {:?} only {:?} stand together in one place of the graph; {} facts hold one of them",
        record.searched, record.covered, record.facts_found
    )
}

async fn with_structure(
    connection: &impl ConnectionTrait,
    request: &Request,
    brief: &Brief,
    markdown: &str,
) -> Result<Result<ComposedText, NoText>, DbErr> {
    let markdown = normalise_links(markdown.trim());
    if markdown.is_empty() {
        return Ok(Err(NoText::empty(&request.topic)));
    }
    let nodes = known_nodes(connection, request.graph, brief, linked_nodes(&markdown)).await?;
    let facts = known_facts(connection, request.graph, brief, cited_facts(&markdown)).await?;
    let document = Document::of(&markdown, &nodes, &facts);
    Ok(Ok(ComposedText { markdown, document }))
}

/// The visited nodes, and those of the same graph that the text links to beyond them.
async fn known_nodes(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    brief: &Brief,
    linked: Vec<NodeId>,
) -> Result<Vec<Node>, DbErr> {
    let mut nodes: Vec<Node> = brief.nodes.iter().map(|visited| visited.node.clone()).collect();
    let visited: HashSet<NodeId> = nodes.iter().map(|node| node.id).collect();
    let others = linked.into_iter().filter(|id| !visited.contains(id));
    let mut others = node::by_ids(connection, others).await?;
    others.retain(|node| node.graph_id == graph);
    others.sort_by_key(|node| node.id);
    nodes.extend(others.iter().map(Node::of));
    Ok(nodes)
}

/// The facts of the brief, and those of the same graph that the text cites beyond them.
async fn known_facts(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    brief: &Brief,
    cited: Vec<FactId>,
) -> Result<Vec<Fact>, DbErr> {
    let mut facts: Vec<Fact> = brief.facts.iter().map(|scored| scored.fact.clone()).collect();
    let given: HashSet<FactId> = facts.iter().map(|fact| fact.id).collect();
    let mut others = fact::by_ids(connection, cited.into_iter().filter(|id| !given.contains(id))).await?;
    others.retain(|fact| fact.graph_id == graph);
    facts.extend(search::with_places(connection, graph, others).await?);
    Ok(facts)
}
