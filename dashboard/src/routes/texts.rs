//! The texts of a synthesis: sentences, the facts behind them, versions.

use std::collections::HashMap;

use ackord_entities::graph::{fact, source, synthesis_version};
use ackord_entities::ids::{FactId, JobId, NodeId, SourceId, SynthesisId};
use ackord_graph::search::with_places;
use ackord_graph::synthesis::document::{Document, FactLinkKind};
use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use sea_orm::ActiveEnum as _;
use serde::Serialize;
use utoipa::ToSchema;

use super::syntheses::visible;
use crate::api::Api;
use crate::body::{Named, NamedTwo};
use crate::caller::Viewer;
use crate::problem::Problem;

/// A text with its structure.
#[derive(Serialize, ToSchema)]
pub(crate) struct TextView {
    /// Which of the versions, from 1.
    version: i32,
    /// When it was written.
    created_at: DateTime<Utc>,
    /// The job that wrote it.
    job_id: JobId,
    /// Who wrote it.
    producer: String,
    /// The whole text as Markdown.
    markdown: String,
    /// The same sentence by sentence.
    sentences: Vec<SentenceView>,
    /// The nodes that it refers to, in the order of the text.
    referenced_nodes: Vec<ReferencedNodeView>,
    /// The sources of its facts, in the order of the text.
    sources: Vec<SourceView>,
    /// Counts.
    stats: StatsView,
}

/// A sentence, a heading or a list item.
#[derive(Serialize, ToSchema)]
pub(crate) struct SentenceView {
    /// Its place in the text, from 0.
    position: u32,
    /// As it stands in the text, links included.
    text: String,
    /// How many facts are behind it.
    fact_count: usize,
    /// The nodes that it refers to.
    node_ids: Vec<NodeId>,
}

/// A node that a text refers to.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReferencedNodeView {
    /// The node.
    node_id: NodeId,
    /// Its name.
    concept: String,
    /// What it is.
    node_type: String,
}

/// A source that facts of a text come from.
#[derive(Serialize, ToSchema)]
pub(crate) struct SourceView {
    /// Its number in the text, from 1.
    number: u32,
    /// The source.
    source_id: SourceId,
    /// Its title when the text was written.
    title: String,
    /// Its address when the text was written.
    uri: String,
}

/// Counts of a text.
#[derive(Serialize, ToSchema)]
pub(crate) struct StatsView {
    /// Sentences, headings and list items included.
    sentences_count: u32,
    /// Different facts behind them.
    facts_linked: u32,
    /// Different nodes that they refer to.
    nodes_referenced: u32,
}

/// The text of that version, if it is there.
pub(super) async fn text_of(api: &Api, id: SynthesisId, version: i32) -> Result<Option<TextView>, Problem> {
    let Some(row) = synthesis_version::of(api.database().read(), id, version).await? else { return Ok(None) };
    let document: Document = serde_json::from_str(&row.document)?;
    let sentences = document.sentences.into_iter().map(|sentence| SentenceView {
        position: sentence.position,
        text: sentence.text,
        fact_count: sentence.fact_links.len(),
        node_ids: sentence.node_ids,
    });
    let nodes = document.referenced_nodes.into_iter().map(|node| ReferencedNodeView {
        node_id: node.node_id,
        concept: node.concept,
        node_type: node.node_type,
    });
    let sources = document.sources.into_iter().map(|source| SourceView {
        number: source.number,
        source_id: source.source_id,
        title: source.title,
        uri: source.uri,
    });
    Ok(Some(TextView {
        version: row.version,
        created_at: row.created_at,
        job_id: row.job_id,
        producer: row.producer,
        markdown: row.markdown,
        sentences: sentences.collect(),
        referenced_nodes: nodes.collect(),
        sources: sources.collect(),
        stats: StatsView {
            sentences_count: document.stats.sentences_count,
            facts_linked: document.stats.facts_linked,
            nodes_referenced: document.stats.nodes_referenced,
        },
    }))
}

/// The facts behind a sentence.
#[derive(Serialize, ToSchema)]
pub(crate) struct SentenceFacts {
    /// The sentence.
    position: u32,
    /// As it stands in the text.
    text: String,
    /// What it is backed by, the nearest first where nothing is cited.
    facts: Vec<LinkedFact>,
}

/// A fact behind a sentence.
#[derive(Serialize, ToSchema)]
pub(crate) struct LinkedFact {
    /// The fact.
    fact_id: FactId,
    /// What it says; null when the graph does not hold it any more.
    content: Option<String>,
    /// What it was in its source; null with the content.
    fact_type: Option<String>,
    /// Likeness of sentence and fact, 0 to 1, higher is closer.
    #[schema(minimum = 0, maximum = 1)]
    similarity: f64,
    /// Why it is linked.
    link: Link,
    /// The first source that says it.
    source: Option<FirstSource>,
}

/// Why a fact is linked to a sentence.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Link {
    /// The text cites it.
    Cited,
    /// The text cites nothing here, and the words are alike.
    Similar,
}

