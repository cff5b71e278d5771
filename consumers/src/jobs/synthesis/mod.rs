//! The kind `synthesis`: explores a graph about a topic and writes what its facts say.
//!
//! The row of the synthesis is there, running, before the graph is looked at; whatever comes of the job is shown on it.

use std::sync::Arc;

use ackord_entities::graph::{graphs, synthesis};
use ackord_entities::ids::GraphId;
use ackord_entities::jobs::Synthesis;
use ackord_graph::synthesis::{
    self as domain, Composed, ExtractiveProducer, NoText, Request, TextProducer, Wish, compose,
};
use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbErr, EntityTrait as _};
use serde_json::json;

use crate::error::JobError;
use crate::handler::{Context, End, Failure, Handler, Outcome, Turn, Tx};

/// The handler.
#[derive(Clone, Debug)]
pub struct SynthesisHandler {
    producer: Arc<dyn TextProducer>,
}

impl SynthesisHandler {
    /// A handler whose texts `producer` writes.
    #[must_use]
    pub fn new(producer: Arc<dyn TextProducer>) -> Self {
        Self { producer }
    }
}

impl Default for SynthesisHandler {
    /// A handler that needs no model.
    fn default() -> Self {
        Self::new(Arc::new(ExtractiveProducer))
    }
}

#[async_trait]
impl Handler for SynthesisHandler {
    type Job = Synthesis;
    type Output = Option<Composed>;

    async fn accept(&self, turn: &Turn<Synthesis>, tx: &Tx<'_>) -> Result<(), JobError> {
        let graph = place(&turn.job, tx).await?;
        let input = input(&turn.job)?;
        domain::begin(tx, &wish(&turn.job, graph, &input), turn.id, tx.now).await?;
        Ok(())
    }

    async fn perform(&self, turn: &Turn<Synthesis>, context: &Context) -> Result<Option<Composed>, JobError> {
        let connection = context.database.read();
        let request = Request {
            graph: known_graph(&turn.job, connection).await?,
            topic: turn.job.topic.clone(),
            starting_nodes: turn.job.starting_node_ids.clone(),
            budget: turn.job.exploration_budget,
            max_words: turn.job.max_words,
        };
        Ok(Some(compose(connection, self.producer.as_ref(), &request).await?))
    }

    async fn commit(
        &self,
        turn: &Turn<Synthesis>,
        output: &Option<Composed>,
        tx: &Tx<'_>,
    ) -> Result<Outcome, JobError> {
        let Some(composed) = output else { return Err(nothing_performed()) };
        let graph = known_graph(&turn.job, tx.connection()).await?;
        let id = domain::id_of(graph, &turn.job.topic, turn.id);
        match &composed.text {
            Ok(text) => {
                let stored =
                    domain::complete(tx, id, turn.id, text, composed.producer, &composed.record, tx.now)
                        .await?;
                let Some(version) = stored else { return Ok(Outcome::Failed(no_longer_running())) };
                let stats = text.document.stats;
                Ok(Outcome::with_result(json!({
                    "synthesis_node_id": id,
                    "version": version,
                    "sentences_count": stats.sentences_count,
                    "facts_linked": stats.facts_linked,
                    "nodes_referenced": stats.nodes_referenced,
                })))
            }
            Err(why) => {
                let failure = failure_of(why);
                domain::fail(tx, id, turn.id, &as_stored(&failure), Some(&composed.record), tx.now).await?;
                Ok(Outcome::Failed(failure))
            }
        }
    }

    async fn abandon(&self, turn: &Turn<Synthesis>, end: &End, tx: &Tx<'_>) -> Result<(), JobError> {
        // Without its graph a synthesis has no place to be shown in: the job shows it.
        let Some(graph) = find_graph(&turn.job, tx.connection()).await? else { return Ok(()) };
        let input = input(&turn.job)?;
        // The job may have ended before it was ever accepted.
        let id = domain::request(tx, &wish(&turn.job, graph, &input), turn.id, tx.now).await?;
        domain::fail(tx, id, turn.id, &as_stored(&end.error), None, tx.now).await?;
        Ok(())
    }
}

fn wish<'a>(job: &'a Synthesis, graph: GraphId, input: &'a str) -> Wish<'a> {
    Wish {
        graph,
        topic: &job.topic,
        visibility: job.visibility.into(),
        creator: job.creator_id.as_deref(),
        input,
    }
}

fn input(job: &Synthesis) -> Result<String, JobError> {
    serde_json::to_string(job)
        .map_err(|error| JobError::permanent("payload", &error, "the payload cannot be kept"))
}

/// The job's graph. The default one is made if nobody did yet: a topic can be asked for before anything is imported.
async fn place(job: &Synthesis, tx: &Tx<'_>) -> Result<GraphId, JobError> {
    if job.graph == graphs::DEFAULT {
        return Ok(graphs::ensure(tx.connection(), graphs::DEFAULT, tx.now).await?);
    }
    known_graph(job, tx.connection()).await
}

async fn known_graph(job: &Synthesis, connection: &impl ConnectionTrait) -> Result<GraphId, JobError> {
    find_graph(job, connection).await?.ok_or_else(|| unknown_graph(&job.graph))
}

async fn find_graph(job: &Synthesis, connection: &impl ConnectionTrait) -> Result<Option<GraphId>, DbErr> {
    let found = match job.graph.parse::<GraphId>() {
        Ok(id) => graphs::Entity::find_by_id(id).one(connection).await?,
        Err(_) => graphs::by_slug(connection, &job.graph).await?,
    };
    Ok(found.map(|graph| graph.id))
}

fn unknown_graph(graph: &str) -> JobError {
    JobError::Permanent(Failure::new("unknown_graph", format!("there is no graph `{graph}`")))
}

fn nothing_performed() -> JobError {
    JobError::Permanent(Failure::new(
        "nothing_performed",
        "the commit half was called without what the slow half made",
    ))
}

/// Somebody removed the synthesis, or another job took it over, while this one worked.
fn no_longer_running() -> Failure {
    Failure::new(
        "not_running",
        "the synthesis is not being written by this job any more: its text was not stored",
    )
}

fn failure_of(why: &NoText) -> Failure {
    Failure { code: why.code.to_owned(), operator: why.reason.clone(), public: why.public.clone() }
}

fn as_stored(failure: &Failure) -> synthesis::Failure {
    synthesis::Failure {
        code: failure.code.clone(),
        operator: failure.operator.clone(),
        public: failure.public.clone(),
    }
}

#[cfg(test)]
mod tests;
