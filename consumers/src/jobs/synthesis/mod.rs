//! The kind `synthesis`: explores a graph about a topic and writes what its facts say.
//!
//! The row of the synthesis is there, running, before the graph is looked at; whatever comes of the job is shown on it.

use std::sync::Arc;

use ackord_entities::ids::GraphId;
use ackord_entities::jobs::Synthesis;
use ackord_graph::synthesis::{self as domain, AskError, Composed, ExtractiveProducer, TextProducer, Wish};
use async_trait::async_trait;

use super::calls::Calls;
use super::writing::{give_up, input, keep, known_graph, nothing_performed, unknown_graph, write};
use crate::error::JobError;
use crate::handler::{Context, End, Handler, Outcome, Turn, Tx};

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
        let graph = match domain::place(tx, &turn.job.graph, tx.now).await {
            Ok(graph) => graph,
            Err(AskError::Database(error)) => return Err(error.into()),
            Err(_) => return Err(unknown_graph(&turn.job.graph)),
        };
        let input = input(&turn.job)?;
        domain::begin(tx, &wish(&turn.job, graph, &input), turn.id, tx.now).await?;
        Ok(())
    }

    async fn perform(&self, turn: &Turn<Synthesis>, context: &Context) -> Result<Option<Composed>, JobError> {
        let calls = Calls::of(turn, context);
        Ok(Some(write(context.database.read(), self.producer.as_ref(), &turn.job, &calls.run()).await?))
    }

    async fn commit(
        &self,
        turn: &Turn<Synthesis>,
        output: &Option<Composed>,
        tx: &Tx<'_>,
    ) -> Result<Outcome, JobError> {
        let Some(composed) = output else { return Err(nothing_performed()) };
        let graph = known_graph(&turn.job.graph, tx.connection()).await?;
        let id = domain::id_of(graph, &turn.job.topic, turn.id);
        keep(id, turn.id, composed, &turn.follow_up(tx), tx).await
    }

    async fn abandon(&self, turn: &Turn<Synthesis>, end: &End, tx: &Tx<'_>) -> Result<(), JobError> {
        // Without its graph a synthesis has no place to be shown in: the job shows it.
        let Some(graph) = domain::find_graph(tx.connection(), &turn.job.graph).await? else { return Ok(()) };
        let input = input(&turn.job)?;
        // The job may have ended before it was ever accepted.
        let id = domain::request(tx, &wish(&turn.job, graph, &input), turn.id, tx.now).await?;
        give_up(id, turn.id, &end.error, &turn.follow_up(tx), tx).await
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

#[cfg(test)]
mod tests;
