//! Facts of one graph with their places, sources and nodes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ackord_entities::graph::{fact, fact_source, node, source};
use ackord_entities::ids::{FactId, GraphId, SourceId};
use sea_orm::{ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _};

use super::rank::Ranking;
use super::topic::topic_terms;
use crate::synthesis::material::{Fact, Source};

/// How much a word in a heading counts beside the same word in the sentence.
const HEADING: f64 = 0.4;

/// The facts of `graph` for `topic`, best first, equal ones by id: at most `limit`, with their scores. A score is above 0;
/// the scores of one answer compare, others do not.
///
/// # Errors
/// Whatever the database answers.
pub async fn facts(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    topic: &str,
    limit: u64,
) -> Result<Vec<(Fact, f64)>, DbErr> {
    let candidates = fact::candidates(connection, graph, &topic_terms(topic), limit).await?;
    let facts = with_places(connection, graph, candidates).await?;
    let scores = scores(&facts, topic);
    let mut found: Vec<(Fact, f64)> =
        facts.into_iter().zip(scores).filter(|(_, score)| *score > 0.0).collect();
    found.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.id.cmp(&right.0.id)));
    Ok(found)
}

/// BM25 of each fact for `query`: of its sentence, and less of the headings above it.
#[must_use]
pub fn scores(facts: &[Fact], query: &str) -> Vec<f64> {
    let texts: Vec<&str> = facts.iter().map(|fact| fact.text.as_str()).collect();
    let headings: Vec<String> = facts.iter().map(|fact| fact.headings.join(" ")).collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let of_headings = Ranking::of(&headings).scores(query);
    Ranking::of(&texts)
        .scores(query)
        .into_iter()
        .zip(of_headings)
        .map(|(text, heading)| text + HEADING * heading)
        .collect()
}

/// Turns rows of facts into facts with their place, source and nodes, in the given order. One that stands in several
/// places gets the first (by source id and position) and the nodes of all; one that stands nowhere is left out.
///
/// # Errors
/// Whatever the database answers.
pub async fn with_places(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    facts: Vec<fact::Model>,
) -> Result<Vec<Fact>, DbErr> {
    let places = fact_source::of_facts(connection, facts.iter().map(|fact| fact.id)).await?;
    let sources = sources(connection, places.iter().map(|place| place.source_id).collect()).await?;
    let mut by_fact: HashMap<FactId, Vec<fact_source::Model>> = HashMap::new();
    for place in places {
        by_fact.entry(place.fact_id).or_default().push(place);
    }
    let placed = facts.into_iter().filter_map(|fact| {
        let places = by_fact.get(&fact.id)?;
        let place = places.first()?;
        let mut nodes: Vec<_> =
            places.iter().flat_map(fact_source::Model::nodes).map(|key| node::id_of(graph, key)).collect();
        nodes.sort_unstable();
        nodes.dedup();
        Some(Fact {
            id: fact.id,
            text: fact.content,
            fact_type: fact.fact_type,
            source: sources.get(&place.source_id)?.clone(),
            position: u32::try_from(place.position).unwrap_or_default(),
            headings: place.heading.iter().flat_map(|path| path.split(" > ")).map(str::to_owned).collect(),
            nodes,
        })
    });
    Ok(placed.collect())
}

async fn sources(
    connection: &impl ConnectionTrait,
    ids: HashSet<SourceId>,
) -> Result<HashMap<SourceId, Arc<Source>>, DbErr> {
    let found = source::Entity::find().filter(source::COLUMN.id.is_in(ids)).all(connection).await?;
    let named = found.into_iter().map(|source| {
        let title = if source.title.trim().is_empty() { source.uri.clone() } else { source.title };
        (source.id, Arc::new(Source { id: source.id, title, uri: source.uri }))
    });
    Ok(named.collect())
}
