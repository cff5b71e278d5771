//! The parts out of the database, and the combined text with its structure.

use std::collections::HashSet;

use ackord_entities::graph::synthesis::{self, Combined, Failure};
use ackord_entities::graph::synthesis_link::{self, Part};
use ackord_entities::graph::synthesis_part_read::Model as PartRead;
use ackord_entities::graph::{fact, node, synthesis_version};
use ackord_entities::ids::{FactId, GraphId, NodeId, SynthesisId};
use sea_orm::{ConnectionTrait, DbErr};
use serde::Serialize;

use super::{Combiner, MissingPart, PartText, Parts};
use crate::search;
use crate::synthesis::brief::{NoText, Written};
use crate::synthesis::compose::ComposedText;
use crate::synthesis::document::{Document, cited_facts, keep_known, normalise_links};
use crate::synthesis::material::Node;
use crate::synthesis::writer::{Run, WriteError};

/// The parts of one super-synthesis as they were read.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// The graph.
    pub graph: GraphId,
    /// For the combiner.
    pub parts: Parts,
    /// Which versions these are; their own version is open.
    pub read: Vec<PartRead>,
    /// The nodes that the texts refer to, and those of the missing parts.
    nodes: Vec<Node>,
}

/// What is kept of a combination with its attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CombinationRecord {
    /// The parts that were read, with their versions.
    pub read: Vec<(SynthesisId, i32)>,
    /// Those without a text, with the code of the reason.
    pub missing: Vec<(SynthesisId, String)>,
}

impl Gathered {
    /// What there is to say about a text that is made from this.
    #[must_use]
    pub fn outcome(&self) -> Combined {
        if self.parts.missing.is_empty() {
            return Combined::Whole;
        }
        let names: Vec<String> = self.parts.missing.iter().map(|part| format!("“{}”", part.topic)).collect();
        let number = format!("{} of {} parts", self.parts.missing.len(), self.read.len());
        Combined::Partial(Failure {
            code: "parts_missing".to_owned(),
            operator: format!(
                "{number} have no text: {}",
                causes(&self.parts.missing, |part| &part.operator)
            ),
            public: format!("{number} are missing: {}.", names.join(", ")),
        })
    }

    /// For the record of the run.
    #[must_use]
    pub fn record(&self) -> CombinationRecord {
        CombinationRecord {
            read: self.read.iter().filter_map(|part| Some((part.sub_id, part.sub_version?))).collect(),
            missing: self.parts.missing.iter().map(|part| (part.id, part.code.clone())).collect(),
        }
    }
}

fn causes<'a>(missing: &'a [MissingPart], why: impl Fn(&'a MissingPart) -> &'a String) -> String {
    let causes: Vec<String> =
        missing.iter().map(|part| format!("“{}” ({}): {}", part.topic, part.code, why(part))).collect();
    causes.join("; ")
}

/// Reads what the parts of the super-synthesis `id` say now. `None` if it is not there.
///
/// # Errors
/// Whatever the database answers. A stored structure that this version cannot read is a [`DbErr::Json`].
pub async fn gather(connection: &impl ConnectionTrait, id: SynthesisId) -> Result<Option<Gathered>, DbErr> {
    let Some(whole) = synthesis::by_id(connection, id).await? else { return Ok(None) };
    let parts = synthesis_link::parts_of(connection, id).await?;
    let (mut texts, mut missing, mut read) = (Vec::new(), Vec::new(), Vec::new());
    for part in &parts {
        match text_of(connection, part).await? {
            Some(text) => texts.push(text),
            None => missing.push(missing_part(part)),
        }
        let why = missing.last().filter(|last| last.id == part.sub_id);
        read.push(PartRead {
            super_id: id,
            version: 0,
            position: part.position,
            sub_id: part.sub_id,
            topic: part.topic.clone(),
            sub_version: if why.is_some() { None } else { part.current_version },
            missing_code: why.map(|why| why.code.clone()),
            missing_public: why.map(|why| why.public.clone()),
        });
    }
    let nodes = nodes(connection, whole.graph_id, &texts, &parts, &missing).await?;
    let cited =
        texts.iter().flat_map(|text| text.document.sources.iter().flat_map(|source| &source.fact_ids));
    let cited: HashSet<FactId> = cited.copied().collect();
    let facts = facts(connection, whole.graph_id, cited).await?;
    let parts = Parts { topic: whole.topic, texts, missing, facts };
    Ok(Some(Gathered { graph: whole.graph_id, parts, read, nodes }))
}

