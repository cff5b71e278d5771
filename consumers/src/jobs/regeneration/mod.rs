//! The kind `regeneration`: writes a failed synthesis again, in place, from its original input.
//!
//! `ackord_producer::syntheses::regenerate` asks for it and makes the row pending. One that was published past that is held to the
//! same rules when it is claimed.

use std::sync::Arc;

use ackord_entities::graph::synthesis::{Model, State};
use ackord_entities::graph::{super_synthesis, synthesis};
use ackord_entities::jobs::{Job, Regeneration, SuperSynthesis, Synthesis, decode};
use ackord_graph::synthesis::{
    self as domain, Composed, ExtractiveProducer, GraphPlanner, ScopePlanner, TextProducer,
};
use async_trait::async_trait;
use sea_orm::ConnectionTrait;

use super::calls::Calls;
use super::super_synthesis::{FanOut, divide};
use super::writing::{give_up, keep, nothing_performed, write};
use crate::error::JobError;
use crate::handler::{Context, End, Failure, Handler, Outcome, Turn, Tx};

/// The handler.
#[derive(Clone, Debug)]
pub struct RegenerationHandler {
    producer: Arc<dyn TextProducer>,
    planner: Arc<dyn ScopePlanner>,
}

impl RegenerationHandler {
    /// A handler whose texts `producer` writes, and for which `planner` divides topics that were never divided.
    #[must_use]
    pub fn new(producer: Arc<dyn TextProducer>, planner: Arc<dyn ScopePlanner>) -> Self {
        Self { producer, planner }
    }
}

impl Default for RegenerationHandler {
    /// A handler that needs no model.
    fn default() -> Self {
        Self::new(Arc::new(ExtractiveProducer), Arc::new(GraphPlanner))
    }
}

/// What the slow half made.
#[derive(Debug, Default)]
pub enum Output {
    /// It did not run.
    #[default]
    Nothing,
    /// A text, or why there is none.
    Text(Composed),
    /// The plan of a super-synthesis that had none, with what was asked for.
    Plan(FanOut, SuperSynthesis),
}

#[async_trait]
impl Handler for RegenerationHandler {
    type Job = Regeneration;
    type Output = Output;

    async fn accept(&self, turn: &Turn<Regeneration>, tx: &Tx<'_>) -> Result<(), JobError> {
        let id = turn.job.node_id;
        let Some(row) = synthesis::by_id(tx.connection(), id).await? else { return Err(not_found(turn)) };
        asked_for(tx.connection(), &row).await?;
        if domain::start(tx, id, turn.id, tx.now).await?.is_none() {
            return Err(JobError::Failed(not_startable(&row)));
        }
        Ok(())
    }

    async fn perform(&self, turn: &Turn<Regeneration>, context: &Context) -> Result<Output, JobError> {
        let connection = context.database.read();
        let Some(row) = synthesis::by_id(connection, turn.job.node_id).await? else {
            return Err(not_found(turn));
        };
        let calls = Calls::of(turn, context);
        let run = calls.run();
        Ok(match asked_for(connection, &row).await? {
            Asked::Text(job) => Output::Text(write(connection, self.producer.as_ref(), &job, &run).await?),
            Asked::Parts(job) => {
                Output::Plan(divide(connection, self.planner.as_ref(), &job, &run).await?, job)
            }
        })
    }

    async fn commit(
        &self,
        turn: &Turn<Regeneration>,
        output: &Output,
        tx: &Tx<'_>,
    ) -> Result<Outcome, JobError> {
        let (id, publish) = (turn.job.node_id, turn.follow_up(tx));
        match output {
            Output::Nothing => Err(nothing_performed()),
            Output::Text(composed) => keep(id, turn.id, composed, &publish, tx).await,
            Output::Plan(fan_out, job) => fan_out.publish(id, turn.id, job, &publish, tx).await,
        }
    }

    async fn abandon(&self, turn: &Turn<Regeneration>, end: &End, tx: &Tx<'_>) -> Result<(), JobError> {
        give_up(turn.job.node_id, turn.id, &end.error, &turn.follow_up(tx), tx).await
    }
}

/// What a synthesis was asked for in the first place.
enum Asked {
    Text(Synthesis),
    Parts(SuperSynthesis),
}

async fn asked_for(connection: &impl ConnectionTrait, row: &Model) -> Result<Asked, JobError> {
    match super_synthesis::by_id(connection, row.id).await? {
        None => Ok(Asked::Text(stored(row)?)),
        Some(plan) if plan.planning.is_none() => Ok(Asked::Parts(stored(row)?)),
        Some(_) => {
            let text = "the super-synthesis has parts: it is combined again, not written again";
            Err(JobError::Failed(Failure::new("wrong_type", text)))
        }
    }
}

fn stored<J: Job>(row: &Model) -> Result<J, JobError> {
    decode(J::VERSION, row.input.as_bytes()).map_err(|error| {
        let text = format!("the synthesis has no stored input to be written from again: {error}");
        JobError::Failed(Failure::new("no_stored_input", text))
    })
}

fn not_found(turn: &Turn<Regeneration>) -> JobError {
    let text = format!("there is no synthesis {}", turn.job.node_id);
    JobError::Failed(Failure::new("not_found", text))
}

fn not_startable(row: &Model) -> Failure {
    match (row.state, row.job_id) {
        (State::Pending | State::Running, Some(job)) => {
            Failure::new("in_flight", format!("job {job} works on the synthesis already"))
        }
        _ => {
            Failure::new("not_in_error", "the synthesis is not in error: only a failed one is written again")
        }
    }
}

#[cfg(test)]
mod tests;
