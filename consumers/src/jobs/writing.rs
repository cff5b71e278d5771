//! What the kinds that write texts have in common.

use ackord_entities::database::Connection;
use ackord_entities::error_chain;
use ackord_entities::graph::synthesis;
use ackord_entities::ids::{GraphId, JobId, SynthesisId};
use ackord_entities::jobs::Synthesis;
use ackord_graph::synthesis::{
    self as domain, Composed, NoText, Request, Run, TextProducer, Trouble, WriteError, compose,
};
use ackord_producer::Publish;
use ackord_producer::syntheses::part_ended;
use sea_orm::ConnectionTrait;
use serde_json::json;

use crate::error::JobError;
use crate::handler::{Failure, Outcome, Tx};

/// Has `producer` write what `job` asks for.
pub(super) async fn write(
    connection: &Connection,
    producer: &dyn TextProducer,
    job: &Synthesis,
    run: &Run<'_>,
) -> Result<Composed, JobError> {
    let request = Request {
        graph: known_graph(&job.graph, connection).await?,
        topic: job.topic.clone(),
        starting_nodes: job.starting_node_ids.clone(),
        budget: job.exploration_budget,
        max_words: job.max_words,
    };
    Ok(compose(connection, producer, &request, run).await?)
}

/// Stores what came of writing, and tells the super-syntheses that this part has ended.
pub(super) async fn keep(
    id: SynthesisId,
    job: JobId,
    composed: &Composed,
    publish: &Publish,
    tx: &Tx<'_>,
) -> Result<Outcome, JobError> {
    let text = match &composed.text {
        Ok(text) => text,
        Err(why) => {
            let failure = failure_of(why);
            domain::fail(tx, id, job, &as_stored(&failure), Some(&composed.record), tx.now).await?;
            part_ended(tx, id, publish).await?;
            return Ok(Outcome::Failed(failure));
        }
    };
    let stored = domain::complete(tx, id, job, text, &composed.producer, &composed.record, tx.now).await?;
    let Some(version) = stored else { return Ok(Outcome::Failed(no_longer_running())) };
    part_ended(tx, id, publish).await?;
    let stats = text.document.stats;
    Ok(Outcome::with_result(json!({
        "synthesis_node_id": id,
        "version": version,
        "sentences_count": stats.sentences_count,
        "facts_linked": stats.facts_linked,
        "nodes_referenced": stats.nodes_referenced,
    })))
}

/// Stores that `job` ended without a text, and tells the super-syntheses that this part has ended. Nothing happens if another job works on it.
pub(super) async fn give_up(
    id: SynthesisId,
    job: JobId,
    failure: &Failure,
    publish: &Publish,
    tx: &Tx<'_>,
) -> Result<(), JobError> {
    if domain::fail(tx, id, job, &as_stored(failure), None, tx.now).await? {
        part_ended(tx, id, publish).await?;
    }
    Ok(())
}

/// The payload as it is kept.
pub(super) fn input(job: &impl serde::Serialize) -> Result<String, JobError> {
    serde_json::to_string(job)
        .map_err(|error| JobError::permanent("payload", &error, "the payload cannot be kept"))
}

pub(super) async fn known_graph(name: &str, connection: &impl ConnectionTrait) -> Result<GraphId, JobError> {
    domain::find_graph(connection, name).await?.ok_or_else(|| unknown_graph(name))
}

pub(super) fn unknown_graph(graph: &str) -> JobError {
    JobError::Permanent(Failure::new("unknown_graph", format!("there is no graph `{graph}`")))
}

pub(super) fn nothing_performed() -> JobError {
    JobError::Permanent(Failure::new(
        "nothing_performed",
        "the commit half was called without what the slow half made",
    ))
}

/// Somebody removed the synthesis, or another job took it over, while this one worked.
pub(super) fn no_longer_running() -> Failure {
    Failure::new(
        "not_running",
        "the synthesis is not being written by this job any more: its text was not stored",
    )
}

impl From<WriteError> for JobError {
    fn from(error: WriteError) -> Self {
        let failure = |Trouble { code, operator, public }: Trouble| Failure {
            code: code.to_owned(),
            operator,
            public: public.to_owned(),
        };
        match error {
            WriteError::Transient { trouble, retry_after: Some(wait) } => {
                Self::TransientAfter { failure: failure(trouble), wait }
            }
            WriteError::Transient { trouble, retry_after: None } => Self::Transient(failure(trouble)),
            WriteError::Permanent(trouble) => Self::Permanent(failure(trouble)),
            WriteError::Database(error) => error.into(),
            // Whoever called it off knows; the worker does not look at this error.
            other => Self::Transient(Failure::new("stopped", error_chain(&other))),
        }
    }
}

pub(super) fn failure_of(why: &NoText) -> Failure {
    Failure { code: why.code.to_owned(), operator: why.reason.clone(), public: why.public.clone() }
}

pub(super) fn as_stored(failure: &Failure) -> synthesis::Failure {
    synthesis::Failure {
        code: failure.code.clone(),
        operator: failure.operator.clone(),
        public: failure.public.clone(),
    }
}