async fn text_of(connection: &impl ConnectionTrait, part: &Part) -> Result<Option<PartText>, DbErr> {
    let Some(number) = part.current_version else { return Ok(None) };
    let Some(version) = synthesis_version::of(connection, part.sub_id, number).await? else {
        return Ok(None);
    };
    let document: Document =
        serde_json::from_str(&version.document).map_err(|error| DbErr::Json(error.to_string()))?;
    let (id, topic) = (part.sub_id, part.topic.clone());
    Ok(Some(PartText { id, topic, markdown: version.markdown, document }))
}

fn missing_part(part: &Part) -> MissingPart {
    let unfinished = "It is being written at the moment.";
    let or = |text: &Option<String>, other: &str| text.clone().unwrap_or_else(|| other.to_owned());
    MissingPart {
        id: part.sub_id,
        topic: part.topic.clone(),
        code: or(&part.error_code, "unfinished"),
        operator: or(&part.error_message, unfinished),
        public: or(&part.error_public, unfinished),
    }
}

/// What the texts refer to. A missing part has the full name of its node, which stands in no sentence by chance.
async fn nodes(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    texts: &[PartText],
    parts: &[Part],
    missing: &[MissingPart],
) -> Result<Vec<Node>, DbErr> {
    let mut ids: Vec<NodeId> = Vec::new();
    for node in texts.iter().flat_map(|text| &text.document.referenced_nodes) {
        if !ids.contains(&node.node_id) {
            ids.push(node.node_id);
        }
    }
    let mut found = node::by_ids(connection, ids.iter().copied()).await?;
    found.retain(|node| node.graph_id == graph);
    found.sort_by_key(|node| ids.iter().position(|id| *id == node.id));
    let mut nodes: Vec<Node> = found.iter().map(Node::of).collect();
    let of_missing = parts.iter().filter(|part| missing.iter().any(|missing| missing.id == part.sub_id));
    nodes.extend(of_missing.map(|part| Node {
        id: NodeId(part.sub_id.0),
        name: part.concept.clone(),
        aliases: Vec::new(),
        node_type: node::NodeType::Synthesis,
    }));
    Ok(nodes)
}

async fn facts(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    ids: HashSet<FactId>,
) -> Result<Vec<crate::synthesis::material::Fact>, DbErr> {
    let mut found = fact::by_ids(connection, ids).await?;
    found.retain(|fact| fact.graph_id == graph);
    found.sort_by_key(|fact| fact.id);
    search::with_places(connection, graph, found).await
}

/// Has `combiner` make one text of the parts. Reads only.
///
/// # Errors
/// Those of the combiner, and whatever the database answers.
pub async fn combine(
    connection: &impl ConnectionTrait,
    combiner: &dyn Combiner,
    gathered: &Gathered,
    run: &Run<'_>,
) -> Result<Result<ComposedText, NoText>, WriteError> {
    let parts = &gathered.parts;
    if parts.texts.is_empty() {
        return Ok(Err(nothing_to_combine(parts)));
    }
    let markdown = match combiner.combine(parts, run).await? {
        Written::Text(markdown) => normalise_links(markdown.trim()),
        Written::NoText(why) => return Ok(Err(why)),
    };
    if markdown.is_empty() {
        return Ok(Err(NoText::empty(&parts.topic)));
    }
    let known: HashSet<FactId> = parts.facts.iter().map(|fact| fact.id).collect();
    let beyond = cited_facts(&markdown).into_iter().filter(|id| !known.contains(id)).collect();
    let mut facts_known = parts.facts.clone();
    facts_known.extend(facts(connection, gathered.graph, beyond).await?);
    let markdown = keep_known(&markdown, &gathered.nodes, &facts_known);
    if markdown.is_empty() {
        return Ok(Err(NoText::empty(&parts.topic)));
    }
    let document = Document::of(&markdown, &gathered.nodes, &facts_known);
    Ok(Ok(ComposedText { markdown, document }))
}

fn nothing_to_combine(parts: &Parts) -> NoText {
    if parts.missing.is_empty() {
        let reason = "all parts were removed".to_owned();
        return NoText { code: "no_parts", public: reason.clone(), reason };
    }
    let number = parts.missing.len();
    NoText {
        code: "all_parts_failed",
        reason: format!(
            "none of {number} parts has a text: {}",
            causes(&parts.missing, |part| &part.operator)
        ),
        public: format!("None of {number} parts has a text: {}", causes(&parts.missing, |part| &part.public)),
    }
}
