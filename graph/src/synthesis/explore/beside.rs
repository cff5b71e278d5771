//! What stands beside the facts that were found.

use std::collections::{BTreeMap, HashSet};

use ackord_entities::graph::{fact, fact_source};
use ackord_entities::ids::{FactId, GraphId, SourceId};
use sea_orm::{ConnectionTrait, DbErr};

use crate::search;
use crate::synthesis::brief::ScoredFact;
use crate::synthesis::material::Fact;

/// Adds the two sentences before each fact and the two behind it, with score 0, so that a writer can take a sentence
/// together with what it leans on. The result is ordered by source and position.
pub(super) async fn beside(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    facts: Vec<ScoredFact>,
) -> Result<Vec<ScoredFact>, DbErr> {
    const REACH: i32 = 2;
    let mut wanted: BTreeMap<SourceId, Vec<i32>> = BTreeMap::new();
    for scored in &facts {
        let position = i32::try_from(scored.fact.position).unwrap_or_default();
        wanted.entry(scored.fact.source.id).or_default().push(position);
    }
    let known: HashSet<FactId> = facts.iter().map(|scored| scored.fact.id).collect();
    let mut missing: BTreeMap<FactId, (SourceId, i32)> = BTreeMap::new();
    for (source, mut positions) in wanted {
        positions.sort_unstable();
        for run in positions.chunk_by(|one, next| next - one <= 2 * REACH + 16) {
            let (from, to) = (run[0] - REACH, run[run.len() - 1] + REACH + 1);
            for place in fact_source::of_source(connection, source, from.max(0), to).await? {
                let near = run.iter().any(|position| (position - place.position).abs() <= REACH);
                if near && !known.contains(&place.fact_id) {
                    missing.entry(place.fact_id).or_insert((source, place.position));
                }
            }
        }
    }
    let models = fact::by_ids(connection, missing.keys().copied()).await?;
    let others = search::with_places(connection, graph, models).await?;
    let mut all = facts;
    // A sentence whose first place is elsewhere would be taken for a neighbour of what stands there.
    let stays = |fact: &Fact| missing.get(&fact.id).is_some_and(|(source, _)| *source == fact.source.id);
    all.extend(others.into_iter().filter(stays).map(|fact| ScoredFact { fact, score: 0.0 }));
    all.sort_by_key(|scored| (scored.fact.source.id, scored.fact.position));
    Ok(all)
}
