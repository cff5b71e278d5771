//! The kind `super-synthesis`: divides a wide topic into parts and has each of them written.
//!
//! It ends as soon as the parts are published, and waits for none of them: the last one that ends has them combined
//! (`ackord_producer::syntheses`). Its row is there, pending, from the request on.

mod fan_out;

use std::sync::Arc;

use ackord_entities::graph::synthesis;
use ackord_entities::ids::SynthesisId;
use ackord_entities::jobs::SuperSynthesis;
use ackord_graph::synthesis::{self as domain, AskError, GraphPlanner, ScopePlanner, Wish};
use async_trait::async_trait;

pub(super) use fan_out::{FanOut, divide};

use super::calls::Calls;
use super::writing::{as_stored, input, known_graph, no_longer_running, nothing_performed};
use crate::error::JobError;
use crate::handler::{Context, End, Failure, Handler, Outcome, Turn, Tx};

/// The code of a request that names what cannot be.
const INVALID: &str = "invalid_request";

/// The handler.
#[derive(Clone, Debug)]
pub struct SuperSynthesisHandler {
    planner: Arc<dyn ScopePlanner>,
}

impl SuperSynthesisHandler {
    /// A handler for which `planner` divides topics.
    #[must_use]
    pub fn new(planner: Arc<dyn ScopePlanner>) -> Self {
        Self { planner }
    }
}

impl Default for SuperSynthesisHandler {
    /// A handler that needs no model.
    fn default() -> Self {
        Self::new(Arc::new(GraphPlanner))
    }
}

#[async_trait]
impl Handler for SuperSynthesisHandler {
    type Job = SuperSynthesis;
    type Output = Option<FanOut>;

    async fn accept(&self, turn: &Turn<SuperSynthesis>, tx: &Tx<'_>) -> Result<(), JobError> {
        let id = match known(turn, tx).await? {
            Some(id) => id,
            // Published without a request: it is checked now, and leaves nothing behind if it is refused.
            None => domain::ask_super(tx, &turn.job, turn.id, tx.now).await.map_err(refused)?,
        };
        match domain::start(tx, id, turn.id, tx.now).await? {
            Some(_) => Ok(()),
            None => Err(JobError::Failed(no_longer_running())),
        }
    }

    async fn perform(
        &self,
        turn: &Turn<SuperSynthesis>,
        context: &Context,
    ) -> Result<Option<FanOut>, JobError> {
        let calls = Calls::of(turn, context);
        Ok(Some(divide(context.database.read(), self.planner.as_ref(), &turn.job, &calls.run()).await?))
    }

    async fn commit(
        &self,
        turn: &Turn<SuperSynthesis>,
        output: &Option<FanOut>,
        tx: &Tx<'_>,
    ) -> Result<Outcome, JobError> {
        let Some(fan_out) = output else { return Err(nothing_performed()) };
        let graph = known_graph(&turn.job.graph, tx.connection()).await?;
        let id = domain::super_id_of(graph, &turn.job.topic, turn.id);
        fan_out.publish(id, turn.id, &turn.job, &turn.follow_up(tx), tx).await
    }

    async fn abandon(&self, turn: &Turn<SuperSynthesis>, end: &End, tx: &Tx<'_>) -> Result<(), JobError> {
        // Without its graph it has no place to be shown in, and a refused request changes nothing: the job shows it.
        let Some(graph) = domain::find_graph(tx.connection(), &turn.job.graph).await? else { return Ok(()) };
        if end.error.code == INVALID {
            return Ok(());
        }
        let input = input(&turn.job)?;
        let wish = Wish {
            graph,
            topic: &turn.job.topic,
            visibility: turn.job.visibility.into(),
            creator: turn.job.creator_id.as_deref(),
            input: &input,
        };
        // The job may have ended before it was ever accepted.
        let id = domain::request_super(tx, &wish, turn.id, tx.now).await?;
        domain::fail(tx, id, turn.id, &as_stored(&end.error), None, tx.now).await?;
        Ok(())
    }
}

/// The super-synthesis that this job was published for, if it was asked for before.
async fn known(turn: &Turn<SuperSynthesis>, tx: &Tx<'_>) -> Result<Option<SynthesisId>, JobError> {
    let Some(graph) = domain::find_graph(tx.connection(), &turn.job.graph).await? else { return Ok(None) };
    let id = domain::super_id_of(graph, &turn.job.topic, turn.id);
    Ok(synthesis::by_id(tx.connection(), id).await?.map(|row| row.id))
}

fn refused(error: AskError) -> JobError {
    match error {
        AskError::Database(error) => error.into(),
        invalid => JobError::Failed(Failure::new(INVALID, invalid.to_string())),
    }
}

#[cfg(test)]
mod tests;