/// The first source that says a fact.
#[derive(Serialize, ToSchema)]
pub(crate) struct FirstSource {
    /// The source.
    source_id: SourceId,
    /// Its title.
    title: String,
    /// Its address.
    uri: String,
    /// The address it calls its own, if it names one.
    canonical_url: Option<String>,
}

/// The facts behind one sentence of the newest good text.
#[utoipa::path(
    get,
    path = "/syntheses/{id}/sentences/{position}/facts",
    tag = "syntheses",
    params(
        ("id" = SynthesisId, Path, description = "The synthesis"),
        ("position" = u32, Path, description = "The sentence, from 0"),
    ),
    responses((status = 200, description = "The facts", body = SentenceFacts)),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn facts_of_sentence(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    NamedTwo(id, position): NamedTwo<SynthesisId, u32>,
) -> Result<Json<SentenceFacts>, Problem> {
    let row = visible(&api, &caller, id).await?;
    let read = api.database().read();
    let version = match row.current_version {
        Some(version) => synthesis_version::of(read, id, version).await?,
        None => None,
    };
    let version = version.ok_or_else(|| Problem::not_found("it has no text yet"))?;
    let document: Document = serde_json::from_str(&version.document)?;
    let count = document.sentences.len();
    let sentence = document.sentences.into_iter().find(|sentence| sentence.position == position);
    let sentence = sentence.ok_or_else(|| {
        Problem::not_found(format!("there is no sentence {position}: the text has {count}"))
    })?;
    let rows = fact::by_ids(read, sentence.fact_links.iter().map(|link| link.fact_id)).await?;
    let placed = with_places(read, row.graph_id, rows).await?;
    let sources = source::by_ids(read, placed.iter().map(|fact| fact.source.id)).await?;
    let sources: HashMap<SourceId, source::Model> =
        sources.into_iter().map(|source| (source.id, source)).collect();
    let facts = sentence.fact_links.iter().map(|link| {
        let fact = placed.iter().find(|fact| fact.id == link.fact_id);
        LinkedFact {
            fact_id: link.fact_id,
            content: fact.map(|fact| fact.text.clone()),
            fact_type: fact.map(|fact| fact.fact_type.to_value()),
            similarity: link.similarity,
            link: match link.link {
                FactLinkKind::Cited => Link::Cited,
                FactLinkKind::Similar => Link::Similar,
            },
            source: fact.map(|fact| FirstSource {
                source_id: fact.source.id,
                title: fact.source.title.clone(),
                uri: fact.source.uri.clone(),
                canonical_url: sources.get(&fact.source.id).and_then(|source| source.canonical_url.clone()),
            }),
        }
    });
    Ok(Json(SentenceFacts { position, facts: facts.collect(), text: sentence.text }))
}

/// All versions of a text.
#[derive(Serialize, ToSchema)]
pub(crate) struct Versions {
    /// Oldest first.
    versions: Vec<VersionView>,
}

/// A version of a text, without the text.
#[derive(Serialize, ToSchema)]
pub(crate) struct VersionView {
    /// From 1, without gaps.
    version: i32,
    /// When it was written.
    created_at: DateTime<Utc>,
    /// The job that wrote it.
    job_id: JobId,
    /// Who wrote it.
    producer: String,
    /// Sentences, headings and list items.
    sentences_count: i32,
    /// Different facts behind them.
    facts_linked: i32,
    /// Different nodes that they refer to.
    nodes_referenced: i32,
}

/// Every text that was good when it was written.
#[utoipa::path(
    get,
    path = "/syntheses/{id}/versions",
    tag = "syntheses",
    params(("id" = SynthesisId, Path, description = "The synthesis")),
    responses((status = 200, description = "All versions", body = Versions)),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn versions(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    Named(id): Named<SynthesisId>,
) -> Result<Json<Versions>, Problem> {
    visible(&api, &caller, id).await?;
    let rows = synthesis_version::all_of(api.database().read(), id).await?;
    let versions = rows.into_iter().map(|row| VersionView {
        version: row.version,
        created_at: row.created_at,
        job_id: row.job_id,
        producer: row.producer,
        sentences_count: row.sentences_count,
        facts_linked: row.facts_linked,
        nodes_referenced: row.nodes_referenced,
    });
    Ok(Json(Versions { versions: versions.collect() }))
}

/// One version of a text.
#[utoipa::path(
    get,
    path = "/syntheses/{id}/versions/{version}",
    tag = "syntheses",
    params(
        ("id" = SynthesisId, Path, description = "The synthesis"),
        ("version" = i32, Path, description = "The version, from 1"),
    ),
    responses((status = 200, description = "The text", body = TextView)),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn version(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    NamedTwo(id, version): NamedTwo<SynthesisId, i32>,
) -> Result<Json<TextView>, Problem> {
    visible(&api, &caller, id).await?;
    let text = text_of(&api, id, version).await?;
    text.map(Json).ok_or_else(|| Problem::not_found(format!("synthesis {id} has no version {version}")))
}
