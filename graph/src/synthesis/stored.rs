//! Syntheses as readers find them: by id, by key, by the job that wrote them.

use std::collections::HashMap;

use ackord_entities::graph::synthesis::{self, Model};
use ackord_entities::graph::{fact, synthesis_attempt, synthesis_version};
use ackord_entities::ids::{FactId, GraphId, JobId, SynthesisId};
use sea_orm::{ConnectionTrait, DbErr};

use super::document::Document;
use crate::text::slug;

/// Syntheses that a reference which fits several lists.
const LISTED: u64 = 20;

/// A synthesis with its last good text.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The row: state, error, input.
    pub synthesis: Model,
    /// The current text with its structure, if there is one.
    pub text: Option<StoredText>,
    /// Every attempt, oldest first.
    pub attempts: Vec<synthesis_attempt::Model>,
}

/// A stored text.
#[derive(Clone, Debug)]
pub struct StoredText {
    /// The version.
    pub version: synthesis_version::Model,
    /// Its structure.
    pub document: Document,
    /// The sentences of the facts behind it, as far as the graph still holds them.
    pub quotes: HashMap<FactId, String>,
}

/// What a reference leads to.
#[derive(Clone, Debug)]
pub enum Found {
    /// One synthesis.
    One(SynthesisId),
    /// Several that it may mean, newest first, not all of them where there are many.
    Several(Vec<Model>),
    /// None.
    Nothing,
}

/// Looks `reference` up: the id of a synthesis, the id of a job that wrote one, the key of its node in `graph`, the beginning
/// of such a key, or its topic.
///
/// # Errors
/// Whatever the database answers.
pub async fn find(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    reference: &str,
) -> Result<Found, DbErr> {
    if let Ok(id) = reference.trim().parse::<SynthesisId>() {
        if synthesis::by_id(connection, id).await?.is_some() {
            return Ok(Found::One(id));
        }
        let attempt = synthesis_attempt::by_job(connection, JobId(id.0)).await?;
        return Ok(attempt.map_or(Found::Nothing, |attempt| Found::One(attempt.synthesis_id)));
    }
    let key = slug(reference);
    if key.is_empty() {
        return Ok(Found::Nothing);
    }
    let is_key = key.starts_with("synthesis-") || key.starts_with("supersynthesis-");
    let prefixes =
        if is_key { vec![key] } else { vec![format!("supersynthesis-{key}"), format!("synthesis-{key}")] };
    let mut found = Vec::new();
    for prefix in prefixes {
        found.extend(synthesis::by_key_prefix(connection, graph, &prefix, LISTED).await?);
    }
    found.sort_by_key(|one| std::cmp::Reverse((one.created_at, one.id)));
    found.truncate(usize::try_from(LISTED).unwrap_or(usize::MAX));
    Ok(match found.len() {
        0 => Found::Nothing,
        1 => Found::One(found.remove(0).id),
        _ => Found::Several(found),
    })
}

/// The synthesis with this id; `None` if it is not there.
///
/// # Errors
/// Whatever the database answers. A stored structure that this version cannot read is a [`DbErr::Json`].
pub async fn load(connection: &impl ConnectionTrait, id: SynthesisId) -> Result<Option<Stored>, DbErr> {
    let Some(synthesis) = synthesis::by_id(connection, id).await? else { return Ok(None) };
    let text = match synthesis.current_version {
        Some(number) => text(connection, id, number).await?,
        None => None,
    };
    let attempts = synthesis_attempt::all_of(connection, id).await?;
    Ok(Some(Stored { synthesis, text, attempts }))
}

async fn text(
    connection: &impl ConnectionTrait,
    id: SynthesisId,
    number: i32,
) -> Result<Option<StoredText>, DbErr> {
    let Some(version) = synthesis_version::of(connection, id, number).await? else { return Ok(None) };
    let document: Document =
        serde_json::from_str(&version.document).map_err(|error| DbErr::Json(error.to_string()))?;
    let linked = document.sources.iter().flat_map(|source| source.fact_ids.iter().copied());
    let facts = fact::by_ids(connection, linked).await?;
    let quotes = facts.into_iter().map(|fact| (fact.id, fact.content)).collect();
    Ok(Some(StoredText { version, document, quotes }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use ackord_entities::clock::machine_now;
    use ackord_entities::graph::node::Visibility;
    use ackord_entities::testing::TestDatabase;
    use rstest::rstest;
    use sea_orm::DbBackend;

    use super::*;
    use crate::synthesis::corpus::{DOCUMENTS, import};
    use crate::synthesis::{ExtractiveProducer, Request, Run, Wish, begin, complete, compose, node_key};

    async fn written(test: &TestDatabase, graph: GraphId, topic: &str) -> (SynthesisId, JobId) {
        let request =
            Request { graph, topic: topic.to_owned(), starting_nodes: vec![], budget: 5, max_words: 200 };
        let composed =
            compose(test.database().read(), &ExtractiveProducer, &request, &Run::unwatched()).await.unwrap();
        let (job, now) = (JobId::new(), machine_now());
        let wish = Wish { graph, topic, visibility: Visibility::Public, creator: None, input: "{}" };
        let tx = test.database().begin().await.unwrap();
        let row = begin(&tx, &wish, job, now).await.unwrap().unwrap();
        let text = composed.text.unwrap();
        complete(&tx, row.id, job, &text, &composed.producer, &composed.record, now).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        (row.id, job)
    }

    fn one(found: Found) -> SynthesisId {
        match found {
            Found::One(id) => id,
            other => panic!("{other:?}"),
        }
    }

    #[rstest]
    #[tokio::test]
    async fn a_synthesis_is_found_by_id_job_key_and_topic(
        #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
    ) {
        let Some(test) = TestDatabase::open(backend).await else { return };
        let graph = import(test.database(), "default", &DOCUMENTS).await;
        let (id, job) = written(&test, graph, "The outbox").await;
        let connection = test.database().read();
        let key = node_key("The outbox", job);
        for reference in
            [id.to_string(), job.to_string(), key.clone(), "the outbox".to_owned(), key[..20].to_owned()]
        {
            assert_eq!(one(find(connection, graph, &reference).await.unwrap()), id, "{reference}");
        }
        written(&test, graph, "The outbox").await;
        assert!(
            matches!(find(connection, graph, "the outbox").await.unwrap(), Found::Several(all) if all.len() == 2)
        );
        for reference in ["leases", "?!", "01890a5d-ac96-774b-bcce-b302099a8057"] {
            assert!(
                matches!(find(connection, graph, reference).await.unwrap(), Found::Nothing),
                "{reference}"
            );
        }
    }

    #[tokio::test]
    async fn a_stored_text_comes_with_what_its_citations_quote() {
        let test = TestDatabase::sqlite().await;
        let graph = import(test.database(), "default", &DOCUMENTS).await;
        let (id, job) = written(&test, graph, "The outbox").await;
        let stored = load(test.database().read(), id).await.unwrap().unwrap();
        assert_eq!(stored.attempts[0].job_id, job);
        let text = stored.text.unwrap();
        let stats = text.document.stats;
        assert_eq!(text.quotes.len(), usize::try_from(stats.facts_linked).unwrap());
        assert_eq!(i64::from(text.version.facts_linked), i64::from(stats.facts_linked));
        let link = text.document.sentences[0].fact_links[0];
        assert!(text.quotes[&link.fact_id].starts_with("The outbox is a table"));
        assert!(load(test.database().read(), SynthesisId::new()).await.unwrap().is_none());
    }
}
